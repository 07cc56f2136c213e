"""Runs that are killed end in the results of runs that are not."""

import json
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner
from tools import break_writes

from simspine.cli.main import main
from simspine.workflow.bench_faults import FaultOutcome, RunFolder, fault_table, result_checksums


@pytest.mark.slow
@pytest.mark.long
def test_killed_runs_are_continued_by_the_same_command(tmp_path):
    """SIGKILL at random moments, to the command alone and to all of it: equal bytes, nothing left, nothing redone."""
    out = tmp_path / "faults.json"
    done = CliRunner().invoke(main, ["bench", "faults", "--quick", "--json", str(out)])
    assert done.exit_code == 0, done.output
    (killed,) = json.loads(out.read_text())["outcomes"]
    assert killed["fault"] == "SIGKILL at 3 random moments"
    assert killed["code"] == -signal.SIGKILL
    assert killed["good"]


def test_computing_times_alone_do_not_count(tmp_path):
    place = RunFolder(tmp_path / "p", 1, ["Walking 1"])
    manifest = place.results / "S1/manifests/ik/a.json"
    manifest.parent.mkdir(parents=True)
    (place.results / "logs").mkdir()
    (place.results / "x.h5").write_text("x")
    manifest.write_text('{"seconds": 1, "notes": {}}')
    first = result_checksums(place.results)
    assert set(first) == {"x.h5", "S1/manifests/ik/a.json"}
    manifest.write_text('{"seconds": 2, "notes": {}}')
    (place.results / "logs/a.log").write_text("later")
    assert result_checksums(place.results) == first
    manifest.write_text('{"seconds": 2, "notes": {"n": 1}}')
    assert result_checksums(place.results) != first


def test_left_files_are_counted(tmp_path):
    place = RunFolder(tmp_path / "p", 1, ["Walking 1"])
    (place.results / "a").mkdir(parents=True)
    for name in (".x.00-1-00.tmp.h5", "bow.lock", "bow.failed", "bow.h5"):
        (place.results / "a" / name).touch()
    assert place.left() == 3


def test_the_table_says_what_is_not_as_it_should_be():
    good = FaultOutcome("a", 2, "error: x", True, True)
    bad = FaultOutcome("b", 0, "", True, False, left=2, redone=1)
    assert (good.good, bad.good) == (True, False)
    lines = fault_table([good, bad]).splitlines()
    assert "through, equal bytes" in lines[2]
    assert "through, other bytes, 2 files left, 1 pieces of work redone" in lines[3]


TORN = """
import os, sys
if not os.path.exists("results/x"):
    with open("results/x", "w") as file:
        file.write(100 * "ab")
"""
WHOLE = """
from simspine.io.atomic import write_text
write_text("results/x", 100 * "ab")
"""


def broken(place, monkeypatch, code: str, faults=break_writes.FAULTS):
    """What is found of a program that is no command of ours."""
    monkeypatch.setattr(break_writes, "CHILD", f"from tools.break_writes import DiskFault; DiskFault().install(){code}")
    place.results.mkdir(exist_ok=True)
    return break_writes.break_command(place, "x", None, tuple(faults))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
def test_programs_that_leave_half_a_file_are_found_and_ours_is_not(tmp_path, monkeypatch):
    """The first keeps what was cut short; the second writes as the package does."""
    place = RunFolder(tmp_path / "p", 1, ["Walking 1"])
    torn = broken(place, monkeypatch, TORN)
    assert torn.changes == 2  # open, write
    assert torn.tried == 6
    assert "SIGKILL at 2, write results/x: other bytes" in torn.bad
    (place.results / "x").unlink()
    whole = broken(place, monkeypatch, WHOLE, ["SIGKILL"])
    assert [whole.changes, whole.tried, whole.bad] == [6, 6, ()]  # mkdir, open, write, fsync, replace, fsync of folder


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
def test_decisions_are_taken_in_whole_or_not_at_all(tmp_path):
    """The short form of `python -m tools.break_writes`: three changes of one command."""
    command = next(line for line in break_writes.COMMANDS if line.startswith("annotations import"))
    (found,) = break_writes.break_commands([command], 3)
    assert found.bad == ()
    assert found.changes > 8
    assert found.tried >= 9
