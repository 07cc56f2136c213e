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
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simspine.anatomy.body import Body, body_poses, forward_kinematics
from simspine.anatomy.recipes import virtual_spine_markers
from simspine.core.geometry import change_frame, distance_from_segment
from simspine.core.types import Camera, Markers, Motion

# Parts of a person of 1.7 m with a body-mass index of 23: radii, m, and the places whose mean each end is. Bodies
# stand for their origins; {s} is a side.
_PARTS = json.loads(Path(__file__).with_name("body_parts.json").read_text(encoding="utf-8"))
BODY_PART_RADII: dict[str, float] = _PARTS["radii_m"]
FRAMES_AT_ONCE = 1000  # of which 40 MB are in memory for four cameras


def flesh_in_front(centres: np.ndarray, points: np.ndarray, capsules: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Flesh (m) that hides each point from each camera: (frames, cameras, points); the largest of the parts' shares.

    centres: (cameras, 3) m, of the cameras. points: (frames, points, 3) m. capsules: (frames, parts, 2, 3) m, ends of
    the axes. radii: (parts,) m. NaN where a point is NaN.
    """
    if (blocks := math.ceil(len(points) / FRAMES_AT_ONCE)) > 1:
        parts = zip(np.array_split(points, blocks), np.array_split(capsules, blocks), strict=True)
        return np.concatenate([flesh_in_front(centres, *part, radii) for part in parts])
    sight = points[:, None] - centres[:, None]  # (frames, cameras, points, 3)
    reach = np.linalg.norm(sight, axis=-1)
    most = 0.0 * reach
    with np.errstate(divide="ignore", invalid="ignore"):
        for ends, radius in zip(np.moveaxis(capsules, 0, 2), radii, strict=True):
            first, last = _contacts_with_capsule(centres, sight / reach[..., None], ends, radius)
            crossed = np.minimum(last, reach) - np.maximum(first, 0.0)
            depth = radius - distance_from_segment(points, *ends[:, :, None])
            free = np.where(depth > 0.0, depth + radius, np.maximum(radius + 2.0 * depth, 0.0))
            most = np.maximum(most, np.where(crossed > free[:, None], crossed - free[:, None], 0.0))
    return most


def _contacts_with_capsule(
    centres: np.ndarray, sight: np.ndarray, ends: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distances (frames, cameras, points) m along lines of sight to a capsule's first and last contact; NaN: none.

    A capsule is convex: the line is in it from the first to the last contact with its two balls and its cylinder.
    sight: (frames, cameras, points, 3) unit vectors from the cameras. ends: (2, frames, 3) m.
    """
    to_camera = centres - ends[:, :, None]  # (2, frames, cameras, 3), from either end
    middles = [-(sight @ m[..., None])[..., 0] for m in to_camera]
    roots = [np.sqrt(h**2 - ((m**2).sum(-1) - radius**2)[..., None]) for h, m in zip(middles, to_camera, strict=True)]
    axis = ends[1] - ends[0]
    length = np.linalg.norm(axis, axis=-1)[:, None, None]
    axis = (axis / length[:, 0])[:, None]
    offset = (to_camera[0] * axis).sum(-1)
    across = to_camera[0] - offset[..., None] * axis  # of the axis, like the part of the line that `square` is of
    along, half = (sight * axis[:, None]).sum(-1), (sight @ across[..., None])[..., 0]
    square = 1.0 - along**2
    root = np.sqrt(half**2 - square * ((across**2).sum(-1) - radius**2)[..., None])
    caps = -offset[..., None] / along, (length - offset[..., None]) / along
    low = np.maximum((-half - root) / square, np.minimum(*caps))
    high = np.minimum((root - half) / square, np.maximum(*caps))
    low, high = (np.where(low < high, contact, np.nan) for contact in (low, high))
    first = np.fmin.reduce([low, *(h - root for h, root in zip(middles, roots, strict=True))])
    return first, np.fmax.reduce([high, *(h + root for h, root in zip(middles, roots, strict=True))])


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
