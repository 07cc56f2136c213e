"""Angles of limb joints: by construction, mirrored, and compared with the coordinates of the model."""

import numpy as np
import pytest
from posed_people import turn
from scipy.spatial.transform import Rotation

from simspine.anatomy.alignment import MIRROR_MATRIX, joint_angles, shoulder_angles
from simspine.anatomy.body import neutral_poses
from simspine.anatomy.osim import opensim_api
from simspine.anatomy.recipes import build_body
from simspine.core.errors import InputError


def degrees(angles: np.ndarray) -> np.ndarray:
    return np.degrees(angles[0])


@pytest.mark.parametrize(
    ("joint", "axis", "by", "wanted"),
    [
        ("hip", "z", 40, (40, 0, 0)),  # the thigh forward
        ("hip", "x", 15, (0, 15, 0)),  # the right thigh to the left
        ("hip", "y", 20, (0, 0, 20)),  # its front to the left
        ("knee", "z", -60, (60, 0, 0)),  # the shank backwards
        ("knee", "x", 5, (0, 5, 0)),
        ("ankle", "z", 12, (12, 0, 0)),  # toes up
        ("ankle", "x", 8, (0, 8, 0)),  # the sole to the left
    ],
)
def test_turning_a_right_limb_about_one_axis(joint, axis, by, wanted):
    np.testing.assert_allclose(degrees(joint_angles(np.eye(3), turn(axis, by), joint, "r")), wanted, atol=1e-9)
    left = MIRROR_MATRIX @ turn(axis, by) @ MIRROR_MATRIX  # the mirror image of the same movement
    np.testing.assert_allclose(degrees(joint_angles(np.eye(3), left, joint, "l")), wanted, atol=1e-9)


def test_grood_and_suntay_axes():
    """Flexion counts about the proximal z, rotation about the distal y, adduction is 90° off both axes' angle."""
    R = Rotation.from_euler("ZXY", [-50, 7, 11], degrees=True).as_matrix()
    proximal_z, distal_y = np.array([0, 0, 1.0]), R[:, 1]
    flexion, adduction, rotation = degrees(joint_angles(np.eye(3), R, "knee", "r"))
    floating = np.cross(distal_y, proximal_z)
    floating /= np.linalg.norm(floating)
    assert (flexion, adduction, rotation) == pytest.approx((50, 7, 11))
    assert np.degrees(np.arcsin(proximal_z @ distal_y)) == pytest.approx(adduction)
    assert np.degrees(np.arctan2(-floating[1], floating[0])) == pytest.approx(flexion)
    assert np.degrees(np.arctan2(floating @ R[:, 2], floating @ R[:, 0])) == pytest.approx(rotation)


@pytest.mark.parametrize(("plane", "elevation", "rotation"), [(0, 90, 0), (90, 60, 10), (-40, 120, -30), (30, 11, 25)])
def test_shoulder_angles_give_back_what_posed_the_arm(plane, elevation, rotation):
    R = Rotation.from_euler("YXY", [plane, -elevation, rotation], degrees=True).as_matrix()
    wanted = (plane, elevation, rotation)
    np.testing.assert_allclose(degrees(shoulder_angles(np.eye(3), R, "r")), wanted, atol=1e-9)
    np.testing.assert_allclose(
        degrees(shoulder_angles(np.eye(3), MIRROR_MATRIX @ R @ MIRROR_MATRIX, "l")), wanted, atol=1e-9
    )


def test_where_a_raised_arm_points():
    """A right arm in abduction points to the right, in forward flexion to the front; turned inwards, its front to the
    left."""
    abducted = Rotation.from_euler("YXY", [0, -90, 0], degrees=True).as_matrix()
    forward = Rotation.from_euler("YXY", [90, -90, 0], degrees=True).as_matrix()
    np.testing.assert_allclose(abducted @ [0, -1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(forward @ [0, -1, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(degrees(shoulder_angles(np.eye(3), forward, "r"))[:2], (90, 90))


def test_a_hanging_arm_has_an_elevation_and_nothing_else():
    found = degrees(shoulder_angles(np.eye(3), turn("x", -4), "r"))
    assert found[1] == pytest.approx(4)
    assert np.isnan(found[[0, 2]]).all()


@pytest.fixture(scope="module")
def posed():
    values = {"pelvis_rotation": 0.7, "pelvis_tilt": -0.2}
    for side, sign in (("r", 1), ("l", -1)):
        values |= {
            f"hip_flexion_{side}": 0.6 + 0.1 * sign, f"hip_adduction_{side}": -0.15, f"hip_rotation_{side}": 0.12,
            f"knee_angle_{side}": 0.8, f"ankle_angle_{side}": 0.2,
        }  # fmt: skip
    return values, {
        name: pose[None] for name, pose in neutral_poses(build_body("coupled", "simspine37"), values).items()
    }


@pytest.mark.parametrize("side", ["r", "l"])
def test_hip_angles_are_the_models_coordinates(posed, side):
    values, poses = posed
    wanted = [values[f"hip_{angle}_{side}"] for angle in ("flexion", "adduction", "rotation")]
    found = joint_angles(poses["pelvis"], poses[f"femur_{side}"], "hip", side)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_knee_and_ankle_beside_opensims_frames_and_its_body_fixed_angles(posed, tmp_path):
    """OpenSim's own poses of the bodies, split by its Simbody: X-Y-Z of axes named z, x, y is Z-X-Y."""
    opensim = opensim_api()
    values, poses = posed
    build_body("coupled", "simspine37").write_osim(tmp_path / "body.osim")
    model = opensim.Model(str(tmp_path / "body.osim"))
    state = model.initSystem()
    for name, value in values.items():
        model.updCoordinateSet().get(name).setValue(state, value, False)
    model.assemble(state)
    model.realizePosition(state)
    bodies = model.getBodySet()
    for joint, proximal, distal in (("knee", "femur_r", "tibia_r"), ("ankle", "tibia_r", "calcn_r")):
        transform = bodies.get(distal).findTransformBetween(state, bodies.get(proximal))  # kept: R() is a view of it
        R = np.array([[transform.R().get(i, j) for j in range(3)] for i in range(3)])
        order = [2, 0, 1]
        matrix = opensim.Mat33(*R[np.ix_(order, order)].ravel().tolist())
        renamed = opensim.Rotation(matrix)
        split = renamed.convertRotationToBodyFixedXYZ()
        wanted = np.array([split.get(i) for i in range(3)]) * ((-1, 1, 1) if joint == "knee" else (1, 1, 1))
        np.testing.assert_allclose(joint_angles(poses[proximal], poses[distal], joint, "r")[0], wanted, atol=1e-4)


def test_unknown_joints_and_sides_are_refused():
    with pytest.raises(InputError, match="hip, knee, ankle"):
        joint_angles(np.eye(3), np.eye(3), "elbow", "r")
    with pytest.raises(InputError, match="side"):
        joint_angles(np.eye(3), np.eye(3), "knee", "left")
