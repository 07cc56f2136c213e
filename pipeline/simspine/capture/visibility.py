"""What makes a point hard to place in an image: its segment points at the camera, or something hides it."""

from collections.abc import Sequence

import numpy as np

from simspine.body.capsules import cover
from simspine.skeletons import load
from simspine.types import Camera, Markers

HIDES = 0.06  # m of flesh in front of a point that hide it fully; less counts in proportion
ASPECT = 4 / 3  # height / width of the crop that top-down detectors look at (256 × 192)


def foreshortening(points: Markers, cameras: Sequence[Camera]) -> np.ndarray:
    """1 − apparent / true length of the segment to the point's parent, 0…1: (frames, views, points).

    points: the 37, in their order. A point without parent takes the segment to its first child.
    """
    skeleton = load("simspine37")
    xyz = points.xyz
    parent = list(skeleton.parents)
    root = parent.index(-1)
    parent[root] = parent.index(root)
    segment = xyz - xyz[:, parent]
    length = np.linalg.norm(segment, axis=-1)
    out = np.empty((len(xyz), len(cameras), xyz.shape[1]))
    for v, camera in enumerate(cameras):
        sight = xyz - camera.centre
        along = (segment * sight).sum(-1) / (length * np.linalg.norm(sight, axis=-1))
        out[:, v] = 1 - np.sqrt(np.clip(1 - along**2, 0, 1))
    return out


def hidden(points: Markers, cameras: Sequence[Camera], capsules: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """How hidden each point is, 0 (in sight) … 1: (frames, views, points). capsules, radii: as in `occlusion.cover`."""
    centres = np.stack([camera.centre for camera in cameras])
    return np.clip(cover(centres, points.xyz, capsules, radii) / HIDES, 0, 1)


def size_in_image(xy: np.ndarray) -> np.ndarray:
    """The person's size in px, (frames, views), from true points xy (frames, views, points, 2).

    The longer side of the box around them, its width counted 4/3: what decides the scale of a top-down detector's crop,
    and with it how many pixels of the image a pixel of its maps is.
    """
    with np.errstate(invalid="ignore"):
        width, height = np.moveaxis(np.nanmax(xy, 2) - np.nanmin(xy, 2), -1, 0)
    return np.maximum(height, ASPECT * width)
