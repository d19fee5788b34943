"""Objects that many tests of the agent need, with one sensible value for each field."""

from __future__ import annotations

from typing import Any

from agent.engine.base import Fingerprint
from agent.messaging.status import Heartbeat, utc
from agent.record import CalibrationRecord
from agent.states import State
from agent.verdict import Durations, Outcome, Verdict

FINGERPRINT = Fingerprint(runtime="onnxruntime", version="1.0", device="CPU", precision="fp32")


def make_verdict(epoch: int = 1, seq: int = 1, **changes: Any) -> Verdict:
    """A PASS of part `part-<seq>`; give other values by field name."""
    fields: dict[str, Any] = {
        "epoch": epoch,
        "seq": seq,
        "result_id": f"{epoch}-{seq}",
        "part_id": f"part-{seq}",
        "product_id": "tiny",
        "recipe_id": "0" * 64,
        "verdict": Outcome.PASS,
        "reason": None,
        "score": -1.0,
        "threshold": 0.0,
        "p_value": 0.5,
        "regions": (),
        "captured_at": "2026-01-01T00:00:00.000Z",
        "durations_ms": Durations(),
        "deadline_ms": None,
        "late": False,
        "simulated": True,
    }
    return Verdict(**{**fields, **changes})


def make_heartbeat(**changes: Any) -> Heartbeat:
    """Of a station on which all is well and nobody has called."""
    fields: dict[str, Any] = {
        name: 0 for name, field in Heartbeat.model_fields.items() if field.annotation is int
    }
    fields |= {
        name: None
        for name, field in Heartbeat.model_fields.items()
        if field.annotation == str | None
    }
    fields |= {"epoch": 1, "sent_at": utc(), "state": State.READY, "camera": "running"}
    fields |= {"calibration": "0" * 64, "drift": None}
    return Heartbeat(**{**fields, **changes})


def make_record(scores: list[float], threshold: float) -> CalibrationRecord:
    """A calibration record over these scores."""
    return CalibrationRecord(
        schema_version=1,
        bundle_sha256="0" * 64,
        engine=FINGERPRINT,
        threshold=threshold,
        requested_false_reject_rate=0.1,
        supported_false_reject_rate=0.1,
        confidence=None,
        n=len(scores),
        scores=sorted(scores),
        camera_settings_digest=None,
        created_at="2026-01-01T00:00:00Z",
    )
