"""What the neighbouring frames say about where a point is."""

import numpy as np

_HORIZON = 0.5  # s; beyond, neighbouring frames have nothing to say
_SLACK = 0.05  # m
_SPEED = 2.0  # m/s; a walker's foot swings at about 4, a trunk moves at less than 1


def expected_position(xyz: np.ndarray, trusted: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions (3, frames, points) m between each frame's trusted neighbours, and tolerances (frames, points) m.

    xyz: (3, frames, points) m. trusted: (frames, points) bool. A trusted frame is interpolated from its neighbours like
    any other. NaN where there is no trusted frame within half a second on either side.
    """
    frames = trusted.shape[0]
    index = np.arange(frames)[:, None]
    before = np.maximum.accumulate(np.where(trusted, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(trusted, index, frames)[::-1], axis=0)[::-1]
    before = np.concatenate([np.full_like(before[:1], -1), before[:-1]])  # strictly before, strictly after
    after = np.concatenate([after[1:], np.full_like(after[:1], frames)])
    reach = _HORIZON * rate
    has_before, has_after = (before >= 0) & (index - before <= reach), (after < frames) & (after - index <= reach)
    early = np.take_along_axis(xyz, np.clip(before, 0, frames - 1)[None], 1)
    late = np.take_along_axis(xyz, np.clip(after, 0, frames - 1)[None], 1)
    share = (index - before) / (after - before)
    place = np.where(has_before & has_after, early + share * (late - early), np.where(has_before, early, late))
    distance = np.minimum(np.where(has_before, index - before, np.inf), np.where(has_after, after - index, np.inf))
    known = has_before | has_after
    tolerance = _SLACK + _SPEED * np.where(known, distance, np.nan) / rate
    return np.where(known, place, np.nan), tolerance
