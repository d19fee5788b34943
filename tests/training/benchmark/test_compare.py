"""What the comparisons compare is what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.training.benchmark.trees import mvtec_tree, part
from training.benchmark import compare, variants
from training.benchmark.compare import COMPARISONS, Row
from training.benchmark.inspectors import (
    Inspector,
    Rebuild,
    implicit,
    noise_predictor,
    one_scale,
    two_scales,
)
from training.benchmark.judge import Figures
from training.budget import Budget
from training.dataset import read_dataset
from training.errors import InputError
from training.iterative import implicit_x0
from training.model import T_NOISIER, T_NORMAL, DiffusionAD, FixedNoise, to_images
from training.order import AS_PRESET, Order, Variant
from training.presets import preset
from training.run import WEIGHTS
from training.selection import inspect_frames
from training.synthesis import Synthesizer
from training.synthesis.parts import cut_parts
from training.view import View
from training.wish import ViewWish

SIZE = (64, 64)
FRAMES = np.stack([part(seed)[0][:64, :64] for seed in range(2)])


@pytest.fixture(scope="module")
def model() -> DiffusionAD:
    """Untrained, and made to paint grey pictures that answer to its input."""
    torch.manual_seed(0)
    model = AS_PRESET.build(preset("edge-s")).eval()
    head = model.unet.head
    assert isinstance(head, torch.nn.Conv2d) and head.bias is not None
    with torch.no_grad():
        head.weight.mul_(300)
        head.bias.fill_(0.5)
    return model


@torch.inference_mode()
def rebuilt(model: DiffusionAD, rebuild: Rebuild) -> torch.Tensor:
    frames = torch.from_numpy(FRAMES)
    return rebuild(Inspector(model, SIZE, 0, rebuild).eval(), to_images(frames, frames.device))


def test_two_scales_are_what_stands_at_the_line(model: DiffusionAD) -> None:
    line, _ = inspect_frames(FixedNoise(model, SIZE, 0).eval(), FRAMES)
    here, _ = inspect_frames(Inspector(model, SIZE, 0, two_scales()).eval(), FRAMES)
    np.testing.assert_array_equal(here, line)


def test_a_weight_of_nothing_is_the_smaller_scale_alone(model: DiffusionAD) -> None:
    alone = rebuilt(model, one_scale(T_NORMAL))
    torch.testing.assert_close(rebuilt(model, two_scales(weight=0.0)), alone, atol=1e-4, rtol=0)
    assert (rebuilt(model, two_scales(weight=1.0)) - alone).abs().max() > 1e-2


def test_a_single_step_of_many_is_one_step(model: DiffusionAD) -> None:
    """Denoising step by step starts where one step does; further steps lead elsewhere."""
    one = rebuilt(model, one_scale(T_NOISIER))
    torch.testing.assert_close(rebuilt(model, _in_one_stride), one, atol=1e-4, rtol=0)
    assert (rebuilt(model, implicit(T_NOISIER, 10)) - one).abs().max() > 1e-2


def _in_one_stride(inspector: Inspector, image: torch.Tensor) -> torch.Tensor:
    schedule = inspector.model.schedule
    noised = schedule.add_noise(image, T_NOISIER, inspector.noises[0])
    predict = noise_predictor(inspector.model)
    return implicit_x0(schedule, predict, noised, T_NOISIER, T_NOISIER + 1).clamp(0.0, 1.0)


def test_the_baseline_has_no_reconstruction_network() -> None:
    recipe = preset("edge-s")
    baseline = variants.NO_DIFFUSION.build(recipe)
    assert not list(baseline.unet.parameters())
    image = torch.rand(2, 3, 64, 64)
    made = baseline.reconstruct(image, 200, 400, image, image)
    assert made.guided.shape == image.shape and made.guided.std() < image.std()


def test_a_single_scale_is_trained_as_it_is_used() -> None:
    """Each with both draws: half of them at the other scale would be half of its training."""
    recipe = preset("edge-s")
    for variant, limits in (
        (variants.SMALLER_SCALE, recipe.t_normal),
        (variants.LARGER_SCALE, recipe.t_noisier),
    ):
        trained = variant.recipe(recipe)
        assert trained.t_normal == trained.t_noisier == limits
        assert variant.build(recipe).guidance == 0.0


def scales_asked_by(model: DiffusionAD, ask: Callable[[], object]) -> set[int]:
    asked: set[int] = set()
    hook = model.unet.register_forward_pre_hook(lambda _, given: asked.update(given[1].tolist()))
    ask()
    hook.remove()
    return asked


@pytest.mark.parametrize(
    "row",
    [*COMPARISONS["scales"](True)[:3], *COMPARISONS["t"](True)],
    ids=lambda row: row.training,
)
def test_a_checkpoint_is_chosen_at_the_scales_that_it_is_trained_and_judged_at(row: Row) -> None:
    """Chosen by what is painted from t = 200, a model that never saw it is chosen by chance."""
    recipe = row.variant.recipe(preset("edge-s"))
    model = row.variant.build(recipe).eval()
    synthesizer = Synthesizer(cut_parts(FRAMES, View(SIZE)), None, np.random.default_rng(0))
    chosen_by = row.variant.selection(FRAMES, synthesizer, 0)
    at_line = FixedNoise(model, SIZE, 0).eval()
    judged = Inspector(model, SIZE, 0, row.rebuild, row.segments).eval()
    scales = scales_asked_by(model, lambda: chosen_by.score(at_line))
    assert scales == scales_asked_by(model, lambda: inspect_frames(judged, FRAMES))
    trained = {*range(*recipe.t_normal), *range(*recipe.t_noisier)}
    assert scales and scales <= trained


def test_the_net_sees_what_its_variant_lets_stand_out() -> None:
    image, rebuilt = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    for reconstruction, surroundings in ((False, False), (True, False), (False, True)):
        model = variants.seeing(reconstruction, surroundings).build(preset("edge-s"))
        seen = model.contrast(image, rebuilt)
        assert bool(seen[:, :3].any()) is reconstruction
        assert bool(seen[:, 3:].any()) is surroundings


def test_a_net_that_is_told_of_no_lines_answers_without() -> None:
    image = torch.rand(2, 3, 64, 64)
    model = variants.NO_LINES.build(preset("edge-s"))
    assert not any(".lines." in name for name in model.state_dict())
    assert model.segment(image, image).shape == (2, 1, 64, 64)


def test_without_synthesis_nothing_is_pasted() -> None:
    normals = np.stack([part(seed)[0][:64, :64] for seed in range(4)])
    rng = np.random.default_rng(0)
    view = View(SIZE)
    synthesizer = variants.NO_SYNTHESIS.synthesizer(cut_parts(normals, view), None, rng)
    image, mask = synthesizer.paste(normals[0], None, rng)
    assert (image == normals[0]).all() and not mask.any()


def pasted(variant: Variant) -> tuple[float, float]:
    """Of a variant on soft grain: the steepest step at an outline, and the share of faint ones."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((6, 96, 96)).astype(np.float32)
    soft = np.stack([cv2.GaussianBlur(each, (0, 0), 1.5) for each in noise])
    grey = np.clip(128 + 25 * soft / soft.std(), 0, 255).astype(np.uint8)
    normals = np.repeat(grey[..., None], 3, axis=-1)
    synthesizer = variant.synthesizer(cut_parts(normals, View((96, 96))), None, rng)
    steepest, faint = [], []
    for index in range(60):
        normal = normals[index % len(normals)]
        image, mask = synthesizer.paste(normal, None, rng)
        change = np.abs(image[..., 0].astype(int) - normal[..., 0])
        steepest.append(np.abs(np.diff(change, axis=1)).max())
        faint.append(change[mask].mean() < 20)
    return float(np.mean(steepest)), float(np.mean(faint))


def test_anomalies_lose_the_trait_that_a_row_takes_away() -> None:
    as_usual = pasted(variants.PRESET)
    assert pasted(variants.SHARP)[0] > 1.2 * as_usual[0]
    assert pasted(variants.EVEN_UNSEEN)[1] > as_usual[1]


def test_textures_alone_draw_no_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a drawn defect")

    monkeypatch.setattr("training.synthesis.synthesizer.PAINTERS", {refuse: 1.0})
    pasted(variants.TEXTURES_ALONE)
    with pytest.raises(AssertionError, match="a drawn defect"):
        pasted(variants.PRESET)


class Judging:
    """Stands for training and judging: which rows were judged, and after how many it is killed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = read_dataset(mvtec_tree(folder, "nut") / "nut")
        self.out = folder / "out"
        self.rows: list[str] = []
        self.left: int | None = None
        monkeypatch.setattr(compare, "trained_model", self._train)
        monkeypatch.setattr(compare, "_judged", self._judge)

    def _train(self, order: Order, *_: object) -> None:
        order.out.mkdir(parents=True, exist_ok=True)
        if not (order.out / WEIGHTS).exists():
            (order.out / WEIGHTS).write_text(order.out.name)

    def _judge(self, model: None, row: Row, *_: object) -> Figures:
        if self.left == 0:
            raise KeyboardInterrupt
        if self.left is not None:
            self.left -= 1
        self.rows.append(row.label)
        return Figures(0.9, None, None, None, 1.5)

    def start(
        self, kill_after: int | None = None, name: str = "denoising", by: str = "edge-s"
    ) -> list[str]:
        """Compare, with the preset `by`; returns the rows that were judged in this call."""
        self.rows, self.left = [], kill_after
        order = Order(self.out, by, Budget(2), SIZE, ViewWish(), 0, "cpu", "nut", None, True)
        with suppress(KeyboardInterrupt):
            compare.run_comparison(name, True, self.data, order, lambda line: None)
        return self.rows

    def table(self) -> list[str]:
        lines = (self.out / "denoising.md").read_text().splitlines()[2:]
        labels = [line.split("|")[1].strip() for line in lines]
        assert list(json.loads((self.out / "denoising.json").read_text())) == labels
        return labels


ALL = [row.label for row in (*COMPARISONS["denoising"](True), compare.BASELINE)]


@pytest.fixture
def judging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judging:
    return Judging(tmp_path, monkeypatch)


def test_a_comparison_that_was_killed_keeps_the_rows_that_it_had(judging: Judging) -> None:
    """Rows of 400 steps each: the next start threw them away first, and began again."""
    assert judging.start(kill_after=4) == judging.table() == ALL[:4]
    assert judging.start(kill_after=0) == []
    assert judging.table() == ALL[:4]
    assert judging.start() == ALL[4:]
    assert judging.start() == []
    assert judging.table() == ALL


def test_a_row_that_does_not_hold_is_judged_anew_and_takes_no_other_with_it(
    judging: Judging,
) -> None:
    judging.start()
    (judging.out / "wide" / WEIGHTS).write_text("trained again")
    assert judging.start(kill_after=1) == ALL[:1]
    assert judging.table() == [ALL[0], ALL[-1]]
    judging.start()
    judging.data = judging.data.without({"hole"})
    assert judging.start() == ALL


def test_rows_that_would_be_one_model_are_not_trained(judging: Judging) -> None:
    """Six trainings of the paper's networks, a day of a GPU: their differences were chance."""
    with pytest.raises(InputError, match="all its rows of --preset paper would be one model"):
        judging.start(name="contrast", by="paper")
    assert not judging.out.exists()
    assert judging.start(name="contrast")
    for name in COMPARISONS.keys() - {"contrast"}:
        assert judging.start(name=name, by="paper")


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", list(COMPARISONS))
def test_rows_with_one_training_agree_on_it(name: str, full: bool) -> None:
    """Rows share trainings by name: under one name there must be one variant."""
    rows = COMPARISONS[name](full)
    assert len({row.label for row in rows}) == len(rows)
    by_name = {row.training: row.variant for row in rows}
    assert all(row.variant is by_name[row.training] for row in rows)
