"""Clinical angles from poses of bodies: alignment of pelvis and spine, limb joints, lumbopelvic rhythm, cycles.

Definitions: docs/clinical.md. Functions of alignment take poses {body: (frames, 4, 4)} in ground, y_up, of a body
whose vertebrae are `vertebrae` (scaled as the body is), and give (frames,) rad or m; NaN where a pose is NaN, or a
line is seen end-on. The vertical is the world's. Angles of the pelvis are seen along the rightward axis of the pelvis,
the slope of T1 along that of T1: as on a lateral radiograph parallel to the sagittal plane of that bone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simspine.anatomy.curvature import (
    Endplate,
    Vertebra,
    cobb_angle,
    endplate_of,
    place_on_body,
    pose_of,
    signed_angle,
    signed_angle_of,
)
from simspine.anatomy.vertebrae import relative_angles
from simspine.core.arrays import NORMAL_95
from simspine.core.errors import InputError, require_known
from simspine.core.geometry import as_rotations, zxy_angles

UP_AXIS = np.array([0.0, 1.0, 0.0])
HIP_BODIES = ("femur_r", "femur_l")  # bodies whose origins are the centres of the hips
TRUNK_VERTEBRAE = (*(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)))
BodyPoses = Mapping[str, np.ndarray]
VertebraeByLevel = Mapping[str, Vertebra]


def pelvic_tilt(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """Angle from the vertical to the line from the middle of the hips to the centre of S1's endplate; positive where
    the endplate is behind the hips."""
    return signed_angle(UP_AXIS, _from_hips(poses, vertebrae), _pelvis_rightward(poses, vertebrae))


def sacral_slope(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """Angle between S1's endplate and the horizontal; positive where it slopes down forwards."""
    return signed_angle(
        _endplate_normal(poses, endplate_of(vertebrae, "S1", "superior")), UP_AXIS, _pelvis_rightward(poses, vertebrae)
    )


def pelvic_incidence(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """Angle between the perpendicular of S1's endplate and the line from the middle of the hips to the plate's centre.

    It does not change with posture, and is pelvic tilt plus sacral slope.
    """
    normal = _endplate_normal(poses, endplate_of(vertebrae, "S1", "superior"))
    return signed_angle(normal, _from_hips(poses, vertebrae), _pelvis_rightward(poses, vertebrae))


def t1_slope(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """Angle between T1's upper endplate and the horizontal; positive where it slopes down forwards."""
    plate = endplate_of(vertebrae, "T1", "superior")
    return signed_angle(_endplate_normal(poses, plate), UP_AXIS, pose_of(poses, plate.body)[:, :3, 2])


def cervical_lordosis(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """Cobb angle between the lower endplates of C2 and C7, lordosis positive, in the plane of `cobb`."""
    return cobb_angle(poses, endplate_of(vertebrae, "C2", "inferior"), endplate_of(vertebrae, "C7", "inferior"))


def sagittal_vertical_axis(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """How far the plumb line of C7's centre passes in front of the rear corner of S1's endplate, m.

    NaN where the pelvis lies on its side. Raises `InputError` where the model has no such corner.
    """
    plate = endplate_of(vertebrae, "S1", "superior")
    if plate.rear is None:
        raise InputError("the model's S1 has no rear corner, from which the sagittal vertical axis counts.")
    line = _c7_centre(poses, vertebrae) - place_on_body(poses, plate.body, plate.rear)
    return (line * _horizontal_forward(poses, vertebrae)).sum(-1)


def coronal_balance(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """How far C7's plumb line passes right of the centre of S1's endplate, m. NaN where the pelvis lies on its side."""
    return (_to_c7(poses, vertebrae) * _horizontal_rightward(poses, vertebrae)).sum(-1)


def trunk_inclination(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """Angle between the vertical and the line from the centre of S1's endplate to that of C7, seen from the right of
    the pelvis; positive forwards."""
    line = _to_c7(poses, vertebrae)
    return np.arctan2((line * _horizontal_forward(poses, vertebrae)).sum(-1), line @ UP_AXIS)


def coronal_cobb(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """The largest Cobb angle between any two endplates from T1 to L5 in the frontal plane, not signed.

    The frontal tilt of each endplate on the one below is taken in the plane midway between both, so that flexion and
    twist do not count. The tilts are added up along the spine; the Cobb angle is the range of the sums.
    """
    plates = [
        plate for name in TRUNK_VERTEBRAE for plate in (vertebrae[name].superior, vertebrae[name].inferior) if plate
    ]
    placed = [_normal_and_forward(poses, plate) for plate in plates]
    tilt = 0.0 * placed[0][0, 0]  # NaN where a pose is
    low = high = tilt
    for upper, lower, above, below in zip(plates, plates[1:], placed, placed[1:], strict=False):
        if upper.body == lower.body:  # in a rigid body the same in every frame
            lower_normal, upper_normal = (np.array(plate.normal)[:, None] for plate in (lower, upper))
            step = signed_angle_of(lower_normal, upper_normal, np.array([[1.0], [0.0], [0.0]]))
        else:
            axis = above[1] + below[1]
            step = signed_angle_of(below[0], above[0], axis / np.sqrt((axis * axis).sum(0)))
        tilt = tilt + step
        low, high = np.minimum(low, tilt), np.maximum(high, tilt)
    return high - low


def lumbar_flexion(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """Flexion of T12 on the sacrum, 0 in the model's neutral pose: the lumbar part of bending forward."""
    return relative_angles(pose_of(poses, vertebrae["S1"].body), pose_of(poses, vertebrae["T12"].body))[0][:, 0]


def _endplate_normal(poses: BodyPoses, plate: Endplate) -> np.ndarray:
    return pose_of(poses, plate.body)[:, :3, :3] @ np.array(plate.normal)


def _normal_and_forward(poses: BodyPoses, plate: Endplate) -> np.ndarray:
    """(2, 3, frames): an endplate's normal and its body's forward axis, a row for each component."""
    pose = pose_of(poses, plate.body)
    parts = np.zeros((2, 3, 4, 4))
    for row in range(3):
        parts[0, row, row, :3] = plate.normal
        parts[1, row, row, 0] = 1.0
    return (parts.reshape(6, 16) @ pose.reshape(-1, 16).T).reshape(2, 3, -1)


def _sacral_endplate_centre(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """(frames, 3) m: centre of S1's endplate."""
    plate = endplate_of(vertebrae, "S1", "superior")
    return place_on_body(poses, plate.body, plate.centre)


def _from_hips(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    return _sacral_endplate_centre(poses, vertebrae) - np.mean(
        [pose_of(poses, hip)[:, :3, 3] for hip in HIP_BODIES], axis=0
    )


def _to_c7(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    return _c7_centre(poses, vertebrae) - _sacral_endplate_centre(poses, vertebrae)


def _c7_centre(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """(frames, 3) m: centre of C7."""
    return place_on_body(poses, vertebrae["C7"].body, vertebrae["C7"].centroid)


def _pelvis_rightward(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """(frames, 3) rightward axis of the pelvis, with which the sacrum's is aligned."""
    return pose_of(poses, vertebrae["S1"].body)[:, :3, 2]


def _horizontal_rightward(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    """(frames, 3) the rightward axis of the pelvis made horizontal."""
    axis = _pelvis_rightward(poses, vertebrae) * (1 - UP_AXIS)
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    return axis / np.where(length > 1e-6, length, np.nan)


def _horizontal_forward(poses: BodyPoses, vertebrae: VertebraeByLevel) -> np.ndarray:
    return np.cross(UP_AXIS, _horizontal_rightward(poses, vertebrae))


# Angles of hip, knee, ankle and shoulder as the ISB recommends, from poses of bodies with x forward, y up, z right.
# Hip, knee, ankle: Grood & Suntay 1983 (J Biomech Eng 105:136), Wu et al. 2002 (J Biomech 35:543). Flexion about
# the proximal body's rightward axis, axial rotation about the distal body's long axis, abduction about the axis
# perpendicular to both: the body-fixed sequence Z-X-Y. Shoulder: Wu et al. 2005 (J Biomech 38:981), the humerus
# on the thorax, Y-X-Y. A left limb is mirrored first, so that signs mean the same on both sides.
MIRROR_MATRIX = np.diag([1.0, 1.0, -1.0])
MIN_ARM_ELEVATION = np.radians(10.0)  # of an arm; below it the plane of elevation is undefined

# Signs of (flexion, adduction, internal rotation) against the right-hand rotations about z, x, y of a right limb.
JOINT_SIGNS = {"hip": (1.0, 1.0, 1.0), "knee": (-1.0, 1.0, 1.0), "ankle": (1.0, 1.0, 1.0)}


def joint_angles(proximal: np.ndarray, distal: np.ndarray, joint: str, side: str) -> np.ndarray:
    """(frames, 3) rad: flexion, adduction, internal rotation of a 'hip', 'knee' or 'ankle' on side 'r' or 'l'.

    Of the ankle: dorsiflexion, inversion, internal rotation of the calcaneus on the tibia. proximal, distal: poses
    (frames, 4, 4) or rotations (frames, 3, 3) in ground. Continuous in time.
    """
    require_known("joint", (joint,), JOINT_SIGNS)
    return zxy_angles(_relative_rotation(proximal, distal, side))[0] * np.array(JOINT_SIGNS[joint]) + 0.0


def shoulder_angles(thorax: np.ndarray, humerus: np.ndarray, side: str) -> np.ndarray:
    """(frames, 3) rad: plane of elevation (0 abduction, 90° forward flexion, −90° extension), elevation (0 hanging, 90°
    horizontal; never negative), axial rotation (positive inwards).

    Plane and rotation are NaN for an arm raised by less than 10°, which is in no plane. Poses as of `joint_angles`.
    """
    r = _relative_rotation(thorax, humerus, side)
    elevation = np.arctan2(np.hypot(r[:, 0, 1], r[:, 2, 1]), r[:, 1, 1])
    plane = np.arctan2(-r[:, 0, 1], -r[:, 2, 1])
    rotation = np.arctan2(-r[:, 1, 0], r[:, 1, 2])
    raised = elevation >= MIN_ARM_ELEVATION
    return np.stack([np.where(raised, plane, np.nan), elevation, np.where(raised, rotation, np.nan)], 1)


def _relative_rotation(proximal: np.ndarray, distal: np.ndarray, side: str) -> np.ndarray:
    """(frames, 3, 3): the distal body in the proximal one's frame, of a left limb as a right one's mirror image."""
    require_known("side", (side,), ("r", "l"))
    turn = np.swapaxes(as_rotations(proximal, "proximal"), 1, 2) @ as_rotations(distal, "distal")
    return turn if side == "r" else MIRROR_MATRIX @ turn @ MIRROR_MATRIX


# Lumbopelvic rhythm: how bending forward is shared out between the lumbar spine and the pelvis on the hips.
RHYTHM_PARAMETERS = ("lumbar_flexion", "pelvic_tilt")  # parameters whose changes make it
# Of trunk flexion: below it, errors of a few degrees change the ratio by more than people differ.
MIN_RHYTHM_RANGE = np.radians(30.0)
MIN_PELVIS_RANGE = np.radians(5.0)  # of pelvic tilt; below it noise decides the ratio
# The postures at both ends: frames within this part of the range from the least and the greatest flexion.
END_RANGE_SHARE = 0.1
MAX_RELATIVE_SD = 0.5  # largest standard deviation of a ratio that is given, as a share of it


@dataclass(frozen=True)
class LumbopelvicRhythm:
    """Lumbar over pelvic motion between the straightest and the most bent posture of a trial.

    ratio, sd: None where the trial cannot show them; `reason` says why. lumbar, pelvis: change of each angle, rad, None
    where not known. sd is an upper bound, see `lumbopelvic_rhythm`.
    """

    ratio: float | None = None
    sd: float | None = None
    lumbar: float | None = None
    pelvis: float | None = None
    reason: str = ""


def lumbopelvic_rhythm(
    lumbar: np.ndarray, pelvis: np.ndarray, lumbar_sd: np.ndarray | None = None, pelvis_sd: np.ndarray | None = None
) -> LumbopelvicRhythm:
    """The rhythm of a trial's frames.

    lumbar: (frames,) rad, flexion of T12 on the sacrum. pelvis: (frames,) rad, forward tilt of the pelvis. Each posture
    is the mean of the frames near its end of the range of trunk flexion, the sum of both. lumbar_sd, pelvis_sd:
    standard deviations of the same frames about the trial's mean. The ratio's standard deviation is an upper bound: it
    takes errors of both postures as independent, and those of lumbar spine and pelvis as opposite.
    """
    known = np.isfinite(lumbar) & np.isfinite(pelvis)
    trunk = np.where(known, lumbar + pelvis, np.nan)
    if not known.any():
        return LumbopelvicRhythm(reason="no frame is known")
    low, high = np.nanmin(trunk), np.nanmax(trunk)
    near = END_RANGE_SHARE * (high - low)
    straight, bent = known & (trunk <= low + near), known & (trunk >= high - near)
    by_lumbar, by_pelvis = (float(part[bent].mean() - part[straight].mean()) for part in (lumbar, pelvis))
    unknown = LumbopelvicRhythm(lumbar=by_lumbar, pelvis=by_pelvis)
    if high - low < MIN_RHYTHM_RANGE:
        return replace(unknown, reason=_too_little("the trunk bends", high - low, MIN_RHYTHM_RANGE))
    if by_pelvis < MIN_PELVIS_RANGE:
        return replace(unknown, reason=_too_little(_PELVIS_DIFFERS, by_pelvis, MIN_PELVIS_RANGE))
    ratio = by_lumbar / by_pelvis
    if lumbar_sd is None or pelvis_sd is None:
        return replace(unknown, ratio=ratio)
    both_sds = (lumbar_sd, pelvis_sd)
    lumbar_error, pelvis_error = (float(np.hypot(np.median(sd[straight]), np.median(sd[bent]))) for sd in both_sds)
    sd = (lumbar_error + abs(ratio) * pelvis_error) / by_pelvis
    if not sd <= MAX_RELATIVE_SD * abs(ratio):
        wide = f"its ± would be too large ({ratio:.1f} ± {NORMAL_95 * sd:.1f})"
        return replace(unknown, reason=f"{wide}: both motions are too small for their errors, or too little is seen")
    return replace(unknown, ratio=ratio, sd=sd)


_PELVIS_DIFFERS = "between straightest and most bent trunk, pelvic tilt differs"


def _too_little(what: str, value: float, least: float) -> str:
    return f"{what} by {np.degrees(value):.0f}°; at least {np.degrees(least):.0f}° are needed"


# Cycles of a movement: an angle between events that repeat, such as the contacts of one foot, over 0 to 100 %.
CYCLE_PERCENT = np.linspace(0.0, 100.0, 101)


def angle_cycles(time: np.ndarray, values: np.ndarray, events: Sequence[float]) -> np.ndarray:
    """(events − 1, 101): values (frames,) at every percent between one event and the next, linear between frames.

    time: (frames,) s, ascending. events: s, ascending. NaN where a frame on either side is NaN. Raises `InputError` for
    fewer than two events, events that do not ascend, or that lie outside the trial.
    """
    moments = np.asarray(events, float)
    if len(moments) < 2 or not (np.diff(moments) > 0).all():
        listed = ", ".join(f"{event:g}" for event in moments) or "none"
        raise InputError(f"cycles run from event to event: expected two or more times (s) that ascend, found {listed}.")
    if moments[0] < time[0] or moments[-1] > time[-1]:
        raise InputError(
            f"events from {moments[0]:g} to {moments[-1]:g} s: the trial lasts from {time[0]:.3f} to {time[-1]:.3f} s."
        )
    instants = moments[:-1, None] + CYCLE_PERCENT / 100 * np.diff(moments)[:, None]
    return np.interp(instants, time, values)
