"""Writing a report in the form that its file name asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from agent.files import write_atomically
from calibration.report.content import Report
from calibration.report.html import to_html

FORMATS: dict[str, Callable[[Report], str]] = {
    ".html": to_html,
    ".json": lambda report: json.dumps(report.to_json(), indent=1) + "\n",
}


def write_report(path: Path, report: Report) -> None:
    """Write a report in one step.

    Args:
        path: ends in one of FORMATS.
        report: from `make_report`.

    Raises:
        InputError: the path cannot be written.
    """
    write_atomically(path, FORMATS[path.suffix](report).encode())
