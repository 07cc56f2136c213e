"""Values of CDF files as cdflib has them, in both byte orders, plain and packed; damage is refused."""

import struct

import cdflib
import numpy as np
import pytest
from cdflib import cdfwrite

from simspine.errors import InputError
from simspine.formats.cdf import CdfFile

VALUES = np.random.default_rng(0).normal(size=(7, 3, 4))


def write(path, *, major="row_major", encoding=6, packed=0, whole=0, records=VALUES, kind=45, dims=(True, True)):
    variable = {
        "Variable": "Pose", "Data_Type": kind, "Num_Elements": 1, "Rec_Vary": True,
        "Dim_Sizes": list(records.shape[1:]), "Dim_Vary": list(dims), "Var_Type": "zVariable", "Compress": packed,
    }  # fmt: skip
    file = cdfwrite.CDF(path, cdf_spec={"Majority": major, "Encoding": encoding, "Compressed": whole}, delete=True)
    file.write_var({**variable, "Variable": "before"}, var_data=records)
    file.write_var(variable, var_data=records)
    file.close()
    return path


@pytest.mark.parametrize("major", ["row_major", "column_major"])
@pytest.mark.parametrize("encoding", [1, 6])
@pytest.mark.parametrize("packing", [{}, {"packed": 6}, {"whole": 6}])
@pytest.mark.parametrize("kind", [44, 45, 4])
def test_values_are_those_of_cdflib(tmp_path, major, encoding, packing, kind):
    records = VALUES if kind != 4 else np.round(100 * VALUES).astype("i4")
    path = write(tmp_path / "a.cdf", major=major, encoding=encoding, kind=kind, records=records, **packing)
    file = CdfFile(path)
    assert list(file.variables) == ["before", "Pose"]
    wanted = cdflib.CDF(path).varget("Pose")
    found = file.read(file.variables["Pose"])
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(found, wanted)


def test_many_blocks(tmp_path):
    records = np.random.default_rng(1).normal(size=(30_000, 4, 3))
    path = write(tmp_path / "a.cdf", records=records, packed=6)
    file = CdfFile(path)
    np.testing.assert_array_equal(file.read(file.variables["Pose"]), records)


def test_announced_records(tmp_path):
    """2^31 records of 96 bytes: refused before memory is asked for."""
    path = write(tmp_path / "a.cdf")
    content = bytearray(path.read_bytes())
    at = content.index(b"Pose\0") - 84 + 24  # VDR: size 8, type 4, next 8, data type 4, then the last record
    assert struct.unpack(">i", content[at : at + 4]) == (len(VALUES) - 1,)
    content[at : at + 4] = b"\x7f\xff\xff\xf0"
    path.write_bytes(content)
    file = CdfFile(path)
    with pytest.raises(InputError, match=r"a\.cdf: announces 206,158 MB"):
        file.read(file.variables["Pose"])


def test_an_index_that_leads_to_itself(tmp_path):
    path = write(tmp_path / "a.cdf")
    content = bytearray(path.read_bytes())
    at = content.index(b"Pose\0") - 84 + 28
    index = struct.unpack(">q", content[at : at + 8])[0]
    content[index + 12 : index + 20] = struct.pack(">q", index)
    path.write_bytes(content)
    file = CdfFile(path)
    with pytest.raises(ValueError, match="circle"):
        file.read(file.variables["Pose"])
