"""`simspine bench faults`: what goes wrong on a machine, done to real runs over a small virtual set.

After each fault the same command is given again. It must end well, and all results must be those of a run that nothing
disturbed, byte by byte, run logs and computing times aside.
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from simspine.benchmark.disturbed_runs import RESULTS, RunFolder, Trouble, finished, job_at_work, processes
from simspine.benchmark.report import aligned
from simspine.errors import InputError

LONGEST = 1.5  # a run is killed after at most so many times what one takes that has nothing to do: some meet its start
MOST_FAILURES = 3  # of runs that nobody killed, until the rest is not tried
SHOWN = 150  # characters of a message in the table
Say = Callable[[str], None]


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


def measure(
    kills: int, quick: bool = False, seed: int = 1, say: Say = lambda _: None, kills_only: bool = False
) -> list[FaultOutcome]:
    """Outcomes of all faults. kills: how often a run is ended by SIGKILL at a random moment.

    kills_only: no other fault. quick: kills only, over one trial. Raises `InputError` where the system is none with
    POSIX signals, or an undisturbed run fails.
    """
    if os.name != "posix":
        raise InputError("faults are signals, limits and permissions as POSIX systems have them; run it on Linux.")
    with tempfile.TemporaryDirectory() as folder:
        found: list[FaultOutcome] = []
        if not (quick or kills_only):
            small = _undisturbed(Path(folder) / "small", ["Walking 1"], say)
            for fault in FAULTS:
                found.append(fault(small))
                say(table(found[-1:]))
        actions = ["Walking 1"] if quick else ["Walking 1", "Sitting 1"]
        place = _undisturbed(Path(folder) / "killed", actions, say)
        return [*found, killed(place, kills, random.Random(seed), say)]


def _undisturbed(folder: Path, actions: list[str], say: Say) -> RunFolder:
    """A folder with the results of a run that nothing disturbed."""
    place = RunFolder(folder, 1, actions)
    say(f"undisturbed run over {len(actions)} trials")
    place.make_reference()
    say(f"with nothing to do it takes {place.idle_s:.0f} s")
    return place


def _judged(place: RunFolder, fault: str, code: int, said: str) -> FaultOutcome:
    """Give the same command again, and compare."""
    again, told = finished(place.start())
    return FaultOutcome(fault, code, said if not again else told, again == 0, place.is_equal(), place.left())


def killed(place: RunFolder, kills: int, chance: random.Random, say: Say) -> FaultOutcome:
    """SIGKILL at random moments, to the command alone or to its whole group in turn, and the same command again.

    When a run gets through, its results are compared and removed, and the next starts from nothing.
    """
    shutil.rmtree(place.results, ignore_errors=True)
    left = redone = unequal = through = failures = at_work = 0
    made: dict[str, str] = {}
    sessions: set[int] = set()
    done = 0
    while True:
        run = place.start(cores=1 + done % 2)
        try:
            said, _ = run.communicate(timeout=chance.uniform(0, LONGEST * place.idle_s) if done < kills else None)
        except subprocess.TimeoutExpired:
            done += 1
            at_work += job_at_work(run.pid) is not None
            os.killpg(run.pid, signal.SIGKILL) if done % 2 else run.kill()
            run.wait()
            sessions.add(run.pid)
            made = {**_manifests(place.results), **made}
            if done % 10 == 0:
                say(f"{done} kills, {at_work} of them while a job was at work; {through} runs got through")
            continue
        if run.returncode:
            failures += 1
            say(f"a run that was not killed ended with {run.returncode}: {said[-SHOWN:]}")
            if failures > MOST_FAILURES:
                return FaultOutcome(_kills(done), run.returncode, said[-SHOWN:], False, False, place.left(), redone)
            continue
        through += 1
        while sessions & {session for _, session, _ in processes()}:
            time.sleep(0.2)  # jobs whose run was killed go on to the end of their work
        now = _manifests(place.results)
        redone += sum(now.get(name) != text for name, text in made.items())
        unequal += not place.is_equal()
        left += place.left()
        if done >= kills:
            said = f"{at_work} kills met a job at work; {through} runs got through"
            return FaultOutcome(_kills(done), -signal.SIGKILL, said, not failures, not unequal, left, redone)
        shutil.rmtree(place.results)
        made = {}


def _kills(count: int) -> str:
    return f"SIGKILL at {count} random moments"


def _manifests(results: Path) -> dict[str, str]:
    """Text of each manifest; it holds the seconds the work took, so work done again leaves another."""
    found = (path for path in results.rglob("manifests/**/*.json"))
    return {path.relative_to(results).as_posix(): path.read_text(encoding="utf-8") for path in found}


def disk_full(place: RunFolder) -> FaultOutcome:
    """A file system of a few MB in the place of the results."""
    place.fresh("S1/kinematics", "manifests/dataset.json")
    with tempfile.TemporaryDirectory() as elsewhere:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", elsewhere], capture_output=True, check=False
        )
        if mounted.returncode:
            return FaultOutcome("disk full", -1, "not tried: only root can mount a small disk", True, True)
        try:
            own = Path(elsewhere) / RESULTS
            shutil.copytree(place.results, own)
            shutil.rmtree(place.results)
            place.results.symlink_to(own)
            (own / "filler").write_bytes(bytes(shutil.disk_usage(own).free - 100_000))
            code, said = finished(place.start())
            (own / "filler").unlink(missing_ok=True)
            place.results.unlink()
            shutil.copytree(own, place.results)
        finally:
            subprocess.run(["umount", elsewhere], check=False)
    return _judged(place, "disk full", code, said)


def out_of_memory(place: RunFolder) -> FaultOutcome:
    import resource

    place.fresh("S1/kinematics")
    code, said = finished(place.start(trouble=Trouble({resource.RLIMIT_AS: 600 * 2**20})))
    return _judged(place, "out of memory: 600 MiB of address space", code, said)


def job_killed(place: RunFolder) -> FaultOutcome:
    """As the kernel does when memory runs out: one job, without a word."""
    place.fresh("S1/kinematics")
    run = place.start()
    job = _wait_for_job(run.pid)
    os.kill(job, signal.SIGKILL)
    return _judged(place, "a job killed by the system", *finished(run))


def _wait_for_job(run: int) -> int:
    """Number of the first `simspine job motion` below a process."""
    while (job := job_at_work(run, "motion")) is None:
        time.sleep(0.05)
    return job


@contextmanager
def _mode(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


def read_only(place: RunFolder) -> FaultOutcome:
    place.fresh("S1/kinematics")
    with _mode(place.results, 0o555):
        code, said = finished(place.start(trouble=Trouble(root=False)))
    return _judged(place, "results read-only", code, said)


def read_only_inside(place: RunFolder) -> FaultOutcome:
    place.fresh("S1/vertebrae/Walking_1.h5")
    with _mode(place.results / "S1/vertebrae", 0o555):
        code, said = finished(place.start(trouble=Trouble(root=False)))
    return _judged(place, "a folder inside read-only", code, said)


def read_only_folder(place: RunFolder) -> FaultOutcome:
    place.fresh("S1/kinematics")
    with _mode(place.folder, 0o555):
        code, said = finished(place.start(trouble=Trouble(root=False)))
    return _judged(place, "working folder read-only", code, said)


def unreadable(place: RunFolder) -> FaultOutcome:
    place.fresh("S1/kinematics")
    with _mode(place.results / "S1/markers/Walking_1.h5", 0):
        code, said = finished(place.start(trouble=Trouble(root=False)))
    return _judged(place, "no permission to read a file", code, said)


def clock(days: int) -> Callable[[RunFolder], FaultOutcome]:
    """Files whose times lie ahead, as after the clock was set back; or a year behind."""

    def fault(place: RunFolder) -> FaultOutcome:
        place.fresh("S1/vertebrae")
        then = time.time() + days * 86400
        for path in place.results.rglob("*"):
            os.utime(path, (then, then))
        before = _manifests(place.results)
        code, said = finished(place.start())
        after = _manifests(place.results)
        redone = sum(after[name] != text for name, text in before.items() if "vertebrae" not in name)
        outcome = _judged(place, f"clock set {'back' if days > 0 else 'ahead'} by {abs(days)} days", code, said)
        return FaultOutcome(**asdict(outcome) | {"redone": redone})

    return fault


def interrupted(times: int) -> Callable[[RunFolder], FaultOutcome]:
    """ctrl-C while a job runs."""

    def fault(place: RunFolder) -> FaultOutcome:
        place.fresh("S1/kinematics")
        run = place.start()
        _wait_for_job(run.pid)
        for _ in range(times):
            os.killpg(run.pid, signal.SIGINT)
            time.sleep(0.2)
        return _judged(place, "ctrl-C" if times == 1 else "ctrl-C twice", *finished(run))

    return fault


def two_runs(elsewhere: bool) -> Callable[[RunFolder], FaultOutcome]:
    """The same results at the same time; the second may wait or stop, but not spoil them."""

    def fault(place: RunFolder) -> FaultOutcome:
        place.fresh("S1/kinematics")
        first = place.start()
        _wait_for_job(first.pid)
        with tempfile.TemporaryDirectory() as other:
            if elsewhere:  # results are named from the working folder
                (Path(other) / RESULTS).symlink_to(place.results)
            code, said = finished(place.start(folder=Path(other) if elsewhere else None))
        finished(first)
        return _judged(place, f"two runs at once, {'two folders' if elsewhere else 'one folder'}", code, said)

    return fault


FAULTS: tuple[Callable[[RunFolder], FaultOutcome], ...] = (
    disk_full, out_of_memory, job_killed, read_only, read_only_inside, read_only_folder, unreadable,
    clock(365), clock(-365), interrupted(1), interrupted(2), two_runs(False), two_runs(True),
)  # fmt: skip


def table(found: list[FaultOutcome]) -> str:
    """A line for each fault, in Markdown."""
    rows: list[tuple[str, ...]] = [("fault", "exit", "message", "then, by the same command")]
    rows.append(("---", "---:", "---", "---"))
    for one in found:
        end = "through, equal bytes" if one.equal else "through, other bytes" if one.continued else "not through"
        end += f", {one.left} files left" if one.left else ""
        end += f", {one.redone} pieces of work redone" if one.redone else ""
        message = one.message.replace("|", "/").partition(". What is done is kept")[0]
        rows.append((one.fault, str(one.code), message[:SHOWN] + ("…" if len(message) > SHOWN else ""), end))
    return aligned(rows)


def as_dicts(found: list[FaultOutcome]) -> list[dict]:
    """As JSON can say it."""
    return [asdict(one) | {"good": one.good} for one in found]
