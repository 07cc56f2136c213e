"""The same places out of every kind of file that points are read from."""

from contextlib import nullcontext

import numpy as np
import pytest
from small_dataset import FRAMES, REJECTED, UNSOLVED, camera, export_small, small_dataset
from tools.lifting_baselines.point_tables import write_point_sequences

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, project_one
from simspine.core.types import Markers
from simspine.evaluation.pairs import pair_with_truth
from simspine.evaluation.point_sources import (
    PointSequence,
    cameras_of,
    points_in_views,
    read_points,
    sequences_of_subjects,
    truth_for,
)
from simspine.io.hdf5 import write_store
from simspine.io.trc import write_trc


def test_a_data_set_gives_the_frames_it_keeps(tmp_path):
    export_small(tmp_path)
    found = {f"{s.subject}/{s.trial}": s for s in read_points(tmp_path)}
    assert set(found) == set(FRAMES)
    walking = found["S1/Walking_1"]
    left_out = {UNSOLVED, *REJECTED}
    assert set(range(300)) - set(walking.frames) == left_out
    true = small_dataset().subjects["S1"].trials["Walking_1"].markers.xyz
    np.testing.assert_allclose(walking.values, true[walking.frames], atol=1e-12)
    assert read_points(tmp_path / "tiny.h5", step=50)[0].frames.tolist() == [0, 50, 100, 150, 200, 250]


def test_trc_files_are_named_after_subject_and_trial(tmp_path):
    markers = Markers(("Hip", "Neck"), 50, np.random.default_rng(1).normal(size=(4, 2, 3)), "y_up", start=0.2)
    for name in ("S9_Walking_1.trc", "P07/P07_Sitting.trc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_trc(tmp_path / name, markers)
    first, second = sorted(read_points(tmp_path), key=lambda s: s.subject)
    assert [first.key, second.key] == [("P07", "Sitting", None), ("S9", "Walking_1", None)]
    assert first.frames.tolist() == [10, 11, 12, 13]  # from 0.2 s on
    np.testing.assert_allclose(first.values, markers.xyz, atol=1e-8)
    assert read_points(tmp_path / "S9_Walking_1.trc", step=5)[0].frames.tolist() == [10]
    write_trc(tmp_path / "nobody.trc", markers)
    with pytest.raises(InputError, match="whose trial"):
        read_points(tmp_path / "nobody.trc")


@pytest.mark.parametrize(("rate", "sound"), [(25, False), (48, False), (100, False), (50.04, True)])
def test_frames_of_another_rate_do_not_belong_together_by_number(tmp_path, rate, sound):
    """A perfect prediction at half the rate was 0.3 m off: frame 10 is another time."""
    time = np.arange(0, 4, 1 / rate)
    places = np.sin(2 * time)[:, None, None] + np.random.default_rng(1).normal(size=(1, 5, 3))
    names = ("Hip", "Neck", "Head", "LHip", "RHip")
    (predicted, true) = (tmp_path / "found/S9_Walk.trc", tmp_path / "true/S9_Walk.trc")
    for path, own in ((predicted, rate), (true, 50)):
        path.parent.mkdir()
        write_trc(path, Markers(names, own, places, "y_up"))
    said = rf"S9/Walk: predicted at {rate} frames/s, true at 50,"
    with nullcontext() if sound else pytest.raises(InputError, match=said):
        pair_with_truth(read_points(predicted), read_points(true))


def capture_folder(folder):
    points = Markers(("Hip", "Neck"), 50, np.random.default_rng(2).normal(size=(5, 2, 3)), "z_up")
    write_store(folder / "truth/S9/S9_Walking_1.h5", points=points)
    write_store(folder / "detections/S9/Walking_1.h5", cameras=[camera("a", 0.0), camera("b", 1.0)])
    return points


def test_a_virtual_capture_gives_its_truth_and_each_cameras_view(tmp_path):
    points = capture_folder(tmp_path)
    (world,) = read_points(tmp_path)
    assert world.key == ("S9", "Walking_1", None)
    np.testing.assert_array_equal(world.values, points.xyz)
    cameras = cameras_of(tmp_path)
    first, second = points_in_views([world], cameras)
    assert (first.camera, second.camera, second.axes) == ("a", "b", "camera")
    pinhole = cameras["S9"][1].with_(distortion=np.zeros(5))  # a view's places are imaged by K alone
    ideal = second.values[..., :2] / second.values[..., 2:] @ pinhole.K[:2, :2].T + pinhole.K[:2, 2]
    ahead = second.values[..., 2] > 0
    np.testing.assert_allclose(ideal[ahead], project_one(pinhole, points.xyz)[ahead], atol=1e-6)


def test_truth_comes_in_the_axes_of_the_predictions(tmp_path):
    export_small(tmp_path)
    seen = [PointSequence("S1", "Walking_1", [0], ["Hip"], np.zeros((1, 1, 3)), "camera", "54138969")]
    views = truth_for(tmp_path, seen, ("S1",), step=50)
    assert {s.camera for s in views} == {"54138969", "55011271"}
    (world, _) = truth_for(tmp_path, [PointSequence("S1", "x", [0], ["Hip"], np.zeros((1, 1, 3)))], ("S1",))
    assert world.axes == "y_up"
    one = camera("54138969", 0.0)
    expected = change_frame(world.select(["Hip"], np.array([50])).values, "y_up", "z_up") @ one.R.T + one.t
    np.testing.assert_allclose(views[0].select(["Hip"], np.array([50])).values, expected, atol=1e-6)  # R: float32


def test_people_who_are_not_there_are_named(tmp_path):
    export_small(tmp_path)
    found = read_points(tmp_path)
    with pytest.raises(InputError, match=r"S9, S11, who are tested .* has S1, S5"):
        sequences_of_subjects(found)
    assert len(sequences_of_subjects(found, ("all",))) == 3
    assert {s.subject for s in sequences_of_subjects(found, ("S5",))} == {"S5"}


def test_what_holds_no_points_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"gone\.npz: no such file"):
        read_points(tmp_path / "gone.npz")
    with pytest.raises(InputError, match="neither points nor a folder"):
        read_points(tmp_path)
    (tmp_path / "a.docx").write_text("x")
    with pytest.raises(InputError, match=r"a\.docx: neither"):
        read_points(tmp_path / "a.docx")
    (tmp_path / "b.h5").write_text("x")
    with pytest.raises(InputError, match=r"b\.h5"):
        read_points(tmp_path / "b.h5")
    write_store(tmp_path / "c.h5", other=np.zeros(3))
    with pytest.raises(InputError, match=r"c\.h5"):
        read_points(tmp_path / "c.h5")
    write_point_sequences(tmp_path / "d.npz", [PointSequence("S9", "x", [0], ["Hip"], np.zeros((1, 1, 3)))])
    seen = [PointSequence("S9", "x", [0], ["Hip"], np.zeros((1, 1, 3)), "camera", "a")]
    with pytest.raises(InputError, match="holds no cameras"):
        truth_for(tmp_path / "d.npz", seen)
