import cv2
import numpy as np
import pytest
from blob_network import save_network
from onnx import helper

from simspine.core import skeletons
from simspine.core.errors import InputError
from simspine.io.video import demo_folder, find_project, open_videos
from simspine.vision.blazepose import BlazePose, Pose, Region
from simspine.vision.blazepose_spine import (
    HALF_CONFIDENCE_SD,
    HIP_INDICES,
    MASK_PX,
    SHOULDER_INDICES,
    SPINE_POINTS,
    TRUNK_WINDOW_PX,
    TRUNK_WINDOW_SHARE,
    BlazePoseSpine,
    PoseFeatures,
    SpinePlacer,
    features_of,
    to_trunk_frame,
    trunk_frame,
    trunk_window,
)
from simspine.vision.detector import estimated_by
from simspine.vision.options import DEFAULT_MODELS

S = skeletons.load_skeleton("blazepose_spine46")
SIDE_PX, TURN = 800.0, 0.4


def pose_at(mid_hips, mid_shoulders, turn=TURN):
    """Somebody whose mid-hips and mid-shoulders are at these px, with an empty mask."""
    points = np.random.default_rng(0).uniform(200, 700, (33, 3))
    points[:, 2] = 0.9
    for (left, right), middle in ((HIP_INDICES, mid_hips), (SHOULDER_INDICES, mid_shoulders)):
        points[left, :2], points[right, :2] = np.add(middle, [40, 5]), np.subtract(middle, [40, 5])
    region = Region(430.0, 520.0, SIDE_PX, turn)
    return Pose(points, region, np.full((256, 256), -9.0, np.float32), region, np.zeros(33))


def network_of(values, path):
    """An ONNX network that gives (1, 13, 5) `values` whatever it sees."""
    given = {"points": [None, 33, 4], "mask": [None, 1, TRUNK_WINDOW_PX, TRUNK_WINDOW_PX]}
    nodes = [helper.make_node("Identity", ["values"], ["places"])]
    constants = {"values": np.reshape(values, (1, 13, 5)).astype(np.float32)}
    return save_network(path, nodes, given, {"places": [1, 13, 5]}, constants)


def test_the_frame_of_the_trunk_stands_on_the_hips():
    hips, shoulders = np.array([400.0, 600.0]), np.array([460.0, 380.0])
    points = features_of(pose_at(hips, shoulders)).points
    frame = trunk_frame(points)
    trunk = np.linalg.norm(shoulders - hips) / SIDE_PX
    places = frame.places(points[:, :2])
    assert places[list(HIP_INDICES)].mean(0) == pytest.approx([0, trunk / 2], abs=1e-6)  # y down
    assert places[list(SHOULDER_INDICES)].mean(0) == pytest.approx([0, -trunk / 2], abs=1e-6)
    assert frame.shares(places) == pytest.approx(points[:, :2], abs=1e-6)


def test_a_turned_image_gives_the_same_features():
    """A person turned with the image, whose crop turns less: only the frame of the trunk undoes the rest."""
    image = np.zeros((MASK_PX, MASK_PX), np.float32)
    cv2.ellipse(image, (32, 30), (6, 12), 0, 0, 360, 1.0, -1)
    points = np.random.default_rng(1).uniform(0.3, 0.7, (33, 4)).astype(np.float32)
    points[list(HIP_INDICES), :2], points[list(SHOULDER_INDICES), :2] = [0.5, 0.62], [0.5, 0.4]
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D((31.5, 31.5), -30, 1), (MASK_PX, MASK_PX))
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    moved = points.copy()
    moved[:, :2] = (points[:, :2] - 0.5) @ np.array([[c, s], [-s, c]]) + 0.5
    first, second = to_trunk_frame(PoseFeatures(points, image)), to_trunk_frame(PoseFeatures(moved, turned))
    assert second.points == pytest.approx(first.points, abs=1e-5)
    assert np.abs(second.mask - first.mask).mean() < 0.02


def test_the_window_shows_the_middle_of_the_trunk():
    image = np.zeros((MASK_PX, MASK_PX), np.float32)
    image[40, 20] = 1.0
    frame = trunk_frame(np.zeros((33, 2)))._replace(origin=np.array([20.5, 40.5]) / MASK_PX, turn=np.eye(2))
    seen = trunk_window(image, frame)
    assert pytest.approx(MASK_PX / TRUNK_WINDOW_PX) == 1 / TRUNK_WINDOW_SHARE  # a px of the window is one of the mask
    assert seen.sum() == pytest.approx(1.0)
    assert np.argwhere(seen > 0.2).mean(0) == pytest.approx([(TRUNK_WINDOW_PX - 1) / 2] * 2)


def test_places_and_spread_go_back_to_the_image(tmp_path):
    """A point on the trunk's axis, and an ellipse whose long axis is along it."""
    along, across, share = 0.06, 0.01, 0.05
    values = np.tile([0.0, share, -np.log(across), -np.log(along), 0.0], (13, 1))
    hips, shoulders = np.array([400.0, 600.0]), np.array([460.0, 380.0])
    spine = SpinePlacer(network_of(values, tmp_path / "constant.onnx")).place(pose_at(hips, shoulders))
    down = (hips - shoulders) / np.linalg.norm(hips - shoulders)
    assert spine.xy[0] == pytest.approx((hips + shoulders) / 2 + share * SIDE_PX * down, abs=1e-3)
    side = np.array([down[1], -down[0]])
    assert np.sqrt(down @ spine.covariance[3] @ down) == pytest.approx(along * SIDE_PX, rel=1e-5)
    assert np.sqrt(side @ spine.covariance[3] @ side) == pytest.approx(across * SIDE_PX, rel=1e-5)
    assert down @ spine.covariance[3] @ side == pytest.approx(0, abs=1e-2)
    assert spine.confidence[0] == pytest.approx(1 / (1 + along * across / HALF_CONFIDENCE_SD**2), rel=1e-5)


def test_the_demos_spine_is_in_its_trunk():
    """In all views of the packaged recording: between hips and head, in order, near the person's axis."""
    images = [next(iter(video)) for video in open_videos(find_project(demo_folder()).videos)]
    plain = BlazePose(1, threads=1, model=DEFAULT_MODELS["blazepose_spine"])
    detector = BlazePoseSpine(1, threads=1)
    limbs, found = plain.detect(images), detector.detect(images)
    plain.close()
    detector.close()
    for without, people in zip(limbs, found, strict=True):
        assert people.shape == (1, 46, 3)
        assert people[:, :33] == pytest.approx(without)
        points = {name: people[0, i] for i, name in enumerate(S.names)}
        chain = [points[name][1] for name in SPINE_POINTS[:9]]
        assert chain == sorted(chain, reverse=True)  # y runs down
        hips = (points["left_hip"] + points["right_hip"])[:2] / 2
        trunk = (points["left_shoulder"] + points["right_shoulder"])[:2] / 2 - hips
        back = np.array([points[name][:2] for name in SPINE_POINTS[:6]]) - hips  # S1 to T3
        across = back @ [trunk[1], -trunk[0]] / (trunk @ trunk)  # of the line to the shoulders, in lengths of it
        assert np.abs(across).max() < 0.15
        assert points["neck_03"][1] < points["left_shoulder"][1] < points["spine_03"][1] < hips[1]
        assert np.all((people[0, 33:, 2] > 0.3) & (people[0, 33:, 2] < 1))


def test_a_file_that_is_no_network_is_refused(tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"no\.onnx cannot be opened as an ONNX network"):
        SpinePlacer(tmp_path / "no.onnx")


def test_it_says_which_points_it_does_not_see():
    detector, plain = BlazePoseSpine(1, threads=1), BlazePose(1, threads=1)
    assert set(detector.estimated) == set(S.names) - set(skeletons.load_skeleton("blazepose33").names)
    assert estimated_by(plain) == ()
    detector.close()
    plain.close()
