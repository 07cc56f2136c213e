"""One trial on its way into an exchange format, and what its cameras see of it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from simspine.errors import InputError
from simspine.formats.dataset_tree import TrialData
from simspine.geometry import change_frame, project
from simspine.lenses import reach
from simspine.types import Camera, Markers

_IMAGE = re.compile(r"(.+)\.[^.]+_\d{6,}\.jpg")  # <subject>_<trial>.<camera>_<frame>.jpg


@dataclass(frozen=True)
class Take:
    """A trial with its subject and cameras. hidden: (views, frames, points) bool where the body hides a point;
    hidden_others: the same for the points of `others`, by their names.
    """

    subject: str
    name: str
    trial: TrialData
    cameras: tuple[Camera, ...] = ()
    hidden: np.ndarray | None = None
    hidden_others: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def others(self) -> dict[str, "Take"]:
        """The take with other points in the place of the released ones: `vertebral`, the same points with those along
        the spine at the centroids of their vertebrae, and `centres`, all centroids. Empty where they are not known."""
        return {
            name: replace(
                self,
                trial=replace(self.trial, markers=points, centres=None),
                hidden=self.hidden_others.get(name),
                hidden_others={},
            )
            for name, points in other_points(self.trial).items()
        }

    @property
    def path(self) -> str:
        return f"{self.subject}/{self.name}"

    @property
    def world(self) -> np.ndarray:
        """(frames, points, 3) m, z up."""
        return change_frame(self.trial.markers.xyz, "y_up", "z_up")


def other_points(trial: TrialData) -> dict[str, Markers]:
    """{'vertebral', 'centres'}: see `Take.others`."""
    if trial.centres is None or trial.vertebral is None:
        return {}
    return {"vertebral": trial.vertebral, "centres": trial.centres}


Takes = Callable[[], Iterable[Take]]  # called for each pass over the data, so that one trial is in memory at a time


@dataclass(frozen=True)
class TakeView:
    """A take in one camera.

    px: (frames, points, 2) with distortion. local: (frames, points, 3) m in the camera's frame. inside: (frames,
    points) bool, in front of the camera and inside its image. visible: inside and not hidden by the body.
    """

    camera: Camera
    px: np.ndarray
    local: np.ndarray
    inside: np.ndarray
    visible: np.ndarray


def views(take: Take) -> list[TakeView]:
    """The take in each of its cameras; `InputError` if it has none."""
    if not take.cameras:
        raise InputError(f"{take.path} has no cameras; 2D annotations need them.")
    world = take.world
    found = []
    for i, (camera, px) in enumerate(zip(take.cameras, project(take.cameras, world), strict=True)):
        local = world @ camera.R.T + camera.t
        with np.errstate(invalid="ignore"):  # pixel centres are whole numbers, so the image begins at -0.5
            inside = (px >= -0.5).all(-1) & (px < np.array(camera.size) - 0.5).all(-1) & _sees(camera, local)
        visible = inside if take.hidden is None else inside & ~take.hidden[i]
        found.append(TakeView(camera, px, local, inside, visible))
    return found


def _sees(camera: Camera, local: np.ndarray) -> np.ndarray:
    """Where the lens model still grows outwards: beyond, it folds far-off points back into the image."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (local[..., 0] ** 2 + local[..., 1] ** 2) / local[..., 2] ** 2 < reach(camera)


def image_stem(take: Take, camera: Camera) -> str:
    """`S1/S1_Walking.54138969/S1_Walking.54138969_`: images are named so, with the frame's number after it."""
    stem = f"{take.subject}_{take.name}.{camera.name}"
    return f"{take.subject}/{stem}/{stem}_"


def take_of_image(name: str) -> tuple[str, str] | None:
    """(subject, trial) of an image that `image_stem` named; None for an image of other names."""
    parts = name.split("/")
    found = _IMAGE.fullmatch(parts[-1])
    if len(parts) < 3 or found is None or not found[1].startswith(f"{parts[-3]}_"):
        return None
    return parts[-3], found[1].removeprefix(f"{parts[-3]}_")


def image_name(stem: str, frame: int) -> str:
    """The image of a frame. Files count from 1, as MMPose extracts them; `frame` counts from 0."""
    return f"{stem}{frame + 1:06d}.jpg"
