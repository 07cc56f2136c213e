"""Trials of synthetic people for `simspine bench accuracy`: what is true, and what every method is given of them.

People are of a family (`TRUTH_FAMILIES`): synthetic subjects with either kind of spine, or people of another anatomy.
From images, four cameras see them through a virtual detector, and motion capture is there as well. From points in
space, limbs come as motion capture means them, and points of the spine with the errors of `POINT_ERRORS_BY_NAME`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from tools.bench.baselines import TRUE_POINT_MARKER_SET, peer_estimates, peer_markers
from tools.bench.ct_spines import make_ct_subject
from tools.bench.spine_errors import OWN_SPINE_MARKERS, TrialSpine
from tools.other_anatomy.motion import FOREIGN_ACTIONS, make_foreign_subject, make_foreign_trial

from simspine.anatomy.curvature import SPINE_MARKERS
from simspine.core.errors import InputError, require_known
from simspine.core.filtering import smooth
from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import SPINE_REGIONS, load_skeleton, read_correspondence
from simspine.core.types import Camera, Keypoints, Markers, Origin
from simspine.estimation.options import BodyOptions
from simspine.reconstruction.stage import Known, Options
from simspine.reconstruction.stages import AFTER_DETECTION, AFTER_MERGING, UNSEEN, run_stages
from simspine.synthesis.actions import ACTION_NAMES
from simspine.synthesis.population import make_subject
from simspine.synthesis.postures import MOTION_RATE_HZ
from simspine.synthesis.signals import correlated_drift, random_stream
from simspine.synthesis.virtual_detector import read_preset
from simspine.synthesis.virtual_trial import (
    TruthTrial,
    captured_joints,
    detect_trial,
    make_trial,
    spine_truth,
    true_human36m_joints,
    true_markers,
    true_points,
    virtual_rig,
)
from simspine.vision.options import FilterOptions, MergeOptions
from simspine.vision.triangulation import triangulate_with_report

# People and what is true of them.


FILMED_FAMILIES = ("published", "scans")
TRUTH_FAMILIES = (*FILMED_FAMILIES, "foreign")
# Everyday actions of Human3.6M that stand, walk, sit, bend and turn.
CHOSEN_ACTIONS = ("Directions", "Posing", "Purchases", "Sitting", "Walking")
MIN_STUDY_FRAMES = 20  # the filters need so many


@dataclass(frozen=True)
class StudySize:
    """How much: people, actions of a trial each (None: `CHOSEN_ACTIONS`, or those of the other anatomy; "all": every
    one that the family has), frames of a trial at 50/s, and every how many frames are scored.

    People differ more from each other than frames do, and errors that last need long trials.
    """

    subjects: int = 7
    frames: int = 500
    every: int = 5
    seed: int = 1
    actions: tuple[str, ...] | Literal["all"] | None = None

    def __post_init__(self):
        if min(self.subjects, self.every) < 1 or self.frames < MIN_STUDY_FRAMES or self.actions == ():
            raise InputError(
                f"{self.subjects} people, {self.frames} frames, every {self.every}, actions {self.actions}: expected "
                f"at least 1 person, {MIN_STUDY_FRAMES} frames (the filters need so many), every 1 and 1 action."
            )


@dataclass(frozen=True)
class TrueTrial:
    """What is true. points: the 37 points without error (y_up), limbs where motion capture means them. made: of people
    who can be filmed."""

    subject: str
    trial: str
    points: Markers
    truth: TrialSpine
    made: TruthTrial | None = None


def trials_of_people(family: str, size: StudySize) -> Iterator[list[TrueTrial]]:
    """All trials of one person after another. Raises `InputError` for a family or an action that does not exist."""
    require_known("family", [family], TRUTH_FAMILIES)
    foreign = family == "foreign"
    known, default = (FOREIGN_ACTIONS, FOREIGN_ACTIONS) if foreign else (ACTION_NAMES, CHOSEN_ACTIONS)
    actions = known if size.actions == "all" else size.actions or default
    require_known("action", actions, known)
    for index in range(size.subjects):
        if foreign:
            yield [_foreign_trial(size, index, action) for action in actions]
        else:  # one subject for all trials: to make the body takes longer than to move it
            subject = (make_ct_subject if family == "scans" else make_subject)(size.seed, index)
            yield [true_trial(make_trial(subject, action, 1, size.frames)) for action in actions]


def true_trial(made: TruthTrial) -> TrueTrial:
    """Of a synthetic subject. The points of the spine are where a detector is asked to mark them, at the centroids."""
    exact = true_points(made)
    joints, xyz = load_skeleton("human36m32").names, np.array(exact.xyz)
    meant = true_human36m_joints(made)
    for pair in read_correspondence("human36m"):
        xyz[:, exact.index(pair.point)] = meant[:, joints.index(pair.marker)]
    marked = markers_in_frame(exact.select(SPINE_MARKERS), "y_up")
    centres = markers_in_frame(true_markers(made).select(list(made.truth.vertebrae)), "y_up")
    truth = TrialSpine(replace(spine_truth(made), markers=marked), centres, np.zeros(made.frames, bool))
    return TrueTrial(made.subject.name, made.trial, markers_in_frame(exact.with_(xyz=xyz), "y_up"), truth, made=made)


def _foreign_trial(size: StudySize, index: int, action: str) -> TrueTrial:
    """Level angles of this anatomy have a zero of their own, so only their changes compare."""
    trial = make_foreign_trial(make_foreign_subject(size.seed, index), action, size.frames)
    truth = TrialSpine(trial.spine, trial.centres, np.zeros(size.frames, bool))
    return TrueTrial(trial.subject, trial.trial, trial.points, truth)


# What methods are given.


@dataclass(frozen=True)
class ObservedTrial:
    """What methods are given of a trial. points: in space, y_up, filtered, with covariance. From images also keypoints,
    cameras, and mocap: Human3.6M joints by their names, z_up, at the keypoints' rate."""

    subject: str
    trial: str
    points: Markers
    keypoints: Keypoints | None = None
    cameras: tuple[Camera, ...] = ()
    mocap: Markers | None = None


def filmed_trial(trial: TrueTrial, preset: str) -> ObservedTrial:
    """As the subject's own four cameras, a detector of this preset and motion capture record it."""
    if trial.made is None:
        raise InputError(f"{trial.subject} cannot be filmed; choose people of {' or '.join(FILMED_FAMILIES)}.")
    made, subject = trial.made, trial.made.subject
    cameras = tuple(virtual_rig(subject.seed, subject.name))
    keypoints = detect_trial(made, cameras, read_preset(preset)).keypoints
    points, _ = triangulate_with_report(keypoints, cameras)
    return ObservedTrial(
        subject=trial.subject,
        trial=trial.trial,
        points=markers_in_frame(smooth(points, **FilterOptions().model_dump()), "y_up"),
        keypoints=keypoints,
        cameras=cameras,
        mocap=Markers(load_skeleton("human36m32").names, MOTION_RATE_HZ, captured_joints(made), "z_up"),
    )


@dataclass(frozen=True)
class PointErrors:
    """How points of the spine are off, per axis. white: m, frame by frame. wander: m, with a memory of `memory` s.
    region: m, an offset that the points of a region share throughout a trial.
    """

    white: float = 0.0
    wander: float = 0.0
    memory: float = 0.3
    region: float = 0.0

    @property
    def scatter(self) -> float:
        """Standard deviation per axis of what changes within a trial, m: what views that disagree would show."""
        return float(np.hypot(self.white, self.wander))


LIMB_POINT_SD_M = 0.002  # m, white: motion capture
POINT_ERRORS_BY_NAME: Mapping[str, PointErrors] = MappingProxyType(
    {
        "exact": PointErrors(white=0.0001),
        "white": PointErrors(white=0.005),
        "detector": PointErrors(wander=0.010, region=0.015),
    }
)


def trial_in_space(trial: TrueTrial, errors: PointErrors, seed: int) -> ObservedTrial:
    """Markers as the stages hand them to inverse kinematics (y_up): limbs GIVEN, the spine's points DETECTED.

    The spine's points are low-passed as in the product; their covariance is what changes within a trial, as that of
    triangulation is. Equal arguments give equal markers.
    """

    chance = partial(random_stream, seed, "points", trial.subject, trial.trial)
    limbs = [name for name in trial.points.names if name not in SPINE_MARKERS]
    xyz = np.array(trial.points.select([*SPINE_MARKERS, *limbs]).xyz)
    count = len(SPINE_MARKERS)
    frames, rate = len(xyz), trial.points.rate
    xyz[:, count:] += LIMB_POINT_SD_M * chance("limbs").standard_normal((frames, len(limbs), 3))
    xyz[:, :count] += errors.white * chance("white").standard_normal((frames, count, 3))
    drift = correlated_drift(chance("wander"), frames, (count, 3), rate=rate, correlation_time=errors.memory)
    xyz[:, :count] += errors.wander * drift
    for region, members in SPINE_REGIONS.items():
        xyz[:, [SPINE_MARKERS.index(name) for name in members]] += errors.region * chance(region).standard_normal(3)
    detected = smooth(Markers(SPINE_MARKERS, rate, xyz[:, :count], "y_up"), **FilterOptions().model_dump())
    xyz[:, :count] = detected.xyz
    sd = np.where(np.arange(xyz.shape[1]) < count, errors.scatter, LIMB_POINT_SD_M)
    covariance = np.broadcast_to(sd[:, None, None] ** 2 * np.eye(3), (*xyz.shape, 3))
    origin = (Origin.DETECTED,) * count + (Origin.GIVEN,) * len(limbs)
    points = Markers((*SPINE_MARKERS, *limbs), rate, xyz, "y_up", covariance=covariance, origin=origin)
    return ObservedTrial(trial.subject, trial.trial, points)


# Methods: from all trials of a person to their spines.

Method = Callable[[Sequence[ObservedTrial]], list[TrialSpine]]


def our_estimates(trials: Sequence[ObservedTrial], recipe: str = "articulated") -> list[TrialSpine]:
    """Our estimate of each trial's spine, as of `our_results`."""
    return [
        TrialSpine(found["spine"], found["spine"].centres, found["verdict"].rejected)
        for found in our_results(trials, recipe)
    ]


def our_results(trials: Sequence[ObservedTrial], recipe: str = "articulated") -> list[Known]:
    """What the stages that `simspine.reconstruct` runs give of each trial. recipe: the body's."""
    known, stages = {}, AFTER_MERGING if trials[0].keypoints is None else AFTER_DETECTION
    for number, seen in enumerate(trials):
        given: dict[str, Any] = {"subject": seen.subject, "trial": seen.trial, "skeleton": TRUE_POINT_MARKER_SET}
        if seen.keypoints is None:
            given |= {"markers": seen.points}
        else:
            given |= {"keypoints": seen.keypoints, "cameras": seen.cameras, "mocap": seen.mocap}
        known[str(number)] = UNSEEN | {"spine_markers": OWN_SPINE_MARKERS} | given
    body = BodyOptions(recipe=recipe, markers=TRUE_POINT_MARKER_SET)
    options = Options(merge=MergeOptions(correspondence="human36m"), body=body)
    return list(run_stages(known, options, stages).values())


def published_estimates(trials: Sequence[ObservedTrial]) -> list[TrialSpine]:
    """The published procedure's, from its own triangulation where there are images."""
    return peer_estimates(
        [
            seen.points if seen.keypoints is None else peer_markers(seen.keypoints, seen.cameras, seen.mocap)
            for seen in trials
        ]
    )
