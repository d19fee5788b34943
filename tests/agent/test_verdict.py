"""A verdict cannot be made to say what the gate would misread."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from agent.verdict import Outcome, Reason, Verdict
from tests.agent.factories import make_verdict


def test_it_reads_back_from_json_as_it_was() -> None:
    verdict = make_verdict(verdict=Outcome.NO_DECISION, reason=Reason.OVERRUN, score=None)
    assert Verdict.model_validate_json(verdict.to_json()) == verdict


def test_the_wire_format_is_the_contract() -> None:
    content = json.loads(make_verdict().to_json())
    assert list(content) == [
        "schema", "epoch", "seq", "result_id", "part_id", "product_id", "recipe_id", "verdict",
        "reason", "score", "threshold", "p_value", "review", "regions", "captured_at",
        "durations_ms", "deadline_ms", "late", "simulated",
    ]  # fmt: skip
    assert content["schema"] == "normline/verdict/1"
    assert list(content["durations_ms"]) == ["capture", "queue", "inference", "decide", "publish"]


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": Outcome.NO_DECISION},
        {"verdict": Outcome.PASS, "reason": Reason.OVERRUN},
        {"verdict": Outcome.PASS, "late": True},
        {"score": float("nan")},
        {"threshold": float("nan")},
        {"seq": 0},
        {"surprise": 1},
    ],
)
def test_contradictions_and_non_numbers_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make_verdict(**changes)
