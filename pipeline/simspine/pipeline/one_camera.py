"""People in the images of one camera as they come: 37 points each, numbers that stay, smoothing, an inferred spine.

For looking, counting and annotating. Nothing here knows where the camera is, so nothing of it is a measurement in
space: that takes several cameras, and the workflow.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from simspine.detection.identities import Identities, without_doubles
from simspine.detection.one_euro import OneEuro
from simspine.detection.options import DetectionOptions
from simspine.detection.protocol import Detector, estimated_by
from simspine.errors import InputError, unknown_name
from simspine.pipeline.points import IMAGE_DETECTORS, detector_of
from simspine.skeletons import Skeleton, load
from simspine.skeletons.regions import SPINETRACK_REGIONS
from simspine.spine.shape.from_image import spine_in_image

ORDER = load("spinetrack37")  # of the points in files, as SpinePose writes them
NAMES = tuple(ORDER.to_simspine[name] for name in ORDER.names)
SPINE = tuple(NAMES.index(ORDER.to_simspine[name]) for name in SPINETRACK_REGIONS["spine"])
LEAST_CONFIDENCE = 0.3  # mean over a person's points; less is nobody


@dataclass(frozen=True, eq=False)
class Seen:
    """One person in one image. xy: (37, 2) px in the order of `NAMES`, NaN = not there. confidence: (37,) 0…1.

    estimated: (37,) bool, points that the detector gave without seeing them. inferred: (37,) bool, points that were
    placed here. number: of the person, from image to image.
    """

    xy: np.ndarray
    confidence: np.ndarray
    estimated: np.ndarray
    inferred: np.ndarray
    number: int = 1

    @property
    def detected(self) -> np.ndarray:
        """(37,) bool."""
        return np.isfinite(self.xy).all(1) & ~self.estimated & ~self.inferred

    @property
    def mean_confidence(self) -> float:
        """Of the detected points; 0 where there are none."""
        return float(self.confidence[self.detected].mean()) if self.detected.any() else 0.0


@dataclass(frozen=True)
class Looking:
    """How images of one camera are looked at. smooth: by the One-Euro filter, which needs images in the order of time.
    infer_spine: points of the spine that the detector does not give; without them only
    what was seen is kept, and estimated points are left out."""

    detection: DetectionOptions
    smooth: bool = True
    infer_spine: bool = True


class Watcher:
    """Sees the images of one camera one after the other; made for one recording, closed in the end.

    Raises `InputError` for a detector that finds nobody by itself (`import`), and what the detector's making raises.
    """

    def __init__(self, looking: Looking):
        options = looking.detection
        if options.detector not in IMAGE_DETECTORS:
            raise unknown_name("detector for images", options.detector, IMAGE_DETECTORS)
        self._detector: Detector = detector_of(options)
        self._looking = looking
        self._columns = columns_of(load(self._detector.skeleton))
        self._estimated = np.isin(list(NAMES), _simspine_names(self._detector))
        self.forget()

    def forget(self) -> None:
        """Know nobody any more: the next image begins a recording of its own, with numbers from 1."""
        self._detector.forget()
        self._identities = Identities(ORDER.swaps)
        self._filters: dict[int, OneEuro] = {}

    def see(self, image: np.ndarray, time: float) -> tuple[Seen, ...]:
        """The people in an image (height, width, 3) uint8, BGR, at `time` s, in the order of their numbers."""
        (found,) = self._detector.detect([image])
        people = [_in_order(points, self._columns) for points in found]
        people = [self._estimates_marked(seen) for seen in people]
        people = [seen for seen in people if seen.mean_confidence >= LEAST_CONFIDENCE]
        people = [people[i] for i in without_doubles([seen.xy for seen in people], ORDER.swaps)]
        numbers = self._identities.step([seen.xy for seen in people], time)
        people = [replace(seen, number=number) for seen, number in zip(people, numbers, strict=True)]
        if self._looking.smooth:
            self._filters = {n: f for n, f in self._filters.items() if n in self._identities.known}
            people = [self._smoothed(seen, time) for seen in people]
        if self._looking.infer_spine:
            people = [with_inferred(seen) for seen in people]
        return tuple(sorted(people, key=lambda seen: seen.number))

    def _estimates_marked(self, seen: Seen) -> Seen:
        """With the points that the detector did not see marked; they are left out where inferred ones are."""
        if self._looking.infer_spine:
            return replace(seen, estimated=self._estimated & np.isfinite(seen.xy).all(1))
        kept = ~self._estimated
        return replace(seen, xy=np.where(kept[:, None], seen.xy, np.nan), confidence=kept * seen.confidence)

    def _smoothed(self, seen: Seen, time: float) -> Seen:
        there = seen.xy[seen.detected]
        extent = float(np.ptp(there, axis=0).max()) if len(there) else 0.0
        xy = self._filters.setdefault(seen.number, OneEuro()).step(seen.xy, time, extent)
        return replace(seen, xy=xy)

    @property
    def detector(self) -> str:
        """Which it is, in words: an ONNX file by its name and the number of its points."""
        options = self._looking.detection
        if options.detector != "spinepose":
            return f"the detector {options.detector!r}"
        return f"the network {options.model!r}, of {len(load(self._detector.skeleton))} points,"

    @property
    def sees_spine(self) -> bool:
        """Whether the detector sees any of the nine points along the spine."""
        return any(i in self._columns and not self._estimated[i] for i in SPINE)

    @property
    def estimates_spine(self) -> bool:
        """Whether the detector gives any of the nine points along the spine without seeing it."""
        return bool(self._estimated[list(SPINE)].any())

    @property
    def given(self) -> tuple[str, ...]:
        """SIMSPINE's names of the points that are kept of the detector's, seen or estimated."""
        kept = [i for i in sorted(self._columns) if self._looking.infer_spine or not self._estimated[i]]
        return tuple(NAMES[i] for i in kept)

    @property
    def people(self) -> int:
        """How many there were so far."""
        return self._identities.count

    def close(self) -> None:
        """Release networks and threads."""
        self._detector.close()


def _simspine_names(detector: Detector) -> list[str]:
    """SIMSPINE's names of the points that a detector gives without seeing them."""
    table = load(detector.skeleton).to_simspine
    return [table[name] for name in estimated_by(detector) if name in table]


def columns_of(skeleton: Skeleton) -> MappingProxyType[int, int]:
    """{position in `NAMES`: position among the skeleton's points}."""
    found = {i: skeleton.from_simspine(name) for i, name in enumerate(NAMES)}
    return MappingProxyType({i: column for i, column in found.items() if column is not None})


def with_inferred(seen: Seen) -> Seen:
    """With the points of the spine that are missing placed by hips, shoulders and head, and marked as inferred."""
    missing = [i for i in SPINE if not np.isfinite(seen.xy[i]).all()]
    if not missing:
        return seen
    points = np.column_stack([seen.xy, seen.confidence])
    found = spine_in_image(dict(zip(NAMES, points, strict=True)))
    xy, confidence, inferred = seen.xy.copy(), seen.confidence.copy(), seen.inferred.copy()
    for i in missing:
        if NAMES[i] in found:
            xy[i], confidence[i], inferred[i] = found[NAMES[i]][:2], found[NAMES[i]][2], True
    return replace(seen, xy=xy, confidence=confidence, inferred=inferred)


def _in_order(points: np.ndarray, columns: MappingProxyType[int, int]) -> Seen:
    """(points, 3) of a detector in the order of `NAMES`."""
    if points.ndim != 2 or points.shape[1] != 3 or len(points) <= max(columns.values()):
        raise InputError(f"the detector gave points of shape {points.shape}, which is not its skeleton's.")
    xy, confidence = np.full((len(NAMES), 2), np.nan), np.zeros(len(NAMES))
    to, source = list(columns), list(columns.values())
    xy[to], confidence[to] = points[source, :2], np.clip(np.nan_to_num(points[source, 2]), 0, 1)
    confidence[~np.isfinite(xy).all(1)] = 0.0
    return Seen(xy, confidence, *np.zeros((2, len(NAMES)), bool))
