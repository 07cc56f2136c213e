"""A Slurm of two nodes on one machine: real daemons, all their files in one folder."""

import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scontrol")
CONF = Path("/etc/slurm/slurm.conf")  # the executor plugin takes SLURM_* away from jobs, so the usual place must do
NODES = ("n1", "n2")
READY_S = 30.0
TOLD = ("Allocate JobId", "requeue", "not responding", "_job_complete: JobId")  # of the controller's log


def missing() -> str:
    """Why there can be no such cluster here; '' where there can."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        return f"{', '.join(lacking)} not installed (Debian: apt-get install --no-install-recommends slurm-wlm munge)"
    if os.geteuid() != 0:
        return "only root can start its daemons"
    return f"{CONF} is there: this machine has a cluster of its own" if CONF.exists() or CONF.is_symlink() else ""


@contextmanager
def two_nodes(folder: Path) -> Iterator[None]:
    """A cluster while the block lasts. folder: of its own, removed in the end."""
    made = not CONF.parent.exists()
    try:
        _start(folder)
        yield
    finally:
        CONF.unlink(missing_ok=True)
        if made:
            shutil.rmtree(CONF.parent, ignore_errors=True)
        _stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> None:
    munge = folder / "munge"
    for part in (munge, folder / "state", *(folder / f"spool.{node}" for node in NODES)):
        part.mkdir(parents=True)
    for part in (folder, munge):
        part.chmod(0o755)  # munge trusts no folder that others may write to
    key = munge / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    _do(
        "munged", "--force", f"--key-file={key}", f"--socket={munge}/socket", f"--pid-file={folder}/munged.pid",
        f"--log-file={munge}/log", f"--seed-file={munge}/seed",
    )  # fmt: skip
    text = Path(__file__).with_suffix(".conf").read_text(encoding="utf-8")
    conf = folder / "slurm.conf"
    conf.write_text(text.format(host=platform.node().split(".")[0], folder=folder), encoding="utf-8")
    CONF.parent.mkdir(parents=True, exist_ok=True)
    CONF.symlink_to(conf)
    _do("slurmctld", "-c")
    for node in NODES:
        _do("slurmd", "-N", node)
    end = time.monotonic() + READY_S
    while _do("sinfo", "--noheader", "--states", "idle", "--format", "%D").strip() != "2":
        if time.monotonic() > end:
            raise TimeoutError(f"the nodes did not come up within {READY_S:g} s; see {folder}/*.log")
        time.sleep(0.5)


def _do(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def running(name: str) -> tuple[str, str] | None:
    """(number, node) of the first job at work whose comment or name holds `name`; None without one."""
    for line in _do("squeue", "--noheader", "--states", "R", "--format", "%i|%N|%j|%k").splitlines():
        number, node, *words = line.split("|")
        if any(name in word for word in words):
            return number, node
    return None


def kill_node(folder: Path, node: str, job: str) -> int:
    """As if its power went: SIGKILL to a node's daemon and to all processes of the job on it. Returns how many."""
    victims = [psutil.Process(int((folder / f"slurmd.{node}.pid").read_text()))]
    victims += _steps(f"{job}.")
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)
    return len(victims)


def _steps(of: str = "") -> list[psutil.Process]:
    """What nodes run: the daemon of each step of a job (of all, by default) and all below it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if " ".join(process.info["cmdline"] or ()).startswith(f"slurmstepd: [{of}"):
            with suppress(psutil.NoSuchProcess):
                found += [process, *process.children(recursive=True)]
    return found


def history(folder: Path) -> list[str]:
    """What the controller says of jobs and nodes, in order."""
    lines = (folder / "slurmctld.log").read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if any(word in line for word in TOLD)]


def _stop(folder: Path) -> None:
    """End the daemons by their numbers, and the jobs that are at work."""
    found = _steps()
    for path in (*folder.glob("slurmd.*.pid"), folder / "slurmctld.pid", folder / "munged.pid"):
        try:
            process = psutil.Process(int(path.read_text()))
            found += [*process.children(recursive=True), process]
        except (OSError, ValueError, psutil.NoSuchProcess):
            continue
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(found, timeout=10)[1]:
        process.kill()
