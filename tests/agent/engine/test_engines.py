"""Every runtime gives the golden answer, the same one each time, or says why it cannot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from agent.bundle import Bundle, open_bundle
from agent.engine import (
    PRECISIONS,
    RUNTIMES,
    Engine,
    EngineFault,
    installed_runtimes,
    load,
    load_engine,
    self_test,
    unsigned,
)
from agent.engine import cache as cache_module
from agent.engine import onnxruntime as onnxruntime_module
from agent.engine import openvino as openvino_module
from agent.engine.onnxruntime import OnnxRuntimeEngine
from agent.errors import InputError
from agent.pixels import PIXELS
from tests.tiny import tiny_frames, tiny_graph, write_tiny_bundle

SIZE = (64, 64)
# How far the runtimes may differ on one model: the order of their sums, and in INT8 and FP16 a
# rounding that falls to the other side here and there. In logits, on maps of about -4 to 4.
ACROSS_RUNTIMES = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.02}
MODULES = pytest.mark.parametrize("module", [openvino_module, onnxruntime_module])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.nlb", SIZE)


@pytest.fixture(scope="module")
def bundle(path: Path) -> Bundle:
    return open_bundle(path)


@pytest.fixture(scope="module", params=[(r, p) for r in RUNTIMES for p in PRECISIONS], ids="-".join)
def engine(bundle: Bundle, request: pytest.FixtureRequest) -> Iterator[Engine]:
    runtime, precision = request.param
    engine = load_engine(bundle, runtime=runtime, precision=precision)
    yield engine
    engine.close()


def test_the_golden_answer_is_given(engine: Engine, bundle: Bundle) -> None:
    found = self_test(engine, bundle)
    precision = engine.fingerprint.precision
    assert found.score <= bundle.manifest.tolerances[precision].score
    if precision != "fp32":
        assert found.map > 0, "this is the fp32 model, not a quantised one"


def test_it_says_by_what_view_its_scores_are(engine: Engine) -> None:
    """A limit holds for the pixels that the model was shown, which OpenCV has a part in."""
    major, minor = cv2.__version__.split(".")[:2]
    assert engine.fingerprint.view == f"{PIXELS} with OpenCV {major}.{minor}"


def test_the_inspection_follows_the_graph_contract(engine: Engine) -> None:
    inspection = engine.infer(tiny_frames(1, SIZE)[0])
    assert engine.input_size == SIZE
    assert isinstance(inspection.score, float)
    assert inspection.anomaly_map.shape == SIZE
    assert inspection.anomaly_map.dtype == np.float32
    assert inspection.reconstruction.shape == (*SIZE, 3)
    assert inspection.reconstruction.dtype == np.uint8
    largest = np.sort(inspection.anomaly_map.ravel())[-50:]
    assert inspection.score == pytest.approx(largest.mean(), abs=1e-5)


def test_a_defect_raises_the_score(engine: Engine) -> None:
    scores = [engine.infer(frame).score for frame in tiny_frames(20, SIZE, seed=3)]
    assert max(scores[0::2]) < min(scores[1::2])


def test_a_frame_scores_the_same_whatever_came_before(engine: Engine) -> None:
    frames = tiny_frames(6, SIZE, seed=1)
    first = [engine.infer(frame) for frame in frames]
    again = [engine.infer(frame) for frame in frames[::-1]][::-1]
    for before, after in zip(first, again, strict=True):
        assert before.score == after.score
        np.testing.assert_array_equal(before.anomaly_map, after.anomaly_map)
        np.testing.assert_array_equal(before.reconstruction, after.reconstruction)


def test_an_inspection_is_not_overwritten_by_the_next(engine: Engine) -> None:
    good, bad = tiny_frames(2, SIZE)
    inspection = engine.infer(good)
    kept = inspection.anomaly_map.copy(), inspection.reconstruction.copy()
    engine.infer(bad)
    np.testing.assert_array_equal(inspection.anomaly_map, kept[0])
    np.testing.assert_array_equal(inspection.reconstruction, kept[1])


def test_a_frame_reaches_a_device_that_copies_what_is_bound_to_it(bundle: Bundle) -> None:
    """As a GPU does: bound once, every frame would be answered as the first."""
    engine = load_engine(bundle, runtime="onnxruntime", precision="fp32")
    assert isinstance(engine, OnnxRuntimeEngine)
    good, bad = tiny_frames(2, SIZE)
    here = [engine.infer(frame).score for frame in (good, bad)]
    binding = engine._binding

    class Device:
        def bind_ortvalue_input(self, name: str, value: ort.OrtValue) -> None:
            self.copy = ort.OrtValue.ortvalue_from_numpy(value.numpy().copy())
            binding.bind_ortvalue_input(name, self.copy)

        def __getattr__(self, name: str) -> object:
            return getattr(binding, name)

    engine._binding = Device()  # type: ignore[assignment]
    session = engine._session
    engine._session = SimpleNamespace(  # type: ignore[assignment]
        run_with_iobinding=lambda _: session.run_with_iobinding(binding)
    )
    assert [engine.infer(frame).score for frame in (good, bad)] == here
    engine.close()


CLOSED_IN_ORDER = """
import os, signal, sys
from pathlib import Path
from agent.bundle import open_bundle
from agent.engine import load_engine
bundle = open_bundle(Path(sys.argv[1]))
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
engines = [load_engine(bundle, runtime=sys.argv[2], precision="fp32") for _ in range(2)]
for engine in engines:
    engine.close()
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_process_hears_signals_in_whatever_order_its_engines_end(
    path: Path, runtime: str
) -> None:
    """OpenVINO left the thread a signal stack that was gone: killed, and nobody said why."""
    command = [sys.executable, "-X", "faulthandler", "-c", CLOSED_IN_ORDER, str(path), runtime]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_scores_of_a_processor_with_fewer_levels_are_told_apart(
    bundle: Bundle, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its INT8 scores are others, and a threshold from a better one was taken for good."""
    monkeypatch.setattr(unsigned, "cpu_flags", lambda: frozenset({"avx2"}))
    few = [load_engine(bundle, runtime=runtime, precision=each) for each in ("fp32", "int8")]
    assert [engine.fingerprint.levels for engine in few] == [255, 127]
    assert "with 127 levels" in str(few[1].fingerprint)
    for engine in few:
        engine.close()


def test_onnx_runtime_adds_in_32_bits_where_sums_could_overflow(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It multiplies signed codes as bytes about 128: with signed weights they overflowed."""
    option = "session.x64quantprecision"
    monkeypatch.setattr(unsigned, "cpu_flags", lambda: frozenset({"avx2"}))
    engine = load_engine(bundle, runtime="onnxruntime", precision="int8")
    assert isinstance(engine, OnnxRuntimeEngine)
    assert engine._session.get_session_options().get_session_config_entry(option) == "1"
    engine.close()
    monkeypatch.setattr(unsigned, "cpu_flags", lambda: frozenset({"avx2", "avx_vnni"}))
    engine = load_engine(bundle, runtime="onnxruntime", precision="int8")
    assert isinstance(engine, OnnxRuntimeEngine)
    with pytest.raises(RuntimeError, match=option):  # not set: it costs time
        engine._session.get_session_options().get_session_config_entry(option)
    engine.close()


def test_a_disk_without_room_for_what_was_compiled_stops_no_start(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(folder: Path) -> None:
        raise InputError(f"cannot write {folder}: no space left on device")

    monkeypatch.setattr(cache_module, "seal_cache", full)
    engine = load_engine(bundle, runtime="openvino", precision="fp32")
    self_test(engine, bundle)
    assert "the next start compiles anew" in caplog.text
    engine.close()


ANSWERS = """
import hashlib, sys
from pathlib import Path
from agent.bundle import open_bundle
from agent.engine import RUNTIMES, load_engine
bundle = open_bundle(Path(sys.argv[1]))
for runtime in RUNTIMES:
    for precision in ("fp32", "int8"):
        engine = load_engine(bundle, runtime=runtime, precision=precision)
        digest = hashlib.sha256()
        for frame in bundle.golden().frames:
            inspection = engine.infer(frame)
            digest.update(inspection.score.hex().encode())
            digest.update(inspection.anomaly_map.tobytes() + inspection.reconstruction.tobytes())
        engine.close()
        print(runtime, precision, digest.hexdigest())
"""


def test_a_restart_changes_no_bit(path: Path) -> None:
    command = [sys.executable, "-c", ANSWERS, str(path)]
    before, after = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert before == after and len(before.splitlines()) == 4


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_runtimes_agree_within_the_stated_tolerance(bundle: Bundle, precision: str) -> None:
    engines = [load_engine(bundle, runtime=runtime, precision=precision) for runtime in RUNTIMES]
    for frame in tiny_frames(8, SIZE, seed=2):
        one, other = (engine.infer(frame) for engine in engines)
        assert one.score == pytest.approx(other.score, abs=ACROSS_RUNTIMES[precision])
        assert np.abs(one.anomaly_map - other.anomaly_map).mean() <= ACROSS_RUNTIMES[precision]
    for engine in engines:
        engine.close()


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((32, 64, 3), np.uint8),
        np.zeros((64, 64), np.uint8),
        np.zeros((1, 64, 64, 3), np.uint8),
        np.zeros((64, 64, 3), np.float32),
    ],
    ids=["size", "grey", "batch", "float"],
)
def test_another_kind_of_frame_is_refused(bundle: Bundle, frame: np.ndarray) -> None:
    engine = load_engine(bundle, runtime="onnxruntime", precision="fp32")
    with pytest.raises(InputError, match=r"takes uint8 \[64, 64, 3\]"):
        engine.infer(frame)
    engine.close()


@MODULES
def test_a_score_that_is_not_finite_is_a_fault(module: ModuleType) -> None:
    model = tiny_graph(SIZE, "fp32", gain=float("inf"))
    engine = module.load(model, SIZE, device="CPU", precision="fp32", streams=1)
    with pytest.raises(EngineFault, match="not finite"):
        engine.infer(tiny_frames(2, SIZE)[1])
    engine.close()


@MODULES
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (b"not an onnx file", "cannot load the fp32 model"),
        (tiny_graph((32, 32), "fp32"), r"expected .*64, 64"),
        (
            tiny_graph(SIZE, "fp32").replace(b"ReduceMean", b"ReduceMode"),
            "(?s)cannot load.*ReduceMode",
        ),
    ],
    ids=["damaged", "another size", "an operator that the runtime lacks"],
)
def test_a_model_that_is_not_ours_is_refused(
    module: ModuleType, model: bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        module.load(model, SIZE, device="CPU", precision="fp32", streams=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "tensorflow"}, "no runtime tensorflow: choose one of openvino, onnxruntime"),
        ({"runtime": "openvino", "precision": "int4"}, "no precision int4: choose one of fp32"),
        ({"runtime": "openvino", "device": "GPU.7"}, r"no device GPU.7 here \(found: .*CPU"),
        ({"runtime": "openvino", "device": "AUTO"}, "no device AUTO here"),
        ({"runtime": "openvino", "device": "HETERO:GPU,CPU"}, "no device HETERO"),
        ({"runtime": "onnxruntime", "device": "GPU"}, "no device GPU here .*choose one of"),
    ],
)
def test_an_unknown_name_says_what_there_is(
    bundle: Bundle, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_engine(bundle, **options)


@pytest.mark.parametrize(("runtime", "other"), [RUNTIMES, RUNTIMES[::-1]])
def test_a_runtime_that_is_not_installed_says_what_to_install(
    bundle: Bundle, runtime: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None in sys.modules is how Python marks a module that cannot be imported.
    monkeypatch.setitem(sys.modules, f"agent.engine.{runtime}", None)
    said = f"{runtime} is not .*found: {other}.*name {other} as the runtime.*install {runtime}"
    with pytest.raises(InputError, match=said):
        load_engine(bundle, runtime=runtime)


def test_what_is_installed_is_found_without_loading_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed_runtimes() == list(RUNTIMES)
    monkeypatch.setattr(load, "find_spec", lambda name: None if name == "openvino" else object())
    assert installed_runtimes() == ["onnxruntime"]


@pytest.mark.parametrize("device", ["CUDA", "TensorRT"])
def test_a_gpu_without_its_support_says_what_to_install(
    bundle: Bundle, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "agent.engine.onnxruntime.ort.get_available_providers", lambda: ["CPUExecutionProvider"]
    )
    with pytest.raises(InputError, match=f"no device {device} here .*onnxruntime-gpu"):
        load_engine(bundle, runtime="onnxruntime", device=device)


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize(
    ("device", "provider"),
    [("CUDA", "CUDAExecutionProvider"), ("TensorRT", "TensorrtExecutionProvider")],
)
def test_a_gpu_that_does_not_work_is_never_replaced_by_the_cpu(
    bundle: Bundle,
    device: str,
    provider: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import onnxruntime as ort

    if provider in ort.get_available_providers():
        pytest.skip(f"{device} may work here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "agent.engine.onnxruntime.ort.get_available_providers",
        lambda: [provider, "CPUExecutionProvider"],
    )
    with pytest.raises(InputError, match=device):
        load_engine(bundle, runtime="onnxruntime", device=device)
