"""An engine that no longer says what the model said at export does not run."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from agent.bundle import Bundle, open_bundle, write_bundle
from agent.engine import EngineFault, Inspection, deviation, golden_scores, load_engine, self_test
from agent.errors import InputError
from tests.tiny import tiny_graph, write_tiny_bundle


def rewritten(folder: Path, tolerances: dict[str, dict[str, float]], **models: bytes) -> Bundle:
    """The tiny bundle with other tolerances and models."""
    with zipfile.ZipFile(write_tiny_bundle(folder / "tiny.nlb")) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    fields = json.loads(members.pop("manifest.json"))
    del fields["schema"], fields["members"]
    fields["tolerances"] |= tolerances
    members |= {f"model.{precision}.onnx": model for precision, model in models.items()}
    write_bundle(folder / "other.nlb", fields, members)
    return open_bundle(folder / "other.nlb")


@pytest.mark.parametrize(
    "tolerance",
    [{"score": 1e-6, "map": 1.0}, {"score": 1.0, "map": 1e-6}],
    ids=["score", "map"],
)
def test_a_model_beyond_its_tolerance_is_refused_with_the_figures(
    tmp_path: Path, tolerance: dict[str, float]
) -> None:
    bundle = rewritten(tmp_path, {"int8": tolerance})
    engine = load_engine(bundle, runtime="onnxruntime", precision="int8")
    with pytest.raises(InputError, match=r"int8: scores differ .* by 0\.00\d+ \(tolerance"):
        self_test(engine, bundle)
    engine.close()


def test_a_model_that_gives_no_finite_score_is_refused(tmp_path: Path) -> None:
    bundle = rewritten(tmp_path, {}, fp32=tiny_graph((64, 64), "fp32", gain=float("inf")))
    engine = load_engine(bundle, runtime="onnxruntime", precision="fp32")
    with pytest.raises(InputError, match="self-test failed .*not finite"):
        self_test(engine, bundle)
    with pytest.raises(InputError, match="self-test failed .*not finite"):
        golden_scores(engine, bundle)
    engine.close()


def test_an_engine_says_of_the_golden_frames_what_it_said_at_export(tmp_path: Path) -> None:
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    engine = load_engine(bundle, runtime="onnxruntime", precision="fp32")
    assert golden_scores(engine, bundle) == pytest.approx(bundle.golden().scores.tolist(), abs=1e-3)
    engine.close()


def test_the_deviation_is_that_of_the_worst_frame(tmp_path: Path) -> None:
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    engine = load_engine(bundle, runtime="onnxruntime", precision="fp32")
    golden = bundle.golden()
    golden.scores[2] += 0.5
    golden.maps[1] -= np.float32(0.25)
    found = deviation(engine, golden)
    assert found.score == pytest.approx(0.5, abs=1e-5)
    assert found.map == pytest.approx(0.25, abs=1e-5)
    engine.close()


def test_what_a_map_has_too_much_and_too_little_does_not_even_out(tmp_path: Path) -> None:
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    engine = load_engine(bundle, runtime="onnxruntime", precision="fp32")
    golden = bundle.golden()
    golden.maps[1, ::2] += np.float32(0.25)
    golden.maps[1, 1::2] -= np.float32(0.25)
    assert deviation(engine, golden).map == pytest.approx(0.25, abs=1e-5)
    engine.close()


@pytest.mark.parametrize("level", [0, 255], ids=["dark", "light"])
def test_an_engine_that_has_no_answer_for_a_picture_all_dark_or_light_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    """No golden frame is one, and in 16 bits such a picture would overflow first."""
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    engine = load_engine(bundle, runtime="onnxruntime", precision="fp32")
    infer = engine.infer

    def overflow(frame: np.ndarray) -> Inspection:
        if (frame == level).all():
            raise EngineFault("the score or the map is not finite")
        return infer(frame)

    monkeypatch.setattr(engine, "infer", overflow)
    with pytest.raises(InputError, match="self-test failed .*not finite"):
        self_test(engine, bundle)
    engine.close()
