"""Work already done is not repeated, and a result is only called done when it is whole.

A stage's manifest lists, per trial, a fingerprint of all that went in (configuration sections, checksums of the input
files, package version) and the checksums of the files that came out. It is written last. A trial whose fingerprint and
files still agree is skipped.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from simspine.config import digest
from simspine.errors import InputError
from simspine.formats.atomic import write_text

# The stage that makes the files of each folder of a subject.
MADE_BY = {"keypoints": "detect", "points": "triangulate", "markers": "merge", "model": "scale", "kinematics": "ik"}


def checksum(path: Path) -> str:
    """sha256 of a file, read in pieces; of a folder, of the names and checksums of its JSON files."""
    try:
        if path.is_dir():
            return digest([[file.name, checksum(file)] for file in sorted(path.glob("*.json"))])
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist. {_remedy(path)}") from None


def read_json(path: Path) -> dict:
    """A stage's JSON file; `InputError` saying which stage makes it if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist. {_remedy(path)}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: not JSON ({error}). {_remedy(path)}") from None


def _remedy(path: Path) -> str:
    stage = "export" if path.name == "summary.json" else MADE_BY.get(path.parent.name, path.parent.name)
    return f"Run `simspine {stage}` with the same configuration first."


@dataclass(frozen=True)
class Task:
    """One piece of work of a stage: usually a trial. `settings` is whatever JSON-able values decide the result."""

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    settings: dict
    work: Callable[[], dict]  # does it, writes `outputs`, returns notes (JSON-able) for the manifest

    def fingerprint(self, version: str) -> dict:
        return {
            "inputs": [[path.name, checksum(path)] for path in self.inputs],
            "settings": digest(self.settings),
            "version": version,
        }


def run_tasks(
    stage: str,
    manifest: Path,
    tasks: Iterable[Task],
    version: str,
    keep: Iterable[str] = (),
    around: Callable[[str], AbstractContextManager] = nullcontext,
) -> list[str]:
    """Run the tasks that are not done yet, each inside `around(its name)`; returns the names of those that ran.

    Each finished task is recorded at once, so that an interrupted stage resumes where it stopped. Entries of `keep`
    (other trials of the same subject) stay; others are dropped from the manifest.
    """
    tasks = list(tasks)
    old = read_manifest(manifest)
    names = {task.name for task in tasks} | set(keep)
    entries = {name: entry for name, entry in old.items() if name in names}
    ran = []
    for task in tasks:
        fingerprint = task.fingerprint(version)
        if _done(entries.get(task.name), fingerprint, task.outputs):
            continue
        entries.pop(task.name, None)
        start = time.perf_counter()
        with around(task.name):
            notes = task.work()
        entries[task.name] = {
            "fingerprint": fingerprint,
            "outputs": _checksums(task.outputs),
            "seconds": round(time.perf_counter() - start, 3),
            "notes": notes,
        }
        ran.append(task.name)
        _write(manifest, stage, entries)
    _write(manifest, stage, entries)  # also if nothing ran: a fresh time stamp tells the workflow that it is up to date
    return ran


def read_manifest(path: Path) -> dict:
    """Entries by task name; empty if there is no readable manifest (then the work is simply done again)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["tasks"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def is_done(manifest: Path, task: Task, version: str) -> bool:
    """Whether a task's work is there, made of its inputs and settings as they are."""
    return _done(read_manifest(manifest).get(task.name), task.fingerprint(version), task.outputs)


def _done(entry: dict | None, fingerprint: dict, outputs: tuple[Path, ...]) -> bool:
    if entry is None or entry.get("fingerprint") != fingerprint:
        return False
    return all(path.exists() for path in outputs) and entry.get("outputs") == _checksums(outputs)


def _checksums(outputs: tuple[Path, ...]) -> dict[str, str]:
    """{path from the folder that all share: checksum}; names alone may stand in several folders."""
    if not outputs:
        return {}
    shared = os.path.commonpath([path.absolute().parent for path in outputs])
    return {path.absolute().relative_to(shared).as_posix(): checksum(path) for path in outputs}


def _write(path: Path, stage: str, entries: dict) -> None:
    write_text(path, json.dumps({"stage": stage, "tasks": entries}, indent=1, sort_keys=True) + "\n")


def forget(path: Path, names: Iterable[str]) -> None:
    """Drop entries, so that their work is done again."""
    entries = read_manifest(path)
    if entries:
        _write(path, path.stem, {name: entry for name, entry in entries.items() if name not in set(names)})
