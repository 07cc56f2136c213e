"""A virtual capture through the whole workflow, from CDF files to data set and report, against its own truth."""

import json

import numpy as np
import pytest
from command_line import call, succeeded
from small_project import STAGES, Project

from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import read_correspondence
from simspine.core.types import Origin
from simspine.io.hdf5 import read_store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("two_rounds")]
TRIAL = "Walking_1"


def output_of(project, *command):
    return succeeded(call(*command, "--config", project.file, catch_exceptions=False))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Project:
    """One person walking for 40 frames, detected exactly; every stage and the data set."""
    project = Project(tmp_path_factory.mktemp("virtual"))
    root = project.folder / "capture"
    project.write(
        {
            "name": "tiny",
            "results": str(project.results),
            "virtual": {"subjects": 1, "actions": [TRIAL], "frames": 40, "detections": "exact", "seed": 3},
            "capture": {"human36m": str(root), "detections": str(root / "detections")},
            "detection": {"detector": "import"},
            "filter": {"cutoff_hz": None},
            "body": {"markers": "centres"},
        }
    )
    output_of(project, "capture", "virtual", "--quiet")
    project.run(*STAGES)
    return project


@pytest.fixture(scope="module")
def truth(made):
    return read_store(made.folder / f"capture/truth/S1/S1_{TRIAL}.h5")


def test_points_and_motion_capture_are_where_the_truth_is(made, truth):
    """Detected points to 0.1 mm; limbs as motion capture has them, a few millimetres off."""
    limbs = {pair.point for pair in read_correspondence("human36m")}
    markers = markers_in_frame(read_store(made.results / f"S1/markers/{TRIAL}.h5")["markers"], "z_up")
    true = markers_in_frame(truth["points"], "z_up").select(markers.names)
    off = np.linalg.norm(markers.xyz - true.xyz, axis=-1)
    given = np.array([o is Origin.GIVEN for o in markers.origin])
    assert {n for n, g in zip(markers.names, given, strict=True) if g} == limbs
    assert np.nanmax(off[:, ~given]) < 1e-4
    # the joints of Human3.6M are not quite SIMSPINE's points, and carry noise and soft tissue
    assert 0.001 < np.nanmean(off[:, given]) < 0.05


def test_nothing_is_late_or_mirrored(made):
    merging = read_store(made.results / f"S1/markers/{TRIAL}.h5", ["merging"])["merging"]
    assert merging["misfit_m"] < 0.06
    assert abs(merging["clock_late_s"]) < 0.5 / 50 or abs(merging["clock_late_s"]) < 3 * merging["clock_late_sd_s"]


def test_the_spine_is_found(made, truth):
    """Centres of the vertebrae; the published points are at the release's places behind them."""
    centres = markers_in_frame(read_store(made.results / f"S1/vertebrae/{TRIAL}.h5")["centres"], "z_up")
    true = markers_in_frame(truth["vertebrae"], "z_up")
    shared = [name for name in true.names if name in centres.names]
    assert len(shared) >= 24
    off = np.linalg.norm(centres.select(shared).xyz - true.select(shared).xyz, axis=-1)
    assert off.mean() < 0.02


def test_the_data_set_says_that_it_is_made_up(made):
    summary = json.loads((made.results / "summary.json").read_text())
    assert summary["frames"] == 40
    assert summary["trials_left_out"] == {}
    assert summary["known_faults"] == {}
    provenance = json.loads((made.results / "provenance.json").read_text())
    assert provenance["seed"] == 3
    assert provenance["configuration"]["virtual"]["detections"] == "exact"
    assert (made.results / "tiny.h5").is_file()


def test_making_it_again_makes_nothing(made):
    assert "everything is there already" in output_of(made, "capture", "virtual", "--quiet")


def test_provenance_names_motion_capture_and_detections(made):
    files = json.loads((made.results / "provenance.json").read_text())["inputs_sha256"][f"S1/{TRIAL}"]
    assert {"Calib_S1.toml", f"{TRIAL}.h5"} < set(files)
    assert any(name.endswith(".cdf") for name in files)
