"""What it is worth to know what a detector is off by in everybody, measured on other people whose points are known.

    python -m benchmarks.detector_offsets [--subjects 7] [--json FILE] [recordings] [space]

`recordings`: seven subjects, Walking and Sitting, filmed by four cameras (`simspine bench accuracy`), with detectors
that err alike in everybody, and by as much as people differ in it anew in each. `space`: points in space of three
families, with a detector that errs anew in each trial, so that there is nothing to know but that.

learnt: as without the option. known: offsets measured on seven other subjects. own: an oracle of each subject's own,
which says what is left to other errors.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from simspine.benchmark.accuracy import LEVELS, REGIONS
from simspine.benchmark.known_detector import OTHERS, known_offsets, offsets_in_recordings, offsets_of_one
from simspine.benchmark.methods import Experiment, estimates_from_points, our_estimates
from simspine.benchmark.point_trials import ERRORS, FAMILIES, PointStudySize, observed, people
from simspine.benchmark.spine_errors import SpineErrors, errors, figures, thinned
from simspine.benchmark.virtual_trials import StudySize, recorded_subjects
from simspine.ik.options import KinematicsOptions, RegionOffset

PRESETS = ("finetuned", "zero-shot")
FRAMES = 300  # of a trial in space
SHOWN = {
    "mpjpe_mm": "points", "vertebrae_mm": "vertebrae", "lla_rmse_deg": "LLA", "tka_rmse_deg": "TKA",
    "lla_motion_rmse_deg": "change of LLA", "tka_motion_rmse_deg": "change of TKA", "coverage_points": "points in 90 %",
    "coverage_centres": "vertebrae in 90 %", "coverage_lla": "LLA in 90 %", "coverage_tka": "TKA in 90 %",
}  # fmt: skip


def known(offsets: Mapping[str, RegionOffset]) -> Experiment:
    """Ours, told these offsets."""
    return Experiment(ik=KinematicsOptions(detector_offsets=dict(offsets)))


def in_recordings(preset: str, subjects: int, settings: Experiment | None) -> list[SpineErrors]:
    """Errors of each trial. settings: None for the oracle."""
    found = []
    for trials in recorded_subjects(preset, StudySize(subjects=subjects)):
        estimates = our_estimates(trials, settings or known(offsets_of_one(trials)))
        found += [errors(one, trial.spine, LEVELS) for one, trial in zip(estimates, trials, strict=True)]
    return found


def in_space(family: str, subjects: int, settings: Experiment) -> list[SpineErrors]:
    """Errors of each trial, every fifth frame."""
    found = []
    size = PointStudySize(subjects=subjects, frames=FRAMES)
    for trials in people(family, size):
        own = estimates_from_points([observed(one, ERRORS["detector"], size.seed) for one in trials], settings)
        found += [thinned(errors(one, t.truth, LEVELS), size.every) for one, t in zip(own, trials, strict=True)]
    return found


def space_offsets(subjects: int) -> dict[str, RegionOffset]:
    """Of other people with the model's bones: the detector is the same for all families."""
    size = PointStudySize(subjects=subjects, frames=FRAMES, seed=OTHERS)
    return known_offsets(
        (one.subject, one.trial, observed(one, ERRORS["detector"], OTHERS), one.points)
        for trials in people("published", size)
        for one in trials
    )


def studies(which: tuple[str, ...], subjects: int) -> Iterator[tuple[str, dict[str, RegionOffset], partial]]:
    """Name, offsets of other people, and what gives the errors with some settings."""
    if "recordings" in which:
        for preset in PRESETS:
            offsets = offsets_in_recordings(preset, StudySize(subjects=subjects, seed=OTHERS))
            yield preset, offsets, partial(in_recordings, preset, subjects)
    if "space" in which:
        offsets = space_offsets(subjects)
        for family in FAMILIES:
            yield f"{family}, in space", offsets, partial(in_space, family, subjects)


def main() -> None:
    """The table, and as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", default=["recordings", "space"])
    parser.add_argument("--subjects", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, dict] = {}
    for name, offsets, found in studies(tuple(options.which), options.subjects):
        ways: dict[str, Experiment | None] = {"learnt": Experiment(), "known": known(offsets)}
        if name in PRESETS:
            ways["own"] = None
        for label, settings in ways.items():
            total = figures(found(settings), REGIONS)
            row = {shown: round(total[figure], 3) for figure, shown in SHOWN.items()}
            print(
                f"{name}: {label:<7}", *(f"{shown} {value:.2f}" for shown, value in row.items()), sep="  ", flush=True
            )
            rows[f"{name}: {label}"] = row
        rows[f"{name}: offsets"] = {region: of.model_dump(mode="json") for region, of in offsets.items()}
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
