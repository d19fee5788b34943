"""Whole benchmarks and comparisons from the command line, with real trainings of two steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from tests.training.benchmark.trees import dagm_tree, mvtec_tree, part, save
from training.benchmark import compare as comparing
from training.benchmark.commands import benchmark, compare
from training.commands import train
from training.dataset import Dataset
from training.errors import InputError
from training.run import SETTINGS, WEIGHTS

pytestmark = pytest.mark.usefixtures("no_second_process")
QUICK = ("--preset", "edge-s", "--size", "64", "--steps", "2", "--device", "cpu")


def run(command, *arguments: object) -> str:  # type: ignore[no-untyped-def]
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A benchmark of two classes, of which the first is done."""
    root = dagm_tree(tmp_path_factory.mktemp("dagm"), 1, 2)
    out = tmp_path_factory.mktemp("results")
    run(benchmark, root, "--out", out, "--category", "Class1", *QUICK)
    return root, out


def test_a_benchmark_goes_on_where_it_stopped(results: tuple[Path, Path]) -> None:
    root, out = results
    assert "mean of 1 of 2" in (out / "table.md").read_text()
    before = (out / "Class1" / "weights.safetensors").stat().st_mtime_ns
    table = run(benchmark, root, "--out", out, *QUICK)
    assert (out / "Class1" / "weights.safetensors").stat().st_mtime_ns == before
    assert table == (out / "table.md").read_text()
    assert [line.split()[1] for line in table.splitlines()[2:5]] == ["Class1", "Class2", "mean"]
    figures = json.loads((out / "Class2" / "figures.json").read_text())
    assert all(0 <= figures[name] <= 1 for name in ("image_auroc", "aupro", "pixel_ap"))


def test_results_of_another_order_are_not_mixed_in(results: tuple[Path, Path]) -> None:
    root, out = results
    with pytest.raises(InputError, match="trained with steps 2, now it is 3"):
        run(benchmark, root, "--out", out, "--category", "Class1", *QUICK, "--steps", 3)


def test_results_of_an_earlier_recipe_are_not_taken_for_this_one(
    results: tuple[Path, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(results[1], tmp_path / "results"))
    settings = json.loads((out / "Class1" / SETTINGS).read_text())
    settings["training"]["painting_share"] = 1.0
    settings["training"]["batch_size"] *= 2
    (out / "Class1" / SETTINGS).write_text(json.dumps(settings))
    with pytest.raises(InputError, match="Class1 was trained by another recipe: give another"):
        run(benchmark, results[0], "--out", out, "--category", "Class1", *QUICK)


def test_results_on_other_pixels_are_not_averaged_with_these(
    results: tuple[Path, Path], tmp_path: Path
) -> None:
    """After an update that shrinks images otherwise, one mean was of both."""
    out = Path(shutil.copytree(results[1], tmp_path / "results"))
    settings = json.loads((out / "Class1" / SETTINGS).read_text())
    del settings["pixels"]
    (out / "Class1" / SETTINGS).write_text(json.dumps(settings))
    with pytest.raises(InputError, match="Class1 was trained by a normline that shrinks images"):
        run(benchmark, results[0], "--out", out, "--category", "Class1", *QUICK)


def test_figures_that_were_taken_on_other_pixels_are_taken_again(
    results: tuple[Path, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(results[1], tmp_path / "results"))
    path = out / "Class1" / "figures.json"
    figures = json.loads(path.read_text())
    path.write_text(json.dumps({**figures, "pixels": "1", "image_auroc": 0.123}))
    run(benchmark, results[0], "--out", out, "--category", "Class1", *QUICK)
    again = json.loads(path.read_text())
    assert {**again, "ms": None} == {**figures, "ms": None}


def test_a_finished_run_of_other_networks_does_not_end_a_nights_run(
    results: tuple[Path, Path], tmp_path: Path
) -> None:
    """Networks had changed since the first half was trained: a traceback in place of the rest."""
    out = Path(shutil.copytree(results[1], tmp_path / "results"))
    weights = load_file(out / "Class1" / WEIGHTS)
    save_file({k: v for k, v in weights.items() if ".lines." not in k}, out / "Class1" / WEIGHTS)
    with pytest.raises(InputError, match="1 of 2 .* first: .*Class1.* those of other networks"):
        run(benchmark, results[0], "--out", out, *QUICK)
    assert "Class2" in (out / "table.md").read_text()


def test_results_of_other_images_are_not_taken_for_these(
    results: tuple[Path, Path], tmp_path: Path
) -> None:
    """A newer release of the data under the old folder: the table would show the old figures."""
    newer = Path(shutil.copytree(results[0], tmp_path / "newer"))
    save(newer / "Class1" / "Train" / "0001.PNG", part(77)[0][..., 0])
    with pytest.raises(InputError, match="Class1 was trained on other images: give another --out"):
        run(benchmark, newer, "--out", results[1], "--category", "Class1", *QUICK)


def test_figures_of_other_masks_are_taken_anew(results: tuple[Path, Path], tmp_path: Path) -> None:
    """The masks had been unpacked later; the table kept its dashes."""
    root = Path(shutil.copytree(results[0], tmp_path / "root"))
    out = Path(shutil.copytree(results[1], tmp_path / "results"))
    before = json.loads((out / "Class1" / "figures.json").read_text())
    mask = next((root / "Class1" / "Test" / "Label").glob("*.PNG"))
    save(mask, np.full_like(cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE), 255))
    run(benchmark, root, "--out", out, "--category", "Class1", *QUICK)
    after = json.loads((out / "Class1" / "figures.json").read_text())
    assert after["test_digest"] != before["test_digest"]
    assert after["pixel_ap"] != before["pixel_ap"]


def test_a_category_that_fails_does_not_end_a_nights_run(
    results: tuple[Path, Path], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(results[0], tmp_path / "root"))
    (root / "Class1" / "Train" / "0001.PNG").write_text("no image")
    with pytest.raises(InputError, match="1 of 2 categories have no figures, first: .*0001.PNG"):
        run(benchmark, root, "--out", tmp_path / "out", *QUICK)
    assert (tmp_path / "out" / "Class2" / "figures.json").exists()
    assert "Class2" in (tmp_path / "out" / "table.md").read_text()


def test_one_category_more_keeps_the_others_in_the_table(
    results: tuple[Path, Path], tmp_path: Path
) -> None:
    """After the whole night, `--category` of one left a table of one line."""
    out = Path(shutil.copytree(results[1], tmp_path / "results"))
    table = run(benchmark, results[0], "--out", out, "--category", "Class2", *QUICK)
    assert table == (out / "table.md").read_text()
    assert [line.split()[1] for line in table.splitlines()[2:5]] == ["Class1", "Class2", "mean"]


def test_categories_of_another_order_or_without_figures_are_in_no_table(
    results: tuple[Path, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(results[1], tmp_path / "results"))
    settings = json.loads((out / "Class1" / SETTINGS).read_text())
    settings["training"]["steps"] = 3
    (out / "Class1" / SETTINGS).write_text(json.dumps(settings))
    table = run(benchmark, results[0], "--out", out, "--category", "Class2", *QUICK)
    assert "Class1" not in table and "mean of 1 of 2" in table


def test_damaged_figures_are_taken_anew(results: tuple[Path, Path], tmp_path: Path) -> None:
    out = Path(shutil.copytree(results[1], tmp_path / "results"))
    (out / "Class1" / "figures.json").write_text("{")
    run(benchmark, results[0], "--out", out, "--category", "Class1", *QUICK)
    assert json.loads((out / "Class1" / "figures.json").read_text())["test_digest"]


@pytest.mark.parametrize("command", [(train,), (benchmark,), (compare, "w")])
def test_a_seed_that_torch_cannot_hold_is_refused_at_once(
    command: tuple[Any, ...], tmp_path: Path
) -> None:
    """A date and time: the millionth part of it was too large, after the folder was taken."""
    arguments = [*command[1:], str(tmp_path), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(command[0], [*arguments, "--seed", "20240615123456"])
    assert result.exit_code == 2 and "0<=x<=2147483647" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [(benchmark,), (compare, "w")])
def test_several_processes_are_refused(
    command: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but one found no weights and ended, and torchrun the one that was saving them."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="started 2 processes, .* start them without torchrun"):
        run(*command, tmp_path / "nut", "--out", tmp_path / "out", *QUICK)
    assert not (tmp_path / "out").exists()


def test_an_unknown_category_is_refused(results: tuple[Path, Path]) -> None:
    root, out = results
    with pytest.raises(InputError, match="no category 'Class7' here: it has Class1, Class2"):
        run(benchmark, root, "--out", out, "--category", "Class7", *QUICK)


def test_data_without_test_images_is_refused_before_training(tmp_path: Path) -> None:
    for index in range(8):
        save(tmp_path / "good" / f"{index}.png", part(index)[0])
    with pytest.raises(InputError, match="needs good and defective test images"):
        run(benchmark, tmp_path / "good", "--out", tmp_path / "out", *QUICK)
    assert not (tmp_path / "out").exists()


def test_a_comparison_trains_once_and_judges_every_row(tmp_path: Path) -> None:
    data = mvtec_tree(tmp_path, "nut") / "nut"
    table = run(compare, "denoising", data, "--out", tmp_path / "out", *QUICK)
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows == [
        "one step, two scales",
        "one step from 400",
        "10 steps from 400, DDIM",
        "no diffusion, blurred copy",
    ]
    trained = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert trained == {"wide", "no-diffusion"}
    figures = json.loads((tmp_path / "out" / "denoising.json").read_text())
    assert figures["10 steps from 400, DDIM"]["ms"] > figures["one step from 400"]["ms"]


def test_what_was_judged_is_kept_where_a_later_row_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour of rows was lost with the last one; kinds set apart are in none of them."""
    data = mvtec_tree(tmp_path, "nut") / "nut"
    seen: list[set[str]] = []
    judge = comparing.judge

    def judging(inspector: Any, judged: Dataset, *more: Any) -> Any:
        seen.append({item.kind for item in judged.test})
        if len(seen) == 2:
            raise InputError("the disk is full")
        return judge(inspector, judged, *more)

    monkeypatch.setattr(comparing, "judge", judging)
    out = tmp_path / "out"
    with pytest.raises(InputError, match="the disk is full"):
        run(compare, "denoising", data, "--out", out, "--apart", "hole", *QUICK)
    assert list(json.loads((out / "denoising.json").read_text())) == ["one step, two scales"]
    assert "one step, two scales" in (out / "denoising.md").read_text()
    assert seen[0] == {"good", "scratch"}


def test_a_kind_that_is_not_there_cannot_be_set_apart(tmp_path: Path) -> None:
    data = mvtec_tree(tmp_path, "nut") / "nut"
    with pytest.raises(InputError, match="--apart rust: the test images show no such kind"):
        run(compare, "denoising", data, "--out", tmp_path / "out", "--apart", "rust", *QUICK)
