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
from typing import NamedTuple

import numpy as np
import scipy

from simspine.core.arrays import require_numbers
from simspine.core.errors import InputError, naming_content, require_known
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


# The most likely shape and pose of a chain of vertebrae, for many problems at once.
# A point observed is
#
#     y_k = t + R x_k(z) + e_k,    z ~ N(μ, P),    e_k ~ N(0, C_k)
#
# with an unknown translation t, and a rotation R that is unknown or Gaussian about a given one. Linearised in the
# trunk's frame, with translation and turns as fixed effects β (universal kriging; Rasmussen & Williams 2006, 2.7):
#
#     r = A β + ε,    ε ~ N(0, S),    S = J P Jᵀ + RᵀCR
#
# A search damps these steps as Levenberg and Marquardt do, since only the prior distinguishes leaning the trunk from
# bending the spine back, and there the linearised problem alone may swing between two states.
MIN_ORIENTATION_SD_RAD = 1e-5  # rad: used in place of 0; it moves a point half a metre away by 5 µm


class OrientationTerm(NamedTuple):
    """A prior expanded in turns β about B rotations: wᵀ Λ w ≈ cost + βᵀ (2 gradient + precision β)."""

    cost: np.ndarray
    gradient: np.ndarray
    precision: np.ndarray


@dataclass(frozen=True)
class OrientationPrior:
    """Prior on the orientations R of B trunks: log(R₀ᵀ R) = w ~ exp(−½ wᵀ Λ w).

    rotation: (B, 3, 3) R₀, trunk (x forward, y up, z right) → frame of the points. precision: (B, 3, 3) Λ, 1/rad². The
    density is with respect to Haar's measure, so with Λ = 0 all rotations are equally likely.
    """

    rotation: np.ndarray
    precision: np.ndarray

    def __getitem__(self, frames) -> "OrientationPrior":
        return OrientationPrior(self.rotation[frames], self.precision[frames])

    def turned_from(self, R: np.ndarray) -> np.ndarray:
        """w (B, 3) of rotations R (B, 3, 3)."""
        return scipy.spatial.transform.Rotation.from_matrix(self.rotation.swapaxes(-1, -2) @ R).as_rotvec()

    def cost(self, R: np.ndarray) -> np.ndarray:
        """wᵀ Λ w (B,) of rotations R (B, 3, 3)."""
        w = self.turned_from(R)
        return np.einsum("bi,bij,bj->b", w, self.precision, w)

    def term(self, R: np.ndarray) -> OrientationTerm:
        """The prior for R exp(β): w(β) ≈ w + U β with the inverse right Jacobian U (Solà et al. 2018)."""
        w = self.turned_from(R)
        U = inverse_right_jacobians(w)
        pull = (self.precision @ w[..., None])[..., 0]
        gradient = np.einsum("bij,bi->bj", U, pull)
        return OrientationTerm((w * pull).sum(1), gradient, U.swapaxes(-1, -2) @ self.precision @ U)


def orientation_prior(orientation, sd, frames: int) -> OrientationPrior | None:
    """The prior of `complete_spine`'s arguments, checked; None where nothing is assumed.

    orientation: (3, 3) or (frames, 3, 3). sd: rad, scalar, (3,) or (frames, 3), from 0 to infinite.
    """
    if orientation is None:
        if sd is not None:
            raise InputError("orientation_sd without orientation: give the rotation that it is about, or neither.")
        return None
    if sd is None:
        raise InputError("orientation without orientation_sd: say how well it is known, in rad (0 = exactly).")
    R, sd = require_numbers("orientation", orientation), require_numbers("orientation_sd", sd)
    if R.shape not in ((3, 3), (frames, 3, 3)):
        raise InputError(f"orientation has shape {R.shape}; expected (3, 3) or ({frames}, 3, 3).")
    if sd.shape not in ((), (3,), (frames, 3)):
        raise InputError(f"orientation_sd has shape {sd.shape}; expected a number, (3,) or ({frames}, 3), in rad.")
    if not (sd >= 0).all():
        least = sd[sd < 0].min(initial=np.nan if np.isnan(sd).any() else 0.0)
        raise InputError(f"orientation_sd is {least:g} in places; expected standard deviations in rad, 0 or more.")
    off = np.abs(R @ R.swapaxes(-1, -2) - np.eye(3)).max()
    if not off < 1e-4 or (np.linalg.det(R) < 0).any():
        raise InputError(
            f"orientation is not a rotation matrix (R Rᵀ is {off:.2g} from 1{', a mirror' if off < 1e-4 else ''}): its "
            "columns are the trunk's forward, up and right in the frame of the points."
        )
    if np.isinf(sd).all():
        return None
    precision = np.broadcast_to(np.maximum(sd, MIN_ORIENTATION_SD_RAD) ** -2.0, (frames, 3))
    return OrientationPrior(np.broadcast_to(R, (frames, 3, 3)), precision[..., None] * np.eye(3))


def inverse_right_jacobians(w: np.ndarray) -> np.ndarray:
    """J_r⁻¹ (…, 3, 3): log(exp(w) exp(δ)) ≈ w + J_r⁻¹(w) δ."""
    angle = np.linalg.norm(w, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(angle < 1e-4, 1 / 12, 1 / angle**2 - 1 / (2 * angle * np.tan(angle / 2)))
    k = cross_product_matrix(w)
    return np.eye(3) + 0.5 * k + share[..., None, None] * (k @ k)


def cross_product_matrix(v: np.ndarray) -> np.ndarray:
    """Matrices (…, 3, 3) of the cross product with v (…, 3) from the left."""
    k = np.zeros((*v.shape[:-1], 3, 3))
    k[..., 0, 1], k[..., 0, 2], k[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    return k - k.swapaxes(-1, -2)


@dataclass(frozen=True)
class SeenPoints:
    """Points of B problems: y (B, m, 3) m, covariance (B, m, 3, 3) m², and priors of the trunks' orientations."""

    y: np.ndarray
    covariance: np.ndarray
    priors: tuple[OrientationPrior, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, frames) -> "SeenPoints":
        return SeenPoints(self.y[frames], self.covariance[frames], tuple(prior[frames] for prior in self.priors))


DAMPED_TURN_RAD = 1.0  # rad: turn that is damped as much as one standard deviation of the shape
MIN_TURN_PRECISION = 1e-6  # 1/rad²: keeps equations solvable where points, such as two, do not show a turn


class LinearisedChain(NamedTuple):
    """B problems, linearised; symbols as above. PJ: P Jᵀ (B, 3(n − 1), 3m). A: (B, 3m, 6). S: (B,
    3m, 3m). r: (B, 3m). mean: (B, 3(n − 1)), about which the shape is Gaussian. orientation: terms of the priors of R.
    """

    PJ: np.ndarray
    A: np.ndarray
    S: np.ndarray
    r: np.ndarray
    mean: np.ndarray
    orientation: tuple[OrientationTerm, ...]

    def whitened(self, *more: np.ndarray) -> np.ndarray:
        """S⁻¹ [A, r, more …]: (B, 3m, 7 and more)."""
        return np.linalg.solve(self.S, np.concatenate([self.A, self.r[..., None], *more], -1))

    def best_effects(self, solved: np.ndarray, damping: np.ndarray | float = 0.0) -> "BestEffects":
        """Translation and turns by generalised least squares. solved: S⁻¹ [A, r]. damping: (B,) of the turns."""
        SA, Sr = solved[..., :6], solved[..., 6]
        information, side = self.A.swapaxes(-1, -2) @ SA, (self.A.swapaxes(-1, -2) @ Sr[..., None])[..., 0]
        information[:, 3:, 3:] += MIN_TURN_PRECISION * np.eye(3)
        for term in self.orientation:
            information[:, 3:, 3:] += term.precision
            side[:, 3:] -= term.gradient
        turn = np.arange(3, 6)
        information[:, turn, turn] += np.reshape(damping, (-1, 1)) / DAMPED_TURN_RAD**2
        effects = np.linalg.solve(information, side[..., None])[..., 0]
        residual = Sr - (SA @ effects[..., None])[..., 0]
        return BestEffects(effects, information, residual)

    def log_evidence(self, best: "BestEffects") -> np.ndarray:
        """Log evidence (B,) of the points by Laplace's method, up to a constant."""
        misfit = ((self.r - (self.A @ best.effects[..., None])[..., 0]) * best.residual).sum(1)
        turns = best.effects[:, 3:]
        for term in self.orientation:
            further = 2 * term.gradient + (term.precision @ turns[..., None])[..., 0]
            misfit += term.cost + (turns * further).sum(1)
        return -0.5 * (misfit + np.linalg.slogdet(self.S)[1] + np.linalg.slogdet(best.information)[1])


class BestEffects(NamedTuple):
    """effects: β (B, 6), translation and turns. information: of them (B, 6, 6). residual: S⁻¹ (r − A β) (B, 3m)."""

    effects: np.ndarray
    information: np.ndarray
    residual: np.ndarray


class ObservedChain:
    """mean (3(n − 1),), cov: of the shape. levels: (m,) indices of the centres seen. mix: see `complete_centres`."""

    def __init__(self, mean: np.ndarray, cov: np.ndarray, levels: np.ndarray, mix: np.ndarray | None = None):
        self.mean, self.cov, self.levels, self.mix = mean, cov, levels, mix
        self.precision = np.linalg.inv(cov)
        self.typical = self.points(mean[None])[0]
        self.centre = self.typical.mean(0)

    def points(self, z: np.ndarray) -> np.ndarray:
        """The points (B, m, 3) of shapes z (B, 3(n − 1)), the chain's first centre at the origin."""
        return self._points_of(chain_positions(z))

    def _points_of(self, centres: np.ndarray) -> np.ndarray:
        x = centres[:, self.levels]
        return x if self.mix is None else (x.reshape(len(x), -1) @ self.mix.T).reshape(len(x), -1, 3)

    def effects(self, x: np.ndarray) -> np.ndarray:
        """Derivatives (B, 3k, 6) of centres (B, k, 3) by translation and turns about the trunk's axes."""
        A = np.zeros((*x.shape, 6))
        A[..., :3] = np.eye(3)
        A[..., 3:] = cross_product_matrix(self.centre - x)
        return A.reshape(len(x), -1, 6)

    def linearised(self, seen: SeenPoints, z: np.ndarray, R: np.ndarray, damping: np.ndarray) -> LinearisedChain:
        """The problems at shapes z and rotations R. z, damping: one for each problem, or a single one for all.
        damping: (B,), precision that holds the shape at z, as a share of its prior's."""
        D = chain_derivatives(z)
        points = self._points_of(centres_from_vectors(D[:, 0]))
        B, m = len(R), points.shape[1]
        J = chain_jacobian(D, self.levels).reshape(len(z), 3 * len(self.levels), -1)
        if self.mix is not None:
            J = self.mix @ J
        PJ = (J.reshape(-1, J.shape[-1]) @ self.cov).reshape(J.shape).swapaxes(-1, -2) / (1 + damping[:, None, None])
        S = np.empty((B, m, 3, m, 3))
        S[:] = (J @ PJ).reshape(-1, m, 3, m, 3)
        k = np.arange(m)
        S[:, k, :, k, :] += (R.swapaxes(-1, -2)[:, None] @ seen.covariance @ R[:, None]).swapaxes(0, 1)
        mean = z + (self.mean - z) / (1 + damping[:, None])
        r = (seen.y @ R - points).reshape(B, -1) - (J @ (mean - z)[..., None])[..., 0]
        terms = tuple(prior.term(R) for prior in seen.priors)
        A = np.broadcast_to(self.effects(points), (B, 3 * m, 6))
        return LinearisedChain(PJ, A, S.reshape(B, 3 * m, 3 * m), r, mean=mean, orientation=terms)

    def step(self, problem: LinearisedChain, damping: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best turns (B, 3) rad, damped, and shapes (B, 3(n − 1)) of the linearised problems."""
        best = problem.best_effects(problem.whitened(), damping)
        return best.effects[:, 3:], problem.mean + (problem.PJ @ best.residual[..., None])[..., 0]

    def cost(self, seen: SeenPoints, z: np.ndarray, R: np.ndarray) -> np.ndarray:
        """Half the squared distance (B,) of z and R from priors and points, at the best translation."""
        weight = np.linalg.inv(seen.covariance)
        e = seen.y - self.points(z) @ R.swapaxes(-1, -2)
        we = (weight @ e[..., None])[..., 0]
        shift = np.linalg.solve(weight.sum(1), we.sum(1)[..., None])[..., 0]
        d = z - self.mean
        total = ((d @ self.precision) * d).sum(1) + (we * e).sum((1, 2)) - (we.sum(1) * shift).sum(1)
        return 0.5 * (total + sum(prior.cost(R) for prior in seen.priors))


MAX_MODE_ITERATIONS = 200
MODE_CONVERGED_STEP = 1e-6  # rad, log length: converged
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-2, 1e-4, 1e6  # shares of the prior's precision
DAMPING_FACTOR = 4.0
MAX_TURN_RAD = 0.5  # rad: largest turn of one step
COST_ROUNDING_SHARE = 1e-9  # of the cost


class ShapeModes(NamedTuple):
    """Solutions of B problems: shapes z (B, 3(n − 1)), rotations R (B, 3, 3), costs (B,), converged (B,) bool."""

    z: np.ndarray
    R: np.ndarray
    cost: np.ndarray
    converged: np.ndarray


def find_modes(
    chain: ObservedChain,
    seen: SeenPoints,
    R: np.ndarray,
    z: np.ndarray | None = None,
    *,
    tolerance: float = MODE_CONVERGED_STEP,
) -> ShapeModes:
    """The most likely shapes and poses, from rotations R (B, 3, 3) and shapes z, by default the typical one.

    seen: points about their mean. A search ends at a step below `tolerance` (rad, log length).
    """
    z = np.repeat(chain.mean[None], len(seen), 0) if z is None else z.copy()
    modes = ShapeModes(z, R.copy(), cost=chain.cost(seen, z, R), converged=np.zeros(len(seen), bool))
    damping, previous = np.full(len(seen), FIRST_DAMPING), np.zeros((len(seen), 3 + z.shape[1]))
    left = np.arange(len(seen))
    for _ in range(MAX_MODE_ITERATIONS):
        held = damping[left]
        turns, shape = chain.step(chain.linearised(seen[left], modes.z[left], modes.R[left], held), held)
        moves = np.concatenate([turns, shape - modes.z[left]], 1)
        size = np.abs(moves).max(1)
        moves *= np.minimum(1.0, MAX_TURN_RAD / np.maximum(np.linalg.norm(turns, axis=1), 1e-12))[:, None]
        lower = _take_lower(chain, seen, modes, left=left, moves=moves)
        good = lower & ((moves * previous[left]).sum(1) >= 0)  # a move against the previous one was too long
        previous[left[lower]] = moves[lower]
        damping[left] = np.clip(held * np.where(good, 1 / DAMPING_FACTOR, DAMPING_FACTOR), LEAST_DAMPING, MOST_DAMPING)
        done = lower & (size * (1 + held) < tolerance)
        modes.converged[left[done]] = True
        left = left[~done & (held < MOST_DAMPING)]
        if not len(left):
            break
    return modes


def _take_lower(
    chain: ObservedChain, seen: SeenPoints, modes: ShapeModes, left: np.ndarray, moves: np.ndarray
) -> np.ndarray:
    """Move those of the searches `left` whose cost does not rise by `moves` (turns, shape); (left,) bool, which."""
    turns = scipy.spatial.transform.Rotation.from_rotvec(moves[:, :3]).as_matrix()
    z, R = modes.z[left] + moves[:, 3:], modes.R[left] @ turns
    cost = chain.cost(seen[left], z, R)
    lower = cost <= modes.cost[left] + COST_ROUNDING_SHARE * (1 + modes.cost[left])
    taken = left[lower]
    modes.z[taken], modes.R[taken], modes.cost[taken] = z[lower], R[lower], cost[lower]
    return lower
