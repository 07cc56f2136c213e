"""Gaussians in the plane as networks state them: likelihood, covariance, and whether they hold. Needs PyTorch.

A spread is (…, 3): logarithms of the standard deviations along x and y, and artanh of the correlation.
"""

import torch
from torch import Tensor

_TINY = 1e-9


def gaussian_loss(places: Tensor, spread: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Negative log-likelihood of labels, less its constant, mean over labelled points.

    places, labels: (n, points, 2); spread: (n, points, 3), in their unit; weight: (n, points), 0 without label.
    """
    error, correlation, rest = _standardised(labels - places, spread)
    likelihood = spread[..., :2].sum(-1) + 0.5 * torch.log(rest) + 0.5 * _square(error, correlation, rest)
    known = weight > 0
    return torch.where(known, likelihood, torch.zeros_like(likelihood)).sum() / known.sum().clamp(min=1)


def squared_distance(error: Tensor, spread: Tensor) -> Tensor:
    """(…) squares of errors (…, 2) in standard deviations (Mahalanobis): χ² of two degrees of freedom where spreads
    are right.
    """
    return _square(*_standardised(error, spread))


def covariances(spread: Tensor) -> Tensor:
    """(…, 2, 2) of spreads (…, 3)."""
    sd, correlation = torch.exp(spread[..., :2]), torch.tanh(spread[..., 2])
    mixed = correlation * sd.prod(-1)
    return torch.stack([torch.stack([sd[..., 0] ** 2, mixed], -1), torch.stack([mixed, sd[..., 1] ** 2], -1)], -2)


def _standardised(error: Tensor, spread: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Errors over their deviations, correlation, and one less its square."""
    correlation = torch.tanh(spread[..., 2])
    return error * torch.exp(-spread[..., :2]), correlation, 1 - correlation**2 + _TINY


def _square(error: Tensor, correlation: Tensor, rest: Tensor) -> Tensor:
    return ((error**2).sum(-1) - 2 * correlation * error.prod(-1)) / rest
