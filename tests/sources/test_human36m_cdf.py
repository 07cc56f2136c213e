"""CDF pose files: round trip, an independent reading, equal bytes, damage."""

import time

import cdflib
import numpy as np
import pytest
from cdflib import cdfwrite

from simspine.errors import InputError
from simspine.sources.human36m import cdf


@pytest.fixture
def poses():
    return np.random.default_rng(1).normal(0, 1500, (40, 32, 3))


def write_variable(path, name, values):
    """A CDF with one variable, by the library alone."""
    kind = {"Variable": name, "Data_Type": 45, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": list(values.shape)}
    file = cdfwrite.CDF(path, cdf_spec={"Majority": "row_major"}, delete=True)
    file.write_var(kind | {"Dim_Vary": [True] * values.ndim, "Var_Type": "zVariable", "Compress": 6}, var_data=values)
    file.close()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_round_trip(tmp_path, poses, dimensions):
    cdf.write_pose(tmp_path / "a.cdf", poses[..., :dimensions])
    assert cdf.pose_shape(tmp_path / "a.cdf") == (40, dimensions)
    np.testing.assert_array_equal(cdf.read_pose(tmp_path / "a.cdf"), np.float32(poses[..., :dimensions]))
    cdf.write_pose(tmp_path / "b.cdf", poses[..., :dimensions], "float64")
    np.testing.assert_array_equal(cdf.read_pose(tmp_path / "b.cdf"), poses[..., :dimensions])


def test_layout_is_the_official_one(tmp_path, poses):
    """As VideoPose3D and h36m-fetch read it: variable Pose, 1 × frames × 96."""
    cdf.write_pose(tmp_path / "a.cdf", poses)
    file = cdflib.CDF(tmp_path / "a.cdf")
    assert file["Pose"].shape == (1, 40, 96)
    np.testing.assert_array_equal(file["Pose"].reshape(-1, 32, 3), np.float32(poses))
    cdflib.CDF(tmp_path / "a.cdf", validate=True)  # its own checksum


def test_reads_compressed_files_of_other_writers(tmp_path, poses):
    write_variable(tmp_path / "a.cdf", "Pose", poses.reshape(40, 96))
    np.testing.assert_array_equal(cdf.read_pose(tmp_path / "a.cdf"), poses)
    write_variable(tmp_path / "b.cdf", "Pose", poses.reshape(1, 40, 96))
    np.testing.assert_array_equal(cdf.read_pose(tmp_path / "b.cdf"), poses)


def test_equal_arrays_give_equal_bytes(tmp_path, poses):
    cdf.write_pose(tmp_path / "a.cdf", poses)
    time.sleep(1.1)  # a time stamp in seconds would show
    cdf.write_pose(tmp_path / "b.cdf", poses)
    assert (tmp_path / "a.cdf").read_bytes() == (tmp_path / "b.cdf").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.cdf", "b.cdf"]


def test_damage_is_an_error_that_names_the_file(tmp_path, poses):
    whole = tmp_path / "whole.cdf"
    cdf.write_pose(whole, poses)
    data = whole.read_bytes()
    part = tmp_path / "part.cdf"
    for length in (1, 200, 2000, len(data) // 2):
        part.write_bytes(data[:length])
        for read in (cdf.read_pose, cdf.pose_shape):  # the header tells, too, that values are missing
            with pytest.raises(InputError, match=r"part\.cdf"):
                read(part)
    part.write_bytes(data[:20] + b"\xff" * 8 + data[28:])  # a record past the end of every file
    with pytest.raises(InputError, match=r"part\.cdf: not a readable CDF"):
        cdf.pose_shape(part)
    part.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        cdf.pose_shape(part)
    part.write_text("<html>Please log in</html>" * 50)  # what a download without login leaves
    with pytest.raises(InputError, match="not a readable CDF"):
        cdf.read_pose(part)
    with pytest.raises(InputError, match="no such file"):
        cdf.read_pose(tmp_path / "none.cdf")


def test_other_content_is_an_error(tmp_path, poses):
    write_variable(tmp_path / "angles.cdf", "Pose", np.zeros((40, 78)))  # D3_Angles
    with pytest.raises(InputError, match=r"40 × 78; expected .* 96"):
        cdf.pose_shape(tmp_path / "angles.cdf")
    write_variable(tmp_path / "other.cdf", "Epoch", np.zeros((40, 96)))
    with pytest.raises(InputError, match=r"no variable 'Pose'.*Epoch"):
        cdf.read_pose(tmp_path / "other.cdf")
    poses[7, 3] = np.nan
    write_variable(tmp_path / "nan.cdf", "Pose", poses.reshape(40, 96))
    with pytest.raises(InputError, match="not finite, first in frame 7"):
        cdf.read_pose(tmp_path / "nan.cdf")


def test_refuses_to_write_what_the_format_cannot_hold(tmp_path, poses):
    for wrong in (poses[:, :17], poses[0], poses[:0], poses[..., :1]):
        with pytest.raises(InputError, match="shape"):
            cdf.write_pose(tmp_path / "a.cdf", wrong)
    poses[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        cdf.write_pose(tmp_path / "a.cdf", poses)
    assert not list(tmp_path.iterdir())
