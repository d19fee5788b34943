"""What every engine is: a fixed graph that turns one frame into one inspection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from agent.errors import InputError

INPUT = "frame"
MAP, SCORE, RECONSTRUCTION = "anomaly_map", "score", "reconstruction"
# Of an INT8 activation as unsigned bytes, and where the sum of two products has 16 bits.
ALL_LEVELS, FEW_LEVELS = 255, 127


class EngineFault(Exception):
    """The engine gave no usable answer for a frame; the part is NO_DECISION, never PASS."""


class Fingerprint(BaseModel):
    """What a score depends on beside the bundle; a threshold holds for one fingerprint.

    levels: that INT8 activations have, fewer on a processor that cannot add bytes exactly.
    view: how a picture becomes what the model is shown, `agent.pixels.VIEW`; empty in records of
        before that was noted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    runtime: str
    version: str
    device: str
    precision: str
    levels: int = ALL_LEVELS
    view: str = ""

    def __str__(self) -> str:
        few = "" if self.levels == ALL_LEVELS else f" with {self.levels} levels"
        return f"{self.runtime} {self.version} on {self.device}, {self.precision}{few}"

    @model_serializer(mode="wrap")
    def _write(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As records were written, and named by their content, before there was more to say."""
        fields: dict[str, Any] = write(self)
        if self.levels == ALL_LEVELS:
            fields.pop("levels", None)
        if not self.view:
            fields.pop("view", None)
        return fields


@dataclass(frozen=True)
class Inspection:
    """What the graph says of one frame.

    score: logit; anomaly_map: float32 [H, W], logits; reconstruction: uint8 [H, W, 3] BGR, the
    part as it would look without a defect.
    """

    score: float
    anomaly_map: NDArray[np.float32]
    reconstruction: NDArray[np.uint8]


Tensors = dict[str, tuple[str, tuple[int, ...]]]
"""dtype and shape of a graph's inputs or outputs, by name."""


def graph_contract(input_size: tuple[int, int]) -> tuple[Tensors, Tensors]:
    """Inputs and outputs of every graph in a bundle, by name, for (height, width)."""
    height, width = input_size
    inputs: Tensors = {INPUT: ("uint8", (1, height, width, 3))}
    outputs: Tensors = {
        MAP: ("float32", (1, height, width)),
        SCORE: ("float32", (1,)),
        RECONSTRUCTION: ("uint8", (1, height, width, 3)),
    }
    return inputs, outputs


def check_graph(input_size: tuple[int, int], inputs: Tensors, outputs: Tensors) -> None:
    """Compare a loaded graph with the contract.

    Raises:
        InputError: names the inputs and outputs that differ.
    """
    for kind, found, expected in zip(
        ("input", "output"), (inputs, outputs), graph_contract(input_size), strict=True
    ):
        if found != expected:
            raise InputError(
                f"the model is not one of normline's: its {kind}s are {found}, expected {expected}"
            )


class Engine(ABC):
    """One graph, loaded and ready. Not safe to share between threads: it reuses its buffers."""

    def __init__(self, fingerprint: Fingerprint, input_size: tuple[int, int]) -> None:
        self.fingerprint = fingerprint
        self.input_size = input_size

    def infer(self, frame: NDArray[np.uint8]) -> Inspection:
        """Inspect one frame; the same frame gives the same answer, bit for bit.

        Args:
            frame: uint8 [H, W, 3] BGR at `input_size`, a tile of what `agent.view` gives.

        Raises:
            InputError: another shape or dtype.
            EngineFault: the runtime failed, or the score or map is not finite.
        """
        expected = (*self.input_size, 3)
        if frame.shape != expected or frame.dtype != np.uint8:
            raise InputError(
                f"the engine takes uint8 {list(expected)}, got {frame.dtype} {list(frame.shape)}"
            )
        outputs = self._run(frame)
        score = float(outputs[SCORE][0])
        anomaly_map = outputs[MAP][0].copy()
        if not (np.isfinite(score) and np.isfinite(anomaly_map).all()):
            raise EngineFault(f"the score or the map is not finite (score {score})")
        return Inspection(score, anomaly_map, outputs[RECONSTRUCTION][0].copy())

    def stir(self) -> None:
        """Keep awake what answers slowly after a rest; a moment's work, where it helps."""
        return None

    def sibling(self) -> Engine:
        """Another engine over the same compiled model, with buffers of its own.

        It may run at the same time in another thread; `load_engine`'s `streams` says how many do
        so without waiting for each other. Close it before the engine that it comes from.
        """
        raise NotImplementedError

    @abstractmethod
    def _run(self, frame: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The graph's outputs by name; valid until the next call. Raises EngineFault."""

    @abstractmethod
    def close(self) -> None:
        """Give the runtime's memory and threads back; the engine cannot be used after."""
