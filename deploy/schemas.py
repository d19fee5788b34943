"""JSON Schemas of what a station says and reads, for PLC, MES and editors.

`python -m deploy.schemas` writes them to `deploy/schema/`, from the models that the station
itself uses.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from agent.config import Station
from agent.gate.config import GateFile
from agent.messaging.status import DriftAlarm, Heartbeat, StateChange
from agent.section import Section
from agent.verdict import LateResult, Verdict

FOLDER = Path(__file__).parent / "schema"
MODELS: dict[str, type[BaseModel]] = {
    "verdict": Verdict,
    "late": LateResult,
    "heartbeat": Heartbeat,
    "state": StateChange,
    "drift": DriftAlarm,
    "station": Station,
    "gate": GateFile,
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """The text of each schema by its file name.

    A message is described as it is sent: there, a field that has a default is present too.
    """
    texts = {}
    for name, model in MODELS.items():
        schema = model.model_json_schema(
            mode="validation" if issubclass(model, Section) else "serialization"
        )
        texts[f"{name}.json"] = json.dumps({"$schema": DIALECT, **schema}, indent=1) + "\n"
    return texts


def write_schemas(folder: Path = FOLDER) -> None:
    """Write every schema to a folder."""
    for name, text in schemas().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write_schemas()
