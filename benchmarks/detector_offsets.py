"""The systematic error of a detector's points in each region of the spine, from people whose points are known.

    python benchmarks/detector_offsets.py results/virtual --truth results/virtual/capture > offsets.yaml

An offset is along axes that turn with the body: forward, up, right. Of a person it is the mean over their trials.
People differ by more than their trials make them (analysis of variance with one random factor). Printed is the section
of a configuration for inverse kinematics in other people, and on standard error a table.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from simspine.core.arrays import mean_of_known
from simspine.core.errors import InputError
from simspine.core.skeletons import SPINE_REGIONS, trunk_axes, trunk_part
from simspine.core.types import MAX_DETECTOR_OFFSET_M, Markers
from simspine.evaluation.pairs import PointPair, pair_with_truth
from simspine.evaluation.point_sources import PointSequence, read_points, truth_for
from simspine.io.hdf5 import read_store
from simspine.quality.marker_checks import HIP_PAIR, SHOULDER_PAIR

AXES = ["forward", "up", "right"]
INTERVAL_LEVEL = 0.95  # one-sided
MIN_SEGMENT_LENGTH_M = 0.02  # m: a part of the body of which less is there has no axes
MIN_OFFSET_SD_M = 0.002  # m: people too few, or too much alike, to tell a smaller one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path, help="results of a run, a table of points, or TRC files")
    parser.add_argument("--truth", type=Path, required=True, help="data set, virtual capture, table, or TRC files")
    parser.add_argument("--subjects", default="all", help="whose points are known, by comma")
    options = parser.parse_args()
    truth = truth_for(options.truth, (), options.subjects.split(","))
    offsets = offsets_of_trials(detected_points(options.predictions), truth)
    figures = offset_figures(offsets)
    print((1e3 * figures.drop(columns="people")).round(1).to_string(), file=sys.stderr)
    print(f"# mm. Trials: {len(offsets)}.", file=sys.stderr)
    print(configuration_section(options.predictions.resolve().stem, figures))


def detected_points(path: Path) -> tuple[PointSequence, ...]:
    """Of the results of a run the triangulated points, not those of the fitted body."""
    files = sorted(path.glob("*/points/*.h5"))
    found = []
    for file in files:
        points: Markers = read_store(file, ["points"])["points"]
        frames = round(points.start * points.rate) + np.arange(points.frames)
        whose = (file.parents[1].name, file.stem)
        found.append(PointSequence(*whose, frames, points.names, points.xyz, points.frame, rate=points.rate))
    return tuple(found) if files else read_points(path)


def offsets_of_trials(predictions: Iterable[PointSequence], truth: Sequence[PointSequence]) -> pd.DataFrame:
    """A row per region, subject and trial: the offset, m. Points of a part of the body without axes are left out.

    Raises `InputError` where sides are exchanged, or a region is farther off than any detector's.
    """
    wanted = (*(name for of in SPINE_REGIONS.values() for name in of), *HIP_PAIR, *SHOULDER_PAIR)
    rows = []
    for pair, true in zip(pair_with_truth(predictions, truth, wanted), truth, strict=True):
        axes = trunk_axes(true.names, true.values, MIN_SEGMENT_LENGTH_M)
        _check_sides(pair, true, axes)
        for region, offset in _offsets_by_region(pair, axes).items():
            rows.append({"region": region, "subject": pair.subject, **dict(zip(AXES, offset, strict=True))})
    return pd.DataFrame(rows, columns=["region", "subject", *AXES])


def _offsets_by_region(pair: PointPair, axes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{region: (3,) m}: median over frames, which a spell of points gone astray does not move."""
    found = {}
    off = dict(zip(pair.names, np.moveaxis(pair.estimate - pair.truth, 1, 0), strict=True))
    for region, members in SPINE_REGIONS.items():
        known = [name for name in members if name in off and trunk_part(name) in axes]
        turned = [np.einsum("tji,tj->ti", axes[trunk_part(name)], off[name]) for name in known]
        together = mean_of_known(np.array(turned), 0) if turned else np.full((1, 3), np.nan)
        if np.isfinite(together).all(1).any():
            found[region] = np.nanmedian(together, 0)
            far = np.linalg.norm(found[region])
            if far > MAX_DETECTOR_OFFSET_M:
                raise InputError(
                    f"{pair.subject}/{pair.trial}: {region} points lie {1e3 * far:.0f} mm from the true ones (median), "
                    f"expected at most {1e3 * MAX_DETECTOR_OFFSET_M:.0f} mm; are axes and frames those of the truth?"
                )
    return found


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
        ahead = true.select(("Neck", "Nose")).values
        forward = (axes["thorax"][..., 0] * (ahead[:, 1] - ahead[:, 0])).sum(-1)
        if np.isfinite(forward).any() and np.nanmedian(forward) < 0:
            raise InputError(f"{pair.subject}/{pair.trial}: the true nose is behind; are left and right exchanged?")


def offset_figures(offsets: pd.DataFrame) -> pd.DataFrame:
    """A row per region, m: the mean of people's offsets; people_sd, trials_sd: of each axis, between people without
    what their trials differ by, and between a person's trials; new_person_sd: of another person from the mean.

    Few people do not show their own spread well: the last is as wide as makes its 90 % interval that of Student's t.
    """
    rows = {}
    for region, own in offsets.groupby("region"):
        by_person, trials = own.groupby("subject")[AXES].mean(), own.groupby("subject").size()
        people, left = len(trials), int((trials - 1).sum())
        within = own[AXES].to_numpy() - own.groupby("subject")[AXES].transform("mean").to_numpy()
        trials_sd = float(np.sqrt((within**2).sum() / (3 * left))) if left else np.nan
        between = float(by_person.var(ddof=1).mean()) if people > 1 else np.nan
        # what is left of trials' differences in a person's mean; where that is not known it counts as people's
        people_sd = np.sqrt(np.maximum(between - (1 / trials).mean() * np.nan_to_num(trials_sd) ** 2, 0.0))
        wider = stdtrit(3 * (people - 1), INTERVAL_LEVEL) / ndtri(INTERVAL_LEVEL) if people > 1 else np.nan
        new_person = np.maximum(wider * np.sqrt(people_sd**2 + between / people), MIN_OFFSET_SD_M)
        spreads = {"people_sd": people_sd, "trials_sd": trials_sd, "new_person_sd": new_person}
        rows[region] = {**by_person.mean().to_dict(), **spreads, "people": people}
    return pd.DataFrame.from_dict(rows, orient="index")


def configuration_section(name: str, figures: pd.DataFrame) -> str:
    """The section of a configuration (YAML): regions measured in two people or more. `InputError` where none is."""
    enough = figures[figures["people"] > 1] if len(figures) else figures
    if not len(enough):
        raise InputError(f"{name}: no region of the spine is known of two people or more, who show how people differ.")
    lines = [f"# Systematic error of the points of {name!r}, {enough['people'].max()} people", "ik:"]
    lines += ["  detector_offsets:"]
    for region, row in enough.iterrows():
        mean = ", ".join(f"{value:.4f}" for value in row[AXES])
        lines.append(f"    {region}: {{mean_m: [{mean}], sd_m: {row['new_person_sd']:.4f}}}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
