"""How often the intervals of ranges hold: those of the report, in simulated videos of people whose motion is known.

    python benchmarks/range_coverage.py [--people 4] [--seeds 1 2] [--json FILE]

Four cameras and a virtual detector (`finetuned`) see people of the synthetic population walk, sit and greet. A range
counts if the report would show it as a result. Printed are, for each angle, the ranges shown and how many of their 95 %
intervals hold the true range.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from tools.bench.study_trials import StudySize, TrueTrial, filmed_trial, our_results, trials_of_people

from simspine.anatomy.body import body_poses
from simspine.anatomy.clinical import clinical_measures, clinical_parameters
from simspine.core.arrays import NORMAL_95
from simspine.core.errors import InputError
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.reconstruction.stages import OF_TRIAL
from simspine.report.tables import REGION_PLANES, range_of
from simspine.report.trial_sections import usable_figures
from simspine.synthesis.virtual_trial import spine_truth

ACTIONS = ("Walking", "Sitting", "Greeting")
FRAMES = 250  # five seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    options = parser.parse_args()
    held: dict[str, list[bool]] = defaultdict(list)
    sizes = [StudySize(options.people, FRAMES, seed=seed, actions=ACTIONS) for seed in options.seeds]
    for trials in (trials for size in sizes for trials in trials_of_people("published", size)):
        try:
            solved = solved_trials(trials)
        except InputError as error:
            print(f"{trials[0].subject} is left out: {str(error).splitlines()[0]}")
            continue
        for true, trial in zip(trials, solved, strict=True):
            for name, holds in ranges_that_hold(true, trial):
                held[name].append(holds)
    print("| angle | ranges shown | intervals that hold |\n|---|---:|---:|")
    for name, holds in sorted(held.items()):
        print(f"| {name} | {len(holds)} | {sum(holds)} |")
    every = [one for holds in held.values() for one in holds]
    print(f"| **all** | {len(every)} | {sum(every)} |")
    if options.json:
        counts = {name: [sum(holds), len(holds)] for name, holds in sorted(held.items())}
        options.json.write_text(json.dumps({"all": [sum(every), len(every)]} | counts, indent=1) + "\n")


def solved_trials(trials: list[TrueTrial]) -> list[SolvedTrial]:
    """All trials of a person, from their simulated videos alone."""
    seen = [replace(filmed_trial(trial, "finetuned"), mocap=None) for trial in trials]
    return [SolvedTrial(**{name: found[name] for name in (*OF_TRIAL, "verdict")}) for found in our_results(seen)]


def ranges_that_hold(true: TrueTrial, trial: SolvedTrial) -> Iterator[tuple[str, bool]]:
    """Angles whose range the report shows, without the side, and whether the 95 % interval holds the true range."""
    made = true.made
    assert made is not None
    measures, poses = clinical_measures(made.truth.vertebrae, made.body.bodies), body_poses(made.body, made.motion)
    spine, clinical = spine_truth(made), clinical_parameters(measures, poses)
    for figure in usable_figures(trial):
        region, _, plane = figure.name.partition(" ")
        if plane:
            values = spine.angles[:, spine.levels.index(region), REGION_PLANES.index(plane)]
        else:
            values = clinical.of(figure.name) if figure.name in clinical.names else getattr(spine, figure.name)
        error_deg = range_of(figure) - np.degrees(np.ptp(values[~trial.rejected]))
        holds = figure.range_sd is not None and bool(abs(error_deg) <= NORMAL_95 * figure.range_sd)
        yield figure.name.removesuffix("_r").removesuffix("_l"), holds


if __name__ == "__main__":
    main()
