"""NWB and BIDS files of a small trial of known numbers, read and judged by the programs of these formats."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from neuroscience_trial import FRAMES, RATE, neuroscience_take

from simspine.io.exchange import ExportTrial, write_bids, write_nwb


@pytest.fixture(scope="module")
def take() -> ExportTrial:
    return neuroscience_take()


@pytest.fixture
def nwb(take, tmp_path) -> Path:
    pytest.importorskip("ndx_pose")
    write_nwb(tmp_path / "walk.nwb", take)
    return tmp_path / "walk.nwb"


def test_bids_by_its_validator(take, tmp_path):
    pytest.importorskip("bids_validator_deno")
    write_bids(tmp_path, [take], name="study")
    assert bids_errors(tmp_path) == []
    (table,) = tmp_path.rglob("*_channels.tsv")
    table.write_text(table.read_text().replace("POS", "PLACE"))
    assert bids_errors(tmp_path) == ["TSV_VALUE_INCORRECT_TYPE"]


def bids_errors(folder: Path) -> list[str]:
    program = Path(sys.executable).with_name("bids-validator-deno")
    called = subprocess.run([program, "--json", folder], capture_output=True, text=True, check=False)
    issues = json.loads(called.stdout)["issues"]["issues"]
    return [issue["code"] for issue in issues if issue["severity"] == "error"]


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
