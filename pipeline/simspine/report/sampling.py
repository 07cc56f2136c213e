"""What to show of a trial: sample frames, and the layer of one frame of one camera out of the stages' results."""

from collections.abc import Sequence

import numpy as np

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
    model: Markers,
    triangulation: TriangulationReport,
    edges: Sequence[tuple[str, str]],
    spine: Sequence[str],
) -> Layer:
    """What to draw on one frame of one camera.

    keypoints: of this frame alone, as triangulation used them (left and right already exchanged), with inferred ones
    besides (`with_inferred`).
    model: markers of the body, any frame of reference. triangulation: points that it did not use count as left out.
    """
    detected = dict(zip(keypoints.names, keypoints.xy[0, view], strict=True))
    inferred, estimated = (frozenset(keypoints.names_of(origin)) for origin in (Origin.INFERRED, Origin.ESTIMATED))
    names, used, swapped = triangulation.names, triangulation.used[frame, view], triangulation.swapped[frame, view]
    pruned = frozenset(name for name, keep in zip(names, used, strict=True) if not keep) - inferred
    exchanged = frozenset(name for name, swap in zip(names, swapped, strict=True) if swap)
    xyz = change_frame(model.xyz[frame], model.frame, "z_up")
    projected = dict(zip(model.names, project_one(camera, xyz), strict=True))
    return Layer(detected, inferred, pruned, exchanged, projected, tuple(edges), tuple(spine), estimated=estimated)


def with_inferred(keypoints: Keypoints, cameras: Sequence[Camera], markers: Markers) -> Keypoints:
    """The keypoints and, projected into each camera, the points of `markers` that were not detected: inferred ones,
    for pictures.

    markers: of the same frames, in any frame of reference. These points get confidence 0 and keep their origin.
    """
    inferred = markers.names_of(Origin.INFERRED)
    names = [base_name(name) for name in inferred]
    origins = [markers.origins[markers.index(name)] for name in inferred]
    xyz = change_frame(markers.select(inferred).xyz, markers.frame, "z_up")
    xy = np.moveaxis(project(cameras, xyz), 0, 1)
    rest = keypoints.select([name for name in keypoints.names if name not in names])
    return Keypoints(
        (*rest.names, *names),
        keypoints.rate,
        np.concatenate([rest.xy, xy], 2),
        np.concatenate([rest.confidence, np.zeros(xy.shape[:3])], 2),
        (*rest.origins, *origins),
    )
