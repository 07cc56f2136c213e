"""A fork of the run's server does what `simspine job` would have done: words, output, exit code, end."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, chdir

import pytest

from simspine.workflow.job_server import SERVER_VARIABLE, job_server
from simspine.workflow.up_to_date import RunPaths, hold_lock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do each job in a process of its own")
JOB = [sys.executable, "-m", "simspine", "job"]


@pytest.fixture
def served(tmp_path_factory):
    """The server, started in a folder of a stranger, whose modules are not imported."""
    folder = tmp_path_factory.mktemp("stranger")
    for module in ("yaml", "numpy", "simspine"):
        (folder / f"{module}.py").write_text("open('trapped', 'w').write('x')")
    with ExitStack() as server:
        with chdir(folder):
            server.enter_context(job_server())
        yield
    assert not (folder / "trapped").exists()


def of_job(*words, **more):
    return subprocess.run([*JOB, *words], capture_output=True, text=True, timeout=100, **more)


def test_words_output_and_exit_code_are_those_of_a_process(served, tmp_path):
    """A job that does not exist, in another folder: the same as without a server."""
    alone = {name: value for name, value in os.environ.items() if name != SERVER_VARIABLE}
    assert alone != dict(os.environ)
    for words in (("nonsense", "--config", "mine.yaml"), ("detect", "--nonsense"), ("--help",)):
        (tmp_path / "mine.yaml").write_text("name: small\n")
        forked, own = of_job(*words, cwd=tmp_path), of_job(*words, cwd=tmp_path, env=alone)
        assert (forked.returncode, forked.stdout, forked.stderr) == (own.returncode, own.stdout, own.stderr)
        assert own.stdout + own.stderr


def test_jobs_are_forks_of_one_process_and_load_little(served, copied, monkeypatch):
    """The second job finds loaded what the first had to load; both do their work, and say what they took."""
    monkeypatch.chdir(copied.folder)
    costs = copied.results / "benchmarks/S01"
    taken = []
    for _ in range(2):
        for name in ("keypoints", "points", "markers", "cameras"):
            (copied.results / f"S01/{name}/bow.h5").unlink()
        for words in (("detect", "--trial", "bow"), ("cameras",), ("markers", "--trial", "bow")):
            done = of_job(*words, "--config", copied.file, "--subject", "S01")
            assert done.returncode == 0, done.stderr
        taken.append(float((costs / "bow_markers.tsv").read_text().split()[-2]))
    assert (copied.results / "S01/markers/bow.h5").is_file()
    assert 0 < taken[1] < taken[0]


def test_whoever_asked_and_the_fork_end_together(served, copied, monkeypatch):
    """A lock on the stage keeps the job waiting; nobody holds its standard error once both have ended."""
    monkeypatch.chdir(copied.folder)
    (copied.results / "S01/keypoints/bow.h5").unlink()
    lock = RunPaths(copied.results, "S01").manifest("detect", "bow").with_suffix(".lock")
    words = ["detect", "--config", str(copied.file), "--subject", "S01", "--trial", "bow"]
    with hold_lock(lock, "busy"), subprocess.Popen([*JOB, *words], stderr=subprocess.PIPE, text=True) as job:
        assert "waiting for it" in job.stderr.readline()
        job.kill()
        assert job.communicate(timeout=60) == (None, "")
    assert job.returncode == -signal.SIGKILL
    assert not (copied.results / "S01/keypoints/bow.h5").exists()


def test_a_killed_fork_kills_its_job(tmp_path, monkeypatch):
    """As the system does where memory runs out: exit code 137 in a shell."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("")
        listener.listen()
        monkeypatch.setenv(SERVER_VARIABLE, listener.getsockname().hex())
        job = subprocess.Popen([*JOB, "detect", "--subject", "S01"], cwd=tmp_path)
        asking, _ = listener.accept()
        message, files, _, _ = socket.recv_fds(asking, 1 << 18, 3)
        name, words, folder, environment = json.loads(message)
        assert name == os.environ[SERVER_VARIABLE]
        assert words == ["detect", "--subject", "S01"]
        assert folder == str(tmp_path)
        assert SERVER_VARIABLE not in environment
        assert len(files) == 3
        asking.send(b"+")
        asking.close()
        assert job.wait(60) == -signal.SIGKILL


def test_who_does_not_know_the_servers_secret_is_not_served(served, tmp_path):
    """As a process of this user that sees the socket and not the run: the job is done where it was asked for."""
    address, _, _ = os.environ[SERVER_VARIABLE].partition(" ")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.connect(bytes.fromhex(address))
        words = [address + " guess", ["--help"], str(tmp_path), {}]
        socket.send_fds(stranger, [json.dumps(words).encode()], [0, 1, 2])
        stranger.settimeout(60)
        assert stranger.recv(1) == b""


@pytest.mark.parametrize("name", ["", "006e6f6e73656e7365", "nonsense"])
def test_without_a_server_the_process_does_the_job(name, tmp_path, monkeypatch):
    monkeypatch.setenv(SERVER_VARIABLE, name)
    done = of_job("nonsense", "--config", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "mine.yaml" in done.stderr


def test_a_server_that_cannot_start_leaves_the_jobs_to_their_processes(tmp_path, monkeypatch):
    """Not for good: whoever asks is not kept waiting."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with job_server():
        done = subprocess.run(
            [*JOB, "nonsense", "--config", "mine.yaml"], cwd=tmp_path, capture_output=True, timeout=60
        )
    assert done.returncode == 2


def test_what_cannot_be_loaded_leaves_the_rest():
    """OpenSim's bindings leave a module `swig_runtime_data4`, which cannot be imported."""
    code = """
import sys
from simspine.workflow.job_server import _load, _loaded_tables
_load(
    ["no_such_module", "simspine.report.page"], [("simspine.core.geometry", "no_such_kernel", ())],
    [("simspine.report.page", "no_such_table"), ("simspine.report.page", "_page_template")],
)
print("numba" in sys.modules, ("simspine.report.page", "_page_template") in _loaded_tables())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["True", "True"], done.stderr
