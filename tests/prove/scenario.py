"""What a scenario is: a module of `tests.prove.scenarios` with these three names.

    '''First line of the docstring: what is damaged, and what must hold.'''

    COUNT = 20                       # how many kills, parts or messages in `make prove`

    def prove(work: Work) -> Iterator[Check]: ...

`prove` does the damage and yields a `Check` for every goal as soon as it is known.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.prove import scenarios


@dataclass(frozen=True)
class Check:
    """A goal, and what was measured of it."""

    goal: str
    measured: str
    ok: bool


@dataclass(frozen=True)
class Work:
    """What a scenario is given.

    folder: its own; it is empty unless an earlier run of this scenario left something to go on
    from; count: of whatever the scenario counts; chance: seeded, so that a run can be repeated;
    say: shows one line of progress; station: a file of yours, where --station
    names one.
    """

    folder: Path
    count: int
    chance: random.Random
    say: Callable[[str], None]
    station: Path | None = None


@dataclass(frozen=True)
class Scenario:
    """A scenario by its name, which is that of its file."""

    name: str
    title: str
    count: int
    prove: Callable[[Work], Iterator[Check]]


def find_scenarios() -> dict[str, Scenario]:
    """All of them, by name."""
    found = {}
    for module_info in pkgutil.iter_modules(scenarios.__path__):
        module = importlib.import_module(f"{scenarios.__name__}.{module_info.name}")
        title = (module.__doc__ or "").splitlines()[0]
        found[module_info.name] = Scenario(module_info.name, title, module.COUNT, module.prove)
    return found
