"""Intervertebral angles from the inter-centroid vectors, and what the learned model says of them.

An inter-centroid vector turns with the mean of its two vertebrae, since the joint is in the disc between them; so a
vertebra turns about with the mean of its two vectors (`chain`), and the one on the next by half the difference of the
vectors on both sides. The ends of the chain go on as straight as the last two vectors. This smooths by 1/4, 1/2, 1/4
over the levels: sums over regions hold, a level that differs from its neighbours shows by half, and marks that are off
show little.

Levels are those from L4-L5 up to C2-C3. S1 was not in the scans, and a scan's C1 is not marked in the middle of its
ring, so the vectors of both are left out.
"""

from functools import cache

import numpy as np

from simspine.spine.shape.chain import LEVELS, VECTORS
from simspine.spine.shape.model import FLEXION, REGIONS, ShapeModel

LEVEL_NAMES = tuple(f"{LEVELS[k]}-{LEVELS[k + 1]}" for k in range(VECTORS - 2, 0, -1))  # from below: L4-L5 … C2-C3

# Lordosis T12-S1 of 627 people without complaints, standing and lying: 49.8° and 36.8° (Asian Spine J 2019,
# PMC6680033). Of the kyphosis no such pair is at hand, so it is not changed.
STANDING = np.radians(49.8 - 36.8)


@cache
def intervertebral_matrix() -> np.ndarray:
    """(levels, 24): extension of `LEVEL_NAMES` from the pitches of all vectors; from the tilts, bending to the left."""
    vectors = np.eye(VECTORS)[1:-1]  # C2-C3 … L4-L5
    inner = (vectors[:-1] + vectors[1:]) / 2
    vertebrae = np.vstack([1.5 * vectors[:1] - 0.5 * vectors[1:2], inner, 1.5 * vectors[-1:] - 0.5 * vectors[-2:-1]])
    matrix = (vertebrae[:-1] - vertebrae[1:])[::-1].copy()
    matrix.setflags(write=False)
    return matrix


def level_angles(z: np.ndarray) -> np.ndarray:
    """(..., levels, 2) rad: extension and bending to the right of each of `LEVEL_NAMES`, from the shape (..., 72)."""
    _, pitch, tilt = np.split(np.asarray(z), 3, axis=-1)
    return np.stack([pitch @ intervertebral_matrix().T, -tilt @ intervertebral_matrix().T], -1)


def angle_statistics(model: ShapeModel, posture: str = "supine") -> tuple[np.ndarray, np.ndarray]:
    """Mean (levels, 2) and covariance (2, levels, levels) of `level_angles` over people. posture: see `prior`."""
    mean, covariance = model.prior(posture)
    pitch, tilt = slice(VECTORS, 2 * VECTORS), slice(2 * VECTORS, None)
    T = intervertebral_matrix()
    return level_angles(mean), np.stack([T @ covariance[part, part] @ T.T for part in (pitch, tilt)])


def standing_shift() -> dict[str, float]:
    """{level: rad, extension positive}, L5-S1 to T12-L1: what standing up adds to the curve of people lying.

    `STANDING` in proportion to the joints' ranges of motion, as `movement` has it.
    """
    lumbar = REGIONS[-1]
    ranges = np.array(FLEXION[lumbar], float)
    names = [f"{LEVELS[k]}-{LEVELS[k + 1]}" for k in range(lumbar.start, lumbar.stop)]
    return dict(zip(names, (STANDING * ranges / ranges.sum()).tolist(), strict=True))
