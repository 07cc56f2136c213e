"""simspine detect of an image, a folder, a video or a webcam: what is written, and what is left when it fails."""

import json
import shutil
import signal

import cv2
import numpy as np
import pytest
from blob_network import blob_network
from command_line import call, failed, succeeded
from drawn_bodies import BODY, Bodies, image_of
from small_videos import write_frames

from simspine.core.settings import data_folder
from simspine.core.skeletons import load_skeleton
from simspine.io.image_streams import Webcam
from simspine.io.keypoint_json import read_people_json
from simspine.io.video import open_video
from simspine.vision import one_camera
from simspine.vision.detector import detect_videos
from simspine.vision.one_camera import FILE_POINT_NAMES, FILE_SPINE_INDICES, PeopleWatcher, WatchSettings
from simspine.vision.options import DetectionOptions
from simspine.vision.points import detector_of_options
from simspine.workflow import one_camera as detect_files


@pytest.fixture
def bodies(monkeypatch):
    monkeypatch.setattr(one_camera, "detector_of_options", lambda options: Bodies())
    Bodies.made = Bodies.forgot = 0


def detect(*arguments):
    return call("detect", *arguments)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), image_of((80, 120), (220, 130)))
    return path


@pytest.fixture
def video(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    images = [image_of((60 + 4 * i, 120), (260 - 4 * i, 130)) for i in range(24)]
    return write_frames(folder / "walk.avi", images, codec="FFV1")


def test_an_image_becomes_a_picture_and_points_that_read_back(photo, bodies, tmp_path):
    out = tmp_path / "out"
    said = succeeded(detect(photo, "-o", out / "drawn.png", "-s", out / "points.json", "--quiet"))
    assert "photo: 1 image, 2 people, by blazepose" in said
    assert files(out) == ["drawn.png", "points.json"]
    drawn, given = cv2.imread(str(out / "drawn.png")), cv2.imread(str(photo))
    assert drawn.shape[1] == given.shape[1]
    assert drawn.shape[0] > given.shape[0]
    content = json.loads((out / "points.json").read_text())
    assert [person["person_id"] for person in content["people"]] == [[1], [2]]
    assert content["image_size"] == [320, 240]
    assert "no places in space" in content["cameras"]
    points = np.reshape(content["people"][0]["pose_keypoints_2d"], (-1, 3))
    inferred = np.reshape(content["people"][0]["inferred_keypoints_2d"], (-1, 3))
    native = load_skeleton("spinetrack37").names
    assert content["point_names"] == list(native)
    for i, name in enumerate(native):
        if name in BODY:
            np.testing.assert_allclose(points[i], [80 + BODY[name][0], 120 + BODY[name][1], 0.9])
        else:
            assert not points[i].any()
    assert {i for i in range(37) if inferred[i].any()} == set(FILE_SPINE_INDICES)
    assert (inferred[list(FILE_SPINE_INDICES), 2] < 0.2).all()


def test_a_video_has_as_many_frames_as_before_and_people_keep_their_numbers(video, bodies, tmp_path):
    folder = tmp_path / "points"
    succeeded(detect(video, "--output", tmp_path / "drawn.webm", "--save-path", folder, "--nosmooth", "--quiet"))
    assert (open_video(tmp_path / "drawn.webm").frames, open_video(video).frames) == (24, 24)
    assert files(folder) == [f"frame_{i:05d}.json" for i in range(24)]
    names, people = read_people_json([folder])
    assert names == load_skeleton("spinetrack37").names
    assert people.shape == (24, 1, 2, 37, 3)
    hip = names.index("left_hip")
    np.testing.assert_allclose(people[:, 0, 0, hip, 0], 60 + 4 * np.arange(24) - 8)
    np.testing.assert_allclose(people[:, 0, 1, hip, 0], 260 - 4 * np.arange(24) - 8)
    assert np.isnan(people[:, 0, :, names.index("hip")]).all()  # inferred: not among the detected
    assert Bodies.made == 1


def test_smoothing_is_on_unless_switched_off(video, bodies, tmp_path):
    for name, options in (("smooth", ()), ("raw", ("--nosmooth",))):
        assert detect(video, "-s", tmp_path / name, "--quiet", *options).exit_code == 0
    smooth, raw = (read_people_json([tmp_path / name])[1] for name in ("smooth", "raw"))
    assert 0.05 < np.nanmax(np.abs(smooth - raw)) < 20
    assert json.loads((tmp_path / "smooth" / "frame_00003.json").read_text())["smoothed"] is True


def test_a_folder_of_images_is_separate_pictures_of_any_size(tmp_path, bodies):
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "b.png"), image_of((100, 110)))
    cv2.imwrite(str(folder / "c.png"), image_of((200, 200), size=(400, 300)))
    cv2.imwrite(str(folder / "d.png"), image_of())
    succeeded(detect(folder, "-o", tmp_path / "drawn", "-s", tmp_path / "points", "--quiet"))
    assert files(tmp_path / "drawn") == ["b.jpg", "c.jpg", "d.jpg"]
    contents = [json.loads((tmp_path / "points" / f"{name}.json").read_text()) for name in "bcd"]
    assert [[person["person_id"] for person in c["people"]] for c in contents] == [[[1]], [[1]], []]
    assert Bodies.made == 1
    assert Bodies.forgot >= 3  # before each picture


@pytest.mark.parametrize("written", ["folder", "picture", "points", "video"])
def test_what_is_there_already_is_not_replaced(tmp_path, bodies, photo, video, written):
    """Images of another camera may have the names that would be written: they were replaced, and lost."""
    for folder in ("cam1", "cam2"):
        (tmp_path / folder).mkdir()
        for name, place in (("a", (100, 110)), ("b", (200, 200))):
            cv2.imwrite(str(tmp_path / folder / f"{name}.jpg"), image_of(place))
    (tmp_path / "out.json").write_text("{}")
    shutil.copy(video, tmp_path / "other.mp4")
    arguments = {
        "folder": (tmp_path / "cam1", "-o", tmp_path / "cam2"),
        "picture": (tmp_path / "cam1" / "a.jpg", "-o", tmp_path / "cam2" / "b.jpg"),
        "points": (photo, "-s", tmp_path / "out.json"),
        "video": (video, "-o", tmp_path / "other.mp4"),
    }[written]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "exists already, and would be replaced. Name another one" in failed(detect(*arguments, "--quiet"))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_pictures_without_a_name_of_their_own_are_made_anew(tmp_path, bodies, monkeypatch):
    (tmp_path / "cam1").mkdir()
    cv2.imwrite(str(tmp_path / "cam1" / "a.jpg"), image_of((100, 110)))
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        succeeded(detect(tmp_path / "cam1", "--no-view", "--quiet"))
    assert files(tmp_path / "cam1_detected") == ["a.jpg"]


class Following(Bodies):
    """Sees people where they were in the image before, and where they are."""

    def __init__(self):
        super().__init__()
        self.before = np.empty((0, 17, 3))

    def detect(self, images, boxes=None):
        (found,) = super().detect(images)
        self.before, seen = found, np.concatenate([self.before, found])[: self.people]
        return [seen]

    def forget(self):
        self.before = np.empty((0, 17, 3))


def test_each_photograph_of_a_folder_is_seen_as_by_a_detector_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(one_camera, "detector_of_options", lambda options: Following())
    folder = tmp_path / "in"
    folder.mkdir()
    pictures = {"b": image_of((60, 110)), "c": image_of((200, 200), size=(400, 300)), "d": image_of((150, 120))}
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / f"{name}.png"), picture)
    assert detect(folder, "-s", tmp_path / "together", "--quiet").exit_code == 0
    for name in pictures:
        assert detect(folder / f"{name}.png", "-s", tmp_path / f"{name}.json", "--quiet").exit_code == 0
        alone, together = (
            json.loads(path.read_text())["people"]
            for path in (tmp_path / f"{name}.json", tmp_path / "together" / f"{name}.json")
        )
        assert len(alone) == 1
        assert together == alone


def test_spine_only(photo, bodies, tmp_path):
    out = tmp_path / "points.json"
    assert detect(photo, "-s", out, "--spine-only", "--quiet").exit_code == 0
    content = json.loads(out.read_text())
    native = load_skeleton("spinetrack37").names
    assert content["point_names"] == [native[i] for i in (19, 26, 27, 28, 29, 30, 18, 35, 36)]  # SpinePose's SPINE_IDS
    assert {len(person["pose_keypoints_2d"]) for person in content["people"]} == {27}
    assert all(any(person["inferred_keypoints_2d"]) for person in content["people"])
    other = tmp_path / "other.json"
    assert "sees no point of the spine" in failed(detect(photo, "-s", other, "--spine-only", "--no-infer", "--quiet"))
    assert not other.exists()


def test_without_names_the_picture_goes_to_the_working_folder(photo, bodies, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    succeeded(detect("-i", photo, "--no-view", "--quiet"))
    assert files(tmp_path / "here") == ["photo_detected.png"]
    assert Bodies.made == 1


def test_ctrl_c_ends_in_order_and_the_files_hold_what_was_seen(video, bodies, tmp_path, monkeypatch):
    real = detect_files.draw_with_world

    def draw(image, people, placer, spine_only, caption):
        if "#9 " in caption:
            signal.raise_signal(signal.SIGINT)
        return real(image, people, placer, spine_only, caption)

    monkeypatch.setattr(detect_files, "draw_with_world", draw)
    before = signal.getsignal(signal.SIGINT)
    done = detect(video, "-o", tmp_path / "drawn.webm", "-s", tmp_path / "points", "--quiet")
    assert done.exit_code == 130
    assert "stopped; the files hold" in done.output
    assert len(files(tmp_path / "points")) == open_video(tmp_path / "drawn.webm").frames == 10
    assert len(list(open_video(tmp_path / "drawn.webm"))) == 10
    assert signal.getsignal(signal.SIGINT) is before


class Fake:
    """A webcam without end, 25 frames/s as it says."""

    def __init__(self, number):
        self.number = number

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self.number == 0

    def get(self, what):
        return 25.0

    def read(self):
        return True, image_of((100, 110))

    def release(self):
        pass


def test_a_webcam_is_looked_at_for_so_many_frames(bodies, tmp_path, monkeypatch):
    monkeypatch.setattr("cv2.VideoCapture", Fake)
    succeeded(detect("0", "-s", tmp_path / "points", "--frames", 7, "--quiet"))
    assert len(files(tmp_path / "points")) == 7
    assert read_people_json([tmp_path / "points"])[1].shape == (7, 1, 1, 37, 3)
    assert "webcam 0 would be neither kept nor shown" in failed(detect("webcam", "--no-view", "--frames", 2))


@pytest.mark.parametrize(("chosen", "model"), [((), "heavy"), (("-m", "heavy"), "heavy"), (("-m", "full"), "full")])
def test_the_network_of_blazepose_is_an_option(chosen, model, photo, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(one_camera, "detector_of_options", lambda options: made.append(options.network) or Bodies())
    assert detect(photo, "-s", tmp_path / "points.json", *chosen).exit_code == 0
    assert made == [model]
    assert json.loads((tmp_path / "points.json").read_text())["model"] == model


@pytest.mark.parametrize(("chosen", "model"), [(None, "full"), ("heavy", "heavy")])
def test_before_a_webcam_blazepose_takes_its_faster_network_unless_one_is_chosen(chosen, model):
    assert one_camera.options_for_camera(DetectionOptions(model=chosen), Webcam(0, 30.0)).network == model


def test_a_webcam_is_shown_until_q_is_pressed(bodies, monkeypatch):
    shown, keys = [], iter([255, 255, ord("q")])
    monkeypatch.setattr("cv2.VideoCapture", Fake)
    for name, does in {
        "namedWindow": lambda name, flags: None,
        "destroyWindow": lambda name: shown.append(name),
        "imshow": lambda name, picture: shown.append(picture.shape[1]),
        "waitKey": lambda ms: next(keys),
        "getWindowProperty": lambda name, what: 1.0,
    }.items():
        monkeypatch.setattr(cv2, name, does)
    said = succeeded(detect("0"))
    assert shown == [320, 320, 320, "webcam0"]
    assert "webcam0: 3 images, 1 person" in said


def test_where_no_window_can_be_opened_it_says_what_to_do(bodies, tmp_path, monkeypatch):
    def refuse(name, flags):
        raise cv2.error("not implemented")

    monkeypatch.setattr("cv2.VideoCapture", Fake)
    monkeypatch.setattr(cv2, "namedWindow", refuse)
    assert "no window can be opened" in failed(detect("0", "--view", "-s", tmp_path / "points"))
    assert files(tmp_path) == []


def failing(photo, video, tmp_path):
    """Command lines that cannot work, and what they are to say."""
    broken = tmp_path / "broken"
    broken.mkdir()
    cv2.imwrite(str(broken / "a.png"), image_of((100, 110)))
    (broken / "b.png").write_bytes(b"no image")
    (tmp_path / "cut.avi").write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    (tmp_path / "net.onnx").write_bytes(b"no network")
    (tmp_path / "note.mp4").write_text("no video")
    coco = blob_network(tmp_path / "coco.onnx", points=17)
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.json").write_text("{}")
    out = ("-o", tmp_path / "out.webm", "-s", tmp_path / "out")
    return {
        "folder": ((broken, "-o", tmp_path / "out", "-s", tmp_path / "out2"), "b.png cannot be read"),
        "cut": ((tmp_path / "cut.avi", *out), "cut.avi"),
        "other detector": ((photo, "--detector", "yolo"), "detector"),
        "import": ((photo, "--detector", "import", "--no-view"), "unknown detector for images 'import'"),
        "no network": ((photo, "-m", tmp_path / "net.onnx", "--no-view"), "net.onnx cannot be opened as an ONNX"),
        "no id": ((photo, "-m", "gigantic", "--no-view"), "gigantic"),
        "device": ((photo, "--device", "cuda", "--no-view"), "blazepose runs on the processor only"),
        "network of limbs": (
            (photo, "-m", coco, "--spine-only", "--no-infer", "-s", tmp_path / "out.json"),
            "of 17 points, sees no point of the spine",
        ),
        "text": ((tmp_path / "note.mp4", *out), "note.mp4 cannot be opened as a video: it is a text file"),
        "blazepose's": ((photo, "--detector", "blazepose", "-m", "small"), "unknown model of blazepose 'small'"),
        "its versions": ((photo, "-m", "full", "--model-version", "v1"), "--model-version is of SpinePose's networks"),
        "version": ((photo, "-m", "small", "--model-version", "v1", "--no-view"), "v1/small"),
        "ending": ((photo, "-o", tmp_path / "out.webm"), "the ending for the picture of an image is .png"),
        "points": ((photo, "-s", tmp_path / "out"), "is .json"),
        "video": ((video, "-o", tmp_path / "out.png"), "is .mp4 or .webm"),
        "folder of points": ((video, "-s", tmp_path / "out.png"), "name a folder"),
        "itself": ((photo, "-o", photo), "it would replace what is looked at"),
        "others' folder": ((video, "-s", own), "exists already, and would be replaced"),
        "both": ((photo, "-i", photo), "mean the same"),
        "stage's": ((photo, "--subject", "S1"), "--subject is for the stage"),
        "ours": (("--nosmooth",), "--nosmooth is for INPUT"),
        "config": ((photo, "--config", tmp_path / "none.yaml"), "none.yaml"),
    }  # fmt: skip


CASES = (
    "folder", "cut", "other detector", "import", "no network", "no id", "device", "network of limbs", "text",
    "blazepose's", "its versions", "version", "ending", "points", "video", "folder of points", "itself",
    "others' folder", "both", "stage's", "ours", "config",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_work_says_so_and_leaves_nothing(case, photo, video, tmp_path, monkeypatch):
    arguments, message = failing(photo, video, tmp_path)[case]
    if case not in ("no network", "no id", "version", "import", "network of limbs"):
        monkeypatch.setattr(one_camera, "detector_of_options", lambda options: Bodies())
    monkeypatch.setattr("simspine.vision.spinepose.find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    said = failed(detect(*arguments))
    assert message in said
    assert "Traceback" not in said
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == {
        path: time for path, time in before.items() if path.is_file()
    }
    assert set(files(tmp_path)) == {str(path.relative_to(tmp_path)) for path in before}


def test_coordinates_are_those_of_the_workflows_detector(tmp_path):
    """On a packaged video with two people, with BlazePose itself."""
    video = open_video(data_folder("third_party") / "pose2sim" / "Demo_MultiPerson" / "videos" / "cam02.mp4")
    options = DetectionOptions()
    expected = detect_videos([video], lambda: detector_of_options(options), frames=4)
    watcher = PeopleWatcher(WatchSettings(options, smooth=False))
    table = load_skeleton("blazepose33")
    for frame, image in enumerate(video.at(range(4))):
        seen = watcher.watch_image(image, frame / video.rate)
        assert len(seen) == 2
        for person in seen:
            theirs = min(expected.people[frame, 0, :2], key=lambda points: abs(points[23, 0] - person.points[11, 0]))
            for i, name in enumerate(FILE_POINT_NAMES):
                column = table.from_simspine(name)
                if column is not None:
                    np.testing.assert_allclose(person.points[i], theirs[column, :2], atol=1e-3)
                    assert person.scores[i] == pytest.approx(theirs[column, 2], abs=1e-6)
            assert {i for i in range(37) if person.inferred[i]} == set(FILE_SPINE_INDICES)
    watcher.close()
    assert not watcher.sees_spine
