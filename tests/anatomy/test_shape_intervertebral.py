"""Angles of vertebrae from the vectors between their centres: known geometry, samples, and the model's own body."""

import numpy as np
import pytest
from tools.bench.ct_spines import level_name
from tools.spine_shape_statistics import (
    INTERVERTEBRAL_LEVEL_NAMES,
    angle_statistics,
    intervertebral_angles,
    intervertebral_matrix,
    supine_to_standing_shift,
    vector_parameters,
)

from simspine.anatomy.body import body_poses, neutral_motion
from simspine.anatomy.curvature import read_endplates
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.anatomy.shape_model import CHAIN_LEVELS, CHAIN_VECTOR_COUNT, chain_positions, packaged_shape_model
from simspine.anatomy.split_torso import carried_vertebrae
from simspine.anatomy.vertebrae import vertebra_centroids


def directions(points: np.ndarray) -> np.ndarray:
    """(samples, vectors, 3) unit vectors downwards, C2–C3 to L4–L5."""
    b = np.diff(points[:, CHAIN_LEVELS.index("C2") : CHAIN_LEVELS.index("L5") + 1], axis=1)
    return b / np.linalg.norm(b, axis=-1, keepdims=True)


def bisected(points: np.ndarray, sideways: bool) -> np.ndarray:
    """(samples, levels − 2) angles between neighbouring vertebrae, each along the sum of its two vectors' directions,
    from L3–L4 up to C3–C4; extension in the picture from the side, or bending to the right out of that plane.
    """
    u = directions(points)
    along = u[:, :-1] + u[:, 1:]
    out = -np.arcsin(along[..., 2] / np.linalg.norm(along, axis=-1))
    lean = out if sideways else np.arctan2(along[..., 0], -along[..., 1])
    return (lean[:, :-1] - lean[:, 1:])[:, ::-1]


def test_names_go_up_from_the_lowest_level_seen():
    assert INTERVERTEBRAL_LEVEL_NAMES[0] == "L4-L5"
    assert INTERVERTEBRAL_LEVEL_NAMES[-1] == "C2-C3"
    assert len(INTERVERTEBRAL_LEVEL_NAMES) == len(intervertebral_matrix()) == 22
    names = read_recipe("articulated").articulation.levels
    assert [level_name(name) for name in INTERVERTEBRAL_LEVEL_NAMES] == list(names[1:-2])


def test_a_circle_bends_alike_everywhere():
    """Vertebrae 3° apart on an arc: each level is 3°, and the ends too."""
    step, radius = np.radians(3.0), 0.5
    turn = step * np.arange(len(CHAIN_LEVELS))[::-1]  # from below
    arc = radius * np.column_stack([1 - np.cos(turn), np.sin(turn), 0 * turn])  # leaning forward as it goes up
    np.testing.assert_allclose(
        intervertebral_angles(vector_parameters(arc)), np.tile([-step, 0.0], (22, 1)), atol=1e-12
    )
    side = arc[:, [2, 1, 0]]  # leaning to the right as it goes up: bent to the right
    np.testing.assert_allclose(
        intervertebral_angles(vector_parameters(side)), np.tile([0.0, step], (22, 1)), atol=1e-2 * step
    )


def test_angles_do_not_depend_on_where_the_spine_is_and_how_it_leans():
    z = packaged_shape_model().mean
    c, s = np.cos(0.3), np.sin(0.3)
    turned = chain_positions(z) @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + 2.0
    np.testing.assert_allclose(intervertebral_angles(vector_parameters(turned)), intervertebral_angles(z), atol=1e-12)


@pytest.mark.parametrize("posture", ["supine", "standing"])
def test_statistics_are_those_of_sampled_spines(posture):
    """Spines drawn from the model, their angles measured in the picture: mean and covariance are the formula's."""
    model = packaged_shape_model()
    mean, covariance = model.prior(posture)
    rng = np.random.default_rng(1)
    small = 0.3  # of the spread, so that angles in the picture are those of the parameters
    drawn = mean + small * rng.multivariate_normal(np.zeros(len(mean)), covariance, 20000)
    found, spread = angle_statistics(model, posture)
    inner = slice(1, -1)
    for axis in (0, 1):
        angles = bisected(chain_positions(drawn), sideways=axis == 1)
        sd = np.sqrt(np.diag(spread[axis])[inner])
        np.testing.assert_allclose(angles.mean(0), found[inner, axis], atol=0.01 * sd.max() + 1e-3)
        sampled = np.cov(angles.T) / small**2
        np.testing.assert_allclose(sampled / np.outer(sd, sd), spread[axis][inner, inner] / np.outer(sd, sd), atol=0.06)


@pytest.fixture(scope="module")
def measured():
    """Level angles of the articulated body in a pose {coordinate: rad}, from its centroids."""
    recipe = read_recipe("articulated")
    body, plates = build_body(recipe, "centres"), carried_vertebrae(recipe.partition, read_endplates())

    def angles(pose: dict[str, float]) -> np.ndarray:
        poses = body_poses(body, neutral_motion(body, pose))
        return intervertebral_angles(
            vector_parameters(vertebra_centroids(poses, plates, 50.0).select(CHAIN_LEVELS).xyz[0])
        )

    return angles


def test_the_bodys_own_spine_is_angle_zero(measured):
    """The pitches in the recipe are the built body's."""
    own = intervertebral_matrix() @ read_recipe("articulated").articulation.neutral_pitch
    assert np.abs(np.degrees(measured({})[:, 0] - own)).max() < 0.02


def test_the_bodys_own_spine_is_like_the_scans(measured):
    """Why no mesh was moved: the neutral curve is the scans' mean within one standard deviation at every level."""
    mean, covariance = angle_statistics(packaged_shape_model())
    assert (np.abs(measured({})[:, 0] - mean[:, 0]) < np.sqrt(np.diag(covariance[0]))).all()


def test_angles_are_the_bodys_coordinates_smoothed(measured):
    """What the body's joints turn by shows in its centroids: the sum over a region, and a level by 1/4, 1/2, 1/4."""
    names = [level_name(name) for name in INTERVERTEBRAL_LEVEL_NAMES]
    rng = np.random.default_rng(3)
    q = np.radians(2.0) * rng.standard_normal((22, 2))
    smooth = (q[:-2] + 2 * q[1:-1] + q[2:]) / 4
    for axis, name, limit in ((0, "Flex_Ext", 0.3), (1, "Lat_Bending", 0.5)):
        moved = measured({f"{n}_{name}": v for n, v in zip(names, q[:, axis], strict=True)}) - measured({})
        error = np.degrees(moved[1:-1, axis] - smooth[:, axis])
        assert np.sqrt(np.mean(error**2)) < limit, name
    even = measured({f"{n}_Flex_Ext": np.radians(2.0) for n in names})[:, 0] - measured({})[:, 0]
    assert np.degrees(even[1:-1]).sum() == pytest.approx(40.0, rel=0.03)


def test_standing_adds_the_published_lordosis():
    shift = supine_to_standing_shift()
    assert list(shift) == ["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    assert np.degrees(sum(shift.values())) == pytest.approx(49.8 - 36.8)
    assert min(shift.values()) > 0  # extension
    assert CHAIN_VECTOR_COUNT == 24
