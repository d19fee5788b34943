"""A killed training ends as if nothing had happened; two processes train what one would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.training.benchmark.trees import part, save
from training.run import METRICS, WEIGHTS, read_settings

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("exact.py")
STEPS = 6
TIMINGS = ("elapsed_s", "waiting")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    for index in range(16):
        save(folder / f"{index:02}.png", part(index)[0])
    return folder


def start(parts: Path, out: Path, *more: str, launcher: tuple[str, ...] = ()) -> int:
    """Train in a process of its own; returns its exit status."""
    command = [sys.executable, *launcher, str(SCRIPT)]
    if more[:1] == ("--die-at",):
        command, more = [*command, *more[:3]], more[3:]
    command += ["train", str(parts), "--out", str(out), "--preset", "edge-s", "--size", "64"]
    command += ["--steps", str(STEPS), "--device", "cpu", *more]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode not in (0, -signal.SIGKILL):
        print(done.stderr)
    return done.returncode


@pytest.fixture(scope="module")
def whole(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nobody disturbed."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert start(parts, out) == 0
    return out


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / WEIGHTS)


def metrics(run: Path) -> list[dict[str, object]]:
    """What was recorded, apart from the clock's share in it."""
    entries = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    return [{k: v for k, v in entry.items() if k not in TIMINGS} for entry in entries]


def losses(entries: list[dict[str, object]]) -> list[object]:
    """The terms of each step's loss."""
    return [entry["losses"] for entry in entries if "losses" in entry]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("saved", "killed"), [(2, 4), (4, 5)])
def test_a_killed_training_resumes_to_the_same_bits(
    parts: Path, whole: Path, tmp_path: Path, saved: int, killed: int
) -> None:
    """From before the reconstruction network has learnt its share of the budget, and after it."""
    out = tmp_path / "killed"
    assert start(parts, out, "--die-at", str(killed), str(saved)) == -signal.SIGKILL
    assert not (out / WEIGHTS).exists()
    # Beyond what was saved: to be forgotten and made again.
    assert metrics(out)[-1]["step"] == killed
    assert start(parts, out, "--resume") == 0
    assert metrics(out) == metrics(whole)
    before, after = weights(whole), weights(out)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.timeout(900)
def test_two_processes_train_what_one_would(parts: Path, whole: Path, tmp_path: Path) -> None:
    """The whole loss: BatchNorm over both batches, Dice image by image, means of equal shares."""
    out = tmp_path / "shared"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert start(parts, out, launcher=launcher) == 0
    assert read_settings(out).training["processes"] == 2
    alone, together = metrics(whole), metrics(out)
    assert [entry["step"] for entry in alone] == [entry["step"] for entry in together]
    for index, tolerance in enumerate((2e-5, 1e-3, 5e-2)):
        # The first step has the weights of one process; from the second on, Adam makes the last
        # bits of a gradient near 0 count as much as the first ones of any other.
        assert losses(together)[index] == pytest.approx(losses(alone)[index], rel=tolerance)
    chosen = [read_settings(run).training["selection"]["pixel_ap"] for run in (whole, out)]
    assert chosen[1] == pytest.approx(chosen[0], abs=0.02)
