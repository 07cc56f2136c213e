"""What to show of a trial: sample frames, and the layer of one frame of one camera out of the stages' results."""

from collections.abc import Sequence

import numpy as np

from simspine.errors import InputError
from simspine.geometry import change_frame, project, project_one
from simspine.merging import base_name
from simspine.report.overlay import Layer
from simspine.types import Camera, Keypoints, Markers, Origin


def sample_frames(frames: int, count: int = 3, avoid: np.ndarray | None = None) -> tuple[int, ...]:
    """`count` frames spread evenly over a trial, each the nearest one outside `avoid` (frames,) bool, if any is."""
    if frames <= 0:
        return ()
    wanted = np.unique(np.round((np.arange(count) + 0.5) / count * frames - 0.5).astype(int))
    free = np.arange(frames) if avoid is None or np.all(avoid) else np.flatnonzero(~np.asarray(avoid, bool))
    return tuple(sorted({int(free[np.abs(free - frame).argmin()]) for frame in wanted}))


def frame_layer(
    keypoints: Keypoints,
    frame: int,
    view: int,
    camera: Camera,
    model: Markers | None = None,
    used: np.ndarray | None = None,
    swapped: np.ndarray | None = None,
    edges: Sequence[tuple[str, str]] = (),
    spine: Sequence[str] = (),
) -> Layer:
    """What to draw on one frame of one camera.

    keypoints: as triangulation used them (left/right already exchanged). model: markers of the body, any frame of
    reference. used, swapped: (frames, views, points) bool of the triangulation's report; points not used count as left
    out, unless they were inferred.
    """
    inferred = frozenset(_inferred(keypoints))
    detected = dict(zip(keypoints.names, keypoints.xy[frame, view], strict=True))
    pruned, exchanged = frozenset(), frozenset()
    if used is not None:
        pruned = frozenset(n for n, keep in zip(keypoints.names, used[frame, view], strict=True) if not keep) - inferred
    if swapped is not None:
        exchanged = frozenset(n for n, swap in zip(keypoints.names, swapped[frame, view], strict=True) if swap)
    projected = {}
    if model is not None:
        xyz = change_frame(model.xyz[frame], model.frame, "z_up")
        projected = dict(zip(model.names, project_one(camera, xyz), strict=True))
    return Layer(detected, inferred, pruned, exchanged, projected, tuple(edges), tuple(spine))


def inferred_as_in_space(keypoints: Keypoints, cameras: Sequence[Camera], markers: Markers) -> Keypoints:
    """The keypoints with those that were inferred where `markers` (same frames, any frame of reference) have them.

    Another way may have placed them in space than in the images, and it is the markers that the results rest on. An
    inferred point that `markers` lack stays.
    """
    places = {base_name(name): k for k, name in enumerate(markers.names)}
    inferred = [n for n in _inferred(keypoints) if n in places]
    xyz = change_frame(markers.xyz[:, [places[n] for n in inferred]], markers.frame, "z_up")
    xy = keypoints.xy.copy()
    xy[:, :, keypoints.indices(inferred)] = np.moveaxis(project(cameras, xyz), 0, 1)
    return keypoints.with_(xy=xy)


def model_reprojection(
    cameras: Sequence[Camera], model: Markers, keypoints: Keypoints, names: Sequence[str] | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """(names, (frames, views, points) px): distance between detected points and the body's markers in each image.

    keypoints: as triangulation used them. names: which points to compare; by default all that both have and that were
    detected (an inferred point would judge the rule that placed it). NaN where either is missing.
    """
    if len(cameras) != keypoints.views or model.frames != keypoints.frames:
        raise InputError(
            f"{len(cameras)} cameras and {model.frames} frames of markers do not fit keypoints of {keypoints.views} "
            f"views and {keypoints.frames} frames."
        )
    if names is None:
        inferred = _inferred(keypoints)
        names = [n for n in keypoints.names if n in model.names and n not in inferred]
    xyz = change_frame(model.select(names).xyz, model.frame, "z_up")
    images = np.moveaxis(project(cameras, xyz), 0, 1)
    return tuple(names), np.linalg.norm(images - keypoints.select(names).xy, axis=-1)


def _inferred(keypoints: Keypoints) -> list[str]:
    return [n for n, o in zip(keypoints.names, keypoints.origin, strict=True) if o is Origin.INFERRED]
