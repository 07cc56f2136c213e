"""Pictures of a person in 3D: the sides are what they say, the person is in the picture."""

from dataclasses import replace

import numpy as np
import pytest
from skinned_scene import skinned_scene

from simspine.errors import InputError
from simspine.report.portrait import portrait
from simspine.sources.video import open_video
from simspine.workflow.portraits import write_portrait

SIZE = (320, 240)


def columns(scene, view, frame=0):
    """Columns of a picture in which the vertebrae are seen; they are the only orange there."""
    image = portrait(scene, view).picture(frame, SIZE).astype(int)
    return np.nonzero((image[..., 2] - image[..., 0] > 50).any(0))[0]


def test_the_person_leans_to_the_side_that_the_view_says(scene):
    """The pelvis faces +x and the chain leans forward in frame 8: to the right seen from its right side."""
    middle = SIZE[0] / 2
    assert abs(columns(scene, "side", 0).mean() - middle) < 5
    assert columns(scene, "side", 8).max() > middle + 15
    assert abs(columns(scene, "front", 8).mean() - middle) < 12
    assert abs(columns(scene, "back", 8).mean() - middle) < 12


def test_a_camera_of_the_recording_is_a_view(scene):
    assert portrait(scene, "cam1").picture(0, SIZE).shape == (240, 320, 3)
    with pytest.raises(InputError, match="cam0, cam1"):
        portrait(scene, "cam7")


def test_skin_and_bones():
    scene = skinned_scene()
    ground, skin = (portrait(scene, "front", "skin").picture(k, SIZE).astype(int) for k in (2, 0))
    assert (np.abs(skin - ground).max(-1) > 20).mean() > 0.01
    with pytest.raises(InputError, match="no bones"):
        portrait(scene, "front", "both")
    with pytest.raises(InputError, match="no skin"):
        portrait(replace(scene, skin=None), "front", "skin")


def test_stills_and_videos_are_written(scene, tmp_path):
    short = replace(scene, cameras=())
    assert write_portrait(short, tmp_path / "still.png", "side", "bones", 3).read_bytes()[:4] == b"\x89PNG"
    video = open_video(write_portrait(short, tmp_path / "walk.avi", "side", "bones"))
    assert (video.frames, video.size) == (short.frames, (1280, 720))
    assert video.rate == pytest.approx(short.spine.rate)


@pytest.mark.parametrize(
    ("name", "frame", "said"),
    [("a.gif", None, "expected a picture"), ("a.avi", 3, "all frames"), ("a.png", 40, "has 40")],
)
def test_what_cannot_be_written_is_refused(scene, tmp_path, name, frame, said):
    with pytest.raises(InputError, match=said):
        write_portrait(scene, tmp_path / name, "side", "bones", frame)
    assert list(tmp_path.iterdir()) == []


def test_a_trial_without_any_pose_is_refused(scene):
    empty = {name: np.full_like(pose, np.nan) for name, pose in scene.poses.items()}
    with pytest.raises(InputError, match="no frame has a pose"):
        portrait(replace(scene, poses=empty))
