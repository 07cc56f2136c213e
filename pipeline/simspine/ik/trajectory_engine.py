"""The engine 'trajectory': markers, smoothness, beliefs and limits over the whole trial, with standard deviations."""

from collections.abc import Sequence

import numpy as np

from simspine.body.kernels import expand
from simspine.body.model import Body
from simspine.errors import InputError
from simspine.ik.assumptions import Belief, CommonError, Prior, Smoothness
from simspine.ik.branches import readable
from simspine.ik.common_errors import beliefs as offset_beliefs
from simspine.ik.common_errors import coordinate_names, groups_of, with_offsets
from simspine.ik.frame_engine import first_poses, observations
from simspine.ik.lasting import lasting_covariance
from simspine.ik.result import Derive, Posterior, Result, result_of
from simspine.ik.terms.limits import LimitTerm
from simspine.ik.terms.markers import MarkerTerm
from simspine.ik.terms.prior import PriorTerm, repetition
from simspine.ik.terms.smoothness import SmoothnessTerm
from simspine.ik.trajectory import BEGINS, solve_trajectory, starting_path
from simspine.ik.uncertainty import coordinate_deviation
from simspine.types import Markers

WIDE = 1.5  # rad: how far an angle nobody has a belief about may be from its default, one standard deviation
HOLD = 0.2
STILL = 1e-3  # m: offsets of markers are left to the trajectory, its starting path keeps them near zero
DEVIATION = "deviation"
START_HZ = 20.0  # frames per second from which the starting path is made


def solve(
    body: Body,
    markers: Markers,
    weights: np.ndarray,
    smoothness: Smoothness | None,
    prior: Prior | None,
    *,
    marker_sd: float,
    correlation_s: float,
    common_errors: Sequence[CommonError],
    use_covariance: bool,
    loss: str,
    loss_scale: float,
    tolerance: float,
    min_markers: int,
    uncertainty: bool,
    derive: Derive | None,
    starts: int,
    threads: int,
    window: int,
    overlap: int,
) -> Result:
    """Arguments as in `inverse_kinematics`; markers y_up, weights (frames, markers)."""
    if starts not in range(1, len(BEGINS) + 1):
        raise InputError(f"starts is {starts!r}, expected a whole number from 1 to {len(BEGINS)}.")
    tree, y, w, usable = observations(body, markers, weights, min_markers)
    # Errors that last make the frames of one error time worth a single one. Thinning the markers would also give the
    # motion up to smoothness, although a lasting error does not hide it; so beliefs are repeated instead.
    lasting = min(max(1.0, correlation_s * markers.rate), float(markers.frames))
    precision = None
    scale = loss_scale
    if use_covariance and markers.covariance is not None:
        precision = _precision(markers.covariance, marker_sd)
        w = np.where(np.isfinite(precision).all((2, 3)), w, 0.0)
        precision = np.nan_to_num(precision)
    else:
        w, scale = w / marker_sd**2, loss_scale * marker_sd
    names = [body.coordinates.names[i] for i in tree.free]
    rotational = body.coordinates.rotational[tree.free]
    own = len(names)  # columns after them are offsets of markers
    tree = with_offsets(tree, groups_of(common_errors, markers.names))
    offsets = coordinate_names(common_errors)
    still = np.zeros(len(offsets))
    terms = [MarkerTerm(tree, y, w, precision, loss, scale), LimitTerm(tree.lower, tree.upper)]
    if smoothness is not None:
        velocity, acceleration = (smoothness.weights(k, names, rotational) for k in ("velocity", "acceleration"))
        terms.append(SmoothnessTerm(markers.rate, np.append(velocity, still), np.append(acceleration, still)))
    beliefs = Prior([*(prior.beliefs if prior else ()), *_wide(body, names), *offset_beliefs(common_errors)])
    S, mean, precisions, decay = beliefs.arrays([*names, *offsets], markers.rate)
    terms.append(PriorTerm(S, mean, precisions, decay, repetition(decay, markers.frames, lasting)))
    believed = terms[-1]

    def publish(shown: MarkerTerm, z: np.ndarray, blocks: np.ndarray) -> dict[str, np.ndarray]:
        blocks = lasting_covariance(shown, believed, z, blocks, lasting) if lasting > 1.0 else blocks
        z, blocks = z[:, :own], blocks[:, :own, :own]
        derived = {} if derive is None else dict(derive(z, blocks))
        return {DEVIATION: coordinate_deviation(body.tree, z, blocks)} | derived

    stride = max(1, int(markers.rate / START_HZ))
    poses = first_poses(body, markers, weights)
    poses = np.column_stack([poses, np.zeros((len(poses), len(offsets)))])
    single = (S != 0.0).sum(1) == 1
    held = (S[single] ** 2).T @ precisions[single]
    drawn = (S[single].T @ (precisions[single] * mean[single])) / np.where(held > 0.0, held, 1.0)
    held[own:], drawn[own:] = 1.0 / STILL**2, 0.0

    def path(begin: float) -> np.ndarray:
        return readable(body, starting_path(terms[0], poses, 1.0 / HOLD**2, stride, held, drawn, threads, begin))

    cut = {"window": window, "overlap": overlap, "tolerance": tolerance, "threads": threads}
    if starts == 1:
        start = path(BEGINS[0])
    else:
        tried = [solve_trajectory(terms, path(begin), **cut) for begin in BEGINS[:starts]]
        start = min(tried, key=lambda found: float(found.cost.sum())).z
    found = solve_trajectory(terms, start, publish=publish if uncertainty else None, **cut)
    reasons = [
        r if ok else "no markers: carried by the frames around" for r, ok in zip(found.reason, usable, strict=True)
    ]
    values = expand(body.tree, readable(body, found.z[:, :own]))[0]
    posterior = None
    if uncertainty:
        response = np.full(len(body.coordinates), np.nan)
        driven = body.tree.column >= 0
        response[driven] = found.response[body.tree.column[driven]]
        posterior = Posterior(response, {name: v for name, v in found.published.items() if name != DEVIATION})
    result = result_of(body, markers, values, weights, {}, reasons, found.cost, posterior, threads)
    if posterior is None:
        return result
    return result.with_motion(result.motion.with_(deviation=found.published[DEVIATION]))


def _precision(covariance: np.ndarray, marker_sd: float) -> np.ndarray:
    """Inverse of the triangulation's covariance plus what the body's markers themselves are off by."""
    total = covariance + marker_sd**2 * np.eye(3)
    known = np.isfinite(total).all((2, 3))
    precision = np.full(total.shape, np.nan)
    precision[known] = np.linalg.inv(total[known])
    return precision


def _wide(body: Body, names: list[str]) -> list[Belief]:
    """A wide belief about every coordinate but the root's, so that what no marker sees stays at its default."""
    from simspine.ik.start import root_joint

    root = root_joint(body.tree)
    placed = set() if root is None else {body.coordinates.names[c] for c in body.tree.argument[root]}
    c = body.coordinates
    return [
        Belief({name: 1.0}, float(c.default[c.index(name)]), WIDE, "wide default")
        for name in names
        if name not in placed
    ]
