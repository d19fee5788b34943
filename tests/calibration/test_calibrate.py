"""From normal parts to a record, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from agent.bundle import Bundle, open_bundle
from agent.camera import settings_digest
from agent.decision import decide
from agent.engine import Engine, golden_scores, load_engine
from agent.errors import InputError
from agent.record import CalibrationRecord
from agent.verdict import Outcome
from agent.view import View
from calibration.calibrate import collect
from calibration.defects import detect
from calibration.evidence import Evidence, Promise
from calibration.normals import KEPT, Normals
from calibration.sources import Source
from calibration.words import describe
from tests.tiny import tiny_frames, tiny_graph, write_tiny_bundle

Frames = list[tuple[str, np.ndarray]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.nlb"))


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Iterator[Engine]:
    engine = load_engine(bundle, runtime="onnxruntime")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def pictures() -> Frames:
    good = tiny_frames(120, (64, 64), seed=5)[0::2]
    return [(f"part {index}", frame) for index, frame in enumerate(good)]


@pytest.fixture(scope="module")
def normals(engine: Engine, bundle: Bundle, pictures: Frames) -> Normals:
    return collect_from(engine, bundle, pictures)


def collect_from(engine: Engine, bundle: Bundle, pictures: Frames, **options: Any) -> Normals:
    names = [name for name, _ in pictures]
    return collect(
        engine, bundle, Source(iter(pictures), len(names), names, None), no_word, **options
    )


def no_word(name: str, reason: str | None) -> None:
    """Nobody listens."""


def record_of(
    engine: Engine, bundle: Bundle, normals: Normals, promise: Promise, **options: Any
) -> CalibrationRecord:
    return Evidence.of_normals(normals).record(promise, bundle, engine, **options)


def test_the_record_holds_what_the_station_must_check(
    engine: Engine, bundle: Bundle, normals: Normals
) -> None:
    settings = {"scheme": "v4l2", "width": 64, "height": 64, "exposure": 100}
    record = record_of(engine, bundle, normals, Promise(0.05), camera=settings, note="new lamp")
    assert record.bundle_sha256 == bundle.sha256
    assert record.engine == engine.fingerprint
    assert record.golden_scores == golden_scores(engine, bundle)
    assert record.camera_settings == settings
    assert record.camera_settings_digest == settings_digest(settings)
    assert record.frame_size == (64, 64)
    assert (record.n, record.note) == (60, "new lamp")
    assert record.scores == normals.scores
    assert record.threshold == record.scores[-3]
    assert record.supported_false_reject_rate == pytest.approx(3 / 61)
    assert record.confidence is None


def test_images_that_are_cut_out_of_larger_ones_vary_in_size(
    engine: Engine, bundle: Bundle, pictures: Frames
) -> None:
    cut = [(name, image[: 64 - index % 3]) for index, (name, image) in enumerate(pictures)]
    normals = collect_from(engine, bundle, cut)
    assert len(normals.parts) == len(pictures)
    assert normals.frame_size is None


def test_the_record_says_how_the_pictures_looked(
    engine: Engine, bundle: Bundle, normals: Normals
) -> None:
    picture = record_of(engine, bundle, normals, Promise(0.05)).picture
    assert picture is not None
    assert picture.brightness.percentile(50) == pytest.approx(150, abs=1)
    assert picture.saturated.percentile(100) == 0
    assert len(picture.difference.values) == 59 and picture.difference.percentile(0) > 1
    assert picture.sharpness.percentile(0) > 0


def test_with_confidence_the_limit_is_higher(
    engine: Engine, bundle: Bundle, normals: Normals
) -> None:
    record = record_of(engine, bundle, normals, Promise(0.05, 0.95))
    assert record.threshold == record.scores[-1]
    assert record.confidence == 0.95
    assert record.supported_false_reject_rate == pytest.approx(1 - 0.05 ** (1 / 60))


def test_a_defect_is_above_the_threshold_and_a_normal_part_below(
    engine: Engine, bundle: Bundle, normals: Normals
) -> None:
    record = record_of(engine, bundle, normals, Promise(0.02))
    fresh = tiny_frames(20, (64, 64), seed=6)
    rejected = [engine.infer(frame).score > record.threshold for frame in fresh]
    assert all(rejected[1::2])
    assert sum(rejected[0::2]) <= 1


def test_a_review_band_stops_more_and_never_lets_more_pass(
    engine: Engine, bundle: Bundle, normals: Normals
) -> None:
    plain = record_of(engine, bundle, normals, Promise(0.05))
    banded = record_of(engine, bundle, normals, Promise(0.05, review_rate=0.1))
    assert banded.review is not None
    assert banded.review.reject_above == plain.threshold
    assert banded.threshold == banded.scores[-9] < plain.threshold
    assert banded.review.stopped_rate == pytest.approx(9 / 61)
    assert banded.supported_false_reject_rate == plain.supported_false_reject_rate


def test_a_confidence_is_of_both_limits_of_a_review_band(
    engine: Engine, bundle: Bundle, normals: Normals
) -> None:
    """On average alone, the ninth from the top would do for 15 %."""
    record = record_of(engine, bundle, normals, Promise(0.05, 0.95, review_rate=0.1))
    assert record.threshold == record.scores[-5]
    assert record.review is not None and record.review.reject_above == record.scores[-1]
    assert record.review.stopped_rate == pytest.approx(0.1461, abs=1e-4)


def test_too_few_parts_that_are_of_use_make_no_record(
    engine: Engine, bundle: Bundle, normals: Normals
) -> None:
    """There were pictures enough, and then some were refused."""
    with pytest.raises(InputError, match="60 normal samples cannot support .* 1 %"):
        record_of(engine, bundle, normals, Promise(0.01))


def test_a_reject_names_where_by_the_pixel_limit(
    engine: Engine, bundle: Bundle, normals: Normals
) -> None:
    record = record_of(engine, bundle, normals, Promise(0.02))
    assert record.pixel_limit is not None and record.pixel_limit <= record.threshold
    assert len(record.pixel_levels) == 60
    frame = tiny_frames(2, (64, 64), seed=9)[1]
    decision = decide(engine.infer(frame), record, (64, 64), np.eye(2, 3))
    assert decision.outcome is Outcome.REJECT
    (region,) = decision.regions[:1]
    dark = np.argwhere(frame.mean(axis=-1) < 100)
    assert abs(region.box.y - dark[:, 0].min()) <= 4 and abs(region.box.x - dark[:, 1].min()) <= 4


def test_pictures_that_do_not_count_are_named(
    engine: Engine, bundle: Bundle, pictures: Frames
) -> None:
    spoiled = [*pictures, ("dark", pictures[0][1] // 40), ("part 60", pictures[4][1].copy())]
    normals = collect_from(engine, bundle, spoiled, excluded={"part 7"})
    assert normals.refused["part 60"] == "the same picture as part 4"
    assert normals.refused["dark"].startswith("dark: ")
    assert normals.excluded == ["part 7"]
    assert len(normals.parts) == 59
    record = record_of(engine, bundle, normals, Promise(0.05))
    assert {each.name for each in record.refused} == {"dark", "part 60"}
    assert record.excluded == ["part 7"]


def test_pictures_of_the_largest_scores_are_kept_for_the_report(normals: Normals) -> None:
    largest = sorted(normals.parts, key=lambda part: -part.score)[:KEPT]
    assert set(normals.shown) == {part.name for part in largest}


def test_no_defect_is_drawn_on_a_picture_that_was_refused_afterwards(
    engine: Engine, bundle: Bundle, pictures: Frames
) -> None:
    blurred = ("first", cv2.GaussianBlur(pictures[0][1], (0, 0), 3))
    normals = collect_from(engine, bundle, [blurred, *pictures[1:20]], canvases_kept=20)
    assert normals.refused["first"].startswith("blurred")
    assert [part.name for part in normals.parts] == [name for name, _ in pictures[1:20]]
    assert set(normals.canvases) == {name for name, _ in pictures[1:20]}


def test_defects_are_drawn_on_the_last_parts(
    engine: Engine, bundle: Bundle, pictures: Frames
) -> None:
    """Those that were compared with the most others, so that hardly one is refused afterwards."""
    normals = collect_from(engine, bundle, pictures[:9], canvases_kept=4)
    assert list(normals.canvases) == [name for name, _ in pictures[5:9]]


def test_a_camera_is_asked_for_more_when_a_picture_is_of_no_use(
    engine: Engine, bundle: Bundle, pictures: Frames
) -> None:
    stream = [pictures[0], pictures[0], ("black", pictures[1][1] // 40), *pictures[1:]]
    normals = collect(engine, bundle, Source(iter(stream), 20, None, None), no_word)
    assert [part.name for part in normals.parts] == [f"part {index}" for index in range(20)]
    assert len(normals.refused) == 2


@pytest.mark.parametrize(
    ("taken", "limits", "said"),
    [
        pytest.param(0, (-1.0, 3600.0), "0 of 20 taken; .* dark", id="from the beginning"),
        pytest.param(5, (3600.0, -1.0), "5 of 20 taken; .* dark", id="after the lamp went out"),
    ],
)
def test_a_camera_that_shows_nothing_of_use_any_more_ends_in_an_error(
    engine: Engine,
    bundle: Bundle,
    pictures: Frames,
    monkeypatch: pytest.MonkeyPatch,
    taken: int,
    limits: tuple[float, float],
    said: str,
) -> None:
    for name, limit_s in zip(("PATIENCE_S", "BREAK_S"), limits, strict=True):
        monkeypatch.setattr(f"calibration.calibrate.{name}", limit_s)
    stream = [*pictures[:taken], ("black", pictures[0][1] // 40), *pictures[taken:]]
    with pytest.raises(InputError, match=f"no usable part for .* min, {said}"):
        collect(engine, bundle, Source(iter(stream), 20, None, None), no_word)


@pytest.mark.parametrize(
    ("taken", "limits"), [(0, (3600.0, -1.0)), (5, (-1.0, 3600.0))], ids=["first", "break"]
)
def test_a_line_that_stands_is_waited_for(
    engine: Engine,
    bundle: Bundle,
    pictures: Frames,
    monkeypatch: pytest.MonkeyPatch,
    taken: int,
    limits: tuple[float, float],
) -> None:
    """A break of more than a minute lost all parts before it."""
    for name, limit_s in zip(("PATIENCE_S", "BREAK_S"), limits, strict=True):
        monkeypatch.setattr(f"calibration.calibrate.{name}", limit_s)
    stream = [*pictures[:taken], ("black", pictures[0][1] // 40), *pictures[taken:]]
    normals = collect(engine, bundle, Source(iter(stream), 20, None, None), no_word)
    assert len(normals.parts) == 20


@pytest.mark.parametrize(
    ("recorded", "named"),
    [(True, ["1", "2", "3", "4"]), (False, ["1", "3"])],
    ids=["film", "camera"],
)
def test_of_every_row_of_pictures_that_are_of_no_use_the_first_is_named(
    engine: Engine, bundle: Bundle, pictures: Frames, recorded: bool, named: list[str]
) -> None:
    """And of what can be looked at again, a film or a folder, each."""
    black = pictures[0][1] // 40
    rows = [("1", black), ("2", black), pictures[1], ("3", black), ("4", black)]
    stream = iter([pictures[0], *rows, *pictures[2:]])
    source = Source(stream, 20, None, None, recorded=recorded)
    assert list(collect(engine, bundle, source, no_word).refused) == named


def test_every_part_that_is_of_use_begins_the_wait_anew(
    engine: Engine, bundle: Bundle, pictures: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an hour's work, a single dark picture would lose it all."""
    clock = SimpleNamespace(monotonic=count(0.0, 1000.0).__next__)
    monkeypatch.setattr("calibration.calibrate.time", clock)
    stream = [each for part in pictures[:20] for each in (("black", part[1] // 40), part)]
    monkeypatch.setattr("calibration.calibrate.PATIENCE_S", 3600.0)
    normals = collect(engine, bundle, Source(iter(stream), 20, None, None), no_word)
    assert len(normals.parts) == 20


def test_a_camera_is_asked_for_another_part_for_each_that_is_refused_afterwards(
    engine: Engine, bundle: Bundle, pictures: Frames
) -> None:
    """As many as the rate needs were asked for, and one fewer is refused."""
    blurred = ("first", cv2.GaussianBlur(pictures[0][1], (0, 0), 3))
    stream = iter([blurred, *pictures[1:30]])
    normals = collect(engine, bundle, Source(stream, 20, None, None), no_word)
    assert normals.refused["first"].startswith("blurred")
    assert len(normals.parts) == 20


def test_of_a_part_that_stands_before_the_camera_one_picture_is_named(
    engine: Engine, bundle: Bundle, pictures: Frames
) -> None:
    """A record of ninety thousand names made the station late that took it over."""
    standing = [(f"{index}", pictures[3][1]) for index in range(50)]
    failed = [("fault", f"camera fault: {why}") for why in ("no frame", "no such device")]
    again = [(f"again {index}", pictures[3][1]) for index in range(2)]
    stream = [*pictures[:5], *standing, *failed, *pictures[5:10], *again, *pictures[10:]]
    source = Source(iter(stream), 20, None, None, recorded=False)
    normals = collect(engine, bundle, source, no_word)
    assert len(normals.parts) == 20
    assert normals.refused == {
        "0": "the same picture as part 3",
        "fault": "camera fault: no such device",
        "again 0": "the same picture as part 3",
    }


def test_a_part_without_a_finite_score_is_refused(bundle: Bundle, pictures: Frames) -> None:
    from agent.engine.onnxruntime import load

    model = tiny_graph((64, 64), "fp32", gain=float("inf"))
    broken = load(model, (64, 64), device="CPU", precision="fp32", streams=1)
    with pytest.raises(InputError, match="part 0 cannot be scored"):
        collect_from(broken, bundle, pictures)
    broken.close()


def test_old_and_new_parts_stand_in_one_record(
    engine: Engine, bundle: Bundle, pictures: Frames, normals: Normals
) -> None:
    halves = [collect_from(engine, bundle, pictures[part]) for part in (slice(30), slice(30, 60))]
    old = record_of(engine, bundle, halves[0], Promise(0.05))
    both = Evidence.of_record(old).and_also(Evidence.of_normals(halves[1]))
    whole = Evidence.of_normals(normals)
    assert (both.scores, both.pixel_levels) == (whole.scores, whole.pixel_levels)
    assert both.picture is not None and whole.picture is not None
    assert both.picture.brightness == whole.picture.brightness


@pytest.mark.parametrize(
    ("promise", "said", "not_said"),
    [
        (
            Promise(0.05),
            ["number 3 from the top of 60", "on average at most 4.92 %", "95 % confidence at most"],
            "ABOVE",
        ),
        (Promise(0.02), ["the largest of 60", "at most 1.64 %", "at most 4.88 %"], "ABOVE"),
        (
            Promise(0.01, best_effort=True),
            ["the largest of 60", "ABOVE the 1 % asked for", "1 % needs 39 more samples"],
            "number",
        ),
        (Promise(0.05, 0.95), ["With 95 % confidence", "on average at most 1.64 %"], "Expected:"),
        (Promise(0.05, review_rate=0.1), ["rejected outright", "14.8 % do not pass"], "ABOVE"),
        (
            Promise(0.05, 0.95, review_rate=0.1),
            ["do not pass (95 % confidence for either by itself)"],
            "ABOVE",
        ),
    ],
    ids=["third", "largest", "best effort", "confident", "review", "confident review"],
)
def test_the_summary_says_what_was_promised(
    engine: Engine,
    bundle: Bundle,
    normals: Normals,
    promise: Promise,
    said: list[str],
    not_said: str,
) -> None:
    text = describe(record_of(engine, bundle, normals, promise))
    for words in said:
        assert words in text
    assert not_said not in text


def test_pictures_without_colours_are_left_out_where_the_training_images_had_some(
    engine: Engine, tmp_path: Path, pictures: Frames
) -> None:
    """A network camera that takes the night to have come, at the fourth part."""
    images = {"size": None, "coloured": True}
    coloured = open_bundle(
        write_tiny_bundle(tmp_path / "coloured.nlb", view={"training_images": images})
    )
    tinted = [(name, frame // np.uint8([1, 1, 2])) for name, frame in pictures[:20]]
    name, picture = tinted[3]
    tinted[3] = name, np.repeat(picture[..., :1], 3, axis=2)
    normals = collect_from(engine, coloured, tinted)
    assert len(normals.parts) == 19
    assert normals.refused == {name: "grey: no colours, the training images had some"}


def test_a_limit_that_hardly_a_defect_would_reach_is_said(
    engine: Engine, bundle: Bundle, normals: Normals
) -> None:
    """Pictures of another product all score high, and all else would score no higher."""
    record = record_of(engine, bundle, normals, Promise(0.05))
    assert record.threshold < max(record.golden_scores) and "CAUTION" not in describe(record)
    above = record.model_copy(update={"threshold": max(record.golden_scores)})
    assert f"drawn defects among them ({above.threshold:.4g} at most)" in describe(above)
    assert "CAUTION" not in describe(above.model_copy(update={"golden_scores": []}))


def test_a_cross_conformal_record_makes_its_weaker_promise(
    engine: Engine, bundle: Bundle, normals: Normals
) -> None:
    evidence = Evidence.of_normals(normals, cross=True)
    record = evidence.record(Promise(0.05), bundle, engine)
    assert record.method == "cross"
    assert "Weaker promise (cross-conformal)" in describe(record)
    assert "on average at most" not in describe(record).splitlines()[1]


def test_ignored_pixels_move_neither_limit(
    engine: Engine, pictures: Frames, tmp_path: Path
) -> None:
    """A label that differs from part to part, where the mask says that nothing is inspected."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:24] = 255
    masked = open_bundle(
        write_tiny_bundle(
            tmp_path / "masked.nlb",
            view={"ignore_mask": "m.png", "image_size": (64, 64), "score_pixels": 50},
            members={"m.png": cv2.imencode(".png", mask)[1].tobytes()},
        )
    )
    random = np.random.default_rng(0)
    labelled = [(name, image.copy()) for name, image in pictures]
    for _, image in labelled:
        image[random.integers(2, 16) :, random.integers(60)][:6] = 0
    plain, odd = (
        collect_from(engine, masked, each, canvases_kept=4) for each in (pictures, labelled)
    )
    assert odd.scores == plain.scores
    assert [part.level for part in odd.parts] == [part.level for part in plain.parts]
    found = detect(engine, View.of(masked), list(odd.canvases.values()), -3.2, -3.2, 4)
    assert sum(row.found for row in found) > 0
