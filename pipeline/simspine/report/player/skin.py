"""The skin for a page: fine for a picture at rest, coarse while it moves."""

from collections.abc import Sequence

import numpy as np

from simspine.report.player.block import Block
from simspine.report.player.bones import thinned
from simspine.surface.asset import skin_asset
from simspine.surface.binding import BoundSkin

COARSE = 0.022  # m: points of one cell become one while moving
_CARRIERS = 6  # of each point that a page holds: one in twelve has more, and the rest carries little
_WHOLE = 255


def pack_skin(skin: BoundSkin, bodies: Sequence[str], block: Block) -> list[int]:
    """Put a skin into the block; returns the number in `bodies` of each segment that carries it, −1 where not there.

    Arrays skin/, skin-moving/ + points (n, 3) m at rest, carriers (n, 6), weights (n, 6) that add up to 255, faces
    (t, 3); skin-maps (segments, 3, 4), rest → the frame of the segment's body.
    """
    asset = skin_asset()
    block.lengths("skin-maps", skin.maps)
    points, triangles = thinned(skin.points, asset.triangles, COARSE)
    from scipy.spatial import cKDTree

    nearest = cKDTree(skin.points).query(points)[1]
    everyone = np.arange(len(skin.points))
    for name, at, faces, like in (
        ("skin", skin.points, asset.triangles, everyone), ("skin-moving", points, triangles, nearest),
    ):  # fmt: skip
        carriers, weights = shares(asset.carriers[like], asset.weights[like])
        block.lengths(f"{name}/points", at)
        block.whole(f"{name}/carriers", carriers)
        block.whole(f"{name}/weights", weights)
        block.whole(f"{name}/faces", faces)
    return [bodies.index(name) if name in bodies else -1 for name in skin.segments]


def shares(carriers: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The `_CARRIERS` strongest carriers (n, 4) of each point, and their weights (n, 4), whole numbers up to 255."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :_CARRIERS]
    kept = np.take_along_axis(weights, order, 1)
    whole = np.floor(_WHOLE * kept / kept.sum(1, keepdims=True) + 1e-9).astype(int)
    whole[:, 0] += _WHOLE - whole.sum(1)
    return np.take_along_axis(carriers, order, 1), whole
