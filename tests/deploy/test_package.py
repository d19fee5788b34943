"""From a trained run to a bundle that agrees with it, on every runtime that is installed."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

import training.errors
from agent.bundle import open_bundle
from agent.engine import PRECISIONS, RUNTIMES, EngineFault, load_engine
from agent.errors import InputError
from deploy import package
from deploy.commands import evaluate, export
from deploy.graph import export_graph, line_module
from deploy.parity import Said
from tests.deploy.plates import SIDE, plate, write_plates
from tests.tiny import write_tiny_bundle, write_tiny_record
from training.commands import train
from training.model import DiffusionAD, FixedNoise
from training.run import Run, load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained for long enough that a spot scores above a good plate."""
    folder = tmp_path_factory.mktemp("runs")
    data = write_plates(folder / "plates")
    options = ["--preset", "edge-s", "--size", str(SIDE), "--steps", "240", "--product", "plate"]
    result = CliRunner().invoke(train, [str(data), "--out", str(folder / "plate"), *options])
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
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate must bite: a model with a tenth of the ranges that it needs clips what it sees."""
    measure = package.measure_scales

    def too_small(model: bytes, frames: np.ndarray) -> dict[str, float]:
        return {group: scale / 10 for group, scale in measure(model, frames).items()}

    monkeypatch.setattr(package, "measure_scales", too_small)
    frames, anomalous = np.load(run.folder / "frames.npz").values()
    out = tmp_path / "plate.nlb"
    with pytest.raises(InputError, match=r"int8 .*(tolerance|demanded)"):
        package.build_bundle(run, frames, anomalous, out, lambda line: None)
    assert not list(tmp_path.iterdir())


def test_a_precision_without_an_answer_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a frame, not in the self-test: a traceback in place of the precision's name."""

    def overflow(*arguments: object) -> None:
        raise EngineFault("the score or the map is not finite (score nan)")

    monkeypatch.setattr(package, "ask_engine", overflow)
    frames, answers = np.zeros((1, 64, 64, 3), np.uint8), Said(np.zeros(1), np.zeros((1, 64, 64)))
    exact = package.Exact(frames, np.zeros(1, bool), answers)
    with pytest.raises(InputError, match=r"the fp32 model on .* no usable answer .*not finite"):
        package.gate(write_tiny_bundle(tmp_path / "tiny.nlb"), exact, exact)


def test_weights_that_are_no_numbers_are_refused(run: Run, tmp_path: Path) -> None:
    damaged = replace(run, inspector=deepcopy(run.inspector))
    with torch.no_grad():
        damaged.inspector.model.segmentation.head.weight[0, 0] = torch.nan
    frames, anomalous = np.load(run.folder / "frames.npz").values()
    with pytest.raises(InputError, match="not finite.*train again"):
        package.build_bundle(damaged, frames, anomalous, tmp_path / "x.nlb", lambda line: None)
    assert not list(tmp_path.iterdir())


def test_an_official_network_exports_too() -> None:
    torch.manual_seed(0)
    model = DiffusionAD("official", {"base": 32}, {"base": 4}, "noise")
    inspector = FixedNoise(model, (SIDE, SIDE), seed=0).eval()
    frame = plate(np.random.default_rng(7))[None]
    session = onnxruntime.InferenceSession(
        export_graph(line_module(inspector, (SIDE, SIDE)), (SIDE, SIDE), "fp32"),
        providers=["CPUExecutionProvider"],
    )
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


def test_evaluation_reports_every_engine(bundle: Path, tmp_path: Path) -> None:
    data, report = write_plates(tmp_path / "plates"), tmp_path / "report.json"
    result = CliRunner().invoke(
        evaluate, [str(bundle), str(data), "--json", str(report)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert all(name in result.output for name in (*RUNTIMES, *PRECISIONS, "AUPRO", "spot"))
    assert report.is_file()


def record_of_onnxruntime(bundle: Path, path: Path, threshold: float) -> Path:
    opened = open_bundle(bundle)
    engine = load_engine(opened, runtime="onnxruntime", precision="fp32")
    engine.close()
    return write_tiny_record(path, opened, engine.fingerprint, threshold)


def test_a_calibrated_engine_is_judged_at_its_threshold(bundle: Path, tmp_path: Path) -> None:
    data = write_plates(tmp_path / "plates")
    normal = record_of_onnxruntime(bundle, tmp_path / "normal.json", threshold=1e6)
    strict = record_of_onnxruntime(bundle, tmp_path / "strict.json", threshold=-1e6)
    options = [str(bundle), str(data), "--runtime", "onnxruntime", "--precision", "fp32"]

    def rates(record: Path) -> tuple[float, float]:
        report = tmp_path / "report.json"
        arguments = [*options, "--calibration", str(record), "--json", str(report)]
        result = CliRunner().invoke(evaluate, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        (row,) = json.loads(report.read_text())
        return row["false_rejects"], row["detected"]

    assert rates(normal) == (0.0, 0.0)
    assert rates(strict) == (1.0, 1.0)


def test_a_calibration_of_an_engine_that_is_not_evaluated_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    data = write_plates(tmp_path / "plates")
    record = record_of_onnxruntime(bundle, tmp_path / "record.json", threshold=0.0)
    options = ["--runtime", "openvino", "--precision", "fp32", "--calibration", str(record)]
    with pytest.raises(InputError, match=r"onnxruntime .* is not evaluated here"):
        CliRunner().invoke(evaluate, [str(bundle), str(data), *options], catch_exceptions=False)


def test_a_kind_that_is_not_there_cannot_be_set_apart(bundle: Path, tmp_path: Path) -> None:
    data = write_plates(tmp_path / "plates")
    with pytest.raises(InputError, match="rust"):
        CliRunner().invoke(
            evaluate, [str(bundle), str(data), "--apart", "rust"], catch_exceptions=False
        )
