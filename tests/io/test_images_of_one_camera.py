import cv2
import numpy as np
import pytest
from small_videos import write_video

from simspine.core.errors import InputError
from simspine.io.image_streams import Photographs, camera_images, open_camera, read_image
from simspine.io.video import Video


def write_image(path, value=80, size=(40, 30)):
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), value, np.uint8))
    return path


def test_an_image_a_folder_of_any_sizes_and_a_video(tmp_path):
    image = write_image(tmp_path / "a10.png", 10)
    write_image(tmp_path / "a9.png", 9, (50, 60))
    (tmp_path / "notes.txt").write_text("no image")
    single, folder = open_camera(str(image)), open_camera(str(tmp_path))
    assert [type(camera) for camera in (single, folder)] == [Photographs, Photographs]
    assert [shot.name for shot in single] == ["a10"]
    shots = list(folder)
    assert [(shot.name, int(shot.image[0, 0, 0]), shot.image.shape) for shot in shots] == [
        ("a9", 9, (60, 50, 3)),
        ("a10", 10, (30, 40, 3)),
    ]
    video = open_camera(str(write_video(tmp_path / "v.mp4", frames=12, rate=25.0)))
    assert isinstance(video, Video)
    assert (video.frames, video.rate) == (12, 25.0)
    shots = list(camera_images(video))
    assert [shot.name for shot in shots][:2] == ["frame_00000", "frame_00001"]
    assert [shot.time for shot in shots] == pytest.approx(np.arange(12) / 25)


@pytest.mark.parametrize("source", ["97", "webcam"])
def test_no_such_webcam(source, monkeypatch, capfd):
    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: real(number if number else 98))
    with pytest.raises(InputError, match=r"there is no webcam (97|0)\b"):
        open_camera(source)
    assert capfd.readouterr().err == ""


class PluggedOut:
    """A webcam that gives three images and falls silent."""

    def __init__(self, number):
        self.left = 3

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return True

    def get(self, what):
        return 0.0

    def read(self):
        self.left -= 1
        return (True, np.zeros((4, 4, 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self):
        pass


def test_a_webcam_tells_time_and_when_it_falls_silent(monkeypatch):
    monkeypatch.setattr("cv2.VideoCapture", PluggedOut)
    camera = open_camera("3")
    assert (camera.name, camera.frames, camera.rate) == ("webcam3", None, 30.0)
    shots = iter(camera)
    times = [next(shots).time for _ in range(3)]
    assert times == sorted(times)
    with pytest.raises(InputError, match="webcam 3 gives no images any more"):
        next(shots)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere.jpg", None, "does not exist. Name an image, a folder of images, a video, or a webcam"),
        ("broken.jpg", b"\xff\xd8\xff\xe0 no more", "cannot be read: it is empty, damaged"),
        ("text.txt", b"hello", "cannot be opened as a video"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_camera(str(path))
    assert str(path) in str(caught.value)


def test_names_must_differ_without_their_endings(tmp_path):
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="several images called a, with different endings; rename"):
        open_camera(str(tmp_path))


def test_a_jpeg_that_breaks_off_is_refused(tmp_path):
    """Decoders fill up with grey what is missing."""
    path = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    assert read_image(path).shape == (60, 80, 3)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"a\.jpg cannot be read"):
        read_image(path)
