"""A synthetic trial with known truth: subject, body, motion, and all quantities that follow exactly from them.

All points come from forward kinematics of the subject's body with the motion's coordinates. World: z_up, metres; the
origin is on the floor in the middle of the area.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from simspine.anatomy.body import Body, body_poses, forward_kinematics
from simspine.anatomy.recipes import virtual_spine_markers
from simspine.anatomy.split_torso import spine_levels
from simspine.anatomy.vertebrae import SpineKinematics, spine_kinematics
from simspine.core.errors import InputError, require_known
from simspine.core.geometry import change_frame
from simspine.core.skeletons import axes_after_least_rotation, load_skeleton, unit_vectors, upright_axes
from simspine.core.types import Camera, Markers, Motion
from simspine.synthesis.actions import FRAMES_PER_ACTION, play_action
from simspine.synthesis.bodies import TruthBody, truth_body
from simspine.synthesis.population import SyntheticSubject, population_articulation
from simspine.synthesis.postures import perform_motion
from simspine.synthesis.signals import correlated_drift, random_stream, read_sided_table, read_table
from simspine.synthesis.virtual_detector import Detected, Preset, capsules_of, simulate_detections

# Virtual cameras: a rig with the size and layout of Human3.6M's but other values, or one from a calibration file.


def virtual_rig(seed: int, subject: str, calibration: str | os.PathLike | None = None) -> list[Camera]:
    """The cameras of a subject; world z up, m, the origin on the floor in the middle of the hall.

    By default there are four cameras like Human3.6M's. All subjects have the same lenses; positions differ between
    subjects by centimetres and degrees, as if the rig were set up again. Equal arguments give equal cameras.
    calibration: a file with another rig (`read_calibration`), the same for all subjects unless a JSON file holds one
    for each.
    """
    if calibration is not None:
        from simspine.io.calibration import read_calibration

        return read_calibration(calibration, subject)
    hall, own = random_stream(seed, "rig"), random_stream(seed, "rig", subject)
    rig = read_table("rig.yaml")
    return [_virtual_camera(hall, own, rig, camera) for camera in rig["cameras"]]


def _virtual_camera(hall: np.random.Generator, own: np.random.Generator, rig: dict, camera: dict) -> Camera:
    focal, aspect = hall.normal(*rig["focal_length"]), hall.normal(*rig["focal_aspect"])
    cx, cy = (hall.normal(*axis) for axis in rig["principal_point"])
    distortion = [hall.normal(*coefficient) for coefficient in rig["distortion"]]
    distance, height = hall.uniform(*rig["distance"]), hall.uniform(*rig["height"])
    # differences between subjects: a few centimetres, a degree or two
    distance += own.normal(0, 0.05)
    height = np.clip(height + own.normal(0, 0.02), 1.4, 1.7)
    turn = np.radians(camera["azimuth"] + own.normal(0, 1.5))
    centre = np.array([distance * np.cos(turn), distance * np.sin(turn), height])
    aim = np.array([own.normal(0, 0.15), own.normal(0, 0.1), 0.55 + own.normal(0, 0.04)])
    R = look_at_rotation(centre, aim, np.radians(own.normal(0, 2.0)))
    K = np.array([[focal, 0, cx], [0, focal * aspect, cy], [0, 0, 1]])
    size = tuple(camera["size"])
    return Camera(name=camera["name"], size=size, K=K, distortion=np.array(distortion), R=R, t=-R @ centre)


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
        local[:, j] = (
            MARKER_OFFSET_SD_M * draw.standard_normal(3)
            + BENT_JOINT_SHIFT_SD_M * draw.standard_normal(3) * bent[:, j, None]
        )
    lag = -SOFT_TISSUE_LAG_S * np.gradient(joints - joints[:, :1], 1 / rate, axis=0) if len(joints) > 1 else 0.0
    draw = random_stream(seed, "mocap", subject, trial)
    noise = draw.uniform(*MARKER_NOISE_SD_M, (len(names), 1)) * correlated_drift(
        draw, len(joints), (len(names), 3), rate=rate, correlation_time=NOISE_CORRELATION_S
    )
    error = np.einsum("fjik,fjk->fji", axes, local) + lag + noise
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

    The same subject, action, repeat and length give the same numbers. Raises `InputError` for an unknown action and for
    a repeat or a length below 1.
    """
    require_known("action", (action,), FRAMES_PER_ACTION)
    if repeat < 1:
        raise InputError(f"repeat is {repeat}, expected 1, 2, …")
    if frames is not None and frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more.")
    frames = trial_frames(subject, action, repeat) if frames is None else frames
    truth = truth_body(subject)
    channels = play_action(
        subject, truth, action, repeat=repeat, frames=frames, rng=subject.stream("motion", action, str(repeat))
    )
    levels, girdle = (subject.stream(quantity, action, str(repeat)) for quantity in ("levels", "girdle"))
    motion = perform_motion(subject, truth, channels, rng=levels, girdle_rng=girdle)
    return TruthTrial(subject, f"{action}_{repeat}", truth, motion)


def true_markers(trial: TruthTrial) -> Markers:
    """All markers of the body, z_up: the 37 points, vertebral centres, `…_virtual`, landmarks."""
    found = forward_kinematics(trial.body, trial.motion)
    return found.with_(xyz=change_frame(found.xyz, "y_up", "z_up"), frame="z_up")


def true_points(trial: TruthTrial) -> Markers:
    """The 37 SIMSPINE points, z_up; those of the spine are centres of vertebral bodies (Hip: S1)."""
    return true_markers(trial).select(load_skeleton("simspine37").names)


def true_vertebra_centres(trial: TruthTrial) -> Markers:
    """Centres of the vertebrae C1…L5 and S1, z_up."""
    return true_markers(trial).select(list(trial.truth.vertebrae))


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
