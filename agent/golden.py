"""Golden values: what the fp32 model said of a few frames when its bundle was made."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.errors import InputError


@dataclass(frozen=True)
class Golden:
    """Frames with what the fp32 graph said of them when the bundle was made.

    frames: uint8 [N, H, W, 3] BGR; scores: float32 [N]; maps: float32 [N, H, W], both in logits.
    """

    frames: NDArray[np.uint8]
    scores: NDArray[np.float32]
    maps: NDArray[np.float32]

    def __post_init__(self) -> None:
        count, height, width = self.maps.shape if self.maps.ndim == 3 else (0, 0, 0)
        for name, dtype, shape in (
            ("frames", np.uint8, (count, height, width, 3)),
            ("scores", np.float32, (count,)),
            ("maps", np.float32, (count, height, width)),
        ):
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != shape or count == 0:
                raise InputError(
                    f"golden {name}: expected {np.dtype(dtype)} {list(shape)} with at least one "
                    f"frame, got {array.dtype} {list(array.shape)}"
                )
        if not (np.isfinite(self.scores).all() and np.isfinite(self.maps).all()):
            raise InputError("golden scores and maps must be finite")

    def to_bytes(self) -> bytes:
        """The member `golden.npz`; the same arrays always give the same bytes."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, frames=self.frames, scores=self.scores, maps=self.maps)
        return buffer.getvalue()
