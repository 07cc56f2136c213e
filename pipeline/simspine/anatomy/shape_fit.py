"""The most likely shape and pose of a chain of vertebrae, for many problems at once, with the spin free or fixed.

Sought are x = (turns β, shape z), the pose being R₀ exp(Tᵀβ) with the translation that is best, where half the squared
distance from prior, points and orientation (`ObservedChain.cost`) is least. β are turns about two axes T for a fixed
spin, or three: in these coordinates it does not depend on the way there what is found.

Each step is Gauss–Newton's, a generalised least-squares problem. On its own it may end in a swing between two states:
only the prior distinguishes leaning the trunk from bending the spine back, and there the curvature that Gauss–Newton
leaves out can be larger than what it has. So the step is improved by those before (Anderson's acceleration, which finds
the few directions with another curvature; Walker & Ni 2011) and no step is taken that does not lower the cost:
where the improved one fails, Gauss–Newton's own, then halves of it, as the gradient points downhill.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy

from simspine.anatomy.shape_model import chain_derivatives, chain_jacobian, chain_positions, parameters_from_vectors
from simspine.core.arrays import require_numbers
from simspine.core.errors import InputError

# What is assumed about the orientation of the trunk, as a Gaussian over rotations.
#     log(R₀ᵀ R) = w ~ exp(−½ wᵀ Λ w),  |w| ≤ π        density with respect to Haar's measure, w about the trunk's axes
# With Λ = 0 all rotations are equally likely, and no axis needs a prior for another to have one. A solver that is
# at R and may turn it about some axes, R exp(Tᵀ β), has it as a prior on β,
#     w(β) ≈ w + U β,  U = J_r⁻¹(w) Tᵀ        (J_r: right Jacobian of SO(3); Solà et al. 2018, A micro Lie theory)


NARROW_PRIOR_SD_RAD = 0.2  # rad: with less about each axis the prior itself is a start, and leaves no room for rivals
MIN_ORIENTATION_SD_RAD = 1e-5  # rad: stands for 0; half a metre away it moves a point by 5 µm


class Pull(NamedTuple):
    """A prior from rotations (…,) that are free to turn about k axes."""

    precision: np.ndarray  # (…, k, k)
    gradient: np.ndarray  # (…, k) of half the cost
    cost: np.ndarray  # (…,) wᵀ Λ w where the rotation is

    def cost_after(self, beta: np.ndarray) -> np.ndarray:
        """(w + U β)ᵀ Λ (w + U β) (…,) of turns β (…, k)."""
        slope = 2 * self.gradient + np.einsum("...ij,...j->...i", self.precision, beta)
        return self.cost + np.einsum("...i,...i->...", beta, slope)


@dataclass(frozen=True)
class OrientationPrior:
    """rotation (B, 3, 3): trunk (x forward, y up, z right) → frame of the points. precision: (B, 3), 1/rad²."""

    rotation: np.ndarray
    precision: np.ndarray

    def __getitem__(self, frames) -> "OrientationPrior":
        return OrientationPrior(self.rotation[frames], self.precision[frames])

    @property
    def sharp(self) -> bool:
        """Does it leave no axis of any frame free to turn far?"""
        return bool((self.precision > NARROW_PRIOR_SD_RAD**-2).all())

    def repeated(self, times: int) -> "OrientationPrior":
        return OrientationPrior(np.repeat(self.rotation, times, 0), np.repeat(self.precision, times, 0))

    def cost(self, R: np.ndarray) -> np.ndarray:
        """wᵀ Λ w (B,) of rotations R (B, 3, 3)."""
        return (self.precision * rotation_vectors(self.rotation.swapaxes(-1, -2) @ R) ** 2).sum(-1)

    def at(self, R: np.ndarray, turns: np.ndarray) -> Pull:
        """The prior from R (B, …, 3, 3), free to turn about the axes in the rows of turns (B or 1, k, 3)."""
        between = (slice(None), *[None] * (R.ndim - 3))
        w = rotation_vectors(self.rotation.swapaxes(-1, -2)[between] @ R)
        U = _inverse_right_jacobians(w) @ turns.swapaxes(-1, -2)[between]
        pull = self.precision[between] * w
        precision = U.swapaxes(-1, -2) @ (self.precision[between][..., None] * U)
        return Pull(precision, np.einsum("...ij,...i->...j", U, pull), (pull * w).sum(-1))


def prior_of(prior: OrientationPrior | None, frames) -> OrientationPrior | None:
    return None if prior is None else prior[frames]


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
        raise InputError(f"orientation_sd is {sd.tolist() if sd.ndim < 2 else 'not'} ≥ 0 in all entries, as needed.")
    off = np.abs(R @ R.swapaxes(-1, -2) - np.eye(3)).max()
    if not off < 1e-4 or (np.linalg.det(R) < 0).any():
        raise InputError(
            f"orientation is not a rotation matrix (R Rᵀ is {off:.2g} from 1{', a mirror' if off < 1e-4 else ''}): its "
            "columns are the trunk's forward, up and right in the frame of the points."
        )
    if np.isinf(sd).all():
        return None
    precision = np.broadcast_to(np.maximum(sd, MIN_ORIENTATION_SD_RAD) ** -2.0, (frames, 3))
    return OrientationPrior(np.broadcast_to(R, (frames, 3, 3)), precision)


def rotation_vectors(R: np.ndarray) -> np.ndarray:
    """Matrices (…, 3, 3) → rotation vectors (…, 3), angles 0…π; ten times as fast as SciPy's, which solvers notice."""
    v = np.stack([R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], -1) / 2
    sine, cosine = np.linalg.norm(v, axis=-1), (np.trace(R, axis1=-2, axis2=-1) - 1) / 2
    angle = np.arctan2(sine, cosine)
    w = v * (angle / np.maximum(sine, 1e-300))[..., None]
    small = (sine < 1e-5) & (cosine > 0)
    w[small] = v[small]
    half = (sine < 1e-5) & (cosine < 0)  # near half a turn v vanishes, but (R + I) / 2 is the axis times itself
    for i in zip(*np.nonzero(half), strict=True) if R.ndim > 2 else [()] * int(half):
        square = (R[i] + np.eye(3)) / 2
        k = np.diag(square).argmax()
        axis = square[k] / np.sqrt(square[k, k])
        w[i] = angle[i] * axis * (-1.0 if axis @ v[i] < 0 else 1.0)
    return w


def _inverse_right_jacobians(w: np.ndarray) -> np.ndarray:
    """J_r⁻¹ (…, 3, 3): log(exp(w) exp(δ)) ≈ w + J_r⁻¹(w) δ."""
    angle = np.linalg.norm(w, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(angle < 1e-4, 1 / 12, 1 / angle**2 - 1 / (2 * angle * np.tan(angle / 2)))
    k = cross_product_matrix(w)
    return np.eye(3) + 0.5 * k + share[..., None, None] * (k @ k)


def right_jacobians(w: np.ndarray) -> np.ndarray:
    """J_r (…, 3, 3): exp(w + δ) ≈ exp(w) exp(J_r(w) δ)."""
    angle = np.linalg.norm(w, axis=-1)[..., None, None]
    k = cross_product_matrix(w)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(angle < 1e-3, 1 / 6, (1 - np.sinc(angle / np.pi)) / angle**2)
    return np.eye(3) - 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * k + share * (k @ k)


def cross_product_matrix(v: np.ndarray) -> np.ndarray:
    """Matrices (…, 3, 3) of the cross product with v (…, 3) from the left."""
    k = np.zeros((*v.shape[:-1], 3, 3))
    k[..., 0, 1], k[..., 0, 2], k[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    return k - k.swapaxes(-1, -2)


def rotation_matrices(v: np.ndarray) -> np.ndarray:
    """Rotation vectors (n, 3) → matrices."""
    return scipy.spatial.transform.Rotation.from_rotvec(v).as_matrix()


# Points observed of a chain, and the generalised least-squares problem they make of its shape and pose.
# A point observed is  y_k = t + R x_k(z) + e_k,  z ~ N(μ, P),  e_k ~ N(0, C_k). Linearised, in the trunk's frame,
# with translation and turns as fixed effects β (universal kriging; Rasmussen & Williams 2006, sec. 2.7):
#     r = A β + ε,   ε ~ N(0, S),   S = J P Jᵀ + RᵀCR


ROTATION_DAMPING = 0.1  # 1/rad²


class ObservedChain:
    """mean (3(n − 1),), cov: prior of the shape. levels: indices (m,) of the centres observed. mix: see `complete`."""

    def __init__(self, mean: np.ndarray, cov: np.ndarray, levels: np.ndarray, mix: np.ndarray | None = None):
        self.mean, self.cov, self.levels, self.mix = mean, cov, levels, mix
        self.precision = np.linalg.inv(cov)
        self.typical = self.points(mean[None])[0]
        self.centre = self.typical.mean(0)

    def points(self, z: np.ndarray) -> np.ndarray:
        """The points (B, m, 3) of shapes z (B, 3(n − 1)), the chain's first centre at the origin."""
        return self._of(chain_positions(z))

    def _of(self, centres):
        x = centres[:, self.levels]
        return x if self.mix is None else (x.reshape(len(x), -1) @ self.mix.T).reshape(len(x), -1, 3)

    def axes(self, z: np.ndarray) -> np.ndarray:
        """Axes (B, 3, 3) of turns in the rows: two tilts, and the spin about the line nearest to the points seen."""
        points = self.points(z)
        return np.linalg.svd(points - points.mean(1, keepdims=True))[2][:, [1, 2, 0]]

    def linear(self, z, axes):
        """Jacobian in z (B, 3m, 3(n − 1)), effects of translation and turns (B, 3m, 5 or 6), points (B, 3m)."""
        D = chain_derivatives(z)
        x = self._of(parameters_from_vectors(D[:, 0]))
        J = chain_jacobian(D, self.levels).reshape(len(z), 3 * len(self.levels), -1)
        if self.mix is not None:
            J = self.mix @ J
        return J, self.effects(x, axes), x.reshape(len(z), -1)

    def effects(self, x, axes):
        """What translation and turns about axes in rows (B, 2 or 3, 3) do to centres (B, k, 3): (B, 3k, 5 or 6)."""
        A = np.zeros((*x.shape, 3 + axes.shape[1]))
        A[..., :3] = np.eye(3)
        A[..., 3:] = cross_product_matrix(self.centre - x) @ axes.swapaxes(-1, -2)[:, None]
        return A.reshape(len(x), -1, A.shape[-1])

    def system(self, y, C, z, R, axes):
        """P Jᵀ (B, 3(n − 1), 3m), A, S and r at shapes z and rotations R, free to turn about the axes."""
        J, A, p = self.linear(z, axes)
        B, m = y.shape[:2]
        JP = (J.reshape(B * 3 * m, -1) @ self.cov).reshape(J.shape)  # one large product is faster than B small ones
        PJ = JP.swapaxes(-1, -2)
        S = (J @ PJ).reshape(B, m, 3, m, 3)
        k = np.arange(m)
        S[:, k, :, k, :] += (R.swapaxes(-1, -2)[:, None] @ C @ R[:, None]).swapaxes(0, 1)
        S = S.reshape(B, 3 * m, 3 * m)
        r = (y @ R).reshape(B, -1) - p - (J @ (self.mean - z)[..., None])[..., 0]
        return PJ, A, S, r

    def cost(self, y, weight, z, R, prior: OrientationPrior | None):
        """Half the squared distance (B,) of z and R from prior and points, best moved. weight: C⁻¹ (B, m, 3, 3)."""
        e = y - self.points(z) @ R.swapaxes(-1, -2)
        we = (weight @ e[..., None])[..., 0]
        shift = np.linalg.solve(weight.sum(1), we.sum(1)[..., None])[..., 0]
        d = z - self.mean
        total = ((d @ self.precision) * d).sum(1) + (we * e).sum((1, 2)) - (we.sum(1) * shift).sum(1)
        return 0.5 * (total if prior is None else total + prior.cost(R))


def generalised_least_squares(A, SA, Sr, pull: Pull | None):
    """Information (B, k, k) of translation and turns, and their best values (B, k).

    The spin's entry of Aᵀ S⁻¹ A is damped: two points do not show the spin. No influence on where the steps end.
    """
    G, u = A.swapaxes(-1, -2) @ SA, (A.swapaxes(-1, -2) @ Sr[..., None])[..., 0]
    if G.shape[-1] == 6:
        G[:, 5, 5] += ROTATION_DAMPING
    if pull is not None:
        G[:, 3:, 3:] += pull.precision
        u[:, 3:] -= pull.gradient
    return G, np.linalg.solve(G, u[..., None])[..., 0]


MAX_MODE_ITERATIONS = 100
MODE_CONVERGED_STEP = 1e-6  # rad, log length: converged
ACCELERATION_MEMORY_STEPS = 4  # steps
MAX_TURN_RAD = 0.5  # rad: largest turn of one step
SUFFICIENT_DECREASE_SHARE = 1e-4  # share of the decrease promised that a step must keep
COST_ROUNDING_SHARE = 1e-9  # of the cost
MAX_STEP_HALVINGS = 12
MIN_PROMISED_COST_SHARE = 0.01  # of the cost: what another start must promise


@dataclass(frozen=True)
class StoppingRule:
    """When a search ends: at a last step below `tolerance` (rad, log length), and already below `unsure_tolerance`
    where the spin's standard deviation is above `unsure_sd` (rad).
    """

    tolerance: float = MODE_CONVERGED_STEP
    unsure_sd: float = np.inf
    unsure_tolerance: float = 0.0


@dataclass(frozen=True)
class ShapeModes:
    """Solutions of B problems: z (B, 3(n − 1)), R (B, 3, 3), β (B, 2 or 3), cost (B,), log evidence (B,), standard
    deviation of the spin (B,) rad (nan where it was fixed), converged (B,), axes of the turns that R is free to make
    (B, 2 or 3, 3).
    """

    z: np.ndarray
    R: np.ndarray
    beta: np.ndarray
    cost: np.ndarray
    evidence: np.ndarray
    spin_sd: np.ndarray
    converged: np.ndarray
    axes: np.ndarray

    @classmethod
    def empty(cls, problems: int, turns: int, shape: int) -> "ShapeModes":
        columns = {"z": (shape,), "R": (3, 3), "beta": (turns,), "cost": (), "evidence": (), "spin_sd": ()}
        arrays = {name: np.empty((problems, *size)) for name, size in columns.items()}
        return cls(**arrays, converged=np.zeros(problems, bool), axes=np.empty((problems, turns, 3)))

    def __getitem__(self, some) -> "ShapeModes":
        return ShapeModes(*(value[some] for value in vars(self).values()))

    def put(self, some, others: "ShapeModes") -> None:
        """Replaces some problems' solutions."""
        for mine, theirs in zip(vars(self).values(), vars(others).values(), strict=True):
            mine[some] = theirs


class GaussNewtonStep(NamedTuple):
    """change (B, k + 3(n − 1)) of turns and shape, misfit (B,) after it, covariance of the points, information of
    translation and turns, axes of the turns that are free where the search stands, sd (B,) of the spin, rad.
    """

    change: np.ndarray
    misfit: np.ndarray
    covariance: np.ndarray
    information: np.ndarray
    free: np.ndarray
    spin_sd: np.ndarray


class ModeSearch:
    """B searches at once, without those that have ended; `at` is the number of each that goes on.

    x (B, k + 3(n − 1)): turns β about `axes` (k, 3) from R (B, 3, 3), then the shape z. y: (B, m, 3) m, C: m².
    """

    def __init__(
        self,
        chain: ObservedChain,
        y: np.ndarray,
        C: np.ndarray,
        R: np.ndarray,
        prior: OrientationPrior | None,
        free_spin: bool,
    ):
        self.chain, self.C, self.R, self.prior = chain, C, R, prior
        self.turns = 2 + free_spin
        self.axes = chain.axes(chain.mean[None])[0, : self.turns]
        self.at = np.arange(len(y))
        self.y = y - y.mean(1, keepdims=True)  # far from the origin digits would be lost
        self.weight = np.linalg.inv(C)
        self.x = np.repeat(np.concatenate([np.zeros(self.turns), chain.mean])[None], len(y), 0)
        # changes of x, and of the steps, from one round to the next
        self.past = np.zeros((2, len(y), ACCELERATION_MEMORY_STEPS, self.x.shape[1]))
        self.before: np.ndarray | None = None
        self.cost = np.empty(len(y))

    def rotations(self, x, some=slice(None)):
        return self.R[some] @ rotation_matrices(x[:, : self.turns] @ self.axes)

    def cost_of(self, x, some=slice(None)) -> np.ndarray:
        """Half the squared distances of `some` of the searches if they were at x."""
        z, prior = x[:, self.turns :], prior_of(self.prior, some)
        return self.chain.cost(self.y[some], self.weight[some], z, R=self.rotations(x, some), prior=prior)

    def gauss_newton(self) -> GaussNewtonStep:
        k, z = self.turns, self.x[:, self.turns :]
        here = self.rotations(self.x)
        free = self.axes @ right_jacobians(self.x[:, :k] @ self.axes).swapaxes(-1, -2)
        PJ, A, S, r = self.chain.system(self.y, self.C, z, R=here, axes=free)
        both = np.linalg.solve(S, np.concatenate([A, r[..., None]], -1))
        pull = None if self.prior is None else self.prior.at(here, free)
        G, effects = generalised_least_squares(A, both[..., :-1], both[..., -1], pull)
        residual = both[..., -1] - (both[..., :-1] @ effects[..., None])[..., 0]  # S⁻¹ (r − A β)
        change = np.concatenate([effects[:, 3:], self.chain.mean + (PJ @ residual[..., None])[..., 0] - z], 1)
        misfit = ((r - (A @ effects[..., None])[..., 0]) * residual).sum(1)
        if pull is not None:
            misfit += pull.cost_after(effects[:, 3:])
        spin_sd = np.full(len(z), np.nan)
        if k == 3:
            row = (self.axes[2] @ free.swapaxes(-1, -2))[:, None]  # turns about the spin's own axis
            spin_sd = np.sqrt((row @ np.linalg.inv(G)[:, 3:, 3:] @ row.swapaxes(-1, -2))[:, 0, 0])
        return GaussNewtonStep(change=change, misfit=misfit, covariance=S, information=G, free=free, spin_sd=spin_sd)

    def solutions(self, step: GaussNewtonStep, end, converged) -> ShapeModes:
        """Of the searches that end with this step."""
        k, last = self.turns, self.x[end] + step.change[end]
        volume = np.linalg.slogdet(step.covariance[end])[1] + np.linalg.slogdet(step.information[end])[1]
        # of the sphere, which tilts move on
        area = np.abs(np.sinc(np.linalg.norm(self.x[end, :k], axis=1) / np.pi))
        return ShapeModes(
            z=last[:, k:],
            R=self.rotations(last, end),
            beta=last[:, :k],
            cost=self.cost[end],
            evidence=np.log(area) - 0.5 * (step.misfit[end] + volume),
            spin_sd=step.spin_sd[end],
            converged=converged[end],
            axes=step.free[end],
        )

    def advance(self, step: GaussNewtonStep, go) -> None:
        """A step of the searches `go`; the others are left behind."""
        self.at, self.R, self.y, self.C, self.weight = (a[go] for a in (self.at, self.R, self.y, self.C, self.weight))
        self.prior = prior_of(self.prior, go)
        self.past, self.x, change = self.past[:, go], self.x[go], step.change[go]
        promised = (2 * self.cost - step.misfit)[go]
        self.cost, now, first = self.cost[go], np.stack([self.x, change]), change
        if self.before is not None:
            self.past = np.concatenate([self.past[:, :, 1:], (now - self.before[:, go])[:, :, None]], 2)
            first = _accelerated_step(change, self.past)
        self.before = now
        self._line_search(change, first, promised)

    def _line_search(self, step, first, promised) -> None:
        """A step that lowers the cost: `first`, else the largest of step, step / 2, …"""
        start, trial, left, share = self.x.copy(), first, np.arange(len(self.x)), 1.0
        self.x = start.copy()
        limit = self.cost + COST_ROUNDING_SHARE * (1 + self.cost)
        for attempt in range(MAX_STEP_HALVINGS + 2):
            if attempt:
                trial, share = step[left], 0.5 ** (attempt - 1)
            turn = np.linalg.norm(trial[:, : self.turns], axis=1)
            part = share * np.minimum(1.0, MAX_TURN_RAD / np.maximum(turn, 1e-12))
            there = start[left] + part[:, None] * trial
            new = self.cost_of(there, left)
            good = new <= limit[left] - SUFFICIENT_DECREASE_SHARE * part * np.maximum(promised[left], 0)
            self.x[left[good]], self.cost[left[good]] = there[good], new[good]
            left = left[~good]
            if not len(left):
                break


def find_modes(
    chain: ObservedChain,
    y: np.ndarray,
    C: np.ndarray,
    R: np.ndarray,
    prior: OrientationPrior | None = None,
    start: np.ndarray | None = None,
    free_spin: bool = True,
    stopping: StoppingRule = StoppingRule(),
) -> ShapeModes:
    """From rotations R₀ (B, 3, 3) with turns and shapes `start` (B, 2 or 3 + 3(n − 1)), by default no turns and the
    typical shape. y: (B, m, 3) m, C: (B, m, 3, 3) m².

    Evidence: Laplace's with Gauss–Newton's curvature, over translation, tilts (Haar's measure) and shape.
    """
    search = ModeSearch(chain, y, C, R=R, prior=prior, free_spin=free_spin)
    search.x = search.x if start is None else start
    search.cost = search.cost_of(search.x)
    found = ShapeModes.empty(len(y), turns=search.turns, shape=len(chain.mean))
    for round_ in range(MAX_MODE_ITERATIONS):
        step = search.gauss_newton()
        size = np.abs(step.change).max(1)
        done = size < stopping.tolerance
        done |= (step.spin_sd > stopping.unsure_sd) & (size < stopping.unsure_tolerance)
        end = done | (round_ == MAX_MODE_ITERATIONS - 1)
        if end.any():
            found.put(search.at[end], search.solutions(step, end, done))
        if end.all():
            break
        search.advance(step, ~end)
    return found


def modes_on_circle(
    chain: ObservedChain, y: np.ndarray, C: np.ndarray, R: np.ndarray, prior: OrientationPrior | None, tolerance: float
) -> ShapeModes:
    """Modes of B circles of fixed spins R (B, spins, 3, 3), each with one to either side, as B · spins problems.

    One search may end in a minimum that its neighbours have left behind. Where a neighbour's turns and shape, as they
    are, cost less than what was found, the search begins anew from there, until no spin could do better so.
    """
    spins = R.shape[1]
    number = np.arange(len(y) * spins)
    y, C, R = np.repeat(y, spins, 0), np.repeat(C, spins, 0), R.reshape(-1, 3, 3)
    prior = None if prior is None else prior.repeated(spins)
    problems = ModeSearch(chain, y, C, R=R, prior=prior, free_spin=False)
    found = find_modes(chain, y, C, R=R, prior=prior, free_spin=False, stopping=StoppingRule(tolerance))
    news = np.ones(len(number), bool)  # whose neighbours have not been offered it
    for _ in range(spins):
        x = np.concatenate([found.beta, found.z], 1)
        best, start, tried = found.cost - MIN_PROMISED_COST_SHARE, x.copy(), np.zeros(len(number), bool)
        for side in (1, -1):
            neighbour = np.roll(number.reshape(-1, spins), side, 1).ravel()
            some = np.flatnonzero(news[neighbour])
            cost = problems.cost_of(x[neighbour[some]], some)
            some, cost = some[cost < best[some]], cost[cost < best[some]]
            best[some], start[some], tried[some] = cost, x[neighbour[some]], True
        if not tried.any():
            break
        again = find_modes(
            chain,
            y[tried],
            C[tried],
            R=R[tried],
            prior=prior_of(prior, tried),
            start=start[tried],
            free_spin=False,
            stopping=StoppingRule(tolerance),
        )
        found.put(tried, again)
        news = tried
    return found


def _accelerated_step(step, past):
    """The step (B, d) to where a straight line through the steps before would have none. past: (2, B, MEMORY, d)."""
    dX, dF = past
    M = dF @ dF.swapaxes(-1, -2)
    M += (1e-10 * np.trace(M, axis1=1, axis2=2) + 1e-300)[:, None, None] * np.eye(ACCELERATION_MEMORY_STEPS)
    share = np.linalg.solve(M, dF @ step[..., None])
    return step - ((dX + dF).swapaxes(-1, -2) @ share)[..., 0]
