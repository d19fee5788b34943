"""The parity gate: does a precision, on a runtime, give the verdicts of the trained model?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from agent.engine import Engine
from agent.errors import InputError

# Each model is compared at thresholds that let these shares of the good frames through: its own,
# as a calibration is of the engine that will run. At another's, the good frame that sits on the
# limit would fall to either side. Which rate a line will ask for is not known here.
PASS_QUANTILES = (0.95, 0.98, 0.99)
# How `seen_again` varies a frame: times, pixels, share of its brightness.
SEEN_AGAIN, SHIFT, LIGHT = 3, 4, 0.03
# Of fewer different good frames, how far apart their scores lie is chance.
FEWEST_GOOD = 8


@dataclass(frozen=True)
class Said:
    """What a model says of the gate's frames: scores float64 [N], maps float32 [N, H, W]."""

    scores: NDArray[np.float64]
    maps: NDArray[np.float32]

    def and_of_more(self, other: Said) -> Said:
        """This and what is said of more frames."""
        return Said(
            np.concatenate((self.scores, other.scores)), np.concatenate((self.maps, other.maps))
        )


@dataclass(frozen=True)
class Parity:
    """How a model compares with the trained one.

    agreement: share of the frames with the same verdict, mean over the thresholds; correlation:
    Pearson's, over all pixels of all maps; score: largest difference of a score, as a share of
    `span`, in logits; map: largest mean absolute difference of a frame's map, likewise.
    """

    agreement: float
    correlation: float
    score: float
    map: float
    span: float

    def __str__(self) -> str:
        return (
            f"{self.agreement:.2%} of the verdicts are equal, maps correlate by "
            f"{self.correlation:.4f}, scores differ by up to {self.score * self.span:.3g} and maps "
            f"by up to {self.map * self.span:.3g} of a span of {self.span:.3g}"
        )


@dataclass(frozen=True)
class Limits:
    """What the gate demands, in the terms of `Parity`."""

    agreement: float
    correlation: float
    score: float
    map: float

    def missed(self, found: Parity) -> list[str]:
        """The demands that `found` misses, in words."""
        misses = []
        if not found.agreement >= self.agreement:
            misses.append(f"at least {self.agreement:.1%} equal verdicts")
        if not found.correlation >= self.correlation:
            misses.append(f"a correlation of {self.correlation}")
        if not found.score <= self.score:
            misses.append(f"scores within {self.score:.1%} of the span")
        if not found.map <= self.map:
            misses.append(f"maps within {self.map:.1%} of the span")
        return misses


LIMITS = {
    "fp32": Limits(agreement=1.0, correlation=0.9999, score=1e-3, map=1e-3),
    "fp16": Limits(agreement=1.0, correlation=0.9999, score=1e-2, map=1e-2),
    "int8": Limits(agreement=0.995, correlation=0.98, score=0.15, map=0.05),
}


def seen_again(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames three times moved and lit a little differently: uint8 [3 N, H, W, 3].

    More verdicts to compare, on frames that no range was measured on, of parts as a camera might
    show them. The same frames give the same.
    """
    rng = np.random.default_rng(0)
    again = []
    for _ in range(SEEN_AGAIN):
        shifts = rng.integers(-SHIFT, SHIFT + 1, (len(frames), 2))
        lights = rng.uniform(1 - LIGHT, 1 + LIGHT, len(frames))
        pairs = zip(frames, shifts, lights, strict=True)
        again.append(np.stack([_moved(frame, y, x, light) for frame, (y, x), light in pairs]))
    return np.concatenate(again)


def _moved(frame: NDArray[np.uint8], y: int, x: int, light: float) -> NDArray[np.uint8]:
    height, width, _ = frame.shape
    padded = np.pad(frame, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="reflect")
    cut = padded[SHIFT + y : SHIFT + y + height, SHIFT + x : SHIFT + x + width]
    return np.clip(np.rint(cut * light), 0, 255).astype(np.uint8)


def ask_engine(engine: Engine, frames: NDArray[np.uint8]) -> Said:
    """Run an engine over frames uint8 [N, H, W, 3]."""
    answers = [engine.infer(frame) for frame in frames]
    scores = np.array([answer.score for answer in answers])
    return Said(scores, np.stack([answer.anomaly_map for answer in answers]))


@torch.inference_mode()
def ask_module(module: nn.Module, frames: NDArray[np.uint8]) -> Said:
    """Run a torch module with the graph's outputs over frames uint8 [N, H, W, 3]."""
    answers = [module(torch.from_numpy(frame[None])) for frame in frames]
    maps, scores, _ = (torch.cat(values).numpy() for values in zip(*answers, strict=True))
    return Said(scores.astype(np.float64), maps.astype(np.float32))


def span_of(precision: str, trained: Said, anomalous: NDArray[np.bool_]) -> float:
    """The distance of the lowest and the highest score, which `Parity` gives shares of, in logits.

    Of all frames for most. fp16 is held to what good frames span by themselves: on a GPU it stands
    for the exact model, and their scores are what a limit is drawn from.
    """
    scores = trained.scores
    good = np.unique(scores[~anomalous])
    if precision == "fp16" and len(good) >= FEWEST_GOOD:
        scores = good
    return max(float(np.ptp(scores)), np.finfo(np.float32).tiny)


def compare(found: Said, trained: Said, anomalous: NDArray[np.bool_], span: float) -> Parity:
    """Compare two models on the same frames.

    Args:
        anomalous: bool [N]; where none is good, all count as good.
        span: from `span_of`.
    """
    good = ~anomalous if (~anomalous).any() else np.ones_like(anomalous)
    verdicts = [
        each.scores > np.quantile(each.scores[good], PASS_QUANTILES)[:, None]
        for each in (found, trained)
    ]
    # Frame by frame: of large models, all maps at once would not fit a second time.
    pairs = zip(found.maps, trained.maps, strict=True)
    apart = [np.abs(one - other).mean() for one, other in pairs]
    return Parity(
        agreement=float(np.mean(verdicts[0] == verdicts[1])),
        correlation=_correlation(found.maps, trained.maps),
        score=float(np.abs(found.scores - trained.scores).max()) / span,
        map=float(np.max(apart)) / span,
        span=span,
    )


def check(what: str, precision: str, found: Parity, advice: str = "") -> None:
    """Refuse what strays too far.

    Raises:
        InputError: with all figures, and the advice.
    """
    if misses := LIMITS[precision].missed(found):
        raise InputError(
            f"{what} is not the trained model: {found}; demanded: {', '.join(misses)}{advice}"
        )


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    means = np.array([[maps.mean(dtype=np.float64)] for maps in (one, other)])
    products = np.zeros((2, 2))
    for pair in zip(one, other, strict=True):
        centred = np.stack(pair).reshape(2, -1).astype(np.float64) - means
        products += centred @ centred.T
    (aa, ab), (_, bb) = products
    norm = float(np.sqrt(aa * bb))
    # Two flat maps are one map; one flat map is not another that is not.
    return float(ab) / norm if norm > 0 else float(aa == bb)
