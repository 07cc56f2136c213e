"""Training of a detector: the same weights from the same seed, and after a kill from where it stopped. Needs PyTorch.

Order and augmentation of an epoch's crops depend on seed and epoch alone, so a checkpoint, written after each epoch,
needs no state of random numbers. On a CPU a run that was killed ends with the very weights of one that was not.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simspine.errors import InputError
from simspine.learning.checkpoints import Identity, load_checkpoint, save_checkpoint
from simspine.learning.spine2d.batches import CropBatch, CropReader, batches_in
from simspine.learning.spine2d.losses import PointGraph, Wanted, all_losses, total_loss
from simspine.learning.spine2d.network import Found
from simspine.learning.spine2d.options import CurriculumStage, SpineDetectorOptions
from simspine.learning.spine2d.schedule import averaged, decayed_groups, rate_at, stage_of
from simspine.learning.spine2d.simcc import SIGMAS, SimccMaps, wanted_maps
from simspine.learning.spine2d.teacher import Teacher
from simspine.learning.training import CHECKPOINT, Say, seeded

_SAID_EVERY = 20.0  # s, between lines within an epoch


@dataclass(frozen=True)
class SpineHistory:
    """Per epoch. losses: means of each loss, not weighted, and of their sum ('total'). watched_px: mean error of the
    test set's labelled points in px of the crop, NaN where there is none.
    """

    losses: tuple[dict[str, float], ...] = ()
    watched_px: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class DetectorRun:
    """Where and how. folder: of the checkpoint; identity: what it belongs to; watch: from a network to the error that
    is shown; teacher: or None; say: called with lines; until: stop after this epoch, as a kill would (tests).
    """

    folder: Path
    identity: Identity
    options: SpineDetectorOptions
    device: str = "cpu"
    watch: Callable[[nn.Module], float] = field(default=lambda network: float("nan"))
    teacher: Teacher | None = None
    say: Say = lambda line: None
    until: int | None = None


@dataclass(eq=False)
class _Learning:
    """What changes while training: network, average of its weights, optimiser, steps done."""

    network: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0

    def dump(self, history: SpineHistory) -> dict:
        return {
            "network": self.network.state_dict(), "average": self.average, "optimiser": self.optimiser.state_dict(),
            "step": self.step, "losses": list(history.losses), "watched_px": list(history.watched_px),
        }  # fmt: skip

    def load(self, state: Mapping) -> SpineHistory:
        self.network.load_state_dict(state["network"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]
        return SpineHistory(tuple(state["losses"]), tuple(state["watched_px"]))


def fit_detector(
    make: Callable[[], nn.Module], reader: CropReader, run: DetectorRun
) -> tuple[dict[str, Tensor], SpineHistory]:
    """Averaged weights of a network trained from where the folder's checkpoint left it, or from the start.

    make: the network with the weights to start from. Raises `InputError` where the checkpoint is of other data or
    settings, where people fill no batch, where an image cannot be read, and where the loss is no number any more.
    """
    settings = run.options.training
    with seeded(run.options.seed, 0, run.device):
        network = make().to(run.device, memory_format=torch.channels_last)  # three times as fast on a CPU
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    groups = decayed_groups(network, settings.decay)
    state, history = _Learning(network, average, torch.optim.AdamW(groups, lr=settings.rate)), SpineHistory()
    path = run.folder / CHECKPOINT
    if path.exists():
        history = state.load(load_checkpoint(path, run.identity)[1])
        run.say(f"{path}: {len(history.losses)} of {settings.epochs} epochs are done")
    last = settings.epochs if run.until is None else min(run.until, settings.epochs)
    for epoch in range(len(history.losses), last):
        started = time.perf_counter()
        with seeded(run.options.seed, epoch + 1, run.device):
            losses = _epoch(state, reader, epoch, run)
        if not np.isfinite(losses["total"]):
            raise InputError(f"the loss of epoch {epoch + 1} is no number; lower training.rate ({settings.rate}).")
        watched = _watched(state, run)
        history = SpineHistory((*history.losses, losses), (*history.watched_px, watched))
        save_checkpoint(path, run.identity, state.dump(history))
        seconds = time.perf_counter() - started
        run.say(
            f"epoch {epoch + 1}/{settings.epochs}: loss {losses['total']:.3f}, "
            f"test set {watched:.2f} px of the crop, {seconds:.0f} s"
        )
    return state.average, history


def _epoch(state: _Learning, reader: CropReader, epoch: int, run: DetectorRun) -> dict[str, float]:
    """One pass; means of the losses over its batches."""
    settings, stage = run.options.training, stage_of(epoch, run.options.training.epochs, run.options.curriculum)
    goal, sums = _Goal(PointGraph.of(reader.names), reader.names, run), dict[str, float]()
    batches = batches_in([len(people) for people in reader.sets], settings.batch)
    steps = settings.epochs * -(-batches // settings.accumulate)
    _freeze(state.network, stage)
    said = time.perf_counter()
    for number, batch in enumerate(reader.epoch(epoch, stage, settings.batch), start=1):
        for group in state.optimiser.param_groups:
            group["lr"] = rate_at(state.step, steps, settings)
        losses = goal.losses(state.network, batch)
        total = total_loss(losses, run.options.losses)
        (total / settings.accumulate).backward()
        for name, loss in {**losses, "total": total}.items():
            sums[name] = sums.get(name, 0.0) + float(loss.detach())
        if number % settings.accumulate == 0 or number == batches:
            if settings.clip is not None:
                nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
            state.optimiser.step()
            state.optimiser.zero_grad(set_to_none=True)
            averaged(state.average, state.network, state.step, settings)
            state.step += 1
        if time.perf_counter() - said > _SAID_EVERY:
            said = time.perf_counter()
            run.say(
                f"epoch {epoch + 1}/{settings.epochs}: {number} of {batches} batches, loss {float(total.detach()):.3f}"
            )
    return {name: value / batches for name, value in sums.items()}


def _freeze(network: nn.Module, stage: CurriculumStage) -> None:
    """Training mode; what the stage freezes neither learns nor moves its statistics."""
    network.train()
    fixed = stage.frozen == "backbone"
    network.backbone.requires_grad_(not fixed)
    if fixed:
        network.backbone.eval()


@dataclass(frozen=True, eq=False)
class _Goal:
    """What is minimised: how points hang together, their names, settings and teacher of the run."""

    graph: PointGraph
    names: tuple[str, ...]
    run: DetectorRun

    def losses(self, network: nn.Module, batch: CropBatch) -> dict[str, Tensor]:
        run = self.run
        crops, numbers = tensors_of(batch, run.device)
        places, weight = (
            torch.as_tensor(array, dtype=torch.float32, device=run.device) for array in (batch.places, batch.weight)
        )
        size = (crops.shape[2], crops.shape[3])
        wanted = Wanted(places, weight, wanted_maps(places, size, SIGMAS[size]))
        if run.teacher is not None:
            taught = tuple(self.names.index(name) for name in run.teacher.names)
            wanted = replace(wanted, teacher=run.teacher.see(crops[:, :3]), taught=taught)
        with torch.autocast(run.device, torch.bfloat16, enabled=run.options.training.mixed):
            found: Found = network(crops, numbers)
        maps = SimccMaps(found.maps.x.float(), found.maps.y.float())
        return all_losses(Found(maps, found.spread.float()), wanted, self.graph, run.options.losses)


def tensors_of(batch: CropBatch, device: str) -> tuple[Tensor, "Tensor | None"]:
    """Crops and numbers of a batch, as a network takes them."""
    crops = torch.as_tensor(batch.crops, device=device).contiguous(memory_format=torch.channels_last)
    return crops, None if batch.numbers is None else torch.as_tensor(batch.numbers, device=device)


def _watched(state: _Learning, run: DetectorRun) -> float:
    """The error of the averaged weights on what is watched; the weights being trained come back."""
    own = {name: value.detach().clone() for name, value in state.network.state_dict().items()}
    state.network.load_state_dict(state.average)
    found = run.watch(state.network.eval())
    state.network.load_state_dict(own)
    return found
