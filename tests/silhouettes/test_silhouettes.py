"""Trunk contours, sections and points behind the outline, against bodies whose outline is known exactly."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from simspine.capture.rig import looking
from simspine.geometry import in_frame, project
from simspine.silhouettes.contour import Silhouette, trunk_contour
from simspine.silhouettes.levels import CONTOURS, GROOVE, LEVELS
from simspine.silhouettes.sections import fit_section, waves
from simspine.silhouettes.spine_points import silhouette_points
from simspine.skeletons import load
from simspine.types import Camera, Keypoints, Markers, Origin

NAMES = load("blazepose33").names
FRAMES, RATE = 40, 50.0


def standing(arm: float = 200.0) -> np.ndarray:
    """BlazePose's points (33, 2) px of somebody upright: hips at y = 300, shoulders at y = 196, arms `arm` px aside."""
    points = np.zeros((33, 2))
    for side, sign in (("left", 1), ("right", -1)):
        for name, x, y in (("hip", 20, 300), ("shoulder", 36, 196), ("elbow", arm, 240), ("wrist", arm, 300)):
            points[NAMES.index(f"{side}_{name}")] = 200 + sign * x, y
    return points


def band(half: float) -> np.ndarray:
    """A mask (400, 400) of logits that ends `half` px from the column x = 200."""
    return np.broadcast_to(half - np.abs(np.arange(400) - 200.0), (400, 400))


def test_the_contour_is_where_the_mask_changes_its_sign():
    """Oracle: the mask's own edge, between its cells; half its size and moved, as the network's crop is."""
    found = trunk_contour(Silhouette(band(25.3), np.eye(2, 3)), standing(), NAMES, (400, 400))
    assert_allclose(found[::2, 0] - 200, -(found[1::2, 0] - 200))
    assert_allclose(np.abs(found[:, 0] - 200), 25.3, atol=1e-6)
    assert_allclose(found[::2, 1], [300 - 104 * level.at for level in LEVELS])
    assert (found[:, 2] == 1).all()
    assert len(found) == len(CONTOURS)
    half = np.array([[0.5, 0, 10], [0, 0.5, 10]])
    small = 25.3 - 2 * np.abs(np.arange(400) - 110.0)
    again = trunk_contour(Silhouette(np.broadcast_to(small, (400, 400)), half), standing(), NAMES, (400, 400))
    assert_allclose(again[:, :2], found[:, :2], atol=1e-6)


@pytest.mark.parametrize("why", ["arm", "border", "somebody", "nobody", "no end"])
def test_a_contour_that_is_not_the_trunks_is_missing(why):
    points, size, mask, others = standing(), (400, 400), band(25.0), []
    if why == "arm":
        points = standing(arm=27.0)
    elif why == "border":
        size = (226, 400)
    elif why == "somebody":  # from 3 px beside the trunk on
        others = [Silhouette(np.broadcast_to(np.arange(400) - 228.0, (400, 400)), np.eye(2, 3))]
    mask = {"nobody": -np.ones((400, 400)), "no end": np.ones((400, 400))}.get(why, mask)
    found = trunk_contour(Silhouette(mask, np.eye(2, 3)), points, NAMES, size, others)
    right = found[:, 0] > 200
    lost = np.isnan(found[:, 0])
    assert lost.any()
    assert (found[lost, 2] == 0).all()
    assert lost.sum() == (4 if why in ("border", "somebody") else 8)
    assert not right.any()


def ellipse(angle: np.ndarray, a: float, b: float) -> np.ndarray:
    """Support of an ellipse with half-axes a to the right, b forward, at angles from the front."""
    return np.hypot(a * np.sin(angle), b * np.cos(angle))


def test_the_section_of_a_moving_ellipse_is_found():
    """Oracle: exact tangents from cameras around; the prior on shapes moves the rear by no more than 2 mm."""
    level = LEVELS[2]
    time = np.arange(FRAMES) / RATE
    path = np.stack([0.02 * np.sin(3 * time), 0.03 + 0.02 * time], 1)
    azimuth = np.radians([30, 210, 80, 260, 120, 300, 180, 0])
    normal = np.broadcast_to(np.stack([np.sin(azimuth), np.cos(azimuth)], 1), (FRAMES, 8, 2))
    distance = ellipse(azimuth, 0.145, 0.110) + (normal * path[:, None]).sum(-1)
    section = fit_section(level, distance, normal, RATE)
    assert_allclose(section.rear, path[:, 1] - 0.110, atol=2e-3)
    assert np.ptp(section.rear - path[:, 1]) < 5e-4  # the motion is known better than the place
    assert_allclose(section.right, path[:, 0], atol=1.5e-3)
    assert section.residual < 5e-4
    wrong = np.array(distance)
    wrong[::7, 6] += 0.08  # an arm taken for the back, now and then
    assert_allclose(fit_section(level, wrong, normal, RATE).rear, section.rear, atol=3e-3)


def test_a_view_in_profile_makes_the_rear_surer():
    azimuth = np.radians([50, 230, 130, 310, -50, 130, -130, 50])
    exact = ellipse(azimuth, 0.145, 0.110)
    normal = np.stack([np.sin(azimuth), np.cos(azimuth)], 1)
    profile = np.array([[0.0, -1.0], [0.0, 1.0]])
    ring = fit_section(LEVELS[0], np.tile(exact, (FRAMES, 1)), np.tile(normal, (FRAMES, 1, 1)), RATE)
    both = fit_section(
        LEVELS[0], np.tile([*exact, 0.110, 0.110], (FRAMES, 1)), np.tile([*normal, *profile], (FRAMES, 1, 1)), RATE
    )
    assert both.sd < 0.7 * ring.sd


def test_the_stated_deviation_is_that_of_a_dense_system():
    """Oracle: the same least squares written out with all unknowns, and the whole matrix inverted."""
    from simspine.silhouettes import sections as s

    rng = np.random.default_rng(3)
    frames, level = 6, LEVELS[1]
    angle = rng.uniform(-np.pi, np.pi, (frames, 6))
    normal = np.stack([np.sin(angle), np.cos(angle)], -1)
    distance = ellipse(angle, 0.14, 0.11)
    distance[0, 2] = np.nan
    own, size = 9, 9 + 6
    J, d = [], []
    for t, k in zip(*np.nonzero(np.isfinite(distance)), strict=True):
        row = np.zeros(size + 2 * frames)
        row[:own] = waves(angle[t, k : k + 1])[0]
        row[own + k] = 1
        row[size + 2 * t : size + 2 * t + 2] = normal[t, k]
        J.append(row)
        d.append(distance[t, k])
    J = np.array(J)
    prior = np.concatenate([level.shape, np.zeros(4 + 6), np.tile(s.CENTRE, frames)])
    spread = s.WIDER * np.array(level.spread)
    sd = np.concatenate([spread, spread[1:] / 2, np.full(6, s.LASTING_SD), np.tile(s.CENTRE_SD, frames) * frames**0.5])
    calm = np.zeros((2 * (frames - 2), size + 2 * frames))
    for t in range(frames - 2):
        for axis in (0, 1):
            calm[2 * t + axis, size + axis + 2 * t : size + axis + 2 * t + 5 : 2] = np.array([1, -2, 1]) * RATE**2 / 3.0
    information = 1 / (s.CHANGING_SD**2 * RATE)
    x = prior.copy()
    for i in range(s.ROUNDS):
        miss = np.array(d) - J @ x
        w = information * (np.ones(len(d)) if i == 0 else 1 / (1 + (miss / (s.FAR * s.CHANGING_SD)) ** 2))
        A = J.T @ (w[:, None] * J) + np.diag(sd**-2.0) + calm.T @ calm
        x = prior + np.linalg.solve(A, J.T @ (w * (np.array(d) - J @ prior)))
    found = fit_section(level, distance, normal, RATE)
    assert_allclose(found.rear, x[size + 1 :: 2] - waves(np.array([np.pi]))[0] @ x[:own], atol=1e-8)
    assert_allclose(found.right, x[size::2], atol=1e-8)
    lasting = np.linalg.inv(A)[:size, :size]
    # what is lasting of the rear: the share that the centres take over from the lasting unknowns is taken off
    response = np.linalg.solve(A[size:, size:], A[size:, :size])[1::2]
    direct = -np.append(waves(np.array([np.pi]))[0], np.zeros(6))
    variance = np.einsum("ti,ij,tj->t", direct - response, lasting, direct - response)
    assert_allclose(found.sd, np.sqrt(variance).mean(), rtol=1e-6)


def few(markers: Markers) -> Markers:
    """The first five frames: too few to tell a section from its path."""
    return markers.with_(xyz=markers.xyz[:5])


def test_points_behind_the_outline_of_an_elliptic_trunk():
    """Oracle: a cylinder of elliptic section, its contours projected into five cameras, one of them in profile."""
    cameras = []
    for azimuth in np.radians([40, 140, -40, -140, 90]):
        eye = np.array([3 * np.cos(azimuth), 3 * np.sin(azimuth), 1.3])
        R = looking(eye, np.array([0, 0, 1.2]))
        K = np.array([[1600.0, 0, 540], [0, 1600, 960], [0, 0, 1]])
        cameras.append(Camera(f"{azimuth:.1f}", (1080, 1920), K, np.zeros(5), R, -R @ eye))
    joints = {
        "LHip": (0, 0.1, 0.95),
        "RHip": (0, -0.1, 0.95),
        "LShoulder": (0, 0.18, 1.47),
        "RShoulder": (0, -0.18, 1.47),
    }
    markers = Markers(tuple(joints), RATE, np.tile(list(joints.values()), (FRAMES, 1, 1)), "z_up")
    turn = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    xy = np.zeros((FRAMES, 5, len(CONTOURS), 2))
    for row, level in enumerate(LEVELS):
        height = 0.95 + 0.52 * level.at
        wall = np.stack([0.03 + 0.115 * np.cos(turn), 0.145 * np.sin(turn), np.full(720, height)], 1)
        for view, seen in enumerate(project(cameras, wall)):
            xy[:, view, 2 * row] = seen[seen[:, 0].argmax()]  # to the right of an upright axis as seen
            xy[:, view, 2 * row + 1] = seen[seen[:, 0].argmin()]
    contours = Keypoints(CONTOURS, RATE, xy, np.ones(xy.shape[:3]))
    found = silhouette_points(contours, cameras, in_frame(markers, "y_up"))
    assert found is not None
    assert found.frame == "y_up"
    assert set(found.origins) == {Origin.SILHOUETTE}
    found = in_frame(found, "z_up")
    for level in LEVELS:
        place = found.xyz[:, found.index(level.marker)]
        assert_allclose(place[:, 0], 0.03 - 0.115 + GROOVE + level.depth, atol=4e-3)
        assert_allclose(place[:, 1], 0.0, atol=2e-3)
        assert_allclose(place[:, 2], 0.95 + 0.52 * level.at, atol=1e-6)
    assert found.covariance is not None
    assert (np.sqrt(found.covariance[..., 0, 0]) > 0.009).all()
    hidden = np.array(xy)
    hidden[5:9] = np.nan
    gap = silhouette_points(contours.with_(xy=hidden), cameras, markers)
    assert gap is not None
    assert not gap.present[5:9].any()
    assert gap.present[9:].all()
    assert silhouette_points(contours.with_(xy=np.full_like(xy, np.nan)), cameras, markers) is None
    shuffled = xy + np.random.default_rng(1).normal(0, 40, xy.shape)  # px: no section has such tangents
    assert silhouette_points(contours.with_(xy=shuffled), cameras, markers) is None
    assert silhouette_points(contours.with_(xy=xy[:5], confidence=np.ones((5, 5, 8))), cameras, few(markers)) is None
    assert silhouette_points(contours, cameras, markers.select(("LHip", "RHip"))) is None
