"""The loader against the data that were written."""

import pickle
import shutil
import sys

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_dataset import AXES, FRAMES, NAMES, export_small, small_dataset

import simspine as ss
from simspine.core.errors import InputError
from simspine.dataset.recordings import WINDOW_FIELDS, action_of


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export_small(tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def truth():
    return small_dataset()


@pytest.fixture
def data(exported):
    with ss.open_dataset(exported / "tiny.h5") as data:
        yield data


def test_what_there_is(data, exported):
    assert data.subjects == ("S1", "S5")
    assert data.actions == ("Walking", "Sitting")
    assert [f"{r.subject}/{r.name}" for r in data.trials()] == list(FRAMES)
    assert [r.name for r in data.trials(action="Walking")] == ["Walking_1", "Walking_2"]
    assert [r.name for r in data.trials(subject="S5")] == ["Sitting"]
    assert data.trials(subject="S5", action=["Sitting"])[0].frames == 40
    assert data.frames == sum(FRAMES.values())
    assert (data.marker_names, data.coordinate_names) == (NAMES, AXES)
    assert data.provenance["configuration_hash"] == "ab" * 32
    assert repr(data).endswith("2 subjects, 3 trials, 490 frames>")
    with ss.open_dataset(exported) as by_folder:
        assert by_folder.subjects == data.subjects


@pytest.mark.parametrize(
    ("trial", "action"),
    [("Directions", "Directions"), ("Directions 1", "Directions"), ("Directions_2", "Directions"),
     ("S1_Directions_2", "Directions"), ("WalkDog-1", "WalkDog"), ("balance", "balance"), ("trial01", "trial"),
     ("3", "3"), ("Walking-12", "Walking"), ("S9", "S9"), ("T12", "T12"), ("Sitting (2)", "Sitting")],
)  # fmt: skip
def test_action_of_a_trial(trial, action):
    assert action_of(trial) == action
    assert action_of(f"S11_{trial}", "S11") == action


@pytest.mark.parametrize(("start", "length"), [(0, 300), (100, 60), (120, 10), (299, 1)])
def test_windows_are_the_frames_written(data, truth, start, length):
    window = data["S1", "Walking_1"].window(start, length)
    trial = truth.subjects["S1"].trials["Walking_1"]
    cut = slice(start, start + length)
    np.testing.assert_array_equal(window["markers"], trial.markers.xyz[cut])
    np.testing.assert_allclose(window["kinematics"], trial.motion.values[cut], rtol=1e-14)
    np.testing.assert_allclose(window["time"], trial.markers.time[cut])
    np.testing.assert_array_equal(window["lla"], trial.lla[cut])
    np.testing.assert_allclose(window["kinematics_sd"], 0.01, rtol=1e-14)
    assert tuple(window["status"]) == trial.status[cut]
    np.testing.assert_array_equal(window["valid"], trial.valid[cut])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(1, 320), stride=st.integers(1, 200))
def test_windows_cover_what_they_can(data, length, stride):
    """Whole windows only, `stride` apart, the next one would not fit; the same frames as in the file."""
    windows = data.windows(length, stride)
    by_trial = {}
    for window in windows:
        by_trial.setdefault(f"{window.recording.subject}/{window.recording.name}", []).append(window.start)
    for key, frames in FRAMES.items():
        starts = by_trial.get(key, [])
        assert starts == [i * stride for i in range(len(starts))]
        assert all(start + length <= frames for start in starts)
        assert len(starts) * stride + length > frames
    assert len(windows) == sum(map(len, by_trial.values()))


def test_projection_on_demand(data, truth):
    window = data["S1", "Walking_1"].window(20, 3)
    cameras = truth.subjects["S1"].cameras
    pixels = window.project()
    assert pixels.shape == (2, 3, 15, 2)
    world = np.ascontiguousarray(window["markers"][..., [2, 0, 1]])  # y_up to z_up
    for view, camera in enumerate(cameras):
        rotation, _ = cv2.Rodrigues(camera.R)
        wanted, _ = cv2.projectPoints(world.reshape(-1, 3), rotation, camera.t, camera.K, camera.distortion)
        np.testing.assert_allclose(pixels[view].reshape(-1, 2), wanted[:, 0], atol=1e-6)
    np.testing.assert_array_equal(window.project(cameras[1:]), pixels[1:])


def test_all_windows_in_order(data, truth):
    windows = data.windows(64, stride=32, fields=("markers", "lla"))
    counts = {key: (frames - 64) // 32 + 1 for key, frames in FRAMES.items() if frames >= 64}
    assert len(windows) == sum(counts.values())  # the trial of 40 frames has none
    assert windows[-1].recording.name == "Walking_2"
    seen = [(w.recording.subject, w.recording.name, w.start) for w in windows]
    assert seen == [(*key.split("/"), 32 * i) for key, n in counts.items() for i in range(n)]
    wanted = truth.subjects["S1"].trials["Walking_2"].markers.xyz[32:96]
    np.testing.assert_array_equal(windows[counts["S1/Walking_1"] + 1].arrays(("markers",))["markers"], wanted)
    assert len(data.windows(40, subject="S5")) == 1
    assert len(data.windows(1000)) == 0


def test_a_window_reads_only_its_own_frames(data, monkeypatch):
    """What is read of the data set is the window, not the trial."""
    read = []
    original = h5py.Dataset.__getitem__

    def spy(self, args, *more, **named):
        found = original(self, args, *more, **named)
        read.append((self.name.rsplit("/", 1)[-1], np.shape(found)))
        return found

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    recording = data["S1", "Walking_1"]
    assert recording.frames == 300
    assert read == []
    _ = recording.window(200, 16)["markers"]
    assert read == [("markers", (16, 15, 3))]


def test_torch_adapter_needs_no_torch(data):
    assert "torch" not in sys.modules or sys.modules["torch"] is not None
    items = data.windows(50, fields=("markers", "valid")).torch(transform=lambda d: d | {"n": 1})
    assert len(items) == 9
    assert items[0]["markers"].shape == (50, 15, 3)
    assert items[0]["n"] == 1
    np.testing.assert_array_equal(items[8]["markers"], data["S1/Walking_2"].window(100, 50)["markers"])


def test_handed_to_another_process(data):
    items = data.windows(50).torch()
    copy = pickle.loads(pickle.dumps(items))
    np.testing.assert_array_equal(copy[3]["markers"], items[3]["markers"])
    copy.windows.recordings[0].data.close()


def test_after_a_fork_the_file_is_opened_again(data, monkeypatch):
    before = data.file
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert data.file is not before
    np.testing.assert_array_equal(data["S1/Walking_1"].window(0, 2)["markers"].shape, (2, 15, 3))
    data.file.close()
    for read in (lambda: data.subjects, lambda: data.trials()[0].frames, data.to_dataframe):
        with pytest.raises(InputError, match=r"was closed; open it again"):
            read()


def test_a_whole_trial(data, truth):
    read = data["S5", "Sitting"].read()
    assert read.markers == truth.subjects["S5"].trials["Sitting"].markers
    assert data["S5", "Sitting"].read(10, 20).markers.frames == 10
    assert data["S5", "Sitting"].cameras == truth.subjects["S5"].cameras
    assert data["S5", "Sitting"].rate == 50


def test_the_released_file_is_read(tmp_path):
    with h5py.File(tmp_path / "simspine.h5", "w") as file:
        file["metadata/markers_names"] = np.array(NAMES, "S")
        file["metadata/kinematic_axes"] = np.array(AXES, "S")
        file["S1/Eating_1/markers"] = np.ones((30, 15, 3))
        file["S1/Eating_1/kinematics"] = np.full((30, 4), 90.0)
        file["S1/Eating_1/timestamps"] = np.arange(30) / 50
    with ss.open_dataset(tmp_path) as data:
        window = data["S1/Eating_1"].window(10, 5)
        assert window["valid"].all()
        assert window["kinematics"][0, 0] == pytest.approx(np.pi / 2)
        assert data["S1/Eating_1"].rate == pytest.approx(50)
        with pytest.raises(InputError, match="unknown array 'simspine/lla'"):
            _ = window["lla"]


@pytest.mark.parametrize(("work", "message"), [
    (lambda d: d["S1", "Walkin_1"], "Did you mean 'Walking_1'"),
    (lambda d: d["S2/Walking_1"], "unknown subject 'S2'"),
    (lambda d: d["Walking_1"], "names no trial"),
    (lambda d: d["S1/Walking_1"].window(290, 20), "has 300 frames; a window of 20 from 290"),
    (lambda d: d["S1/Walking_1"].window(0, 0), "a window of 0"),
    (lambda d: d.trials(action="Eating"), "unknown action 'Eating'.*Walking, Sitting"),
    (lambda d: d.windows(0), "from 1 on"),
    (lambda d: d.windows(5, 0), "5 frames, 0 apart"),
    (lambda d: d.windows(7, 3.5), "7 frames, 3.5 apart: both must be whole numbers"),
    (lambda d: d.windows("4"), "whole numbers"),
    (lambda d: d.windows(10, fields=("marker",)), "Did you mean 'markers'"),
    (lambda d: d["S1/Walking_1"].array("pose"), "unknown field 'pose'"),
    (lambda d: d.windows(10)[0:2], "one by one"),
])  # fmt: skip
def test_bad_questions(data, work, message):
    with pytest.raises(InputError, match=message):
        work(data)


def test_bad_places(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        ss.open_dataset(tmp_path / "none.h5")
    with pytest.raises(InputError, match="holds 0 HDF5 files"):
        ss.open_dataset(tmp_path)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["metadata/markers_names"] = file["metadata/kinematic_axes"] = np.array(["a"], "S")
    with ss.open_dataset(tmp_path) as empty, pytest.raises(IndexError):
        _ = empty.windows(5)[0]


def doubled(values):
    return 2 * values


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        ("simspine/kinematics_sd", np.negative, "negative standard deviations"),
        ("simspine/lla", lambda values: values + np.inf, "infinite values"),
        ("simspine/marker_covariance", np.negative, "negative variances"),
        ("timestamps", doubled, "do not fit the timestamps"),
        ("timestamps", lambda values: np.where(values < values.max(), values, np.nan), "do not fit the timestamps"),
        ("simspine@rate", doubled, "do not fit the timestamps"),
        ("simspine@start", doubled, "do not fit the timestamps"),
        ("simspine@kinematics_rate", doubled, "motion has 100.0 frames/s"),
    ],
)
def test_impossible_values_are_refused(exported, tmp_path, place, change, message):
    shutil.copy(exported / "tiny.h5", tmp_path / "x.h5")
    array, _, attribute = place.partition("@")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        node = file["S5/Sitting"][array]
        if attribute:
            node.attrs[attribute] = change(node.attrs[attribute])
        else:
            node[...] = change(node[()])
    with ss.open_dataset(tmp_path / "x.h5") as data:
        with pytest.raises(InputError, match=rf"x\.h5: S5/Sitting: .*{message}"):
            data["S5", "Sitting"].read()
        if place.endswith("_sd"):
            with pytest.raises(InputError, match=message):
                data["S5", "Sitting"].array("kinematics_sd", 3, 20)


@pytest.mark.parametrize(("units", "message"), [(b"degrees", "degrees.* each axis"), (None, "each axis")])
def test_units_that_are_not_known_are_not_taken_for_radians(exported, tmp_path, units, message):
    shutil.copy(exported / "tiny.h5", tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        known = file["metadata/simspine/kinematic_units"][()]
        del file["metadata/simspine/kinematic_units"]
        changed = known[:2] if units is None else np.where(known == b"deg", units, known)
        file["metadata/simspine/kinematic_units"] = changed.astype("S8")
    with pytest.raises(InputError, match=rf"x\.h5: kinematic_units are .*{message}"):
        ss.open_dataset(tmp_path / "x.h5")


@pytest.mark.parametrize("field", ["kinematics", "lla", "valid", "time"])
def test_a_window_is_whole_or_refused(exported, tmp_path, field):
    """Where an array ends before the points do, frames of one were paired with fewer of the other."""
    shutil.copy(exported / "tiny.h5", tmp_path / "x.h5")
    place = f"S5/Sitting/{WINDOW_FIELDS[field]}"
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        short = file[place][:-5]
        del file[place]
        file[place] = short
    with ss.open_dataset(tmp_path / "x.h5") as data:
        trial = data["S5", "Sitting"]
        assert len(trial.window(0, 4)[field]) == 4
        with pytest.raises(InputError, match=f"from {trial.frames - 12} on: {field} has 7 of 12"):
            _ = trial.window(trial.frames - 12, 12)[field]
