"""Segment sizes and marker places together: which body, in some poses of its own, explains the markers best.

A detector puts its points somewhere near a joint, always off in the same direction. Sizes from distances alone take
that for bone. Here sizes, constant offsets of the markers and the poses of some frames are fitted together, each size
and offset with a belief of its own (the bilevel idea of AddBiomechanics: Werling et al. 2023, PLOS ONE 18:e0295152).
The poses are eliminated: with J the markers' derivative by the coordinates, A by sizes and offsets, the step solves
Σ_t (Aᵀ W A − Aᵀ W J (Jᵀ W J + Λ)⁻¹ Jᵀ W A) + belief, one small system for all frames.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from simspine.body import _opensim
from simspine.body.kernels import markers_and_jacobian
from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.model import Body
from simspine.body.recipes import Recipe
from simspine.body.scaling import ScaleFactors, scale
from simspine.body.tree import scaled_tree
from simspine.errors import InputError
from simspine.ik.assumptions import Prior
from simspine.ik.solve import inverse_kinematics, marker_weights
from simspine.types import Markers, Motion

POSE_SD = 0.5  # rad or m: keeps what no marker sees from absorbing sizes
EPSILON = 1e-3  # of a logarithm of a size, for difference quotients


@dataclass(frozen=True)
class Calibration:
    """Scale factors after the fit, {marker: offset (x, y, z) m in its body's frame, beyond the marker set's}, and the
    weighted root mean square of the marker errors, m, before and after."""

    factors: ScaleFactors
    offsets: dict[str, tuple[float, float, float]]
    rms_before: float
    rms_after: float
    frames: int

    def as_dict(self) -> dict:
        """For a JSON file."""
        return asdict(self)


def calibrate(
    unscaled: Body,
    recipe: Recipe,
    markers: Markers,
    weights: np.ndarray,
    factors: ScaleFactors,
    mass: float | None = None,
    *,
    prior: Prior | None = None,
    frames: int = 25,
    rounds: int = 4,
    factor_sd: float = 0.04,
    offset_sd: float = 0.015,
    marker_sd: float = 0.02,
    bounds: tuple[float, float] = (0.7, 1.4),
) -> tuple[Body, Calibration]:
    """The scaled body that fits the markers best, and how it differs from the one that `factors` give.

    markers: y_up, names all in the body. weights: (frames, markers). frames: how many are used, spread over those that
    show most markers. factor_sd: how far a size may be from the measured one, a share of it; sizes that were only
    assumed, twice that. offset_sd: how far (m) a marker may be from its place in the marker set. Raises `InputError` if
    a factor leaves `bounds`.
    """
    chosen = _spread(markers, weights, frames)
    some = markers.with_(xyz=markers.xyz[chosen], weight=None, covariance=None, filled=None)
    w, names = weights[chosen], list(markers.names)
    measured = np.array([factor.factor for factor in factors.factors])
    assumed = np.array([factor.assumed for factor in factors.factors])
    problem = _Problem(
        unscaled, factors, measured, some, w / marker_sd**2, factor_sd * np.where(assumed, 2.0, 1.0), offset_sd
    )
    # The frames are far apart, so each is a posture of its own, and a belief counts in each.
    prior = Prior(tuple(replace(belief, lasts=0.0) for belief in prior.beliefs)) if prior else None
    change, offsets = np.zeros(len(measured)), np.zeros((len(names), 3))
    best, first = None, None
    for _ in range(rounds + 1):
        body = problem.body(change, offsets)
        result = inverse_kinematics(body, some, w, None, prior, engine="trajectory", uncertainty=False)
        rms = _rms(result.marker_error, w)
        first = rms if first is None else first
        if best is not None and rms >= best[0]:
            break
        best = (rms, change, offsets)
        step = problem.step(body, change, offsets, result.motion)
        change, offsets = change + step[: len(measured)], offsets + step[len(measured) :].reshape(-1, 3)
    rms, change, offsets = best
    sized = _resized(factors, measured * np.exp(change), bounds)
    moved = {name: tuple(float(v) for v in offset) for name, offset in zip(names, offsets, strict=True)}
    scaled = _with_offsets(scale(unscaled, sized, mass, recipe), names, offsets)
    return scaled, Calibration(sized, moved, first, rms, len(chosen))


@dataclass(frozen=True, eq=False)
class _Problem:
    """Sizes and offsets around what was measured. weights: (frames, markers) m⁻². width: (sizes,) sd of log sizes."""

    unscaled: Body
    factors: ScaleFactors
    measured: np.ndarray
    markers: Markers
    weights: np.ndarray
    width: np.ndarray
    offset_sd: float

    def body(self, change: np.ndarray, offsets: np.ndarray) -> Body:
        """The unscaled body with its tree scaled and its fit markers moved; no OpenSim, so its text stays as it was."""
        sizes = self.measured * np.exp(change)
        by_body = {name: size for f, size in zip(self.factors.factors, sizes, strict=True) for name in f.bodies}
        tree = scaled_tree(self.unscaled.tree, np.array([1.0, *(by_body.get(b, 1.0) for b in self.unscaled.bodies)]))
        places = tree.marker_offset.copy()
        places[[self.unscaled.marker_index(name) for name in self.markers.names]] += offsets
        return replace(self.unscaled, marker_offsets=places, tree=tree._replace(marker_offset=places))

    def step(self, body: Body, change: np.ndarray, offsets: np.ndarray, motion: Motion) -> np.ndarray:
        """Change of (log sizes, offsets) that the linearised problem asks for, poses eliminated."""
        names, sizes, count = self.markers.names, len(change), len(offsets)
        now = forward_kinematics(body, motion).select(names).xyz
        larger = [self.body(change + EPSILON * unit, offsets) for unit in np.eye(sizes)]
        by_size = np.stack([forward_kinematics(b, motion).select(names).xyz - now for b in larger], -1) / EPSILON
        poses, index = body_poses(body, motion), [body.marker_index(name) for name in names]
        normal = np.diag(np.concatenate([self.width**-2.0, np.full(3 * count, self.offset_sd**-2.0)]))
        pull = -np.concatenate([change * self.width**-2.0, offsets.ravel() * self.offset_sd**-2.0])
        z = motion.values[:, body.tree.free]
        for t in np.flatnonzero(np.isfinite(z).all(1)):
            A = np.zeros((count, 3, sizes + 3 * count))
            A[:, :, :sizes] = by_size[t]
            for m, i in enumerate(index):
                A[m, :, sizes + 3 * m : sizes + 3 * m + 3] = poses[body.marker_bodies[i]][t, :3, :3]
            J = markers_and_jacobian(body.tree, z[t])[1][index].transpose(0, 2, 1).reshape(3 * count, -1)
            both = np.column_stack([A.reshape(3 * count, -1), np.nan_to_num(self.markers.xyz[t] - now[t]).ravel()])
            W = np.repeat(np.where(self.markers.present[t], self.weights[t], 0.0), 3)
            H = J.T @ (W[:, None] * J) + np.eye(J.shape[1]) / POSE_SD**2
            left = both - J @ np.linalg.solve(H, J.T @ (W[:, None] * both))  # what no pose can do
            share = both[:, :-1].T @ (W[:, None] * left)
            normal += share[:, :-1]
            pull += share[:, -1]
        return np.linalg.solve(normal, pull)


def _resized(factors: ScaleFactors, sizes: np.ndarray, bounds: tuple[float, float]) -> ScaleFactors:
    for factor, size in zip(factors.factors, sizes, strict=True):
        if not bounds[0] <= size <= bounds[1]:
            raise InputError(
                f"calibration would scale segment {factor.segment!r} by {size:.3f}, outside {bounds[0]:g}…{bounds[1]:g}"
                f" (measured: {factor.factor:.3f}). Look at its points, or lower scaling.factor_sd."
            )
    changed = tuple(replace(f, factor=float(size)) for f, size in zip(factors.factors, sizes, strict=True))
    return replace(factors, factors=changed)


def _with_offsets(body: Body, names: Sequence[str], offsets: np.ndarray) -> Body:
    """The body with its fit markers moved by `offsets` (markers, 3) m in their bodies' frames."""
    osim = _opensim.api()
    model = _opensim.load(body.osim)
    for name, offset in zip(names, offsets, strict=True):
        place = body.marker_offsets[body.marker_index(name)] + offset
        model.updMarkerSet().get(name).set_location(osim.Vec3(*map(float, place)))
    model.finalizeConnections()
    return Body.from_text(_opensim.text(model), f"calibrated model {body.name!r}")


def _spread(markers: Markers, weights: np.ndarray, frames: int) -> np.ndarray:
    """Indices of up to `frames` frames, evenly spread over those that show most of the markers."""
    seen = (markers.present & (marker_weights(markers, weights) > 0)).sum(1)
    good = np.flatnonzero(seen >= 0.8 * seen.max())
    return good[np.unique(np.linspace(0, len(good) - 1, min(frames, len(good))).round().astype(int))]


def _rms(error: np.ndarray, weights: np.ndarray) -> float:
    present = np.isfinite(error) & (weights > 0)
    w = np.where(present, weights, 0.0)
    return float(np.sqrt((w * np.nan_to_num(error) ** 2).sum() / w.sum()))
