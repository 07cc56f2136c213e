"""Work already done is not repeated, and a result is only called done when it is whole.

A task's manifest holds a fingerprint of all that went in (configuration sections, checksums of the input files, the
package's version and code) and the checksums of the files that came out. It is written last. A task whose fingerprint
and files still agree is skipped.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from simspine import __version__
from simspine.config import digest
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.workflow.code import code_digest
from simspine.workflow.locks import locked
from simspine.workflow.paths import STAGES

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
        raise InputError(f"{path} does not exist (looked from {Path.cwd()}). {_remedy(path)}".rstrip()) from None


def read_json(path: Path) -> dict:
    """A stage's JSON file; `InputError` saying which stage makes it if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist. {_remedy(path)}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: not JSON ({error}). {_remedy(path)}") from None


def _remedy(path: Path) -> str:
    """For a result the stage that makes it; nothing for a recording."""
    stage = "export" if path.name == "summary.json" else MADE_BY.get(path.parent.name, path.parent.name)
    return f"Run `simspine {stage}` with the same configuration first." if stage in STAGES else ""


@dataclass(frozen=True)
class Task:
    """One piece of work: usually a stage of a trial. `settings` is whatever JSON-able values decide the result."""

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    settings: dict
    work: Callable[[], dict]  # does it, writes `outputs`, returns notes (JSON-able) for the manifest
    whole: bool = False  # of all trials of the subject together, whose name it then bears

    def fingerprint(self, module: str, of: Callable[[Path], str] = checksum) -> dict:
        """module: whose code does the work. of: gives a file's checksum."""
        return {
            "inputs": [[path.name, of(path)] for path in self.inputs],
            "settings": digest(self.settings),
            "version": __version__,
            "code": code_digest(module),
        }


def run_task(
    path: Path,
    task: Task,
    module: str,
    around: Callable[[str], AbstractContextManager] = nullcontext,
    force: bool = False,
) -> bool:
    """Do the task's work inside `around(its name)`, unless it is done; whether it was done now.

    path: of its manifest. force: do it even if it is done. Two processes do not work on one task at the same time: the
    second waits for the first, and then finds it done.
    """
    fingerprint = task.fingerprint(module)
    with locked(path.with_suffix(".lock"), f"another process is making {task.outputs[0]}"):
        if not force and difference(read_manifest(path), fingerprint, task.outputs) is None:
            return False
        start = time.perf_counter()
        with around(task.name):
            notes = task.work()
        entry = {
            "fingerprint": fingerprint,
            "outputs": _checksums(task.outputs),
            "seconds": round(time.perf_counter() - start, 3),
            "notes": notes,
        }
        write_text(path, json.dumps(entry, indent=1, sort_keys=True) + "\n")
        return True


def read_manifest(path: Path) -> dict:
    """What a task left; empty if there is no readable manifest (then the work is simply done again)."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if {"fingerprint", "outputs", "seconds", "notes"} <= set(found) else {}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def why_not_done(path: Path, task: Task, module: str, of: Callable[[Path], str] = checksum) -> str | None:
    """None if a task's work is there, made of its inputs, settings and code as they are; else what differs."""
    entry = read_manifest(path)
    if not entry:
        return "not made yet"
    missing = [file for file in task.inputs if not file.exists()]
    if missing:
        return f"{missing[0].name} is missing"
    return difference(entry, task.fingerprint(module, of), task.outputs, of)


def difference(
    entry: dict, fingerprint: dict, outputs: tuple[Path, ...], of: Callable[[Path], str] = checksum
) -> str | None:
    """What of a task is not as its manifest says; None if all is. entry: the manifest, or {}."""
    old = entry.get("fingerprint")
    if not isinstance(old, dict):
        return "not made yet"
    if old != fingerprint:
        return _changed(old, fingerprint)
    missing = [path.name for path in outputs if not path.exists()]
    if missing:
        return f"{missing[0]} is missing"
    found = _checksums(outputs, of)
    if entry["outputs"] != found:
        names = [name for name in found if entry["outputs"].get(name) != found[name]]
        return f"{names[0] if names else 'the list of its files'} is not as it was made"
    return None


def _changed(old: dict, new: dict) -> str:
    """Which part of a fingerprint differs."""
    for part, said in (("version", "made by another version"), ("settings", "settings changed")):
        if old.get(part) != new[part]:
            return said
    if old.get("inputs") != new["inputs"]:
        before = [tuple(entry) for entry in old.get("inputs", ())]
        names = [name for name, value in new["inputs"] if (name, value) not in before]
        return f"{names[0]} changed" if names else "there are fewer inputs"
    return "made by other code"


def _checksums(outputs: tuple[Path, ...], of: Callable[[Path], str] = checksum) -> dict[str, str]:
    """{path from the folder that all share: checksum}; names alone may stand in several folders."""
    if not outputs:
        return {}
    shared = os.path.commonpath([path.absolute().parent for path in outputs])
    return {path.absolute().relative_to(shared).as_posix(): of(path) for path in outputs}
