"""Cameras disturbed by known amounts come back; what a recording does not show stays as it was."""

import numpy as np
import pytest
from rigs import misfit, one, shift_views, undone, walk
from scipy.interpolate import CubicSpline

from simspine.core.errors import InputError
from simspine.core.geometry import project_points
from simspine.core.types import Keypoints
from simspine.vision.bundle_adjustment import (
    CAMERA_PARAMETER_NAMES,
    GEOMETRY_PARAMETERS,
    CameraPrior,
    _image_velocities,
    changed_camera,
)
from simspine.vision.camera_check import UNTRUSTED_CAMERA_PRIOR, select_views
from simspine.vision.camera_refine import REFINEMENT_LIMBS, refine_cameras
from simspine.vision.synchronise import find_delays
from simspine.vision.triangulation import triangulate

PRIOR = CameraPrior(rotation=np.radians(0.2), position=0.01, focal=0.01, centre_px=8.0, radial=0.0, time=0.5)


def disturbed(index: int, preset: str, seed: int):
    """A walk, the cameras as a wrong calibration has them, and the change that mends each."""
    keypoints, true, exact = walk(preset, index)
    change = np.random.default_rng(seed).normal(size=(len(true), len(CAMERA_PARAMETER_NAMES))) * PRIOR.deviations()
    change[0, GEOMETRY_PARAMETERS:] = 0.0
    given = [undone(camera, row) for camera, row in zip(true, change, strict=True)]
    return shift_views(keypoints, -change[:, GEOMETRY_PARAMETERS]), given, true, exact, change


def test_a_change_and_its_undoing():
    row = one(rotation_x=0.02, rotation_z=-0.01, position_y=0.1, focal=0.05, centre_x=7.0, radial=0.02)
    (camera, *_) = walk("exact")[1]
    back = changed_camera(undone(camera, row), row)
    for name in ("K", "R", "t", "distortion"):
        np.testing.assert_allclose(getattr(back, name), getattr(camera, name), atol=1e-12)


@pytest.mark.parametrize(
    ("lens", "distortion"), [("fisheye", (0.05, -0.01)), ("perspective", (0.3, 0.1, 0, 0, 0, 0.5, 0, 0))]
)
def test_radial_coefficients_of_other_lenses_come_back(lens, distortion):
    """The walk through other lenses, exactly; k1 of each camera off by a known amount, nothing else."""
    keypoints, plain, exact = walk("exact")
    true = [camera.with_(lens=lens, distortion=distortion) for camera in plain]
    xy = np.where(
        np.isfinite(keypoints.xy), project_points(true, exact.select(keypoints.names).xyz).swapaxes(0, 1), np.nan
    )
    off = [0.02, -0.02, 0.015, 0.0]
    given = [undone(camera, one(radial=value)) for camera, value in zip(true, off, strict=True)]
    only = CameraPrior(rotation=0.0, position=0.0, focal=0.0, centre_px=0.0, radial=0.03)
    refined = refine_cameras(keypoints.with_(xy=xy), given, only)
    np.testing.assert_allclose([camera.distortion[0] for camera in refined.cameras], [distortion[0]] * 4, atol=2e-3)


@pytest.mark.slow
def test_exact_points_give_the_true_shape():
    """Points to a millimetre, where the wrong cameras were centimetres off: an oracle that knows no parameters."""
    keypoints, given, _, exact, change = disturbed(0, "exact", 100)
    refined = refine_cameras(keypoints, given, PRIOR)
    names = [name for i, name in enumerate(keypoints.names) if np.isfinite(keypoints.xy[:, :, i]).any()]
    exact = exact.select(names)

    def error(cameras, late):
        found = triangulate(shift_views(keypoints, late).select(names), cameras)
        return float(np.median(misfit(found.xyz, exact.xyz)))

    assert error(given, np.zeros(4)) > 0.02
    assert error(refined.cameras, refined.change[:, GEOMETRY_PARAMETERS]) < 0.001
    assert np.abs(refined.change - change)[:, GEOMETRY_PARAMETERS].max() < 0.05  # frames


@pytest.mark.long
@pytest.mark.slow
def test_changes_come_back_within_their_deviations():
    """Detections with errors that last and are shared: 5 people, 4 cameras, every parameter."""
    scores = []
    for index in range(5):
        keypoints, given, _, _, change = disturbed(index, "finetuned", 200 + index)
        refined = refine_cameras(keypoints, given, PRIOR)
        free = refined.deviation > 0
        scores.append(((refined.change - change) / np.where(free, refined.deviation, 1.0))[free])
        assert refined.median_px[1] < refined.median_px[0]
    scores = np.concatenate(scores)
    assert 0.7 < np.sqrt(np.mean(scores**2)) < 1.4
    assert np.mean(np.abs(scores) < 1.645) > 0.8


@pytest.mark.parametrize("limbs", [True, False])
def test_points_of_limbs_alone_or_none_of_them(limbs):
    """The equations have a part for limbs of constant length and one for other points; either may be empty."""
    keypoints, true, _ = walk("exact")
    ends = {name for pair in REFINEMENT_LIMBS for name in pair}
    some = keypoints.select([name for name in keypoints.names if (name in ends) == limbs])
    refined = refine_cameras(some, [undone(true[0], one(centre_x=6.0)), *true[1:]])
    assert refined.median_px[1] < 0.1 < refined.median_px[0]


def test_cameras_that_are_right_stay():
    keypoints, cameras, _ = walk("exact")
    refined = refine_cameras(keypoints, cameras, CameraPrior())
    assert np.abs(refined.change / CameraPrior().deviations().clip(1e-9)).max() < 0.02
    assert refined.median_px[1] < 0.05


def test_what_a_still_person_does_not_show_is_not_changed():
    """One instant, repeated: shifting an image and turning its camera look the same there, and both stay unsure."""
    keypoints, true, _ = walk("exact")
    still = keypoints.with_(xy=np.tile(keypoints.xy[:1], (40, 1, 1, 1)), confidence=np.ones((40, 4, 37)))
    given = [undone(true[0], one(centre_x=6.0)), *true[1:]]
    refined = refine_cameras(still, given, CameraPrior(focal=0.0, radial=0.0))
    deviation = refined.deviation[0]
    assert deviation[CAMERA_PARAMETER_NAMES.index("centre_x")] > 0.6 * CameraPrior().centre_px
    assert np.abs(refined.change).max(0)[CAMERA_PARAMETER_NAMES.index("centre_x")] < 6.0
    assert refined.median_px[1] < 0.3  # the images agree again all the same


def test_scale_and_world_stay_the_calibrations():
    """All cameras wrong in the same way cannot be seen: nothing moves."""
    keypoints, true, _ = walk("exact")
    refined = refine_cameras(keypoints, true, CameraPrior(position=0.5))
    before = np.array([camera.centre for camera in true])
    after = np.array([camera.centre for camera in refined.cameras])
    np.testing.assert_allclose(after, before, atol=0.01)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("three", "4 views of keypoints but 3 cameras"),
        ("fourth", "3 views of keypoints but 4 cameras"),
        ("alone", "one camera: two or more are wanted"),
        ("apart", "saw the same point at the same instant 0 times"),
        ("blind", "camera '55011271' saw 0 points"),
        ("short", "5 frames are too few"),
        ("elsewhere", "less than 60% of what the cameras saw agrees"),
    ],
)
def test_faults_are_named(fault, message):
    keypoints, cameras, _ = walk("exact")
    if fault == "three":
        cameras = cameras[:3]
    elif fault == "fourth":
        keypoints = select_views(keypoints, [0, 1, 2])
    elif fault == "alone":
        cameras, keypoints = cameras[:1], select_views(keypoints, [0])
    elif fault == "apart":  # each camera sees the person for another quarter of the time
        shown = np.arange(keypoints.frames) * keypoints.views // keypoints.frames
        here = shown[:, None, None] == np.arange(keypoints.views)[:, None]
        keypoints = keypoints.with_(confidence=np.where(here, keypoints.confidence, 0.0))
    elif fault == "blind":
        confidence = keypoints.confidence.copy()
        confidence[:, 1] = 0.0
        keypoints = keypoints.with_(confidence=confidence)
    elif fault == "short":
        keypoints = keypoints.with_(xy=keypoints.xy[:5], confidence=keypoints.confidence[:5])
    else:
        xy = np.random.default_rng(0).uniform(0, 1000, keypoints.xy.shape)
        keypoints = keypoints.with_(xy=xy, confidence=np.ones(xy.shape[:-1]))
    with pytest.raises(InputError, match=message):
        refine_cameras(keypoints, cameras)
    if fault in ("three", "fourth", "alone", "blind"):  # the others move too little, or are too short
        with pytest.raises(InputError, match=message):
            find_delays(keypoints, cameras)


MAIN_JOINTS = [side + joint for side in "LR" for joint in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")]


@pytest.mark.slow
@pytest.mark.parametrize(("speed", "tolerance"), [(0.3, 0.3), (1.0, 0.15)])
def test_delays_of_some_frames_come_back(speed, tolerance):
    """A walk, and one in slow motion, each view's points exactly at its own instants, with 2 px of noise.

    Velocities are noisy, and motion is straight for a few frames only: one linear step falls short of the delay.
    """
    _, cameras, markers = walk("exact")
    path = CubicSpline(np.arange(markers.frames), markers.select(MAIN_JOINTS).xyz)
    instants = np.arange(100)
    for seed, delay in enumerate((-3.0, -2.0, -1.0, 0.5, 2.0)):
        late = np.array([0.0, 0.0, delay, 0.0])
        places = [path(speed * (instants - one) + 4) for one in late]
        xy = [project_points([camera], xyz)[0] for camera, xyz in zip(cameras, places, strict=True)]
        xy = np.stack(xy, 1) + np.random.default_rng(seed).normal(0, 2.0, (len(instants), 4, len(MAIN_JOINTS), 2))
        seen = Keypoints(MAIN_JOINTS, 50.0, xy, np.full(xy.shape[:3], 0.9))
        refined = refine_cameras(seen, cameras, UNTRUSTED_CAMERA_PRIOR, start_turned=True)
        np.testing.assert_allclose(refined.change[:, GEOMETRY_PARAMETERS], late, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [-3.0, -2.0, -1.0, 0.5, 2.0])
def test_delays_of_detections_lie_in_their_intervals(delay):
    keypoints, cameras, _ = walk("finetuned", 1)
    late = np.array([0.0, 0.0, delay, 0.0])
    seen = shift_views(keypoints.select(MAIN_JOINTS), -late)
    refined = refine_cameras(seen, cameras, UNTRUSTED_CAMERA_PRIOR, start_turned=True)
    change, deviation = (each[1:, GEOMETRY_PARAMETERS] for each in (refined.change, refined.deviation))
    assert (np.abs(change - late[1:]) < 1.96 * deviation).all()
    assert deviation.max() < 0.9  # frames: not only because nothing is known


def test_velocities_of_images_are_those_of_one_velocity_in_space():
    """Of noisy velocities, the images' true ones are regressed on what is found with slope 1 and nothing of a jump
    remains. What is found can be undone by moving the points: no image shows whether all views are late alike."""
    rng = np.random.default_rng(1)
    by_point = rng.normal(0, 300.0, (3, 2, 2, 3)) + rng.normal(0, 20.0, (500, 3, 2, 2, 3))  # px/m
    in_space = rng.normal(0, (0.02, 0.005, 0.01), (500, 2, 3))  # m per frame
    true = np.einsum("fvpxi,fpi->fvpx", by_point, in_space)
    measured = true + rng.normal(0, 3.0, true.shape)
    measured[7, 1, 0] += 200.0
    measured[9, 2, 1] = np.nan
    found = _image_velocities(measured, by_point)
    assert (found[7, :, 0] == 0).all()
    left = np.r_[:7, 8:500]
    for point in range(2):
        seen, truth = found[left, :, point].ravel(), true[left, :, point].ravel()
        assert (seen @ truth) / (seen @ seen) == pytest.approx(1.0, abs=0.05)
        assert (seen @ seen) / (truth @ truth) > 0.5
    slopes = by_point[3, :, 0].reshape(6, 3)
    moved = np.linalg.lstsq(slopes, found[3, :, 0].ravel(), rcond=None)[0]
    np.testing.assert_allclose(slopes @ moved, found[3, :, 0].ravel(), atol=1e-9)
    exact = _image_velocities(true, by_point)
    np.testing.assert_allclose(exact, true, atol=1e-3)


@pytest.mark.slow
@pytest.mark.long
def test_delays_in_much_noise_lie_in_their_intervals():
    """A walk in slow motion, half a pixel a frame; 4 px of noise in each frame, independent of the others."""
    _, cameras, markers = walk("exact")
    path, instants, scores = CubicSpline(np.arange(markers.frames), markers.select(MAIN_JOINTS).xyz), np.arange(100), []
    for seed, late in enumerate(([0, -2, -1, 0.5], [0, 1, -1.5, 2], [0, 0.5, 2, -1], [0, 1.5, 1, -2])):
        places = [path(0.3 * (instants - one) + 4) for one in late]
        xy = np.stack([project_points([camera], xyz)[0] for camera, xyz in zip(cameras, places, strict=True)], 1)
        xy = xy + np.random.default_rng(seed).normal(0, 4.0, xy.shape)
        seen = Keypoints(MAIN_JOINTS, 50.0, xy, np.full(xy.shape[:3], 0.9))
        refined = refine_cameras(seen, cameras, UNTRUSTED_CAMERA_PRIOR, start_turned=True)
        change, deviation = (each[1:, GEOMETRY_PARAMETERS] for each in (refined.change, refined.deviation))
        scores += ((change - late[1:]) / deviation).tolist()
        assert deviation.max() < 0.5
    assert 0.5 < np.sqrt(np.mean(np.square(scores))) < 1.5


def test_a_prior_must_be_sensible():
    with pytest.raises(InputError, match="at least 0 and finite"):
        CameraPrior(focal=-0.1)
