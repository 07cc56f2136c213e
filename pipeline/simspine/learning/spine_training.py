"""Training of a spine detector: teachers, training on crops, predictions, and its ONNX file. Needs PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simspine.core.errors import InputError
from simspine.learning import spine_network
from simspine.learning.descent import TOTAL_LOSS, Descent, DescentHistory, DescentRun, train_by_descent
from simspine.learning.onnx_files import write_onnx
from simspine.learning.options import (
    CROP_SIZE_PX,
    POINT_CHOICES,
    CurriculumStage,
    SpineDetectorOptions,
    SpineNetworkSize,
)
from simspine.learning.spine_samples import CropBatch, CropReader, LabelledPeople, plain_view
from simspine.vision.spinepose import input_shape, open_session, output_shapes, reads_unbiased

# A teacher has fewer points: the student starts from its weights, and its maps are distilled into the student.


POINT_ROW_WEIGHTS = ("points.weight", "points.bias")  # weights with one row per point


@dataclass(frozen=True, eq=False)
class Teacher:
    """A teacher network. see: crops (n, 3, height, width) → maps of its points. names: of these points, as in
    SpineTrack. state: weights that a student can start from, or None.
    """

    see: Callable[[Tensor], spine_network.SimccMaps]
    names: tuple[str, ...]
    state: Mapping[str, Tensor] | None = None


def read_teacher(path: str | Path, size: SpineNetworkSize, names: tuple[str, ...], device: str = "cpu") -> Teacher:
    """Read a teacher for a student of this size with these points.

    Raises `InputError` for other files, for another size, and where the teacher has a point that the student lacks.
    """
    path = Path(path)
    teacher = _onnx_teacher(path) if path.suffix == ".onnx" else _own_teacher(path, size, device)
    if extra := [name for name in teacher.names if name not in names]:
        raise InputError(
            f"the teacher {path} has points that the student lacks: {', '.join(extra)}. Choose data.points."
        )
    return teacher


def student_weights(
    state: Mapping[str, Tensor], names: tuple[str, ...], wanted: tuple[str, ...], seed: int
) -> dict[str, Tensor]:
    """Initial weights of a student. All weights are copied from the teacher except the rows of new points; these are
    drawn from a normal distribution with the mean and standard deviation of the teacher's rows.

    names: of the teacher's points; wanted: of the student's.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, len(wanted)]))
    weights = dict(state)
    for key in POINT_ROW_WEIGHTS:
        old = state[key]
        mean, sd = float(old.mean()), float(old.std(correction=0))
        rows = torch.as_tensor(rng.normal(mean, sd, (len(wanted), *old.shape[1:])), dtype=old.dtype)
        for i, name in enumerate(wanted):
            if name in names:
                rows[i] = old[names.index(name)]
        weights[key] = rows
    return weights


def _own_teacher(path: Path, size: SpineNetworkSize, device: str) -> Teacher:
    weights = spine_network.read_weights(path)
    if weights.size != size:
        text = f"the teacher {path} has a network of {weights.size}, the student one of {size}"
        raise InputError(f"{text}; they must be equal. Set `network` to the teacher's.")
    try:
        network = spine_network.build_network(weights).to(device)
    except (RuntimeError, AttributeError):
        raise InputError(
            f"{path}: its weights are not those of a network of its size and points. The file may be damaged."
        ) from None

    def see(crops: Tensor) -> spine_network.SimccMaps:
        with torch.no_grad():
            return network(crops).maps

    return Teacher(see, weights.names, weights.state)


def _onnx_teacher(path: Path) -> Teacher:
    session = open_session(path)
    size = input_shape(session, CROP_SIZE_PX, path)
    if size != CROP_SIZE_PX:
        raise InputError(f"the teacher {path} takes images of {size} px, expected {CROP_SIZE_PX}.")
    outputs = output_shapes(session, CROP_SIZE_PX, path)[:2]
    bins = [round(side * spine_network.BINS_PER_PX) for side in CROP_SIZE_PX[::-1]]
    has_heatmaps = len(outputs[0]) == 4
    if (not has_heatmaps and [shape[-1] for shape in outputs] != bins) or outputs[0][1] not in POINTS_BY_COUNT:
        raise InputError(
            f"{path} is no teacher: outputs {outputs}, expected (n, points, {bins[0]}) and (n, points, {bins[1]}), or "
            f"heat maps, with {' or '.join(map(str, sorted(POINTS_BY_COUNT)))} points in SpineTrack's order."
        )
    name = session.get_inputs()[0].name

    def see(crops: Tensor) -> spine_network.SimccMaps:
        outputs = session.run(None, {name: crops.float().cpu().numpy()})[: 1 if has_heatmaps else 2]
        return spine_network.maps_of_outputs(
            [torch.as_tensor(part, device=crops.device) for part in outputs], reads_unbiased(path)
        )

    return Teacher(see, POINTS_BY_COUNT[outputs[0][1]])


POINTS_BY_COUNT = {17: POINT_CHOICES["all"][:17], 26: POINT_CHOICES["body"], 37: POINT_CHOICES["all"]}


def fit_detector(
    make: Callable[[], nn.Module],
    reader: CropReader,
    options: SpineDetectorOptions,
    run: DescentRun,
    teacher: Teacher | None = None,
    watch: Callable[[nn.Module], float] = lambda network: float("nan"),
) -> tuple[dict[str, Tensor], DescentHistory]:
    """Train a network, resuming from the folder's checkpoint if there is one; returns averaged weights and history.

    make: makes the network with its initial weights. teacher: its maps are distilled. watch: computes the monitored
    error of a network. Raises `InputError` where people fill no batch, where an image cannot be read, and as
    `train_by_descent` does.
    """
    training, graph = options.training, spine_network.PointGraph.of(reader.names)

    def stage(epoch: int) -> CurriculumStage:
        return stage_at_epoch(epoch, training.epochs, options.curriculum)

    def losses(network: nn.Module, batch: CropBatch) -> dict[str, Tensor]:
        wanted = _wanted_outputs(batch, reader.names, teacher, run.device)
        with torch.autocast(run.device, torch.bfloat16, enabled=training.mixed):
            found: spine_network.NetworkOutputs = network(crop_tensor(batch, run.device))
        exact = spine_network.NetworkOutputs(
            spine_network.SimccMaps(found.maps.x.float(), found.maps.y.float()), found.spread.float()
        )
        parts = spine_network.all_losses(exact, wanted, graph, options.losses)
        return {**parts, TOTAL_LOSS: spine_network.total_loss(parts, options.losses)}

    def begin(network: nn.Module, epoch: int) -> None:
        now = stage(epoch)
        if epoch == 0 or stage(epoch - 1) is not now:
            changed = ", ".join(f"{key} {value}" for key, value in now.model_dump(exclude_defaults=True).items())
            run.say(f"stage {options.curriculum.index(now) + 1} of {len(options.curriculum)}: {changed or 'mirroring'}")
        frozen = now.frozen == "backbone"  # it keeps its weights and its statistics
        network.train()
        network.backbone.requires_grad_(not frozen)
        network.backbone.train(not frozen)

    with reader.start() as pool:
        goal = Descent(
            batches=lambda epoch: reader.epoch(epoch, stage(epoch), training.batch, pool),
            count=reader.count(training.batch),
            losses=losses,
            settings=training,
            begin=begin,
            watch=watch,
            shown="test set {:.2f} px of the crop",
        )
        return train_by_descent(make, goal, run)


def _wanted_outputs(
    batch: CropBatch, names: tuple[str, ...], teacher: Teacher | None, device: str
) -> spine_network.WantedOutputs:
    places, weight = (
        torch.as_tensor(part, dtype=torch.float32, device=device) for part in (batch.places, batch.weight)
    )
    wanted = spine_network.WantedOutputs(places, weight, spine_network.wanted_maps(places))
    if teacher is None:
        return wanted
    taught = tuple(names.index(name) for name in teacher.names)
    return replace(wanted, teacher=teacher.see(crop_tensor(batch, device)), taught=taught)


def stage_at_epoch(epoch: int, epochs: int, curriculum: Sequence[CurriculumStage]) -> CurriculumStage:
    """The stage that contains the middle of an epoch (counted from 0)."""
    ends, total = 0.0, sum(stage.share for stage in curriculum)
    for stage in curriculum:
        ends += stage.share / total
        if (epoch + 0.5) / epochs < ends:
            return stage
    return curriculum[-1]


def crop_tensor(batch: CropBatch, device: str) -> Tensor:
    return torch.as_tensor(batch.crops, device=device).contiguous(memory_format=torch.channels_last)


# Predictions of a network for labelled crops: positions and covariances, in px of the crop and of the image.


CROPS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Sightings:
    """Predictions for all people of a set. places, labels: (people, points, 2) px of the crop; labels are NaN where
    missing or outside the crop. covariance: (people, points, 2, 2) px². confidence: (people, points) 0…1.
    """

    places: np.ndarray
    labels: np.ndarray
    covariance: np.ndarray
    confidence: np.ndarray

    @property
    def error_px(self) -> np.ndarray:
        """(people, points) px of the crop; NaN without label."""
        return np.linalg.norm(self.places - self.labels, axis=-1)


def to_image_px(places: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Px of crops by `plain_view` → px of the images. places: (people, points, 2); box: (people, 4) x0 y0 x1 y1 px."""
    image_places = []
    for crop_places, corners in zip(places, box, strict=True):
        matrix = plain_view(corners).matrix
        image_places.append((crop_places - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)
    return np.array(image_places).reshape(places.shape)


def sight_people(network: nn.Module, reader: CropReader) -> Sightings:
    """Predictions of a network for all people of the reader's first set."""
    device = str(next(network.parameters()).device)
    parts: list[tuple[np.ndarray, ...]] = []
    network.eval()
    with torch.no_grad():
        for batch in reader.plain(CROPS_AT_ONCE):
            found: spine_network.NetworkOutputs = network(crop_tensor(batch, device))
            maps = found.maps
            height = torch.stack([maps.x.amax(-1), maps.y.amax(-1)]).mean(0).clamp(0, 1)
            labels = np.where(batch.weight[..., None] > 0, batch.places, np.nan)
            arrays = spine_network.best_places(maps), spine_network.covariances_of_spread(found.spread), height
            parts.append((labels, *(array.double().cpu().numpy() for array in arrays)))
    labels, places, covariance, confidence = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Sightings(places=places, labels=labels, covariance=covariance, confidence=confidence)


def mean_places(people: LabelledPeople) -> np.ndarray:
    """(points, 2) px: mean label of each point in crops by `plain_view`, a baseline; NaN without labels."""
    total, count = np.zeros((len(people.names), 2)), np.zeros(len(people.names))
    for box, keypoints in zip(people.box, people.keypoints, strict=True):
        matrix, known = plain_view(box).matrix, keypoints[:, 2] > 0
        total += np.where(known[:, None], keypoints[:, :2] @ matrix[:, :2].T + matrix[:, 2], 0)
        count += known
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)


ONNX_OUTPUTS = ("simcc_x", "simcc_y", "covariance")


class _Exported(nn.Module):
    """Outputs as tensors: maps, and covariances in px²."""

    def __init__(self, network: spine_network.SpineNetwork):
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.network(crops)
        return found.maps.x, found.maps.y, spine_network.covariances_of_spread(found.spread)


def export_onnx(path: Path, weights: spine_network.NetworkWeights) -> float:
    """Write the network atomically; returns the largest difference between onnxruntime's and PyTorch's outputs.

    Input: crops (n, 3, 256, 192). Outputs: simcc_x (n, points, 384), simcc_y (n, points, 512), covariance (n, points,
    2, 2) px². The points' names are in the file's metadata, key `names`. Raises `InputError` as `write_onnx` does.
    """
    crops = torch.as_tensor(np.random.default_rng(1).standard_normal((2, 3, *CROP_SIZE_PX)), dtype=torch.float32)
    network = spine_network.build_network(weights)
    return write_onnx(path, _Exported(network), crops, outputs=ONNX_OUTPUTS, points=weights.names)
