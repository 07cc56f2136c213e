"""One loop of gradient descent: the same weights from the same seed, and after a kill from where it stopped.

What is random in an epoch depends on seed and epoch alone, so a checkpoint, written after each epoch, needs no state of
random numbers. On a CPU a run that was killed ends with the very weights of one that was not. AdamW, clipped gradients,
and a moving average of the weights, which is what is used; unless said otherwise a linear warm-up and a cosine, and no
decay of norms and biases (`schedule`). Needs PyTorch.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simspine.errors import InputError
from simspine.learning.checkpoints import Identity, load_checkpoint, save_checkpoint
from simspine.learning.options import DescentSettings
from simspine.learning.schedule import averaged, decayed_groups, rate_at

CHECKPOINT = "checkpoint.pt"
TOTAL = "total"
Say = Callable[[str], None]
_SAID_EVERY = 20.0  # s, between lines within an epoch


@dataclass(frozen=True)
class DescentHistory:
    """Per epoch. losses: means of each loss, not weighted, and of their sum ('total'). watched: the figure that is
    shown, NaN where there is none.
    """

    losses: tuple[dict[str, float], ...] = ()
    watched: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Descent:
    """What is minimised. batches: of an epoch, counted from 0; count: how many there are. losses: of a network on a
    batch, by name; the one named 'total' is minimised. begin: puts the network in training mode before an epoch. watch:
    from the averaged network to a figure that is shown and decides nothing; shown: how it is said. rate: learning rate
    from epoch and step, counted from 0, and the number of steps; None: `schedule.rate_at`. groups: of parameters, for
    AdamW, from network and weight decay.
    """

    batches: Callable[[int], Iterable[Any]]
    count: int
    losses: Callable[[nn.Module, Any], Mapping[str, Tensor]]
    settings: DescentSettings
    begin: Callable[[nn.Module, int], object] = field(default=lambda network, epoch: network.train())
    watch: Callable[[nn.Module], float] = field(default=lambda network: float("nan"))
    shown: str = "watched {:.2f}"
    rate: Callable[[int, int, int], float] | None = None
    groups: Callable[[nn.Module, float], list[dict]] = decayed_groups


@dataclass(frozen=True, eq=False)
class DescentRun:
    """Where and how. folder: of the checkpoint; identity: what it belongs to; say: called with lines; until: stop after
    this epoch, as a kill would (tests).
    """

    folder: Path
    identity: Identity
    seed: int
    device: str = "cpu"
    say: Say = lambda line: None
    until: int | None = None


@dataclass(eq=False)
class _Learning:
    """What changes while training: network, average of its weights, optimiser, steps done."""

    network: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0

    def dump(self, history: DescentHistory) -> dict:
        return {
            "network": self.network.state_dict(), "average": self.average, "optimiser": self.optimiser.state_dict(),
            "step": self.step, "losses": list(history.losses), "watched": list(history.watched),
        }  # fmt: skip

    def load(self, state: Mapping) -> DescentHistory:
        self.network.load_state_dict(state["network"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]
        return DescentHistory(tuple(state["losses"]), tuple(state["watched"]))


def descend(make: Callable[[], nn.Module], goal: Descent, run: DescentRun) -> tuple[dict[str, Tensor], DescentHistory]:
    """Averaged weights of a network trained from where the folder's checkpoint left it, or from the start.

    make: the network with the weights to start from. Raises `InputError` where the checkpoint is of other data or
    settings, and where the loss is no number any more.
    """
    settings = goal.settings
    with seeded(run.seed, 0, run.device):
        network = make().to(run.device, memory_format=torch.channels_last)  # three times as fast on a CPU
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    groups = goal.groups(network, settings.decay)
    state, history = _Learning(network, average, torch.optim.AdamW(groups, lr=settings.rate)), DescentHistory()
    path = run.folder / CHECKPOINT
    if path.exists():
        history = state.load(load_checkpoint(path, run.identity)[1])
        run.say(f"{path}: {len(history.losses)} of {settings.epochs} epochs are done")
    last = settings.epochs if run.until is None else min(run.until, settings.epochs)
    for epoch in range(len(history.losses), last):
        started = time.perf_counter()
        with seeded(run.seed, epoch + 1, run.device):
            losses = _epoch(state, goal, epoch, run.say)
        if not np.isfinite(losses[TOTAL]):
            raise InputError(f"the loss of epoch {epoch + 1} is no number; lower training.rate ({settings.rate}).")
        watched = _watched(state, goal)
        history = DescentHistory((*history.losses, losses), (*history.watched, watched))
        save_checkpoint(path, run.identity, state.dump(history))
        seconds = time.perf_counter() - started
        run.say(
            f"epoch {epoch + 1}/{settings.epochs}: loss {losses[TOTAL]:.3f}, {goal.shown.format(watched)}, "
            f"{seconds:.0f} s"
        )
    return state.average, history


def _epoch(state: _Learning, goal: Descent, epoch: int, say: Say) -> dict[str, float]:
    """One pass; means of the losses over its batches."""
    settings, sums = goal.settings, dict[str, float]()
    steps = settings.epochs * -(-goal.count // settings.accumulate)
    goal.begin(state.network, epoch)
    said = time.perf_counter()
    for number, batch in enumerate(goal.batches(epoch), start=1):
        rate = rate_at(state.step, steps, settings) if goal.rate is None else goal.rate(epoch, state.step, steps)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        losses = goal.losses(state.network, batch)
        (losses[TOTAL] / settings.accumulate).backward()
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + float(loss.detach())
        if number % settings.accumulate == 0 or number == goal.count:
            if settings.clip is not None:
                nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
            state.optimiser.step()
            state.optimiser.zero_grad(set_to_none=True)
            averaged(state.average, state.network, state.step, settings)
            state.step += 1
        if time.perf_counter() - said > _SAID_EVERY:
            said = time.perf_counter()
            now = f"{number} of {goal.count} batches, loss {float(losses[TOTAL].detach()):.3f}"
            say(f"epoch {epoch + 1}/{settings.epochs}: {now}")
    return {name: value / goal.count for name, value in sums.items()}


def _watched(state: _Learning, goal: Descent) -> float:
    """What is watched of the averaged weights; the weights being trained come back."""
    own = {name: value.detach().clone() for name, value in state.network.state_dict().items()}
    state.network.load_state_dict(state.average)
    with torch.no_grad():
        found = goal.watch(state.network.eval())
    state.network.load_state_dict(own)
    return found


@contextmanager
def seeded(seed: int, epoch: int, device: str) -> Iterator[None]:
    """Random numbers that depend on seed and epoch alone; those of the caller go on as they were."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        torch.manual_seed(1_000_003 * seed + epoch)
        yield
