"""Fuzzing that is guided by coverage: `python -m tools.fuzz_readers.guided --files 100000 [--reader TRC]`.

Needs `atheris` and `coverage`, which are not locked: `pip install atheris coverage` into an environment of its own that
also has simspine's. Files begin with the seeds in tests/corpus/fuzz and the valid file of each reader. They are damaged
by libFuzzer and by the mutators of this folder in turn; what reaches a new branch of simspine is damaged further.

A file must be read, or refused by an `InputError` that names it, within 5 s and 1 GiB. Readers of C3D and CDF run in a
child process. Here it is a fork of this one, so that its libraries are loaded once. `--cores` processes work at a time,
in slices of half a minute: the reader that is furthest from its number of files is next, and slices of one reader share
their corpus. Afterwards the files found are read once more by `coverage`, for the share of branches: of the modules of
simspine that the reader loads and enters. A reader that cannot read its valid file is named and left out.
"""

import argparse
import contextlib
import gc
import hashlib
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tools.fuzz_readers.__main__ import SECONDS, fork_guarded_readers, outcome, row, seed_file
from tools.fuzz_readers.mutators import mutated
from tools.fuzz_readers.readers import READERS

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "tests/corpus/fuzz"
LIMIT_MIB = 1024
LARGEST_FILE = 1 << 12  # bytes, or twice the valid file's
SLICE_SECONDS, REPLAY_SECONDS = 30, 20
NO_TEXT = {
    "C3D", "CDF", "store", "netCDF poses", "data set", "data set, verified", "npz table", "table of points", "PNG",
    "JPEG", "back scan, binary",
}  # a tenth of the files  # fmt: skip
MOST_ENDS = 20  # processes of a reader that a file has ended, until it is given up
KEPT_SEEDS, KEPT_BYTES = 12, 4096  # of each reader, in the repository
FOUND = re.compile(r"^UNWANTED\t(.*)$", re.MULTILINE)
PROGRESS = re.compile(r"^#(\d+)\t", re.MULTILINE)


def seed_folder(reader: str) -> Path:
    """The seeds of a reader in the repository."""
    return SEEDS / re.sub(r"\W+", "-", reader.lower())


def fuzz(reader: str, folder: Path, words: list[str]) -> None:
    """In a process of its own: libFuzzer until its end. folder: for the file that is read."""
    import atheris

    warnings.simplefilter("ignore")
    path = folder / READERS[reader].name
    original = seed_file(reader, folder)
    with atheris.instrument_imports(include=["simspine"]):
        path.write_bytes(original)
        outcome(reader, path)  # loads what the reader needs
    gc.freeze()  # the collector need not go through it
    with contextlib.suppress(ImportError):
        fork_guarded_readers()
    known = set()

    def test_one(data: bytes) -> None:
        path.write_bytes(data)
        found, said = outcome(reader, path)
        if found not in ("read", "InputError"):
            kind = fault_kind(f"{found} {said}")
            if kind not in known:
                known.add(kind)
                print(f"UNWANTED\t{kind} {keep_unwanted(reader, data)}", flush=True)

    def damage(data: bytes, largest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return atheris.Mutate(data, largest)
        return mutated(data, READERS[reader].mutators, rng)[:largest]

    atheris.Setup([sys.argv[0], *words], test_one, custom_mutator=damage)
    atheris.Fuzz()


def fault_kind(said: str) -> str:
    """What was said, without numbers and paths, which differ from file to file."""
    return " ".join(re.sub(r"/\S+|\d+", "*", said).split())[:200]


@dataclass
class Campaign:
    """A reader's files so far. corpus: where those that reach something new are kept. ends: of its processes."""

    reader: str
    files: int
    corpus: Path
    ran: int = 0
    seconds: float = 0.0
    slices: int = 0
    working: int = 0
    ends: int = 0
    unwanted: dict[str, str] = field(default_factory=dict)  # kind of fault: a file

    @property
    def share(self) -> float:
        """Of its files; 1 for a reader that is given up."""
        return 1.0 if self.ends >= MOST_ENDS else self.ran / self.files

    def counts(self) -> dict:
        kept = len(list(self.corpus.iterdir()))
        names = {"reader": self.reader, "files": self.ran, "seconds": round(self.seconds), "kept": kept}
        return names | {"taken": 0, "branches": 0, "unwanted": self.unwanted}

    def slice(self, place: Path, seconds: int, seed: int) -> None:
        """One process, for some seconds. place: an empty folder for the file that is read."""
        largest = max(LARGEST_FILE, 2 * len(seed_file(self.reader, place)))
        left = max(1, self.files - self.ran)
        words = [
            f"-runs={left}", f"-max_total_time={seconds}", f"-timeout={SECONDS}", f"-rss_limit_mb={4 * LIMIT_MIB}",
            f"-max_len={largest}", "-print_final_stats=1", "-verbosity=1", f"-artifact_prefix={place}/",
            f"-seed={seed}", str(self.corpus),
        ]  # fmt: skip
        if seed_folder(self.reader).is_dir():
            words.append(str(seed_folder(self.reader)))
        command = [sys.executable, "-m", "tools.fuzz_readers.guided", "--worker", str(place), "--reader", self.reader]
        begun = time.monotonic()
        done = subprocess.run([*command, *words], capture_output=True, text=True, errors="replace", check=False)
        said = done.stdout + done.stderr
        ran, steps = re.search(r"stat::number_of_executed_units: (\d+)", said), PROGRESS.findall(said)
        self.ran += int(ran[1]) if ran else int(steps[-1]) if steps else 1
        self.seconds += time.monotonic() - begun
        for line in FOUND.findall(said):
            kind, _, file = line.rpartition(" ")
            self.unwanted.setdefault(kind, file)
        if done.returncode:
            self.ends += 1
            bad = [file for file in place.iterdir() if re.match(r"(crash|timeout|oom|slow-unit|leak)-", file.name)]
            how = signal.Signals(-done.returncode).name if done.returncode < 0 else f"code {done.returncode}"
            kind = f"ended with {how}: {bad[0].name.partition('-')[0] if bad else 'no file of libFuzzer'}"
            if kind not in self.unwanted:
                last = bad[0] if bad else place / READERS[self.reader].name  # written before it was read
                self.unwanted[kind] = keep_unwanted(self.reader, last.read_bytes(), said[-4000:])


def run_campaigns(campaigns: list[Campaign], seconds: float, cores: int, seed: int) -> None:
    """Slices of the readers that are furthest from their end, so many at a time, until the time or all files are."""
    end, lock = time.monotonic() + seconds, threading.Lock()

    def work() -> None:
        while (left := int(end - time.monotonic())) > 0:
            with lock:
                waiting = [one for one in campaigns if one.share < 1]
                if not waiting:
                    return
                chosen = min(waiting, key=lambda one: (one.share + 0.02 * one.working, one.slices))
                chosen.working, chosen.slices = chosen.working + 1, chosen.slices + 1
                number = seed * 1000 + chosen.slices
            with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
                chosen.slice(Path(place), min(SLICE_SECONDS, left), number)
            with lock:
                chosen.working -= 1

    with ThreadPoolExecutor(cores) as pool:
        for job in [pool.submit(work) for _ in range(cores)]:
            job.result()


def prepared(reader: str, files: int, folder: Path) -> Campaign | None:
    """With the valid file in its corpus; None, and a line, where the machine lacks what the reader needs."""
    corpus = folder / seed_folder(reader).name
    corpus.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
            path = Path(place) / READERS[reader].name
            path.write_bytes(seed_file(reader, Path(place)))
            (corpus / "valid").write_bytes(path.read_bytes())
            READERS[reader].read(path)
    except Exception as error:  # what a machine lacks shows in many ways
        print(f"{reader}: left out, {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return None
    return Campaign(reader, files // 10 if reader in NO_TEXT else files, corpus)


def keep_unwanted(reader: str, content: bytes, said: str = "") -> str:
    """Put a file that was not read as it should be where it can be looked at, with the last words of its process."""
    place = Path(tempfile.gettempdir()) / "simspine-fuzz-unwanted"
    place.mkdir(exist_ok=True)
    kept = place / f"{re.sub(r'[^a-zA-Z0-9]+', '-', reader)}-{hashlib.sha256(content).hexdigest()[:12]}"
    kept.write_bytes(content)
    if said:
        kept.with_suffix(".log").write_text(said, encoding="utf-8")
    return str(kept)


def replay(reader: str, corpus: Path) -> None:
    """In a process of its own, under `coverage`: read the files of a corpus, for 20 s at most."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / READERS[reader].name
        path.write_bytes(seed_file(reader, Path(folder)))
        end = time.monotonic() + REPLAY_SECONDS
        for file in sorted(corpus.iterdir()):
            if time.monotonic() > end:
                break
            path.write_bytes(file.read_bytes())
            with contextlib.suppress(Exception):
                outcome(reader, path)


def branches(one: Campaign) -> tuple[int, int]:
    """Branches of simspine's functions that the files of a corpus have entered: those taken, and all of them."""
    corpus, reader = one.corpus, one.reader
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        data, report = Path(folder) / "data", Path(folder) / "report.json"
        given = ["--data-file", str(data)]
        source = ["run", "--branch", "--include=*/simspine/*", *given, "-m", "tools.fuzz_readers.guided"]
        for words in ([*source, "--replay", str(corpus), "--reader", reader], ["json", *given, "-o", str(report)]):
            subprocess.run([sys.executable, "-m", "coverage", *words], capture_output=True, check=False)
        taken = total = 0
        for file in json.loads(report.read_text())["files"].values():
            for name, function in file["functions"].items():
                if name and function["executed_lines"]:  # '' holds what runs when the module is loaded
                    taken += function["summary"]["covered_branches"]
                    total += function["summary"]["num_branches"]
    return taken, total


def keep_seeds(reader: str, corpus: Path) -> None:
    """Put the smallest files of a corpus among the seeds in the repository."""
    place = seed_folder(reader)
    place.mkdir(parents=True, exist_ok=True)
    files = sorted((file for file in corpus.iterdir() if file.name != "valid"), key=lambda file: file.stat().st_size)
    chosen = [file.read_bytes() for file in files if 0 < file.stat().st_size <= KEPT_BYTES]
    step = max(1, len(chosen) // KEPT_SEEDS)
    for content in chosen[::step][:KEPT_SEEDS]:
        (place / hashlib.sha256(content).hexdigest()[:12]).write_bytes(content)


def save(table: list[dict], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", action="append", choices=READERS, help="only this one (may be repeated)")
    parser.add_argument("--files", type=int, default=100_000, help="for each reader; a tenth of binary ones")
    parser.add_argument("--seconds", type=int, default=10**6, help="for all readers, at most")
    parser.add_argument("--cores", type=int, default=1, help="processes at a time (default: 1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="folder for files that reach something new (default: none is kept)")
    parser.add_argument("--keep-seeds", action="store_true", help="put some of them into tests/corpus/fuzz")
    parser.add_argument("--json", type=Path, help="file for the table")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--replay", type=Path, help=argparse.SUPPRESS)
    given, words = parser.parse_known_args()
    chosen = given.reader or list(READERS)
    if given.worker:
        fuzz(chosen[0], given.worker, words)
        return
    if words:
        parser.error(f"unknown: {' '.join(words)}")
    if given.replay:
        replay(chosen[0], given.replay)
        return
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        found = [prepared(reader, given.files, given.corpus or Path(folder)) for reader in chosen]
        campaigns = [one for one in found if one is not None]
        run_campaigns(campaigns, given.seconds, given.cores, given.seed)
        if given.keep_seeds:
            for one in campaigns:
                keep_seeds(one.reader, one.corpus)
        table = [one.counts() for one in campaigns]
        save(table, given.json)  # what follows takes minutes
        with ThreadPoolExecutor(given.cores) as pool:
            for counts, (taken, total) in zip(table, pool.map(branches, campaigns), strict=True):
                counts.update(taken=taken, branches=total)
        save(table, given.json)
    heads = ("reader", "files", "seconds", "kept", "branches", "share", "unwanted")
    print(row(heads), row(["---"] + ["--:"] * (len(heads) - 1)), sep="\n")
    for one in table:
        share = f"{100 * one['taken'] / max(one['branches'], 1):.0f} %"
        cells = (
            one["reader"],
            one["files"],
            one["seconds"],
            one["kept"],
            f"{one['taken']} of {one['branches']}",
            share,
        )
        print(row((*cells, len(one["unwanted"]))))
        for kind, file in one["unwanted"].items():
            print(f"{one['reader']}: {kind} {file}", file=sys.stderr, flush=True)
    sys.exit(any(one["unwanted"] for one in table))


if __name__ == "__main__":
    main()
