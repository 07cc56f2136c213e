"""A synthetic trial with known truth: subject, body, motion, and all quantities that follow exactly from them.

All points come from forward kinematics of the subject's body with the motion's coordinates. World: z_up, metres; the
origin is on the floor in the middle of the area. `write_capture` writes trials to disk, one by one; a record states
whether a capture is complete, and a stopped one continues.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic_core import to_jsonable_python

from simspine import __version__
from simspine.anatomy.body import Body, body_poses, forward_kinematics
from simspine.anatomy.recipes import virtual_spine_markers
from simspine.anatomy.split_torso import spine_levels
from simspine.anatomy.vertebrae import SpineKinematics, spine_kinematics
from simspine.core.errors import InputError, require_known, unknown_name
from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import axes_after_least_rotation, load_skeleton, unit_vectors, upright_axes
from simspine.core.types import Camera, Markers, Motion
from simspine.io.atomic import sha256_of_file, write_text
from simspine.io.calibration import read_calibration, write_calibration
from simspine.io.hdf5 import write_store
from simspine.io.human36m import names
from simspine.io.human36m.copy import write_pose
from simspine.io.mot import write_mot
from simspine.io.text_tables import json_or_empty
from simspine.io.trc import write_trc
from simspine.synthesis.actions import ACTION_NAMES, FRAMES_PER_ACTION, play_action
from simspine.synthesis.bodies import TruthBody, truth_body
from simspine.synthesis.options import Virtual
from simspine.synthesis.population import SyntheticSubject, make_subject, population_articulation
from simspine.synthesis.postures import perform_motion
from simspine.synthesis.signals import correlated_drift, random_stream, read_sided_table, read_table
from simspine.synthesis.virtual_detector import Detected, Preset, capsules_of, read_preset, simulate_detections

# Virtual cameras: a rig with the size and layout of Human3.6M's but other values, or one from a calibration file.


def virtual_rig(seed: int, subject: str, calibration: str | os.PathLike | None = None) -> list[Camera]:
    """The cameras of a subject; world z up, m, the origin on the floor in the middle of the hall.

    By default there are four cameras like Human3.6M's. All subjects have the same lenses; positions differ between
    subjects by centimetres and degrees, as if the rig were set up again. Equal arguments give equal cameras.
    calibration: a file with another rig (`read_calibration`), the same for all subjects unless a JSON file holds one
    for each.
    """
    if calibration is not None:
        return read_calibration(calibration, subject)
    hall, own = random_stream(seed, "rig"), random_stream(seed, "rig", subject)
    rig = read_table("rig.yaml")
    return [_virtual_camera(hall, own, rig, camera) for camera in rig["cameras"]]


def _virtual_camera(hall: np.random.Generator, own: np.random.Generator, rig: dict, camera: dict) -> Camera:
    focal, aspect = hall.normal(*rig["focal_length"]), hall.normal(*rig["focal_aspect"])
    cx, cy = (hall.normal(*axis) for axis in rig["principal_point"])
    distortion = np.array([hall.normal(*coefficient) for coefficient in rig["distortion"]])
    distance, height = hall.uniform(*rig["distance"]), hall.uniform(*rig["height"])
    # differences between subjects: a few centimetres, a degree or two
    distance += own.normal(0, 0.05)
    height = np.clip(height + own.normal(0, 0.02), 1.4, 1.7)
    turn = np.radians(camera["azimuth"] + own.normal(0, 1.5))
    centre = np.array([distance * np.cos(turn), distance * np.sin(turn), height])
    aim = np.array([own.normal(0, 0.15), own.normal(0, 0.1), 0.55 + own.normal(0, 0.04)])
    R = look_at_rotation(centre, aim, np.radians(own.normal(0, 2.0)))
    K = np.array([[focal, 0, cx], [0, focal * aspect, cy], [0, 0, 1]])
    return Camera(name=camera["name"], size=tuple(camera["size"]), K=K, distortion=distortion, R=R, t=-R @ centre)


def look_at_rotation(centre: np.ndarray, aim: np.ndarray, roll: float = 0.0) -> np.ndarray:
    """(3, 3) rotation world → camera, of a camera at `centre` that looks at `aim`, z up; roll: rad about its axis."""
    forward = (aim - centre) / np.linalg.norm(aim - centre)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    level = np.stack([right, np.cross(forward, right), forward])
    c, s = np.cos(roll), np.sin(roll)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ level


# Human3.6M's joints with the errors of marker-based motion capture.
# Error of a joint = a constant offset in the segment's frame (misplaced markers, joint centres estimated from the
# skin) + soft tissue that shifts as the joint bends and lags as the segment moves + correlated noise. We chose the
# sizes within those reported for skin markers (thigh up to 30 mm, shank 10 mm: Leardini et al. 2005, Gait & Posture
# 21:212); a fitted skeleton shows only a part of these.


MARKER_OFFSET_SD_M = 0.003  # m per axis, standard deviation of the constant offset
BENT_JOINT_SHIFT_SD_M = 0.005  # m per axis, standard deviation of the shift of a joint bent by 90°
SOFT_TISSUE_LAG_S = 0.002  # s; times the joint's velocity relative to the pelvis: lag of soft tissue
MARKER_NOISE_SD_M = (0.001, 0.003)  # m per axis, range of a joint's standard deviation of noise
NOISE_CORRELATION_S = 0.1  # s, correlation time of the noise

_JOINT_CHAINS = {
    "arm": ("thorax", (0.5**0.5, -(0.5**0.5), 0.0), ("Shoulder", "Elbow", "Wrist", "Hand")),
    "leg": ("pelvis", (0.0, -1.0, 0.0), ("Hip", "Knee", "Ankle", "ToeBase")),
}


def simulate_mocap(joints: np.ndarray, rate: float, seed: int, subject: str, trial: str) -> np.ndarray:
    """The 32 joints (frames, 32, 3) m, z up, with errors of motion capture; same shape. rate: frames/s.

    Offsets and soft tissue depend on the subject, noise on the trial. Joints that coincide (`SpineBase` and `Hip`, …)
    get the same error.
    """
    names = load_skeleton("human36m32").names
    joints = np.asarray(joints, float)
    apart = np.array([np.abs(joints - joints[:, j, None]).max((0, 2)) for j in range(joints.shape[1])])
    first = np.argmax(apart < 1e-9, 1)  # for each joint, the first that coincides with it in all frames
    axes, bent = _axes_and_bend(names, joints)
    local = np.empty((len(joints), len(names), 3))
    for j, name in enumerate(names):
        draw = random_stream(seed, "mocap", subject, name)
        offset, shift = MARKER_OFFSET_SD_M * draw.standard_normal(3), BENT_JOINT_SHIFT_SD_M * draw.standard_normal(3)
        local[:, j] = offset + shift * bent[:, j, None]
    lag = -SOFT_TISSUE_LAG_S * np.gradient(joints - joints[:, :1], 1 / rate, axis=0) if len(joints) > 1 else 0.0
    draw = random_stream(seed, "mocap", subject, trial)
    sd = draw.uniform(*MARKER_NOISE_SD_M, (len(names), 1))
    drift = correlated_drift(draw, len(joints), (len(names), 3), rate=rate, correlation_time=NOISE_CORRELATION_S)
    error = np.einsum("fjik,fjk->fji", axes, local) + lag + sd * drift
    return joints + error[:, first]


def _axes_and_bend(names: tuple[str, ...], joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes (frames, 32, 3, 3) of each joint's segment (forward, up, right), and 1 − cos(bending angle of the joint)."""
    at = {name: joints[:, j] for j, name in enumerate(names)}
    trunk = {
        "pelvis": upright_axes(at["Spine"] - at["Hip"], at["RHip"] - at["LHip"]),
        "thorax": upright_axes(at["Thorax"] - at["Spine"], at["RShoulder"] - at["LShoulder"]),
    }
    axes = {name: trunk["thorax"] for name in names}
    axes |= {name: trunk["pelvis"] for name in ("Hip", "SpineBase", "Spine", "RHip", "LHip")}
    bent = dict.fromkeys(names, np.zeros(len(joints)))
    for frame, start, chain in _JOINT_CHAINS.values():
        for side in "LR":
            turned, before = trunk[frame], trunk[frame] @ np.array(start)
            for near, far in pairwise(chain):
                segment = at[side + far] - at[side + near]
                if np.linalg.norm(segment, axis=-1).min() < 1e-6:
                    break
                along = unit_vectors(segment)
                bent[side + near] = 1 - (before * along).sum(-1)
                turned, before = axes_after_least_rotation(turned, before, along), along
                axes[side + far] = turned
            ends = ("Thumb", "ThumbTip", "Hand", "HandTip") if "Wrist" in chain else ("ToeBase", "ToeTip")
            axes |= {side + end: turned for end in ends}
    return np.stack([axes[n] for n in names], 1), np.stack([bent[n] for n in names], 1)


@dataclass(frozen=True, eq=False)
class TruthTrial:
    """A trial of a subject. trial: its name ('Walking_1'). truth: the true body. motion: its coordinates, 50 Hz."""

    subject: SyntheticSubject
    trial: str
    truth: TruthBody
    motion: Motion

    @property
    def body(self) -> Body:
        return self.truth.body

    @property
    def frames(self) -> int:
        return self.motion.frames


def trial_frames(subject: SyntheticSubject, action: str, repeat: int) -> int:
    """Frames of a trial: the action's typical length ± up to 15 %."""
    return round(FRAMES_PER_ACTION[action] * (1 + 0.15 * subject.stream("length", action, str(repeat)).uniform(-1, 1)))


def make_trial(subject: SyntheticSubject, action: str, repeat: int = 1, frames: int | None = None) -> TruthTrial:
    """Make one trial; repeat: 1 or 2. frames: its length (default: `trial_frames`); the actions fit into it.

    The same subject, action, repeat and length give the same numbers. Raises `InputError` for an unknown action.
    """
    require_known("action", (action,), FRAMES_PER_ACTION)
    frames = trial_frames(subject, action, repeat) if frames is None else frames
    truth = truth_body(subject)
    rng, levels, girdle = (subject.stream(what, action, str(repeat)) for what in ("motion", "levels", "girdle"))
    channels = play_action(subject, truth, action, repeat=repeat, frames=frames, rng=rng)
    motion = perform_motion(subject, truth, channels, rng=levels, girdle_rng=girdle)
    return TruthTrial(subject, f"{action}_{repeat}", truth, motion)


def true_markers(trial: TruthTrial) -> Markers:
    """All markers of the body, z_up: the 37 points, vertebral centres, `…_virtual`, landmarks."""
    return markers_in_frame(forward_kinematics(trial.body, trial.motion), "z_up")


def true_points(trial: TruthTrial) -> Markers:
    """The 37 SIMSPINE points, z_up; those of the spine are centres of vertebral bodies (Hip: S1)."""
    return true_markers(trial).select(load_skeleton("simspine37").names)


def true_human36m_joints(trial: TruthTrial) -> np.ndarray:
    """(frames, 32, 3) m, z_up: Human3.6M's joints, in its order, at joint centres."""
    found, places = true_markers(trial), read_sided_table("human36m_joints.yaml")
    at = [found.xyz[:, found.indices(places[name])].mean(1) for name in load_skeleton("human36m32").names]
    return np.stack(at, 1)


def detect_trial(trial: TruthTrial, cameras: Sequence[Camera], preset: Preset) -> Detected:
    """Simulated detections of a trial; subject and trial determine the random numbers."""
    subject = trial.subject
    capsules = capsules_of(subject, true_markers(trial))
    return simulate_detections(
        true_points(trial), cameras, capsules, preset, seed=subject.seed, subject=subject.name, trial=trial.trial
    )


def captured_joints(trial: TruthTrial) -> np.ndarray:
    """`true_human36m_joints` with errors of motion capture, (frames, 32, 3) m."""
    who = trial.subject
    return simulate_mocap(true_human36m_joints(trial), trial.motion.rate, who.seed, subject=who.name, trial=trial.trial)


def spine_truth(trial: TruthTrial) -> SpineKinematics:
    """True level angles, LLA, TKA and points of the spine, from the true endplates.

    Angles are relative to the generic body's neutral pose, so they are comparable with estimates of the same level.
    """
    body = trial.body
    return spine_kinematics(
        body_poses(body, trial.motion),
        forward_kinematics(body, trial.motion),
        trial.truth.vertebrae,
        levels=spine_levels(population_articulation()),
        spine_markers=virtual_spine_markers(body),
    )


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
    made = replace(make_trial(subject, *motion_of_trial(trial), frames), trial=trial)
    paths = {role: folder / path for role, path in trial_files(subject.name, trial).items()}
    write_pose(paths["world"], 1e3 * captured_joints(made))
    found = detect_trial(made, cameras, preset)
    write_store(paths["detections"], keypoints=found.keypoints, cameras=list(cameras), skeleton=CAPTURE_SKELETON)

    markers = true_markers(made)
    centres = [m for m in markers.names if m.startswith("joint_")]
    write_trc(
        paths["positions"], markers.select([*made.truth.vertebrae, *centres, *load_skeleton(CAPTURE_SKELETON).names])
    )
    write_mot(paths["motion"], made.motion)
    spine = spine_truth(made)
    write_store(
        paths["spine"],
        motion=made.motion,
        points=true_points(made),
        vertebrae=true_markers(made).select(list(made.truth.vertebrae)),
        joints=true_human36m_joints(made),
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
    folder: str | Path,
    settings: Virtual,
    progress: Progress | None = None,
    only: str | None = None,
    *,
    replacing: bool = True,
) -> list[str]:
    """Write a virtual capture, or continue one; returns the trials written in this call ('S1/Walking_1').

    Trials with complete, unchanged files of the same settings are kept; files of other settings are replaced.
    replacing: False refuses to replace a complete capture. only: one subject of the capture; several processes may
    write one subject each. progress: called with (frames done, total frames). `capture.json` first states that the
    capture is virtual and not complete; at the end it is written again with the checksum of each file. Memory does not
    grow with the number of trials.

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
    before = claim_folder(folder, CAPTURE_RECORD_FILE, "virtual", "virtual capture", kept=None if replacing else stated)
    if before.get("settings") != stated:
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


def claim_folder(folder: Path, record: str, key: str, kind: str, kept: dict | None = None) -> dict:
    """Read the record of a folder of this kind; {} for a new folder. Raises `InputError` for a folder with other files.

    record: name of the record's file, whose `key` is true. Hidden files are ignored: a killed process may leave them.
    kept: settings; a complete set of others is refused.
    """
    if folder.is_file():
        raise InputError(f"{folder} is a file; name a folder to write to.")
    # Checked before another process writes the record.
    holds_files = any(path.name[0] != "." for path in folder.glob("*"))
    found = _read_record(folder / record)
    if holds_files and found.get(key) is not True:
        raise InputError(f"{folder} holds files, but no {kind}. Name an empty or a new folder.")
    if kept is not None and found.get("complete") and found.get("settings") != json.loads(json.dumps(kept)):
        raise InputError(f"{folder} holds a {kind} of other settings, which would be replaced. Name another folder.")
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
