"""A lifter that predicts joint angles, sizes and how sure it is: points are what our body's kinematics makes of them.

So bones keep their lengths within a pose, and vertebrae turn on one another as the body's joints let them. Needs
PyTorch.
"""

import numpy as np
import torch
from torch import Tensor, nn

from simspine.learning.angle_body import AngleBody
from simspine.learning.encoding import Encoding
from simspine.learning.kinematics import TreeKinematics, orthonormal
from simspine.learning.networks import Lifted, ResidualTrunk
from simspine.learning.options import LiftingNetwork

FACING = (0.0, 0.0, -1.0, 0.0, -1.0, 0.0)  # forward towards the camera, upright: the root's pose before learning
LARGEST_SIZE = 0.5  # |logarithm| of a size
LOG_SD = (-5.0, 2.0)  # bounds of standardised deviations: keep the likelihood finite while little is learnt


class AngleLifter(nn.Module):
    """Residual trunk → root's rotation, coordinates, sizes of segments, standard deviations of points.

    Without dropout: its noise bends and shortens poses on average, so that what is learnt with it is wrong without.
    """

    def __init__(self, inputs: int, size: LiftingNetwork, encoding: Encoding, body: AngleBody):
        super().__init__()
        self.trunk = ResidualTrunk(inputs, size.model_copy(update={"dropout": 0.0}))
        self.kinematics = TreeKinematics(body.tree).float()
        self.counts = (6, int(body.posed.sum()), 1 + len(body.segments), 3 * (len(encoding.names) - 1))
        self.last = nn.Linear(size.width, sum(self.counts))
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()
            self.last.bias[:6] = torch.tensor(FACING)
        for name, array in (
            ("rest", body.tree.rest[body.tree.free]),
            ("spread", body.spread),
            ("mean", encoding.space_mean),
            ("sd", encoding.space_sd),
        ):
            self.register_buffer(name, torch.as_tensor(np.array(array), dtype=torch.float32))
        self.register_buffer("posed", torch.as_tensor(np.flatnonzero(body.posed)))
        self.register_buffer("group", torch.as_tensor(body.group))

    def forward(self, features: Tensor) -> Lifted:
        six, angles, sizes, log_sd = self._heads(features)
        markers = self.kinematics(self._coordinates(angles), self._factors(sizes))
        relative = (markers - markers[:, :1]) @ orthonormal(six).transpose(1, 2)
        mean = (relative[:, 1:] - self.mean) / self.sd
        return Lifted(mean.flatten(1), log_sd.clamp(*LOG_SD))

    def angles(self, features: Tensor) -> Tensor:
        """(batch, free coordinates) rad, in the order of the body's; those of the pelvis in the world are at rest."""
        return self._coordinates(self._heads(features)[1])

    def sizes(self, features: Tensor) -> Tensor:
        """(batch, segments) sizes relative to the generic body."""
        sizes = self._heads(features)[2]
        return torch.exp(_bounded(sizes[:, :1] + sizes[:, 1:]))

    def _heads(self, features: Tensor) -> tuple[Tensor, ...]:
        return self.last(self.trunk(features[:, features.shape[1] // 2])).split(self.counts, 1)

    def _coordinates(self, angles: Tensor) -> Tensor:
        free = self.rest.expand(angles.shape[0], -1)
        return free.index_add(1, self.posed, angles * self.spread[self.posed])

    def _factors(self, sizes: Tensor) -> Tensor:
        """(batch, bodies): a size common to all times the segment's own; the ground keeps its size."""
        logarithms = _bounded(sizes[:, :1] + sizes[:, 1:])
        grown = logarithms[:, self.group.clamp(min=0)]
        return torch.exp(torch.where(self.group >= 0, grown, torch.zeros_like(grown)))


def _bounded(logarithms: Tensor) -> Tensor:
    return LARGEST_SIZE * torch.tanh(logarithms / LARGEST_SIZE)
