"""Write a virtual capture to disk, trial by trial. A record states whether it is complete; a stopped one continues."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from pydantic_core import to_jsonable_python

from simspine import __version__
from simspine.core.errors import InputError, unknown_name
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera
from simspine.io.atomic import sha256_of_file, write_text
from simspine.io.calibration import write_calibration
from simspine.io.hdf5 import write_store
from simspine.io.human36m import names
from simspine.io.human36m.copy import write_pose
from simspine.io.mot import write_mot
from simspine.io.text_tables import json_or_empty
from simspine.io.trc import write_trc
from simspine.synthesis import virtual_trial
from simspine.synthesis.actions import ACTION_NAMES
from simspine.synthesis.bodies import truth_body
from simspine.synthesis.options import Virtual
from simspine.synthesis.population import SyntheticSubject, make_subject
from simspine.synthesis.virtual_detector import Preset, read_preset
from simspine.synthesis.virtual_trial import trial_frames, virtual_rig

# The files of a trial of a virtual capture: positions as in a copy of Human3.6M, detections, and the truth.


CAPTURE_SKELETON = "simspine37"


def camera_file(subject: str) -> str:
    """Path of a subject's calibration file, relative to the capture's folder."""
    return f"Calib_{subject}.toml"


def trial_files(subject: str, trial: str) -> dict[str, str]:
    """{role: path} of a trial's files, relative to the capture's folder.

    trial: canonical name ('Walking_1'). Files in the layout of Human3.6M have its names ('Walking 1').
    """
    official = names.official_name(subject, trial)
    truth = f"truth/{subject}/{subject}_{trial}"
    files = {"world": f"{subject}/MyPoseFeatures/D3_Positions/{official}.cdf"}
    files |= {"detections": f"detections/{subject}/{trial}.h5"}
    return files | {"positions": f"{truth}.trc", "motion": f"{truth}.mot", "spine": f"{truth}.h5"}


@cache
def motion_of_trial(trial: str) -> tuple[str, int]:
    """Action of a canonical trial name, as in `ACTION_NAMES`, and the number of its repeat."""
    action, number = names.split_trial(trial)
    return next(name for name in ACTION_NAMES if names.canonical_action(name) == action), number


def write_trial(
    folder: Path, subject: SyntheticSubject, trial: str, frames: int | None, cameras: Sequence[Camera], preset: Preset
) -> None:
    """Make one trial and write all its files. Equal arguments give equal bytes.

    In the layout of Human3.6M (float32): positions in the world, mm, with errors of motion capture (`simulate_mocap`).
    detections: the 37 points and the cameras. truth: TRC with vertebral centres, joint centres and the 37 points
    (y_up); MOT with all coordinates of the true body; HDF5 with the same in full precision, the true joints, level
    angles, LLA and TKA, and which detections are outliers, exchanged or hidden.
    """
    made = replace(virtual_trial.make_trial(subject, *motion_of_trial(trial), frames), trial=trial)
    paths = {role: folder / path for role, path in trial_files(subject.name, trial).items()}
    write_pose(paths["world"], 1e3 * virtual_trial.captured_joints(made))
    found = virtual_trial.detect_trial(made, cameras, preset)
    write_store(paths["detections"], keypoints=found.keypoints, cameras=list(cameras), skeleton=CAPTURE_SKELETON)

    markers = virtual_trial.true_markers(made)
    centres = [m for m in markers.names if m.startswith("joint_")]
    write_trc(
        paths["positions"], markers.select([*made.truth.vertebrae, *centres, *load_skeleton(CAPTURE_SKELETON).names])
    )
    write_mot(paths["motion"], made.motion)
    spine = virtual_trial.spine_truth(made)
    write_store(
        paths["spine"],
        motion=made.motion,
        points=virtual_trial.true_points(made),
        vertebrae=virtual_trial.true_vertebra_centres(made),
        joints=virtual_trial.true_human36m_joints(made),
        levels=list(spine.levels),
        angles=np.asarray(spine.angles),
        lla=np.asarray(spine.lla),
        tka=np.asarray(spine.tka),
        outlier=found.outlier,
        swapped=found.swapped,
        hidden=found.hidden.astype(np.float32),
    )


CAPTURE_RECORD_FILE, MODEL = "capture.json", "model"
Progress = Callable[[int, int], None]


def write_capture(
    folder: str | Path, settings: Virtual, progress: Progress | None = None, only: str | None = None
) -> list[str]:
    """Write a virtual capture, or continue one; returns the trials written in this call ('S1/Walking_1').

    Trials with complete, unchanged files of the same settings are kept; files of other settings are replaced. only:
    one subject of the capture; several processes may write one subject each. progress: called with (frames done, total
    frames). `capture.json` first states that the capture is virtual and not complete; at the end it is written again
    with the checksum of each file. Memory does not grow with the number of trials.

    Raises `InputError` if the folder holds files of another kind, and for invalid settings.
    """
    folder, settings = Path(folder), settings.resolved()
    subjects = [make_subject(settings.seed, i) for i in range(len(names.HUMAN36M_SUBJECT_NAMES))[: settings.subjects]]
    trials = names.select_trials(settings.actions)
    preset = read_preset(settings.detections)
    rigs = {subject.name: virtual_rig(settings.seed, subject.name, settings.cameras) for subject in subjects}
    if only is not None and only not in rigs:
        raise unknown_name("subject", only, rigs, "the virtual capture")
    stated = {
        "version": __version__,
        "seed": settings.seed,
        "subjects": list(rigs),
        "trials": trials,
        "frames": settings.frames,
        "detections": preset.model_dump(mode="json"),
        "cameras": _settings_digest(dict(rigs)),
    }
    if claim_folder(folder, CAPTURE_RECORD_FILE, "virtual", "virtual capture").get("settings") != stated:
        write_text(folder / CAPTURE_RECORD_FILE, _json_text({"virtual": True, "complete": False, "settings": stated}))
    people = {subject.name: subject for subject in subjects}
    write_text(folder / "truth" / "subjects.json", _json_text(people))

    chosen = [subject for subject in subjects if only in (None, subject.name)]
    lengths = {(s.name, t): settings.frames or trial_frames(s, *motion_of_trial(t)) for s in chosen for t in trials}
    done, written = 0, []
    for subject in chosen:
        write_calibration(folder / camera_file(subject.name), rigs[subject.name])
        record = _SubjectRecord(folder, subject.name, stated, trials)
        for trial, paths in record.parts.items():
            if not set(paths) <= set(record.files):
                if trial == MODEL:
                    write_text(folder / paths[0], truth_body(subject).body.osim)
                else:
                    write_trial(folder, subject, trial, settings.frames, cameras=rigs[subject.name], preset=preset)
                    written.append(f"{subject.name}/{trial}")
                record.add(trial)
            done += lengths.get((subject.name, trial), 0)
            if progress is not None and trial != MODEL:
                progress(done, sum(lengths.values()))
    _finish_record(folder, stated, [subject.name for subject in subjects], trials)
    return written


def _subject_files(subject: str, trials: Sequence[str]) -> dict[str, list[str]]:
    """{`MODEL` or trial: its files, relative to the capture's folder}."""
    model = {MODEL: [f"truth/models/{subject}.osim"]}
    return model | {trial: list(trial_files(subject, trial).values()) for trial in trials}


def claim_folder(folder: Path, record: str, key: str, kind: str) -> dict:
    """Read the record of a folder of this kind; {} for a new folder. Raises `InputError` for a folder with other files.

    record: name of the record's file, whose `key` is true. Hidden files are ignored: a killed process may leave them.
    """
    if folder.is_file():
        raise InputError(f"{folder} is a file; name a folder to write to.")
    holds_files = any(
        path.name[0] != "." for path in folder.glob("*")
    )  # checked before another process writes the record
    found = _read_record(folder / record)
    if holds_files and found.get(key) is not True:
        raise InputError(f"{folder} holds files, but no {kind}. Name an empty or a new folder.")
    return found


def _finish_record(folder: Path, stated: dict, subjects: Sequence[str], trials: list[str]) -> None:
    """Write the record with all checksums, if every subject is complete."""
    files: dict[str, str] = {}
    shared = ["truth/subjects.json"]
    for subject in subjects:
        wanted = {path for paths in _subject_files(subject, trials).values() for path in paths}
        record = _read_record(folder / _record_file(subject))
        if record.get("settings") != _settings_digest(stated) or set(record["files"]) != wanted:
            return
        files |= record["files"]
        shared += [_record_file(subject), camera_file(subject)]
    files |= {path: sha256_of_file(folder / path) for path in shared}
    content = {"virtual": True, "complete": True, "settings": stated, "files": dict(sorted(files.items()))}
    write_text(folder / CAPTURE_RECORD_FILE, _json_text(content))


def _record_file(subject: str) -> str:
    return f"truth/{subject}/files.json"


def _settings_digest(stated: dict) -> str:
    return hashlib.sha256(_json_text(stated).encode()).hexdigest()


class _SubjectRecord:
    """Files written for a subject. parts: from `_subject_files`. files: {path: checksum}. Files of an older record are
    deleted unless they are unchanged, wanted and of the same settings."""

    def __init__(self, folder: Path, subject: str, stated: dict, trials: Sequence[str]):
        self.folder, self.path, self.settings = folder, folder / _record_file(subject), _settings_digest(stated)
        self.parts = _subject_files(subject, trials)
        self.files: dict[str, str] = {}
        found, wanted = _read_record(self.path), {path for paths in self.parts.values() for path in paths}
        for path, checksum in found.get("files", {}).items():
            place = Path(path)
            if place.is_absolute() or (folder / place).resolve() != folder.resolve() / place:
                raise InputError(f"{self.path}: {path!r} is no file of this capture. Name another folder.")
            unchanged = (folder / path).is_file() and sha256_of_file(folder / path) == checksum
            if unchanged and path in wanted and found.get("settings") == self.settings:
                self.files[path] = checksum
            else:
                (folder / path).unlink(missing_ok=True)

    def add(self, part: str) -> None:
        self.files |= {path: sha256_of_file(self.folder / path) for path in self.parts[part]}
        write_text(self.path, _json_text({"settings": self.settings, "files": dict(sorted(self.files.items()))}))


def _read_record(path: Path) -> dict:
    """The record in a JSON file; {} if it cannot be read, so that its files are written again."""
    content = json_or_empty(path)
    return content if isinstance(content.get("files", {}), dict) else {}


def _json_text(content) -> str:
    """JSON of plain values, dataclasses and arrays; NaN becomes null."""
    plain = to_jsonable_python(content, fallback=np.ndarray.tolist, inf_nan_mode="null")
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"
