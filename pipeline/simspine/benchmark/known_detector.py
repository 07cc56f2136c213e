"""What a virtual detector is off by in everybody, measured on some people to be told in others."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from simspine.benchmark.methods import Experiment, GroundTruthTrial, our_markers
from simspine.benchmark.virtual_trials import StudySize, recorded_subjects
from simspine.evaluation.offsets import measured_offsets
from simspine.evaluation.points import PointSequence
from simspine.ik.options import RegionOffset
from simspine.types import Markers

OTHERS = 1001  # seed, of people and recordings that no study is made on
EXACTLY = 0.002  # m
Seen = tuple[str, str, Markers, Markers]  # subject, trial, points seen, true points


def offsets_in_recordings(preset: str, size: StudySize) -> dict[str, RegionOffset]:
    """{region: offset}, as of `KinematicsOptions`, from the triangulated points of subjects in their recordings."""
    return known_offsets(_recorded(preset, size))


def offsets_of_one(trials: Sequence[GroundTruthTrial]) -> dict[str, RegionOffset]:
    """{region: offset} of this very person, known to `EXACTLY`."""
    return known_offsets(_located(trials), EXACTLY)


def known_offsets(trials: Iterable[Seen], sd: float | None = None) -> dict[str, RegionOffset]:
    """{region: offset}, as of `KinematicsOptions`, that people of whom these were seen tell of another.

    sd: m, how far that may be off; by default what the people tell of it.
    """
    each = list(trials)
    seen = [_sequence(subject, trial, points) for subject, trial, points, _ in each]
    true = [_sequence(subject, trial, points) for subject, trial, _, points in each]
    return {
        region: RegionOffset(mean_m=tuple(found.mean.tolist()), sd_m=sd or found.new_person_sd)
        for region, found in measured_offsets(seen, true).items()
    }


def _recorded(preset: str, size: StudySize) -> Iterator[Seen]:
    for trials in recorded_subjects(preset, size):
        yield from _located(trials)


def _located(trials: Sequence[GroundTruthTrial]) -> Iterator[Seen]:
    for one in trials:
        points, _ = our_markers(one.observed, Experiment(use_mocap=False))
        yield one.observed.subject, one.observed.trial, points, one.points


def _sequence(subject: str, trial: str, points: Markers) -> PointSequence:
    return PointSequence(
        subject, trial, np.arange(points.frames), points.names, points.xyz, points.frame, rate=points.rate
    )
