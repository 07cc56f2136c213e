"""What the triangulation used, how well it fits, and why points are missing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from simspine.arrays import Unchanging

REASONS = ("kept", "seen by too few views", "views disagree")
KEPT, TOO_FEW, DISAGREE = range(len(REASONS))


@dataclass(frozen=True)
class TriangulationReport(Unchanging):
    """Diagnostics of one trial. All arrays are read-only.

    names, views: names of the points and of the cameras. used: (frames, views, points) bool, observations that support
    the point. error_px: (frames, views, points), distance in the distorted image between the observation (after
    undoing swaps) and the projected point, for used and dropped observations alike; NaN where there is no observation
    or no point. swapped: (frames, views, points) bool, observations exchanged with their mirror image. reason:
    (frames, points) index into `REASONS`. noise_px: (points,) standard deviation of one image coordinate, pooled over
    the trial. limit_px: (points,) error beyond which an observation is dropped.
    """

    names: tuple[str, ...]
    views: tuple[str, ...]
    used: np.ndarray
    error_px: np.ndarray
    swapped: np.ndarray
    reason: np.ndarray
    noise_px: np.ndarray
    limit_px: np.ndarray

    def __post_init__(self):
        for array in (self.used, self.error_px, self.swapped, self.reason, self.noise_px, self.limit_px):
            array.setflags(write=False)

    @property
    def kept(self) -> np.ndarray:
        """(frames, points) bool: points that were found."""
        return self.reason == KEPT

    @property
    def point_error_px(self) -> np.ndarray:
        """(frames, points): mean reprojection error over the used views; NaN where missing."""
        count = self.used.sum(1)
        total = np.where(self.used, self.error_px, 0.0).sum(1)
        return np.where(self.kept, total / np.maximum(count, 1), np.nan)

    def of(self, names: Iterable[str]) -> "TriangulationReport":
        """The report on some of the points, in the order of the report; names it lacks are skipped."""
        wanted = set(names)
        keep = [i for i, name in enumerate(self.names) if name in wanted]
        arrays = ("used", "error_px", "swapped", "reason", "noise_px", "limit_px")
        some = {field: getattr(self, field)[..., keep] for field in arrays}
        return replace(self, names=tuple(self.names[i] for i in keep), **some)

    def summary(self) -> dict:
        """Figures for a table. `reprojection_px` is per used observation, `…_all` counts the dropped ones as well,
        `…_point` is per (frame, point) the mean over its used views. Shares are of what was observed."""
        observed = np.isfinite(self.error_px)
        kept, every = self.error_px[self.used], self.error_px[observed]
        point = self.point_error_px[self.kept]
        dropped = observed & ~self.used
        errors = {
            f"reprojection_px_{name}{of}": _percentile(values, q)
            for of, values in (("", kept), ("_point", point), ("_all", every))
            for name, q in (("median", 50), ("p90", 90))
        }
        return errors | {
            "points_kept_share": _share(self.kept.sum(), self.kept.size),
            "noise_px_median": _percentile(self.noise_px, 50),
            "observations_dropped_share": self._by_view(dropped, observed),
            "observations_swapped_share": self._by_view(self.swapped, np.ones_like(self.swapped)),
            "missing": {REASONS[code]: int((self.reason == code).sum()) for code in (TOO_FEW, DISAGREE)},
        }

    def _by_view(self, part: np.ndarray, whole: np.ndarray) -> dict[str, float | None]:
        """Share of the observations (frames, views, points) bool, by view."""
        counts = zip(self.views, part.sum((0, 2)), whole.sum((0, 2)), strict=True)
        return {view: _share(some, every) for view, some, every in counts}


def _percentile(values: np.ndarray, q: float) -> float | None:
    return float(np.percentile(values, q)) if values.size else None


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
