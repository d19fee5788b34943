"""From normal parts to a record, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from agent.bundle import Bundle, open_bundle
from agent.engine import Engine, load_engine
from agent.errors import InputError
from calibration.calibrate import calibrate, describe, score_frames
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
def normals() -> Frames:
    good = tiny_frames(120, (64, 64), seed=5)[0::2]
    return [(f"part {index}", frame) for index, frame in enumerate(good)]


def test_the_record_holds_what_the_station_must_check(
    engine: Engine, bundle: Bundle, normals: Frames
) -> None:
    record = calibrate(engine, bundle, normals, 0.05, camera_settings_digest="ab")
    assert record.bundle_sha256 == bundle.sha256
    assert record.engine == engine.fingerprint
    assert record.camera_settings_digest == "ab"
    assert record.n == 60
    assert record.scores == sorted(score_frames(engine, bundle, normals))
    assert record.threshold == record.scores[-3]
    assert record.supported_false_reject_rate == pytest.approx(3 / 61)
    assert record.confidence is None


def test_a_defect_is_above_the_threshold_and_a_normal_part_below(
    engine: Engine, bundle: Bundle, normals: Frames
) -> None:
    record = calibrate(engine, bundle, normals, 0.02)
    fresh = tiny_frames(20, (64, 64), seed=6)
    rejected = [engine.infer(frame).score > record.threshold for frame in fresh]
    assert all(rejected[1::2])
    assert sum(rejected[0::2]) <= 1


def test_a_part_given_twice_is_refused(engine: Engine, bundle: Bundle, normals: Frames) -> None:
    with pytest.raises(InputError, match="part 60 is the same image as part 4"):
        calibrate(engine, bundle, [*normals, ("part 60", normals[4][1].copy())], 0.05)


def test_a_part_without_a_finite_score_is_refused(bundle: Bundle, normals: Frames) -> None:
    from agent.engine.onnxruntime import OnnxRuntimeEngine

    model = tiny_graph((64, 64), "fp32", gain=float("inf"))
    broken = OnnxRuntimeEngine(model, (64, 64), device="CPU", precision="fp32")
    with pytest.raises(InputError, match="part 0 cannot be scored"):
        calibrate(broken, bundle, normals, 0.05)
    broken.close()


@pytest.mark.parametrize(
    ("rate", "best_effort", "said", "not_said"),
    [
        (0.05, False, ["number 3 from the top of 60", "at most 4.9180%", "5.0000%"], "ABOVE"),
        (0.02, False, ["the largest of 60", "at most 1.6393%", "at most 4.8703%"], "ABOVE"),
        (0.01, True, ["the largest of 60", "ABOVE the rate asked for", "1.6393%"], "number"),
    ],
    ids=["third", "largest", "best effort"],
)
def test_the_summary_says_what_was_promised(
    engine: Engine,
    bundle: Bundle,
    normals: Frames,
    rate: float,
    best_effort: bool,
    said: list[str],
    not_said: str,
) -> None:
    text = describe(calibrate(engine, bundle, normals, rate, best_effort=best_effort))
    for words in said:
        assert words in text
    assert not_said not in text
