"""Brightness, sharpness and saturation tell what has happened to a picture, each alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.camera.product import render
from agent.errors import InputError
from agent.picture import decode_thumbnail, encode_thumbnail, look_at, shift_px

PART = render(3, 0, 0.0)[0]


def test_more_light_is_brightness_and_not_focus() -> None:
    usual, dim = look_at(PART), look_at(PART // 2)
    assert dim.brightness == pytest.approx(usual.brightness / 2, rel=0.02)
    assert dim.sharpness == pytest.approx(usual.sharpness, rel=0.1)


def test_defocus_is_sharpness_and_not_light() -> None:
    usual, blurred = look_at(PART), look_at(cv2.GaussianBlur(PART, (0, 0), 2.0))
    assert blurred.sharpness < 0.5 * usual.sharpness
    assert blurred.brightness == pytest.approx(usual.brightness, rel=0.02)


def test_noise_does_not_look_like_focus() -> None:
    noise = np.random.default_rng(0).normal(0, 4, PART.shape)
    noisy = np.clip(PART + noise, 0, 255).astype(np.uint8)
    assert look_at(noisy).sharpness == pytest.approx(look_at(PART).sharpness, rel=0.1)


def test_saturation_counts_pixels() -> None:
    frame = np.full((40, 40, 3), 100, np.uint8)
    frame[:10] = 250
    frame[10:20] = 249
    assert look_at(frame).saturated == 0.25


@pytest.mark.parametrize("channel", [0, 1, 2], ids=["blue", "green", "red"])
def test_one_channel_that_is_burnt_out_is_saturated(channel: int) -> None:
    """Under red light the only channel that shows the part counted as a dark grey."""
    frame = np.full((40, 40, 3), 20, np.uint8)
    frame[:30, :, channel] = 255
    assert look_at(frame).saturated == 0.75


def test_two_exposures_of_a_part_differ_less_than_two_parts() -> None:
    noise = np.random.default_rng(0).normal(0, 3, PART.shape)
    again = np.clip(PART + noise, 0, 255).astype(np.uint8)
    here, same, other = look_at(PART), look_at(again), look_at(render(3, 1, 0.0)[0])
    assert here.difference(here) == 0
    assert same.difference(here) < 0.2 * other.difference(here)


def test_a_shift_is_found_in_thumbnail_pixels() -> None:
    moved = np.roll(PART, (10, -5), (0, 1))
    x, y = shift_px(look_at(moved).thumbnail, look_at(PART).thumbnail)
    assert (x, y) == (pytest.approx(-1, abs=0.15), pytest.approx(2, abs=0.15))


def test_a_thumbnail_survives_its_text() -> None:
    thumbnail = look_at(PART).thumbnail
    assert (decode_thumbnail(encode_thumbnail(thumbnail)) == np.rint(thumbnail)).all()


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA"])
def test_what_is_no_thumbnail_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="64x64"):
        decode_thumbnail(text)


def test_a_large_picture_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of some kilobytes may hold a gigabyte of one grey."""
    large = encode_thumbnail(np.zeros((2000, 2000), np.float32))
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(InputError, match="64x64"):
        decode_thumbnail(large)


def test_the_measures_are_those_of_the_records_that_are_on_a_line() -> None:
    """Measured otherwise than at the calibration, every picture of the line would be a fault."""
    look = look_at(PART)
    assert look.brightness == pytest.approx(98.38, rel=0.01)
    assert look.sharpness == pytest.approx(0.0588, rel=0.02)
    lines = np.zeros((128, 128, 3), np.uint8)
    lines[::2] = 200
    assert (look_at(lines).thumbnail == 100).all()
    darker, lighter = (look_at(np.full_like(lines, level)) for level in (100, 110))
    assert lighter.difference(darker) == 10
