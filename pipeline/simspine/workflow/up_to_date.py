"""Which tasks are done: work already done is not repeated, and only a complete result counts as done.

A task's manifest holds a fingerprint of all inputs (configuration sections, checksums of the input files, the package's
version and code) and the checksums of the output files. It is written last. A task whose fingerprint and files still
agree is skipped.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from functools import cache, partialmethod
from pathlib import Path

from pydantic import BaseModel, FiniteFloat

from simspine import __version__
from simspine.core.errors import InputError, file_version, naming_content, require_path
from simspine.io.atomic import make_folder, remove_empty, sha256_of_file, write_text
from simspine.workflow.config import json_digest

STAGE_NAMES = ("detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality", "export")


@dataclass(frozen=True)
class RunPaths:
    """Files of one subject below the results folder; with the subject '' those of all subjects together."""

    results: Path
    subject: str

    @property
    def folder(self) -> Path:
        return self.results / self.subject

    def manifest(self, stage: str, trial: str | None = None) -> Path:
        """Manifest of a stage's inputs and outputs for a trial, or for all trials together; written last."""
        place = self.folder / "manifests" / stage
        return place.with_name(f"{stage}.json") if trial is None else place / f"{trial}.json"

    def _stored(self, stage: str, trial: str, suffix: str = ".h5") -> Path:
        return self.folder / stage / f"{trial}{suffix}"

    keypoints = partialmethod(_stored, "keypoints")
    # All people followed in a recording that several subjects share; in the folder of the first of them.
    people = partialmethod(_stored, "keypoints", suffix="_people.h5")
    cameras = partialmethod(_stored, "cameras")  # the cameras used, and findings about them
    points = partialmethod(_stored, "points")
    markers = partialmethod(_stored, "markers")
    kinematics = partialmethod(_stored, "kinematics")
    vertebrae = partialmethod(_stored, "vertebrae")
    quality = partialmethod(_stored, "quality", suffix=".json")
    # The trial as a data set of its own, and (.json) its headline figures; the data set is put together from them.
    exported = partialmethod(_stored, "export")
    page_facts = partialmethod(_stored, "page", suffix=".json")  # of a trial with a page of its own, for the data set's

    def seen_files(self, trial: str) -> tuple[Path, ...]:
        """Files that only trials with images have."""
        return self.points(trial), self.keypoints(trial), self.cameras(trial)

    @property
    def model(self) -> Path:
        return self.folder / "model" / f"{self.subject}.osim"

    @property
    def scaling(self) -> Path:
        return self.folder / "model" / "scaling.json"

    def filled_files(self, trial: str) -> tuple[Path, Path]:
        """Kinematics and vertebrae after rejected frames were filled in."""
        return self.quality(trial, suffix="_kinematics.h5"), self.quality(trial, suffix="_vertebrae.h5")


try:
    import fcntl
except ImportError:  # Windows: no such locks
    fcntl = None  # type: ignore[assignment]


@contextmanager
def hold_lock(
    path: Path, busy: str, patience_s: float | None = None, advice: str = "Wait for it, or change `results`."
) -> Iterator[tuple[int, ...]]:
    """Lock a file while the block runs; yields the lock's descriptor, so that children can hold the lock as well.

    The file stays if its holder is killed. Folders made for a hidden lock go with it if nothing else is in them; those
    of manifests stay, which say whose results these are. Yields () where the system has no such locks. busy: what the
    holder does. After `patience_s` of waiting (None: no limit), an `InputError` gives `busy` and `advice`.
    """
    made = make_folder(path.parent)
    if fcntl is None:
        yield ()
        return
    start, announced = time.monotonic(), False
    while (descriptor := _try_lock(path)) is None:
        if patience_s is not None and time.monotonic() - start > patience_s:
            raise InputError(f"{busy}. {advice}")
        if patience_s is None and not announced:
            print(f"{busy}; waiting for it.", file=sys.stderr)
            announced = True
        time.sleep(0.1)
        made += make_folder(path.parent)  # the holder may have removed it
    try:
        yield () if descriptor < 0 else (descriptor,)
    finally:
        with suppress(OSError):  # a lock file without a holder blocks nobody; the next run removes it
            if path.stat().st_size == 0:  # a file with content is not a lock
                path.unlink()
                remove_empty(made if path.name[0] == "." else ())
        if descriptor >= 0:
            os.close(descriptor)


def remove_stale_locks(results: Path) -> None:
    """Remove the lock files of tasks whose process was killed; locks that are held and other files stay."""
    stages = {*CODE_OF, *STAGE_NAMES}
    for pattern in ("manifests/*.lock", "*/manifests/*.lock", "*/manifests/*/*.lock"):
        for path in results.glob(pattern):
            inside = path.resolve() == results.resolve() / path.relative_to(results)  # no link on the way
            if inside and not stages.isdisjoint((path.stem, path.parent.name)) and path.stat().st_size == 0:
                with suppress(InputError), hold_lock(path, "held by another process", patience_s=0.0):
                    pass


def is_lock_held(path: Path) -> bool:
    if fcntl is None or not path.is_file():
        return False
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return False


def _try_lock(path: Path) -> int | None:
    """The descriptor of the lock; None if another process has it, -1 where the file system knows no locks."""
    if path.is_symlink():  # the file would be made where it points to
        path.unlink(missing_ok=True)
    others = path.exists() and not os.access(path, os.W_OK)  # another user's file can be locked as well
    flags = os.O_RDONLY if others else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(FileNotFoundError):  # the last holder removed the file: then this lock blocks nobody
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
    except OSError as error:
        os.close(descriptor)
        return None if isinstance(error, BlockingIOError) else -1
    os.close(descriptor)
    return None


# Files of the package that decide what a stage makes: a result of other code is not up to date. A changed comment
# counts as well. Detection does not depend on later stages, and only pages depend on the report.
PACKAGE_FOLDER = Path(__file__).resolve().parents[1]
DETECTION_CODE = (
    "core", "io", "vision", "anatomy/marker_sets.py", "reconstruction/detection.py", "reconstruction/stage.py",
    "workflow/detect_stage.py", "workflow/inputs.py",
)  # fmt: skip
STAGE_CODE = (
    "core", "io", "anatomy", "vision", "estimation", "quality", "reconstruction", "workflow/stage_files.py",
    "workflow/results.py", "workflow/inputs.py",
)  # fmt: skip
DATASET_CODE = (*STAGE_CODE, "dataset", "workflow/dataset.py")
CODE_OF = {
    "capture": ("synthesis",),
    "detect": DETECTION_CODE,
    "dataset": DATASET_CODE,
    "page": (*DATASET_CODE, "evaluation", "report", "workflow/reporting.py", "workflow/views.py"),
}  # all other stages: STAGE_CODE


@cache
def _sha256_of_version(path: Path, _: tuple[int, ...]) -> str:
    """Read once in a process, unless the file changes: a data set has some GB."""
    return sha256_of_file(path)


@cache
def code_digest(stage: str) -> str:
    """sha256 over names and checksums of `source_files`."""
    if stage and stage not in CODE_OF:
        return code_digest("")  # all these stages are made by the same files
    files = source_files(stage)
    return json_digest({path.relative_to(PACKAGE_FOLDER).as_posix(): file_checksum(path) for path in files})


def source_files(stage: str) -> list[Path]:
    """Files of the package that decide what a stage makes, tables and networks included, in the order of names."""
    found: set[Path] = set()
    for name in CODE_OF.get(stage, STAGE_CODE):
        place = PACKAGE_FOLDER / name
        found |= {file for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file()}
    return sorted(file for file in found if "__pycache__" not in file.parts)


CHANGED_BY_HAND = "is not as it was made"
MADE_BY_KEY = {"keypoints": "detect", "markers": "merge", "model": "scale", "kinematics": "ik"}
MADE_BY_KEY |= {"cameras": "triangulate", "points": "triangulate"}


def file_checksum(path: Path, chosen: str = "*.json") -> str:
    """sha256 of a file; of a folder, of the names and checksums of its files that a pattern chooses."""
    require_made(path)
    if path.is_dir():
        files = sorted(file for file in path.glob(chosen) if file.is_file())
        return json_digest([[file.relative_to(path).as_posix(), file_checksum(file)] for file in files])
    return _sha256_of_version(path, file_version(path))


def read_json(path: Path) -> dict:
    """A stage's JSON file; `InputError` saying which stage makes it if it is missing or damaged."""
    require_made(path)
    with naming_content(path, f"JSON of names with values; damaged? {_remedy_text(path)}"):
        return {**json.loads(path.read_bytes())}  # a list of pairs is no mapping


def require_made(path: Path) -> None:
    """`InputError` saying which stage makes it where a recording's or a stage's file is missing."""
    require_path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist (looked from {Path.cwd()}). {_remedy_text(path)}".rstrip())


def _remedy_text(path: Path) -> str:
    """How to make a missing result, by the stage's name; '' for a recording."""
    stage = "export" if path.name == "summary.json" else MADE_BY_KEY.get(path.parent.name, path.parent.name)
    if stage not in STAGE_NAMES:
        return ""
    return f"Run `simspine {stage}` with the same configuration first, or `simspine run`, which runs all stages."


@dataclass(frozen=True)
class StageTask:
    """One piece of work: usually a stage of a trial. `settings` is whatever JSON-able values decide the result."""

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    settings: dict
    work: Callable[[], object]  # does the work and writes `outputs`
    whole: bool = False  # for all trials of the subject together; `name` is then the subject's

    def fingerprint(self, stage: str) -> dict:
        """Identity of all inputs. stage: the one whose code does the work."""
        return {
            "inputs": [[path.name, file_checksum(path)] for path in self.inputs],
            "settings": json_digest(self.settings),
            "version": __version__,
            "code": code_digest(stage),
        }


def run_task(path: Path, task: StageTask, stage: str, force: bool = False) -> bool:
    """Do the task's work unless it is done; True if it was done now.

    path: of the task's manifest. force: do it even if it is done. Two processes never work on one task at the same
    time: the second waits for the first, and then finds the task done. `InputError` where an input changes meanwhile.
    """
    for missing in [file for file in task.inputs if not file.exists()]:
        file_checksum(missing)  # raises, before a folder is made
    with hold_lock(path.with_suffix(".lock"), f"another process is making {task.outputs[0]}"):
        for again in (False, True):
            before = [file_version(file) for file in task.inputs]
            fingerprint = task.fingerprint(stage)
            if not force and manifest_difference(read_task_manifest(path), fingerprint, task.outputs) is None:
                return False
            start = time.perf_counter()
            task.work()
            written = [file for file, old in zip(task.inputs, before, strict=True) if file_version(file) != old]
            if not written:
                break
            same = fingerprint == task.fingerprint(stage)
            if again or not same:  # equal content, written once, may have been read half: the work is done again
                how = "its content is the same, its time stamp is not" if same else "its content is another"
                advice = "Wait until no program writes to it, and run it again."
                raise InputError(f"{written[0]} changed meanwhile ({how}); {task.outputs[0]} is made from it. {advice}")
        entry = {
            "fingerprint": fingerprint,
            "outputs": _file_checksums(task.outputs),
            "seconds": round(time.perf_counter() - start, 3),
            "made_on": date.today().isoformat(),
        }
        write_text(path, json.dumps(entry, indent=1, sort_keys=True) + "\n")
        return True


class _Fingerprint(BaseModel):
    inputs: list[tuple[str, str]]
    settings: str
    version: str
    code: str


class _Manifest(BaseModel):
    fingerprint: _Fingerprint
    outputs: dict[str, str]
    seconds: FiniteFloat
    made_on: str


def read_task_manifest(path: Path) -> dict:
    """The manifest of a task; {} if there is no readable one, so that the work is done again."""
    with suppress(InputError, OSError, ValueError):
        require_path(path)
        content = path.read_bytes()
        _Manifest.model_validate_json(content, strict=True)
        return json.loads(content)
    return {}


def reason_not_done(path: Path, task: StageTask, stage: str) -> str | None:
    """None if a task's outputs exist and come from its present inputs, settings and code; else the difference."""
    entry = read_task_manifest(path)
    if not entry:
        return "not made yet"
    if missing := [file for file in task.inputs if not file.exists()]:
        return f"{missing[0].name} is missing"
    return manifest_difference(entry, task.fingerprint(stage), task.outputs)


def manifest_difference(entry: dict, fingerprint: dict, outputs: tuple[Path, ...]) -> str | None:
    """The first difference between a task and its manifest; None if they agree. entry: the manifest, or {}."""
    if not entry:
        return "not made yet"
    old = entry["fingerprint"]
    for part, text in (("version", "made by another version"), ("settings", "settings changed")):
        if old[part] != fingerprint[part]:
            return text
    if old["inputs"] != fingerprint["inputs"]:
        names = [pair[0] for pair in fingerprint["inputs"] if pair not in old["inputs"]]
        return f"{names[0]} changed" if names else "there are fewer inputs"
    if old != fingerprint:
        return "made by other code"
    if missing := [path.name for path in outputs if not path.exists()]:
        return f"{missing[0]} is missing"
    found = _file_checksums(outputs)
    if entry["outputs"] != found:
        names = [name for name in found if entry["outputs"].get(name) != found[name]]
        return f"{names[0] if names else 'the list of its files'} {CHANGED_BY_HAND}"
    return None


def check_as_made(paths: RunPaths, trial: str, *later: str) -> list[str]:
    """The files of a trial that no manifest lists; `InputError` where one of the others, or one that a stage read, is
    not what its manifest says. later: stages."""
    kinds = (paths.keypoints, paths.cameras, paths.points, paths.markers, paths.kinematics, paths.vertebrae)
    files = (*(kind(trial) for kind in kinds), paths.quality(trial), paths.model, paths.scaling)
    entries: dict[str, dict] = {}  # manifests by the folders of the files
    found: dict[str, set[str]] = {}  # checksums of the files of a name
    unlisted = []
    for file in filter(Path.is_file, (*files, *paths.filled_files(trial))):
        folder = file.parent.name
        manifest_trial = None if folder in ("cameras", "model") else trial
        entries[folder] = read_task_manifest(paths.manifest(MADE_BY_KEY.get(folder, folder), manifest_trial))
        made, checksum = entries[folder].get("outputs", {}).get(file.name), file_checksum(file)
        if made is None:
            unlisted.append(f"{folder}/{file.name}")
        elif made != checksum:
            raise InputError(f"{file} is not as it was made: changed, or damaged. Run `simspine run` again.")
        if file in files:
            found.setdefault(file.name, set()).add(checksum)
    entries |= {stage: read_task_manifest(paths.manifest(stage, trial)) for stage in later}
    for folder, entry in entries.items():
        read = entry["fingerprint"]["inputs"] if entry and folder != "keypoints" else ()  # keypoints: of recordings
        if others := [name for name, checksum in read if checksum not in found.get(name, (checksum,))]:
            text = f"{paths.folder / folder}: {trial} was made from another {others[0]} than there is now"
            raise InputError(f"{text}; did a run stop in between? Run `simspine run` again.")
    return unlisted


def read_made_json(path: Path, manifest: Path) -> dict:
    """`read_json` of a file that a task made; `InputError` where the task's manifest lists no file of this content."""
    content = read_json(path)
    if file_checksum(path) not in read_task_manifest(manifest).get("outputs", {}).values():
        raise InputError(f"{path} is not as it was made: changed, or damaged. Run `simspine run` again.")
    return content


def _file_checksums(outputs: tuple[Path, ...]) -> dict[str, str]:
    """{path relative to the outputs' common folder: checksum}; several folders may hold the same name."""
    if not outputs:
        return {}
    shared = os.path.commonpath([path.absolute().parent for path in outputs])
    return {path.absolute().relative_to(shared).as_posix(): file_checksum(path) for path in outputs}
