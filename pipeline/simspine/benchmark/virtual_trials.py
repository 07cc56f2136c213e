"""Synthetic subjects recorded by a virtual detector and motion capture, and what was true, for `accuracy`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simspine.benchmark.methods import GroundTruthTrial, ObservedTrial
from simspine.benchmark.spine_errors import TrialSpine
from simspine.capture.detections import detect
from simspine.capture.mocap import captured
from simspine.capture.presets import read_preset
from simspine.capture.rig import rig
from simspine.capture.subjects import SyntheticSubject
from simspine.capture.truth import (
    ACTIONS,
    RATE,
    TruthTrial,
    capsules,
    human36m_joints,
    make_subject,
    make_trial,
    points,
    spine_truth,
    vertebra_centres,
)
from simspine.errors import require_known
from simspine.geometry import in_frame
from simspine.skeletons import load
from simspine.skeletons.correspondence import read_correspondence
from simspine.spine.levels import SPINE_MARKERS
from simspine.types import Camera, Markers


@dataclass(frozen=True)
class StudySize:
    """How much is recorded: subjects, actions (one trial of each), frames of a trial. spines: where the subjects' are
    from, see `simspine.capture.spines.FAMILIES`.

    Subjects differ more from each other than frames do: rather more of them than longer trials.
    """

    subjects: int = 7
    actions: tuple[str, ...] = ("Walking", "Sitting")
    frames: int = 80
    seed: int = 1
    spines: str = "published"


def recorded_subjects(preset: str, sizes: StudySize) -> Iterator[list[GroundTruthTrial]]:
    """The trials of each subject as the detector of `preset` sees them. `InputError` names the actions there are."""
    require_known("action", sizes.actions, ACTIONS)
    for index in range(sizes.subjects):
        subject = make_subject(sizes.seed, index, sizes.spines)
        trials = (make_trial(subject, action, 1, sizes.frames) for action in sizes.actions)
        yield [recorded(subject, trial, preset, sizes.seed) for trial in trials]


def recorded(
    subject: SyntheticSubject, trial: TruthTrial, preset: str, seed: int, cameras: Sequence[Camera] = ()
) -> GroundTruthTrial:
    """A trial as recorded, and its truth. cameras: () for the subject's own four."""
    exact, cameras, parts = points(trial), tuple(cameras or rig(seed, subject.name)), capsules(trial)
    seen = detect(exact, cameras, parts.ends, parts.radii, read_preset(preset), seed, subject.name, trial.trial)
    joints = captured(human36m_joints(trial), RATE, seed, subject.name, trial.trial)
    mocap = Markers(load("human36m32").names, RATE, joints, "z_up")
    observed = ObservedTrial(subject.name, trial.trial, seen.keypoints, cameras, mocap)
    targets = in_frame(meant(exact, mocap.names, human36m_joints(trial)), "y_up")
    return GroundTruthTrial(observed, true_spine(trial), targets)


def meant(points: Markers, joints: Sequence[str], xyz: np.ndarray) -> Markers:
    """The true points with the limbs' at the joint centres (frames, joints, 3) that the motion capture means."""
    moved = np.array(points.xyz)
    for joint, point in ((pair.marker, pair.point) for pair in read_correspondence("human36m")):
        moved[:, points.index(point)] = xyz[:, joints.index(joint)]
    return points.with_(xyz=moved)


def true_spine(trial: TruthTrial) -> TrialSpine:
    """The true spine; its points are where a detector is asked to mark them, at the vertebral centroids."""
    marked = in_frame(points(trial).select(SPINE_MARKERS), "y_up")
    kinematics = replace(spine_truth(trial), markers=marked)
    return TrialSpine(kinematics, in_frame(vertebra_centres(trial), "y_up"), np.zeros(trial.frames, bool))
