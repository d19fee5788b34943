"""What a run of a calibration command says on stderr of its pictures."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import shorten

import click

from agent.errors import InputError
from calibration.kept import Keeper
from calibration.normals import Normals
from calibration.sources import Source

NAMED = 10
# Of a line of 80 what the bar leaves.
SHOWN = 40


@contextmanager
def early_end(source: Source, keeper: Keeper | None) -> Iterator[None]:
    """Say of parts that will not come again what becomes of those taken before an early end."""
    try:
        yield
    except (InputError, KeyboardInterrupt):
        if keeper is not None and not source.recorded:
            click.echo(
                f"the {len(keeper.paths)} pictures in {keeper.folder} are kept: the same command "
                "goes on with them, and the folder can be given as it is",
                err=True,
            )
        elif not source.recorded:
            click.echo(
                "no picture is kept: with --save FOLDER the same command would go on from here",
                err=True,
            )
        raise


@contextmanager
def progress(count: int) -> Iterator[Callable[[str, str | None], None]]:
    """A bar that counts the parts that are of use, and shows why the last one was not."""
    with click.progressbar(
        length=count,
        label="normal parts",
        file=sys.stderr,
        show_pos=True,
        item_show_func=lambda reason: reason and shorten(f"left out: {reason}", SHOWN),
    ) as bar:

        def tell(name: str, reason: str | None) -> None:
            bar.current_item = reason
            bar.update(reason is None)
            # An update by nothing shows nothing.
            bar.render_progress()

        yield tell


def name_folders(names: Sequence[str]) -> None:
    """Say on stderr how many pictures each folder has, where there is more than one."""
    folders = Counter(os.path.dirname(os.path.abspath(name)) for name in names)
    if len(folders) < 2:
        return
    above = os.path.dirname(os.path.commonpath(folders))
    most = folders.most_common(NAMED)
    words = [f"{count} of {os.path.relpath(folder, above)}" for folder, count in most]
    if more := len(folders) - len(most):
        words.append(f"the others of {more} more folders")
    click.echo(
        f"{len(names)} pictures, each taken for another part: {', '.join(words)}; where a folder "
        "shows one part, give one picture of each",
        err=True,
    )


def ask_for_parts(count: int, seconds: float) -> None:
    """Say on stderr what nothing but the line can tell of a camera's pictures."""
    click.echo(
        f"{count} pictures in {seconds:.0f} s: were these {count} different parts, each wholly in "
        "view? Else the promise is void: calibrate from a folder with one picture of each part",
        err=True,
    )


def name_refused(normals: Normals) -> None:
    """Say on stderr what was left out, where that is much by kind and number."""
    refused = normals.refused
    for name, reason in list(refused.items())[:NAMED]:
        click.echo(f"left out {name}: {reason}", err=True)
    if len(refused) > NAMED:
        kinds = Counter(reason.partition(":")[0] for reason in refused.values())
        words = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
        click.echo(f"left out {len(refused)} pictures or rows of them: {words}", err=True)
    for name in normals.excluded:
        click.echo(f"excluded {name}", err=True)
