"""The library's calls for images of one camera, and SpinePose's calling convention."""

import json
from importlib.util import find_spec
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from blob_network import blob_network
from command_line import call, succeeded
from drawn_bodies import BODY, Bodies, image_of
from small_videos import write_frames

import simspine as ss
from simspine.core.skeletons import load_skeleton
from simspine.io.video import open_video
from simspine.report.overlay import draw_with_world
from simspine.vision import one_camera
from simspine.vision.lifting import LEVEL_CAMERA, FramedPose, PlacedPose
from simspine.vision.person_frame import PersonFrame

SPINE = [19, 26, 27, 28, 29, 30, 18, 35, 36]  # SpinePose's SPINE_IDS
LEFT_HIP = load_skeleton("spinetrack37").names.index("left_hip")


@pytest.fixture
def bodies(monkeypatch):
    monkeypatch.setattr(one_camera, "detector_of_options", lambda options: Bodies())
    Bodies.made = Bodies.forgot = 0


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), image_of((80, 120), (220, 130)))
    return path


@pytest.fixture
def video(tmp_path):
    return write_frames(tmp_path / "walk.avi", [image_of((60 + 4 * i, 120)) for i in range(6)], codec="FFV1")


def test_people_in_an_image_or_its_file(photo, bodies):
    for image in (photo, str(photo), cv2.imread(str(photo))):
        first, second = ss.detect_image(image)
        assert (first.number, second.number) == (1, 2)
        np.testing.assert_allclose(first.points[LEFT_HIP], [80 + BODY["left_hip"][0], 120])
        assert first.scores[LEFT_HIP] == pytest.approx(0.9)
        assert first.names[LEFT_HIP] == "LHip"
        assert np.flatnonzero(first.inferred).tolist() == sorted(SPINE)
        np.testing.assert_allclose(first.spine[[0, -1]], first.points[[19, 36]])  # from S1 to C1
        assert len(first.spine) > 50
    seen = ss.detect_image(photo, infer_spine=False)[0]
    assert not seen.inferred.any()
    assert seen.spine.shape == (0, 2)


def test_people_in_a_video_keep_their_numbers(video, bodies):
    frames = list(ss.detect_video(video, smooth=False))
    assert [(frame.number, frame.time) for frame in frames] == [(i, i / 25) for i in range(6)]
    hips = [frame.people[0].points[LEFT_HIP, 0] for frame in frames]
    np.testing.assert_allclose(np.diff(hips), 4)
    assert frames[0].image.shape == (240, 320, 3)
    assert {person.number for frame in frames for person in frame.people} == {1}
    smooth = [frame.people[0].points[LEFT_HIP, 0] for frame in ss.detect_video(video)]
    assert 0 < np.abs(np.subtract(smooth, hips)).max() < 20


def test_what_is_drawn(photo, bodies):
    image = cv2.imread(str(photo))
    people = ss.detect_image(image)
    whole, spine = ss.draw(image, people), ss.draw(image, people, spine_only=True)
    assert whole.shape == image.shape
    np.testing.assert_array_equal(image, cv2.imread(str(photo)))
    changed = [np.abs(picture.astype(int) - image).max(-1) > 25 for picture in (whole, spine)]
    assert changed[0].sum() > changed[1].sum() > 50
    np.testing.assert_array_equal(ss.draw(image, ()), image)


def test_a_program_for_spinepose_runs(photo, bodies):
    """The example of SpinePose's README, with the offline detector."""
    image = cv2.imread(str(photo))
    estimator = ss.SpinePoseEstimator("blazepose")
    keypoints, scores = estimator(image)
    assert (keypoints.shape, scores.shape) == ((2, 37, 2), (2, 37))
    assert np.isfinite(keypoints).all()
    assert (keypoints[scores == 0] == 0).all()
    assert estimator.SPINE_IDS == SPINE
    drawn = estimator.visualize(image, keypoints, scores)
    np.testing.assert_array_equal(drawn, ss.draw(image, ss.detect_image(image)))  # inferred points are drawn as such
    others = estimator.visualize(image, keypoints + 5, scores)
    assert (others != drawn).any()
    assert estimator(np.full_like(image, 60))[0].shape == (0, 37, 2)
    assert Bodies.made == 2  # its own, and that of detect_image
    estimator.close()


def test_boxes_of_people_go_to_the_network(tmp_path):
    """A network of SpinePose's kind: the brightest column and row inside the box that was given."""
    image = np.zeros((400, 400, 3), np.uint8)
    image[100:104, 120:124] = 255
    estimator = ss.SpinePoseEstimator(mode=blob_network(tmp_path / "net.onnx"))
    keypoints, scores = estimator(image, np.array([[60.0, 20, 220, 260]]))
    assert (scores > 0).all()
    np.testing.assert_allclose(keypoints[0], np.tile([122.0, 102], (37, 1)), atol=3)
    estimator.close()


@pytest.mark.skipif(find_spec("spinepose") is not None, reason="SpinePose is installed")
def test_without_spineposes_weights_a_warning_names_what_is_used(photo, bodies):
    with pytest.warns(UserWarning, match=r"simspine\[spinepose\].*BlazePose is used; its spine is inferred"):
        estimator = ss.SpinePoseEstimator()
    assert estimator(cv2.imread(str(photo)))[0].shape == (2, 37, 2)
    with pytest.warns(UserWarning, match="BlazePose is used"):
        assert ss.infer_image(photo).shape == (2, 37, 3)


def test_files_in_arrays_and_pictures_out(photo, video, bodies, tmp_path):
    rows = ss.infer_image(photo, "blazepose", vis_path=tmp_path / "drawn.png")
    assert rows.shape == (2, 37, 3)
    assert cv2.imread(str(tmp_path / "drawn.png")).shape == (240, 320, 3)
    np.testing.assert_array_equal(ss.infer_image(photo, "blazepose", spine_only=True), rows[:, SPINE])
    found = ss.infer_video(video, "blazepose", use_smoothing=False, vis_path=tmp_path / "drawn.webm")
    assert [rows.shape for rows in found] == [(1, 37, 3)] * 6
    np.testing.assert_allclose(np.diff([rows[0, LEFT_HIP, 0] for rows in found]), 4)
    assert open_video(tmp_path / "drawn.webm").frames == 6
    cv2.imwrite(str(tmp_path / "empty.png"), np.full((40, 40, 3), 60, np.uint8))
    assert ss.infer_image(tmp_path / "empty.png", "blazepose").shape == (0,)


def test_a_file_that_simspine_detect_wrote_has_the_same_spine(photo, bodies, tmp_path):
    succeeded(call("detect", photo, "-s", tmp_path / "0.json", "--spine-only", "--quiet"))
    rows = ss.infer_image(photo, "blazepose", spine_only=True)
    person = json.loads((tmp_path / "0.json").read_text())["people"][0]
    np.testing.assert_allclose(np.reshape(person["inferred_keypoints_2d"], (9, 3)), rows[0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda photo: ss.detect_image(None), "None is of a file that imread cannot read"),
        (lambda photo: ss.detect_image(np.zeros((4, 4))), r"shape \(4, 4\)"),
        (lambda photo: ss.detect_image("nowhere.png"), r"nowhere\.png"),
        (lambda photo: ss.detect_image(photo, "huge"), "'huge'"),
        (lambda photo: ss.detect_video("nowhere.mp4"), "does not exist"),
        (lambda photo: ss.infer_video(photo, "blazepose"), "is no video"),
        (lambda photo: ss.infer_image(photo, "blazepose", enable_lifting=True, lifter="no.onnx"), "no such file"),
        (lambda photo: ss.SpinePoseEstimator(detector="yolo"), "rfdetr, yolox"),
        (lambda photo: ss.SpinePoseEstimator("huge"), "'huge'"),
    ],
)
def test_what_cannot_work_says_so(photo, call, said):
    with pytest.raises(ss.InputError, match=said):
        call(photo)


def test_people_in_the_world_stand_on_a_floor_beside_the_picture():
    """In a panel of 320 × 240 px, 2.4 m are high: 100 px/m, with 1 m above the floor in the middle."""
    person = ss.DetectedPerson(np.full((37, 2), np.nan), np.ones(37), *np.zeros((2, 37), bool))
    heel, head = [0.3, 0.2, 0.0], [0.3, -0.2, 1.7]  # ahead, left, up
    level = PersonFrame(1.0, 0.1, LEVEL_CAMERA, np.zeros(3), 0.1, "standing", False, "posture")
    pose = FramedPose(None, PlacedPose(np.array([heel, head]), np.zeros((2, 3))), level, ("LHeel", "Head"))
    picture = np.zeros((240, 90, 3), np.uint8)
    placer = SimpleNamespace(place_at_once=lambda people, size: placed)
    placed = {}
    empty = draw_with_world(picture, [person], placer)
    assert empty.shape == (240, 90 + 320, 3)
    floor, middle = 220, 90 + 160
    placed[1] = pose
    drawn = (draw_with_world(picture, [person], placer) != empty).any(-1)
    assert drawn[floor, 90:].mean() > 0.9  # from side to side, but for the heel
    assert not drawn[:, :90].any()
    assert drawn[floor - 5 : floor, middle - 25 : middle - 15].any()
    assert drawn[floor - 175 : floor - 165, middle + 15 : middle + 25].any()
