"""Clicks proposed: spots on a back whose places in space are known, among others that only one view shows."""

import numpy as np
import pytest

from simspine.errors import InputError
from simspine.geometry import project
from simspine.pipeline.click_proposals import propose_clicks
from simspine.types import Camera, Keypoints

NAMES = ("LShoulder", "RShoulder", "LHip", "RHip")
TRUNK = np.array([[0, 0.18, 1.45], [0, -0.18, 1.45], [0, 0.1, 1.0], [0, -0.1, 1.0]])  # facing +x, m
MARKERS = np.array([[-0.08, 0.0, 1.47], [-0.1, 0.02, 1.3], [-0.07, 0.0, 1.15]])
OFF_PX = np.array([[0.0, 0.0], [2.0, -9.0], [0.0, 0.0]])  # what a calibration may be off by


def cameras():
    """Two behind the person, one before."""
    found = []
    for name, place in (("left", (-3, 1.2, 1.4)), ("right", (-3, -1.2, 1.4)), ("front", (3, 0.2, 1.4))):
        forward = np.array([0, 0, 1.25]) - place
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        found.append(
            Camera(name, (1000, 1000), [[1500, 0, 500], [0, 1500, 500], [0, 0, 1]], np.zeros(5), R, -R @ place)
        )
    return found


def person(frames=2):
    xy = np.moveaxis(project(cameras(), np.tile(TRUNK, (frames, 1, 1))), 0, 1) + OFF_PX[:, None]
    return Keypoints(NAMES, 50.0, xy, np.ones(xy.shape[:3]))


def spots(rng, alone=6):
    """The markers in all views, the front one too, as if the body were of glass; and in each as many others."""
    found = []
    for view, xy in enumerate(project(cameras(), MARKERS) + OFF_PX[:, None]):
        trunk = person().xy[0, view]
        others = rng.uniform(trunk.min(0), trunk.max(0), (alone, 2))
        mass = np.concatenate([[900.0, 1100.0, 1000.0], rng.uniform(50, 2000, alone)])
        found.append(np.column_stack([np.concatenate([xy, others]), mass]))
    return found


def test_what_two_views_show_at_one_place_on_the_back_is_proposed():
    """Calibration 9 px off, six other spots in each view: all markers, downwards, from the views behind."""
    hits = false = 0
    for seed in range(10):
        seen = spots(np.random.default_rng(seed))
        found = propose_clicks(person(), 1, cameras(), seen)
        assert [p.along for p in found] == sorted((p.along for p in found), reverse=True)
        for proposal in found:
            assert set(proposal.views) == {"left", "right"}
            which = {int(np.argmin(np.linalg.norm(seen[v][:, :2] - proposal.views[n], axis=1)))
                     for v, n in enumerate(("left", "right"))}  # fmt: skip
            hits, false = (hits + 1, false) if len(which) == 1 and which <= {0, 1, 2} else (hits, false + 1)
    assert hits >= 27
    assert false <= 20


def test_nothing_is_proposed_where_no_view_shows_a_spot():
    assert propose_clicks(person(), 0, cameras(), [np.zeros((0, 3))] * 3) == []


def test_a_frame_without_the_trunk_is_refused():
    seen = person()
    xy = np.array(seen.xy)
    xy[1, :, 0] = np.nan
    with pytest.raises(InputError, match="shoulders and hips are not seen by two views in frame 1"):
        propose_clicks(seen.with_(xy=xy), 1, cameras(), spots(np.random.default_rng(0)))
