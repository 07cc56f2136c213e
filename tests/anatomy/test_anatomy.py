"""Variations of the body: the same joints move in the tree and in the model file."""

import numpy as np
import pytest

from simspine.anatomy.body import forward_kinematics, neutral_motion, neutral_poses
from simspine.anatomy.person_variation import (
    Variation,
    add_variations,
    joint_moves_of,
    variation_from,
    vary_joint_places,
)
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.anatomy.tree import all_poses
from simspine.core.errors import InputError
from simspine.core.types import Motion

VALUES = np.array([0.1, 0.02, -0.03, 0.015])
VARIATIONS = (
    Variation("lumbar height", 0.1, stretch=tuple(f"lumbar{i}" for i in range(1, 6))),
    Variation("depth of the hips", 0.01, shift={"femur_r": (1.0, 0.0, 0.0), "femur_l": (1.0, 0.0, 0.0)}),
    Variation("height of the shoulders", 0.02, shift={"clavicle_r": (0.0, 1.0, 0.0), "clavicle_l": (0.0, 1.0, 0.0)}),
    Variation("depth of the head", 0.02, shift={"head": (1.0, 0.0, 0.0)}),
)


@pytest.fixture(scope="module")
def recipe():
    return read_recipe("articulated")


@pytest.fixture(scope="module")
def body(recipe):
    return build_body(recipe, "centres")


@pytest.fixture(scope="module")
def moves(body, recipe):
    return joint_moves_of(body, VARIATIONS, recipe.articulation.chain)


def test_a_tree_with_variations_is_the_tree_of_the_varied_body(body, moves):
    rng = np.random.default_rng(1)
    q = neutral_motion(body).values[0] + rng.normal(0, 0.2, len(body.coordinates))
    slid = all_poses(add_variations(body.tree, moves), np.append(q, VALUES)[None])
    moved = all_poses(vary_joint_places(body, moves, VALUES.tolist()).tree, q[None])
    for a, b in zip(slid, moved, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_variations_of_nothing_change_nothing(body, moves):
    q = neutral_motion(body).values[0]
    slid = all_poses(add_variations(body.tree, moves), np.append(q, np.zeros(4))[None])
    for a, b in zip(slid, all_poses(body.tree, q[None]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_stretch_is_a_share_of_the_way_between_joints(body, moves, recipe):
    """L1's upper joint goes away from L5's lower one by a tenth of the height that the five vertebrae have."""
    own, longer = neutral_poses(body), neutral_poses(vary_joint_places(body, moves, [0.1, 0.0, 0.0, 0.0]))
    way = own["T12"][:3, 3] - own["lumbar5"][:3, 3]
    change = longer["T12"][:3, 3] - own["T12"][:3, 3]
    assert 0.06 * np.linalg.norm(way) < np.linalg.norm(change) < 0.12 * np.linalg.norm(way)
    np.testing.assert_array_equal(longer["lumbar5"], own["lumbar5"])
    np.testing.assert_allclose(longer["T1"][:3, 3] - own["T1"][:3, 3], change, atol=1e-12)


def test_markers_move_along_the_axes_of_their_body(body):
    offset = np.array([0.01, -0.02, 0.03])
    moved = vary_joint_places(body, (), (), {"LKnee": offset})
    i = body.marker_index("LKnee")
    np.testing.assert_allclose(moved.marker_offsets[i] - body.marker_offsets[i], offset, atol=1e-15)
    motion = Motion(body.coordinates.names, 50.0, neutral_motion(body).values, body.coordinates.rotational)
    others = [name for name in body.marker_names if name != "LKnee"]
    before, after = (forward_kinematics(b, motion).select(others).xyz for b in (body, moved))
    np.testing.assert_allclose(before, after, atol=1e-15)


def test_the_articulated_recipe_has_an_anatomy_that_its_body_can_vary_by(body, recipe):
    tree = add_variations(body.tree, joint_moves_of(body, recipe.anatomy, recipe.articulation.chain))
    assert len(tree.free) == len(body.tree.free) + len(recipe.anatomy)


def test_an_unknown_body_is_named(body):
    with pytest.raises(InputError, match="'tail'"):
        joint_moves_of(body, [Variation("tail", 0.1, shift={"tail": (1.0, 0.0, 0.0)})], ())


@pytest.mark.parametrize(
    "entry",
    [
        {"stretch": ["lumbar1"], "sd_mm": 3, "source": "?"},
        {"shift": {"head": [1, 0, 0]}, "sd_mm": -1, "source": "?"},
        {"shift": {"head": [1, 0, 0]}, "sd_mm": 3},
    ],
)
def test_an_entry_that_says_less_or_other_things_is_refused(entry):
    with pytest.raises(InputError, match="expected stretch"):
        variation_from("neck", entry)
