"""From a station file to a running station, or to one clear line that says why not."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import cv2
import zmq

from agent.age import shortcomings
from agent.bundle import Bundle, open_bundle
from agent.camera import Settings, settings_digest
from agent.camera.uri import parse
from agent.capture import Capture
from agent.config import Station, load_station
from agent.engine import Engine, golden_scores, load_engine, self_test
from agent.errors import InputError
from agent.evidence import EvidenceStore
from agent.journal import Journal, Retention, open_journal
from agent.keys import KeyFolder
from agent.messaging.door import Door
from agent.messaging.publisher import Publisher
from agent.messaging.replay import ReplayServer
from agent.messaging.topics import Address
from agent.record import CalibrationRecord, check_record, check_repeated, read_record
from agent.service.calibration import CalibrationFile
from agent.service.commands import CommandDesk
from agent.service.equipment import Equipment
from agent.service.faults import Faults
from agent.service.herald import Herald
from agent.service.inspect import Inspector
from agent.service.line import Line
from agent.service.notify import Notifier
from agent.service.results import Recipe, Results
from agent.service.watchdog import Watchdog
from agent.service.worker import Worker
from agent.signals import on_end, own_handlers
from agent.view import View

log = logging.getLogger(__name__)

SIMULATED = frozenset({"synthetic", "folder", "file"})
STREAMS = frozenset({"rtsp", "rtsps"})
EIGHT_BITS = STREAMS | {"v4l2", "file"}


def run_station(path: Path, on_ready: Callable[[Station], None]) -> None:
    """Run a station until it is asked to end, or the end of its camera's frames.

    Args:
        path: the station file.
        on_ready: called once, when the station is Ready.

    Raises:
        InputError: the station cannot become Ready; nothing of it is left running.
    """
    station = load_station(path)
    # OpenCV's second thread waits for work by asking for the core again and again, which the engine
    # wants; what a picture takes before it, even of five megapixels, takes no longer without.
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        # The last to be undone: who is asked to end again still has a journal to close.
        stack.enter_context(own_handlers())
        bundle, scheme = open_bundle(station.product.bundle), parse(station.camera.uri).scheme
        if bundle.manifest.window is not None and scheme in EIGHT_BITS:
            raise InputError(
                f"the model is of 16-bit pictures, and a camera of {scheme}:// gives 8 bits: train "
                "on what the camera gives"
            )
        latency_ms = station.camera.latency_ms
        if scheme in STREAMS and station.camera.mode == "triggered" and latency_ms is None:
            raise InputError(
                f"a picture of {scheme}:// shows what was there some time ago, maybe the part "
                "before: measure the longest that one takes and give it as camera.latency_ms"
            )
        engine = _checked_engine(station, bundle, read_record(station.product.calibration))
        stack.callback(engine.close)
        # Once: while it inspects, the engine has no time for records that are put in its place.
        scores = golden_scores(engine, bundle)
        capture = stack.enter_context(
            Capture(
                station.camera.uri,
                station.camera.mode,
                pending_limit=station.camera.pending_limit,
                latency_ms=latency_ms or 0,
            )
        )
        capture.start()
        simulated = scheme in SIMULATED

        def check(record: CalibrationRecord) -> None:
            check_record(record, bundle, engine.fingerprint)
            check_repeated(record, scores)
            check_camera(record, capture.settings, simulated)

        calibration = CalibrationFile(station.product.calibration, check)
        record = calibration.record
        journal = _open_journal(station)
        stack.callback(_close_journal, journal)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.term)
        door = Door(context, KeyFolder(station.keys) if station.keys else None)
        stack.callback(door.close)
        address = Address(station.station.site, station.station.line, station.station.name)
        publisher = Publisher(door, station.publish.verdicts, address.welcome)
        stack.callback(publisher.close)
        manifest = bundle.manifest
        desk = CommandDesk(door, station.publish.commands, journal, manifest.product)
        stack.callback(desk.close)
        evidence = _open_evidence(station)
        if evidence is not None:
            stack.callback(evidence.close)
        recipe = Recipe(
            address.verdict(manifest.product),
            address.late(manifest.product),
            manifest.product,
            bundle.sha256,
            simulated,
        )
        notifier = Notifier()
        stack.callback(notifier.close)
        inspector = Inspector(engine, record, View.of(bundle), journal)
        worker = Worker(inspector)
        stack.callback(worker.close)
        watchdog = Watchdog(notifier, capture, inspector, worker)
        line = Line(
            Equipment(
                mode=station.camera.mode,
                deadline_ms=station.camera.deadline_ms,
                pending_limit=station.camera.pending_limit,
                capture=capture,
                worker=worker,
                journal=journal,
                results=Results(recipe, record.threshold, journal, publisher.send, evidence),
                herald=Herald(
                    address, journal, door, publisher, notifier, watchdog, record, evidence
                ),
                faults=Faults(stop_without_journal=station.journal.on_fault == "stop"),
            )
        )
        replay = ReplayServer(door, station.publish.replay, journal, lambda: line.state)
        stack.callback(replay.close)

        def alive() -> bool:
            return replay.alive and door.alive and journal.alive

        on_end(lambda number, _: line.halt(signal.Signals(number).name))
        _run(line, desk, alive, calibration, lambda: on_ready(station))


def _checked_engine(station: Station, bundle: Bundle, record: CalibrationRecord) -> Engine:
    settings = station.engine
    engine = load_engine(
        bundle, runtime=settings.runtime, device=settings.device, precision=settings.precision
    )
    try:
        check_record(record, bundle, engine.fingerprint)
        # The golden frames also warm the engine up: the first part is as fast as the next.
        deviation = self_test(engine, bundle)
    except InputError:
        engine.close()
        raise
    log.info("%s: scores within %.3g of the golden ones", engine.fingerprint, deviation.score)
    for lack in shortcomings(bundle.manifest):
        log.warning("the bundle: %s", lack)
    return engine


def check_camera(record: CalibrationRecord, settings: Settings, simulated: bool) -> None:
    """Compare the camera with the one that the threshold was taken on.

    A simulated camera only brings a warning: replaying files on another machine is what it is for.

    Raises:
        InputError: a real camera is set otherwise; names what differs.
    """
    differences = _differences(record, settings)
    if not differences:
        return
    message = (
        f"the camera is set otherwise than for the calibration ({', '.join(differences)}): "
        "set it back, or calibrate"
    )
    if not simulated:
        raise InputError(message)
    log.warning("%s", message)


def _differences(record: CalibrationRecord, settings: Settings) -> list[str]:
    found = []
    taken = record.camera_settings
    if taken is not None:
        found = [
            f"{name} {settings.get(name, 'not set')} instead of {taken.get(name, 'not set')}"
            for name in sorted(taken.keys() | settings.keys())
            if taken.get(name) != settings.get(name)
        ]
    elif record.camera_settings_digest not in (None, settings_digest(settings)):
        found = ["the calibration does not say what"]
    elif record.frame_size is not None and {"width", "height"} <= settings.keys():
        height, width = record.frame_size
        if (settings["height"], settings["width"]) != record.frame_size:
            found = [
                f"images of {settings['width']}x{settings['height']} instead of {width}x{height}"
            ]
    return found


def _run(
    line: Line,
    desk: CommandDesk,
    alive: Callable[[], bool],
    calibration: CalibrationFile,
    on_ready: Callable[[], None],
) -> None:
    cause = "a defect of normline"
    try:
        line.begin()
        on_ready()
        while line.turn(desk):
            desk.serve(line)
            if (record := calibration.replaced()) is not None:
                line.adopt(record)
            if not alive():
                raise RuntimeError("a thread of the station has ended: see the log")
        cause = line.ended_by
    except InputError as error:
        cause = str(error)
        raise
    finally:
        line.end(cause)


def _open_journal(station: Station) -> Journal:
    settings = station.journal
    retention = Retention(settings.acknowledged_days, settings.max_mb)
    return open_journal(settings.path, retention, settings.on_fault)


def _open_evidence(station: Station) -> EvidenceStore | None:
    settings = station.evidence
    if settings.path is None:
        return None
    return EvidenceStore(
        settings.path,
        keep=settings.keep,
        max_mb=settings.max_mb,
        min_free_mb=settings.min_free_mb,
    )


def _close_journal(journal: Journal) -> None:
    if not journal.close():
        log.error("the journal could not take the last verdicts")
