"""Fuzzing that is guided by coverage: `python -m tools.fuzz_readers.guided --files 100000 [--reader TRC]`.

Needs `atheris` and `coverage`, which are not locked: `pip install atheris coverage` into an environment of its own that
also has simspine's. Files begin with the seeds in tests/corpus/fuzz and the valid file of each reader. They are damaged
by libFuzzer and by the mutators of this folder in turn; what reaches a new branch of simspine is damaged further.

A file must be read, or refused by an `InputError` that names it, within 5 s and 1 GiB. Readers of C3D and CDF run in a
child process. Here it is a fork of this one, so that its libraries are loaded once. Afterwards the files found are read
once more by `coverage`, for the share of branches: of the modules of simspine that the reader loads and enters.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tools.fuzz_readers.__main__ import SECONDS, fork_guarded_readers, outcome, row, seed_file
from tools.fuzz_readers.mutators import mutated
from tools.fuzz_readers.readers import READERS

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "tests/corpus/fuzz"
LIMIT_MIB = 1024
LARGEST_FILE = 1 << 17  # bytes
KEPT_SEEDS, KEPT_BYTES = 12, 4096  # of each reader, in the repository
FOUND = re.compile(r"^UNWANTED\t(.*)$", re.MULTILINE)
PROGRESS = re.compile(r"^#(\d+)\t.*?cov: (\d+) ft: (\d+)", re.MULTILINE)


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
    fork_guarded_readers()

    def test_one(data: bytes) -> None:
        path.write_bytes(data)
        found, said = outcome(reader, path)
        if found not in ("read", "InputError"):
            print(f"UNWANTED\t{found} {said}", flush=True)
            os.abort()

    def damage(data: bytes, largest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return atheris.Mutate(data, largest)
        return mutated(data, READERS[reader].mutators, rng)[:largest]

    atheris.Setup([sys.argv[0], *words], test_one, custom_mutator=damage)
    atheris.Fuzz()


def campaign(reader: str, files: int, seconds: int, seed: int, corpus: Path) -> dict:
    """Counts of a reader. corpus: where the files that reach something new are kept."""
    counts = {"files": 0, "features": 0, "kept": 0, "unwanted": []}
    corpus.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        folder = Path(place)
        (corpus / "valid").write_bytes(seed_file(reader, folder))
        while counts["files"] < files and (left := int(end - time.monotonic())) > 0 and len(counts["unwanted"]) < 20:
            words = [
                f"-runs={files - counts['files']}", f"-max_total_time={left}", f"-timeout={SECONDS}",
                f"-rss_limit_mb={4 * LIMIT_MIB}", f"-max_len={LARGEST_FILE}", "-print_final_stats=1", "-verbosity=1",
                f"-artifact_prefix={folder}/", f"-seed={seed + len(counts['unwanted'])}", str(corpus),
            ]  # fmt: skip
            if seed_folder(reader).is_dir():
                words.append(str(seed_folder(reader)))
            command = [sys.executable, "-m", "tools.fuzz_readers.guided", "--worker", place, "--reader", reader, *words]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            said = done.stdout + done.stderr
            steps = PROGRESS.findall(said)
            ran = re.search(r"stat::number_of_executed_units: (\d+)", said)
            counts["files"] += int(ran[1]) if ran else int(steps[-1][0]) if steps else 1
            counts["features"] = max(counts["features"], *(int(step[2]) for step in steps), 0)
            if done.returncode:
                why = FOUND.search(said)
                bad = sorted(folder.glob("*-*"), key=lambda file: file.stat().st_mtime)
                bad = [file for file in bad if re.match(r"(crash|timeout|oom|slow-unit|leak)-", file.name)]
                name = keep_unwanted(reader, bad[-1]) if bad else ""
                counts["unwanted"].append(f"{why[1] if why else said[-400:]} {name}")
    counts["kept"] = len(list(corpus.iterdir()))
    return counts


def keep_unwanted(reader: str, file: Path) -> str:
    """Put a file that was not read as it should be where it can be looked at."""
    place = Path(tempfile.gettempdir()) / "simspine-fuzz-unwanted"
    place.mkdir(exist_ok=True)
    kept = place / f"{re.sub(r'[^a-zA-Z0-9]+', '-', reader)}-{file.name}"
    kept.write_bytes(file.read_bytes())
    file.unlink()
    return str(kept)


def replay(reader: str, corpus: Path) -> None:
    """In a process of its own, under `coverage`: read every file of a corpus."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / READERS[reader].name
        path.write_bytes(seed_file(reader, Path(folder)))
        for file in sorted(corpus.iterdir()):
            path.write_bytes(file.read_bytes())
            with contextlib.suppress(Exception):
                outcome(reader, path)


def branches(reader: str, corpus: Path) -> tuple[int, int]:
    """Branches of simspine's functions that the files of a corpus have entered: those taken, and all of them."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        data, report = Path(folder) / "data", Path(folder) / "report.json"
        given = ["--data-file", str(data)]
        source = ["run", "--branch", "--source", "simspine", *given, "-m", "tools.fuzz_readers.guided"]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", action="append", choices=READERS, help="only this one (may be repeated)")
    parser.add_argument("--files", type=int, default=100_000, help="damaged files for each reader, at most")
    parser.add_argument("--seconds", type=int, default=10**6, help="for each reader, at most")
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
    heads = ("reader", "files", "seconds", "kept", "branches", "share", "unwanted")
    print(row(heads), row(["---"] + ["--:"] * (len(heads) - 1)), sep="\n", flush=True)
    table = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for reader in chosen:
            corpus = (given.corpus or Path(folder)) / seed_folder(reader).name
            begun = time.monotonic()
            counts = campaign(reader, given.files, given.seconds, given.seed, corpus)
            spent = round(time.monotonic() - begun)
            taken, total = branches(reader, corpus)
            share = f"{100 * taken / max(total, 1):.0f} %"
            cells = (reader, counts["files"], spent, counts["kept"], f"{taken} of {total}", share)
            print(row((*cells, len(counts["unwanted"]))), flush=True)
            table.append({"reader": reader, **counts, "seconds": spent, "taken": taken, "branches": total})
            for line in counts["unwanted"]:
                print(f"{reader}: {line}", file=sys.stderr, flush=True)
            if given.keep_seeds:
                keep_seeds(reader, corpus)
    if given.json is not None:
        given.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    sys.exit(any(one["unwanted"] for one in table))


if __name__ == "__main__":
    main()
