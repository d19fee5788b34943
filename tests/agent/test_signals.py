"""Whatever asks a program to end is heard, but for what it was told not to hear."""

from __future__ import annotations

import signal

from agent.signals import ENDS, on_end, own_handlers


def test_a_program_ends_with_its_terminal_unless_it_was_started_by_nohup() -> None:
    def end(*_: object) -> None:
        pass

    before = [signal.getsignal(each) for each in ENDS]
    with own_handlers():
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        on_end(end)
        assert {signal.getsignal(each) for each in ENDS} == {end}
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        on_end(end)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert [signal.getsignal(each) for each in ENDS] == before
