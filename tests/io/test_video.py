import struct
import tracemalloc

import cv2
import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.io.video import Video, check_synchronised, open_video, open_videos

WIDTH, HEIGHT = 96, 64


def write_video(path, frames=12, rate=50.0, size=(WIDTH, HEIGHT), noise=False):
    """A grey ramp over time (frame k has level 10 + 8 k), so that frames can be told apart after compression."""
    code = cv2.VideoWriter_fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), code, rate, size)
    rng = np.random.default_rng(0)
    for k in range(frames):
        image = np.full((size[1], size[0], 3), 10 + 8 * k % 240, np.uint8)
        writer.write(rng.integers(0, 255, image.shape, np.uint8) if noise else image)
    writer.release()
    return path


def test_metadata_and_frames_in_order(tmp_path):
    video = open_video(write_video(tmp_path / "cam01.mp4", frames=12, rate=50))
    assert (video.size, video.frames, video.name) == ((WIDTH, HEIGHT), 12, "cam01")
    assert video.rate == pytest.approx(50)
    levels = [image.mean() for image in video]
    assert levels[0] == pytest.approx(10, abs=4)  # studio-range grey
    assert np.diff(levels) == pytest.approx(8, abs=2)
    assert len(levels) == 12
    assert len(list(video)) == 12  # a video can be read again


def test_rotation_is_applied(tmp_path):
    path = write_video(tmp_path / "phone.mp4")
    data = bytearray(path.read_bytes())
    start = data.find(b"tkhd") + 4 + 40  # the track header's 3×3 matrix (ISO 14496-12, version 0)
    assert struct.unpack(">9i", data[start : start + 36]) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    data[start : start + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, HEIGHT << 16, 0, 1 << 30)
    path.write_bytes(data)
    video = open_video(path)
    assert video.size == (HEIGHT, WIDTH)
    assert next(iter(video)).shape == (WIDTH, HEIGHT, 3)


def test_images_at_frames_asked_for(tmp_path):
    video = open_video(write_video(tmp_path / "cam01.mp4", frames=12))
    levels = [image.mean() for image in video.shown_at([2, 3, 3, 7, 11, 12, 13])]
    assert levels == pytest.approx([10 + 8 * k for k in (2, 3, 3, 7, 11)], abs=5)  # the video ends before the last two


def test_decoding_that_stops_early_names_both_numbers(tmp_path):
    path = write_video(tmp_path / "cut.avi", frames=30, noise=True)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    video = open_video(path)
    assert video.frames == 30
    seen = []
    with pytest.raises(InputError, match=r"cut\.avi announces 30 frames, but only (\d+)") as fault:
        seen.extend(image.shape for image in video)
    assert f"only {len(seen)} " in str(fault.value)
    assert 5 < len(seen) < 25


def test_unreadable_files_name_themselves(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    truncated = write_video(tmp_path / "truncated.mp4", noise=True)
    truncated.write_bytes(truncated.read_bytes()[:5000])  # the index at the end is gone
    good = write_video(tmp_path / "good.mp4")
    with pytest.raises(InputError) as fault:
        open_videos([tmp_path / "text.mp4", good, truncated, tmp_path / "absent.mp4"])
    message = str(fault.value)
    assert "text.mp4 cannot be opened" in message
    assert "truncated.mp4 cannot be opened" in message
    assert "absent.mp4 does not exist" in message
    assert "good.mp4" not in message


def test_a_video_without_frames(tmp_path):
    path = tmp_path / "empty.avi"
    cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 50, (WIDTH, HEIGHT)).release()
    with pytest.raises(InputError, match=r"empty\.avi"):
        open_video(path)


def test_reading_holds_one_frame_at_a_time(tmp_path):
    """Python-side memory of a long video stays below a few frames (NumPy reports its buffers to tracemalloc)."""
    size = (320, 240)
    video = open_video(write_video(tmp_path / "long.avi", frames=120, size=size))
    one = size[0] * size[1] * 3
    tracemalloc.start()
    try:
        for _ in video:
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert one <= peak < 4 * one


def test_a_clock_taken_for_a_frame_rate_is_refused(tmp_path):
    """Some recorders state the ticks of their clock, thousands a second."""
    with pytest.raises(InputError, match=r"fast\.mp4 does not state a frame rate that a camera has \(found 20000"):
        open_video(write_video(tmp_path / "fast.mp4", rate=20_000))


def _video(name, frames=100, rate=60.0, size=(1080, 1920)):
    from pathlib import Path

    return Video(Path(name), size, rate, frames)


def test_rates_may_differ_by_a_thousandth_and_lengths_where_that_is_known():
    """59.94 beside 59.9401 frames/s is a header's last digit; one in a thousand is a frame in 17 s."""
    check_synchronised([_video("a.mp4", rate=59.94), _video("b.mp4", rate=59.9401)])
    check_synchronised([_video("a.mp4", rate=60.0), _video("b.mp4", rate=60.059)])
    with pytest.raises(InputError, match=r"frame rates differ \(60 to 60\.061 frames/s\)"):
        check_synchronised([_video("a.mp4", rate=60.0), _video("b.mp4", rate=60.061)])
    check_synchronised([_video("a.mp4"), _video("b.mp4", frames=97)], lengths_agree=False)
    with pytest.raises(InputError, match="lengths differ"):
        check_synchronised([_video("a.mp4"), _video("b.mp4", frames=97)])


def test_all_faults_of_synchronisation_in_one_message():
    videos = [_video("cam1.mp4"), _video("cam2.mp4", frames=97), _video("cam3.mp4", rate=50)]
    with pytest.raises(InputError) as fault:
        check_synchronised(videos)
    message = str(fault.value)
    assert "lengths differ (97 to 100 frames) and their frame rates differ (50 to 60" in message
    for row in ("cam1.mp4     100    60.000  1080×1920", "cam2.mp4      97", "cam3.mp4     100    50.000"):
        assert row in message
    assert "`delays: find`" in message
    assert "ffmpeg -r" in message
    with pytest.raises(InputError, match="no videos"):
        check_synchronised([])
