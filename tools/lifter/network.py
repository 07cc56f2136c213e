"""The network of the packaged lifter: image points of one camera → points in space with deviations. Needs PyTorch only.

The image is turned so that the person is in its middle, and scaled to one size: a camera that looks elsewhere, or
stands elsewhere on the same line, gives the same pose.
"""

import math

import torch
from torch import Tensor, nn

LOG_SD_LIMITS = (-6.0, 0.0)  # bounds of logarithms of standard deviations, m
LEAST_EXTENT = 1e-4  # of a person in the image, focal lengths


class Residual(nn.Module):
    """Two linear layers with norms, and a residual."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, seen: Tensor) -> Tensor:
        return seen + self.layers(seen)


class CentredLifter(nn.Module):
    """image: (n, 1, points, 2) focal lengths, NaN = missing → xyz and sd (n, points, 3) m, relative to the first.

    hips: columns of the two hips, which are the middle of the person where they are seen.
    """

    def __init__(self, points: int, hips: tuple[int, int], width: int = 512, blocks: int = 3):
        super().__init__()
        self.points, self.hips = points, list(hips)
        self.first = nn.Linear(3 * points + 1, width)
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(blocks)))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Linear(width, 6 * points))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        xyz, log_sd, turn = self.centred(image[:, 0])
        return xyz @ turn, torch.sqrt(torch.exp(2 * log_sd) @ turn**2)

    def centred(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points and logarithms of deviations in the axes of a camera that looks at the person, and those axes
        (n, 3, 3), as rows."""
        there = ~torch.isnan(image[..., :1])
        plain = torch.where(there, image, torch.zeros_like(image))
        turn = self.axes_towards(self.middle(plain, there))
        rays = torch.cat([plain, torch.ones_like(plain[..., :1])], -1) @ turn.transpose(1, 2)
        seen = torch.where(there, rays[..., :2] / rays[..., 2:].clamp(min=0.1), torch.zeros_like(plain))
        count = there.sum(1, keepdim=True).clamp(min=1)
        extent = torch.sqrt((seen**2).sum((1, 2), keepdim=True) / count).clamp(min=LEAST_EXTENT)
        scaled = (seen / extent).clamp(-8, 8)
        known = there[..., 0].to(image.dtype)
        hidden = self.first(torch.cat([scaled.flatten(1), known, torch.log(extent[:, 0])], 1))
        found = self.last(self.blocks(hidden)).reshape(-1, self.points, 6)
        xyz = found[..., :3] - found[:, :1, :3]
        return xyz, found[..., 3:].clamp(*LOG_SD_LIMITS), turn

    def middle(self, plain: Tensor, there: Tensor) -> Tensor:
        """(n, 2) of the hips, or of all points where a hip is missing."""
        every = plain.sum(1) / there.sum(1).clamp(min=1)
        both = there[:, self.hips].all(1)
        return torch.where(both, plain[:, self.hips].mean(1), every)

    @staticmethod
    def axes_towards(middle: Tensor) -> Tensor:
        """(n, 3, 3) axes, as rows, of a camera that looks at image points; its x axis stays level in the image."""
        ahead = torch.cat([middle, torch.ones_like(middle[:, :1])], 1)
        ahead = ahead / torch.sqrt((ahead**2).sum(1, keepdim=True))
        level = torch.sqrt(ahead[:, :1] ** 2 + ahead[:, 2:] ** 2)
        zero = torch.zeros_like(level)
        right = torch.cat([ahead[:, 2:] / level, zero, -ahead[:, :1] / level], 1)
        down = torch.cat([-ahead[:, 1:2] * ahead[:, :1] / level, level, -ahead[:, 1:2] * ahead[:, 2:] / level], 1)
        return torch.stack([right, down, ahead], 1)


def lifting_loss(xyz: Tensor, log_sd: Tensor, true: Tensor) -> Tensor:
    """Mean distance of the points, and the likelihood of Laplacian errors, from which places do not learn."""
    distance = torch.sqrt(((xyz - true) ** 2).sum(-1) + 1e-8).mean()
    error = (xyz.detach() - true).abs()
    likelihood = (math.sqrt(2) * error * torch.exp(-log_sd) + log_sd).mean()
    return distance + 0.02 * likelihood
