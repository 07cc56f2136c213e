"""Videos as written are read back; what cannot be written leaves nothing behind."""

import cv2
import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.types import Camera
from simspine.io.video import open_video
from simspine.quality.findings import Status, Verdict
from simspine.report.body_video import CODECS_BY_SUFFIX, OVERLAY_TILE_PX, DrawnTrial, video_writer, write_overlay_video
from simspine.report.figure_style import VERMILLION, to_bgr
from simspine.report.overlay import PersonLayer


def grey(k, height=97, width=131):
    return np.full((height, width, 3), 20 * k, np.uint8)


@pytest.mark.parametrize("ending", CODECS_BY_SUFFIX)
def test_frames_rate_and_pictures_survive(tmp_path, ending):
    with video_writer(tmp_path / f"out{ending}", 25) as video:
        for k in range(10):
            video.add(grey(k))
    assert video.codec in CODECS_BY_SUFFIX[ending]
    assert video.codec != "mp4v"  # browsers play the others
    found = open_video(tmp_path / f"out{ending}")
    assert found.rate == pytest.approx(25)
    assert found.size == (130, 96)  # even
    means = [image.mean() for image in found]
    np.testing.assert_allclose(means, 20 * np.arange(10), atol=4)


def test_a_change_of_size_is_refused_and_nothing_stays(tmp_path):
    with video_writer(tmp_path / "kept.mp4", 25) as video:
        video.add(grey(1))
        with pytest.raises(InputError, match="ones before"):
            video.add(grey(1, 50))
    (tmp_path / "kept.mp4").unlink()
    with pytest.raises(RuntimeError), video_writer(tmp_path / "out.mp4", 25):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_no_frames_and_other_containers_are_refused(tmp_path):
    with pytest.raises(InputError, match="no frames"), video_writer(tmp_path / "out.mp4", 25):
        pass
    with pytest.raises(InputError, match=r"\.mp4"), video_writer(tmp_path / "out.mov", 25):
        pass
    assert list(tmp_path.iterdir()) == []


def test_without_any_encoder_the_error_names_them(tmp_path, monkeypatch):
    class Closed:
        def __init__(self, *_):
            pass

        def isOpened(self):  # noqa: N802
            return False

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoWriter", Closed)
    with pytest.raises(InputError, match="vp09"), video_writer(tmp_path / "out.mp4", 25) as video:
        video.add(grey(1))


def drawn_trial(cameras):
    """Three frames of somebody at the left edge of large images, the second of them rejected."""
    K = [[1000, 0, 800], [0, 1000, 600], [0, 0, 1]]
    rig = [Camera(f"cam{i}", (1600, 1200), K, np.zeros(5), np.eye(3), np.zeros(3)) for i in range(cameras)]
    layer = PersonLayer({"LElbow": (100, 500), "LWrist": (160, 800)}, {"LElbow": 0.2})
    status = (Status.KEPT, Status.REJECTED, Status.KEPT)
    verdict = Verdict(status, ((), ("curvature_speed",), ()), ())
    return DrawnTrial(rig, (), [np.arange(3)] * cameras, 25.0, lambda frame: [layer] * cameras, verdict=verdict)


@pytest.mark.parametrize("cameras", [1, 2])
def test_one_camera_is_in_full_size_and_several_show_the_person(tmp_path, cameras):
    drawn, done = drawn_trial(cameras), []
    boxes, signs = drawn.boxes_and_signs()
    assert signs == {"left", "detected", "unsure"}
    assert boxes[0][0] < 100
    assert boxes[0][2] < 800
    write_overlay_video(drawn, tmp_path / "out.avi", lambda frame, frames: done.append((frame, frames)))
    assert done == [(1, 3), (2, 3), (3, 3)]
    found = open_video(tmp_path / "out.avi")
    width, height = found.size
    assert height > (1200 if cameras == 1 else OVERLAY_TILE_PX)  # and the legend
    assert width == 1600 if cameras == 1 else OVERLAY_TILE_PX < width < 2 * OVERLAY_TILE_PX
    framed = [np.abs(image[200, 3].astype(int) - to_bgr(VERMILLION)).max() < 40 for image in found]
    assert framed == [False, True, False]
