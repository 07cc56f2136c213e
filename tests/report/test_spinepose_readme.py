"""The examples of SpinePose's two READMEs with one import changed: by the offline detector and a stand-in network."""

import json

import cv2
import numpy as np
import pytest
from blob_network import blob_network, flat_lifter
from command_line import call, failed, succeeded
from small_videos import write_frames

import simspine as ss
from simspine import PoseTracker, SpinePoseEstimator, infer_image, infer_video
from simspine.core.settings import pose2sim_folder
from simspine.vision.lifting import Lifter
from simspine.vision.one_camera import FILE_POINT_NAMES


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An image and a short video of the packaged recording, and a network of SpinePose's inputs and outputs."""
    folder = tmp_path_factory.mktemp("files")
    source = next((pose2sim_folder() / "Demo_SinglePerson" / "videos").glob("*.mp4"))
    reader = cv2.VideoCapture(str(source))
    frames = [cv2.resize(reader.read()[1], None, fx=0.5, fy=0.5) for _ in range(4)]
    cv2.imwrite(str(folder / "image.jpg"), frames[0])
    write_frames(folder / "video.avi", frames, 30, "MJPG")
    blob_network(folder / "spinepose.onnx")
    return folder


@pytest.fixture(params=["blazepose", "stand-in"])
def mode(request, files):
    return "blazepose" if request.param == "blazepose" else str(files / "spinepose.onnx")


def test_estimator_and_picture(files, mode):
    estimator = SpinePoseEstimator(mode)
    image = cv2.imread(str(files / "image.jpg"))
    keypoints, scores = estimator(image)
    visualized = estimator.visualize(image, keypoints, scores)
    assert (keypoints.shape, scores.shape, visualized.shape) == ((1, 37, 2), (1, 37), image.shape)
    if mode != "blazepose":  # the stand-in's points are no body
        return
    with_space = SpinePoseEstimator(mode, enable_lifting=True, hardware_acceleration=False)(image)
    np.testing.assert_array_equal(with_space[0], keypoints)
    assert with_space[2].shape == (1, 37, 3)
    assert (with_space[2][0, :, 2] > 0.5).all()  # ahead of the camera, m


def test_intrinsics_are_those_of_each_lifted_image(files):
    image = cv2.imread(str(files / "image.jpg"))
    estimator = SpinePoseEstimator("full", enable_lifting=True, camera_field_of_view=90)
    assert estimator.camera_intrinsics is None
    for picture in (image, cv2.resize(image, None, fx=0.5, fy=0.5)):
        estimator(picture)
        height, width = picture.shape[:2]
        half_diagonal = np.hypot(width, height) / 2  # of 90° the focal length
        wanted = [[half_diagonal, 0, width / 2], [0, half_diagonal, height / 2], [0, 0, 1]]
        np.testing.assert_allclose(estimator.camera_intrinsics, wanted)
    given = np.array([[500.0, 0, 160], [0, 500, 120], [0, 0, 1]])
    estimator = SpinePoseEstimator("full", enable_lifting=True, camera_intrinsics=given)
    estimator(image)
    np.testing.assert_array_equal(estimator.camera_intrinsics, given)


def test_simplified_interface(files, mode, tmp_path):
    results = infer_image(files / "image.jpg", mode, vis_path=tmp_path / "output.jpg")
    assert results.shape == (1, 37, 3)
    results = infer_video(files / "video.avi", mode, vis_path=tmp_path / "output.mp4", use_smoothing=True)
    assert [part.shape for part in results] == [(1, 37, 3)] * 4
    if mode != "blazepose":
        return
    flat, space = infer_image(files / "image.jpg", mode, enable_lifting=True, spine_only=True)
    assert (flat.shape, space.shape) == ((1, 9, 3), (1, 9, 4))
    frames = infer_video(files / "video.avi", mode, enable_lifting=True, primary_subject_height=1.8)
    heights = np.array([part[0, :, 1] for _, part in frames])
    assert heights.shape == (4, 37)
    head, heel = (heights[:, FILE_POINT_NAMES.index(name)] for name in ("Head", "LHeel"))
    assert (head - heel > 0.5).all()  # y is up


def test_image_with_all_of_its_default_arguments(files, tmp_path):
    """Its own defaults of `infer_image`, with lifting: one image determines the world."""
    lifting = {
        "hardware_acceleration": True, "mixed_precision": False, "enable_lifting": True, "camera_intrinsics": None,
        "camera_field_of_view": 84.0, "estimate_metric_scale": True, "estimate_camera_pose": True,
        "estimate_ground_plane": True, "primary_subject_height": 1.84, "warmup_frames": 1, "show_lifting_panel": True,
    }  # fmt: skip
    call = (files / "image.jpg", "full", False, tmp_path / "output.jpg", "latest", "rfdetr")
    flat, space = infer_image(*call, **lifting)
    assert (flat.shape, space.shape) == ((1, 37, 3), (1, 37, 4))
    image, drawn = (cv2.imread(str(place)) for place in (files / "image.jpg", tmp_path / "output.jpg"))
    assert drawn.shape == (image.shape[0], image.shape[1] + 320, 3)  # the person in the world is next to it
    assert drawn[:, image.shape[1] :].max() > 200
    bare = infer_image(*call, **lifting | {"show_lifting_panel": False})
    np.testing.assert_array_equal(bare[1], space)
    assert cv2.imread(str(tmp_path / "output.jpg")).shape == image.shape
    own_axes = infer_image(*call, **lifting | {"estimate_camera_pose": False, "estimate_ground_plane": False})[1]
    head, heel = (FILE_POINT_NAMES.index(name) for name in ("Head", "LHeel"))
    assert space[0, head, 1] - space[0, heel, 1] > 0.5  # up
    camera, world = (points[0, :, :3] - points[0, 0, :3] for points in (own_axes, space))
    turn = np.linalg.lstsq(camera, world)[0].T  # from the camera's axes: x right, y down, z ahead
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(turn) > 0
    assert turn[0, 0] > 0.9
    np.testing.assert_allclose(turn[2, 0], 0, atol=1e-6)  # x is the camera's as far as it is level
    assert own_axes[0, heel, 1] - own_axes[0, head, 1] > 0.5  # down
    cv2.imwrite(str(tmp_path / "nobody.png"), np.zeros((200, 200, 3), np.uint8))
    nobody = infer_image(tmp_path / "nobody.png", "full", enable_lifting=True)
    assert [part.shape for part in nobody] == [(0,), (0,)]


def test_one_person_for_each_box(files):
    class Mirrored(SpinePoseEstimator):
        def postprocess(self, keypoints, scores):
            return -keypoints, scores

    image = cv2.imread(str(files / "image.jpg"))
    estimator = SpinePoseEstimator("full")
    (box,) = estimator.detect(image)
    alone = estimator(image, [box])[0]
    keypoints, scores = estimator(image, [[0, 0, 20, 20], box, box])
    assert not scores[0].any()
    np.testing.assert_array_equal(keypoints, [np.zeros((37, 2)), *alone, *alone])
    assert estimator.visualize(image, keypoints, scores).shape == image.shape
    assert [part.shape for part in estimator(image, [])] == [(0, 37, 2), (0, 37)]
    np.testing.assert_array_equal(Mirrored("full")(image, [box])[0], -alone)


def test_tracker(files):
    """Points are those of `infer_video`; those in space are of the world of all images until then."""
    images = [shot.image for shot in ss.detect_video(files / "video.avi", "full")]
    tracker = PoseTracker(SpinePoseEstimator, mode="full", smoothing=True, max_detections=10, enable_lifting=True)
    found = [tracker(image) for image in images]
    video = infer_video(files / "video.avi", "full", False, True, None, "latest", "rfdetr", 10, enable_lifting=True)
    for (keypoints, scores, space), (flat, placed) in zip(found, video, strict=True):
        np.testing.assert_allclose(np.concatenate([keypoints, scores[..., None]], -1), flat, atol=1e-9)
        assert space.shape == placed[..., :3].shape
    np.testing.assert_allclose(found[-1][2], video[-1][1][..., :3], atol=1e-9)
    drawn = tracker.visualize(images[-1], *found[-1][:2])
    np.testing.assert_array_equal(drawn, ss.draw(images[-1], tracker.solution._people))
    tracker.reset()
    nobody = np.zeros_like(images[0])
    assert [part.shape for part in tracker(nobody)] == [(0, 37, 2), (0, 37), (0, 37, 3)]
    assert tracker.solution.detect(nobody).shape == (0, 4)
    (box,) = tracker.solution.detect(images[0])
    places = found[0][0][0][found[0][1][0] > 0]
    assert (box[:2] < places.min(0)).all()
    assert (box[2:] > places.max(0)).all()
    tracker.close()
    with pytest.warns(UserWarning, match=r"smoothing_beta = 0\.5 has no effect here"):
        PoseTracker(SpinePoseEstimator, mode="full", smoothing_beta=0.5).close()
    with pytest.warns(UserWarning, match="det_frequency = 7 has no effect here"):
        other = PoseTracker(SpinePoseEstimator, mode="full", det_frequency=7, tracking=True, tracking_thr=0.4)
    assert other.solution.lifting_thr == 0.4
    for (keypoints, scores, _), image in zip(found, images, strict=True):
        again = other(image)
        assert again[0].shape == keypoints.shape
        np.testing.assert_array_equal(again[1], scores)


def test_command_line(files, tmp_path):
    out = tmp_path / "output_frames.json"  # SpinePose's program makes a folder of that name
    arguments = ["spinepose", "--input_path", files / "video.avi", "--mode", "full", "--save-path", out]
    arguments += ["--output_path", tmp_path / "out.mp4", "--enable-lifting", "--camera-field-of-view", 84]
    arguments += ["--primary-subject-height", 1.84, "--warmup-frames", 2]
    arguments += ["--no-mixed-precision"]
    arguments += ["--no-hardware-acceleration", "--detector", "rfdetr", "--max-detections", 2, "--quiet"]
    succeeded(call(*arguments))
    drawn = cv2.VideoCapture(str(tmp_path / "out.mp4")).read()[1]
    assert drawn.shape[1] - cv2.imread(str(files / "image.jpg")).shape[1] == 320  # the panel of the world
    (person,) = json.loads((out / "frame_00003.json").read_text())["people"]
    assert (len(person["pose_keypoints_3d"]), len(person["pose_keypoints_3d_sd"])) == (4 * 37, 3 * 37)
    assert min(person["pose_keypoints_3d_sd"]) > 0
    about = json.loads((out / "frame_00003.json").read_text())["world"]
    assert about["height_known"] is True
    axes = np.array(about["camera_axes"])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-5)
    assert 0 < about["camera_position_m"][2] < 4  # above the floor


@pytest.mark.parametrize(("options", "up", "words"), [((), (2, 1), "z up"), (("--no-camera-pose",), (1, -1), "y down")])
def test_files_state_the_axes_that_their_points_have(files, tmp_path, options, up, words):
    out = tmp_path / "space.json"
    said = succeeded(call("spinepose", files / "image.jpg", "-m", "full", "-s", out, "--enable-lifting", *options))
    content = json.loads(out.read_text())
    points = np.reshape(content["people"][0]["pose_keypoints_3d"], (37, 4))
    head, heel = (points[FILE_POINT_NAMES.index(name)] for name in ("Head", "LHeel"))
    axis, sign = up
    assert sign * (head - heel)[axis] > 1.0  # m, of a standing person
    assert words in content["world"]["axes"]
    assert f"world: {content['world']['axes']}." in said


def test_version_and_options_without_effect(files, monkeypatch):
    assert call("spinepose", "-V").output.strip() == f"simspine {ss.__version__}"
    said = failed(call("spinepose", files / "image.jpg", "-s", "x.json", "--warmup-frames", 3))
    assert "--warmup-frames is for --enable-lifting" in said
    plain, mixed = files / "plain.json", files / "mixed.json"
    assert call("spinepose", files / "image.jpg", "-m", files / "spinepose.onnx", "-s", plain).exit_code == 0
    told = call("spinepose", files / "image.jpg", "-m", files / "spinepose.onnx", "-s", mixed, "--mixed-precision")
    assert "--mixed-precision: networks run in full precision." in told.output
    assert mixed.read_text() == plain.read_text()
    for name, value in (("backend", "openvino"), ("mixed_precision", True)):
        with pytest.warns(UserWarning, match=f"{name} = {value!r} has no effect here") as told:
            SpinePoseEstimator("full", **{name: value})
        assert told[0].filename == __file__
    alone = ["--no-view", "--enable-lifting", "-m", "full", "-o", files / "alone.png"]
    succeeded(call("spinepose", files / "image.jpg", *alone))
    assert "name where they go" in failed(call("spinepose", files / "image.jpg", *alone, "--no-lifting-panel"))
    for version, size in (("v9", "medium"), ("v2", "xlarge")):  # no reason to take BlazePose
        with pytest.raises(ss.InputError, match=f"weights '{version}/{size}'"):
            SpinePoseEstimator(size, model_version=version)
    monkeypatch.setattr("simspine.report.spinepose_interface.fastest_device", lambda: "cuda")
    devices = [
        SpinePoseEstimator(str(files / "spinepose.onnx"), device=device, hardware_acceleration=fast)._options.device
        for device, fast in (("auto", True), ("auto", False), ("cpu", True))
    ]
    assert devices == ["cuda", "cpu", "cpu"]


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize(("command", "people"), [("spinepose", 10), ("detect", 4)])
def test_defaults_of_the_program(files, tmp_path, monkeypatch, command, people, installed):
    """`spinepose` looks for ten people, and with SpinePose's medium network where its package is there."""

    def say_choices(camera, settings, *rest):
        chosen = settings.detection
        raise ss.InputError(f"{chosen.people} people at most, by {chosen.detector} {chosen.network}")

    monkeypatch.setattr("simspine.workflow.one_camera.watch_source", say_choices)
    monkeypatch.setattr("simspine.cli.detect.find_spec", lambda name: object() if installed else None)
    done = call(command, files / "image.jpg", "-s", tmp_path / "points.json")
    theirs = command == "spinepose"
    network = "spinepose medium" if theirs and installed else "blazepose heavy"
    assert f" {people} people at most, by {network}" in done.output
    assert ("BlazePose is used; its spine is inferred" in done.output) == (theirs and not installed)


def test_a_person_whose_points_are_all_in_one_place_is_drawn(files):
    image = np.zeros((80, 60, 3), np.uint8)
    drawn = SpinePoseEstimator("full").visualize(image, np.full((1, 37, 2), 30.0), np.ones((1, 37)))
    assert drawn[25:35, 25:35].any()
    assert not drawn[70:].any()


def test_its_own_lifter_is_read(tmp_path):
    """(n, 37, 2) → (n, 37, 3) in SpinePose's order: x and y as they come in, z = 1; relative to its hip."""
    lifter = Lifter(flat_lifter(tmp_path / "own.onnx"))
    image = np.random.default_rng(3).uniform(-0.3, 0.3, (2, 37, 2))
    xyz, sd = lifter.lift(image)
    assert sd is None
    assert lifter.card.points[0] == "Hip"
    np.testing.assert_allclose(xyz[..., :2], image - image[:, :1], atol=1e-6)
    np.testing.assert_allclose(xyz[..., 2], 0, atol=1e-6)
