"""Scale, vertical and floor of a scene, estimated from the person in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import angle_between
from simspine.core.types import Camera

# Heights above the floor as shares of stature: top of the head, eyes, ankles (Drillis & Contini 1966 in Winter 2009,
# Biomechanics and Motor Control of Human Movement, fig. 4.1; C). The standard deviation is of proportions and posture.
ANKLE_HEIGHT_SHARE, TOP_HEIGHT_SHARES = 0.039, {("Head",): 1.0, ("REye", "LEye"): 0.936}
STANDING_STATURE_SD = 0.03  # relative
# Distances between joint centres as shares of stature: de Leva 1996 (C), mean of both sexes. The standard deviation is
# large because a detector's points are no joint centres.
LIMB_LENGTH_SHARES = {
    ("Hip", "Knee"): 0.228,
    ("Knee", "Ankle"): 0.249,
    ("Shoulder", "Elbow"): 0.160,
    ("Elbow", "Wrist"): 0.153,
}
LIMB_LENGTH_SHARES_SD = 0.08  # relative
MIN_UPRIGHT_STATURE_SHARE = 0.85  # of the stature by the limbs: a smaller measured height means no upright stance
STANDING_QUANTILE = 0.95  # quantile of frames in which the person stands straight
MEAN_STATURE_M, STATURE_SD_M = 1.69, 0.10  # m: adults of both sexes (C: US Army 2012)
PLAUSIBLE_PERSON_HEIGHTS_M = (0.5, 2.5)  # m
UPRIGHT_FRAMES_SHARE = 0.2  # share of frames, the most upright ones, that determine the vertical
POSTURE_UP_SD = np.radians(3.0)  # rad: of the lean of a standing person
CAMERA_ROLL_SD = np.radians(3.0)  # rad: of cameras put up level; 2.9° by the calibrations of Human3.6M
DOUBTFUL_TILT_SD = 3.0  # least tilt, by person and cameras, that may be an error of the world
MIN_FLOOR_SPREAD_M = 0.4  # m: least spread of foot positions, in two directions, that determines the floor's slope
FOOT_HEIGHT_SD_M = 0.015  # m: of the height of a foot's point above the floor
STANCE_FRAMES_SHARE = 0.3  # share of frames, the slowest ones of each foot's point, that count as stance
FOOT_POINTS = ("RHeel", "LHeel", "RBigToe", "LBigToe", "RAnkle", "LAnkle")
FLOOR_QUANTILE = 0.05  # share of the feet's heights that lie below the floor by chance
# rad. A smaller tilt of the person may be a lean. An axis of the world nearer to the vertical is taken as vertical (a
# board hangs on the wall or lies on the floor), unless the axes are those of a camera.
MAX_LEAN_RAD, MAX_AXIS_ERROR_RAD = np.radians([25.0, 10.0])
Z_AXIS = np.array([0.0, 0.0, 1.0])
MAX_CAMERA_ROLL_RAD = np.radians(45.0)  # cameras that are held upright, but look down or up


@dataclass(frozen=True)
class PersonFrame:
    """Transformation from the cameras' own world to one with z up, m: x ↦ R (scale · x − origin).

    scale: m per unit of the cameras' world. scale_sd: relative. R: (3, 3), origin: (3,) m. tilt_sd: standard deviation
    of the vertical, rad. scale_from: 'standing' (height of the standing person) or 'limbs'. height_known: whether the
    person's height was given, or adults' mean was used. vertical_from: 'floor' or 'posture'.
    """

    scale: float
    scale_sd: float
    R: np.ndarray
    origin: np.ndarray
    tilt_sd: float
    scale_from: str
    height_known: bool
    vertical_from: str


def limb_stature(names: Sequence[str], xyz: np.ndarray) -> float | None:
    """Stature by the lengths of limbs (each the median over frames) of points (frames, points, 3), in their unit; None
    without any limb."""
    statures = []
    for (a, b), share in LIMB_LENGTH_SHARES.items():
        for side in "RL":
            if side + a in names and side + b in names:
                length = np.linalg.norm(xyz[:, names.index(side + a)] - xyz[:, names.index(side + b)], axis=-1)
                if np.isfinite(length).any():
                    statures.append(float(np.nanmedian(length)) / share)
    stature = float(np.median(statures)) if statures else 0.0
    return stature if stature > 0 else None


def standing_stature(names: Sequence[str], xyz: np.ndarray) -> float | None:
    """Stature by the distance from the head's top, or the eyes, to the farther ankle in the frames in which it is
    largest; None where they were not seen."""
    ankles = [xyz[:, names.index(name)] for name in ("RAnkle", "LAnkle") if name in names]
    for points, share in TOP_HEIGHT_SHARES.items():
        if not ankles or not set(points) <= set(names):
            continue
        top = np.mean([xyz[:, names.index(name)] for name in points], 0)
        distances = np.stack([np.linalg.norm(top - ankle, axis=-1) for ankle in ankles])
        known = np.isfinite(distances).any(0)
        if known.any():
            tallest = float(np.quantile(np.nanmax(distances[:, known], 0), STANDING_QUANTILE))
            return tallest / (share - ANKLE_HEIGHT_SHARE)
    return None


def check_height(height: float | None) -> None:
    """`InputError` for a height outside `PLAUSIBLE_PERSON_HEIGHTS_M`."""
    least, most = PLAUSIBLE_PERSON_HEIGHTS_M
    if height is not None and not least < height < most:
        raise InputError(f"no person is {height:g} m tall; expected metres, {least:g} to {most:g}.")


def person_frame(names: Sequence[str], xyz: np.ndarray, height: float | None) -> PersonFrame:
    """The world estimated from a person's points (frames, points, 3). height: of the person, m, if known.

    Raises `InputError` where limbs, shoulders, ankles or feet were not seen.
    """
    limbs, standing = limb_stature(names, xyz), standing_stature(names, xyz)
    feet = [names.index(name) for name in FOOT_POINTS if name in names]
    if limbs is None or not feet or not np.isfinite(xyz[:, feet]).any():
        raise InputError("limbs and feet of the person, which show scale and floor, were not seen.")
    straight = standing is not None and standing > MIN_UPRIGHT_STATURE_SHARE * limbs
    scale = (height or MEAN_STATURE_M) / (standing if straight and standing is not None else limbs)
    points = scale * xyz
    up, upright = _up_by_posture(names, points)
    normal, tilt = _floor_normal(points[:, feet], up)
    up = up if normal is None else normal
    R = _frame_axes(up, _person_right(names, points[upright]))
    turned = points @ R.T
    across = np.nanmedian(turned[upright][:, feet, :2].reshape(-1, 2), 0)
    ground = np.nanquantile(turned[:, feet, 2], FLOOR_QUANTILE)
    proportions_sd = STANDING_STATURE_SD if straight else LIMB_LENGTH_SHARES_SD
    return PersonFrame(
        scale=scale,
        scale_sd=float(np.hypot(proportions_sd, 0.0 if height else STATURE_SD_M / MEAN_STATURE_M)),
        R=R,
        origin=R.T @ np.r_[across, ground],
        tilt_sd=tilt,
        scale_from="standing" if straight else "limbs",
        height_known=height is not None,
        vertical_from="posture" if normal is None else "floor",
    )


def _up_by_posture(names: Sequence[str], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upward direction (3,) in the frames in which ankles and shoulders are farthest apart, and these frames."""

    def middle(point: str) -> np.ndarray:
        sides = [points[:, names.index(side + point)] for side in "RL" if side + point in names]
        if len(sides) < 2:
            raise InputError(f"the person's {point.lower()}s, which show the vertical, were not seen.")
        return (sides[0] + sides[1]) / 2

    line = middle("Shoulder") - middle("Ankle")
    length = np.linalg.norm(line, axis=-1)
    length = np.where(length > 0, length, np.nan)
    if not np.isfinite(length).any():
        raise InputError("shoulders and ankles, which show the vertical, were always in one place.")
    upright = np.flatnonzero(length >= np.nanquantile(length, 1 - UPRIGHT_FRAMES_SHARE))
    up = (line[upright] / length[upright, None]).mean(0)
    return up / np.linalg.norm(up), upright


def _floor_normal(feet: np.ndarray, up: np.ndarray) -> tuple[np.ndarray | None, float]:
    """The floor's normal (3,) from positions of the feet's points (frames, points, 3) in stance, and its standard
    deviation, rad; None and `POSTURE_UP_SD` where these are in one place or on a line."""
    standing = []
    for path in feet.swapaxes(0, 1) if len(feet) > 2 else ():  # an image or two show no speed
        speed = np.linalg.norm(np.gradient(path, axis=0), axis=-1)
        known = np.isfinite(speed) & np.isfinite(path).all(-1)
        if known.sum() >= 3:
            slow = path[known][speed[known] <= np.quantile(speed[known], STANCE_FRAMES_SHARE)]
            standing.append(slow - slow.mean(0))  # each point has its own height above the floor
    if not standing:
        return None, POSTURE_UP_SD
    places = np.concatenate(standing)
    _, spread, axes = np.linalg.svd(places / np.sqrt(len(places)), full_matrices=False)
    normal = axes[2] * np.sign(axes[2] @ up)
    tilt = FOOT_HEIGHT_SD_M / max(float(spread[1]), 1e-9)
    if spread[1] < MIN_FLOOR_SPREAD_M or normal @ up < np.cos(np.radians(20.0)):
        return None, POSTURE_UP_SD
    return normal, tilt


def _person_right(names: Sequence[str], points: np.ndarray) -> np.ndarray:
    """Direction (3,) to the person's right, from hips and shoulders; 0 where they were not seen."""
    directions = [
        np.nanmedian(points[:, names.index("R" + point)] - points[:, names.index("L" + point)], 0)
        for point in ("Hip", "Shoulder")
        if "R" + point in names and "L" + point in names
    ]
    return np.nan_to_num(np.array(directions)).sum(0) if directions else np.zeros(3)


def _frame_axes(up: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Axes (3, 3) of the person's frame; rows: forward, left, up."""
    left = -(right - (right @ up) * up)
    size = np.linalg.norm(left)
    left = left / size if size > 1e-6 else np.linalg.svd(up[None])[2][1]
    return np.stack([np.cross(left, up), left, up])


class WorldVertical(NamedTuple):
    """Upward direction in the world of a calibration.

    up: (3,) unit vector. tilt: angle from the world's z to up, rad. tilt_sd: rad. R: (3, 3) from that world to one with
    z up, in which the person faces along y (OpenSim's x) when most upright. R is None where only the cameras determine
    `up`, because the person lies or leans, or where the tilt is so small that it may be a posture.
    """

    up: np.ndarray
    tilt: float
    tilt_sd: float
    R: np.ndarray | None


def _tilt_in_sd(by_person: np.ndarray, cameras: Sequence[Camera]) -> float:
    """Distance, in standard deviations, between z and the vertical by a standing person and level cameras."""
    across = np.array([camera.R[0] for camera in cameras]).reshape(-1, 3)  # to the right in the image
    across = across[np.abs(across[:, 2]) < np.sin(MAX_CAMERA_ROLL_RAD)]
    sideways, rise = across[:, :2], across[:, 2]
    information = np.eye(2) / POSTURE_UP_SD**2 + sideways.T @ sideways / CAMERA_ROLL_SD**2
    evidence = by_person[:2] / POSTURE_UP_SD**2 - sideways.T @ rise / CAMERA_ROLL_SD**2
    return float(np.sqrt(evidence @ np.linalg.solve(information, evidence)))


def vertical_of_world(names: Sequence[str], xyz: np.ndarray, cameras: Sequence[Camera]) -> WorldVertical | None:
    """Upward direction in the calibration's world; None if it is z, or a person may lie in an upright world.

    A person who lies or stands on the hands looks like one who stands in a rotated world. The cameras distinguish both:
    their images are nearly upright. A world in which neither person nor cameras are upright along z is rotated. Without
    cameras, a tilt of 25° or more is attributed to the world.

    names, xyz: points (frames, points, 3) m, in that world. Raises `InputError` where shoulders or ankles are not seen.
    """
    by_person, upright = _up_by_posture(names, xyz)
    by_cameras = -np.mean([camera.R[1] for camera in cameras], axis=0) if cameras else by_person
    person_tilt, camera_tilt = (float(angle_between(up, Z_AXIS)) for up in (by_person, by_cameras))
    disagreement = float(angle_between(by_person, by_cameras))
    cameras_deny = camera_tilt < MAX_CAMERA_ROLL_RAD and disagreement > person_tilt / 2
    if cameras_deny:
        return None
    if person_tilt < MAX_LEAN_RAD:
        is_doubtful = _tilt_in_sd(by_person, cameras) >= DOUBTFUL_TILT_SD
        return WorldVertical(by_person, person_tilt, POSTURE_UP_SD, None) if is_doubtful else None
    if disagreement > MAX_CAMERA_ROLL_RAD:
        return WorldVertical(by_cameras / np.linalg.norm(by_cameras), camera_tilt, MAX_CAMERA_ROLL_RAD, None)
    feet = [names.index(name) for name in FOOT_POINTS if name in names]
    normal, tilt_sd = _floor_normal(xyz[:, feet], by_person)
    up = by_person if normal is None else normal
    axis = np.where(np.abs(up) == np.abs(up).max(), np.sign(up), 0.0)
    is_a_cameras_world = any(np.allclose(np.abs(camera.R).max(1), 1.0, atol=1e-6) for camera in cameras)
    if angle_between(up, axis) < MAX_AXIS_ERROR_RAD and not is_a_cameras_world:
        up, tilt_sd = axis, 0.0
    forward, left, _ = _frame_axes(up, _person_right(names, xyz[upright]))
    return WorldVertical(up, float(angle_between(up, Z_AXIS)), tilt_sd, R=np.stack([-left, forward, up]))
