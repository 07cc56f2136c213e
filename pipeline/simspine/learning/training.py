"""Training of a lifter by the loop that all networks have (`learning.descent`), and what it makes of samples.

Needs PyTorch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from simspine.errors import InputError
from simspine.learning.descent import TOTAL, Descent, DescentRun, descend, seeded
from simspine.learning.options import DescentSettings, LiftingTraining

PREDICTED_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class LearningData:
    """Standardised arrays. features: (samples, frames, inputs). targets: (samples, outputs). watched: features of other
    people, or None. error_mm: from predicted targets of the watched to a figure worth watching. redrawn: from the
    number of an epoch to features and targets in the place of these, or None.
    """

    features: np.ndarray
    targets: np.ndarray
    watched: np.ndarray | None = None
    error_mm: Callable[[np.ndarray], float] | None = None
    redrawn: Callable[[int], tuple[np.ndarray, np.ndarray]] | None = None


@dataclass(frozen=True)
class History:
    """Per epoch: loss of training (dropout on), and error of the watched in mm (NaN where nobody is)."""

    losses: tuple[float, ...] = ()
    watched_mm: tuple[float, ...] = ()


def fit_network(
    make: Callable[[], nn.Module], data: LearningData, settings: LiftingTraining, run: DescentRun
) -> tuple[nn.Module, History]:
    """A network trained from where the folder's checkpoint left it, or from the start.

    make: the network with fresh weights. Raises `InputError` where there are fewer than two samples, and as `descend`
    does.
    """
    if len(data.features) < 2:
        raise InputError(f"{len(data.features)} samples to learn from; at least two are needed.")
    given = _tensors((data.features, data.targets), run.device)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        features, targets = given if data.redrawn is None else _tensors(data.redrawn(epoch), run.device)
        for chosen in torch.randperm(len(features)).split(settings.batch):
            if len(chosen) > 1:  # batch norm needs two
                chosen = chosen.to(features.device)
                yield features[chosen], targets[chosen]

    full, rest = divmod(len(data.features), settings.batch)
    goal = Descent(
        batches=batches,
        count=full + (rest > 1),
        losses=lambda network, batch: {TOTAL: nn.functional.mse_loss(network(batch[0]), batch[1])},
        settings=DescentSettings(
            epochs=settings.epochs, batch=settings.batch, rate=settings.rate, decay=settings.decay, average=0, clip=None
        ),
        watch=lambda network: _watched(network, data),
        shown="watched {:.1f} mm",
        rate=lambda epoch, step, steps: settings.rate * settings.step_factor ** (epoch // settings.step_epochs),
        groups=lambda network, decay: [{"params": list(network.parameters()), "weight_decay": decay}],
    )
    weights, found = descend(make, goal, run)
    with seeded(run.seed, 0, run.device):
        network = make().to(run.device)
    network.load_state_dict(weights)
    return network.eval(), History(tuple(losses[TOTAL] for losses in found.losses), found.watched)


def apply_network(network: nn.Module, features: np.ndarray) -> np.ndarray:
    """(samples, outputs) standardised targets."""
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():
        parts = torch.as_tensor(features, dtype=torch.float32).split(PREDICTED_AT_ONCE)
        return np.concatenate([network(part.to(device)).double().cpu().numpy() for part in parts])


def _tensors(arrays: tuple[np.ndarray, np.ndarray], device: str) -> tuple[Tensor, Tensor]:
    first, second = (torch.as_tensor(array, dtype=torch.float32, device=device) for array in arrays)
    return first, second


def _watched(network: nn.Module, data: LearningData) -> float:
    if data.watched is None or data.error_mm is None:
        return float("nan")
    return data.error_mm(apply_network(network, data.watched))
