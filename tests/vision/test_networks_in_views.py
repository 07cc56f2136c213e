"""ONNX networks of other programs in several views, by `detection.model` alone: known places come back in space.

Stand-ins have the inputs and outputs of each kind: RTMPose (SimCC), HRNet (heat maps), ViTPose and Sapiens (heat maps
whose rim cells lie on the crop's rim pixels, UDP). Point k of each sees the colour k mod 3, red, green or blue.
"""

import numpy as np
import pytest
from blob_network import blob_network, save_network
from conftest import ring
from onnx import helper
from small_videos import write_frames

from simspine.core.geometry import project_points
from simspine.core.skeletons import skeleton_of_size
from simspine.io.video import open_videos
from simspine.vision.options import DetectionOptions, TriangulationOptions
from simspine.vision.points import detect_in_videos, follow_person, locate_points
from simspine.vision.spinepose import IMAGENET_MEAN, IMAGENET_SD

PLACES = np.array([[0.0, 0.35, 1.4], [0.25, -0.3, 0.7], [-0.2, 0.1, 1.0]])  # m, of red, green, blue
BLOB_SIGMA_PX = 60.0
FRAMES = 5


def heatmap_network(path, size, points, unbiased):
    """A network whose heat map of point k is colour k mod 3, 0…1, at a quarter of the crop's size."""
    rows, columns = size[0] // 4, size[1] // 4
    constants = {
        "deviation": np.reshape(IMAGENET_SD / 255, (1, 3, 1, 1)).astype(np.float32),
        "mean": np.reshape(IMAGENET_MEAN / 255, (1, 3, 1, 1)).astype(np.float32),
        "size": [1, 3, rows, columns], "channels": np.arange(points) % 3,
    }  # fmt: skip
    where = "align_corners" if unbiased else "asymmetric"
    nodes = [
        helper.make_node("Mul", ["image", "deviation"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["colours"]),
        helper.make_node(
            "Resize", ["colours", "", "", "size"], ["coarse"], mode="linear", coordinate_transformation_mode=where
        ),
        helper.make_node("Gather", ["coarse", "channels"], ["heat"], axis=1),
    ]
    return save_network(path, nodes, {"image": [1, 3, *size]}, {"heat": [1, points, rows, columns]}, constants)


NETWORKS = {
    "rtmpose-m": lambda path: blob_network(path, points=26),
    "hrnet-w48": lambda path: heatmap_network(path, (256, 192), 17, unbiased=False),
    "vitpose-b": lambda path: heatmap_network(path, (256, 192), 17, unbiased=True),
    "sapiens_0.3b": lambda path: heatmap_network(path, (1024, 768), 133, unbiased=True),
}


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Three cameras, and a video of each in which three blobs stand still."""
    cameras, folder = ring(3), tmp_path_factory.mktemp("videos")
    for camera, centres in zip(cameras, project_points(cameras, PLACES[None])[:, 0], strict=True):
        width, height = camera.size
        y, x = np.mgrid[:height, :width]
        squares = [(x - px) ** 2 + (y - py) ** 2 for px, py in centres[::-1]]  # OpenCV's order: blue, green, red
        image = np.stack([255 * np.exp(-square / (2 * BLOB_SIGMA_PX**2)) for square in squares], -1).astype(np.uint8)
        write_frames(folder / f"{camera.name}.avi", [image] * FRAMES, 30, "FFV1")
    return cameras, open_videos(sorted(folder.glob("*.avi")))


@pytest.mark.filterwarnings("ignore:.*, as in no person")
@pytest.mark.parametrize("kind", NETWORKS)
def test_one_option_chooses_the_network(kind, filmed, tmp_path):
    cameras, videos = filmed
    options = DetectionOptions(model=str(NETWORKS[kind](tmp_path / f"{kind}.onnx")), people=1)
    seen = detect_in_videos(videos, options)
    skeleton = skeleton_of_size(len(seen.names))
    points, _ = locate_points(follow_person(seen, cameras, seen.skeleton, options), cameras, TriangulationOptions())
    ours = {skeleton.to_simspine[name]: k % 3 for k, name in enumerate(skeleton.names) if name in skeleton.to_simspine}
    assert {"LHip", "RShoulder", "LAnkle"} <= set(points.names) <= set(ours)
    wanted = PLACES[[ours[name] for name in points.names]]
    # Of the whole image, a pixel of the smaller crops is 12.5 px or 4.5 cm. SimCC gives bins, heat maps fractions.
    assert np.abs(points.xyz - wanted).max() < (0.045 if kind == "rtmpose-m" else 0.008)
