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

from agent.cli import main
from tests.training.exact import WITH_A_SECOND_PROCESS
from tests.training.small import STEPS, order, run_train
from training import batches, commands, session, trainer
from training.batches import BatchMaker
from training.commands import train
from training.errors import InputError
from training.presets import PRESETS
from training.run import WEIGHTS, load_frames, load_run
from training.state import load_state

pytestmark = pytest.mark.usefixtures("no_second_process")


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


def test_a_run_is_written_before_its_result_is_told(
    trained: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What then went wrong with the telling cost the weights; and a kill had left half a file."""
    out = Path(shutil.copytree(trained, tmp_path / "run"))
    (out / WEIGHTS).unlink()
    (out / ".tmpa1B2c3").write_bytes(bytes(9))
    written: list[bool] = []

    def say(line: str) -> None:
        if "image AUROC" in line:
            written.append((out / WEIGHTS).is_file())

    monkeypatch.setattr(commands, "say", say)
    run_train(parts, out, "--resume")
    assert written == [True]
    assert not (out / ".tmpa1B2c3").exists()


def test_an_interrupted_training_says_how_to_go_on(
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer.Trainer, "_train_step", interrupted)
    with pytest.raises(SystemExit) as end:
        main(["train", *order(parts, tmp_path / "run", "--steps", "1")])
    assert end.value.code == 130
    said = f"\ninterrupted; the same command with --resume goes on with {tmp_path / 'run'}\n"
    assert said in capsys.readouterr().err


def test_a_training_interrupted_before_it_began_has_nothing_to_go_on_with(
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "gather", interrupted)
    with pytest.raises(SystemExit):
        main(["train", *order(parts, tmp_path / "run", "--steps", "1")])
    assert "--resume" not in capsys.readouterr().err


def test_some_images_are_set_aside_for_the_threshold(trained: Path, parts: Path) -> None:
    kept = (trained / "calibration.txt").read_text().split()
    assert kept and all(Path(path).parent == parts for path in kept)
    counts = load_run(trained).settings.training["normals"]
    assert sum(counts.values()) == 16 and counts["calibration"] == len(kept)


def test_the_run_says_at_which_step_its_weights_were_taken(trained: Path) -> None:
    entries = map(json.loads, (trained / "metrics.jsonl").read_text().splitlines())
    scores = {entry["step"]: entry["selection"] for entry in entries if "selection" in entry}
    chosen = load_run(trained).settings.training["selection"]
    assert scores[chosen.pop("step")] == chosen


def test_frames_for_quantisation_travel_with_the_run(trained: Path) -> None:
    frames, anomalous = load_frames(trained / "frames.npz")
    assert frames.shape[1:] == (64, 64, 3)
    assert anomalous.any() and not anomalous.all()


def test_pictures_of_the_training_lie_in_the_run(trained: Path) -> None:
    for name in ("losses.png", "samples.png"):
        picture = cv2.imread(str(trained / name))
        assert picture is not None and picture.std() > 5


def test_one_seed_gives_one_model_whatever_the_images_set_aside_show(
    trained: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cannot even be read; and another process makes the batches, as outside of tests."""
    monkeypatch.setattr(BatchMaker, "stream", WITH_A_SECOND_PROCESS)
    copied = Path(shutil.copytree(parts, tmp_path / "parts"))
    for path in (trained / "calibration.txt").read_text().split():
        (copied / Path(path).name).write_text(f"no image {path}")
    run_train(copied, tmp_path / "again", "--steps", str(STEPS))
    first = load_file(trained / "weights.safetensors")
    second = load_file(tmp_path / "again" / "weights.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_batch_that_does_not_come_ends_the_training_by_name(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was waited for, for ever."""
    monkeypatch.setattr(BatchMaker, "stream", WITH_A_SECOND_PROCESS)
    # Before a process can have begun.
    monkeypatch.setattr(batches, "LOST_S", 0.001)
    with pytest.raises(InputError, match="timed out .* memory may be full; go on with --resume"):
        run_train(parts, tmp_path / "run", "--steps", "1")


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


def test_a_batch_that_the_device_cannot_hold_is_refused_in_one_line(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer.Trainer, "_train_step", too_much)
    with pytest.raises(InputError, match="a batch of 8 .* smaller --batch-size and another --out"):
        run_train(parts, tmp_path / "run", "--batch-size", "8")


def test_flat_images_are_refused(tmp_path: Path) -> None:
    for index in range(10):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((64, 64, 3), 90 + index, np.uint8))
    with pytest.raises(InputError, match="one colour"):
        CliRunner().invoke(train, order(tmp_path, tmp_path / "run"), catch_exceptions=False)
