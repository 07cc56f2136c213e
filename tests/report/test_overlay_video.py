"""Videos as written are read back; what cannot be written leaves nothing behind."""

import cv2
import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.io.video import open_video
from simspine.report.body_video import CODECS_BY_SUFFIX, video_writer


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
