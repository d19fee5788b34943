"""ONNX Runtime: any CPU, and NVIDIA GPUs through CUDA or TensorRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as native

from agent.engine.base import (
    ALL_LEVELS,
    FEW_LEVELS,
    INPUT,
    Engine,
    EngineFault,
    Fingerprint,
    Tensors,
    check_graph,
    graph_contract,
)
from agent.engine.cache import cache_root, keep_sealed, prepare_cache
from agent.engine.cpu import physical_cores
from agent.engine.devices import INSTALL
from agent.engine.nvidia import cuda_options, engine_key, tensorrt_options
from agent.engine.unsigned import all_unsigned, levels
from agent.errors import InputError
from agent.pixels import VIEW

PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "TensorRT": "TensorrtExecutionProvider",
}
ERRORS_ONLY = 3
# ONNX Runtime's exceptions share no base class but Exception.
FAILURES: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(
        kind
        for kind in vars(native).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)


def version() -> str:
    """The runtime's release number, such as 1.32.0."""
    return str(ort.__version__)


def devices() -> list[str]:
    """The devices whose support is installed here; loading an engine finds out if they work."""
    built_in = ort.get_available_providers()
    return [device for device, provider in PROVIDERS.items() if provider in built_in]


def session_options(device: str, threads: int, levels: int) -> ort.SessionOptions:
    """One frame at a time, deterministic, and nothing moved to another device silently."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = ERRORS_ONLY
    if device != "CPU":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if levels == FEW_LEVELS:
        # Weights become unsigned too: their products with signed codes about 128 would overflow.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def load(
    model: bytes, input_size: tuple[int, int], *, device: str, precision: str, streams: int
) -> Engine:
    """Load a model; as `agent.engine.load_engine`, which says what the arguments are."""
    there = devices()
    if device not in there:
        hint = INSTALL[device] if device in PROVIDERS else f"choose one of {', '.join(there)}"
        raise InputError(
            f"ONNX Runtime has no device {device} here (found: {', '.join(there)}): {hint}"
        )
    provider = PROVIDERS[device]
    found = levels(device, precision)
    options: dict[str, Any] = {}
    if device == "CPU":
        model = all_unsigned(model, all_levels=found == ALL_LEVELS)
    elif device == "CUDA":
        options = cuda_options()
    elif device == "TensorRT":
        folder = engine_key(model, version(), precision).folder(cache_root("tensorrt"))
        prepare_cache(folder)
        options = tensorrt_options(folder, precision)
    try:
        session = ort.InferenceSession(
            model,
            session_options(device, max(1, physical_cores() // streams), found),
            providers=[(provider, options)],
        )
        check_graph(input_size, _tensors(session.get_inputs()), _tensors(session.get_outputs()))
    except FAILURES as error:
        raise InputError(
            f"ONNX Runtime cannot load the {precision} model on {device}: {error}"
        ) from error
    # When a GPU's libraries are missing, the session quietly starts without them.
    if session.get_providers()[0] != provider:
        raise InputError(
            f"ONNX Runtime found no working {device}, only {session.get_providers()}: "
            f"{INSTALL[device]}"
        )
    if device == "TensorRT":
        keep_sealed(folder)
    fingerprint = Fingerprint(
        runtime="onnxruntime",
        version=version(),
        device=device,
        precision=precision,
        levels=found,
        view=VIEW,
    )
    return OnnxRuntimeEngine(session, fingerprint, input_size)


class OnnxRuntimeEngine(Engine):
    """An ONNX Runtime session whose input and outputs stay bound to the same memory."""

    def __init__(
        self,
        session: ort.InferenceSession,
        fingerprint: Fingerprint,
        input_size: tuple[int, int],
    ) -> None:
        super().__init__(fingerprint, input_size)
        self._session = session
        self._binding = session.io_binding()
        _, outputs = graph_contract(input_size)
        self._frame = np.empty((1, *input_size, 3), np.uint8)
        self._outputs = {name: np.empty(shape, dtype) for name, (dtype, shape) in outputs.items()}
        # A value over host memory shares it: frames are written to, and outputs read from, the
        # same arrays for as long as the engine lives.
        self._input = ort.OrtValue.ortvalue_from_numpy(self._frame)
        for name, array in self._outputs.items():
            self._binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))

    def sibling(self) -> OnnxRuntimeEngine:
        """Another binding of the same session."""
        return OnnxRuntimeEngine(self._session, self.fingerprint, self.input_size)

    def _run(self, frame: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        self._frame[0] = frame
        try:
            # For every frame: what a GPU is to see is copied to it when it is bound.
            self._binding.bind_ortvalue_input(INPUT, self._input)
            self._session.run_with_iobinding(self._binding)
        except FAILURES as error:
            raise EngineFault(f"ONNX Runtime failed: {error}") from error
        return self._outputs

    def close(self) -> None:
        """Give the session back."""
        del self._binding, self._session


def _tensors(values: list[Any]) -> Tensors:
    names = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
    return {value.name: (names.get(value.type, value.type), tuple(value.shape)) for value in values}
