"""A station under proof, whoever triggers its parts, and whoever follows its verdicts."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import zmq

from agent.camera import product
from agent.client import Event, Gap, Position, ReplayClient, Subscriber
from agent.client.connection import connect
from agent.keys import ClientKey
from agent.messaging.status import Heartbeat
from agent.picture import encode_thumbnail, look_at
from agent.record import Picture, Spread, read_record, write_record
from agent.verdict import Verdict
from agent.view import View
from tests.tiny import tiny_frames

BEGINNING = Position(0, 0)
PICTURES = 20


def picture_folder(folder: Path) -> Path:
    """Small pictures of plain parts, for a camera that is faster than any line."""
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    # Even ones are good, odd ones carry a spot.
    for index, frame in enumerate(tiny_frames(PICTURES, (64, 64))):
        cv2.imwrite(str(pictures / f"{index:02d}.png"), np.asarray(frame))
    return pictures


def part_pictures(folder: Path) -> list[np.ndarray]:
    """Rendered parts, and files of them in `<folder>/parts`."""
    pictures = folder / "parts"
    pictures.mkdir(exist_ok=True)
    images = [product.render(1, index, 0.0)[0] for index in range(PICTURES)]
    for index, image in enumerate(images):
        cv2.imwrite(str(pictures / f"{index:02d}.png"), image)
    return images


def add_normal_look(record_path: Path, images: list[np.ndarray]) -> None:
    """Tell a calibration record how normal pictures look; the tiny model's frames are 64 x 64."""
    looks = [look_at(View((64, 64)).canvas(image)) for image in images]
    differences = [a.difference(b) for a, b in zip(looks, looks[1:], strict=False)]
    picture = Picture(
        brightness=Spread(values=sorted(look.brightness for look in looks)),
        sharpness=Spread(values=sorted(look.sharpness for look in looks)),
        saturated=Spread(values=sorted(look.saturated for look in looks)),
        difference=Spread(values=sorted(differences)),
        reference=encode_thumbnail(np.mean([look.thumbnail for look in looks], axis=0)),
    )
    record = read_record(record_path)
    write_record(record_path, record.model_copy(update={"schema_version": 2, "picture": picture}))


@contextmanager
def as_a_service(folder: Path) -> Iterator[None]:
    """Stations that are started meanwhile have a folder in memory, as systemd would give them."""
    folder.mkdir(exist_ok=True)
    os.environ["RUNTIME_DIRECTORY"] = str(folder)
    try:
        yield
    finally:
        del os.environ["RUNTIME_DIRECTORY"]


class Follower:
    """A subscriber in a thread of its own; what it has seen, in order of arrival."""

    def __init__(
        self, publish: dict[str, str], position: Position = BEGINNING, key: Path | None = None
    ) -> None:
        self._subscriber = Subscriber(
            publish["verdicts"], publish["replay"], position=position, key=key
        )
        self._stop = threading.Event()
        self._news = threading.Condition()
        self.verdicts: list[Verdict] = []
        self.arrived_s: list[float] = []
        self.gaps: list[Gap] = []
        self.beats: list[Heartbeat] = []
        self.by_part: dict[str, list[Verdict]] = defaultdict(list)
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, reached: Any, timeout_s: float) -> bool:
        """Wait until `reached()` holds, which is asked after every event."""
        with self._news:
            return self._news.wait_for(reached, timeout_s)

    def _follow(self) -> None:
        with self._subscriber as subscriber:
            while not self._stop.is_set():
                event = subscriber.receive(0.1)
                if event is not None:
                    with self._news:
                        self._note(event)
                        self._news.notify_all()

    def _note(self, event: Event) -> None:
        if isinstance(event, Verdict):
            self.verdicts.append(event)
            self.arrived_s.append(time.monotonic())
            self.by_part[event.part_id].append(event)
        elif isinstance(event, Gap):
            self.gaps.append(event)
        elif isinstance(event, Heartbeat):
            self.beats.append(event)


class Driver:
    """A PLC that triggers without waiting for the answer, and notes what was accepted."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        key: ClientKey | None = None,
    ) -> None:
        self._socket = connect(context, zmq.DEALER, endpoint, key)
        self._socket.set(zmq.LINGER, 0)
        self.triggered: dict[str, float] = {}
        self.accepted: set[str] = set()
        self.refused: dict[str, str] = {}

    @property
    def unanswered(self) -> int:
        """Triggers whose answer has not come."""
        return len(self.triggered) - len(self.accepted) - len(self.refused)

    def trigger(self, part_id: str, **more: Any) -> None:
        """Send a trigger."""
        self.triggered[part_id] = time.monotonic()
        self._socket.send_json({"op": "trigger", "part_id": part_id, **more})

    def listen(self, timeout_s: float) -> None:
        """Take in the answers that come within the time."""
        end_s = time.monotonic() + timeout_s
        while self._socket.poll(max(0, (end_s - time.monotonic()) * 1000)):
            self._hear()

    def settle(self, timeout_s: float) -> bool:
        """Wait until every trigger is answered; False when that takes longer."""
        end_s = time.monotonic() + timeout_s
        while self.unanswered and (left_s := end_s - time.monotonic()) > 0:
            if self._socket.poll(left_s * 1000):
                self._hear()
        return not self.unanswered

    def close(self) -> None:
        """Hear what still lies there, and close."""
        self.listen(0)
        self._socket.close()

    def _hear(self) -> None:
        answer = json.loads(self._socket.recv())
        if answer.get("op") != "trigger":
            raise RuntimeError(f"unexpected answer {answer}")
        if answer["accepted"]:
            self.accepted.add(answer["part_id"])
        else:
            self.refused[answer["part_id"]] = answer["reason"]


def stored_verdicts(publish: dict[str, str], key: ClientKey | None = None) -> list[Verdict]:
    """All that a running station's journal holds, as its replay endpoint gives it."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    client = ReplayClient(context, publish["replay"], 30.0, key)
    position, found, more = BEGINNING, [], True
    try:
        while more:
            snapshot = client.snapshot(since=position.epoch)
            for stored in snapshot.missing(position):
                found += client.replay(stored.epoch, stored.first_seq, stored.last_seq)
                position = Position(stored.epoch, stored.last_seq)
            more = snapshot.more
    finally:
        client.close()
        context.term()
    return found
