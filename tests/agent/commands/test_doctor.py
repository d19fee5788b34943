"""`normline doctor` finds what is wrong before the line does."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from agent import doctor
from agent.bundle import open_bundle, write_bundle
from agent.cli import main
from agent.engine import EngineFault, Inspection, devices, load_engine, nvidia
from agent.engine.onnxruntime import OnnxRuntimeEngine
from agent.latency import Latency
from tests.tiny import tiny_graph, write_tiny_bundle


@pytest.fixture(autouse=True)
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timing has tests of its own; here it would only take time."""
    monkeypatch.setattr(
        doctor, "measure_latency", lambda engine, view, frames: Latency(1.25, 2.5, len(frames))
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.nlb")


@pytest.fixture
def strayed(bundle: Path, tmp_path: Path) -> Path:
    """A bundle whose INT8 model is of another kind than its golden values."""
    opened = open_bundle(bundle)
    models = {f"model.{p}.onnx": opened.model(p) for p in opened.precisions}
    models["model.int8.onnx"] = tiny_graph((64, 64), "int8", gain=60)
    fields = opened.manifest.model_dump(exclude={"schema_version", "members"})
    write_bundle(tmp_path / "s.nlb", fields, models | {"golden.npz": opened.golden().to_bytes()})
    return tmp_path / "s.nlb"


def run(*arguments: str | Path) -> int:
    """Run the command; returns its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", *map(str, arguments)])
    return int(stopped.value.code or 0)


def test_a_good_bundle_is_healthy_on_every_engine(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True
    assert set(report["runtimes"]) == {"openvino", "onnxruntime"}
    on_cpu = [check for check in report["engines"] if check["device"] == "CPU"]
    assert len(on_cpu) == 6
    assert {check["status"] for check in on_cpu} == {"ok"}
    assert on_cpu[0]["latency"] == {"p50_ms": 1.25, "p99_ms": 2.5, "samples": 4}


def test_a_person_reads_the_same(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bundle) == 0
    text = capsys.readouterr().out
    assert "p50 1.25 ms, p99 2.50 ms over 4 parts" in text
    assert text.splitlines()[-1] == "healthy"


def test_what_a_bundle_of_an_earlier_version_lacks_is_told(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It works, and nobody knew that its station took no notice of a camera set to grey."""
    assert run(bundle) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("bundle ")]
    assert len(said) == 2 and "shrunk otherwise" in said[0] and "CAMERA_FAULT" in said[1]


def test_a_model_that_strays_is_not_healthy(
    strayed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(strayed, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is False
    statuses = {check["precision"]: check["status"] for check in report["engines"]}
    assert statuses == {"fp32": "ok", "fp16": "ok", "int8": "failed"}
    assert all(c["deviation"]["score"] > 1 for c in report["engines"] if c["status"] == "failed")


def test_an_engine_that_faults_is_not_healthy(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(engine: object, golden: object) -> None:
        raise EngineFault("the device went away")

    monkeypatch.setattr(doctor, "deviation", fault)
    check = doctor.check_engine(open_bundle(bundle), "onnxruntime", "CPU", "int8")
    assert (check.status, check.reason) == ("failed", "the device went away")


def test_an_engine_that_does_not_load_says_why(bundle: Path) -> None:
    check = doctor.check_engine(open_bundle(bundle), "openvino", "GPU.7", "int8")
    assert check.status == "unavailable"
    assert check.reason is not None
    assert "no device GPU.7" in check.reason


def test_a_device_that_does_not_load_leaves_the_others_healthy(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from agent.engine import openvino

    monkeypatch.setattr(openvino, "devices", lambda: ["CPU", "GPU.7"])
    assert run(bundle) == 0
    assert "unavailable" in capsys.readouterr().out


def test_an_engine_that_was_asked_for_has_to_work(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a Jetson whose TensorRT engines all failed, the CPU's made the machine healthy."""
    asked = (bundle, "--runtime", "onnxruntime", "--precision", "fp32")
    assert run(*asked, "--device", "CPU") == 0
    assert capsys.readouterr().out.count("onnxruntime  CPU") == 1
    assert run(*asked, "--device", "TensorRT") == 1
    assert "has no device TensorRT here" in capsys.readouterr().out


def test_an_accelerator_that_no_runtime_uses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a Jetson with the CPU build of ONNX Runtime nothing was missing."""
    board = tmp_path / "model"
    board.write_text("NVIDIA Jetson Orin Nano\0")
    monkeypatch.setattr(nvidia, "JETSON", board)
    assert run() == 0
    assert re.search("CUDA +missing: the machine has one, and .*gpu", capsys.readouterr().out)
    vendor = tmp_path / "renderD128/device/vendor"
    vendor.parent.mkdir(parents=True)
    vendor.write_text("0x8086\n")
    monkeypatch.setattr(devices, "RENDERERS", tmp_path)
    assert devices.unused({"CPU"}).keys() == {"CUDA", "GPU"}
    assert devices.unused({"CPU", "GPU.0", "CUDA", "TensorRT"}) == {}


def test_a_model_that_cannot_bear_a_white_picture_is_not_healthy(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The station refused it, and doctor had said that all was well."""
    real = OnnxRuntimeEngine.infer

    def overflows(self: OnnxRuntimeEngine, frame: np.ndarray) -> Inspection:
        if frame.min() == 255:
            raise EngineFault("the score is not finite")
        return real(self, frame)

    monkeypatch.setattr(OnnxRuntimeEngine, "infer", overflows)
    check = doctor.check_engine(open_bundle(bundle), "onnxruntime", "CPU", "fp16")
    assert check.status == "failed"


def test_no_engine_at_all_is_not_healthy(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.engine import onnxruntime, openvino

    monkeypatch.setattr(openvino, "devices", lambda: ["GPU.7"])
    monkeypatch.setattr(onnxruntime, "devices", list)
    assert run(bundle) == 1


def test_a_runtime_that_is_missing_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # None in sys.modules is how Python marks a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "agent.engine.openvino", None)
    assert run() == 0
    assert "pip install openvino" in capsys.readouterr().out


def test_no_runtime_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openvino", "onnxruntime"):
        monkeypatch.setitem(sys.modules, f"agent.engine.{name}", None)
    assert run() == 1


def test_a_file_that_is_no_bundle_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.nlb"
    path.write_text("text")
    assert run(path) == 2
    assert "not a normline bundle" in capsys.readouterr().err


def test_the_engine_is_closed_after_its_check(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_bundle(bundle)
    engine = load_engine(opened, runtime="onnxruntime")
    closed: list[bool] = []
    monkeypatch.setattr(engine, "close", lambda: closed.append(True))
    monkeypatch.setattr(doctor, "load_engine", lambda *a, **k: engine)
    doctor.check_engine(opened, "onnxruntime", "CPU", "int8")
    assert closed == [True]
