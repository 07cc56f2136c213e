"""Trials on their way to other programs: what their cameras see, and what their images are called."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from simspine.core.errors import InputError, safe_file_name
from simspine.core.geometry import change_frame, distortion_reach, project_points
from simspine.core.types import Camera, Markers
from simspine.io.dataset_write import TrialData


@dataclass(frozen=True)
class ExportTrial:
    """A trial with its subject and cameras. hidden: (views, frames, points) bool where the body hides a point;
    hidden_others: the same for the points of `other_points`, by their names.
    """

    subject: str
    name: str
    trial: TrialData
    cameras: tuple[Camera, ...] = ()
    hidden: np.ndarray | None = None
    hidden_others: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def other_points(self) -> dict[str, "ExportTrial"]:
        """The take with other points in the place of the released ones: `vertebral`, the same points with those along
        the spine at the centroids of their vertebrae, and `centres`, all centroids. Empty where they are not known."""
        return {
            name: replace(
                self,
                trial=replace(self.trial, markers=points, centres=None),
                hidden=self.hidden_others.get(name),
                hidden_others={},
            )
            for name, points in points_at_other_places(self.trial).items()
        }

    @property
    def path(self) -> str:
        return f"{self.subject}/{self.name}"

    @property
    def file_stem(self) -> str:
        """`S1/S1_Walking`: files of the trial are named so, with their suffix after it."""
        subject = safe_file_name(self.subject)
        return f"{subject}/{subject}_{safe_file_name(self.name)}"

    @property
    def world(self) -> np.ndarray:
        """(frames, points, 3) m, z up."""
        return change_frame(self.trial.markers.xyz, "y_up", "z_up")


def points_at_other_places(trial: TrialData) -> dict[str, Markers]:
    """{'vertebral', 'centres'}: see `ExportTrial.other_points`."""
    if trial.centres is None or trial.vertebral is None:
        return {}
    return {"vertebral": trial.vertebral, "centres": trial.centres}


ExportTrials = Callable[
    [], Iterable[ExportTrial]
]  # called for each pass over the data, so that one trial is in memory at a time


@dataclass(frozen=True)
class ExportView:
    """A take in one camera.

    px: (frames, points, 2) with distortion. local: (frames, points, 3) m in the camera's frame. inside: (frames,
    points) bool, in front of the camera and inside its image. visible: inside and not hidden by the body.
    """

    camera: Camera
    px: np.ndarray
    local: np.ndarray
    inside: np.ndarray
    visible: np.ndarray


def export_views(take: ExportTrial) -> list[ExportView]:
    """The take in each of its cameras; `InputError` if it has none."""
    if not take.cameras:
        raise InputError(f"{take.path} has no cameras; 2D annotations need them.")
    world = take.world
    found = []
    for i, (camera, px) in enumerate(zip(take.cameras, project_points(take.cameras, world), strict=True)):
        local = world @ camera.R.T + camera.t
        with np.errstate(invalid="ignore"):  # pixel centres are whole numbers, so the image begins at -0.5
            inside = (px >= -0.5).all(-1) & (px < np.array(camera.size) - 0.5).all(-1) & _within_lens(camera, local)
        visible = inside if take.hidden is None else inside & ~take.hidden[i]
        found.append(ExportView(camera=camera, px=px, local=local, inside=inside, visible=visible))
    return found


def _within_lens(camera: Camera, local: np.ndarray) -> np.ndarray:
    """Where the lens model still grows outwards: beyond, it folds far-off points back into the image."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (local[..., 0] ** 2 + local[..., 1] ** 2) / local[..., 2] ** 2 < distortion_reach(camera)


def image_stem(take: ExportTrial, camera: Camera) -> str:
    """`S1/S1_Walking.54138969/S1_Walking.54138969_`: images are named so, with the frame's number after it."""
    folder = f"{take.file_stem}.{safe_file_name(camera.name)}"
    return f"{folder}/{folder.rpartition('/')[2]}_"


def image_name(stem: str, frame: int) -> str:
    """The image of a frame. Files count from 1, as MMPose extracts them; `frame` counts from 0."""
    return f"{stem}{frame + 1:06d}.jpg"
