"""Runs that are killed end in the results of runs that are not."""

import json
import signal

import pytest
from click.testing import CliRunner

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
