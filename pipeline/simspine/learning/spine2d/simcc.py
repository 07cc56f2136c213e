"""SimCC (Li et al. 2022): a point as two one-dimensional maps, one along x and one along y. Needs PyTorch.

Maps are logits over bins, `SPLIT` bins a pixel of the crop. A bin's number over `SPLIT` is its place in px.
"""

from typing import NamedTuple

import torch
from torch import Tensor

SPLIT = 2.0  # bins a pixel (RTMPose, SpinePose)
BETA = 10.0  # sharpness of predicted and of wanted distributions (RTMPose, SpinePose)
SIGMAS = {(256, 192): (4.9, 5.66), (384, 288): (6.0, 6.93)}  # bins along x and y, by (height, width) of the crop
_TINY = 1e-12


class SimccMaps(NamedTuple):
    """x: (crops, points, width bins), y: (crops, points, height bins): logits."""

    x: Tensor
    y: Tensor

    def rows(self, points: "list[int] | slice") -> "SimccMaps":
        """Only these points."""
        return SimccMaps(self.x[:, points], self.y[:, points])


def wanted_maps(xy: Tensor, size: tuple[int, int], sigma: tuple[float, float]) -> SimccMaps:
    """Gaussians of height 1 around labels. xy: (crops, points, 2) px; size: (height, width) px; sigma: bins, x and y.

    Centres lie between bins where labels do: they are not rounded.
    """
    made = []
    for axis, side in ((0, size[1]), (1, size[0])):
        bins = torch.arange(round(side * SPLIT), dtype=xy.dtype, device=xy.device)
        made.append(torch.exp(-((bins - SPLIT * xy[..., axis, None]) ** 2) / (2 * sigma[axis] ** 2)))
    return SimccMaps(*made)


def divergence(found: SimccMaps, wanted: SimccMaps, beta: float = BETA) -> Tensor:
    """(crops, points) KL(wanted ‖ found) of the distributions softmax(beta · map), summed over bins, x and y added."""
    total = torch.zeros((), dtype=found.x.dtype, device=found.x.device)
    for map_found, map_wanted in zip(found, wanted, strict=True):
        log_found = torch.log_softmax(beta * map_found, -1)
        log_wanted = torch.log_softmax(beta * map_wanted, -1)
        total = total + (log_wanted.exp() * (log_wanted - log_found)).sum(-1)
    return total


def expected_places(maps: SimccMaps, beta: float = BETA) -> Tensor:
    """(crops, points, 2) px: means of the distributions, through which losses of places are differentiated."""
    places = []
    for logits in maps:
        bins = torch.arange(logits.shape[-1], dtype=logits.dtype, device=logits.device)
        places.append((torch.softmax(beta * logits, -1) * bins).sum(-1) / SPLIT)
    return torch.stack(places, -1)


def best_places(maps: SimccMaps) -> Tensor:
    """(crops, points, 2) px: bins of the greatest values, and the vertex of the parabola through them and their
    neighbours.
    """
    return torch.stack([_vertex(logits) for logits in maps], -1) / SPLIT


def _vertex(logits: Tensor) -> Tensor:
    last = logits.shape[-1] - 1
    best = logits.argmax(-1)
    middle = best.clamp(1, last - 1)
    left, top, right = (logits.gather(-1, (middle + step)[..., None])[..., 0] for step in (-1, 0, 1))
    bend = left - 2 * top + right
    shift = torch.where(bend < -_TINY, 0.5 * (left - right) / bend.clamp(max=-_TINY), torch.zeros_like(bend))
    inner = (best > 0) & (best < last)
    return best.to(logits.dtype) + torch.where(inner, shift.clamp(-0.5, 0.5), torch.zeros_like(shift))
