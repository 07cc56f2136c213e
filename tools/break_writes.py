"""A fault at each change of the disk, one at a time: `python -m tools.break_writes [--most 10] [--only annotations]`.

Commands of a small run and of annotating are given one after another. For each change that a command makes to files
below its folder (open, write, flush, rename, remove, …) and each kind of fault, it is given from the same state with
the fault at that change, and then once more. The second must end well, with the bytes of a command that nothing
disturbed, no file left over, and nothing redone that was finished. Needs Linux. All of it takes many hours; `--most`
takes so many changes of each command, evenly spread.

Writing is broken half-way through a piece. A killed process also loses what it had not flushed yet of the file that it
is about to flush or rename. What libraries write by themselves (C3D, videos, OpenSim) counts when it is flushed.
"""

import argparse
import builtins
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from simspine.core.skeletons import load_skeleton
from simspine.io.coco import LabelledImages, write_coco_labels
from simspine.workflow.bench_faults import RUN_CONFIG_FILE, RunFolder, manifest_texts, result_checksums

FAULTS = ("SIGKILL", "ENOSPC", "EIO")  # killed; no space from there on; one error of the disk
NEED_SPACE = ("open", "write", "fsync", "mkdir")
CHANGES = ("fsync", "mkdir", "remove", "rename", "replace", "rmdir", "truncate", "unlink")
VARIABLE = "SIMSPINE_BROKEN_WRITE"  # number, kind and log of the fault that a process is to meet
CHILD = "from tools.break_writes import DiskFault; DiskFault().install(); from simspine.cli.main import main; main()"
ROOT = Path(__file__).parents[1]
CONFIGURED = f"--config {RUN_CONFIG_FILE}"
ANNOTATED = "pose2sim:Demo_SinglePerson --annotator anna --out results/home"
COMMANDS = (
    f"job capture {CONFIGURED} --subject S1",
    f"job detect {CONFIGURED} --subject S1 --trial Walking_1",
    f"job cameras {CONFIGURED} --subject S1",
    f"job markers {CONFIGURED} --subject S1 --trial Walking_1",
    f"job scale {CONFIGURED} --subject S1",
    f"job motion {CONFIGURED} --subject S1 --trial Walking_1",
    f"job dataset {CONFIGURED}",
    f"job page {CONFIGURED}",
    f"run {RUN_CONFIG_FILE} --cores 1",
    f"annotations import {ANNOTATED} --file labels.json",
    f"annotations export {ANNOTATED} --format openpose --file results/points --images results/images",
    f"annotations round {ANNOTATED} --batch 2",
)


class DiskFault:
    """Lets its process meet a fault at the n-th change below the working folder; 0: none, and a list of all changes."""

    def __init__(self) -> None:
        number, self.kind, log = os.environ.pop(VARIABLE).split(":", 2)
        self.number, self.count, self.home = int(number), 0, os.path.join(os.getcwd(), "")
        self.log = open(log, "w", encoding="utf-8") if log else None  # noqa: SIM115
        self.truncate = os.truncate

    def install(self) -> None:
        """Count from now on."""
        meet = self.meet

        class CountedFile(io.FileIO):
            def write(self, data):
                content = bytes(data)
                meet("write", self.name, lambda: io.FileIO.write(self, content[: len(content) // 2]))
                return super().write(content)

        for name in CHANGES:
            setattr(os, name, partial(self.change, name, getattr(os, name)))
        builtins.open = io.open = partial(self.open, io.open, CountedFile)  # type: ignore[assignment]

    def meet(self, change: str, place: Any, partly: Callable[[], object] = lambda: None) -> None:
        """What comes before a change. partly: does half of it."""
        path = os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) else os.path.abspath(os.fsdecode(place))
        if not path.startswith(self.home):
            return
        self.count += 1
        if self.log is not None:
            print(change, path.removeprefix(self.home), file=self.log, flush=True)
        full = self.kind == "ENOSPC" and self.count > self.number and change in NEED_SPACE
        if self.number and (full or self.count == self.number):
            partly()
            if self.kind == "SIGKILL":
                if change == "fsync" and os.path.isfile(path):  # nothing of it need be on the disk yet
                    self.truncate(path, os.path.getsize(path) // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(getattr(errno, self.kind), os.strerror(getattr(errno, self.kind)))

    def change(self, name: str, work: Callable, place: Any, *rest: Any, **more: Any) -> Any:
        """A function of `os`, counted."""
        self.meet(name, place)
        return work(place, *rest, **more)

    def open(self, work: Callable, kind: type, file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        """`open`, with each piece that reaches the disk counted."""
        if isinstance(file, int) or not set("wax+") & set(mode):
            return work(file, mode, *rest, **more)
        self.meet("open", file)
        buffering = rest[0] if rest else more.pop("buffering", -1)
        raw = kind(file, mode.translate({ord("b"): None, ord("t"): None}), opener=more.pop("opener", None))
        if buffering == 0:
            return raw
        binary = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, *rest[1:], **more)


@dataclass(frozen=True)
class Broken:
    """A command with faults. changes: how many it makes, and at how many of them it met each kind of fault. bad: a line
    for each after which something was not as it should be."""

    command: str
    changes: int
    tried: int
    bad: tuple[str, ...]


def break_commands(commands: Iterable[str], most: int | None = None, faults: Iterable[str] = FAULTS):
    """A `Broken` for each command, from the results of the one before. `RuntimeError` where one fails by itself."""
    with tempfile.TemporaryDirectory() as folder:
        place = RunFolder(Path(folder) / "run", 1, ["Walking 1"])
        place.results.mkdir()
        names = load_skeleton("simspine37").names
        points = np.tile([100.0, 200.0, 2.0], (1, len(names), 1))
        labels = LabelledImages(names, ("cam01/cam01_000000.jpg",), [[1080, 1920]], points, np.full((1, len(names)), 2))
        write_coco_labels(place.folder / "labels.json", labels)
        for command in commands:
            yield break_command(place, command, most, tuple(faults))


def break_command(place: RunFolder, command: str, most: int | None, faults: tuple[str, ...]) -> Broken:
    """A command from the results there are: undisturbed, then with each fault and once more."""
    shutil.rmtree(place.kept, ignore_errors=True)
    shutil.copytree(place.results, place.kept)
    code, said = run_broken(place, command)
    if code:
        raise RuntimeError(f"{command}: the undisturbed command failed: {said}")
    changes = (place.folder / "changes.txt").read_text(encoding="utf-8").splitlines()
    place.reference = result_checksums(place.results)
    place.results.rename(place.folder / "next")
    step = max(1, len(changes) // (most or len(changes) or 1))
    chosen = range(step, len(changes) + 1, step)
    found = ((number, kind, fault_at(place, command, number, kind)) for number in chosen for kind in faults)
    bad = tuple(f"{kind} at {number}, {changes[number - 1]}: {what}" for number, kind, what in found if what)
    shutil.rmtree(place.results, ignore_errors=True)
    (place.folder / "next").rename(place.results)
    return Broken(command, len(changes), len(chosen) * len(faults), bad)


def fault_at(place: RunFolder, command: str, number: int, kind: str) -> str:
    """What is not as it should be after a fault and the same command again; '' where all is well."""
    place.fresh()
    code, said = run_broken(place, command, number, kind)
    finished = manifest_texts(place.results)
    again, message = run_broken(place, command)
    now = manifest_texts(place.results)
    faults = {
        f"ended with {code}: {said[-300:]}": code not in (0, 2, -signal.SIGKILL),
        f"then ended with {again}: {message[-300:]}": again,
        "other bytes": not place.is_equal(),
        f"{place.left()} files left": place.left(),
        "finished work done again": any(now.get(name) != text for name, text in finished.items()),
    }
    return "; ".join(what for what, found in faults.items() if found)


def run_broken(place: RunFolder, command: str, number: int = 0, kind: str = "") -> tuple[int, str]:
    """Exit code, and what was printed; a list of the changes in `changes.txt` where no fault is to come."""
    environment = os.environ | {
        VARIABLE: f"{number}:{kind}:{'' if number else place.folder / 'changes.txt'}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    words = [sys.executable, "-c", CHILD, *command.split()]
    done = subprocess.run(words, cwd=place.folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, help="changes of each command (default: all)")
    parser.add_argument("--only", default="", help="commands that begin so")
    parser.add_argument("--json", type=Path, help="file for the outcomes")
    given = parser.parse_args()
    print("| command | changes | faults | not as it should be |\n| --- | --: | --: | --: |", flush=True)
    found = []
    for one in break_commands([line for line in COMMANDS if line.startswith(given.only)], given.most):
        found.append(one)
        name = one.command.partition(" --")[0].removesuffix(" pose2sim:Demo_SinglePerson")
        print(f"| {name} | {one.changes} | {one.tried} | {len(one.bad)} |", flush=True)
        for line in one.bad:
            print(f"{one.command}: {line}", file=sys.stderr, flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps([vars(one) for one in found], indent=1) + "\n", encoding="utf-8")
    sys.exit(any(one.bad for one in found))


if __name__ == "__main__":
    main()
