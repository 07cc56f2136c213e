"""A lifter from its ONNX file: image points of one camera → points in space, relative to the root.

The file says all that is needed to use it (`LifterCard`, as JSON in the ONNX metadata under `CARD`). It has one input,
`image`, and one or two outputs, `xyz` and `sd`; what coordinates are standardised by is within the network. Written by
`simspine.learning.lifter_file`.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from simspine.detection.onnx_session import open_session, run_session
from simspine.errors import InputError, missing_file
from simspine.settings import Section, SettingsError

CARD, VERSION = "simspine_lifter", 1
TRAIN_ONE = "`simspine train lifting` writes one (lifter.onnx)"
_AT_ONCE = 4096


class LifterCard(Section):
    """What a lifter's file says of itself."""

    version: int = VERSION
    """Of this list."""
    method: str
    """Of the training's options: simple or temporal."""
    points: tuple[str, ...] = Field(min_length=2)
    """Names of the points that go in and come out, in their order, as SIMSPINE calls them; the first is the root."""
    seen: tuple[str, ...] = Field(min_length=1)
    """Those whose image points it was trained with; of the others none is looked at, and all are placed in space."""
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
    """xyz: (points, 3) m relative to the root, camera's axes. sd: the same shape, or None where it is not known."""

    xyz: np.ndarray
    sd: np.ndarray | None = None


class Lifter:
    """A lifter, opened."""

    def __init__(self, path: str | Path):
        """Raises `InputError` for what is not there, no ONNX file, no lifter of ours, or one of another version."""
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: {missing_file(path)}; a lifter is wanted. {TRAIN_ONE}.")
        if self.path.suffix.lower() == ".pt":
            raise InputError(f"{path}: a lifter is an ONNX file; {TRAIN_ONE}, beside checkpoint.pt.")
        self._session = open_session(self.path)
        self.card = read_card(self._session.get_modelmeta().custom_metadata_map.get(CARD), path)
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
            part = run_session(self._session, image[start : start + _AT_ONCE].astype(np.float32), self.path)
            outputs = [[*before, own.astype(float)] for before, own in zip(outputs, part, strict=True)]
        found = [np.where(blind[:, None, None], np.nan, np.concatenate(parts)) for parts in outputs]
        return found[0], found[1] if self.card.sd else None


def read_card(text: str | None, path: str | Path) -> LifterCard:
    """The card of a file; `InputError` naming the file where it has none, one of another version, or a wrong one."""
    if text is None:
        raise InputError(f"{path}: this ONNX network is no lifter of simspine; {TRAIN_ONE}.")
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    version = content.get("version") if isinstance(content, dict) else None
    if version != VERSION:
        raise InputError(f"{path}: a lifter of version {version}, this simspine reads {VERSION}; {TRAIN_ONE}.")
    try:
        return LifterCard.model_validate(content)
    except SettingsError as wrong:
        raise InputError(f"{path}: the lifter's own description is wrong: {wrong.faults[0]}") from None
