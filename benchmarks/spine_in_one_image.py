"""How far points of the spine that are inferred in one image lie from the true ones.

    python -m benchmarks.spine_in_one_image [--subjects S1 S5 S9] [--frames 200] [--detections exact finetuned]

Synthetic people (docs/virtual-capture.md), all actions, four cameras, an image per second. Hips, shoulders, head and
feet are seen exactly or as a detector would; distances in the image, as mm at the person's distance. Beside it a
straight line from mid-hips to mid-shoulders, with each point at its mean share of the line in these very images. The
figures of docs/how-to/detect.md.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from simspine.learning.lifters import source_views
from simspine.learning.options import LiftingSource
from simspine.learning.views import LiftingView
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.spine.shape.from_image import spine_in_image

FOCAL = 1000.0  # px: an image's size does not matter
PARTS = {
    "sacrum and lumbar": ("Hip", "Spine_01", "Spine_02", "Spine_03"),
    "thoracic": ("Spine_04", "Spine_05"),
    "neck": ("Neck", "Neck_02", "Neck_03"),
}


def distances(views: Sequence[LiftingView], exact: bool) -> dict[str, dict[str, np.ndarray]]:
    """{method: {point: mm}} of all scored images in which there is an answer."""
    found: dict[str, list] = {point: [] for point in VERTEBRA_OF}
    along: dict[str, list] = {point: [] for point in VERTEBRA_OF}
    for view in views:
        names, true = view.truth.names, FOCAL * view.projected
        seen = true if exact else FOCAL * view.seen
        for frame in np.flatnonzero(view.scored):
            points = {n: np.append(seen[frame, i], 1.0) for i, n in enumerate(names) if n not in VERTEBRA_OF}
            spine = spine_in_image(points)
            hips, shoulders = ((points["L" + p] + points["R" + p])[:2] / 2 for p in ("Hip", "Shoulder"))
            mm_per_px = 1e3 * np.nanmean(view.truth.xyz[frame, :, 2]) / FOCAL
            for point in spine:
                target = true[frame, names.index(point)]
                found[point].append(mm_per_px * np.linalg.norm(spine[point][:2] - target))
                along[point].append((hips, shoulders - hips, target, mm_per_px))
    return {"inferred": {p: np.array(e) for p, e in found.items()}, "straight line": _on_line(along)}


def _on_line(along: dict[str, list]) -> dict[str, np.ndarray]:
    made = {}
    for point, rows in along.items():
        start, line, target, scale = (np.array(column) for column in zip(*rows, strict=True))
        share = (((target - start) * line).sum(1) / (line**2).sum(1)).mean()
        made[point] = scale * np.linalg.norm(start + share * line - target, axis=1)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", nargs="+", default=["S1", "S5", "S9"])
    parser.add_argument("--frames", type=int, default=200, help="of each trial, 50 Hz")
    parser.add_argument("--detections", nargs="+", default=["exact", "finetuned"])
    options = parser.parse_args()
    for preset in options.detections:
        source = LiftingSource(frames=options.frames, context=50, detections=preset)
        for method, errors in distances(source_views(source, options.subjects), preset == "exact").items():
            for part, points in PARTS.items():
                mm = np.concatenate([errors[point] for point in points])
                middle, high = np.percentile(mm, [50, 90])
                print(f"{preset:10} {method:14} {part:18} {len(mm):6} {middle:6.1f} mm, 90 %: {high:6.1f} mm")


if __name__ == "__main__":
    main()
