"""Points in space of the people that one camera sees, by a lifter, image by image.

One camera hardly shows how large somebody is, and so how far away. All points are estimated, none is measured;
`lifted_world` puts them into metres and a world with a floor.
"""

import hashlib
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from simspine.anatomy.spine_from_joints import spine_in_image
from simspine.core.errors import InputError, missing_file, unknown_name
from simspine.core.filtering import OneEuro
from simspine.core.geometry import smooth_curve, undistort_pixels
from simspine.core.settings import Section, SettingsError
from simspine.core.skeletons import SPINEPOSE_SPINE, Skeleton, load_skeleton
from simspine.core.types import Camera
from simspine.io.image_streams import OneCameraSource, Webcam
from simspine.io.video import SIZE_TOLERANCE_SHARE
from simspine.vision.association import Identities, drop_doubles
from simspine.vision.detector import Detector, estimated_by
from simspine.vision.options import LIVE_MODEL, DetectionOptions
from simspine.vision.points import IMAGE_DETECTORS, detector_of_options
from simspine.vision.spinepose import open_session, run_session

# A lifter from its ONNX file: image points of one camera → points in space, relative to the root.
# The file says all that is needed to use it (`LifterCard`, as JSON in the ONNX metadata under `CARD_KEY`). It has one
# input, `image`, and one or two outputs, `xyz` and `sd`; what coordinates are standardised by is within the
# network. Written by `simspine.learning.onnx_files`.


CARD_KEY, CARD_VERSION = "simspine_lifter", 1
TRAIN_LIFTER_HINT = "`simspine train lifting` writes one (lifter.onnx)"
PACKAGED_LIFTER = Path(__file__).with_name("networks") / "lifter.onnx"  # described in networks/README.md
_AT_ONCE = 4096


class LifterCard(Section):
    """What a lifter's file says of itself."""

    version: int = CARD_VERSION
    """Of this list."""
    method: str
    """Of the training's options: simple or temporal."""
    points: tuple[str, ...] = Field(min_length=2)
    """Names of the points that go in and come out, in their order, as SIMSPINE calls them; the first is the root."""
    seen: tuple[str, ...] = Field(min_length=1)
    """Those whose image points it was trained with; of the others none is looked at, and all are placed in space."""
    optional: tuple[str, ...] = ()
    """Those of `seen` that a detector may lack."""
    frames: int = Field(ge=1)
    """Of a sample, odd; the middle one's points come out. Beyond the first and last frame these are repeated."""
    interval_s: float = Field(ge=0)
    """From one frame of a sample to the next; 0 for one frame."""
    image: Literal["focal lengths from the principal point, lens undone; x right, y down; NaN where missing"] = (
        "focal lengths from the principal point, lens undone; x right, y down; NaN where missing"
    )
    """What goes in: (n, frames, points, 2)."""
    standardised: Literal["within the network"] = "within the network"
    """Where means and standard deviations of the training data are applied."""
    xyz: Literal["m, relative to the first point; camera's axes: x right, y down, z ahead"] = (
        "m, relative to the first point; camera's axes: x right, y down, z ahead"
    )
    """What comes out: (n, points, 3)."""
    sd: bool = False
    """Whether standard deviations come out as well, shape and unit of xyz."""
    trained_on: str
    """People and detector, in words."""
    data: str
    """SHA-256 of the samples that were learnt from."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if len(set(self.points)) < len(self.points) or not set(self.seen) <= set(self.points):
            raise ValueError("a point is named twice, or seen and not among the points")
        if self.frames % 2 == 0 or (self.frames > 1) != (self.interval_s > 0):
            raise ValueError(f"{self.frames} frames {self.interval_s} s apart")
        return self

    @property
    def reach_s(self) -> float:
        """From a sample's middle frame to its last."""
        return self.frames // 2 * self.interval_s


class LiftedPose(NamedTuple):
    """xyz: (points, 3) m relative to the root, camera's axes. sd: the same shape, or None where it is not known. image:
    (points, 2) what was lifted, in focal lengths, NaN = missing."""

    xyz: np.ndarray
    sd: np.ndarray | None = None
    image: np.ndarray = np.empty((0, 2))


class Lifter:
    """A lifter, opened: ours, or SpinePose's, which has no card."""

    def __init__(self, path: str | Path = PACKAGED_LIFTER):
        """Raises `InputError` for what is not there, no ONNX file, no lifter, or one of another version."""
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: {missing_file(path)}; a lifter is wanted. {TRAIN_LIFTER_HINT}.")
        if self.path.suffix.lower() == ".pt":
            raise InputError(f"{path}: a lifter is an ONNX file; {TRAIN_LIFTER_HINT}, next to checkpoint.pt.")
        self._session = open_session(self.path)
        self._is_spinepose = CARD_KEY not in self._session.get_modelmeta().custom_metadata_map and [
            entry.shape[1:] for entry in (*self._session.get_inputs(), *self._session.get_outputs())
        ] == [[len(FILE_POINT_NAMES), 2], [len(FILE_POINT_NAMES), 3]]
        if self._is_spinepose:
            self.card = _spinepose_card(self.sha256)
            return
        self.card = read_lifter_card(self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY), path)
        found = [entry.name for entry in (*self._session.get_inputs(), *self._session.get_outputs())]
        wanted = ["image", "xyz", *(["sd"] if self.card.sd else [])]
        if found != wanted:
            raise InputError(f"{path}: inputs and outputs are {', '.join(found)}, expected {', '.join(wanted)}.")

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def lift(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Points in space (n, points, 3) m of image points (n, frames, points, 2), and standard deviations or None.

        Both as the card says. NaN where no point is seen in the sample's own frame: of such nothing is known.
        """
        wanted = (self.card.frames, len(self.card.points), 2)
        if image.ndim != 4 or image.shape[1:] != wanted:
            raise InputError(f"{self.path}: image points of shape {image.shape}; expected {(len(image), *wanted)}.")
        looked_at = np.isin(self.card.points, self.card.seen)
        blind = ~np.isfinite(image[:, self.card.frames // 2, looked_at]).any((1, 2))
        outputs = [[np.empty((0, wanted[1], 3))]] * (1 + self.card.sd)
        for start in range(0, len(image), _AT_ONCE):
            part = self._run(image[start : start + _AT_ONCE].astype(np.float32))
            outputs = [[*before, own.astype(float)] for before, own in zip(outputs, part, strict=True)]
        found = [np.where(blind[:, None, None], np.nan, np.concatenate(parts)) for parts in outputs]
        return found[0], found[1] if self.card.sd else None

    def _run(self, image: np.ndarray) -> list[np.ndarray]:
        """Of SpinePose's lifter points go in and come out in its order, 0 0 for those not seen."""
        if not self._is_spinepose:
            return run_session(self._session, image, self.path)
        order = [self.card.points.index(name) for name in FILE_POINT_NAMES]
        (found,) = run_session(self._session, np.nan_to_num(image[:, 0, order]), self.path)
        xyz = found[:, np.argsort(order)]
        return [xyz - xyz[:, :1]]


def _spinepose_card(digest: str) -> LifterCard:
    points = ("Hip", *(name for name in FILE_POINT_NAMES if name != "Hip"))
    return LifterCard(
        method="spinepose", points=points, seen=points, optional=points, frames=1, interval_s=0.0,
        trained_on="what its authors state", data=digest,
    )  # fmt: skip


def read_lifter_card(text: str | None, path: str | Path) -> LifterCard:
    """The card of a file; `InputError` naming the file where it has none, one of another version, or a wrong one."""
    if text is None:
        raise InputError(f"{path}: this ONNX network is no lifter of simspine; {TRAIN_LIFTER_HINT}.")
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    version = content.get("version") if isinstance(content, dict) else None
    if version != CARD_VERSION:
        raise InputError(
            f"{path}: a lifter of version {version}, this simspine reads {CARD_VERSION}; {TRAIN_LIFTER_HINT}."
        )
    try:
        return LifterCard.model_validate(content)
    except SettingsError as wrong:
        raise InputError(f"{path}: the lifter's own description is wrong: {wrong.faults[0]}") from None


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
        if options.detector not in IMAGE_DETECTORS:
            raise unknown_name("detector for images", options.detector, IMAGE_DETECTORS)
        self._detector: Detector = detector_of_options(options)
        self._looking = looking
        skeleton = load_skeleton(self._detector.skeleton)
        self._columns = skeleton_index_of_file_point(skeleton)
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


def skeleton_index_of_file_point(skeleton: Skeleton) -> MappingProxyType[int, int]:
    """{position in `FILE_POINT_NAMES`: position among the skeleton's points}."""
    found = {i: skeleton.from_simspine(name) for i, name in enumerate(FILE_POINT_NAMES)}
    return MappingProxyType({i: column for i, column in found.items() if column is not None})


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


def _in_file_order(points: np.ndarray, columns: MappingProxyType[int, int]) -> DetectedPerson:
    """(points, 3) of a detector in the order of `FILE_POINT_NAMES`."""
    if points.ndim != 2 or points.shape[1] != 3 or len(points) <= max(columns.values()):
        raise InputError(f"the detector gave points of shape {points.shape}, which is not its skeleton's.")
    xy, confidence = np.full((len(FILE_POINT_NAMES), 2), np.nan), np.zeros(len(FILE_POINT_NAMES))
    to, source = list(columns), list(columns.values())
    xy[to], confidence[to] = points[source, :2], np.clip(np.nan_to_num(points[source, 2]), 0, 1)
    confidence[~np.isfinite(xy).all(1)] = 0.0
    return DetectedPerson(xy, confidence, *np.zeros((2, len(FILE_POINT_NAMES)), bool))


_ROUNDING_S = 1e-6
USUAL_FOV_DEG = 60.0  # along the longer side: between phones' main cameras (65 to 70) and H3.6M's (47)


@dataclass(frozen=True)
class LiftingLens:
    """What is known of the camera's lens. camera: of a calibration, or None. fov_deg: field of view along the longer
    side of the image, diagonal_deg: along its diagonal, or None. Without any, `USUAL_FOV_DEG` is assumed. Lens and
    principal point of a field of view: a pinhole's, in the middle."""

    fov_deg: float | None = None
    camera: Camera | None = None
    diagonal_deg: float | None = None

    def of(self, size: tuple[int, int]) -> Camera:
        """The camera of images (width, height); `InputError` where the calibrated one's are of
        another size, as of a recording."""
        if self.camera is not None:
            if any(abs(a - b) > SIZE_TOLERANCE_SHARE * b for a, b in zip(size, self.camera.size, strict=True)):
                raise InputError(
                    f"camera {self.camera.name!r} was calibrated for images of {_size_text(self.camera.size)}, these "
                    f"are {_size_text(size)}. Name the calibration of these images, or --fov."
                )
            return self.camera
        across, degrees = float(max(size)), self.fov_deg or USUAL_FOV_DEG
        if self.diagonal_deg is not None:
            across, degrees = float(np.hypot(*size)), self.diagonal_deg
        focal = across / 2 / np.tan(np.radians(degrees) / 2)
        K = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
        return Camera(name="one", size=size, K=K, distortion=np.zeros(5), R=np.eye(3), t=np.zeros(3))

    @property
    def words(self) -> str:
        """Where it is known from."""
        if self.camera is not None:
            return f"calibrated ({self.camera.name})"
        if self.diagonal_deg is not None:
            return f"{self.diagonal_deg:g}° along the diagonal, as given"
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
        self.names = lifter.card.points
        self._columns = [
            FILE_POINT_NAMES.index(name) if name in FILE_POINT_NAMES else -1 for name in lifter.card.points
        ]
        self._moments: deque[_Moment] = deque()
        self._done = 0  # of the moments, those that were lifted

    def push(self, people: Sequence[DetectedPerson], time: float, size: tuple[int, int]) -> list[dict[int, LiftedPose]]:
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
            number: LiftedPose(xyz[i], None if sd is None else sd[i], moment.image[number])
            for i, number in enumerate(moment.image)
            if np.isfinite(xyz[i]).all()
        }

    def _image(self, seen: DetectedPerson, camera: Camera) -> np.ndarray:
        """(points, 2) in focal lengths; NaN where the detector gave nothing."""
        xy = np.where(seen.inferred[:, None], np.nan, seen.points)[self._columns]
        xy[np.array(self._columns) < 0] = np.nan
        there = np.isfinite(xy).all(1)
        out = np.full(xy.shape, np.nan)
        out[there] = undistort_pixels(camera, xy[there])
        return out


def check_lifter_points(lifter: Lifter, given: Sequence[str], detector: str) -> None:
    """`InputError` where the lifter was trained with image points that the detector does not give."""
    missing = [name for name in lifter.card.seen if name not in (*given, *lifter.card.optional)]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise InputError(
            f"{lifter.path} was trained with image points that {detector} does not give: {', '.join(missing[:4])}"
            f"{more}. Train a lifter for its points (`simspine train lifting --skeleton …`), or choose the detector."
        )


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]} px"
