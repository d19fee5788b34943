"""Whatever is logged is one line of JSON."""

from __future__ import annotations

import json
import logging

import pytest

from agent.logs import log_to_stderr


def test_each_event_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("agent")
    before = logger.handlers, logger.level, logger.propagate
    try:
        log_to_stderr()
        log = logging.getLogger("agent.service.line")
        log.info("part %s\nis %s", "A17", "here")
        log.debug("not said")
        try:
            raise ValueError("why")
        except ValueError:
            log.exception("failed")
    finally:
        logger.handlers, logger.level, logger.propagate = before
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first["message"] == "part A17\nis here"
    assert (first["level"], first["logger"]) == ("info", "agent.service.line")
    assert first["time"].endswith("Z")
    assert "ValueError: why" in second["trace"]
