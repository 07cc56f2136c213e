"""What a detector's points of each region of the spine are off by in everybody, from people whose points are known.

An offset is along axes that turn with the body, forward, up and right, since a detector that means the skin of the back
by a vertebra does so however a person stands. Of a person it is the mean over their trials; people differ in it by more
than trials make them (analysis of variance with one random factor).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.arrays import mean_of_known
from simspine.errors import InputError
from simspine.evaluation.pairs import PointPair, paired
from simspine.evaluation.points import PointSequence
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.skeletons.regions import SPINE_REGIONS
from simspine.skeletons.segment_axes import trunk_axes, trunk_part

PEOPLE = 2  # at least: one says nothing of how people differ
LEAST_SD = 0.002  # m: people too few, or too much alike, to tell a smaller one
COLUMNS = (
    *(TableColumn(axis, "mm", 1) for axis in ("forward", "up", "right", "people differ by", "trials differ by")),
    TableColumn("of a new person ±", "mm", 1),
)
NOTES = (
    "Mean of people's offsets along axes that turn with the true points; a person's is the mean of their trials'. "
    "People and trials: one standard deviation of each axis. Of a new person: how far theirs is from the mean.",
)


@dataclass(frozen=True, eq=False)
class MeasuredOffset:
    """Of one region. persons: {subject: (trials, 3) m, forward, up, right, of each trial in which it was seen}."""

    persons: Mapping[str, np.ndarray]

    @property
    def by_person(self) -> np.ndarray:
        """(people, 3) m."""
        return np.array([own.mean(0) for own in self.persons.values()])

    @property
    def mean(self) -> np.ndarray:
        """(3,) m, of people."""
        return self.by_person.mean(0)

    @property
    def trials_sd(self) -> float:
        """m, of each axis, between a person's trials; NaN where nobody has two."""
        within = [own - own.mean(0) for own in self.persons.values()]
        left = sum(len(own) - 1 for own in self.persons.values())
        return float(np.sqrt((np.concatenate(within) ** 2).sum() / (3 * left))) if left else np.nan

    @property
    def people_sd(self) -> float:
        """m, of each axis, between people beside what their trials differ by; NaN for one person."""
        if len(self.persons) < PEOPLE:
            return np.nan
        # What is left of trials' differences in the mean of a person's; where it is not known it counts as people's.
        trials = 0.0 if np.isnan(self.trials_sd) else self.trials_sd**2
        share = float(np.mean([1 / len(own) for own in self.persons.values()]))
        between = float(self.by_person.var(0, ddof=1).mean())
        return float(np.sqrt(max(between - share * trials, 0.0)))

    @property
    def new_person_sd(self) -> float:
        """m, of each axis: how far another person's offset is from `mean`, whose own error is in it."""
        error = self.by_person.var(0, ddof=1).mean() / len(self.persons) if len(self.persons) >= PEOPLE else np.nan
        return float(max(np.sqrt(self.people_sd**2 + error), LEAST_SD))


def measured_offsets(predictions: Iterable[PointSequence], truth: Sequence[PointSequence]) -> dict[str, MeasuredOffset]:
    """{region: its offset} of the regions of which points are predicted.

    truth: in the world. Points of a part of the body whose landmarks it lacks are left out (`simspine.skeletons.
    segment_axes`). Raises `InputError` where predictions do not belong to it.
    """
    pairs = paired(predictions, truth, [name for of in SPINE_REGIONS.values() for name in of])
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for pair, true in zip(pairs, truth, strict=True):
        for region, offset in _of_trial(pair, true).items():
            found.setdefault(region, {}).setdefault(pair.subject, []).append(offset)
    return {
        region: MeasuredOffset({subject: np.array(own) for subject, own in found[region].items()})
        for region in SPINE_REGIONS
        if region in found
    }


def _of_trial(pair: PointPair, true: PointSequence) -> dict[str, np.ndarray]:
    """{region: (3,) m}: median over frames, which a spell of points gone astray does not move."""
    axes, found = trunk_axes(true.names, true.xyz), {}
    off = dict(zip(pair.names, np.moveaxis(pair.estimate - pair.truth, 1, 0), strict=True))
    for region, members in SPINE_REGIONS.items():
        turned = [
            np.einsum("tji,tj->ti", axes[trunk_part(name)], off[name])
            for name in members
            if name in off and trunk_part(name) in axes
        ]
        if turned:
            together = mean_of_known(np.array(turned), 0)
            known = np.isfinite(together).all(1)
            if known.any():
                found[region] = np.median(together[known], 0)
    return found


def offsets_table(method: str, found: Mapping[str, MeasuredOffset]) -> EvaluationTable:
    """A row for each region, and one for each person in it."""
    rows = []
    for region, offset in found.items():
        spread = (offset.people_sd, offset.trials_sd, offset.new_person_sd)
        rows.append(TableRow(method, region, tuple(1e3 * x for x in (*offset.mean.tolist(), *spread))))
        for subject, own in zip(offset.persons, offset.by_person.tolist(), strict=True):
            rows.append(TableRow(method, f"{region}, {subject}", (*(1e3 * x for x in own), None, None, None)))
    return EvaluationTable("offsets", "What points are off by in everybody", COLUMNS, tuple(rows), NOTES)


def offsets_section(method: str, found: Mapping[str, MeasuredOffset]) -> str:
    """The part of a configuration that tells inverse kinematics (YAML). `InputError` where people are too few."""
    people = {subject for offset in found.values() for subject in offset.persons}
    few = [region for region, offset in found.items() if len(offset.persons) < PEOPLE]
    if few or not found:
        who = f"one person's points ({', '.join(few)})" if few else "no point of the spine whose axes are known"
        raise InputError(f"{method}: found {who}; how people differ takes {PEOPLE} people or more.")
    lines = [
        f"# What the points of {method} are off by in everybody (simspine benchmark offsets): {len(people)} people.",
        "ik:",
        "  detector_offsets:",
    ]
    for region, offset in found.items():
        mean = ", ".join(f"{x:.4f}" for x in offset.mean)
        lines.append(f"    {region}: {{mean_m: [{mean}], sd_m: {offset.new_person_sd:.4f}}}")
    return "\n".join(lines) + "\n"
