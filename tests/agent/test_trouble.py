"""What goes wrong for a night is told at once and all along, and does not fill the log."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agent import trouble
from agent.trouble import EVERY_S, Trouble


def test_of_a_night_of_trouble_the_log_has_a_line_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = 5.0
    monkeypatch.setattr(trouble, "time", SimpleNamespace(monotonic=lambda: now_s))
    dark = Trouble("too dark")
    for number in range(1, 1001):
        now_s += EVERY_S / 100
        dark.came(f"part {number}")
    assert dark.count == 1000
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "too dark, 1 so far: part 1"
    assert 10 <= len(told) <= 11
