"""Structured logs: one JSON object per line on stderr, as journald and log shippers take them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, message, and the trace if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        fields = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send what `agent` logs, from `level` on, to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("agent")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
