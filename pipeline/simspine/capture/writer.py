"""A virtual capture on disk, trial by trial: begun, continued where it stopped, and called complete when it is."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import numpy as np

from simspine import __version__
from simspine.capture.bodies import truth_body
from simspine.capture.presets import Preset, read_preset
from simspine.capture.rig import rig
from simspine.capture.subjects import SyntheticSubject, make_subject
from simspine.capture.trial_files import motion_of, trial_files, write_trial
from simspine.capture.truth import trial_frames
from simspine.dataset.manifest import sha256
from simspine.errors import InputError, unknown_name
from simspine.formats.atomic import write_text
from simspine.sources.human36m.metadata import write_metadata
from simspine.sources.human36m.names import select_trials

RECORD, MODEL = "capture.json", "model"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CaptureSettings:
    """What decides a capture. seed: of everything. subjects: their number. actions: actions or trials, None = all
    fifteen, two trials each. frames: of every trial, None = as long as in the data set. detections: a preset's name or
    file. cameras: a calibration file, None = four like Human3.6M's. spines: 'published' or 'scans'.
    """

    seed: int = 1
    subjects: int = 2
    actions: Sequence[str] | None = ("Greeting", "Phoning", "Sitting", "Walking")
    frames: int | None = 300
    detections: str = "finetuned"
    cameras: str | None = None
    spines: str = "published"


def write_capture(
    folder: str | Path, settings: CaptureSettings, progress: Progress | None = None, only: str | None = None
) -> list[str]:
    """Write a virtual capture, or go on with it; returns the trials written now ('S1/Walking_1').

    A trial whose files are there, unchanged and of the same settings is left as it is; files of other settings are
    replaced. only: one subject of the capture; several processes may write one each. progress: called with (frames
    done, frames in all). `capture.json` is written first, saying that the capture is virtual and not complete, and last
    with the checksum of each file. Memory does not grow with the number of trials.

    Raises `InputError` if the folder holds something that is no virtual capture, and for settings that cannot be.
    """
    folder = Path(folder)
    subjects = [make_subject(settings.seed, i, settings.spines) for i in range(settings.subjects)]
    trials = select_trials(settings.actions)
    preset = read_preset(settings.detections)
    rigs = {subject.name: rig(settings.seed, subject.name, settings.cameras) for subject in subjects}
    if only is not None and only not in rigs:
        raise unknown_name("subject", only, rigs, "the virtual capture")
    stated = _stated(settings, trials, preset, rigs)
    _claim(folder, stated)
    write_metadata(folder / "metadata.xml", rigs)
    write_text(folder / "truth" / "subjects.json", _json({subject.name: _plain(subject) for subject in subjects}))

    chosen = [subject for subject in subjects if only in (None, subject.name)]
    lengths = {(s.name, t): settings.frames or trial_frames(s, *motion_of(t)) for s in chosen for t in trials}
    total, done, written = sum(lengths.values()), 0, []
    for subject in chosen:
        cameras = rigs[subject.name]
        record = _Record(folder, subject.name, stated)
        record.keep([MODEL, *trials])
        if not record.holds(MODEL):
            write_text(folder / _model(subject), truth_body(subject).body.osim)
            record.add(MODEL, [_model(subject)])
        for trial in trials:
            if not record.holds(trial):
                write_trial(folder, subject, trial, settings.frames, cameras, preset)
                record.add(trial, trial_files(subject.name, trial, [c.name for c in cameras]).values())
                written.append(f"{subject.name}/{trial}")
            done += lengths[subject.name, trial]
            if progress is not None:
                progress(done, total)
    _finish(folder, stated, subjects, trials)
    return written


def _stated(settings: CaptureSettings, trials: list[str], preset: Preset, rigs: Mapping) -> dict:
    """All that decides the files, as JSON can say it."""
    return {
        "version": __version__,
        "seed": settings.seed,
        "subjects": list(rigs),
        "trials": trials,
        "frames": settings.frames,
        "spines": settings.spines,
        "detections": _plain(preset),
        "cameras": _digest(_json({name: [_plain(c) for c in cameras] for name, cameras in rigs.items()}).encode()),
    }


def _claim(folder: Path, stated: dict) -> None:
    """Mark the folder as a virtual capture; never one that holds something else, such as a copy of Human3.6M."""
    if folder.is_file():
        raise InputError(f"{folder} is a file; a folder to write to is wanted.")
    record = _read(folder / RECORD)
    if folder.is_dir() and any(folder.iterdir()) and record.get("virtual") is not True:
        raise InputError(f"{folder} holds files, but no virtual capture. Name an empty or a new folder.")
    if record.get("settings") != stated:
        write_text(folder / RECORD, _json({"virtual": True, "complete": False, "settings": stated}))


def _finish(folder: Path, stated: dict, subjects: Sequence[SyntheticSubject], trials: list[str]) -> None:
    """Write the record with all checksums, if every subject is there."""
    files: dict[str, str] = {}
    shared = ["metadata.xml", "truth/subjects.json"]
    for subject in subjects:
        record = _Record(folder, subject.name, stated)
        if set(record.made) != {MODEL, *trials}:
            return
        files |= {path: checksum for made in record.made.values() for path, checksum in made.items()}
        shared.append(record.path.relative_to(folder).as_posix())
    files |= {path: sha256(folder / path) for path in shared}
    content = {"virtual": True, "complete": True, "settings": stated, "files": dict(sorted(files.items()))}
    write_text(folder / RECORD, _json(content))


class _Record:
    """What is written of a subject (its model, its trials), with checksums: truth/<subject>/files.json."""

    def __init__(self, folder: Path, subject: str, stated: dict):
        self.folder, self.path = folder, folder / "truth" / subject / "files.json"
        self.settings = _digest(_json(stated).encode())
        found = _read(self.path)
        self.old = found.get("made", {})
        self.made = dict(self.old) if found.get("settings") == self.settings else {}

    def keep(self, names: Sequence[str]) -> None:
        """Remove the files of all else: what was made with other settings."""
        self.made = {name: files for name, files in self.made.items() if name in names}
        for name, files in self.old.items():
            if name not in self.made:
                for path in files:
                    (self.folder / path).unlink(missing_ok=True)

    def holds(self, name: str) -> bool:
        files = self.made.get(name, {})
        paths = {self.folder / path: checksum for path, checksum in files.items()}
        return bool(paths) and all(p.is_file() and sha256(p) == checksum for p, checksum in paths.items())

    def add(self, name: str, paths: Iterable[str]) -> None:
        self.made[name] = {path: sha256(self.folder / path) for path in paths}
        content = {"settings": self.settings, "made": dict(sorted(self.made.items()))}
        write_text(self.path, _json(content))


def _model(subject: SyntheticSubject) -> str:
    return f"truth/models/{subject.name}.osim"


def _read(path: Path) -> dict:
    """The record in a JSON file; empty if there is none that can be read, so that its work is done again."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(content) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _plain(value):
    """Dataclasses, mappings and arrays as JSON can say them; NaN (not sampled) as null."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and value != value else value
