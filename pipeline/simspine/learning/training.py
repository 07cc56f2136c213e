"""Training of a network: the same numbers from the same seed, and after a kill from where it stopped. Needs PyTorch.

Order of samples and dropout of an epoch depend on seed and epoch alone, so a checkpoint needs no state of random
numbers. What is measured of `watched` samples is shown and kept; nothing is decided by it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simspine.errors import InputError
from simspine.learning.checkpoints import Identity, load_checkpoint, save_checkpoint
from simspine.learning.networks import Lifted, loss_of
from simspine.learning.options import LiftingTraining

CHECKPOINT = "checkpoint.pt"
PREDICTED_AT_ONCE = 4096
Say = Callable[[str], None]


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


@dataclass(frozen=True)
class TrainingRun:
    """Where and how: folder of the checkpoint, what it belongs to, settings, seed, device; say: called with a line an
    epoch. until: stop after this epoch, as a kill would (tests); None: go to the end.
    """

    folder: Path
    identity: Identity
    settings: LiftingTraining
    seed: int
    device: str = "cpu"
    say: Say = lambda line: None
    until: int | None = None


def fit_network(make: Callable[[], nn.Module], data: LearningData, run: TrainingRun) -> tuple[nn.Module, History]:
    """A network trained from where the folder's checkpoint left it, or from the start.

    make: the network with fresh weights. Raises `InputError` where the checkpoint is of other data or settings, where
    there are fewer than two samples, and where the loss is no number any more.
    """
    if len(data.features) < 2:
        raise InputError(f"{len(data.features)} samples to learn from; at least two are needed.")
    with seeded(run.seed, 0, run.device):
        network = make().to(run.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=run.settings.rate, weight_decay=run.settings.decay)
    path, history = run.folder / CHECKPOINT, History()
    if path.exists():
        _, state = load_checkpoint(path, run.identity)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        history = History(tuple(state["losses"]), tuple(state["watched_mm"]))
        run.say(f"{path}: {len(history.losses)} of {run.settings.epochs} epochs are done")
    given = _tensors((data.features, data.targets), run.device)
    last = run.settings.epochs if run.until is None else min(run.until, run.settings.epochs)
    for epoch in range(len(history.losses), last):
        started = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = run.settings.rate * run.settings.step_factor ** (epoch // run.settings.step_epochs)
        features, targets = given if data.redrawn is None else _tensors(data.redrawn(epoch), run.device)
        with seeded(run.seed, epoch + 1, run.device):
            loss = _epoch(network, optimiser, features, targets, run.settings.batch)
        if not np.isfinite(loss):
            raise InputError(f"the loss of epoch {epoch + 1} is no number; lower training.rate ({run.settings.rate}).")
        watched = _watched(network, data)
        history = History((*history.losses, loss), (*history.watched_mm, watched))
        state = {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "losses": list(history.losses),
            "watched_mm": list(history.watched_mm),
        }
        save_checkpoint(path, run.identity, state)
        seconds = time.perf_counter() - started
        run.say(f"epoch {epoch + 1}/{run.settings.epochs}: loss {loss:.4f}, watched {watched:.1f} mm, {seconds:.1f} s")
    return network.eval(), history


def apply_network(network: nn.Module, features: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean and standard deviation (or None), (samples, outputs), of standardised targets."""
    device = next(network.parameters()).device
    network.eval()
    means, spreads = [], []
    with torch.no_grad():
        for part in torch.as_tensor(features, dtype=torch.float32).split(PREDICTED_AT_ONCE):
            lifted: Lifted = network(part.to(device))
            means.append(lifted.mean.double().cpu().numpy())
            if lifted.log_sd is not None:
                spreads.append(torch.exp(lifted.log_sd.double()).cpu().numpy())
    return np.concatenate(means), np.concatenate(spreads) if spreads else None


def apply_angles(network: nn.Module, features: np.ndarray) -> np.ndarray:
    """(samples, free coordinates) rad of an `AngleLifter`."""
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():
        parts = torch.as_tensor(features, dtype=torch.float32).split(PREDICTED_AT_ONCE)
        return np.concatenate([network.angles(part.to(device)).double().cpu().numpy() for part in parts])


def _tensors(arrays: tuple[np.ndarray, np.ndarray], device: str) -> tuple[Tensor, Tensor]:
    first, second = (torch.as_tensor(array, dtype=torch.float32, device=device) for array in arrays)
    return first, second


def _epoch(
    network: nn.Module, optimiser: torch.optim.Optimizer, features: Tensor, targets: Tensor, batch: int
) -> float:
    """One pass in random order; the mean loss. A last batch of one sample is left out: batch norm needs two."""
    network.train()
    total, count = 0.0, 0
    for chosen in torch.randperm(len(features)).split(batch):
        if len(chosen) < 2:
            continue
        chosen = chosen.to(features.device)
        loss = loss_of(network(features[chosen]), targets[chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total, count = total + float(loss.detach()) * len(chosen), count + len(chosen)
    return total / count


def _watched(network: nn.Module, data: LearningData) -> float:
    if data.watched is None or data.error_mm is None:
        return float("nan")
    return data.error_mm(apply_network(network, data.watched)[0])


@contextmanager
def seeded(seed: int, epoch: int, device: str) -> Iterator[None]:
    """Random numbers that depend on seed and epoch alone; those of the caller go on as they were."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        torch.manual_seed(1_000_003 * seed + epoch)
        yield
