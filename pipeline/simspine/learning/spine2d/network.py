"""A small network from a crop to SimCC maps and to how sure it is. Needs PyTorch.

Depthwise convolutions with residuals (MobileNet's blocks), a map at 1/16 of the crop that takes in one at 1/32, then a
head like RTMPose's: a row of the map and a hidden vector for each point, attention among points, two linear layers.
Only the rows of the points depend on how many points there are, so a network is widened by adding rows.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from simspine.learning.spine2d.options import SpineNetworkSize
from simspine.learning.spine2d.simcc import SPLIT, SimccMaps

STRIDE = 16  # px of the crop for a cell of the map that points are read from
_FIRST_SD = 0.01  # of the last layers' weights: no place is preferred before learning
LOG_SD = (-2.0, 5.0)  # bounds of logarithms of standard deviations, px


class Found(NamedTuple):
    """What a network sees in crops. maps: logits. spread: (crops, points, 3), as `gaussians` has it."""

    maps: SimccMaps
    spread: Tensor


class SpineNetwork(nn.Module):
    """Crops (n, 3 + channels, height, width), colours as `normalised` makes them, → `Found`.

    points: how many. size: widths. crop: (height, width) px, multiples of 32. channels: further channels of the input,
    such as a mask. numbers: of a vector that comes with each crop, such as points of another detector; 0: none.
    """

    def __init__(
        self,
        points: int,
        size: SpineNetworkSize,
        crop: tuple[int, int] = (256, 192),
        channels: int = 0,
        numbers: int = 0,
    ):
        super().__init__()
        wide = [max(round(size.width * share / 8), 1) * 8 for share in (0.125, 0.25, 0.5, 1.0, 1.5)]
        self.backbone = Backbone(3 + channels, wide, size.blocks)
        cells = (crop[0] // STRIDE) * (crop[1] // STRIDE)
        self.points = nn.Conv2d(wide[3], points, 1)
        self.hidden = nn.Sequential(RootNorm(cells), nn.Linear(cells, size.hidden, bias=False))
        self.given = nn.Linear(numbers, size.hidden) if numbers else None
        self.attention = PointAttention(size.hidden)
        self.x = nn.Linear(size.hidden, round(crop[1] * SPLIT), bias=False)
        self.y = nn.Linear(size.hidden, round(crop[0] * SPLIT), bias=False)
        self.spread = nn.Linear(size.hidden, 3)
        for last in (self.x, self.y):
            nn.init.normal_(last.weight, std=_FIRST_SD)
        nn.init.zeros_(self.spread.weight)
        with torch.no_grad():
            self.spread.bias.copy_(torch.tensor([2.0, 2.0, 0.0]))

    def forward(self, crops: Tensor, numbers: "Tensor | None" = None) -> Found:
        hidden = self.hidden(self.points(self.backbone(crops)).flatten(2))
        if self.given is not None:
            hidden = hidden + self.given(numbers)[:, None]
        hidden = self.attention(hidden)
        spread = self.spread(hidden)
        spread = torch.cat([spread[..., :2].clamp(*LOG_SD), spread[..., 2:]], -1)
        return Found(SimccMaps(self.x(hidden), self.y(hidden)), spread)


class Backbone(nn.Module):
    """Crops → (n, wide[3], height / 16, width / 16). wide: channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the crop.

    blocks: how many at 1/4, 1/8, 1/16 and 1/32, the first of which halves the size.
    """

    def __init__(self, channels: int, wide: list[int], blocks: tuple[int, int, int, int]):
        super().__init__()
        self.stem = _convolved(channels, wide[0], 3, stride=2)
        self.levels = nn.ModuleList(
            nn.Sequential(*(Inverted(before if i == 0 else after, after, 2 if i == 0 else 1) for i in range(count)))
            for before, after, count in zip(wide[:4], wide[1:], blocks, strict=True)
        )
        self.coarse = nn.Conv2d(wide[4], wide[3], 1, bias=False)
        self.merged = Inverted(wide[3], wide[3], 1)

    def forward(self, crops: Tensor) -> Tensor:
        quarter, eighth, sixteenth, last = self.levels
        fine = sixteenth(eighth(quarter(self.stem(crops))))
        coarse = self.coarse(last(fine))
        return self.merged(fine + nn.functional.interpolate(coarse, scale_factor=2.0, mode="nearest"))


class Inverted(nn.Module):
    """Depthwise 5 × 5, pointwise to twice the channels and back; a residual where the shape stays."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.across = nn.Sequential(
            nn.Conv2d(before, before, 5, stride, 2, groups=before, bias=False), nn.BatchNorm2d(before)
        )
        self.wider = _convolved(before, 2 * after, 1)
        self.back = nn.Sequential(nn.Conv2d(2 * after, after, 1, bias=False), nn.BatchNorm2d(after))
        self.same = before == after and stride == 1

    def forward(self, seen: Tensor) -> Tensor:
        made = self.back(self.wider(self.across(seen)))
        return seen + made if self.same else made


class RootNorm(nn.Module):
    """Vectors over their root mean square, times one learnt number (ScaleNorm of RTMPose's head)."""

    def __init__(self, length: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.root = length**0.5

    def forward(self, seen: Tensor) -> Tensor:
        return seen / seen.norm(dim=-1, keepdim=True).clamp(min=1e-5) * self.root * self.scale


class PointAttention(nn.Module):
    """Points look at one another: one head of attention, with a residual."""

    def __init__(self, hidden: int):
        super().__init__()
        self.norm = RootNorm(hidden)
        self.parts = nn.Linear(hidden, 3 * hidden, bias=False)
        self.last = nn.Linear(hidden, hidden, bias=False)

    def forward(self, seen: Tensor) -> Tensor:
        asked, key, value = self.parts(self.norm(seen)).chunk(3, -1)
        share = torch.softmax(asked @ key.transpose(1, 2) / key.shape[-1] ** 0.5, -1)
        return seen + self.last(share @ value)


def _convolved(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after), nn.Hardswish()
    )
