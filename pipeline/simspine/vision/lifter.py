"""Lifters: points in space of the people in one camera's images, image by image.

One camera hardly shows a person's size, and therefore distance. All points are estimated, none is measured;
`lifted_world` scales them to metres and places them in a world with a floor.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from simspine.core.errors import InputError, missing_file, names_text
from simspine.core.geometry import undistort_pixels
from simspine.core.settings import Section, SettingsError
from simspine.core.types import Camera
from simspine.io.atomic import sha256_of_file
from simspine.io.video import SIZE_TOLERANCE_SHARE
from simspine.vision.one_camera import FILE_POINT_NAMES, DetectedPerson
from simspine.vision.spinepose import open_session, run_session

# A lifter from its ONNX file: image points of one camera → points in space, relative to the root.
# The file contains its description (`LifterCard`, as JSON in the ONNX metadata under `CARD_KEY`). It has one input,
# `image`, and one or two outputs, `xyz` and `sd`; the network itself standardises coordinates.
# Written by `simspine.learning.onnx_files`.

CARD_KEY, CARD_VERSION = "simspine_lifter", 1
TRAIN_LIFTER_HINT = "`python -m tools.lifting_baselines` of the source code writes one (lifter.onnx)"
PACKAGED_LIFTER = Path(__file__).with_name("networks") / "lifter.onnx"  # described in networks/README.md
USUAL_FOV_DEG = 60.0  # along the longer side: between phones' main cameras (65 to 70) and H3.6M's (47)


class LifterCard(Section):
    """Description of a lifter in its file."""

    version: int = CARD_VERSION
    """Version of this description."""
    method: str
    """Method of the training's options, such as simple."""
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
        """SHA-256 of the file."""
        return sha256_of_file(self.path)

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


def _spinepose_card(digest: str) -> LifterCard:
    points = ("Hip", *(name for name in FILE_POINT_NAMES if name != "Hip"))
    return LifterCard(
        method="spinepose", points=points, seen=points, optional=points,
        trained_on="what its authors state", data=digest,
    )  # fmt: skip


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
        self._columns = [
            FILE_POINT_NAMES.index(name) if name in FILE_POINT_NAMES else -1 for name in lifter.card.points
        ]

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
        xy = np.where(unknown[:, None], np.nan, person.points)[self._columns]
        xy[np.array(self._columns) < 0] = np.nan
        return undistort_pixels(camera, xy)


def check_lifter_points(lifter: Lifter, given: Sequence[str], detector: str) -> None:
    """`InputError` where the lifter was trained with image points that the detector does not give."""
    missing = [name for name in lifter.card.seen if name not in (*given, *lifter.card.optional)]
    if missing:
        raise InputError(
            f"{lifter.path} was trained with image points that {detector} does not give: {names_text(missing, 4)}. "
            "Train a lifter for its points, or choose the detector."
        )


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]} px"
