"""Whatever is logged is one line of JSON, and holds up nobody."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from agent import logs
from agent.logs import LinesAhead

LIMIT_S = 20.0
# More than a pipe holds that nobody reads.
LONG = "x" * 100_000


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[BinaryIO, logging.Logger]]:
    """What is logged, to be read or not, and a logger of its own."""
    monkeypatch.setattr(logs, "LAST_LINES_S", LIMIT_S)
    monkeypatch.setattr(logs, "MOST_LINES", 5)
    reading, writing = os.pipe()
    logger = logging.Logger("agent.service.line")
    logger.addHandler(LinesAhead(writing))
    with os.fdopen(reading, "rb") as lines:
        yield lines, logger


def test_each_event_is_one_line(pipe: tuple[BinaryIO, logging.Logger]) -> None:
    lines, log = pipe
    log.info("part %s\nis %s", "A17", "here")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("failed")
    first, second = (json.loads(lines.readline()) for _ in range(2))
    assert first["message"] == "part A17\nis here"
    assert (first["level"], first["logger"]) == ("info", "agent.service.line")
    assert first["time"].endswith("Z")
    assert "ValueError: why" in second["trace"]
    assert "dropped" not in second


def test_who_logs_does_not_wait_for_who_reads_and_what_is_missing_is_counted(
    pipe: tuple[BinaryIO, logging.Logger],
) -> None:
    """A terminal on hold, a collector that is stuck: the line stood, and no part was inspected."""
    lines, log = pipe
    said = threading.Event()

    def speak() -> None:
        for number in range(20):
            log.info("%d %s", number, LONG)
        said.set()

    threading.Thread(target=speak, daemon=True).start()
    assert said.wait(LIMIT_S), "held up"
    heard: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: heard.extend(map(json.loads, lines)), daemon=True)
    (handler,) = log.handlers
    reader.start()
    handler.flush()
    log.warning("20 it goes on")
    handler.flush()
    os.close(handler._writer._descriptor)  # type: ignore[attr-defined]
    reader.join(LIMIT_S)
    numbers = [int(line["message"].split()[0]) for line in heard]
    assert numbers[0] == 0 and numbers == sorted(set(numbers)) and numbers[-1] == 20
    assert heard[-1]["dropped"] > 0
    assert sum(line.get("dropped", 0) for line in heard) == 21 - len(heard)


def test_a_reader_that_is_gone_ends_nothing(pipe: tuple[BinaryIO, logging.Logger]) -> None:
    lines, log = pipe
    lines.close()
    for _ in range(3):
        log.info("to nobody")
        log.handlers[0].flush()
    assert not log.handlers[0]._lines.unfinished_tasks  # type: ignore[attr-defined]


def start(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"from agent.logs import *\nlog_to_stderr()\n{script}"],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_program_ends_though_nobody_reads_what_it_logs() -> None:
    """Python waits for whoever holds its stderr, and for every handler."""
    with start(f"for _ in range(20): log.info('x' * {len(LONG)})") as process:
        try:
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("script", "exit_code"),
    [
        ("log.info('last')\nraise KeyError('why')", 1),
        (
            "log.info('last')\n"
            "import threading\n"
            "threading.Thread(target=lambda: {}['why'], name='door').start()",
            0,
        ),
    ],
)
def test_a_defect_is_the_last_line(script: str, exit_code: int) -> None:
    """It was many lines without a time, and none of JSON."""
    with start(script) as process:
        lines = process.communicate(timeout=LIMIT_S)[1].splitlines()
    last, defect = map(json.loads, lines)
    assert last["message"] == "last"
    assert defect["level"] == "critical" and "a defect of normline" in defect["message"]
    assert "KeyError: 'why'" in defect["trace"]
    assert process.returncode == exit_code


def test_a_program_without_a_stderr_logs_into_no_file_of_its_own(tmp_path: Path) -> None:
    """The next file that it opens has the number of the stderr."""
    file = tmp_path / "journal"
    script = (
        f"import os\nopened = os.open({str(file)!r}, os.O_CREAT | os.O_WRONLY)\n"
        "from agent.logs import *\nlog_to_stderr()\nlog.error('ended')\nflush_log()\n"
        "os._exit(opened)"
    )
    shell = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, script]
    assert subprocess.run(shell, check=False, timeout=LIMIT_S).returncode == 2
    assert file.read_bytes() == b""
