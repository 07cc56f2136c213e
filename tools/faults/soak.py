"""Whether memory and open files stay as they are: `python -m tools.faults.soak [--annotate 2400] [--run 4800]`.

First four scripted annotators take decisions at four servers of `simspine annotate`, as fast as these confirm them.
Then one `simspine run` works through 210 small trials, on one core. Memory and open files are read after each decision
and after each job. The first rounds do not count, in which libraries and caches are loaded: for the run, those before
one job of each kind has ended. Needs Linux.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.faults.every_write import send_decision, write_photographs
from tools.faults.runs import RESULTS_FOLDER, RunFolder, running_processes

from simspine.evaluation.tables import aligned_markdown
from simspine.io.human36m.names import HUMAN36M_ACTIONS, HUMAN36M_SUBJECT_NAMES

ANNOTATORS = ("anna", "ben", "cleo", "dan")
FRAMES = 8  # photographs of a camera
JOB_KINDS = ("detect", "markers", "motion")  # of each trial
LOADING_SHARE = 0.3  # of the rounds, which do not count
MOST_GROWTH_MIB = 16.0  # from the first rounds that count to the last


@dataclass(frozen=True)
class Use:
    """Of a process, after a round of work. memory_mib: resident; files: open ones."""

    memory_mib: float
    files: int


@dataclass(frozen=True)
class SoakOutcome:
    """begin, end: medians over the first and the last tenth of the rounds that count."""

    work: str
    rounds: int
    begin: Use
    end: Use

    @property
    def good(self) -> bool:
        return self.end.memory_mib - self.begin.memory_mib < MOST_GROWTH_MIB and self.end.files <= self.begin.files


def use_of(process: int | str = "self") -> Use:
    """What a process uses now."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return Use(pages * os.sysconf("SC_PAGESIZE") / 2**20, len(os.listdir(f"/proc/{process}/fd")))


def judge(work: str, found: Sequence[Use], loading: int = 0) -> SoakOutcome:
    """Over all rounds of a piece of work. loading: how many of the first do not count, at the least."""
    counted = found[max(loading, int(LOADING_SHARE * len(found))) :]
    tenth = max(1, len(counted) // 10)

    def middle(uses: Sequence[Use]) -> Use:
        memory, files = sorted(one.memory_mib for one in uses), sorted(one.files for one in uses)
        return Use(memory[len(uses) // 2], files[len(uses) // 2])

    return SoakOutcome(work, len(found), middle(counted[:tenth]), middle(counted[-tenth:]))


def repeat(work: Callable[[], object], seconds: float) -> list[Use]:
    """What this process uses after each round of some work."""
    end, found = time.monotonic() + seconds, []
    while time.monotonic() < end or len(found) < 3:
        work()
        found.append(use_of())
    return found


def soak_annotate(folder: Path, seconds: float) -> list[SoakOutcome]:
    """Four servers, each with the decisions of a person who looks at every photograph in turn."""
    write_photographs(folder)
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(_server(folder, name)) for name in ANNOTATORS]
        found: list[list[Use]] = [[] for _ in servers]
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            for (process, address), uses in zip(servers, found, strict=True):
                send_decision(address, number % FRAMES, ("Hip", "Neck")[number // FRAMES % 2])
                uses.append(use_of(process))
            number += 1
        for name in ANNOTATORS:
            lines = (folder / "annotations" / f"{name}.jsonl").read_bytes().count(b"\n")
            assert lines == 1 + number, f"{name}: {lines - 1} of {number} confirmed decisions are in the journal"
    return [judge(f"annotate, {name}", uses) for name, uses in zip(ANNOTATORS, found, strict=True)]


@contextlib.contextmanager
def _server(folder: Path, annotator: str) -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "simspine", "annotate", "photographs", "--out", "annotations", "--no-open"]
    with subprocess.Popen(
        [*command, "--annotator", annotator], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        address = re.findall(r"http://\S+/", server.stdout.readline())[0]
        yield server.pid, address
        server.send_signal(signal.SIGINT)


def soak_run(folder: Path, seconds: float, subjects: int) -> list[SoakOutcome]:
    """One `simspine run` over 30 small trials of each subject, to its end, or stopped after some seconds."""
    place = RunFolder(folder, subjects, list(HUMAN36M_ACTIONS), frames=20)
    found: dict[str, list[Use]] = {"the command": [], "Snakemake": [], "the server of jobs": []}
    ended_jobs: list[int] = []  # at each of these rounds
    end = time.monotonic() + seconds
    with open(folder / "said.txt", "w") as said, place.start(cores=1, said=said) as run:
        while run.poll() is None and time.monotonic() < end:
            time.sleep(1)
            now, running = len(_ended_jobs(place)), list(_run_processes(run.pid))
            if now > max(ended_jobs, default=0) and len(running) == len(found):
                with contextlib.suppress(FileNotFoundError):  # the run ends at this moment
                    used = [use_of(process) for process in running]
                    for uses, use in zip(found.values(), used, strict=True):
                        uses.append(use)
                    ended_jobs.append(now)
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGINT)
    assert run.returncode in (0, 130), (folder / "said.txt").read_text()[-1000:]
    whole = f"run of {30 * subjects} trials, {'ended' if run.returncode == 0 else 'stopped'}"
    kinds = [path.stem.rpartition("_")[2] for path in _ended_jobs(place)]
    assert set(JOB_KINDS) <= set(kinds), f"the run was too short: {sorted(set(kinds))} alone have ended"
    loading = 1 + max(kinds.index(kind) for kind in JOB_KINDS)
    loading_rounds = sum(ended <= loading for ended in ended_jobs)
    judged = [judge(f"{whole}: {name}", uses, loading_rounds) for name, uses in found.items()]
    for kind in JOB_KINDS:
        peaks = [_peak(path) for path in _ended_jobs(place)[loading:] if path.stem.endswith(f"_{kind}")]
        if peaks:  # with one subject, all videos may have been read by then
            judged.append(judge(f"{whole}: jobs {kind}, most", peaks))
    return judged


def _peak(path: Path) -> Use:
    """The most memory of a job, as Snakemake noted it."""
    return Use(float(path.read_text().splitlines()[1].split("\t")[2]), 0)


def _ended_jobs(place: RunFolder) -> list[Path]:
    """What Snakemake noted of each, in the order of their ends."""
    return sorted(place.results.glob("benchmarks/*/*.tsv"), key=lambda path: path.stat().st_mtime)


def _run_processes(run: int) -> Iterator[int]:
    """The command, its Snakemake, and the server of its jobs, whose forks are younger."""
    yield run
    own = [(number, words) for number, session, words in running_processes() if session == run]
    for module in ("simspine.workflow.launch", "simspine.workflow.job_server"):
        yield from sorted(number for number, words in own if module in words)[:1]


def soak_table(found: Sequence[SoakOutcome]) -> str:
    """A line for each process, in Markdown."""
    rows: list[tuple[str, ...]] = [
        ("process", "rounds", "MiB", "MiB at the end", "open files", "at the end"),
        ("---", "--:", "--:", "--:", "--:", "--:"),
    ]
    for one in found:
        memory = f"{one.begin.memory_mib:.1f}", f"{one.end.memory_mib:.1f}"
        rows.append((one.work, str(one.rounds), *memory, str(one.begin.files), str(one.end.files)))
    return aligned_markdown(rows)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotate", type=float, default=2400.0, help="seconds of annotation (default: 2400)")
    parser.add_argument("--run", type=float, default=4800.0, help="most seconds of the run (default: 4800)")
    parser.add_argument("--subjects", type=int, default=len(HUMAN36M_SUBJECT_NAMES), help="of the run (default: 7)")
    given = parser.parse_args(words)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "photographs").mkdir()
        if given.annotate:
            found += soak_annotate(Path(folder), given.annotate)
        if given.run:
            found += soak_run(Path(folder) / RESULTS_FOLDER, given.run, given.subjects)
    print(soak_table(found))
    sys.exit(not all(one.good for one in found))


if __name__ == "__main__":
    main()
