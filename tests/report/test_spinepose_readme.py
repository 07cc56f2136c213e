"""The examples of SpinePose's two READMEs with one import changed: by the offline detector and a stand-in network."""

import json

import cv2
import numpy as np
import pytest
from blob_network import blob_network, flat_lifter
from click.testing import CliRunner

import simspine as ss
from simspine import SpinePoseEstimator, infer_image, infer_video
from simspine.cli.main import main
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
    writer = cv2.VideoWriter(str(folder / "video.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, frames[0].shape[1::-1])
    for frame in frames:
        writer.write(frame)
    writer.release()
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
    heights = np.array([part[0, :, 2] for _, part in frames])
    assert heights.shape == (4, 37)
    head, heel = (heights[:, FILE_POINT_NAMES.index(name)] for name in ("Head", "LHeel"))
    assert (head - heel > 0.5).all()  # z is up


def test_command_line(files, tmp_path):
    out = tmp_path / "output_frames.json"  # SpinePose's program makes a folder of that name
    arguments = ["spinepose", "--input_path", files / "video.avi", "--mode", "full", "--save-path", out]
    arguments += ["--vis-path", tmp_path / "out.mp4", "--enable-lifting", "--camera-field-of-view", 84]
    arguments += ["--primary-subject-height", 1.84, "--warmup-frames", 2]
    arguments += ["--no-lifting-panel", "--no-mixed-precision"]
    arguments += ["--no-hardware-acceleration", "--detector", "rfdetr", "--max-detections", 2, "--quiet"]
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    (person,) = json.loads((out / "frame_00003.json").read_text())["people"]
    assert (len(person["pose_keypoints_3d"]), len(person["pose_keypoints_3d_sd"])) == (4 * 37, 3 * 37)
    assert min(person["pose_keypoints_3d_sd"]) > 0
    about = json.loads((out / "frame_00003.json").read_text())["world"]
    assert about["height_known"] is True
    axes = np.array(about["camera_axes"])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-5)
    assert 0 < about["camera_position_m"][2] < 4  # above the floor


def test_version_and_options_without_effect(files, monkeypatch):
    call = lambda *words: CliRunner().invoke(main, ["spinepose", *map(str, words)])  # noqa: E731
    assert call("-V").output.strip() == f"simspine {ss.__version__}"
    lost = call(files / "image.jpg", "-s", "x.json", "--warmup-frames", 3)
    assert lost.exit_code == 2
    assert "--warmup-frames is for --enable-lifting" in lost.output
    refused = call(files / "image.jpg", "--mixed-precision")
    assert refused.exit_code == 2
    option = "--mixed-precision"
    assert f"No such option: {option}" in refused.output or f"No such option '{option}'" in refused.output
    for name in ("mixed_precision", "show_lifting_panel"):
        with pytest.raises(ss.InputError, match=f"{name} is True, but has no effect"):
            SpinePoseEstimator("full", **{name: True})
    monkeypatch.setattr("simspine.report.spinepose_interface.fastest_device", lambda: "cuda")
    devices = [
        SpinePoseEstimator(str(files / "spinepose.onnx"), device=device, hardware_acceleration=fast)._options.device
        for device, fast in (("auto", True), ("auto", False), ("cpu", True))
    ]
    assert devices == ["cuda", "cpu", "cpu"]


def test_its_own_lifter_is_read(tmp_path):
    """(n, 37, 2) → (n, 37, 3) in SpinePose's order: x and y as they come in, z = 1; relative to its hip."""
    lifter = Lifter(flat_lifter(tmp_path / "own.onnx"))
    image = np.random.default_rng(3).uniform(-0.3, 0.3, (2, 37, 2))
    xyz, sd = lifter.lift(image)
    assert sd is None
    assert lifter.card.points[0] == "Hip"
    np.testing.assert_allclose(xyz[..., :2], image - image[:, :1], atol=1e-6)
    np.testing.assert_allclose(xyz[..., 2], 0, atol=1e-6)
