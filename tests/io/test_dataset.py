"""The data set: round trip, and a reader written after the description of the released file."""

import json
import shutil
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from whole_dataset import load

from simspine.core.errors import InputError
from simspine.core.types import Camera, Forced, Markers, Motion
from simspine.dataset.recordings import drop_licensed_points, open_dataset
from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, chunk_frames, write_dataset

NAMES = ("Hip", "Spine_01", "Spine_02")
FORCED = {
    "L5-S1": (),
    "L4-L5": (Forced("coupled", ("flexion",), "L5_S1", 1.857142857142857), Forced("locked", ("axial rotation",))),
    "lla": (Forced("sum", ("flexion",), "L5_S1", None, ("L5-S1", "L4-L5")),),
    "tka": (Forced("rigid", ("flexion",), spans=("T3", "T12"), body="torso"),),
}
AXES = ("pelvis_tilt", "pelvis_tx", "L5_S1_Flex_Ext", "knee_angle_r_beta")
ROTATIONAL = (True, False, True, True)


K = [[1145.0, 0, 512.5], [0, 1144.2, 515.3], [0, 0, 1]]
LENS = [-0.2, 0.24, -0.001, 0.002, 0.01]


def camera(name, x=0.0):
    return Camera(name, (1000, 1002), K, LENS, np.eye(3), [x, 0.1, 5.0])


def trial(frames=7, seed=0, start=0.5, **changes):
    rng = np.random.default_rng(seed)
    xyz = rng.normal(size=(frames, 3, 3))
    xyz[2, 1] = np.nan
    values = rng.normal(size=(frames, 4))
    values[2] = np.nan
    filled = np.zeros((frames, 2), bool)
    filled[3, 1] = True
    content = {
        "markers": Markers(NAMES, 50, xyz, "y_up", origin=["given", "inferred", "inferred"], start=start,
                           covariance=rng.random(size=(frames, 3, 3, 3))),
        "motion": Motion(AXES, 50, values, ROTATIONAL, deviation=rng.random((frames, 4)), start=start),
        "levels": ("L5-S1", "L4-L5"), "angles": rng.normal(size=(frames, 2, 3)),
        "lla": rng.normal(size=frames), "tka": np.full(frames, 0.6),
        "forced": FORCED,
        "status": ("kept", "corrected", "rejected", *["kept"] * (frames - 3)),
        "reasons": ("", "Lücke ≤ 0.1 s filled", "curvature", *[""] * (frames - 3)),
        "angles_sd": rng.random((frames, 2, 3)), "lla_sd": rng.random(frames), "tka_sd": rng.random(frames),
        "lla_change_sd": rng.random(frames), "tka_change_sd": rng.random(frames),
        "clinical_names": ("pelvic_tilt", "sagittal_vertical_axis"), "clinical_units": ("rad", "m"),
        "clinical": rng.normal(size=(frames, 2)), "clinical_sd": rng.random((frames, 2)),
        "clinical_decided": ("partly measured", "nicht größer als ±"),
        "response": np.array([0.9, 1.0, 0.1, np.nan]), "level_share": rng.random((2, 3)),
        "fitted": ("Hip", "LKnee"), "fitted_origin": ("inferred", "detected"),
        "marker_error": rng.random((frames, 2)), "filled": filled,
        "poses": {"pelvis": rng.normal(size=(frames, 4, 4)), "torso": rng.normal(size=(frames, 4, 4))},
        "fk_deviation": 3e-9,
        "centres": Markers(("L3", "L5", "S1"), 50, rng.normal(size=(frames, 3, 3)), "y_up", start=start,
                           origin=["detected", "inferred", "given"], covariance=rng.random(size=(frames, 3, 3, 3))),
    }  # fmt: skip
    return TrialData(**(content | changes))


def dataset():
    trials = {"Directions_1": trial(), "Sitting": trial(300, 1)}
    cameras = (camera("54138969"), camera("55011271", 1))
    provenance = {"config": "ab" * 32, "inputs": {f"v{i}": "0" * 64 for i in range(2000)}}
    s1 = SubjectData(cameras, trials, "<OpenSim é/>" * 9000, "models/S1.osim")
    return Dataset({"S1": s1, "S5": SubjectData(cameras[:1], {"Walking": trial(4, 2)})}, provenance)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "new" / "set.h5"
    content = dataset()
    write_dataset(path, content)
    return path, content


def read_as_released(path):
    """After the description of the released file and its readers: every group beside `calibration` is a trial."""
    out = {}
    with h5py.File(path, "r", swmr=True) as file:
        markers = [name.decode() for name in file["metadata"]["markers_names"][:]]
        axes = [name.decode() for name in file["metadata"]["kinematic_axes"][:]]
        for subject in [name for name in file if name.startswith("S")]:
            calibration = file[subject]["calibration"]
            columns = [calibration[name][:] for name in ("names", "K", "dist", "R", "t", "size")]
            cameras = [(row[0].decode(), *row[1:]) for row in zip(*columns, strict=True)]
            assert isinstance(file[subject].attrs["model_file"], str)
            for action in file[subject]:
                if action != "calibration":
                    group = file[subject][action]
                    out[subject, action] = (
                        cameras,
                        group["markers"][:],
                        group["kinematics"][:],
                        group["timestamps"][:],
                    )
    return markers, axes, out


def test_a_reader_of_the_release_reads_it(written):
    path, content = written
    markers, axes, trials = read_as_released(path)
    assert tuple(markers) == NAMES
    assert tuple(axes) == AXES
    assert set(trials) == {("S1", "Directions_1"), ("S1", "Sitting"), ("S5", "Walking")}
    for (subject, name), (cameras, xyz, kinematics, timestamps) in trials.items():
        source = content.subjects[subject].trials[name]
        assert xyz.dtype == kinematics.dtype == timestamps.dtype == np.float64
        np.testing.assert_array_equal(xyz, source.markers.xyz)
        np.testing.assert_allclose(
            kinematics[:, [0, 2, 3]], source.motion.values[:, [0, 2, 3]] * 180 / np.pi, rtol=1e-14
        )
        np.testing.assert_array_equal(kinematics[:, 1], source.motion.values[:, 1])
        np.testing.assert_allclose(timestamps, 0.5 + np.arange(len(xyz)) / 50)
        for (name, K, dist, R, t, size), wanted in zip(cameras, content.subjects[subject].cameras, strict=True):
            assert (name, tuple(size)) == (wanted.name, wanted.size)
            for found, array in ((K, wanted.K), (dist, wanted.distortion), (R, wanted.R), (t, wanted.t)):
                np.testing.assert_array_equal(found, array)
    with h5py.File(path) as file:
        assert file["metadata/markers_names"].dtype.kind == file["S1/calibration/names"].dtype.kind == "S"
        assert file["S1/calibration/size"].dtype == np.int32
        assert file["S1/calibration/K"].shape == (2, 3, 3)


def assert_same(found: TrialData, wanted: TrialData):
    # Degrees in the file cost the last bit of an angle.
    np.testing.assert_allclose(found.motion.values, wanted.motion.values, rtol=1e-15)
    exact = found.motion.with_(values=wanted.motion.values)
    if wanted.motion.deviation is not None:
        np.testing.assert_allclose(found.motion.deviation, wanted.motion.deviation, rtol=1e-15)
        exact = exact.with_(deviation=wanted.motion.deviation)
    rest = {name: getattr(found, name) for name in TrialData.__dataclass_fields__} | {"motion": exact}
    assert TrialData(**rest) == wanted


def test_round_trip(written):
    path, content = written
    with DatasetFile(path) as file:
        found = load(file)
    assert found.provenance == content.provenance  # larger than an HDF5 attribute can be
    assert list(found.subjects) == list(content.subjects)
    for name, subject in content.subjects.items():
        assert found.subjects[name].cameras == subject.cameras
        assert found.subjects[name].model == subject.model
        assert found.subjects[name].model_file == subject.model_file
        assert list(found.subjects[name].trials) == list(subject.trials)
        for key, wanted in subject.trials.items():
            assert_same(found.subjects[name].trials[key], wanted)


def test_bare_trial_round_trips(tmp_path):
    bare = TrialData(Markers(NAMES, 30, np.zeros((2, 3, 3)), "y_up"), Motion(AXES, 30, np.zeros((2, 4)), ROTATIONAL))
    write_dataset(tmp_path / "b.h5", Dataset({"P01": SubjectData((), {"t": bare})}))
    with DatasetFile(tmp_path / "b.h5") as file:
        assert file.trial("P01", "t") == bare
        assert file.cameras("P01") == ()
        assert file.model("P01") == ""


def test_a_stretch_of_frames(written):
    path, content = written
    wanted = content.subjects["S1"].trials["Sitting"]
    with DatasetFile(path) as file:
        assert file.frames("S1", "Sitting") == 300
        part = file.trial("S1", "Sitting", slice(280, 290))
        with pytest.raises(InputError, match="step"):
            file.trial("S1", "Sitting", slice(None, None, 2))
        assert file.trial("S1", "Sitting", slice(5, 5)).markers.frames == 0
    np.testing.assert_array_equal(part.markers.xyz, wanted.markers.xyz[280:290])
    np.testing.assert_array_equal(part.poses["torso"], wanted.poses["torso"][280:290])
    np.testing.assert_allclose(part.markers.time, wanted.markers.time[280:290])
    assert part.status == wanted.status[280:290]


def test_units_are_said(written):
    with h5py.File(written[0]) as file:
        group = file["S1/Sitting"]
        said = {name: data.attrs["units"] for name, data in group.items() if isinstance(data, h5py.Dataset)}
        assert said == {"markers": "m", "kinematics": "deg; m", "timestamps": "s"}
        assert group["simspine/lla"].attrs["units"] == "rad"
        for name, unit in (
            ("kinematics_sd", "deg; m"), ("level_angles_sd", "rad"), ("lla_sd", "rad"), ("tka_sd", "rad"),
            ("marker_covariance", "m2"), ("response", "1"), ("level_share", "1"),
        ):  # fmt: skip
            assert group[f"simspine/{name}"].attrs["units"] == unit, name
        deviation = written[1].subjects["S1"].trials["Sitting"].motion.deviation
        np.testing.assert_allclose(group["simspine/kinematics_sd"][:, 0], np.degrees(deviation[:, 0]))
        np.testing.assert_array_equal(group["simspine/kinematics_sd"][:, 1], deviation[:, 1])
        assert group["simspine"].attrs["fk_deviation_m"] == 3e-9
        assert [u.decode() for u in file["metadata/simspine/kinematic_units"]] == ["deg", "m", "deg", "deg"]
        assert group["markers"].compression == "gzip"
        assert group["markers"].fletcher32


def test_the_released_file_is_read(tmp_path):
    """Built here after its description: float32 cameras with four coefficients, one coupled knee angle in radians."""
    with h5py.File(tmp_path / "released.h5", "w") as file:
        file["metadata/markers_names"] = np.array(NAMES, "S")
        file["metadata/kinematic_axes"] = np.array(AXES, "S")
        group = file.create_group("S9")
        group.attrs["model_file"] = "models/S9.osim"
        calibration = {
            "names": np.array(["cam"], "S"), "K": np.array([K], "f4"), "R": np.eye(3, dtype="f4")[None],
            "dist": np.array([[0.1, 0.2, 0.3, 0.4]], "f4"), "t": np.ones((1, 3), "f4"),
            "size": np.array([[1000, 1002]], "i4"),
        }  # fmt: skip
        for name, value in calibration.items():
            group.create_dataset(f"calibration/{name}", data=value, compression="gzip")
        group["Eating/markers"] = np.ones((3, 3, 3))
        group["Eating/kinematics"] = np.array([[90.0, 1.25, 180.0, 0.5]] * 3)
        group["Eating/timestamps"] = np.round([0.0, 0.02, 0.04], 6)
    with DatasetFile(tmp_path / "released.h5") as file:
        assert file.schema is None
        found = load(file).subjects["S9"]
    np.testing.assert_allclose(found.trials["Eating"].motion.values[0], [np.pi / 2, 1.25, np.pi, 0.5])
    np.testing.assert_allclose(found.cameras[0].distortion, [0.1, 0.2, 0.3, 0.4, 0], atol=1e-7)
    assert found.trials["Eating"].markers.rate == 50
    assert found.trials["Eating"].status is None
    assert found.model == ""


def test_each_trial_has_the_cameras_that_saw_it(tmp_path):
    """Two days, no camera, and a trial that does not say, as in released files: then they are its subject's."""
    monday, tuesday = (camera("a"),), (camera("a", 1.0), camera("b"))
    trials = {"mon": trial(cameras=monday), "tue": trial(cameras=tuesday), "markers": trial(cameras=()), "old": trial()}
    write_dataset(tmp_path / "d.h5", Dataset({"S1": SubjectData(monday, trials)}))
    expected = {"mon": monday, "tue": tuesday, "markers": (), "old": monday}
    with DatasetFile(tmp_path / "d.h5") as file:
        assert {name: file.cameras("S1", name) for name in trials} == expected
        assert {name: file.trial("S1", name).cameras for name in trials} == expected | {"old": None}
        assert drop_licensed_points(file.trial("S1", "tue")).cameras is None
    with open_dataset(tmp_path / "d.h5") as data:
        assert data["S1/tue"].cameras == tuesday


@pytest.mark.parametrize("lens", ["perspective", "fisheye"])
def test_cameras_of_other_lenses_come_back(tmp_path, lens):
    """Side by side in one array: the widest decides its width, and its attribute names the columns."""
    other = camera("b").with_(distortion=0.01 * np.arange(1, 13 if lens == "perspective" else 5), lens=lens)
    subject = SubjectData((camera("a"), other), {"Walking": trial()}, "", "")
    write_dataset(tmp_path / "d.h5", Dataset({"S1": subject}, {}))
    with DatasetFile(tmp_path / "d.h5") as file:
        assert file.cameras("S1") == subject.cameras
    with h5py.File(tmp_path / "d.h5") as file:
        dist = file["S1/calibration/dist"]
        assert len(dist.attrs["order"].split()) - 1 == dist.shape[1] == (12 if lens == "perspective" else 5)


@pytest.mark.parametrize(("frames", "row_bytes", "chunk"), [
    (535_000, 15 * 3 * 8, 128), (535_000, 62 * 8, 128), (535_000, 8, 4096), (535_000, 1, 1 << 15),
    (50, 360, 50), (0, 8, 1),
])  # fmt: skip
def test_chunks_hold_32_kb_and_at_least_128_frames(frames, row_bytes, chunk):
    assert chunk_frames(frames, row_bytes) == chunk


def test_both_places_of_the_spines_points_are_named(written):
    """Plain h5py: the released places where a reader of the release looks, the vertebral ones and all centroids."""
    source = written[1].subjects["S1"].trials["Sitting"]
    with h5py.File(written[0]) as file:
        group = file["S1/Sitting"]
        assert group["markers"].attrs["places"] == "released"
        vertebral, centres = group["simspine/markers_vertebral"], group["simspine/centres"]
        assert (vertebral.attrs["places"], vertebral.attrs["units"], centres.attrs["units"]) == ("vertebral", "m", "m")
        names = centres.attrs["names"].split(",")
        assert names == ["L3", "L5", "S1"]
        np.testing.assert_array_equal(centres, source.centres.xyz)
        np.testing.assert_array_equal(vertebral, centres[:][:, [2, 1, 0]])  # Hip, Spine_01, Spine_02: S1, L5, L3


def test_orders_say_where_each_point_is(written):
    names = written[1].subjects["S1"].trials["Sitting"].markers.names
    with h5py.File(written[0]) as file:
        orders = file["metadata/simspine/orders"]
        for order, size in (("simspine37", 37), ("simspine15", 15), ("spinetrack37", 37)):
            assert orders[order].shape == (size,)
            listed = orders[order].attrs["names"].split(",")
            found = {listed[i]: names[k] for i, k in enumerate(orders[order]) if k >= 0}
            lower = order == "spinetrack37"
            assert found == {(n.lower() if lower else n): n for n in names}


def test_valid_frames(written):
    with h5py.File(written[0]) as file:
        valid = file["S1/Directions_1/simspine/valid"][:]
    assert list(valid) == [1, 1, 0, 1, 1, 1, 1]  # frame 2 has no solution and was rejected


def test_trials_are_made_one_at_a_time(tmp_path):
    alive, most = [], []

    def make(name):
        made = trial(300, len(name))
        alive.append(weakref.ref(made))
        most.append(sum(ref() is not None for ref in alive))
        return made

    names = [f"t{i}" for i in range(6)]
    write_dataset(tmp_path / "x.h5", Dataset({"S1": SubjectData((), {name: partial(make, name) for name in names})}))
    assert len(alive) == 6
    assert max(most) <= 2  # the one being written may wait for the next
    with DatasetFile(tmp_path / "x.h5") as file:
        assert file.trials("S1") == tuple(names)
        assert_same(file.trial("S1", "t5"), trial(300, 2))


def test_trials_in_files_are_copied_as_they_are(tmp_path, written):
    """The data set of all trials together and the one put together from files of one trial each hold the same."""
    path, content = written
    subjects = {}
    for name, subject in content.subjects.items():
        alone = {trial: tmp_path / f"{name}_{trial}.h5" for trial in subject.trials}
        for trial, file in alone.items():
            write_dataset(file, Dataset({name: SubjectData((), {trial: subject.trials[trial]})}))
        subjects[name] = replace(subject, trials=alone)
    write_dataset(tmp_path / "joined.h5", Dataset(subjects, content.provenance))

    def entries(file):
        items = [file]
        file.visititems(lambda _, item: items.append(item))
        for item in items:
            is_array = isinstance(item, h5py.Dataset)
            held = (item[()].tobytes(), item.dtype, item.chunks, item.compression) if is_array else tuple(item)
            yield item.name, held, {key: np.asarray(value).tolist() for key, value in item.attrs.items()}

    with h5py.File(tmp_path / "joined.h5") as joined, h5py.File(path) as whole:
        assert list(entries(joined)) == list(entries(whole))


def test_withheld_points(tmp_path):
    bare = trial(markers=Markers(NAMES, 50, np.full((7, 3, 3), np.nan), "y_up"), withheld=True)
    write_dataset(tmp_path / "x.h5", Dataset({"S1": SubjectData((), {"t": bare})}, {"notice": "not for all"}))
    with DatasetFile(tmp_path / "x.h5") as file:
        assert file.trial("S1", "t").withheld
    with h5py.File(tmp_path / "x.h5") as file:
        assert file.attrs["notice"] == "not for all"


def test_trials_must_agree(tmp_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("apart")
    other = trial(motion=Motion((*AXES[:3], "hip_flexion_r"), 50, np.zeros((7, 4)), ROTATIONAL))
    with pytest.raises(InputError, match=r"S1/b and S1/a differ in their coordinates.*hip_flexion_r"):
        write_dataset(tmp_path / "x.h5", Dataset({"S1": SubjectData((), {"a": trial(), "b": other})}))
    write_dataset(folder / "b.h5", Dataset({"S1": SubjectData((), {"b": other})}))
    with pytest.raises(InputError, match=r"S1/b and S1/a differ in their coordinates.*hip_flexion_r"):
        write_dataset(tmp_path / "x.h5", Dataset({"S1": SubjectData((), {"a": trial(), "b": folder / "b.h5"})}))
    with pytest.raises(InputError, match="no trial"):
        write_dataset(tmp_path / "x.h5", Dataset({"S1": SubjectData((), {})}))
    with pytest.raises(InputError, match="cannot name"):
        write_dataset(tmp_path / "x.h5", Dataset({"S1": SubjectData((), {"calibration": trial()})}))
    assert not list(tmp_path.iterdir())


def test_people_turn_round_in_the_room_as_often_as_they_like(tmp_path):
    """Of the pelvis and the thorax, which count in the room: a trial with two turns could not be exported."""
    levels = ("L5-S1", "pelvis", "thorax")
    angles = np.zeros((7, 3, 3))
    angles[:, 1:, 2] = np.linspace(0, 40, 7)[:, None]
    turning = {"levels": levels, "angles": angles, "angles_sd": None, "level_share": None, "forced": {}}
    write_dataset(tmp_path / "x.h5", Dataset({"S1": SubjectData((), {"turning": trial(**turning)})}))
    with DatasetFile(tmp_path / "x.h5") as data:
        np.testing.assert_allclose(data.array("S1", "turning", "simspine/level_angles"), angles, rtol=1e-6)
        np.testing.assert_allclose(data.trial("S1", "turning").angles, angles, rtol=1e-6)
    angles[:, 0, 2] = 40
    with pytest.raises(InputError, match="reaches 40 rad, nobody bends so far"):
        trial(**turning)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lla": np.zeros(6)}, r"TrialData.lla has shape \(6,\), expected \(7\)"),
        ({"levels": ("T12-L1", "T12-L1")}, "TrialData.levels has a name twice: T12-L1, T12-L1"),
        ({"clinical_units": ("deg",)}, "TrialData.clinical_units are deg; expected rad or m for each"),
        ({"tka": np.full(7, 42.8)}, "TrialData.tka reaches 42.8 rad, nobody bends so far. Are these degrees"),
        ({"status": ("kept",) * 6}, "TrialData.status has 6 entries"),
        ({"status": ("keptt",) * 7}, "Did you mean 'kept'"),
        ({"markers": Markers(NAMES, 50, np.zeros((7, 3, 3)))}, "expected 'y_up'"),
        ({"poses": {"pelvis": np.zeros((7, 3, 3))}}, r"poses\['pelvis'\]"),
        ({"motion": Motion(AXES, 50, np.zeros((6, 4)), ROTATIONAL)}, "6 frames, markers 7"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        trial(**change)


def test_clear_errors_when_reading(tmp_path, written):
    with pytest.raises(InputError, match="no such file"):
        DatasetFile(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        DatasetFile(tmp_path / "text.h5")
    (tmp_path / "short.h5").write_bytes(written[0].read_bytes()[:5000])
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        DatasetFile(tmp_path / "short.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not a SIMSPINE data set"):
        DatasetFile(tmp_path / "other.h5")
    shutil.copy(written[0], tmp_path / "odd.h5")
    with h5py.File(tmp_path / "odd.h5", "r+") as file:
        del file["S1/Sitting/timestamps"], file["S1/calibration/K"]
    with DatasetFile(tmp_path / "odd.h5") as file, pytest.raises(InputError, match=r"odd\.h5: S1/Sitting: .*damaged"):
        file.trial("S1", "Sitting")
    with DatasetFile(tmp_path / "odd.h5") as file, pytest.raises(InputError, match=r"odd\.h5: S1: .*damaged"):
        file.cameras("S1")
    with h5py.File(tmp_path / "odd.h5", "r+") as file:
        del file["metadata/kinematic_axes"]
        file["metadata/kinematic_axes"] = 3
    with pytest.raises(InputError, match=r"odd\.h5.*damaged"):
        DatasetFile(tmp_path / "odd.h5")
    with DatasetFile(written[0]) as file:
        with pytest.raises(InputError, match=r"Did you mean 'Sitting'.*Directions_1"):
            file.trial("S1", "Siting")
        with pytest.raises(InputError, match="Available: S1, S5"):
            file.cameras("S7")


def test_degrees_in_the_place_of_radians_are_refused(written, tmp_path):
    path = tmp_path / "degrees.h5"
    shutil.copy(written[0], path)
    with h5py.File(path, "r+") as file:
        file["S1/Sitting/simspine/lla"][:] = 57.5
    with DatasetFile(path) as file:
        with pytest.raises(InputError, match=r"degrees\.h5: simspine/lla reaches 57\.5 rad"):
            file.array("S1", "Sitting", "simspine/lla")
        with pytest.raises(InputError, match=r"lla reaches 57\.5 rad"):
            file.trial("S1", "Sitting")


def test_sentences_of_earlier_files_are_refused(written, tmp_path):
    path = tmp_path / "old.h5"
    shutil.copy(written[0], path)
    with h5py.File(path, "r+") as file:
        file["S1/Sitting/simspine"].attrs["forced"] = json.dumps({"L4-L5": "flexion = 1.857 × L5_S1", "L5-S1": ""})
    with DatasetFile(path) as file, pytest.raises(InputError, match=r"(?s)S1/Sitting.*sentences.*again"):
        file.trial("S1", "Sitting")


def test_the_documentation_lists_every_data_set(written):
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    text = text[text.index("## Data set file") :]
    found = set()
    with h5py.File(written[0]) as file:
        file.visititems(lambda name, item: found.add(name) if isinstance(item, h5py.Dataset) else None)
        found |= set(file["S1/Sitting/simspine"].attrs) | set(file.attrs)
    for name in found:
        folder, _, last = name.rpartition("/")
        if folder.endswith(("/poses", "/models", "/orders", "/checksums")):  # named after bodies, subjects, arrays
            assert f"{folder.rpartition('/')[2]}/<" in text, name
        else:
            assert f"`{last}`" in text or f"/{last}`" in text, name
