"""The network of the spine detector, and what it is trained to do. Needs torch."""

import torch
from torch import nn

from simspine.detection.pose_features import SPINE_POINTS, WINDOW

POINTS = 33 * 4
WIDTH, DROP = 256, 0.1


class SpineNetwork(nn.Module):
    """Places of thirteen points in the frame of the trunk, and how sure they are.

    points: (n, 33, 4); mask: (n, 1, 40, 40), both in that frame. Returns (n, 13, 5): x, y, and of the whitening matrix
    [[exp a, 0], [c, exp b]] a, b, c: the error times it has covariance 1. with_points, with_mask: what it looks at.
    """

    def __init__(self, with_points: bool = True, with_mask: bool = True, colours: int = 1):
        super().__init__()
        self.with_points, self.with_mask = with_points, with_mask
        self.look = nn.Sequential(
            *_block(colours, 16), *_block(16, 32), *_block(32, 64), nn.Flatten(), nn.Dropout(DROP),
            nn.Linear(64 * (WINDOW // 8) ** 2, 128), nn.SiLU(),
        )  # fmt: skip
        given = POINTS * with_points + 128 * with_mask
        self.place = nn.Sequential(
            nn.Linear(given, WIDTH), nn.SiLU(), nn.Dropout(DROP), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Dropout(DROP)
        )
        self.read = nn.Linear(WIDTH, 5 * len(SPINE_POINTS))

    def forward(self, points: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        given = [points.flatten(1)] if self.with_points else []
        given += [self.look(mask)] if self.with_mask else []
        return self.read(self.place(torch.cat(given, 1))).unflatten(1, (len(SPINE_POINTS), 5))


def _block(entering: int, leaving: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(entering, leaving, 3, stride=2, padding=1), nn.BatchNorm2d(leaving), nn.SiLU()


def unlikely(found: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean negative log likelihood of true places (n, 13, 2); known: (n, 13) bool."""
    off = truth - found[..., :2]
    a, b, c = found[..., 2:].unbind(-1)
    x, y = off.unbind(-1)
    first, second = torch.exp(a) * x, c * x + torch.exp(b) * y
    cost = 0.5 * (first**2 + second**2) - a - b
    return cost[known].mean()
