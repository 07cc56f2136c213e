"""One frame of reference for two recordings: turned by name, and checked, with a diagnosis, before they are mixed."""

from collections.abc import Sequence
from itertools import permutations, product

import numpy as np

from simspine.errors import InputError
from simspine.geometry import rigid_fit

CLEARLY = 0.5  # another arrangement is the right one if it leaves less than this share of the misfit

# Axes of the motion capture that are x, y, z of the points: the frame that it is in, and was not taken for.
_UP_INSTEAD: dict[tuple[int, ...], str] = {(1, 2, 0): "z_up", (2, 0, 1): "y_up"}


def check_same_world(
    points: np.ndarray,
    mocap: np.ndarray,
    names: Sequence[str],
    max_misfit: float,
    swaps: Sequence[int] | None = None,
    hint: str = "",
) -> float:
    """Root mean square distance (m) of two sets (frames, markers, 3); InputError with a diagnosis beyond the limit.

    swaps: index of each marker's mirror image; then left and right exchanged, or a mirrored axis, are an error also
    within the limit where undoing them leaves less than half the distance. hint: added to the message.
    """
    misfit = _distance(points, mocap)
    if not np.isfinite(misfit):  # they share no point in any frame
        return float("nan")
    if misfit <= max_misfit and not _better(points, mocap, misfit, swaps):
        return misfit
    fault = _diagnosis(points, mocap, names, min(max_misfit, CLEARLY * misfit), swaps)
    raise InputError(
        f"motion capture and triangulated points lie {misfit:.3g} m apart (root mean square; limit {max_misfit:g} m): "
        f"{fault} {hint}".rstrip()
    )


def _better(points: np.ndarray, mocap: np.ndarray, misfit: float, swaps) -> bool:
    """Whether the left for the right, or a mirrored axis, would agree far better."""
    others = [mocap * signs for signs in ([-1, 1, 1], [1, -1, 1])]
    if swaps is not None:
        others.append(mocap[:, list(swaps)])
    return any(_distance(points, other) < CLEARLY * misfit for other in others)


def _distance(points: np.ndarray, mocap: np.ndarray) -> float:
    """Root mean square over what both have, m; infinite where that is nothing."""
    both = np.isfinite(points).all(-1) & np.isfinite(mocap).all(-1)
    return _rms((mocap - points)[both]) if both.any() else np.inf


def _diagnosis(points: np.ndarray, mocap: np.ndarray, names: Sequence[str], limit: float, swaps) -> str:
    """What would bring the motion capture onto the points, in words."""
    both = np.isfinite(points).all(-1) & np.isfinite(mocap).all(-1)
    a, b = mocap[both], points[both]
    size = _rms(a - a.mean(0)) / max(_rms(b - b.mean(0)), 1e-12)
    if not 0.5 < size < 2:
        return f"the motion capture is {size:.3g} times as large. Is it in another unit? Metres are wanted."
    sides = np.inf if swaps is None else _distance(points, mocap[:, list(swaps)])
    turns = product(permutations(range(3)), product((1, -1), repeat=3))
    turned, order, signs = min(((_rms(a[:, o] * s - b), o, s) for o, s in turns), key=lambda turn: turn[0])
    if sides <= min(limit, turned):
        return "left and right are exchanged. Correct the names of the markers."
    if turned <= limit:
        text = ", ".join(("" if s > 0 else "−") + "xyz"[o] for o, s in zip(order, signs, strict=True))
        mirrored = np.linalg.det(np.eye(3)[list(order)] * np.array(signs)[:, None]) < 0
        frame = _UP_INSTEAD.get(order) if min(signs) > 0 else None
        if mirrored:
            advice = "Export it with right-handed axes."
        elif frame:
            advice = f"It is {frame}: say so (`mocap_frame: {frame}` in a configuration)."
        else:
            advice = "Turn it to the cameras' axes where it is exported."
        kind = "mirrored" if mirrored else "turned"
        return f"its axes are {kind}; ({text}) of the motion capture is (x, y, z) of the points. {advice}"
    for mirror in (1, -1):
        R, t = rigid_fit(a * [mirror, 1, 1], b) if len(a) >= 3 else (np.eye(3), (b - a).mean(0))
        if _rms(a * [mirror, 1, 1] @ R.T + t - b) <= limit:
            angle = np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1)))
            if mirror < 0:
                return "it is mirrored (left and right, or a left-handed frame)."
            return (
                f"a rotation of {angle:.1f}° and a shift of ({t[0]:.3f}, {t[1]:.3f}, {t[2]:.3f}) m would join them. "
                "Calibrate cameras and motion capture in one frame."
            )
    distance = np.sqrt(((mocap - points) ** 2).sum(-1))
    worst = int(np.nanargmax(np.where(np.isfinite(distance).any(0), np.nanmean(distance, 0), -1)))
    return (
        f"no rotation, mirror or shift joins them. The worst marker is {names[worst]!r}. "
        "Check the correspondence of names and the start times."
    )


def _rms(vectors: np.ndarray) -> float:
    return float(np.sqrt((vectors**2).sum(-1).mean()))
