"""Where a person's mask ends beside the trunk's axis, in one image: two points at each level."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simspine.silhouettes.levels import CONTOURS, LEVELS

TRUNK = 0.52  # m from mid-hips to mid-shoulders: what px are at the body
REACH, STEP = 0.30, 0.5  # m beside the axis that are searched, in steps of so many px
NOBODY = -10.0  # logit
BESIDE = 0.03  # m: somebody else so near outward of an outline may hide it
RIM = 2.0  # px: an outline nearer to the border of the image is the border's
# Parts of an arm (its ends) and how near, m, the outline may be its own: half the width of a stout one and a margin. An
# arm that hangs beside the trunk and is taken for it moves the spine by centimetres as it comes and goes.
ARMS = (("shoulder", "elbow", 0.085), ("elbow", "wrist", 0.075), ("wrist", "wrist", 0.12))


class Silhouette(NamedTuple):
    """mask: (rows, columns) logits, positive where the person is. to_mask: (2, 3) affine map from px of the image."""

    mask: np.ndarray
    to_mask: np.ndarray


def trunk_contour(
    own: Silhouette,
    points: np.ndarray,
    names: Sequence[str],
    size: tuple[int, int],
    others: Sequence[Silhouette] = (),
) -> np.ndarray:
    """(contours, 3) x px, y px, 1 in the order of `CONTOURS`; NaN and 0 where the outline is hidden or not the trunk's.

    points: (n, 2) px with `names` of BlazePose. size: (width, height) px of the image. others: of other people in it.
    On the line across the axis the outline is where the mask first changes its sign, going outward; where an arm or
    somebody else is near that place, or the image ends, it says nothing about the trunk.
    """
    place = {name: points[i] for i, name in enumerate(names)}
    hips, shoulders = ((place[f"left_{part}"] + place[f"right_{part}"]) / 2 for part in ("hip", "shoulder"))
    axis = shoulders - hips
    length = float(np.hypot(*axis))
    found = np.full((len(CONTOURS), 3), np.nan)
    found[:, 2] = 0.0
    if not length > 1.0:
        return found
    scale = length / TRUNK
    across = np.array([-axis[1], axis[0]]) / length
    away = np.arange(0.0, REACH * scale, STEP)
    for row, level in enumerate(LEVELS):
        start = hips + level.at * axis
        for side, sign in enumerate((1.0, -1.0)):
            line = start + sign * away[:, None] * across
            value = _sampled(own, line)
            outside = np.flatnonzero(value < 0)
            if not len(outside) or outside[0] == 0:
                continue
            i = outside[0]
            share = value[i - 1] / (value[i - 1] - value[i])
            edge = line[i - 1] + share * (line[i] - line[i - 1])
            inside = (edge > RIM).all() and (edge < np.array(size) - RIM).all()
            near = edge + sign * np.array([[0.0], [BESIDE * scale]]) * across
            met = any((_sampled(other, near) > 0).any() for other in others)
            if inside and not met and not _on_arm(edge, place, scale):
                found[2 * row + side] = (*edge, 1.0)
    return found


def _sampled(silhouette: Silhouette, places: np.ndarray) -> np.ndarray:
    """The mask's logits at places (n, 2) px of the image, linear between its cells; outside it nobody."""
    mask, to_mask = silhouette
    places = places @ to_mask[:, :2].T + to_mask[:, 2]
    rows, columns = mask.shape
    corner = np.floor(places).astype(int)
    right, down = (places - corner).T
    x, y = corner.T
    within = (x >= 0) & (x < columns - 1) & (y >= 0) & (y < rows - 1)
    x, y = np.where(within, x, 0), np.where(within, y, 0)
    above = (1 - right) * mask[y, x] + right * mask[y, x + 1]
    below = (1 - right) * mask[y + 1, x] + right * mask[y + 1, x + 1]
    return np.where(within, (1 - down) * above + down * below, NOBODY)


def _on_arm(edge: np.ndarray, place: dict[str, np.ndarray], scale: float) -> bool:
    for side in ("left", "right"):
        for a, b, radius in ARMS:
            start, end = place[f"{side}_{a}"], place[f"{side}_{b}"]
            way = end - start
            share = np.clip((edge - start) @ way / max(way @ way, 1e-9), 0.0, 1.0)
            if np.hypot(*(edge - start - share * way)) < radius * scale:
                return True
    return False
