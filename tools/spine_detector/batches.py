"""Samples of rendered people in batches: varied at random, and brought into the frame of the trunk. Needs torch.

BlazePose places joints of real people elsewhere than those of rendered ones, by centimetres along the trunk. So hips
and shoulders are moved at random, both of a pair alike, before the frame is made of them: the network learns to doubt
them and to look at the outline.
"""

from typing import NamedTuple

import torch

from simspine.detection.pose_features import HIPS, SHOULDERS, SIDE, SPINE_POINTS, WINDOW
from simspine.skeletons import load

ALONG = {HIPS: 0.010, SHOULDERS: 0.008}  # shares along the trunk, one standard deviation; 0.01 is some 22 mm
ALONE = 0.003  # shares, of each point for itself
OUTLINE = 0.7  # of the mask's logits: where the outline is drawn
_NATIVE = load("spinetrack37")
_CHOSEN = [_NATIVE.index(name) for name in SPINE_POINTS]
SWAPS = [_CHOSEN.index(_NATIVE.swaps[i]) for i in _CHOSEN]
POSE_SWAPS = list(load("blazepose33").swaps)


class Samples(NamedTuple):
    """points: (n, 33, 4), image: (n, colours, 64, 64) uint8, places: (n, 13, 2) shares; known: (n, 13)."""

    points: torch.Tensor
    image: torch.Tensor
    places: torch.Tensor
    known: torch.Tensor


class Trunks(NamedTuple):
    """points: (n, 33, 4), image: (n, colours, 40, 40), places: (n, 13, 2), in the trunk's frame; known: (n, 13)."""

    points: torch.Tensor
    image: torch.Tensor
    places: torch.Tensor
    known: torch.Tensor


def varied(batch: Samples, exact: bool = False) -> Samples:
    """Half of the pictures mirrored; points and outline moved unless they count as `exact`."""
    points, image, places, known = (x.clone() for x in batch)
    mirrored = torch.rand(len(points)) < 0.5
    points[mirrored] = points[mirrored][:, POSE_SWAPS]
    points[mirrored, :, 0] = 1 - points[mirrored, :, 0]
    places[mirrored] = places[mirrored][:, SWAPS]
    places[mirrored, :, 0] = 1 - places[mirrored, :, 0]
    known[mirrored] = known[mirrored][:, SWAPS]
    image[mirrored] = image[mirrored].flip(-1)
    if exact:
        return Samples(points, image, places, known)
    down = _down(points)
    for pair, sd in ALONG.items():
        points[:, list(pair), :2] += sd * torch.randn(len(points), 1, 1) * down[:, None]
    points[..., :3] += ALONE * torch.randn_like(points[..., :3])
    if image.shape[1] == 1:
        logits = torch.logit(image / 255, 0.002) + OUTLINE * torch.randn(len(points), 1, 1, 1)
        image = 255 * torch.sigmoid(logits)
    return Samples(points, image, places, known)


def in_trunks(batch: Samples) -> Trunks:
    """As `simspine.detection.pose_features.in_trunk` has them."""
    points = batch.points.clone()
    origin = (_middle(points, HIPS) + _middle(points, SHOULDERS)) / 2
    down = _down(points)
    turn = torch.stack([torch.stack([down[:, 1], -down[:, 0]], -1), down], -1)
    points[..., :2] = (points[..., :2] - origin[:, None]) @ turn
    places = (batch.places - origin[:, None]) @ turn
    affine = torch.cat([SIDE * turn, (2 * origin - 1)[..., None]], -1)
    grid = torch.nn.functional.affine_grid(affine, [len(points), 1, WINDOW, WINDOW], align_corners=False)
    image = torch.nn.functional.grid_sample(batch.image.float() / 255, grid, align_corners=False)
    return Trunks(points, image, places, batch.known)


def _middle(points: torch.Tensor, pair: tuple[int, int]) -> torch.Tensor:
    return points[:, list(pair), :2].mean(1)


def _down(points: torch.Tensor) -> torch.Tensor:
    """(n, 2) unit vectors from mid-shoulders to mid-hips."""
    down = _middle(points, HIPS) - _middle(points, SHOULDERS)
    return down / down.norm(dim=-1, keepdim=True).clamp_min(1e-6)
