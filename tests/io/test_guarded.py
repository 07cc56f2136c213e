"""A reader that crashes, hangs or asks for too much memory ends with an `InputError`, not with our process."""

import subprocess
import sys

import numpy as np
import pytest
from small_takes import make_take

from simspine.core.errors import InputError
from simspine.io import guarded
from simspine.io.c3d import read_c3d, write_c3d
from simspine.io.guarded import read_guarded


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "S1 Walking ä.c3d"
    write_c3d(path, make_take())
    return path


def test_the_child_says_what_the_library_says(file):
    import ezc3d

    (arrays, ours), theirs = read_guarded("C3D", file), ezc3d.c3d(str(file))
    np.testing.assert_array_equal(arrays["points"], theirs["data"]["points"])
    np.testing.assert_array_equal(arrays["residuals"], theirs["data"]["meta_points"]["residuals"])
    for key, value in theirs["header"]["points"].items():
        assert ours["header"]["points"][key] == value
    for group in ("POINT", "SIMSPINE"):
        for name, entry in theirs["parameters"][group].items():
            if isinstance(entry, dict) and "value" in entry:
                assert ours["parameters"][group][name]["value"] == list(np.asarray(entry["value"]).tolist())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "its reader ended with -11"),
        ("import time; time.sleep(60)", "found no end in 3 s"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "found no end in 1 s"),
        ("raise ValueError('so damaged')", "so damaged"),
        ("print('/x: not this one', file=sys.stderr); sys.exit(2)", "not this one"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_how_a_reader_may_end(file, monkeypatch, body, words):
    monkeypatch.setattr(guarded, "MIN_READ_SECONDS", 1.0)
    monkeypatch.setattr(guarded, "MAX_WAIT_FACTOR", 3.0)
    child = f"import sys\ntry:\n    {body}\nexcept ValueError as e:\n    print(e, file=sys.stderr); sys.exit(1)"
    monkeypatch.setattr(guarded, "_CHILD_COMMAND", (sys.executable, "-c", child))
    with pytest.raises(InputError, match=words):
        read_c3d(file)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of time and memory")
def test_time_of_the_processor_is_limited_and_a_busy_machine_is_waited_for(file, monkeypatch):
    """An endless reader ends after 2 s of work; one that waits for twice the limit is read."""
    monkeypatch.setattr(guarded, "MIN_READ_SECONDS", 1.0)
    monkeypatch.setattr(guarded, "MAX_WAIT_FACTOR", 60.0)
    for body, ends in (("while True: pass", False), ("time.sleep(2.5)", True)):
        code = (
            "import sys, time, simspine.io.guarded as child\n"
            f"def read(path):\n    {body}\n    return {{}}, {{}}\n"
            "child._c3d_arrays = read\n"
            "child.run_guarded_reader()"
        )
        monkeypatch.setattr(guarded, "_CHILD_COMMAND", (sys.executable, "-c", code))
        if ends:
            assert guarded.read_guarded("C3D", file) == ({}, {})
        else:
            with pytest.raises(InputError, match="found no end in 1 s"):
                guarded.read_guarded("C3D", file)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
def test_memory_is_limited(file, monkeypatch):
    """Ten times what the file may ask for is not to be had in the child."""
    code = (
        "import simspine.io.guarded as child, numpy\n"
        "child._c3d_arrays = lambda path: ({'x': numpy.ones(10**9)}, {})\n"
        "child.run_guarded_reader()"
    )
    monkeypatch.setattr(guarded, "_CHILD_COMMAND", (sys.executable, "-c", code))
    with pytest.raises(InputError, match=r"\.c3d: .*Unable to allocate 7\.45 GiB"):
        read_guarded("C3D", file)


def test_a_child_ends_without_its_parent():
    """Whoever reads may be killed: the child's own limit ends an endless reader."""
    code = "from simspine.io.guarded import _limit_resources\n_limit_resources(1 << 30, 1)\nwhile True: pass"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode < 0
