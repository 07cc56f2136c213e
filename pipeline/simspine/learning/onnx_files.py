"""Trained networks as ONNX files; that of a lifter holds all it needs. Needs PyTorch."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simspine.core.errors import InputError
from simspine.io.atomic import atomic_path
from simspine.learning.lifters import FittedLifter, given_points
from simspine.learning.options import LiftingOptions
from simspine.learning.samples import Encoding, neighbours_of_root
from simspine.vision.lifter import CARD_KEY, LifterCard
from simspine.vision.spinepose import open_session

# A trained network as an ONNX file: whole or not at all, with properties, and checked against PyTorch.

ONNX_OPSET = 17
ONNX_TOLERANCE = 1e-4  # largest difference of any output between PyTorch and onnxruntime


@dataclass(frozen=True)
class OnnxLayout:
    """inputs, outputs: names; their first axis is free. points: the second axis of all outputs, which tracing leaves
    open. properties: texts kept in the file (`metadata_props`)."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    points: int
    properties: Mapping[str, str]


def write_onnx(path: Path, network: nn.Module, given: tuple[Tensor, ...], layout: OnnxLayout) -> float:
    """Write a network; the largest difference of its outputs on onnxruntime from PyTorch's, on the inputs given.

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
        one = tuple(part[:1] for part in given)  # shows what tracing took for a constant
        worst = max(_largest_difference(network, temporary, some) for some in (given, one))
        if not worst <= ONNX_TOLERANCE:
            raise InputError(
                f"{path}: onnxruntime's outputs differ from PyTorch's by {worst:.1e}; at most "
                f"{ONNX_TOLERANCE} is allowed."
            )
    return worst


def require_onnx() -> None:
    """Raises `InputError` naming the extra that installs what writing needs."""
    if find_spec("onnx") is None:
        raise InputError("export needs the package onnx, which is not installed: pip install 'simspine[learn]'.")


def _complete_onnx(path: Path, layout: OnnxLayout) -> None:
    import onnx

    model = onnx.load(str(path))
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = layout.points
    onnx.helper.set_model_props(model, dict(layout.properties))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _largest_difference(network: nn.Module, path: Path, given: tuple[Tensor, ...]) -> float:
    """Largest difference, relative to an output's greatest value where that is above 1."""
    session = open_session(path)
    names = [entry.name for entry in session.get_inputs()]
    found = session.run(None, {name: part.numpy() for name, part in zip(names, given, strict=True)})
    with torch.no_grad():
        wanted = [part.numpy() for part in network(*given)]
    return max(
        float(np.abs(own - true).max() / max(np.abs(true).max(), 1.0)) for own, true in zip(found, wanted, strict=True)
    )


# A fitted lifter, as `simspine.vision.one_camera` reads it.


LIFTER_FILE = "lifter.onnx"


class _FromImage(nn.Module):
    """`Encoding` around a network: image points (n, 1, points, 2), NaN = missing, → m, relative to the root."""

    def __init__(self, lifter: FittedLifter, given: tuple[str, ...]):
        super().__init__()
        assert lifter.network is not None
        self.network = lifter.network
        encoding = lifter.encoding
        for name in ("image_mean", "image_sd", "space_mean", "space_sd"):
            self.register_buffer(name, torch.as_tensor(np.array(getattr(encoding, name)), dtype=torch.float32))
        self.register_buffer("given", torch.as_tensor(np.isin(encoding.names, given)[:, None]))
        self.neighbours = neighbours_of_root(encoding.names)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        image = torch.where(self.given, image[:, 0], torch.full_like(image[:, 0], float("nan")))
        root = image[:, :1]
        for others in (image[:, self.neighbours], image[:, 1:]):
            root = torch.where(torch.isnan(root), _mean_of_points_there(others), root)
        relative = torch.cat([root, image[:, 1:] - root], 1)
        features = (relative - self.image_mean) / self.image_sd
        features = torch.where(torch.isnan(features), torch.zeros_like(features), features)
        space = self.network(features.flatten(1)).reshape(-1, *self.space_mean.shape)
        space = space * self.space_sd + self.space_mean
        return (torch.cat([torch.zeros_like(space[:, :1]), space], 1),)


def _mean_of_points_there(points: Tensor) -> Tensor:
    """(n, 1, 2) of those that are there; NaN for none."""
    there = ~torch.isnan(points)
    total = torch.where(there, points, torch.zeros_like(points)).sum(1, keepdim=True)
    return total / there.sum(1, keepdim=True)


def export_lifter(path: Path, lifter: FittedLifter) -> float:
    """Write a network with its encoding; the largest difference of its outputs on onnxruntime from PyTorch's.

    Raises `InputError` for a control, which has no network, and as `write_onnx` does."""
    if lifter.network is None:
        raise InputError(f"the method {lifter.options.method} has no network to write; train simple.")
    options, given = lifter.options, given_points(lifter.options, lifter.names)
    card = LifterCard(
        method=options.method,
        points=lifter.names,
        seen=given,
        trained_on=_options_text(options),
        data=lifter.data,
    )
    layout = OnnxLayout(("image",), ("xyz",), len(lifter.names), {CARD_KEY: card.model_dump_json()})
    return write_onnx(path, _FromImage(lifter, given).cpu(), (_example_inputs(lifter.encoding),), layout)


def _example_inputs(encoding: Encoding) -> Tensor:
    """Two samples near those that were learnt from; of the second one point, the root, is missing."""
    noise = np.random.default_rng(1).standard_normal((2, 1, len(encoding.names), 2))
    image = encoding.image_mean + encoding.image_sd * noise
    image[:, :, 1:] += image[:, :, :1]
    image[1, :, 0] = np.nan
    return torch.as_tensor(image, dtype=torch.float32)


def _options_text(options: LiftingOptions) -> str:
    source, people = options.source, len(options.train)
    if source.dataset is not None:
        return f"{people} people of {Path(source.dataset).name}, image points {options.input}"
    seen = "exact" if options.input == "truth" else source.detections
    return f"{people} synthetic people (seed {source.seed}), image points {seen}"
