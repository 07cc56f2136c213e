"""Clinical parameters of synthetic people next to the truth: errors, errors of motion, stated deviations, coverage.

    python benchmarks/clinical_parameters.py

Seven people of each of three seeds walk and sit, 80 frames each. A simulated detector (`finetuned`) finds limbs and
spine in four cameras; limbs come from simulated motion capture. Takes some ten minutes and writes
benchmarks/clinical_parameters.json, from which `python -m tools.document_figures` fills the table of docs/clinical.md.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tools.bench.study_trials import StudySize, filmed_trial, our_estimates, trials_of_people

from simspine.anatomy.body import body_poses
from simspine.anatomy.clinical import ClinicalParameters, clinical_measures, clinical_parameters
from simspine.synthesis.virtual_trial import TruthTrial

SEEDS = (1, 2, 3)
SIZE = StudySize(subjects=7, frames=80, actions=("Walking", "Sitting"))
NORMAL_90 = 1.645
OUT = Path(__file__).with_name("clinical_parameters.json")


def true_parameters(made: TruthTrial) -> ClinicalParameters:
    measures = clinical_measures(made.truth.vertebrae, made.body.bodies)
    return clinical_parameters(measures, body_poses(made.body, made.motion))


def errors_of(true: ClinicalParameters, found: ClinicalParameters) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{parameter: error and stated deviation of each frame}, degrees or mm."""
    errors: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, unit in zip(found.names, found.units, strict=True):
        error, sd = found.of(name) - true.of(name), found.deviation[:, found.names.index(name)]
        if unit == "rad":
            error, sd = np.degrees(np.angle(np.exp(1j * error))), np.degrees(sd)
        else:
            error, sd = 1000 * error, 1000 * sd
        errors[name] = error, sd
    return errors


def figures_of(errors: list[np.ndarray], deviations: list[np.ndarray]) -> dict[str, float]:
    """Of all trials, (frames,) each. motion: without the mean error of each trial."""
    every, sd = np.concatenate(errors), np.concatenate(deviations)
    moving = np.concatenate([error - error.mean() for error in errors if error.size])
    return {
        "error": root_mean_square(every),
        "bias": float(every.mean()),
        "motion": root_mean_square(moving),
        "stated": root_mean_square(sd),
        "inside": float((np.abs(every) <= NORMAL_90 * sd).mean()),
    }


def root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    errors: dict[str, list[np.ndarray]] = {}
    deviations: dict[str, list[np.ndarray]] = {}
    people = 0
    for seed in SEEDS:
        size = StudySize(SIZE.subjects, SIZE.frames, SIZE.every, seed, SIZE.actions)
        for trials in trials_of_people("published", size):
            estimates = our_estimates([filmed_trial(trial, "finetuned") for trial in trials])
            for trial, estimate in zip(trials, estimates, strict=True):
                of_trial = errors_of(true_parameters(trial.made), estimate.kinematics.clinical)
                for name, (error, sd) in of_trial.items():
                    both_sides = name.removesuffix("_l").removesuffix("_r")
                    known = np.isfinite(error) & np.isfinite(sd)  # a hanging arm has no plane
                    errors.setdefault(both_sides, []).append(error[known])
                    deviations.setdefault(both_sides, []).append(sd[known])
            people += 1
            print(f"{people} of {SIZE.subjects * len(SEEDS)} people", flush=True)
    found = {name: figures_of(errors[name], deviations[name]) for name in errors}
    for name, figures in found.items():
        print(f"{name:<26}" + "".join(f"{key} {value:7.2f}  " for key, value in figures.items()))
    rounded = {name: {key: round(value, 3) for key, value in figures.items()} for name, figures in found.items()}
    OUT.write_text(json.dumps({"people": people, "parameters": rounded}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
