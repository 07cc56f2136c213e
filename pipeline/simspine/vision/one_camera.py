"""The people that one camera sees, image by image: points in the image, followed and smoothed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from simspine.anatomy.spine_from_joints import spine_in_image
from simspine.core.errors import InputError, require_known
from simspine.core.filtering import OneEuro
from simspine.core.geometry import smooth_curve
from simspine.core.skeletons import SPINEPOSE_SPINE, load_skeleton
from simspine.io.image_streams import OneCameraSource, Webcam
from simspine.vision.association import Identities, drop_doubles
from simspine.vision.detector import Detector, estimated_by
from simspine.vision.options import LIVE_MODEL, DetectionOptions
from simspine.vision.points import IMAGE_DETECTORS, detector_of_options

# People in the images of one camera as they come: 37 points each, numbers that stay, smoothing, an inferred spine.
# For looking, counting and annotating. Nothing here knows where the camera is, so nothing of it is a measurement
# in space: that takes several cameras, and the workflow.


FILE_POINT_ORDER = load_skeleton("spinetrack37")  # of the points in files, as SpinePose writes them
FILE_POINT_NAMES = tuple(FILE_POINT_ORDER.to_simspine[name] for name in FILE_POINT_ORDER.names)
FILE_SPINE_INDICES = tuple(map(FILE_POINT_ORDER.index, SPINEPOSE_SPINE))
MIN_POINT_CONFIDENCE = 0.3  # mean over a person's points; less is nobody


@dataclass(frozen=True, eq=False)
class DetectedPerson:
    """One person in one image.

    Attributes
    ----------
    points : (37, 2) array
        px, in the order of `names`; NaN = not there.
    scores : (37,) array
        0…1.
    estimated : (37,) array of bool
        Points that the detector gave without seeing them.
    inferred : (37,) array of bool
        Points of the spine that were placed by hips, shoulders and head.
    number : int
        Stays with a person from image to image.
    """

    points: np.ndarray
    scores: np.ndarray
    estimated: np.ndarray
    inferred: np.ndarray
    number: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """SIMSPINE's names of the 37 points, in SpinePose's order."""
        return FILE_POINT_NAMES

    @property
    def spine(self) -> np.ndarray:
        """(n, 2) px: a smooth curve from S1 to C1 through the points along the spine that are there."""
        chain = self.points[list(FILE_SPINE_INDICES)]
        return smooth_curve(chain[np.isfinite(chain).all(1)])

    @property
    def detected(self) -> np.ndarray:
        """(37,) bool."""
        return np.isfinite(self.points).all(1) & ~self.estimated & ~self.inferred

    @property
    def mean_confidence(self) -> float:
        """Of the detected points; 0 where there are none."""
        return float(self.scores[self.detected].mean()) if self.detected.any() else 0.0


def options_for_camera(options: DetectionOptions, camera: OneCameraSource) -> DetectionOptions:
    """The options with BlazePose's faster network before a webcam, unless a network is chosen."""
    own = isinstance(camera, Webcam) and options.model is None and options.detector == "blazepose"
    return options.model_copy(update={"model": LIVE_MODEL}) if own else options


@dataclass(frozen=True)
class WatchSettings:
    """How images of one camera are looked at. smooth: by the One-Euro filter, which needs images in the order of time.
    infer_spine: points of the spine that the detector does not give; without them only
    what was seen is kept, and estimated points are left out."""

    detection: DetectionOptions
    smooth: bool = True
    infer_spine: bool = True


class PeopleWatcher:
    """Sees the images of one camera one after the other; made for one recording, closed in the end.

    Raises `InputError` for a detector that finds nobody by itself (`import`), and what the detector's making raises.
    """

    def __init__(self, looking: WatchSettings):
        options = looking.detection
        require_known("detector for images", (options.detector,), IMAGE_DETECTORS)
        self._detector: Detector = detector_of_options(options)
        self._looking = looking
        skeleton = load_skeleton(self._detector.skeleton)
        found = {i: skeleton.from_simspine(name) for i, name in enumerate(FILE_POINT_NAMES)}
        self._columns = {i: column for i, column in found.items() if column is not None}  # of the file's points
        estimated = [skeleton.to_simspine.get(name) for name in estimated_by(self._detector)]
        self._estimated = np.array([name in estimated for name in FILE_POINT_NAMES])
        self.reset_identities()

    def reset_identities(self) -> None:
        """Know nobody any more: the next image begins a recording of its own, with numbers from 1."""
        self._detector.forget()
        self._identities = Identities(FILE_POINT_ORDER.swaps)
        self._filters: dict[int, OneEuro] = {}

    def watch_image(
        self, image: np.ndarray, time: float, boxes: np.ndarray | None = None
    ) -> tuple[DetectedPerson, ...]:
        """The people in an image (height, width, 3) uint8, BGR, at `time` s, in the order of their numbers.

        boxes: where they are, (people, 4) x0 y0 x1 y1 px; they are looked for if left out.
        """
        (found,) = self._detector.detect([image], None if boxes is None else [boxes])
        people = [_in_file_order(points, self._columns) for points in found]
        people = [self._estimates_marked(seen) for seen in people]
        people = [seen for seen in people if seen.mean_confidence >= MIN_POINT_CONFIDENCE]
        people = [people[i] for i in drop_doubles([seen.points for seen in people], FILE_POINT_ORDER.swaps)]
        numbers = self._identities.step([seen.points for seen in people], time)
        people = [replace(seen, number=number) for seen, number in zip(people, numbers, strict=True)]
        if self._looking.smooth:
            self._filters = {n: f for n, f in self._filters.items() if n in self._identities.known}
            people = [self._smoothed(seen, time) for seen in people]
        if self._looking.infer_spine:
            people = [add_inferred_spine(seen) for seen in people]
        return tuple(sorted(people, key=lambda seen: seen.number))

    def _estimates_marked(self, seen: DetectedPerson) -> DetectedPerson:
        """With the points that the detector did not see marked; they are left out where inferred ones are."""
        if self._looking.infer_spine:
            return replace(seen, estimated=self._estimated & np.isfinite(seen.points).all(1))
        kept = ~self._estimated
        return replace(seen, points=np.where(kept[:, None], seen.points, np.nan), scores=kept * seen.scores)

    def _smoothed(self, seen: DetectedPerson, time: float) -> DetectedPerson:
        there = seen.points[seen.detected]
        extent = float(np.ptp(there, axis=0).max()) if len(there) else 0.0
        xy = self._filters.setdefault(seen.number, OneEuro()).step(seen.points, time, extent)
        return replace(seen, points=xy)

    @property
    def detector(self) -> str:
        """Which it is, in words: an ONNX file by its name and the number of its points."""
        options = self._looking.detection
        if options.detector != "spinepose":
            return f"the detector {options.detector!r}"
        return f"the network {options.network!r}, of {len(load_skeleton(self._detector.skeleton))} points,"

    @property
    def sees_spine(self) -> bool:
        """Whether the detector sees any of the nine points along the spine."""
        return any(i in self._columns and not self._estimated[i] for i in FILE_SPINE_INDICES)

    @property
    def estimates_spine(self) -> bool:
        """Whether the detector gives any of the nine points along the spine without seeing it."""
        return bool(self._estimated[list(FILE_SPINE_INDICES)].any())

    @property
    def given(self) -> tuple[str, ...]:
        """SIMSPINE's names of the points that are kept of the detector's, seen or estimated."""
        kept = [i for i in sorted(self._columns) if self._looking.infer_spine or not self._estimated[i]]
        return tuple(FILE_POINT_NAMES[i] for i in kept)

    @property
    def people(self) -> int:
        """How many there were so far."""
        return self._identities.count

    def close(self) -> None:
        """Release networks and threads."""
        self._detector.close()


def add_inferred_spine(seen: DetectedPerson) -> DetectedPerson:
    """With the points of the spine that are missing placed by hips, shoulders and head, and marked as inferred."""
    missing = [i for i in FILE_SPINE_INDICES if not np.isfinite(seen.points[i]).all()]
    if not missing:
        return seen
    points = np.column_stack([seen.points, seen.scores])
    found = spine_in_image(dict(zip(FILE_POINT_NAMES, points, strict=True)))
    xy, confidence, inferred = seen.points.copy(), seen.scores.copy(), seen.inferred.copy()
    for i in missing:
        if FILE_POINT_NAMES[i] in found:
            xy[i], confidence[i], inferred[i] = found[FILE_POINT_NAMES[i]][:2], found[FILE_POINT_NAMES[i]][2], True
    return replace(seen, points=xy, scores=confidence, inferred=inferred)


def _in_file_order(points: np.ndarray, columns: Mapping[int, int]) -> DetectedPerson:
    """(points, 3) of a detector in the order of `FILE_POINT_NAMES`."""
    if points.ndim != 2 or points.shape[1] != 3 or len(points) <= max(columns.values()):
        raise InputError(f"the detector gave points of shape {points.shape}, which is not its skeleton's.")
    xy, confidence = np.full((len(FILE_POINT_NAMES), 2), np.nan), np.zeros(len(FILE_POINT_NAMES))
    to, source = list(columns), list(columns.values())
    xy[to], confidence[to] = points[source, :2], np.clip(np.nan_to_num(points[source, 2]), 0, 1)
    confidence[~np.isfinite(xy).all(1)] = 0.0
    return DetectedPerson(xy, confidence, *np.zeros((2, len(FILE_POINT_NAMES)), bool))
