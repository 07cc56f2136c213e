"""Sizes and marker offsets fitted together: against OpenSim's scaling, and against a person we made."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from simspine.body.calibration import calibrate
from simspine.body.kernels import expand
from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.recipes import INFERRED, VIRTUAL, build, read_prior, read_recipe
from simspine.body.scaling import measure_factors, scale
from simspine.body.tree import scaled_tree
from simspine.errors import InputError
from simspine.types import Motion

FRAMES = 60


@pytest.fixture(scope="module")
def recipe():
    return read_recipe("coupled")


@pytest.fixture(scope="module")
def unscaled(recipe):
    return build(recipe, "simspine37")


def moving(body, seed=0):
    rng = np.random.default_rng(seed)
    tree, c = body.tree, body.coordinates
    names = [c.names[i] for i in tree.free]
    middle = np.array([-0.3 if n.startswith("arm_add") else c.default[c.index(n)] for n in names])
    low, high = np.maximum(tree.lower, middle - 1), np.minimum(tree.upper, middle + 1)
    middle = np.clip(middle, low + 0.2 * (high - low), high - 0.2 * (high - low))
    middle[:6] = [0, 0, 0, 0, 0.94, 0]
    size = np.array([0.04 if n.startswith("L5_S1") else 0.5 for n in names])  # seven times that in the lumbar spine
    knots = middle + rng.uniform(-1, 1, (6, len(middle))) * np.minimum(np.minimum(high - middle, middle - low), size)
    z = CubicSpline(np.linspace(0, 1, 6), knots)(np.linspace(0, 1, FRAMES))
    return Motion(c.names, 50.0, expand(tree, np.clip(z, tree.lower, tree.upper))[0], c.rotational)


@pytest.fixture(scope="module")
def person(recipe, unscaled):
    """Markers of a person with longer legs and shorter arms, whose shoulder points are 15 mm too high."""
    sizes = {"thigh": 1.08, "shank": 1.05, "upper_arm": 0.94, "torso": 1.03}
    tree = unscaled.tree
    by_body = {b: sizes.get(s.name, 1.0) for s in recipe.segments for b in s.bodies}
    grown = scaled_tree(tree, np.array([1.0, *(by_body.get(b, 1.0) for b in unscaled.bodies)]))
    true = replace(unscaled, tree=grown, marker_offsets=grown.marker_offset)
    markers = forward_kinematics(true, moving(true))
    markers = markers.select([n for n in markers.names if not n.endswith((INFERRED, VIRTUAL))])
    poses_off = {f"{side}Shoulder": ("torso", [0, 0.015, 0]) for side in "LR"}
    poses = body_poses(true, moving(true))
    xyz = np.array(markers.xyz)
    for name, (carrier, offset) in poses_off.items():
        xyz[:, markers.index(name)] += poses[carrier][:, :3, :3] @ np.array(offset)
    xyz += np.random.default_rng(1).normal(0, 0.002, xyz.shape)
    return sizes, markers.with_(xyz=xyz)


def test_a_scaled_tree_is_opensims_scaled_model(recipe, unscaled, person):
    factors = measure_factors(unscaled, person[1], recipe)
    by_opensim = scale(unscaled, factors, 70.0, recipe)
    grown = scaled_tree(unscaled.tree, np.array([1.0, *(factors.by_body.get(b, 1.0) for b in unscaled.bodies)]))
    motion = moving(unscaled)
    ours = replace(unscaled, tree=grown, marker_offsets=grown.marker_offset)
    names = [n for n in unscaled.marker_names if not n.endswith(INFERRED)]  # those are placed anew by rule
    np.testing.assert_allclose(
        forward_kinematics(ours, motion).select(names).xyz,
        forward_kinematics(by_opensim, motion).select(names).xyz,
        atol=1e-9,
    )


def test_it_finds_the_person(recipe, unscaled, person):
    sizes, markers = person
    weights = np.ones(markers.xyz.shape[:2])
    factors = measure_factors(unscaled, markers, recipe)
    body, found = calibrate(unscaled, recipe, markers, weights, factors, 70.0, prior=read_prior(recipe))
    assert found.rms_after < 0.95 * found.rms_before
    assert found.rms_after < 0.005
    for side in "LR":
        assert found.offsets[f"{side}Shoulder"][1] == pytest.approx(0.015, abs=0.006)
    wrong = {name: abs(found.factors.by_segment[name] - size) for name, size in sizes.items()}
    assert max(wrong.values()) < 0.03, wrong
    i = unscaled.marker_index("RShoulder")
    moved = body.marker_offsets[i] - unscaled.marker_offsets[i] * found.factors.by_segment["torso"]
    np.testing.assert_allclose(moved, found.offsets["RShoulder"], atol=1e-9)


def test_narrow_beliefs_leave_the_body_as_measured(recipe, unscaled, person):
    _, markers = person
    factors = measure_factors(unscaled, markers, recipe)
    _, found = calibrate(
        unscaled, recipe, markers, np.ones(markers.xyz.shape[:2]), factors, 70.0, factor_sd=1e-6, offset_sd=1e-6
    )
    for name, value in factors.by_segment.items():
        assert found.factors.by_segment[name] == pytest.approx(value, abs=1e-4)
    assert max(np.linalg.norm(v) for v in found.offsets.values()) < 1e-4


def test_implausible_sizes_are_refused(recipe, unscaled, person):
    _, markers = person
    factors = measure_factors(unscaled, markers, recipe)
    with pytest.raises(InputError, match=r"scale segment '.*' by [01]\.\d+, outside 0\.99…1\.01"):
        calibrate(
            unscaled, recipe, markers, np.ones(markers.xyz.shape[:2]), factors, 70.0, bounds=(0.99, 1.01), rounds=1
        )
