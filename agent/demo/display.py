"""The demo on a terminal: one line a part, and the summary in words."""

from __future__ import annotations

import click

from agent.camera import product
from agent.demo.summary import Promise, Summary, latency_ms, true_kind
from agent.verdict import Outcome, Verdict

COLOURS = {Outcome.PASS: "green", Outcome.REJECT: "red", Outcome.NO_DECISION: "yellow"}


def verdict_line(verdict: Verdict) -> str:
    """A verdict beside the truth: part, verdict, score against threshold, where, latency."""
    outcome = click.style(f"{verdict.verdict.value:<11}", fg=COLOURS[verdict.verdict])
    score = "      -" if verdict.score is None else f"{verdict.score:+7.2f}"
    compared = " >" if verdict.verdict is Outcome.REJECT else "<="
    where = verdict.reason.value if verdict.reason is not None else ""
    if verdict.regions:
        box = verdict.regions[0].box
        where = f"at {box.x},{box.y} {box.width}x{box.height}"
    return (
        f"part {verdict.part_id}  {outcome} {score} {compared} {verdict.threshold:.2f}  "
        f"{where:<18} {latency_ms(verdict):5.1f} ms  {_truth(verdict)}"
    )


def summary_text(summary: Summary) -> str:
    """The summary as a newcomer reads it."""
    lines = [
        "",
        f"parts       {summary.parts_received} of {summary.parts_expected} received, "
        f"{summary.gaps or 'no'} gaps, {summary.skipped or 'none'} skipped",
        "",
        f"{'truth':<14}" + "".join(f"{outcome.value:>13}" for outcome in Outcome),
    ]
    for kind, counts in summary.confusion.items():
        if any(counts.values()):
            row = "".join(f"{counts[outcome.value] or '-':>13}" for outcome in Outcome)
            lines.append(f"{kind.replace('_', ' '):<14}{row}")
    lines += ["", _defects_found(summary), _false_rejects(summary.false_rejects)]
    if summary.latency_ms is not None:
        latency = summary.latency_ms
        lines.append(
            f"latency     capture to verdict p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms"
        )
    return "\n".join(lines)


def _truth(verdict: Verdict) -> str:
    kind = true_kind(verdict)
    words = f"truly {kind.replace('_', ' ')}"
    if verdict.verdict is Outcome.PASS and kind != product.GOOD:
        return words + click.style("  missed", fg="yellow")
    if verdict.verdict is Outcome.REJECT and kind == product.GOOD:
        return words + click.style("  false reject", fg="yellow")
    return words


def _defects_found(summary: Summary) -> str:
    rows = [counts for kind, counts in summary.confusion.items() if kind != product.GOOD]
    defective = sum(sum(counts.values()) for counts in rows)
    stopped = defective - sum(counts[Outcome.PASS.value] for counts in rows)
    return f"defects     {stopped} of {defective} stopped"


def _false_rejects(promise: Promise) -> str:
    if promise.realised_rate is None:
        return "good parts  none passed the line"
    verdict = (
        "consistent with the promise"
        if promise.consistent
        else "NOT consistent with the promise: this line differs from the one calibrated on"
    )
    return (
        f"good parts  {promise.rejected} of {promise.good_parts} rejected "
        f"({promise.realised_rate:.1%}), promised at most {promise.promised_rate:.1%} on average: "
        f"{verdict} "
        f"(a sound line rejects as many or more in {100 * promise.chance:.0f} of 100 runs)"
    )
