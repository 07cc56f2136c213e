"""Which points the body hides from a camera: how much flesh lies between, body parts being capsules along bones.

Points of interest lie *inside* the body (joint centres, vertebrae), so some flesh always covers them, and a detector
has learnt to look through it. What hides a point is flesh beyond that:
- of a part far from the point, all that the line of sight crosses;
- of a part the point is in, what it crosses beyond the shortest way out (depth of the point under the skin) and one
  radius. A point on the axis is then seen from everywhere; one on the back is hidden from the front, within 60° of
  looking straight through;
- in between, of a point up to half a radius above a part's skin, the radius counts the less the farther it is.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numba import njit

from simspine.anatomy.body import Body, body_poses, forward_kinematics
from simspine.anatomy.recipes import virtual_spine_markers
from simspine.core.geometry import change_frame
from simspine.core.types import Camera, Markers, Motion

# Parts of a person of 1.7 m with a body-mass index of 23: radii, m, and the places whose mean each end is. Bodies
# stand for their origins; {s} is a side.
_PARTS = json.loads(Path(__file__).with_name("body_parts.json").read_text(encoding="utf-8"))
BODY_PART_RADII: dict[str, float] = _PARTS["radii_m"]


def flesh_in_front(centres: np.ndarray, points: np.ndarray, capsules: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Flesh (m) that hides each point from each camera: (frames, cameras, points); the largest of the parts' shares.

    centres: (cameras, 3) m, of the cameras. points: (frames, points, 3) m. capsules: (frames, parts, 2, 3) m, ends of
    the axes. radii: (parts,) m. NaN where a point is NaN.
    """
    arrays = (np.ascontiguousarray(a, dtype=float) for a in (centres, points, capsules, radii))
    return _flesh_in_front(*arrays)


@njit(cache=True, error_model="numpy")
def _flesh_in_front(centres, points, capsules, radii):
    frames, count = points.shape[:2]
    out = np.zeros((frames, len(centres), count))
    for f in range(frames):
        for p in range(count):
            x, y, z = points[f, p]
            for c in range(len(centres)):
                most = 0.0
                for k in range(len(radii)):
                    a, b, r = capsules[f, k, 0], capsules[f, k, 1], radii[k]
                    crossed = _chord_in_capsule(centres[c], x, y, z, a, b, r)
                    if crossed > 0.0:
                        depth = r - _distance_to_segment(x, y, z, a, b)
                        free = depth + r if depth > 0.0 else max(r + 2.0 * depth, 0.0)
                        most = max(most, crossed - free)
                out[f, c, p] = most if np.isfinite(x + y + z) else np.nan
    return out


@njit(cache=True, error_model="numpy")
def _distance_to_segment(x, y, z, a, b):
    """From a point to the segment a–b."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    wx, wy, wz = x - a[0], y - a[1], z - a[2]
    length = ux * ux + uy * uy + uz * uz
    s = 0.0 if length == 0.0 else min(max((wx * ux + wy * uy + wz * uz) / length, 0.0), 1.0)
    dx, dy, dz = wx - s * ux, wy - s * uy, wz - s * uz
    return np.sqrt(dx * dx + dy * dy + dz * dz)


@njit(cache=True, error_model="numpy")
def _chord_in_capsule(o, x, y, z, a, b, r):
    """Length within the capsule of the line from o to the point (x, y, z).

    A capsule is convex: the line is in it from the first to the last contact with its two balls and its cylinder.
    """
    dx, dy, dz = x - o[0], y - o[1], z - o[2]
    reach = np.sqrt(dx * dx + dy * dy + dz * dz)
    dx, dy, dz = dx / reach, dy / reach, dz / reach
    first, last = np.inf, -np.inf
    for end in (a, b):
        mx, my, mz = o[0] - end[0], o[1] - end[1], o[2] - end[2]
        half = mx * dx + my * dy + mz * dz
        root = half * half - (mx * mx + my * my + mz * mz - r * r)
        if root > 0.0:
            root = np.sqrt(root)
            first, last = min(first, -half - root), max(last, -half + root)
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    length = np.sqrt(ux * ux + uy * uy + uz * uz)
    if length > 0.0:
        ux, uy, uz = ux / length, uy / length, uz / length
        mx, my, mz = o[0] - a[0], o[1] - a[1], o[2] - a[2]
        along, offset = dx * ux + dy * uy + dz * uz, mx * ux + my * uy + mz * uz
        ex, ey, ez = dx - along * ux, dy - along * uy, dz - along * uz  # across the axis
        gx, gy, gz = mx - offset * ux, my - offset * uy, mz - offset * uz
        square, half = ex * ex + ey * ey + ez * ez, gx * ex + gy * ey + gz * ez
        inside = gx * gx + gy * gy + gz * gz - r * r
        low, high = -np.inf, np.inf
        if square > 1e-15:
            root = half * half - square * inside
            if root <= 0.0:
                low, high = 1.0, -1.0
            else:
                root = np.sqrt(root)
                low, high = (-half - root) / square, (-half + root) / square
        elif inside > 0.0:
            low, high = 1.0, -1.0
        if abs(along) > 1e-15:
            one, two = -offset / along, (length - offset) / along
            low, high = max(low, min(one, two)), min(high, max(one, two))
        elif offset < 0.0 or offset > length:
            low, high = 1.0, -1.0
        if low < high:
            first, last = min(first, low), max(last, high)
    return max(min(last, reach) - max(first, 0.0), 0.0) if first < last else 0.0


HIDDEN_FROM_M = 0.03  # m of flesh in front of a point, beyond what always covers it: half of what hides it fully (0.06)
REFERENCE_THIGH_M = 0.41  # m, hip to knee of a person of 1.7 m, for whom the radii are
OCCLUSION_LANDMARKS = ("Spine_05", "Neck", "Neck_03", "Head", "Nose", "LClavicle", "RClavicle")


def bone_capsules(places: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(ends of the axes (frames, parts, 2, 3) m, radii (parts,) m). places: {body or landmark: (frames, 3) m}.

    Parts of which a place is unknown are left out; radii grow with the length of the thighs.
    """
    sided = [
        (name, [[p.format(s=s) for p in end] for end in ends]) for s in "rl" for name, ends in _PARTS["sided"].items()
    ]
    known = [
        part
        for part in (*_PARTS["midline"].items(), *sided)
        if all(place in places for end in part[1] for place in end)
    ]
    axes = [np.stack([np.mean([places[p] for p in end], axis=0) for end in ends], 1) for _, ends in known]
    thighs = [
        np.linalg.norm(places[f"femur_{s}"] - places[f"tibia_{s}"], axis=-1)
        for s in "rl" if f"femur_{s}" in places and f"tibia_{s}" in places
    ]  # fmt: skip
    size = np.nanmedian(thighs) / REFERENCE_THIGH_M if thighs and np.isfinite(thighs).any() else 1.0
    return np.stack(axes, 1), np.array([BODY_PART_RADII[name] for name, _ in known]) * size


def hidden_points(body: Body, motion: Motion, markers: Markers, cameras: Sequence[Camera]) -> np.ndarray:
    """(views, frames, points) bool: where more than `HIDDEN_FROM_M` of flesh lies between camera and point.

    markers: y_up, of this body at this motion. Clothes, furniture and other people are unknown.
    """
    places = {name: pose[:, :3, 3] for name, pose in body_poses(body, motion).items()}
    landmarks = {name: marker for name, marker in virtual_spine_markers(body).items() if name in OCCLUSION_LANDMARKS}
    placed = forward_kinematics(body, motion, names=tuple(landmarks.values()))
    places |= {name: placed.xyz[:, i] for i, name in enumerate(landmarks)}
    ends, radii = bone_capsules(places)
    centres = change_frame(np.stack([camera.centre for camera in cameras]), "z_up", "y_up")
    flesh = flesh_in_front(centres, markers.xyz, ends, radii)
    return np.nan_to_num(flesh, nan=0.0).transpose(1, 0, 2) > HIDDEN_FROM_M
