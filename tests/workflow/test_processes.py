"""Work in several processes gives what it gives in one, and no process outlives the one that started it."""

import os
import pickle
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from simspine.core.errors import InputError
from simspine.workflow.bench_faults import running_processes
from simspine.workflow.reporting import _try_item, map_in_processes


def late_square(k):
    """The first are the last to end."""
    time.sleep(0.01 * (5 - k))
    return k**2, os.getpid()


def fails_from_three_on(k):
    time.sleep(0.3 if k == 3 else 0)  # so that 4 fails first
    if k >= 3:
        raise InputError(f"trial {k} is damaged.")
    return k


def warns(k):
    warnings.warn("as everywhere", stacklevel=1)
    return k


def full_disk(k):
    raise OSError(28, "No space left on device", f"page{k}.html")


class OddError(Exception):
    """Pickle cannot make it anew: it wants two arguments."""

    def __init__(self, what, where):
        super().__init__(f"{what} in {where}")


def odd(k):
    raise OddError("a fault", f"trial {k}")


def is_killed_at_two(k):
    if k == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return k


def blas_threads(k):
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"} if np.ones(k).sum() else set()


def test_results_come_in_the_order_of_the_items_from_as_many_processes():
    found = map_in_processes(late_square, range(5), 2)
    assert [square for square, _ in found] == [0, 1, 4, 9, 16]
    own = {process for _, process in found}
    assert len(own) == 2
    assert os.getpid() not in own


@pytest.mark.parametrize(("items", "count"), [(range(3), 1), (range(1), 8)])
def test_one_process_is_this_one(items, count):
    assert {process for _, process in map_in_processes(late_square, items, count)} == {os.getpid()}
    assert map_in_processes(late_square, [], count) == []


@pytest.mark.parametrize("count", [1, 2])
def test_the_first_trial_that_fails_is_named(count):
    with pytest.raises(InputError) as caught:
        map_in_processes(fails_from_three_on, range(1, 7), count)
    assert str(caught.value) == "trial 3 is damaged."


def test_errors_of_the_system_keep_their_file():
    with pytest.raises(OSError, match="No space left") as caught:
        map_in_processes(full_disk, range(2), 2)
    assert (caught.value.errno, caught.value.filename) == (28, "page0.html")


def test_an_error_that_pickle_cannot_take_keeps_its_words():
    answer = pickle.loads(pickle.dumps(_try_item(odd, 7)))
    assert str(answer.error) == "OddError: a fault in trial 7"
    assert "in odd\n" in answer.error.__notes__[0]  # where it was


@pytest.mark.parametrize("count", [1, 2])
def test_a_warning_is_given_once(count):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("default")
        assert map_in_processes(warns, range(5), count) == [0, 1, 2, 3, 4]
    assert [str(one.message) for one in heard] == ["as everywhere"]
    assert heard[0].filename == __file__


@pytest.mark.parametrize("count", [1, 2])
def test_blas_has_one_thread_in_each(count):
    assert map_in_processes(blas_threads, range(1, 3), count) == [{1}, {1}]


def test_a_process_that_is_killed_is_said():
    with pytest.raises(InputError, match="ended from outside, as the system does where memory runs out"):
        map_in_processes(is_killed_at_two, range(6), 2)


SLEEPER = """
import sys, time
from pathlib import Path
from simspine.cli.main import main
from simspine.io.atomic import atomic_path
from simspine.workflow import jobs
from simspine.workflow.reporting import map_in_processes

def half_written(k):
    with atomic_path(f"page{k}") as temporary:
        temporary.write_text("half")
        time.sleep(SECONDS)

if __name__ == "__main__":
    jobs.stage_states = lambda config: map_in_processes(half_written, range(20), 2)  # any command
    main(["status"])
"""


def of_session(session: int) -> list[list[str]]:
    """Commands of its processes, without those that end (defunct)."""
    return [words for _, own, words in running_processes() if own == session and "<defunct>" not in words]


def end_while_at_work(folder, seconds: float, sent: int, to_all: bool) -> tuple[int, str]:
    """Exit code and standard error of a command that got a signal while two processes wrote a file each."""
    script = folder / "sleeper.py"
    script.write_text(SLEEPER.replace("SECONDS", str(seconds)))
    with subprocess.Popen(
        [sys.executable, script], cwd=folder, start_new_session=True, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as command:  # fmt: skip
        end = time.monotonic() + 60
        while len(list(folder.glob(".page*"))) < 2:
            assert time.monotonic() < end
            assert command.poll() is None
            time.sleep(0.05)
        (os.killpg if to_all else os.kill)(command.pid, sent)
        _, said = command.communicate(timeout=60)
    end = time.monotonic() + 20
    while of_session(command.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert of_session(command.pid) == []
    return command.returncode, said


@pytest.mark.parametrize("to_all", [True, False])
def test_after_ctrl_c_nothing_is_left(tmp_path, to_all):
    """A terminal sends it to all processes, other programs to the command alone."""
    code, said = end_while_at_work(tmp_path, 600.0, signal.SIGINT, to_all)
    assert (code, said) == (130, "stopped by ctrl-C.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["sleeper.py"]


def test_processes_end_after_the_one_that_started_them_was_killed(tmp_path):
    """They are through with what they are at, and begin nothing more."""
    code, said = end_while_at_work(tmp_path, 1.0, signal.SIGKILL, False)
    assert (code, said) == (-signal.SIGKILL, "")
    assert len(list(tmp_path.glob("page*"))) <= 4
    assert not list(tmp_path.glob(".page*"))
