"""The network of the spine detector, and how it is written as ONNX. Needs torch."""

from pathlib import Path

import torch
from torch import nn

from simspine.vision.blazepose_spine import SPINE_POINTS, TRUNK_WINDOW_PX

POINTS = 33 * 4
WIDTH, DROP = 256, 0.1
FIRST_LOG_SD = -3.0  # of places before learning, logarithm of shares


class TrunkNetwork(nn.Module):
    """Places of thirteen points in the frame of the trunk, and how sure they are.

    points: (n, 33, 4); image: (n, 1, 40, 40), of the mask, both in that frame. Returns places (n, 13, 2) and spreads
    (n, 13, 3), as in `simspine.learning.spine_network`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            *_block(1, 16), *_block(16, 32), *_block(32, 64), nn.Flatten(), nn.Dropout(DROP),
            nn.Linear(64 * (TRUNK_WINDOW_PX // 8) ** 2, 128), nn.SiLU(),
        )  # fmt: skip
        self.place = nn.Sequential(
            nn.Linear(POINTS + 128, WIDTH), nn.SiLU(), nn.Dropout(DROP),
            nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Dropout(DROP),
        )  # fmt: skip
        self.read = nn.Linear(WIDTH, 5 * len(SPINE_POINTS))

    def forward(self, points: torch.Tensor, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        given = torch.cat([points.flatten(1), self.look(image)], 1)
        found = self.read(self.place(given)).unflatten(1, (len(SPINE_POINTS), 5))
        return found[..., :2], found[..., 2:]

    @property
    def prior(self) -> torch.Tensor:
        """(13, 5) of what is said before anything is seen: x, y and spread; a view of the weights."""
        return self.read.bias.view(len(SPINE_POINTS), 5)


def _block(entering: int, leaving: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(entering, leaving, 3, stride=2, padding=1), nn.BatchNorm2d(leaving), nn.SiLU()


class _Stated(nn.Module):
    """Places and, of the matrix [[exp a, 0], [c, exp b]] that makes errors white, a, b, c: (n, 13, 5)."""

    def __init__(self, network: TrunkNetwork):
        super().__init__()
        self.network = network

    def forward(self, points: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        places, spread = self.network(points, image)
        return torch.cat([places, whitening(spread)], -1)


def whitening(spread: torch.Tensor) -> torch.Tensor:
    """(…, 3) a, b, c of spreads (…, 3): errors times [[exp a, 0], [c, exp b]] have covariance 1."""
    correlation = torch.tanh(spread[..., 2])
    rest = 1 - correlation**2
    b = -spread[..., 1] - 0.5 * torch.log(rest)
    return torch.stack([-spread[..., 0], b, -correlation / rest.sqrt() * torch.exp(-spread[..., 0])], -1)


def export(network: TrunkNetwork, path: Path) -> None:
    """As ONNX, for any number of people: points, mask → places (n, 13, 5)."""
    example = (torch.zeros(2, 33, 4), torch.zeros(2, 1, TRUNK_WINDOW_PX, TRUNK_WINDOW_PX))
    torch.onnx.export(
        _Stated(network).eval(), example, str(path), input_names=["points", "mask"], output_names=["places"],
        dynamo=False, dynamic_axes={name: {0: "people"} for name in ("points", "mask", "places")},
    )  # fmt: skip
