"""Runs over a small virtual set in a folder of their own, to be disturbed and compared with one that was not."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from simspine.errors import InputError

RESULTS, CONFIG = "results", "set.yaml"
TIMES = ("logs/", "benchmarks/", "timings.json")


@dataclass(frozen=True)
class Trouble:
    """What is done to a command. limits: {resource: bytes}. root: whether to leave root its rights over all files."""

    limits: Mapping[int, int] | None = None
    root: bool = True

    def __call__(self) -> None:
        import ctypes
        import resource

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background processes ignore it
        for what, size in (self.limits or {}).items():
            resource.setrlimit(what, (size, size))
        if not self.root and os.geteuid() == 0:
            for right in (1, 2):  # PR_CAPBSET_DROP of CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: permissions hold for root
                ctypes.CDLL(None).prctl(24, right)


class RunFolder:
    """A folder with a configuration in which runs are disturbed, and the results of one that was not."""

    def __init__(self, folder: Path, subjects: int, actions: list[str]):
        self.folder = folder
        self.reference: dict[str, str] = {}
        self.idle_s = 0.0
        folder.mkdir(parents=True)
        content = {
            "name": "faults",
            "results": RESULTS,
            "virtual": {"subjects": subjects, "actions": actions, "frames": 40, "detections": "exact"},
            "capture": {"human36m": f"{RESULTS}/capture", "detections": f"{RESULTS}/capture/detections"},
            "detection": {"detector": "import"},
            "body": {"recipe": "coupled", "markers": "centres"},
        }
        (folder / CONFIG).write_text(yaml.safe_dump(content), encoding="utf-8")

    @property
    def results(self) -> Path:
        return self.folder / RESULTS

    @property
    def kept(self) -> Path:
        return self.folder / "undisturbed"

    def make_reference(self) -> None:
        """One core, nothing in the way; its results are put aside. `idle_s`: what the command takes after that."""
        code, said = finished(self.start(cores=1))
        if code:
            raise InputError(f"the undisturbed run failed: {said}")
        begun = time.monotonic()
        finished(self.start(cores=1))
        self.idle_s = time.monotonic() - begun
        self.reference = contents(self.results)
        self.results.rename(self.kept)

    def start(self, cores: int = 2, trouble: Trouble = Trouble(), folder: Path | None = None) -> subprocess.Popen:
        """`simspine run` as a process with a group of its own."""
        config = CONFIG if folder is None else str(self.folder / CONFIG)
        return subprocess.Popen(
            [sys.executable, "-m", "simspine", "run", config, "--cores", str(cores)],
            cwd=folder or self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, preexec_fn=trouble,
        )  # fmt: skip

    def fresh(self, *without: str) -> None:
        """Results as of the undisturbed run, without these files and folders."""
        shutil.rmtree(self.results, ignore_errors=True)
        shutil.copytree(self.kept, self.results)
        for name in without:
            path = self.results / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def is_equal(self) -> bool:
        return contents(self.results) == self.reference

    def left(self) -> int:
        names = [path.name for path in self.results.rglob("*")]
        return sum(".tmp" in name or name.endswith((".lock", ".failed")) for name in names)


def contents(results: Path) -> dict[str, str]:
    """{file: sha256 of what does not tell how long it took}."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results).as_posix()
        if path.is_file() and not name.startswith(TIMES):
            found[name] = hashlib.sha256(_without_seconds(path)).hexdigest()
    return found


def _without_seconds(path: Path) -> bytes:
    if path.parent.name == "manifests" or path.parent.parent.name == "manifests":
        entry = json.loads(path.read_text(encoding="utf-8"))
        return json.dumps(entry | {"seconds": 0}).encode()
    return path.read_bytes()


def finished(run: subprocess.Popen) -> tuple[int, str]:
    """Exit code, and what was printed from the first error on."""
    said, _ = run.communicate()
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    first = next((i for i, line in enumerate(lines) if line.startswith(("error: ", "stopped"))), len(lines))
    return run.returncode, " / ".join(dict.fromkeys(lines[first:])) if run.returncode else ""


def processes() -> Iterator[tuple[int, int, list[str]]]:
    """Number, session and command of each that runs."""
    found = subprocess.run(["ps", "-eo", "pid,sid,args"], capture_output=True, text=True, check=True).stdout
    for line in found.splitlines()[1:]:
        number, session, *words = line.split()
        yield int(number), int(session), words


def job_at_work(session: int, name: str = "job") -> int | None:
    """Number of the first process in a session that is `simspine job <name>` (any job, if no name is given)."""
    for number, own, words in processes():
        if own == session and "python" in words[0] and {"job", name} <= set(words):
            return number
    return None
