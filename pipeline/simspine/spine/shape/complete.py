"""`complete_spine`: the centres of all vertebrae from those of some."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError, require_known
from simspine.spine.shape.chain import LEVELS
from simspine.spine.shape.model import ShapeModel, shipped
from simspine.spine.shape.orientation import orientation_prior
from simspine.spine.shape.posterior import complete

DEFAULT_SD = 0.001  # m, per axis: centres marked by hand in a CT scan
LEAST_SD = 0.00005  # m: added to every point; below it the marked centre of a bone means nothing
SPAN = (0.01, 2.0)  # m: largest distance between points of one spine


@dataclass(frozen=True)
class CompletedSpine:
    """Centres of the vertebral bodies C1…L5, S1 in the frame of the points given.

    positions: {level: (3,) or (frames, 3)} m, posterior means. covariance: {level: (3, 3) or (frames, 3, 3)} m²,
    uncertainty of shape, size and pose together.
    """

    positions: dict[str, np.ndarray]
    covariance: dict[str, np.ndarray]


def complete_spine(
    points: Mapping[str, np.ndarray],
    covariance: float | np.ndarray | Mapping[str, np.ndarray | float] | None = None,
    posture: str = "any",
    model: ShapeModel | None = None,
    *,
    orientation: np.ndarray | None = None,
    orientation_sd: float | np.ndarray | None = None,
) -> CompletedSpine:
    """Centres of all vertebrae C1…L5 and S1, with covariance, from two or more of them, noisy or not.

    points: {level: (3,)} m, or {level: (frames, 3)}: frames are independent of each other, every level is in all
    frames. Any position and orientation in space; the result moves with them. covariance of the points' error:
    variance in m² (per axis), (3, 3) m², or {level: one of these, or (frames, 3, 3)}; default (1 mm)². posture: 'any'
    (what was learned lying, widened by what movement adds), 'standing', 'supine' (as learned); see
    docs/spine-shape.md. model: other statistics than those shipped.

    orientation: what is known of the trunk's axes, (3, 3) or (frames, 3, 3) with forward, up and right in its columns,
    in the frame of the points. orientation_sd: how well, rad, about each of these axes: a number, (3,) or (frames, 3);
    0 = exactly, inf = not at all (about that axis). The axes meant are those of the lying body in the scanner (up:
    along it), in which the statistics are; with the postures 'standing' and 'any' those of its pelvis. Default: all
    orientations are equally likely.

    A centre given is returned as its best estimate too, not as it was given. With two points, or nearly straight ones,
    the spin about their line is unknown: the positions are then means over the circle and their covariance says so.
    S1 was not in the data: it is placed by the full-body model's geometry, with a wide spread.

    Raises `InputError`: unknown level or posture, fewer than two points, wrong shapes, NaN or infinite values, points
    spanning less than 0.01 m or more than 2 m, a covariance that is not symmetric positive definite, an orientation
    that is no rotation or without its standard deviation.
    """
    mean, cov = (model or shipped()).prior(posture)
    levels, y = checked_points(points, fewest=2)
    C = checked_covariances(covariance, levels, len(y))
    prior = orientation_prior(orientation, orientation_sd, len(y))
    x, X = complete(mean, cov, np.array([LEVELS.index(level) for level in levels]), y, C, prior)
    if np.ndim(points[levels[0]]) == 1:
        x, X = x[0], X[0]
    return CompletedSpine(
        {level: x[..., i, :] for i, level in enumerate(LEVELS)},
        {level: X[..., i, :, :] for i, level in enumerate(LEVELS)},
    )


def checked_points(points: Mapping[str, np.ndarray], fewest: int) -> tuple[list[str], np.ndarray]:
    """The levels given, from the head down, and their points (frames, levels, 3)."""
    require_known("vertebral level", points, LEVELS, "points")
    levels = [level for level in LEVELS if level in points]
    if len(levels) < fewest:
        given = f"{len(levels)} vertebral centre(s) given ({', '.join(levels) or 'none'})"
        raise InputError(f"{given}; at least {fewest} levels are needed.")
    arrays = [_numbers(points[level], f"points[{level!r}]") for level in levels]
    shape = arrays[0].shape
    for level, array in zip(levels, arrays, strict=True):
        if array.ndim not in (1, 2) or array.shape[-1] != 3 or array.shape != shape:
            raise InputError(
                f"points[{level!r}] has shape {array.shape}; expected (3,) for each level, or (frames, 3) for each, "
                f"with the same number of frames ({levels[0]} has shape {shape})."
            )
        if not np.isfinite(array).all():
            raise InputError(
                f"points[{level!r}] is not finite: {array.tolist() if array.ndim == 1 else 'in some frame'}"
                "; leave levels out that are unknown."
            )
    y = np.stack([array.reshape(-1, 3) for array in arrays], 1)
    span = np.linalg.norm(y[:, :, None] - y[:, None], axis=-1).max((1, 2))
    for bad in span[(span < SPAN[0]) | (span > SPAN[1])][:1]:
        raise InputError(
            f"the points span {bad:.4g} m, expected {SPAN[0]} to {SPAN[1]} m: are they metres, of different vertebrae?"
        )
    return levels, y


def checked_covariances(covariance, levels: list[str], frames: int) -> np.ndarray:
    """(frames, levels, 3, 3) m² from the argument of `complete_spine`, with the least variance added."""
    if covariance is None:
        covariance = DEFAULT_SD**2
    if isinstance(covariance, Mapping):
        require_known("vertebral level", covariance, LEVELS, "covariance")
        absent = [level for level in levels if level not in covariance]
        if absent:
            raise InputError(f"covariance lacks {', '.join(absent)}; give one for each point, or a single one for all.")
        each = [_one_covariance(covariance[level], f"covariance[{level!r}]", frames) for level in levels]
    else:
        each = [_one_covariance(covariance, "covariance", frames)] * len(levels)
    return np.stack(each, 1) + LEAST_SD**2 * np.eye(3)


def _one_covariance(value, name: str, frames: int) -> np.ndarray:
    C = _numbers(value, name)
    if C.ndim == 0:
        C = C * np.eye(3)
    if C.shape not in ((3, 3), (frames, 3, 3)):
        raise InputError(f"{name} has shape {C.shape}; expected a variance, (3, 3) or ({frames}, 3, 3), in m².")
    good = np.isfinite(C).all() and np.allclose(C, C.swapaxes(-1, -2), rtol=1e-6, atol=0)
    if not good or np.linalg.eigvalsh(C).min() <= 0:
        found = C.tolist() if C.ndim == 2 else "in some frame"
        raise InputError(f"{name} is not symmetric positive definite: {found}; variances are in m², above 0.")
    return np.broadcast_to(C, (frames, 3, 3))


def _numbers(value, name: str) -> np.ndarray:
    try:
        return np.asarray(value, float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not numbers: {value!r}.") from error
