"""One fault per test: verification names the file, the trial, the frames, and what is wrong."""

import json
import shutil

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from small_dataset import FRAMES, REJECTED, export_small, small_dataset

from simspine.cli.main import main
from simspine.core.errors import InputError
from simspine.dataset.recordings import (
    HDF5_UNITS,
    ManifestEntry,
    manifest_header,
    read_dataset_manifest,
    write_dataset_manifest,
)
from simspine.dataset.verify import verify_dataset
from simspine.io.dataset_write import write_dataset


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


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def chunk_of(path, array, number):
    """(offset, size) in the file of a chunk."""
    with h5py.File(path) as file:
        info = file[array].id.get_chunk_info(number)
        return info.byte_offset, info.size


def again(folder):
    """A new manifest of what is there, as if it had been exported so."""
    files = {
        n: ManifestEntry(e["kind"], e["rows"], e["units"], e["trials"])
        for n, e in read_dataset_manifest(folder)["files"].items()
    }
    origin = {"configuration_hash": "", "versions": {}, "notice": ""}
    write_dataset_manifest(folder, files, manifest_header("tiny", "hdf5", origin, {}))


def test_a_whole_data_set(exported):
    assert texts(exported) == []
    assert texts(exported / "manifest.json") == []
    assert texts(exported / "tiny.h5") == []
    done = CliRunner().invoke(main, ["verify", str(exported)])
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
    done = CliRunner().invoke(main, ["verify", str(copy)])
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


def changed(tmp_path, change):
    """A data set exported with something wrong in it, which its manifest agrees with."""
    data = small_dataset()
    write_dataset(tmp_path / "tiny.h5", data)
    with h5py.File(tmp_path / "tiny.h5", "r+") as file:
        change(file)
    files = {"tiny.h5": ManifestEntry("hdf5", sum(FRAMES.values()), HDF5_UNITS, FRAMES)}
    write_dataset_manifest(tmp_path, files, manifest_header("tiny", "hdf5", data.provenance, {}))
    return texts(tmp_path)


def test_a_duplicated_frame_by_its_time(tmp_path):
    def change(file):
        for name in ("timestamps", "markers", "kinematics"):
            data = file["S1/Walking_1"][name]
            values = data[:]
            values[101:] = values[100:-1]
            data[...] = values

    found = changed(tmp_path, change)
    assert any(f.startswith("fault: tiny.h5, S1/Walking_1, frames 101: time stands still") for f in found)


def test_a_missing_frame(tmp_path):
    def change(file):
        times = file["S5/Sitting/timestamps"][:]
        times[20:] += 1 / 50
        file["S5/Sitting/timestamps"][...] = times

    assert any("S5/Sitting, frames 20: time jumps" in text for text in changed(tmp_path, change))


@pytest.mark.parametrize(("factor", "unit"), [(1000.0, "mm"), (100.0, "cm")])
def test_a_wrong_unit(tmp_path, factor, unit):
    def change(file):
        file["S5/Sitting/markers"][...] = file["S5/Sitting/markers"][:] * factor

    (found,) = changed(tmp_path, change)
    assert found.startswith("fault: tiny.h5, S5/Sitting: the points are")
    assert found.endswith(f"look like {unit}")


def test_a_wrong_unit_by_its_name(tmp_path):
    def change(file):
        file["S5/Sitting/markers"].attrs["units"] = "mm"

    assert changed(tmp_path, change) == ["fault: tiny.h5, S5/Sitting: markers says it is in 'mm', expected 'm'"]


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

    def test_a_line_twice(self, copy):
        path = copy / "S1_Walking_2.trc"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([*lines[:50], lines[49], *lines[50:]]))
        again(copy)
        (found,) = texts(copy)
        assert "S1/Walking_2" in found
        assert "line 51" in found or "time" in found.lower()

    def test_a_header_that_says_mm(self, copy):
        path = copy / "S1_Walking_2.trc"
        path.write_text(path.read_text().replace("\tm\t", "\tmm\t"))
        again(copy)
        (found,) = texts(copy)
        assert "mm" in found

    def test_millimetres_under_a_header_that_says_m(self, copy):
        from simspine.io.trc import write_trc

        markers = small_dataset().subjects["S1"].trials["Walking_2"].markers
        write_trc(copy / "S1_Walking_2.trc", markers.with_(xyz=1000 * markers.xyz))
        again(copy)
        assert any("S1_Walking_2.trc" in text for text in texts(copy))

    def test_a_table_cut_short(self, copy):
        path = copy / "S1_Walking_2.mot"
        path.write_bytes(path.read_bytes()[:-4000])
        found = texts(copy)
        assert "cut short" in found[0]
        assert len(found) > 1  # and what the reader says of what is left


def test_the_manifest_itself(copy):
    path = copy / "manifest.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=r"not the manifest of an export.* \(line \d+, column \d+: "):
        verify_dataset(copy)
    path.write_text("{}")
    with pytest.raises(InputError, match="'manifest' is missing"):
        verify_dataset(copy)
    (copy / "x.trc").write_text("PathFileType")
    with pytest.raises(InputError, match=r"x\.trc: expected a folder of results, its manifest\.json, or"):
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


def test_rejected_frames_are_no_fault(exported):
    assert REJECTED
    assert texts(exported) == []


@pytest.mark.parametrize("name", ["../outside.h5", "/etc/passwd", "a/../../b", "a/./b", "C:/x", "a//b", "con"])
def test_a_manifest_cannot_name_files_elsewhere(copy, name):
    """Nothing outside the folder is opened, so nothing is learned of it."""
    file = copy / "manifest.json"
    content = json.loads(file.read_text())
    content["files"][name] = next(iter(content["files"].values()))
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="cannot be the name of a file"):
        verify_dataset(copy)


@pytest.mark.parametrize(
    ("array", "value", "message"),
    [
        ("lla", 1e300, "lla holds angles of more than a turn"),
        ("level_angles", -7.0, "level_angles holds angles of more than a turn"),
        ("kinematics_sd", -5.0, "kinematics_sd holds negative standard deviations"),
    ],
)
def test_numbers_that_cannot_be_are_named(copy, array, value, message):
    path = next(copy.glob("*.h5"))
    with h5py.File(path, "r+") as file:
        place = next(f"{s}/{t}/simspine/{array}" for s in file for t in file[s] if f"{t}/simspine/{array}" in file[s])
        file[place][...] = value
    assert any(message in text and place.split("/")[1] in text for text in texts(path))
