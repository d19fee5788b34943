"""A bench times everyone in the same rounds and says what it measured."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from click.testing import CliRunner

from agent.bundle import Bundle, open_bundle
from agent.engine import PRECISIONS, RUNTIMES, Engine, load_engine
from deploy.bench import accuracy, cameras, command, family, measure, rounds
from deploy.bench.cameras import measure_cameras
from deploy.bench.command import _named, bench
from deploy.bench.measure import EFFICIENTAD, OFFICIAL, PEAK, openvino_call, rows
from deploy.bench.references import (
    ConvChain,
    EfficientAdS,
    _export,
    _int8,
    example_input,
    graph_gflop,
)
from deploy.bench.rounds import Contestant, run_rounds
from tests.deploy.plates import SIDE, write_plates
from tests.tiny import write_tiny_bundle


def contestant(name: str, p50_ms: float, gflop: float = 1.0) -> Contestant:
    return Contestant(name, "openvino", "int8", gflop, lambda: None, [p50_ms] * 3)


def test_the_turns_are_interleaved_with_a_rest_for_the_threads_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "MOST_CALLS", 1)
    monkeypatch.setattr(rounds, "WARM_S", 0.0)
    order: list[str | float] = []
    monkeypatch.setattr(rounds.time, "sleep", order.append)
    both = [
        Contestant(name, "r", "int8", 1.0, lambda name=name: order.append(name)) for name in "ab"
    ]
    run_rounds(both, 3, lambda turns: turns)
    assert order[2 * rounds.WARM_UP :] == [rounds.REST_S, "a", "a", rounds.REST_S, "b", "b"] * 3
    assert all(len(each.milliseconds) == 3 for each in both)


def test_a_turn_begins_with_calls_that_are_not_timed() -> None:
    calls: list[int] = []
    one = Contestant("a", "r", "int8", 1.0, lambda: calls.append(1))
    run_rounds([one], 1, lambda turns: turns)
    assert len(one.milliseconds) == rounds.MOST_CALLS
    assert len(calls) > rounds.WARM_UP + 1 + rounds.MOST_CALLS


@pytest.mark.parametrize(("slow_s", "untimed"), [(60.0, 1), (0.0, 0)])
def test_what_takes_a_whole_turn_a_call_is_not_timed_cold_either(
    slow_s: float, untimed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those beside which a turn is short were called before: the ratios flattered them."""
    monkeypatch.setattr(rounds, "TURN_S", 0.0)
    monkeypatch.setattr(rounds, "WARM_UP", 1)
    monkeypatch.setattr(rounds, "WARM_S", 0.0)
    monkeypatch.setattr(rounds, "SLOW_S", slow_s)
    calls: list[int] = []
    one = Contestant("a", "r", "int8", 1.0, lambda: calls.append(1))
    run_rounds([one], 1, lambda turns: turns)
    assert len(one.milliseconds) == 1
    assert len(calls) == rounds.WARM_UP + untimed + 1


def test_shares_and_ratios_are_of_the_same_rounds() -> None:
    found = rows(
        [
            contestant("tile", 10.0, 8.0),
            contestant(PEAK, 20.0, 20.0),
            contestant(EFFICIENTAD, 100.0, 93.0),
            contestant(OFFICIAL, 9000.0, 1202.0),
        ],
        {("tile", "openvino", "int8"): 0.97},
    )
    assert found[0].gop_s == pytest.approx(800.0)
    assert found[0].share == pytest.approx(0.8)
    assert found[0].faster_than == {EFFICIENTAD: 10.0, OFFICIAL: 900.0}
    assert (found[0].image_auroc, found[1].image_auroc) == (0.97, None)
    assert found[1].faster_than == {}


def test_a_frame_of_another_size_is_no_faster_or_slower_for_it() -> None:
    """A model of a quarter of the pixels was said to be four times as fast as it is."""
    small = replace(contestant("tile", 2.0), input_size=(128, 128))
    (row, *_) = rows([small, contestant(EFFICIENTAD, 100.0), contestant(OFFICIAL, 9000.0)], {})
    assert row.faster_than == {}


def test_efficientad_has_the_papers_size() -> None:
    """8 million parameters, a map for every pixel."""
    model = EfficientAdS().eval()
    assert sum(p.numel() for p in model.parameters()) == 8_057_856
    with torch.inference_mode():
        anomaly_map, score = model(torch.zeros(1, 256, 256, 3, dtype=torch.uint8))
    assert anomaly_map.shape == (1, 1, 256, 256) and score.shape == (1,)


def test_a_reference_runs_in_int8_as_an_engine_does() -> None:
    graph = _int8(_export(ConvChain().eval(), torch.zeros(1, 256, 32, 32)))
    assert graph_gflop(graph) == pytest.approx(16 * 2 * 256 * 256 * 9 * 32 * 32 / 1e9)
    assert graph.count(b"QuantizeLinear") == 16
    assert example_input(graph).shape == (1, 256, 32, 32)
    openvino_call(graph)()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_cameras_on_one_engine_are_counted_together(tmp_path: Path, runtime: str) -> None:
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    found = measure_cameras(bundle, runtime, "int8", "CPU", 4, 2, 0.3)
    assert (found.cameras, found.streams) == (4, 2)
    assert found.frames_per_s > 0 and found.p99_ms >= found.p50_ms > 0


def test_ctrl_c_ends_the_cameras_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They waited for ever for the beginning: "interrupted", and the process stayed."""
    made: list[threading.Barrier] = []

    class Interrupted(threading.Barrier):
        def __init__(self, parties: int) -> None:
            super().__init__(parties)
            made.append(self)

        def wait(self, timeout: float | None = None) -> int:
            if threading.current_thread() is threading.main_thread():
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(threading, "Barrier", Interrupted)
    before = set(threading.enumerate())
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    try:
        with pytest.raises(KeyboardInterrupt):
            measure_cameras(bundle, RUNTIMES[0], "int8", "CPU", 2, 1, 60.0)
        assert set(threading.enumerate()) <= before
    finally:
        for begin in made:
            begin.abort()


def test_the_command_times_every_engine_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "CAMERA_SECONDS", 0.05)
    bundle = write_tiny_bundle(tmp_path / "tiny.nlb")
    data = write_plates(tmp_path / "plates", train=8)
    report, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    options = ["--rounds", "2", "--no-references", "--data", str(data)]
    options += ["--json", str(report), "--picture", str(picture)]
    result = CliRunner().invoke(bench, [str(bundle), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(report.read_text())
    engines = {(row["runtime"], row["precision"]) for row in found["rows"]}
    assert engines == {(runtime, precision) for runtime in RUNTIMES for precision in PRECISIONS}
    assert all(0 <= row["image_auroc"] <= 1 and row["p50_ms"] > 0 for row in found["rows"])
    assert {each["cameras"] for each in found["cameras"]} == {1, 2, 4}
    assert {each["device"] for each in (*found["rows"], *found["cameras"])} == {"CPU"}
    assert cv2.imread(str(picture)) is not None


def test_another_device_is_timed_without_the_references_of_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows said nothing of a device, and all were of the CPU."""
    asked: set[str] = set()

    def on_cpu(bundle: Bundle, *, device: str, **more: Any) -> Engine:
        asked.add(device)
        return load_engine(bundle, **more)

    for module in (measure, cameras, accuracy):
        monkeypatch.setattr(module, "load_engine", on_cpu)
    monkeypatch.setattr(command, "CAMERA_SECONDS", 0.05)
    bundle, report = write_tiny_bundle(tmp_path / "tiny.nlb", (SIDE, SIDE)), tmp_path / "bench.json"
    data = write_plates(tmp_path / "plates", train=8)
    options = ["--device", "GPU", "--rounds", "1", "--data", str(data), "--json", str(report)]
    result = CliRunner().invoke(bench, [str(bundle), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert asked == {"GPU"} and "the reference graphs are a CPU's: left out" in result.output
    found = json.loads(report.read_text())
    assert {each["device"] for each in (*found["rows"], *found["cameras"])} == {"GPU"}
    assert {row["name"] for row in found["rows"]} == {"tiny"}


def test_a_family_on_another_device_is_refused() -> None:
    result = CliRunner().invoke(bench, ["--family", "--device", "GPU"])
    assert result.exit_code == 2 and "leave --device out" in result.output


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/tile.nlb", "runs/plate.nlb"], ["tile", "plate"]),
        (["old/tile.nlb", "new/tile.nlb"], ["old/tile", "new/tile"]),
        (["a/tile/tile.nlb", "b/tile/tile.nlb"], ["a/tile/tile", "b/tile/tile"]),
        (["tile.nlb", "./tile.nlb"], ["tile"]),
        (["/x/tile.nlb", "/x/tile.old"], ["/x/tile.nlb", "/x/tile.old"]),
    ],
)
def test_bundles_of_one_name_are_all_timed(paths: list[str], names: list[str]) -> None:
    """Two that shared a name were one row, and nothing said which."""
    assert list(_named([Path(path) for path in paths])) == names


def test_a_picture_without_accuracy_is_refused(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny.nlb")
    result = CliRunner().invoke(bench, [str(bundle), "--picture", str(tmp_path / "x.png")])
    assert result.exit_code == 2 and "--data" in result.output


def test_results_that_cannot_be_written_are_refused_before_the_bench(tmp_path: Path) -> None:
    """An unknown format was found out after an hour, and a bundle was lost to its figures."""
    bundle = write_tiny_bundle(tmp_path / "tiny.nlb")
    asked = [str(bundle), "--data", str(tmp_path)]
    result = CliRunner().invoke(bench, [*asked, "--picture", str(tmp_path / "x.webp")])
    assert result.exit_code == 2 and "must end in .png or .svg or .pdf" in result.output
    result = CliRunner().invoke(bench, [*asked, "--json", str(bundle)])
    assert "tiny.nlb: it is read here" in str(result.exception)
    both = ["--json", str(tmp_path / "x.svg"), "--picture", str(tmp_path / "x.svg")]
    result = CliRunner().invoke(bench, [*asked, *both])
    assert "x.svg: another result is written there" in str(result.exception)


def test_the_family_is_timed_before_anybody_trains_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family, "MEMBERS", ("edge-s",))
    monkeypatch.setattr(family, "SIDES", (64, 128))
    monkeypatch.setattr(family, "COLOURS", {"grey": True})
    report = tmp_path / "family.json"
    options = ["--family", "--rounds", "1", "--no-references", "--json", str(report)]
    result = CliRunner().invoke(bench, options, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "edge-s grey: 0.78 million parameters" in result.output
    found = {(row["name"], row["runtime"]): row for row in json.loads(report.read_text())["rows"]}
    assert set(found) == {
        (f"edge-s grey {s}x{s}", runtime) for s in (64, 128) for runtime in RUNTIMES
    }
    small, large = (found[f"edge-s grey {side}x{side}", "openvino"] for side in (64, 128))
    assert large["gflop"] == pytest.approx(4 * small["gflop"], rel=0.01)


def test_a_bench_of_nothing_is_refused() -> None:
    result = CliRunner().invoke(bench, [])
    assert result.exit_code == 2 and "give a bundle, or --family" in result.output


def test_the_accuracy_of_random_weights_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(bench, ["--family", "--data", str(tmp_path)])
    assert result.exit_code == 2 and "--data needs a bundle" in result.output
