"""The learned statistics of the spine's shape: mean and covariance of the chain's parameters, and the allowances added
to them.

The file `statistics.json` beside this module is made by `python -m tools.learn_spine_shape`. What it was learned from
and its licence are in the file; docs/spine-shape.md describes the method.
"""

import json
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.spine.shape.chain import LEVELS, VECTORS

# Share of the ranges below by which a movement of a whole region spreads the supine shape (one standard deviation).
# any: 0.35 makes 30° of the lumbar spine (T12–S1), so full flexion and extension (51° and 16° on standing, Pearcy 1985)
# lie within about two. standing: 13°, the change of lordosis T12–S1 from lying to standing (36.8° to 49.8°, n = 627,
# Asian Spine J 2019, PMC6680033).
POSTURES = {"supine": 0.0, "standing": 0.15, "any": 0.35}
LEVEL_SHARE = 0.4  # a single level on its own, as a share of what it takes in the movement of its region

# Ranges of motion of the joints C1-C2 … L5-S1 in degrees, both directions together. Neck and thorax: White & Panjabi
# 1978 (lateral bending is listed per side there, doubled here); lumbar: Pearcy 1985. Secondary transcriptions.
FLEXION = (20, 10, 15, 20, 20, 17, 9, 4, 4, 4, 4, 4, 5, 6, 6, 6, 9, 12, 12, 14, 14, 14, 18, 14)
BENDING = (10, 20, 22, 22, 16, 14, 8, 12, 12, 12, 12, 12, 12, 12, 12, 12, 14, 18, 16, 10, 10, 10, 6, 3)
REGIONS = (slice(0, 7), slice(7, 18), slice(18, 24))  # C1-C2 … C7-T1, T1-T2 … T11-T12, T12-L1 … L5-S1


@dataclass(frozen=True)
class ShapeModel:
    """Gaussian of the chain's parameters (log lengths m, pitches, tilts of the 24 inter-centroid vectors).

    mean (72,), covariance (72, 72). counts: {vector 'C1-C2': scans it was found in}; provenance: source, licence,
    settings.
    """

    mean: np.ndarray
    covariance: np.ndarray
    counts: dict[str, int]
    provenance: dict[str, str]

    def lengths(self) -> dict[str, float]:
        """Typical distance of neighbouring centres, m: {'C1-C2': …}; the mean of a log-normal."""
        n = VECTORS
        values = np.exp(self.mean[:n] + np.diag(self.covariance)[:n] / 2)
        return dict(zip(vector_names(), values.tolist(), strict=True))

    def prior(self, posture: str = "supine") -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance with the allowance for a posture: 'supine' (none), 'standing' or 'any'."""
        if posture not in POSTURES:
            raise unknown_name("posture", posture, POSTURES)
        return self.mean, self.covariance + movement(POSTURES[posture])


@cache
def movement(share: float) -> np.ndarray:
    """Covariance (72, 72) that movement adds: each region bends as a whole in proportion to its joints' ranges, and
    each joint a little on its own. share: standard deviation of the region's bending as a share of its range.
    """
    # a vector turns with the mean of its two vertebrae, a vertebra with all joints below it
    below = np.triu(np.ones((VECTORS, VECTORS)))
    turn = (below + np.vstack([below[1:], np.zeros(VECTORS)])) / 2
    added = np.zeros((3 * VECTORS, 3 * VECTORS))
    for kind, ranges in ((1, FLEXION), (2, BENDING)):
        r = share * np.radians(ranges)
        joints = np.diag((LEVEL_SHARE * r) ** 2)
        for region in REGIONS:
            joints[region, region] += np.outer(r[region], r[region])
        part = slice(kind * VECTORS, (kind + 1) * VECTORS)
        added[part, part] = turn @ joints @ turn.T
    return added


def vector_names() -> tuple[str, ...]:
    return tuple(f"{a}-{b}" for a, b in pairwise(LEVELS))


@cache
def shipped() -> ShapeModel:
    """The statistics shipped with the package."""
    return read(Path(__file__).with_name("statistics.json"))


def read(path: str | Path) -> ShapeModel:
    """A `ShapeModel` from a file written by `as_json`."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        if data["format"] != "simspine-spine-shape" or data["version"] != 1 or data["levels"] != list(LEVELS):
            raise ValueError("another format, version or set of levels")
        n = VECTORS
        cov = np.zeros((3 * n, 3 * n))
        cov[: 2 * n, : 2 * n], cov[2 * n :, 2 * n :] = data["covariance_sagittal"], data["covariance_frontal"]
        mean = np.concatenate([data["mean_log_length"], data["mean_pitch"], np.zeros(n)])
        counts, provenance = data["scans_per_vector"], data["provenance"]
    except (OSError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{path}: not a file of spine shape statistics ({type(error).__name__}: {error}). "
            "Make one with python -m tools.learn_spine_shape CSV OUT."
        ) from error
    for array in (mean, cov):
        array.setflags(write=False)
    return ShapeModel(mean, cov, counts, provenance)


def as_json(model: ShapeModel) -> str:
    """The file's text; 8 significant digits. Lengths in m, angles in rad."""
    n = VECTORS

    def rounded(values):
        return [rounded(v) for v in values] if np.ndim(values) else float(f"{values:.8g}")

    data = {
        "format": "simspine-spine-shape",
        "version": 1,
        "provenance": model.provenance,
        "levels": list(LEVELS),
        "scans_per_vector": model.counts,
        "mean_log_length": rounded(model.mean[:n]),
        "mean_pitch": rounded(model.mean[n : 2 * n]),
        "covariance_sagittal": rounded(model.covariance[: 2 * n, : 2 * n]),
        "covariance_frontal": rounded(model.covariance[2 * n :, 2 * n :]),
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in data.items()]
    return "{\n" + ",\n".join(lines).replace("], [", "],\n  [") + "\n}\n"
