"""Vertebral centres behind which the trunk's outline runs: contours of all views → points in space, with errors."""

from collections.abc import Sequence

import numpy as np

from simspine.geometry import in_frame, project, undistort
from simspine.silhouettes.levels import DEPTH_SD, GROOVE, GROOVE_SD, LEVELS, TrunkLevel
from simspine.silhouettes.sections import fit_section
from simspine.types import Camera, Keypoints, Markers, Origin

JOINTS = ("LHip", "RHip", "LShoulder", "RShoulder")
LONGEST = 0.26  # m from the axis: no trunk is so wide
FEWEST_TANGENTS, FEWEST_FRAMES = 2, 10  # in a frame; in a trial: fewer do not tell a section from its path
MOST_SD, MOST_MISS = 0.04, 0.015  # m: a level that is less sure, or whose tangents miss by more (median), is left out


def silhouette_points(contours: Keypoints, cameras: Sequence[Camera], markers: Markers) -> Markers | None:
    """Centres of the vertebrae L5, L3, L1, T8 as the silhouettes place them; None where they say nothing.

    contours: `CONTOURS` of the person in each view. cameras: of the views. markers: with hips and shoulders, in any
    frame; the result is in the same. A centre lies in front of the rear of the trunk's section by an assumed groove and
    depth. covariance: what of its error lasts, alike in all directions; most of it the levels share. NaN in frames in
    which fewer than two tangents touch the level.
    """
    if not set(JOINTS) <= set(markers.names):
        return None
    joints = in_frame(markers.select(JOINTS), "z_up")
    known = np.asarray(joints.present).all(axis=1)
    names, xyz, variance = [], [], []
    for level in LEVELS:
        axis, right, forward = _plane(joints.xyz, level.at)
        distance, normal = _tangents(level, contours, cameras, axis, right, forward)
        usable = np.isfinite(distance).sum(1) >= FEWEST_TANGENTS
        if (usable & known).sum() < FEWEST_FRAMES:
            continue
        section = fit_section(level, distance, normal, contours.rate)
        sd = float(np.sqrt(section.sd**2 + GROOVE_SD**2 + DEPTH_SD**2))
        if sd > MOST_SD or section.residual > MOST_MISS:
            continue
        ahead = (section.rear + GROOVE + level.depth)[:, None] * forward
        place = axis + section.right[:, None] * right + ahead
        names.append(level.marker)
        xyz.append(np.where((usable & known)[:, None], place, np.nan))
        variance.append(sd**2)
    if not names:
        return None
    covariance = np.broadcast_to(np.array(variance)[:, None, None] * np.eye(3), (joints.frames, len(names), 3, 3))
    found = Markers(
        tuple(names), markers.rate, np.stack(xyz, 1), "z_up", covariance=covariance, start=markers.start,
        origin=(Origin.SILHOUETTE,) * len(names),
    )  # fmt: skip
    return in_frame(found, markers.frame)


def _plane(joints: np.ndarray, at: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the section at a share of the trunk's axis: point, right and forward, (frames, 3) each.

    joints: (frames, 4, 3) in the order of `JOINTS`, z_up. The trunk faces between hips and shoulders as the level lies.
    """
    hips, shoulders = joints[:, :2].mean(1), joints[:, 2:].mean(1)
    up = _unit(shoulders - hips)
    lines = [_unit(_across(joints[:, i + 1] - joints[:, i], up)) for i in (0, 2)]
    right = _unit(_across((1 - at) * lines[0] + at * lines[1], up))
    return hips + at * (shoulders - hips), right, np.cross(up, right)


def _tangents(level: TrunkLevel, contours: Keypoints, cameras: Sequence[Camera], axis, right, forward):
    """Distance (frames, 2 × views) m and outward normal (frames, 2 × views, 2) of the lines of sight along a contour.

    Seen along the trunk's axis. A contour on the wrong side of the axis, or too far from it, is none.
    """
    distance, normal = [], []
    step = 0.05 * np.cross(right, forward)
    for view, camera in enumerate(cameras):
        ends = project([camera], np.stack([axis, axis + step]))[0]
        up = ends[1] - ends[0]
        across = np.stack([-up[:, 1], up[:, 0], np.zeros(len(up))], -1) @ camera.R
        offset = camera.centre - axis
        for side, sign in enumerate((1.0, -1.0)):
            name = contours.names[2 * LEVELS.index(level) + side]
            seen = undistort(camera, contours.xy[:, view, contours.index(name)])
            ray = np.column_stack([seen, np.ones(len(seen))]) @ camera.R
            flat = np.stack([(ray * right).sum(1), (ray * forward).sum(1)], 1)
            outward = _unit(np.stack([-flat[:, 1], flat[:, 0]], 1))
            aside = sign * np.stack([(across * right).sum(1), (across * forward).sum(1)], 1)
            outward *= np.sign((outward * aside).sum(1))[:, None]
            far = outward[:, 0] * (offset * right).sum(1) + outward[:, 1] * (offset * forward).sum(1)
            distance.append(np.where((far > 0) & (far < LONGEST), far, np.nan))
            normal.append(outward)
    return np.stack(distance, 1), np.stack(normal, 1)


def _unit(v: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return v / np.linalg.norm(v, axis=-1, keepdims=True)


def _across(v: np.ndarray, axis: np.ndarray) -> np.ndarray:
    return v - (v * axis).sum(-1, keepdims=True) * axis
