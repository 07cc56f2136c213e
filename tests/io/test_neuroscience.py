"""BIDS files of a small trial of known numbers. Its validator, and readers of NWB: `tests/other_programs`."""

import errno
import json
import os
import sys

import numpy as np
import pandas
import pytest
from neuroscience_trial import FRAMES, RATE, neuroscience_take

from simspine.core.errors import InputError
from simspine.io.exchange import ExportTrial, write_bids, write_nwb


@pytest.fixture(scope="module")
def take() -> ExportTrial:
    return neuroscience_take()


@pytest.fixture
def bids(take, tmp_path):
    files = write_bids(tmp_path, [take], name="study")
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert there - {".bidsignore"} == set(files)  # manifests do not take a name that begins with a point
    return tmp_path


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


@pytest.mark.parametrize("other", ["walk_1", "Walk 1"])  # the second is another file only where case counts
def test_names_that_become_one_in_bids_are_refused(tmp_path, take, other):
    takes = [take, ExportTrial("S01", other, take.trial)]
    with pytest.raises(InputError, match=rf"S01/{other} would be .*_task-[wW]alk1_.* in BIDS, as S01/walk 1; rename"):
        write_bids(tmp_path, takes, name="study")


@pytest.mark.parametrize("other", ["S-01", "s 01", "Só01"])
def test_subjects_that_become_one_in_bids_are_refused(tmp_path, take, other):
    """Also where their trials differ in name: two people would be one participant."""
    takes = [take, ExportTrial(other, "run", take.trial)]
    with pytest.raises(InputError, match=rf"{other} would be sub-[sS]01 in BIDS, as S01; rename the trial or the subj"):
        write_bids(tmp_path, takes, name="study")


def test_a_name_of_which_bids_leaves_nothing_is_refused(tmp_path, take):
    with pytest.raises(InputError, match=r"S01/歩行: BIDS names subjects and tasks by A-Z"):
        write_bids(tmp_path, [ExportTrial("S01", "歩行", take.trial)], name="study")


@pytest.mark.parametrize(("subject", "name"), [("S" * 120, "w" * 120), ("S01", "w" * 300), ("S01", "w" * 170)])
def test_names_that_no_file_can_have_are_refused_by_bids(tmp_path, take, subject, name):
    """File systems take 255 bytes; nothing is written before. One letter less can be written."""
    with pytest.raises(InputError, match=r"would have names longer than systems take; shorten"):
        write_bids(tmp_path, [ExportTrial(subject, name, take.trial)], name="study")
    assert list(tmp_path.iterdir()) == []
    write_bids(tmp_path, [ExportTrial("S01", "w" * 169, take.trial)], name="study")


def test_without_the_package_the_cure_is_named(tmp_path, take, monkeypatch):
    monkeypatch.setitem(sys.modules, "ndx_pose", None)
    with pytest.raises(InputError, match=r"pip install 'simspine\[nwb\]'"):
        write_nwb(tmp_path / "walk.nwb", take)


@pytest.mark.skipif(os.name == "nt", reason="limits of a file's size are POSIX")
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_full_disk_leaves_no_part_of_an_nwb_file(tmp_path, take, share):
    """HDF5 by itself raises a `RuntimeError`, or nothing."""
    import resource

    write_nwb(tmp_path / "whole.nwb", take)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * (tmp_path / "whole.nwb").stat().st_size), before[1]))
    try:
        with pytest.raises(OSError, match=r"y\.nwb") as caught:
            write_nwb(tmp_path / "y.nwb", take)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert [path.name for path in tmp_path.iterdir()] == ["whole.nwb"]
