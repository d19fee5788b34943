"""The schemas in the repository are those of the code, and hold what a station says to them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from agent.verdict import Outcome, Reason
from deploy.schemas import FOLDER, schemas
from tests.agent.factories import make_verdict


def test_the_files_are_current() -> None:
    """When this fails: python -m deploy.schemas."""
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == schemas()


def check_verdict(content: dict[str, Any]) -> None:
    schema = json.loads((FOLDER / "verdict.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(content)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"verdict": Outcome.NO_DECISION, "reason": Reason.DEADLINE, "score": None, "late": True},
    ],
)
def test_a_verdict_follows_its_schema(changes: dict[str, Any]) -> None:
    check_verdict(json.loads(make_verdict(**changes).to_json()))


@pytest.mark.parametrize(
    "changes",
    [{"verdict": "OK"}, {"seq": "7"}, {"surprise": 1}, {"schema": "normline/verdict/2"}],
)
def test_what_is_no_verdict_does_not(changes: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check_verdict({**json.loads(make_verdict().to_json()), **changes})


def test_no_field_of_a_message_may_be_missing() -> None:
    content = json.loads(make_verdict().to_json())
    for name in content:
        with pytest.raises(jsonschema.ValidationError):
            check_verdict({key: value for key, value in content.items() if key != name})


def test_every_key_of_a_station_file_is_described() -> None:
    schema = json.loads((FOLDER / "station.json").read_text())
    sections = [schema, *schema["$defs"].values()]
    for section in sections:
        for name, field in section["properties"].items():
            assert field.get("description"), name
