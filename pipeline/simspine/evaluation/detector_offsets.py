"""The constant error of a detector's points in each region of the spine, from people whose points are known.

An offset is along axes that turn with the body, forward, up and right, since a detector that means the skin of the back
by a vertebra does so however a person stands. Of a person it is the mean over their trials; people differ in it by more
than trials make them (analysis of variance with one random factor).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from simspine.core.arrays import mean_of_known
from simspine.core.errors import InputError
from simspine.core.settings import value_text
from simspine.core.skeletons import SPINE_REGIONS, trunk_axes, trunk_part
from simspine.core.types import MAX_DETECTOR_OFFSET_M
from simspine.evaluation.pairs import PointPair, pair_with_truth
from simspine.evaluation.point_sources import PointSequence
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.quality.marker_checks import HIP_PAIR, SHOULDER_PAIR

MIN_PEOPLE = 2  # at least: one says nothing of how people differ
INTERVAL_LEVEL = 0.95  # one-sided, of the intervals that are published
MIN_SEGMENT_LENGTH_M = 0.02  # m: a part of the body of which less is there has no axes
MIN_OFFSET_SD_M = 0.002  # m: people too few, or too much alike, to tell a smaller one
OFFSET_COLUMNS = tuple(
    TableColumn(name, "mm", 1)
    for name in ("forward", "up", "right", "people differ by", "trials differ by", "of a new person ±")
)
OFFSET_NOTES = (
    "Mean of people's offsets along axes that turn with the true points; a person's is the mean of their trials'. "
    "People and trials: one standard deviation of each axis. Of a new person: how far theirs is from the mean, the "
    "wider the fewer people were measured.",
)


@dataclass(frozen=True, eq=False)
class MeasuredOffset:
    """The constant error of one region. persons: {subject: (trials, 3) m forward, up, right}."""

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
    def _between(self) -> float:
        """m², variance of people's means, mean of the axes; NaN for one person."""
        return float(self.by_person.var(0, ddof=1).mean()) if len(self.persons) >= MIN_PEOPLE else np.nan

    @property
    def people_sd(self) -> float:
        """m, of each axis, between people, without what their trials differ by; NaN for one person."""
        # What is left of trials' differences in the mean of a person's; where it is not known it counts as people's.
        trials = 0.0 if np.isnan(self.trials_sd) else self.trials_sd**2
        share = float(np.mean([1 / len(own) for own in self.persons.values()]))
        return float(np.sqrt(np.maximum(self._between - share * trials, 0.0)))

    @property
    def new_person_sd(self) -> float:
        """m, of each axis: how far another person's offset is from `mean`, which errs itself; NaN for one person.

        Few people do not tell their own spread well: as wide as makes the 90 % interval that of Student's t, with the
        deviations of three axes.
        """
        people = len(self.persons)
        if people < MIN_PEOPLE:
            return np.nan
        wider = float(stdtrit(3 * (people - 1), INTERVAL_LEVEL) / ndtri(INTERVAL_LEVEL))
        return max(wider * float(np.sqrt(self.people_sd**2 + self._between / people)), MIN_OFFSET_SD_M)


def measured_offsets(predictions: Iterable[PointSequence], truth: Sequence[PointSequence]) -> dict[str, MeasuredOffset]:
    """{region: its offset} of the regions of which points are predicted.

    truth: in the world. Points of a part of the body whose landmarks it lacks are left out (`simspine.core.skeletons.
    segment_axes`). Raises `InputError` where predictions do not belong to it, sides are exchanged, or a region is
    farther off than any detector's.
    """
    wanted = (*(name for of in SPINE_REGIONS.values() for name in of), *HIP_PAIR, *SHOULDER_PAIR)
    pairs = pair_with_truth(predictions, truth, wanted)
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for pair, true in zip(pairs, truth, strict=True):
        axes = trunk_axes(true.names, true.xyz, MIN_SEGMENT_LENGTH_M)
        _check_sides(pair, true, axes)
        for region, offset in _of_trial(pair, axes).items():
            found.setdefault(region, {}).setdefault(pair.subject, []).append(offset)
    return {
        region: MeasuredOffset({subject: np.array(own) for subject, own in found[region].items()})
        for region in SPINE_REGIONS
        if region in found
    }


def _of_trial(pair: PointPair, axes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{region: (3,) m}: median over frames, which a spell of points gone astray does not move. axes: `trunk_axes`."""
    found = {}
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
                _check_size(pair, region, found[region])
    return found


def _check_size(pair: PointPair, region: str, offset: np.ndarray) -> None:
    if np.linalg.norm(offset) > MAX_DETECTOR_OFFSET_M:
        raise InputError(
            f"{pair.subject}/{pair.trial}: {region} points lie {1e3 * np.linalg.norm(offset):.0f} mm from the true "
            f"ones (median), expected at most {1e3 * MAX_DETECTOR_OFFSET_M:.0f} mm; are axes, origin and frames those "
            "of the truth?"
        )


def _check_sides(pair: PointPair, true: PointSequence, axes: Mapping[str, np.ndarray]) -> None:
    """Left and right exchanged would turn forward to back."""
    for right, left in (HIP_PAIR, SHOULDER_PAIR):
        if {left, right} <= set(pair.names):
            i, j = pair.names.index(left), pair.names.index(right)
            across = ((pair.estimate[:, j] - pair.estimate[:, i]) * (pair.truth[:, j] - pair.truth[:, i])).sum(-1)
            if np.isfinite(across).any() and np.nanmedian(across) < -(MIN_SEGMENT_LENGTH_M**2):
                raise InputError(
                    f"{pair.subject}/{pair.trial}: {left} and {right} are exchanged, here or in the truth."
                )
    if "thorax" in axes and "Nose" in true.names:
        ahead = true.select(("Neck", "Nose")).xyz
        forward = (axes["thorax"][..., 0] * (ahead[:, 1] - ahead[:, 0])).sum(-1)
        if np.isfinite(forward).any() and np.nanmedian(forward) < 0:
            raise InputError(f"{pair.subject}/{pair.trial}: the true nose is behind; are left and right exchanged?")


def offsets_table(method: str, found: Mapping[str, MeasuredOffset]) -> EvaluationTable:
    """A row for each region, and one for each person in it."""
    rows = []
    for region, offset in found.items():
        spread = (offset.people_sd, offset.trials_sd, offset.new_person_sd)
        rows.append(TableRow(method, region, tuple(1e3 * x for x in (*offset.mean.tolist(), *spread))))
        for subject, own in zip(offset.persons, offset.by_person.tolist(), strict=True):
            rows.append(TableRow(method, f"{region}, {subject}", (*(1e3 * x for x in own), None, None, None)))
    lacking = [region for region in SPINE_REGIONS if region not in found]
    notes = (f"Without points, or without the landmarks that give them axes: {', '.join(lacking)}.",) if lacking else ()
    title = "Constant errors of a detector's points"
    return EvaluationTable("offsets", title, OFFSET_COLUMNS, rows=tuple(rows), notes=(*OFFSET_NOTES, *notes))


def offsets_section(method: str, found: Mapping[str, MeasuredOffset]) -> str:
    """The section of a configuration (YAML) for inverse kinematics: regions measured in `MIN_PEOPLE` people or more.

    Raises `InputError` where there is none.
    """
    enough = {region: offset for region, offset in found.items() if len(offset.persons) >= MIN_PEOPLE}
    people = {subject for offset in enough.values() for subject in offset.persons}
    few = [region for region in found if region not in enough]
    if not enough:
        who = f"one person's points ({', '.join(few)})" if few else "no point of the spine whose axes are known"
        raise InputError(f"{method}: found {who}; how people differ takes {MIN_PEOPLE} people or more.")
    lines = [
        f"# Constant errors of the points of {value_text(method)}, {len(people)} people (simspine benchmark offsets)",
        "ik:",
        "  detector_offsets:",
    ]
    for region, offset in enough.items():
        mean = ", ".join(f"{x:.4f}" for x in offset.mean)
        lines.append(f"    {region}: {{mean_m: [{mean}], sd_m: {offset.new_person_sd:.4f}}}")
    return "\n".join(lines) + "\n"
