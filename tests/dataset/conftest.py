import pytest
from small_dataset import FRAMES, small_dataset

from simspine.dataset.manifest import HDF5_UNITS, Entry, manifest_header, write_manifest
from simspine.formats.dataset import write_dataset
from simspine.formats.mot import write_mot
from simspine.formats.trc import write_trc


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A data set's folder: HDF5, a trial as TRC and MOT, manifest. Not to be changed; copy it."""
    folder = tmp_path_factory.mktemp("exported")
    data = small_dataset()
    write_dataset(folder / "tiny.h5", data)
    trial = data.subjects["S1"].trials["Walking_2"]
    write_trc(folder / "S1_Walking_2.trc", trial.markers)
    with pytest.warns(UserWarning, match="hold NaN"):
        write_mot(folder / "S1_Walking_2.mot", trial.motion)
    one = {"S1/Walking_2": FRAMES["S1/Walking_2"]}
    files = {
        "tiny.h5": Entry("hdf5", sum(FRAMES.values()), HDF5_UNITS, FRAMES),
        "S1_Walking_2.trc": Entry("trc", 150, {"markers": "m"}, one),
        "S1_Walking_2.mot": Entry("mot", 150, {"kinematics": "deg; m"}, one),
    }
    write_manifest(folder, files, manifest_header("tiny", "hdf5", data.provenance, dict.fromkeys(FRAMES, 0.0)))
    return folder
