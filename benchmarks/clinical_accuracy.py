"""How far off clinical parameters are, on synthetic subjects whose truth is known.

    python -m benchmarks.clinical_accuracy [--preset finetuned] [--subjects 7] [--frames 80] [--actions Walking Sitting]

Prints a table: root mean square of the error, of the error without each trial's mean, of the standard deviation said,
and the share of frames in the 90 % interval. Frames where truth or estimate is missing are left out.
"""

import argparse

import numpy as np

from simspine.benchmark.methods import Experiment, our_estimates
from simspine.benchmark.virtual_trials import StudySize, recorded_subjects
from simspine.body.kinematics import body_poses
from simspine.capture.truth import TruthTrial, make_subject, make_trial
from simspine.geometry import wrap
from simspine.quality.clinical_figures import UNITS
from simspine.spine.clinical import DEFINITIONS, clinical_parameters, measures
from simspine.spine.parameters import ClinicalParameters

WITHIN = 1.645  # standard deviations on either side of the 90 % interval


def true_parameters(trial: TruthTrial) -> ClinicalParameters:
    """Those of the subject's own body."""
    return clinical_parameters(measures(trial.truth.vertebrae, trial.body.bodies), body_poses(trial.body, trial.motion))


def errors_of(preset: str, sizes: StudySize) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """{parameter: (error, standard deviation) of each trial}, (frames,) in degrees or mm."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for index, recorded in enumerate(recorded_subjects(preset, sizes)):
        subject = make_subject(sizes.seed, index, sizes.spines)
        estimates = our_estimates(recorded, Experiment())
        for action, estimate in zip(sizes.actions, estimates, strict=True):
            true = true_parameters(make_trial(subject, action, 1, sizes.frames))
            own = estimate.kinematics.clinical
            assert own is not None  # the body is ours
            for name in own.names:
                unit = DEFINITIONS[name].unit
                error, deviation = own.of(name) - true.of(name), own.sd(name)
                error = wrap(error) if unit == "rad" else error
                assert deviation is not None  # of the engine trajectory
                found.setdefault(name, []).append((UNITS[unit][1] * error, UNITS[unit][1] * deviation))
    return found


def row(name: str, trials: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """Of the table."""
    known = [(error, sd) for error, sd in trials if np.isfinite(error).any()]
    if not known:
        return f"| {DEFINITIONS[name].label} | – | – | – | – |"
    error, sd = (np.concatenate(parts) for parts in zip(*known, strict=True))
    motion = np.concatenate([error - np.nanmean(error) for error, _ in known])
    there = np.isfinite(error) & np.isfinite(sd)
    inside = 100 * np.mean(np.abs(error[there]) <= WITHIN * sd[there])
    spread = [np.sqrt(np.nanmean(values**2)) for values in (error, motion, sd)]
    return f"| {DEFINITIONS[name].label} | {' | '.join(f'{value:.1f}' for value in spread)} | {inside:.0f} % |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="finetuned")
    parser.add_argument("--subjects", type=int, default=7)
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--actions", nargs="+", default=["Walking", "Sitting"])
    given = parser.parse_args()
    found = errors_of(given.preset, StudySize(given.subjects, tuple(given.actions), given.frames))
    print("| parameter | error | of motion | ± said | in 90 % interval |\n|---|---|---|---|---|")
    for name, trials in found.items():
        print(row(name, trials))


if __name__ == "__main__":
    main()
