"""Clocks of views: which frame of each view shows an instant, and what views saw brought to common instants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError, require_known
from simspine.types import Keypoints

FEWEST_SHARED = 10  # frames that all views must show
WHOLE = 1e-6  # frames: nearer to a frame than this is that frame
WIDEST = 2  # frames between which a point is interpolated
DRIFT_PER = 1000  # frames

PerView = Sequence[float] | Mapping[str, float]


@dataclass(frozen=True)
class Clocks:
    """late, deviation: (views,) frames each view is behind the first, and standard deviations. drift, drift_deviation:
    frames it gets later from the first to the last frame."""

    views: tuple[str, ...]
    late: np.ndarray
    deviation: np.ndarray
    drift: np.ndarray
    drift_deviation: np.ndarray


@dataclass(frozen=True, eq=False)
class Timing:
    """Which frame of each view belongs to each frame of a result.

    views: names of the cameras. late: (views,) frames by which each shows an event later than the first view does, at
    the first view's frame 0. drift: (views,) frames that it gets later in 1000 frames. first: frame of the first view
    that is the result's first. frames: of the result. deviation: (views,) frames, of `late`; None where it was given.
    """

    views: tuple[str, ...]
    late: np.ndarray
    drift: np.ndarray
    first: int
    frames: int
    deviation: np.ndarray | None = None

    def places(self, margin: int = 0) -> np.ndarray:
        """(frames, views): frames of each view, with fractions. margin: more frames on either side."""
        instant = self.first + np.arange(-margin, self.frames + margin)[:, None]
        return instant * (1 + self.drift / DRIFT_PER) + self.late

    def nearest(self, view: int) -> np.ndarray:
        """(frames,) int: the frame of the view nearest to each instant."""
        return np.round(self.places()[:, view]).astype(int)

    def to_dict(self) -> dict:
        """Plain values, as files keep them."""
        deviation = None if self.deviation is None else self.deviation.tolist()
        return {
            "views": list(self.views), "late_frames": self.late.tolist(), "drift_per_1000": self.drift.tolist(),
            "first_frame": self.first, "frames": self.frames, "deviation_frames": deviation,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, kept: Mapping) -> "Timing":
        deviation = kept["deviation_frames"]
        return cls(
            tuple(kept["views"]), np.array(kept["late_frames"], float), np.array(kept["drift_per_1000"], float),
            kept["first_frame"], kept["frames"], None if deviation is None else np.array(deviation, float),
        )  # fmt: skip


def per_view(values: PerView, views: Sequence[str], what: str = "delays") -> np.ndarray:
    """(views,) out of a list, or of a mapping by names of views, of which those left out are 0.

    Raises `InputError` for a name that is no view's, and for a list of another length.
    """
    if isinstance(values, Mapping):
        require_known("view", values, views, what)
        return np.array([float(values.get(name, 0.0)) for name in views])
    found = np.array(values, float).ravel()
    if len(found) != len(views):
        raise InputError(f"{what}: {len(found)} values for {len(views)} views ({', '.join(views)}); give one for each.")
    if not np.isfinite(found).all():
        raise InputError(f"{what}: {list(values)} holds a value that is not finite.")
    return found


def timing_of(
    views: Sequence[str],
    lengths: Sequence[int],
    late: np.ndarray,
    drift: np.ndarray | None = None,
    deviation: np.ndarray | None = None,
) -> Timing:
    """The frames that all views share. lengths: (views,) frames each view has; late, drift: as in `Timing`.

    Times count from the first view's frame 0, whatever its own delay is said to be. Raises `InputError` where fewer
    than `FEWEST_SHARED` frames are left.
    """
    late = np.asarray(late, float) - late[0]
    drift = np.zeros(len(views)) if drift is None else np.asarray(drift, float)
    speed = 1 + drift / DRIFT_PER
    if (speed <= 0).any():
        raise InputError(f"a drift of {drift.min():g} frames in {DRIFT_PER} would turn a view's time round.")
    starts, ends = -late / speed, (np.asarray(lengths) - 1 - late) / speed
    first = int(np.ceil(starts.max() - WHOLE))
    count = int(np.floor(ends.min() + WHOLE)) - first + 1
    if count < FEWEST_SHARED:
        rows = ", ".join(f"{v}: {n} frames, {d:+g} late" for v, n, d in zip(views, lengths, late, strict=True))
        raise InputError(
            f"with these delays the views share {max(count, 0)} frames, at least {FEWEST_SHARED} are needed ({rows}). "
            "A view is late (positive) where it shows an event at a higher frame number than the first view does."
        )
    return Timing(tuple(views), late, drift, first, count, deviation)


def whole_rows(timing: Timing, rows: int) -> np.ndarray:
    """(frames + 2, views) int: the nearest frame of each view, with one instant more on either side; -1: none."""
    near = np.round(timing.places(1)).astype(int)
    return np.where((near >= 0) & (near < rows), near, -1)


def in_step(people: np.ndarray, timing: Timing) -> np.ndarray:
    """Detections (rows, views, …) of the frames `whole_rows` says: simultaneous to half a frame, nothing interpolated.

    So people can be told apart in them; `between_frames` does the rest for each person.
    """
    rows = whole_rows(timing, len(people))
    found = people[rows, np.arange(people.shape[1])[None]]
    found[rows < 0] = np.nan
    return found


def between_frames(keypoints: Keypoints, timing: Timing, rows: int) -> Keypoints:
    """Points of a person as found in `in_step`, at the instants themselves. rows: as `in_step` was given."""
    return _resampled(keypoints, whole_rows(timing, rows), timing.places())


def shifted(keypoints: Keypoints, late: Sequence[float] | np.ndarray) -> Keypoints:
    """Keypoints as if no view were late (frames): between two frames by linear interpolation; NaN outside."""
    frames = np.arange(keypoints.frames)[:, None]
    return _resampled(keypoints, np.repeat(frames, keypoints.views, 1), frames + np.asarray(late, float))


def at_instants(keypoints: Keypoints, timing: Timing) -> Keypoints:
    """Points of all frames of each view's video, at the instants of the result."""
    frames = np.repeat(np.arange(keypoints.frames)[:, None], keypoints.views, 1)
    return _resampled(keypoints, frames, timing.places())


def _resampled(keypoints: Keypoints, own: np.ndarray, places: np.ndarray) -> Keypoints:
    """Points at `places` (frames, views). own: (rows, views) int, the frame that each row shows in each view; -1: none.

    Linear between two frames that are at most `WIDEST` apart, missing where one of them is.
    """
    shape = (len(places), *keypoints.xy.shape[1:])
    xy, confidence = np.full(shape, np.nan), np.zeros(shape[:-1])
    near = np.round(places)
    places = np.where(np.abs(places - near) < WHOLE, near, places)
    for view in range(keypoints.views):
        known, row = np.unique(own[:, view], return_index=True)
        known, row = known[known >= 0], row[known >= 0]
        if not len(known):
            continue
        below = np.searchsorted(known, places[:, view], side="right") - 1
        above = np.minimum(below + 1, len(known) - 1)
        exact = (below >= 0) & (known[below] == places[:, view])
        gap = known[above] - known[below]
        inside = exact | ((below >= 0) & (gap > 0) & (gap <= WIDEST))
        a, b = row[below[inside]], row[np.where(exact, below, above)[inside]]
        share = ((places[:, view] - known[below]) / np.maximum(gap, 1))[inside]
        part = np.where(exact[inside], 0.0, share)[:, None]
        first, second = keypoints.xy[a, view], keypoints.xy[b, view]
        xy[inside, view] = (1 - part[..., None]) * first + part[..., None] * second
        both = np.minimum(keypoints.confidence[a, view], keypoints.confidence[b, view])
        confidence[inside, view] = np.where(np.isfinite(xy[inside, view]).all(-1), both, 0.0)
    return keypoints.with_(xy=xy, confidence=confidence)
