from dataclasses import asdict

import numpy as np
import pytest
from restamped import restamp, time_scale
from small_videos import greys, write_frames

from simspine.core.errors import InputError
from simspine.core.types import Camera, Keypoints
from simspine.io.hdf5 import read_store, write_store
from simspine.io.video import open_videos
from simspine.reconstruction.detection import Delays, follow_in_step
from simspine.vision.detector import Detector, detect_videos
from simspine.workflow.inputs import timing_in

LEVELS = (20, 90, 160)  # grey of each view; frames grow brighter


class Brightness:
    """Stands in for a detector: 'finds' as many people as asked for, at (mean level, number of calls)."""

    skeleton = "coco17"
    people = 2

    def __init__(self, log):
        self.log, self.calls = log, 0

    def detect(self, images, boxes=None):
        out = []
        for view, image in enumerate(images):
            person = np.tile([image.mean(), self.calls, 0.5], (17, 1))
            out.append(np.stack([person] * (view % 3)) if view % 3 else np.empty((0, 17, 3)))
        self.calls += 1
        return out

    def forget(self):
        pass

    def close(self):
        self.log.append(self.calls)


def _videos(folder, frames=(8, 8, 8), noise=False):
    rng = np.random.default_rng(0)
    for view, (level, count) in enumerate(zip(LEVELS, frames, strict=True)):
        images = greys((64, 48), range(level, level + 5 * count, 5))
        images = [rng.integers(0, 255, image.shape, np.uint8) if noise else image for image in images]
        write_frames(folder / f"cam{view}.avi", images, 50, "MJPG")
    return sorted(folder.glob("*.avi"))


def test_views_in_lockstep_padded_and_reported(tmp_path):
    log, progress = [], []
    found = detect_videos(
        open_videos(_videos(tmp_path)),
        lambda: Brightness(log),
        progress=lambda done, total: progress.append((done, total)),
    )
    assert isinstance(Brightness(log), Detector)
    assert found.people.shape == (8, 3, 2, 17, 3)
    assert found.rate == pytest.approx(50)
    assert found.names[5] == "left_shoulder"
    assert np.isnan(found.people[:, 0]).all()  # nobody
    assert np.isfinite(found.people[:, 1, 0]).all()  # one person
    assert np.isnan(found.people[:, 1, 1]).all()
    assert np.isfinite(found.people[:, 2]).all()  # two
    np.testing.assert_allclose(found.people[:, 2, 0, 0, 0], LEVELS[2] + 5 * np.arange(8), atol=4)
    np.testing.assert_array_equal(found.people[:, 1, 0, 0, 1], np.arange(8))
    assert progress == [(k, 8) for k in range(1, 9)]
    assert log == [8]  # closed, once


def test_what_the_detector_does_not_see_is_said_beside_the_points(tmp_path):
    class Guessing(Brightness):
        estimated = ("nose", "left_eye")

    videos = open_videos(_videos(tmp_path))
    found = detect_videos(videos, lambda: Guessing([]))
    assert found.estimated == ("nose", "left_eye")
    assert found.skeleton == "coco17"
    assert detect_videos(videos, lambda: Brightness([])).estimated == ()


def test_bad_videos_stop_before_a_network_is_loaded(tmp_path):
    videos = open_videos(_videos(tmp_path, frames=(8, 8, 7)))

    def never():
        raise AssertionError("made")

    with pytest.raises(InputError, match="lengths differ"):
        detect_videos(videos, never)


def test_a_video_that_breaks_off_is_refused_before_detection(tmp_path):
    paths = _videos(tmp_path, frames=(20, 20, 20), noise=True)
    data = paths[1].read_bytes()
    paths[1].write_bytes(data[: len(data) // 2])

    def never():
        raise AssertionError("made")

    with pytest.raises(InputError, match=r"cam1\.avi is damaged: it announces 20 frames"):
        detect_videos(open_videos(paths), never)


def test_a_detector_that_breaks_its_promise_is_named_and_closed(tmp_path):
    class Wrong(Brightness):
        skeleton = "halpe26"

    log = []
    with pytest.raises(InputError, match=r"\(0, 17, 3\), expected \(people, 26, 3\)"):
        detect_videos(open_videos(_videos(tmp_path)), lambda: Wrong(log))
    assert len(log) == 1


def test_known_boxes_reach_the_detector(tmp_path):
    """One per view and frame; unknown ones are left to the detector, the last ones hold to the end."""
    told = []

    class Listening(Brightness):
        def detect(self, images, boxes=None):
            told.append(boxes)
            return super().detect(images)

    _videos(tmp_path)
    boxes = np.arange(6 * 3 * 4.0).reshape(6, 3, 4)
    boxes[2, 1] = np.nan
    detect_videos(open_videos(sorted(tmp_path.glob("*.avi"))), lambda: Listening([]), boxes=boxes)
    assert len(told) == 8
    assert told[2][1] is None
    for frame, given in enumerate(told):
        for view in {0, 1, 2} - ({1} if frame == 2 else set()):
            assert np.array_equal(given[view], boxes[min(frame, 5), view][None])


def _ramp_by_time(path, times, rate):
    """Frames whose grey is 20 + 100 per second, shown at `times` (s)."""
    write_frames(path, greys((64, 48), (round(20 + 100 * time) for time in times)), rate)
    ticks = np.round(np.diff(np.r_[times, times[-1] + 1 / rate]) * time_scale(path)).astype(int)
    restamp(path, ticks.tolist())


class Everywhere(Brightness):
    """The grey of an image as the place of every point."""

    def detect(self, images, boxes=None):
        return [np.tile([image.mean(), 0, 0.5], (1, 17, 1)) for image in images]


def _alone(one):
    xyc = one.people[:, :, 0]
    return [Keypoints(one.names, one.rate, xyc[..., :2], np.nan_to_num(xyc[..., 2]))]


def test_videos_of_nearly_one_rate_keep_in_step_by_their_drift(tmp_path):
    """Both views show the same grey at the same instant: at 25 and at 24.9 frames/s."""
    _ramp_by_time(tmp_path / "a.mp4", np.arange(55) / 25, 25)
    _ramp_by_time(tmp_path / "b.mp4", np.arange(55) / 24.9, 24.9)
    videos = open_videos(sorted(tmp_path.glob("*.mp4")))
    seen = detect_videos(videos, lambda: Everywhere([]), together=False)
    cameras = [Camera(name, (64, 48), np.eye(3), np.zeros(5), np.eye(3), np.zeros(3)) for name in "ab"]
    (found,), timing = follow_in_step(seen, cameras, Delays([0.0, 0.0]), _alone)
    assert found.rate == 25.0
    np.testing.assert_allclose(timing.drift, [0, 1000 * (24.9 / 25 - 1)], rtol=1e-3)
    np.testing.assert_allclose(timing.frame_positions()[:, 1], np.arange(found.frames) * 24.9 / 25, atol=1e-3)
    np.testing.assert_allclose(found.xy[:, 0], found.xy[:, 1], atol=2.5)


@pytest.mark.parametrize(("delays", "late"), [(None, 0.0), (Delays([0.0, 2.5]), 2.5)])
def test_uneven_videos_are_resampled_when_asked(tmp_path, delays, late):
    """Both views show the same grey at the same instant: one at 25 frames/s with frames dropped, one at 20."""
    even = np.arange(50) / 25
    _ramp_by_time(tmp_path / "a.mp4", np.delete(even, [7, 8, 21, 30]), 25)
    _ramp_by_time(tmp_path / "b.mp4", np.arange(40) / 20, 20)
    videos = open_videos(sorted(tmp_path.glob("*.mp4")))
    with pytest.raises(InputError, match="uneven frame rate"):
        detect_videos(videos, lambda: Brightness([]))

    seen = detect_videos(videos, lambda: Everywhere([]), resample=25.0)
    cameras = [Camera(name, (64, 48), np.eye(3), np.zeros(5), np.eye(3), np.zeros(3)) for name in "ab"]

    (found,), timing = follow_in_step(seen, cameras, delays, _alone)
    assert (seen.rate, found.rate) == (25.0, 25.0)
    grey = found.xy[:, :, 0, 0] - found.xy[0, :, 0, 0]
    instants = 100 * np.arange(found.frames)[:, None] / 25
    gap = np.isnan(grey[:, 0])
    assert gap.sum() == 2  # two frames dropped in a row leave 0.12 s, which is not bridged
    assert found.frames >= 44
    np.testing.assert_allclose(grey[~gap, 0], instants[~gap, 0], atol=2.5)
    np.testing.assert_allclose(grey[:45, 1], instants[:45, 0], atol=2.5)
    assert timing.first == 0
    write_store(tmp_path / "kept.h5", timing=asdict(timing))
    kept = timing_in(read_store(tmp_path / "kept.h5"))
    np.testing.assert_array_equal(kept.frame_positions(), timing.frame_positions())
    assert kept.views == timing.views
    expected = (np.arange(found.frames) + late) * 20 / 25
    np.testing.assert_allclose(timing.nearest_frames(1), expected, atol=0.51)
    assert (np.diff(timing.nearest_frames(0)) >= 0).all()
