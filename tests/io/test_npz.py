"""Archives with pickles: those of NumPy come back as NumPy reads them, and no other does anything."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.io.npz import read_npz


def archive(path, **members: bytes):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def boxed(pickled: bytes) -> bytes:
    """An .npy member of one object, with this pickle in the place of NumPy's."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    return stream.getvalue() + pickled


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_as_numpy_reads_it(tmp_path, protocol):
    shared = np.arange(6, dtype=">f4").reshape(2, 3)
    content = {
        "S1": {"Walking": shared, "again": shared, "empty": np.zeros((0, 3)), "columns": np.asfortranarray(shared)},
        "views": [np.array([1, 2], "i8"), np.array(["ä", "b"]), np.array([b"x"]), np.array([True])],
        "plain": (1, 2.5, None, "text", b"bytes", np.float32(3)), 4: np.array([{"a": 1.0}, None], object),
    }  # fmt: skip
    whole = np.empty((), object)
    whole[()] = content
    path = archive(tmp_path / "x.npz", data=boxed(pickle.dumps(whole, protocol)), plain=_npy(shared))
    found = read_npz(path)
    np.testing.assert_equal(found["data"], content)
    assert found["data"]["S1"]["Walking"].dtype == shared.dtype
    np.testing.assert_array_equal(found["plain"], shared)


def _npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


class Evil:
    def __init__(self, call, *arguments):
        self.made = call, arguments

    def __reduce__(self):
        return self.made


@pytest.mark.parametrize(
    ("call", "arguments"),
    [(eval, ("open('y', 'w')",)), (print, ()), (np.load, ("x",)), (np.zeros, (10**12,)), (bytearray, (10**9,))],
)
def test_nothing_is_run(tmp_path, monkeypatch, call, arguments):
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "evil.npz", data=boxed(pickle.dumps(Evil(call, *arguments), 2)))
    with pytest.raises(InputError, match=r"evil\.npz: .*wants to run"):
        read_npz(path)
    assert not (tmp_path / "y").exists()


def test_a_mark_beyond_the_file_asks_for_no_memory(tmp_path):
    """LONG_BINPUT: the unpickler would make a table of twice as many entries."""
    path = archive(tmp_path / "mark.npz", data=boxed(b"\x80\x02]r\xff\xff\xff\x7f."))
    with pytest.raises(InputError, match=r"mark\.npz: .*a mark of 2147483647"):
        read_npz(path)


def test_lists_that_hold_themselves_or_each_other(tmp_path):
    again: list = []
    again.append(again)
    with pytest.raises(InputError, match="levels of dictionaries"):
        read_npz(archive(tmp_path / "a.npz", data=boxed(pickle.dumps(again, 2))))
    double: list = []
    for _ in range(25):  # 2^25 entries if written out; told apart by identity they are 25
        double = [double, double]
    assert len(read_npz(archive(tmp_path / "b.npz", data=boxed(pickle.dumps(double, 2))))["data"]) == 2


def test_more_than_the_file_can_hold(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)})
    with pytest.raises(InputError, match=r"shape\.npz.*more than is there"):
        read_npz(archive(tmp_path / "shape.npz", x=stream.getvalue()))
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file, file.open("x.npy", "w") as member:
        member.write(stream.getvalue())
        for _ in range(300):
            member.write(bytes(1 << 20))
    with pytest.raises(InputError, match=r"bomb\.npz: announces 315 MB of numbers in a file of 1\.4 MB"):
        read_npz(path)


def test_a_folder_and_nothing(tmp_path):
    with pytest.raises(InputError, match="folder"):
        read_npz(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_npz(tmp_path / "x.npz")
