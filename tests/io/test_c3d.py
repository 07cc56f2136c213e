"""ezc3d reads labels, units, rates and missing points; also a header read byte by byte."""

import errno
import os
import struct

import numpy as np
import pytest
from small_takes import FILLED, UNSOLVED, make_take

from simspine.core.errors import InputError
from simspine.io.c3d import read_c3d, write_c3d


@pytest.fixture(scope="module")
def take37():
    return make_take("simspine37")


@pytest.fixture(scope="module")
def written(tmp_path_factory, take37):
    path = tmp_path_factory.mktemp("c3d") / "S1_Walking_1.c3d"
    write_c3d(path, take37, notice="for the licence holder only")
    return path, take37


def test_ezc3d_reads_equal_values(written):
    import ezc3d

    path, take = written
    data = ezc3d.c3d(str(path))
    point = data["parameters"]["POINT"]
    assert point["UNITS"]["value"] == ["mm"]
    assert point["RATE"]["value"][0] == 50
    assert tuple(point["LABELS"]["value"]) == take.trial.markers.names
    assert point["Y_SCREEN"]["value"] == ["+Y"]
    xyz = data["data"]["points"][:3].transpose(2, 1, 0)
    present = take.trial.markers.present
    np.testing.assert_allclose(xyz[present], 1e3 * take.trial.markers.xyz[present], atol=1e-3)
    residuals = data["data"]["meta_points"]["residuals"][0].T
    np.testing.assert_array_equal(residuals < 0, ~present)
    assert not present[UNSOLVED].any()
    ours = data["parameters"]["SIMSPINE"]
    assert (ours["SUBJECT"]["value"], ours["TRIAL"]["value"]) == (["S1"], ["Walking_1"])
    assert ours["REJECTED"]["value"] == ["4 6"]
    assert ours["INFERRED"]["value"] == [str(FILLED + 1)]
    assert ours["NOTICE"]["value"] == ["for the licence holder only"]


def test_header_by_bytes(written):
    """Section header of the C3D user guide: points, first and last frame, rate."""
    path, take = written
    header = path.read_bytes()[:512]
    assert header[1] == 0x50
    points, _, first, last = struct.unpack("<HHHH", header[2:10])
    assert (points, last - first + 1) == (37, take.trial.markers.frames)
    assert struct.unpack("<f", header[20:24]) == (50.0,)


def test_read_back(written):
    path, take = written
    found = read_c3d(path)
    assert found.names == take.trial.markers.names
    np.testing.assert_array_equal(found.present, take.trial.markers.present)
    np.testing.assert_allclose(found.xyz, take.trial.markers.xyz, atol=1e-6)


@pytest.mark.skipif(os.name == "nt", reason="limits of a file's size are POSIX")
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_full_disk_leaves_no_part_of_a_file(written, tmp_path, share):
    """Here the limit of a file's size, after which ezc3d goes on without a word."""
    import resource

    path, take = written
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * path.stat().st_size), before[1]))
    try:
        with pytest.raises(OSError, match=r"y\.c3d") as caught:
            write_c3d(tmp_path / "y.c3d", take)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_c3d(tmp_path / "x.c3d")
    (tmp_path / "bad.c3d").write_bytes(b"no C3D at all" * 100)
    with pytest.raises(InputError, match=r"bad\.c3d: cannot be read as C3D; cut short or damaged\? \(File must be a"):
        read_c3d(tmp_path / "bad.c3d")
