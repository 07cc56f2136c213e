"""Synthetic subjects recorded by a virtual detector and motion capture, and what was true, for `accuracy`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simspine.anatomy.curvature import SPINE_MARKERS
from simspine.core.errors import require_known
from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import load_skeleton, read_correspondence
from simspine.core.types import Camera, Markers
from simspine.evaluation.methods import GroundTruthTrial, ObservedTrial
from simspine.evaluation.spine_errors import TrialSpine
from simspine.synthesis.actions import ACTION_NAMES
from simspine.synthesis.population import SyntheticSubject, make_subject
from simspine.synthesis.postures import MOTION_RATE_HZ
from simspine.synthesis.virtual_detector import read_preset, simulate_detections
from simspine.synthesis.virtual_trial import (
    TruthTrial,
    body_capsules,
    make_trial,
    simulate_mocap,
    spine_truth,
    true_human36m_joints,
    true_points,
    true_vertebra_centres,
    virtual_rig,
)


@dataclass(frozen=True)
class StudySize:
    """How much is recorded: subjects, actions (one trial of each), frames of a trial. spines: where the subjects' are
    from, see `simspine.synthesis.population.SPINE_FAMILIES`.

    Subjects differ more from each other than frames do: rather more of them than longer trials.
    """

    subjects: int = 7
    actions: tuple[str, ...] = ("Walking", "Sitting")
    frames: int = 80
    seed: int = 1
    spines: str = "published"


def recorded_subjects(preset: str, sizes: StudySize) -> Iterator[list[GroundTruthTrial]]:
    """The trials of each subject as the detector of `preset` sees them. `InputError` names the actions there are."""
    require_known("action", sizes.actions, ACTION_NAMES)
    for index in range(sizes.subjects):
        subject = make_subject(sizes.seed, index, sizes.spines)
        trials = (make_trial(subject, action, 1, sizes.frames) for action in sizes.actions)
        yield [record_virtual_trial(subject, trial, preset, sizes.seed) for trial in trials]


def record_virtual_trial(
    subject: SyntheticSubject, trial: TruthTrial, preset: str, seed: int, cameras: Sequence[Camera] = ()
) -> GroundTruthTrial:
    """A trial as recorded, and its truth. cameras: () for the subject's own four."""
    exact, cameras, parts = true_points(trial), tuple(cameras or virtual_rig(seed, subject.name)), body_capsules(trial)
    seen = simulate_detections(
        exact,
        cameras,
        parts.ends,
        radii=parts.radii,
        preset=read_preset(preset),
        seed=seed,
        subject=subject.name,
        trial=trial.trial,
    )
    joints = simulate_mocap(true_human36m_joints(trial), MOTION_RATE_HZ, seed, subject=subject.name, trial=trial.trial)
    mocap = Markers(load_skeleton("human36m32").names, MOTION_RATE_HZ, joints, "z_up")
    observed = ObservedTrial(subject.name, trial.trial, seen.keypoints, cameras, mocap=mocap)
    targets = markers_in_frame(points_meant_by_mocap(exact, mocap.names, true_human36m_joints(trial)), "y_up")
    return GroundTruthTrial(observed, true_spine(trial), targets)


def points_meant_by_mocap(points: Markers, joints: Sequence[str], xyz: np.ndarray) -> Markers:
    """The true points with the limbs' at the joint centres (frames, joints, 3) that the motion capture means."""
    moved = np.array(points.xyz)
    for joint, point in ((pair.marker, pair.point) for pair in read_correspondence("human36m")):
        moved[:, points.index(point)] = xyz[:, joints.index(joint)]
    return points.with_(xyz=moved)


def true_spine(trial: TruthTrial) -> TrialSpine:
    """The true spine; its points are where a detector is asked to mark them, at the vertebral centroids."""
    marked = markers_in_frame(true_points(trial).select(SPINE_MARKERS), "y_up")
    kinematics = replace(spine_truth(trial), markers=marked)
    return TrialSpine(kinematics, markers_in_frame(true_vertebra_centres(trial), "y_up"), np.zeros(trial.frames, bool))
