"""Trials given as points in space: what inverse kinematics gets of them, without cameras, and what is true.

Limbs come as motion capture means them, the points of the spine with the errors of one of `ERRORS`. Whose spines and
motions they are is the family's: synthetic subjects of either kind of spine, or foreign ones (`FAMILIES`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from simspine.benchmark.spine_errors import TrialSpine
from simspine.benchmark.virtual_trials import meant, true_spine
from simspine.capture.actions import ACTIONS
from simspine.capture.foreign import FOREIGN_ACTIONS, make_foreign_subject, make_foreign_trial
from simspine.capture.random_streams import drift, stream
from simspine.capture.truth import SyntheticSubject, human36m_joints, make_subject, make_trial, points
from simspine.detection.options import FilterOptions
from simspine.errors import require_known, unknown_name
from simspine.filtering import smooth
from simspine.geometry import in_frame
from simspine.skeletons import load
from simspine.skeletons.regions import SPINE_REGIONS
from simspine.spine.levels import SPINE_MARKERS
from simspine.types import Markers, Origin

FAMILIES = ("published", "scans", "foreign")
LIMB_SD = 0.002  # m, white: motion capture
# Everyday actions of Human3.6M that stand, walk, sit, bend and turn.
CHOSEN = ("Directions", "Posing", "Purchases", "Sitting", "Walking")


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


ERRORS: Mapping[str, PointErrors] = MappingProxyType(
    {
        "exact": PointErrors(white=0.0001),
        "white": PointErrors(white=0.005),
        "detector": PointErrors(wander=0.010, region=0.015),
    }
)


@dataclass(frozen=True)
class PointStudySize:
    """How much: people, actions of a trial each (None: `CHOSEN`, or those of the other anatomy; "all": every one that
    the family has), frames of a trial at 50/s, and which frames are scored.

    People differ more from each other than frames do, and errors that last need long trials.
    """

    subjects: int = 7
    frames: int = 500
    every: int = 5
    seed: int = 1
    actions: tuple[str, ...] | Literal["all"] | None = None


QUICK = PointStudySize(subjects=1, frames=100)


@dataclass(frozen=True)
class PointTrial:
    """points: the 37 points without error (y_up), limbs where motion capture means them. truth: the spine."""

    subject: str
    trial: str
    points: Markers
    truth: TrialSpine


def observed(trial: PointTrial, errors: PointErrors, seed: int) -> Markers:
    """Markers as the stages hand them to inverse kinematics (y_up): limbs GIVEN, the spine's points DETECTED.

    The spine's points are low-passed as in the product; their covariance is what changes within a trial, as that of
    triangulation is. Equal arguments give equal markers.
    """

    def chance(*labels: str) -> np.random.Generator:
        return stream(seed, "points", trial.subject, trial.trial, *labels)

    limbs = [name for name in trial.points.names if name not in SPINE_MARKERS]
    xyz = np.array(trial.points.select([*SPINE_MARKERS, *limbs]).xyz)
    count = len(SPINE_MARKERS)
    frames, rate = len(xyz), trial.points.rate
    xyz[:, count:] += LIMB_SD * chance("limbs").standard_normal((frames, len(limbs), 3))
    xyz[:, :count] += errors.white * chance("white").standard_normal((frames, count, 3))
    xyz[:, :count] += errors.wander * drift(chance("wander"), frames, (count, 3), rate, errors.memory)
    for region, members in SPINE_REGIONS.items():
        xyz[:, [SPINE_MARKERS.index(name) for name in members]] += errors.region * chance(region).standard_normal(3)
    detected = smooth(Markers(SPINE_MARKERS, rate, xyz[:, :count], "y_up"), **FilterOptions().model_dump())
    xyz[:, :count] = detected.xyz
    sd = np.where(np.arange(xyz.shape[1]) < count, errors.scatter, LIMB_SD)
    covariance = np.broadcast_to(sd[:, None, None] ** 2 * np.eye(3), (*xyz.shape, 3))
    origin = (Origin.DETECTED,) * count + (Origin.GIVEN,) * len(limbs)
    return Markers((*SPINE_MARKERS, *limbs), rate, xyz, "y_up", covariance=covariance, origin=origin)


def people(family: str, size: PointStudySize) -> Iterator[list[PointTrial]]:
    """All trials of one person after another. Raises `InputError` for a family or an action that does not exist."""
    if family not in FAMILIES:
        raise unknown_name("family", family, FAMILIES)
    foreign = family == "foreign"
    known, default = (FOREIGN_ACTIONS, FOREIGN_ACTIONS) if foreign else (ACTIONS, CHOSEN)
    actions = _chosen(size.actions, known, default)
    for index in range(size.subjects):
        if foreign:
            yield [_foreign(size, index, action) for action in actions]
        else:  # one subject for all trials: to make the body takes longer than to move it
            subject = make_subject(size.seed, index, family)
            yield [_synthetic(subject, size, action) for action in actions]


def _chosen(wanted: Sequence[str] | None, known: Sequence[str], default: Sequence[str]) -> Sequence[str]:
    if wanted is None or wanted == "all":
        return default if wanted is None else known
    require_known("action", wanted, known)
    return wanted


def _synthetic(subject: SyntheticSubject, size: PointStudySize, action: str) -> PointTrial:
    trial = make_trial(subject, action, 1, size.frames)
    joints = meant(points(trial), load("human36m32").names, human36m_joints(trial))
    return PointTrial(subject.name, trial.trial, in_frame(joints, "y_up"), true_spine(trial))


def _foreign(size: PointStudySize, index: int, action: str) -> PointTrial:
    """Level angles of this anatomy have a zero of their own, so only their changes compare."""
    trial = make_foreign_trial(make_foreign_subject(size.seed, index), action, size.frames)
    truth = TrialSpine(trial.spine, trial.centres, np.zeros(size.frames, bool))
    return PointTrial(trial.subject, trial.trial, trial.points, truth)
