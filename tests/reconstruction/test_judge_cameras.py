"""What becomes of the comparison of cameras: who is compared, what is refined, what is left to say."""

import re

import numpy as np
import pytest
from rigs import one, shift_views, undone, walk
from small_project import ring

from simspine.core.errors import InputError
from simspine.core.geometry import project_points
from simspine.core.types import Keypoints
from simspine.quality.findings import Severity
from simspine.reconstruction.cameras import choose_cameras, compare_cameras, judge_cameras
from simspine.vision.options import CameraOptions, TriangulationOptions
from simspine.vision.synchronise import timing_of


def blind(keypoints, *views):
    confidence = keypoints.confidence.copy()
    confidence[:, list(views)] = 0.0
    return keypoints.with_(confidence=confidence)


@pytest.mark.slow
def test_a_camera_that_saw_nobody_is_said_and_the_others_are_compared():
    keypoints, true, _ = walk("finetuned", 1)
    found = compare_cameras(blind(keypoints, 0), true, 0.3)
    assert found.views == (1, 2, 3)
    assert [check.camera for check in found.checks] == [camera.name for camera in true[1:]]
    (finding,) = found.findings
    assert (finding.code, finding.where) == ("camera_unjudged", true[0].name)


def test_one_camera_cannot_be_compared():
    keypoints, true, _ = walk("finetuned", 1)
    with pytest.raises(InputError, match="1 of 4 cameras saw the person"):
        compare_cameras(blind(keypoints, 0, 1, 2), true, 0.3)
    judged = judge_cameras({"t": (blind(keypoints, 0, 1, 2), true)}, CameraOptions(refine=True), 0.3)["t"]
    assert judged.cameras == true
    assert [finding.code for finding in judged.findings] == ["camera_unjudged"]


@pytest.mark.slow
@pytest.mark.parametrize(("off", "mended"), [(one(centre_x=15.0), True), (one(rotation_y=np.radians(8.0)), False)])
def test_what_refinement_mends_is_information_and_what_it_leaves_a_warning(off, mended):
    keypoints, true, _ = walk("exact")
    given = [true[0], undone(true[1], off), *true[2:]]
    judged = judge_cameras({"t": (keypoints, given)}, CameraOptions(refine=True), 0.3)["t"]
    about = [finding for finding in judged.findings if finding.where == true[1].name]
    assert {finding.severity for finding in about} == {Severity.INFO if mended else Severity.WARNING}
    assert all(("after refinement" in finding.message) != mended for finding in about)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("off", "refined"), [(one(), False), pytest.param(one(centre_x=15.0), True, marks=pytest.mark.long)]
)
def test_auto_refines_where_the_check_names_a_camera(off, refined):
    keypoints, true, _ = walk("exact")
    given = (true[0], undone(true[1], off), *true[2:])
    judged = judge_cameras({"t": (keypoints, given)}, CameraOptions(refine="auto"), 0.3)["t"]
    assert ("camera_refined" in {finding.code for finding in judged.findings}) == refined
    assert (judged.cameras != given) == refined


@pytest.mark.slow
def test_delays_are_stated_with_their_interval_once():
    """A view that shows all two frames late: a number known to whom made it. Found delays have intervals already."""
    keypoints, true, _ = walk("exact")
    late, names = [0.0, 0.0, 2.0, 0.0], [camera.name for camera in true]
    seen = {"keypoints": shift_views(keypoints, np.negative(late)), "cameras": true}
    corrected = timing_of(names, [keypoints.frames] * 4, np.zeros(4), deviation=np.full(4, 0.1))
    known = {"plain": seen | {"timing": None}, "corrected": seen | {"timing": corrected}}
    chosen = choose_cameras(CameraOptions(), TriangulationOptions(), trials=known)
    found = {finding.code: finding.message for finding in chosen["plain"]["findings"]}
    rows = re.findall(r"(\w+) ([+-][\d.]+) ± ([\d.]*\d)", found["camera_clocks"])
    assert [name for name, *_ in rows] == names[1:]
    for (_, value, reach), wanted in zip(rows, late[1:], strict=True):
        assert abs(float(value) - wanted) < 0.1  # the points move in straight lines from frame to frame, people do not
        assert float(reach) < 0.1
    codes = [finding.code for finding in chosen["corrected"]["findings"]]
    assert "camera_delays" in codes
    assert "camera_clocks" not in codes


def test_two_opposite_cameras_say_that_they_cannot_show_a_wrong_focal_length():
    """Errors along the epipolar lines leave no trace: points move towards one camera. It is said, and no fault."""
    markers, cameras = walk("exact", 1, 40)[2], [ring(2)[0], ring(2)[1]]
    xy = project_points(cameras, markers.xyz).swapaxes(0, 1)
    xy = xy + np.random.default_rng(5).normal(0, 2.0, xy.shape)
    seen = Keypoints(markers.names, 50.0, xy, np.full(xy.shape[:3], 0.9))
    for change in (one(), one(focal=0.03)):
        findings = compare_cameras(seen, [cameras[0], undone(cameras[1], change)], 0.3).findings
        assert [(finding.code, finding.severity) for finding in findings] == [("camera_coarse", Severity.INFO)]
        for name in ("cam01", "cam02"):
            (least,) = re.findall(rf"{name} \d+ px, [\d.]+° or ([\d.]+) %", findings[0].message)
            assert float(least) > 3.0
    judged = judge_cameras({"t": (seen, cameras)}, CameraOptions(refine="auto"), 0.3)["t"]
    assert judged.cameras == tuple(cameras)


@pytest.mark.parametrize("views", [0, 1])
def test_a_person_who_is_seen_by_fewer_than_two_cameras(views):
    """Before anything is computed, with what each camera saw."""
    cameras = ring(3)
    confidence = np.zeros((30, 3, 2))
    confidence[5:, :views] = 0.9
    confidence[:5, 2] = 0.9
    seen = Keypoints(("LHip", "RHip"), 30.0, np.full((30, 3, 2, 2), 400.0), confidence)
    known = {"walk": {"keypoints": seen, "cameras": cameras, "timing": None}}
    said = f"two cameras at once: of 30 frames cam01 in {25 * views}, cam02 in 0, cam03 in 5"
    with pytest.raises(InputError, match=said):
        choose_cameras(CameraOptions(), TriangulationOptions(), trials=known)


@pytest.mark.parametrize(
    ("largest", "apart", "said"),
    [
        (1.0, 1.0, "Multiply shares by width and height"),
        (92.0, 1.0, "within ±92, no pixels"),
        (900.0, 0.0, "all cameras are in one place"),
    ],
)
def test_shares_of_images_and_lenses_without_places(largest, apart, said):
    """MediaPipe counts in shares of the image; a file of lenses has every camera at the origin."""
    cameras = [camera.with_(t=apart * camera.t) for camera in ring(3)]
    xy = np.random.default_rng(4).uniform(0, largest, (30, 3, 2, 2))
    seen = Keypoints(("LHip", "RHip"), 30.0, xy, np.full((30, 3, 2), 0.9))
    known = {"walk": {"keypoints": seen, "cameras": cameras, "timing": None}}
    with pytest.raises(InputError, match=said):
        choose_cameras(CameraOptions(), TriangulationOptions(), trials=known)
