"""Trials of a data set as its cameras see them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from simspine.dataset.recordings import Recording, open_dataset
from simspine.errors import InputError
from simspine.evaluation.points import PointSequence
from simspine.formats.store import load
from simspine.geometry import change_frame
from simspine.learning.options import LiftingSource
from simspine.learning.views import LiftingView
from simspine.learning.virtual_views import normalised
from simspine.skeletons import TARGET
from simspine.skeletons import load as skeleton
from simspine.types import Camera


def dataset_views(
    source: LiftingSource, subjects: Sequence[str], progress: Callable[[int, int], None] | None = None
) -> tuple[LiftingView, ...]:
    """All trials of the subjects as each of their cameras sees them; frames that were rejected have no truth.

    Detected points are missing (NaN) where the source names no folder of them. progress: as in `virtual_views`. Raises
    `InputError` for subjects or actions that are not in the data set, for one without cameras, and for detections that
    are not there or do not fit.
    """
    if source.dataset is None:
        raise InputError("no data set is named (source.dataset).")
    found: list[LiftingView] = []
    with open_dataset(source.dataset) as data:
        recordings = data.trials(list(subjects), source.actions)
        for i, recording in enumerate(recordings):
            found += _recording_views(source, recording)
            if progress is not None:
                progress(i + 1, len(recordings))
    return tuple(found)


def _recording_views(source: LiftingSource, recording: Recording) -> list[LiftingView]:
    where = f"{source.dataset}: {recording.subject}/{recording.name}"
    if not recording.cameras:
        raise InputError(f"{where} has no cameras; lifting needs them.")
    frames = np.arange(0, recording.frames, source.context)
    names = tuple(name for name in skeleton(TARGET).names if name in recording.data.marker_names)
    columns = [recording.data.marker_names.index(name) for name in names]
    xyz = change_frame(recording.array("markers")[frames][:, columns], "y_up", "z_up")
    valid = recording.array("valid")[frames]
    xyz = np.where(valid[:, None, None], xyz, np.nan)
    pixels = None if source.keypoints is None else _detections(source.keypoints, recording, names)
    made = []
    for camera in recording.cameras:
        seen = np.full((*xyz.shape[:2], 2), np.nan)
        if pixels is not None:
            seen = normalised(camera, _of_camera(pixels, camera, where)[frames])
        truth = PointSequence(
            subject=recording.subject,
            trial=recording.name,
            frames=frames,
            names=names,
            xyz=xyz @ camera.R.T + camera.t,
            axes="camera",
            camera=camera.name,
            rate=recording.rate,
        )
        made.append(LiftingView(truth, seen, frames % source.every == 0))
    return made


def _detections(folder: str, recording: Recording, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """{camera: (frames, points, 2) px} from <folder>/<subject>/<trial>.h5."""
    path = Path(folder) / recording.subject / f"{recording.name}.h5"
    found = load(path, ("keypoints", "cameras"))
    keypoints, cameras = found["keypoints"].select(names), found["cameras"]
    if len(keypoints.xy) != recording.frames or keypoints.xy.shape[1] != len(cameras):
        raise InputError(
            f"{path}: {len(keypoints.xy)} frames of {keypoints.xy.shape[1]} views with {len(cameras)} cameras; the "
            f"data set has {recording.frames} frames of this trial."
        )
    return {camera.name: keypoints.xy[:, v] for v, camera in enumerate(cameras)}


def _of_camera(pixels: dict[str, np.ndarray], camera: Camera, where: str) -> np.ndarray:
    if camera.name not in pixels:
        raise InputError(f"{where}: no detections of camera {camera.name}; there are {', '.join(pixels)}.")
    return pixels[camera.name]
