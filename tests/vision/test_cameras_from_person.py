"""Cameras placed by a person: against the cameras that saw a synthetic walk, after the similarity no image tells."""

from dataclasses import replace

import numpy as np
import pytest
from rigs import walk
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError
from simspine.core.geometry import project_points
from simspine.core.types import Camera
from simspine.synthesis.population import make_subject
from simspine.vision.cameras_from_person import FromPerson, cameras_from_person

FRAMES = 200


def unplaced(cameras):
    """Lenses alone: what is handed in knows nothing of places."""
    return [replace(camera, R=np.eye(3), t=np.zeros(3)) for camera in cameras]


def apart(found: list[Camera], true: list[Camera]) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Distances of places (views, 3) m and turns (views, 3) rad, both along the true cameras' axes, after the best
    similarity; its scale; and the angle between both worlds' verticals, rad."""
    turn = Rotation.from_matrix([t.R.T @ f.R for f, t in zip(found, true, strict=True)]).mean()
    a, b = (np.array([camera.centre for camera in cameras]) for cameras in (found, true))
    a, b = turn.apply(a - a.mean(0)), b - b.mean(0)
    scale = float((a * b).sum() / (a * a).sum())
    moved = [camera.R @ row for camera, row in zip(true, scale * a - b, strict=True)]
    turned = [
        Rotation.from_matrix(f.R @ turn.as_matrix().T @ t.R.T).as_rotvec() for f, t in zip(found, true, strict=True)
    ]
    return np.array(moved), np.array(turned), scale, float(np.arccos(min(turn.as_matrix()[2, 2], 1.0)))


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 2])
def test_exact_points_give_the_true_places(index):
    keypoints, true, exact = walk("exact", index, FRAMES)
    height = make_subject(5, index, "published").stature
    found = cameras_from_person(keypoints, unplaced(true), height)
    moved, turned, scale, tilt = apart(found.cameras, true)
    assert np.abs(moved).max() < 0.001
    assert np.degrees(np.abs(turned).max()) < 0.01
    assert abs(scale - 1) < 2 * found.frame.scale_sd < 0.07
    assert tilt < 2 * found.frame.tilt_sd < np.radians(6.1)
    # The floor is where the true feet stand lowest, and the world's origin below the person.
    feet = project_points(found.cameras, np.zeros(3))
    assert np.isfinite(feet).all()
    lowest = exact.xyz[:, [exact.index("RHeel"), exact.index("LHeel")], 2].min()
    heights = [camera.centre[2] for camera in found.cameras]
    np.testing.assert_allclose(np.multiply(heights, scale), [c.centre[2] - lowest for c in true], atol=0.07)


@pytest.mark.slow
def test_detections_place_cameras_within_their_deviations():
    moves, turns = [], []
    for index in (0, 4):
        keypoints, true, _ = walk("finetuned", index, FRAMES)
        found = cameras_from_person(keypoints, unplaced(true))
        moved, turned, scale, tilt = apart(found.cameras, true)
        assert np.linalg.norm(moved, axis=1).max() < 0.08
        assert np.degrees(np.linalg.norm(turned, axis=1)).max() < 0.8
        assert abs(scale - 1) < 2.5 * found.frame.scale_sd
        assert tilt < 2 * found.frame.tilt_sd
        moves.append(moved / found.position_sd)
        turns.append(turned / found.rotation_sd)
    for scores in (moves, turns):
        assert 0.2 < np.sqrt(np.mean(np.square(scores))) < 1.3


@pytest.mark.slow
def test_guessed_focal_lengths_are_estimated_within_their_deviations():
    """Cameras that all look at one place tell focal lengths to some percent only; the deviations say so."""
    keypoints, true, _ = walk("finetuned", 1, FRAMES)
    lenses = [camera.with_(K=camera.K * [[1.1], [1.1], [1.0]]) for camera in unplaced(true)]
    found = cameras_from_person(keypoints, lenses, guessed=True)
    focal, wanted = (np.array([camera.K[0, 0] for camera in cameras]) for cameras in (found.cameras, true))
    assert (np.abs(np.log(focal / wanted)) < 2.5 * found.focal_sd).all()
    assert (found.focal_sd < 0.1).all()


def test_two_cameras_are_enough():
    keypoints, true, _ = walk("exact", 3)
    two = keypoints.with_(xy=keypoints.xy[:, :2], confidence=keypoints.confidence[:, :2])
    found: FromPerson = cameras_from_person(two, unplaced(true[:2]))
    assert np.degrees(np.abs(apart(found.cameras, true[:2])[1]).max()) < 0.05


def _planar(keypoints, true, exact):
    xyz = exact.xyz.copy()
    xyz[..., 0] = 0.3 * xyz[..., 2]
    xy = np.moveaxis(project_points(true, xyz), 0, 1)
    return keypoints.with_(xy=xy, confidence=np.isfinite(xy).all(-1).astype(float))


def _unshared(keypoints, *_):
    """Two cameras see the first half, the others the second."""
    confidence = keypoints.confidence.copy()
    half = keypoints.frames // 2
    confidence[:half, :2] = confidence[half:, 2:] = 0.0
    return keypoints.with_(confidence=confidence)


def _alone(keypoints, *_):
    """The first camera sees the first half, the others the second."""
    confidence = keypoints.confidence.copy()
    half = keypoints.frames // 2
    confidence[:half, 1:] = confidence[half:, 0] = 0.0
    return keypoints.with_(xy=keypoints.xy[:, :2], confidence=confidence[:, :2])


def _late(keypoints, *_):
    xy = keypoints.xy.copy()
    xy[:, 1] = np.roll(xy[:, 1], 33, 0)
    return keypoints.with_(xy=xy)


def _still(keypoints, *_):
    noise = np.random.default_rng(0).normal(0, 2, keypoints.xy.shape)
    confidence = np.repeat(keypoints.confidence[:1], keypoints.frames, 0)
    return keypoints.with_(xy=keypoints.xy[:1] + noise, confidence=confidence)


def _blind(keypoints, *_):
    confidence = keypoints.confidence.copy()
    confidence[:, 2] = 0.0
    return keypoints.with_(confidence=confidence)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_still, "the person hardly moves: most points by .* at least 15%"),
        (_planar, "lies in one plane"),
        (_unshared, "not all cameras could be placed"),
        (_alone, "no two views have enough in common"),
        pytest.param(_late, "camera '55011271' saw agrees.*start at the same instant", marks=pytest.mark.slow),
        (_blind, "camera '58860488' saw 0 points"),
    ],
)
def test_what_cannot_place_cameras_is_refused(spoil, message):
    keypoints, true, exact = walk("exact", 3, 80)
    spoilt = spoil(keypoints, true, exact)
    with pytest.raises(InputError, match=message):
        cameras_from_person(spoilt, unplaced(true[: spoilt.views]))


def test_one_camera_and_odd_heights_are_refused():
    keypoints, true, _ = walk("exact", 3)
    one = keypoints.with_(xy=keypoints.xy[:, :1], confidence=keypoints.confidence[:, :1])
    with pytest.raises(InputError, match="one camera: two or more are wanted"):
        cameras_from_person(one, true[:1])
    with pytest.raises(InputError, match="a height of 178 m is nobody's"):
        cameras_from_person(keypoints, true, height=178)
