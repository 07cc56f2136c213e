"""The most likely shape and pose, for many problems at once, with the spin free or fixed.

Sought are x = (turns β, shape z), the pose being R₀ exp(Tᵀβ) with the translation that is best, where half the squared
distance from prior, points and orientation (`ObservedChain.cost`) is least. β are turns about two axes T for a fixed
spin, or three: in these coordinates it does not depend on the way there what is found.

Each step is Gauss–Newton's, a generalised least-squares problem. On its own it may end in a swing between two states:
leaning the trunk and bending the spine back is told by the prior alone, and there the curvature that Gauss–Newton
leaves out can be larger than what it has. So the step is improved by those before (Anderson's acceleration, which finds
the few directions with another curvature; Walker & Ni 2011) and no step is taken that does not lower the cost:
where the improved one fails, Gauss–Newton's own, then halves of it, as the gradient points downhill.
"""

from dataclasses import dataclass

import numpy as np

from simspine.spine.shape.observed_chain import ObservedChain, best_effects
from simspine.spine.shape.orientation import OrientationPrior, right_jacobians, rotations

ITERATIONS = 100
STEP = 1e-6  # rad, log length: converged
MEMORY = 4  # steps
TURN = 0.5  # rad: largest turn of one step
DESCENT = 1e-4  # share of the decrease promised that a step must keep
ROUNDING = 1e-9  # of the cost
HALVINGS = 12
WORTH = 0.01  # of the cost: what another start must promise


@dataclass(frozen=True)
class Stopping:
    """When a search ends: at a last step below `tolerance` (rad, log length), and already below `unsure_tolerance`
    where the spin's standard deviation is above `unsure_sd` (rad).
    """

    tolerance: float = STEP
    unsure_sd: float = np.inf
    unsure_tolerance: float = 0.0


@dataclass(frozen=True)
class Modes:
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

    def __getitem__(self, some) -> "Modes":
        return Modes(*(value[some] for value in vars(self).values()))

    def put(self, some, others: "Modes") -> None:
        """Replaces some problems' solutions."""
        for mine, theirs in zip(vars(self).values(), vars(others).values(), strict=True):
            mine[some] = theirs


def modes(
    chain: ObservedChain,
    y: np.ndarray,
    C: np.ndarray,
    R: np.ndarray,
    prior: OrientationPrior | None = None,
    start: np.ndarray | None = None,
    free_spin: bool = True,
    stopping: Stopping = Stopping(),
) -> Modes:
    """From rotations R₀ (B, 3, 3) with turns and shapes `start` (B, 2 or 3 + 3(n − 1)), by default no turns and the
    typical shape. y: (B, m, 3) m, C: (B, m, 3, 3) m².

    Evidence: Laplace's with Gauss–Newton's curvature, over translation, tilts (Haar's measure) and shape.
    """
    y = y - y.mean(1, keepdims=True)  # far from the origin digits would be lost
    B, k, weight, at = len(y), 2 + free_spin, np.linalg.inv(C), np.arange(len(y))
    axes = chain.axes(chain.mean[None])[0, :k]
    x = np.repeat(np.concatenate([np.zeros(k), chain.mean])[None], B, 0) if start is None else start
    found = Modes(
        np.empty((B, x.shape[1] - k)), np.empty((B, 3, 3)), np.empty((B, k)), np.empty(B), np.empty(B), np.empty(B),
        np.zeros(B, bool), np.empty((B, k, 3)),
    )  # fmt: skip
    cost = chain.cost(y, weight, x[:, k:], R @ rotations(x[:, :k] @ axes), prior)
    past = np.zeros((2, B, MEMORY, x.shape[1]))  # changes of x, and of the steps, from one round to the next
    before = None
    for round_ in range(ITERATIONS):
        turned, z = x[:, :k] @ axes, x[:, k:]
        here, free = R @ rotations(turned), axes @ right_jacobians(turned).swapaxes(-1, -2)
        PJ, A, S, r = chain.system(y, C, z, here, free)
        both = np.linalg.solve(S, np.concatenate([A, r[..., None]], -1))
        pull = None if prior is None else prior.at(here, free)
        G, effects = best_effects(A, both[..., :-1], both[..., -1], pull)
        residual = both[..., -1] - (both[..., :-1] @ effects[..., None])[..., 0]  # S⁻¹ (r − A β)
        step = np.concatenate([effects[:, 3:], chain.mean + (PJ @ residual[..., None])[..., 0] - z], 1)
        misfit = ((r - (A @ effects[..., None])[..., 0]) * residual).sum(1)
        if pull is not None:
            misfit += pull.cost_after(effects[:, 3:])
        size = np.abs(step).max(1)
        done = size < stopping.tolerance
        sd = np.full(len(x), np.nan)
        if free_spin:
            row = (axes[2] @ free.swapaxes(-1, -2))[:, None]  # turns about the spin's own axis
            sd = np.sqrt((row @ np.linalg.inv(G)[:, 3:, 3:] @ row.swapaxes(-1, -2))[:, 0, 0])
            done |= (sd > stopping.unsure_sd) & (size < stopping.unsure_tolerance)
        end = done | (round_ == ITERATIONS - 1)
        if end.any():
            last = x[end] + step[end]
            volume = np.linalg.slogdet(S[end])[1] + np.linalg.slogdet(G[end])[1]
            area = np.abs(np.sinc(np.linalg.norm(x[end, :k], axis=1) / np.pi))  # of the sphere, which tilts move on
            evidence = np.log(area) - 0.5 * (misfit[end] + volume)
            there = R[end] @ rotations(last[:, :k] @ axes)
            ended = Modes(last[:, k:], there, last[:, :k], cost[end], evidence, sd[end], done[end], free[end])
            found.put(at[end], ended)
            if end.all():
                break
        go = ~end
        at, R, y, C, weight, past = at[go], R[go], y[go], C[go], weight[go], past[:, go]
        prior = None if prior is None else prior[go]
        x, step, cost, promised = x[go], step[go], cost[go], (2 * cost - misfit)[go]
        if before is not None:
            past = np.concatenate([past[:, :, 1:], (np.stack([x, step]) - before[:, go])[:, :, None]], 2)
        before = np.stack([x, step])

        def cost_at(x, some, R=R, y=y, weight=weight, prior=prior):
            there = R[some] @ rotations(x[:, :k] @ axes)
            return chain.cost(y[some], weight[some], x[:, k:], there, None if prior is None else prior[some])

        first = _accelerated(step, past) if round_ else step
        x, cost = _descended(cost_at, x, cost, step, first, promised, k)
    return found


def circle(
    chain: ObservedChain, y: np.ndarray, C: np.ndarray, R: np.ndarray, prior: OrientationPrior | None, tolerance: float
) -> Modes:
    """Modes of B circles of fixed spins R (B, spins, 3, 3), each with one to either side, as B · spins problems.

    One search may end in a minimum that its neighbours have left behind. Where a neighbour's turns and shape, as they
    are, cost less than what was found, the search begins anew from there, until no spin could do better so.
    """
    B, spins = R.shape[:2]
    y, C, R = np.repeat(y, spins, 0), np.repeat(C, spins, 0), R.reshape(-1, 3, 3)
    prior = None if prior is None else prior.repeated(spins)
    centred, weight = y - y.mean(1, keepdims=True), np.linalg.inv(C)
    axes = chain.axes(chain.mean[None])[0, :2]
    found = modes(chain, y, C, R, prior, free_spin=False, stopping=Stopping(tolerance))
    news = np.ones(B * spins, bool)  # whose neighbours have not been offered it
    for _ in range(spins):
        x = np.concatenate([found.beta, found.z], 1)
        best, start, tried = found.cost - WORTH, x.copy(), np.zeros(B * spins, bool)
        for side in (1, -1):
            neighbour = np.roll(np.arange(B * spins).reshape(B, spins), side, 1).ravel()
            some = np.flatnonzero(news[neighbour])
            theirs = x[neighbour[some]]
            there = R[some] @ rotations(theirs[:, :2] @ axes)
            cost = chain.cost(centred[some], weight[some], theirs[:, 2:], there, None if prior is None else prior[some])
            lower = cost < best[some]
            some, theirs = some[lower], theirs[lower]
            best[some], start[some], tried[some] = cost[lower], theirs, True
        if not tried.any():
            break
        again = modes(
            chain, y[tried], C[tried], R[tried], None if prior is None else prior[tried], start[tried],
            free_spin=False, stopping=Stopping(tolerance),
        )  # fmt: skip
        found.put(tried, again)
        news = tried
    return found


def _accelerated(step, past):
    """The step (B, d) to where a straight line through the steps before would have none. past: (2, B, MEMORY, d)."""
    dX, dF = past
    M = dF @ dF.swapaxes(-1, -2)
    M += (1e-10 * np.trace(M, axis1=1, axis2=2) + 1e-300)[:, None, None] * np.eye(MEMORY)
    share = np.linalg.solve(M, dF @ step[..., None])
    return step - ((dX + dF).swapaxes(-1, -2) @ share)[..., 0]


def _descended(cost_at, x, cost, step, first, promised, k):
    """x (B, d) and cost (B,) after a step that lowers the cost: `first`, else the largest of step, step / 2, …"""
    x, cost, trial, left = x.copy(), cost.copy(), first, np.arange(len(x))
    start, share = x.copy(), 1.0
    limit = cost + ROUNDING * (1 + cost)
    for attempt in range(HALVINGS + 2):
        if attempt:
            trial, share = step[left], 0.5 ** (attempt - 1)
        turn = np.linalg.norm(trial[:, :k], axis=1)
        part = share * np.minimum(1.0, TURN / np.maximum(turn, 1e-12))
        there = start[left] + part[:, None] * trial
        new = cost_at(there, left)
        good = new <= limit[left] - DESCENT * part * np.maximum(promised[left], 0)
        x[left[good]], cost[left[good]] = there[good], new[good]
        left = left[~good]
        if not len(left):
            break
    return x, cost
