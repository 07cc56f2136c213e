"""Predicted angles that are no radians, or that bear names the truth does not know."""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.errors import InputError, nearest
from simspine.evaluation.angles import AngleSequence, series
from simspine.evaluation.protocol import trial_key
from simspine.spine.levels import PLANES, SEGMENTS

DEGREES = np.degrees(1.0)  # sizes relative to the truth's of angles in degrees
ABOUT = 1.5  # such sizes may be this many times smaller or larger: predictions err
IN_SPACE = tuple(f"{segment.name} {plane}" for segment in SEGMENTS for plane in PLANES)  # these may count turns


def check_radians(method: str, own: Mapping[tuple, AngleSequence], truth: Sequence[AngleSequence]) -> None:
    """`InputError` where a method's angles are as much larger than the true ones as degrees are than radians.

    own: the method's sequences by subject and `trial_key`. Compared are root mean squares over all values that are
    both predicted and true, without rotations in space.
    """
    found, exact = [], []
    for true in truth:
        for column, name in enumerate(true.names):
            if name not in IN_SPACE:
                found.append(series(own, true, (true.subject, trial_key(true.trial)), name)[0])
                exact.append(true.angle[:, column])
    predicted, known = np.concatenate([[], *found]), np.concatenate([[], *exact])
    both = np.isfinite(predicted) & np.isfinite(known)
    if not both.any():
        return
    size, true_size = (float(np.sqrt(np.mean(values[both] ** 2))) for values in (predicted, known))
    if DEGREES / ABOUT < size / max(true_size, 1e-6) < DEGREES * ABOUT:
        raise InputError(
            f"{method}: the predicted angles are {size:.3g} in size (RMS), the true ones {true_size:.3g} rad. They "
            "seem to be in degrees; hand them in in radians."
        )


def unknown_angles(
    predictions: Mapping[str, Sequence[AngleSequence]], truth: Sequence[AngleSequence]
) -> tuple[str, ...]:
    """A note for each method with angles that the truth does not hold, with the nearest one that it does."""
    known = list(dict.fromkeys(name for true in truth for name in true.names))
    notes = []
    for method, own in predictions.items():
        names = dict.fromkeys(name for sequence in own for name in sequence.names if name not in known)
        if names:
            said = ", ".join(f"{name!r}{_meant(name, known)}" for name in names)
            notes.append(f"{method}: no angles of the truth, and left out: {said}.")
    return tuple(notes)


def _meant(name: str, known: Sequence[str]) -> str:
    meant = nearest(name, known)
    return "" if meant is None else f" (did you mean {meant!r}?)"
