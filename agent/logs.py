"""Structured logs: one JSON object per line on stderr, as journald and log shippers take them."""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from contextlib import suppress
from datetime import datetime, timezone
from logging.handlers import QueueHandler, QueueListener
from types import TracebackType

log = logging.getLogger(__name__)

# Lines that wait while nobody takes any; those that come then are dropped, and counted.
MOST_LINES = 1000
# At the end, for the last lines to be taken.
LAST_LINES_S = 1.0


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, message, and the trace if any.

    `dropped`: so many lines are missing before it.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        fields: dict[str, str | int] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        if dropped := getattr(record, "dropped", 0):
            fields["dropped"] = dropped
        return json.dumps(fields)


class LinesAhead(QueueHandler):
    """Takes lines for a thread that writes them: who logs never waits for who reads."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: where to; an open file that nobody else closes."""
        self._lines: queue.Queue[logging.LogRecord] = queue.Queue(MOST_LINES)
        super().__init__(self._lines)
        self.setFormatter(JsonLines())
        self._dropped = 0
        self._writer = _Writer(self._lines, descriptor)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Let a line wait to be written, or drop it."""
        # Under the handler's lock: what has room now has it still when the line is put in.
        if self._lines.full():
            self._dropped += 1
            return
        record.dropped, self._dropped = self._dropped, 0
        super().emit(record)

    def flush(self) -> None:
        """Wait until all lines are written, but not long. Python does so at its end."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(
                lambda: not self._lines.unfinished_tasks, LAST_LINES_S
            )


class _Writer(QueueListener):
    """Not through `sys.stderr`, nor through a handler: Python waits for their locks at its end."""

    def __init__(self, lines: queue.Queue[logging.LogRecord], descriptor: int) -> None:
        super().__init__(lines)
        self._descriptor = descriptor

    def handle(self, record: logging.LogRecord) -> None:
        """Write a line, which is a record's whole message here, however long it takes."""
        line = f"{record.getMessage()}\n".encode()
        # Its reader is gone, or its disk is full: there is nobody to tell.
        with suppress(OSError):
            while line:
                line = line[os.write(self._descriptor, line) :]


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send what `agent` logs, from `level` on, to stderr as JSON lines; defects are logged too."""
    # Without a stderr its number is that of some other file.
    descriptor = os.dup(2) if sys.stderr is not None else os.open(os.devnull, os.O_WRONLY)
    logger = logging.getLogger("agent")
    logger.handlers = [LinesAhead(descriptor)]
    logger.setLevel(level)
    logger.propagate = False
    sys.excepthook = _tell
    threading.excepthook = _tell_of_thread


def flush_log() -> None:
    """Have what was logged before what is said next."""
    for handler in logging.getLogger("agent").handlers:
        handler.flush()


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("a defect of normline ends it", exc_info=(kind, error, trace))


def _tell_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        name = ended.thread.name if ended.thread is not None else "unknown"
        found = ended.exc_type, ended.exc_value, ended.exc_traceback
        log.critical("a defect of normline ends the thread %s", name, exc_info=found)
