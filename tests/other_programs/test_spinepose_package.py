"""The package spinepose with stand-in weights, where it is installed: its files, points, lifting, calls and results.

Its weights cannot be had here. A network whose function is known lies where the package would download each to.
"""

import inspect

import numpy as np
import pytest
from blob_network import blob_network, flat_lifter
from scipy.spatial.transform import Rotation

import simspine as ss
from simspine.core.skeletons import load_skeleton
from simspine.report.spinepose_interface import FOLLOWING_THRESHOLD, WITHOUT_EFFECT
from simspine.vision.lifting import LEVEL_CAMERA, LiftedPose, Lifter, LiftingLens, root_in_camera, turn_to_y_up
from simspine.vision.one_camera import FILE_POINT_NAMES
from simspine.vision.person_frame import PersonFrame
from simspine.vision.spinepose import SPINEPOSE_SIZES, SpinePose, find_weights

spinepose = pytest.importorskip("spinepose")
BOX = np.array([[200.0, 110.0, 380.0, 350.0]])


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The folder of the package's weights, with a stand-in for each file that it names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".cache" / "spinepose" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    estimator = spinepose.SpinePoseEstimator
    for mode in estimator.MODE.values():
        for model in ("spinetrack", "simspine"):
            size = mode["pose_input_size"][::-1]
            address = mode["pose"] % model if "%s" in mode["pose"] else mode["pose"]
            blob_network(folder / address.rpartition("/")[2], size=size)
        blob_network(folder / mode["det_rfdetr"].rpartition("/")[2])
    flat_lifter(folder / estimator.LIFTING_MODEL_CONFIG["onnx_model"].rpartition("/")[2])
    return folder


def picture() -> np.ndarray:
    """(480, 640, 3) BGR: smooth, another in each colour, so that the stand-in's points differ."""
    y, x = np.mgrid[:480, :640]
    places = ((250.3, 150.6), (330.7, 301.2), (280.0, 260.0))
    return np.stack([255 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 72) for a, b in places], -1).astype(np.uint8)


@pytest.mark.parametrize("size", SPINEPOSE_SIZES)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_ids_name_the_files_that_the_package_opens(cached, size, version):
    if (version, size) == ("v2", "xlarge"):
        pytest.skip("there is none")
    theirs = spinepose.SpinePoseEstimator(size, model_version=version, hardware_acceleration=False)
    assert find_weights(f"{version}/{size}").samefile(theirs.pose_model.onnx_model)


@pytest.mark.parametrize("size", SPINEPOSE_SIZES)
def test_points_are_those_of_the_package(cached, size):
    """It hands over blue first, as OpenCV reads images; with red first its points are ours."""
    theirs = spinepose.SpinePoseEstimator(size, hardware_acceleration=False)
    image = picture()
    keypoints, scores = theirs(np.ascontiguousarray(image[..., ::-1]), BOX)
    (found,) = SpinePose(size).detect([image], [BOX])
    np.testing.assert_allclose(found[..., :2], keypoints, atol=1e-3)
    np.testing.assert_allclose(found[..., 2], np.clip(scores, 0, 1), atol=1e-6)
    assert np.ptp(keypoints, axis=1).min() > 10  # the stand-in did look


def test_lifted_points_are_those_of_the_package(cached):
    theirs = spinepose.SpinePoseEstimator(
        "small", hardware_acceleration=False, enable_lifting=True, estimate_metric_scale=False
    )
    lens = theirs._lifting_model.estimate_intrinsics(640, 480)
    np.testing.assert_allclose(LiftingLens(diagonal_deg=84).of((640, 480)).K, lens)
    keypoints = np.random.default_rng(4).uniform(100, 400, (1, 37, 2))
    scores = np.where(np.arange(37) % 5 == 0, 0.2, 0.9)[None]  # some are not seen
    expected = theirs._lifting_model(keypoints, scores)
    image = np.where(scores[..., None] >= 0.5, (keypoints - lens[:2, 2]) / [lens[0, 0], lens[1, 1]], np.nan)
    lifter = Lifter(next(cached.glob("spinepose_lifter*")))
    order = [FILE_POINT_NAMES.index(name) for name in lifter.card.points]
    xyz, _ = lifter.lift(image[:, order])
    root, _ = root_in_camera(LiftedPose(xyz[0], image=image[0, order]))
    np.testing.assert_allclose((xyz[0] + root)[np.argsort(order)], expected[0], atol=1e-4)


@pytest.mark.parametrize("name", ["SpinePoseEstimator", "PoseTracker", "infer_image", "infer_video"])
def test_calls_take_what_the_package_takes(name):
    from spinepose import inference

    estimator = set(inspect.signature(ss.SpinePoseEstimator).parameters)
    theirs = inspect.signature(getattr(spinepose, name, None) or getattr(inference, name)).parameters
    ours = inspect.signature(getattr(ss, name)).parameters
    known = set(ours) | (estimator if "others" in ours else set())
    if name == "PoseTracker":
        usual = WITHOUT_EFFECT | {"tracking_thr": FOLLOWING_THRESHOLD}
        usual = {word: value for word, value in usual.items() if word in theirs}
        assert len(usual) == len(WITHOUT_EFFECT) - 1
        known |= set(usual)
        assert {word: theirs[word].default for word in usual} == usual
    assert set(theirs) - {"kwargs"} <= known
    first = [word for word, own in ours.items() if own.kind is own.POSITIONAL_OR_KEYWORD][:9]
    assert first == list(theirs)[: len(first)]
    defaults = {word: own.default for word, own in inspect.signature(ss.SpinePoseEstimator).parameters.items()}
    defaults |= {word: own.default for word, own in ours.items()}
    asked = {word for word, own in theirs.items() if word in defaults and own.default is not own.empty}
    asked -= {"camera_intrinsics"} | ({"warmup_frames"} if name == "infer_image" else set())
    assert {word: defaults[word] for word in asked} == {word: theirs[word].default for word in asked}


def test_world_has_the_axes_of_the_package():
    from spinepose.camera_transforms import build_camera_to_world_transform

    for tilt in Rotation.random(5, random_state=1).as_rotvec():
        R = Rotation.from_rotvec(0.5 * tilt).as_matrix() @ LEVEL_CAMERA
        frame = PersonFrame(1.0, 0.1, R, np.zeros(3), 0.1, "standing", False, "posture")
        theirs = build_camera_to_world_transform(R[2], np.zeros(3))
        np.testing.assert_allclose(turn_to_y_up(frame) @ R, theirs[:3, :3], atol=1e-6)


def test_description_of_the_points_is_that_of_the_package(cached):
    from spinepose.tools.visualization import draw_skeleton

    theirs, ours = spinepose.SpinePoseEstimator("small", hardware_acceleration=False), ss.SpinePoseEstimator
    assert ours.num_keypoints == theirs.num_keypoints
    assert ours.metainfo.keys() == theirs.metainfo.keys() - {"paper_info"}
    for i, point in theirs.metainfo["keypoint_info"].items():
        assert ours.metainfo["keypoint_info"][i] | {"color": point["color"]} == point
    for name in ("joint_weights", "sigmas"):
        np.testing.assert_allclose(ours.metainfo[name], theirs.metainfo[name])
    places = np.stack([np.linspace(20, 180, 37)] * 2, -1)
    drawn = draw_skeleton(np.zeros((200, 200, 3), np.uint8), places[None], np.ones((1, 37)), ours.metainfo)
    assert all(drawn[int(y), int(x)].any() for x, y in places)


@pytest.mark.parametrize("spine_only", [False, True])
def test_files_of_the_package_are_read_with_their_names(tmp_path, spine_only):
    from spinepose.inference import _write_result_frame

    points = np.random.default_rng(1).uniform(50, 400, (1, 37, 3))
    points[..., 2] = 0.9
    ids = spinepose.SpinePoseEstimator.SPINE_IDS if spine_only else list(range(37))
    for frame in range(2):
        _write_result_frame(points[:, ids], tmp_path / f"frame_{frame:05d}.json")
    found = ss.read_keypoints([tmp_path], rate=30.0)
    assert set(found.names) == {load_skeleton("spinetrack37").names[i] for i in ids}
    own = [load_skeleton("spinetrack37").index(name) for name in found.names]
    np.testing.assert_allclose(found.xy[0, 0], points[0, own, :2], atol=1e-6)
