"""What a bundle of an earlier normline lacks, in words for whoever uses it."""

from __future__ import annotations

from agent.manifest import Manifest
from agent.pixels import PIXELS


def shortcomings(manifest: Manifest) -> list[str]:
    """A sentence each; none of a bundle that this version could have made."""
    found = []
    if manifest.pixels != PIXELS:
        found.append(
            "its model was trained on pictures that were shrunk otherwise than they are now: judge "
            "it by `normline evaluate`, and train it again when you can"
        )
    if manifest.training_images is None:
        found.append(
            "it does not know the pictures that its model was trained on: grey ones in place of "
            "colours, or of another shape, are no CAMERA_FAULT (train it again)"
        )
    return found
