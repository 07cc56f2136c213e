"""What every published point must satisfy: it is the forward kinematics of the published angles."""

from collections.abc import Sequence

import numpy as np

from simspine.body.kinematics import forward_kinematics
from simspine.body.model import Body
from simspine.body.recipes import VIRTUAL, virtual_spine_markers
from simspine.errors import InputError
from simspine.formats.dataset_tree import TrialData
from simspine.types import Markers, Motion

TOLERANCE = 1e-6  # m


def body_points(body: Body, motion: Motion, names: Sequence[str]) -> Markers:
    """Points `names` on the body at the motion's values: `Markers` in frame y_up, m.

    names: SIMSPINE points, or vertebrae (C1 … L5, S1) for their centroids. The spine's points are the body's virtual
    markers (`virtual_spine_markers`), the others its markers of the same name, or virtual where it fits none (eyes and
    ears of most marker sets, centroids). A point that the body does not carry is NaN throughout.
    """
    spine = virtual_spine_markers(body)
    markers = [
        next((m for m in (spine.get(name, name), name + VIRTUAL) if m in body.marker_names), None) for name in names
    ]
    carried = [i for i, marker in enumerate(markers) if marker is not None]
    xyz = np.full((motion.frames, len(names), 3), np.nan)
    xyz[:, carried] = forward_kinematics(body, motion, names=[marker for marker in markers if marker is not None]).xyz
    xyz.setflags(write=False)
    return Markers(tuple(names), motion.rate, xyz, "y_up", start=motion.start)


def check_points(body: Body, motion: Motion, markers: Markers, where: str) -> float:
    """Largest distance, m, between `markers` and the same points of the body at the motion's values.

    Raises `InputError` naming the trial, the point and the frames if a distance exceeds `TOLERANCE`, or if a point is
    there in a frame in which the body has no pose, or the other way about. 0 where no frame has a pose.
    """
    wanted = body_points(body, motion, markers.names)
    distance = np.linalg.norm(wanted.xyz - markers.xyz, axis=-1)
    carried = wanted.present.any(0)
    broken = np.where(np.isfinite(distance), distance > TOLERANCE, (wanted.present != markers.present) & carried)
    if broken.any():
        frames, points = np.nonzero(broken)
        worst = distance[broken]
        size = "missing in one of the two"
        if np.isfinite(worst).any():
            size = f"{1e3 * np.nanmax(worst):.3g} mm off"
        raise InputError(
            f"{where}: the points are not the forward kinematics of the angles: {markers.names[points[0]]} and "
            f"{len(np.unique(points)) - 1} others, frames {frames.min()}–{frames.max()}, {size} (allowed: "
            f"{1e3 * TOLERANCE:g} mm). Nothing is written. Run the stages from `ik` on again."
        )
    return float(np.nanmax(distance)) if np.isfinite(distance).any() else 0.0


def check_trial(body: Body, trial: TrialData, where: str) -> float:
    """`check_points` of a trial's points and of the centroids of its vertebrae; the larger distance, m."""
    published = [trial.markers] if trial.centres is None else [trial.markers, trial.centres]
    return max(check_points(body, trial.motion, points, where) for points in published)
