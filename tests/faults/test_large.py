"""The measurement of large files finds frames that are others than they should be."""

import pytest
from tools.faults.large import read_numbered_video, write_numbered_video

FRAMES = 400


def test_a_numbered_video_is_read_forwards_and_backwards(tmp_path):
    path = tmp_path / "long.mp4"
    write_numbered_video(path, range(FRAMES))
    rows = read_numbered_video(path)
    assert [row[0] for row in rows[:-1]] == [f"video, to frame {number}" for number in (100, 200, 300, 400)]


def test_a_frame_that_is_another_is_found(tmp_path):
    path = tmp_path / "long.mp4"
    write_numbered_video(path, [*range(200), *range(201, FRAMES + 1)])
    with pytest.raises(AssertionError):
        read_numbered_video(path)
