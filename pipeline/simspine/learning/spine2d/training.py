"""Training of a detector on crops, by the loop that all networks have (`learning.descent`). Needs PyTorch.

Order and augmentation of an epoch's crops depend on seed and epoch alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from simspine.learning.checkpoints import Identity
from simspine.learning.descent import TOTAL, Descent, DescentHistory, DescentRun, Say, descend
from simspine.learning.spine2d.batches import CropBatch, CropReader
from simspine.learning.spine2d.losses import PointGraph, Wanted, all_losses, total_loss
from simspine.learning.spine2d.network import Found
from simspine.learning.spine2d.options import CurriculumStage, SpineDetectorOptions
from simspine.learning.spine2d.simcc import SIGMAS, SimccMaps, wanted_maps
from simspine.learning.spine2d.teacher import Teacher


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


def fit_detector(
    make: Callable[[], nn.Module], reader: CropReader, run: DetectorRun
) -> tuple[dict[str, Tensor], DescentHistory]:
    """Averaged weights of a network trained from where the folder's checkpoint left it, or from the start.

    make: the network with the weights to start from. Raises `InputError` where people fill no batch, where an image
    cannot be read, and as `descend` does.
    """
    training = run.options.training
    sought = _Sought(PointGraph.of(reader.names), reader.names, run)

    def stage(epoch: int) -> CurriculumStage:
        return stage_of(epoch, training.epochs, run.options.curriculum)

    goal = Descent(
        batches=lambda epoch: reader.epoch(epoch, stage(epoch), training.batch),
        count=reader.count(training.batch),
        losses=sought.losses,
        settings=training,
        begin=lambda network, epoch: _freeze(network, stage(epoch)),
        watch=run.watch,
        shown="test set {:.2f} px of the crop",
    )
    place = DescentRun(run.folder, run.identity, run.options.seed, run.device, run.say, run.until)
    return descend(make, goal, place)


def stage_of(epoch: int, epochs: int, curriculum: Sequence[CurriculumStage]) -> CurriculumStage:
    """The stage of an epoch, counted from 0: the one that holds its middle."""
    ends, total = 0.0, sum(stage.share for stage in curriculum)
    for stage in curriculum:
        ends += stage.share / total
        if (epoch + 0.5) / epochs < ends:
            return stage
    return curriculum[-1]


def _freeze(network: nn.Module, stage: CurriculumStage) -> None:
    """Training mode; what the stage freezes neither learns nor moves its statistics."""
    network.train()
    fixed = stage.frozen == "backbone"
    network.backbone.requires_grad_(not fixed)
    if fixed:
        network.backbone.eval()


@dataclass(frozen=True, eq=False)
class _Sought:
    """What crops are to give: how points hang together, their names, settings and teacher of the run."""

    graph: PointGraph
    names: tuple[str, ...]
    run: DetectorRun

    def losses(self, network: nn.Module, batch: CropBatch) -> dict[str, Tensor]:
        """Each loss by its name, and what is minimised."""
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
        losses = all_losses(Found(maps, found.spread.float()), wanted, self.graph, run.options.losses)
        return {**losses, TOTAL: total_loss(losses, run.options.losses)}


def tensors_of(batch: CropBatch, device: str) -> tuple[Tensor, "Tensor | None"]:
    """Crops and numbers of a batch, as a network takes them."""
    crops = torch.as_tensor(batch.crops, device=device).contiguous(memory_format=torch.channels_last)
    return crops, None if batch.numbers is None else torch.as_tensor(batch.numbers, device=device)
