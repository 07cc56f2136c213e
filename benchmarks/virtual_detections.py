"""Fits the presets of virtual detections, measures them, and draws one frame.

    python -m benchmarks.virtual_detections measure     errors by region beside the paper's, and other statistics
    python -m benchmarks.virtual_detections fit         offsets and noise for presets.yaml
    python -m benchmarks.virtual_detections figure      docs/images/virtual-detections.png

The subjects, actions and seed differ from those of the virtual captures that methods are compared on (seed 1).
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection
from scipy.stats import spearmanr

from simspine.benchmark.detections import PAPER, fitted, region_errors
from simspine.benchmark.peer import triangulate_plainly
from simspine.capture import truth
from simspine.capture.detections import detect
from simspine.capture.presets import read_preset
from simspine.capture.rig import rig
from simspine.geometry import project
from simspine.skeletons import load

SEED, FRAMES, PEOPLE = 1000, 250, 7
FIGURE = Path("docs/images/virtual-detections.png")


def recordings():
    """Every person in several actions; each action by at least two people."""
    for index in range(PEOPLE):
        person = truth.make_subject(SEED, index)
        for action in truth.ACTIONS[index % 3 :: 3]:
            trial = truth.make_trial(person, action, 1, FRAMES)
            yield person, trial, truth.points(trial), truth.capsules(trial), rig(SEED, person.name)


def seen(recording, preset):
    person, trial, points, parts, cameras = recording
    return detect(points, cameras, parts.ends, parts.radii, preset, SEED, person.name, trial.trial)


def errors(sample, preset):
    rows = []
    for recording in sample:
        _, _, points, _, cameras = recording
        rows.append(region_errors(triangulate_plainly(seen(recording, preset).keypoints, cameras), points))
    return {name: tuple(np.mean([row[name] for row in rows], 0)) for name in rows[0]}


def measure(preset, sample):
    print(f"\n{preset.name}: MPJPE and P-MPJPE, mm (paper)")
    for name, (plain, aligned) in errors(sample, preset).items():
        paper = PAPER.get(preset.name, {}).get(name, (np.nan, np.nan))
        print(f"  {name:10s} {plain:6.1f} ({paper[0]:5.1f})   {aligned:6.1f} ({paper[1]:5.1f})")
    found = [seen(recording, preset) for recording in sample]
    confidence = np.concatenate([f.keypoints.confidence.ravel() for f in found])
    off = [np.linalg.norm(f.keypoints.xy - f.exact, axis=-1) for f in found]
    px = np.concatenate([error.ravel() for error in off])
    share = np.concatenate([(error / f.size[..., None]).ravel() for error, f in zip(off, found, strict=True)])
    there = np.isfinite(share)
    print(f"  2D error px: median {np.nanmedian(px):.1f}, 90th percentile {np.nanpercentile(px, 90):.1f}")
    print(f"  person in the image px: median {np.median(np.concatenate([f.size.ravel() for f in found])):.0f}")
    print(f"  rank correlation of confidence and error {spearmanr(confidence[there], share[there]).statistic:.2f}")
    low, middle, high = np.percentile(confidence[there], [10, 50, 90])
    print(f"  confidence 10/50/90 %: {low:.2f} {middle:.2f} {high:.2f}")
    for name in ("outlier", "swapped", "missing"):
        print(f"  {name} {np.mean([getattr(f, name).mean() for f in found]):.4f}")
    print(f"  hidden {np.mean([(f.hidden > 0.5).mean() for f in found]):.3f}")


def figure():
    """Truth, capsules and detections of a frame in four views, cut out around the person."""
    matplotlib.use("Agg")
    person = truth.make_subject(1, 2)
    trial = truth.make_trial(person, "Walking", 1, 120)
    points, parts, cameras = truth.points(trial), truth.capsules(trial), rig(1, person.name)
    found = detect(points, cameras, parts.ends, parts.radii, read_preset("zero-shot"), 1, person.name, trial.trial)
    skeleton, frame = load("simspine37"), 60
    bones = [(i, p) for i, p in enumerate(skeleton.parents) if p >= 0]
    fig, axes = plt.subplots(1, 4, figsize=(13, 4.9), layout="constrained")
    for view, (ax, camera) in enumerate(zip(axes, cameras, strict=True)):
        for (a, b), radius in zip(parts.ends[frame], parts.radii, strict=True):
            along = a + np.linspace(0, 1, 25)[:, None] * (b - a)
            depth = np.linalg.norm(along - camera.centre, axis=-1)
            ends = project([camera], along)[0]
            for at, size in zip(ends, radius * camera.K[0, 0] / depth, strict=True):
                ax.add_patch(plt.Circle(at, size, color="0.87", lw=0, zorder=0))
        true, seen_at = found.exact[frame, view], found.keypoints.xy[frame, view]
        ax.add_collection(LineCollection([[true[i], true[p]] for i, p in bones], colors="0.45", lw=1.2, zorder=1))
        ax.add_collection(LineCollection(np.stack([true, seen_at], 1), colors="tab:red", lw=1, zorder=2))
        hidden = found.hidden[frame, view] > 0.5
        ax.scatter(*true[~hidden].T, s=16, c="k", zorder=3, label="true, in sight")
        ax.scatter(*true[hidden].T, s=16, c="w", edgecolors="k", zorder=3, label="true, hidden")
        confidence = found.keypoints.confidence[frame, view]
        dots = ax.scatter(*seen_at.T, s=26, c=confidence, cmap="viridis", vmin=0.2, vmax=1, marker="D", zorder=4)
        dots.set_label("detected")
        middle, half = (true.min(0) + true.max(0)) / 2, 0.56 * np.ptp(true[:, 1])
        ax.set(xlim=middle[0] + np.array([-0.62, 0.62]) * half, ylim=middle[1] + np.array([1, -1]) * half)
        ax.set(aspect="equal", xticks=[], yticks=[], title=f"camera {camera.name}")
    axes[0].legend(loc="upper left", fontsize=8, frameon=False)
    fig.colorbar(dots, ax=axes, shrink=0.7, label="confidence")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(FIGURE, dpi=110, metadata={"Software": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "fit", "figure"), nargs="?", default="measure")
    what = parser.parse_args().what
    if what == "figure":
        return figure()
    sample = list(recordings())
    for name in PAPER:
        preset = read_preset(name)
        if what == "fit":
            preset = fitted(preset, lambda p: errors(sample, p), PAPER[name])
            for region, row in preset.regions.items():
                print(f"    {region}: {{offset_m: {row.offset_m:.4f}, noise: {row.noise:.5f}}}")
        measure(preset, sample)


if __name__ == "__main__":
    main()
