"""From pictures of normal parts to what a threshold is taken from."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from agent.bundle import Bundle
from agent.engine import Engine
from agent.errors import InputError
from calibration.normals import Collector, Normals
from calibration.sources import Source

# A camera that shows no usable part for this long will not by waiting; one that did may after the
# line's break, or once somebody has seen to it.
PATIENCE_S = 60.0
BREAK_S = 3600.0

Told = Callable[[str, str | None], None]
Keep = Callable[[str, NDArray[np.uint8]], None]
Row = tuple[str, str]


def collect(
    engine: Engine,
    bundle: Bundle,
    source: Source,
    tell: Told,
    *,
    excluded: Collection[str] = (),
    canvases_kept: int = 0,
    keep: Keep | None = None,
) -> Normals:
    """Score the parts of a source; of a camera, until as many are of use as are wanted.

    Args:
        engine: loaded from `bundle` and self-tested; the one that the station will use.
        bundle: the model.
        source: pictures of normal parts that the model was not trained on.
        tell: gets the name of each picture and, for one that does not count, why.
        excluded: names of pictures that a person has ruled out.
        canvases_kept: as many canvases are kept for synthetic defects.
        keep: gets every picture that counts.

    Raises:
        InputError: a picture without a finite score or of another size, or a camera that shows no
            usable part for a minute, or once it has shown one for an hour.
    """
    collector = Collector(engine, bundle, excluded=excluded, canvases_kept=canvases_kept)
    normals = collector.normals
    live = source.names is None
    last_use_s, row = time.monotonic(), None
    while (missing := source.count - len(normals.parts)) > 0:
        before = len(normals.parts) + len(normals.refused)
        for name, image in source.frames:
            if isinstance(image, str):
                reason: str | None = image
                normals.refused[name] = image
            else:
                reason = collector.add(name, image)
                if reason is None and keep is not None:
                    keep(name, image)
            tell(name, reason)
            if reason is None:
                last_use_s, row = time.monotonic(), None
                missing -= 1
            elif live:
                _check_patience(time.monotonic() - last_use_s, source, normals, reason)
                if not source.recorded:
                    row = _name_first(normals, row, name, reason)
            if live and missing == 0:
                break
        collector.look_again()
        if not live or len(normals.parts) + len(normals.refused) == before:
            break
    return normals


def _check_patience(waited_s: float, source: Source, normals: Normals, reason: str) -> None:
    longest_s = BREAK_S if normals.parts else PATIENCE_S
    if waited_s > longest_s:
        raise InputError(
            f"no usable part for {longest_s / 60:.0f} min, {len(normals.parts)} of {source.count} "
            f"taken; the last picture: {reason}"
        )


def _name_first(normals: Normals, row: Row | None, name: str, reason: str) -> Row:
    """Keep of a row of pictures that are of no use for one reason the first name.

    Of a line that stands a camera gives them by the ten thousand, and a record of them all takes
    the station a second to read.
    """
    kind = reason.partition(":")[0]
    if row is None or row[1] != kind:
        return name, kind
    if name != row[0]:
        del normals.refused[name]
    return row
