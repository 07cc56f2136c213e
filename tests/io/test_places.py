"""Both places of the spine's points in every exchange format: released and at their vertebrae.

The take's centroids lie 4 cm in front of its released points and 2 cm above, which every reader must find again.
"""

import json

import numpy as np
import pytest
from small_takes import FILLED, REJECTED, UNSOLVED, make_take

from simspine.core.geometry import change_frame, project_points
from simspine.core.skeletons import VERTEBRA_OF, load_skeleton
from simspine.io.coco import write_coco
from simspine.io.npz import read_npz, write_mmpose

SHIFT = np.array([0.04, 0.02, 0.0])  # y up
NAMES = load_skeleton("simspine15").names
ALONG = [NAMES.index(name) for name in VERTEBRA_OF]
OTHERS = [i for i in range(15) if i not in ALONG]


@pytest.fixture(scope="module")
def take():
    return make_take(with_centres=True)


@pytest.fixture(scope="module")
def released(take):
    return take.trial.markers.xyz


def test_npz(take, released, tmp_path):
    write_mmpose(tmp_path, "test", lambda: [take])
    rows = read_npz(tmp_path / "annotations" / "simspine_test.npz")
    kept = [i for i in range(len(released)) if i != UNSOLVED]
    world = change_frame(released[kept], "y_up", "z_up")
    moved = change_frame(released[kept] + SHIFT, "y_up", "z_up")[:, ALONG]
    n = len(kept)
    np.testing.assert_allclose(rows["S_world"][:n, :, :3], world, atol=1e-12)
    np.testing.assert_allclose(rows["S_world_vertebral"][:n][:, ALONG, :3], moved, atol=1e-12)
    np.testing.assert_allclose(rows["S_world_vertebral"][:n][:, OTHERS, :3], world[:, OTHERS], atol=1e-12)
    (pixels,) = project_points([take.cameras[1]], moved)
    np.testing.assert_allclose(rows["part_vertebral"][n:][:, ALONG, :2], pixels, atol=1e-9)
    with np.load(tmp_path / "annotations" / "simspine_test.npz", allow_pickle=True) as data:
        meta = data["metadata"].item()
    assert meta["places"] == "released"


def test_coco(take, released, tmp_path):
    write_coco(tmp_path / "a.json", lambda: [take])
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["info"]["keypoints"] == "released"
    frame = next(i for i in range(len(released)) if i not in (UNSOLVED, REJECTED, FILLED))
    (pixels,) = project_points([take.cameras[0]], change_frame(released + SHIFT, "y_up", "z_up"))
    first, table = content["annotations"][0], load_skeleton("spinetrack37")
    vertebral, points = (np.reshape(first[key], (37, 3)) for key in ("keypoints_vertebral", "keypoints"))
    places = [table.from_simspine(name) for name in VERTEBRA_OF]
    seen = vertebral[places, 2] > 0
    assert seen.any()
    np.testing.assert_allclose(vertebral[places, :2][seen], pixels[frame, ALONG][seen], atol=0.0051)
    rest = [i for i in range(37) if i not in places]
    np.testing.assert_array_equal(vertebral[rest], points[rest])
    assert np.abs(vertebral - points)[places][seen].max() > 3  # 4 cm at 4 m with f = 1145 px
