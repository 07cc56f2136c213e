"""Points in space of the people that one camera sees, by a lifter, image by image.

Monocular: how large somebody is, and so how far away, one camera hardly shows. All of it is estimated, relative to each
person's root, and no measurement.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError
from simspine.geometry import undistort
from simspine.pipeline.lifter import LiftedPose, Lifter
from simspine.pipeline.one_camera import NAMES, Seen
from simspine.sources.pose2sim import SIZE_TOLERANCE
from simspine.types import Camera

_ROUNDING_S = 1e-6
USUAL_FOV_DEG = 60.0  # along the longer side: between phones' main cameras (65 to 70) and H3.6M's (47)


@dataclass(frozen=True)
class LiftingLens:
    """What is known of the camera's lens. camera: of a calibration, or None; fov_deg: field of view along the longer
    side of the image, or None; without either `USUAL_FOV_DEG` is assumed. Lens and principal point of a field of view:
    a pinhole's, in the middle."""

    fov_deg: float | None = None
    camera: Camera | None = None

    def of(self, size: tuple[int, int]) -> Camera:
        """The camera of images (width, height); `InputError` where the calibrated one's are of
        another size, as of a recording."""
        if self.camera is not None:
            if any(abs(a - b) > SIZE_TOLERANCE * b for a, b in zip(size, self.camera.size, strict=True)):
                raise InputError(
                    f"camera {self.camera.name!r} was calibrated for images of {_px(self.camera.size)}, these are "
                    f"{_px(size)}. Name the calibration of these images, or --fov."
                )
            return self.camera
        focal = max(size) / 2 / np.tan(np.radians(self.fov_deg or USUAL_FOV_DEG) / 2)
        K = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
        return Camera("one", size, K, np.zeros(5), np.eye(3), np.zeros(3))

    @property
    def words(self) -> str:
        """Where it is known from."""
        if self.camera is not None:
            return f"calibrated ({self.camera.name})"
        if self.fov_deg is not None:
            return f"{self.fov_deg:g}° along the longer side, as given"
        return f"{USUAL_FOV_DEG:g}° along the longer side, assumed (--fov or --calibration tells)"


@dataclass(frozen=True, eq=False)
class _Moment:
    """time: s. image: {person: (points, 2) normalised, in the lifter's order}."""

    time: float
    image: Mapping[int, np.ndarray]


class PeopleLifter:
    """Lifts people as their images come: `push`, and `flush` in the end. A lifter that sees several frames waits for
    those after the image; beyond the ends, and where somebody is not seen, the nearest image of that person stands in,
    as in training."""

    def __init__(self, lifter: Lifter, lens: LiftingLens):
        self._lifter, self._lens = lifter, lens
        self._columns = [NAMES.index(name) if name in NAMES else -1 for name in lifter.card.points]
        self._moments: deque[_Moment] = deque()
        self._done = 0  # of the moments, those that were lifted

    def push(self, people: Sequence[Seen], time: float, size: tuple[int, int]) -> list[dict[int, LiftedPose]]:
        """One more image, of (width, height) px at `time` s: what is complete by it, {person: pose} for each image in
        their order. Inferred points are not looked at."""
        camera = self._lens.of(size)
        self._moments.append(_Moment(time, {seen.number: self._image(seen, camera) for seen in people}))
        return self._lifted(time - self._lifter.card.reach_s + _ROUNDING_S)

    def flush(self) -> list[dict[int, LiftedPose]]:
        """What was still waited for; the next image begins a recording of its own."""
        found = self._lifted(np.inf)
        self._moments.clear()
        self._done = 0
        return found

    def _lifted(self, until: float) -> list[dict[int, LiftedPose]]:
        found = []
        while self._done < len(self._moments) and self._moments[self._done].time <= until:
            found.append(self._at(self._moments[self._done]))
            self._done += 1
        while self._done and self._moments[0].time < self._moments[self._done - 1].time - self._lifter.card.reach_s:
            self._moments.popleft()
            self._done -= 1
        return found

    def _at(self, moment: _Moment) -> dict[int, LiftedPose]:
        """Everybody seen at that moment; people of whom no point goes in are left out."""
        card = self._lifter.card
        wanted = moment.time + card.interval_s * (np.arange(card.frames) - card.frames // 2)
        windows = []
        for number in moment.image:
            own = [other for other in self._moments if number in other.image]
            times = np.array([other.time for other in own])
            nearest = np.abs(times - wanted[:, None]).argmin(1)
            nearest[card.frames // 2] = own.index(moment)
            windows.append([own[i].image[number] for i in nearest])
        if not windows:
            return {}
        xyz, sd = self._lifter.lift(np.array(windows))
        return {
            number: LiftedPose(xyz[i], None if sd is None else sd[i])
            for i, number in enumerate(moment.image)
            if np.isfinite(xyz[i]).all()
        }

    def _image(self, seen: Seen, camera: Camera) -> np.ndarray:
        """(points, 2) in focal lengths; NaN where the detector gave nothing."""
        xy = np.where(seen.inferred[:, None], np.nan, seen.xy)[self._columns]
        xy[np.array(self._columns) < 0] = np.nan
        there = np.isfinite(xy).all(1)
        out = np.full(xy.shape, np.nan)
        out[there] = undistort(camera, xy[there])
        return out


def check_points(lifter: Lifter, given: Sequence[str], detector: str) -> None:
    """`InputError` where the lifter was trained with image points that the detector does not give."""
    missing = [name for name in lifter.card.seen if name not in given]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise InputError(
            f"{lifter.path} was trained with image points that {detector} does not give: {', '.join(missing[:4])}"
            f"{more}. Train a lifter for its points (`simspine train lifting --skeleton …`), or choose the detector."
        )


def _px(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]} px"
