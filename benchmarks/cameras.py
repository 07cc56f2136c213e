"""What the number of cameras, a detector that sees the spine, and motion capture of the limbs are worth.

    python -m benchmarks.cameras [--subjects 7] [--frames 60] [--seed 1] [--preset finetuned] [--json FILE]

Synthetic subjects (docs/virtual-capture.md) walk and sit in the middle of a ring of cameras with Human3.6M's lenses:
two at a right angle, or more at equal angles all around. A detector sees all 37 points, or only those that BlazePose
has; motion capture of the limbs is as in Human3.6M. Where the detector is known, what it is off by in everybody was
measured on other subjects (`simspine benchmark offsets`). The body is fitted to each person. Cameras are known exactly,
and all see the same instants. The last row is people's mean, and no motion.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.benchmark.accuracy import LEVELS, REGIONS
from simspine.benchmark.baselines import generic_spine
from simspine.benchmark.known_detector import OTHERS, offsets_in_recordings
from simspine.benchmark.methods import Experiment, GroundTruthTrial, our_estimates
from simspine.benchmark.spine_errors import SpineErrors, errors, figures
from simspine.benchmark.virtual_trials import StudySize, recorded
from simspine.body.options import ScalingOptions
from simspine.capture.rig import looking
from simspine.capture.truth import TruthTrial, make_subject, make_trial
from simspine.ik.options import KinematicsOptions, RegionOffset
from simspine.metrics import about_mean
from simspine.skeletons import load
from simspine.types import Camera

ACTIONS = ("Walking", "Sitting")
DISTANCE, HEIGHT, AIM = 5.4, 1.55, (0.0, 0.0, 0.8)  # m, about Human3.6M's
FOCAL, SIZE = 1147.0, (1000, 1000)  # px
FIGURES = {
    "lla": "lla_rmse_deg", "tka": "tka_rmse_deg", "lla_change": "lla_motion_rmse_deg",
    "tka_change": "tka_motion_rmse_deg", "vertebrae": "vertebrae_mm", "in_90_lla": "coverage_lla",
    "in_90_tka": "coverage_tka", "in_90_places": "coverage_centres", "failed": "failed_share",
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """How people are recorded. spine: whether the detector sees the points along the spine; known: whether it is known
    what it is off by in everybody."""

    cameras: int
    spine: bool
    mocap: bool
    known: bool = False

    def __str__(self) -> str:
        seen = "limbs and spine" if self.spine else "limbs"
        detector = ", detector known" if self.known else ""
        return f"{self.cameras} cameras, {seen}{detector}{', motion capture of the limbs' if self.mocap else ''}"


WAYS = (
    *(Way(count, False, False) for count in (2, 4, 8)),
    *(Way(count, True, False) for count in (2, 3, 4, 6, 8)),
    *(Way(count, True, False, True) for count in (2, 4, 8)),
    *(Way(count, True, True) for count in (2, 4, 8)),
    *(Way(count, True, True, True) for count in (2, 4, 8)),
)


def ring(count: int) -> tuple[Camera, ...]:
    """Cameras around the middle of the hall, world z up."""
    turns = np.radians([45.0, 135.0]) if count == 2 else 2 * np.pi * (np.arange(count) + 0.5) / count
    K = np.array([[FOCAL, 0, SIZE[0] / 2], [0, FOCAL, SIZE[1] / 2], [0, 0, 1]])
    cameras = []
    for k, turn in enumerate(turns):
        centre = np.array([DISTANCE * np.cos(turn), DISTANCE * np.sin(turn), HEIGHT])
        R = looking(centre, np.array(AIM))
        cameras.append(Camera(f"cam{k + 1}", SIZE, K, np.zeros(5), R, -R @ centre))
    return tuple(cameras)


def people(options: argparse.Namespace) -> Iterator[list[TruthTrial]]:
    """The trials of each subject."""
    for index in range(options.subjects):
        subject = make_subject(options.seed, index)
        yield [make_trial(subject, action, 1, options.frames) for action in ACTIONS]


def seen(trials: list[TruthTrial], way: Way, options: argparse.Namespace) -> list[GroundTruthTrial]:
    """A person's trials as recorded that way."""
    cameras = ring(way.cameras)
    found = [recorded(trial.subject, trial, options.preset, options.seed, cameras) for trial in trials]
    if way.spine:
        return found
    known = set(load("blazepose33").to_simspine.values())
    names = [name for name in found[0].observed.keypoints.names if name in known]
    return [
        replace(one, observed=replace(one.observed, keypoints=one.observed.keypoints.select(names))) for one in found
    ]


def estimated(
    trials: list[TruthTrial], way: Way, options: argparse.Namespace, offsets: dict[str, RegionOffset]
) -> list[SpineErrors]:
    """Errors of each trial. offsets: what the detector is off by in everybody."""
    recordings = seen(trials, way, options)
    # A detector's places for the limbs are off by centimetres, and not alike left and right: as the error would advise.
    scaling = ScalingOptions() if way.mocap else ScalingOptions(max_asymmetry=0.3, min_factor=0.5, max_factor=1.6)
    ik = KinematicsOptions(detector_offsets=offsets if way.known else {})
    found = our_estimates(recordings, Experiment(use_mocap=way.mocap, scaling=scaling, ik=ik))
    return [errors(own, one.spine, LEVELS) for own, one in zip(found, recordings, strict=True)]


def of_mean(truths: list[GroundTruthTrial]) -> dict[str, float]:
    """Figures of people's mean that does not move."""
    generic, found = generic_spine(), {}
    for name in ("lla", "tka"):
        curves = [getattr(one.spine.kinematics, name) for one in truths]
        off = np.concatenate([getattr(generic, name) - curve for curve in curves])
        moved = np.concatenate([about_mean(curve) for curve in curves])
        found[name] = float(np.degrees(np.sqrt((off**2).mean())))
        found[f"{name}_change"] = float(np.degrees(np.sqrt((moved**2).mean())))
    return found


def main() -> None:
    """The table, and as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=7)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset", default="finetuned")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    persons = list(people(options))
    others = StudySize(options.subjects, ACTIONS, options.frames, OTHERS)
    offsets = offsets_in_recordings(options.preset, others)
    rows: dict[str, dict[str, float]] = {}
    for way in WAYS:
        pooled = figures([error for trials in persons for error in estimated(trials, way, options, offsets)], REGIONS)
        rows[str(way)] = {name: round(pooled[figure], 3) for name, figure in FIGURES.items()}
        print(f"{way!s:<58}", *(f"{name} {value:.2f}" for name, value in rows[str(way)].items()), flush=True)
    truths = [one for trials in persons for one in seen(trials, Way(2, True, False), options)]
    rows["people's mean, no motion"] = {name: round(value, 3) for name, value in of_mean(truths).items()}
    print(f"{'mean of people, no motion':<58}", *(f"{k} {v:.2f}" for k, v in rows["people's mean, no motion"].items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
