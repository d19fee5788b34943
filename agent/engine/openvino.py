"""OpenVINO: Intel CPUs, GPUs and NPUs."""

from __future__ import annotations

import hashlib
import logging
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset15 as ops
from numpy.typing import NDArray

from agent.engine.base import (
    ALL_LEVELS,
    FEW_LEVELS,
    INPUT,
    Engine,
    EngineFault,
    Fingerprint,
    Tensors,
    check_graph,
)
from agent.engine.cache import EngineKey, cache_root, keep_sealed, prepare_cache
from agent.engine.cpu import cpu_flags, cpu_name, physical_cores
from agent.engine.devices import INSTALL, is_among
from agent.engine.unsigned import levels, unsigned_behind_relu
from agent.errors import InputError
from agent.pixels import VIEW

log = logging.getLogger(__name__)

# Of the convolution that `stir` does.
MOMENT_CHANNELS, MOMENT_SIDE = 32, 32


@cache
def core() -> ov.Core:
    """The one core of this process.

    A core gives the thread that first compiles with it a signal stack, and puts the one before back
    when it ends (2026.4). Of two that end in the order in which they began, the second puts back
    one that is gone: the next signal, such as Ctrl-C, then kills the process without a word.

    What is loaded from a cache is read, not mapped: a disk that hangs or fails later would stop a
    frame, or kill the process, and who writes to the file would change the scores.
    """
    made = ov.Core()
    made.set_property({"ENABLE_MMAP": False})
    return made


def version() -> str:
    """The runtime's release number, such as 2026.4.1."""
    found = re.match(r"[\d.]+\d", ov.get_version())
    return found.group() if found else ov.get_version()


def devices() -> list[str]:
    """The devices that OpenVINO can use here."""
    return list(core().available_devices)


def inference_precision(device: str, precision: str) -> str:
    """The number format of what is not INT8, pinned so that no driver chooses another.

    CPUs calculate in f32 whatever the file holds: left to itself, OpenVINO takes bf16 or f16 on
    the CPUs that have it, and the same bundle scores differently on two stations. GPUs and NPUs
    calculate the fp16 and INT8 models in f16, which is what they are fast at.

    Raises:
        InputError: an fp32 model on an NPU, which has no f32.
    """
    kind = device.partition(".")[0]
    if kind == "NPU" and precision == "fp32":
        raise InputError("an NPU does not calculate in fp32: choose the precision int8 or fp16")
    return "f32" if kind == "CPU" or precision == "fp32" else "f16"


def compile_options(device: str, precision: str, threads: int, streams: int = 1) -> dict[str, Any]:
    """OpenVINO's properties for one model that answers `streams` frames at a time."""
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": inference_precision(device, precision),
    }
    if device == "CPU":
        options |= {"NUM_STREAMS": str(streams), "INFERENCE_NUM_THREADS": threads}
    return options


def read_graph(model: bytes, levels: int) -> ov.Model:
    """An ONNX model as a device is given it on which INT8 has that many levels."""
    # OpenVINO 2026.4 mistakes the scale of a Concat of int8 behind ReLUs, not of uint8.
    graph = core().read_model(unsigned_behind_relu(model, all_levels=levels == ALL_LEVELS))
    if levels == FEW_LEVELS:
        _calculate_signed_in_float(graph)
    return graph


def cache_folder(model: bytes, device: str, precision: str) -> Path | None:
    """Where OpenVINO keeps what it compiles from this model here; None where it cannot.

    A CPU's code is compiled for its instruction sets, which OpenVINO's own key leaves out: a disk
    moved to an older machine must not crash there.
    """
    key = EngineKey(
        model_sha256=hashlib.sha256(model).hexdigest(),
        runtime=version(),
        driver=" ".join(sorted(cpu_flags())),
        device=f"{device} {cpu_name()}",
        precision=precision,
    )
    try:
        folder = key.folder(cache_root("openvino"))
        prepare_cache(folder)
    except InputError as error:
        log.warning("%s; every start compiles anew", error)
        return None
    return folder


def load(
    model: bytes, input_size: tuple[int, int], *, device: str, precision: str, streams: int
) -> Engine:
    """Load a model; as `agent.engine.load_engine`, which says what the arguments are."""
    there = devices()
    # AUTO, MULTI and HETERO would choose for us.
    if not is_among(device, there):
        hint = INSTALL.get(device.partition(".")[0], "choose one of these")
        raise InputError(
            f"OpenVINO has no device {device} here (found: {', '.join(there)}): {hint}"
        )
    options = compile_options(device, precision, physical_cores(), streams)
    folder = cache_folder(model, device, precision)
    if folder is not None:
        options["CACHE_DIR"] = str(folder)
    found = levels(device, precision)
    try:
        graph = read_graph(model, found)
        check_graph(input_size, _tensors(graph.inputs), _tensors(graph.outputs))
        compiled = core().compile_model(graph, device, options)
    except RuntimeError as error:
        raise InputError(f"OpenVINO cannot load the {precision} model: {error}") from error
    if folder is not None:
        keep_sealed(folder)
    fingerprint = Fingerprint(
        runtime="openvino",
        version=version(),
        device=device,
        precision=precision,
        levels=found,
        view=VIEW,
    )
    moment = _moment() if device == "CPU" else None
    return OpenVinoEngine(compiled, moment, fingerprint, input_size)


class OpenVinoEngine(Engine):
    """An ONNX model compiled by OpenVINO, with one infer request that is reused."""

    def __init__(
        self,
        compiled: ov.CompiledModel,
        moment: ov.CompiledModel | None,
        fingerprint: Fingerprint,
        input_size: tuple[int, int],
    ) -> None:
        super().__init__(fingerprint, input_size)
        self._compiled = compiled
        self._moment = moment
        self._stirring = moment.create_infer_request() if moment is not None else None
        self._request = compiled.create_infer_request()
        self._frame = np.empty((1, *input_size, 3), np.uint8)
        self._request.set_tensor(INPUT, ov.Tensor(self._frame, shared_memory=True))
        self._ports = {port.any_name: port for port in compiled.outputs}

    def sibling(self) -> OpenVinoEngine:
        """Another infer request of the same compiled model."""
        return OpenVinoEngine(self._compiled, self._moment, self.fingerprint, self.input_size)

    def stir(self) -> None:
        """Let every thread work a moment: after 36 ms of rest a frame takes 1.4 times as long."""
        if self._stirring is not None:
            # What fails here fails with the next frame, and is told then.
            with suppress(RuntimeError):
                self._stirring.infer()

    def _run(self, frame: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        self._frame[0] = frame
        try:
            self._request.infer()
        except RuntimeError as error:
            raise EngineFault(f"OpenVINO failed: {error}") from error
        return {name: self._request.get_tensor(port).data for name, port in self._ports.items()}

    def close(self) -> None:
        """Give the compiled model back."""
        del self._request, self._ports, self._compiled, self._stirring, self._moment


def _calculate_signed_in_float(graph: ov.Model) -> None:
    """Let what reads signed codes read what they were made from: OpenVINO multiplies them as
    unsigned bytes about 128, which overflow where there are few levels.
    """
    for quantise in graph.get_ops():
        if quantise.get_type_name() != "FakeQuantize":
            continue
        lowest = quantise.input_value(3).get_node()
        if lowest.data.min() >= 0:
            continue
        dequantise = quantise
        while dequantise.get_type_name() != "Multiply":
            (reader,) = dequantise.output(0).get_target_inputs()
            dequantise = reader.get_node()
        for reader in dequantise.output(0).get_target_inputs():
            reader.replace_source_output(quantise.input_value(0))


def _moment() -> ov.CompiledModel:
    """A model of one small convolution, which no cache has to keep."""
    picture = ops.parameter([1, MOMENT_CHANNELS, MOMENT_SIDE, MOMENT_SIDE], np.float32)
    weight = np.ones((MOMENT_CHANNELS, MOMENT_CHANNELS, 1, 1), np.float32)
    made = ops.convolution(picture, ops.constant(weight), [1, 1], [0, 0], [0, 0], [1, 1])
    return core().compile_model(
        ov.Model([made], [picture]), "CPU", compile_options("CPU", "fp32", physical_cores())
    )


def _tensors(ports: list[Any]) -> Tensors:
    found: Tensors = {}
    for port in ports:
        shape = port.get_partial_shape()
        static = tuple(shape.to_shape()) if shape.is_static else ()
        found[port.any_name] = (np.dtype(port.get_element_type().to_dtype()).name, static)
    return found
