import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from simspine.anatomy.curvature import (
    JOINT_LEVELS,
    MOTION_PLANES,
    NEUTRAL_LLA,
    SPINE_LEVELS,
    SPINE_MARKERS,
    Level,
    read_endplates,
    scale_vertebrae,
)
from simspine.anatomy.vertebrae import (
    Coupler,
    forced_between,
    forced_by_model,
    forced_sentence,
    relative_angles,
    segment_angles,
    spine_kinematics,
    vertebra_centroids,
)
from simspine.core.errors import InputError
from simspine.core.types import Forced, ForcedKind, Markers

BODIES = ("pelvis", "sacrum", "lumbar5", "lumbar4", "lumbar3", "lumbar2", "lumbar1", "torso", "head")
# Ratios of the model's couplers to L5–S1, from L5–S1 up.
RATIOS = {
    "Flex_Ext": (1, 1.8571, 1.6429, 1.1429, 0.9286, 0.5714),
    "Lat_Bending": (1, 1.33, 2.4314, 2.4314, 2.0392, 1.549),
    "axial_rotation": (1, 1.0625, 1.0625, 0.875, 0.8125, 0.75),
}
angle = st.floats(-1.2, 1.2)


class OsimModel:
    """Pose2Sim's model posed through OpenSim's own API, couplers enforced: the oracle of this file."""

    def __init__(self):
        import opensim

        opensim.Logger.setLevelString("error")
        folder = Path(importlib.util.find_spec("Pose2Sim").submodule_search_locations[0]) / "OpenSim_Setup"
        self.path = folder / "Model_Pose2Sim_muscles_flex.osim"
        self.model = opensim.Model(str(self.path))
        self.state = self.model.initSystem()

    def poses(self, **coordinates):
        found = self.model.getCoordinateSet()
        for k in range(found.getSize()):
            found.get(k).setValue(self.state, found.get(k).getDefaultValue(), False)
        for name, value in coordinates.items():
            found.get(name).setValue(self.state, value, False)
        self.model.assemble(self.state)
        poses = {}
        for body in BODIES:
            x = self.model.getBodySet().get(body).getTransformInGround(self.state)
            poses[body] = np.eye(4)[None].copy()
            poses[body][0, :3, :3] = [[x.R().get(i, j) for j in range(3)] for i in range(3)]
            poses[body][0, :3, 3] = [x.p()[i] for i in range(3)]
        return poses

    def couplers(self):
        import opensim

        constraints = self.model.getConstraintSet()
        for k in range(constraints.getSize()):
            c = opensim.CoordinateCouplerConstraint.safeDownCast(constraints.get(k))
            line = opensim.LinearFunction.safeDownCast(c.getFunction())
            slope = None if line is None else line.getSlope()
            yield Coupler(c.getDependentCoordinateName(), c.getIndependentCoordinateNames().get(0), slope)


@pytest.fixture(scope="module")
def model():
    return OsimModel()


def markers(frames):
    return Markers(SPINE_MARKERS, 50, np.zeros((frames, len(SPINE_MARKERS), 3)), "y_up", start=1.5)


def at_rest(frames=1):
    return {body: np.tile(np.eye(4), (frames, 1, 1)) for body in BODIES}


def kinematics(poses, **more):
    return spine_kinematics(poses, markers(len(poses["pelvis"])), read_endplates(), **more)


# --- against OpenSim


def test_neutral_model_stands_like_a_person(model):
    spine = kinematics(model.poses())
    np.testing.assert_allclose(spine.angles, 0, atol=1e-6)
    np.testing.assert_allclose(np.degrees(spine.lla), np.degrees(NEUTRAL_LLA), atol=0.1)  # standing adults: 60 ± 10
    np.testing.assert_allclose(np.degrees(spine.tka), 36.7, atol=0.1)  # standing adults: 36 ± 10


@pytest.mark.parametrize(
    ("plane", "kind", "sign"), [(0, "Flex_Ext", -1), (1, "Lat_Bending", 1), (2, "axial_rotation", 1)]
)
def test_levels_follow_the_models_coordinates(model, plane, kind, sign):
    value = 0.03
    spine = kinematics(model.poses(**{f"L5_S1_{kind}": value}))
    want = np.zeros((6, 3))
    want[:, plane] = sign * value * np.array(RATIOS[kind])
    np.testing.assert_allclose(spine.angles[0, :6], want, atol=2e-5)
    np.testing.assert_allclose(spine.level("lumbar")[0, plane], want[:5, plane].sum(), atol=2e-5)
    np.testing.assert_allclose(spine.level("thorax-pelvis")[0, plane], want[:, plane].sum(), atol=2e-5)


@pytest.mark.parametrize("value", [-0.15, -0.05, 0.06])
def test_lordosis_changes_by_the_sum_of_the_levels(model, value):
    """Negative L5_S1_Flex_Ext is flexion: the back flattens by exactly the flexion from L5–S1 to L1–L2."""
    before, after = kinematics(model.poses()), kinematics(model.poses(L5_S1_Flex_Ext=value))
    np.testing.assert_allclose(after.lla - before.lla, value * sum(RATIOS["Flex_Ext"][:5]), atol=1e-5)
    np.testing.assert_allclose(after.lla - before.lla, -after.level("lumbar")[:, 0], atol=1e-5)
    np.testing.assert_allclose(after.tka, before.tka, atol=1e-9)


def test_signs_by_where_the_head_goes(model):
    """Forward is x, up y, right z: flexion brings the head forward, right bending to the right, left turn the nose
    left.
    """
    head = {k: model.poses(**{f"L5_S1_{k}": s * 0.03})["head"][0] for k, s in zip(RATIOS, (-1, 1, 1), strict=True)}
    rest = model.poses()["head"][0]
    assert head["Flex_Ext"][0, 3] > rest[0, 3] + 0.05
    assert head["Lat_Bending"][2, 3] > rest[2, 3] + 0.05
    assert (head["axial_rotation"][:3, :3] @ [1, 0, 0])[2] < -0.1  # the nose points to −z, the left


@pytest.mark.parametrize("turn", [(0.3, -0.2, 0.4), (-0.4, 0.6, -0.5)])
def test_neck_follows_its_three_coordinates(model, turn):
    poses = model.poses(neck_flexion=turn[0], neck_bending=turn[1], neck_rotation=turn[2], pelvis_rotation=1.0)
    np.testing.assert_allclose(kinematics(poses).level("neck")[0], np.array(turn) * [-1, 1, 1], atol=1e-6)


def test_pelvis_tilt_is_read_whichever_way_the_subject_faces(model):
    for heading in (0.0, 1.2, 2.5, -2.0):
        poses = model.poses()
        world = Rotation.from_euler("y", heading).as_matrix()
        tilt = model.poses(pelvis_tilt=-0.3)["pelvis"][0, :3, :3]
        poses["pelvis"][0, :3, :3] = world @ tilt
        np.testing.assert_allclose(kinematics(poses).level("pelvis")[0], [0.3, 0, heading], atol=1e-9)


def test_what_the_model_forces(model):
    forced = forced_by_model(model.couplers(), read_endplates(), locked=["Abs_t1", "Abs_t2"])
    assert forced["L5-S1"] == forced["neck"] == forced["pelvis"] == ()
    assert [fact.planes for fact in forced["L4-L5"]] == [(plane,) for plane in MOTION_PLANES]
    flexion = forced["L4-L5"][0]
    assert (flexion.kind, flexion.driver) == (ForcedKind.COUPLED, "L5_S1_Flex_Ext")
    assert flexion.ratio == pytest.approx(1.857, abs=5e-4)
    for level in ("L4-L5", "L3-L4", "L2-L3", "L1-L2", "T12-L1"):
        assert forced[level][2].driver == "L5_S1_axial_rotation"
    (lla,) = forced["lla"]
    assert (lla.kind, lla.planes, lla.driver) == (ForcedKind.SUM, ("flexion",), "L5_S1_Flex_Ext")
    assert lla.ratio == pytest.approx(6.5715, abs=1e-3)
    assert forced["tka"] == (Forced("rigid", MOTION_PLANES, spans=("T3", "T12"), body="torso"),)
    assert [len(fact.spans) for fact in forced["thorax-pelvis"]] == [6, 6, 6]


def test_facts_in_words():
    facts = (
        Forced("coupled", ("flexion",), "L5_S1_Flex_Ext", 1.85714),
        Forced("coupled", ("lateral bending",), "L5_S1_Lat_Bending"),
        Forced("locked", ("axial rotation",)),
    )
    assert forced_sentence(facts) == (
        "flexion = 1.857 × L5_S1_Flex_Ext; lateral bending = a function of L5_S1_Lat_Bending; axial rotation locked"
    )
    assert forced_sentence([Forced("sum", ("flexion",), "L5_S1_Flex_Ext", 6.5715, ("L5-S1", "L4-L5"))]) == (
        "flexion of all 2 levels from the one coordinate L5_S1_Flex_Ext, sum of ratios 6.572"
    )
    assert forced_sentence([Forced("rigid", MOTION_PLANES, spans=("T3", "T12"), body="torso")]) == (
        "constant: T3 and T12 are on the same rigid body 'torso'"
    )
    assert forced_sentence(()) == ""


def test_nothing_is_forced_without_couplers_or_shared_bodies():
    forced = forced_by_model([], read_endplates())
    assert {name for name, facts in forced.items() if facts} == {"tka"}
    (held,) = forced_by_model([], read_endplates(), locked=["neck_bending"])["neck"]
    assert held == Forced("locked", ("lateral bending",))


# --- synthetic poses


@settings(max_examples=30)
@given(st.tuples(angle, angle, angle), st.tuples(angle, angle, angle), st.tuples(angle, angle, angle))
def test_moving_the_subject_leaves_the_joints_alone(turn, shift, posture):
    poses = at_rest()
    poses["head"][0, :3, :3] = Rotation.from_euler("ZXY", posture).as_matrix()
    poses["lumbar5"][0, :3, :3] = Rotation.from_euler("ZXY", 0.2 * np.array(posture)).as_matrix()
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = Rotation.from_euler("YXZ", turn).as_matrix(), shift
    a, b = kinematics(poses), kinematics({name: move @ pose for name, pose in poses.items()})
    joints = [k for k, level in enumerate(SPINE_LEVELS) if level.parent]
    np.testing.assert_allclose(a.angles[:, joints], b.angles[:, joints], atol=1e-7)
    np.testing.assert_allclose(a.lla, b.lla, atol=1e-7)
    np.testing.assert_allclose(a.tka, b.tka, atol=1e-7)


@given(st.tuples(angle, angle, angle))
def test_relative_angles_are_those_of_the_joint(joint):
    """A joint turned by Q: child = parent Q, in OpenSim's sequence."""
    turn, parent = (
        Rotation.from_euler("ZXY", joint).as_matrix(),
        Rotation.from_euler("xyz", [0.3, -2.0, 0.7]).as_matrix(),
    )
    got, _ = relative_angles(parent[None], (parent @ turn)[None])
    np.testing.assert_allclose(got[0], np.array(joint) * [-1, 1, 1], atol=1e-7)


def test_whole_turns_of_the_subject_are_continuous():
    poses = at_rest(100)
    turn = np.linspace(0, 3 * np.pi, 100)
    for pose in poses.values():
        pose[:, :3, :3] = Rotation.from_rotvec(np.outer(turn, [0, 1, 0])).as_matrix()
    spine = kinematics(poses)
    np.testing.assert_allclose(spine.level("thorax")[:, 2], turn, atol=1e-9)
    assert not spine.repaired[:, : len(JOINT_LEVELS)].any()
    angles, repaired = segment_angles(poses["torso"])
    assert repaired[-1]
    np.testing.assert_allclose(angles[:, :2], 0, atol=1e-9)


def test_unsolved_frames_stay_missing_and_time_is_kept():
    poses = at_rest(4)
    for pose in poses.values():
        pose[2] = np.nan
    spine = kinematics(poses)
    assert np.isnan(spine.lla[2])
    assert np.isnan(spine.angles[2]).all()
    assert np.isfinite(spine.angles[[0, 1, 3]]).all()
    np.testing.assert_allclose(spine.time, 1.5 + np.arange(4) / 50)
    assert spine.markers.names == SPINE_MARKERS
    with pytest.raises(ValueError):
        spine.lla[0] = 1


def test_spine_points_may_go_by_other_names():
    named = markers(1).with_(names=tuple(f"{name}_virtual" for name in SPINE_MARKERS))
    names = {name: f"{name}_virtual" for name in SPINE_MARKERS}
    spine = spine_kinematics(at_rest(), named, read_endplates(), spine_markers=names)
    assert spine.markers == markers(1)
    with pytest.raises(InputError, match=r"'Hip'.*Hip_virtual"):
        spine_kinematics(at_rest(), named, read_endplates())


def test_bad_input_is_named():
    poses = at_rest(2)
    few = {name: pose for name, pose in poses.items() if name != "lumbar3"}
    with pytest.raises(InputError, match=r"lumbar3"):
        kinematics(few)
    with pytest.raises(InputError, match=r"L6-S1.*L5-S1"):
        kinematics(poses).level("L6-S1")


def test_centroids_ride_on_their_bodies(model):
    factors = {"torso": 1.2}
    vertebrae = scale_vertebrae(read_endplates(), factors)
    poses = model.poses(L5_S1_Flex_Ext=-0.1, pelvis_tx=0.3)
    points = vertebra_centroids(poses, vertebrae, 50)
    t8 = poses["torso"][0] @ [*vertebrae["T8"].centroid, 1]
    np.testing.assert_allclose(points.xyz[0, points.index("T8")], t8[:3])
    lumbar = points.select(["L1", "L2", "L3", "L4", "L5", "S1"]).xyz[0]
    gaps = np.linalg.norm(np.diff(lumbar, axis=0), axis=1)
    assert gaps.min() > 0.027  # supine CT of 120 people: 27–39 mm between lumbar centres
    assert gaps.max() < 0.040


@pytest.mark.parametrize(("slope", "total"), [(0.5, 1.5), (None, None)])
def test_the_sum_of_ratios_is_not_known_where_one_is_no_ratio(slope, total):
    """Two levels above the sacrum, the upper one coupled to the lower: by a line, or by another function."""
    lower = Level("L5-S1", "sacrum", "lumbar5", ("a", "b", "c"))
    upper = Level("L4-L5", "lumbar5", "lumbar4", ("d", "e", "f"))
    [fact] = forced_between([Coupler("d", "a", slope)], (lower, upper), "sacrum", "lumbar4")["flexion"]
    assert (fact.driver, fact.ratio, set(fact.spans)) == ("a", total, {"L5-S1", "L4-L5"})
