"""From capture to the verdict on the wire, of --station or the demo, against the engine alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import yaml
import zmq

from agent.bundle import open_bundle
from agent.camera import product
from agent.config import Station, load_station
from agent.demo.kit import Kit, free_endpoints
from agent.demo.kit import write_station as write_demo_station
from agent.engine import load_engine
from agent.imaging import list_images, read_image
from agent.latency import Latency, measure_latency
from agent.verdict import Verdict
from agent.view import View
from tests.agent.conftest import free_endpoint
from tests.agent.service.process import ROOT, StationProcess, change_station
from tests.prove.scenario import Check, Work
from tests.prove.station import Follower

COUNT = 1000
# A core that has slept since the last part is slower than one that has not: a line of either kind.
PARTS_A_SECOND = (25, 60)
PICTURES = 100
FRAMES = 8
MESSAGES = 2000
TOPIC = b"v1/a/b/c/verdict/tiny/"

PUBLISH = """
import sys, time, zmq
from agent.messaging.door import Door
from agent.messaging.publisher import Publisher
context = zmq.Context()
publisher = Publisher(Door(context, None), sys.argv[1], b"welcome/")
publisher._listener.socket.recv()  # somebody has subscribed
for _ in range(int(sys.argv[2])):
    time.sleep(0.005)
    publisher.send(sys.argv[3].encode(), b"%020d" % time.monotonic_ns() + b" " * 600)
time.sleep(0.5)
"""


def prove(work: Work) -> Iterator[Check]:
    own = load_station(work.station or _demo_station(work.folder))
    pictures = urlsplit(own.camera.uri).path
    alone = [_engine_latency(own, Path(pictures))]
    for rate in PARTS_A_SECOND:
        folder = work.folder / f"{rate}"
        folder.mkdir(exist_ok=True)
        station_file = _write(own, folder, f"folder://{pictures}?rate={rate}&loop=true")
        verdicts = _verdicts(station_file, work.count, 60 + 2 * work.count / rate)
        alone.append(_engine_latency(own, Path(pictures)))
        yield Check(
            f"parts heard at {rate} parts/s",
            f"{len(verdicts)} of {work.count}",
            len(verdicts) >= work.count,
        )
        yield from _judge(rate, verdicts, alone[-2:])
    yield _wire(work.folder)


def _demo_station(folder: Path) -> Path:
    pictures = folder / "parts"
    pictures.mkdir(exist_ok=True)
    for index in range(PICTURES):
        cv2.imwrite(str(pictures / f"{index:03d}.png"), product.render(3, index, 0.0)[0])
    kit = Kit()
    path = write_demo_station(folder / "own", kit, kit.installed_runtime(), free_endpoints(), None)
    change_station(path, camera={"uri": f"folder://{pictures}"})
    return path


def _write(own: Station, folder: Path, uri: str) -> Path:
    """The station on that camera, with ports and a journal of its own."""
    settings = own.model_dump(mode="json", exclude={"keys", "evidence"}, exclude_none=True)
    settings["camera"] = {"uri": uri, "mode": "free_run"}
    settings["publish"] = {key: free_endpoint() for key in ("verdicts", "replay", "commands")}
    settings["journal"] = {"path": "journal.db"}
    path = folder / "station.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def _verdicts(station_file: Path, count: int, limit_s: float) -> list[Verdict]:
    with StationProcess(station_file) as station, Follower(station.publish) as follower:
        follower.wait_for(lambda: len(follower.verdicts) >= count, limit_s)
        return list(follower.verdicts)


def _engine_latency(own: Station, pictures: Path) -> Latency:
    bundle = open_bundle(own.product.bundle)
    engine = load_engine(bundle, **own.engine.model_dump())
    view = View.of(bundle)
    try:
        canvases = [view.canvas(read_image(path)) for path in list_images(pictures)[:FRAMES]]
        frames = np.stack([cv2.resize(canvas, engine.input_size[::-1]) for canvas in canvases])
        return measure_latency(engine, view, frames, samples=400, limit_s=10.0)
    finally:
        engine.close()


def _judge(rate: int, verdicts: list[Verdict], engine: list[Latency]) -> Iterator[Check]:
    taken = []
    for verdict, following in zip(verdicts, verdicts[1:], strict=False):
        durations = verdict.durations_ms
        stages = (durations.queue, durations.inference, durations.decide)
        publish = following.durations_ms.publish
        if None not in stages and publish is not None:
            taken.append(sum(stage or 0.0 for stage in stages) + publish)
    p50, p99 = np.percentile(taken, [50, 99])
    engine_p50 = sum(each.p50_ms for each in engine) / len(engine)
    engine_p99 = max(each.p99_ms for each in engine)
    yield Check(
        f"capture to verdict at {rate} parts/s: p50 at most the engine's + 3 ms",
        f"{p50:.2f} ms, engine alone {engine_p50:.2f} ms, {len(taken)} parts",
        bool(p50 <= engine_p50 + 3),
    )
    yield Check(
        f"capture to verdict at {rate} parts/s: p99 at most 1.3 x p50",
        f"{p99:.2f} ms = {p99 / p50:.2f} x p50; engine alone {engine_p99 / engine_p50:.2f} x",
        bool(p99 <= 1.3 * p50),
    )


def _wire(folder: Path) -> Check:
    """Send between two processes as a station does, and time each message."""
    endpoint = free_endpoint()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    subscriber = context.socket(zmq.SUB)
    subscriber.connect(endpoint)
    subscriber.set(zmq.SUBSCRIBE, TOPIC)
    publishing = subprocess.Popen(
        [sys.executable, "-c", PUBLISH, endpoint, str(MESSAGES), TOPIC.decode()], cwd=ROOT
    )
    taken = []
    while len(taken) < MESSAGES and subscriber.poll(10_000):
        payload = subscriber.recv_multipart()[1]
        taken.append((time.monotonic_ns() - int(payload[:20])) / 1e6)
    publishing.wait()
    context.destroy(linger=0)
    p50, p99 = np.percentile(taken, [50, 99])
    return Check(
        "publish to receive on loopback: p99 at most 1 ms",
        f"p50 {p50:.3f} ms, p99 {p99:.3f} ms, {len(taken)} of {MESSAGES} messages",
        bool(p99 <= 1.0 and len(taken) == MESSAGES),
    )
