"""From a trained run to a bundle that agrees with it, on every runtime that is installed."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from torch import nn

import training.errors
from agent.bundle import Bundle, open_bundle
from agent.engine import (
    PRECISIONS,
    RUNTIMES,
    Engine,
    EngineFault,
    installed_runtimes,
    load_engine,
)
from agent.errors import InputError
from deploy import package
from deploy.commands import evaluate, export
from deploy.graph import export_graph, line_module
from deploy.parity import Said
from deploy.quantise import measure_scales, quantise
from deploy.tensorrt import check_rules
from tests.deploy.networks import random_frames
from tests.deploy.plates import SIDE, plate, write_plates
from tests.tiny import write_tiny_bundle, write_tiny_record
from training.budget import Budget
from training.commands import train
from training.model import DiffusionAD, FixedNoise
from training.run import Run, load_run

pytestmark = pytest.mark.usefixtures("no_second_process")


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plates(tmp_path_factory.mktemp("data") / "plates")


@pytest.fixture(scope="module")
def run(plates: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained for long enough that a spot scores above a good plate."""
    folder = tmp_path_factory.mktemp("runs")
    options = ["--preset", "edge-s", "--size", str(SIDE), "--steps", "240", "--product", "plate"]
    result = CliRunner().invoke(train, [str(plates), "--out", str(folder / "plate"), *options])
    assert result.exit_code == 0, result.output
    return load_run(folder / "plate")


@pytest.fixture(scope="module")
def bundle(run: Run) -> Path:
    out = run.folder.parent / "plate.nlb"
    result = CliRunner().invoke(export, [str(run.folder), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture
def frame() -> NDArray[np.uint8]:
    return plate(np.random.default_rng(7))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-3), ("fp16", 1e-2), ("int8", 0.2)]
)
def test_an_exported_model_says_what_the_trained_one_says(
    run: Run,
    bundle: Path,
    frame: NDArray[np.uint8],
    runtime: str,
    precision: str,
    tolerance: float,
) -> None:
    with torch.inference_mode():
        logits, score, picture = run.inspector(torch.from_numpy(frame[None]))
    engine = load_engine(open_bundle(bundle), runtime=runtime, precision=precision)
    found = engine.infer(frame)
    assert found.score == pytest.approx(float(score), abs=tolerance)
    assert np.abs(found.anomaly_map - logits[0].numpy()).mean() < tolerance
    difference = found.reconstruction.astype(int) - picture[0].numpy()
    assert np.abs(difference).max() <= (1 if precision != "int8" else 40)


def test_the_int8_model_holds_int8_weights(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert len(opened.model("int8")) < 0.5 * len(opened.model("fp32"))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_path_of_the_exporting_machine_is_left_in_a_model(bundle: Path, precision: str) -> None:
    model = open_bundle(bundle).model(precision)
    assert b"/training/" not in model and b"site-packages" not in model


def test_a_precision_that_strays_is_refused_and_nothing_is_written(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate must bite: a model with a tenth of the ranges that it needs clips what it sees."""
    exported, measure = open_bundle(bundle), package.measure_scales
    monkeypatch.setattr(package, "export_graph", lambda *given: exported.model(given[-1]))

    def too_small(model: bytes, frames: np.ndarray) -> dict[str, float]:
        return {group: scale / 10 for group, scale in measure(model, frames).items()}

    monkeypatch.setattr(package, "measure_scales", too_small)
    frames, anomalous = np.load(run.folder / "frames.npz").values()
    out = tmp_path / "plate.nlb"
    with pytest.raises(InputError, match=r"int8 .*(tolerance|demanded)"):
        package.build_bundle(run, frames, anomalous, out, lambda line: None)
    assert not list(tmp_path.iterdir())


def test_only_what_the_gate_has_passed_ever_has_a_name(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed export left `plate.nlb.candidate`, whole and unjudged; two at once wrote it both."""
    exported, out = open_bundle(bundle), tmp_path / "plate.nlb"
    monkeypatch.setattr(package, "export_graph", lambda *given: exported.model(given[-1]))
    monkeypatch.setattr(package, "check_half", lambda *_: None)
    monkeypatch.setattr(package, "_int8", lambda _, exact, *more: (exported.model("int8"), exact))
    frames, anomalous = np.load(run.folder / "frames.npz").values()
    judged: list[str] = []

    def build(product: str) -> None:
        settings = run.settings.model_copy(update={"product": product})
        other = replace(run, settings=settings)
        package.build_bundle(other, frames, anomalous, out, lambda line: None)

    def gate(candidate: Bundle, *_: object) -> list[package.GateResult]:
        assert not list(tmp_path.iterdir())
        judged.append(candidate.manifest.product)
        if len(judged) == 1:
            build("second")
            out.unlink()
        return []

    monkeypatch.setattr(package, "gate", gate)
    build("first")
    assert judged == ["first", "second"]
    assert open_bundle(out).manifest.product == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["plate.nlb"]


def test_too_few_good_frames_to_tune_and_to_judge_by_are_refused(run: Run, tmp_path: Path) -> None:
    """Of one good frame, taken several times, the tuned model had seen all that judged it."""
    frames, anomalous = np.load(run.folder / "frames.npz").values()
    frames[~anomalous] = frames[~anomalous][0]
    with pytest.raises(InputError, match="there are 1 of at least 8.*or leave it out"):
        package.build_bundle(
            run, frames, anomalous, tmp_path / "p.nlb", lambda line: None, Budget(steps=1)
        )


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> package.Exact:
    """What a model says of three parts, bare and with an anomaly each; others it says 9 of."""
    said = Said(np.arange(6.0), np.zeros((6, 8, 8), np.float32))

    def others(_: object, frames: NDArray[np.uint8]) -> Said:
        return Said(np.full(len(frames), 9.0), np.zeros((len(frames), 8, 8), np.float32))

    monkeypatch.setattr(package, "ask_module", others)
    return package.Exact(random_frames(6), np.arange(6) >= 3, said)


def test_a_tuned_model_is_judged_by_frames_that_it_was_not_tuned_on(
    exact: package.Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those it was tuned on, INT8 gave every verdict of fp32, and of no others so many."""
    tuned_on: list[NDArray[np.uint8]] = []

    def tune(line: object, model: bytes, scales: object, frames: object, *_: object) -> object:
        tuned_on.extend(frames)  # type: ignore[arg-type]
        return line, scales

    monkeypatch.setattr(package, "finetune", tune)
    for name in ("export_graph", "measure_scales", "quantise"):
        monkeypatch.setattr(package, name, lambda *_: b"")
    options = (nn.Identity(), exact, (SIDE, SIDE))
    _, judged = package._int8(*options, Budget(steps=1), lambda line: None)
    # Of three parts the second, as it is and with its anomaly; the others were tuned on.
    assert len(tuned_on) == 4 and list(judged.trained.scores) == [1, 4]
    assert not any((one == other).all() for one in tuned_on for other in judged.frames)
    assert list(judged.anomalous) == [False, True]
    _, untuned = package._int8(*options, None, lambda line: None)
    assert untuned is exact and len(tuned_on) == 4


def test_equal_frames_are_in_one_half(exact: package.Exact) -> None:
    """Nine good frames, taken twice, were all in both: a tuned model was judged by what it knew."""
    frames = np.concatenate([random_frames(9)] * 2 + [random_frames(27)[9:]])
    said = Said(np.arange(36.0), np.zeros((36, 8, 8), np.float32))
    both = package.Exact(frames, np.arange(36) >= 18, said)
    halves = [both.every_second(first) for first in (0, 1)]
    assert not any((a == b).all() for a in halves[0].frames for b in halves[1].frames)
    assert [sum(~half.anomalous) for half in halves] == [10, 8]
    assert sum(len(half.frames) for half in halves) == 36


@pytest.mark.parametrize("count", [8, 9])
def test_a_part_and_its_anomaly_are_in_one_half(count: int) -> None:
    """Of an odd number, every part that judged a tuned model had been tuned on, bare or not."""
    parts = random_frames(count)
    pasted = parts.copy()
    pasted[:, :4, :4] = 255
    said = Said(np.arange(2.0 * count), np.zeros((2 * count, 8, 8), np.float32))
    both = package.Exact(np.concatenate((parts, pasted)), np.arange(2 * count) >= count, said)
    halves = [{f[4:].tobytes() for f in both.every_second(first).frames} for first in (0, 1)]
    assert [len(half) for half in halves] == [(count + 1) // 2, count // 2]
    assert not halves[0] & halves[1]


def test_more_frames_of_the_same_parts_stand_behind_those_that_were_asked_about(
    exact: package.Exact,
) -> None:
    more = exact.seen_again(nn.Identity())
    assert len(more.frames) == len(more.trained.maps) == 24
    assert list(more.trained.scores) == [*range(6), *[9] * 18]
    assert list(more.anomalous) == [False, False, False, True, True, True] * 4


def test_every_precision_is_compared_on_every_runtime_and_tested_as_the_station_will(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INT8 by more frames: of a few, one verdict that differs would be too many, or none be."""
    compared: list[tuple[str, str, int]] = []
    tested: list[tuple[str, str]] = []

    def ask(engine: Engine, frames: NDArray[np.uint8]) -> Said:
        found = engine.fingerprint
        compared.append((found.runtime, found.precision, len(frames)))
        return Said(np.zeros(len(frames)), np.zeros((len(frames), 64, 64), np.float32))

    def test(engine: Engine, _: Bundle) -> None:
        tested.append((engine.fingerprint.runtime, engine.fingerprint.precision))

    monkeypatch.setattr(package, "ask_engine", ask)
    monkeypatch.setattr(package, "self_test", test)
    frames = np.zeros((4, 64, 64, 3), np.uint8)
    said = Said(np.zeros(4), np.zeros((4, 64, 64), np.float32))
    more = package.Exact(frames, np.zeros(4, np.bool_), said)
    few = package.Exact(frames[:1], more.anomalous[:1], Said(said.scores[:1], said.maps[:1]))
    package.gate(open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb")), few, more)
    expected = [(runtime, each) for runtime in installed_runtimes() for each in PRECISIONS]
    assert tested == expected
    assert compared == [(*pair, 4 if pair[1] == "int8" else 1) for pair in expected]


def test_golden_frames_show_good_parts_and_defects(exact: package.Exact) -> None:
    """An engine that misses every defect would still say of good parts what it should."""
    said = Said(exact.trained.scores, np.zeros((6, SIDE, SIDE), np.float32))
    golden = package._golden(replace(exact, trained=said), 1.0)
    assert list(golden.scores) == [0, 1, 3, 4]


def test_a_precision_without_an_answer_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a frame, not in the self-test: a traceback in place of the precision's name."""

    def overflow(*arguments: object) -> None:
        raise EngineFault("the score or the map is not finite (score nan)")

    monkeypatch.setattr(package, "ask_engine", overflow)
    frames, answers = np.zeros((1, 64, 64, 3), np.uint8), Said(np.zeros(1), np.zeros((1, 64, 64)))
    one = package.Exact(frames, np.zeros(1, bool), answers)
    with pytest.raises(InputError, match=r"the fp32 model on .* no usable answer .*not finite"):
        package.gate(open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb")), one, one)


def test_weights_that_are_no_numbers_are_refused(run: Run, tmp_path: Path) -> None:
    damaged = replace(run, inspector=deepcopy(run.inspector))
    with torch.no_grad():
        damaged.inspector.model.segmentation.head.weight[0, 0] = torch.nan
    frames, anomalous = np.load(run.folder / "frames.npz").values()
    with pytest.raises(InputError, match="not finite.*train again"):
        package.build_bundle(damaged, frames, anomalous, tmp_path / "x.nlb", lambda line: None)
    assert not list(tmp_path.iterdir())


def test_an_official_network_exports_too() -> None:
    """It was refused for its pooling, and for bytes that were turned before they were numbers."""
    torch.manual_seed(0)
    unet = {"base": 32, "multipliers": (1, 1), "attention_levels": (1,)}
    model = DiffusionAD("official", unet, {"base": 4}, "noise")
    inspector = FixedNoise(model, (SIDE, SIDE), seed=0).eval()
    frame = plate(np.random.default_rng(7))[None]
    graph = export_graph(line_module(inspector), (SIDE, SIDE), "fp32")
    check_rules(graph, "fp32")
    check_rules(quantise(graph, measure_scales(graph, frame)), "int8")
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    exported = session.run(None, {"frame": frame})
    with torch.inference_mode():
        trained = inspector(torch.from_numpy(frame))
    for found, expected in zip(exported[:2], trained[:2], strict=True):
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def test_a_run_without_frames_asks_for_them(run: Run, tmp_path: Path) -> None:
    for name in ("settings.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((run.folder / name).read_bytes())
    with pytest.raises(training.errors.InputError, match="--frames"):
        CliRunner().invoke(
            export, [str(tmp_path), "--out", str(tmp_path / "x.nlb")], catch_exceptions=False
        )


def test_evaluation_reports_every_engine(bundle: Path, plates: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = CliRunner().invoke(
        evaluate, [str(bundle), str(plates), "--json", str(report)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    found = json.loads(report.read_text())["rows"]
    rows = {(row["runtime"], row["precision"]): row for row in found}
    assert set(rows) == set(product(RUNTIMES, PRECISIONS))
    for row in rows.values():
        assert row["image_auroc"] == row["auroc_by_kind"]["spot"] == 1.0
        assert row["aupro"] > 0.9 and row["agreement"] == 1.0


def record_of_onnxruntime(bundle: Path, path: Path, threshold: float) -> Path:
    opened = open_bundle(bundle)
    engine = load_engine(opened, runtime="onnxruntime", precision="fp32")
    engine.close()
    return write_tiny_record(path, opened, engine.fingerprint, threshold)


def test_a_calibrated_engine_is_judged_at_its_threshold(
    bundle: Path, plates: Path, tmp_path: Path
) -> None:
    normal = record_of_onnxruntime(bundle, tmp_path / "normal.json", threshold=1e6)
    strict = record_of_onnxruntime(bundle, tmp_path / "strict.json", threshold=-1e6)
    options = [str(bundle), str(plates), "--runtime", "onnxruntime", "--precision", "fp32"]

    def rates(record: Path) -> tuple[float, float]:
        report = tmp_path / "report.json"
        arguments = [*options, "--calibration", str(record), "--json", str(report)]
        result = CliRunner().invoke(evaluate, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        (row,) = json.loads(report.read_text())["rows"]
        return row["false_rejects"], row["detected"]

    assert rates(normal) == (0.0, 0.0)
    assert rates(strict) == (1.0, 1.0)


def test_a_calibration_of_an_engine_that_is_not_evaluated_is_refused(
    bundle: Path, plates: Path, tmp_path: Path
) -> None:
    record = record_of_onnxruntime(bundle, tmp_path / "record.json", threshold=0.0)
    options = ["--runtime", "openvino", "--precision", "fp32", "--calibration", str(record)]
    with pytest.raises(InputError, match=r"onnxruntime .* is not evaluated here"):
        CliRunner().invoke(evaluate, [str(bundle), str(plates), *options], catch_exceptions=False)


def test_a_kind_that_is_not_there_cannot_be_set_apart(bundle: Path, plates: Path) -> None:
    with pytest.raises(InputError, match="rust"):
        CliRunner().invoke(
            evaluate, [str(bundle), str(plates), "--apart", "rust"], catch_exceptions=False
        )
