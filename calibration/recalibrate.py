"""The command `normline recalibrate`: another threshold, while the line runs."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import click

from agent.bundle import Bundle, open_bundle
from agent.client import Subscriber
from agent.config import Station, load_station
from agent.engine import Engine, golden_scores
from agent.errors import InputError
from agent.files import check_apart, check_writable
from agent.messaging.status import Heartbeat
from agent.record import SCHEMA, CalibrationRecord, check_record, check_repeated, read_record
from calibration.evidence import Evidence, Promise
from calibration.history import check_replaceable, find_former, former_records, on_trial
from calibration.normals import Normals
from calibration.rates import at_most
from calibration.report import FORMATS, make_report, write_report
from calibration.session import Options, checked_engine, from_source
from calibration.threshold import chance_above
from calibration.words import describe, look_at

FILE = click.Path(path_type=Path)
# A station beats five times a second and looks for a new record twice a second.
HEAR_S = 5.0
ODD = 0.001


@click.command(short_help="fold new good parts into a running station's threshold")
@click.argument("station", type=FILE)
@click.argument("images", required=False)
@click.option(
    "--replace", is_flag=True, help="Use the new parts alone, as after a change of the line."
)
@click.option("--exclude", type=FILE, help="Text file of pictures that a person has ruled out.")
@click.option("--report", type=FILE, help="Write a report: FILE.html or FILE.json.")
@click.option("--note", default="", help="Goes into record and report.")
@click.option("--key", type=FILE, help="Client key, where the station has keys: to hear it.")
@click.option("--list", "show", is_flag=True, help="List the former records.")
@click.option("--restore", metavar="NAME", help="Put a former record back, by its name.")
@click.option(
    "--confirm",
    is_flag=True,
    help="The line is again as it was: keep the limit, end the alarm, watch drift anew.",
)
def recalibrate(
    station: Path,
    images: str | None,
    replace: bool,
    exclude: Path | None,
    report: Path | None,
    note: str,
    key: Path | None,
    show: bool,
    restore: str | None,
    confirm: bool,
) -> None:
    """Fold new good parts into the calibration of the station that the file STATION describes.

    IMAGES is a folder or a .txt list of pictures of parts that a person has confirmed to be good,
    as they came: only those that were rejected would make the promise void. The rate stays as it
    was asked for. A running station takes the new record over between two parts; the former one
    is kept and can be put back.

    After an alarm of drift: where its cause has been set right, the limit holds again, which
    --confirm says; else calibrate anew on the line as it is now, with --replace.

    \b
    Example:
      normline recalibrate station.yaml confirmed/
      normline recalibrate station.yaml --list
      normline recalibrate station.yaml --restore 3f29a1
      normline recalibrate station.yaml --confirm --note "lamp replaced"
    """
    if sum((images is not None, show, restore is not None, confirm)) != 1:
        raise InputError("give one of IMAGES, --list, --restore and --confirm")
    settings = load_station(station)
    path = settings.product.calibration
    if show:
        _list(path)
        return
    if settings.keys is not None and key is None:
        raise InputError(
            f"{station} has keys: without one nobody hears whether the station takes the record "
            "over. Give --key of a client with the role read (normline keys create NAME --role "
            "read --out FILE)"
        )
    listener = Subscriber(settings.publish.verdicts, key=key)
    if images is not None and "://" in images:
        raise InputError(
            f"{images} is a camera: give a folder or a list of pictures that a person has looked "
            "at, such as the station keeps with `evidence: {path: FOLDER, keep: all}`"
        )
    check_replaceable(path)
    former = None
    if restore is not None:
        record = find_former(path, restore)
        _check_fits(record, settings)
    elif confirm:
        former = read_record(path)
        record = _confirmed(former, note)
    else:
        assert images is not None
        former = read_record(path)
        options = Options(exclude, None, report is not None)
        record = _with_new_parts(settings, former, images, replace, options, note, report)
    _warn_of_settings(path, record)
    click.echo(describe(record))
    # Kept for good, the next start would find what the station has just refused.
    with on_trial(path, record, former):
        heard = _heard(listener, settings, record)
    click.echo(f"written to {path}\n{heard}")


def _with_new_parts(
    settings: Station,
    former: CalibrationRecord,
    images: str,
    replace: bool,
    options: Options,
    note: str,
    report: Path | None,
) -> CalibrationRecord:
    if report is not None:
        check_writable(report)
        read = [settings.product.bundle, settings.product.calibration, Path(images)]
        check_apart([report], [*read, *filter(None, [options.exclude])])
        if report.suffix not in FORMATS:
            raise InputError(f"--report {report}: the name must end in {' or '.join(FORMATS)}")
    bundle = open_bundle(settings.product.bundle)
    engine_settings = settings.engine
    load = partial(
        checked_engine,
        runtime=engine_settings.runtime,
        device=engine_settings.device,
        precision=engine_settings.precision,
    )
    promise = promise_of(former)
    asked = promise if replace else None
    with from_source(load, bundle, images, None, asked, options) as found:
        normals, engine = found.normals, found.engine
        _check_engine(former, bundle, engine)
        if not replace:
            _leave_out_known(normals, former)
        if not normals.parts:
            raise InputError(f"{images} holds no new part that is of use: nothing has changed")
        _warn_if_chosen(normals, former)
        evidence = Evidence.of_normals(normals)
        if not replace:
            evidence = Evidence.of_record(former).and_also(evidence)
        record = evidence.record(
            promise,
            bundle,
            engine,
            camera=found.camera if replace else former.camera_settings,
            note=note or former.note,
        )
        if former.camera_settings is None and not replace:
            digest = former.camera_settings_digest
            record = record.model_copy(update={"camera_settings_digest": digest})
        lines = look_at(normals.parts, promise, record, shown=report is not None)
        if report is not None:
            content = make_report(record, promise, normals, engine, bundle)
            write_report(report, content)
            lines += filter(None, [content.caution])
    for line in lines:
        click.echo(line, err=True)
    return record


def _confirmed(record: CalibrationRecord, note: str) -> CalibrationRecord:
    """The same promise, as of now: to the station a record that no evidence speaks against."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return record.model_copy(
        update={"schema_version": SCHEMA, "confirmed_at": now, "note": note or record.note}
    )


def _check_fits(record: CalibrationRecord, settings: Station) -> None:
    """Raises InputError where the station would not take a former record."""
    bundle, engine = open_bundle(settings.product.bundle), settings.engine
    with checked_engine(
        bundle, runtime=engine.runtime, device=engine.device, precision=engine.precision
    ) as loaded:
        _check_engine(record, bundle, loaded)


def _check_engine(record: CalibrationRecord, bundle: Bundle, engine: Engine) -> None:
    """Raises InputError where the record was made on another."""
    check_record(record, bundle, engine.fingerprint)
    check_repeated(record, golden_scores(engine, bundle))


def _warn_of_settings(path: Path, record: CalibrationRecord) -> None:
    """Say which settings of the camera are not those of the record in force.

    Only a warning: whoever has set the camera back, too, is right to put its record back.
    """
    try:
        before, after = read_record(path).camera_settings, record.camera_settings
    except InputError:
        return  # Nothing is in force that could be used.
    if before is None or after is None:
        return
    names = sorted(before.keys() | after.keys())
    if differing := [name for name in names if before.get(name) != after.get(name)]:
        click.echo(
            f"warning: it was taken with another {', '.join(differing)} of the camera than the "
            "calibration in force: the station uses it only while the camera is set so",
            err=True,
        )


def promise_of(record: CalibrationRecord) -> Promise:
    """What was asked of a record."""
    short = record.supported_false_reject_rate > record.requested_false_reject_rate
    review = record.review.requested_rate if record.review is not None else None
    return Promise(record.requested_false_reject_rate, record.confidence, review, best_effort=short)


def _leave_out_known(normals: Normals, former: CalibrationRecord) -> None:
    """Parts that the calibration holds already; the same picture gives the same score."""
    known = set(former.scores)
    for part in normals.parts:
        if part.score in known:
            normals.refused[part.name] = "in the calibration already (the same score)"
            normals.shown.pop(part.name, None)
            click.echo(f"left out {part.name}: {normals.refused[part.name]}", err=True)
    normals.parts = [part for part in normals.parts if part.score not in known]


def _warn_if_chosen(normals: Normals, former: CalibrationRecord) -> None:
    """Say when more of the new parts are above the limit than chance explains."""
    limit = former.threshold if former.review is None else former.review.reject_above
    above = sum(part.score > limit for part in normals.parts)
    count = len(normals.parts)
    rank = 1 + sum(score > limit for score in former.scores)
    if chance_above(former.n, rank, count, above) < ODD:
        click.echo(
            f"warning: {above} of {count} new parts are above the limit in force, "
            f"{at_most(former.supported_false_reject_rate)} was promised. If they were picked "
            "because they had been rejected, the new promise is void: give parts as they came. If "
            "the line has changed, use --replace.",
            err=True,
        )


def _list(path: Path) -> None:
    for each in former_records(path):
        _show(each.name, each.record)
    # The last, so that those to put back are named where it cannot be read.
    _show("in force", read_record(path))


def _show(name: str, record: CalibrationRecord) -> None:
    confirmed = f"confirmed {record.confirmed_at}  " if record.confirmed_at else ""
    click.echo(
        f"{name:<14}{record.created_at}  limit {record.threshold:.6g}  n {record.n}  "
        f"{at_most(record.supported_false_reject_rate)}  bundle {record.bundle_sha256[:8]}  "
        f"{confirmed}{record.note}".rstrip()
    )


def _heard(listener: Subscriber, settings: Station, record: CalibrationRecord) -> str:
    """Whether the running station says that the record is in force."""
    end_s = time.monotonic() + HEAR_S
    heard = False
    with listener as station:
        while (left_s := end_s - time.monotonic()) > 0:
            event = station.receive(left_s)
            heard = heard or isinstance(event, Heartbeat)
            if isinstance(event, Heartbeat) and event.calibration == record.sha256:
                return "the station has taken it over"
    if heard:
        raise InputError(
            "the station has not taken the new record over, its log says why: the former one is "
            "in the file again"
        )
    asked = "" if settings.keys is None else " (if one runs: does it admit this key?)"
    return (
        f"no station is heard at {settings.publish.verdicts}{asked}: it is used from the next "
        "start on"
    )
