"""What the demo runs on: the shipped bundle, its calibrations, and station files made from them."""

from __future__ import annotations

import shutil
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from agent.config import Publish
from agent.engine import RUNTIMES, installed_runtimes
from agent.engine.unsigned import levels
from agent.errors import InputError
from agent.record import read_record, write_record

PRECISION = "int8"
STATION = "station.yaml"
BUNDLE = "flange.nlb"
RECORD = "flange.cal.json"
DEFECT_RATE = 0.1
# Parts that the model was neither trained nor calibrated on.
SEED = 2026
RATE = 30


@dataclass(frozen=True)
class Kit:
    """A folder with `flange.nlb` and a calibration record for each runtime, `<runtime>.cal.json`.

    The one that is installed with normline is `Kit()`.
    """

    folder: Path = Path(__file__).parent

    @property
    def bundle(self) -> Path:
        return self.folder / BUNDLE

    def record(self, runtime: str) -> Path:
        """The calibration record made on `runtime`."""
        return self.folder / f"{runtime}.cal.json"

    def installed_runtime(self) -> str:
        """The first runtime that is installed here and that the bundle was calibrated on.

        Raises:
            InputError: there is none.
        """
        for runtime in installed_runtimes():
            if self.record(runtime).is_file():
                return runtime
        raise InputError(
            "no runtime is installed that the demo is calibrated on: "
            f"pip install {' or '.join(RUNTIMES)}"
        )


def free_endpoints() -> Publish:
    """Ports that nobody uses at the moment, so that a demo never disturbs a station."""
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.socket()) for name in Publish.model_fields}
        for each in sockets.values():
            each.bind(("127.0.0.1", 0))
        return Publish.model_validate(
            {name: f"tcp://127.0.0.1:{each.getsockname()[1]}" for name, each in sockets.items()}
        )


def camera_uri(parts: int | None) -> str:
    """The demo's camera. It waits for the line, so that a slow machine misses no part."""
    end = "" if parts is None else f"&parts={parts}"
    return f"synthetic://?rate={RATE}&defect_rate={DEFECT_RATE}&seed={SEED}&wait=true{end}"


def check_keepable(folder: Path) -> None:
    """See before the demo runs whether its files may be left in `folder`.

    Raises:
        InputError: it is not a folder, or not an empty one: a station may run from its files.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give a new one to keep the demo in")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} holds files already: give a new folder to keep the demo in")


def write_station(
    folder: Path, kit: Kit, runtime: str, endpoints: Publish, parts: int | None
) -> Path:
    """Lay out a station that runs the demo's product.

    Args:
        folder: made where missing; receives the station file, bundle and calibration record.
        parts: how many parts pass before the line ends; None for a line without end.

    Returns:
        The station file.

    Raises:
        InputError: the kit is incomplete or for another version of the runtime, or the folder
            cannot be written.
    """
    record = read_record(kit.record(runtime))
    here = import_module(f"agent.engine.{runtime}").version()
    if here != record.engine.version:
        raise InputError(
            f"the demo is calibrated on {runtime} {record.engine.version}, here is {here}: "
            f"pip install {runtime}=={record.engine.version}"
        )
    # Its limit was taken with all levels of INT8; with fewer it is no more than a demonstration.
    engine = record.engine.model_copy(update={"levels": levels("CPU", PRECISION)})
    station: dict[str, Any] = {
        "station": {"site": "demo", "line": "line1", "name": "flange"},
        "product": {"bundle": BUNDLE, "calibration": RECORD},
        "camera": {"uri": camera_uri(parts), "mode": "free_run"},
        "engine": {"runtime": runtime, "device": "CPU", "precision": PRECISION},
        "publish": endpoints.model_dump(),
        "journal": {"path": "journal.db"},
    }
    path = folder / STATION
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kit.bundle, folder / BUNDLE)
        # Nor what the engine said of the golden frames on the machine that calibrated.
        here = record.model_copy(update={"engine": engine, "golden_scores": []})
        write_record(folder / RECORD, here)
        path.write_text(yaml.safe_dump(station, sort_keys=False), "utf-8")
    except OSError as error:
        raise InputError(f"cannot set up the demo in {folder}: {error}") from error
    return path
