"""Cameras that share an engine get their own frames' answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from agent.bundle import Bundle, open_bundle
from agent.engine import RUNTIMES, EngineFault, SharedEngine, load_engine
from agent.errors import InputError
from tests.tiny import tiny_frames, write_tiny_bundle

SIZE = (64, 64)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.nlb", SIZE))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_four_cameras_on_two_streams_get_their_own_answers(bundle: Bundle, runtime: str) -> None:
    frames = tiny_frames(40, SIZE)
    alone = load_engine(bundle, runtime=runtime)
    expected = [alone.infer(frame) for frame in frames]
    alone.close()
    shared = SharedEngine(load_engine(bundle, runtime=runtime, streams=2), 2)
    with ThreadPoolExecutor(4) as cameras:
        found = list(cameras.map(shared.infer, frames))
    shared.close()
    assert len({answer.score for answer in expected}) == len(frames)
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        np.testing.assert_allclose(one.anomaly_map, other.anomaly_map, atol=1e-4)


def test_a_bad_frame_of_one_camera_leaves_the_stream_to_the_next(bundle: Bundle) -> None:
    shared = SharedEngine(load_engine(bundle, runtime="onnxruntime", streams=1), 1)
    with pytest.raises(InputError, match="takes uint8"):
        shared.infer(np.zeros((8, 8, 3), np.uint8))
    assert np.isfinite(shared.infer(tiny_frames(1, SIZE)[0]).score)
    shared.close()


def test_a_fault_reaches_the_camera_that_asked(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load_engine(bundle, runtime="onnxruntime")

    def fail(frame: np.ndarray) -> None:
        raise EngineFault("it broke")

    monkeypatch.setattr(engine, "_run", fail)
    shared = SharedEngine(engine, 1)
    for _ in range(2):
        with pytest.raises(EngineFault, match="it broke"):
            shared.infer(tiny_frames(1, SIZE)[0])
    shared.close()


def test_the_camera_that_waited_longest_is_next(bundle: Bundle) -> None:
    """A busy camera that comes back at once does not overtake one that waits."""
    engine = load_engine(bundle, runtime="onnxruntime")
    shared = SharedEngine(engine, 1)
    frame, order, turn = tiny_frames(1, SIZE)[0], [], Event()
    answer = engine.infer

    def slow(asked: np.ndarray) -> object:
        turn.wait(10)
        return answer(asked)

    engine.infer = slow  # type: ignore[method-assign,assignment]

    def camera(name: str, frames: int) -> None:
        for _ in range(frames):
            shared.infer(frame)
            order.append(name)

    with ThreadPoolExecutor(2) as cameras:
        busy = cameras.submit(camera, "busy", 3)
        while shared._free:
            pass
        waiting = cameras.submit(camera, "waiting", 1)
        while not shared._waiting:
            pass
        turn.set()
        busy.result(), waiting.result()
    assert order.index("waiting") <= 1
    shared.close()
