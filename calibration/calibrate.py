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

# A camera that shows no new usable part for this long will not by waiting.
PATIENCE_S = 60.0

Told = Callable[[str, str | None], None]
Keep = Callable[[str, NDArray[np.uint8]], None]


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
            usable part for a minute.
    """
    collector = Collector(engine, bundle, excluded=excluded, canvases_kept=canvases_kept)
    normals = collector.normals
    live = source.names is None
    last_use_s = time.monotonic()
    while (missing := source.count - len(normals.parts)) > 0:
        before = len(normals.parts) + len(normals.refused)
        for name, image in source.frames:
            reason = collector.add(name, image)
            tell(name, reason)
            if reason is None:
                last_use_s = time.monotonic()
                missing -= 1
                if keep is not None:
                    keep(name, image)
            elif live and time.monotonic() - last_use_s > PATIENCE_S:
                raise InputError(
                    f"no usable part for {PATIENCE_S:.0f} s, {len(normals.parts)} taken; the last "
                    f"picture: {reason}"
                )
            if live and missing == 0:
                break
        collector.look_again()
        if not live or len(normals.parts) + len(normals.refused) == before:
            break
    return normals
