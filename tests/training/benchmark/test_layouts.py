"""Each benchmark is read as it is published, and what is broken in it is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.benchmark.trees import SIZE, dagm_tree, mvtec_tree, part, save, visa_tree
from training.benchmark.layouts import find_benchmark
from training.dataset import Dataset, load_labelled_images
from training.errors import InputError, NoPart
from training.view import View


def counts(data: Dataset) -> tuple[int, int, int]:
    """Good images to train on; good and defective ones to test with."""
    defective = sum(item.defective for item in data.test)
    return len(data.train_good), len(data.test) - defective, defective


def test_mvtec(tmp_path: Path) -> None:
    found = find_benchmark(mvtec_tree(tmp_path, "zipper", "bottle"))
    assert found.name == "MVTec-AD" and list(found.categories) == ["bottle", "zipper"]
    data = found.categories["bottle"]()
    assert counts(data) == (10, 3, 6)
    assert {item.kind for item in data.test} == {"good", "hole", "scratch"}


def test_products_of_ones_own_are_not_called_by_a_benchmarks_name(tmp_path: Path) -> None:
    """They stood under MVTec-AD, beside the paper's figures."""
    found = find_benchmark(mvtec_tree(tmp_path, "bottle", "my_flange"))
    assert found.name == "folders" and list(found.categories) == ["bottle", "my_flange"]


def test_a_category_that_is_half_unpacked_is_not_passed_over(tmp_path: Path) -> None:
    mvtec_tree(tmp_path, "bottle", "zipper")
    shutil.rmtree(tmp_path / "zipper" / "train")
    with pytest.raises(InputError, match="zipper has no train/good: unpack it again"):
        find_benchmark(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"object,split\xff", "cannot be read"), (b"object,split,label,image,mask\na,b\n", "is cut")],
)
def test_a_damaged_split_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "split_csv").mkdir()
    (tmp_path / "split_csv" / "1cls.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        find_benchmark(tmp_path)


def test_mpdd_is_known_by_its_categories(tmp_path: Path) -> None:
    found = find_benchmark(mvtec_tree(tmp_path, "tubes", "bracket_black"))
    assert found.name == "MPDD" and list(found.categories) == ["bracket_black", "tubes"]


def test_visa_is_split_by_its_own_file(tmp_path: Path) -> None:
    """The folders alone do not say which normals are for the test."""
    found = find_benchmark(visa_tree(tmp_path, "pcb1", "candle"))
    assert found.name == "VisA" and list(found.categories) == ["candle", "pcb1"]
    data = found.categories["candle"]()
    assert counts(data) == (9, 3, 3)
    trained = {path.name for path in data.train_good}
    assert not trained & {item.path.name for item in data.test if not item.defective}


def test_masks_of_visa_hold_numbers_not_white(tmp_path: Path) -> None:
    """Taken for 0 and 255, every defect of the benchmark would be empty."""
    data = find_benchmark(visa_tree(tmp_path, "candle")).categories["candle"]()
    _, _, masks = load_labelled_images(data.test, View(SIZE), NoPart, print)
    marked = masks.any(axis=(1, 2)).tolist()
    assert marked == [item.defective for item in data.test]
    assert all(150 < mask.sum() < 250 for mask in masks[marked])  # a disc of radius 8


def test_dagm_trains_on_what_its_labels_call_good(tmp_path: Path) -> None:
    """Train holds defects too, and only Labels.txt says which."""
    found = find_benchmark(dagm_tree(tmp_path, 10, 2))
    assert found.name == "DAGM" and list(found.categories) == ["Class2", "Class10"]
    data = found.categories["Class2"]()
    assert counts(data) == (9, 3, 3)
    assert [path.name for path in data.train_good] == [f"{n:04}.PNG" for n in range(1, 10)]
    _, _, masks = load_labelled_images(data.test, View(SIZE), NoPart, print)
    assert masks.any(axis=(1, 2)).tolist() == [item.defective for item in data.test]


def test_one_product_in_one_folder(tmp_path: Path) -> None:
    found = find_benchmark(mvtec_tree(tmp_path, "flange") / "flange")
    assert found.name == "folder" and counts(found.categories["flange"]()) == (10, 3, 6)


def test_a_plain_folder_of_good_images(tmp_path: Path) -> None:
    for index in range(8):
        save(tmp_path / f"{index}.png", part(index)[0])
    found = find_benchmark(tmp_path)
    assert counts(found.categories[tmp_path.name]()) == (8, 0, 0)


@pytest.mark.parametrize(
    ("layout", "broken", "message"),
    [
        pytest.param(
            "visa", "candle/Data/Images/Anomaly/001.JPG", "001.JPG is missing", id="image"
        ),
        pytest.param("visa", "candle/Data/Masks/Anomaly/001.png", "001.png is missing", id="mask"),
        pytest.param("dagm", "Class1/Test/Label/Labels.txt", "Labels.txt is missing", id="labels"),
        pytest.param("dagm", "Class1/Test/Label/0005_label.PNG", "0005_label.PNG", id="dagm mask"),
        pytest.param("mvtec", "nut/ground_truth/hole/001_mask.png", "no mask", id="mvtec mask"),
    ],
)
def test_a_file_that_is_missing_is_named(
    layout: str, broken: str, message: str, tmp_path: Path
) -> None:
    trees = {
        "visa": lambda: visa_tree(tmp_path, "candle"),
        "dagm": lambda: dagm_tree(tmp_path, 1),
        "mvtec": lambda: mvtec_tree(tmp_path, "nut"),
    }
    found = find_benchmark(trees[layout]())
    (tmp_path / broken).unlink()
    with pytest.raises(InputError, match=message):
        next(iter(found.categories.values()))()


def _rewrite(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def test_a_split_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    _rewrite(visa_tree(tmp_path, "candle") / "split_csv" / "1cls.csv", "object,split", "a,b")
    with pytest.raises(InputError, match="expected object,split,label,image,mask"):
        find_benchmark(tmp_path)


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    _rewrite(visa_tree(tmp_path, "candle") / "split_csv" / "1cls.csv", ",anomaly,", ",odd,")
    with pytest.raises(InputError, match="label 'odd': expected"):
        find_benchmark(tmp_path).categories["candle"]()


def test_a_line_that_is_no_label_is_refused(tmp_path: Path) -> None:
    _rewrite(dagm_tree(tmp_path, 1) / "Class1" / "Train" / "Label" / "Labels.txt", "\t1\t", "\tx\t")
    with pytest.raises(InputError, match="is no line of DAGM 2007's labels"):
        find_benchmark(tmp_path).categories["Class1"]()


def test_too_few_good_images_are_refused(tmp_path: Path) -> None:
    csv = visa_tree(tmp_path, "candle") / "split_csv" / "1cls.csv"
    lines = csv.read_text().splitlines()
    csv.write_text("\n".join([lines[0], *lines[5:]]))
    with pytest.raises(InputError, match="candle has 5 good images to train on: at least 8"):
        find_benchmark(tmp_path).categories["candle"]()


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone is not a folder"):
        find_benchmark(tmp_path / "gone")
