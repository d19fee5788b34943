"""Render the demo's product as a data set in MVTec-AD layout: `python -m deploy.demo_parts OUT`.

Every image is a part that `synthetic://` would show under another seed than the demo's, so that
the demo inspects parts that nothing was trained, chosen or calibrated on.
"""

from __future__ import annotations

from pathlib import Path

import click
import cv2
import numpy as np

from agent.camera.product import render

TRAIN_SEED, TEST_SEED, CALIBRATION_SEED = 101, 102, 103
GOOD = "good"


def render_good(folder: Path, seed: int, count: int) -> None:
    """Write `count` good parts as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        image, _ = render(seed, index, 0.0)
        cv2.imwrite(str(folder / f"{index:04d}.png"), image)


def render_test(root: Path, seed: int, count: int) -> None:
    """Write `count` parts, half of them defective, with their masks."""
    for index in range(count):
        image, truth = render(seed, index, 0.5)
        folder = root / "test" / truth.kind
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{index:04d}.png"), image)
        if truth.kind != GOOD:
            masks = root / "ground_truth" / truth.kind
            masks.mkdir(parents=True, exist_ok=True)
            mask = (truth.mask > 0).astype(np.uint8) * 255
            cv2.imwrite(str(masks / f"{index:04d}_mask.png"), mask)


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--train", "train_count", default=400, show_default=True)
@click.option("--test", "test_count", default=300, show_default=True)
@click.option("--calibration", "calibration_count", default=500, show_default=True)
def main(out: Path, train_count: int, test_count: int, calibration_count: int) -> None:
    """Render train/good, test/… with ground_truth/…, and calibration/ into OUT."""
    render_good(out / "train" / GOOD, TRAIN_SEED, train_count)
    render_test(out, TEST_SEED, test_count)
    render_good(out / "calibration", CALIBRATION_SEED, calibration_count)


if __name__ == "__main__":
    main()
