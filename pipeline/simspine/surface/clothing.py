"""Soft clothing: shells over the skin, ending in hems, that move with the skin below.

A garment covers the skin where its field is positive; the field is about the distance to its hem, m. Points of the
skin outside, next to points inside, slide to the hem, so that it is straight.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simspine.surface.asset import RestSurface, skin_asset
from simspine.surface.posing import normals
from simspine.surface.segments import SEGMENTS, SPINE

_FAR = 1.0  # m: a field where a garment certainly is, or is not
_SHOE = 0.25  # how far smoothing that goes below the skin is taken back in shoes
_GAP = 0.004  # m between a garment and the one worn under it
_UNDER = 0.02  # m inside the hem from which the skin below is not drawn


@dataclass(frozen=True)
class Cut:
    """A garment's cut. kind: 'top', 'bottom', 'shoes' or 'hair'. end: where it ends, see `field`. thickness: m from the
    skin. smooth: rounds of smoothing, which hide what is below.
    """

    kind: str
    end: float
    thickness: float
    smooth: int = 12


@dataclass(frozen=True, eq=False)
class Shell:
    """points: (m, 3) m at rest. carried: (m,) points of the skin that they go with. triangles: (t, 3). occlusion: (m,),
    how much of the sky they see.
    """

    points: np.ndarray
    carried: np.ndarray
    triangles: np.ndarray
    occlusion: np.ndarray


def shell(rest: RestSurface, cut: Cut, outward: np.ndarray, below: np.ndarray) -> tuple[Shell, np.ndarray, np.ndarray]:
    """A garment; where (n,) bool the skin is under it; how high (n,) m above the skin it and what is below reach.

    outward: (n, 3) normals of the skin. below: (n,) m, how high garments worn under it stand off the skin.
    """
    asset = skin_asset()
    value = field(rest, cut)
    inside = value > 0
    kept = asset.triangles[inside[asset.triangles].any(1)]
    smooth = smoothed(rest.points, asset.triangles, inside, cut.smooth)
    rise = ((smooth - rest.points) * outward).sum(1)
    # Smoothing must not take cloth below the skin; what is deep inside shoes is not drawn.
    held = _SHOE if cut.kind == "shoes" else 1.0
    height = np.maximum(rise + cut.thickness + held * np.maximum(-rise, 0.0), np.where(below > 0, below + _GAP, 0.0))
    placed = to_hem(smooth + (height - rise)[:, None] * outward, value, asset.triangles)
    used, triangles = np.unique(kept, return_inverse=True)
    made = Shell(placed[used], used, triangles.reshape(-1, 3), 0.4 + 0.6 * asset.occlusion[used])
    on = np.zeros(len(value), bool)
    on[used] = True
    return made, value > _UNDER, np.where(on, np.maximum(height, below), below)


def field(rest: RestSurface, cut: Cut) -> np.ndarray:
    """(n,) m: how far inside the garment a point of the skin is; negative outside.

    end: of a top its sleeves' length as a share of upper arm and forearm (0: none, 2: to the wrist); of a bottom its
    legs' as a share of thigh and shank; of shoes m above the ankle; of hair m below the ears at the back.
    """
    v, at = rest.points, rest.landmarks
    share = _shares()
    arm = share["arm"] > 0.5
    hips = (at["hip_r"] + at["hip_l"]) / 2
    if cut.kind == "top":
        hem = v[:, 1] - (hips[1] + 0.02)
        collar = (at["C7"] + [0.0, 0.035, 0.0] - v) @ np.array([0.42, 0.91, 0.0])
        return np.where(arm, _limb_field(v, at, ("shoulder", "elbow", "wrist"), cut.end), np.minimum(hem, collar))
    if cut.kind == "bottom":
        waist = at["lumbar4"][1] + 0.01 - v[:, 1]
        low = _below(at["hip_r"][1], at["knee_r"][1], at["ankle_r"][1], cut.end)
        return np.where(arm, -_FAR, np.minimum(waist, v[:, 1] - low))
    if cut.kind == "shoes":
        return np.where(share["foot"] > 0.1, at["ankle_r"][1] + cut.end - v[:, 1], -_FAR)
    return np.where(share["head"] > 0.5, _hair(v, at, cut.end), -_FAR)


def _hair(v: np.ndarray, at, end: float) -> np.ndarray:
    """Behind a plane from above the forehead through the ears, above the nape, off the ears."""
    eye, ear, vertex = (at["eye_r"] + at["eye_l"]) / 2, (at["ear_r"] + at["ear_l"]) / 2, at["vertex"]
    forehead = np.array([eye[0], 0.45 * eye[1] + 0.55 * vertex[1], 0.0])
    temple = np.array([0.4 * ear[0] + 0.6 * eye[0] - 0.025, eye[1], 0.0])
    along = (forehead - temple) * [1, 1, 0]
    along = along / np.linalg.norm(along)
    back = np.array([-along[1], along[0], 0.0])
    line = (v - forehead) @ (back if back[0] < 0 else -back)
    nape = v[:, 1] - (ear[1] - end)
    ears = np.hypot(v[:, 0] - ear[0] - 0.004, v[:, 1] - ear[1] + 0.004) - 0.036
    ears = np.where(np.abs(v[:, 2]) > 0.055, ears, _FAR)
    return np.minimum(np.minimum(line, nape), ears)


def _below(hip: float, knee: float, ankle: float, end: float) -> float:
    return hip + min(end, 1.0) * (knee - hip) + max(end - 1.0, 0.0) * (ankle - knee)


def _limb_field(v: np.ndarray, at, joints: tuple[str, str, str], end: float) -> np.ndarray:
    """m left to the sleeve's end along the nearer arm."""
    out = np.full(len(v), -_FAR)
    for side, sign in (("r", 1.0), ("l", -1.0)):
        a, b, c = (at[f"{name}_{side}"] for name in joints)
        upper, lower = np.linalg.norm(b - a), np.linalg.norm(c - b)
        along = np.minimum((v - a) @ (b - a) / upper, upper)
        along = along + np.maximum((v - b) @ (c - b) / lower, 0.0)
        length = min(end, 1.0) * upper + max(end - 1.0, 0.0) * lower
        own = sign * v[:, 2] > 0
        out[own] = (length - along)[own]
    return out


def _shares() -> dict[str, np.ndarray]:
    """(n,) 0…1: how much of a point arms, feet and the head carry."""
    asset = skin_asset()
    parts = {"arm": ("humerus", "ulna", "radius", "hand"), "foot": ("calcn", "toes"), "head": SPINE[-1:]}
    found = {}
    for name, stems in parts.items():
        of = np.array([segment.startswith(stems) for segment in SEGMENTS])
        found[name] = (asset.weights * of[asset.carriers]).sum(1)
    return found


def smoothed(points: np.ndarray, triangles: np.ndarray, inside: np.ndarray, rounds: int) -> np.ndarray:
    """Points (n, 3) where those inside have gone towards the mean of their neighbours, `rounds` times."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    count = np.maximum(np.bincount(edges.ravel(), minlength=len(points)), 1)[:, None]
    out = points.copy()
    for _ in range(rounds):
        total = np.zeros_like(out)
        for axis in range(3):
            total[:, axis] = np.bincount(edges[:, 0], out[edges[:, 1], axis], len(out))
            total[:, axis] += np.bincount(edges[:, 1], out[edges[:, 0], axis], len(out))
        out = np.where(inside[:, None], 0.5 * out + 0.5 * total / count, out)
    return out


def to_hem(points: np.ndarray, value: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Points (n, 3) where those outside next to some inside have slid to where the field is 0 between them."""
    edges = np.concatenate([triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0], [1, 0], [2, 1], [0, 2])])
    crossing = (value[edges[:, 0]] <= 0) & (value[edges[:, 1]] > 0)
    out, into = edges[crossing].T
    share = np.clip(-value[out] / (value[into] - value[out]), 0, 1)[:, None]
    target = points[out] + share * (points[into] - points[out])
    total, count = np.zeros_like(points), np.zeros(len(points))
    np.add.at(total, out, target)
    np.add.at(count, out, 1.0)
    return np.where(count[:, None] > 0, total / np.maximum(count, 1.0)[:, None], points)


def dressed(rest: RestSurface, cuts: Sequence[Cut]) -> tuple[tuple[Shell, ...], np.ndarray]:
    """The garments, innermost first, and the skin's triangles (t, 3); of both, what no garment outside hides."""
    asset = skin_asset()
    outward = normals(rest.points, asset.triangles)
    made, height = [], np.zeros(len(rest.points))
    for cut in cuts:
        garment, under, height = shell(rest, cut, outward, height)
        made.append((garment, under))
    hidden = np.zeros(len(rest.points), bool)
    shown: list[Shell] = []
    for garment, under in reversed(made):
        covered = hidden[garment.carried][garment.triangles].all(1)
        shown.insert(0, replace(garment, triangles=garment.triangles[~covered]))
        hidden = hidden | under
    return tuple(shown), asset.triangles[~hidden[asset.triangles].all(1)]
