"""NWB and BIDS files of a small trial of known numbers, read and judged by the programs of these formats."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Markers, Motion
from simspine.io.dataset_write import TrialData
from simspine.io.exchange import ExportTrial, write_bids, write_nwb

FRAMES, RATE = 20, 50.0
LEVELS = ("T12-L1", "L5-S1")


@pytest.fixture(scope="module")
def take() -> ExportTrial:
    rng = np.random.default_rng(3)
    names = load_skeleton("simspine15").names
    xyz = rng.normal(size=(FRAMES, len(names), 3))
    xyz[4:6, 2] = np.nan
    centres = Markers(("T12", "L1", "L2"), RATE, rng.normal(size=(FRAMES, 3, 3)), "y_up", start=0.5)
    trial = TrialData(
        markers=Markers(names, RATE, xyz, "y_up", start=0.5),
        motion=Motion(("pelvis_tilt",), RATE, rng.normal(size=(FRAMES, 1)), (True,), start=0.5),
        levels=LEVELS,
        angles=rng.normal(size=(FRAMES, 2, 3)),
        angles_sd=rng.uniform(size=(FRAMES, 2, 3)),
        lla=rng.normal(size=FRAMES),
        centres=centres,
        status=("kept",) * (FRAMES - 1) + ("rejected",),
        reasons=("",) * (FRAMES - 1) + ("a marker jumped",),
    )
    return ExportTrial("S01", "walk 1", trial)


@pytest.fixture
def bids(take, tmp_path) -> Path:
    files = write_bids(tmp_path, [take], name="study")
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == set(files)
    return tmp_path


@pytest.fixture
def nwb(take, tmp_path) -> Path:
    pytest.importorskip("ndx_pose")
    write_nwb(tmp_path / "walk.nwb", take)
    return tmp_path / "walk.nwb"


def test_bids_holds_the_numbers(bids, take):
    """By the columns that its own table of channels names; the motion has no line of names, as BIDS wants it."""
    folder, stem = bids / "sub-S01/motion", "sub-S01_task-walk1_tracksys-SIMSPINE"
    about = json.loads((folder / f"{stem}_motion.json").read_text())
    channels = pandas.read_csv(folder / f"{stem}_channels.tsv", sep="\t", keep_default_na=False)
    motion = pandas.read_csv(folder / f"{stem}_motion.tsv", sep="\t", header=None, na_values="n/a")
    assert motion.shape == (FRAMES, about["MotionChannelCount"])
    assert about["SamplingFrequency"] == RATE
    assert about["TaskName"] == "walk 1"
    names = channels["name"].tolist()
    for points in (take.trial.markers, take.trial.centres):
        for name in points.names:
            columns = [names.index(f"{name}_{axis}") for axis in "xyz"]
            np.testing.assert_allclose(motion[columns], points.xyz[:, points.index(name)], atol=1e-8)
    np.testing.assert_allclose(motion[names.index("lla")], take.trial.lla, atol=1e-8)
    found = motion[names.index("L5_S1_lateral_bending_sd")]
    np.testing.assert_allclose(found, take.trial.angles_sd[:, 1, 1], atol=1e-8)
    assert set(channels["units"]) == {"m", "rad"}


def test_bids_by_its_validator(bids):
    pytest.importorskip("bids_validator_deno")
    program = Path(sys.executable).with_name("bids-validator-deno")
    called = subprocess.run([program, "--json", bids], capture_output=True, text=True, check=False)
    issues = json.loads(called.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_names_that_become_one_in_bids_are_refused(tmp_path, take):
    takes = [take, ExportTrial("S01", "walk_1", take.trial)]
    with pytest.raises(InputError, match=r"S01/walk_1 would be .*_task-walk1_.* in BIDS, as S01/walk 1; rename"):
        write_bids(tmp_path, takes, name="study")


def test_nwb_by_its_own_reader(nwb, take):
    pynwb = pytest.importorskip("pynwb")
    assert not pynwb.validate(path=str(nwb))
    with pynwb.NWBHDF5IO(nwb, "r") as opened:
        file = opened.read()
        behavior, markers = file.processing["behavior"], take.trial.markers
        for name in markers.names:
            series = behavior["points_pose"][name]
            np.testing.assert_array_equal(series.data[()], markers.xyz[:, markers.index(name)])
            assert (series.rate, series.starting_time, series.unit) == (RATE, 0.5, "meters")
        np.testing.assert_array_equal(behavior["lla"].data[()], take.trial.lla)
        np.testing.assert_array_equal(behavior["T12_L1_flexion"].data[()], take.trial.angles[:, 0, 0])
        (row,) = file.intervals["frames_not_kept"].to_dataframe().to_dict("records")
        assert row["reason"] == "a marker jumped"
        assert row["start_time"] == pytest.approx(0.5 + (FRAMES - 1) / RATE)


def test_nwb_by_its_inspector(nwb):
    inspector = pytest.importorskip("nwbinspector")
    worst = {"CRITICAL", "ERROR", "PYNWB_VALIDATION", "BEST_PRACTICE_VIOLATION"}
    found = inspector.inspect_nwbfile(nwbfile_path=nwb)
    assert [message.message for message in found if message.importance.name in worst] == []


def test_nwb_in_movement(nwb, take):
    loading = pytest.importorskip("movement.io.load_poses")
    data = loading.from_nwb_file(nwb, pose_estimation_key="vertebrae_pose")
    found = data.position.sel(keypoints="L1").squeeze().transpose("time", "space").values
    np.testing.assert_allclose(found, take.trial.centres.xyz[:, 1], atol=1e-9)
    assert data.attrs["fps"] == pytest.approx(RATE)


def test_without_the_package_the_cure_is_named(tmp_path, take, monkeypatch):
    monkeypatch.setitem(sys.modules, "ndx_pose", None)
    with pytest.raises(InputError, match=r"pip install 'simspine\[nwb\]'"):
        write_nwb(tmp_path / "walk.nwb", take)
