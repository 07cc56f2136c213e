"""One fault per test: verification names the file, the trial, the frames, and what is wrong."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest
from command_line import call
from small_dataset import LEVELS, REJECTED, export_small, small_dataset

import simspine as ss
from simspine.anatomy.body import neutral_motion
from simspine.anatomy.recipes import build_body
from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Motion
from simspine.dataset.recordings import ManifestEntry, write_dataset_manifest
from simspine.dataset.verify import verify_dataset
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, write_dataset
from simspine.io.hdf5 import write_store
from simspine.reconstruction.publish import body_points


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export_small(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def copy(exported, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(exported, folder)
    return folder


def texts(folder, **options):
    return [str(fault) for fault in verify_dataset(folder, **options)]


def test_a_file_of_a_stage_is_no_damaged_data_set(tmp_path):
    """It was called damaged."""
    write_store(tmp_path / "walk.h5", rate=50.0)
    with pytest.raises(InputError, match="is a stage's file, no data set"):
        verify_dataset(tmp_path / "walk.h5")


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def chunk_of(path, array, number):
    """(offset, size) in the file of a chunk."""
    with h5py.File(path) as file:
        info = file[array].id.get_chunk_info(number)
        return info.byte_offset, info.size


def test_a_whole_data_set(exported):
    """Its rejected frames are no fault."""
    assert REJECTED
    assert texts(exported) == []
    assert texts(exported / "manifest.json") == []
    assert texts(exported / "tiny.h5") == []
    done = call("verify", exported)
    assert (done.exit_code, done.output.strip().endswith("whole.")) == (0, True)


@pytest.mark.parametrize(("array", "chunk"), [
    ("S1/Walking_1/markers", 1), ("S1/Walking_1/kinematics", 0), ("S5/Sitting/simspine/lla", 0),
])  # fmt: skip
def test_a_flipped_byte(copy, array, chunk):
    offset, size = chunk_of(copy / "tiny.h5", array, chunk)
    flip(copy / "tiny.h5", offset + size // 2)
    trial, name = "/".join(array.split("/")[:2]), "/".join(array.split("/")[2:])
    found = texts(copy)
    assert f"fault: tiny.h5, {trial}: {name} is damaged" in found
    assert len(found) == 2  # and that the file is not the manifest's
    assert "differs from its checksum" in found[0]
    assert texts(copy / "tiny.h5") == found[1:]  # by itself, without a manifest
    done = call("verify", copy)
    assert done.exit_code == 1
    assert f"{trial}: {name} is damaged" in done.output


def test_every_byte_matters(exported, copy):
    """Wherever a byte is flipped, the file is reported; sampled over the whole file."""
    path = copy / "tiny.h5"
    whole = (exported / "tiny.h5").read_bytes()
    for at in np.random.default_rng(0).integers(0, len(whole), 12):
        path.write_bytes(whole)
        flip(path, at)
        assert any(text.startswith("fault: tiny.h5") for text in texts(copy)), at


@pytest.mark.parametrize("at", [2486, 3593])
def test_a_block_of_zeros_in_the_structure(copy, at):
    """HDF5 2.0 would look without end for texts of attributes lost there; the damage is reported all the same."""
    path = copy / "tiny.h5"
    content = bytearray(path.read_bytes())
    content[at : at + 4096] = bytes(4096)
    path.write_bytes(content)
    assert any("differs from its checksum" in text for text in texts(copy))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file(copy, share):
    path = copy / "tiny.h5"
    content = path.read_bytes()
    left = int(share * len(content))
    path.write_bytes(content[:left])
    by_itself = texts(path)
    assert texts(copy) == [f"fault: tiny.h5: cut short: {left} bytes, the manifest has {len(content)}", *by_itself]
    assert len(by_itself) == 1
    assert by_itself[0].startswith("fault: tiny.h5: cannot be read as HDF5")


def test_an_unreadable_trial(copy):
    """Its group's address leads nowhere: the trial is named, and the others are still read."""
    path = copy / "tiny.h5"
    with h5py.File(path) as file:
        at = h5py.h5o.get_info(file["S5/Sitting"].id).addr
    flip(path, at)  # the version number of the group's header
    found = texts(copy)
    assert any("S5/Sitting" in text and "is damaged" in text for text in found[1:])
    assert not any("S1/Walking_1" in text for text in found)


def test_a_missing_trial(copy):
    with h5py.File(copy / "tiny.h5", "r+") as file:
        del file["S1/Walking_2"]
    assert "fault: tiny.h5, S1/Walking_2: the trial is missing from the file" in texts(copy)


def test_a_missing_file(copy):
    (copy / "S1_Walking_2.trc").unlink()
    assert texts(copy) == [
        "fault: S1_Walking_2.trc, S1/Walking_2: the file is missing (holds S1/Walking_2, 150 frames)"
    ]


def test_a_missing_array_and_a_short_one(copy):
    with h5py.File(copy / "tiny.h5", "r+") as file:
        del file["S1/Walking_2/kinematics"]
        times = file["S5/Sitting/timestamps"][:-3]
        del file["S5/Sitting/timestamps"]
        file["S5/Sitting/timestamps"] = times
    found = texts(copy)
    assert "fault: tiny.h5, S1/Walking_2: kinematics is missing" in found
    assert "fault: tiny.h5, S5/Sitting, frames 37–39: timestamps has 37 frames, expected 40" in found


def test_another_version_of_the_file(copy):
    """Whole in itself, but not what the manifest describes."""
    data = small_dataset()
    write_dataset(copy / "tiny.h5", type(data)({"S1": data.subjects["S1"]}, data.provenance))
    found = texts(copy)
    assert any("the manifest has" in text for text in found)
    assert "fault: tiny.h5, S5/Sitting: the trial is missing from the file" in found


class TestTables:
    def test_a_flipped_byte(self, copy):
        path = copy / "S1_Walking_2.trc"
        content = path.read_bytes()
        flip(path, len(content) // 2)
        assert "fault: S1_Walking_2.trc, S1/Walking_2: differs from its checksum in the manifest" in texts(copy)

    def test_a_table_cut_short(self, copy):
        path = copy / "S1_Walking_2.mot"
        path.write_bytes(path.read_bytes()[:-4000])
        assert "S1_Walking_2.mot, S1/Walking_2: cut short" in texts(copy)[0]


def test_the_manifest_itself(copy):
    path = copy / "manifest.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=r"not the manifest of an export.* \(line \d+, column \d+: "):
        verify_dataset(copy)
    path.write_text("{}")
    with pytest.raises(InputError, match="'manifest' is missing"):
        verify_dataset(copy)
    (copy / "x.trc").write_text("PathFileType")
    with pytest.raises(InputError, match=r"x\.trc is another file; expected a folder of results, its manifest"):
        verify_dataset(copy / "x.trc")
    (copy / "x.h5").write_text("no")
    assert texts(copy / "x.h5") == ["fault: x.h5: cannot be read as HDF5 (it does not begin as an HDF5 file does)"]
    path.unlink()
    with pytest.raises(InputError, match="expected a folder of results"):
        verify_dataset(copy)
    with pytest.raises(InputError, match="does not exist"):
        verify_dataset(copy / "nowhere")
    path.write_text(json.dumps({"manifest": 99, "files": {}}))
    with pytest.raises(InputError, match="Update simspine"):
        verify_dataset(copy)


def test_no_other_file_is_opened_and_no_group_twice(copy):
    """A pipe would be waited for, and two links to the group that holds them double the work with each level."""
    os.mkfifo(copy / "pipe.h5")
    with h5py.File(copy / "tiny.h5", "a") as file:
        del file["S1/Walking_1/markers"]
        for place in ("S1/Walking_1/markers", "S2", "S1/Other"):
            file[place] = h5py.ExternalLink(str(copy / "pipe.h5"), "/x")
        group = file["S5"]
        group["again"] = group["once more"] = group
        file.create_dataset("S5/Sitting/empty", (10**9,), "f8")
    found = "\n".join(map(str, verify_dataset(copy / "tiny.h5")))
    for said in ("S2 is damaged", "S1/Other: it is", "Walking_1: markers is damaged", "S5/again", "Sitting: empty is"):
        assert said in found


def test_an_array_that_is_another_one_is_neither_read_nor_whole(copy):
    """lla is a link to tka, of the same trial or of another: 35° of lordosis for 57°."""
    path = copy / "tiny.h5"
    for trial in ("S1/Walking_1", "S1/Walking_2"):
        with h5py.File(path, "r+") as file:
            del file["S1/Walking_1/simspine/lla"]
            file["S1/Walking_1/simspine/lla"] = file[f"{trial}/simspine/tka"]
        assert any("S1/Walking_1: simspine/lla is damaged" in text for text in texts(path))
        with ss.open_dataset(path) as data, pytest.raises(InputError, match="the same as another array"):
            data["S1", "Walking_1"].read()


def test_all_that_is_wrong_is_listed(copy):
    """Of two subjects and three trials none hides the others, by itself or with a manifest."""
    path = copy / "tiny.h5"
    with h5py.File(path, "r+") as file:
        file["S1/Walking_1/simspine/kinematics_sd"][5] = -1.0
        file["S1/Walking_2/simspine"].attrs["rate"] = 25.0
        del file["S5/Sitting/simspine/status"]
        file["S5/Sitting/simspine/status"] = np.full(40, b"good")
    for options in ({}, {"kinematics": True}):
        found = texts(path, **options)
        for trial, said in (("Walking_1", "negative"), ("Walking_2", "do not fit the timestamps"), ("Sitting", "good")):
            assert [text for text in found if trial in text and said in text], (trial, found)


def test_angles_in_degrees_that_the_file_calls_radians_are_refused(copy):
    """A knee of 60 rad; the pelvis of somebody who turns round again and again is another matter."""
    path = copy / "tiny.h5"
    with h5py.File(path, "r+") as file:
        axes, values = file["metadata/kinematic_axes"][()].tolist(), file["S1/Walking_1/kinematics"][()]
        values[20, axes.index(b"pelvis_tilt")] = np.degrees(30.0)
        file["S1/Walking_1/kinematics"][...] = values
    with ss.open_dataset(path) as data:
        assert data["S1", "Walking_1"].read().motion.frames == 300
    with h5py.File(path, "r+") as file:
        values[20, axes.index(b"L5_S1_Flex_Ext")] = np.degrees(30.0)
        file["S1/Walking_1/kinematics"][...] = values
    with ss.open_dataset(path) as data, pytest.raises(InputError, match="L5_S1_Flex_Ext reaches 30 rad, nobody bends"):
        data["S1", "Walking_1"].read()


def test_an_array_in_the_place_of_a_subject_is_refused(copy):
    with h5py.File(copy / "tiny.h5", "r+") as file:
        file["S9"] = np.ones(3)
    with ss.open_dataset(copy / "tiny.h5") as data, pytest.raises(InputError, match="S9 is an array, expected a group"):
        data.to_dataframe()
    assert any("S9" in text for text in texts(copy / "tiny.h5"))


def test_cameras_that_cannot_be_read_are_a_fault(copy):
    with h5py.File(copy / "tiny.h5", "r+") as file:
        file["S5/calibration/K"][...] = np.nan
    assert [text for text in texts(copy / "tiny.h5") if text.startswith("fault: tiny.h5, S5: ")]


def uneven(times):
    times[3:-1] += 0.4


def exchanged(times):
    times[[4, 9]] = times[[9, 4]]


def missing(times):
    times[5] = np.nan


@pytest.mark.parametrize("change", [uneven, exchanged, missing])
def test_times_that_are_not_even_are_refused(copy, change):
    """In arrays and windows they were read as they were."""
    path = copy / "tiny.h5"
    with h5py.File(path, "r+") as file:
        times = file["S1/Walking_1/timestamps"][()]
        change(times)
        file["S1/Walking_1/timestamps"][...] = times
    with ss.open_dataset(path) as data:
        for read in (data["S1", "Walking_1"].array, lambda *_: data["S1", "Walking_1"].read()):
            with pytest.raises(InputError, match=r"Walking_1.*: timestamps do not increase evenly"):
                read("time")
    assert any("Walking_1" in text for text in texts(path))


@pytest.mark.parametrize(
    "change", [lambda x: x[:100], lambda x: np.nan_to_num(x).astype(int), lambda x: x.astype(complex)]
)
@pytest.mark.parametrize("name", ["markers", "kinematics", "timestamps", "simspine/lla"])
def test_arrays_of_another_length_or_kind_are_refused(copy, name, change):
    """Half of the markers gave half of the trial, whole numbers of metres a person of one size."""
    path = copy / "tiny.h5"
    with h5py.File(path, "r+") as file:
        values = change(file[f"S1/Walking_1/{name}"][()])
        del file[f"S1/Walking_1/{name}"]
        file[f"S1/Walking_1/{name}"] = values
    with ss.open_dataset(path) as data:
        with pytest.raises(InputError, match="expected floats, equally many"):
            data["S1", "Walking_1"].read()
        assert data["S1", "Walking_2"].read().markers.frames == 150
    assert any("Walking_1" in text for text in texts(path))


@pytest.mark.parametrize("entry", [{"size": "big"}, {"trials": [1]}, {"trials": {"S1/Walking_1": "x"}}, {"trials": 3}])
def test_a_manifest_of_other_types_is_refused(copy, entry):
    file = copy / "manifest.json"
    content = json.loads(file.read_text())
    content["files"]["tiny.h5"] |= entry
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="not the manifest of an export"):
        verify_dataset(copy)


def test_long_names_of_a_subject_and_a_trial_together_are_names_of_files(copy):
    """80 characters each, as a configuration allows; a run wrote the manifest and refused it at its last step."""
    name = f"{'s' * 80}_{'t' * 80}_ik_marker_errors.sto"
    (copy / name).write_text("x")
    write_dataset_manifest(copy, {name: ManifestEntry("sto")}, {})
    assert verify_dataset(copy) == []


@pytest.mark.parametrize("name", ["../outside.h5", "/etc/passwd", "a/../../b", "a/./b", "C:/x", "a//b", "con"])
def test_a_manifest_cannot_name_files_elsewhere(copy, name):
    """Nothing outside the folder is opened, so nothing is learned of it."""
    file = copy / "manifest.json"
    content = json.loads(file.read_text())
    content["files"][name] = next(iter(content["files"].values()))
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="cannot be the name of a file"):
        verify_dataset(copy)


@pytest.fixture(scope="module")
def with_model(tmp_path_factory):
    """A data set whose points are on the body of its file, in four frames of which the first is not solved."""
    body = build_body("coupled", "simspine37")
    values = np.tile(neutral_motion(body, {"pelvis_ty": 0.95}).values[0], (4, 1))
    values[2:, body.coordinates.index("hip_flexion_r")] = 0.6
    values[0] = np.nan
    motion = Motion(body.coordinates.names, 50, values, body.coordinates.rotational)
    points, centres = (body_points(body, motion, names) for names in (load_skeleton("simspine37").names, LEVELS))
    angles = {name: np.full(4, 0.3) for name in ("lla", "tka", "lla_sd", "tka_sd")}
    trial = TrialData(
        points, motion.with_(deviation=np.full(values.shape, 0.1)), centres=centres, levels=("L5-S1",),
        angles=np.full((4, 1, 3), 0.2), angles_sd=np.full((4, 1, 3), 0.06), **angles,
        clinical_names=("knee_flexion_r", "shoulder_plane_r", "coronal_balance"), clinical_units=("rad", "rad", "m"),
        clinical=np.full((4, 3), [0.5, 6.5, 0.02]), clinical_sd=np.full((4, 3), 0.1),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("with_model") / "body.h5"
    write_dataset(path, Dataset({"S1": SubjectData((), {"bow": trial}, body.osim)}))
    assert texts(path) == texts(path, kinematics=True) == []
    return path


def changed(array, change):
    """A function that changes an array of a trial in an open file."""

    def write(file):
        file[f"S1/bow/{array}"][...] = change(file[f"S1/bow/{array}"][()])

    return write


def two_names_exchanged(file):
    names = file["metadata/markers_names"][()]
    names[[1, 2]] = names[[2, 1]]
    file["metadata/markers_names"][...] = names


@pytest.mark.parametrize(("change", "said"), [
    (changed("markers", lambda xyz: 1000 * xyz), "m across in a frame"),
    (changed("simspine/centres", lambda xyz: xyz / 1000), "m across in a frame"),
    (changed("simspine/level_angles", np.degrees), "nobody bends"),
    (changed("simspine/lla_sd", np.degrees), "no angle is so uncertain"),
    (changed("simspine/level_angles_sd", lambda sd: 1000 * sd), "no angle is so uncertain"),
    (changed("simspine/kinematics_sd", np.degrees), "hip_flexion_r_sd reaches 5.73 rad, no angle is so uncertain"),
    (changed("simspine/clinical", np.degrees), "knee_flexion_r reaches 28.6 rad, nobody bends so far"),
])  # fmt: skip
def test_points_and_deviations_in_other_units_are_not_read(with_model, tmp_path, change, said):
    """By themselves, in a trial, and by `verify`."""
    path = shutil.copy(with_model, tmp_path)
    with h5py.File(path, "r+") as file:
        change(file)
    with ss.open_dataset(path) as data, pytest.raises(InputError, match=said):
        data["S1", "bow"].read()
    assert [text for text in texts(path) if said in text]


@pytest.mark.parametrize("change", [
    changed("markers", lambda xyz: -xyz), changed("markers", lambda xyz: 1.01 * xyz),
    changed("simspine/centres", lambda xyz: xyz[..., ::-1]), two_names_exchanged,
])  # fmt: skip
def test_points_that_contradict_the_angles_are_found_in_one_frame(with_model, tmp_path, change):
    path = shutil.copy(with_model, tmp_path)
    with h5py.File(path, "r+") as file:
        change(file)
    (found,) = texts(path)
    assert "S1/bow: the points are not the forward kinematics of the angles" in found


def test_points_of_all_frames_are_compared_if_asked(with_model, tmp_path):
    path = shutil.copy(with_model, tmp_path)
    with h5py.File(path, "r+") as file:
        file["S1/bow/markers"][3, 5] += 0.01
    assert texts(path) == []
    (found,) = texts(path, kinematics=True)
    assert "frames 3–3, 17.3 mm off" in found
