"""Lifters: points in space of the people in one camera's images, image by image.

One camera hardly shows a person's size, and therefore distance. All points are estimated, none is measured;
`PeoplePlacer` scales them to metres and places them in a world with a floor.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from simspine.core.arrays import columns_by_name
from simspine.core.errors import InputError, missing_file, names_text
from simspine.core.geometry import undistort_pixels
from simspine.core.settings import Section, SettingsError, packaged_file
from simspine.core.types import Camera
from simspine.io.atomic import sha256_of_file
from simspine.io.video import SIZE_TOLERANCE_SHARE
from simspine.vision.one_camera import FILE_POINT_NAMES, DetectedPerson
from simspine.vision.person_frame import MEAN_STATURE_M, STATURE_SD_M, PersonFrame, check_height, person_frame
from simspine.vision.spinepose import open_session, run_session

# A lifter from its ONNX file: image points of one camera → points in space, relative to the root.
# The file contains its description (`LifterCard`, as JSON in the ONNX metadata under `CARD_KEY`). It has one input,
# `image`, and one or two outputs, `xyz` and `sd`; the network itself standardises coordinates.

CARD_KEY, CARD_VERSION = "simspine_lifter", 1
TRAIN_LIFTER_HINT = "`python -m tools.lifter.package` of the source code writes one (lifter.onnx)"
PACKAGED_LIFTER = Path(__file__).with_name("networks") / "lifter.onnx"  # described in networks/README.md
USUAL_FOV_DEG = 60.0  # along the longer side: between phones' main cameras (65 to 70) and H3.6M's (47)


class LifterCard(Section):
    """Description of a lifter in its file."""

    version: int = CARD_VERSION
    """Version of this description."""
    method: str
    """Method of the training, such as centred."""
    points: tuple[str, ...] = Field(min_length=2)
    """SIMSPINE's names of input and output points, in order; the first is the root."""
    seen: tuple[str, ...] = Field(min_length=1)
    """Points whose image points the lifter was trained with; it ignores those of the others, but outputs all points."""
    optional: tuple[str, ...] = ()
    """Points of `seen` that a detector may lack."""
    frames: int = Field(1, ge=1, le=1)
    """Frames of a sample."""
    interval_s: float = Field(0.0, ge=0, le=0)
    """Time from one frame of a sample to the next; 0 for a single frame."""
    image: Literal["focal lengths from the principal point, lens undone; x right, y down; NaN where missing"] = (
        "focal lengths from the principal point, lens undone; x right, y down; NaN where missing"
    )
    """Unit and axes of the input (n, frames, points, 2)."""
    standardised: Literal["within the network"] = "within the network"
    """Where means and standard deviations of the training data are applied."""
    xyz: Literal["m, relative to the first point; camera's axes: x right, y down, z ahead"] = (
        "m, relative to the first point; camera's axes: x right, y down, z ahead"
    )
    """Unit and axes of the output (n, points, 3)."""
    sd: bool = False
    """Whether standard deviations are a second output, with shape and unit of xyz."""
    trained_on: str
    """People and detector, in words."""
    data: str
    """SHA-256 of the training samples."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if len(set(self.points)) < len(self.points) or not set(self.seen) <= set(self.points):
            raise ValueError("a point is named twice, or one of `seen` is not among `points`")
        return self


class LiftedPose(NamedTuple):
    """xyz: (points, 3) m relative to the root, camera's axes. sd: standard deviations (points, 3) m, None = not known.
    image: (points, 2) the lifter's input, in focal lengths, NaN = missing."""

    xyz: np.ndarray
    sd: np.ndarray | None = None
    image: np.ndarray = np.empty((0, 2))


class Lifter:
    """A lifter opened from its file: simspine's, or SpinePose's, which has no card."""

    def __init__(self, path: str | Path = PACKAGED_LIFTER):
        """Raises `InputError` for a missing file, and for one that is no ONNX file or no lifter of this version."""
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: {missing_file(path)}; a lifter is wanted. {TRAIN_LIFTER_HINT}.")
        if self.path.suffix.lower() == ".pt":
            raise InputError(f"{path}: a lifter is an ONNX file; {TRAIN_LIFTER_HINT}.")
        self._session = open_session(packaged_file(self.path) if self.path == PACKAGED_LIFTER else self.path)
        self.sha256 = sha256_of_file(self.path)
        self._is_spinepose = CARD_KEY not in self._session.get_modelmeta().custom_metadata_map and [
            entry.shape[1:] for entry in (*self._session.get_inputs(), *self._session.get_outputs())
        ] == [[len(FILE_POINT_NAMES), 2], [len(FILE_POINT_NAMES), 3]]
        if self._is_spinepose:
            points = ("Hip", *(name for name in FILE_POINT_NAMES if name != "Hip"))
            of_authors = {"method": "spinepose", "trained_on": "what its authors state", "data": self.sha256}
            self.card = LifterCard(points=points, seen=points, optional=points, **of_authors)
            return
        self.card = read_lifter_card(self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY), path)
        found = [entry.name for entry in (*self._session.get_inputs(), *self._session.get_outputs())]
        wanted = ["image", "xyz", *(["sd"] if self.card.sd else [])]
        if found != wanted:
            raise InputError(f"{path}: inputs and outputs are {', '.join(found)}, expected {', '.join(wanted)}.")

    def lift(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Points in space (n, points, 3) m of image points (n, points, 2), and standard deviations or None.

        Units and axes as the card states. NaN for a person without any image point that the lifter uses.
        """
        used = np.isin(self.card.points, self.card.seen)
        unseen = ~np.isfinite(image[:, used]).any((1, 2))
        outputs = self._run(image.astype(np.float32))
        outputs = [np.where(unseen[:, None, None], np.nan, output.astype(float)) for output in outputs]
        return outputs[0], outputs[1] if self.card.sd else None

    def _run(self, image: np.ndarray) -> list[np.ndarray]:
        """Outputs of the network. SpinePose's lifter has its own order of points, and takes 0 0 for those not seen."""
        if not self._is_spinepose:
            outputs = run_session(self._session, image[:, None], self.path)
            if wrong := [output.shape for output in outputs if output.shape[1:] != (len(self.card.points), 3)]:
                raise InputError(f"{self.path}: places of shape {wrong[0]}; its card names {len(self.card.points)}.")
            return outputs
        order = [self.card.points.index(name) for name in FILE_POINT_NAMES]
        (output,) = run_session(self._session, np.nan_to_num(image[:, order]), self.path)
        xyz = output[:, np.argsort(order)]
        return [xyz - xyz[:, :1]]


def read_lifter_card(text: str | None, path: str | Path) -> LifterCard:
    """The card from a file's text; `InputError` naming the file if the card is missing, invalid or another version."""
    if text is None:
        raise InputError(f"{path}: this ONNX network is no lifter of simspine; {TRAIN_LIFTER_HINT}.")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    version = content.get("version") if isinstance(content, dict) else None
    if version != CARD_VERSION:
        raise InputError(
            f"{path}: a lifter of version {version}, this simspine reads {CARD_VERSION}; {TRAIN_LIFTER_HINT}."
        )
    try:
        return LifterCard.model_validate(content)
    except SettingsError as error:
        raise InputError(f"{path}: the lifter's own description is wrong: {error.faults[0]}") from None


@dataclass(frozen=True)
class LiftingLens:
    """The camera's lens, as far as known. camera: of a calibration, or None. fov_deg: field of view along the longer
    side of the image, diagonal_deg: along its diagonal, or None. K: (3, 3) px, for images of any size. Without any of
    them, `USUAL_FOV_DEG` is assumed. A field of view means a pinhole camera with the principal point in the middle."""

    fov_deg: float | None = None
    camera: Camera | None = None
    diagonal_deg: float | None = None
    K: np.ndarray | None = None

    def of(self, size: tuple[int, int]) -> Camera:
        """The camera of images (width, height) px; `InputError` for another size than the calibrated camera's, by more
        than a recording's may differ."""
        if self.camera is not None:
            if any(abs(a - b) > SIZE_TOLERANCE_SHARE * b for a, b in zip(size, self.camera.size, strict=True)):
                raise InputError(
                    f"camera {self.camera.name!r} was calibrated for images of {_size_text(self.camera.size)}, these "
                    f"are {_size_text(size)}. Name the calibration of these images, or --fov."
                )
            return self.camera
        extent, degrees = float(max(size)), self.fov_deg or USUAL_FOV_DEG
        if self.diagonal_deg is not None:
            extent, degrees = float(np.hypot(*size)), self.diagonal_deg
        focal = extent / 2 / np.tan(np.radians(degrees) / 2)
        pinhole = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
        K = pinhole if self.K is None else np.asarray(self.K, float)
        return Camera(name="one", size=size, K=K, distortion=np.zeros(5), R=np.eye(3), t=np.zeros(3))

    @property
    def words(self) -> str:
        """Source of the lens, in words."""
        if self.camera is not None:
            return f"calibrated ({self.camera.name})"
        if self.diagonal_deg is not None:
            return f"{self.diagonal_deg:g}° along the diagonal, as given"
        if self.fov_deg is not None:
            return f"{self.fov_deg:g}° along the longer side, as given"
        return f"{USUAL_FOV_DEG:g}° along the longer side, assumed (--fov or --calibration tells)"


class PeopleLifter:
    """Lifts the people of an image. least_score: points with a lower score are not used."""

    def __init__(self, lifter: Lifter, lens: LiftingLens, least_score: float = 0.0):
        self._lifter, self._lens, self._least_score = lifter, lens, least_score
        self.names = lifter.card.points

    def lift_people(self, people: Sequence[DetectedPerson], size: tuple[int, int]) -> dict[int, LiftedPose]:
        """{person: pose} of an image of (width, height) px; people without any point that the lifter uses are left out.

        Inferred points are not used.
        """
        camera = self._lens.of(size)
        if not people:
            return {}
        image = np.array([self._image(person, camera) for person in people])
        xyz, sd = self._lifter.lift(image)
        return {
            person.number: LiftedPose(xyz[i], None if sd is None else sd[i], image[i])
            for i, person in enumerate(people)
            if np.isfinite(xyz[i]).all()
        }

    def _image(self, person: DetectedPerson, camera: Camera) -> np.ndarray:
        """The lifter's input (points, 2) in focal lengths; NaN where the detector gave no point."""
        unknown = person.inferred | (person.scores < self._least_score)
        xy = np.where(unknown[:, None], np.nan, person.points)
        return undistort_pixels(camera, columns_by_name(xy[None], FILE_POINT_NAMES, self.names)[0])


def check_lifter_points(lifter: Lifter, given: Sequence[str], detector: str) -> None:
    """`InputError` where the lifter was trained with image points that the detector does not give."""
    if missing := [name for name in lifter.card.seen if name not in (*given, *lifter.card.optional)]:
        raise InputError(
            f"{lifter.path} was trained with image points that {detector} does not give: {names_text(missing, 4)}. "
            "Train a lifter for its points, or choose the detector."
        )


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]} px"


WARM_UP_FRAMES = 30  # as SpinePose
MIN_POINTS_OF_ROOT = 4  # least number of image points that determine the root
INDEPENDENT_POINTS = 4.0  # number of a pose's points with independent errors
LEAN_SD = np.radians(4.6)  # of lifted people's lean along the line of sight: `python -m tools.lifter.lean`
UNKNOWN_PITCH_SD = np.radians(10.0)  # of a camera that is assumed level
LEVEL_CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # ahead, left, up


@dataclass(frozen=True)
class WorldChoices:
    """Quantities to estimate. height: of the first person, m; unknown if left out. metric_scale: scale by that height,
    or adults' mean. camera_pose: a world with z up; else the camera's axes. ground_plane: vertical and floor by the
    person; else the camera is assumed level. warm_up: number of first frames that determine the world.
    """

    height: float | None = None
    metric_scale: bool = True
    camera_pose: bool = True
    ground_plane: bool = True
    warm_up: int = WARM_UP_FRAMES

    def __post_init__(self):
        check_height(self.height)
        if self.height is not None and not self.metric_scale:
            raise InputError("a height has no effect without a metric scale; leave one of them out.")


class PlacedPose(NamedTuple):
    """xyz, sd: positions and standard deviations (points, 3) m in the world, in the order of the lifter's points."""

    xyz: np.ndarray
    sd: np.ndarray


class FramedPose(NamedTuple):
    """A lifted pose, the same in the world, and that world; the latter None where not known. names: of the points."""

    pose: LiftedPose
    placed: PlacedPose | None
    frame: PersonFrame | None
    names: tuple[str, ...]

    def rows(self, names: Sequence[str], scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x, y, z, score (points, 4) and standard deviations (points, 3) of the named points; 0 for others."""
        if self.placed is None:
            return np.zeros((len(names), 4)), np.zeros((len(names), 3))
        xyz, sd = (columns_by_name(part[None], self.names, names, 0.0)[0] for part in self.placed)
        return np.column_stack([xyz, scores * np.isin(names, self.names)]), sd

    def rows_y_up(self, names: Sequence[str], scores: np.ndarray) -> np.ndarray:
        """x, y, z, score (points, 4) of the named points in SpinePose's world or the camera's axes; 0 for others."""
        points = self.rows(names, scores)[0]
        points[:, :3] @= turn_to_y_up(self.frame).T
        return points


def turn_to_y_up(frame: PersonFrame | None) -> np.ndarray:
    """(3, 3) from simspine's world, in which x leads ahead of the person and z up, to SpinePose's: x to the camera's
    right, y up, z towards the camera. The camera's own axes stay."""
    if frame is None or np.array_equal(frame.R, np.eye(3)):
        return np.eye(3)
    up = frame.R[2]
    right = np.array([1.0, 0.0, 0.0]) - up[0] * up
    right = right / np.linalg.norm(right)
    return np.stack([right, up, np.cross(right, up)]) @ frame.R.T


def root_in_camera(pose: LiftedPose) -> tuple[np.ndarray, float]:
    """The root (3,) in the camera's axes, in the lifter's unit, that projects the pose onto its image points; and the
    relative standard deviation of its distance. NaN where too few points were seen.

    Linear least squares: x (Z + tz) = X + tx and y (Z + tz) = Y + ty of each point.
    """
    seen = np.isfinite(pose.image).all(1)
    if seen.sum() < MIN_POINTS_OF_ROOT:
        return np.full(3, np.nan), np.nan
    image, body = pose.image[seen], pose.xyz[seen]
    matrix = np.zeros((len(image), 2, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1.0
    matrix[:, :, 2] = -image
    root = np.linalg.lstsq(matrix.reshape(-1, 3), (image * body[:, 2:] - body[:, :2]).ravel())[0]
    if root[2] + body[:, 2].min() <= 0:
        return np.full(3, np.nan), np.nan
    residual = (body[:, :2] + root[:2]) / (body[:, 2:] + root[2]) - image
    error = root[2] * np.sqrt((residual**2).sum(1).mean())
    if pose.sd is not None:
        error = np.hypot(error, np.sqrt((pose.sd[seen, :2] ** 2).sum(1).mean()))
    extent = np.sqrt(((body[:, :2] - body[:, :2].mean(0)) ** 2).sum(1).mean())
    return root, float(error / extent / np.sqrt(INDEPENDENT_POINTS))


def frame_of_poses(names: Sequence[str], poses: Sequence[LiftedPose], choices: WorldChoices) -> PersonFrame | None:
    """The world from one person's poses; None where none of them can be placed."""
    placed = [pose.xyz + root_in_camera(pose)[0] for pose in poses]
    xyz = np.array([points for points in placed if np.isfinite(points).all()])
    if not len(xyz):
        return None
    found = person_frame(names, xyz, choices.height)
    scale, scale_sd = found.scale, found.scale_sd
    if not choices.metric_scale:
        scale, scale_sd = 1.0, float(np.hypot(found.scale_sd, STATURE_SD_M / MEAN_STATURE_M))
    R, origin, tilt = found.R, found.origin * scale / found.scale, float(np.hypot(found.tilt_sd, LEAN_SD))
    if not choices.ground_plane:
        R, tilt = LEVEL_CAMERA, float(UNKNOWN_PITCH_SD)
        feet = [names.index(name) for name in ("RHeel", "LHeel", "RBigToe", "LBigToe") if name in names]
        origin = R.T @ np.quantile((scale * xyz[:, feet] @ R.T).reshape(-1, 3), [0.5, 0.5, 0.05], 0).diagonal()
    if not choices.camera_pose:
        R, origin, tilt = np.eye(3), np.zeros(3), 0.0
    vertical_from = found.vertical_from if choices.ground_plane else "camera"
    return replace(found, scale=scale, scale_sd=scale_sd, R=R, origin=origin, tilt_sd=tilt, vertical_from=vertical_from)


def place_pose(pose: LiftedPose, frame: PersonFrame) -> PlacedPose | None:
    """A pose in the world with standard deviations; None where it cannot be placed.

    Variances add up: of the pose, of the distance along the line of sight, and of scale and vertical about the origin.
    """
    root, distance_sd = root_in_camera(pose)
    if not np.isfinite(root).all():
        return None
    body = frame.scale * pose.xyz
    camera = body + frame.scale * root
    world = (camera - frame.origin) @ frame.R.T
    pose_sd = np.zeros_like(body) if pose.sd is None else frame.scale * pose.sd
    variance = (pose_sd**2) @ (frame.R.T**2)
    variance = variance + (distance_sd * frame.scale * (frame.R @ root)) ** 2
    variance = variance + (frame.scale_sd * world) ** 2
    across = np.linalg.norm(world[:, :2], axis=1)
    variance = variance + (frame.tilt_sd * np.stack([world[:, 2], world[:, 2], across], 1)) ** 2
    return PlacedPose(world, np.sqrt(variance))


class PeoplePlacer:
    """Lifts people and places them in the world, image by image: `push` each image, and `flush` at the end.

    The first frames are held back until the person who is in most of them determines the world.
    """

    def __init__(self, lifter: PeopleLifter, choices: WorldChoices):
        self._lifter, self._choices = lifter, choices
        self._held: list[Mapping[int, LiftedPose]] = []
        self.frame: PersonFrame | None = None

    def push(self, people: Sequence[DetectedPerson], size: tuple[int, int]) -> list[dict[int, FramedPose]]:
        """Add one image. Returns {person: pose} for each image completed by it, in order; none while held back."""
        self._held.append(self._lifter.lift_people(people, size))
        waits = self.frame is None and len(self._held) < self._choices.warm_up
        return [] if waits else self._released()

    def place_at_once(self, people: Sequence[DetectedPerson], size: tuple[int, int]) -> dict[int, FramedPose]:
        """The poses of one image, without waiting: the world is of the images until then, up to `warm_up`."""
        poses = self._lifter.lift_people(people, size)
        if len(self._held) < self._choices.warm_up:
            self._held.append(poses)
            self.frame = self._world()
        return {number: self._framed(pose) for number, pose in poses.items()}

    def flush(self) -> list[dict[int, FramedPose]]:
        """The images held back; the next image begins a new recording."""
        released = self._released()
        self.frame = None
        return released

    def _released(self) -> list[dict[int, FramedPose]]:
        if self.frame is None:
            self.frame = self._world()
        held, self._held = self._held, []
        return [{number: self._framed(pose) for number, pose in poses.items()} for poses in held]

    def _world(self) -> PersonFrame | None:
        """The world by the person who is in most of the images held back."""
        numbers = [number for poses in self._held for number in poses]
        if not numbers:
            return None
        first = max(sorted(set(numbers)), key=numbers.count)
        poses = [poses[first] for poses in self._held if first in poses]
        return frame_of_poses(self._lifter.names, poses, self._choices)

    def _framed(self, pose: LiftedPose) -> FramedPose:
        placed = None if self.frame is None else place_pose(pose, self.frame)
        return FramedPose(pose, placed, self.frame, self._lifter.names)
