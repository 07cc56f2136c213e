"""Poses that the packaged lifter learns from: people of the virtual capture, two thirds of them bent and mixed further.

python -m tools.lifter.poses --out results/lifter/poses.npz --people 40 --seed 40
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from tools.spine_detector.samples import bent_further

from simspine.io.human36m.names import select_trials
from simspine.synthesis.population import make_subject
from simspine.synthesis.virtual_trial import make_trial, motion_of_trial, true_points

TRIALS, FRAMES, STEP = 15, 700, 10  # of a person: trials, frames of each at 50 Hz, and from one to the next
KEPT = 0.85  # share of the poses, to keep the file small
ARMS = ("arm", "elbow", "pro_sup", "wrist", "shoulder", "clav")
LEGS = ("hip", "knee", "ankle", "subtalar", "mtp")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--seed", type=int, default=40)
    chosen = parser.parse_args()
    made = [person_poses(chosen.seed, index) for index in range(chosen.people)]
    xyz, who = np.concatenate(made), np.repeat(np.arange(len(made)), [len(poses) for poses in made])
    kept = np.random.default_rng(0).random(len(xyz)) < KEPT
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(chosen.out, xyz=xyz[kept], who=who[kept], names=np.array(point_names(chosen.seed)))


def point_names(seed: int) -> tuple[str, ...]:
    return true_points(make_trial(make_subject(seed, 0), *motion_of_trial(select_trials(None)[0]), 20)).names


def person_poses(seed: int, index: int) -> np.ndarray:
    """(poses, points, 3) m about the hip, z up: a third as played, the others with arms and legs of other moments."""
    person, rng, trials = make_subject(seed, index), np.random.default_rng(index), select_trials(None)
    values = []
    for i in rng.choice(len(trials), TRIALS, replace=False):
        trial = make_trial(person, *motion_of_trial(trials[i]), FRAMES)
        values.append(trial.motion.values[rng.integers(0, STEP) :: STEP])
    every = np.concatenate(values)
    names = list(trial.motion.names)
    arms, legs = ([j for j, name in enumerate(names) if name.startswith(part)] for part in (ARMS, LEGS))
    mixed = every.copy()
    for part in (arms, legs):
        mixed[:, part] = every[rng.permutation(len(every))][:, part]
    left = [j for j in arms + legs if names[j].endswith("_l")]
    third = every[rng.permutation(len(every))]
    turn = rng.random(len(every)) < 0.5
    mixed[np.ix_(turn, left)] = third[np.ix_(turn, left)]
    bent = bent_further(replace(trial.motion, values=mixed), rng).values
    motion = replace(trial.motion, values=np.concatenate([every[::2], bent]))
    xyz = true_points(replace(trial, motion=motion)).xyz
    return (xyz - xyz[:, :1]).astype(np.float16)


if __name__ == "__main__":
    main()
