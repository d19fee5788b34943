"""`normline calibrate` from the outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from agent.bundle import Bundle, open_bundle
from agent.engine import Engine, load_engine
from agent.errors import InputError
from agent.record import read_record
from calibration.history import former_records, history_of
from tests.calibration.command import calibrate
from tests.tiny import tiny_frames, write_tiny_bundle


def test_a_folder_of_good_parts_gives_a_record(
    bundle: Path, normals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tiny.cal.json"
    assert calibrate(bundle, normals, "--false-reject-rate", "10%", "--out", out) == 0
    record = read_record(out)
    assert record.bundle_sha256 == open_bundle(bundle).sha256
    assert (record.n, record.engine.runtime, record.engine.precision) == (30, "openvino", "int8")
    assert record.threshold == record.scores[-3]
    assert record.camera_settings_digest is None
    assert "number 3 from the top of 30" in capsys.readouterr().out


def test_json_is_the_record_and_nothing_else(
    bundle: Path, normals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tiny.cal.json"
    options = ("--runtime", "onnxruntime", "--precision", "fp32", "--json")
    assert calibrate(bundle, normals, "--false-reject-rate", "0.1", "--out", out, *options) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())


def test_too_few_parts_are_refused_before_any_is_scored(
    bundle: Path,
    normals: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("calibration.session.load_engine", None)
    out = tmp_path / "tiny.cal.json"
    assert calibrate(bundle, normals, "--false-reject-rate", "1%", "--out", out) == 2
    error = capsys.readouterr().err
    assert "30 normal samples cannot support" in error
    assert "at least 99 are needed" in error
    assert not out.exists()


def test_the_engine_is_loaded_once(
    bundle: Path, normals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Building it can take minutes."""
    loaded: list[Path] = []

    def load(model: Bundle, **settings: Any) -> Engine:
        loaded.append(model.path)
        return load_engine(model, **settings)

    monkeypatch.setattr("calibration.session.load_engine", load)
    options = ("--out", tmp_path / "c.json", "--report", tmp_path / "r.json")
    assert calibrate(bundle, normals, "--false-reject-rate", "10%", *options) == 0
    assert loaded == [bundle]


def test_best_effort_writes_what_the_parts_support(
    bundle: Path, normals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tiny.cal.json"
    arguments = ("--false-reject-rate", "1%", "--best-effort", "--out", out)
    assert calibrate(bundle, normals, *arguments) == 0
    record = read_record(out)
    assert record.threshold == record.scores[-1]
    assert record.requested_false_reject_rate == 0.01
    assert record.supported_false_reject_rate == pytest.approx(1 / 31)
    assert "ABOVE the 1 % asked for" in capsys.readouterr().out


def _data_set(folder: Path) -> list[str | Path]:
    (folder / "train" / "good").mkdir(parents=True)
    assert cv2.imwrite(str(folder / "train" / "good" / "a.png"), tiny_frames(1, (64, 64))[0])
    return [folder]


def _empty(folder: Path) -> list[str | Path]:
    (folder / "empty").mkdir()
    return [folder / "empty"]


def _the_same_part(folder: Path) -> list[str | Path]:
    for name in "abc":
        assert cv2.imwrite(str(folder / f"{name}.png"), tiny_frames(1, (64, 64))[0])
    return [folder, "--false-reject-rate", "40%"]


def _defects_beside_good(folder: Path) -> list[str | Path]:
    for kind in ("good", "crack"):
        (folder / kind).mkdir()
        assert cv2.imwrite(str(folder / kind / "a.png"), tiny_frames(1, (64, 64))[0])
    return [folder]


def _in_the_dark(folder: Path) -> list[str | Path]:
    assert cv2.imwrite(str(folder / "a.png"), tiny_frames(1, (64, 64))[0] // 50)
    return [folder]


def _of_two_sizes(folder: Path) -> list[str | Path]:
    *usual, other = tiny_frames(12, (64, 64))
    for index, frame in enumerate(usual):
        assert cv2.imwrite(str(folder / f"a{index:02d}.png"), frame)
    assert cv2.imwrite(str(folder / "b.png"), other[:, :32])
    return [folder]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: [folder / "missing"], "is not a folder"),
        (_empty, "holds no images"),
        (_data_set, "whole data set"),
        (_defects_beside_good, "has crack beside good, which would count as normal"),
        (_the_same_part, "1 normal sample cannot support"),
        (_in_the_dark, "none of the pictures"),
        (_of_two_sizes, "b.png is 32x64, 11 of 12 images are 64x64"),
        (lambda folder: [folder, "--fold", "a.nlb", "b"], "either IMAGES_OR_CAMERA, or --fold"),
        (lambda folder: ["v4l2:///dev/video0"], "--count"),
        (lambda folder: [folder, "--count", "5"], "--count is for cameras"),
        (lambda folder: ["nothing://x", "--count", "5"], "no camera of scheme nothing"),
    ],
    ids=[
        "missing",
        "empty",
        "data set",
        "defects",
        "same",
        "dark",
        "sizes",
        "both",
        "endless",
        "count",
        "scheme",
    ],
)
def test_a_wrong_source_is_one_line_and_exit_code_2(
    make: Callable[[Path], list[str | Path]],
    message: str,
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    arguments = make(folder)
    out = tmp_path / "c.json"
    assert calibrate(bundle, "--false-reject-rate", "50%", "--out", out, *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("normline: error: ")
    assert message in error
    assert not out.exists()


def test_an_unwritable_result_is_found_before_the_work(
    bundle: Path,
    normals: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("calibration.commands.open_bundle", None)
    out = tmp_path / "missing" / "c.json"
    assert calibrate(bundle, normals, "--false-reject-rate", "10%", "--out", out) == 2
    assert f"cannot write {out}" in capsys.readouterr().err


def test_a_history_that_cannot_be_written_is_found_before_the_work(
    bundle: Path,
    normals: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("calibration.commands.open_bundle", None)
    out = tmp_path / "c.json"
    history_of(out).write_text("no folder")
    assert calibrate(bundle, normals, "--false-reject-rate", "10%", "--out", out) == 2
    assert f"cannot write {history_of(out)}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("twice", "said"),
    [
        pytest.param(["--out", "a.json", "--report", "a.json"], "another result", id="report"),
        pytest.param(["--out", "tiny.nlb"], "it is read here", id="model"),
        pytest.param(["--out", "good.txt"], "it is read here", id="list"),
        pytest.param(["--out", "out.json", "--exclude", "out.json"], "it is read here", id="out"),
        pytest.param(["--out", "new", "--save", "new"], "another result", id="pictures"),
    ],
)
def test_no_result_is_written_over_another_or_over_what_is_read(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    twice: list[str],
    said: str,
) -> None:
    """The report replaced the record, or the record the model, and all was said to be well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("calibration.commands.open_bundle", None)
    Path("tiny.nlb").write_bytes(bundle.read_bytes())
    Path("good.txt").write_text("good.png\n")
    assert calibrate("tiny.nlb", "good.txt", "--false-reject-rate", "10%", *twice) == 2
    assert said in capsys.readouterr().err


def test_the_record_that_is_replaced_is_kept_to_be_put_back(
    bundle: Path, normals: Path, tmp_path: Path
) -> None:
    out = tmp_path / "c.json"
    command = (bundle, normals, "--out", out, "--false-reject-rate")
    assert calibrate(*command, "10%") == 0
    assert not history_of(out).exists()
    before = read_record(out)
    assert calibrate(*command, "20%") == 0
    assert [each.record for each in former_records(out)] == [before]


def test_an_engine_that_fails_its_self_test_is_not_calibrated(
    bundle: Path,
    normals: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from agent.engine import selftest

    monkeypatch.setattr(
        selftest, "deviation", lambda engine, golden: selftest.Deviation(score=9.0, map=0.0)
    )
    out = tmp_path / "c.json"
    assert calibrate(bundle, normals, "--false-reject-rate", "10%", "--out", out) == 2
    assert "self-test failed" in capsys.readouterr().err
    assert not out.exists()


def test_with_confidence_more_parts_are_needed(
    bundle: Path, normals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--false-reject-rate", "5%", "--confidence", "95%", "--out", tmp_path / "c.json")
    assert calibrate(bundle, normals, *arguments) == 2
    assert "at least 59 are needed, 29 more" in capsys.readouterr().err


def test_a_report_is_written_beside_the_record(bundle: Path, normals: Path, tmp_path: Path) -> None:
    page, data = tmp_path / "tiny.html", tmp_path / "tiny.json"
    reports = ("--report", page, "--report", data, "--note", "new <lamp>")
    options = ("--review-rate", "10%", "--out", tmp_path / "c.json")
    assert calibrate(bundle, normals, "--false-reject-rate", "10%", *options, *reports) == 0
    content = json.loads(data.read_text())
    record = read_record(tmp_path / "c.json")
    assert content["record"] == json.loads(record.model_dump_json(by_alias=True))
    assert len(content["detection"]["defects"]) == 9 and len(content["largest"]) == 8
    assert "new &lt;lamp&gt;" in page.read_text()


@pytest.mark.parametrize("spoiled", [False, True], ids=["good", "one defect"])
def test_a_defect_among_the_parts_is_named_and_its_limit_cautioned_against(
    bundle: Path, normals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoiled: bool
) -> None:
    """The commonest mistake of the first day: the limit is its score, and hardly a defect found."""
    folder = shutil.copytree(normals, tmp_path / "parts")
    if spoiled:
        assert cv2.imwrite(str(folder / "odd.png"), tiny_frames(2, (64, 64), seed=9)[1])
    report = tmp_path / "tiny.json"
    options = ("--out", tmp_path / "c.json", "--report", report)
    assert calibrate(bundle, folder, "--false-reject-rate", "4%", *options) == 0
    said, content = capsys.readouterr().err, json.loads(report.read_text())
    assert content["limit_set_by"] in said
    assert ("odd.png (" in said) == spoiled
    assert ("CAUTION" in said) == spoiled == (content["caution"] is not None)


def test_a_report_that_fails_costs_no_calibration(
    bundle: Path, normals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise InputError("cannot be drawn")

    monkeypatch.setattr("calibration.commands.make_report", fail)
    out = tmp_path / "c.json"
    report = ("--report", tmp_path / "r.html")
    assert calibrate(bundle, normals, "--false-reject-rate", "10%", "--out", out, *report) == 2
    assert len(read_record(out).scores) == 30


def test_a_report_of_an_unknown_form_is_refused_before_the_work(
    bundle: Path, normals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--false-reject-rate", "10%", "--out", tmp_path / "c.json")
    assert calibrate(bundle, normals, *arguments, "--report", tmp_path / "r.pdf") == 2
    assert "must end in .html or .json" in capsys.readouterr().err


def test_a_picture_that_a_person_has_ruled_out_is_excluded_and_named(
    bundle: Path, normals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ruled_out = tmp_path / "exclude.txt"
    ruled_out.write_text(f"# looked at by the foreman\n{normals / '07.png'}\n")
    out = tmp_path / "c.json"
    options = ("--false-reject-rate", "10%", "--out", out, "--exclude", ruled_out)
    assert calibrate(bundle, normals, *options) == 0
    record = read_record(out)
    assert (record.n, record.excluded) == (29, [str(normals / "07.png")])
    assert f"excluded {normals / '07.png'}" in capsys.readouterr().err
    ruled_out.write_text("70.png\n")
    assert calibrate(bundle, normals, *options) == 2
    assert "names 70.png, which is not among the pictures" in capsys.readouterr().err


@pytest.mark.parametrize("copy", ["07 (1).png", "07.bmp"], ids=["before it", "of another kind"])
def test_a_picture_that_is_ruled_out_does_not_count_as_a_copy_either(
    bundle: Path, normals: Path, tmp_path: Path, copy: str
) -> None:
    """The copy, left out until then for being one, took its place."""
    folder = shutil.copytree(normals, tmp_path / "parts")
    assert cv2.imwrite(str(folder / copy), cv2.imread(str(folder / "07.png")))
    ruled_out = tmp_path / "exclude.txt"
    ruled_out.write_text(f"{folder / '07.png'}\n")
    out = tmp_path / "c.json"
    options = ("--false-reject-rate", "10%", "--out", out, "--exclude", ruled_out)
    assert calibrate(bundle, folder, *options) == 0
    record = read_record(out)
    assert (record.n, record.excluded) == (29, [str(folder / "07.png")])
    (refused,) = record.refused
    assert (refused.name, refused.reason) == (
        str(folder / copy),
        f"the same picture as {folder / '07.png'}",
    )


def test_it_is_said_how_many_pictures_each_folder_has(
    bundle: Path, normals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty defects in a folder of their own counted as normal parts, and nobody was told."""
    folder = shutil.copytree(normals, tmp_path / "parts")
    (folder / "scratch" / "deep").mkdir(parents=True)
    for name, below in (("07.png", "scratch"), ("08.png", "scratch"), ("09.png", "scratch/deep")):
        (folder / name).rename(folder / below / name)
    listing = tmp_path / "list.txt"
    listing.write_text("".join(f"{path}\n" for path in sorted(folder.rglob("*.png"))))
    for given in (folder, listing):
        out = ("--out", tmp_path / "c.json")
        assert calibrate(bundle, given, "--false-reject-rate", "10%", *out) == 0
        said = "30 pictures, each taken for another part: 27 of parts, 2 of parts/scratch, 1 of "
        assert said in capsys.readouterr().err


def make_folds(folder: Path, normals: Path) -> list[str | Path]:
    """Options for three folds, each of a model and every third picture."""
    folds: list[str | Path] = []
    for number in range(3):
        model = write_tiny_bundle(folder / f"fold{number}.nlb", product=f"without {number}")
        listing = folder / f"fold{number}.txt"
        listing.write_text("\n".join(str(normals / f"{i:02}.png") for i in range(number, 30, 3)))
        folds += ["--fold", model, listing]
    return folds


def test_folds_of_too_few_pictures_are_refused_before_any_is_scored(
    bundle: Path,
    normals: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("calibration.session.load_engine", None)
    out, folds = tmp_path / "c.json", make_folds(tmp_path, normals)
    assert calibrate(bundle, "--false-reject-rate", "1%", "--out", out, *folds) == 2
    assert "30 normal samples cannot support" in capsys.readouterr().err


def test_folds_pool_what_each_model_says_of_the_images_that_it_has_not_seen(
    bundle: Path, normals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folds = tmp_path / "c.json", make_folds(tmp_path, normals)
    assert calibrate(bundle, "--false-reject-rate", "10%", "--out", out, *folds) == 0
    record = read_record(out)
    assert (record.n, record.method) == (30, "cross")
    assert record.bundle_sha256 == open_bundle(bundle).sha256
    assert "Weaker promise" in capsys.readouterr().out
    assert calibrate(bundle, "--false-reject-rate", "10%", "--out", out, *folds[:5], folds[2]) == 2
    assert "is in two folds" in capsys.readouterr().err
    assert (
        calibrate(bundle, "--false-reject-rate", "10%", "--out", out, "--count", "5", *folds) == 2
    )
    assert "every image of a fold is used" in capsys.readouterr().err
    folds[4] = write_tiny_bundle(tmp_path / "tiled.nlb", view={"tiles": {"rows": 1, "columns": 2}})
    assert calibrate(bundle, "--false-reject-rate", "10%", "--out", out, *folds) == 2
    assert "tiled.nlb has another tiles than" in capsys.readouterr().err
    folds[1] = bundle
    assert calibrate(bundle, "--false-reject-rate", "10%", "--out", out, *folds) == 2
    assert "is the model itself" in capsys.readouterr().err
