"""The gate's command: however it is told to end, first of all it rejects."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from agent.commands.gate import reject_gate
from agent.signals import own_handlers


@pytest.fixture
def gate_file(tmp_path: Path) -> Path:
    path = tmp_path / "gate.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "station": {"site": "a", "line": "b", "name": "c"},
                "sensor": f"fifo://{tmp_path / 'pipe'}",
                "output": {"uri": f"file://{tmp_path / 'out'}", "signal": "level"},
                "travel": {"delay_ms": 100.0, "window_ms": 10.0},
                "in_view_ms": 50.0,
            }
        )
    )
    return path


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_end_it_rejects_before_it_says_so(
    gate_file: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """A terminal that closed left an output driven; so did one that took no more text."""
    done: list[str] = []

    class Loop:
        counts = "3 passed"

        def __init__(self, *_: object) -> None:
            pass

        def turn(self) -> None:
            os.kill(os.getpid(), how)

        def close(self) -> None:
            os.kill(os.getpid(), how)  # a terminal that closes says it twice
            done.append("it rejects")

    def unheard(*_: object) -> None:
        raise AssertionError(f"{how.name} is not heard")

    monkeypatch.setattr("agent.gate.RejectGate", Loop)
    monkeypatch.setattr("agent.commands.gate.log_to_stderr", lambda: None)
    monkeypatch.setattr(click, "echo", done.append)
    with own_handlers():
        signal.signal(how, unheard)
        CliRunner().invoke(reject_gate, [str(gate_file)], catch_exceptions=False)
    ready, *rest = done
    assert "is ready and rejects" in ready
    assert rest == ["it rejects", "normline: 3 passed"]
