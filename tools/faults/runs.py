"""What goes wrong on a machine, done to real runs over a small virtual set.

After each fault the same command is given again. It must end well, and all results must be those of a run that nothing
disturbed, byte by byte, run logs and computing times aside.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO

import yaml

from simspine.core.errors import InputError
from simspine.evaluation.tables import aligned_markdown

RESULTS_FOLDER, RUN_CONFIG_FILE = "results", "set.yaml"
FILES_THAT_VARY = ("logs/", "benchmarks/", "timings.json")


class RunFolder:
    """A folder with a configuration in which runs are disturbed, and the results of one that was not."""

    def __init__(self, folder: Path, subjects: int, actions: list[str], frames: int = 40):
        self.folder = folder
        self.reference: dict[str, str] = {}
        self.idle_s = 0.0
        folder.mkdir(parents=True)
        content = {
            "name": "faults",
            "results": RESULTS_FOLDER,
            "virtual": {"subjects": subjects, "actions": actions, "frames": frames, "detections": "exact"},
            "capture": {"human36m": f"{RESULTS_FOLDER}/capture", "detections": f"{RESULTS_FOLDER}/capture/detections"},
            "detection": {"detector": "import"},
            "body": {"recipe": "coupled", "markers": "centres"},
        }
        (folder / RUN_CONFIG_FILE).write_text(yaml.safe_dump(content), encoding="utf-8")

    @property
    def results(self) -> Path:
        return self.folder / RESULTS_FOLDER

    @property
    def kept(self) -> Path:
        return self.folder / "undisturbed"

    def make_reference(self) -> None:
        """One core, nothing in the way; its results are put aside. `idle_s`: what the command takes after that."""
        code, said = wait_for_run(self.start(cores=1))
        if code:
            raise InputError(f"the undisturbed run failed: {said}")
        begun = time.monotonic()
        wait_for_run(self.start(cores=1))
        self.idle_s = time.monotonic() - begun
        self.reference = result_checksums(self.results)
        self.results.rename(self.kept)

    def start(
        self, cores: int = 2, memory: int | None = None, by: Sequence[str] = (), said: int | IO[str] = subprocess.PIPE
    ) -> subprocess.Popen:
        """`simspine run` as a process with a group of its own. memory: bytes of address space that it may have; by: a
        command that starts it; said: for what it prints."""
        return subprocess.Popen(
            [*by, sys.executable, "-m", "simspine", "run", RUN_CONFIG_FILE, "--cores", str(cores)],
            cwd=self.folder, stdout=said, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=partial(_limit_run, memory),
        )  # fmt: skip

    def fresh(self, *without: str) -> None:
        """Results as of the undisturbed run, without these files and folders."""
        shutil.rmtree(self.results, ignore_errors=True)
        shutil.copytree(self.kept, self.results)
        for name in without:
            path = self.results / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def is_equal(self) -> bool:
        return result_checksums(self.results) == self.reference

    def left(self) -> int:
        names = [path.name for path in self.results.rglob("*")]
        return sum(".tmp" in name or name.endswith((".lock", ".failed")) for name in names)


def _limit_run(memory: int | None) -> None:
    """Before a run begins: ctrl-C ends it, which a shell's background processes ignore, and its memory has a limit."""
    import resource

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def result_checksums(results: Path) -> dict[str, str]:
    """{file: sha256 of its content without computing times}."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results).as_posix()
        if path.is_file() and not name.startswith(FILES_THAT_VARY):
            found[name] = hashlib.sha256(without_seconds(name, path.read_bytes())).hexdigest()
    return found


def without_seconds(name: str, content: bytes) -> bytes:
    if is_manifest(name):
        with suppress(ValueError, TypeError):  # cut short
            return json.dumps(json.loads(content) | {"seconds": 0}).encode()
    return content


def is_manifest(name: str) -> bool:
    """Whether it is the path of a whole one."""
    path = Path(name)
    return "manifests" in path.parts[-3:-1] and path.suffix == ".json" and path.name[0] != "."


def wait_for_run(run: subprocess.Popen) -> tuple[int, str]:
    """Exit code, and what was printed from the first error on."""
    said, _ = run.communicate()
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    first = next((i for i, line in enumerate(lines) if line.startswith(("error: ", "stopped"))), len(lines))
    return run.returncode, " / ".join(dict.fromkeys(lines[first:])) if run.returncode else ""


def running_processes() -> Iterator[tuple[int, int, list[str]]]:
    """Number, session and command of each that runs; not of those that ended and nobody has waited for yet."""
    found = subprocess.run(["ps", "-eo", "pid,sid,stat,args"], capture_output=True, text=True, check=True).stdout
    for line in found.splitlines()[1:]:
        number, session, state, *words = line.split()
        if not state.startswith("Z"):
            yield int(number), int(session), words


def find_running_job(session: int, name: str = "job") -> int | None:
    """Number of the first process in a session that is `simspine job <name>` (any job, if no name is given)."""
    for number, own, words in running_processes():
        if own == session and "python" in words[0] and {"job", name} <= set(words):
            return number
    return None


# A run is killed after at most so many times what one takes that has nothing to do: some kills meet its start.
LONGEST_RUN_FACTOR = 1.5
MAX_RUN_FAILURES = 3  # of runs that nobody killed, until the rest is not tried
MAX_MESSAGE_CHARACTERS = 150  # characters of a message in the table
ReportLine = Callable[[str], None]


@dataclass(frozen=True)
class FaultOutcome:
    """Of one fault. code: exit code of the command that met it. continued: the same command then ended well. equal: all
    results were those of the undisturbed run. left: temporary files, locks and records of failures that stayed.
    redone: finished work that was done again."""

    fault: str
    code: int
    message: str
    continued: bool
    equal: bool
    left: int = 0
    redone: int = 0

    @property
    def good(self) -> bool:
        return self.continued and self.equal and not self.left and not self.redone


def measure_faults(
    kills: int, quick: bool = False, seed: int = 1, say: ReportLine = lambda _: None
) -> list[FaultOutcome]:
    """Outcomes of all faults. kills: how often a run is ended by SIGKILL at a random moment.

    quick: kills only, over one trial. Raises `InputError` where the system is none with POSIX signals, or an
    undisturbed run fails.
    """
    if os.name != "posix":
        raise InputError("faults are signals, limits and permissions as POSIX systems have them; run it on Linux.")
    with tempfile.TemporaryDirectory() as folder:
        found: list[FaultOutcome] = []
        if not quick:
            small = _undisturbed(Path(folder) / "small", ["Walking 1"], say)
            for fault in FAULT_CASES:
                found.append(fault(small))
                say(fault_table(found[-1:]))
        actions = ["Walking 1"] if quick else ["Walking 1", "Sitting 1"]
        place = _undisturbed(Path(folder) / "killed", actions, say)
        return [*found, fault_killed(place, kills, random.Random(seed), say)]


def _undisturbed(folder: Path, actions: list[str], say: ReportLine) -> RunFolder:
    """A folder with the results of a run that nothing disturbed."""
    place = RunFolder(folder, 1, actions)
    say(f"undisturbed run over {len(actions)} trials")
    place.make_reference()
    say(f"with nothing to do it takes {place.idle_s:.0f} s")
    return place


def _rerun_and_judge(place: RunFolder, fault: str, code: int, said: str) -> FaultOutcome:
    """Give the same command again, and compare."""
    again, message = wait_for_run(place.start())
    return FaultOutcome(
        fault, code, message if again else said, continued=again == 0, equal=place.is_equal(), left=place.left()
    )


@dataclass
class _Kills:
    """What became of runs that were killed. at_work: kills that met a job. through: runs that got to their end."""

    done: int = 0
    at_work: int = 0
    through: int = 0
    failures: int = 0
    unequal: int = 0
    left: int = 0
    redone: int = 0

    def outcome(self, code: int, message: str) -> FaultOutcome:
        return FaultOutcome(
            f"SIGKILL at {self.done} random moments", code, message, continued=not self.failures,
            equal=self.through > 0 and not self.unequal, left=self.left, redone=self.redone,
        )  # fmt: skip


def fault_killed(place: RunFolder, kills: int, chance: random.Random, say: ReportLine) -> FaultOutcome:
    """SIGKILL at random moments, to the command alone or to its whole group in turn, and the same command again.

    When a run gets through, its results are compared and removed, and the next starts from nothing.
    """
    shutil.rmtree(place.results, ignore_errors=True)
    count = _Kills()
    made: dict[str, str] = {}
    sessions: set[int] = set()
    while True:
        run = place.start(cores=1 + count.done % 2)
        patience = chance.uniform(0, LONGEST_RUN_FACTOR * place.idle_s) if count.done < kills else None
        try:
            said, _ = run.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            count.done += 1
            count.at_work += find_running_job(run.pid) is not None
            os.killpg(run.pid, signal.SIGKILL) if count.done % 2 else run.kill()
            run.wait()
            sessions.add(run.pid)
            made = {**manifest_texts(place.results), **made}
            if count.done % 10 == 0:
                say(f"{count.done} kills, {count.at_work} of them while a job was at work; {count.through} runs ended")
            continue
        if run.returncode:
            count.failures += 1
            message = said[-MAX_MESSAGE_CHARACTERS:]
            say(f"a run that was not killed ended with {run.returncode}: {message}")
            if count.failures > MAX_RUN_FAILURES:
                count.left += place.left()
                return count.outcome(run.returncode, message)
            continue
        while sessions & {session for _, session, _ in running_processes()}:
            time.sleep(0.2)  # jobs whose run was killed go on to the end of their work
        count.through += 1
        now = manifest_texts(place.results)
        count.redone += sum(now.get(name) != text for name, text in made.items())
        count.unequal += not place.is_equal()
        count.left += place.left()
        if count.done >= kills:
            message = f"{count.at_work} kills met a job at work; {count.through} runs got through"
            return count.outcome(-signal.SIGKILL, message)
        shutil.rmtree(place.results)
        made = {}


def manifest_texts(results: Path) -> dict[str, str]:
    """Text of each manifest; it holds the seconds the work took, so work done again leaves another."""
    found = (path for path in results.rglob("manifests/**/*.json") if not path.name.startswith("."))  # not half written
    return {path.relative_to(results).as_posix(): path.read_text(encoding="utf-8") for path in found}


def fault_disk_full(place: RunFolder) -> FaultOutcome:
    """A file system of a few MB in the place of the results."""
    place.fresh("S1/kinematics", "manifests/dataset.json")
    with tempfile.TemporaryDirectory() as elsewhere:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", elsewhere], capture_output=True, check=False
        )
        if mounted.returncode:
            message = "not tried: only root can mount a small disk"
            return FaultOutcome("disk full", -1, message, continued=True, equal=True)
        try:
            own = Path(elsewhere) / RESULTS_FOLDER
            shutil.copytree(place.results, own)
            shutil.rmtree(place.results)
            place.results.symlink_to(own)
            (own / "filler").write_bytes(bytes(shutil.disk_usage(own).free - 100_000))
            code, said = wait_for_run(place.start())
            (own / "filler").unlink(missing_ok=True)
            place.results.unlink()
            shutil.copytree(own, place.results)
        finally:
            subprocess.run(["umount", elsewhere], check=False)
    return _rerun_and_judge(place, "disk full", code, said)


def fault_out_of_memory(place: RunFolder) -> FaultOutcome:
    place.fresh("S1/kinematics")
    code, said = wait_for_run(place.start(memory=600 * 2**20))
    return _rerun_and_judge(place, "out of memory: 600 MiB of address space", code, said)


def fault_job_killed(place: RunFolder) -> FaultOutcome:
    """As the kernel does when memory runs out: one job, without a word."""
    place.fresh("S1/kinematics")
    run = place.start()
    job = _wait_for_job(run.pid)
    os.kill(job, signal.SIGKILL)
    return _rerun_and_judge(place, "a job killed by the system", *wait_for_run(run))


def _wait_for_job(run: int) -> int:
    """Number of the first `simspine job motion` below a process."""
    while (job := find_running_job(run, "motion")) is None:
        time.sleep(0.05)
    return job


def fault_interrupted(place: RunFolder) -> FaultOutcome:
    """ctrl-C while a job runs."""
    place.fresh("S1/kinematics")
    run = place.start()
    _wait_for_job(run.pid)
    os.killpg(run.pid, signal.SIGINT)
    return _rerun_and_judge(place, "ctrl-C", *wait_for_run(run))


def fault_two_runs(place: RunFolder) -> FaultOutcome:
    """The same results at the same time; the second may wait or stop, but not spoil them."""
    place.fresh("S1/kinematics")
    first = place.start()
    _wait_for_job(first.pid)
    code, said = wait_for_run(place.start())
    wait_for_run(first)
    return _rerun_and_judge(place, "two runs at once", code, said)


def fault_clock(place: RunFolder) -> FaultOutcome:
    """The clock is 400 days late for the middle of the work, and early for its end; `faketime` says so to a process."""
    place.fresh("S1/markers")
    if shutil.which("faketime") is None:
        return FaultOutcome("clock 400 days off", -1, "not tried: needs faketime", continued=True, equal=True)
    wait_for_run(place.start(by=("faketime", "-f", "-400d")))
    shutil.rmtree(place.results / "S1/kinematics")
    code, said = wait_for_run(place.start(by=("faketime", "-f", "+400d")))
    return _rerun_and_judge(place, "clock 400 days off", code, said)


FAULT_CASES = (fault_disk_full, fault_out_of_memory, fault_job_killed, fault_interrupted, fault_two_runs, fault_clock)


def fault_table(found: list[FaultOutcome]) -> str:
    """A line for each fault, in Markdown."""
    rows: list[tuple[str, ...]] = [
        ("fault", "exit", "message", "then, by the same command"), ("---", "---:", "---", "---"),
    ]  # fmt: skip
    for one in found:
        end = "through, equal bytes" if one.equal else "through, other bytes" if one.continued else "not through"
        end += f", {one.left} files left" if one.left else ""
        end += f", {one.redone} pieces of work redone" if one.redone else ""
        message = one.message.replace("|", "/").partition(". What is done is kept")[0]
        short = message[:MAX_MESSAGE_CHARACTERS] + ("…" if len(message) > MAX_MESSAGE_CHARACTERS else "")
        rows.append((one.fault, str(one.code), short, end))
    return aligned_markdown(rows)


def fault_records(found: list[FaultOutcome]) -> list[dict]:
    """For a JSON file."""
    return [asdict(one) | {"good": one.good} for one in found]
