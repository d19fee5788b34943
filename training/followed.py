"""Test images on which a part that is followed is not found: no figure is taken from them."""

from __future__ import annotations

from collections.abc import Callable

from training.dataset import LabelledImage


def showing_a_part(
    items: list[LabelledImage],
    missing: Callable[[LabelledImage], str | None],
    say: Callable[[str], None],
) -> list[LabelledImage]:
    """The items that a verdict is given on.

    The station makes NO_DECISION of the others, which stops the part.

    Args:
        missing: what an item shows in place of a part; None where it shows one.
        say: gets a line for every item that is left out, and one that counts them.
    """
    shown = []
    for item in items:
        reason = missing(item)
        if reason is None:
            shown.append(item)
        else:
            say(
                f"{item.path} shows {reason}; the station stops it without a score, and it is "
                "left out here"
            )
    if len(shown) < len(items):
        say(f"{len(items) - len(shown)} of {len(items)} test images left out")
    return shown
