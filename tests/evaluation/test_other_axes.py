"""Predictions in other axes or units are recognised, and nothing else is taken for them."""

import re
from itertools import permutations, product

import numpy as np
import pytest
from small_points import ALL, moved, truth

from simspine.evaluation.pairs import other_axes_found, pair_with_truth
from simspine.evaluation.point_protocols import evaluate_lifting


def said_of(change):
    true = truth()
    return other_axes_found(pair_with_truth(moved(true, change), true))


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_each_turn_and_mirror_image_is_named_so_that_it_can_be_undone(order, signs):
    """What is said is done to the prediction; the truth must come out."""
    random = np.random.default_rng(3)
    said = said_of(lambda s: s.xyz[..., order] * signs + random.normal(scale=0.05, size=s.xyz.shape) + [5, 0, -2])
    even = np.linalg.det(np.eye(3)[list(order)]) * np.prod(signs) > 0
    if order == (0, 1, 2) and signs == (1, 1, 1):
        assert said == ""
        return
    assert ("mirror image" in said) == (not even)
    named = re.search(r"look like (\S+), (\S+), (−?[xyz]) ?.*of the prediction", said).groups()
    for sequence in truth():
        given = sequence.xyz[..., order] * signs
        undone = np.stack([(-1 if "−" in name else 1) * given[..., "xyz".index(name[-1])] for name in named], -1)
        np.testing.assert_allclose(undone, sequence.xyz)


def test_another_unit_is_named_with_its_factor():
    assert "3.28 times as large" in said_of(lambda s: s.xyz * 3.28)
    both = said_of(lambda s: s.xyz[..., [1, 0, 2]] / 2)
    assert "0.5 times as large" in both
    assert "mirror" in both


def test_errors_that_no_axes_explain_are_none():
    random = np.random.default_rng(4)
    assert said_of(lambda s: s.xyz + random.normal(scale=0.8, size=s.xyz.shape)) == ""
    assert said_of(lambda s: random.normal(size=s.xyz.shape)) == ""
    assert said_of(lambda s: s.xyz + 100) == ""
    assert said_of(lambda s: np.where(np.arange(37)[:, None] < 2, s.xyz, np.nan)) == ""
    flat = [s.xyz * [1, 1, 0] for s in truth()]
    assert said_of(lambda s: flat[[t.key for t in truth()].index(s.key)]) == ""


def test_points_on_a_line_have_no_turn_about_it():
    true = moved(truth(), lambda s: s.xyz * [0.001, 0.001, 1])
    noisy = moved(true, lambda s: s.xyz + np.random.default_rng(1).normal(scale=0.1, size=s.xyz.shape))
    assert other_axes_found(pair_with_truth(noisy, true)) == ""


def test_the_note_stands_below_the_tables_and_changes_nothing():
    true = moved(truth(camera="a"), lambda s: s.xyz * [0.2, 0.6, 0.3])
    turned = moved(true, lambda s: s.xyz * [1, -1, -1])
    (table, _) = evaluate_lifting({"net": turned}, true)
    assert any("net:" in note and "x, −y, −z of the prediction" in note for note in table.notes)
    assert table.value("net", "all", "MPJPE spine") > 100
    assert set(ALL) > {"Hip"}
