"""What is known of old and new parts together, and what it is enough for."""

from __future__ import annotations

import numpy as np
import pytest

from agent.errors import InputError
from agent.picture import decode_thumbnail, encode_thumbnail
from agent.record import Picture, Refused, Spread
from calibration.evidence import Evidence, Promise


def evidence_of(name: str, level: float, count: int, *, cross: bool) -> Evidence:
    """Parts whose pictures are all of one grey level; one more is left out, by its name."""
    spread = Spread(values=[level] * count)
    picture = Picture(
        brightness=spread,
        sharpness=spread,
        saturated=spread,
        difference=spread,
        reference=encode_thumbnail(np.full((64, 64), level)),
    )
    scores = [float(index) for index in range(count)]
    refused = [Refused(name=name, reason="dark")]
    return Evidence(scores, scores, picture, (64, 64), refused, [name], cross)


def test_of_old_and_new_parts_each_counts_once() -> None:
    old = evidence_of("old", 100.0, 3, cross=True)
    new = evidence_of("new", 200.0, 1, cross=False)
    both = old.and_also(new)
    assert both.picture is not None
    assert decode_thumbnail(both.picture.reference).mean() == 125.0
    assert [each.name for each in both.refused] == both.excluded == ["old", "new"]
    assert both.cross and new.and_also(old).cross  # the weaker promise is that of both


def test_too_few_pictures_for_a_confidence_are_refused_before_any_work() -> None:
    Promise(0.05, 0.95).check(59)
    with pytest.raises(InputError, match="at least 59 are needed, 1 more"):
        Promise(0.05, 0.95).check(58)
