"""The statistical shape of real spines: a Gaussian over the chain of vectors between neighbouring vertebral centres.

Vector i leads from centre i to centre i + 1, from the head down. Its shape parameters are the logarithm of its length,
its pitch θ (sagittal direction, positive = leading forward as it goes down) and its tilt φ (to the right as it goes
down):

    b = exp(a) · (cos φ sin θ, −cos φ cos θ, sin φ)        frame of the trunk: x forward, y up, z right

Logarithms make size an addition, angles make bending exact however large it is. `shape_statistics.json` is made by
`python -m tools.learn_spine_shape`; source and licence are in the file. docs/spine-shape.md describes the method.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from simspine.core.errors import naming_content, require_known
from simspine.core.settings import packaged_file
from simspine.io.text_tables import read_bytes

CHAIN_LEVELS = (
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 13)),
    *(f"L{i}" for i in range(1, 6)),
    "S1",
)
CHAIN_VECTOR_COUNT = len(CHAIN_LEVELS) - 1


def chain_positions(z: np.ndarray) -> np.ndarray:
    """Centres (..., n, 3) m with the first at the origin, from shape parameters (..., 3 · (n − 1))."""
    return centres_from_vectors(chain_derivatives(z, kinds=1)[..., 0, :, :])


def centres_from_vectors(vectors: np.ndarray) -> np.ndarray:
    """Centres (..., n, 3) as sums of the vectors (..., n − 1, 3), the first centre at zero."""
    return np.cumulative_sum(vectors, axis=-2, include_initial=True)


def chain_derivatives(z: np.ndarray, kinds: int = 3) -> np.ndarray:
    """Derivatives of the vectors by log length (the vectors themselves), pitch, tilt: (..., kinds 1 or 3, n − 1, 3)."""
    n = z.shape[-1] // 3
    length, pitch, tilt = np.exp(z[..., :n]), z[..., n : 2 * n], z[..., 2 * n :]
    sine, cosine, across = np.sin(pitch), np.cos(pitch), length * np.cos(tilt)
    D = np.zeros((*z.shape[:-1], kinds, n, 3))
    x, y, side = across * sine, -across * cosine, length * np.sin(tilt)
    D[..., 0, :, 0], D[..., 0, :, 1], D[..., 0, :, 2] = x, y, side
    if kinds == 3:
        D[..., 1, :, 0], D[..., 1, :, 1] = -y, x
        D[..., 2, :, 0], D[..., 2, :, 1], D[..., 2, :, 2] = -side * sine, side * cosine, across
    return D


def chain_jacobian(derivatives: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """d positions / d z at `levels` (indices): (..., levels, 3, 3 · (n − 1)), from the vectors' `chain_derivatives`."""
    each = np.ascontiguousarray(np.moveaxis(derivatives, -1, -3))  # (..., xyz, kinds, vectors)
    J = np.zeros((*each.shape[:-3], len(levels), *each.shape[-3:]))
    for i, level in enumerate(levels):  # a centre moves with the vectors above it
        J[..., i, :, :, :level] = each[..., :level]
    return J.reshape(*J.shape[:-2], -1)


# Share of the ranges below by which a movement of a whole region spreads the supine shape (one standard deviation).
# any: 0.35 makes 30° of the lumbar spine (T12–S1), so full flexion and extension (51° and 16° on standing, Pearcy 1985)
# lie within about two. standing: 13°, the change of lordosis T12–S1 from lying to standing (36.8° to 49.8°, n = 627,
# Asian Spine J 2019, PMC6680033).
MOVEMENT_SHARES_OF_POSTURE = {"supine": 0.0, "standing": 0.15, "any": 0.35}
INDEPENDENT_LEVEL_SHARE = 0.4  # independent spread of a level, as a share of its part in its region's movement

# Ranges of motion of the joints C1-C2 … L5-S1 in degrees, both directions together. Neck and thorax: White & Panjabi
# 1978 (lateral bending is listed per side there, doubled here); lumbar: Pearcy 1985. Secondary transcriptions.
FLEXION_RANGES_DEG = (20, 10, 15, 20, 20, 17, 9, 4, 4, 4, 4, 4, 5, 6, 6, 6, 9, 12, 12, 14, 14, 14, 18, 14)
BENDING_RANGES_DEG = (10, 20, 22, 22, 16, 14, 8, 12, 12, 12, 12, 12, 12, 12, 12, 12, 14, 18, 16, 10, 10, 10, 6, 3)
REGION_SLICES = (slice(0, 7), slice(7, 18), slice(18, 24))  # C1-C2 … C7-T1, T1-T2 … T11-T12, T12-L1 … L5-S1


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

    def prior(self, posture: str = "supine") -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance with the allowance for a posture: 'supine' (none), 'standing' or 'any'."""
        require_known("posture", (posture,), MOVEMENT_SHARES_OF_POSTURE)
        return self.mean, self.covariance + movement_covariance(MOVEMENT_SHARES_OF_POSTURE[posture])


@cache
def movement_covariance(share: float) -> np.ndarray:
    """Covariance (72, 72) that movement adds: each region bends as a whole in proportion to its joints' ranges, and
    each joint a little on its own. share: standard deviation of the region's bending as a share of its range."""
    # a vector turns with the mean of its two vertebrae, a vertebra with all joints below it
    below = np.triu(np.ones((CHAIN_VECTOR_COUNT, CHAIN_VECTOR_COUNT)))
    turn = (below + np.vstack([below[1:], np.zeros(CHAIN_VECTOR_COUNT)])) / 2
    added = np.zeros((3 * CHAIN_VECTOR_COUNT, 3 * CHAIN_VECTOR_COUNT))
    for kind, ranges in ((1, FLEXION_RANGES_DEG), (2, BENDING_RANGES_DEG)):
        r = share * np.radians(ranges)
        joints = np.diag((INDEPENDENT_LEVEL_SHARE * r) ** 2)
        for region in REGION_SLICES:
            joints[region, region] += np.outer(r[region], r[region])
        part = slice(kind * CHAIN_VECTOR_COUNT, (kind + 1) * CHAIN_VECTOR_COUNT)
        added[part, part] = turn @ joints @ turn.T
    return added


@cache
def packaged_shape_model() -> ShapeModel:
    """The statistics shipped with the package."""
    return read_shape_model(packaged_file(Path(__file__).with_name("shape_statistics.json")))


def read_shape_model(path: str | Path) -> ShapeModel:
    """A `ShapeModel` from a file written by `tools.learn_spine_shape`."""
    with naming_content(path, "a file of spine shape statistics as `python -m tools.learn_spine_shape CSV OUT` makes"):
        data = json.loads(read_bytes(path))
        if data["format"] != "simspine-spine-shape" or data["version"] != 1 or data["levels"] != list(CHAIN_LEVELS):
            raise ValueError("another format, version or set of levels")
        n = CHAIN_VECTOR_COUNT
        cov = np.zeros((3 * n, 3 * n))
        cov[: 2 * n, : 2 * n], cov[2 * n :, 2 * n :] = data["covariance_sagittal"], data["covariance_frontal"]
        mean = np.concatenate([data["mean_log_length"], data["mean_pitch"], np.zeros(n)])
        counts, provenance = data["scans_per_vector"], data["provenance"]
    for array in (mean, cov):
        array.setflags(write=False)
    return ShapeModel(mean, cov, counts, provenance)
