"""Trials as single cameras see them, the samples that lifters learn from, and the root rule.

Image points are ideal normalised coordinates (x right, y down, in focal lengths from the principal point), free of the
lens, so that cameras do not differ by more than their places. Points in space are in the camera's frame, m.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simspine.errors import InputError
from simspine.evaluation.points import PointSequence
from simspine.skeletons import TARGET, load
from simspine.skeletons.regions import SPINE_REGIONS

ROOT = "Hip"
SPINE = tuple(name for name in load(TARGET).names if name in sum(SPINE_REGIONS.values(), ()))


@dataclass(frozen=True, eq=False)
class LiftingView:
    """One trial as one camera sees it.

    truth: true points in the camera's frame. seen: (frames, points, 2) detected points, normalised; NaN = missing.
    scored: (frames,) bool, the frames that are learnt from and scored; the others are context.
    """

    truth: PointSequence
    seen: np.ndarray
    scored: np.ndarray

    def __post_init__(self):
        if self.seen.shape != (*self.truth.xyz.shape[:2], 2) or self.scored.shape != self.truth.frames.shape:
            raise InputError(
                f"view of {self.truth.subject}/{self.truth.trial}: image points {self.seen.shape} and scored "
                f"{self.scored.shape} do not fit points in space {self.truth.xyz.shape}."
            )

    @property
    def projected(self) -> np.ndarray:
        """(frames, points, 2) true points, normalised: what a perfect detector sees."""
        return self.truth.xyz[..., :2] / self.truth.xyz[..., 2:]

    def select(self, names: Sequence[str]) -> "LiftingView":
        """Only the named points."""
        columns = [self.truth.names.index(name) for name in names]
        return replace(self, truth=self.truth.select(names), seen=self.seen[:, columns])


@dataclass(frozen=True, eq=False)
class Samples:
    """Scored frames of many views, one after the other.

    names: of the points, the root first. seen: (samples, frames, points, 2) normalised, the middle one of the odd
    number of frames is the sample's own; NaN = missing. xyz: (samples, points, 3) m, root-relative, camera's axes.
    """

    names: tuple[str, ...]
    seen: np.ndarray
    xyz: np.ndarray

    def usable(self) -> "Samples":
        """Samples to learn from: some point is seen, and all are known in space."""
        return self.rows(self.good)

    @property
    def good(self) -> np.ndarray:
        """(samples,) bool: those that `usable` keeps."""
        return np.isfinite(self.seen[:, self.seen.shape[1] // 2]).any((1, 2)) & np.isfinite(self.xyz).all((1, 2))

    def rows(self, chosen: np.ndarray) -> "Samples":
        """Only these samples, by mask or index."""
        return Samples(self.names, self.seen[chosen], self.xyz[chosen])

    def __len__(self) -> int:
        return len(self.xyz)


def chosen_points(names: Sequence[str], points: str) -> tuple[str, ...]:
    """The points of 'spine' (15) or 'full' (all SIMSPINE points among `names`), in the skeleton's order, root first.

    Raises `InputError` where a point of the spine is not among the names.
    """
    missing = [name for name in SPINE if name not in names]
    if missing:
        raise InputError(f"lifting needs the 15 points of the spine; {', '.join(missing)} are not in the data.")
    return tuple(name for name in load(TARGET).names if name in (SPINE if points == "spine" else names))


def samples(views: Iterable[LiftingView], names: Sequence[str], exact: bool, length: int = 1) -> Samples:
    """The scored frames of views, each with its neighbours in time. The first of the names is the root.

    exact: image points are the projected truth instead of the detections. length: frames of a sample, odd; beyond the
    ends of a trial its first or last frame is repeated. Frames whose root is not known in space have no truth.
    """
    names = tuple(names)
    around = np.arange(length) - length // 2
    seen, xyz = [np.empty((0, length, len(names), 2))], [np.empty((0, len(names), 3))]
    for view in (view.select(names) for view in views):
        at = np.flatnonzero(view.scored)
        image = view.projected if exact else view.seen
        seen.append(image[np.clip(at[:, None] + around, 0, len(image) - 1)])
        xyz.append(view.truth.xyz[at] - view.truth.xyz[at, :1])
    return Samples(names, np.concatenate(seen), np.concatenate(xyz))


def predicted(views: Iterable[LiftingView], names: Sequence[str], xyz: np.ndarray) -> tuple[PointSequence, ...]:
    """What a lifter made of `samples(views, names, …)`, as sequences: root-relative, the root at 0.

    xyz: (samples, points, 3) m, camera's axes.
    """
    made, start = [], 0
    for view in views:
        part = slice(start, start + int(view.scored.sum()))
        truth = view.truth.select(names, view.truth.frames[view.scored])
        made.append(replace(truth, xyz=xyz[part]))
        start = part.stop
    return tuple(made)


def digest(data: Samples) -> str:
    """sha256 of samples: equal only for the same points, images and truth."""
    found = hashlib.sha256("\x1f".join(data.names).encode())
    for array in (data.seen, data.xyz):
        found.update(str(array.shape).encode())
        found.update(np.ascontiguousarray(array, "<f8").tobytes())
    return found.hexdigest()
