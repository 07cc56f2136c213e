import numpy as np
import pytest
from blob_network import save_network
from onnx import helper

from simspine.core.errors import InputError
from simspine.vision.spinepose import IMAGENET_MEAN, IMAGENET_SD, SpinePose, decode_heatmaps

ROWS, COLUMNS, SIZE = 64, 48, (256, 192)


def gaussians(places, sigma=2.0, height=0.9):
    """(1, points, rows, columns) with a Gaussian at each place (x, y) in cells."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    return np.stack([height * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)) for px, py in places])[None]


def inner_places(count=40):
    return np.random.default_rng(3).uniform([8, 8], [COLUMNS - 9, ROWS - 9], (count, 2))


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
def test_gaussians_come_back_to_hundredths_of_a_cell(sigma):
    places = inner_places()
    xy, confidence = decode_heatmaps(gaussians(places, sigma), SIZE)
    np.testing.assert_allclose(xy[0] / 4, places, atol=0.01)
    assert (confidence > 0.8).all()


def test_it_is_finer_than_the_cells_and_holds_against_noise():
    places = inner_places()
    noisy = gaussians(places) + np.random.default_rng(1).normal(0, 0.02, (1, len(places), ROWS, COLUMNS))
    found = decode_heatmaps(noisy, SIZE)[0][0] / 4
    cells = np.stack([noisy[0, k].argmax() % COLUMNS for k in range(len(places))])
    error, coarse = np.abs(found - places).max(1), np.abs(cells - places[:, 0])
    assert np.median(error) < 0.12
    assert np.median(error) < np.median(coarse) / 2


def test_a_turned_ellipse_has_its_top_in_its_middle():
    y, x = np.mgrid[:ROWS, :COLUMNS]
    dx, dy = x - 20.3, y - 31.6
    heat = np.exp(-(dx**2 / 8 + dy**2 / 5 + dx * dy / 6))[None, None]
    np.testing.assert_allclose(decode_heatmaps(heat, SIZE)[0][0, 0] / 4, [20.3, 31.6], atol=0.02)


def test_unbiased_maps_reach_the_crops_last_pixel():
    corner = gaussians([(COLUMNS - 1, ROWS - 1)])
    np.testing.assert_allclose(decode_heatmaps(corner, SIZE, unbiased=True)[0][0, 0], [191, 255])
    np.testing.assert_allclose(decode_heatmaps(corner, SIZE)[0][0, 0], [188, 252])


def test_an_empty_map_saw_nothing():
    maps = np.concatenate([gaussians([(20, 30)]), np.zeros((1, 1, ROWS, COLUMNS))], 1)
    xy, confidence = decode_heatmaps(maps, SIZE)
    np.testing.assert_array_equal(np.isnan(xy[0]), [[False, False], [True, True]])
    assert confidence[0, 1] == 0
    assert decode_heatmaps(maps[:0], SIZE)[0].shape == (0, 2, 2)


def every_fourth_pixel(path, points=17):
    """A network whose heat map of point k is every fourth pixel of colour k mod 3, 0…1."""
    constants = {
        "deviation": np.reshape(IMAGENET_SD / 255, (1, 3, 1, 1)).astype(np.float32),
        "mean": np.reshape(IMAGENET_MEAN / 255, (1, 3, 1, 1)).astype(np.float32),
        "starts": [0, 0], "ends": SIZE, "axes": [2, 3], "steps": [4, 4], "channels": np.arange(points) % 3,
    }  # fmt: skip
    nodes = [
        helper.make_node("Mul", ["image", "deviation"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["colours"]),
        helper.make_node("Slice", ["colours", "starts", "ends", "axes", "steps"], ["coarse"]),
        helper.make_node("Gather", ["coarse", "channels"], ["heat"], axis=1),
    ]
    heat = {"heat": ["batch", points, ROWS, COLUMNS]}
    return save_network(path, nodes, {"image": ["batch", 3, *SIZE]}, heat, constants)


def test_a_heat_map_network_serves_as_a_detector(tmp_path):
    places = np.array([[250.3, 150.6], [330.7, 301.2], [280.0, 260.0]])  # of blue, green, red
    y, x = np.mgrid[:480, :640]
    image = np.stack([255 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 200) for a, b in places], -1).astype(np.uint8)
    detector = SpinePose(every_fourth_pixel(tmp_path / "hrnet.onnx"))
    assert detector.skeleton == "coco17"
    (people,) = detector.detect([image], [np.array([[200.0, 110.0, 380.0, 350.0]])])
    assert people.shape == (1, 17, 3)
    np.testing.assert_allclose(people[0, :, :2], [places[::-1][k % 3] for k in range(17)], atol=0.3)
    assert (people[0, :, 2] > 0.9).all()


def test_a_network_of_another_kind_is_refused_by_name(tmp_path):
    path = tmp_path / "classes.onnx"
    pool = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]), helper.make_node("Flatten", ["pooled"], ["y"])
    ]  # fmt: skip
    save_network(path, pool, {"image": ["batch", 3, *SIZE]}, {"y": ["batch", 3]})
    with pytest.raises(InputError, match=r"classes\.onnx is no SimCC pose network.*heat maps"):
        SpinePose(path)
