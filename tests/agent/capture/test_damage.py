"""Films with damaged pictures in a real capture process."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.capture import CaptureState
from agent.errors import InputError
from tests.agent.camera.films import DAMAGED, PICTURES, cut, jpeg_film, mpeg4_film
from tests.agent.capture.taking import make_capture, take_until


def shown_until_it_ends(film: Path) -> int:
    """How many pictures of the film a capture gives; InputError where one is refused."""
    with make_capture(f"file://{film}?rate=1000") as capture:
        capture.start()
        take_until(capture, lambda _: capture.status.state is CaptureState.ENDED)
        return capture.status.frames


def test_whole_pictures_pass(tmp_path: Path):
    assert shown_until_it_ends(jpeg_film(tmp_path / "film.avi", bytes)) == PICTURES
    assert shown_until_it_ends(mpeg4_film(tmp_path / "film.ts")) == PICTURES


def test_a_damaged_picture_of_a_film_ends_it_and_is_named(tmp_path: Path):
    film = jpeg_film(tmp_path / "film.avi", cut)
    with pytest.raises(InputError, match=rf"film\.avi: its picture {DAMAGED} is damaged"):
        shown_until_it_ends(film)


def test_a_film_that_lost_packets_is_refused(tmp_path: Path):
    film = mpeg4_film(tmp_path / "film.ts", lost_of=DAMAGED)
    with pytest.raises(InputError, match=r"film\.ts: its picture \d is damaged"):
        shown_until_it_ends(film)
