"""The four losses of SpinePose (Khan et al. 2025), with their published weights, and one of our own. Needs PyTorch.

What the paper leaves open is a setting (`SpineLosses`): direction of the chain, unit of length, a and T of the spine
term, whether points are added or averaged. Where a label is missing its weight is 0 and the point counts nowhere.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from simspine.learning.gaussians import gaussian_loss
from simspine.learning.spine2d.network import Found
from simspine.learning.spine2d.options import SpineLosses
from simspine.learning.spine2d.simcc import SimccMaps, divergence, expected_places
from simspine.skeletons import load
from simspine.skeletons.regions import SPINETRACK_REGIONS

_TINY = 1e-9


@dataclass(frozen=True)
class PointGraph:
    """What losses know of the points. bones: pairs of indices, parent first. chain: indices of the spine's points, the
    sacrum first.
    """

    bones: tuple[tuple[int, int], ...]
    chain: tuple[int, ...]

    @classmethod
    def of(cls, names: tuple[str, ...]) -> "PointGraph":
        """For some of SpineTrack's points; a bone ends at the nearest of its ancestors that is among them."""
        table = load("spinetrack37")
        bones = []
        for i, name in enumerate(names):
            parent = table.parents[table.index(name)]
            while parent >= 0 and table.names[parent] not in names:
                parent = table.parents[parent]
            if parent >= 0:
                bones.append((names.index(table.names[parent]), i))
        chain = [names.index(name) for name in reversed(SPINETRACK_REGIONS["spine"]) if name in names]
        return cls(tuple(bones), tuple(chain))


def position_loss(found: SimccMaps, wanted: SimccMaps, weight: Tensor, over: str = "sum") -> Tensor:
    """L_pos and L_distill: KL of maps, weighted, added up ('sum') or averaged ('mean') over points, mean over crops.

    weight: (crops, points).
    """
    total = (divergence(found, wanted) * weight).sum(1)
    if over == "mean":
        total = total / weight.shape[1]
    return total.mean()


def structure_loss(places: Tensor, labels: Tensor, weight: Tensor, bones: tuple[tuple[int, int], ...]) -> Tensor:
    """L_structure: mean over bones of the angle between a bone found and the one labelled, over π.

    places, labels: (crops, points, 2) px. Bones with an end without label, or without length, are left out; 0 where
    none is left.
    """
    if not bones:
        return places.sum() * 0
    first, second = torch.tensor(bones, device=places.device).T
    own, true = places[:, second] - places[:, first], labels[:, second] - labels[:, first]
    known = (weight[:, first] > 0) & (weight[:, second] > 0)
    known = known & ((own**2).sum(-1) > _TINY) & ((true**2).sum(-1) > _TINY)
    ahead = torch.tensor([1.0, 0.0], dtype=places.dtype, device=places.device)
    own, true = torch.where(known[..., None], own, ahead), torch.where(known[..., None], true, ahead)
    cross, dot = own[..., 1] * true[..., 0] - own[..., 0] * true[..., 1], (own * true).sum(-1)
    angle = torch.atan2(cross, dot).abs()  # of the difference: wrapped already
    return torch.where(known, angle, torch.zeros_like(angle)).sum() / (math.pi * known.sum().clamp(min=1))


def spine_loss(chain: Tensor, weight: Tensor, settings: SpineLosses) -> Tensor:
    """L_spine: mean square of what the points are off their own smoothed chain, both coordinates, of labelled points.

    chain: (crops, points, 2) px, the sacrum first. The chain is smoothed point after point: s̃ᵢ = s̃ᵢ₋₁ + wᵢ (sᵢ − s̃ᵢ₋₁)
    with wᵢ = 1 − ½ σ(a (‖sᵢ − s̃ᵢ₋₁‖ − T)).
    """
    if settings.chain == "down":
        chain, weight = chain.flip(1), weight.flip(1)
    chain = chain / settings.unit_px
    smooth = [chain[:, 0]]
    for i in range(1, chain.shape[1]):
        step = chain[:, i] - smooth[-1]
        length = torch.sqrt((step**2).sum(-1, keepdim=True) + _TINY**2)
        smooth.append(smooth[-1] + (1 - 0.5 * torch.sigmoid(settings.a * (length - settings.threshold))) * step)
    target = torch.stack(smooth, 1)
    known = (weight > 0).to(chain.dtype)
    squared = ((chain - (target.detach() if settings.fixed_target else target)) ** 2).mean(-1)
    return (squared * known).sum() / known.sum().clamp(min=1)


def spread_loss(places: Tensor, spread: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """`gaussian_loss` with places taken as given: only what says how sure they are learns from this."""
    return gaussian_loss(places.detach(), spread, labels, weight)


@dataclass(frozen=True, eq=False)
class Wanted:
    """Labels of crops. places: (crops, points, 2) px; weight: (crops, points), 0 without label; maps: Gaussians.

    teacher: maps of what a teacher sees, or None; taught: indices of its points among ours.
    """

    places: Tensor
    weight: Tensor
    maps: SimccMaps
    teacher: SimccMaps | None = None
    taught: tuple[int, ...] = ()


def all_losses(found: Found, wanted: Wanted, graph: PointGraph, settings: SpineLosses) -> dict[str, Tensor]:
    """Each loss by its name in `SpineLosses`, not weighted; without a teacher none is distilled."""
    places = expected_places(found.maps)
    losses = {
        "position": position_loss(found.maps, wanted.maps, wanted.weight, settings.points),
        "structure": structure_loss(places, wanted.places, wanted.weight, graph.bones),
    }
    if graph.chain:
        chain = list(graph.chain)
        losses["spine"] = spine_loss(places[:, chain], wanted.weight[:, chain], settings)
    if wanted.teacher is not None:
        taught = list(wanted.taught)
        seen = torch.ones_like(wanted.weight[:, taught])
        losses["distill"] = position_loss(found.maps.rows(taught), wanted.teacher, seen, settings.points)
    losses["spread"] = spread_loss(places, found.spread, wanted.places, wanted.weight)
    return losses


def total_loss(losses: Mapping[str, Tensor], settings: SpineLosses) -> Tensor:
    """Sum of the losses times their weights: 5, 2.5, 0.1 and 0.5 as published."""
    return torch.stack([getattr(settings, name) * loss for name, loss in losses.items()]).sum()
