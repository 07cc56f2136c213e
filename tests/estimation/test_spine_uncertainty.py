"""Standard deviations of spine figures: equal to the scatter of many poses drawn from the covariance."""

from dataclasses import replace

import numpy as np
import pytest

from simspine.anatomy.body import body_poses, forward_kinematics
from simspine.anatomy.clinical import clinical_measures, clinical_parameters
from simspine.anatomy.curvature import read_endplates
from simspine.anatomy.recipes import build_body, read_recipe, virtual_spine_markers
from simspine.anatomy.split_torso import carried_vertebrae, spine_levels
from simspine.anatomy.tree import all_coordinates
from simspine.anatomy.vertebrae import spine_kinematics
from simspine.core.types import Motion
from simspine.estimation.uncertainty import place_covariance, spine_deviation


@pytest.fixture(scope="module")
def drawn():
    """The articulated body, a covariance, its deviations, and the same figures of poses drawn from it."""
    recipe = read_recipe("articulated")
    body = build_body(recipe, "simspine37")
    tree, c = body.tree, body.coordinates
    rng = np.random.default_rng(0)
    n = tree.free.size
    z = np.clip(tree.rest[tree.free] + rng.normal(0, 0.03, n), tree.lower, tree.upper)
    z += 0.1 * np.array(["Lat_Bending" in c.names[i] for i in tree.free])  # so that the largest curve has clear ends
    A = rng.normal(size=(n, n))
    covariance = 4e-6 * (A @ A.T / n + np.eye(n))
    plates, levels = carried_vertebrae(recipe.articulation, read_endplates()), spine_levels(recipe.articulation)
    names = virtual_spine_markers(body)
    places, some = [body.marker_index(name) for name in names.values()], clinical_measures(plates, body.bodies)
    found = spine_deviation(body, z[None], covariance[None], plates, levels, measures=some)
    found |= place_covariance(body, z[None], covariance[None], plates, places, own=np.zeros((3, 3)))
    found["covariance"] = covariance
    samples = rng.multivariate_normal(z, covariance, 4000)
    motion = Motion(c.names, 1.0, all_coordinates(tree, samples)[0], c.rotational)
    markers = forward_kinematics(body, motion)
    poses = body_poses(body, motion)
    spine = spine_kinematics(poses, markers, plates, levels=levels, spine_markers=names)
    return found, replace(spine, clinical=clinical_parameters(some, poses))


def test_curvature_and_levels_scatter_as_said(drawn):
    found, spine = drawn
    # Endplates tilt from person to person: 6.9° at the sacrum, 3° elsewhere.
    np.testing.assert_allclose(found["lla"][0], np.hypot(spine.lla.std(), np.radians(np.hypot(6.9, 3))), rtol=0.01)
    np.testing.assert_allclose(found["tka"][0], np.hypot(spine.tka.std(), np.radians(np.hypot(3, 3))), rtol=0.02)
    np.testing.assert_allclose(found["angles"][0], spine.angles.std(0), rtol=0.06)


def test_gradients_of_the_curvature_give_its_scatter(drawn):
    found, spine = drawn
    gradient = found["gradient"][0]
    sd = np.sqrt(np.einsum("kn,nm,km->k", gradient, found["covariance"], gradient))
    followed = [spine.lla, spine.tka, spine.clinical.of("lumbar_flexion"), spine.clinical.of("pelvic_tilt")]
    np.testing.assert_allclose(sd, [values.std() for values in followed], rtol=0.05)


def test_clinical_parameters_scatter_as_said(drawn):
    """Alignment, which counts from the ground, and limbs. Pelvic incidence has no scatter on a rigid pelvis.

    What counts from endplates has the spread of people beside it: 6.9° of the sacrum's, 3° of each other.
    """
    found, spine = drawn
    sampled = spine.clinical.values.std(0)
    plates = {"pelvic_incidence": 6.9, "sacral_slope": 6.9, "t1_slope": 3, "cervical_lordosis": np.hypot(3, 3)}
    people = np.radians([plates.get(name, 0) for name in spine.clinical.names])
    people[spine.clinical.names.index("sagittal_vertical_axis")] = 0.002  # where the rear corner of S1 is
    assert found["clinical"].shape == (1, len(sampled))
    np.testing.assert_allclose(found["clinical"][0], np.hypot(sampled, people), rtol=0.06, atol=1e-9)
    fixed = [name for name, sd in zip(spine.clinical.names, sampled, strict=True) if sd < 1e-9]
    assert fixed == ["pelvic_incidence"]


@pytest.mark.parametrize("kind", ["markers", "centres"])
def test_points_scatter_as_said(drawn, kind):
    found, spine = drawn
    points = getattr(spine, kind)
    sampled = np.array([np.cov(points.xyz[:, k].T) for k in range(len(points.names))])
    assert found[kind][0].shape == sampled.shape
    np.testing.assert_allclose(found[kind][0], sampled, atol=0.06 * np.abs(sampled).max())
