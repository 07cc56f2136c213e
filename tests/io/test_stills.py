"""Photographs in the order that people number them; what does not belong together is refused."""

import cv2
import numpy as np
import pytest
from small_videos import greys, write_frames

from simspine.core.errors import InputError
from simspine.io.image_streams import open_recording, read_image
from simspine.io.video import open_video


def write(path, value, size=(40, 30)):
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), value, np.uint8))


def test_images_come_in_natural_order(tmp_path):
    for number in (10, 2, 1):
        write(tmp_path / f"view_{number}.png", number)
    (tmp_path / "notes.txt").write_text("nothing")
    recording = open_recording(tmp_path)
    assert (recording.name, recording.frames, recording.size) == (tmp_path.name, 3, (40, 30))
    assert [int(image[0, 0, 0]) for image in recording.at([0, 1, 2])] == [1, 2, 10]
    assert [int(image[0, 0, 0]) for image in recording.at([2])] == [10]


def test_one_image_is_a_recording_of_one_frame(tmp_path):
    write(tmp_path / "cam1.JPG", 7)
    recording = open_recording(tmp_path / "cam1.JPG")
    assert (recording.name, recording.frames) == ("cam1", 1)


def test_images_of_several_sizes(tmp_path):
    write(tmp_path / "a.png", 0)
    write(tmp_path / "b.png", 0, (30, 40))
    with pytest.raises(InputError, match=r"have several sizes: 40×30 \(a.png\), 30×40 \(b.png\)"):
        open_recording(tmp_path)


def test_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match="no images in the folder"):
        open_recording(tmp_path)
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"x.png cannot be read"):
        open_recording(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        open_recording(tmp_path / "none.mp4")


def test_some_frames_of_a_video_are_those_of_all(tmp_path):
    video = open_video(write_frames(tmp_path / "v.avi", greys((64, 48), range(0, 180, 20)), codec="MJPG"))
    everything = list(video)
    for row, image in zip([0, 3, 4, 8], video.at([0, 3, 4, 8]), strict=True):
        np.testing.assert_array_equal(image, everything[row])
    with pytest.raises(InputError, match=r"frame 9 of 9 cannot be decoded"):
        list(video.at([9]))


@pytest.mark.filterwarnings("ignore")  # of Pillow, at sizes below those that it refuses
def test_an_image_that_announces_more_than_it_can_hold_is_refused(tmp_path):
    """A JPEG of some hundred bytes whose header says 30000 x 30000: OpenCV would take 2.7 GB for it, and more."""
    small = tmp_path / "a.jpg"
    cv2.imwrite(str(small), np.zeros((24, 32, 3), np.uint8))
    content = bytearray(small.read_bytes())
    start = content.find(b"\xff\xc0") + 5
    content[start : start + 4] = (9000).to_bytes(2, "big") + (15000).to_bytes(2, "big")
    small.write_bytes(content)
    with pytest.raises(InputError, match="announces 405 MB"):
        read_image(small)
    content[start : start + 4] = 2 * (30000).to_bytes(2, "big")
    small.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jpg cannot be read"):
        read_image(small)
