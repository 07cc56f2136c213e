"""Damaged files by the thousand for every reader: `python -m tools.fuzz_readers --files 1000 [--reader store]`.

A file must be read, or refused by an `InputError` that names it: within 5 s and 1 GiB. Each reader runs in a process of
its own; one that hangs or crashes is started again behind the file that did it. The n-th file of a reader depends on
the seed and n alone: `--reader store --case 17` writes it and shows what its reader says.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from tools.fuzz_readers.mutators import mutated
from tools.fuzz_readers.readers import READERS

from simspine.core.errors import InputError
from simspine.io import guarded

try:
    import resource
except ImportError:  # Windows
    resource = None

SECONDS, MEMORY = 5, 1 << 30
WAIT_FACTOR = 6  # times as long on the clock: a busy machine has other work
_MORE = 8 << 30  # address space of a worker: what asks for more is told so
OUTCOMES = ("InputError", "read", "unnamed", "other", "hang", "memory", "crash")


def case(reader: str, original: bytes, seed: int, number: int) -> bytes:
    """The damaged file of a number."""
    rng = random.Random(f"{seed}/{reader}/{number}")
    return mutated(original, READERS[reader].mutators, rng)


def outcome(reader: str, path: Path) -> tuple[str, str]:
    """What the reader makes of the file: one of `OUTCOMES`, and what it said."""
    before = peak()
    try:
        READERS[reader].read(path)
        result = "read", ""
    except InputError as error:
        result = "InputError" if path.name in str(error) or path.parent.name in str(error) else "unnamed", str(error)
    except MemoryError:
        result = "memory", "MemoryError"
    except Exception as error:
        result = "other", f"{type(error).__name__}: {error} at {_place(error)}"
    return ("memory", f"{(peak() - before) >> 20} MiB more") if peak() - before > MEMORY else result


def _place(error: Exception) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "simspine/" in f.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"


def peak() -> int:
    """Bytes of memory that this process, or a process that it waited for, has held at most."""
    if resource is None:
        return 0
    return 1024 * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def work(reader: str, folder: Path, seed: int, first: int, last: int) -> None:
    """Read the files first … last − 1, and print a line for each before and after."""
    warnings.simplefilter("ignore")
    path = folder / READERS[reader].name
    original = seed_file(reader, folder)
    path.write_bytes(original)
    outcome(reader, path)  # imports are not part of any file's time
    with contextlib.suppress(ValueError, OSError):
        fork_guarded_readers()
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + _MORE, _address_space() + _MORE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in range(first, last):
        path.write_bytes(case(reader, original, seed, number))
        print(f"at\t{number}", flush=True)
        _set_timers(SECONDS)
        found, detail = outcome(reader, path)
        _set_timers(0)
        print(f"{found}\t" + " ".join(detail.split())[:300], flush=True)
        if found == "memory":
            return


def _set_timers(seconds: float) -> None:
    """Of the processor, and longer ones of the clock. Nothing handles their signals, so they end the process."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, WAIT_FACTOR * seconds)


def fork_guarded_readers() -> None:
    """From now on `io.guarded` reads in a fork of this process, not in a new Python, which takes 0.4 s to start."""
    import cdflib  # noqa: F401 - loaded once
    import ezc3d  # noqa: F401

    guarded._LIBRARY_ADDRESS_SPACE += _address_space()
    guarded.MIN_READ_SECONDS, guarded.MAX_WAIT_FACTOR = 1.0, 3.0  # a child ends before the alarm rings
    guarded.subprocess = _Forks  # type: ignore[assignment]


class _Forks:
    """Stands for the module `subprocess` in `io.guarded`."""

    DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

    @staticmethod
    def run(command: list[str], timeout: float, **_) -> subprocess.CompletedProcess:
        """As `subprocess.run` does; the command's last five words are the arguments of `run_guarded_reader`."""
        with tempfile.TemporaryFile() as said:
            process = os.fork()
            if process == 0:
                os._exit(_read_guarded(command, said.fileno()))
            end = time.monotonic() + timeout
            pause = 0.0005
            while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
                if time.monotonic() > end:
                    os.kill(process, signal.SIGKILL)
                    os.waitpid(process, 0)
                    raise subprocess.TimeoutExpired(command, timeout)
                time.sleep(pause)
                pause = min(2 * pause, 0.01)
            said.seek(0)
            return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(ended[1]), b"", said.read())


def _read_guarded(command: list[str], said: int) -> int:
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)  # libFuzzer's are not the child's
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - this process ends soon
    sys.argv = ["", *command[-5:]]
    code = 0
    try:
        guarded.run_guarded_reader()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = 1
    sys.stderr.flush()
    return code


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")


def seed_file(reader: str, folder: Path) -> bytes:
    """The valid file of a reader, made once in a folder."""
    made = folder / f"valid-{READERS[reader].name}"
    if not made.exists():
        path = folder / READERS[reader].name
        READERS[reader].write(path)
        path.rename(made)
    return made.read_bytes()


def campaign(reader: str, files: int, seed: int = 1, first: int = 0) -> tuple[Counter, list[str]]:
    """Counts of outcomes over `files` damaged files, and a line for each of the unwanted ones."""
    counts: Counter = Counter()
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        at = first
        while at < first + files:
            command = [sys.executable, "-m", "tools.fuzz_readers", "--worker", folder, "--reader", reader]
            command += ["--seed", str(seed), "--first", str(at), "--files", str(first + files - at)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
                assert process.stdout is not None
                finished = True
                for line in process.stdout:
                    kind, _, detail = line.rstrip("\n").partition("\t")
                    if kind == "at":
                        at, finished = int(detail), False
                    elif kind in OUTCOMES:
                        counts[kind] += 1
                        finished = True
                        if kind not in OUTCOMES[:2]:
                            notes.append(f"{reader} {at}: {kind} {detail}")
            if not finished:
                kind = "hang" if -process.returncode in (signal.SIGALRM, signal.SIGPROF) else "crash"
                counts[kind] += 1
                notes.append(f"{reader} {at}: {kind} (ended with {process.returncode})")
            elif process.returncode:
                raise RuntimeError(f"the worker of {reader!r} ended with {process.returncode} before its first file")
            at += 1
    return counts, notes


def row(cells) -> str:
    """A line of the table, as Markdown has it."""
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", action="append", choices=READERS, help="only this one (may be repeated)")
    parser.add_argument("--files", type=int, default=1000, help="damaged files for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--case", type=int, help="write the file of this number beside, and show what its reader says")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    chosen = given.reader or list(READERS)
    if given.worker:
        work(chosen[0], Path(given.worker), given.seed, given.first, given.first + given.files)
        return
    if given.case is not None:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        path = folder / READERS[chosen[0]].name
        path.write_bytes(case(chosen[0], seed_file(chosen[0], folder), given.seed, given.case))
        print(path, flush=True)
        READERS[chosen[0]].read(path)
        return
    print(row(("reader", "files", *OUTCOMES)), flush=True)
    print(row(["---"] + ["--:"] * (1 + len(OUTCOMES))), flush=True)
    for reader in chosen:
        counts, notes = campaign(reader, given.files, given.seed, given.first)
        print(row((reader, sum(counts.values()), *(counts[kind] for kind in OUTCOMES))), flush=True)
        for note in notes[:50]:
            print(note, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
