"""Learning rate and moving average: what depends on how far training has come. Needs PyTorch."""

import math

import torch
from torch import Tensor, nn

from simspine.learning.options import DescentSettings

_START = 1e-5  # share of the greatest rate with which the warm-up begins (MMPose)


def rate_at(step: int, steps: int, settings: DescentSettings) -> float:
    """Learning rate of a step, counted from 0, of so many: linear up, then a cosine down to `last_share`."""
    up = min(settings.warm_up, steps // 10)
    if step < up:
        return settings.rate * (_START + (1 - _START) * step / up)
    done = (step - up) / max(steps - 1 - up, 1)
    last = settings.last_share
    return settings.rate * (last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def averaged(average: dict[str, Tensor], network: nn.Module, step: int, settings: DescentSettings) -> None:
    """Move an average of weights, in place, towards the network's; fast at first (MMPose's ExpMomentumEMA).

    average: copies of the network's state by name, counters included. step: steps done before.
    """
    momentum = settings.average + (1 - settings.average) * math.exp(-(1 + step) / settings.average_steps)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if settings.average and value.is_floating_point():
                average[name].lerp_(value, momentum)
            else:
                average[name].copy_(value)


def decayed_groups(network: nn.Module, decay: float) -> list[dict]:
    """Parameters for AdamW in two groups: norms and biases, which have one axis, are not decayed."""
    flat = [p for p in network.parameters() if p.ndim < 2]
    rest = [p for p in network.parameters() if p.ndim >= 2]
    return [{"params": rest, "weight_decay": decay}, {"params": flat, "weight_decay": 0.0}]
