"""OpenVINO calculates in the format that was asked for, not in one that the CPU happens to have."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from types import SimpleNamespace

import openvino as ov
import pytest

from agent.demo.kit import Kit
from agent.engine import openvino as openvino_module
from agent.engine import unsigned
from agent.engine.devices import is_among
from agent.engine.openvino import compile_options, inference_precision, load, version
from agent.errors import InputError
from tests.tiny import tiny_graph


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        ("CPU", "fp32", "f32"),
        ("CPU", "fp16", "f32"),
        ("CPU", "int8", "f32"),
        ("GPU", "fp32", "f32"),
        ("GPU.1", "fp16", "f16"),
        ("GPU", "int8", "f16"),
        ("NPU", "int8", "f16"),
    ],
)
def test_the_calculation_format_is_pinned(device: str, precision: str, expected: str) -> None:
    assert inference_precision(device, precision) == expected


def test_an_npu_does_not_run_fp32_in_fewer_bits() -> None:
    with pytest.raises(InputError, match="NPU does not calculate in fp32"):
        inference_precision("NPU", "fp32")


def test_threads_are_the_cpus_alone() -> None:
    assert compile_options("CPU", "int8", 6)["INFERENCE_NUM_THREADS"] == 6
    assert "INFERENCE_NUM_THREADS" not in compile_options("GPU", "int8", 6)


def test_the_compiled_model_has_taken_the_options() -> None:
    core = ov.Core()
    model = core.read_model(tiny_graph((32, 32), "int8"))
    compiled = core.compile_model(model, "CPU", compile_options("CPU", "int8", 1))
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == ov.Type.f32
    assert compiled.get_property("NUM_STREAMS") == 1
    assert compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") == 1


def test_the_version_is_the_release_number_alone() -> None:
    assert ov.get_version().startswith(version())
    assert set(version()) <= set("0123456789.")


def test_the_fingerprint_names_the_device() -> None:
    graph = tiny_graph((32, 32), "fp32")
    engine = load(graph, (32, 32), device="CPU", precision="fp32", streams=1)
    assert str(engine.fingerprint) == f"openvino {version()} on CPU, fp32"
    engine.close()


@pytest.mark.parametrize(
    ("device", "there", "expected"),
    [
        ("GPU.0", ["CPU", "GPU"], True),
        ("GPU", ["CPU", "GPU.0", "GPU.1"], True),
        ("GPU.1", ["CPU", "GPU"], False),
        ("CPU.0", ["CPU", "GPU"], False),
        ("GPU.0", ["CPU"], False),
    ],
)
def test_the_first_gpu_has_both_names(device: str, there: list[str], expected: bool) -> None:
    """A station file with GPU.0 was refused once the second was taken out."""
    assert is_among(device, there) == expected


@pytest.mark.parametrize(("device", "scale"), [("CPU", 1.0), ("GPU", unsigned._FINER)])
def test_only_a_cpu_is_given_the_scales_that_its_processor_allows(
    device: str, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's record names all levels, on whatever host: they were its host's."""
    monkeypatch.setattr(unsigned, "cpu_flags", lambda: frozenset({"avx2"}))
    read: list[bytes] = []

    def read_model(model: bytes) -> None:
        read.append(model)
        raise RuntimeError("seen enough")

    core = SimpleNamespace(available_devices=["CPU", "GPU"], read_model=read_model)
    monkeypatch.setattr(openvino_module, "core", lambda: core)
    named = unsigned.UNSIGNED_SCALE.encode() + b"\x4a\x04"
    model = unsigned._INT8 + named + struct.pack("<f", 1.0)
    with pytest.raises(InputError, match="seen enough"):
        load(model, (32, 32), device=device, precision="int8", streams=1)
    assert read == [unsigned._UINT8 + named + struct.pack("<f", scale)]


FEW_LEVELS = """
import sys
from pathlib import Path
from agent.bundle import open_bundle
from agent.engine import load_engine, self_test, unsigned
unsigned.cpu_flags = lambda: frozenset({"avx2"})
bundle = open_bundle(Path(sys.argv[1]))
self_test(load_engine(bundle, runtime="openvino"), bundle)
"""


def test_int8_holds_on_a_processor_that_adds_products_of_bytes_in_16_bits() -> None:
    """Signed codes overflowed there: every golden frame of the demo's bundle scored as a defect."""
    command = [sys.executable, "-c", FEW_LEVELS, str(Kit().bundle)]
    old = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(command, env=old, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
