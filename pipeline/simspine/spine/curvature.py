"""Curvature of the spine: Cobb angles between endplates, and discrete curvature of a chain of points."""

from collections.abc import Mapping

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.spine.endplates import CORNER_SD, TILT_SD, Endplate, Vertebra, endplate

COBB_PLANES = {"sagittal": 2, "frontal": 0}  # the body axis that is perpendicular to the plane
LLA_LEVELS = (("L1", "superior"), ("S1", "superior"))
TKA_LEVELS = (("T3", "superior"), ("T12", "inferior"))
SVA = "sagittal_vertical_axis"  # counts from the rear corner of S1
COUNTED_FROM = {  # endplates whose tilt is in a figure
    "lla": LLA_LEVELS,
    "tka": TKA_LEVELS,
    "pelvic_incidence": (("S1", "superior"),),
    "sacral_slope": (("S1", "superior"),),
    "t1_slope": (("T1", "superior"),),
    "cervical_lordosis": (("C2", "inferior"), ("C7", "inferior")),
}


def cobb(
    poses: Mapping[str, np.ndarray],
    upper: Endplate,
    lower: Endplate,
    plane: str = "sagittal",
    reference: str | None = None,
) -> np.ndarray:
    """Signed Cobb angle (frames,) rad: how far the upper endplate is turned against the lower one, seen in a plane.

    poses: {body: (frames, 4, 4)} in ground. plane: 'sagittal' (positive = lordosis: the upper one leans back) or
    'frontal' (positive = the upper one leans to the right). reference: the body whose plane it is; by default the
    plane midway between those of both endplates' bodies, which favours neither end: naming them the other way round
    only changes the sign. In a motion without bending and twisting all choices agree. NaN where a pose is, or where
    an endplate is seen edge-on. Cobb 1948, with the endplate normals in place of lines drawn on a radiograph.
    """
    if plane not in COBB_PLANES:
        raise unknown_name("plane", plane, COBB_PLANES)
    axis = COBB_PLANES[plane]
    bodies = (upper.body, lower.body) if reference is None else (reference,)
    across = np.sum([_rotation(poses, body)[:, :, axis] for body in bodies], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        across = across / np.linalg.norm(across, axis=-1, keepdims=True)
    n_upper, n_lower = (_rotation(poses, plate.body) @ np.array(plate.normal) for plate in (upper, lower))
    return signed_angle(n_lower, n_upper, across)


def signed_angle(a: np.ndarray, b: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Angle (...,) rad from a to b (..., 3) seen along a unit axis (..., 3). NaN if one vanishes in that view."""
    return signed_angle_of(*(np.moveaxis(np.asarray(v), -1, 0) for v in (a, b, axis)))


def signed_angle_of(a: np.ndarray, b: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """As `signed_angle`, of vectors (3, ...): a row for each component, which NumPy goes through several times faster.

    What a and b have along the axis is taken off their products, not off themselves: a·b − (a·n)(b·n) is the product
    of their parts across the axis n, and n·(a × b) needs none taken off.
    """
    along_a, along_b = _dot(a, axis), _dot(b, axis)
    turn = axis[0] * (a[1] * b[2] - a[2] * b[1])
    turn += axis[1] * (a[2] * b[0] - a[0] * b[2])
    turn += axis[2] * (a[0] * b[1] - a[1] * b[0])
    angle = np.arctan2(turn, _dot(a, b) - along_a * along_b)
    known = (_dot(a, a) - along_a**2 > 1e-12) & (_dot(b, b) - along_b**2 > 1e-12)
    return np.where(known, angle, np.nan)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of vectors (3, ...): (...,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def lumbar_lordosis(poses: Mapping[str, np.ndarray], vertebrae: Mapping[str, Vertebra], **options) -> np.ndarray:
    """LLA (frames,) rad: Cobb angle from the superior endplate of S1 to that of L1, lordosis positive."""
    upper, lower = (endplate(vertebrae, *which) for which in LLA_LEVELS)
    return cobb(poses, upper, lower, **options)


def thoracic_kyphosis(poses: Mapping[str, np.ndarray], vertebrae: Mapping[str, Vertebra], **options) -> np.ndarray:
    """TKA (frames,) rad: Cobb angle from the inferior endplate of T12 to the superior one of T3, kyphosis positive."""
    upper, lower = (endplate(vertebrae, *which) for which in TKA_LEVELS)
    return -cobb(poses, upper, lower, **options)


def people_sd(figure: str, sacral: float) -> float:
    """rad or m: by how much a figure may differ between people whose vertebrae stand alike; 0 if it counts from no
    endplate.

    figure: 'lla', 'tka' or a clinical parameter (`COUNTED_FROM`, `SVA`). sacral: rad, sd of the sacrum's tilt.
    Endplates tilt independently of one another.
    """
    if figure == SVA:
        return CORNER_SD
    plates = COUNTED_FROM.get(figure, ())
    return float(np.sqrt(sum((sacral if level == "S1" else TILT_SD) ** 2 for level, _ in plates)))


def _rotation(poses: Mapping[str, np.ndarray], body: str) -> np.ndarray:
    if body not in poses:
        raise unknown_name("body", body, poses, "the poses")
    return np.asarray(poses[body])[:, :3, :3]


def chain_curvature(points: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
    """Curvature at the inner points of a chain: (frames, points − 2) 1/m, the inverse radius of the circle through
    three neighbours.

    points: (frames, points, 3) m, in order. right: (frames, 3) unit vectors to the subject's right; given, the chain
    is seen in the sagittal plane and the curvature signed, positive = lordosis (hollow at the back) for a chain from
    below. Menger curvature; exact on circular arcs with any spacing.
    """
    points = np.asarray(points, float)
    if points.ndim != 3 or points.shape[1] < 3 or points.shape[2] != 3:
        raise InputError(f"chain has shape {points.shape}, expected (frames, 3 or more points, 3).")
    if right is not None:
        axis = np.asarray(right, float)[:, None]
        points = points - (points * axis).sum(-1, keepdims=True) * axis
    a, b = points[:, 1:-1] - points[:, :-2], points[:, 2:] - points[:, 1:-1]
    normal = np.cross(a, b)
    with np.errstate(invalid="ignore", divide="ignore"):
        size = 2.0 / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1) * np.linalg.norm(a + b, axis=-1))
        return (np.linalg.norm(normal, axis=-1) if right is None else (normal * axis).sum(-1)) * size


def turning_angles(points: np.ndarray) -> np.ndarray:
    """Angles (frames, points − 2) rad between the segments that meet at the inner points of (frames, points, 3)."""
    steps = np.diff(np.asarray(points, float), axis=1)
    a, b = steps[:, :-1], steps[:, 1:]
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1))


def chain_continuity(points: np.ndarray) -> dict[str, np.ndarray]:
    """How smooth a chain (frames, points, 3) m is, per frame: (frames,) each.

    'kink': largest turning angle, rad. 'bending': ∫ curvature² ds, 1/m, the energy of a bent elastic rod up to a
    factor. 'zigzag': largest change of curvature from one inner point to the next, 1/m; large where one point is off
    the curve.
    """
    points = np.asarray(points, float)
    lengths = np.linalg.norm(np.diff(points, axis=1), axis=-1)
    changes = np.linalg.norm(np.diff(_curvature_vectors(points), axis=1), axis=-1)
    return {
        "kink": turning_angles(points).max(-1),
        "bending": (chain_curvature(points) ** 2 * (lengths[:, :-1] + lengths[:, 1:]) / 2).sum(-1),
        "zigzag": changes.max(-1, initial=0.0),
    }


def _curvature_vectors(points: np.ndarray) -> np.ndarray:
    """Second derivative along the arc at inner points, (frames, points − 2, 3) 1/m: three points, uneven steps."""
    a, b = points[:, 1:-1] - points[:, :-2], points[:, 2:] - points[:, 1:-1]
    la, lb = (np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return 2 * (b / lb - a / la) / (la + lb)
