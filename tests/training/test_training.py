"""A training from a folder to a run: small, real, and the same again from the same seed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import Tensor

from training import session, trainer
from training.commands import train
from training.errors import InputError
from training.presets import PRESETS
from training.run import IGNORE_MASK, METRICS, SETTINGS, WEIGHTS, load_frames, load_run
from training.state import STATE, load_state, save_state

STEPS = 4


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen brushed plates."""
    folder = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(0)
    for index in range(16):
        grain = cv2.GaussianBlur(rng.normal(128, 40, (96, 96)).astype(np.float32), (1, 15), 0)
        cv2.imwrite(str(folder / f"{index:02d}.png"), np.clip(grain, 0, 255).astype(np.uint8))
    return folder


def order(parts: Path, out: Path, *more: str) -> list[str]:
    return [str(parts), "--out", str(out), "--preset", "edge-s", "--size", "64", *more]


def run_train(parts: Path, out: Path, *more: str) -> None:
    result = CliRunner().invoke(train, order(parts, out, *more), catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def trained(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "plate"
    run_train(parts, out, "--steps", str(STEPS))
    return out


def test_a_run_scores_frames_and_says_where_it_came_from(trained: Path) -> None:
    run = load_run(trained)
    frame = np.full((1, 64, 64, 3), 128, np.uint8)
    with torch.inference_mode():
        logits, score, picture = run.inspector(torch.from_numpy(frame))
    assert logits.shape == (1, 64, 64)
    assert picture.shape == (1, 64, 64, 3) and picture.dtype == torch.uint8
    assert torch.isfinite(score).all()
    assert run.settings.training["steps_done"] == STEPS
    assert len(run.settings.data_digest) == 64
    assert run.settings.training["machine"]["cores"] >= 1
    assert 0 <= run.settings.training["waiting_share"] <= 1


def test_grey_parts_have_a_model_of_one_colour_and_coloured_ones_of_three(
    trained: Path, parts: Path, tmp_path: Path
) -> None:
    assert load_run(trained).settings.colours == 1
    coloured = tmp_path / "coloured"
    coloured.mkdir()
    for path in parts.iterdir():
        image = cv2.imread(str(path))
        image[..., 0] //= 2
        cv2.imwrite(str(coloured / path.name), image)
    run_train(coloured, tmp_path / "run", "--steps", "1")
    run = load_run(tmp_path / "run")
    assert run.settings.colours == 3
    with torch.inference_mode():
        _, _, picture = run.inspector(torch.from_numpy(cv2.imread(str(path))[None, :64, :64]))
    assert picture.shape == (1, 64, 64, 3)


def test_the_threshold_gets_images_that_training_never_saw(trained: Path, parts: Path) -> None:
    kept = (trained / "calibration.txt").read_text().split()
    assert kept and all(Path(path).parent == parts for path in kept)
    counts = load_run(trained).settings.training["normals"]
    assert sum(counts.values()) == 16 and counts["calibration"] == len(kept)


def test_frames_for_quantisation_travel_with_the_run(trained: Path) -> None:
    frames, anomalous = load_frames(trained / "frames.npz")
    assert frames.shape[1:] == (64, 64, 3)
    assert anomalous.any() and not anomalous.all()


def test_pictures_of_the_training_lie_in_the_run(trained: Path) -> None:
    for name in ("losses.png", "samples.png"):
        picture = cv2.imread(str(trained / name))
        assert picture is not None and picture.std() > 5


def test_one_seed_gives_one_model(trained: Path, parts: Path, tmp_path: Path) -> None:
    run_train(parts, tmp_path / "again", "--steps", str(STEPS))
    first = load_file(trained / "weights.safetensors")
    second = load_file(tmp_path / "again" / "weights.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_another(trained: Path, parts: Path, tmp_path: Path) -> None:
    run_train(parts, tmp_path / "other", "--steps", str(STEPS), "--seed", "1")
    first = load_file(trained / "weights.safetensors")
    second = load_file(tmp_path / "other" / "weights.safetensors")
    assert not all(torch.equal(first[name], second[name]) for name in first)


def test_the_reconstruction_stays_as_it_is_once_its_share_of_the_budget_is_over(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights, averaged, and its statistics; the segmentation network learns to the end."""
    seen: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    train_step = trainer.Trainer._train_step

    def watched(self: trainer.Trainer, *arguments: Any) -> dict[str, Tensor]:
        terms = train_step(self, *arguments)
        seen.append((_copy(self.model.unet), _copy(self.model.segmentation)))
        return terms

    monkeypatch.setattr(trainer.Trainer, "_train_step", watched)
    run_train(parts, tmp_path / "run", "--steps", "10", "--batch-size", "4")
    share = PRESETS["edge-s"].painting_share
    for step in range(1, 10):
        (unet_before, seg_before), (unet, seg) = seen[step - 1], seen[step]
        # The first step without it still puts the average in the place of the last weights.
        assert _same(unet_before, unet) == (step / 10 > share)
        assert not _same(seg_before, seg)
    left = load_file(tmp_path / "run" / WEIGHTS)
    assert _same({name: left[f"unet.{name}"] for name in seen[-1][0]}, seen[-1][0])


def _copy(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_run_resumes_to_itself(trained: Path, parts: Path) -> None:
    before = load_file(trained / "weights.safetensors")
    run_train(parts, trained, "--steps", str(STEPS), "--resume")
    after = load_file(trained / "weights.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_begun_with_other_networks_is_not_resumed(
    trained: Path, parts: Path, tmp_path: Path
) -> None:
    """An update between the evening and the morning: what is there stays, and one line says why."""
    out = tmp_path / "old"
    shutil.copytree(trained, out)
    tensors, counters = load_state(out) or ({}, {})
    save_state(out, {k: v for k, v in tensors.items() if ".lines." not in k}, counters)
    before = (out / STATE).read_bytes()
    with pytest.raises(InputError, match="other networks"):
        run_train(parts, out, "--steps", str(STEPS), "--resume")
    assert (out / STATE).read_bytes() == before


def test_a_resume_without_a_budget_keeps_to_the_one_that_the_run_was_begun_with(
    trained: Path, parts: Path
) -> None:
    """Four steps became a schedule of 45 minutes."""
    run_train(parts, trained, "--resume")
    training = load_run(trained).settings.training
    assert (training["steps"], training["seconds"], training["steps_done"]) == (STEPS, None, STEPS)


def test_a_run_begun_by_another_recipe_is_not_resumed(
    trained: Path, parts: Path, tmp_path: Path
) -> None:
    """A version before trained the reconstruction to the end; half of either would be neither."""
    out = tmp_path / "old"
    shutil.copytree(trained, out)
    settings = json.loads((out / SETTINGS).read_text())
    del settings["training"]["painting_share"]
    (out / SETTINGS).write_text(json.dumps(settings))
    with pytest.raises(InputError, match="begun with another recipe"):
        run_train(parts, out, "--steps", str(STEPS), "--resume")


def test_a_resume_of_nothing_is_refused(parts: Path, tmp_path: Path) -> None:
    """A mistyped --out trained from the beginning, and said nothing."""
    with pytest.raises(InputError, match="mistpyed holds no run to go on with"):
        run_train(parts, tmp_path / "mistpyed", "--resume")
    assert not (tmp_path / "mistpyed").exists()


def test_a_batch_that_cannot_be_shared_takes_no_folder(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is repeated with another --batch-size, as the message says."""
    monkeypatch.setattr(session, "check_shares", _refused)
    with pytest.raises(InputError, match="another --batch-size"):
        run_train(parts, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def _refused(size: int, group: object) -> None:
    raise InputError("give another --batch-size")


def test_a_resume_with_other_textures_is_refused(
    trained: Path, parts: Path, tmp_path: Path
) -> None:
    """The batches would be others from there on, and the run would not say so."""
    with pytest.raises(InputError, match="begun with other textures"):
        run_train(parts, trained, "--resume", "--textures", str(parts))
    out = tmp_path / "textured"
    run_train(parts, out, "--steps", "1", "--textures", str(parts))
    with pytest.raises(InputError, match="begun with other textures"):
        run_train(parts, out, "--resume")
    run_train(parts, out, "--resume", "--textures", str(parts))


def test_a_mistyped_folder_of_textures_takes_no_folder(parts: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--textures .*txtures is no folder"):
        run_train(parts, tmp_path / "run", "--textures", str(tmp_path / "txtures"))
    assert not (tmp_path / "run").exists()


def test_a_training_killed_before_its_first_save_records_each_step_once(
    trained: Path, parts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    shutil.copytree(trained, out)
    (out / STATE).unlink()
    (out / WEIGHTS).unlink()
    run_train(parts, out, "--resume")
    entries = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    assert [entry["step"] for entry in entries if "losses" in entry] == [1]


def test_a_resume_takes_the_ignore_mask_that_lies_in_the_run(parts: Path, tmp_path: Path) -> None:
    mask, out = np.zeros((96, 96), np.uint8), tmp_path / "masked"
    mask[:20] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    run_train(parts, out, "--steps", "1", "--ignore-mask", str(tmp_path / "mask.png"))
    run_train(parts, out, "--resume", "--ignore-mask", str(out / IGNORE_MASK))
    assert (out / IGNORE_MASK).read_bytes() == (tmp_path / "mask.png").read_bytes()


def test_the_clock_ends_a_time_budget(parts: Path, tmp_path: Path) -> None:
    run_train(parts, tmp_path / "short", "--time-budget", "2s")
    saved = load_state(tmp_path / "short")
    assert saved is not None
    assert saved[1]["elapsed_s"] >= 2 and saved[1]["step"] > 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        pytest.param(("--steps", "2"), "already holds a run", id="a folder that is taken"),
        pytest.param(("--resume", "--steps", "2", "--seed", "9"), "--seed 0", id="another seed"),
        pytest.param(
            ("--resume", "--steps", "2", "--batch-size", "4"),
            "with --batch-size",
            id="another batch",
        ),
        pytest.param(("--resume", "--steps", "9"), "begun with --steps 4, not", id="more steps"),
        pytest.param(
            ("--resume", "--time-budget", "2m"),
            "begun with --steps 4, not --time-budget 120s",
            id="a time in place of steps",
        ),
        pytest.param(("--time-budget", "soon"), "45m", id="a budget that is no time"),
        pytest.param(("--steps", "2", "--time-budget", "9s"), "not both", id="two budgets"),
        pytest.param(("--device", "abacus", "--resume"), "abacus", id="no such device"),
        pytest.param(("--size", "100"), "multiple of 32", id="a size that cannot be halved"),
    ],
)
def test_wrong_orders_are_refused(
    trained: Path, parts: Path, more: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(train, order(parts, trained, *more), catch_exceptions=False)


def test_a_training_that_diverges_says_so(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the check, hours later the run would hold weights of NaN."""
    wild = replace(PRESETS["edge-s"], learning_rate=(1e30, 1e30))
    monkeypatch.setitem(PRESETS, "edge-s", wild)
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    with pytest.raises(InputError, match="training diverged at step .* look at them"):
        run_train(parts, tmp_path / "wild", "--steps", "5")
    assert not (tmp_path / "wild" / "weights.safetensors").exists()


def test_flat_images_are_refused(tmp_path: Path) -> None:
    for index in range(10):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((64, 64, 3), 90, np.uint8))
    with pytest.raises(InputError, match="one colour"):
        CliRunner().invoke(train, order(tmp_path, tmp_path / "run"), catch_exceptions=False)
