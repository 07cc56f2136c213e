"""The training loop (gradient descent). The same seed gives the same weights; a killed run resumes.

Random numbers of an epoch depend on seed and epoch alone, so a checkpoint, written after each epoch, needs no generator
state. On a CPU a resumed run ends with exactly the weights of an uninterrupted one. The optimiser is AdamW with clipped
gradients; the result is the moving average of the weights. Defaults: the learning rate has a linear warm-up and a
cosine decay, and norms and biases have no weight decay. Needs PyTorch."""

import json
import math
import pickle
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from simspine.core.errors import InputError, naming_content
from simspine.io.atomic import atomic_path, write_text
from simspine.learning.options import DescentSettings, SayLine

_WARMUP_START_SHARE = 1e-5  # first learning rate of the warm-up, as a share of the greatest (MMPose)


def learning_rate_at(step: int, steps: int, settings: DescentSettings) -> float:
    """Learning rate of a step (from 0) out of `steps`: linear warm-up, then a cosine down to `last_share`."""
    warm_up = min(settings.warm_up, steps // 10)
    if step < warm_up:
        return settings.rate * (_WARMUP_START_SHARE + (1 - _WARMUP_START_SHARE) * step / warm_up)
    done = (step - warm_up) / max(steps - 1 - warm_up, 1)
    last = settings.last_share
    return settings.rate * (last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def update_average(average: dict[str, Tensor], network: nn.Module, step: int, settings: DescentSettings) -> None:
    """Update the moving average of the weights in place; it moves faster in early steps (MMPose's ExpMomentumEMA).

    average: {name: tensor} of the network's state, counters included. step: number of earlier steps."""
    momentum = settings.average + (1 - settings.average) * math.exp(-(1 + step) / settings.average_steps)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if settings.average and value.is_floating_point():
                average[name].lerp_(value, momentum)
            else:
                average[name].copy_(value)


def decayed_groups(network: nn.Module, decay: float) -> list[dict]:
    """Parameters for AdamW in two groups: norms and biases (one axis) have no weight decay."""
    vectors = [p for p in network.parameters() if p.ndim < 2]
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    return [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]


# Checkpoints: the state after an epoch, from which training resumes, and the settings and data that it belongs to.

CHECKPOINT_SCHEMA = 2


@dataclass(frozen=True)
class TrainingIdentity:
    """The run of a checkpoint. options: all settings, as plain JSON values. data: digest of the training data."""

    options: Mapping[str, Any]
    data: str


def save_checkpoint(path: Path, identity: TrainingIdentity, state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically. state: tensors, numbers and texts, in lists and dictionaries."""
    content = {
        "schema": CHECKPOINT_SCHEMA,
        "options": json.dumps(identity.options, sort_keys=True),
        "data": identity.data,
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:  # a path's name would be written as well
        torch.save(content | {"state": dict(state)}, file)


def load_checkpoint(path: Path, identity: TrainingIdentity | None = None) -> tuple[TrainingIdentity, dict[str, Any]]:
    """Read a checkpoint: its identity and its state. No code in the file is run (`weights_only`).

    Raises `InputError` where the file cannot be read, and, if an identity is given, where the file belongs to other
    data or other settings."""
    try:
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"{damaged} is damaged")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{path} is no checkpoint that can be read: {reason}. Delete it to begin anew.") from None
    if not isinstance(content, dict) or content.get("schema") != CHECKPOINT_SCHEMA:
        raise InputError(f"{path} is no checkpoint of this version of simspine. Delete it to begin anew.")
    with naming_content(path, "a whole checkpoint"):
        found, state = TrainingIdentity(dict(json.loads(content["options"])), content["data"]), dict(content["state"])
    if identity is not None:
        _require_same_run(path, found, identity)
    return found, state


def _require_same_run(path: Path, found: TrainingIdentity, wanted: TrainingIdentity) -> None:
    stored, asked = _flat_options(found.options), _flat_options(json.loads(json.dumps(wanted.options)))
    changed = [key for key in sorted(stored | asked) if stored.get(key) != asked.get(key)]
    advice = "Name another folder, or delete this one's checkpoint to begin anew."
    if changed:
        differences = "; ".join(f"{key} is {stored.get(key)!r}, asked for is {asked.get(key)!r}" for key in changed)
        raise InputError(f"{path} was trained with other settings: {differences}. {advice}")
    if found.data != wanted.data:
        was = f"trained on other data (sha256 {found.data[:12]}…, here {wanted.data[:12]}…), with equal settings"
        raise InputError(f"{path} was {was}. {advice}")


def _flat_options(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in options.items():
        flat |= _flat_options(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


CHECKPOINT_FILE = "checkpoint.pt"
TOTAL_LOSS = "total"
_PROGRESS_INTERVAL_S = 20.0  # between messages within an epoch


@dataclass(frozen=True)
class DescentHistory:
    """Figures of each epoch. losses: mean of each unweighted loss, and of their weighted sum ('total'). watched: the
    monitored figure, NaN where there is none."""

    losses: tuple[dict[str, float], ...] = ()
    watched: tuple[float, ...] = ()


def write_losses(path: Path, history: DescentHistory, watched: str) -> None:
    """Write a CSV file with one row per epoch: mean losses, their weighted sum, and the figure named `watched`."""
    rows = pd.DataFrame(history.losses).sort_index(axis=1).assign(**{watched: history.watched})
    rows.index = pd.RangeIndex(1, len(rows) + 1, name="epoch")
    write_text(path, rows.to_csv(lineterminator="\n", na_rep="nan"))


@dataclass(frozen=True, eq=False)
class Descent:
    """A training task. batches: the batches of an epoch (from 0); count: their number. losses: {name: loss} of a
    network on a batch; 'total' is minimised. begin: puts the network in training mode before an epoch. watch: computes
    the monitored figure from the averaged network; it does not affect training. shown: its format. rate: learning rate
    of an epoch (from 0); None: `learning_rate_at`. groups: parameter groups for AdamW, from network and weight decay.
    """

    batches: Callable[[int], Iterable[Any]]
    count: int
    losses: Callable[[nn.Module, Any], Mapping[str, Tensor]]
    settings: DescentSettings
    begin: Callable[[nn.Module, int], object] = field(default=lambda network, epoch: network.train())
    watch: Callable[[nn.Module], float] = field(default=lambda network: float("nan"))
    shown: str = "watched {:.2f}"
    rate: Callable[[int], float] | None = None
    groups: Callable[[nn.Module, float], list[dict]] = decayed_groups


@dataclass(frozen=True, eq=False)
class DescentRun:
    """One run of a training task. folder: of the checkpoint; identity: of the run; say: receives progress messages;
    until: stop after this number of epochs, as a kill would (for tests)."""

    folder: Path
    identity: TrainingIdentity
    seed: int
    device: str = "cpu"
    say: SayLine = lambda line: None
    until: int | None = None


@dataclass(eq=False)
class _Learning:
    """State of the training: network, moving average of its weights, optimiser, number of steps."""

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


def train_by_descent(
    make: Callable[[], nn.Module], goal: Descent, run: DescentRun
) -> tuple[dict[str, Tensor], DescentHistory]:
    """Train a network, resuming from the folder's checkpoint if there is one; returns averaged weights and history.

    make: makes the network with its initial weights. Raises `InputError` where the checkpoint is of other data or
    settings, and where the loss is not finite."""
    settings = goal.settings
    if run.device == "cpu":
        torch.set_num_threads(1)  # more threads sum in another order, which changes weights
    with with_seed(run.seed, 0, run.device):
        network = make().to(run.device, memory_format=torch.channels_last)  # three times as fast on a CPU
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    groups = goal.groups(network, settings.decay)
    state, history = _Learning(network, average, torch.optim.AdamW(groups, lr=settings.rate)), DescentHistory()
    path = run.folder / CHECKPOINT_FILE
    if path.exists():
        history = state.load(load_checkpoint(path, run.identity)[1])
        run.say(f"{path}: {len(history.losses)} of {settings.epochs} epochs are done")
    last = settings.epochs if run.until is None else min(run.until, settings.epochs)
    for epoch in range(len(history.losses), last):
        started = time.perf_counter()
        with with_seed(run.seed, epoch + 1, run.device):
            losses = _train_epoch(state, goal, epoch, run.say)
        if not np.isfinite(losses[TOTAL_LOSS]):
            raise InputError(f"the loss of epoch {epoch + 1} is no number; lower training.rate ({settings.rate}).")
        watched = _watched_figure(state, goal)
        history = DescentHistory((*history.losses, losses), (*history.watched, watched))
        save_checkpoint(path, run.identity, state.dump(history))
        seconds = time.perf_counter() - started
        test = f"{goal.shown.format(watched)}, " if math.isfinite(watched) else ""
        run.say(f"epoch {epoch + 1}/{settings.epochs}: loss {losses[TOTAL_LOSS]:.3f}, {test}{seconds:.0f} s")
    return state.average, history


def _train_epoch(state: _Learning, goal: Descent, epoch: int, say: SayLine) -> dict[str, float]:
    settings, sums = goal.settings, dict[str, float]()
    steps = settings.epochs * -(-goal.count // settings.accumulate)
    goal.begin(state.network, epoch)
    last_message = time.perf_counter()
    for number, batch in enumerate(goal.batches(epoch), start=1):
        rate = learning_rate_at(state.step, steps, settings) if goal.rate is None else goal.rate(epoch)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        losses = goal.losses(state.network, batch)
        (losses[TOTAL_LOSS] / settings.accumulate).backward()
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + float(loss.detach())
        if number % settings.accumulate == 0 or number == goal.count:
            if settings.clip is not None:
                nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
            state.optimiser.step()
            state.optimiser.zero_grad(set_to_none=True)
            update_average(state.average, state.network, state.step, settings)
            state.step += 1
        if time.perf_counter() - last_message > _PROGRESS_INTERVAL_S:
            last_message = time.perf_counter()
            progress = f"{number} of {goal.count} batches, loss {float(losses[TOTAL_LOSS].detach()):.3f}"
            say(f"epoch {epoch + 1}/{settings.epochs}: {progress}")
    return {name: value / goal.count for name, value in sums.items()}


def _watched_figure(state: _Learning, goal: Descent) -> float:
    """The monitored figure of the averaged weights. The network keeps the weights being trained."""
    trained = {name: value.detach().clone() for name, value in state.network.state_dict().items()}
    state.network.load_state_dict(state.average)
    with torch.no_grad():
        figure = goal.watch(state.network.eval())
    state.network.load_state_dict(trained)
    return figure


@contextmanager
def with_seed(seed: int, epoch: int, device: str) -> Iterator[None]:
    """Seed PyTorch's generators by seed and epoch alone; afterwards they are as before."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        torch.manual_seed(1_000_003 * seed + epoch)
        yield
