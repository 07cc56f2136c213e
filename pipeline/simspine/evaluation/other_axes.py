"""Are predictions in other axes than the truth? A quarter turn, a mirror image or a unit may explain errors."""

from collections.abc import Sequence
from itertools import permutations, product

import numpy as np

from simspine.evaluation.pairs import PointPair

LEAST_POINTS = 3  # of a frame
MUCH_LESS, SMALL = 0.5, 0.4  # of the error as given; of how far the true points are spread
PREFERRED = 0.8  # straight and flat point sets look alike after turns and mirrored: what is stranger must leave less
PLAUSIBLE = (1 / 1.5, 1.5)  # sizes relative to the truth's that are nobody's unit


def other_axes(pairs: Sequence[PointPair]) -> str:
    """What explains most of the errors, as a sentence: which axes, whether mirrored, which size; '' where nothing does.

    Compared are points about the centre of their frame, so that a prediction elsewhere in the world is not meant.
    """
    estimate, truth = _centred(pairs)
    if not len(truth):
        return ""
    cross, size, spread = truth.T @ estimate, float((estimate**2).sum()), float((truth**2).sum())
    if not size > 0:
        return ""
    given = size + spread - 2 * float(np.trace(cross))
    turns = _signed_axes()
    along = np.array([float((turn * cross).sum()) for turn in turns])  # how well each turn agrees with the truth
    left = np.maximum(spread - np.maximum(along, 0) ** 2 / size, 0.0)
    proper = np.array([np.linalg.det(turn) > 0 for turn in turns])
    same = (turns == np.eye(3)).all((1, 2))
    best = int(np.argmin(left * np.where(same, PREFERRED, np.where(proper, 1.0, 1 / PREFERRED)) ** 2))
    scale = along[best] / size
    other_size = not PLAUSIBLE[0] < scale < PLAUSIBLE[1]
    same_axes = bool(same[best])
    explained = left[best] < MUCH_LESS**2 * given and left[best] < SMALL**2 * spread
    if not explained or (same_axes and not other_size):
        return ""
    said = []
    if not same_axes:
        mirrored = "" if proper[best] else ", which is a mirror image: handedness differs"
        said.append(f"x, y, z of the truth look like {_named(turns[best])} of the prediction{mirrored}")
    if other_size:
        said.append(f"the prediction is {1 / scale:.3g} times as large as the truth")
    before, after = (1e3 * np.sqrt(value / len(truth)) for value in (given, left[best]))
    return (
        f"In other axes or units? {'; '.join(said)}. That would explain most of the error (RMS about each frame's "
        f"centre {before:.0f} mm, so explained {after:.0f} mm). Nothing was changed."
    )


def _centred(pairs: Sequence[PointPair]) -> tuple[np.ndarray, np.ndarray]:
    """(points, 3) m of prediction and truth, where both are, relative to the centre of their frame."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for pair in pairs:
        there = (np.isfinite(pair.estimate) & np.isfinite(pair.truth)).all(-1)
        there &= there.sum(1, keepdims=True) >= LEAST_POINTS
        count = np.maximum(there.sum(1), 1)[:, None, None]
        both = []
        for xyz in (pair.estimate, pair.truth):
            centre = np.where(there[..., None], xyz, 0.0).sum(1, keepdims=True) / count
            both.append((xyz - centre)[there])
        parts.append((both[0], both[1]))
    if not parts:
        return np.zeros((0, 3)), np.zeros((0, 3))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _signed_axes() -> np.ndarray:
    """(48, 3, 3): the 24 turns by quarters and their mirror images; row i says what the i-th axis becomes."""
    made = [
        np.diag(signs)[:, list(order)] for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)
    ]
    return np.array(made)


def _named(turn: np.ndarray) -> str:
    """'x, z, −y'."""
    columns = np.argmax(abs(turn), 1)
    signs = turn[np.arange(3), columns]
    return ", ".join(f"{'−' if sign < 0 else ''}{'xyz'[column]}" for column, sign in zip(columns, signs, strict=True))
