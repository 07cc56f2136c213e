"""Cross-validation of the spine shape model on CT scans.

    python -m benchmarks.spine_shape CSV [--json figures.json] [--repeats 20] [--strength 100]

CSV: columns scan, level, x_mm, y_mm, z_mm (see tools.learn_spine_shape). Five folds over scans; scans that may be of
one person stay together; every fold's statistics are learned anew from the other four. From noisy T3 T8 L1 L3 L5 the
other levels from T1 to L5 are completed; per scan the mean over levels and noise draws, then the mean over scans.

- spline: natural cubic spline over the level's number, the baseline;
- any, supine: `complete_spine` with that posture (variance of the noise given; (1 mm)² at no noise);
- known shape: the same with the scan's own exact shape and size as prior, so only position and orientation are unknown.
  In mean square no estimate that moves with the points can be better: the floor for any shape model;
- cover: share of true centres inside the 90 % ellipsoid;
- axes: what is known of the trunk's orientation: nothing (–), or the scanner's axes turned at random, with this
  standard deviation (degrees, about each axis), anew for every draw, as `orientation_sd` says.

T4-L5 leaves out T1 and T2, where the spline extrapolates. T3 is given.
"""

import argparse
import json
import time
import timeit
from functools import partial
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation
from scipy.stats import chi2
from tools.learn_spine_shape import STRENGTH, learn_shape, read_table
from tools.spine_shape_statistics import folds

from simspine.spine.shape.chain import LEVELS, VECTORS, vector_parameters
from simspine.spine.shape.complete import complete_spine
from simspine.spine.shape.model import ShapeModel

GIVEN = [LEVELS.index(level) for level in ("T3", "T8", "L1", "L3", "L5")]
FIRST, INNER = LEVELS.index("T1"), LEVELS.index("T4")
NOISE = (0.0, 0.005, 0.015, 0.03)
AXES = (None, 0.0, 5.0, 10.0)  # degrees


def exact_shape(centres: np.ndarray, model: ShapeModel) -> ShapeModel:
    """A model that knows this scan's shape (24, 3). Centres missing at the ends are as learned, others interpolated."""
    have = np.flatnonzero(np.isfinite(centres[:, 0]))
    inner = np.arange(have[0], have[-1] + 1)
    centres = centres.copy()
    centres[inner] = np.stack([np.interp(inner, have, centres[have, i]) for i in range(3)], -1)
    own = np.concatenate([vector_parameters(centres).reshape(3, -1), np.full((3, 1), np.nan)], 1).ravel()
    mean = np.where(np.isfinite(own), own, model.mean)
    return ShapeModel(mean, 1e-10 * np.eye(3 * VECTORS), {}, {})


def evaluate(centres, model, sd, axes, repeats, rng):
    """Errors (levels, draws) of each method in m, and of the model whether the ellipsoids cover."""
    wanted = [k for k in range(FIRST, VECTORS) if k not in GIVEN and np.isfinite(centres[k]).all()]
    draws = repeats if sd or axes else 1
    seen = centres[GIVEN] + rng.normal(0, sd, (draws, len(GIVEN), 3))
    prior = {}
    if axes is not None:
        turned = Rotation.from_rotvec(rng.normal(0, np.radians(axes), (draws, 3))).as_matrix()
        prior = {"orientation": turned, "orientation_sd": np.radians(axes)}
    points = {LEVELS[k]: seen[:, i] for i, k in enumerate(GIVEN)}
    variance = sd**2 if sd else None
    spines = {posture: complete_spine(points, variance, posture, model, **prior) for posture in ("any", "supine")}
    known = complete_spine(points, variance, "supine", exact_shape(centres, model), **prior)
    spline = CubicSpline(GIVEN, seen, axis=1, bc_type="natural")(wanted)
    errors, cover = {"spline": [], "any": [], "supine": [], "known shape": []}, {"any": [], "supine": []}
    for i, k in enumerate(wanted):
        for posture, spine in spines.items():
            d = spine.positions[LEVELS[k]] - centres[k]
            q = np.einsum("fi,fij,fj->f", d, np.linalg.inv(spine.covariance[LEVELS[k]]), d)
            cover[posture].append(q < chi2.ppf(0.9, 3))
            errors[posture].append(np.linalg.norm(d, axis=1))
        errors["known shape"].append(np.linalg.norm(known.positions[LEVELS[k]] - centres[k], axis=1))
        errors["spline"].append(np.linalg.norm(spline[:, i] - centres[k], axis=1))
    return np.array(wanted), {n: np.array(e) for n, e in errors.items()}, {n: np.array(c) for n, c in cover.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--strength", type=float, default=STRENGTH)
    options = parser.parse_args()
    scans, table = read_table(options.csv)
    found = {(sd, axes): [] for axes in AXES for sd in NOISE}
    for number, held_out in enumerate(folds(scans, 5)):
        model = learn_shape(np.delete(table, held_out, 0), options.strength)
        rng = np.random.default_rng(number)
        for i in held_out:
            if np.isfinite(table[i, GIVEN]).all():
                for sd, axes in found:
                    found[sd, axes].append(evaluate(table[i], model, sd, axes, options.repeats, rng))
    rows = []
    for (sd, axes), results in found.items():
        for part, first in (("T1-L5", FIRST), ("T4-L5", INNER)):
            known = "–" if axes is None else f"{axes:g}"
            row = {"levels": part, "noise_mm": 1e3 * sd, "axes": known, "scans": len(results)}
            for name in results[0][1]:
                row[name] = 1e3 * float(np.mean([e[name][w >= first].mean() for w, e, _ in results]))
            for name in ("any", "supine", "known shape"):
                row[f"{name} / spline"] = row[name] / row["spline"]
            for name in ("any", "supine"):
                row[f"cover {name}"] = float(np.mean([c[name][w >= first].mean() for w, _, c in results]))
            rows.append(row)
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(v if isinstance(v, str) else f"{v:.3g}" for v in row.values()) + " |")
    times = {}
    for label, levels, sd in (("5 points, 1 mm", GIVEN, 0.001), ("5 points, 15 mm", GIVEN, 0.015),
                              ("17 points, 15 mm", range(FIRST, VECTORS), 0.015)):  # fmt: skip
        whole = next(x for x in table if np.isfinite(x[FIRST:]).all())
        points = {LEVELS[k]: whole[k] + np.random.default_rng(k).normal(0, sd, 3) for k in levels}
        many = {level: np.repeat(p[None], 64, 0) for level, p in points.items()}
        prior = {"orientation": np.eye(3), "orientation_sd": 0.1}
        for kind, given, count in (("one", points, 1), ("in a batch of 64", many, 64)):
            for axes, extra in (("axes unknown", {}), ("axes known to 0.1 rad", prior)):
                work = partial(complete_spine, given, sd**2, **extra)
                spent = timeit.repeat(work, timer=time.process_time, repeat=10, number=1)
                name = f"{label}, {kind}, {axes}"
                times[name] = 1e3 * float(np.median(spent)) / count
                print(f"{name}: {times[name]:.2f} ms of processor time per completion")
    if options.json:
        options.json.write_text(json.dumps({"table": rows, "ms_per_completion": times}, indent=1) + "\n")


if __name__ == "__main__":
    main()
