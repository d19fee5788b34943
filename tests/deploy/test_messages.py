"""What messages.md gives as an example is what a station says and understands."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter

from agent.client.replay import StationSnapshot
from agent.messaging.requests import Command, ReplayRequest
from deploy.schemas import FOLDER

TEXT = (FOLDER.parent / "messages.md").read_text()
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
# The first column of the tables of requests.
REQUESTS = [
    request
    for row in TEXT.splitlines()
    if row.startswith('| `{"op"')
    for request in re.findall(r"`(.*?)`", row.split(" | ")[0])
]
READERS: tuple[TypeAdapter[Any], ...] = (TypeAdapter(Command), TypeAdapter(ReplayRequest))


def test_what_is_published_follows_its_schema() -> None:
    published = [block for block in BLOCKS if "schema" in block]
    names = [block["schema"].split("/")[1] for block in published]
    assert sorted(names) == ["drift", "heartbeat", "late", "state", "verdict"]
    for name, block in zip(names, published, strict=True):
        schema = json.loads((FOLDER / f"{name}.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(block)


def test_a_snapshot_is_what_a_client_reads() -> None:
    (block,) = (block for block in BLOCKS if block.get("op") == "snapshot")
    snapshot = StationSnapshot.model_validate(block)
    assert block.keys() == StationSnapshot.model_fields.keys() | {"op"}
    assert snapshot.epochs[-1].epoch == snapshot.epoch


def test_every_request_is_told() -> None:
    operations = {json.loads(request)["op"] for request in REQUESTS}
    expected = {"trigger", "stop", "start", "state", "select", "snapshot", "replay", "ack"}
    assert operations == expected


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_station_understands_every_request(request_: str) -> None:
    reader = READERS[json.loads(request_)["op"] in ("snapshot", "replay", "ack")]
    assert reader.validate_json(request_)
