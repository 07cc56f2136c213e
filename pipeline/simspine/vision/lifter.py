"""Lifters: points in space of the people that one camera sees, image by image.

One camera hardly shows how large a person is, and so how far away. All points are estimated, none is measured;
`lifted_world` puts them into metres and a world with a floor.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from simspine.core.errors import InputError, missing_file
from simspine.core.geometry import undistort_pixels
from simspine.core.settings import Section, SettingsError
from simspine.core.types import Camera
from simspine.io.atomic import sha256_of_file
from simspine.io.video import SIZE_TOLERANCE_SHARE
from simspine.vision.one_camera import FILE_POINT_NAMES, DetectedPerson
from simspine.vision.spinepose import open_session, run_session

# A lifter from its ONNX file: image points of one camera → points in space, relative to the root.
# The file says all that is needed to use it (`LifterCard`, as JSON in the ONNX metadata under `CARD_KEY`). It has one
# input, `image`, and one or two outputs, `xyz` and `sd`; what coordinates are standardised by is within the
# network. Written by `simspine.learning.onnx_files`.

CARD_KEY, CARD_VERSION = "simspine_lifter", 1
TRAIN_LIFTER_HINT = "`python -m tools.lifting_baselines` of the source code writes one (lifter.onnx)"
PACKAGED_LIFTER = Path(__file__).with_name("networks") / "lifter.onnx"  # described in networks/README.md
USUAL_FOV_DEG = 60.0  # along the longer side: between phones' main cameras (65 to 70) and H3.6M's (47)


class LifterCard(Section):
    """What a lifter's file says of itself."""

    version: int = CARD_VERSION
    """Of this list."""
    method: str
    """How it was made, such as simple, of the training's options."""
    points: tuple[str, ...] = Field(min_length=2)
    """Names of the points that go in and come out, in their order, as SIMSPINE calls them; the first is the root."""
    seen: tuple[str, ...] = Field(min_length=1)
    """Those whose image points it was trained with; of the others none is looked at, and all are placed in space."""
    optional: tuple[str, ...] = ()
    """Those of `seen` that a detector may lack."""
    frames: int = Field(1, ge=1, le=1)
    """Of a sample."""
    interval_s: float = Field(0.0, ge=0, le=0)
    """From one frame of a sample to the next; there is one."""
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
        return self


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
        return sha256_of_file(self.path)

    def lift(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Points in space (n, points, 3) m of image points (n, points, 2), and standard deviations or None.

        Both as the card says. NaN where no point is seen: of such nothing is known.
        """
        looked_at = np.isin(self.card.points, self.card.seen)
        blind = ~np.isfinite(image[:, looked_at]).any((1, 2))
        outputs = self._run(image.astype(np.float32))
        found = [np.where(blind[:, None, None], np.nan, part.astype(float)) for part in outputs]
        return found[0], found[1] if self.card.sd else None

    def _run(self, image: np.ndarray) -> list[np.ndarray]:
        """Of SpinePose's lifter points go in and come out in its order, 0 0 for those not seen."""
        if not self._is_spinepose:
            parts = run_session(self._session, image[:, None], self.path)
            if odd := [part.shape for part in parts if part.shape[1:] != (len(self.card.points), 3)]:
                raise InputError(f"{self.path}: places of shape {odd[0]}; its card names {len(self.card.points)}.")
            return parts
        order = [self.card.points.index(name) for name in FILE_POINT_NAMES]
        (found,) = run_session(self._session, np.nan_to_num(image[:, order]), self.path)
        xyz = found[:, np.argsort(order)]
        return [xyz - xyz[:, :1]]


def _spinepose_card(digest: str) -> LifterCard:
    points = ("Hip", *(name for name in FILE_POINT_NAMES if name != "Hip"))
    return LifterCard(
        method="spinepose", points=points, seen=points, optional=points,
        trained_on="what its authors state", data=digest,
    )  # fmt: skip


def read_lifter_card(text: str | None, path: str | Path) -> LifterCard:
    """The card of a file; `InputError` naming the file where it has none, one of another version, or a wrong one."""
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
    except SettingsError as wrong:
        raise InputError(f"{path}: the lifter's own description is wrong: {wrong.faults[0]}") from None


@dataclass(frozen=True)
class LiftingLens:
    """What is known of the camera's lens. camera: of a calibration, or None. fov_deg: field of view along the longer
    side of the image, diagonal_deg: along its diagonal, or None. K: (3, 3) px, of images of any size. Without any,
    `USUAL_FOV_DEG` is assumed. Lens and principal point of a field of view: a pinhole's, in the middle."""

    fov_deg: float | None = None
    camera: Camera | None = None
    diagonal_deg: float | None = None
    K: np.ndarray | None = None

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
        middle = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
        K = middle if self.K is None else np.asarray(self.K, float)
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


class PeopleLifter:
    """Lifts the people of an image. least_score: of a point that is looked at."""

    def __init__(self, lifter: Lifter, lens: LiftingLens, least_score: float = 0.0):
        self._lifter, self._lens, self._least_score = lifter, lens, least_score
        self.names = lifter.card.points
        self._columns = [
            FILE_POINT_NAMES.index(name) if name in FILE_POINT_NAMES else -1 for name in lifter.card.points
        ]

    def lift_people(self, people: Sequence[DetectedPerson], size: tuple[int, int]) -> dict[int, LiftedPose]:
        """{person: pose} of an image of (width, height) px; people of whom no point goes in are left out.

        Inferred points are not looked at.
        """
        camera = self._lens.of(size)
        if not people:
            return {}
        image = np.array([self._image(seen, camera) for seen in people])
        xyz, sd = self._lifter.lift(image)
        return {
            seen.number: LiftedPose(xyz[i], None if sd is None else sd[i], image[i])
            for i, seen in enumerate(people)
            if np.isfinite(xyz[i]).all()
        }

    def _image(self, seen: DetectedPerson, camera: Camera) -> np.ndarray:
        """(points, 2) in focal lengths; NaN where the detector gave nothing."""
        unknown = seen.inferred | (seen.scores < self._least_score)
        xy = np.where(unknown[:, None], np.nan, seen.points)[self._columns]
        xy[np.array(self._columns) < 0] = np.nan
        return undistort_pixels(camera, xy)


def check_lifter_points(lifter: Lifter, given: Sequence[str], detector: str) -> None:
    """`InputError` where the lifter was trained with image points that the detector does not give."""
    missing = [name for name in lifter.card.seen if name not in (*given, *lifter.card.optional)]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise InputError(
            f"{lifter.path} was trained with image points that {detector} does not give: {', '.join(missing[:4])}"
            f"{more}. Train a lifter for its points, or choose the detector."
        )


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]} px"
