"""The scenarios are found by their names; each takes minutes, and none runs among the tests."""

from __future__ import annotations

import re
from pathlib import Path

from tests.prove.scenario import find_scenarios

FOLDER = Path(__file__).with_name("scenarios")
MAKEFILE = FOLDER.parents[2] / "Makefile"


def test_every_file_is_a_scenario() -> None:
    found = find_scenarios()
    assert set(found) == {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert all(each.title.endswith(".") and each.count > 0 for each in found.values())


def test_the_soak_asks_for_scenarios_that_there_are() -> None:
    asked = set(re.findall(r"(\w+):\d+", MAKEFILE.read_text()))
    assert {"soak", "intruders", "engine"} <= asked <= set(find_scenarios())
