"""A picture of what synthetic subjects do, moments of each action: `python -m benchmarks.virtual_actions FILE.png`."""

import argparse
from pathlib import Path

import numpy as np

from simspine.capture.truth import ACTIONS, TruthTrial, make_subject, make_trial, points, vertebra_centres
from simspine.report.style import BLUE, INK, VERMILLION
from simspine.skeletons import load

MOMENTS, APART, ACROSS = 7, 1.15, 3  # figures in a strip, m between them, strips side by side
FROM = np.radians(35.0)  # seen from so far to the right of where the person faces


def strip(trial: TruthTrial, frames: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Lines to draw, (colour, (points, 2) m): people at the frames side by side, each seen from the front right."""
    found, spine, skeleton = points(trial), vertebra_centres(trial), load("simspine37")
    lines = []
    for n, frame in enumerate(frames):
        xyz = found.xyz[frame]
        hips = xyz[found.indices(["LHip", "RHip"])]
        right = (hips[1] - hips[0])[:2] / np.linalg.norm((hips[1] - hips[0])[:2])
        ahead = np.array([-right[1], right[0]])
        across = np.cos(FROM) * -right + np.sin(FROM) * ahead  # rightwards in the picture

        middle = hips.mean(0)[:2]

        def seen(place: np.ndarray, across=across, middle=middle, n=n) -> np.ndarray:
            return np.stack([(place[:, :2] - middle) @ across + n * APART, place[:, 2]], -1)

        lines.append((INK, seen(spine.xyz[frame])))
        for i, parent in enumerate(skeleton.parents):
            name = skeleton.names[i]
            if parent >= 0 and not name.startswith(("Spine", "Neck", "LLat", "RLat")):
                colour = {"L": BLUE, "R": VERMILLION}.get(name[0] if name[1].isupper() else "", INK)
                lines.append((colour, seen(xyz[[parent, i]])))
    return lines


def main() -> None:
    """Write the figure: 30 s of the first trial of each action of one subject."""
    import matplotlib as mpl
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    path = parser.parse_args().file
    subject = make_subject(0, 4)
    down = -(-len(ACTIONS) // ACROSS)
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK}):
        figure = Figure(figsize=(15, 1.75 * down))
        for axes, action in zip(figure.subplots(down, ACROSS).T.flat, ACTIONS, strict=False):
            trial = make_trial(subject, action, 1, 1500)
            lines = strip(trial, np.linspace(60, trial.frames - 60, MOMENTS).astype(int))
            axes.add_collection(LineCollection([xy for _, xy in lines], colors=[c for c, _ in lines], linewidths=1.3))
            axes.axhline(0, color=INK, linewidth=0.5, alpha=0.4)
            axes.set(xlim=(-0.7, (MOMENTS - 1) * APART + 0.7), ylim=(-0.05, 1.85), aspect="equal")
            axes.set_title(action, loc="left", fontsize=9, fontweight="bold")
            axes.axis("off")
        figure.tight_layout(pad=0.4)
        figure.savefig(path, dpi=100, facecolor="white")
    Image.open(path).convert("RGB").quantize(24).save(path, optimize=True)


if __name__ == "__main__":
    main()
