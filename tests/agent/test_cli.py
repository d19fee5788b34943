"""Whatever the command line is given, a person reads one line and no traceback."""

from __future__ import annotations

import builtins
import errno
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent import cli
from agent.errors import InputError


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


def test_an_error_is_the_last_line_whatever_was_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever runs a station reads there why it does not start; lines of the log came after."""
    written_after: list[str] = []

    class Behind(logging.Handler):
        def flush(self) -> None:
            written_after.append(capsys.readouterr().err)

    def refuse(**_: object) -> None:
        raise InputError("no such camera")

    monkeypatch.setattr(logging.getLogger("agent"), "handlers", [Behind()])
    monkeypatch.setattr(cli.cli, "main", refuse)
    with pytest.raises(SystemExit):
        cli.main(["run"])
    assert written_after == [""]
    assert capsys.readouterr().err == "normline: error: no such camera\n"


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise OSError("no path is to blame")

    monkeypatch.setattr(cli.cli, "main", broken)
    with pytest.raises(OSError, match="no path"):
        cli.main(["calibrate"])


@pytest.mark.parametrize("command", ["train", "export", "bench"])
def test_what_a_station_cannot_do_names_the_extra_that_it_lacks(
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Commands import torch when they run: on a station that ended in a traceback."""
    real = builtins.__import__

    def without_torch(name: str, *arguments: Any, **more: Any) -> Any:
        if name.partition(".")[0] in ("torch", "onnx", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **more)

    for name in [each for each in sys.modules if each.partition(".")[0] in ("training", "deploy")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_torch)
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    # `bench` needs nothing of a folder.
    options = [] if command == "bench" else [str(tmp_path), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, *options])
    assert stopped.value.code == 2
    needs = r"normline: error: this command needs \w+, which a station has not: .* '\.\[train\]'\n"
    assert re.fullmatch(needs, capsys.readouterr().err)
    told = CliRunner().invoke(cli.cli, ["--help"], terminal_width=200).output
    assert re.search(rf"^  {command} .*\(needs the extra `train`\)$", told, re.M)
    assert "(needs" not in next(line for line in told.splitlines() if "  watch " in line)


def test_a_module_of_ours_that_is_missing_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ModuleNotFoundError("No module named 'agent.nothing'", name="agent.nothing")

    monkeypatch.setattr(cli.cli, "main", broken)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["run"])
