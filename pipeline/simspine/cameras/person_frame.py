"""Scale, vertical and floor, from a person of whose images nothing else tells them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError
from simspine.types import Camera

# Heights above the floor as shares of stature: top of the head, eyes, ankles (Drillis & Contini 1966 in Winter 2009,
# Biomechanics and Motor Control of Human Movement, fig. 4.1; C). Spread: of proportions, and of how one stands.
ANKLES, TOPS = 0.039, {"Head": 1.0, "Eye": 0.936}
STANDING_SD = 0.03  # relative
# Distances between joint centres as shares of stature: de Leva 1996 (C), mean of both sexes. A detector's points are no
# joint centres: the spread is wide.
SHARES = {("Hip", "Knee"): 0.228, ("Knee", "Ankle"): 0.249, ("Shoulder", "Elbow"): 0.160, ("Elbow", "Wrist"): 0.153}
SHARES_SD = 0.08  # relative
STOOPED = 0.85  # of the stature that the limbs tell: who measures less from eyes to ankles never stood straight
TALLEST = 0.95  # quantile of frames in which the person stands straight
STATURE, STATURE_SD = 1.69, 0.10  # m: adults of both sexes (C: US Army 2012)
HEIGHTS = (0.5, 2.5)  # m
UPRIGHT = 0.2  # share of frames, the most upright ones, that tell the vertical
POSTURE_SD = np.radians(3.0)  # rad: how a standing person leans
FLOOR_SPREAD = 0.4  # m: feet that stood so far apart in two directions tell the floor's slope
FLOOR_SD = 0.015  # m: how far a foot's point is from its height above the floor
STANCE = 0.3  # share of frames, the slowest of each foot's point, in which it stands
FEET = ("RHeel", "LHeel", "RBigToe", "LBigToe", "RAnkle", "LAnkle")
LOWEST = 0.05  # share of the feet's heights that lie below the floor by chance


@dataclass(frozen=True)
class PersonFrame:
    """From the cameras' own world to one with z up, m.

    scale: m per unit there. scale_sd: relative. R: (3, 3), origin: (3,) m: x ↦ R (scale · x − origin). tilt_sd: rad,
    of the vertical. scale_from: what it compares: 'standing' person or 'limbs'; height_known: whether with this
    person's height, or with mean adults'. vertical_from: 'floor' or 'posture'.
    """

    scale: float
    scale_sd: float
    R: np.ndarray
    origin: np.ndarray
    tilt_sd: float
    scale_from: str
    height_known: bool
    vertical_from: str

    def applied(self, camera: Camera) -> Camera:
        """The camera in this world."""
        R = camera.R @ self.R.T
        return camera.with_(R=R, t=-R @ (self.R @ (self.scale * camera.centre - self.origin)))


def limb_stature(names: Sequence[str], xyz: np.ndarray) -> float | None:
    """Stature by the lengths of limbs (each the median over frames) of points (frames, points, 3), in their unit; None
    where no limb is there."""
    statures = []
    for (a, b), share in SHARES.items():
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
    tops = [("Head", ["Head"]), ("Eye", ["REye", "LEye"])]
    for kind, points in tops:
        there = [xyz[:, names.index(name)] for name in points if name in names]
        if len(there) < len(points) or not ankles:
            continue
        top = np.mean(there, 0)
        apart = np.stack([np.linalg.norm(top - ankle, axis=-1) for ankle in ankles])
        known = np.isfinite(apart).any(0)
        if known.any():
            return float(np.quantile(np.nanmax(apart[:, known], 0), TALLEST)) / (TOPS[kind] - ANKLES)
    return None


def check_height(height: float | None) -> None:
    """`InputError` for a height that is nobody's."""
    if height is not None and not HEIGHTS[0] < height < HEIGHTS[1]:
        raise InputError(f"a height of {height:g} m is nobody's; expected metres, {HEIGHTS[0]:g} to {HEIGHTS[1]:g}.")


def person_frame(names: Sequence[str], xyz: np.ndarray, height: float | None) -> PersonFrame:
    """The world that a person's points (frames, points, 3) tell. height: of the person, m, if known.

    Raises `InputError` for a height that is nobody's, and where limbs, hips or feet were not seen.
    """
    check_height(height)
    limbs, standing = limb_stature(names, xyz), standing_stature(names, xyz)
    feet = [names.index(name) for name in FEET if name in names]
    if limbs is None or not feet or not np.isfinite(xyz[:, feet]).any():
        raise InputError("limbs and feet of the person were not seen, which tell scale and floor.")
    straight = standing is not None and standing > STOOPED * limbs
    scale = (height or STATURE) / (standing if straight and standing is not None else limbs)
    points = scale * xyz
    up, upright = _posture(names, points)
    normal, tilt = _floor(points[:, feet], up)
    vertical_from = "posture" if normal is None else "floor"
    up = up if normal is None else normal
    R = _axes(up, _right(names, points[upright]))
    turned = points @ R.T
    heights = turned[:, feet, 2]
    middle = np.nanmedian(turned[upright][:, feet].reshape(-1, 3), 0)
    ground = float(np.nanquantile(heights, LOWEST))
    origin = R.T @ np.array([middle[0], middle[1], ground])
    spread = float(np.hypot(STANDING_SD if straight else SHARES_SD, 0.0 if height else STATURE_SD / STATURE))
    scale_from = "standing" if straight else "limbs"
    return PersonFrame(scale, spread, R, origin, tilt, scale_from, height is not None, vertical_from)


def _posture(names: Sequence[str], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Up (3,) by the frames in which ankles and shoulders are farthest apart, and these frames."""

    def middle(point: str) -> np.ndarray:
        sides = [points[:, names.index(side + point)] for side in "RL" if side + point in names]
        if len(sides) < 2:
            raise InputError(f"the person's {point.lower()}s were not seen, which tell the vertical.")
        return (sides[0] + sides[1]) / 2

    line = middle("Shoulder") - middle("Ankle")
    length = np.linalg.norm(line, axis=-1)
    if not np.isfinite(length).any():
        raise InputError("shoulders and ankles were never seen together, which tell the vertical.")
    upright = np.flatnonzero(length >= np.nanquantile(length, 1 - UPRIGHT))
    up = (line[upright] / length[upright, None]).mean(0)
    return up / np.linalg.norm(up), upright


def _floor(feet: np.ndarray, up: np.ndarray) -> tuple[np.ndarray | None, float]:
    """The floor's normal (3,) by where each foot's points (frames, points, 3) stand, and its standard deviation, rad;
    None and posture's where they stand in one place or on a line."""
    standing = []
    for path in feet.swapaxes(0, 1):
        speed = np.linalg.norm(np.gradient(path, axis=0), axis=-1)
        known = np.isfinite(speed) & np.isfinite(path).all(-1)
        if known.sum() >= 3:
            slow = path[known][speed[known] <= np.quantile(speed[known], STANCE)]
            standing.append(slow - slow.mean(0))  # each point has its own height above the floor
    if not standing:
        return None, POSTURE_SD
    places = np.concatenate(standing)
    _, spread, axes = np.linalg.svd(places / np.sqrt(len(places)), full_matrices=False)
    normal = axes[2] * np.sign(axes[2] @ up)
    tilt = FLOOR_SD / max(float(spread[1]), 1e-9)
    if spread[1] < FLOOR_SPREAD or normal @ up < np.cos(np.radians(20.0)):
        return None, POSTURE_SD
    return normal, tilt


def _right(names: Sequence[str], points: np.ndarray) -> np.ndarray:
    """(3,) the way to the person's right, by hips and shoulders; 0 where they were not seen."""
    ways = [
        np.nanmedian(points[:, names.index("R" + point)] - points[:, names.index("L" + point)], 0)
        for point in ("Hip", "Shoulder")
        if "R" + point in names and "L" + point in names
    ]
    return np.nan_to_num(np.array(ways)).sum(0) if ways else np.zeros(3)


def _axes(up: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Rows: forward, left, up."""
    left = -(right - (right @ up) * up)
    size = np.linalg.norm(left)
    left = left / size if size > 1e-6 else np.linalg.svd(up[None])[2][1]
    return np.stack([np.cross(left, up), left, up])
