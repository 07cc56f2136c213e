"""xarray reads the file as `movement` lays out pose tracks (its user guide: dimensions, coordinates, attributes)."""

import numpy as np
import pytest
from small_takes import FILLED, REJECTED, UNSOLVED, make_take

from simspine.core.errors import InputError
from simspine.io.exchange import read_netcdf, write_netcdf


@pytest.fixture(scope="module")
def take():
    return make_take()


@pytest.fixture(scope="module")
def written(tmp_path_factory, take):
    path = tmp_path_factory.mktemp("nc") / "S1_Walking_1.nc"
    write_netcdf(path, take, notice="n")
    return path, take


def test_xarray_reads_what_movement_expects(written):
    import xarray

    path, take = written
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        assert data["position"].dims == ("time", "space", "keypoints", "individuals")
        assert data["confidence"].dims == ("time", "keypoints", "individuals")
        assert list(data["space"].values) == ["x", "y", "z"]
        assert list(data["keypoints"].values) == list(take.trial.markers.names)
        assert list(data["individuals"].values) == ["S1"]
        wanted = {"fps": 50.0, "time_unit": "seconds", "source_software": "simspine", "ds_type": "poses"}
        assert {key: data.attrs[key] for key in wanted} == wanted
        np.testing.assert_allclose(data["time"].values, take.trial.markers.time)
        hip = data["position"].sel(keypoints="Hip", individuals="S1", space="y").values
        np.testing.assert_array_equal(hip, take.trial.markers.xyz[:, 0, 1])
        confidence = data["confidence"].sel(individuals="S1").values
        assert (confidence[[REJECTED, FILLED]] == 0).all()
        assert np.isnan(confidence[UNSOLVED]).all()
        assert (np.delete(confidence, [REJECTED, FILLED, UNSOLVED], 0) == 1).all()
        assert data["lla"].attrs["units"] == "rad"
        np.testing.assert_array_equal(data["lla"].values[:, 0], take.trial.lla)
        column = data["kinematics"].sel(coordinates="pelvis_tilt", individuals="S1").values
        np.testing.assert_allclose(column, np.degrees(take.trial.motion.values[:, 0]))
        meanings = data["status"].attrs["flag_meanings"].split()
        assert [meanings[i] for i in data["status"].values] == list(take.trial.status)
        assert take.trial.status[FILLED] == "inferred"


def test_clinical_parameters_come_back_with_what_decided_them(written):
    import xarray

    path, take = written
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        for name in ("clinical", "clinical_sd"):
            column = data[name].sel(parameters="sagittal_vertical_axis", individuals="S1").values
            np.testing.assert_array_equal(column, getattr(take.trial, name)[:, 1])
            assert data[name].attrs["units"] == "rad; m"
        tilt = data.sel(parameters="pelvic_tilt")
        assert (str(tilt["clinical_decided"].values), str(tilt["clinical_units"].values)) == ("partly measured", "rad")


def test_read_back(written):
    path, take = written
    found = read_netcdf(path)
    assert found == take.trial.markers


def test_bad_input(tmp_path, written):
    with pytest.raises(InputError, match="no such file"):
        read_netcdf(tmp_path / "x.nc")
    (tmp_path / "short.nc").write_bytes(written[0].read_bytes()[:3000])
    with pytest.raises(InputError, match="damaged"):
        read_netcdf(tmp_path / "short.nc")


@pytest.mark.parametrize("attributes", [{}, {"fps": [1.0, 2.0]}, {"fps": "many"}, {"fps": 50.0, "frame": "x_up"}])
def test_attributes_of_another_kind_are_refused(tmp_path, written, attributes):
    import xarray

    with xarray.open_dataset(written[0], engine="h5netcdf") as data:
        changed = data.load()
    changed.attrs = attributes
    changed.to_netcdf(tmp_path / "odd.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"odd\.nc: not a netCDF file of pose tracks"):
        read_netcdf(tmp_path / "odd.nc")
