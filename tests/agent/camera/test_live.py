"""Live cameras through OpenCV, with a driver that behaves as drivers do."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.camera import CameraFault, live, open_camera, opencv, rate, v4l2
from agent.camera.uri import parse
from agent.errors import InputError

IMAGE = np.zeros((480, 640, 3), np.uint8)
YUYV, YVYU, MJPG = (cv2.VideoWriter.fourcc(*letters) for letters in ("YUYV", "YVYU", "MJPG"))


class Driver:
    """An opened cv2.VideoCapture whose clock moves by what each grab takes.

    properties: what it has, whatever it is asked; takes_s: seconds for each grab, the last one
    for all that follow; decodes_s: of these for decoding; after `frames` grabs there is nothing
    more.
    """

    RUSAGE_THREAD = 1
    # A grab that takes so long has waited for a core alone.
    held_up_s = 0.0901

    def __init__(
        self, properties=None, takes_s=(0.1,), frames=1000, images=(IMAGE,), decodes_s=0.0
    ):
        self.properties = {cv2.CAP_PROP_FPS: 10.0, **(properties or {})}
        self.takes_s, self.frames, self.images = list(takes_s), frames, list(images)
        self.now, self.grabbed, self.released = 0.0, 0, False
        self.asked: list[tuple[int, float]] = []
        self.decodes_s, self.worked_s, self.ru_nvcsw = decodes_s, 0.0, 0

    def thread_time(self) -> float:
        return self.worked_s

    def getrusage(self, of: int) -> Driver:
        return self

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        return int(self.now * 1e9)

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, name: int, value: float) -> bool:
        self.asked.append((name, value))
        return True

    def get(self, name: int) -> float:
        return self.properties.get(name, 0.0)

    def grab(self) -> bool:
        takes_s = self.takes_s.pop(0) if len(self.takes_s) > 1 else self.takes_s[0]
        self.now += takes_s
        self.worked_s += self.decodes_s
        self.ru_nvcsw += takes_s not in (0, self.decodes_s, self.held_up_s)
        self.grabbed += 1
        return self.grabbed <= self.frames

    def retrieve(self):
        return True, self.images.pop(0) if len(self.images) > 1 else self.images[0]

    def read(self):
        return self.retrieve() if self.grab() else (False, None)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def open_driver(monkeypatch: pytest.MonkeyPatch):
    def open_driver(driver: Driver, query: str = "") -> live.LiveCamera:
        monkeypatch.setattr(opencv.cv2, "VideoCapture", lambda *_: driver)
        monkeypatch.setattr(live, "time", driver)
        monkeypatch.setattr(live, "resource", driver)
        monkeypatch.setattr(rate, "time", driver)
        return v4l2.open_v4l2(parse(f"v4l2:///dev/null{query}"))

    return open_driver


def test_a_camera_that_may_show_a_part_of_the_picture_before_is_refused(
    open_driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the good part before it passed for the part that was there."""
    asked: list[object] = []
    monkeypatch.setattr(v4l2, "shows_incomplete", lambda *given: asked.append(given) or True)
    driver = Driver({cv2.CAP_PROP_FOURCC: YUYV})
    with pytest.raises(InputError, match=r"sends YUYV.*ask for format=MJPG"):
        open_driver(driver)
    assert asked == [(Path("/dev/null"), "YUYV")] and driver.released


def test_frames_that_waited_in_a_buffer_are_passed_over(open_driver):
    # The first frame opens the camera; then three stale ones come at once after a stall.
    driver = Driver(takes_s=[0.1, 0.0005, 0.0005, 0.0005, 0.08])
    camera = open_driver(driver)
    frame = camera.read()
    assert driver.grabbed == 5
    assert frame.frame_id == 0
    assert frame.captured_ns == driver.monotonic_ns()


def test_frames_that_waited_are_passed_over_however_long_they_take_to_decode(open_driver):
    """Decoding passed for waiting, and each was half a second old; so did waiting for a core."""
    driver = Driver(takes_s=[0.1, 0.05, 0.055, Driver.held_up_s, 0.05, 0.1], decodes_s=0.05)
    camera = open_driver(driver)
    assert [camera.read().frame_id for _ in range(2)] == [0, 1]
    assert driver.grabbed == 7


def test_a_camera_that_never_catches_up_is_a_fault(open_driver):
    camera = open_driver(Driver(takes_s=[0.1, 0.0]))
    with pytest.raises(CameraFault, match="never catch up"):
        camera.read()


def test_no_more_frames_is_a_fault(open_driver):
    camera = open_driver(Driver(frames=2))
    camera.read()
    with pytest.raises(CameraFault, match="no frame"):
        camera.read()


def test_opening_without_a_first_frame_is_refused_and_lets_go_of_the_device(open_driver):
    driver = Driver(frames=0)
    with pytest.raises(InputError, match="gives no frame"):
        open_driver(driver)
    assert driver.released


def test_a_camera_whose_pictures_are_all_damaged_says_so(open_driver, monkeypatch):
    """It read on for a whole one for ever, and was taken for one that does not open."""
    monkeypatch.setattr(live.decoder, "damage", lambda: "premature end of JPEG file")
    driver = Driver(frames=1_000_000)
    with pytest.raises(InputError, match=r"damaged pictures alone .*premature end of JPEG file"):
        open_driver(driver)
    assert driver.grabbed < 1000 and driver.released


def test_another_picture_size_under_way_is_a_fault(open_driver):
    camera = open_driver(Driver(images=[IMAGE, IMAGE[:240]]))
    with pytest.raises(CameraFault, match="size"):
        camera.read()


@pytest.mark.parametrize(
    ("query", "has", "differs"),
    [
        ("?width=1280", {cv2.CAP_PROP_FRAME_WIDTH: 640}, "width 1280, the camera has 640"),
        ("?height=720", {cv2.CAP_PROP_FRAME_HEIGHT: 480}, "height 720, the camera has 480"),
        ("?fps=60", {cv2.CAP_PROP_FPS: 30}, "fps 60, the camera has 30"),
        ("?exposure=157", {cv2.CAP_PROP_EXPOSURE: 500}, "exposure 157, the camera has 500"),
        ("?gain=0", {cv2.CAP_PROP_GAIN: 16}, "gain 0, the camera has 16"),
        ("?format=MJPG", {cv2.CAP_PROP_FOURCC: YUYV}, "format MJPG, the camera has YUYV"),
        # As numbers the two are alike within the rounding of a driver.
        ("?format=YUYV", {cv2.CAP_PROP_FOURCC: YVYU}, "format YUYV, the camera has YVYU"),
        ("?format=YUYV", {cv2.CAP_PROP_FOURCC: -1}, "format YUYV, the camera has none that it"),
        ("?format=YUYV", {cv2.CAP_PROP_FOURCC: YUYV}, None),
        # Rounding by the driver is no mismatch.
        ("?fps=30", {cv2.CAP_PROP_FPS: 29.97}, None),
        ("?exposure=157", {cv2.CAP_PROP_EXPOSURE: 156}, None),
    ],
)
def test_settings_are_read_back(open_driver, query: str, has: dict, differs: str | None):
    driver = Driver(properties=has)
    if differs is None:
        open_driver(driver, query)
        return
    with pytest.raises(InputError, match=differs):
        open_driver(driver, query)
    assert driver.released


def test_settings_are_what_the_driver_has_and_size_is_what_it_delivers(open_driver):
    driver = Driver(properties={cv2.CAP_PROP_EXPOSURE: 156.2})
    camera = open_driver(driver, "?exposure=157")
    assert camera.settings() == {
        "scheme": "v4l2",
        "width": 640,
        "height": 480,
        "exposure": 156.2,
    }


def test_the_format_is_set_before_what_it_decides_and_is_in_the_settings(open_driver):
    """One that the driver chose anew gave other pictures under the same settings."""
    driver = Driver(properties={cv2.CAP_PROP_FOURCC: MJPG, cv2.CAP_PROP_FRAME_WIDTH: 640})
    camera = open_driver(driver, "?width=640&fps=10&format=MJPG")
    set_in_turn = [name for name, _ in driver.asked if name != cv2.CAP_PROP_BUFFERSIZE]
    assert (cv2.CAP_PROP_FOURCC, MJPG) in driver.asked
    assert set_in_turn == [cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FPS]
    assert camera.settings()["format"] == "MJPG"


@pytest.mark.parametrize("letters", ["YUY", "YUYV2", "Y%C3%BCYV"])
def test_a_format_of_other_than_four_letters_is_refused(open_driver, letters: str):
    with pytest.raises(InputError, match="format"):
        open_driver(Driver(), f"?format={letters}")


@pytest.mark.parametrize("fps", [0.0, 90000.0])
@pytest.mark.parametrize("period_s", [1 / 60, 1 / 30, 1 / 10, 1 / 5])
def test_a_rate_that_no_camera_has_is_measured(open_driver, fps: float, period_s: float):
    # Sixty frames waited in buffers and had to be decoded; one late one is chance.
    takes_s = [0.1, *[0.005] * 60, 2 * period_s, *[period_s] * 60]
    driver = Driver(properties={cv2.CAP_PROP_FPS: fps}, takes_s=takes_s)
    camera = open_driver(driver)
    assert camera.period_s == pytest.approx(max(period_s, 0.2))
    # After a stall two more wait.
    driver.takes_s = [0.002, 0.002, 0.8 * period_s]
    before = driver.grabbed
    camera.read()
    assert driver.grabbed == before + 3


def test_a_camera_some_of_whose_frames_are_late_opens_and_gives_fresh_ones(open_driver):
    """The longest waits that agreed took too little time, and no others were tried: after three
    seconds the very longest was taken, and hardly a frame was fresh enough for that."""
    takes_s = [wait for late in (0.1, 0.07, 0.12, 0.09, 0.5) for wait in (*[1 / 30] * 5, late)]
    driver = Driver({cv2.CAP_PROP_FPS: 0.0}, takes_s * 20)
    camera = open_driver(driver)
    assert driver.now < live.USUAL_PERIOD_S + rate.MEASURED_S
    before = driver.grabbed
    assert [camera.read().frame_id for _ in range(30)] == list(range(30))
    assert driver.grabbed == before + 30


def test_where_no_waits_agree_for_long_one_that_is_alone_does_not_count(open_driver):
    spread = [*[0.02] * 16, *[0.04] * 8, *[0.08] * 4, *[0.16] * 2]
    driver = Driver({cv2.CAP_PROP_FPS: 0.0}, [*spread, 1.0, *spread * 20])
    camera = open_driver(driver)
    assert rate.LONGEST_MEASURED_S <= driver.now < rate.LONGEST_MEASURED_S + 0.2
    before = driver.grabbed
    camera.read()
    assert driver.grabbed == before + 1


def test_a_rate_that_is_told_is_believed(open_driver):
    camera = open_driver(Driver(properties={cv2.CAP_PROP_FPS: 30.0}, takes_s=[0.5]))
    assert camera.period_s == pytest.approx(1 / 30)


def test_a_camera_that_falls_silent_while_its_rate_is_measured_is_refused(open_driver):
    driver = Driver(properties={cv2.CAP_PROP_FPS: 0.0}, frames=3)
    with pytest.raises(InputError, match="stops giving frames"):
        open_driver(driver)
    assert driver.released


class OwnTrigger(Driver):
    """A camera that exposes when a part comes; without one the driver waits and gives up."""

    def __init__(self, comes: list[bool], waits_s: float = live.V4L2_WAITS_S, **more) -> None:
        sides = {cv2.CAP_PROP_FRAME_HEIGHT: 480.0, cv2.CAP_PROP_FRAME_WIDTH: 640.0}
        super().__init__(properties=sides, **more)
        self.comes, self.waits_s = comes, waits_s

    def grab(self) -> bool:
        self.grabbed += 1
        comes = self.comes.pop(0)
        self.now += 0.001 if comes else self.waits_s
        return comes


@pytest.fixture
def open_own_trigger(monkeypatch: pytest.MonkeyPatch):
    def open_own_trigger(driver: Driver) -> live.LiveCamera:
        monkeypatch.setattr(opencv.cv2, "VideoCapture", lambda *_: driver)
        monkeypatch.setattr(live, "time", driver)
        return open_camera("v4l2:///dev/null", every_frame=True)

    return open_own_trigger


def test_a_camera_with_its_own_trigger_opens_without_a_part_and_gives_every_one(open_own_trigger):
    driver = OwnTrigger([False, True, True, False, True])
    camera = open_own_trigger(driver)
    assert driver.grabbed == 0
    # While nobody reads, none of as many as the driver can keep is lost.
    assert driver.asked == [(cv2.CAP_PROP_BUFFERSIZE, 10)]
    assert [camera.read().frame_id for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("comes", [[True, True], [False, False, True, False, True]])
def test_a_part_whose_picture_opencv_threw_away_is_counted(open_own_trigger, comes: list[bool]):
    """It does so with the first, also where it then waits in vain for the next; whoever counted
    parts had each verdict for the part before."""
    driver = OwnTrigger(comes)
    driver.properties[cv2.CAP_PROP_POS_MSEC] = 1234.5  # when the last one came
    camera = open_own_trigger(driver)
    assert [camera.read().frame_id for _ in range(2)] == [1, 2]


def test_a_camera_with_its_own_trigger_that_is_gone_is_a_fault(open_own_trigger):
    camera = open_own_trigger(OwnTrigger([False, False], waits_s=0.01))
    with pytest.raises(CameraFault, match="no frame"):
        camera.read()


def test_a_camera_with_its_own_trigger_must_tell_its_size(open_own_trigger):
    driver = OwnTrigger([True])
    driver.properties[cv2.CAP_PROP_FRAME_WIDTH] = 0.0
    with pytest.raises(InputError, match="size of its frames"):
        open_own_trigger(driver)
    assert driver.released


def test_a_stream_is_no_camera_with_a_trigger_of_its_own():
    with pytest.raises(InputError, match="use mode triggered or free_run"):
        open_camera("rtsp://127.0.0.1:9/live", every_frame=True)
