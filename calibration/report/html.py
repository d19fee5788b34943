"""The report as one HTML file that needs nothing beside it: no network, no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from agent.record import CalibrationRecord
from calibration.defects import CONTRAST, Detection
from calibration.rates import at_most, percent
from calibration.report.content import Report
from calibration.report.histogram import histogram
from calibration.report.pictures import picture_pair

STYLE = (Path(__file__).parent / "style.css").read_text("utf-8")


def to_html(report: Report) -> str:
    """The whole page."""
    record = report.record
    sections = [
        _headline(report),
        _section("Normal scores and the limit", histogram(record.scores, _limits(record))),
        _section("What the samples support", _paragraphs(report.reach) + _warning(report.estimate)),
        _leave_one_out(report),
        _largest(report),
        _detection(report.detection),
        _left_out(record),
        _section("Made with", _facts(_provenance(report))),
    ]
    title = escape(f"Calibration of {report.product}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>"
        f"{''.join(sections)}</main></body></html>\n"
    )


def _headline(report: Report) -> str:
    record = report.record
    rate = at_most(record.supported_false_reject_rate)
    if record.method == "cross":
        sure = "cross-conformal, without a proven bound"
    elif record.confidence is None:
        sure = "expected, on average over calibrations"
    else:
        sure = f"with {percent(record.confidence)} confidence"
    short = record.supported_false_reject_rate > record.requested_false_reject_rate
    about = "about" if record.method == "cross" else "≤"
    asked = f"asked: {percent(record.requested_false_reject_rate)}"
    return (
        f"<header><h1>Calibration of {escape(report.product)}</h1>"
        f'<p class="rate{" short" if short else ""}">{about} {rate} of good parts rejected</p>'
        f'<p class="sure">{sure}; {asked}; {record.n} normal parts</p>'
        f"{_paragraphs(report.promise)}{_warning(report.caution)}</header>"
    )


def _limits(record: CalibrationRecord) -> list[tuple[str, float]]:
    if record.review is None:
        return [(f"REJECT above {record.threshold:.4f}", record.threshold)]
    return [
        (f"REJECT above {record.review.reject_above:.4f}", record.review.reject_above),
        (f"review above {record.threshold:.4f}", record.threshold),
    ]


def _warning(text: str | None) -> str:
    return f'<p class="warn">{escape(text)}</p>' if text else ""


def _leave_one_out(report: Report) -> str:
    rows = [
        (
            each.name,
            f"{each.score:.4f}",
            f"{each.threshold:.4f}",
            f"{each.chance:.2g}" if each.chance < 1 else "1",
            "look at it" if each.suspect else "",
        )
        for each in report.largest
    ]
    head = ("picture", "score", "limit without it", "so far out by chance", "")
    text = "<p>None is so far out that it must be a defect. Look at the pictures all the same.</p>"
    if any(each.suspect for each in report.largest):
        text = (
            '<p class="warn">Some parts score so far above the rest that they may not be normal. '
            "Look at their pictures below. What a person finds defective goes, by name, into a "
            "file for <code>--exclude</code>; a good part must stay, however unusual: leaving it "
            "out breaks the promise.</p>"
        )
    text = _paragraphs(filter(None, [report.set_by])) + text
    return _section("Do the normals hold a defect?", text + _table(head, rows))


def _largest(report: Report) -> str:
    record = report.record
    limit = record.pixel_limit if record.pixel_limit is not None else record.threshold
    least = record.pixel_levels[0] if record.pixel_levels else record.scores[0]
    suspects = {each.name for each in report.largest if each.suspect}
    cards = []
    for name, score, shown in report.shown:
        plain, marked = picture_pair(shown, limit, least)
        place = " above the limit" if score > record.threshold else ""
        place = " the limit" if score == record.threshold else place
        odd = " suspect" if name in suspects else ""
        cards.append(
            f'<figure class="card{odd}"><div><img src="{plain}" alt="the part">'
            f'<img src="{marked}" alt="the part with its map"></div>'
            f"<figcaption><b>{score:.4f}</b>{place}{' · suspect' if odd else ''}<br>"
            f"{escape(name)}</figcaption></figure>"
        )
    text = "Right: where the model looks twice; outlined, what is above the pixel limit."
    return _section(
        "The normal parts with the largest scores",
        f'<p>{text}</p><div class="cards">{"".join(cards)}</div>',
    )


def _detection(rows: list[Detection]) -> str:
    sizes = sorted({row.size_px for row in rows})
    kinds = list(dict.fromkeys(row.kind for row in rows))
    cells = {(row.kind, row.size_px): row for row in rows}
    body = "".join(
        f"<tr><th>{escape(kind)}</th>{''.join(_share(cells[kind, size]) for size in sizes)}</tr>"
        for kind in kinds
    )
    head = "".join(f"<th>{size:g} px</th>" for size in sizes)
    text = (
        f"Drawn on normal parts, {CONTRAST} grey levels darker or lighter than what is below; size "
        "in pixels of the model's frame; in brackets the 95 % interval. A yardstick for this "
        "threshold, not a forecast for the defects of a line."
    )
    return _section(
        "Drawn defects found at this threshold",
        f"<p>{text}</p><table class='detection'><tr><th></th>{head}</tr>{body}</table>",
    )


def _share(row: Detection) -> str:
    share = row.found / row.tried
    return (
        f'<td style="--share:{share:.2f}">{share:.0%} <small>({row.low:.0%} to {row.high:.0%})'
        "</small></td>"
    )


def _left_out(record: CalibrationRecord) -> str:
    rows = [(each.name, each.reason) for each in record.refused]
    rows += [(name, "excluded by a person") for name in record.excluded]
    if not rows:
        return _section("Pictures left out", "<p>None.</p>")
    return _section(f"Pictures left out: {len(rows)}", _table(("picture", "why"), rows))


def _provenance(report: Report) -> list[tuple[str, str]]:
    record = report.record
    engine = record.engine
    size = f"{record.frame_size[1]} x {record.frame_size[0]}" if record.frame_size else "unknown"
    camera = record.camera_settings
    settings = ", ".join(f"{k} {v}" for k, v in camera.items()) if camera else "images from files"
    facts = [
        ("bundle (sha256)", record.bundle_sha256),
        ("engine", f"{engine.runtime} {engine.version} on {engine.device}"),
        ("precision", engine.precision),
        ("camera", settings),
        ("size of the images", size),
        ("made at", record.created_at),
        ("record (sha256)", record.sha256),
    ]
    if record.pixel_limit is not None:
        facts.append(("pixel limit", f"{record.pixel_limit:.4f}"))
    if record.picture is not None:
        facts += [
            (f"usual {name}", _range(getattr(record.picture, name).values))
            for name in ("brightness", "sharpness", "saturated")
        ]
    facts.append(("note", record.note or "none"))
    return facts


def _range(values: list[float]) -> str:
    return f"{values[0]:.3g} to {values[-1]:.3g}, middle {values[len(values) // 2]:.3g}"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _paragraphs(texts: Iterable[str]) -> str:
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def _facts(pairs: list[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl>{rows}</dl>"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"
