"""A run is gone on with as it was begun, and a folder is taken only for what can be done."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.small import STEPS, run_train
from training import session
from training.claim import same_recipe
from training.distributed import Group
from training.errors import InputError
from training.run import IGNORE_MASK, METRICS, SETTINGS, WEIGHTS, load_run, read_settings
from training.selection import SelectionScore
from training.state import STATE, load_state, save_state
from training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("no_second_process")


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
    settings["training"]["batch_size"] *= 2
    (out / SETTINGS).write_text(json.dumps(settings))
    with pytest.raises(InputError, match="begun with another recipe"):
        run_train(parts, out, "--steps", str(STEPS), "--resume")


def test_a_run_begun_on_pictures_that_were_shrunk_otherwise_is_not_resumed(
    trained: Path, parts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "old"
    shutil.copytree(trained, out)
    settings = json.loads((out / SETTINGS).read_text())
    del settings["pixels"]
    (out / SETTINGS).write_text(json.dumps(settings))
    with pytest.raises(InputError, match="cannot be resumed: go on with the normline that began"):
        run_train(parts, out, "--steps", str(STEPS), "--resume")


def test_a_run_that_does_not_tell_of_painting_painted_to_the_end(trained: Path) -> None:
    """As the preset `paper` still does: its older runs were refused as of another recipe."""
    settings = read_settings(trained)
    untold = {k: v for k, v in settings.training.items() if k != "painting_share"}
    run = settings.model_copy(update={"training": untold})
    assert same_recipe(run, {**settings.training, "painting_share": 1.0})
    assert not same_recipe(run, settings.training)


def test_a_resume_of_nothing_is_refused(parts: Path, tmp_path: Path) -> None:
    """A mistyped --out trained from the beginning, and said nothing."""
    with pytest.raises(InputError, match="mistpyed holds no run to go on with"):
        run_train(parts, tmp_path / "mistpyed", "--resume")
    assert not (tmp_path / "mistpyed").exists()


def test_a_batch_that_cannot_be_shared_is_refused_before_a_picture_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight images for four processes, six with anomalies: told after minutes of reading."""
    monkeypatch.setattr(session, "training_group", lambda: nullcontext(Group(size=4)))
    for index in range(8):
        (tmp_path / f"{index}.png").write_text("no image")
    with pytest.raises(InputError, match="8 images, 6 of .* 4 processes: give --batch-size 16"):
        run_train(tmp_path, tmp_path / "run", "--batch-size", "8")
    assert not (tmp_path / "run").exists()


class _Apart(Group):
    def alike(self, value: float) -> bool:
        return False


def test_machines_with_other_images_take_no_folder(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "training_group", lambda: nullcontext(_Apart()))
    with pytest.raises(InputError, match="train on different images"):
        run_train(parts, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_only_the_leader_writes_a_run_that_is_gone_on_with(
    trained: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process had the best score from the saved state, and all wrote the run at once."""
    out = tmp_path / "killed"
    shutil.copytree(trained, out)
    (out / WEIGHTS).unlink()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setattr(session, "training_group", lambda: nullcontext(Group(rank=1)))
    run_train(parts, out, "--resume")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


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


def test_a_run_that_is_being_trained_is_not_gone_on_with_by_another(
    trained: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--resume of a training thought dead: both wrote its state, in turns."""
    out = tmp_path / "held"
    shutil.copytree(trained, out)
    train = Trainer.train
    refused: list[str] = []

    def train_beside_another(self: Trainer) -> SelectionScore | None:
        if not refused:
            with pytest.raises(InputError) as error:
                run_train(parts, out, "--resume")
            refused.append(str(error.value))
        return train(self)

    monkeypatch.setattr(Trainer, "train", train_beside_another)
    run_train(parts, out, "--resume")
    assert refused == [
        f"another training is at work in {out}: wait for it or end it, or give another --out"
    ]
    run_train(parts, out, "--resume")
