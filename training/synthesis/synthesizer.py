"""Pastes anomalies onto images of good parts (paper, section 3.4, and drawn defects beside it)."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.synthesis.defects import COLOUR_PAINTERS, PAINTERS, Patch
from training.synthesis.deformations import OBJECT_PAINTERS
from training.synthesis.noise import perlin_blobs
from training.synthesis.optics import grain, lens, through_lens, visible
from training.synthesis.parts import Parts
from training.synthesis.shapes import bounds, mean_colour
from training.synthesis.textures import procedural_bank, vary

# A change below this mean over its own area, in grey levels, is not a defect that anyone sees.
VISIBLE_LEVELS = 5.0
TEXTURE_SHARE = 0.05
# Holes and cracks hide what is under them; films let it through.
FILM = 0.3
# Anomalies an image, drawn evenly from these. Several in one image teach the segmentation net
# several times as much a step; single ones teach the score what one small defect is worth.
COUNTS = (1, 2, 3, 5, 8)
# A pixel more each way is marked, as a person would: a hair is too little to learn from.
MARGIN = np.ones((3, 3), np.uint8)
# What belongs to a region beyond what is marked of it: its soft edge.
FRINGE = np.ones((5, 5), np.uint8)
# Where a part ends the light falls off and its edge is worn: a defect there has to be learnt apart.
# So many are drawn within 20 pixels of the edge of the part, or of the picture.
EDGE_SHARE = 0.25
NEAR_EDGE = np.ones((41, 41), np.uint8)
PATCH_GRID = 8
MOST_TRIES = 100


class Synthesizer:
    """Makes (anomalous image, mask) pairs from good images.

    Args:
        parts: the good images.
        textures: uint8 [M, H, W, 3] foreign textures, or None for procedural ones alone.
        rng: draws the procedural textures.
    """

    texture_share = TEXTURE_SHARE
    object_painters = OBJECT_PAINTERS

    def __init__(self, parts: Parts, textures: NDArray[np.uint8] | None, rng: Generator) -> None:
        normals = parts.tiles
        height, width = normals.shape[1:3]
        self.textures = [*procedural_bank(height, width, rng)]
        if textures is not None:
            self.textures.extend(textures)
        # On grey images a coloured anomaly would be no test: foreign colour goes.
        self.grey = parts.is_grey
        self.is_object = parts.is_object
        kinds = self.object_painters if self.is_object else PAINTERS
        if not self.grey:
            kinds = {**kinds, **COLOUR_PAINTERS}
        self.painters = list(kinds)
        self.shares = np.array(list(kinds.values())) / sum(kinds.values())
        self.lens = lens(normals)
        self.foregrounds = parts.defectable

    def foreground(self, index: int) -> NDArray[np.bool_] | None:
        """Where normal `index` may get a defect, bool [H, W]; None for anywhere."""
        return None if self.foregrounds is None else self.foregrounds[index]

    def paste(
        self, image: NDArray[np.uint8], foreground: NDArray[np.bool_] | None, rng: Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Paste one to eight visible anomalies: (image uint8 [H, W, 3], mask bool [H, W]).

        None, and an empty mask, where nothing would be seen: in a sliver of foreground.
        """
        result = image.astype(np.float32) / np.float32(255)
        strength = grain(result)
        mask = np.zeros(image.shape[:2], np.bool_)
        wanted = int(rng.choice(COUNTS))
        pasted = 0
        for _ in range(MOST_TRIES):
            if pasted == wanted:
                break
            patch = self._one(result, foreground, rng)
            place, opacity = patch.place, patch.opacity
            area = opacity > max(0.25 * float(opacity.max()), 0.05)
            before, foreign = result[place], patch.painted
            if self.grey:
                foreign = mean_colour(foreign)[..., None]
            change = opacity[..., None] * (np.clip(foreign, 0.0, 1.0) - before)
            size = mean_colour(np.abs(change))
            if not area.any() or size[area].mean() * 255 < VISIBLE_LEVELS:
                continue
            seen = self.seen(area, size, strength[place])
            if not seen.any():
                continue
            # Regions that nobody sees are not pasted: what is there and not marked confuses.
            near = cv2.dilate(seen.astype(np.uint8), FRINGE) > 0
            result[place] = before + change * (seen | (near & ~area))[..., None]
            mask[place] |= cv2.dilate(seen.astype(np.uint8), MARGIN) > 0
            pasted += 1
        if foreground is not None:
            mask &= foreground
        return np.round(result * 255).astype(np.uint8), mask

    def focused(self, opacity: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
        """A drawn outline as the camera shows it (`through_lens`)."""
        return through_lens(opacity, self.lens, rng)

    def seen(
        self,
        area: NDArray[np.bool_],
        change: NDArray[np.float32],
        strength: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        """Which regions of an anomaly are there to be seen (`visible`)."""
        return visible(area, change, strength)

    def _one(
        self, image: NDArray[np.float32], foreground: NDArray[np.bool_] | None, rng: Generator
    ) -> Patch:
        """An anomaly as the camera would show it."""
        if rng.random() < self.texture_share:
            patch = self._texture(image, rng)
        else:
            painter = self.painters[int(rng.choice(len(self.painters), p=self.shares))]
            patch = painter(image, _point(image.shape, foreground, rng), rng)
            if rng.random() < FILM:
                patch = replace(patch, opacity=patch.opacity * np.float32(rng.uniform(0.4, 1.0)))
        opacity = self.focused(patch.opacity, rng)
        if foreground is not None:
            opacity = opacity * foreground[patch.place]
        return replace(patch, opacity=opacity)

    def _texture(self, image: NDArray[np.float32], rng: Generator) -> Patch:
        """The paper's anomaly: I_s = I (1-M) + (1-beta) A M + beta I M, beta in 0.2 .. 0.8."""
        height, width = image.shape[:2]
        if self.is_object and rng.random() < 0.5:
            source = _shuffled_patches(image, rng)
        else:
            source = vary(self.textures[rng.integers(len(self.textures))], rng)
        # The brightness of a foreign texture is chance: on dull surfaces most would be brighter.
        source = source * np.float32(rng.uniform(0.3, 1.1))
        opacity = 1.0 - rng.uniform(0.2, 0.8)
        alpha = perlin_blobs(height, width, rng).astype(np.float32) * np.float32(opacity)
        place = bounds(alpha)
        return Patch(place, source[place], alpha[place])


def _point(
    shape: tuple[int, ...], foreground: NDArray[np.bool_] | None, rng: Generator
) -> tuple[int, int]:
    """A random pixel (row, column) of the part, EDGE_SHARE of them near its edge."""
    height, width = shape[:2]
    part = np.ones((height, width), np.bool_) if foreground is None else foreground
    if rng.random() < EDGE_SHARE:
        whole = part.astype(np.uint8)
        inner = cv2.erode(whole, NEAR_EDGE, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
        part = part & (inner == 0)
    flat = np.flatnonzero(part)
    if not len(flat):
        return int(rng.integers(height)), int(rng.integers(width))
    row, column = divmod(int(flat[rng.integers(len(flat))]), width)
    return row, column


def _shuffled_patches(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """The image cut in an 8 x 8 grid, its patches in random order, photometrically varied."""
    height, width = image.shape[:2]
    rows, columns = height // PATCH_GRID, width // PATCH_GRID
    grid = image[: rows * PATCH_GRID, : columns * PATCH_GRID].reshape(
        PATCH_GRID, rows, PATCH_GRID, columns, 3
    )
    patches = grid.transpose(0, 2, 1, 3, 4).reshape(-1, rows, columns, 3)
    patches = patches[rng.permutation(len(patches))]
    shuffled = (
        patches.reshape(PATCH_GRID, PATCH_GRID, rows, columns, 3)
        .transpose(0, 2, 1, 3, 4)
        .reshape(rows * PATCH_GRID, columns * PATCH_GRID, 3)
    )
    whole = cv2.resize(shuffled, (width, height), interpolation=cv2.INTER_NEAREST)
    return vary((whole * 255).astype(np.uint8), rng)
