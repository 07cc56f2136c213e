"""CDF pose files: round trip, an independent reading, equal bytes, damage."""

import gzip
import os
import struct
import sys

import cdflib
import numpy as np
import pytest
from cdflib import cdfwrite

from simspine.core.errors import InputError
from simspine.io import guarded
from simspine.io.human36m import copy


@pytest.fixture
def poses():
    return np.random.default_rng(1).normal(0, 1500, (40, 32, 3))


def write_variable(path, name, values, kind=45, packed=6, **of_file):
    """A CDF with one variable, by the library alone."""
    variable = {"Variable": name, "Data_Type": kind, "Num_Elements": 1, "Rec_Vary": True, "Var_Type": "zVariable"}
    variable |= {"Dim_Sizes": list(values.shape[1:]), "Dim_Vary": [True] * (values.ndim - 1), "Compress": packed}
    file = cdfwrite.CDF(path, cdf_spec={"Majority": "row_major"} | of_file, delete=True)
    file.write_var(variable, var_data=values)
    file.close()
    return path


def test_layout_is_the_official_one(tmp_path, poses):
    """As VideoPose3D and h36m-fetch read it: variable Pose, 1 × frames × 96."""
    copy.write_pose(tmp_path / "a.cdf", poses)
    file = cdflib.CDF(tmp_path / "a.cdf")
    assert file["Pose"].shape == (1, 40, 96)
    np.testing.assert_array_equal(file["Pose"].reshape(-1, 32, 3), np.float32(poses))
    cdflib.CDF(tmp_path / "a.cdf", validate=True)  # its own checksum


@pytest.mark.parametrize("majority", ["row_major", "column_major"])
@pytest.mark.parametrize("encoding", [1, 6])  # big and little endian
@pytest.mark.parametrize("packing", [{"packed": 0}, {"packed": 6}, {"packed": 0, "Compressed": 6}])
@pytest.mark.parametrize(("kind", "dtype"), [(44, "f4"), (45, "f8"), (4, "i4")])
def test_reads_what_the_library_can_write(tmp_path, poses, majority, encoding, packing, kind, dtype):
    values = poses.reshape(40, 96).astype(dtype)
    path = write_variable(tmp_path / "a.cdf", "Pose", values, kind, Majority=majority, Encoding=encoding, **packing)
    np.testing.assert_array_equal(copy.read_pose(path), values.reshape(-1, 32, 3))


def test_damage_is_an_error_that_names_the_file(tmp_path, poses):
    whole = tmp_path / "whole.cdf"
    copy.write_pose(whole, poses)
    data = whole.read_bytes()
    part = tmp_path / "part.cdf"
    for length in (1, 200, 2000, len(data) // 2):
        part.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"part\.cdf"):
            copy.read_pose(part)
    part.write_bytes(data[:20] + b"\xff" * 8 + data[28:])  # a record past the end of every file
    with pytest.raises(InputError, match=r"part\.cdf: cannot be read as CDF"):
        copy.read_pose(part)
    part.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        copy.read_pose(part)
    part.write_text("<html>Please log in</html>" * 50)  # what a download without login leaves
    with pytest.raises(InputError, match="cannot be read as CDF"):
        copy.read_pose(part)
    with pytest.raises(InputError, match="no such file"):
        copy.read_pose(tmp_path / "none.cdf")


def _changed(path, offset, value):
    """The file with other bytes at a place in the record of its variable `Pose` (see NASA's CDF format, VDR)."""
    content = bytearray(path.read_bytes())
    at = content.index(b"Pose\0") - 84 + offset
    content[at : at + len(value)] = value
    path.write_bytes(content)


def test_announced_records(tmp_path, poses):
    """2^31 records of 768 bytes are not to be had."""
    path = write_variable(tmp_path / "a.cdf", "Pose", poses.reshape(40, 96))
    _changed(path, 24, b"\x7f\xff\xff\xf0")
    with pytest.raises(InputError, match=r"a\.cdf: cannot be read as CDF"):
        copy.read_pose(path)


@pytest.mark.parametrize("place", [44, 48, 56, 60])
def test_counts_of_the_header(tmp_path, poses, place):
    """2^31 - 1 variables of each kind, attributes, dimensions (GDR): cdflib would look for each."""
    path = write_variable(tmp_path / "a.cdf", "Pose", poses.reshape(40, 96))
    content = bytearray(path.read_bytes())
    header = struct.unpack(">q", content[20:28])[0]
    content[header + place : header + place + 4] = b"\x7f\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.cdf: .* announces more records than the file can hold"):
        copy.read_pose(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of time")
def test_an_index_without_end_costs_its_limit_of_time(tmp_path, poses, monkeypatch):
    assert guarded.MIN_READ_SECONDS <= 3.0
    monkeypatch.setattr(guarded, "MIN_READ_SECONDS", 1.0)
    path = write_variable(tmp_path / "a.cdf", "Pose", poses.reshape(40, 96))
    content = bytearray(path.read_bytes())
    at = content.index(b"Pose\0") - 84 + 28
    index = struct.unpack(">q", content[at : at + 8])[0]
    content[index + 24 : index + 28] = b"\x7f\xff\xff\xff"  # entries in use (VXR)
    path.write_bytes(content)
    before = os.times()
    with pytest.raises(InputError, match=r"a\.cdf: its reader found no end in (1|6) s"):
        copy.read_pose(path)
    spent = os.times()
    assert spent.children_user + spent.children_system - before.children_user - before.children_system < 3


def test_an_index_that_leads_to_itself(tmp_path, poses):
    path = write_variable(tmp_path / "a.cdf", "Pose", poses.reshape(40, 96))
    content = bytearray(path.read_bytes())
    at = content.index(b"Pose\0") - 84 + 28
    index = struct.unpack(">q", content[at : at + 8])[0]
    content[index + 12 : index + 20] = struct.pack(">q", index)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.cdf: cannot be read as CDF"):
        copy.read_pose(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
def test_a_packed_file_that_would_fill_the_memory(tmp_path, poses):
    """Half a GB of zeros, which GZIP makes half a MB; nothing is left in the folder for temporary files."""
    path = write_variable(tmp_path / "a.cdf", "Pose", poses.reshape(40, 96), packed=0, Compressed=6)
    content = path.read_bytes()
    bomb = gzip.compress(bytes(1 << 26)) * 8
    record = struct.pack(">q", 32 + len(bomb)) + content[16:20] + struct.pack(">q", 40 + len(bomb)) + content[28:40]
    parameters = content[struct.unpack(">q", content[20:28])[0] :]
    path.write_bytes(content[:8] + record + bomb + parameters)
    with pytest.raises(InputError, match=r"a\.cdf: cannot be read as CDF.*(allocate|[Mm]emory)"):
        copy.read_pose(path)


def test_other_content_is_an_error(tmp_path, poses):
    write_variable(tmp_path / "angles.cdf", "Pose", np.zeros((40, 78)))  # D3_Angles
    with pytest.raises(InputError, match=r"40 × 78; expected .* 96"):
        copy.read_pose(tmp_path / "angles.cdf")
    write_variable(tmp_path / "points.cdf", "Pose", np.zeros((40, 64)))
    with pytest.raises(InputError, match=r"40 × 64; expected .* \(64 are 2D points"):
        copy.read_pose(tmp_path / "points.cdf")
    write_variable(tmp_path / "other.cdf", "Epoch", np.zeros((40, 96)))
    with pytest.raises(InputError, match=r"no variable 'Pose'.*Epoch"):
        copy.read_pose(tmp_path / "other.cdf")
    poses[7, 3] = np.nan
    write_variable(tmp_path / "nan.cdf", "Pose", poses.reshape(40, 96))
    with pytest.raises(InputError, match="not finite, first in frame 7"):
        copy.read_pose(tmp_path / "nan.cdf")
