"""A calibration whose world is not z up: known turns of the world, and people who lie or stand on their hands in one
that is."""

import numpy as np
import pytest
import small_project as sp
from scipy.spatial.transform import Rotation

from simspine.core.geometry import change_frame, project_points
from simspine.core.types import Keypoints
from simspine.reconstruction.cameras import judge_cameras
from simspine.vision.options import CameraOptions

Z_AXIS = np.array([0.0, 0, 1])
CAMERAS = sp.ring()


@pytest.fixture(scope="module")
def points():
    """Points of a swinging person (frames, points, 3), z up, by name."""
    seen = sp.dancing(sp.of_size(1.03), 24)
    return seen.names, change_frame(seen.xyz, "y_up", "z_up")


def in_turned_world(turn, shift=(0.0, 0.0, 0.0)):
    """The cameras in a world in which z up is turned to `turn` z and the origin is moved."""
    R = turn.as_matrix()
    return [camera.with_(R=camera.R @ R.T, t=camera.t - camera.R @ R.T @ np.array(shift)) for camera in CAMERAS]


def judged(points, cameras, posture=None, **options):
    """Cameras and codes of findings. posture: turns the person about a point at 1 m above the origin."""
    names, xyz = points
    middle = np.array([0.0, 0, 1])
    placed = xyz if posture is None else (xyz - middle) @ posture.as_matrix().T + middle
    xy = project_points(CAMERAS, placed).swapaxes(0, 1) + np.random.default_rng(3).normal(
        0, 1.0, (len(xyz), len(CAMERAS), len(names), 2)
    )
    keypoints = Keypoints(names, 30.0, xy, np.full(xy.shape[:-1], 0.9))
    found = judge_cameras({"trial": (keypoints, cameras)}, CameraOptions(**options), 0.3)["trial"]
    return found.cameras, [finding.code for finding in found.findings]


def up_of(cameras):
    """Where the true vertical points in the world of these cameras, by the turn of the first."""
    return cameras[0].R.T @ CAMERAS[0].R @ Z_AXIS


def angle(a, b):
    return np.degrees(np.arccos(np.clip(a @ b, -1, 1)))


@pytest.mark.parametrize("euler", [("x", -90), ("x", 90), ("y", 90), ("x", 180), ("zx", (20, -93))])
def test_a_world_along_another_axis_is_turned_upright(points, euler):
    cameras, codes = judged(points, in_turned_world(Rotation.from_euler(*euler, degrees=True), (0.4, -2, 0.3)))
    assert codes == ["world_vertical"]
    exact = 0.0 if euler[0] != "zx" else 3.0  # a board that hung 3° out of plumb
    assert angle(up_of(cameras), Z_AXIS) == pytest.approx(exact, abs=0.1)


def test_the_first_camera_as_the_world_is_turned_by_the_person(points):
    given = in_turned_world(Rotation.from_matrix(CAMERAS[0].R), CAMERAS[0].t)
    np.testing.assert_allclose(given[0].R, np.eye(3), atol=1e-12)
    cameras, codes = judged(points, given)
    assert codes == ["world_vertical"]
    assert angle(up_of(cameras), Z_AXIS) < 4.0  # a standing person leans by 3°
    centres = [np.linalg.norm(a.centre - b.centre) for a, b in zip(cameras, given, strict=True)]
    assert np.ptp([np.linalg.norm(camera.centre) for camera in cameras[:1]]) == 0
    assert centres[0] == pytest.approx(0.0, abs=1e-9)  # the origin stays


def test_nothing_is_turned_where_asked_not_to(points):
    given = in_turned_world(Rotation.from_euler("x", -90, degrees=True))
    cameras, codes = judged(points, given, find_vertical=False)
    assert cameras == tuple(given)
    assert codes == []


@pytest.mark.parametrize("lean", [20, 45, 90, 180])
def test_a_person_who_bends_or_lies_or_stands_on_the_hands_turns_no_world(points, lean):
    cameras, codes = judged(points, CAMERAS, posture=Rotation.from_euler("x", lean, degrees=True))
    assert cameras == tuple(CAMERAS)
    assert codes == []


@pytest.mark.parametrize(
    ("euler", "lies", "codes"),
    [(("x", 14), 0, 1), (("y", -18), 0, 1), (("x", 8), 0, 1), (("y", 7), 0, 1), (("x", 4), 0, 0), (("x", -90), 90, 1)],
)
def test_a_world_that_leans_with_the_person_is_a_finding_and_turns_nothing(points, euler, lies, codes):
    """A board on a slope: cameras and person lean alike, by more than a standing person does. Last, a person who lies
    in a turned world."""
    given = in_turned_world(Rotation.from_euler(*euler, degrees=True))
    cameras, found = judged(points, given, posture=Rotation.from_euler("y", lies, degrees=True))
    assert cameras == tuple(given)
    assert found == ["world_vertical"] * codes
