"""A fitted lifter as an ONNX file, as `simspine detect --lift` reads it. Needs PyTorch."""

from pathlib import Path

import numpy as np
import torch
from tools.lifting_baselines.lifters import FittedLifter, given_points
from tools.lifting_baselines.options import LiftingOptions
from tools.lifting_baselines.samples import Encoding, neighbours_of_root
from torch import Tensor, nn

from simspine.core.errors import InputError
from simspine.learning.onnx_files import OnnxLayout, write_onnx
from simspine.vision.lifting import CARD_KEY, LifterCard

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
