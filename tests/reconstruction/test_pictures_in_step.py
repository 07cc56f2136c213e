"""Pictures of a trial whose views are late show each video's own frame of the instant."""

from types import SimpleNamespace

import numpy as np
import pytest
from small_videos import greys, write_frames

from simspine.io.video import open_video
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.report.body_video import _view_images as overlay_images
from simspine.report.statements import _images_by_frame as page_images
from simspine.vision.synchronise import timing_of

LATE, LENGTHS = np.array([0.0, 5.0, -3.0]), (18, 20, 14)


@pytest.fixture
def late(tmp_path):
    """Three videos whose grey tells the instant (10 levels per frame of the first view), and a trial of them."""
    paths = []
    for view, (by, length) in enumerate(zip(LATE.astype(int), LENGTHS, strict=True)):
        shown = greys((64, 48), (level(frame - by) for frame in range(length)))
        paths.append(write_frames(tmp_path / f"cam{view}.mp4", shown, 50.0))
    timing = timing_of(("a", "b", "c"), LENGTHS, LATE)
    found = SimpleNamespace(videos=paths, timing=timing, spine=SimpleNamespace(frames=timing.frames))
    found.video_frames = lambda view: SolvedTrial.video_frames(found, view)
    return found


def level(instant: int) -> int:
    return 70 + 10 * instant


def test_overlays_show_one_instant_in_all_views(late):
    frames = [late.video_frames(view) for view in range(3)]
    shown = [[image.mean() for image in images] for images in overlay_images((), late.videos, frames)]
    assert len(shown) == late.timing.frames == 12
    wanted = [level(late.timing.first + k) for k in range(12)]
    np.testing.assert_allclose(shown, np.repeat(np.array(wanted)[:, None], 3, 1), atol=4.5)


def test_sample_frames_of_the_page_show_the_same_instant(late):
    for view, path in enumerate(late.videos):
        images = page_images(open_video(path), (0, 7, 11), late.video_frames(view))
        assert list(images) == [0, 7, 11]
        for frame, image in images.items():
            assert image.mean() == pytest.approx(level(late.timing.first + frame), abs=4.5)
