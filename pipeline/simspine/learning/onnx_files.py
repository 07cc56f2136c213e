"""Trained networks as ONNX files. Needs PyTorch."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simspine.core.errors import InputError
from simspine.io.atomic import atomic_path
from simspine.vision.spinepose import open_session

# A trained network is written atomically, with metadata, after its outputs were compared with PyTorch's.

ONNX_OPSET = 17
ONNX_TOLERANCE = 1e-4  # largest allowed difference of an output between PyTorch and onnxruntime


@dataclass(frozen=True)
class OnnxLayout:
    """inputs, outputs: names; the first axis of each has any length. points: length of the second axis of all
    outputs, which tracing does not record. properties: texts for the file's metadata (`metadata_props`)."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    points: int
    properties: Mapping[str, str]


def write_onnx(path: Path, network: nn.Module, given: tuple[Tensor, ...], layout: OnnxLayout) -> float:
    """Write a network; returns the largest difference between onnxruntime's and PyTorch's outputs for `given`.

    Raises `InputError` where outputs differ by more than `ONNX_TOLERANCE`, relative to 1 or their greatest value."""
    network = network.eval()
    free = {name: {0: "n"} for name in (*layout.inputs, *layout.outputs)}
    with atomic_path(path) as temporary:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch announces another exporter, which needs further packages
            torch.onnx.export(
                network, given, str(temporary), input_names=list(layout.inputs), output_names=list(layout.outputs),
                opset_version=ONNX_OPSET, dynamic_axes=free, dynamo=False,
            )  # fmt: skip
        _complete_onnx(temporary, layout)
        one = tuple(part[:1] for part in given)  # another batch size shows what tracing took for a constant
        worst = max(_largest_difference(network, temporary, inputs) for inputs in (given, one))
        if not worst <= ONNX_TOLERANCE:
            raise InputError(
                f"{path}: onnxruntime's outputs differ from PyTorch's by {worst:.1e}; at most "
                f"{ONNX_TOLERANCE} is allowed."
            )
    return worst


def _complete_onnx(path: Path, layout: OnnxLayout) -> None:
    import onnx

    model = onnx.load(str(path))
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = layout.points
    onnx.helper.set_model_props(model, dict(layout.properties))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _largest_difference(network: nn.Module, path: Path, given: tuple[Tensor, ...]) -> float:
    """Largest difference of an output, relative to its greatest value where that is above 1."""
    session = open_session(path)
    names = [entry.name for entry in session.get_inputs()]
    found = session.run(None, {name: part.numpy() for name, part in zip(names, given, strict=True)})
    with torch.no_grad():
        wanted = [part.numpy() for part in network(*given)]
    return max(
        float(np.abs(output - expected).max() / max(np.abs(expected).max(), 1.0))
        for output, expected in zip(found, wanted, strict=True)
    )
