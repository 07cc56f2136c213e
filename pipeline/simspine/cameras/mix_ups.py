"""Views that are mixed up: another reading of the images under which what they saw agrees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from simspine.arrays import evenly_spread
from simspine.triangulation import triangulate_with_report
from simspine.triangulation.swaps import exchange
from simspine.types import Camera, Keypoints

TRIED = 40  # frames on which mixed-up views are looked for
IMAGE_SHARE = 0.03  # of the longer image side: an observation further off does not agree
GAIN = 0.3  # share of the observations of the views concerned that must come right by the other reading, or …
LESS = 0.4  # … the share of their errors that may remain: of people who stand in the middle other readings nearly fit
CLOSE_PX = 5.0  # views with smaller errors are not mixed up
LEAST = 0.6  # share of them that must agree then
ENOUGH = 20  # observations of the views concerned


@dataclass(frozen=True)
class MixUp:
    """Another reading of the views under which more of what they saw agrees.

    kind: 'mirrored' (the image of the view exchanged left with right), 'turned' (the view's image is upside down) or
    'exchanged' (two views belong to one another's camera). used, used_then: share of the observations of these views
    that agree with the others, as given and so.
    """

    kind: str
    views: tuple[str, ...]
    used: float
    used_then: float


def mix_ups(keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3) -> list[MixUp]:
    """Readings of the views under which much more agrees. Best first.

    keypoints: of one person, in the cameras' order. Only the views concerned count: the others agree or do not, and a
    view of which little is left since nothing in it fitted weighs little among them.
    """
    rows = evenly_spread(keypoints.frames, TRIED)
    some = keypoints.with_(xy=keypoints.xy[rows], confidence=keypoints.confidence[rows])
    limit = IMAGE_SHARE * max(max(camera.size) for camera in cameras)

    def fit(read: Keypoints) -> _Agreement:
        report = triangulate_with_report(read, cameras, min_confidence=min_confidence, max_error_px=limit)[1]
        seen = read.confidence >= min_confidence
        return _Agreement(report.used & seen, seen, np.where(np.isfinite(report.error_px), report.error_px, np.inf))

    given, found = fit(some), []
    for kind, views, read in _readings(some, cameras):
        chosen = list(views)
        before, error = given.of(chosen)
        if given.seen[:, chosen].sum() < ENOUGH or (before > 1 - GAIN and error < CLOSE_PX):
            continue
        then = fit(read)
        after, error_then = then.of(chosen)
        better = after > before + GAIN or error_then < LESS * error
        if better and after > LEAST and then.used.sum() >= given.used.sum():
            names = tuple(cameras[view].name for view in views)
            found.append((error_then, MixUp(kind, names, before, after)))
    return [mix for _, mix in sorted(found, key=lambda entry: entry[0])]


@dataclass(frozen=True)
class _Agreement:
    """used, seen: (frames, views, points) bool, observations that agree and that there are. error: of each, px."""

    used: np.ndarray
    seen: np.ndarray
    error: np.ndarray

    def of(self, views: Sequence[int]) -> tuple[float, float]:
        """Share of the observations of these views that agree, and the median of their errors."""
        seen = self.seen[:, views]
        if not seen.any():
            return 0.0, np.inf
        return float(self.used[:, views].sum() / seen.sum()), float(np.median(self.error[:, views][seen]))


def _readings(some: Keypoints, cameras: Sequence[Camera]) -> Iterator[tuple[str, tuple[int, ...], Keypoints]]:
    """Each other reading of the views: kind, views concerned, what would have been seen."""
    for view, camera in enumerate(cameras):
        width, height = camera.size
        mirrored = np.zeros(some.confidence.shape, bool)
        mirrored[:, view] = True
        other = exchange(some, mirrored)  # a detector takes a mirrored person's left for their right
        xy = other.xy.copy()
        xy[:, view, :, 0] = width - 1 - xy[:, view, :, 0]
        yield "mirrored", (view,), other.with_(xy=xy)
        xy = some.xy.copy()
        xy[:, view] = np.array([width - 1, height - 1]) - xy[:, view]
        yield "turned", (view,), some.with_(xy=xy)
    for a, b in combinations(range(len(cameras)), 2):
        order = np.arange(len(cameras))
        order[[a, b]] = b, a
        yield "exchanged", (a, b), some.with_(xy=some.xy[:, order], confidence=some.confidence[:, order])
