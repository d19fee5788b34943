"""A threshold is used with the model and the engine that it was taken on, or not at all."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from agent import record as record_module
from agent.bundle import Bundle, open_bundle
from agent.demo.kit import Kit
from agent.engine import Fingerprint
from agent.errors import InputError
from agent.record import (
    SCHEMA,
    CalibrationRecord,
    Refused,
    Review,
    check_record,
    check_repeated,
    read_record,
    write_record,
)
from tests.tiny import write_tiny_bundle, write_tiny_record

ENGINE = Fingerprint(
    runtime="openvino",
    version="2026.4.1",
    device="CPU",
    precision="int8",
    view="1 with OpenCV 5.0",
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.nlb"))


@pytest.fixture
def path(tmp_path: Path, bundle: Bundle) -> Path:
    return write_tiny_record(tmp_path / "tiny.cal.json", bundle, ENGINE, 1.0)


@pytest.fixture
def record(path: Path) -> CalibrationRecord:
    return read_record(path)


def test_a_record_survives_its_file_to_the_last_bit(tmp_path: Path, path: Path) -> None:
    scores = np.sort(np.random.default_rng(0).normal(size=99)).astype(np.float32)
    record = read_record(path).model_copy(
        update={"scores": [float(s) for s in scores], "threshold": float(scores[-1])}
    )
    write_record(tmp_path / "again.cal.json", record)
    assert read_record(tmp_path / "again.cal.json") == record


def test_the_matching_bundle_and_engine_are_accepted(
    record: CalibrationRecord, bundle: Bundle
) -> None:
    check_record(record, bundle, ENGINE)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("runtime", "onnxruntime"),
        ("version", "2026.5.0"),
        ("device", "GPU"),
        ("precision", "fp16"),
        ("levels", 127),
        ("view", "1 with OpenCV 4.10"),
    ],
)
def test_another_engine_is_refused_by_what_differs(
    record: CalibrationRecord, bundle: Bundle, field: str, value: str
) -> None:
    engine = ENGINE.model_copy(update={field: value})
    with pytest.raises(InputError) as refused:
        check_record(record, bundle, engine)
    assert f"{field} {getattr(ENGINE, field)} instead of {value}" in str(refused.value)
    assert ("how finely INT8 is computed" in str(refused.value)) == (field == "levels")
    assert ("how a picture becomes" in str(refused.value)) == (field == "view")
    for other in {"bundle", *Fingerprint.model_fields} - {field}:
        assert f"{other} " not in str(refused.value).partition(": run ")[0].partition("with ")[2]


def test_a_record_of_before_the_view_was_noted_is_refused(
    record: CalibrationRecord, bundle: Bundle
) -> None:
    """What the model is shown has changed since: the limit is of other pixels."""
    before = ENGINE.model_copy(update={"view": ""})
    with pytest.raises(InputError, match=r"view not noted instead of 1 with OpenCV 5\.0"):
        check_record(record.model_copy(update={"engine": before}), bundle, ENGINE)


def test_an_engine_is_written_as_before_there_was_more_to_say(record: CalibrationRecord) -> None:
    """The drift that a station remembers is of the record's name."""
    engine = ENGINE.model_copy(update={"view": ""})
    before = record.model_copy(update={"engine": engine})
    written = json.loads(before.model_dump_json())["engine"]
    assert written == {
        "runtime": "openvino",
        "version": "2026.4.1",
        "device": "CPU",
        "precision": "int8",
    }
    names = {before.sha256}
    for name, value in (("levels", 127), ("view", "1 with OpenCV 5.0")):
        more = before.model_copy(update={"engine": engine.model_copy(update={name: value})})
        assert json.loads(more.model_dump_json())["engine"][name] == value
        names.add(more.sha256)
    assert len(names) == 3


@pytest.mark.parametrize(
    ("here", "refused"),
    [
        ([3.5, -1.25], None),
        ([3.503, -1.25], None),
        ([3.54, -1.29], "differ by 0.04, at most 0.034 is allowed"),
        ([3.5, -2.25], "differ by 1, at most 0.034 is allowed"),
    ],
    ids=["exactly", "but for rounding", "by a tenth of the spread", "by the way to the limit"],
)
def test_an_engine_that_no_longer_scores_as_it_did_is_refused(
    record: CalibrationRecord, here: list[float], refused: str | None
) -> None:
    """The bundle's tolerance is a part of all scores, of bad parts too, and let all of these run.

    A record of before the golden scores were noted is taken.
    """
    check_repeated(record, here)
    noted = record.model_copy(update={"golden_scores": [3.5, -1.25]})
    with pytest.raises(InputError, match=refused) if refused else nullcontext():
        check_repeated(noted, here)


def test_where_all_parts_score_alike_float32_may_still_round(record: CalibrationRecord) -> None:
    one = record.model_copy(update={"scores": [1.0], "n": 1, "golden_scores": [3.5]})
    check_repeated(one, [3.5004])
    with pytest.raises(InputError, match="run normline calibrate on this machine"):
        check_repeated(one, [3.51])


def test_another_bundle_is_refused(
    record: CalibrationRecord, tmp_path: Path, bundle: Bundle
) -> None:
    other = open_bundle(write_tiny_bundle(tmp_path / "other.nlb", product="other"))
    with pytest.raises(InputError, match=f"bundle {bundle.sha256[:12]} instead of"):
        check_record(record, other, ENGINE)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.5, 1.0),
        (1.0, 1.0),
        (1.5, 4 / 5),
        (2.0, 4 / 5),
        (3.0, 2 / 5),
        (3.5, 1 / 5),
        (float("inf"), 1 / 5),
        (float("nan"), 1 / 5),
    ],
)
def test_the_p_value_counts_normal_scores_at_least_as_large(
    record: CalibrationRecord, score: float, expected: float
) -> None:
    small = record.model_copy(update={"scores": [1.0, 2.0, 2.0, 3.0], "n": 4})
    assert small.p_value(score) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 5}, "schema 5, this normline reads up to 4: update normline"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"threshold": 9.0}, "the threshold is above all scores"),
        ({"threshold": 1.0001}, "the threshold is above all scores"),
        ({"n": 98}, "n is 98, but there are 99 scores"),
        ({"scores": [2.0] + [1.0] * 98}, "ascending"),
        ({"requested_false_reject_rate": 1.5}, "requested_false_reject_rate"),
        ({"colour": "red"}, r"is not a calibration record \(.*colour"),
        ({"engine": {"runtime": "openvino"}}, "engine.version"),
        (
            {"review": {"requested_rate": 0.1, "reject_above": 0.5, "stopped_rate": 0.2}},
            "review.reject_above is below the threshold",
        ),
        ({"pixel_limit": 1.5}, "pixel limit is above the threshold"),
        ({"pixel_levels": [2.0, 1.0]}, "pixel_levels"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(
    path: Path, changes: dict[str, object], message: str
) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=message):
        read_record(path)


@pytest.mark.parametrize("more", [{"later": 1}, {"engine": {**ENGINE.model_dump(), "later": 1}}])
def test_a_record_of_a_newer_normline_is_called_that(path: Path, more: dict[str, object]) -> None:
    """The operator was told that it is none, and to calibrate."""
    fields = json.loads(path.read_text()) | more
    del fields["seal"]
    path.write_text(json.dumps({**fields, "seal": record_module._seal(fields)}))
    message = r"was made by a newer normline \(it has (engine\.)?later\): update normline"
    with pytest.raises(InputError, match=message):
        read_record(path)


@pytest.mark.parametrize(
    "changes",
    [{"threshold": 0.99}, {"note": "as before"}, {"schema": 2}, {"seal": "0" * 64}, {"seal": 1}],
    ids=["threshold", "note", "schema", "seal", "no text"],
)
def test_a_record_that_was_edited_is_refused(path: Path, changes: dict[str, object]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=r"tiny\.cal\.json was changed after it was made: run "):
        read_record(path)


def test_a_record_from_which_the_seal_was_taken_is_refused(
    path: Path, record: CalibrationRecord
) -> None:
    write_record(path, record.model_copy(update={"schema_version": SCHEMA}))
    fields = json.loads(path.read_text())
    del fields["seal"]
    path.write_text(json.dumps(fields))
    with pytest.raises(InputError, match="was changed after it was made"):
        read_record(path)


@pytest.mark.parametrize(
    ("runtime", "name"), [("openvino", "b559ed5644ef"), ("onnxruntime", "0b26b4fb45f6")]
)
def test_the_shipped_records_keep_their_seal_and_their_name(runtime: str, name: str) -> None:
    """As must every record that is on a line when normline is updated.

    Its name is that of the drift that a raised alarm is about, and of `recalibrate --restore`:
    with other shipped records the names here are others, with another normline they are not.
    """
    record = read_record(Kit().record(runtime))
    assert record.schema_version == 4
    assert record.sha256.startswith(name)


def test_a_record_with_all_that_there_is_keeps_its_name_too(record: CalibrationRecord) -> None:
    full = record.model_copy(
        update={
            "bundle_sha256": "0" * 64,
            "scores": [0.5, 1.0],
            "n": 2,
            "review": Review(requested_rate=0.1, reject_above=1.5, stopped_rate=0.2),
            "refused": [Refused(name="a.png", reason="dark")],
            "camera_settings": {"exposure": 100},
        }
    )
    assert full.sha256.startswith("4ff9b4da8876")


def test_a_field_that_a_later_version_adds_renames_no_record(record: CalibrationRecord) -> None:
    """It did: a raised alarm of drift ended with the update that added `confirmed_at`."""

    class Later(CalibrationRecord):
        more: list[str] = []

    later = Later.model_validate(record.model_dump(by_alias=True))
    assert later.sha256 == record.sha256
    assert later.model_copy(update={"more": ["something"]}).sha256 != record.sha256


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\xff\xfe", b"[]", b"{}", b"[" * 200_000],
    ids=["missing", "empty", "bytes", "list", "no", "deep"],
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "odd.cal.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="odd.cal.json"):
        read_record(path)


@pytest.mark.parametrize("schema", [1, 2])
def test_a_record_from_before_there_were_seals_is_still_read(tmp_path: Path, schema: int) -> None:
    """What an older normline wrote; the station that runs on it must start after an update."""
    fields = {
        "schema": schema,
        "bundle_sha256": "0" * 64,
        "engine": ENGINE.model_dump(),
        "threshold": 2.0,
        "requested_false_reject_rate": 0.5,
        "supported_false_reject_rate": 0.5,
        "confidence": None,
        "n": 2,
        "scores": [1.0, 2.0],
        "camera_settings_digest": None,
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    path = tmp_path / "old.cal.json"
    path.write_text(json.dumps(fields))
    record = read_record(path)
    assert (record.method, record.picture, record.review) == ("split", None, None)


def test_a_record_is_known_by_its_content(record: CalibrationRecord, path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert read_record(path).sha256 == record.sha256
    assert record.model_copy(update={"note": "other"}).sha256 != record.sha256


def test_a_band_in_which_no_score_lies_is_read(path: Path, record: CalibrationRecord) -> None:
    """With few samples both limits are the largest score, and calibrate writes them so."""
    band = Review(requested_rate=0.001, reject_above=record.threshold, stopped_rate=0.02)
    write_record(path, record.model_copy(update={"review": band}))
    assert read_record(path).review == band


def test_a_record_that_cannot_be_written_leaves_the_one_before(
    path: Path, record: CalibrationRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off half-way it would be none, and the station would not start again."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"tiny\.cal\.json: No space left"):
        write_record(path, record.model_copy(update={"note": "week 2"}))
    assert read_record(path) == record
