"""Whatever the command line is given, a person reads one line and no traceback."""

from __future__ import annotations

import errno
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("group", [[], ["keys"]])
def test_a_command_of_commands_alone_shows_its_help(
    group: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The first thing that anybody types gave all of the help in one line, as an error."""
    with pytest.raises(SystemExit):
        cli.main(group)
    shown = "".join(capsys.readouterr())
    assert shown.startswith("Usage: normline") and "\nCommands:\n" in shown


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


ON_A_STATION = """
import sys
for name in ("torch", "onnx", "safetensors"):
    sys.modules[name] = None  # how Python marks a module that cannot be imported
from agent import cli
cli.find_spec = lambda name: None
cli.main(sys.argv[1:])
"""


def on_a_station(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command where nothing is installed that a station does not need."""
    command = [sys.executable, "-c", ON_A_STATION, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["train", "export", "bench"])
def test_what_a_station_cannot_do_names_the_extra_that_it_lacks(
    command: str, tmp_path: Path
) -> None:
    """Commands import torch when they run: on a station that ended in a traceback."""
    # `bench` needs nothing of a folder.
    options = [] if command == "bench" else [str(tmp_path), "--out", str(tmp_path / "out")]
    done = on_a_station(command, *options)
    assert done.returncode == 2
    needs = r"normline: error: this command needs \w+, which a station has not: .* '\.\[train\]'\n"
    assert re.fullmatch(needs, done.stderr)


def test_the_help_says_which_commands_a_station_has_not() -> None:
    # Long lines go on below the words before.
    told = re.sub(r"\n {10,}", " ", on_a_station("--help").stdout)
    for command in ("train", "export", "bench"):
        assert re.search(rf"^  {command} .*\(needs the extra `train`\)$", told, re.M)
    assert "(needs" not in next(line for line in told.splitlines() if "  watch " in line)


def test_a_module_of_ours_that_is_missing_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ModuleNotFoundError("No module named 'agent.nothing'", name="agent.nothing")

    monkeypatch.setattr(cli.cli, "main", broken)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["run"])
