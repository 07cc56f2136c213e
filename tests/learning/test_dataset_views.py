import numpy as np
import pytest
from tools.lifting_baselines.options import LiftingSource
from tools.lifting_baselines.samples import LIFTED_SPINE_POINTS, lifting_samples, lifting_views_of_dataset

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, project_points
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera, Keypoints, Markers, Motion
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, write_dataset
from simspine.io.hdf5 import write_store

NAMES = load_skeleton("simspine37").names
FRAMES, REJECTED, NOISE_PX = 60, 20, 2.0


def camera(name: str, x: float) -> Camera:
    R = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]])
    K = [[1145.0, 0, 512], [0, 1145, 515], [0, 0, 1]]
    return Camera(name, (1000, 1002), K, [-0.2, 0.24, -1e-3, 2e-3, 0], R, -R @ np.array([x, -4.0, 1.0]))


CAMERAS = (camera("54138969", 0.0), camera("55011271", 0.8))
XYZ = np.random.default_rng(2).uniform([-0.3, 0.1, -0.3], [0.3, 1.8, 0.3], (FRAMES, 37, 3))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    markers = Markers(NAMES, 50, XYZ, "y_up")
    motion = Motion(("pelvis_tilt",), 50, np.zeros((FRAMES, 1)), (True,))
    status = ["rejected" if i == REJECTED else "kept" for i in range(FRAMES)]
    trial = TrialData(markers, motion, status=status, reasons=[""] * FRAMES, fk_deviation=0.0)
    origin = {"configuration_hash": "ab" * 32, "versions": {"simspine": "0"}, "notice": ""}
    write_dataset(folder / "own.h5", Dataset({"S1": SubjectData(CAMERAS, {"Walking_1": trial})}, origin))
    xy = np.moveaxis(project_points(CAMERAS, change_frame(XYZ, "y_up", "z_up")), 0, 1)
    xy = xy + np.random.default_rng(3).normal(0, NOISE_PX, xy.shape)
    back = Keypoints(NAMES[::-1], 50, xy[:, ::-1, ::-1], np.ones(xy.shape[:3]))  # views and points in another order
    write_store(folder / "points/S1/Walking_1.h5", keypoints=back, cameras=list(CAMERAS[::-1]))
    return LiftingSource(dataset=str(folder / "own.h5"), keypoints=str(folder / "points"), every=20, context=10)


def test_points_are_in_each_cameras_frame(source):
    views = lifting_views_of_dataset(source, ["S1"])
    assert [view.truth.camera for view in views] == [c.name for c in CAMERAS]
    for view, cam in zip(views, CAMERAS, strict=True):
        assert view.truth.frames.tolist() == [0, 10, 20, 30, 40, 50]
        assert np.flatnonzero(view.scored).tolist() == [0, 2, 4]
        world = change_frame(XYZ[[0, 10, 30, 40, 50]], "y_up", "z_up")
        kept = np.delete(view.truth.values, 2, 0)
        np.testing.assert_allclose((kept - cam.t) @ cam.R, world, atol=1e-6)
        assert np.isnan(view.truth.values[2]).all()  # rejected


def test_detections_find_their_camera_and_their_names(source):
    """Noise of 2 px at 1145 px focal length."""
    for view in lifting_views_of_dataset(source, ["S1"]):
        kept = [0, 1, 3, 4, 5]
        off = (view.seen - view.projected)[kept]
        assert 0.8 * NOISE_PX / 1145 < off.std() < 1.25 * NOISE_PX / 1145


def test_rejected_frames_are_not_learnt_from(source):
    data = lifting_samples(lifting_views_of_dataset(source, ["S1"]), LIFTED_SPINE_POINTS, False)
    assert len(data) == 6
    assert len(data.usable()) == 4


def test_without_detections_only_the_truth_can_go_in(source):
    views = lifting_views_of_dataset(source.model_copy(update={"keypoints": None}), ["S1"])
    assert not len(lifting_samples(views, LIFTED_SPINE_POINTS, False).usable())
    assert len(lifting_samples(views, LIFTED_SPINE_POINTS, True).usable()) == 4


def test_what_does_not_fit_is_refused(source, tmp_path):
    with pytest.raises(InputError, match="unknown subject 'S9'"):
        lifting_views_of_dataset(source, ["S9"])
    with pytest.raises(InputError, match=r"Walking_1\.h5"):
        lifting_views_of_dataset(source.model_copy(update={"keypoints": str(tmp_path)}), ["S1"])
    short = Keypoints(NAMES, 50, np.ones((9, 2, 37, 2)), np.ones((9, 2, 37)))
    write_store(tmp_path / "S1/Walking_1.h5", keypoints=short, cameras=list(CAMERAS))
    with pytest.raises(InputError, match=r"9 frames of 2 views.*has 60 frames"):
        lifting_views_of_dataset(source.model_copy(update={"keypoints": str(tmp_path)}), ["S1"])
