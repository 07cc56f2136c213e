"""Networks that lift standardised image points to standardised points in space, and their training. Needs PyTorch.

They take features (batch, inputs) and give (batch, outputs)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tools.lifting_baselines.options import LiftingNetwork, LiftingTraining
from torch import Tensor, nn

from simspine.core.errors import InputError
from simspine.learning.descent import TOTAL_LOSS, Descent, DescentHistory, DescentRun, train_by_descent, with_seed
from simspine.learning.options import DescentSettings


class SimpleBaseline(nn.Module):
    """SimpleBaseline3D (Martinez 2017): one frame in, one pose out.

    Linear layer, residual blocks of two, each with batch norm, ReLU and dropout, and a linear layer."""

    def __init__(self, inputs: int, outputs: int, size: LiftingNetwork):
        super().__init__()

        def layer(before: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(before, size.width), nn.BatchNorm1d(size.width), nn.ReLU(), nn.Dropout(size.dropout)
            )

        self.first = layer(inputs)
        self.blocks = nn.ModuleList(nn.Sequential(layer(size.width), layer(size.width)) for _ in range(size.blocks))
        self.last = nn.Linear(size.width, outputs)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.first(features)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.last(hidden)


PREDICTED_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class LearningData:
    """Standardised arrays. features: (samples, inputs). targets: (samples, outputs). error_mm: of a function
    from features to targets, on other people; a figure that is shown."""

    features: np.ndarray
    targets: np.ndarray
    error_mm: Callable[[Callable[[np.ndarray], np.ndarray]], float] = lambda apply: float("nan")


def fit_network(
    make: Callable[[], nn.Module], data: LearningData, settings: LiftingTraining, run: DescentRun
) -> tuple[nn.Module, DescentHistory]:
    """A network trained from where the folder's checkpoint left it, or from the start; watched: error in mm.

    make: the network with fresh weights. Raises `InputError` where there are fewer than two samples, and as
    `train_by_descent` does."""
    if len(data.features) < 2:
        raise InputError(f"{len(data.features)} samples to learn from; at least two are needed.")
    given = [torch.as_tensor(part, dtype=torch.float32, device=run.device) for part in (data.features, data.targets)]

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        features, targets = given
        for chosen in torch.randperm(len(features)).split(settings.batch):
            if len(chosen) > 1:  # batch norm needs two
                chosen = chosen.to(features.device)
                yield features[chosen], targets[chosen]

    full, rest = divmod(len(data.features), settings.batch)
    goal = Descent(
        batches=batches,
        count=full + (rest > 1),
        losses=lambda network, batch: {TOTAL_LOSS: nn.functional.mse_loss(network(batch[0]), batch[1])},
        settings=DescentSettings(
            epochs=settings.epochs, batch=settings.batch, rate=settings.rate, decay=settings.decay, average=0, clip=None
        ),
        watch=lambda network: data.error_mm(partial(apply_network, network)),
        shown="watched {:.1f} mm",
        rate=lambda epoch: settings.rate * settings.step_factor ** (epoch // settings.step_epochs),
        groups=lambda network, decay: [{"params": list(network.parameters()), "weight_decay": decay}],
    )
    weights, found = train_by_descent(make, goal, run)
    with with_seed(run.seed, 0, run.device):
        network = make().to(run.device)
    network.load_state_dict(weights)
    return network.eval(), found


def apply_network(network: nn.Module, features: np.ndarray) -> np.ndarray:
    """(samples, outputs) standardised targets."""
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():
        parts = torch.as_tensor(features, dtype=torch.float32).split(PREDICTED_AT_ONCE)
        return np.concatenate([network(part.to(device)).double().cpu().numpy() for part in parts])
