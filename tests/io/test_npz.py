"""Archives of other programs: numbers and texts come as NumPy has them, and nothing in them is run."""

import io
import zipfile

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.io.npz import read_npz


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_numbers_and_texts_come_and_pickles_are_left_out(tmp_path):
    numbers, made = np.arange(6, dtype=">f4").reshape(2, 3), tmp_path / "made"
    np.savez(tmp_path / "x.npz", numbers=numbers, texts=np.array(["ä", "b"]), object=np.array(Touch(made), object))
    found = read_npz(tmp_path / "x.npz")
    assert sorted(found) == ["numbers", "texts"]
    np.testing.assert_array_equal(found["numbers"], numbers)
    assert found["texts"].tolist() == ["ä", "b"]
    assert not made.exists()


@pytest.mark.parametrize(("kind", "shape"), [("<U0", (10**10,)), ("<U1", (10**10, 0)), ("<f8", (10**15, 0))])
def test_entries_that_need_no_bytes(tmp_path, kind, shape):
    """Lists of them would fill the memory."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file, file.open("names.npy", "w") as part:
        np.lib.format.write_array_header_1_0(part, {"descr": kind, "fortran_order": False, "shape": shape})
    with pytest.raises(InputError, match="announces"):
        read_npz(tmp_path / "x.npz")


def test_more_than_the_file_can_hold(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**15, 3)})
    with zipfile.ZipFile(tmp_path / "shape.npz", "w") as file:
        file.writestr("x.npy", stream.getvalue())
    with pytest.raises(InputError, match=r"shape\.npz: not a readable archive"):
        read_npz(tmp_path / "shape.npz")
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file, file.open("x.npy", "w") as member:
        member.write(stream.getvalue())
        for _ in range(300):
            member.write(bytes(1 << 20))
    with pytest.raises(InputError, match=r"bomb\.npz: announces 315 MB of numbers in a file of 1\.4 MB"):
        read_npz(path)


@pytest.mark.parametrize("kept", [0, 5, 60, 140])
def test_an_array_cut_short_is_refused(tmp_path, kept):
    np.savez(tmp_path / "whole.npz", x=np.arange(99.0))
    with zipfile.ZipFile(tmp_path / "whole.npz") as archive:
        content = archive.read("x.npy")
    with zipfile.ZipFile(tmp_path / "cut.npz", "w") as archive:
        archive.writestr("x.npy", content[:kept])
    with pytest.raises(InputError, match=r"cut\.npz: not a readable archive"):
        read_npz(tmp_path / "cut.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for values in ([1.0], [2.0]):
            content = io.BytesIO()
            np.save(content, np.array(values))
            archive.writestr("S.npy", content.getvalue())
    with pytest.raises(InputError, match=r"x\.npz: .*it has S\.npy twice"):
        read_npz(tmp_path / "x.npz")
