"""A trial whose truth is known: who, what body, which motion, and what follows from them exactly.

Every point here is the forward kinematics of the subject's body at the motion's coordinates. World z_up, metres; the
origin is on the floor in the middle of the area.
"""

from dataclasses import dataclass

import numpy as np

from simspine.body.articulation import spine_levels
from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.model import Body
from simspine.body.recipes import virtual_spine_markers
from simspine.capture.actions import ACTIONS, FRAMES, play
from simspine.capture.bodies import TruthBody, truth_body
from simspine.capture.capsules import Capsules, capsules_of
from simspine.capture.performance import RATE, perform
from simspine.capture.population import articulation
from simspine.capture.subjects import SyntheticSubject, make_subject
from simspine.errors import InputError, unknown_name
from simspine.geometry import change_frame
from simspine.skeletons import load
from simspine.spine.vertebrae import SpineKinematics, spine_kinematics
from simspine.types import Markers, Motion

__all__ = ["ACTIONS", "RATE", "SyntheticSubject", "TruthTrial", "make_subject", "make_trial"]

# Where the joints of Human3.6M's skeleton are on the body; several are duplicates, as in the data set.
_H36M = {"Hip": ("joint_hip_r", "joint_hip_l"), "Spine": ("L1",), "Thorax": ("C7",), "Head": ("vertex",)}
_H36M |= {"NeckNose": ("head_front",), "SpineBase": _H36M["Hip"], "LCollar": ("C7",), "RCollar": ("C7",)}
_H36M |= {
    f"{side}{joint}": (f"{marker}_{side.lower()}",)
    for side in "RL"
    for joint, marker in (
        ("Hip", "joint_hip"), ("Knee", "joint_knee"), ("Ankle", "joint_ankle"), ("ToeBase", "joint_toes"),
        ("ToeTip", "tip_toes"), ("Shoulder", "joint_shoulder"), ("Elbow", "joint_elbow"), ("Wrist", "joint_wrist"),
        ("Thumb", "joint_wrist"), ("ThumbTip", "tip_thumb"), ("Hand", "tip_hand"), ("HandTip", "tip_hand"),
    )
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class TruthTrial:
    """A subject's trial ('Walking_1'). truth: the body with its vertebrae. motion: all coordinates, 50 Hz, y_up."""

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
    """Frames of a trial: typical for the action, 15 % more or less."""
    return round(FRAMES[action] * (1 + 0.15 * subject.stream("length", action, str(repeat)).uniform(-1, 1)))


def make_trial(subject: SyntheticSubject, action: str, repeat: int = 1, frames: int | None = None) -> TruthTrial:
    """One trial; repeat 1 or 2. frames: its length (default: that of such trials); what is done fits into it.

    Deterministic: the same subject, action, repeat and length give the same numbers. Raises `InputError` for an action
    that does not exist.
    """
    if action not in FRAMES:
        raise unknown_name("action", action, FRAMES)
    if repeat < 1:
        raise InputError(f"repeat is {repeat}, expected 1, 2, …")
    if frames is not None and frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more.")
    frames = trial_frames(subject, action, repeat) if frames is None else frames
    truth = truth_body(subject)
    channels = play(subject, truth, action, repeat, frames, subject.stream("motion", action, str(repeat)))
    levels, girdle = (subject.stream(quantity, action, str(repeat)) for quantity in ("levels", "girdle"))
    motion = perform(subject, truth, channels, levels, girdle)
    return TruthTrial(subject, f"{action}_{repeat}", truth, motion)


def markers(trial: TruthTrial) -> Markers:
    """All markers of the body, z_up: the 37 points, vertebral centres, `…_virtual`, landmarks."""
    found = forward_kinematics(trial.body, trial.motion)
    return found.with_(xyz=change_frame(found.xyz, "y_up", "z_up"), frame="z_up")


def points(trial: TruthTrial) -> Markers:
    """The 37 SIMSPINE points, z_up; those of the spine are centres of vertebral bodies (Hip: S1)."""
    return markers(trial).select(load("simspine37").names)


def vertebra_centres(trial: TruthTrial) -> Markers:
    """Centres of the vertebrae C1…L5 and S1, z_up."""
    return markers(trial).select(list(trial.truth.vertebrae))


def human36m_joints(trial: TruthTrial) -> np.ndarray:
    """(frames, 32, 3) m, z_up: Human3.6M's joints, in its order, at joint centres."""
    found = markers(trial)
    at = [found.xyz[:, found.indices(_H36M[name])].mean(1) for name in load("human36m32").names]
    return np.stack(at, 1)


def capsules(trial: TruthTrial) -> Capsules:
    """The body's parts as capsules, z_up, for who hides what."""
    return capsules_of(trial.subject, markers(trial))


def spine_truth(trial: TruthTrial) -> SpineKinematics:
    """Level angles, LLA, TKA and the spine's points, with the true endplates.

    Angles count from where the generic body's are 0, so they compare with an estimate of the same level.
    """
    body = trial.body
    return spine_kinematics(
        body_poses(body, trial.motion),
        forward_kinematics(body, trial.motion),
        trial.truth.vertebrae,
        levels=spine_levels(articulation()),
        spine_markers=virtual_spine_markers(body),
    )
