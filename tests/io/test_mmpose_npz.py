"""Read with plain NumPy after the release's description; projection by OpenCV as judge."""

import pickle

import cv2
import numpy as np
import pytest
from small_takes import FILLED, REJECTED, UNSOLVED, make_take

from simspine.core.errors import InputError
from simspine.io.exchange import ExportTrial
from simspine.io.npz import PointMoments, parent_indices, read_npz, write_mmpose

FRAMES = 9


@pytest.fixture(scope="module")
def take():
    return make_take()


@pytest.fixture(scope="module")
def written(tmp_path_factory, take):
    folder = tmp_path_factory.mktemp("npz")
    other = make_take(name="Sitting", subject="S5", seed=1)
    assert write_mmpose(folder, "train", lambda: [take, other], notice="n") == 4 * (FRAMES - 1)
    return folder, [take, other]


def test_a_plain_reader_finds_what_the_release_describes(written):
    folder, (take, _) = written
    with np.load(folder / "annotations" / "simspine_train.npz", allow_pickle=True) as data:
        meta = data["metadata"].item()
        rows = {key: data[key] for key in data.files if key != "metadata"}
    n, k = 4 * (FRAMES - 1), 15
    shapes = {"imgname": (n,), "center": (n, 2), "scale": (n,), "part": (n, k, 3), "S": (n, k, 4), "S_world": (n, k, 4),
              "angles": (n, 3)}  # fmt: skip
    assert {key: rows[key].shape for key in shapes} == shapes
    assert rows["center"].dtype == rows["scale"].dtype == np.float32
    assert rows["part"].dtype == rows["angles"].dtype == np.float64
    assert (meta["root_name"], meta["root_index"]) == ("Hip", 0)
    assert meta["joint_names"] == list(take.trial.markers.names)
    assert meta["param_names"] == list(take.trial.motion.names)
    assert meta["parent_ids"] == [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5, 5, 4, 4]
    kept = [i for i in range(FRAMES) if i != UNSOLVED]
    camera = take.cameras[1]
    second = slice(len(kept), 2 * len(kept))  # order: subject, trial, camera, frame
    stem = f"S1/S1_Walking_1.{camera.name}/S1_Walking_1.{camera.name}"
    assert list(rows["imgname"][second]) == [f"{stem}_{i + 1:06d}.jpg" for i in kept]  # counted from 1
    np.testing.assert_allclose(rows["S_world"][second][..., :3], take.trial.markers.xyz[kept][..., [2, 0, 1]])
    # S and part are the same camera: projecting S by OpenCV gives part
    for row in range(n // 2):
        view = take.cameras[row // len(kept)]
        pixels, _ = cv2.projectPoints(
            np.ascontiguousarray(rows["S"][row, :, :3]), np.zeros(3), np.zeros(3), view.K, view.distortion
        )
        np.testing.assert_allclose(rows["part"][row, :, :2], pixels[:, 0], atol=1e-6)
        world = rows["S_world"][row, :, :3]
        np.testing.assert_allclose(rows["S"][row, :, :3], world @ view.R.T + view.t, atol=1e-9)
    low, high = rows["part"][..., :2].min(1), rows["part"][..., :2].max(1)
    np.testing.assert_allclose(rows["center"], (low + high) / 2, rtol=1e-6)
    np.testing.assert_allclose(rows["scale"], 1.2 * (high - low).max(1) / 200, rtol=1e-6)
    np.testing.assert_allclose(rows["angles"][second][:, 0], np.degrees(take.trial.motion.values[kept, 0]))
    np.testing.assert_array_equal(rows["angles"][second][:, 1], take.trial.motion.values[kept, 1])
    assert list(np.array(kept)[rows["valid"][second] == 0]) == [REJECTED, FILLED]
    assert list(np.array(kept)[rows["inferred"][second] == 1]) == [FILLED]
    assert meta["notice"] == "n"


def test_visible_means_inside_the_real_image_and_not_hidden(take, tmp_path):
    hidden = np.zeros((2, FRAMES, 15), bool)
    hidden[1, :, 4] = True
    camera = take.cameras[0]
    narrow = camera.with_(size=(camera.size[0], 520))
    write_mmpose(tmp_path, "test", lambda: [ExportTrial("S1", "a", take.trial, (narrow, take.cameras[1]), hidden)])
    rows = read_npz(tmp_path / "annotations" / "simspine_test.npz")
    part = rows["part"]
    assert part.shape[0] == 2 * (FRAMES - 1)
    first, second = part[: FRAMES - 1], part[FRAMES - 1 :]
    inside = (first[..., :2] >= -0.5).all(-1) & (first[..., 0] < 999.5) & (first[..., 1] < 519.5)
    np.testing.assert_array_equal(first[..., 2], inside)
    assert 0 < inside.mean() < 1
    assert (second[:, 4, 2] == 0).all()
    assert second[:, 3, 2].any()
    np.testing.assert_array_equal(part[..., 2], rows["S"][..., 3])
    assert not list((tmp_path / "annotations").glob("*.pkl"))  # statistics are of the training split only


def test_statistics(written):
    folder, _ = written
    rows = read_npz(folder / "annotations" / "simspine_train.npz")
    for name, key, axes in (("joint3d", "S", 3), ("joint2d", "part", 2)):
        values = rows[key][..., :axes]
        absolute = pickle.loads((folder / "annotations" / f"{name}_stats.pkl").read_bytes())
        relative = pickle.loads((folder / "annotations" / f"{name}_rel_stats.pkl").read_bytes())
        np.testing.assert_allclose(absolute["mean"], values.mean(0), rtol=1e-9)
        np.testing.assert_allclose(absolute["std"], values.std(0), rtol=1e-6)
        centred = values - values[:, :1]
        np.testing.assert_allclose(relative["mean"][1:], centred.mean(0)[1:], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(relative["std"][1:], centred.std(0)[1:], rtol=1e-6)
        np.testing.assert_array_equal(relative["mean"][0], absolute["mean"][0])


def test_moments_in_pieces_equal_those_at_once():
    rng = np.random.default_rng(0)
    values = rng.normal(5, 3, (50, 4, 3))
    values[rng.random((50, 4)) < 0.3] = np.nan
    moments = PointMoments(4, 3)
    for piece in np.array_split(values, 7):
        moments.add(piece)
    np.testing.assert_allclose(moments.stats["mean"], np.nanmean(values, 0))
    np.testing.assert_allclose(moments.stats["std"], np.nanstd(values, 0))


def test_37_points_and_a_point_that_is_nowhere(take37, tmp_path):
    write_mmpose(tmp_path, "train", lambda: [take37])
    rows = read_npz(tmp_path / "annotations" / "simspine_train.npz")
    with np.load(tmp_path / "annotations" / "simspine_train.npz", allow_pickle=True) as data:
        meta = data["metadata"].item()
    names = meta["joint_names"]
    eye = names.index("LEye")
    assert (rows["part"][:, eye] == 0).all()
    assert np.isfinite(rows["S"]).all()
    assert meta["parent_ids"][names.index("RShoulder")] == names.index("RClavicle")
    stats = pickle.loads((tmp_path / "annotations" / "joint3d_stats.pkl").read_bytes())
    assert (stats["std"][eye] == 0).all()
    assert np.isfinite(stats["std"]).all()


def test_parents_skip_what_is_not_there():
    assert parent_indices(["Hip", "Spine_05", "RElbow"]) == [-1, 0, 1]


def test_bad_input(take, tmp_path):
    with pytest.raises(InputError, match="no cameras"):
        write_mmpose(tmp_path, "train", lambda: [ExportTrial("S1", "a", take.trial)])
    assert not (tmp_path / "annotations").exists()
