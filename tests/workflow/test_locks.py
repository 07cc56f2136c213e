"""Locks that end with their process."""

import errno
import os
import signal
import subprocess
import sys
from contextlib import suppress
from threading import Timer

import pytest

from simspine.core.errors import InputError
from simspine.workflow import up_to_date
from simspine.workflow.up_to_date import hold_lock, is_lock_held, remove_stale_locks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock there")
HOLDER = (
    "import sys; from pathlib import Path; from simspine.workflow.up_to_date import hold_lock\n"
    "with hold_lock(Path(sys.argv[1]), 'x'): print('held', flush=True); sys.stdin.read()"
)


def holder(path):
    """A process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "held\n"
    return run


def test_a_lock_goes_with_its_block(tmp_path):
    path = tmp_path / "a" / "x.lock"
    with hold_lock(path, "x"):
        assert is_lock_held(path)
    assert not path.exists()
    assert not is_lock_held(path)


def test_a_hidden_lock_leaves_no_folder_of_its_own(tmp_path):
    """Those that hold something stay, and those of manifests, by which results are known as ours."""
    for name in ("a/b/.lock", "c/.lock", "manifests/ik/bow.lock"):
        with suppress(ValueError), hold_lock(tmp_path / name, "x"):
            (tmp_path / "c").is_dir() and (tmp_path / "c/mine").touch()
            raise ValueError
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["c", "ik", "manifests", "mine"]


def test_a_folder_that_the_holder_removed_is_made_again(tmp_path):
    path = tmp_path / "a/.lock"
    run = holder(path)
    Timer(0.5, run.communicate).start()
    with hold_lock(path, "x"):
        assert is_lock_held(path)


def test_a_lock_of_another_user_may_be_held(tmp_path, monkeypatch):
    """Whose file may be read, and not be written."""

    def refuse(path, flags, *mode, really=os.open):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return really(path, flags, *mode)

    path = tmp_path / "x.lock"
    path.touch(0o444)
    monkeypatch.setattr("os.open", refuse)
    monkeypatch.setattr("os.access", lambda *_: False)
    with hold_lock(path, "x", 0.1), pytest.raises(InputError, match="at work"), hold_lock(path, "at work", 0.1):
        pass


def test_a_lock_file_that_cannot_be_removed_spoils_no_work(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch, hold_lock(tmp_path / "x.lock", "x"):
        patch.setattr(type(tmp_path), "unlink", fails)
    with hold_lock(tmp_path / "x.lock", "x", 0.1):
        pass
    assert not (tmp_path / "x.lock").exists()


def test_another_process_waits_or_gives_up(tmp_path, capsys, monkeypatch):
    path = tmp_path / "x.lock"
    run = holder(path)
    with pytest.raises(InputError, match="somebody is at work"), hold_lock(path, "somebody is at work", 0.1):
        pass
    assert is_lock_held(path)
    monkeypatch.setattr(up_to_date.time, "sleep", lambda _: run.communicate())  # the holder ends while this one waits
    with hold_lock(path, "somebody is at work"):
        assert run.returncode == 0
    assert capsys.readouterr().err == "somebody is at work; waiting for it.\n"
    assert not path.exists()


def test_the_lock_of_a_killed_process_holds_nobody_off(tmp_path):
    path = tmp_path / "x.lock"
    run = holder(path)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert path.exists()
    assert not is_lock_held(path)
    with hold_lock(path, "x", 0.1):
        pass
    assert not path.exists()


def test_locks_of_killed_processes_are_removed_and_held_ones_stay(tmp_path):
    left, held = tmp_path / "S1/manifests/ik/bow.lock", tmp_path / "manifests/page.lock"
    left.parent.mkdir(parents=True)
    left.touch()
    with hold_lock(held, "x"):
        remove_stale_locks(tmp_path)
        assert held.exists()
    assert not left.exists()


def test_locks_of_others_stay(tmp_path):
    """Cargo.lock and Chart.lock are data; and links lead to the folders of others."""
    outside, results = tmp_path / "project", tmp_path / "results"
    kept = [outside / "ik/bow.lock", outside / "scale.lock", results / "deploy/manifests/chart/Chart.lock"]
    kept += [results / "x/manifests/ik/full.lock", results / "x/y/manifests/ik/bow.lock", results / "S1/ik/bow.lock"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("data" if path.stem == "full" else "")
    for name in ("S1/manifests", "S2"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).symlink_to(outside)
    (results / "manifests").symlink_to(outside)
    (outside / "manifests").mkdir()
    kept.append(outside / "manifests/scale.lock")
    kept[-1].touch()
    remove_stale_locks(results)
    assert [path for path in kept if not path.exists()] == []


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_place_of_a_lock_leads_nowhere(tmp_path, there):
    outside, path = tmp_path / "outside", tmp_path / "results/x.lock"
    path.parent.mkdir()
    path.symlink_to(outside)
    if there:
        outside.write_text("kept")
    with hold_lock(path, "x", 0.1):
        assert is_lock_held(path)
        assert not path.is_symlink()
    assert not path.exists()
    assert outside.exists() == there
    assert not there or outside.read_text() == "kept"
