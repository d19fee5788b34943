"""The demo's processes: the real service, and a subscriber to it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from agent.config import Publish
from agent.demo.summary import Tally
from agent.errors import InputError
from agent.verdict import Verdict

# Loading the model on a slow machine is included.
START_LIMIT_S = 60.0
SILENCE_LIMIT_S = 15.0
LOOK_S = 0.2
# For the service to close its journal.
END_LIMIT_S = 5.0
LOG = "service.log"
USERS_MISTAKE = "normline: error: "


class LineStopped(Exception):
    """The line ended or went silent before its last part."""


class DemoLine:
    """Service and subscriber as processes; entering starts them, leaving ends them."""

    def __init__(self, station: Path, endpoints: Publish) -> None:
        """station: the station file; its folder also takes the service's log."""
        self._station = station
        self._endpoints = endpoints
        self._log = station.parent / LOG
        self._processes: list[subprocess.Popen[str]] = []
        self._heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> DemoLine:
        self._service = self._start(subprocess.DEVNULL, "agent", "run", str(self._station))
        subscriber = self._start(
            subprocess.PIPE,
            "agent.demo.subscriber",
            self._endpoints.verdicts,
            self._endpoints.replay,
        )
        threading.Thread(target=self._hear, args=(subscriber,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def follow(self, tally: Tally) -> Iterator[Verdict]:
        """The verdicts as they come, counted in `tally`, until it has one for every part.

        Raises:
            InputError: the service refuses to run; the message is the service's own.
            LineStopped: nothing more comes.
        """
        silent_after_s = time.monotonic() + START_LIMIT_S
        while not tally.done:
            try:
                message = json.loads(self._heard.get(timeout=LOOK_S))
            except queue.Empty:
                self._check_service()
                if time.monotonic() > silent_after_s:
                    raise LineStopped("no more verdicts come from the line") from None
                continue
            if "gap" in message:
                tally.gaps += message["gap"]
            elif "skipped" in message:
                tally.skipped = message["skipped"]
            elif "verdict" in message:
                silent_after_s = time.monotonic() + SILENCE_LIMIT_S
                verdict = Verdict.model_validate(message)
                if tally.add(verdict):
                    yield verdict

    def _start(self, stdout: int, *module: str) -> subprocess.Popen[str]:
        with self._log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                text=True,
                # Python looks for modules where it is started; not among somebody's own files.
                cwd=self._station.parent,
                # Ctrl-C goes to the demo alone, which then ends its processes in order.
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _hear(self, subscriber: subprocess.Popen[str]) -> None:
        assert subscriber.stdout is not None
        with subscriber.stdout as lines:
            for line in lines:
                self._heard.put(line)

    def _check_service(self) -> None:
        code = self._service.poll()
        if code is None:
            return
        last = (self._log.read_text().strip().splitlines() or ["it left no word"])[-1]
        if last.startswith(USERS_MISTAKE):
            raise InputError(last.removeprefix(USERS_MISTAKE))
        raise LineStopped(f"the service ended early (exit code {code}): {last}")
