"""The view of a run, as its bundle keeps it."""

from __future__ import annotations

from typing import Any

from training.losses import SQUARE, SQUARES
from training.model import top_pixels
from training.run import IGNORE_MASK, Run


def view_fields(run: Run) -> dict[str, Any]:
    """The manifest's fields on what the model sees of an image."""
    fields = {
        **run.view.settings.model_dump(),
        "pixels": run.settings.pixels,
        "grey": run.settings.colours == 1,
        "training_images": run.settings.training.get("images"),
    }
    if fields["ignore_mask"] is not None:
        fields["ignore_mask"] = IGNORE_MASK
    if run.settings.family == "edge":
        return {**fields, "score_pixels": SQUARES, "score_square": SQUARE}
    return {**fields, "score_pixels": top_pixels(run.settings.input_size)}


def view_members(run: Run) -> dict[str, bytes]:
    """The bundle's members beside models and golden values: the ignore mask, where there is one."""
    if run.view.settings.ignore_mask is None:
        return {}
    return {IGNORE_MASK: (run.folder / IGNORE_MASK).read_bytes()}
