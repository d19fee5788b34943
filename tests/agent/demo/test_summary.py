"""What the demo concludes from its verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from agent.camera import product
from agent.demo import display
from agent.demo.kit import DEFECT_RATE, SEED
from agent.demo.summary import Tally, compare, latency_ms
from agent.engine import Fingerprint
from agent.record import CalibrationRecord
from agent.verdict import Box, Durations, Outcome, Reason, Region, Verdict

KINDS = [product.truth_of(SEED, index, DEFECT_RATE) for index in range(200)]
GOOD = KINDS.index(product.GOOD)
DEFECTIVE = next(index for index, kind in enumerate(KINDS) if kind != product.GOOD)


def a_record(n: int = 99, rank: int = 1) -> CalibrationRecord:
    """Calibrated on n scores, the threshold at the rank-th largest."""
    scores = [float(score) for score in range(n)]
    return CalibrationRecord(
        schema_version=1,
        bundle_sha256="0" * 64,
        engine=Fingerprint(runtime="openvino", version="1", device="CPU", precision="int8"),
        threshold=scores[-rank],
        requested_false_reject_rate=rank / (n + 1),
        supported_false_reject_rate=rank / (n + 1),
        confidence=None,
        n=n,
        scores=scores,
        camera_settings_digest=None,
        created_at="2026-01-01T00:00:00Z",
    )


def a_verdict(index: int, outcome: Outcome, inference_ms: float = 5.0) -> Verdict:
    nothing = outcome is Outcome.NO_DECISION
    region = Region(box=Box(x=10, y=20, width=30, height=40), area=50, peak=9.0)
    return Verdict(
        epoch=1,
        seq=index + 1,
        result_id=f"1-{index + 1}",
        part_id=f"{index:06d}",
        product_id="flange",
        recipe_id="0" * 64,
        verdict=outcome,
        reason=Reason.ENGINE_FAULT if nothing else None,
        score=None if nothing else 1.5,
        threshold=2.0,
        p_value=None if nothing else 0.5,
        regions=(region,) if outcome is Outcome.REJECT else (),
        captured_at="2026-01-01T00:00:00.000Z",
        durations_ms=Durations(queue=1.0, inference=inference_ms, decide=0.5, publish=0.25),
        deadline_ms=None,
        late=False,
        simulated=True,
    )


def test_verdicts_are_counted_by_what_the_part_truly_was():
    tally = Tally(200, a_record())
    tally.add(a_verdict(GOOD, Outcome.REJECT))
    tally.add(a_verdict(DEFECTIVE, Outcome.PASS))
    summary = tally.summary()
    assert summary.confusion[product.GOOD]["REJECT"] == 1
    assert summary.confusion[KINDS[DEFECTIVE]]["PASS"] == 1
    assert sum(sum(row.values()) for row in summary.confusion.values()) == 2


def test_no_decision_on_a_good_part_is_neither_a_pass_nor_a_false_reject():
    tally = Tally(200, a_record())
    tally.add(a_verdict(GOOD, Outcome.NO_DECISION))
    assert tally.summary().false_rejects.good_parts == 0
    assert tally.summary().false_rejects.realised_rate is None


def test_complete_means_every_part_once_and_no_gap():
    tally = Tally(2, a_record())
    assert tally.add(a_verdict(0, Outcome.PASS))
    assert tally.add(a_verdict(0, Outcome.PASS))
    assert not tally.done
    assert tally.add(a_verdict(1, Outcome.PASS))
    assert tally.done
    assert not tally.add(a_verdict(2, Outcome.PASS))
    assert tally.summary().complete
    tally.gaps = 1
    assert not tally.summary().complete


def test_latency_runs_from_capture_to_sending():
    assert latency_ms(a_verdict(0, Outcome.PASS)) == pytest.approx(6.75)
    tally = Tally(100, a_record())
    for index in range(100):
        tally.add(a_verdict(index, Outcome.PASS, inference_ms=float(index)))
    assert tally.summary().latency_ms.p50 == pytest.approx(49.5 + 1.75)
    assert tally.summary().latency_ms.p99 == pytest.approx(98.01 + 1.75)


@pytest.mark.parametrize(
    ("good_parts", "rejected", "chance", "consistent"),
    [
        # Threshold at the largest of 99: one part exceeds it with probability 1/100.
        (1, 0, 1.0, True),
        (1, 1, 0.01, True),
        # All of two: the hundredth and the hundred-and-first value of 101 exchangeable ones.
        (2, 2, 2 / (100 * 101), False),
        (300, 0, 1.0, True),
        (300, 60, 0.0, False),
    ],
)
def test_false_rejects_are_held_against_the_promise(
    good_parts: int, rejected: int, chance: float, consistent: bool
):
    promise = compare(a_record(), good_parts, rejected)
    assert promise.promised_rate == pytest.approx(0.01)
    assert promise.chance == pytest.approx(chance, abs=2e-3 if rejected > 2 else 1e-9)
    assert promise.consistent is consistent


def test_the_chance_is_what_repeated_calibrations_show():
    random = np.random.default_rng(3)
    n, rank, good_parts, rejected = 60, 3, 40, 5
    scores = random.random((20000, n + good_parts))
    thresholds = np.sort(scores[:, :n], axis=1)[:, -rank]
    as_many = (scores[:, n:] > thresholds[:, None]).sum(axis=1) >= rejected
    chance = compare(a_record(n, rank), good_parts, rejected).chance
    assert chance == pytest.approx(as_many.mean(), abs=0.01)


def test_a_line_tells_the_verdict_the_place_and_the_truth():
    line = display.verdict_line(a_verdict(GOOD, Outcome.REJECT))
    for words in (f"{GOOD:06d}", "REJECT", "10,20", "30x40", "truly good", "false reject"):
        assert words in line
    assert "missed" in display.verdict_line(a_verdict(DEFECTIVE, Outcome.PASS))
    assert "ENGINE_FAULT" in display.verdict_line(a_verdict(GOOD, Outcome.NO_DECISION))


def test_the_summary_says_plainly_whether_the_promise_holds():
    tally = Tally(200, a_record())
    good = [index for index, kind in enumerate(KINDS) if kind == product.GOOD]
    for index in good:
        tally.add(a_verdict(index, Outcome.PASS))
    assert f"0 of {len(good)} rejected" in display.summary_text(tally.summary())
    assert "consistent with the promise" in display.summary_text(tally.summary())
    for index in good:
        tally.add(a_verdict(index, Outcome.REJECT))
    assert "NOT consistent with the promise" in display.summary_text(tally.summary())


def test_a_run_without_any_verdict_has_a_summary():
    text = display.summary_text(Tally(5, a_record()).summary())
    assert "0 of 5 received" in text
