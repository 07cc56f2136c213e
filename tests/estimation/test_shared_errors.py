"""Offsets that neighbouring markers share, as coordinates of a tree that is otherwise the same."""

import numpy as np
import pytest

from simspine.anatomy.body import follow_couplers, forward_kinematics
from simspine.anatomy.priors import MarkerErrors, SharedError, Smoothness
from simspine.anatomy.tree import all_coordinates, all_poses, markers_and_jacobian
from simspine.core.errors import InputError
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.estimation.trajectory import (
    marker_shares_of,
    offset_priors,
    tree_with_marker_offsets,
    tree_with_shared_errors,
)

LUMBAR, NECK = ("Spine_01", "Spine_02", "Spine_03"), ("Neck", "Neck_02")


@pytest.fixture(scope="module")
def offset_tree(release):
    groups = [{release.marker_index(name): 1.0 for name in names} for names in (LUMBAR, NECK)]
    return tree_with_marker_offsets(release.tree, groups)


@pytest.fixture(scope="module")
def changing_tree(release):
    """An error that changes along the lumbar points: two, of which each point has its shares."""
    errors = [
        SharedError("upper", LUMBAR, 0.01, shares=(1.0, 0.6, 0.0)),
        SharedError("lower", LUMBAR, 0.01, shares=(0.0, 0.4, 1.0)),
    ]
    return tree_with_marker_offsets(release.tree, marker_shares_of(errors, release.marker_names))


@pytest.fixture(scope="module")
def spatial_tree(release):
    """Lumbar points move with the neck's along their bodies' axes, and by themselves along the ground's."""
    groups = [{release.marker_index(name): 1.0 for name in names} for names in ((*LUMBAR, *NECK), LUMBAR)]
    return tree_with_marker_offsets(release.tree, groups, in_ground_frame=[False, True])


def some_pose(tree, rng):
    z = tree.rest[tree.free] + rng.normal(0, 0.1, tree.free.size)
    return np.clip(z, tree.lower, tree.upper)


@pytest.mark.parametrize(("tree", "shares"), [
    ("offset_tree", dict.fromkeys(LUMBAR, (1.0, 0.0)) | dict.fromkeys(NECK, (0.0, 1.0))),
    ("changing_tree", dict(zip(LUMBAR, ((1.0, 0.0), (0.6, 0.4), (0.0, 1.0)), strict=True))),
])  # fmt: skip
def test_markers_slide_along_the_axes_of_their_bodies_by_their_shares(release, request, tree, shares):
    tree, own = request.getfixturevalue(tree), release.tree.free.size
    z = some_pose(tree, np.random.default_rng(2))
    R, _, plain = all_poses(release.tree, all_coordinates(release.tree, z[None, :own])[0])
    _, _, slid = all_poses(tree, all_coordinates(tree, z[None])[0])
    moved = np.zeros_like(plain[0])
    for name, share in shares.items():
        m = release.marker_index(name)
        moved[m] = R[0, release.tree.marker_body[m]] @ (share @ z[own:].reshape(2, 3))
    np.testing.assert_allclose(slid[0], plain[0] + moved, atol=1e-12)


def test_in_space_markers_slide_along_the_axes_of_the_ground(release, offset_tree, spatial_tree):
    z = some_pose(spatial_tree, np.random.default_rng(3))
    own = release.tree.free.size
    by_bodies = np.concatenate([z[: own + 3], z[own : own + 3]])
    R, p, slid = all_poses(spatial_tree, all_coordinates(spatial_tree, z[None])[0])
    plain = all_poses(offset_tree, all_coordinates(offset_tree, by_bodies[None])[0])[2]
    moved = np.zeros_like(plain[0])
    moved[[release.marker_index(name) for name in LUMBAR]] = z[own + 3 :]
    np.testing.assert_allclose(slid[0], plain[0] + moved, atol=1e-12)
    for body in {int(spatial_tree.marker_body[release.marker_index(name)]) for name in LUMBAR}:
        parent = int(spatial_tree.parent[np.flatnonzero(spatial_tree.child == body)[0]])
        np.testing.assert_array_equal(p[0, body], p[0, parent])  # no body moves
        np.testing.assert_array_equal(R[0, body], R[0, parent])


@pytest.mark.parametrize("in_ground_frame", [True, False])
def test_what_is_known_of_an_error_turns_with_the_bodies(release, in_ground_frame):
    mean = (0.01, -0.02, 0.005)
    error = SharedError("lumbar spine", LUMBAR, 0.01, mean=mean, in_ground_frame=in_ground_frame)
    tree = tree_with_shared_errors(release.tree, [error], release.marker_names)
    z = some_pose(tree, np.random.default_rng(4))
    z[-3:] = 0.0
    R, _, plain = all_poses(release.tree, all_coordinates(release.tree, z[None, :-3])[0])
    known = all_poses(tree, all_coordinates(tree, z[None])[0])[2]
    for name in LUMBAR:
        m = release.marker_index(name)
        np.testing.assert_allclose(
            known[0, m], plain[0, m] + R[0, release.tree.marker_body[m]] @ error.mean, atol=1e-12
        )
    assert [prior.mean for prior in offset_priors([error])] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("tree", ["offset_tree", "changing_tree", "spatial_tree"])
def test_derivatives_by_central_differences(tree, request):
    offset_tree = request.getfixturevalue(tree)
    z = some_pose(offset_tree, np.random.default_rng(1))
    _, J = markers_and_jacobian(offset_tree, z)
    step = 1e-6
    for i in range(z.size):
        ends = [markers_and_jacobian(offset_tree, z + sign * step * np.eye(z.size)[i])[0] for sign in (1, -1)]
        np.testing.assert_allclose(J[:, i], (ends[0] - ends[1]) / (2 * step), atol=1e-7, err_msg=f"column {i}")


def test_a_lasting_common_error_bends_no_spine(release, fit_names, walk):
    """Lumbar points 2 cm too far forward: the offset takes them, and the intervals of the spine grow with its width."""
    motion = walk(20)
    markers = forward_kinematics(release, motion).select(fit_names)
    xyz = np.array(markers.xyz)
    xyz[:, markers.indices(LUMBAR), 0] += 0.02
    level = release.coordinates.index("L5_S1_Flex_Ext")

    def error(errors):
        found = inverse_kinematics(
            release,
            markers.with_(xyz=xyz),
            None,
            Smoothness(),
            errors=MarkerErrors(shared_errors=errors, correlation_time=1.0),
        ).motion
        return np.abs(found.values - motion.values)[:, level].max(), found.deviation[10, level]

    plain, taken = error(()), error((SharedError("lumbar spine", LUMBAR, 0.2),))
    assert taken[0] < 0.3 * plain[0]
    assert taken[1] > 1.1 * plain[1]


def test_points_off_alike_in_space_bend_no_spine_that_is_bent_already(release, fit_names, walk):
    """Lumbar points 3 cm too low on a spine bent by 50°: along the axes of their vertebrae they are not off alike."""
    c, motion = release.coordinates, walk(20)
    level = c.index("L5_S1_Flex_Ext")
    values = np.array(motion.values)
    values[:, level] -= 0.12
    motion = motion.with_(values=follow_couplers(release, values))
    markers = forward_kinematics(release, motion).select([n for n in fit_names if n not in ("Spine_04", "Spine_05")])
    xyz = np.array(markers.xyz)
    xyz[:, markers.indices(LUMBAR), 1] -= 0.03

    def error(in_ground_frame: bool) -> float:
        shared = (SharedError("lumbar spine", LUMBAR, 0.2, in_ground_frame=in_ground_frame),)
        errors = MarkerErrors(sd=0.005, shared_errors=shared)
        found = inverse_kinematics(release, markers.with_(xyz=xyz), None, Smoothness(), errors=errors).motion
        return float(np.abs(found.values - motion.values)[:, level].max())

    assert error(True) < 0.2 * error(False)


def test_clear_errors():
    with pytest.raises(InputError, match="'Spine_01' is in two shared errors, 'a' and 'b'"):
        marker_shares_of([SharedError("a", LUMBAR, 0.1), SharedError("b", ("Spine_01",), 0.1)], LUMBAR)
    with pytest.raises(InputError, match="Did you mean 'Spine_01'"):
        marker_shares_of([SharedError("a", ("Spine_1",), 0.1)], LUMBAR)
    with pytest.raises(InputError, match="sd -1"):
        SharedError("a", LUMBAR, -1)
    with pytest.raises(InputError, match="3 markers and 2 shares"):
        SharedError("a", LUMBAR, 0.1, shares=(0.5, 0.5))
