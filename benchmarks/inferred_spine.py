"""Spine points of detectors that have none: the rule's curves and the shape model, against spines that are known.

    python -m benchmarks.inferred_spine [--presets exact,finetuned,zero-shot] [--subjects 4] [--frames 40] [--seed 11]
                                        [--json FILE] [--figure PNG]

Synthetic subjects (docs/virtual-capture.md) in five actions; of what the virtual detector sees, the spine's points are
taken away, the others triangulated and filtered as the workflow does, without motion capture. Distances in mm, mean
over frames, trials and subjects:

- named: of the nine points to the centres of the vertebrae that they are named after;
- curve: of the true centres T1…S1 to the polyline through all points inferred (for the rule those nine, for the shape
  model C1…S1), since the rule spaces its points evenly and does not claim any vertebra's height;
- vertebrae: of C1…S1; cover: share of them inside the 90 % ellipsoid; sd: root of the mean trace of their covariance.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from benchmarks.spine_by_rule import SPINE, infer_missing, infer_spine
from scipy.stats import chi2

from simspine.benchmark.virtual_trials import StudySize, recorded_subjects
from simspine.detection.options import FilterOptions, TriangulationOptions
from simspine.filtering import smooth
from simspine.geometry import in_frame
from simspine.pipeline.points import locate_points
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.spine.shape.chain import LEVELS
from simspine.spine.shape.from_joints import spine_from_joints

ACTIONS = ("Walking", "Sitting", "Posing", "Photo", "SittingDown")
NAMED = [LEVELS.index(VERTEBRA_OF[name]) for name in SPINE]
POSTURES = ("any", "standing")


def seen_without_spine(recording):
    """Markers (y_up) of a recording whose detector has no spine points; those in the images are the rule's."""
    keypoints = recording.keypoints
    xy = keypoints.xy.copy()
    xy[:, :, keypoints.indices(SPINE)] = np.nan
    points, _ = locate_points(infer_missing(keypoints.with_(xy=xy)), recording.cameras, TriangulationOptions())
    return in_frame(smooth(points, **FilterOptions().model_dump()), "y_up")


def from_polyline(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distances (frames, k) of points (frames, k, 3) from the polyline through corners (frames, n, 3)."""
    a, b, p = corners[:, None, :-1], corners[:, None, 1:], points[:, :, None]
    t = np.clip(((p - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1), 0, 1)
    return np.linalg.norm(p - a - t[..., None] * (b - a), axis=-1).min(-1)


def judge(markers, true: np.ndarray) -> dict[str, float]:
    """Means over a trial's frames in which every way has a result. true: (frames, 25, 3) m."""
    ways = {
        "rule in the images": markers.xyz[:, markers.indices(SPINE)],
        "rule in space": infer_spine(markers.xyz, markers.names),
    }
    spines = {posture: spine_from_joints(markers, posture) for posture in POSTURES}
    ways |= {posture: spine.xyz for posture, spine in spines.items()}
    good = np.all([np.isfinite(x).all((1, 2)) for x in ways.values()], 0)
    found = {"share of frames": good.mean()}
    for way, x in ways.items():
        nine = x if x.shape[1] == len(SPINE) else x[:, NAMED]
        found[f"named, {way}"] = 1e3 * np.linalg.norm(nine - true[:, NAMED], axis=-1)[good].mean()
        found[f"curve, {way}"] = 1e3 * from_polyline(x[good], true[good, LEVELS.index("T1") :]).mean()
    for posture, spine in spines.items():
        d, C = spine.xyz[good] - true[good], spine.covariance[good]
        found[f"vertebrae, {posture}"] = 1e3 * np.linalg.norm(d, axis=-1).mean()
        found[f"cover, {posture}"] = (np.einsum("fli,flij,flj->fl", d, np.linalg.inv(C), d) < chi2.ppf(0.9, 3)).mean()
        found[f"sd, {posture}"] = 1e3 * np.sqrt(np.trace(C, axis1=-1, axis2=-2).mean())
    return found


def draw(path: str, seed: int) -> None:
    """One moment of two actions from the side and from behind: joints, both ways, ellipses, true centres."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Ellipse

    figure, panels = plt.subplots(1, 4, figsize=(11, 5.9), constrained_layout=True)
    _, trials = recorded_subjects("finetuned", StudySize(2, ("Walking", "Sitting"), 40, seed))
    for i, trial in enumerate(trials):
        markers, frame = seen_without_spine(trial.observed), 20
        centres = trial.spine.centres
        true = centres.xyz[frame, centres.indices(LEVELS)]
        rule = markers.xyz[frame, markers.indices(SPINE)]
        joints = ("RHip", "LHip", "RShoulder", "LShoulder", "REar", "LEar")
        seen = markers.xyz[frame, markers.indices(joints)]
        across = seen[0] - seen[1]
        right = np.array([across[0], 0, across[2]]) / np.hypot(across[0], across[2])
        forward = np.cross([0, 1, 0], right)
        for view, axis in (("from the right", forward), ("from behind", right)):
            axes = panels[2 * i + (view == "from behind")]
            onto = np.stack([axis, [0, 1, 0]])

            def flat(x, onto=onto, origin=true[-1]):
                return 100 * ((x - origin) @ onto.T)

            spine = spine_from_joints(markers)
            for x, C in zip(spine.xyz[frame, NAMED], spine.covariance[frame, NAMED], strict=True):
                values, vectors = np.linalg.eigh(1e4 * onto @ C @ onto.T)
                size = 2 * np.sqrt(chi2.ppf(0.9, 2) * values)
                angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
                axes.add_patch(Ellipse(flat(x), size[1], size[0], angle=angle, fc="#0072b214", ec="#0072b266", lw=0.6))
            axes.plot(*flat(true).T, "-o", color="black", ms=3.2, lw=0.8, label="true centres C1…S1")
            axes.plot(*flat(spine.xyz[frame]).T, "-o", color="#0072b2", ms=3.2, lw=0.8,
                      label="shape model, 90 % ellipses of nine")  # fmt: skip
            axes.plot(*flat(rule).T, "^", color="#d55e00", mfc="none", ms=6, label="rule, nine points")
            axes.plot(*flat(seen).T, "s", color="#009e73", ms=5, label="hips, shoulders, ears as triangulated")
            axes.set(aspect="equal", title=f"{trial.observed.trial.split('_')[0]}, {view}", xlim=(-20, 20),
                     ylim=(-17, 56), xlabel="cm")  # fmt: skip
            axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("cm above S1")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default="exact,finetuned,zero-shot")
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure")
    options = parser.parse_args()
    if options.figure:
        draw(options.figure, options.seed)
        return
    table = {}
    for preset in options.presets.split(","):
        found = defaultdict(list)
        for trials in recorded_subjects(preset, StudySize(options.subjects, ACTIONS, options.frames, options.seed)):
            for trial in trials:
                centres = trial.spine.centres
                true = centres.xyz[:, centres.indices(LEVELS)]
                for name, value in judge(seen_without_spine(trial.observed), true).items():
                    found[name].append(value)
        table[preset] = {name: float(np.mean(values)) for name, values in found.items()}
        print(preset)
        for name, value in table[preset].items():
            print(f"  {name:28} {value:.3g}")
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
