"""Nonsense handed to the library's whole chain ends in a finding or an error that names it."""

import warnings

import numpy as np
import pytest
from small_project import dance, of_size

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.priors import Smoothness
from simspine.anatomy.spine_from_joints import EAR_POINTS, REQUIRED_JOINTS, spine_from_joints
from simspine.core.errors import InputError
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.reconstruction.reconstruct import fit_trials


@pytest.mark.parametrize("factor", [0.3048, 1 / 0.3048])
def test_feet_of_a_seated_person_are_refused(factor):
    """A seated person of 4 feet may be a standing one of 1.2 m in extent, but not in the lengths of segments."""
    body = of_size(1.04)
    seated = dance(body, 12)
    values = np.array(seated.values)
    for side in "rl":
        values[:, seated.names.index(f"hip_flexion_{side}")] += 1.4
        values[:, seated.names.index(f"knee_angle_{side}")] += 1.5
    markers = forward_kinematics(body, seated.with_(values=values))
    with pytest.raises(InputError, match="Are the points in metres"):
        fit_trials({"t": markers.with_(xyz=factor * markers.xyz)}, "coupled", "spinetrack37")


@pytest.fixture(scope="module")
def moving():
    body = of_size(0.97)
    motion = dance(body, 12)
    return body, motion, forward_kinematics(body, motion)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda markers: {"rate": 0.02}, "0.02 frames per second; .* slower than 1"),
        (lambda markers: {"xyz": markers.xyz / 0.3048}, "Convert them to metres"),
        (lambda markers: {"xyz": 10 * markers.xyz}, "Convert them to metres"),
    ],
)
def test_an_interval_for_a_rate_and_other_units_are_refused(moving, change, said):
    body, _, markers = moving
    with pytest.raises(InputError, match=said):
        inverse_kinematics(body, markers.with_(**change(markers)))


def test_map_coordinates_are_refused(moving):
    """They ended in an error of the linear algebra, or in standard deviations of NaN without a word."""
    body, _, markers = moving
    far = markers.with_(xyz=np.add(markers.xyz, [500_000.0, 5_500_000.0, 0.0]))
    for solve in (lambda: fit_trials({"walk": far}), lambda: inverse_kinematics(body, far, smoothness=Smoothness())):
        with pytest.raises(InputError, match=r"is 5\.5e\+06 m from the origin in frame \d+; expected up to 10000 m"):
            solve()


def test_weights_beyond_those_of_markers_are_refused(moving):
    """A weight of 1e300 gave a knee of 77° for 34°, with standard deviations of NaN."""
    body, _, markers = moving
    with pytest.raises(InputError, match=r"not negative, at most 1e\+06"):
        inverse_kinematics(body, markers, {markers.names[0]: 1e300}, Smoothness())


def test_degrees_for_radians_are_named(moving):
    body, motion, _ = moving
    with pytest.warns(UserWarning, match="Are they degrees"):
        forward_kinematics(body, motion.with_(values=np.degrees(motion.values)))


def test_a_person_who_turns_round_many_times_is_no_mistake_of_the_unit(moving):
    body, motion, markers = moving
    turned = np.array(motion.values)
    turned[:, motion.names.index("pelvis_rotation")] += 2 * np.pi * 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = forward_kinematics(body, motion.with_(values=turned), names=markers.names)
    np.testing.assert_allclose(again.xyz, markers.xyz, atol=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        lambda xyz: 1000 * xyz,
        lambda xyz: np.full(xyz.shape, np.nan),
        lambda xyz: xyz[:, [1, 0, 2, 3]],  # hips exchanged
        lambda xyz: xyz[:, [0, 1, 3, 2]],  # shoulders exchanged
    ],
)
def test_joints_that_are_no_trunk_give_no_spine_and_say_so(moving, change):
    joints = moving[2].select(REQUIRED_JOINTS)
    assert spine_from_joints(joints).present.all()
    with pytest.warns(UserWarning, match="a trunk in 0 of"):
        assert not spine_from_joints(joints.with_(xyz=change(joints.xyz))).present.any()


def test_joints_too_wide_in_some_frames_are_counted(moving):
    """Oracle: the left shoulder half a metre to the side in three frames; the others are as without it."""
    joints = moving[2].select(REQUIRED_JOINTS)
    xyz, left, right = joints.xyz.copy(), joints.index("LShoulder"), joints.index("RShoulder")
    aside = xyz[:3, left] - xyz[:3, right]
    xyz[:3, left] += 0.5 * aside / np.linalg.norm(aside, axis=-1, keepdims=True)
    with pytest.warns(UserWarning, match=f"a trunk in {joints.frames - 3} of {joints.frames} frames"):
        spine = spine_from_joints(joints.with_(xyz=xyz))
    assert not spine.present[:3].any()
    np.testing.assert_allclose(spine.xyz[3:], spine_from_joints(joints).xyz[3:], atol=1e-9)


@pytest.mark.parametrize(
    "change", [lambda ears, hips: 0 * ears, lambda ears, hips: 1000 * ears, lambda ears, hips: hips]
)
def test_ears_that_are_no_heads_count_as_missing(moving, change):
    joints = moving[2].select((*REQUIRED_JOINTS, *(f"{ear}_virtual" for ear in EAR_POINTS)))
    joints = joints.with_(names=(*REQUIRED_JOINTS, *EAR_POINTS))
    ears, xyz = joints.indices(EAR_POINTS), joints.xyz.copy()
    xyz[:, ears] = change(xyz[:, ears], xyz[:, joints.indices(("LHip", "RHip"))])
    with pytest.warns(UserWarning, match=f"in {joints.frames} frames the ears are no head's"):
        spine = spine_from_joints(joints.with_(xyz=xyz))
    np.testing.assert_allclose(spine.xyz, spine_from_joints(joints.select(REQUIRED_JOINTS)).xyz, atol=1e-9)
