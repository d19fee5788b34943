"""Frames to quantise with and to judge a bundle by, where a run has kept none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.dataset import load_images, read_dataset
from training.errors import InputError
from training.images import drawn, is_grey
from training.selection import SelectionSet
from training.synthesis import Synthesizer
from training.synthesis.parts import cut_parts
from training.view import View

# As many images are read at most, and as many tiles kept, as a run keeps.
MOST = 64


def frames_from(
    folder: Path, view: View, grey: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Frames of a folder of good images as training keeps them.

    Every tile as it is and with synthetic anomalies: uint8 [N, H, W, 3] BGR, and bool [N], which
    of them show one. The same folder gives the same.

    Raises InputError where an image cannot be used, or has colours and the model is of `grey` ones.
    """
    paths = read_dataset(folder).train_good
    few = [paths[index] for index in drawn(len(paths), MOST)]
    canvases = load_images(few, view).canvases
    for path, canvas in zip(few, canvases, strict=True):
        if grey and not is_grey(canvas):
            raise InputError(f"{path} is in colour, the training images were grey: give such")
    parts = cut_parts(canvases, view).sample(MOST, seed=0)
    pasted = SelectionSet(parts.tiles, Synthesizer(parts, None, np.random.default_rng(0)), seed=0)
    return pasted.frames, pasted.labels.astype(bool)
