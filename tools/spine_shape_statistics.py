"""Learning the shape model's statistics from vertebral centres of many scans, each with some levels missing.

Two steps. (1) A structured covariance with few parameters, by maximum likelihood: size common to all vectors, a smooth
part along the spine, independent parts, and the zigzag that an error of the marked centres makes. (2) Expectation
maximisation for mean and full covariance with missing entries (Little & Rubin 2002, ch. 11), with an inverse-Wishart
prior of weight `strength` (in scans) around (1): what the data say often overrules the structure, what they say
seldom does not. Left and right mirror each other, so tilts have mean 0 and no covariance with lengths and pitches.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components

from simspine.anatomy.shape_model import (
    CHAIN_LEVELS,
    CHAIN_VECTOR_COUNT,
    FLEXION_RANGES_DEG,
    REGION_SLICES,
    ShapeModel,
)

EM_STEPS = 60
# rad: how the whole lies in the scanner; what keeps a matrix regular
LEANING, NEARLY_NONE = np.radians(20.0), 1e-4


def vector_names() -> tuple[str, ...]:
    """Names of the vectors between neighbouring vertebrae, from the head down."""
    return tuple(f"{a}-{b}" for a, b in pairwise(CHAIN_LEVELS))


def vector_parameters(points: np.ndarray) -> np.ndarray:
    """Log lengths, pitches and tilts (..., 3 · (n − 1)) of a chain of centres (..., n, 3) in the trunk's frame."""
    b = np.diff(points, axis=-2)
    length = np.linalg.norm(b, axis=-1)
    with np.errstate(invalid="ignore"):
        pitch, tilt = np.arctan2(b[..., 0], -b[..., 1]), np.arcsin(b[..., 2] / length)
    return np.concatenate([np.log(length), pitch, tilt], -1)


def structured(log_sd: np.ndarray, lengths: np.ndarray, tilt: bool) -> np.ndarray:
    """Covariance of log lengths and pitches (2n, 2n), or of tilts (n, n), from logarithms of standard deviations."""
    if tilt:
        return _smooth(log_sd[:4], lengths, log_sd[4])
    n = len(lengths)
    S = np.zeros((2 * n, 2 * n))
    S[:n, :n] = _smooth(log_sd[:4], lengths, log_sd[4])
    S[n:, n:] = _smooth(log_sd[5:9], lengths, log_sd[9])
    return S


def _smooth(p, lengths, log_mark):
    """common² + smooth² exp(−d²/2ℓ²) + independent² I + mark² D Dᵀ. p: logs of common, smooth, ℓ (levels),
    independent.
    """
    common, smooth, scale, independent = np.exp(p)
    i = np.arange(len(lengths))
    d = i[:, None] - i
    D = _zigzag(lengths)
    noise = independent**2 * np.eye(len(i)) + np.exp(2 * log_mark) * D @ D.T
    return common**2 + smooth**2 * np.exp(-0.5 * (d / scale) ** 2) + noise


def _zigzag(lengths: np.ndarray) -> np.ndarray:
    """(n, n + 1) rad/m: by how much errors of the centres across their vectors turn each of these."""
    n = len(lengths)
    return (np.eye(n, n + 1, 1) - np.eye(n, n + 1)) / lengths[:, None]


def log_likelihood(rows: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> float:
    """Gaussian log likelihood of rows (scans, k) with NaN where missing."""
    total = 0.0
    for row in rows:
        o = np.isfinite(row)
        if not o.any():
            continue
        r, S = row[o] - mean[o], cov[np.ix_(o, o)]
        L = np.linalg.cholesky(S)
        u = np.linalg.solve(L, r)
        total -= 0.5 * (u @ u) + np.log(np.diag(L)).sum() + 0.5 * o.sum() * np.log(2 * np.pi)
    return total


def fit_structure(rows: np.ndarray, mean: np.ndarray, lengths: np.ndarray, tilt: bool) -> np.ndarray:
    """The structured covariance of maximum likelihood."""
    angles = np.log([0.1, 0.15, 4.0, 0.03, 0.0005])
    start = angles if tilt else np.concatenate([np.log([0.07, 0.05, 4.0, 0.03, 0.0005]), angles])
    bounds = [(-9.0, 1.0), (-9.0, 1.0), (0.0, 2.5), (-7.0, 0.0), (-9.0, -5.0)] * (1 if tilt else 2)

    def loss(p):
        return -log_likelihood(rows, mean, structured(p, lengths, tilt))

    best = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
    return structured(best.x, lengths, tilt)


def level_angles_and_marks(pitches: np.ndarray, lengths: np.ndarray) -> tuple[float, float]:
    """Standard deviations between people of the angle of one level, rad, and of a centre beside the curve, m.

    pitches: (scans, n) of neighbouring vectors, NaN where missing; lengths: (n,) m. By maximum likelihood of a curve
    whose levels differ independently of each other, and of centres that lie before or behind it, as marked or as grown.
    """
    n = len(lengths)
    mean = np.nanmean(pitches, 0)
    below = np.tril(np.ones((n, n - 1)), -1)  # a vector is turned by all levels on one side of it
    D = _zigzag(lengths)

    def covariance(log_sd):
        level, mark = np.exp(log_sd)
        return LEANING**2 + level**2 * below @ below.T + mark**2 * D @ D.T + NEARLY_NONE**2 * np.eye(n)

    best = minimize(
        lambda p: -log_likelihood(pitches, mean, covariance(p)), np.log([0.06, 0.001]), method="Nelder-Mead"
    )
    level, mark = np.exp(best.x)
    return float(level), float(mark)


def expectation_maximisation(
    rows: np.ndarray, mean: np.ndarray, prior: np.ndarray, strength: float, fixed_mean: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance with missing entries; posterior mode under an inverse-Wishart prior around `prior`."""
    cov = prior.copy()
    rows = rows[np.isfinite(rows).any(1)]
    for _ in range(EM_STEPS):
        filled = np.empty_like(rows)
        extra = np.zeros_like(cov)
        for s, row in enumerate(rows):
            o = np.isfinite(row)
            gain = np.linalg.solve(cov[np.ix_(o, o)], cov[o]).T
            filled[s] = mean + gain @ (row[o] - mean[o])
            extra += cov - gain @ cov[o]
        if not fixed_mean:
            mean = filled.mean(0)
        d = filled - mean
        cov = (d.T @ d + extra + strength * prior) / (len(rows) + strength)
        cov = (cov + cov.T) / 2
    return mean, cov


def learn(rows: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3n,) and covariance (3n, 3n) of log lengths, pitches and tilts from rows (scans, 3n), NaN where missing."""
    n = rows.shape[1] // 3
    mean = np.nanmean(rows, 0)
    mean[2 * n :] = 0.0
    lengths = np.exp(mean[:n])
    cov = np.zeros((3 * n, 3 * n))
    for part, tilt in ((slice(0, 2 * n), False), (slice(2 * n, 3 * n), True)):
        data = rows[:, part]
        base = fit_structure(data, mean[part], lengths, tilt)
        mean[part], cov[part, part] = expectation_maximisation(data, mean[part], base, strength, fixed_mean=tilt)
    return mean, cov


def folds(scans: Sequence[str], count: int) -> list[list[int]]:
    """Indices of scans for each fold: scans that share a number ('verse405_verse258', 'verse258') may be one person's
    and stay together; the groups are dealt out in order of their size and name.
    """
    numbers = [{token for token in scan.split("_") if not token.startswith("CT")} for scan in scans]
    alike = [[bool(a & b) for b in numbers] for a in numbers]
    groups, group_of = connected_components(np.array(alike), directed=False)
    members = [np.flatnonzero(group_of == g).tolist() for g in range(groups)]
    dealt: list[list[int]] = [[] for _ in range(count)]
    for k, group in enumerate(sorted(members, key=lambda g: (-len(g), scans[g[0]]))):
        dealt[k % count].extend(group)
    return dealt


def angle_statistics(model: ShapeModel, posture: str = "supine") -> tuple[np.ndarray, np.ndarray]:
    """Mean (levels, 2) and covariance (2, levels, levels) of `intervertebral_angles` over people. posture: see
    `prior`."""
    mean, covariance = model.prior(posture)
    pitch, tilt = slice(CHAIN_VECTOR_COUNT, 2 * CHAIN_VECTOR_COUNT), slice(2 * CHAIN_VECTOR_COUNT, None)
    T = intervertebral_matrix()
    return intervertebral_angles(mean), np.stack([T @ covariance[part, part] @ T.T for part in (pitch, tilt)])


# Intervertebral angles from the vectors. A vector turns with the mean of its two vertebrae, since the joint is in the
# disc between them; so a vertebra turns with about the mean of its two vectors, and the one on the next by half the
# difference of the vectors on both sides. The ends of the chain go on as straight as the last two vectors. This smooths
# by 1/4, 1/2, 1/4 over the levels: sums over regions hold, a level that differs from its neighbours shows by half. S1
# was not in the scans, and a scan's C1 is not marked in the middle of its ring, so the vectors of both are left out.
INTERVERTEBRAL_LEVEL_NAMES = tuple(
    f"{CHAIN_LEVELS[k]}-{CHAIN_LEVELS[k + 1]}" for k in range(CHAIN_VECTOR_COUNT - 2, 0, -1)
)  # from below: L4-L5 … C2-C3

# Lordosis T12-S1 of 627 people without complaints, standing and lying: 49.8° and 36.8° (Asian Spine J 2019,
# PMC6680033). No such pair is known of the kyphosis, so it is not changed.
STANDING_LORDOSIS_INCREASE_RAD = np.radians(49.8 - 36.8)


@cache
def intervertebral_matrix() -> np.ndarray:
    """(levels, 24): extension of `INTERVERTEBRAL_LEVEL_NAMES` from the pitches of all vectors; from the tilts,
    bending to the left."""
    vectors = np.eye(CHAIN_VECTOR_COUNT)[1:-1]  # C2-C3 … L4-L5
    inner = (vectors[:-1] + vectors[1:]) / 2
    vertebrae = np.vstack([1.5 * vectors[:1] - 0.5 * vectors[1:2], inner, 1.5 * vectors[-1:] - 0.5 * vectors[-2:-1]])
    matrix = (vertebrae[:-1] - vertebrae[1:])[::-1].copy()
    matrix.setflags(write=False)
    return matrix


def intervertebral_angles(z: np.ndarray) -> np.ndarray:
    """(..., levels, 2) rad: extension and bending to the right of each of `INTERVERTEBRAL_LEVEL_NAMES`, from the
    shape (..., 72)."""
    _, pitch, tilt = np.split(np.asarray(z), 3, axis=-1)
    return np.stack([pitch @ intervertebral_matrix().T, -tilt @ intervertebral_matrix().T], -1)


def supine_to_standing_shift() -> dict[str, float]:
    """{level: rad, extension positive}, L5-S1 to T12-L1: what standing up adds to the curve of people lying.

    `STANDING_LORDOSIS_INCREASE_RAD` in proportion to the joints' ranges of motion, as `movement_covariance` has it.
    """
    lumbar = REGION_SLICES[-1]
    ranges = np.array(FLEXION_RANGES_DEG[lumbar], float)
    names = [f"{CHAIN_LEVELS[k]}-{CHAIN_LEVELS[k + 1]}" for k in range(lumbar.start, lumbar.stop)]
    return dict(zip(names, (STANDING_LORDOSIS_INCREASE_RAD * ranges / ranges.sum()).tolist(), strict=True))
