"""Whatever the command line is given, a person reads one line and no traceback."""

from __future__ import annotations

import errno

import pytest

from agent import cli


def test_a_path_that_may_not_be_looked_at_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/root/parts")

    monkeypatch.setattr(cli.cli, "main", forbidden)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["calibrate"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "normline: error: /root/parts: Permission denied\n"


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise OSError("no path is to blame")

    monkeypatch.setattr(cli.cli, "main", broken)
    with pytest.raises(OSError, match="no path"):
        cli.main(["calibrate"])
