"""An official checkpoint becomes a run that computes the same; anything else is refused."""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.errors import InputError
from training.networks.segmentation import SegmentationNet
from training.networks.unet import UNet
from training.official import import_checkpoint
from training.run import WEIGHTS, load_run

Checkpoint = dict[str, Any]


@pytest.fixture(scope="module")
def networks() -> tuple[UNet, SegmentationNet]:
    """Small official networks with weights that differ everywhere."""
    torch.manual_seed(3)
    unet, segmentation = UNet(32, (1, 2), attention_levels=(1,)), SegmentationNet(8)
    for parameter in (*unet.parameters(), *segmentation.parameters()):
        torch.nn.init.normal_(parameter, std=0.1)
    return unet.eval(), segmentation.eval()


@pytest.fixture
def checkpoint(networks: tuple[UNet, SegmentationNet]) -> Checkpoint:
    """What the official training writes, its defaultdict of arguments included."""
    arguments: dict[str, Any] = defaultdict(str)
    arguments.update(img_size=[64, 64], T=1000, beta_schedule="linear", num_heads=4, channels=3)
    return {
        "n_epoch": 2950,
        "unet_model_state_dict": copy.deepcopy(networks[0].state_dict()),
        "seg_model_state_dict": copy.deepcopy(networks[1].state_dict()),
        "args": arguments,
    }


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any], Path]:
    def write(content: Any) -> Path:
        torch.save(content, tmp_path / "params-best.pt")
        return tmp_path / "params-best.pt"

    return write


def test_the_run_computes_what_the_checkpoint_did(
    networks: tuple[UNet, SegmentationNet],
    checkpoint: Checkpoint,
    save: Callable[[Any], Path],
    tmp_path: Path,
) -> None:
    import_checkpoint(save(checkpoint), tmp_path / "bottle")
    run = load_run(tmp_path / "bottle")
    image, t = torch.rand(1, 3, 64, 64), torch.tensor([200])
    with torch.inference_mode():
        noise = networks[0](image, t)
        assert torch.equal(run.inspector.model.unet(image, t), noise)
        pair = torch.cat((image, noise), dim=1)
        assert torch.equal(run.inspector.model.segmentation(pair), networks[1](pair))


def test_the_run_says_where_it_came_from(
    checkpoint: Checkpoint, save: Callable[[Any], Path], tmp_path: Path
) -> None:
    path = save(checkpoint)
    import_checkpoint(path, tmp_path / "bottle")
    settings = load_run(tmp_path / "bottle").settings
    assert (settings.product, settings.input_size) == ("bottle", (64, 64))
    assert settings.unet == {"base": 32, "multipliers": [1, 2], "attention_levels": [1]}
    assert settings.training == {
        "imported_from": "params-best.pt",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "epoch": 2950,
    }


def without(key: str, tensor: str | None = None) -> Callable[[Checkpoint], object]:
    return lambda checkpoint: (checkpoint if tensor is None else checkpoint[key]).pop(tensor or key)


def tensor_set(key: str, name: str, value: torch.Tensor) -> Callable[[Checkpoint], object]:
    return lambda checkpoint: checkpoint[key].update({name: value})


UNET, SEGMENTATION = "unet_model_state_dict", "seg_model_state_dict"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without(UNET), "no weights under unet_model_state_dict"),
        (without(SEGMENTATION), "no weights under seg_model_state_dict"),
        (without(UNET, "down.0.0.weight"), "no tensor down.0.0.weight"),
        (without(UNET, "middle.1.norm.bias"), "lacks 1 tensors, among them middle.1.norm.bias"),
        (
            tensor_set(SEGMENTATION, "encoder_segment.block7.0.bias", torch.zeros(8)),
            "has 1 unknown tensors, among them encoder_segment.block7.0.bias",
        ),
        (
            tensor_set(UNET, "out.2.bias", torch.zeros(6)),
            r"out.2.bias has shape \(6,\), expected \(3,\)",
        ),
        (tensor_set(UNET, "out.2.bias", torch.full((3,), torch.nan)), "out.2.bias is not finite"),
        (lambda checkpoint: checkpoint["args"].update(num_heads=8), "num_heads = 8; only 4"),
        (
            lambda checkpoint: checkpoint["args"].update(eval_normal_t=100),
            "eval_normal_t = 100; only 200",
        ),
        (
            lambda checkpoint: checkpoint["args"].update(condition_w=0.5),
            "condition_w = 0.5; only 1",
        ),
        (lambda checkpoint: checkpoint["args"].update(T=500), "T = 500; only 1000"),
        (lambda checkpoint: checkpoint["args"].update(img_size=256), "img_size = 256"),
        (lambda checkpoint: checkpoint["args"].update(img_size=[250, 250]), "multiples of 32"),
    ],
)
def test_other_checkpoints_are_refused(
    spoil: Callable[[Checkpoint], object],
    message: str,
    checkpoint: Checkpoint,
    save: Callable[[Any], Path],
    tmp_path: Path,
) -> None:
    spoil(checkpoint)
    with pytest.raises(InputError, match=message):
        import_checkpoint(save(checkpoint), tmp_path / "bottle")
    assert not (tmp_path / "bottle").exists()


def test_a_run_that_is_there_is_not_written_over(
    checkpoint: Checkpoint, save: Callable[[Any], Path], tmp_path: Path
) -> None:
    """An afternoon's weights would be gone, and the frames beside the new ones be of the old."""
    out, path = tmp_path / "bottle", save(checkpoint)
    import_checkpoint(path, out)
    before = (out / WEIGHTS).read_bytes()
    with pytest.raises(InputError, match="bottle already holds a run: give another --out"):
        import_checkpoint(save(checkpoint | {"n_epoch": 1}), out)
    assert (out / WEIGHTS).read_bytes() == before
    assert load_run(out).settings.training["epoch"] == 2950


def test_a_list_is_no_checkpoint(save: Callable[[Any], Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no dictionary"):
        import_checkpoint(save([1, 2]), tmp_path / "bottle")


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", pickle.dumps({"n_epoch": 1})])
def test_files_that_torch_did_not_write_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "params-best.pt"
    path.write_bytes(data)
    with pytest.raises(InputError, match="params-best.pt is not a checkpoint"):
        import_checkpoint(path, tmp_path / "bottle")


def test_a_truncated_checkpoint_is_refused(
    checkpoint: Checkpoint, save: Callable[[Any], Path], tmp_path: Path
) -> None:
    path = save(checkpoint)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="params-best.pt is damaged"):
        import_checkpoint(path, tmp_path / "bottle")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read .*gone.pt: No such file"):
        import_checkpoint(tmp_path / "gone.pt", tmp_path / "bottle")


class Touch:
    """Pickles as a call that leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_not_run(
    checkpoint: Checkpoint, save: Callable[[Any], Path], tmp_path: Path
) -> None:
    path = save(checkpoint | {"args": Touch(tmp_path / "ran")})
    with pytest.raises(InputError, match="could run code and is not loaded"):
        import_checkpoint(path, tmp_path / "bottle")
    assert not (tmp_path / "ran").exists()
