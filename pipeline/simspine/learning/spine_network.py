"""The network that finds a spine in a crop, its losses, and its weights in a file. Needs PyTorch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from simspine.core.errors import InputError, naming_content
from simspine.core.skeletons import SPINETRACK_REGIONS
from simspine.io.npz import parent_indices
from simspine.learning.descent import TrainingIdentity, load_checkpoint, save_checkpoint
from simspine.learning.exported_networks import inert_archive
from simspine.learning.options import CROP_SIZE_PX, DETECTOR_SKELETON, SpineLosses, SpineNetworkSize, parse_options
from simspine.vision.spinepose import reads_unbiased

# SimCC (Li et al. 2022): a point as two one-dimensional maps, one along x and one along y.
# Maps are logits over bins, `BINS_PER_PX` bins a pixel of the crop. A bin's number over `BINS_PER_PX` is its place in
# px.

BINS_PER_PX = 2.0  # bins a pixel (RTMPose, SpinePose)
SIMCC_SHARPNESS = 10.0  # sharpness of predicted and of wanted distributions (RTMPose, SpinePose)
SIMCC_SIGMAS_BINS = (4.9, 5.66)  # along x and y of a crop of 192 × 256 px (RTMPose, SpinePose)
_TINY_PROBABILITY = 1e-12


class SimccMaps(NamedTuple):
    """x: (crops, points, width bins), y: (crops, points, height bins): logits."""

    x: Tensor
    y: Tensor

    def rows(self, points: "list[int] | slice") -> "SimccMaps":
        """Only these points."""
        return SimccMaps(self.x[:, points], self.y[:, points])


def wanted_maps(xy: Tensor, size: tuple[int, int] = CROP_SIZE_PX) -> SimccMaps:
    """Gaussians of height 1 around labels. xy: (crops, points, 2) px; size: (height, width) px of the crops.

    Centres lie between bins where labels do: they are not rounded."""
    made = []
    for axis, side in ((0, size[1]), (1, size[0])):
        bins = torch.arange(round(side * BINS_PER_PX), dtype=xy.dtype, device=xy.device)
        made.append(torch.exp(-((bins - BINS_PER_PX * xy[..., axis, None]) ** 2) / (2 * SIMCC_SIGMAS_BINS[axis] ** 2)))
    return SimccMaps(*made)


def simcc_divergence(found: SimccMaps, wanted: SimccMaps) -> Tensor:
    """(crops, points) KL(wanted ‖ found) of the distributions softmax(sharpness · map), summed over bins, x and y
    added."""
    total = torch.zeros((), dtype=found.x.dtype, device=found.x.device)
    for map_found, map_wanted in zip(found, wanted, strict=True):
        log_found = torch.log_softmax(SIMCC_SHARPNESS * map_found, -1)
        log_wanted = torch.log_softmax(SIMCC_SHARPNESS * map_wanted, -1)
        total = total + (log_wanted.exp() * (log_wanted - log_found)).sum(-1)
    return total


def expected_places(maps: SimccMaps) -> Tensor:
    """(crops, points, 2) px: means of the distributions, through which losses of places are differentiated."""
    places = []
    for logits in maps:
        bins = torch.arange(logits.shape[-1], dtype=logits.dtype, device=logits.device)
        places.append((torch.softmax(SIMCC_SHARPNESS * logits, -1) * bins).sum(-1) / BINS_PER_PX)
    return torch.stack(places, -1)


def best_places(maps: SimccMaps) -> Tensor:
    """(crops, points, 2) px: bins of the greatest values, and the vertex of the parabola through them and their
    neighbours."""
    return torch.stack([_parabola_vertex(logits) for logits in maps], -1) / BINS_PER_PX


def _parabola_vertex(logits: Tensor) -> Tensor:
    last = logits.shape[-1] - 1
    best = logits.argmax(-1)
    middle = best.clamp(1, last - 1)
    left, top, right = (logits.gather(-1, (middle + step)[..., None])[..., 0] for step in (-1, 0, 1))
    bend = left - 2 * top + right
    shift = torch.where(
        bend < -_TINY_PROBABILITY, 0.5 * (left - right) / bend.clamp(max=-_TINY_PROBABILITY), torch.zeros_like(bend)
    )
    inner = (best > 0) & (best < last)
    return best.to(logits.dtype) + torch.where(inner, shift.clamp(-0.5, 0.5), torch.zeros_like(shift))


# A small network from a crop to SimCC maps and to how sure it is.
# Depthwise convolutions with residuals (MobileNet's blocks), a map at 1/16 of the crop that takes in one at 1/32,
# then a head like RTMPose's: a row of the map and a hidden vector for each point, attention among points, two
# linear layers. Only the rows of the points depend on how many points there are, so a network is widened by
# adding rows.

FEATURE_STRIDE_PX = 16  # px of the crop for a cell of the map that points are read from
_FIRST_SD = 0.01  # of the last layers' weights: no place is preferred before learning
SPINE_LOG_SD_LIMITS = (-2.0, 5.0)  # bounds of logarithms of standard deviations, px


class NetworkOutputs(NamedTuple):
    """What a network sees in crops. maps: logits. spread: (crops, points, 3), see `covariances_of_spread`."""

    maps: SimccMaps
    spread: Tensor


class SpineNetwork(nn.Module):
    """Crops (n, 3, height, width), colours as `normalised_crop` makes them, → `NetworkOutputs`. points: how many."""

    def __init__(self, points: int, size: SpineNetworkSize):
        super().__init__()
        height, width = CROP_SIZE_PX
        wide = [max(round(size.width * share / 8), 1) * 8 for share in (0.125, 0.25, 0.5, 1.0, 1.5)]
        self.backbone = Backbone(3, wide, size.blocks)
        cells = (height // FEATURE_STRIDE_PX) * (width // FEATURE_STRIDE_PX)
        self.points = nn.Conv2d(wide[3], points, 1)
        self.hidden = nn.Sequential(RootNorm(cells), nn.Linear(cells, size.hidden, bias=False))
        self.attention = PointAttention(size.hidden)
        self.x = nn.Linear(size.hidden, round(width * BINS_PER_PX), bias=False)
        self.y = nn.Linear(size.hidden, round(height * BINS_PER_PX), bias=False)
        self.spread = SpreadLayer(size.hidden, 3)
        for last in (self.x, self.y):
            nn.init.normal_(last.weight, std=_FIRST_SD)

    def forward(self, crops: Tensor) -> NetworkOutputs:
        hidden = self.attention(self.hidden(self.points(self.backbone(crops)).flatten(2)))
        return NetworkOutputs(SimccMaps(self.x(hidden), self.y(hidden)), self.spread(hidden))


class SpreadLayer(nn.Linear):
    """What is known of a point → its spread, within limits; the same for all points before learning."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.zeros_(self.weight)
        with torch.no_grad():
            self.bias.copy_(torch.tensor([2.0, 2.0, 0.0]))

    def forward(self, seen: Tensor) -> Tensor:
        spread = super().forward(seen)
        return torch.cat([spread[..., :2].clamp(*SPINE_LOG_SD_LIMITS), spread[..., 2:]], -1)


class StartedNetwork(nn.Module):
    """A network of another program that learns on: crops → `NetworkOutputs`.

    path: file of `torch.export`, from crops to maps, with a part `backbone`. points: how many there must be. Its
    normalisation keeps its statistics. Raises `InputError` for a file that is none, or of other points."""

    def __init__(self, path: str, points: int):
        super().__init__()
        try:
            self.network = torch.export.load(inert_archive(path)).module()
            outputs = self.network(torch.zeros(2, 3, *CROP_SIZE_PX))
            self.backbone = self.network.backbone
        except Exception as error:  # of files, archives and programs: classes of its own
            reason = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise InputError(f"{path} is no network to start from: {reason}. See tools.start_network.") from None
        if outputs[0].shape[1] != points:
            raise InputError(
                f"{path} gives {outputs[0].shape[1]} points, data.points asks for {points}; write it with these "
                "(tools.start_network --points)."
            )
        del self.network.train, self.network.eval  # refuse to be called
        self._unbiased = reads_unbiased(path)
        self.spread = SpreadLayer(round(sum(CROP_SIZE_PX) * BINS_PER_PX), 3)

    def forward(self, crops: Tensor) -> NetworkOutputs:
        maps = maps_of_outputs(self.network(crops), self._unbiased)
        shares = [torch.softmax(SIMCC_SHARPNESS * part.detach(), -1) for part in maps]
        return NetworkOutputs(maps, self.spread(torch.cat(shares, -1)))


def maps_of_outputs(outputs: Sequence[Tensor], unbiased: bool) -> SimccMaps:
    """Maps of a pose network's outputs: SimCC's as they are; of heat maps (crops, points, rows, columns) the greatest
    value of each column and row, linear between cells. unbiased: as of `decode_heatmaps`."""
    if len(outputs) > 1:
        return SimccMaps(*outputs[:2])
    made = []
    for other, side in ((2, CROP_SIZE_PX[1]), (3, CROP_SIZE_PX[0])):
        cells = outputs[0].amax(other)
        count = cells.shape[-1]
        scale = (count - 1) / (side - 1) if unbiased else count / side
        places = torch.arange(round(side * BINS_PER_PX), device=cells.device) / BINS_PER_PX * scale
        share = 1 - (places - torch.arange(count, device=cells.device)[:, None]).abs()
        made.append(cells @ share.clamp(min=0).to(cells.dtype))
    return SimccMaps(*made)


def network_size(network: nn.Module) -> tuple[float, float]:
    """Millions of parameters, and 10⁹ multiplications with their additions for a crop."""
    weights = list(network.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *CROP_SIZE_PX, device=weights[0].device))
    return sum(part.numel() for part in weights) / 1e6, counter.get_total_flops() / 2e9


class Backbone(nn.Module):
    """Crops → (n, wide[3], height / 16, width / 16). wide: channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the crop.

    blocks: how many at 1/4, 1/8, 1/16 and 1/32, the first of which halves the size."""

    def __init__(self, channels: int, wide: list[int], blocks: tuple[int, int, int, int]):
        super().__init__()
        self.stem = _convolution_block(channels, wide[0], 3, stride=2)
        self.levels = nn.ModuleList(
            nn.Sequential(
                *(InvertedResidual(before if i == 0 else after, after, 2 if i == 0 else 1) for i in range(count))
            )
            for before, after, count in zip(wide[:4], wide[1:], blocks, strict=True)
        )
        self.coarse = nn.Conv2d(wide[4], wide[3], 1, bias=False)
        self.merged = InvertedResidual(wide[3], wide[3], 1)

    def forward(self, crops: Tensor) -> Tensor:
        quarter, eighth, sixteenth, last = self.levels
        fine = sixteenth(eighth(quarter(self.stem(crops))))
        coarse = self.coarse(last(fine))
        return self.merged(fine + nn.functional.interpolate(coarse, scale_factor=2.0, mode="nearest"))


class InvertedResidual(nn.Module):
    """Depthwise 5 × 5, pointwise to twice the channels and back; a residual where the shape stays."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.across = nn.Sequential(
            nn.Conv2d(before, before, 5, stride, 2, groups=before, bias=False), nn.BatchNorm2d(before)
        )
        self.wider = _convolution_block(before, 2 * after, 1)
        self.back = nn.Sequential(nn.Conv2d(2 * after, after, 1, bias=False), nn.BatchNorm2d(after))
        self.same = before == after and stride == 1

    def forward(self, seen: Tensor) -> Tensor:
        made = self.back(self.wider(self.across(seen)))
        return seen + made if self.same else made


class RootNorm(nn.Module):
    """Vectors over their root mean square, times one learnt number (ScaleNorm of RTMPose's head)."""

    def __init__(self, length: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.root = length**0.5

    def forward(self, seen: Tensor) -> Tensor:
        return seen / seen.norm(dim=-1, keepdim=True).clamp(min=1e-5) * self.root * self.scale


class PointAttention(nn.Module):
    """Points look at one another: one head of attention, with a residual."""

    def __init__(self, hidden: int):
        super().__init__()
        self.norm = RootNorm(hidden)
        self.parts = nn.Linear(hidden, 3 * hidden, bias=False)
        self.last = nn.Linear(hidden, hidden, bias=False)

    def forward(self, seen: Tensor) -> Tensor:
        asked, key, value = self.parts(self.norm(seen)).chunk(3, -1)
        share = torch.softmax(asked @ key.transpose(1, 2) / key.shape[-1] ** 0.5, -1)
        return seen + self.last(share @ value)


def _convolution_block(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after), nn.Hardswish()
    )


# Gaussians in the plane as the network states them: likelihood, covariance, and whether they hold.
# A spread is (…, 3): logarithms of the standard deviations along x and y, and artanh of the correlation.

_MIN_DETERMINANT = 1e-9


def gaussian_loss(places: Tensor, spread: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Negative log-likelihood of labels, less its constant, mean over labelled points.

    places, labels: (n, points, 2); spread: (n, points, 3), in their unit; weight: (n, points), 0 without label."""
    correlation = torch.tanh(spread[..., 2])
    error, rest = (labels - places) * torch.exp(-spread[..., :2]), 1 - correlation**2 + _MIN_DETERMINANT
    mahalanobis = ((error**2).sum(-1) - 2 * correlation * error.prod(-1)) / rest
    likelihood = spread[..., :2].sum(-1) + 0.5 * torch.log(rest) + 0.5 * mahalanobis
    known = weight > 0
    return torch.where(known, likelihood, torch.zeros_like(likelihood)).sum() / known.sum().clamp(min=1)


def covariances_of_spread(spread: Tensor) -> Tensor:
    """(…, 2, 2) of spreads (…, 3)."""
    sd, correlation = torch.exp(spread[..., :2]), torch.tanh(spread[..., 2])
    mixed = correlation * sd.prod(-1)
    return torch.stack([torch.stack([sd[..., 0] ** 2, mixed], -1), torch.stack([mixed, sd[..., 1] ** 2], -1)], -2)


# The four losses of SpinePose (Khan et al. 2025), with their published weights, and one of our own.
# What the paper leaves open of the spine term is a setting (`SpineLosses`): unit of length, a and T. Where a label is
# missing its weight is 0 and the point counts nowhere.

_MIN_NORM = 1e-9


@dataclass(frozen=True)
class PointGraph:
    """What losses know of the points. bones: pairs of indices, parent first. chain: indices of the spine's points, the
    sacrum first."""

    bones: tuple[tuple[int, int], ...]
    chain: tuple[int, ...]

    @classmethod
    def of(cls, names: tuple[str, ...]) -> "PointGraph":
        """For some of SpineTrack's points; a bone ends at the nearest of its ancestors that is among them."""
        parents = parent_indices(names, DETECTOR_SKELETON)
        bones = tuple((parent, i) for i, parent in enumerate(parents) if parent >= 0)
        chain = [names.index(name) for name in reversed(SPINETRACK_REGIONS["spine"]) if name in names]
        return cls(bones, tuple(chain))


def position_loss(found: SimccMaps, wanted: SimccMaps, weight: Tensor) -> Tensor:
    """L_pos and L_distill: KL of maps times weight (crops, points), added over points, mean over crops."""
    return (simcc_divergence(found, wanted) * weight).sum(1).mean()


def structure_loss(places: Tensor, labels: Tensor, weight: Tensor, bones: tuple[tuple[int, int], ...]) -> Tensor:
    """L_structure: mean over bones of the angle between a bone found and the one labelled, over π.

    places, labels: (crops, points, 2) px. Bones with an end without label, or without length, are left out; 0 where
    none is left."""
    if not bones:
        return places.sum() * 0
    first, second = torch.tensor(bones, device=places.device).T
    own, true = places[:, second] - places[:, first], labels[:, second] - labels[:, first]
    known = (weight[:, first] > 0) & (weight[:, second] > 0)
    known = known & ((own**2).sum(-1) > _MIN_NORM) & ((true**2).sum(-1) > _MIN_NORM)
    ahead = torch.tensor([1.0, 0.0], dtype=places.dtype, device=places.device)
    own, true = torch.where(known[..., None], own, ahead), torch.where(known[..., None], true, ahead)
    cross, dot = own[..., 1] * true[..., 0] - own[..., 0] * true[..., 1], (own * true).sum(-1)
    angle = torch.atan2(cross, dot).abs()  # of the difference: wrapped already
    return torch.where(known, angle, torch.zeros_like(angle)).sum() / (math.pi * known.sum().clamp(min=1))


def spine_loss(chain: Tensor, weight: Tensor, settings: SpineLosses) -> Tensor:
    """L_spine: mean square of the labelled points' distances from their own smoothed chain, both coordinates.

    chain: (crops, points, 2) px, the sacrum first. The chain is smoothed point after point: s̃ᵢ = s̃ᵢ₋₁ + wᵢ (sᵢ − s̃ᵢ₋₁)
    with wᵢ = 1 − ½ σ(a (‖sᵢ − s̃ᵢ₋₁‖ − T))."""
    chain = chain / settings.unit_px
    smooth = [chain[:, 0]]
    for i in range(1, chain.shape[1]):
        step = chain[:, i] - smooth[-1]
        length = torch.sqrt((step**2).sum(-1, keepdim=True) + _MIN_NORM**2)
        smooth.append(smooth[-1] + (1 - 0.5 * torch.sigmoid(settings.a * (length - settings.threshold))) * step)
    target = torch.stack(smooth, 1)
    known = (weight > 0).to(chain.dtype)
    squared = ((chain - target) ** 2).mean(-1)
    return (squared * known).sum() / known.sum().clamp(min=1)


@dataclass(frozen=True, eq=False)
class WantedOutputs:
    """Labels of crops. places: (crops, points, 2) px; weight: (crops, points), 0 without label; maps: Gaussians.

    teacher: maps of what a teacher sees, or None; taught: indices of its points among ours."""

    places: Tensor
    weight: Tensor
    maps: SimccMaps
    teacher: SimccMaps | None = None
    taught: tuple[int, ...] = ()


def all_losses(
    found: NetworkOutputs, wanted: WantedOutputs, graph: PointGraph, settings: SpineLosses
) -> dict[str, Tensor]:
    """Each loss by its name in `SpineLosses`, not weighted; without a teacher none is distilled."""
    places = expected_places(found.maps)
    losses = {
        "position": position_loss(found.maps, wanted.maps, wanted.weight),
        "structure": structure_loss(places, wanted.places, wanted.weight, graph.bones),
    }
    if graph.chain:
        chain = list(graph.chain)
        losses["spine"] = spine_loss(places[:, chain], wanted.weight[:, chain], settings)
    if wanted.teacher is not None:
        taught = list(wanted.taught)
        seen = torch.ones_like(wanted.weight[:, taught])
        losses["distill"] = position_loss(found.maps.rows(taught), wanted.teacher, seen)
    # places taken as given: only what says how sure they are learns from this
    losses["spread"] = gaussian_loss(places.detach(), found.spread, wanted.places, wanted.weight)
    return losses


def total_loss(losses: Mapping[str, Tensor], settings: SpineLosses) -> Tensor:
    """Sum of the losses times their weights: 5, 2.5, 0.1 and 0.5 as published."""
    return torch.stack([getattr(settings, name) * loss for name, loss in losses.items()]).sum()


WEIGHTS_FILE = "weights.pt"
_WEIGHTS_KIND = "spine detector"


@dataclass(frozen=True, eq=False)
class NetworkWeights:
    """size and names of points of a network; state: its weights."""

    size: SpineNetworkSize
    names: tuple[str, ...]
    state: Mapping[str, Tensor]


def make_network(names: Sequence[str], size: SpineNetworkSize) -> SpineNetwork | StartedNetwork:
    """A network for these points, with the weights to start from."""
    return SpineNetwork(len(names), size) if size.start is None else StartedNetwork(size.start, len(names))


def build_network(weights: NetworkWeights) -> SpineNetwork | StartedNetwork:
    """The network, ready to be used."""
    network = make_network(weights.names, weights.size)
    network.load_state_dict(dict(weights.state))
    return network.eval()


def save_weights(path: Path, weights: NetworkWeights) -> None:
    """Write weights, whole or not at all."""
    stated = {"kind": _WEIGHTS_KIND, "size": weights.size.model_dump(mode="json"), "names": list(weights.names)}
    state = {name: value.detach().cpu().contiguous() for name, value in weights.state.items()}
    save_checkpoint(path, TrainingIdentity(stated, ""), state)


def read_weights(path: str | Path) -> NetworkWeights:
    """What `save_weights` wrote; `InputError` naming the file for anything else."""
    identity, state = load_checkpoint(Path(path))
    stated = identity.options
    if stated.get("kind") != _WEIGHTS_KIND:
        raise InputError(f"{path} is a checkpoint, but no weights of a spine detector; expected its {WEIGHTS_FILE}.")
    with naming_content(path, "weights of a spine detector"):
        size, names = parse_options(SpineNetworkSize, stated["size"], str(path)), tuple(map(str, stated["names"]))
        if not all(torch.isfinite(part).all() for part in state.values()):
            raise ValueError("it has weights that are not finite")
        return NetworkWeights(size=size, names=names, state=state)
