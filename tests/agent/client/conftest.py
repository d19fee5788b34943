"""A station that can be started again on the same endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent.client.station import Start, Station


@pytest.fixture
def endpoints(endpoint: Callable[[], str]) -> tuple[str, str]:
    return endpoint(), endpoint()


@pytest.fixture
def start(tmp_path: Path, endpoints: tuple[str, str]) -> Iterator[Start]:
    """Starts the station, again after the one before has ended."""
    running: list[Station] = []

    def start() -> Station:
        while running:
            running.pop().close()
        running.append(Station(tmp_path / "journal.db", *endpoints))
        return running[-1]

    yield start
    while running:
        running.pop().close()
