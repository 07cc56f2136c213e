"""A trained network as ONNX: simcc_x, simcc_y and covariance from crops, in the layout of SimCC detectors."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simspine.learning.gaussians import covariances
from simspine.learning.onnx_files import OnnxLayout, write_onnx
from simspine.learning.spine2d.batches import SIZE
from simspine.learning.spine2d.network import SpineNetwork
from simspine.learning.spine2d.weights import NetworkWeights, made_network

OUTPUTS = ("simcc_x", "simcc_y", "covariance")


class _Exported(nn.Module):
    """Plain tensors out: maps, and covariances in px²."""

    def __init__(self, network: SpineNetwork):
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor, numbers: "Tensor | None" = None) -> tuple[Tensor, Tensor, Tensor]:
        found = self.network(crops, numbers)
        return found.maps.x, found.maps.y, covariances(found.spread)


def export_onnx(path: Path, weights: NetworkWeights) -> float:
    """Write the network, whole or not at all; the largest difference of its outputs on onnxruntime from PyTorch's.

    Inputs: crops (n, 3 + channels, 256, 192), and numbers (n, count) where the network takes any. Outputs: simcc_x
    (n, points, 384), simcc_y (n, points, 512), covariance (n, points, 2, 2) px². The points' names are in the file's
    metadata, key `names`. Raises `InputError` as `write_onnx` does.
    """
    given = _examples(weights)
    inputs = ("crops", "numbers")[: len(given)]
    layout = OnnxLayout(inputs, OUTPUTS, len(weights.names), {"names": json.dumps(weights.names)})
    return write_onnx(path, _Exported(made_network(weights)), given, layout)


def _examples(weights: NetworkWeights) -> tuple[Tensor, ...]:
    """Two crops, and what comes with them."""
    rng = np.random.default_rng(1)
    shapes: list[tuple[int, ...]] = [(2, 3 + weights.channels, *SIZE)]
    shapes += [(2, weights.numbers)] if weights.numbers else []
    return tuple(torch.as_tensor(rng.standard_normal(shape), dtype=torch.float32) for shape in shapes)
