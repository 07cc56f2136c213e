"""Alignment of pelvis and spine as radiographs show it, from poses of bodies. Definitions: docs/clinical.md.

All functions take poses {body: (frames, 4, 4)} in ground, y_up, of a body whose vertebrae are `vertebrae` (scaled as
the body is), and give (frames,) rad or m; NaN where a pose is, and where a line is seen end-on. The vertical is the
world's. Angles of the pelvis are seen along the rightward axis of the pelvis, the slope of T1 along that of T1: what
a lateral radiograph shows if the film is parallel to the sagittal plane of the bone it is read from.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.spine.curvature import cobb, signed_angle, signed_angle_of
from simspine.spine.endplates import Endplate, Vertebra, endplate
from simspine.spine.vertebrae import relative_angles

UP = np.array([0.0, 1.0, 0.0])
HIPS = ("femur_r", "femur_l")  # bodies whose origins are the centres of the hips
TRUNK = (*(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)))
Poses = Mapping[str, np.ndarray]
Vertebrae = Mapping[str, Vertebra]


def pelvic_tilt(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """Angle from the vertical to the line from the middle of the hips to the centre of S1's endplate; positive where
    the endplate is behind the hips."""
    return signed_angle(UP, _from_hips(poses, vertebrae), _across(poses, vertebrae))


def sacral_slope(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """Angle between S1's endplate and the horizontal; positive where it slopes down forwards."""
    return signed_angle(_normal(poses, endplate(vertebrae, "S1", "superior")), UP, _across(poses, vertebrae))


def pelvic_incidence(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """Angle between the perpendicular of S1's endplate and the line from the middle of the hips to the plate's centre.

    It does not change with posture, and is pelvic tilt plus sacral slope.
    """
    normal = _normal(poses, endplate(vertebrae, "S1", "superior"))
    return signed_angle(normal, _from_hips(poses, vertebrae), _across(poses, vertebrae))


def t1_slope(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """Angle between T1's upper endplate and the horizontal; positive where it slopes down forwards."""
    plate = endplate(vertebrae, "T1", "superior")
    return signed_angle(_normal(poses, plate), UP, _pose(poses, plate.body)[:, :3, 2])


def cervical_lordosis(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """Cobb angle between the lower endplates of C2 and C7, lordosis positive, in the plane of `cobb`."""
    return cobb(poses, endplate(vertebrae, "C2", "inferior"), endplate(vertebrae, "C7", "inferior"))


def sagittal_vertical_axis(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """How far the plumb line of C7's centre passes in front of the rear corner of S1's endplate, m.

    NaN where the pelvis lies on its side. Raises `InputError` where the model has no such corner.
    """
    plate = endplate(vertebrae, "S1", "superior")
    if plate.rear is None:
        raise InputError("the model's S1 has no rear corner, from which the sagittal vertical axis counts.")
    line = _c7(poses, vertebrae) - _place(poses, plate.body, plate.rear)
    return (line * _forward(poses, vertebrae)).sum(-1)


def coronal_balance(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """How far C7's plumb line passes to the right of the centre of S1's endplate, m. NaN where the pelvis lies on its
    side."""
    return (_to_c7(poses, vertebrae) * _right(poses, vertebrae)).sum(-1)


def trunk_inclination(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """Angle between the vertical and the line from the centre of S1's endplate to that of C7, seen from the right of
    the pelvis; positive forwards."""
    line = _to_c7(poses, vertebrae)
    return np.arctan2((line * _forward(poses, vertebrae)).sum(-1), line @ UP)


def coronal_cobb(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """The largest Cobb angle between any two endplates from T1 to L5 in the frontal plane, not signed.

    The frontal tilt of each endplate on the one below is taken in the plane midway between both, so that a spine bent
    forward or twisted is read as if it stood straight, and the tilts are added up; the Cobb angle is their range.
    """
    plates = [plate for name in TRUNK for plate in (vertebrae[name].superior, vertebrae[name].inferior) if plate]
    placed = [_normal_and_forward(poses, plate) for plate in plates]
    tilt = 0.0 * placed[0][0, 0]  # NaN where a pose is
    low = high = tilt
    for upper, lower, above, below in zip(plates, plates[1:], placed, placed[1:], strict=False):
        if upper.body == lower.body:  # in a rigid body the same in every frame
            of_lower, of_upper = (np.array(plate.normal)[:, None] for plate in (lower, upper))
            step = signed_angle_of(of_lower, of_upper, np.array([[1.0], [0.0], [0.0]]))
        else:
            axis = above[1] + below[1]
            step = signed_angle_of(below[0], above[0], axis / np.sqrt((axis * axis).sum(0)))
        tilt = tilt + step
        low, high = np.minimum(low, tilt), np.maximum(high, tilt)
    return high - low


def lumbar_flexion(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """Flexion of T12 on the sacrum, 0 in the model's neutral pose: the lumbar part of bending forward."""
    return relative_angles(_pose(poses, vertebrae["S1"].body), _pose(poses, vertebrae["T12"].body))[0][:, 0]


def bodies_of(vertebrae: Vertebrae, levels: Sequence[str]) -> tuple[str, ...]:
    """The bodies that carry some vertebrae, each once."""
    return tuple(dict.fromkeys(vertebrae[level].body for level in levels))


def _pose(poses: Poses, body: str) -> np.ndarray:
    if body not in poses:
        raise unknown_name("body", body, poses, "the poses")
    return np.asarray(poses[body], float)


def _normal(poses: Poses, plate: Endplate) -> np.ndarray:
    return _pose(poses, plate.body)[:, :3, :3] @ np.array(plate.normal)


def _normal_and_forward(poses: Poses, plate: Endplate) -> np.ndarray:
    """(2, 3, frames): an endplate's normal and its body's forward axis, a row for each component."""
    pose = _pose(poses, plate.body)
    parts = np.zeros((2, 3, 4, 4))
    for row in range(3):
        parts[0, row, row, :3] = plate.normal
        parts[1, row, row, 0] = 1.0
    return (parts.reshape(6, 16) @ pose.reshape(-1, 16).T).reshape(2, 3, -1)


def _place(poses: Poses, body: str, point: Sequence[float]) -> np.ndarray:
    pose = _pose(poses, body)
    return pose[:, :3, :3] @ np.array(point) + pose[:, :3, 3]


def _sacrum(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """(frames, 3) m: centre of S1's endplate."""
    plate = endplate(vertebrae, "S1", "superior")
    return _place(poses, plate.body, plate.centre)


def _from_hips(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    return _sacrum(poses, vertebrae) - np.mean([_pose(poses, hip)[:, :3, 3] for hip in HIPS], axis=0)


def _to_c7(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    return _c7(poses, vertebrae) - _sacrum(poses, vertebrae)


def _c7(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """(frames, 3) m: centre of C7."""
    return _place(poses, vertebrae["C7"].body, vertebrae["C7"].centroid)


def _across(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """(frames, 3) rightward axis of the pelvis, with which the sacrum's is aligned."""
    return _pose(poses, vertebrae["S1"].body)[:, :3, 2]


def _right(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    """(frames, 3) that axis made horizontal."""
    axis = _across(poses, vertebrae) * (1 - UP)
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    return axis / np.where(length > 1e-6, length, np.nan)


def _forward(poses: Poses, vertebrae: Vertebrae) -> np.ndarray:
    return np.cross(UP, _right(poses, vertebrae))
