"""HDF5 files made to read others, to fill the memory, or to lead in circles are refused by every reader of ours."""

import sys

import h5py
import numpy as np
import pytest
from whole_dataset import load

from simspine.core.errors import InputError
from simspine.io import guarded
from simspine.io.atomic import ALWAYS_ALLOWED_BYTES
from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import Dataset, SubjectData, write_dataset
from simspine.io.exchange import read_poses, write_poses
from simspine.io.hdf5 import checked_attribute, checked_values, open_checked, read_store, write_store


@pytest.fixture
def secret(tmp_path):
    """A file that is nobody's business."""
    (tmp_path / "secret").write_bytes(np.arange(12.0).tobytes())
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.arange(12.0)
    return tmp_path


def external_storage(file, where, folder):
    file.create_dataset(where, (12,), "f8", external=[(str(folder / "secret"), 0, 96)])


def external_link(file, where, folder):
    file[where] = h5py.ExternalLink(str(folder / "secret.h5"), "/x")


def soft_link(file, where, folder):
    file[where] = h5py.SoftLink("/elsewhere")


def virtual(file, where, folder):
    layout = h5py.VirtualLayout((12,), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "x", (12,))
    file.create_virtual_dataset(where, layout)


def rows_without_end(file, where, folder):
    file.create_dataset(where, (10**9, 4), "f8", chunks=(1024, 4), compression="gzip")


def bomb(file, where, folder):
    file.create_dataset(where, data=np.zeros(ALWAYS_ALLOWED_BYTES // 8 + 1), chunks=(1 << 20,), compression="gzip")


def circle(file, where, folder):
    group = file.require_group(where)
    group["again"] = group


def same_text(file, where, folder):
    """So many texts of any length that all could be one as long as the file."""
    file.create_dataset(where, data=["x"] * 100_000, dtype=h5py.string_dtype())


def empty_rows(file, where, folder):
    file.create_dataset(where, (10**10, 0), "f8")


ATTACKS = {
    same_text: "announces",
    empty_rows: "announces",
    external_storage: "in another file",
    external_link: "is a link",
    soft_link: "is a link",
    virtual: "in another file",
    rows_without_end: "announces",
    bomb: "announces",
    circle: "does a group hold itself",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_container(secret, attack):
    path = secret / "trial.h5"
    write_store(path, mine=np.zeros(3))
    with h5py.File(path, "a") as file:
        attack(file, "other", secret)
    with pytest.raises(InputError, match=rf"trial\.h5.*{ATTACKS[attack]}"):
        read_store(path)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("where", ["S1/Walking_1/simspine/other", "S1/calibration/other", "metadata/other"])
def test_a_data_set(secret, attack, where, small_trial_of_six):
    path = secret / "data.h5"
    write_dataset(path, Dataset({"S1": SubjectData((), {"Walking_1": small_trial_of_six})}))
    with h5py.File(path, "a") as file:
        attack(file, where, secret)

    def read():
        with DatasetFile(path) as file:
            load(file)

    with pytest.raises(InputError, match=rf"data\.h5.*{ATTACKS[attack]}"):
        read()


@pytest.fixture
def small_trial_of_six():
    from small_takes import make_take

    return make_take(frames=6).trial


def test_a_subject_that_is_a_link(secret):
    path = secret / "data.h5"
    with h5py.File(path, "w") as file:
        file["metadata/markers_names"] = np.array([b"Hip"])
        file["metadata/kinematic_axes"] = np.array([b"pelvis_tx"])
        external_link(file, "S1", secret)
    with DatasetFile(path) as file, pytest.raises(InputError, match=r"data\.h5.*is a link"):
        file.trials("S1")


def _old_store(path):
    """As version 1 had it: attributes of any length."""
    with h5py.File(path, "w") as file:
        file.attrs["simspine_schema"] = 1
        file.create_dataset("a", data=np.zeros(3)).attrs["type"] = "array"


def _poses(path):
    """HDF5 keeps which names belong to an axis as texts are kept."""
    write_poses(50.0, "anna", path, ("Hip", "Neck"), np.zeros((3, 2, 3)))


@pytest.mark.parametrize(("write", "read"), [(_old_store, read_store), (_poses, read_poses)])
def test_a_heap_in_which_the_library_goes_round_and_round(tmp_path, monkeypatch, write, read):
    """An object of free space without a length."""
    path = tmp_path / "x.h5"
    write(path)
    read(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 16
    while content[at : at + 2] != b"\0\0":
        at += 16 + (int.from_bytes(content[at + 8 : at + 16], "little") + 7) // 8 * 8
    content[at + 8 : at + 16] = bytes(8)
    path.write_bytes(content)
    monkeypatch.setattr(guarded, "MIN_READ_SECONDS", 1.0)
    with pytest.raises(InputError, match=r"x\.h5: its reader found no end"):
        read(path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a child's memory may have no limit")
@pytest.mark.parametrize("text", ["Neck", "DeepLabCut"])
@pytest.mark.parametrize("chunks", [None, (1,)])
def test_a_text_that_states_more_bytes_than_its_file_has(tmp_path, text, chunks):
    """The library would make room for 4 GiB before it finds the heap's object shorter. text: in an array, or in an
    attribute."""
    path = tmp_path / "x.h5"

    def read():
        with open_checked(path) as file:
            return [*checked_values(file["names"]), checked_attribute(file, "source")]

    with h5py.File(path, "w") as file:
        file.create_dataset("names", data=["Hip", "Neck"], chunks=chunks, dtype=h5py.string_dtype())
        file.attrs["source"] = "DeepLabCut"
    assert read() == [b"Hip", b"Neck", "DeepLabCut"]
    content = path.read_bytes()
    heap = content.index(b"GCOL").to_bytes(8, "little")
    stated = len(text).to_bytes(4, "little") + heap
    assert content.count(stated) == 1
    path.write_bytes(content.replace(stated, b"\xff\xff\xff\xfe" + heap))
    with pytest.raises(InputError, match=r"x\.h5: a text in it states more bytes than the file can hold"):
        read()
