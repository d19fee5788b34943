"""The `normline` command.

Commands are found through the entry-point group `normline.commands`, so the agent serves the
commands of training, calibration and deploy without importing them: a station that was
installed without torch still lists `train`, and says which extra it needs.
"""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

import click

from agent import __version__
from agent.logs import flush_log

GROUP = "normline.commands"
# Raised for a group without a command, since click 8.2; before, click itself shows the help.
NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
# Whose commands need more than a station has.
OFF_THE_STATION = ("training", "deploy")
OURS = ("agent", "training", "calibration", "deploy")


class StageCommands(click.Group):
    """Loads a command only when it is asked for: `normline watch` never imports a runtime."""

    def _entries(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=GROUP)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._entries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._entries().get(cmd_name)
        if entry is None:
            return None
        command: click.Command = entry.load()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        without = "" if find_spec("torch") else "  (needs the extra `train`)"
        rows = []
        for name, entry in sorted(self._entries().items()):
            if (command := self.get_command(ctx, name)) is not None:
                needs = without if entry.module.startswith(OFF_THE_STATION) else ""
                rows.append((name, command.get_short_help_str(90) + needs))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=StageCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="normline")
def cli() -> None:
    """Inspect parts on a production line, from images of good parts alone."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a user's mistake ends in one line on stderr and exit code 2."""
    try:
        sys.exit(cli.main(args=arguments, prog_name="normline", standalone_mode=False))
    except click.exceptions.Abort:
        sys.exit(130)
    except NO_ARGUMENTS as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except ModuleNotFoundError as error:
        # Commands import what is large when they run, so that `--help` is there at once.
        module = (error.name or "").partition(".")[0]
        if module in ("", *OURS):
            raise
        _fail(
            f"this command needs {module}, which a station has not: run it on the training "
            "machine, installed from the source with pip install -c constraints.txt '.[train]'",
            2,
        )
    except OSError as error:
        if error.filename is None:
            raise
        # A path below a folder that may not be entered, for one: whatever looks there fails so.
        _fail(f"{error.filename}: {error.strerror}", 2)
    except Exception as error:
        # training and agent know nothing of each other: what their input errors share is the
        # exit code that they carry. Anything else is a defect of ours and keeps its traceback.
        code = getattr(error, "exit_code", None)
        if code is None:
            raise
        _fail(str(error), code)


def _fail(message: str, exit_code: int) -> None:
    flush_log()
    click.echo(f"normline: error: {' '.join(message.split())}", err=True)
    sys.exit(exit_code)
