"""The network that detects a spine's points in a crop, its losses, and its file of weights. Needs PyTorch."""

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
from simspine.learning.onnx_files import inert_archive
from simspine.learning.options import CROP_SIZE_PX, DETECTOR_SKELETON, SpineLosses, SpineNetworkSize, parse_options
from simspine.vision.spinepose import reads_unbiased

# SimCC (Li et al. 2022) represents a point by two one-dimensional maps, one along x and one along y.
# Maps are logits over bins, `BINS_PER_PX` bins per pixel of the crop. Bin number / `BINS_PER_PX` = position in px.

BINS_PER_PX = 2.0  # (RTMPose, SpinePose)
SIMCC_SHARPNESS = 10.0  # factor of the logits, predicted and labelled (RTMPose, SpinePose)
SIMCC_SIGMAS_BINS = (4.9, 5.66)  # along x and y of a crop of 192 × 256 px (RTMPose, SpinePose)
_LOSS_CROPS = 256  # crops over which MMPose adds up its loss: a batch on one GPU (SpinePose's configurations, s to l)
_TINY_BEND = 1e-12  # of a flat map: its parabola has no vertex, and its greatest bin stays


class SimccMaps(NamedTuple):
    """x: (crops, points, width bins), y: (crops, points, height bins): logits."""

    x: Tensor
    y: Tensor


def wanted_maps(xy: Tensor, size: tuple[int, int] = CROP_SIZE_PX) -> SimccMaps:
    """Gaussians of height 1 around labels. xy: (crops, points, 2) px; size: (height, width) px of the crops.

    The centres are not rounded to bins."""
    made = []
    for axis, side in ((0, size[1]), (1, size[0])):
        bins = torch.arange(round(side * BINS_PER_PX), dtype=xy.dtype, device=xy.device)
        made.append(torch.exp(-((bins - BINS_PER_PX * xy[..., axis, None]) ** 2) / (2 * SIMCC_SIGMAS_BINS[axis] ** 2)))
    return SimccMaps(*made)


def simcc_divergence(found: SimccMaps, wanted: SimccMaps) -> Tensor:
    """(crops, points) KL(wanted ‖ found) of softmax(sharpness · map), mean over bins; sum of x and y."""
    total = torch.zeros((), dtype=found.x.dtype, device=found.x.device)
    for map_found, map_wanted in zip(found, wanted, strict=True):
        log_found = torch.log_softmax(SIMCC_SHARPNESS * map_found, -1)
        log_wanted = torch.log_softmax(SIMCC_SHARPNESS * map_wanted, -1)
        total = total + (log_wanted.exp() * (log_wanted - log_found)).mean(-1)
    return total


def expected_places(maps: SimccMaps) -> Tensor:
    """(crops, points, 2) px: means of the distributions, which are differentiable, for losses of positions."""
    places = []
    for logits in maps:
        bins = torch.arange(logits.shape[-1], dtype=logits.dtype, device=logits.device)
        places.append((torch.softmax(SIMCC_SHARPNESS * logits, -1) * bins).sum(-1) / BINS_PER_PX)
    return torch.stack(places, -1)


def best_places(maps: SimccMaps) -> Tensor:
    """(crops, points, 2) px: maxima of the maps, refined by a parabola through the greatest bin and its neighbours."""
    return torch.stack([_parabola_vertex(logits) for logits in maps], -1) / BINS_PER_PX


def _parabola_vertex(logits: Tensor) -> Tensor:
    last = logits.shape[-1] - 1
    best = logits.argmax(-1)
    middle = best.clamp(1, last - 1)
    left, top, right = (logits.gather(-1, (middle + step)[..., None])[..., 0] for step in (-1, 0, 1))
    bend = left - 2 * top + right
    shift = 0.5 * (left - right) / bend.clamp(max=-_TINY_BEND)
    inner = (best > 0) & (best < last)
    return best.to(logits.dtype) + torch.where(inner, shift.clamp(-0.5, 0.5), torch.zeros_like(shift))


# A small network from a crop to SimCC maps and covariances.
# The backbone has depthwise convolutions with residuals (MobileNet's blocks); its map at 1/32 of the crop is added to
# that at 1/16. The head is like RTMPose's: for each point a channel and a hidden vector, then attention among points,
# then two linear layers. Only the layer `points` depends on the number of points, so more points need only more rows
# of its weights.

FEATURE_STRIDE_PX = 16  # px of the crop per cell of the backbone's map
_FIRST_SD = 0.01  # of the last layers' initial weights: maps are nearly flat before training
SPINE_LOG_SD_LIMITS = (-2.0, 5.0)  # bounds of logarithms of standard deviations, px


class NetworkOutputs(NamedTuple):
    """A network's outputs for crops. maps: logits. spread: (crops, points, 3), see `covariances_of_spread`."""

    maps: SimccMaps
    spread: Tensor


class SpineNetwork(nn.Module):
    """Crops (n, 3, height, width), normalised by `normalised_crop`, → `NetworkOutputs`. points: their number."""

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
    """Features of a point → its spread, within limits; equal for all points before training."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.zeros_(self.weight)
        with torch.no_grad():
            self.bias.copy_(torch.tensor([2.0, 2.0, 0.0]))

    def forward(self, features: Tensor) -> Tensor:
        spread = super().forward(features)
        return torch.cat([spread[..., :2].clamp(*SPINE_LOG_SD_LIMITS), spread[..., 2:]], -1)


class StartedNetwork(nn.Module):
    """A network from another program, for further training: crops → `NetworkOutputs`.

    path: file of `torch.export`, from crops to maps, with a submodule `backbone`. points: the required number. The
    statistics of normalisation layers stay fixed. Raises `InputError` for other files and other numbers of points."""

    def __init__(self, path: str, points: int):
        super().__init__()
        try:
            self.network = torch.export.load(inert_archive(path)).module()
            outputs = self.network(torch.zeros(2, 3, *CROP_SIZE_PX))
            self.backbone = self.network.backbone
        except Exception as error:  # files, archives and programs raise various classes
            reason = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise InputError(f"{path} is no network to start from: {reason}. See tools.start_network.") from None
        if outputs[0].shape[1] != points:
            text = f"{path} gives {outputs[0].shape[1]} points, data.points asks for {points}"
            raise InputError(f"{text}; write it with these (tools.start_network --points).")
        del self.network.train, self.network.eval  # these raise errors in exported networks
        self._unbiased = reads_unbiased(path)
        self.spread = SpreadLayer(round(sum(CROP_SIZE_PX) * BINS_PER_PX), 3)

    def forward(self, crops: Tensor) -> NetworkOutputs:
        maps = maps_of_outputs(self.network(crops), self._unbiased)
        shares = [torch.softmax(SIMCC_SHARPNESS * part.detach(), -1) for part in maps]
        return NetworkOutputs(maps, self.spread(torch.cat(shares, -1)))


def maps_of_outputs(outputs: Sequence[Tensor], unbiased: bool) -> SimccMaps:
    """SimCC maps from a pose network's outputs. Heat maps (crops, points, rows, columns) become the greatest value of
    each column and of each row, interpolated linearly to bins. unbiased: see `decode_heatmaps`."""
    if len(outputs) > 1:
        return SimccMaps(*outputs[:2])
    maps = []
    for reduced_axis, side in ((2, CROP_SIZE_PX[1]), (3, CROP_SIZE_PX[0])):
        cells = outputs[0].amax(reduced_axis)
        count = cells.shape[-1]
        scale = (count - 1) / (side - 1) if unbiased else count / side
        places = torch.arange(round(side * BINS_PER_PX), device=cells.device) / BINS_PER_PX * scale
        share = 1 - (places - torch.arange(count, device=cells.device)[:, None]).abs()
        maps.append(cells @ share.clamp(min=0).to(cells.dtype))
    return SimccMaps(*maps)


def network_size(network: nn.Module) -> tuple[float, float]:
    """Millions of parameters, and 10⁹ multiply-add operations per crop."""
    weights = list(network.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *CROP_SIZE_PX, device=weights[0].device))
    return sum(part.numel() for part in weights) / 1e6, counter.get_total_flops() / 2e9


class Backbone(nn.Module):
    """Crops → (n, wide[3], height / 16, width / 16). wide: channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the crop.

    blocks: numbers of blocks at 1/4, 1/8, 1/16 and 1/32; the first block of each level halves the size."""

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
    """Depthwise 5 × 5, pointwise to twice the channels and back; a residual where the shape stays the same."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.across = nn.Sequential(
            nn.Conv2d(before, before, 5, stride, 2, groups=before, bias=False), nn.BatchNorm2d(before)
        )
        self.wider = _convolution_block(before, 2 * after, 1)
        self.back = nn.Sequential(nn.Conv2d(2 * after, after, 1, bias=False), nn.BatchNorm2d(after))
        self.same = before == after and stride == 1

    def forward(self, features: Tensor) -> Tensor:
        changed = self.back(self.wider(self.across(features)))
        return features + changed if self.same else changed


class RootNorm(nn.Module):
    """Divide vectors by their root mean square, times one learnt factor (ScaleNorm of RTMPose's head)."""

    def __init__(self, length: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.root = length**0.5

    def forward(self, features: Tensor) -> Tensor:
        return features / features.norm(dim=-1, keepdim=True).clamp(min=1e-5) * self.root * self.scale


class PointAttention(nn.Module):
    """Self-attention among points: one head, with a residual."""

    def __init__(self, hidden: int):
        super().__init__()
        self.norm = RootNorm(hidden)
        self.parts = nn.Linear(hidden, 3 * hidden, bias=False)
        self.last = nn.Linear(hidden, hidden, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        query, key, value = self.parts(self.norm(features)).chunk(3, -1)
        share = torch.softmax(query @ key.transpose(1, 2) / key.shape[-1] ** 0.5, -1)
        return features + self.last(share @ value)


def _convolution_block(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after), nn.Hardswish()
    )


# The network states a Gaussian in the image plane for each point, by its "spread" (…, 3): logarithms of the
# standard deviations along x and y, and artanh of the correlation.

_MIN_DETERMINANT = 1e-9


def gaussian_loss(places: Tensor, spread: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Negative log-likelihood of labels without its constant term, mean over labelled points.

    places, labels: (n, points, 2); spread: (n, points, 3), in the same unit; weight: (n, points), 0 without label."""
    correlation = torch.tanh(spread[..., 2])
    error, rest = (labels - places) * torch.exp(-spread[..., :2]), 1 - correlation**2 + _MIN_DETERMINANT
    mahalanobis = ((error**2).sum(-1) - 2 * correlation * error.prod(-1)) / rest
    likelihood = spread[..., :2].sum(-1) + 0.5 * torch.log(rest) + 0.5 * mahalanobis
    labelled = weight > 0
    return torch.where(labelled, likelihood, torch.zeros_like(likelihood)).sum() / labelled.sum().clamp(min=1)


def covariances_of_spread(spread: Tensor) -> Tensor:
    """Covariances (…, 2, 2) from spreads (…, 3)."""
    sd, correlation = torch.exp(spread[..., :2]), torch.tanh(spread[..., 2])
    mixed = correlation * sd.prod(-1)
    return torch.stack([torch.stack([sd[..., 0] ** 2, mixed], -1), torch.stack([mixed, sd[..., 1] ** 2], -1)], -2)


# The four losses of SpinePose (Khan et al. 2025), with their published weights, and one of our own.
# The paper does not give the unit of length, a and T of the spine loss; they are settings (`SpineLosses`). A point
# without label has weight 0 and no effect.

_MIN_NORM = 1e-9


@dataclass(frozen=True)
class PointGraph:
    """Connections of points. bones: pairs of indices, parent first. chain: indices of the spine, sacrum first."""

    bones: tuple[tuple[int, int], ...]
    chain: tuple[int, ...]

    @classmethod
    def of(cls, names: tuple[str, ...]) -> "PointGraph":
        """The graph of a selection of SpineTrack's points; the parent of a point is its nearest selected ancestor."""
        parents = parent_indices(names, DETECTOR_SKELETON)
        bones = tuple((parent, i) for i, parent in enumerate(parents) if parent >= 0)
        chain = [names.index(name) for name in reversed(SPINETRACK_REGIONS["spine"]) if name in names]
        return cls(bones, tuple(chain))


def position_loss(found: SimccMaps, wanted: SimccMaps, weight: Tensor) -> Tensor:
    """L_pos and L_distill, MMPose's `KLDiscretLoss` of 256 crops: KL times weight (crops, points), mean over bins and
    points, sum over crops. Batches of other sizes count as 256 crops, so the losses keep their balance."""
    return _LOSS_CROPS * (simcc_divergence(found, wanted) * weight).mean()


def structure_loss(places: Tensor, labels: Tensor, weight: Tensor, bones: tuple[tuple[int, int], ...]) -> Tensor:
    """L_structure: mean over bones of the angle between the predicted and the labelled bone, divided by π.

    places, labels: (crops, points, 2) px. Bones without both labels, or of no length, are left out; the loss is 0 where
    none is left."""
    if not bones:
        return places.sum() * 0
    first, second = torch.tensor(bones, device=places.device).T
    bone, true = places[:, second] - places[:, first], labels[:, second] - labels[:, first]
    known = (weight[:, first] > 0) & (weight[:, second] > 0)
    known = known & ((bone**2).sum(-1) > _MIN_NORM) & ((true**2).sum(-1) > _MIN_NORM)
    ahead = torch.tensor([1.0, 0.0], dtype=places.dtype, device=places.device)
    bone, true = torch.where(known[..., None], bone, ahead), torch.where(known[..., None], true, ahead)
    cross, dot = bone[..., 1] * true[..., 0] - bone[..., 0] * true[..., 1], (bone * true).sum(-1)
    angle = torch.atan2(cross, dot).abs()
    return torch.where(known, angle, torch.zeros_like(angle)).sum() / (math.pi * known.sum().clamp(min=1))


def spine_loss(chain: Tensor, weight: Tensor, settings: SpineLosses) -> Tensor:
    """L_spine: mean squared difference between the labelled points' predictions and their smoothed chain.

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

    teacher: a teacher's maps of the crops, or None; taught: the student's indices of the teacher's points."""

    places: Tensor
    weight: Tensor
    maps: SimccMaps
    teacher: SimccMaps | None = None
    taught: tuple[int, ...] = ()


def all_losses(
    found: NetworkOutputs, wanted: WantedOutputs, graph: PointGraph, settings: SpineLosses
) -> dict[str, Tensor]:
    """{name in `SpineLosses`: unweighted loss}; without a teacher there is no `distill`."""
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
        seen, ones = (part[:, taught] for part in found.maps), torch.ones_like(wanted.weight[:, taught])
        losses["distill"] = position_loss(SimccMaps(*seen), wanted.teacher, ones)
    # the places are constants in this loss
    losses["spread"] = gaussian_loss(places.detach(), found.spread, wanted.places, wanted.weight)
    return losses


def total_loss(losses: Mapping[str, Tensor], settings: SpineLosses) -> Tensor:
    """Sum of the losses, each times its weight in the settings."""
    return torch.stack([getattr(settings, name) * loss for name, loss in losses.items()]).sum()


WEIGHTS_FILE = "weights.pt"
_WEIGHTS_KIND = "spine detector"


@dataclass(frozen=True, eq=False)
class NetworkWeights:
    """A trained network. size: of the network; names: of its points; state: its weights by name."""

    size: SpineNetworkSize
    names: tuple[str, ...]
    state: Mapping[str, Tensor]


def make_network(names: Sequence[str], size: SpineNetworkSize) -> SpineNetwork | StartedNetwork:
    """A network for these points, with initial weights."""
    return SpineNetwork(len(names), size) if size.start is None else StartedNetwork(size.start, len(names))


def build_network(weights: NetworkWeights) -> SpineNetwork | StartedNetwork:
    """The trained network, in evaluation mode."""
    network = make_network(weights.names, weights.size)
    network.load_state_dict(dict(weights.state))
    return network.eval()


def save_weights(path: Path, weights: NetworkWeights) -> None:
    stated = {"kind": _WEIGHTS_KIND, "size": weights.size.model_dump(mode="json"), "names": list(weights.names)}
    state = {name: value.detach().cpu().contiguous() for name, value in weights.state.items()}
    save_checkpoint(path, TrainingIdentity(stated, ""), state)


def read_weights(path: str | Path) -> NetworkWeights:
    """Read a file of `save_weights`. Raises `InputError` for any other file."""
    identity, state = load_checkpoint(Path(path))
    stated = identity.options
    if stated.get("kind") != _WEIGHTS_KIND:
        raise InputError(f"{path} is a checkpoint, but no weights of a spine detector; expected its {WEIGHTS_FILE}.")
    with naming_content(path, "weights of a spine detector"):
        size, names = parse_options(SpineNetworkSize, stated["size"], str(path)), tuple(map(str, stated["names"]))
        if not all(torch.isfinite(part).all() for part in state.values()):
            raise ValueError("it has weights that are not finite")
        return NetworkWeights(size=size, names=names, state=state)
