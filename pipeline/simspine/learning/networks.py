"""Networks that lift standardised image points to standardised points in space. Needs PyTorch.

All take features (batch, frames, inputs) and give (batch, outputs).
"""

from torch import Tensor, nn

from simspine.learning.options import LiftingNetwork


class ResidualTrunk(nn.Module):
    """Linear layer, then residual blocks of two, each with batch norm, ReLU and dropout (Martinez 2017)."""

    def __init__(self, inputs: int, size: LiftingNetwork):
        super().__init__()

        def layer(before: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(before, size.width), nn.BatchNorm1d(size.width), nn.ReLU(), nn.Dropout(size.dropout)
            )

        self.first = layer(inputs)
        self.blocks = nn.ModuleList(nn.Sequential(layer(size.width), layer(size.width)) for _ in range(size.blocks))

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.first(features)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return hidden


class SimpleBaseline(nn.Module):
    """SimpleBaseline3D: one frame in, one pose out."""

    def __init__(self, inputs: int, outputs: int, size: LiftingNetwork):
        super().__init__()
        self.trunk = ResidualTrunk(inputs, size)
        self.last = nn.Linear(size.width, outputs)

    def forward(self, features: Tensor) -> Tensor:
        return self.last(self.trunk(features[:, features.shape[1] // 2]))


class TemporalLifter(nn.Module):
    """Convolutions over time that take three frames each without overlap (Pavllo 2019, the form for single outputs).

    Three frames become one, layer by layer, until one is left; a residual goes from the middle of the three.
    """

    def __init__(self, inputs: int, outputs: int, size: LiftingNetwork):
        super().__init__()
        width, drop = size.channels, size.dropout

        def step(before: int, frames: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv1d(before, width, frames, stride=frames, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
                nn.Dropout(drop),
            )

        self.first = step(inputs, 3)
        steps, left = [], size.receptive // 3
        while left > 1:
            steps.append(nn.Sequential(step(width, 3), step(width, 1)))
            left //= 3
        self.steps = nn.ModuleList(steps)
        self.last = nn.Linear(width, outputs)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.first(features.transpose(1, 2))
        for step in self.steps:
            hidden = hidden[:, :, 1::3] + step(hidden)
        return self.last(hidden[:, :, 0])
