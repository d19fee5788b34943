"""The rendered product: the same part every time, and its truth without its picture."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from agent.camera import product


def test_a_part_is_the_same_on_every_render():
    first, truth = product.render(4, 7, 1.0)
    again, truth_again = product.render(4, 7, 1.0)
    assert np.array_equal(first, again)
    assert np.array_equal(truth.mask, truth_again.mask)


def test_an_image_is_a_picture_of_the_size_that_it_says():
    image, truth = product.render(0, 0, 0.0)
    assert image.shape == (product.SIZE, product.SIZE, 3)
    assert image.dtype == np.uint8
    assert truth.mask.shape == image.shape[:2]


@pytest.mark.parametrize(("seed", "index"), [(1, 3), (2, 2)])
def test_another_seed_or_index_is_another_part(seed: int, index: int):
    here, there = product.render(1, 2, 0.0)[0], product.render(seed, index, 0.0)[0]
    assert np.abs(here.astype(int) - there).mean() > 2


def test_truth_is_known_without_rendering():
    for index in range(40):
        assert product.truth_of(9, index, 0.4) == product.render(9, index, 0.4)[1].kind


def test_every_kind_occurs_and_defects_come_at_their_rate():
    kinds = [product.truth_of(1, index, 0.1) for index in range(4000)]
    assert set(kinds) == {product.GOOD, *product.DEFECTS}
    # Five standard deviations of a binomial with n = 4000, p = 0.1.
    assert abs(4000 - kinds.count(product.GOOD) - 400) < 95


def test_good_parts_look_the_same_at_every_defect_rate():
    index = next(i for i in range(99) if product.truth_of(3, i, 0.5) == product.GOOD)
    never, sometimes = product.render(3, index, 0.0)[0], product.render(3, index, 0.5)[0]
    assert hashlib.sha256(never).digest() == hashlib.sha256(sometimes).digest()


@pytest.mark.parametrize("kind", product.DEFECTS)
def test_a_defect_changes_the_picture_where_its_mask_is_and_hardly_elsewhere(kind: str):
    indices = [i for i in range(80) if product.truth_of(6, i, 1.0) == kind][:4]
    assert indices
    for index in indices:
        good = product.render(6, index, 0.0)[0].astype(int)
        bad, truth = product.render(6, index, 1.0)
        change = np.abs(bad - good).max(axis=2)
        inside = truth.mask > 0
        assert inside.any()
        assert np.percentile(change[inside], 90) > 12
        assert (change[~inside] > 12).mean() < 0.01


def test_good_parts_have_an_empty_mask():
    assert not product.render(1, 1, 0.0)[1].mask.any()
