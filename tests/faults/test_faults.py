"""Runs that are killed end in the results of runs that are not."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from session_person import write_opencap
from tools.faults.__main__ import main
from tools.faults.every_write import JOURNAL, RUN_COMMANDS, BrokenCommand, every_write_table, measure_every_write
from tools.faults.runs import FaultOutcome, RunFolder, fault_table, result_checksums

from simspine.cli.main import main as simspine
from simspine.io.atomic import write_text
from simspine.reconstruction.session_files import read_session
from simspine.reconstruction.sessions import solve_session
from simspine.reconstruction.stage import Options
from simspine.workflow.inputs import progress_bar
from simspine.workflow.up_to_date import hold_lock

WATCHED = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64", reason="the kernel of Linux on x86-64 asks"
)


@pytest.fixture(autouse=True)
def flushed(flush_to_disk, monkeypatch):
    """Flushes are among what is counted."""
    monkeypatch.setattr("os.fsync", flush_to_disk)


@pytest.mark.slow
@pytest.mark.long
def test_killed_runs_are_continued_by_the_same_command(tmp_path):
    """SIGKILL at random moments, to the command alone and to all of it: equal bytes, nothing left, nothing redone."""
    out = tmp_path / "faults.json"
    with pytest.raises(SystemExit) as end:
        main(["--quick", "--json", str(out)])
    assert not end.value.code
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


def test_a_run_is_broken_while_it_does_the_last_job():
    """It begins with the results of before the command above it."""
    numbers = [number for number, command in enumerate(RUN_COMMANDS) if command.startswith("run ")]
    assert [RUN_COMMANDS[number - 1].split()[:2] for number in numbers] == [["job", "page"]]


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


def broken(place: RunFolder, work):
    """What is found of a program that is no command of ours."""

    def ends_as_commands_do():
        try:
            work()
        except OSError:
            sys.exit(2)

    place.results.mkdir(parents=True, exist_ok=True)
    return BrokenCommand(place, "x", ends_as_commands_do).measure()


def whole():
    write_text("results/x", 100 * "ab")


def torn():
    """Takes a file that is there for a whole one."""
    if not os.path.exists("results/x"):
        Path("results/x").write_text(100 * "ab")


def boastful():
    """Confirms what is not on the disk yet."""
    with open(f"results/{JOURNAL}", "a") as file:
        if not file.tell():
            file.write("head\ndecision\n")
    print("confirmed", flush=True)
    Path("results/after").touch()


def honest():
    """As decisions are taken: a lock, a file in a new folder; then they are confirmed."""
    with hold_lock(Path("results/home/.anna.lock"), "busy"):
        write_text(f"results/{JOURNAL}", "head\ndecision\n")
        print("confirmed", flush=True)


@WATCHED
def test_programs_that_leave_half_a_file_are_found_and_ours_is_not(tmp_path):
    place = RunFolder(tmp_path / "p", 1, ["Walking 1"])
    found = broken(place, torn)
    assert [found.changes, found.crashes, found.errors] == [2, 7, 4]  # open, write; one piece to be torn
    for fault in ("killed at 2", "killed within the piece at 2", "power cut at 2", "disk full at 2"):
        assert any(line.startswith(f"{fault}, write x: ") and "other bytes: x" in line for line in found.bad), fault
    (place.results / "x").unlink()
    found = broken(place, whole)
    assert [found.changes, found.bad] == [6, ()]  # mkdir, open, write, fsync, rename, fsync of the folder
    cells = [cell.strip() for cell in every_write_table([found]).splitlines()[-1].split("|")]
    assert cells[1:5] + cells[6:7] == ["x", "6", "19", "12", "0"]


@WATCHED
def test_what_is_confirmed_survives_a_power_cut(tmp_path):
    """Also that of the folder's own name, which a lock may have made before."""
    place = RunFolder(tmp_path / "p", 1, ["Walking 1"])
    assert broken(place, honest).bad == ()
    place = RunFolder(tmp_path / "q", 1, ["Walking 1"])
    (place.results / "home").mkdir(parents=True)
    found = broken(place, boastful)
    assert {line.partition(" at ")[0] for line in found.bad if "confirmed decision is lost" in line} == {
        "power cut", "power cut, names lost",
    }  # fmt: skip


@WATCHED
def test_writes_of_libraries_and_of_other_processes_are_met(tmp_path):
    """HDF5 writes by itself, and `cp` is another process: an error at each change of either is refused or shows."""

    def work():
        with h5py.File("results/a.h5", "w") as file:
            file["x"] = np.arange(9)
        subprocess.run(["cp", "results/a.h5", "results/b.h5"], check=True)

    place = RunFolder(tmp_path / "p", 1, ["Walking 1"])
    place.results.mkdir()
    changes = BrokenCommand(place, "x", work).undisturbed().changes
    assert {change.paths for change in changes} == {("a.h5",), ("b.h5",)}
    assert sum(len(change.piece[1]) for change in changes if change.paths == ("a.h5",)) > 1000


@WATCHED
@pytest.mark.slow
def test_decisions_are_taken_in_whole_or_not_at_all():
    """The short form of `--every-write`: one command, errors at three of its changes."""
    found = [one for one in measure_every_write(simspine, 3, "annotate ") if one]
    (one,) = found
    assert one.bad == ()
    assert one.changes > 20
    assert one.crashes > 3 * one.changes
    assert one.errors >= 6


@WATCHED
@pytest.mark.slow
def test_add_spine_that_was_killed_is_continued_by_the_same_command(tmp_path, monkeypatch):
    """Else it would refuse its own files. The trial is solved once: writing alone is broken."""
    place = RunFolder(tmp_path / "p", 1, ["Walking 1"])
    place.results.mkdir()
    write_opencap(place.results)
    solved = solve_session(read_session(place.results), Options(), partial(progress_bar, quiet=True))
    monkeypatch.setattr("simspine.workflow.sessions.solve_session", lambda *_: solved)

    def unless_all_is_there():
        """The command refuses files of one that has ended."""
        ended = not list(place.results.rglob("*.lock"))
        if not (ended and len(list(place.results.rglob("walk_spine.*"))) == 3):
            simspine(["add-spine", "results", "-q"])

    found = BrokenCommand(place, "add-spine", unless_all_is_there).measure(most=6)
    assert "\n".join(found.bad) == ""
    assert found.changes > 20
