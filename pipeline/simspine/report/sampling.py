"""What to show of a trial: sample frames, and the layer of one frame of one camera out of the stages' results."""

from collections.abc import Sequence

import numpy as np

from simspine.errors import InputError
from simspine.geometry import change_frame, project, project_one
from simspine.report.overlay import Layer
from simspine.skeletons.inferred_names import base_name
from simspine.triangulation.report import TriangulationReport
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
    *,
    model: Markers | None = None,
    triangulation: TriangulationReport | None = None,
    edges: Sequence[tuple[str, str]] = (),
    spine: Sequence[str] = (),
) -> Layer:
    """What to draw on one frame of one camera.

    keypoints: as triangulation used them (left/right already exchanged), with inferred ones besides (`with_inferred`).
    model: markers of the body, any frame of reference. triangulation: points that it did not use count as left out.
    """
    detected = dict(zip(keypoints.names, keypoints.xy[frame, view], strict=True))
    inferred = frozenset(keypoints.names_of(Origin.INFERRED))
    pruned, exchanged = frozenset(), frozenset()
    if triangulation is not None:
        flags = triangulation.used[frame, view], triangulation.swapped[frame, view]
        rows = list(zip(triangulation.names, *flags, strict=True))
        pruned = frozenset(name for name, keep, _ in rows if not keep) - inferred
        exchanged = frozenset(name for name, _, swap in rows if swap)
    projected = {}
    if model is not None:
        xyz = change_frame(model.xyz[frame], model.frame, "z_up")
        projected = dict(zip(model.names, project_one(camera, xyz), strict=True))
    return Layer(detected, inferred, pruned, exchanged, projected, tuple(edges), tuple(spine))


def with_inferred(keypoints: Keypoints, cameras: Sequence[Camera], markers: Markers) -> Keypoints:
    """The keypoints and, projected into each camera, the inferred points of `markers`, which are for pictures.

    markers: of the same frames, in any frame of reference. Inferred points get confidence 0 and the origin INFERRED.
    """
    inferred = markers.names_of(Origin.INFERRED)
    names = [base_name(name) for name in inferred]
    xyz = change_frame(markers.select(inferred).xyz, markers.frame, "z_up")
    xy = np.moveaxis(project(cameras, xyz), 0, 1)
    rest = keypoints.select([name for name in keypoints.names if name not in names])
    return Keypoints(
        (*rest.names, *names),
        keypoints.rate,
        np.concatenate([rest.xy, xy], 2),
        np.concatenate([rest.confidence, np.zeros(xy.shape[:3])], 2),
        (*rest.origin, *(Origin.INFERRED,) * len(names)),
    )


def model_reprojection(
    cameras: Sequence[Camera], model: Markers, keypoints: Keypoints, names: Sequence[str] | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """(names, (frames, views, points) px): distance between detected points and the body's markers in each image.

    keypoints: as triangulation used them. names: which points to compare; by default all that both have and that were
    detected (an inferred point would test the rule that placed it). NaN where either is missing.
    """
    if len(cameras) != keypoints.views or model.frames != keypoints.frames:
        raise InputError(
            f"{len(cameras)} cameras and {model.frames} frames of markers do not fit keypoints of {keypoints.views} "
            f"views and {keypoints.frames} frames."
        )
    if names is None:
        inferred = keypoints.names_of(Origin.INFERRED)
        names = [n for n in keypoints.names if n in model.names and n not in inferred]
    xyz = change_frame(model.select(names).xyz, model.frame, "z_up")
    images = np.moveaxis(project(cameras, xyz), 0, 1)
    return tuple(names), np.linalg.norm(images - keypoints.select(names).xy, axis=-1)
