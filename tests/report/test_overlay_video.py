"""Videos as written are read back; what cannot be written leaves nothing behind."""

import stat
import sys

import cv2
import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.io.video import open_video
from simspine.report import body_video
from simspine.report.body_video import CODECS_BY_SUFFIX, video_writer

# Stands in for the program: says what it can write, keeps what it was told and given, or fails.
FFMPEG = """#!{python}
import sys
if "-encoders" in sys.argv:
    print(" V....D libx264  H.264")
elif "{fails}":
    sys.stderr.write("no room\\n")
    sys.exit(1)
else:
    with open(sys.argv[-1], "wb") as file:
        file.write((" ".join(sys.argv) + "\\n").encode() + sys.stdin.buffer.read())
"""


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """Install a stand-in for ffmpeg; returns the folder for videos."""

    def install(fails=""):
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "ffmpeg"
        program.write_text(FFMPEG.format(python=sys.executable, fails=fails))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(folder))
        body_video.h264_program.cache_clear()

    yield install
    body_video.h264_program.cache_clear()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a shebang line")
def test_ffmpeg_is_given_size_rate_and_every_pixel(ffmpeg, tmp_path):
    ffmpeg()
    images = [np.random.default_rng(k).integers(0, 255, (8, 12, 3), np.uint8) for k in range(3)]
    with video_writer(tmp_path / "out.mp4", 12.5) as video:
        for image in images:
            video.add(image)
    assert video.codec == "avc1"
    told, given = (tmp_path / "out.mp4").read_bytes().split(b"\n", 1)
    assert b"-pix_fmt bgr24 -s 12x8 -r 12.500000" in told
    assert given == b"".join(image.tobytes() for image in images)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a shebang line")
def test_ffmpeg_that_fails_says_why_and_leaves_nothing(ffmpeg, tmp_path):
    ffmpeg(fails="yes")

    def write():
        with video_writer(tmp_path / "out.mp4", 25) as video:
            for _ in range(40):
                video.add(grey(1, 480, 640))

    with pytest.raises(InputError, match="no room"):
        write()
    assert not list(tmp_path.glob("*out*"))


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
    monkeypatch.setattr(body_video, "h264_program", lambda: None)
    with pytest.raises(InputError, match="vp09"), video_writer(tmp_path / "out.mp4", 25) as video:
        video.add(grey(1))
