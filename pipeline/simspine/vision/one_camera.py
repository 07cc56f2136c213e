"""People in one camera's images, image by image: points in the image, followed and smoothed."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path

import numpy as np

from simspine.anatomy.spine_from_joints import spine_in_image
from simspine.core.arrays import columns_by_name
from simspine.core.errors import InputError, require_known
from simspine.core.filtering import OneEuro
from simspine.core.geometry import smooth_curve
from simspine.core.skeletons import SPINEPOSE_SPINE, load_skeleton
from simspine.io import image_streams
from simspine.vision.association import Identities, drop_doubles
from simspine.vision.detector import Detector, estimated_by
from simspine.vision.options import BLAZEPOSE_MODELS, LIVE_MODEL, DetectionOptions
from simspine.vision.points import IMAGE_DETECTORS, detector_of_options

# People in the images of one camera: 37 points each, constant numbers, smoothing, an inferred spine. For viewing,
# counting and annotation. The camera's pose is unknown, so that the points are no measurement in space: that needs
# several cameras, and the workflow.


FILE_POINT_ORDER = load_skeleton("spinetrack37")  # order of the points in files, as SpinePose writes them
FILE_POINT_NAMES = tuple(FILE_POINT_ORDER.to_simspine[name] for name in FILE_POINT_ORDER.names)
FILE_SPINE_INDICES = tuple(map(FILE_POINT_ORDER.index, SPINEPOSE_SPINE))
MIN_POINT_CONFIDENCE = 0.3  # least mean over a person's points; others are not counted as people


@dataclass(frozen=True, eq=False)
class DetectedPerson:
    """One person in one image.

    Attributes
    ----------
    points : (37, 2) array
        px, in the order of `names`; NaN = missing.
    scores : (37,) array
        Confidence of each point, 0…1.
    estimated : (37,) array of bool
        Points that the detector estimated without seeing them.
    inferred : (37,) array of bool
        Points of the spine that were inferred from hips, shoulders and head.
    number : int
        The same for a person in all images.
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
        """(n, 2) px: a smooth curve from S1 to C1 through the known points along the spine."""
        chain = self.points[list(FILE_SPINE_INDICES)]
        return smooth_curve(chain[np.isfinite(chain).all(1)])

    @property
    def detected(self) -> np.ndarray:
        """(37,) bool: known points that are neither estimated nor inferred."""
        return np.isfinite(self.points).all(1) & ~self.estimated & ~self.inferred

    @property
    def mean_confidence(self) -> float:
        """Mean score of the detected points; 0 if there are none."""
        return float(self.scores[self.detected].mean()) if self.detected.any() else 0.0


def options_for_camera(options: DetectionOptions, camera: image_streams.OneCameraSource) -> DetectionOptions:
    """The options with BlazePose's faster network before a webcam, unless a network is chosen."""
    faster = isinstance(camera, image_streams.Webcam) and options.model is None and options.detector == "blazepose"
    return options.model_copy(update={"model": LIVE_MODEL}) if faster else options


@dataclass(frozen=True)
class WatchSettings:
    """How images of one camera are processed. smooth: by the One-Euro filter, which needs images in order of time.
    infer_spine: infer points of the spine that the detector does not give, and keep estimated points; else only points
    that were seen are kept."""

    detection: DetectionOptions
    smooth: bool = True
    infer_spine: bool = True


class PeopleWatcher:
    """Detects and follows people in the images of one recording of one camera; to be closed at the end.

    Raises `InputError` for a detector that finds nobody by itself (`import`), and the errors of `detector_of_options`.
    """

    def __init__(self, settings: WatchSettings):
        options = settings.detection
        require_known("detector for images", (options.detector,), IMAGE_DETECTORS)
        self._detector: Detector = detector_of_options(options)
        self._settings = settings
        skeleton = load_skeleton(self._detector.skeleton)
        self._names = [skeleton.to_simspine.get(name, "") for name in skeleton.names]  # of the detector's points
        estimated = [skeleton.to_simspine.get(name) for name in estimated_by(self._detector)]
        self._estimated = np.array([name in estimated for name in FILE_POINT_NAMES])
        self.reset_identities()

    def reset_identities(self) -> None:
        """Forget all people: the next image begins a new recording, with numbers from 1."""
        self._detector.forget()
        self._identities = Identities(FILE_POINT_ORDER.swaps)
        self._filters: dict[int, OneEuro] = {}

    def watch_image(
        self, image: np.ndarray, time: float, boxes: np.ndarray | None = None
    ) -> tuple[DetectedPerson, ...]:
        """The people in an image (height, width, 3) uint8, BGR, at `time` s, in the order of their numbers.

        boxes: known places of people, (people, 4) x0 y0 x1 y1 px; people are looked for if left out.
        """
        (points_of_people,) = self._detector.detect([image], None if boxes is None else [boxes])
        people = [_in_file_order(points, self._names) for points in points_of_people]
        people = [self._with_estimates_marked(person) for person in people]
        people = [person for person in people if person.mean_confidence >= MIN_POINT_CONFIDENCE]
        people = [people[i] for i in drop_doubles([person.points for person in people], FILE_POINT_ORDER.swaps)]
        numbers = self._identities.step([person.points for person in people], time)
        people = [replace(person, number=number) for person, number in zip(people, numbers, strict=True)]
        if self._settings.smooth:
            self._filters = {n: f for n, f in self._filters.items() if n in self._identities.known}
            people = [self._smoothed(person, time) for person in people]
        if self._settings.infer_spine:
            people = [add_inferred_spine(person) for person in people]
        return tuple(sorted(people, key=lambda person: person.number))

    def _with_estimates_marked(self, person: DetectedPerson) -> DetectedPerson:
        """The person with estimated points marked; without these points if no points are to be inferred."""
        if self._settings.infer_spine:
            return replace(person, estimated=self._estimated & np.isfinite(person.points).all(1))
        kept = ~self._estimated
        return replace(person, points=np.where(kept[:, None], person.points, np.nan), scores=kept * person.scores)

    def _smoothed(self, person: DetectedPerson, time: float) -> DetectedPerson:
        detected = person.points[person.detected]
        extent = float(np.ptp(detected, axis=0).max()) if len(detected) else 0.0
        xy = self._filters.setdefault(person.number, OneEuro()).step(person.points, time, extent)
        return replace(person, points=xy)

    @property
    def detector(self) -> str:
        """The detector in words: an ONNX file by its name and the number of its points."""
        options = self._settings.detection
        if options.detector != "spinepose":
            return f"the detector {options.detector!r}"
        return f"the network {options.network!r}, of {len(load_skeleton(self._detector.skeleton))} points,"

    @property
    def sees_spine(self) -> bool:
        """Whether the detector sees any of the nine points along the spine."""
        return any(FILE_POINT_NAMES[i] in self._names and not self._estimated[i] for i in FILE_SPINE_INDICES)

    @property
    def estimates_spine(self) -> bool:
        """Whether the detector estimates any of the nine points along the spine without seeing it."""
        return bool(self._estimated[list(FILE_SPINE_INDICES)].any())

    @property
    def given(self) -> tuple[str, ...]:
        """SIMSPINE's names of the detector's points that are kept, seen or estimated."""
        kept = self._settings.infer_spine | ~self._estimated
        return tuple(name for name in np.array(FILE_POINT_NAMES)[kept].tolist() if name in self._names)

    @property
    def people(self) -> int:
        """Number of different people so far."""
        return self._identities.count

    def close(self) -> None:
        self._detector.close()


def add_inferred_spine(person: DetectedPerson) -> DetectedPerson:
    """The person with missing points of the spine inferred from hips, shoulders and head, and marked as inferred."""
    missing = [i for i in FILE_SPINE_INDICES if not np.isfinite(person.points[i]).all()]
    if not missing:
        return person
    points = np.column_stack([person.points, person.scores])
    spine = spine_in_image(dict(zip(FILE_POINT_NAMES, points, strict=True)))
    xy, confidence, inferred = person.points.copy(), person.scores.copy(), person.inferred.copy()
    for i in missing:
        if FILE_POINT_NAMES[i] in spine:
            xy[i], confidence[i], inferred[i] = spine[FILE_POINT_NAMES[i]][:2], spine[FILE_POINT_NAMES[i]][2], True
    return replace(person, points=xy, scores=confidence, inferred=inferred)


def _in_file_order(points: np.ndarray, names: Sequence[str]) -> DetectedPerson:
    """A detector's points (points, 3) in the order of `FILE_POINT_NAMES`. names: of the detector's points."""
    if points.shape != (len(names), 3):
        raise InputError(f"the detector gave points of shape {points.shape}, which is not its skeleton's.")
    ordered = columns_by_name(points[None].astype(float), names, FILE_POINT_NAMES)[0]
    xy, confidence = ordered[:, :2], np.clip(np.nan_to_num(ordered[:, 2]), 0, 1)
    confidence[~np.isfinite(xy).all(1)] = 0.0
    return DetectedPerson(xy, confidence, *np.zeros((2, len(FILE_POINT_NAMES)), bool))


@dataclass(frozen=True, eq=False)
class DetectedFrame:
    """One image of a video with its people.

    Attributes
    ----------
    number : int
        Number of the image, from 0.
    time : float
        Time of the image, s.
    image : (height, width, 3) array of uint8
        BGR.
    people : tuple of DetectedPerson
    """

    number: int
    time: float
    image: np.ndarray
    people: tuple[DetectedPerson, ...]


def detect_image(
    image: np.ndarray | str | PathLike, model: str | PathLike = "blazepose", people: int = 4, infer_spine: bool = True
) -> tuple[DetectedPerson, ...]:
    """Find people in one image: 37 points each, nine of them along the spine.

    Positions are px of the image. Angles of vertebrae need several cameras (`reconstruct`).

    Parameters
    ----------
    image : (height, width, 3) array of uint8, or path
        BGR, as OpenCV reads it.
    model : str or path
        'blazepose' (same as 'heavy'); 'full', its faster network; 'blazepose_spine' (experimental); a size of SpinePose
        ('medium', 'v1/large'), whose weights the package spinepose downloads; or an ONNX file that gives SimCC or heat
        maps.
    people : int
        The most people in an image.
    infer_spine : bool
        Infer points of the spine that the model does not give; they are marked as inferred.

    Returns
    -------
    tuple of DetectedPerson

    Raises
    ------
    InputError
        For a file or an array that is no image, and for an unknown model.

    Examples
    --------
    >>> people = ss.detect_image("person.png")
    >>> people[0].points.shape, people[0].scores.shape, people[0].spine.shape
    ((37, 2), (37,), (97, 2))
    """
    if isinstance(image, str | PathLike):
        image = image_streams.read_image(Path(image))
    settings = WatchSettings(options_of_model(model, people), smooth=False, infer_spine=infer_spine)
    with closing(PeopleWatcher(settings)) as watcher:
        return watcher.watch_image(image_streams.require_image(image), time=0.0)


def detect_video(
    source: str | PathLike,
    model: str | PathLike = "blazepose",
    people: int = 4,
    infer_spine: bool = True,
    *,
    smooth: bool = True,
) -> Iterator[DetectedFrame]:
    """Find people in each image of a video, one after the other; a person keeps the same number in all images.

    Parameters
    ----------
    source : path
        A video, a folder of photographs (independent pictures), or a webcam by its number ('0').
    model, people, infer_spine
        As of `detect_image`.
    smooth : bool
        Smooth the points over time (One-Euro filter).

    Returns
    -------
    iterator of DetectedFrame
        Each image is processed when the iterator reaches it.

    Raises
    ------
    InputError
        For a source that cannot be read, and for an unknown model.

    Examples
    --------
    >>> for frame in ss.detect_video("person.avi"):
    ...     for person in frame.people:
    ...         print(frame.number, person.number, person.points.shape, person.inferred.sum())
    0 1 (37, 2) 9
    1 1 (37, 2) 9
    """
    camera = image_streams.open_camera(fspath(source))
    options = options_for_camera(options_of_model(model, people), camera)
    settings = WatchSettings(options, smooth and not isinstance(camera, image_streams.Photographs), infer_spine)
    return _detected_frames(camera, settings)


def _detected_frames(camera: image_streams.OneCameraSource, settings: WatchSettings) -> Iterator[DetectedFrame]:
    with closing(PeopleWatcher(settings)) as watcher:
        for shot, people in watch_camera(camera, watcher):
            yield DetectedFrame(shot.number, shot.time, shot.image, people)


def watch_camera(
    camera: image_streams.OneCameraSource, watcher: PeopleWatcher
) -> Iterator[tuple[image_streams.CameraImage, tuple[DetectedPerson, ...]]]:
    for shot in image_streams.camera_images(camera):
        if isinstance(camera, image_streams.Photographs):  # photographs are independent of each other
            watcher.reset_identities()
        yield shot, watcher.watch_image(shot.image, shot.time)


def options_of_model(model: str | PathLike, people: int) -> DetectionOptions:
    """Detection options for a model: a network of BlazePose, a detector's name, or a network of SpinePose's kind."""
    name = fspath(model)
    if name in IMAGE_DETECTORS:
        return DetectionOptions.model_validate({"detector": name, "people": people})
    detector = "blazepose" if name in BLAZEPOSE_MODELS else "spinepose"
    return DetectionOptions(detector=detector, model=name, people=people)
