"""A trained network as ONNX: simcc_x, simcc_y and covariance from crops, in the layout of SimCC detectors."""

import json
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simspine.detection.onnx_session import open_session
from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.learning.gaussians import covariances
from simspine.learning.spine2d.batches import SIZE
from simspine.learning.spine2d.network import SpineNetwork
from simspine.learning.spine2d.weights import NetworkWeights, made_network

OPSET = 17
TOLERANCE = 1e-4  # largest difference of any output between PyTorch and onnxruntime
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
    metadata, key `names`. Raises `InputError` where outputs differ by more than `TOLERANCE`, relative to 1 or their
    greatest value.
    """
    network = _Exported(made_network(weights)).eval()
    given = _examples(weights)
    inputs = ["crops", "numbers"][: len(given)]
    with atomic_path(path) as temporary:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch announces another exporter, which needs further packages
            torch.onnx.export(
                network, given, str(temporary), input_names=inputs, output_names=list(OUTPUTS), opset_version=OPSET,
                dynamic_axes={name: {0: "n"} for name in (*inputs, *OUTPUTS)}, dynamo=False,
            )  # fmt: skip
        _name_points(temporary, weights.names)
        worst = _difference(network, temporary, given)
        if not worst <= TOLERANCE:
            raise InputError(
                f"{path}: onnxruntime's outputs are {worst:.1e} off PyTorch's, at most {TOLERANCE} is wanted."
            )
    return worst


def require_onnx() -> None:
    """Raises `InputError` naming the extra that installs what writing needs."""
    if find_spec("onnx") is None:
        raise InputError("export needs the package onnx, which is not installed: pip install 'simspine[learn]'.")


def _examples(weights: NetworkWeights) -> tuple[Tensor, ...]:
    """Two crops, and what comes with them."""
    rng = np.random.default_rng(1)
    shapes: list[tuple[int, ...]] = [(2, 3 + weights.channels, *SIZE)]
    shapes += [(2, weights.numbers)] if weights.numbers else []
    return tuple(torch.as_tensor(rng.standard_normal(shape), dtype=torch.float32) for shape in shapes)


def _name_points(path: Path, names: tuple[str, ...]) -> None:
    """Write the points' names into the file, and how many there are, which tracing leaves open."""
    import onnx

    model = onnx.load(str(path))
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = len(names)
    onnx.helper.set_model_props(model, {"names": json.dumps(names)})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _difference(network: nn.Module, path: Path, given: tuple[Tensor, ...]) -> float:
    """Largest difference, relative to an output's greatest value where that is above 1."""
    session = open_session(path)
    names = [entry.name for entry in session.get_inputs()]
    found = session.run(None, {name: part.numpy() for name, part in zip(names, given, strict=True)})
    with torch.no_grad():
        wanted = [part.numpy() for part in network(*given)]
    return max(
        float(np.abs(own - true).max() / max(np.abs(true).max(), 1.0)) for own, true in zip(found, wanted, strict=True)
    )
