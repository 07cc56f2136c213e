"""A camera that was pushed in the middle of a recording, and what only looks like it."""

import numpy as np
import pytest
from rigs import one, undone, walk

from simspine.core.types import Keypoints
from simspine.reconstruction.cameras import choose_cameras
from simspine.vision.camera_bump import find_bump
from simspine.vision.options import CameraOptions, TriangulationOptions


def moved(keypoints: Keypoints, view: int, frames: slice, px: tuple[float, float]) -> Keypoints:
    xy = keypoints.xy.copy()
    xy[frames, view] += px
    return keypoints.with_(xy=xy)


@pytest.mark.parametrize("views", [(0, 1, 2, 3), (0, 1, 2)])
@pytest.mark.parametrize("preset", ["exact", "finetuned"])
@pytest.mark.parametrize(("view", "px"), [(2, (-19.0, 11.0)), (0, (4.0, 33.0))])
def test_a_camera_that_is_pushed_is_named_with_its_frame(preset, views, view, px):
    keypoints, cameras, _ = walk(preset, 0, 200)
    given = moved(keypoints, view, slice(117, None), px)
    some = given.with_(xy=given.xy[:, views], confidence=given.confidence[:, views])
    named, frame, jump_px = find_bump(some, [cameras[k] for k in views], 0.3, 5.0)
    assert named == (cameras[view].name,)
    assert abs(frame - 117) <= 5
    assert 0.25 * np.hypot(*px) < jump_px <= np.hypot(*px) + 3


def test_what_is_no_push():
    """A person who walks before inexactly calibrated cameras; points that are off for half a second; two cameras."""
    keypoints, cameras, _ = walk("finetuned", 1, 200)
    turned = [undone(camera, one(rotation_y=0.01 * sign)) for camera, sign in zip(cameras, (1, -1, 1, 1), strict=True)]
    assert find_bump(keypoints, turned, 0.3, 5.0) is None
    assert find_bump(moved(keypoints, 2, slice(80, 105), (30.0, 0.0)), cameras, 0.3, 5.0) is None
    pushed = moved(keypoints, 1, slice(100, None), (0.0, 40.0))
    pair = pushed.with_(xy=pushed.xy[:, :2], confidence=pushed.confidence[:, :2])
    assert find_bump(pair, cameras[:2], 0.3, 5.0) is None
    assert (
        find_bump(keypoints.with_(xy=keypoints.xy[:4], confidence=keypoints.confidence[:4]), cameras, 0.3, 5.0) is None
    )


@pytest.mark.slow
def test_a_run_says_it():
    keypoints, cameras, _ = walk("exact", 0, 120)
    seen = {"keypoints": moved(keypoints, 3, slice(60, None), (-20.0, -20.0)), "cameras": cameras, "timing": None}
    (said,) = choose_cameras(CameraOptions(), TriangulationOptions(), trials={"walk": seen}).values()
    assert [f.where for f in said["findings"] if f.code == "camera_moved"] == [cameras[3].name]
