"""A line whose camera and engine the tests command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.service.fakes import MakeRig, Rig


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[MakeRig]:
    rigs: list[Rig] = []

    def make(mode: str = "triggered", deadline_ms: float | None = None, **more: bool) -> Rig:
        rigs.append(Rig(tmp_path, mode, deadline_ms, **more))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    rig = make_rig()
    rig.line.begin()
    return rig
