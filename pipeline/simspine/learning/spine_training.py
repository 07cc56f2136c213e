"""A trained network as ONNX: simcc_x, simcc_y and covariance from crops, in the layout of SimCC detectors."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simspine.core.errors import InputError
from simspine.learning.networks import (
    TOTAL_LOSS,
    Descent,
    DescentHistory,
    DescentRun,
    SayLine,
    TrainingIdentity,
    covariances_of_spread,
    train_by_descent,
)
from simspine.learning.onnx_files import OnnxLayout, write_onnx
from simspine.learning.options import POINT_CHOICES, CurriculumStage, SpineDetectorOptions, SpineNetworkSize
from simspine.learning.spine_network import (
    BINS_PER_PX,
    SIMCC_SIGMAS_BINS,
    NetworkOutputs,
    NetworkWeights,
    PointGraph,
    SimccMaps,
    SpineNetwork,
    WantedOutputs,
    all_losses,
    best_places,
    build_network,
    read_weights,
    total_loss,
    wanted_maps,
)
from simspine.learning.spine_samples import CROP_SIZE_PX, CropBatch, CropReader, mirror_order, plain_view
from simspine.vision.spinepose import input_shape, open_session

# Teachers: networks with fewer points, whose weights a student starts from, and whose maps it keeps to.


POINT_ROW_WEIGHTS = ("points.weight", "points.bias")  # what has a row for each point


@dataclass(frozen=True, eq=False)
class Teacher:
    """see: from crops (n, 3, height, width) to maps of its points. names: of these, SpineTrack's. state: weights that a
    student can start from, or None.
    """

    see: Callable[[Tensor], SimccMaps]
    names: tuple[str, ...]
    state: Mapping[str, Tensor] | None = None


def read_teacher(path: str | Path, size: SpineNetworkSize, names: tuple[str, ...], device: str = "cpu") -> Teacher:
    """A teacher for a student of this size with these points.

    Raises `InputError` for a file that is none, for one of another size, and where it has a point the student lacks.
    """
    path = Path(path)
    teacher = _onnx_teacher(path) if path.suffix == ".onnx" else _own_teacher(path, size, device)
    more = [name for name in teacher.names if name not in names]
    if more:
        raise InputError(
            f"the teacher {path} has points that the student lacks: {', '.join(more)}. Choose data.points."
        )
    return teacher


def student_weights(
    state: Mapping[str, Tensor], names: tuple[str, ...], wanted: tuple[str, ...], seed: int
) -> dict[str, Tensor]:
    """A student's weights out of a teacher's: rows of points that the teacher has are copied, new ones are drawn from
    a normal distribution with the mean and the standard deviation of the teacher's rows; all else is the teacher's.

    names: of the teacher's points; wanted: of the student's.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, len(wanted)]))
    found = dict(state)
    for key in POINT_ROW_WEIGHTS:
        old = state[key]
        mean, sd = float(old.mean()), float(old.std(correction=0))
        rows = torch.as_tensor(rng.normal(mean, sd, (len(wanted), *old.shape[1:])), dtype=old.dtype)
        for i, name in enumerate(wanted):
            if name in names:
                rows[i] = old[names.index(name)]
        found[key] = rows
    return found


def _own_teacher(path: Path, size: SpineNetworkSize, device: str) -> Teacher:
    weights = read_weights(path)
    if weights.size != size:
        raise InputError(
            f"the teacher {path} has a network of {weights.size}, the student one of {size}; a student starts from a "
            "teacher of its own size. Set `network` to the teacher's."
        )
    network = build_network(weights).to(device).eval()

    def see(crops: Tensor) -> SimccMaps:
        with torch.no_grad():
            return network(crops).maps

    return Teacher(see, weights.names, weights.state)


def _onnx_teacher(path: Path) -> Teacher:
    session = open_session(path)
    size = input_shape(session, CROP_SIZE_PX, path)
    if size != CROP_SIZE_PX:
        raise InputError(f"the teacher {path} takes images of {size} px, expected {CROP_SIZE_PX}.")
    outputs: list[Any] = [output.shape for output in session.get_outputs()[:2]]
    bins = [round(side * BINS_PER_PX) for side in CROP_SIZE_PX[::-1]]
    if len(outputs) < 2 or [shape[-1] for shape in outputs] != bins or outputs[0][1] not in _BY_COUNT:
        raise InputError(
            f"{path} is no teacher: outputs {outputs}, expected (n, points, {bins[0]}) and (n, points, {bins[1]}) with "
            f"{' or '.join(map(str, sorted(_BY_COUNT)))} points in SpineTrack's order."
        )
    name = session.get_inputs()[0].name

    def see(crops: Tensor) -> SimccMaps:
        x, y = session.run(None, {name: crops.float().cpu().numpy()})[:2]
        return SimccMaps(torch.as_tensor(x, device=crops.device), torch.as_tensor(y, device=crops.device))

    return Teacher(see, _BY_COUNT[outputs[0][1]])


_BY_COUNT = {17: POINT_CHOICES["all"][:17], 26: POINT_CHOICES["body"], 37: POINT_CHOICES["all"]}


# Training of a detector on crops, by the loop that all networks have (`learning.descent`). Needs PyTorch.
# Order and augmentation of an epoch's crops depend on seed and epoch alone.


@dataclass(frozen=True, eq=False)
class DetectorRun:
    """Where and how. folder: of the checkpoint; identity: what it belongs to; watch: from a network to the error that
    is shown; teacher: or None; say: called with lines; until: stop after this epoch, as a kill would (tests).
    """

    folder: Path
    identity: TrainingIdentity
    options: SpineDetectorOptions
    device: str = "cpu"
    watch: Callable[[nn.Module], float] = field(default=lambda network: float("nan"))
    teacher: Teacher | None = None
    say: SayLine = lambda line: None
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
        return stage_at_epoch(epoch, training.epochs, run.options.curriculum)

    goal = Descent(
        batches=lambda epoch: reader.epoch(epoch, stage(epoch), training.batch),
        count=reader.count(training.batch),
        losses=sought.losses,
        settings=training,
        begin=lambda network, epoch: _set_training_mode(network, stage(epoch)),
        watch=run.watch,
        shown="test set {:.2f} px of the crop",
    )
    place = DescentRun(
        folder=run.folder, identity=run.identity, seed=run.options.seed, device=run.device, say=run.say, until=run.until
    )
    return train_by_descent(make, goal, place)


def stage_at_epoch(epoch: int, epochs: int, curriculum: Sequence[CurriculumStage]) -> CurriculumStage:
    """The stage of an epoch, counted from 0: the one that holds its middle."""
    ends, total = 0.0, sum(stage.share for stage in curriculum)
    for stage in curriculum:
        ends += stage.share / total
        if (epoch + 0.5) / epochs < ends:
            return stage
    return curriculum[-1]


def _set_training_mode(network: nn.Module, stage: CurriculumStage) -> None:
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
        crops, numbers = batch_tensors(batch, run.device)
        places, weight = (
            torch.as_tensor(array, dtype=torch.float32, device=run.device) for array in (batch.places, batch.weight)
        )
        size = (crops.shape[2], crops.shape[3])
        wanted = WantedOutputs(places, weight, wanted_maps(places, size, SIMCC_SIGMAS_BINS[size]))
        if run.teacher is not None:
            taught = tuple(self.names.index(name) for name in run.teacher.names)
            wanted = replace(wanted, teacher=run.teacher.see(crops[:, :3]), taught=taught)
        with torch.autocast(run.device, torch.bfloat16, enabled=run.options.training.mixed):
            found: NetworkOutputs = network(crops, numbers)
        maps = SimccMaps(found.maps.x.float(), found.maps.y.float())
        losses = all_losses(NetworkOutputs(maps, found.spread.float()), wanted, self.graph, run.options.losses)
        return {**losses, TOTAL_LOSS: total_loss(losses, run.options.losses)}


def batch_tensors(batch: CropBatch, device: str) -> tuple[Tensor, "Tensor | None"]:
    """Crops and numbers of a batch, as a network takes them."""
    crops = torch.as_tensor(batch.crops, device=device).contiguous(memory_format=torch.channels_last)
    return crops, None if batch.numbers is None else torch.as_tensor(batch.numbers, device=device)


# What a network sees in labelled crops: places and covariances, in px of the crop and of the image. Needs
# PyTorch.


CROPS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Sightings:
    """Of everybody in a set. places, labels: (people, points, 2) px of the crop, labels NaN where there is none or it
    is outside the crop. covariance: (people, points, 2, 2) px². confidence: (people, points) 0…1.
    """

    places: np.ndarray
    labels: np.ndarray
    covariance: np.ndarray
    confidence: np.ndarray

    @property
    def error_px(self) -> np.ndarray:
        """(people, points) px of the crop; NaN without label."""
        return np.linalg.norm(self.places - self.labels, axis=-1)

    def in_images(self, reader: CropReader, which: int = 0) -> np.ndarray:
        """Places (people, points, 2) in px of the images of the reader's set."""
        return to_image_px(self.places, reader.sets[which].box, reader.size)


def to_image_px(places: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Px of plain crops → px of the images. places: (people, points, 2); box: (people, 4) x0 y0 x1 y1 px."""
    found = []
    for own, corners in zip(places, box, strict=True):
        matrix = plain_view(corners, size).matrix(size)
        found.append((own - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)
    return np.array(found).reshape(places.shape)


def sight_people(network: nn.Module, reader: CropReader, which: int = 0, flip: bool = False) -> Sightings:
    """What a network sees of everybody in a set. flip: mean of the maps of a crop and of its mirror image (for networks
    that take nothing but the crop).
    """
    device = str(next(network.parameters()).device)
    parts: list[tuple[np.ndarray, ...]] = []
    network.eval()
    with torch.no_grad():
        for batch in reader.plain(CROPS_AT_ONCE, which):
            crops, numbers = batch_tensors(batch, device)
            found: NetworkOutputs = network(crops, numbers)
            maps = found.maps
            if flip:
                maps = _mean_maps(maps, _maps_mirrored_back(network(crops.flip(3), numbers).maps, reader.names))
            height = torch.stack([maps.x.amax(-1), maps.y.amax(-1)]).mean(0).clamp(0, 1)
            labels = np.where(batch.weight[..., None] > 0, batch.places, np.nan)
            arrays = best_places(maps), covariances_of_spread(found.spread), height
            parts.append((labels, *(array.double().cpu().numpy() for array in arrays)))
    labels, places, covariance, confidence = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Sightings(places, labels, covariance, confidence)


def _maps_mirrored_back(maps: SimccMaps, names: tuple[str, ...]) -> SimccMaps:
    """Maps of mirrored crops as if the crops had not been. Pixel u of the mirrored crop is width − 1 − u, so bins, of
    which there are two a pixel, are turned round and the last is put before them.
    """
    order = mirror_order(names).tolist()
    x = maps.x[:, order].flip(-1).roll(-1, -1)
    return SimccMaps(x, maps.y[:, order])


def _mean_maps(first: SimccMaps, second: SimccMaps) -> SimccMaps:
    return SimccMaps((first.x + second.x) / 2, (first.y + second.y) / 2)


def mean_places(reader: CropReader, which: int = 0) -> np.ndarray:
    """(points, 2) px: mean place of each point in the plain crops of a set, what any network must beat; NaN without."""
    people = reader.sets[which]
    total, count = np.zeros((len(reader.names), 2)), np.zeros(len(reader.names))
    for row in range(len(people)):
        matrix = plain_view(people.box[row], reader.size).matrix(reader.size)
        known = people.keypoints[row, :, 2] > 0
        total += np.where(known[:, None], people.keypoints[row, :, :2] @ matrix[:, :2].T + matrix[:, 2], 0)
        count += known
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)


ONNX_OUTPUTS = ("simcc_x", "simcc_y", "covariance")


class _Exported(nn.Module):
    """Plain tensors out: maps, and covariances in px²."""

    def __init__(self, network: SpineNetwork):
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor, numbers: "Tensor | None" = None) -> tuple[Tensor, Tensor, Tensor]:
        found = self.network(crops, numbers)
        return found.maps.x, found.maps.y, covariances_of_spread(found.spread)


def export_onnx(path: Path, weights: NetworkWeights) -> float:
    """Write the network, whole or not at all; the largest difference of its outputs on onnxruntime from PyTorch's.

    Inputs: crops (n, 3 + channels, 256, 192), and numbers (n, count) where the network takes any. Outputs: simcc_x
    (n, points, 384), simcc_y (n, points, 512), covariance (n, points, 2, 2) px². The points' names are in the file's
    metadata, key `names`. Raises `InputError` as `write_onnx` does.
    """
    given = _example_crops(weights)
    inputs = ("crops", "numbers")[: len(given)]
    layout = OnnxLayout(inputs, ONNX_OUTPUTS, len(weights.names), {"names": json.dumps(weights.names)})
    return write_onnx(path, _Exported(build_network(weights)), given, layout)


def _example_crops(weights: NetworkWeights) -> tuple[Tensor, ...]:
    """Two crops, and what comes with them."""
    rng = np.random.default_rng(1)
    shapes: list[tuple[int, ...]] = [(2, 3 + weights.channels, *CROP_SIZE_PX)]
    shapes += [(2, weights.numbers)] if weights.numbers else []
    return tuple(torch.as_tensor(rng.standard_normal(shape), dtype=torch.float32) for shape in shapes)
