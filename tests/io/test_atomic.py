import errno
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simspine.core.errors import InputError
from simspine.io import atomic
from simspine.io.atomic import HOST_DIGEST, atomic_folder, atomic_path, require_new, write_text


def test_writes_new_file_and_parent_folders(tmp_path):
    target = tmp_path / "a" / "b" / "x.trc"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".trc"
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["x.trc"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path, error):
    target = tmp_path / "x.h5"
    target.write_text("old")

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.h5"]


def test_block_that_writes_nothing_is_an_error(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "x"):
        pass
    assert (tmp_path / "x").read_text() == "old"


def test_text_is_utf8_with_plain_line_ends(tmp_path):
    write_text(tmp_path / "x.txt", "ä\nb\n")
    assert (tmp_path / "x.txt").read_bytes() == b"\xc3\xa4\nb\n"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    write_text(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_permissions_of_an_old_file_stay(tmp_path):
    """Pictures of a person that only their owner may see."""
    path = tmp_path / "report.html"
    write_text(path, "old")
    path.chmod(0o600)
    write_text(path, "new")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "new"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match=r"is a folder; name a file"):
        write_text(tmp_path, "x")


def test_what_is_there_is_not_new(tmp_path):
    require_new(tmp_path / "a")
    require_new(tmp_path)
    (tmp_path / "a").touch()
    for place in (tmp_path / "a", tmp_path):
        with pytest.raises(InputError, match="exists already, and would be replaced"):
            require_new(place)


def test_a_pipe_is_not_replaced(tmp_path):
    """Nor a device: as root, /dev/null would become a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is a device, a pipe or a socket; name a file"):
        write_text(pipe, "x")
    assert stat.S_ISFIFO(os.lstat(pipe).st_mode)


def test_what_killed_processes_left_goes(tmp_path):
    """Of the same target only; of a process that lives, or of another machine, not before a day has passed."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead, alive, other = f"{HOST_DIGEST}-{int(gone.stdout)}", f"{HOST_DIGEST}-{os.getpid()}", "abcdef-1"
    stale = [tmp_path / f".x.{other}-{'0' * 12}.tmp.trc", tmp_path / f".x.{dead}-{'1' * 12}.tmp.trc"]
    kept = [tmp_path / f".x.{who}-{'2' * 12}.tmp.trc" for who in (alive, other)]
    kept += [tmp_path / f".x.y.{dead}-{'3' * 12}.tmp.trc", tmp_path / f".x.{dead}-{'4' * 12}.tmp.mot"]
    for path in (*stale, *kept):
        path.write_text("half")
    os.utime(stale[0], (time.time() - 2 * 24 * 3600,) * 2)
    write_text(tmp_path / "x.trc", "new")
    assert not [path for path in stale if path.exists()]
    assert all(path.exists() for path in kept)
    assert (tmp_path / "x.trc").read_text() == "new"
    folders = [tmp_path / f".x.{who}-{'5' * 12}.tmp" for who in (dead, alive)]
    for folder in folders:
        folder.mkdir()
        (folder / "half.h5").touch()
    with atomic_folder(tmp_path / "x", OURS):
        pass
    assert [folder.exists() for folder in folders] == [False, True]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_process_leaves_the_old_file(tmp_path):
    target = tmp_path / "x.trc"
    target.write_text("old")
    script = (
        "import os, signal, sys\n"
        "from simspine.io.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as p, open(p, 'w') as f:\n"
        "    f.write('half'); f.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    left = [name for name in os.listdir(tmp_path) if name != "x.trc"]
    assert left
    assert all(name.startswith(".") for name in left)  # hidden from the readers' globs


def test_what_the_system_refuses_bears_the_users_name(tmp_path):
    """Of a file that cannot be made, and of one that cannot be put in its place: here a folder comes to stand there."""
    with pytest.raises(FileNotFoundError) as absent, atomic_path(tmp_path / "x.yaml"):
        pass

    def overtaken():
        with atomic_path(tmp_path / "taken.yaml") as temporary:
            temporary.touch()
            (tmp_path / "taken.yaml").mkdir()

    with pytest.raises(IsADirectoryError) as taken:
        overtaken()
    assert [absent.value.filename, taken.value.filename] == [str(tmp_path / "x.yaml"), str(tmp_path / "taken.yaml")]


def refuse(path, *_, **__):
    """What a disk answers that the system has made read-only: also to the removal of what is there."""
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(path))


@pytest.mark.parametrize("inside", [False, True])
def test_a_disk_made_read_only_is_said_with_the_users_name(tmp_path, monkeypatch, inside):
    def fail(kind, *more):
        with kind(tmp_path / "x", *more) as temporary:
            refuse(temporary / "frame_0.json" if inside and more else temporary)

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(OSError, match="x") as of_file:
        fail(atomic_path)
    if not inside:
        monkeypatch.setattr(os, "mkdir", lambda path, *rest: refuse(path))
    with pytest.raises(OSError, match="x") as of_folder:
        fail(atomic_folder, OURS)
    found = [of_file.value, of_folder.value]
    assert [error.filename for error in found] == [f"{tmp_path / 'x'}", f"{tmp_path / 'x'}{'/frame_0.json' * inside}"]
    assert {error.errno for error in found} == {errno.EROFS}


def test_a_full_disk_is_said_with_the_users_name(tmp_path):
    """Errors of writing, unlike those of opening, bear no name by themselves; here the limit of a file's size. HDF5 by
    itself would end the process, wherever in the file the disk is full."""
    script = (
        "import os, resource, sys\n"
        "from simspine.io.hdf5 import write_store\n"
        "import numpy as np\n"
        "draw = np.random.default_rng(1).random\n"
        "data = {f'a{i}': {'b': draw(5000), 'c': draw(50), 'd': 'x' * i} for i in range(20)}\n"
        "for limit in (0, 100, 9000, 60_000, 300_000):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    try: write_store(sys.argv[1], **data)\n"
        "    except OSError as error: print(error.errno, error.filename, os.listdir(os.path.dirname(sys.argv[1])))\n"
    )
    target = tmp_path / "x.h5"
    run = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == 5 * f"{errno.EFBIG} {target} []\n"


OURS = re.compile(r"frame_\d+\.json")


def test_a_folder_takes_its_place_as_a_whole(tmp_path):
    target = tmp_path / "deep" / "points"
    for count in (3, 2):  # the second replaces the first
        with atomic_folder(target, OURS) as folder:
            for i in range(count):
                (folder / f"frame_{i}.json").write_text("{}")
            assert len(list(target.glob("*"))) == (0 if count == 3 else 3)
        assert sorted(path.name for path in target.iterdir()) == [f"frame_{i}.json" for i in range(count)]
    assert [path.name for path in target.parent.iterdir()] == ["points"]


def _begin(folder, error):
    (folder / "frame_0.json").write_text("new")
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError, OSError])
def test_a_folder_that_fails_leaves_the_old_one(tmp_path, error):
    target = tmp_path / "points"
    target.mkdir()
    (target / "frame_7.json").write_text("old")
    with pytest.raises(error), atomic_folder(target, OURS) as folder:
        _begin(folder, error)
    assert [path.read_text() for path in tmp_path.rglob("*.json")] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["points"]


def test_a_folder_with_others_files_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds thesis\.txt"), atomic_folder(tmp_path, OURS):
        pass
    with pytest.raises(InputError, match="is a file"), atomic_folder(tmp_path / "thesis.txt", OURS):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_target_without_a_name_is_refused(tmp_path, monkeypatch):
    """An empty path is the working folder, which nothing may replace."""
    monkeypatch.chdir(tmp_path)
    for kind in (atomic_path, lambda target: atomic_folder(target, re.compile(".*"))):
        with pytest.raises(InputError, match=r"a name for the f.* to write is missing"), kind(""):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_behind_a_link_or_a_way_back_is_replaced_where_it_is(tmp_path):
    """`points/..` leads nowhere while the old folder is away."""
    target, link = tmp_path / "points", tmp_path / "link"
    target.mkdir()
    link.symlink_to(target)
    for number, place in enumerate((link, target / ".." / "points")):
        with atomic_folder(place, OURS) as folder:
            (folder / f"frame_{number}.json").write_text("{}")
        assert [path.name for path in target.iterdir()] == [f"frame_{number}.json"]
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "points"]


def test_an_old_folder_comes_back_where_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "points"
    target.mkdir()
    (target / "frame_7.json").write_text("old")
    rename = Path.rename

    def refused(path, new):
        if path.suffix == ".tmp":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return rename(path, new)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(OSError, match=f"'{target}'"), atomic_folder(target, OURS) as folder:
        (folder / "frame_0.json").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["points"]
    assert [path.read_text() for path in target.iterdir()] == ["old"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_kill_while_a_folder_is_exchanged_leaves_nothing_for_good(tmp_path):
    """Between the two renames the old folder bears a hidden name; the next call removes it."""
    script = (
        "import os, re, signal, sys\n"
        "from pathlib import Path\n"
        "from simspine.io.atomic import atomic_folder\n"
        "rename, calls = Path.rename, []\n"
        "def renamed(*names):\n"
        "    calls.append(names)\n"
        "    return rename(*names) if len(calls) < 2 else os.kill(os.getpid(), signal.SIGKILL)\n"
        "Path.rename = renamed\n"
        "with atomic_folder(sys.argv[1], re.compile('.*')) as folder: (folder / 'new').touch()\n"
    )
    (tmp_path / "x").mkdir()
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path / "x")], check=False)
    assert run.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_folder(tmp_path / "x", OURS) as folder:
        (folder / "frame_0.json").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_is_on_the_disk_before_the_old_one_goes(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(atomic, "_flush_folder", lambda folder: done.append((folder, len(list(tmp_path.iterdir())))))
    (tmp_path / "x").mkdir()
    with atomic_folder(tmp_path / "x", OURS):
        pass
    assert done == [(tmp_path, 2)]
