"""An image of many tiles is judged by its worst one; one tile is judged as ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import agent
from agent.bundle import open_bundle
from agent.decision import decide
from agent.engine import Engine, EngineFault, Inspection, load_engine
from agent.inspection import IGNORED_LOGIT, inspect
from agent.manifest import Manifest, Tiles
from agent.verdict import Outcome
from agent.view import View
from tests.agent.factories import make_record
from tests.tiny import TOP, tiny_frames, write_tiny_bundle

SIZE = (64, 64)
THREE = View(SIZE, tiles=Tiles(rows=3, overlap=16))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    bundle = open_bundle(write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.nlb", SIZE))
    engine = load_engine(bundle, runtime="onnxruntime", precision="fp32")
    yield engine
    engine.close()


@pytest.fixture
def plain() -> NDArray[np.uint8]:
    """A good part on the canvas of `THREE`."""
    return tiny_frames(1, THREE.canvas_size)[0]


def spotted(image: NDArray[np.uint8], y: int, x: int) -> NDArray[np.uint8]:
    image = image.copy()
    image[y : y + 8, x : x + 8] = 60
    return image


@pytest.mark.parametrize("frame", tiny_frames(2, SIZE), ids=["good", "defective"])
def test_one_tile_gives_the_engines_own_answer(engine: Engine, frame: NDArray[np.uint8]) -> None:
    """Bit for bit: calibrations made before tiles existed still hold."""
    direct, found = engine.infer(frame), inspect(engine, View(SIZE), frame)
    assert found.score == direct.score
    assert found.anomaly_map.tobytes() == direct.anomaly_map.tobytes()
    assert found.reconstruction.tobytes() == direct.reconstruction.tobytes()


@pytest.mark.parametrize("y", [4, 70, 140], ids=["first tile", "second", "third"])
def test_the_worst_tile_is_the_score(engine: Engine, plain: NDArray[np.uint8], y: int) -> None:
    image = spotted(plain, y, 30)
    tiles = [engine.infer(image[top : top + 64].copy()) for top, _ in THREE.places]
    found = inspect(engine, THREE, image)
    assert found.score == max(tile.score for tile in tiles)
    assert found.score > inspect(engine, THREE, plain).score + 1
    row, column = np.unravel_index(found.anomaly_map.argmax(), found.anomaly_map.shape)
    assert y - 1 <= row <= y + 8 and 29 <= column <= 38


def test_maps_and_pictures_lie_where_their_tiles_do(
    engine: Engine, plain: NDArray[np.uint8]
) -> None:
    image = spotted(plain, 70, 30)
    found = inspect(engine, THREE, image)
    middle = engine.infer(image[48:112].copy())
    assert found.anomaly_map.shape == THREE.canvas_size
    np.testing.assert_array_equal(found.anomaly_map[64:96], middle.anomaly_map[16:48])
    np.testing.assert_array_equal(found.reconstruction[64:96], middle.reconstruction[16:48])
    assert (found.anomaly_map[48:112] >= middle.anomaly_map).all()


@pytest.mark.parametrize("y", range(40, 70, 3))
def test_a_defect_at_a_seam_is_rejected_and_located(
    engine: Engine, plain: NDArray[np.uint8], y: int
) -> None:
    good = inspect(engine, THREE, plain).score
    found = inspect(engine, THREE, spotted(plain, y, 30))
    twice = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    decision = decide(found, make_record([good], threshold=good), (320, 128), twice)
    assert decision.outcome is Outcome.REJECT
    box = decision.regions[0].box
    # The canvas is 160 x 64: two camera pixels for one of the model.
    assert box.x <= 60 and box.x + box.width >= 76
    assert box.y <= 2 * y and box.y + box.height >= 2 * y + 16


def test_a_tile_without_an_answer_leaves_the_part_without_one(plain: NDArray[np.uint8]) -> None:
    class FailsOnce:
        calls = 0

        def infer(self, frame: NDArray[np.uint8]) -> Inspection:
            self.calls += 1
            if self.calls == 2:
                raise EngineFault("scripted")
            return Inspection(-1.0, np.zeros(SIZE, np.float32), frame)

    with pytest.raises(EngineFault):
        inspect(FailsOnce(), THREE, plain)  # type: ignore[arg-type]


@pytest.fixture(params=[1, 3], ids=["one tile", "three tiles"])
def masked(request: pytest.FixtureRequest) -> View:
    """The upper 30 rows are not inspected."""
    tiles = Tiles(rows=request.param, overlap=16 if request.param > 1 else 0)
    size = tiles.canvas_size(SIZE)
    ignored = np.zeros(size, np.bool_)
    ignored[:30] = True
    return View(SIZE, image_size=size, ignored=ignored, tiles=tiles, score_pixels=TOP)


def test_a_defect_in_ignored_pixels_changes_nothing(engine: Engine, masked: View) -> None:
    image = tiny_frames(1, masked.canvas_size)[0]
    clean = inspect(engine, masked, masked.canvas(image))
    dirty = inspect(engine, masked, masked.canvas(spotted(image, 10, 20)))
    assert dirty.score == clean.score
    np.testing.assert_array_equal(dirty.anomaly_map, clean.anomaly_map)
    assert (clean.anomaly_map[:30] == IGNORED_LOGIT).all()
    assert (clean.anomaly_map[30:] > IGNORED_LOGIT).all()


def test_the_edge_of_the_mask_is_no_defect(engine: Engine, masked: View) -> None:
    """The tiny graph sees the paint's edge as a spot; only inspected pixels may count for it."""
    image = spotted(tiny_frames(1, masked.canvas_size)[0], 40, 20)
    found = inspect(engine, masked, masked.canvas(image))
    kept = np.sort(found.anomaly_map[30:64].ravel())[-TOP:]
    assert found.score == pytest.approx(float(kept.mean()), rel=1e-6)
    good = inspect(engine, masked, masked.canvas(tiny_frames(1, masked.canvas_size)[0])).score
    as_it_is = np.eye(2, 3)
    decision = decide(found, make_record([good], threshold=good), masked.canvas_size, as_it_is)
    assert decision.outcome is Outcome.REJECT
    assert all(region.box.y >= 30 for region in decision.regions)


def test_squares_are_scored_over_what_is_inspected_of_them(engine: Engine) -> None:
    """Rows 0 to 29 are ignored: squares begin every 4 rows, and the one at 28 is half a square."""
    ignored = np.zeros(SIZE, np.bool_)
    ignored[:30] = True
    view = View(SIZE, image_size=SIZE, ignored=ignored, score_pixels=3, score_square=4)
    found = inspect(engine, view, view.canvas(spotted(tiny_frames(1, SIZE)[0], 33, 20)))
    means = []
    for y in range(28, SIZE[0], 4):
        for x in range(0, SIZE[1], 4):
            square = found.anomaly_map[y : y + 4, x : x + 4]
            means.append(square[square > IGNORED_LOGIT].mean())
    assert found.score == pytest.approx(float(np.mean(sorted(means)[-3:])), rel=1e-5)


def test_slivers_of_squares_count_where_there_is_nothing_else(engine: Engine) -> None:
    ignored = np.ones(SIZE, np.bool_)
    ignored[5, 4:8] = False
    view = View(SIZE, image_size=SIZE, ignored=ignored, score_pixels=1, score_square=4)
    found = inspect(engine, view, view.canvas(tiny_frames(1, SIZE)[0]))
    assert found.score == pytest.approx(float(found.anomaly_map[5, 4:8].mean()), rel=1e-5)


def test_fewer_pixels_than_the_score_takes_are_all_taken(engine: Engine) -> None:
    ignored = np.ones(SIZE, np.bool_)
    ignored[5, 5:9] = False
    view = View(SIZE, image_size=SIZE, ignored=ignored, score_pixels=TOP)
    found = inspect(engine, view, view.canvas(tiny_frames(1, SIZE)[0]))
    assert found.score == pytest.approx(float(found.anomaly_map[5, 5:9].mean()), rel=1e-6)


def test_a_bundle_that_still_names_a_window_of_the_score_opens() -> None:
    """The shipped one does, as null: an earlier version could score so, and none was made to."""
    manifest = open_bundle(Path(agent.__file__).parent / "demo" / "flange.nlb").manifest
    assert manifest.score_window is None and manifest.score_pixels == 8
    with pytest.raises(ValueError, match="score_window"):
        Manifest.model_validate({**manifest.model_dump(), "score_window": 8})
