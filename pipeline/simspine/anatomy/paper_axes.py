"""The motion of any body built here, in the 62 axes of the SIMSPINE paper.

Axes that the body has in the same place are taken as solved. The others are composed: the rotations of several joints
are multiplied, and their product is split into the angles of the paper's joint. Adding the angles would be wrong
wherever two axes turn at once, since rotations do not commute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simspine.anatomy.body import Body, body_poses, neutral_poses
from simspine.anatomy.recipes import build_body
from simspine.core.errors import InputError
from simspine.core.geometry import other_angle_branch, rotation_angle, wrap_angles, zxy_angles
from simspine.core.types import Motion

PAPER_RECIPE = "paper"  # the recipe whose joints the axes belong to
AXIS_AS_SOLVED, AXIS_COMPOSED, AXIS_LOCKED = "as solved", "composed", "locked"


@dataclass(frozen=True)
class PaperAxis:
    """One axis. unit: 'deg' or 'm' in files. how: as solved, composed or locked. spans: (parent, child) of a composed
    axis, the bodies whose relative rotation it describes."""

    name: str
    unit: str
    how: str
    spans: tuple[str, str] | None = None


# Joints of the paper's body that another body may split into several: {first coordinate: (parent, child)}; below, the
# bodies that replace its rigid torso at these joints: top of the lumbar spine, base of the arms, base of the neck.
_AXES_OF_JOINTS = {
    "neck_flexion": ("neck base", "head"),
    "arm_flex_r": ("arms", "humerus_r"),
    "arm_flex_l": ("arms", "humerus_l"),
    "Abs_r3": ("sacrum", "thorax base"),
}
_PAPER_JOINT_PLACES = {"neck base": ("T1", "torso"), "arms": ("T4", "torso"), "thorax base": ("T12", "torso")}


def paper_axes_of(body: Body) -> tuple[PaperAxis, ...]:
    """The 62 axes in the release's order, and how each of them follows from `body`.

    Raises `InputError` where the body has neither an axis nor the bodies to compose it from.
    """
    reference = _paper_body()
    spans = _composed_axes(body)
    axes = []
    for i, name in enumerate(reference.coordinates.names):
        unit = "deg" if reference.coordinates.rotational[i] else "m"
        if name in spans:
            axes.append(PaperAxis(name, unit, AXIS_COMPOSED, spans[name]))
        elif name in body.coordinates.names:
            locked = body.coordinates.locked[body.coordinates.index(name)]
            axes.append(PaperAxis(name, unit, AXIS_LOCKED if locked else AXIS_AS_SOLVED))
        elif reference.coordinates.locked[i]:
            axes.append(PaperAxis(name, unit, AXIS_LOCKED))
        else:
            raise InputError(f"body {body.name!r} has no {name}, which the 62 axes need; build it with a recipe.")
    return tuple(axes)


def to_paper_axes(body: Body, motion: Motion) -> Motion:
    """The motion in the 62 axes of the paper (rad, m); frames with a gap are NaN throughout.

    The paper's thorax is rigid, so the rotation of T1 against T12 is left out (`thorax_left_out`). L1_T12 is the
    level's own; the arms' angles count from T4, which carries the rib cage, the neck's from T1; Abs is the whole lumbar
    spine, T12 on the sacrum. Raises `InputError` as `paper_axes_of`.
    """
    reference, axes = _paper_body(), paper_axes_of(body)
    values = np.tile(reference.coordinates.default, (motion.frames, 1))
    for i, axis in enumerate(axes):
        if axis.name in motion.names and axis.how != AXIS_COMPOSED:
            values[:, i] = motion.values[:, motion.names.index(axis.name)]
    poses = body_poses(body, motion)
    for i, axis in enumerate(axes):
        if axis.spans is not None and axis.name in _AXES_OF_JOINTS:
            names = [other.name for other in axes[i : i + 3]]
            near = [motion.values[:, motion.names.index(n)] if n in motion.names else 0.0 for n in names]
            values[:, i : i + 3] = _joint_angles(reference, names, poses, spans=axis.spans, near=near)
    values[~np.isfinite(motion.values).all(1)] = np.nan
    c = reference.coordinates
    return Motion(c.names, motion.rate, values, c.rotational, start=motion.start)


def thorax_left_out(body: Body, motion: Motion) -> float:
    """Largest angle, rad, by which T1 turns against T12, relative to neutral, which the 62 axes cannot hold."""
    if not {"T1", "T12"} <= set(body.bodies):
        return 0.0
    poses, rest = body_poses(body, motion), neutral_poses(body)
    turn = np.swapaxes(poses["T12"][:, :3, :3], 1, 2) @ poses["T1"][:, :3, :3]
    turn = (rest["T12"][:3, :3].T @ rest["T1"][:3, :3]).T @ turn
    angle = rotation_angle(turn)
    known = np.isfinite(angle)
    return float(angle[known].max()) if known.any() else 0.0


@lru_cache(maxsize=1)
def _paper_body() -> Body:
    return build_body(PAPER_RECIPE, "simspine-release")


def _composed_axes(body: Body) -> dict[str, tuple[str, str]]:
    """{axis: (parent, child)} of joints that the body lacks, has locked, or splits into several."""
    names = _paper_body().coordinates.names
    spans_by_axis: dict[str, tuple[str, str]] = {}
    for first, (parent, child) in _AXES_OF_JOINTS.items():
        spans = _place_body(body, parent), _place_body(body, child)
        i = names.index(first)
        three = names[i : i + 3]
        free = first in body.coordinates.names and not body.coordinates.locked[body.coordinates.index(first)]
        if not free or (parent == "arms" and _carrier_body(body, child) != spans[0]):
            spans_by_axis |= dict.fromkeys(three, spans)
    return spans_by_axis


def _place_body(body: Body, place: str) -> str:
    for name in _PAPER_JOINT_PLACES.get(place, (place,)):
        if name in body.bodies:
            return name
    wanted = " or ".join(_PAPER_JOINT_PLACES.get(place, (place,)))
    raise InputError(f"body {body.name!r} has no {wanted}, which the 62 axes count from; build it with a recipe.")


def _carrier_body(body: Body, child: str) -> str:
    """The body that a body hangs from."""
    tree = body.tree
    (joint,) = np.flatnonzero(tree.child == body.bodies.index(child) + 1)
    return body.bodies[tree.parent[joint] - 1]


def _joint_angles(reference: Body, names, poses: Mapping[str, np.ndarray], spans: tuple[str, str], near) -> np.ndarray:
    """Angles (frames, 3) rad of a joint of the paper's body, from the relative rotation of the bodies `spans`.

    Frames of bodies are parallel in the neutral pose of both. near: three columns, rad; of the two triples for a
    rotation, the one nearer to them over the trial is taken.
    """
    tree, listed = reference.tree, reference.coordinates.names
    columns = [listed.index(name) for name in names]
    (joint,) = np.flatnonzero((tree.argument[:, :3] == columns).all(1))
    parent, child = (poses[name][:, :3, :3] for name in spans)
    outer, inner = tree.to_joint[joint, :, :3], tree.from_joint[joint, :, :3]
    turn = outer.T @ np.swapaxes(parent, 1, 2) @ child @ inner.T
    slopes = [tree.functions.slope(tree.function[joint, k]) for k in range(3)]
    signs = tree.axes[joint, :3] @ np.ones(3) * np.array(slopes, float)  # each axis is ± one of z, x, y
    angles, wanted = zxy_angles(turn)[0], np.stack(np.broadcast_arrays(*near, np.zeros(len(turn)))[:3], -1) * signs
    distances = [np.nanmean(np.abs(wrap_angles(triple - wanted))) for triple in (angles, other_angle_branch(angles))]
    if np.isfinite(distances).all() and distances[1] < distances[0]:
        angles = other_angle_branch(angles)
    with np.errstate(invalid="ignore"):
        turns = np.nan_to_num(np.round(np.nanmedian((angles - wanted) / (2 * np.pi), axis=0)))
    return (angles - 2 * np.pi * turns) * signs
