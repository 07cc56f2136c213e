"""What is known of a person in a picture: 37 points, which of them are in sight, the outline, the box.

A point inside the body counts as in sight as long as nothing but its own flesh covers it: what the z-buffer shows in
front of it may be as far before it as the point is deep under the skin, and a radius of its part more (the rule of
`simspine.body.capsules`, with a surface in the place of capsules).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from simspine.body.capsules import RADII
from simspine.capture.rendered.picture import RenderedPicture, finer
from simspine.formats.coco import HIDDEN, VISIBLE
from simspine.geometry import project_one
from simspine.rendering.raster import NONE
from simspine.skeletons import load
from simspine.types import Camera

_PARTS = {
    "belly": ("Hip", "Spine_01", "Spine_02", "Spine_03"), "neck": ("Neck", "Neck_02", "Neck_03"),
    "chest": ("Spine_04", "Spine_05", "LLatissimus", "RLatissimus", "LClavicle", "RClavicle"),
    "head": ("Head", "Nose", "LEye", "REye", "LEar", "REar"), "shoulders": ("LShoulder", "RShoulder"),
    "upper_arm": ("LElbow", "RElbow"), "forearm": ("LWrist", "RWrist"), "thigh": ("LHip", "RHip"),
    "shank": ("LKnee", "RKnee", "LAnkle", "RAnkle"),
    "foot": ("LBigToe", "RBigToe", "LSmallToe", "RSmallToe", "LHeel", "RHeel"),
}  # fmt: skip
LEAST = 30  # px of a person in sight; fewer and the picture is no use


@dataclass(frozen=True, eq=False)
class PictureLabels:
    """keypoints: (37, 3) x, y, v in SpineTrack's order; v 2: in sight, 1: hidden, 0: outside the image, or not known.
    camera_xyz: (37, 3) m in the camera's frame, 0 where not known. mask: (height, width) bool. box: (4,) left, top,
    width, height px of the mask.
    """

    keypoints: np.ndarray
    camera_xyz: np.ndarray
    mask: np.ndarray
    box: tuple[float, float, float, float]


def reaches(names: tuple[str, ...], points: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(points,) m: how far before each point its own flesh may be. points: (points, 3), skin: (n, 3), in one pose."""
    radius = {name: RADII[part] for part, members in _PARTS.items() for name in members}
    under = cKDTree(skin).query(np.nan_to_num(points))[0]
    return under + np.array([radius[name] for name in names])


def label(
    picture: RenderedPicture,
    camera: Camera,
    names: tuple[str, ...],
    xyz: np.ndarray,
    reach: np.ndarray,
    person: int = 0,
) -> PictureLabels | None:
    """Labels of one person of a picture; None where hardly anything of them is in it.

    names: SIMSPINE's 37 of xyz (points, 3) m in the world; reach: as from `reaches`.
    """
    mask = np.asarray(picture.masks[person] > 0.5)
    if mask.sum() < LEAST:
        return None
    px = project_one(camera, xyz)
    local = xyz @ camera.R.T + camera.t
    width, height = camera.size
    inside = np.all((px >= -0.5) & (px < np.array([width, height]) - 0.5), axis=1)
    v = np.where(inside, np.where(in_sight(picture, camera, xyz, reach, person), VISIBLE, HIDDEN), 0)
    order = [names.index(_NATIVE[name]) for name in load("spinetrack37").names]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0])
    found = np.column_stack([np.where(inside[:, None], px, 0.0), v])
    local = np.nan_to_num(local)
    left, top, wide, high = (float(value) for value in box)
    return PictureLabels(found[order], local[order], mask, (left, top, wide, high))


def in_sight(
    picture: RenderedPicture, camera: Camera, xyz: np.ndarray, reach: np.ndarray, person: int = 0
) -> np.ndarray:
    """(points,) bool: nothing lies farther before a person's point than its reach, and nobody else before it at all.

    Points outside the image count as hidden.
    """
    fine = finer(camera, picture.scale)
    px, local = project_one(fine, xyz), xyz @ camera.R.T + camera.t
    at = np.round(np.nan_to_num(px, nan=-1.0)).astype(int)
    inside = ((at >= 0) & (at < fine.size)).all(1)
    column, row = np.where(inside[:, None], at, 0).T
    slant = np.linalg.norm(local, axis=1) / local[:, 2]  # depth is along the axis, flesh along the line of sight
    before = (local[:, 2] - picture.seen.depth[row, column]) * slant
    triangle, (start, end) = picture.seen.triangle[row, column], picture.first[person : person + 2]
    others = (triangle >= 0) & (triangle < picture.first[-1]) & ((triangle < start) | (triangle >= end))
    clear = (triangle == NONE) | (before <= np.where(others, 0.0, reach))
    return inside & clear


_NATIVE = dict(load("spinetrack37").to_simspine)
