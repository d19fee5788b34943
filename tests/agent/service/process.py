"""A station as its users run it: a process of its own, on a station file."""

from __future__ import annotations

import json
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
import zmq

from agent.bundle import open_bundle
from agent.engine import load_engine
from tests.agent.conftest import free_endpoint
from tests.tiny import write_tiny_bundle, write_tiny_record

ROOT = Path(__file__).resolve().parents[3]
RUNTIME = "onnxruntime"
START_S = 60.0
END_S = 20.0


def write_station(
    folder: Path, camera: dict[str, Any], threshold: float = 1000.0, **bundle_fields: Any
) -> Path:
    """A station on the tiny bundle, on ports of its own; returns the station file."""
    bundle_path = write_tiny_bundle(folder / "tiny.nlb", **bundle_fields)
    bundle = open_bundle(bundle_path)
    engine = load_engine(bundle, runtime=RUNTIME, precision="fp32")
    write_tiny_record(folder / "tiny.cal.json", bundle, engine.fingerprint, threshold)
    engine.close()
    path = folder / "station.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "station": {"site": "plant1", "line": "line3", "name": "st7"},
                "product": {"bundle": "tiny.nlb", "calibration": "tiny.cal.json"},
                "camera": camera,
                "engine": {"runtime": RUNTIME, "precision": "fp32"},
                "publish": {name: free_endpoint() for name in ("verdicts", "replay", "commands")},
                "journal": {"path": "journal.db"},
            }
        )
    )
    return path


def change_station(path: Path, **sections: dict[str, Any]) -> None:
    """Replace keys in sections of a station file."""
    content = yaml.safe_load(path.read_text())
    for section, keys in sections.items():
        content[section].update(keys)
    path.write_text(yaml.safe_dump(content))


class StationProcess:
    """`normline run` on a station file; entered, it is ready."""

    def __init__(self, path: Path) -> None:
        self.publish: dict[str, str] = yaml.safe_load(path.read_text())["publish"]
        self._errors = path.with_name("stderr.txt").open("a+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", str(path)],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
        )

    def __enter__(self) -> StationProcess:
        output = self._process.stdout
        assert output is not None
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            ready = output.readline() if selector.select(START_S) else b""
        assert b"is ready" in ready, self.stderr()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def capture_pids(self) -> list[int]:
        """Its capture process: the child of the server that forks it; none between two."""
        return [pid for server in _children(self.pid) for pid in _children(server)]

    def kill(self) -> None:
        """End as by the kernel or a power switch."""
        self._process.kill()
        self._process.wait(END_S)

    def terminate(self) -> int:
        """End as by systemd; returns the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; returns the exit code."""
        return self._process.wait(END_S)

    def stderr(self) -> str:
        """All that was logged so far, by every process on this station file."""
        self._errors.seek(0)
        return self._errors.read()


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [
        int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()
    ]


class Plc:
    """A peer of the command endpoint."""

    def __init__(self, context: zmq.Context, endpoint: str) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.set(zmq.RCVTIMEO, 10_000)
        self._socket.connect(endpoint)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        self._socket.send(json.dumps(request).encode())
        answer: dict[str, Any] = self._socket.recv_json()
        return answer
