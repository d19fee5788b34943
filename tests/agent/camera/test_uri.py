"""Camera addresses: strict, and never showing a password."""

from __future__ import annotations

import pytest

from agent.camera import open_camera
from agent.camera.uri import parse
from agent.errors import InputError


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("webcam", "no scheme"),
        ("gige://10.0.0.1", "no camera of scheme gige"),
        ("synthetic://?rat=3", "unknown key rat"),
        ("synthetic://?rate=fast", "rate: "),
        ("synthetic://?rate=-1", "rate: "),
        ("synthetic://?rate=nan", "rate: "),
        ("synthetic://?defect_rate=1.5", "defect_rate: "),
        ("synthetic://?parts=0", "parts: "),
        ("synthetic://?rate=1&rate=2", "given twice"),
        ("folder://relative/path", "three slashes"),
        ("folder:///nowhere/at/all", "is not a folder"),
        ("file:///nowhere.mp4", "no such file"),
        ("v4l2:///dev/video99", "no such device"),
        ("v4l2:///dev/video99?zoom=2", "unknown key zoom"),
        ("rtsp://host:port/x", "check its host and port"),
        ("folder:///data/lot#3", "has a # in it: write %23 instead"),
        ("folder:///data/lot?rate=5#3", "has a # in it"),
        ("folder:///data/lot#", "has a # in it"),
    ],
)
def test_a_wrong_address_is_refused_in_words(uri: str, said: str):
    with pytest.raises(InputError, match=said):
        open_camera(uri)


def test_shown_addresses_have_no_user_password_or_query():
    uri = parse("rtsp://anna:s3cret@camera.local:554/live?token=t0ken")
    assert uri.shown == "rtsp://camera.local:554/live"
    assert uri.text == "rtsp://anna:s3cret@camera.local:554/live?token=t0ken"


def test_a_password_with_a_number_sign_is_not_shown():
    with pytest.raises(InputError, match="has a # in it") as caught:
        parse("rtsp://anna:s3#cret@camera.local/live")
    assert "s3" not in str(caught.value) and "cret" not in str(caught.value)


def test_an_escaped_number_sign_names_the_folder():
    assert parse("folder:///data/lot%233").local_path() == "/data/lot#3"


def test_a_network_camera_that_is_not_there_is_refused_without_its_password():
    # Port 9 (discard) of the loopback refuses connections at once.
    with pytest.raises(InputError, match="does not open") as caught:
        open_camera("rtsp://anna:s3cret@127.0.0.1:9/live?token=t0ken")
    message = str(caught.value)
    assert "rtsp://127.0.0.1:9/live" in message
    assert "s3cret" not in message and "anna" not in message and "t0ken" not in message
