"""What it costs to take a detector's points for those of the wrong place: vertebral centroids or the released places.

    python -m benchmarks.spine_places [--subjects 2] [--frames 300] [--points exact|white|detector] [--seed 1]

Synthetic people (docs/virtual-capture.md), limbs as motion capture means them. The nine points along the spine lie at
the centroids of their vertebrae, or at the released places of the person's own body; each is fitted as if it were
either. Mean errors (with sign) and root mean squares over frames, trials and people: docs/how-to/spinepose.md.
"""

import argparse
from collections import defaultdict
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from simspine import fit_trials
from simspine.benchmark.point_trials import ERRORS, PointTrial, observed
from simspine.benchmark.spine_errors import TrialSpine, errors
from simspine.benchmark.virtual_trials import meant, true_spine
from simspine.body.recipes import VIRTUAL
from simspine.capture.truth import human36m_joints, make_subject, make_trial, markers
from simspine.data_files import recipe_path
from simspine.geometry import in_frame
from simspine.skeletons import load
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.yaml_files import read_yaml

ACTIONS = ("Posing", "Sitting", "Walking")
PLACES = ("centroids", "released")


def marker_sets(folder: Path) -> dict[str, str]:
    """{places: marker set}: limbs at the joint centres in both, so that they differ in the nine points alone."""
    released = read_yaml(recipe_path("markers/simspine-release"))["markers"]
    nine = "".join(
        f"  {name}: {{body: {released[name]['body']}, offset: {released[name]['offset']}, weight: "
        f"{released[name]['weight']}}}\n"
        for name in VERTEBRA_OF
    )
    path = folder / "released.yaml"
    path.write_text(f"name: released\nfrom: centres\nmarkers:\n{nine}", encoding="utf-8")
    return {"centroids": "centres", "released": str(path)}


def point_trials(subject, frames: int, lie: str) -> list[PointTrial]:
    """Trials of a person whose points along the spine lie at one of `PLACES`."""
    found = []
    for action in ACTIONS:
        trial = make_trial(subject, action, 1, frames)
        every = markers(trial)
        points = meant(every.select(load("simspine37").names), load("human36m32").names, human36m_joints(trial))
        if lie == "released":
            xyz = np.array(points.xyz)
            there = every.select([name + VIRTUAL for name in VERTEBRA_OF])
            xyz[:, points.indices(list(VERTEBRA_OF))] = there.xyz
            points = points.with_(xyz=xyz)
        found.append(PointTrial(subject.name, trial.trial, in_frame(points, "y_up"), true_spine(trial)))
    return found


def judge(trials: list[PointTrial], marker_set: str, kind: str, seed: int) -> list[dict[str, np.ndarray]]:
    """Errors of all trials of a person: lla, tka (frames,) deg, flexion (frames, levels) deg, centres: mm."""
    found = fit_trials({t.trial: observed(t, ERRORS[kind], seed) for t in trials}, marker_set=marker_set)
    out = []
    for trial in trials:
        spine = found[trial.trial].spine
        joints = spine.levels[: spine.levels.index("lumbar")]
        estimate = TrialSpine(spine, spine.centres, np.zeros(spine.frames, bool))
        e = errors(estimate, trial.truth, joints)
        out.append({
            "lla": np.degrees(e.lla), "tka": np.degrees(e.tka), "flexion": np.degrees(e.angles[..., 0]),
            "centres": 1e3 * e.vertebra,
        })  # fmt: skip
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=2)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--points", choices=tuple(ERRORS), default="detector")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    found: dict[tuple[str, str], list[dict[str, np.ndarray]]] = defaultdict(list)
    with TemporaryDirectory() as folder:
        sets = marker_sets(Path(folder))
        for index, lie in product(range(chosen.subjects), PLACES):
            trials = point_trials(make_subject(chosen.seed, index, "published"), chosen.frames, lie)
            for taken_for, name in sets.items():
                found[lie, taken_for] += judge(trials, name, chosen.points, chosen.seed)
    print("points lie | taken for | LLA mean, rms ° | TKA mean, rms ° | flexion of a level, rms ° | centroids, mm")
    for (lie, taken_for), trials in found.items():
        lla, tka, flexion, centres = (
            np.concatenate([e[key].ravel() for e in trials]) for key in ("lla", "tka", "flexion", "centres")
        )
        rms = [np.sqrt(np.nanmean(values**2)) for values in (lla, tka, flexion)]
        print(
            f"{lie} | {taken_for} | {np.nanmean(lla):+.1f}, {rms[0]:.1f} | {np.nanmean(tka):+.1f}, {rms[1]:.1f} | "
            f"{rms[2]:.1f} | {np.nanmean(centres):.1f}"
        )


if __name__ == "__main__":
    main()
