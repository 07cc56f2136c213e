import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from full_disk import limited

from simspine.annotation.labels import (
    Edit,
    PointStatus,
    Visibility,
    append_edits,
    edit_from,
    journal_file,
    journal_state,
    read_journal,
    start_journal,
)
from simspine.core.errors import InputError

EDITS = [
    Edit(0, 1, "Hip", 12.5, 100.125, Visibility.SEEN, PointStatus.CORRECTED),
    Edit(3, 0, "C7_skin", 1.0, 2.0, Visibility.HIDDEN, PointStatus.ACCEPTED),
    Edit(3, 0, "Nose", None, None, Visibility.ABSENT, PointStatus.CORRECTED),
]


@pytest.fixture
def path(tmp_path):
    file = journal_file(tmp_path, "anna")
    start_journal(file, "walk", ("left", "right"), ("Hip", "Nose", "C7_skin"))
    return file


def test_read_back(path):
    append_edits(path, EDITS[:1])
    append_edits(path, EDITS[1:])
    assert read_journal(path) == EDITS


@pytest.mark.parametrize("far", [1e7, -1e300, float("nan")])
def test_a_decision_that_could_not_be_read_back_is_not_added(far, path):
    """As of another program's file: one such line would make all decisions unreadable."""
    append_edits(path, EDITS)
    with pytest.raises(InputError, match="expected two numbers of px"):
        append_edits(path, [EDITS[0], replace(EDITS[0], x=far)])
    assert read_journal(path) == EDITS


@pytest.mark.parametrize("change", ["older", "emptied", "another"])
def test_a_journal_that_another_program_changed_takes_no_decision(path, tmp_path, change):
    """An older state by a synchronising program, an empty file, another file of the same content and size."""
    older = path.read_bytes()
    state = append_edits(path, EDITS[:1], journal_state(path.stat()))
    if change == "another":
        (tmp_path / "copy").write_bytes(path.read_bytes())
        (tmp_path / "copy").replace(path)
    else:
        path.write_bytes(older if change == "older" else b"")
    found = path.read_bytes()
    with pytest.raises(OSError, match="another program replaced or changed it"):
        append_edits(path, EDITS[1:], state)
    assert path.read_bytes() == found


def test_a_line_that_a_kill_cut_short_is_left_out_and_the_next_ones_are_whole(path):
    append_edits(path, EDITS)
    whole = path.read_bytes()
    for cut in range(2, 60, 7):
        path.write_bytes(whole[:-cut])
        assert read_journal(path) == EDITS[:2]
        start_journal(path, "walk", ("left", "right"), ())
        append_edits(path, EDITS[:1])
        assert read_journal(path) == [*EDITS[:2], EDITS[0]]


WRITER = """
import sys
from pathlib import Path
from simspine.annotation.labels import Edit, PointStatus, Visibility, append_edits
for i in range(100_000):
    append_edits(Path(sys.argv[1]), [Edit(i, 0, "Hip", float(i), 0.0, Visibility.SEEN, PointStatus.CORRECTED)])
    print(i, flush=True)
"""


def test_nothing_confirmed_is_lost_by_a_kill(path):
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as process:
        confirmed = [int(process.stdout.readline()) for _ in range(20)]
        os.kill(process.pid, signal.SIGKILL)
        confirmed += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    assert [edit.frame for edit in read_journal(path)][: len(confirmed)] == confirmed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs locks of files")
def test_two_processes_that_write_at_once_lose_nothing(path):
    command = [sys.executable, "-c", WRITER.replace("100_000", "400"), path]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert sorted(edit.frame for edit in read_journal(path)) == sorted([*range(400)] * 2)


def test_another_recordings_journal_is_refused(path):
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"\['left', 'right'\]; this recording is 'walk' with front"):
        start_journal(path, "walk", ("front",), ("Hip",))
    with pytest.raises(InputError, match=r"about 'walk' with .* this recording is 'jump' with left, right"):
        start_journal(path, "jump", ("left", "right"), ("Hip",))
    with pytest.raises(InputError, match=r"about 'walk' with .* this recording is 'jump'"):
        read_journal(path, "jump", ("left", "right"))
    assert path.read_bytes() == before


def test_a_decision_that_lacks_its_line_end_is_kept(path):
    append_edits(path, EDITS)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert read_journal(path) == EDITS
    start_journal(path, "walk", ("left", "right"), ())
    append_edits(path, EDITS[:1])
    assert read_journal(path) == [*EDITS, EDITS[0]]


@pytest.mark.parametrize("views", [5, None, [{}], "left"])
def test_a_head_with_other_things_than_views_is_refused(path, views):
    path.write_text(json.dumps({"schema": 1, "recording": "walk", "views": views}) + "\n")
    with pytest.raises(InputError, match=r"this recording is 'walk' with left, right\."):
        start_journal(path, "walk", ("left", "right"), ())


def test_damage_in_the_middle_is_named_by_its_line(path):
    append_edits(path, EDITS)
    lines = path.read_bytes().split(b"\n")
    lines[2] = b'{"f": 1}'
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match="line 3"):
        read_journal(path)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[1]\n", b'{"schema": 9}\n', b"\x00\xff\n"])
def test_what_is_no_journal_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(InputError, match=str(path)):
        read_journal(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"x": None},
        {"x": "1"},
        {"x": True},
        {"y": float("nan")},
        {"see": 3},
        {"how": -1},
        {"see": True},
        {"how": 2.0},
        {"f": 1.5},
        {"p": 3},
        {"v": None},
        {"t": "noon"},
        {"t": 10**400},
    ],
)
def test_decisions_that_cannot_be_are_refused(wrong):
    entry = {"f": 0, "v": 0, "p": "Hip", "x": 1, "y": 2, "see": 2, "how": 2}
    assert edit_from(entry) == Edit(0, 0, "Hip", 1.0, 2.0, Visibility.SEEN, PointStatus.CORRECTED)
    with pytest.raises(InputError):
        edit_from(entry | wrong)
    with pytest.raises(InputError):
        edit_from(json.dumps(entry))


def test_times_of_decisions_are_kept(path):
    append_edits(path, [replace(EDITS[0], time=1.5e9), EDITS[1]])
    assert [edit.time for edit in read_journal(path)] == [1.5e9, None]


def test_outlines_that_version_0_1_kept_are_passed_over(path):
    append_edits(path, EDITS)
    with path.open("a") as file:
        file.write('{"f": 0, "v": 0, "rings": [[[0, 0], [1, 0], [1, 1]]], "how": 2}\n')
    assert read_journal(path) == EDITS


@pytest.mark.parametrize("name", ["", "../anna", "a/b", ".hidden", "x" * 80, "a\nb", "CON", "nul.x", "anna.", "anna "])
def test_an_annotators_name_is_no_path_and_can_be_stored_on_windows(tmp_path, name):
    with pytest.raises(InputError, match="annotator"):
        journal_file(tmp_path, name)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits of a process")
def test_a_full_disk_leaves_whole_lines_and_the_next_decision_is_readable(path):
    """At every size at which the disk may be full: what was confirmed is there, and nothing else."""
    append_edits(path, EDITS[:1])
    size = path.stat().st_size
    for more in (0, 1, 20, 60, 100):
        with limited(size + more), pytest.raises(OSError, match="too large"):
            append_edits(path, EDITS[1:2] * 2)
        assert path.stat().st_size == size
    append_edits(path, EDITS[2:])
    assert read_journal(path) == [EDITS[0], EDITS[2]]


def test_half_a_line_that_could_not_be_taken_back_goes_before_the_next_decision(path):
    """The disk refused to cut it off as well; the process is still the same."""
    append_edits(path, EDITS[:1])
    with path.open("a") as file:
        file.write('{"f": 3, "v": 0')
    append_edits(path, EDITS[2:])
    assert read_journal(path) == [EDITS[0], EDITS[2]]


def test_a_journal_that_is_gone_is_no_saved_decision(path):
    path.unlink()
    with pytest.raises(FileNotFoundError):
        append_edits(path, EDITS)
    assert not path.exists()


def test_a_journal_is_not_written_through_a_link(tmp_path):
    outside = tmp_path / "other.jsonl"
    start_journal(outside, "walk", ("left", "right"), ("Hip",))
    before = outside.read_bytes()
    link = tmp_path / "home" / "anna.jsonl"
    link.parent.mkdir()
    link.symlink_to(outside)
    with pytest.raises(InputError, match="a symbolic link"):
        start_journal(link, "walk", ("left", "right"), ("Hip",))
    link.unlink()
    link.symlink_to(tmp_path / "missing.jsonl")
    with pytest.raises(InputError, match="a symbolic link"):
        start_journal(link, "walk", ("left", "right"), ("Hip",))
    assert outside.read_bytes() == before
    assert not (tmp_path / "missing.jsonl").exists()


def test_a_link_that_takes_the_journals_place_while_one_works_is_not_followed(tmp_path):
    journal, outside = tmp_path / "anna.jsonl", tmp_path / "other.txt"
    start_journal(journal, "walk", ("left", "right"), ("Hip",))
    outside.write_text("mine\n")
    journal.unlink()
    journal.symlink_to(outside)
    with pytest.raises(OSError, match="symbolic link"):
        append_edits(journal, EDITS)
    assert outside.read_text() == "mine\n"
