"""A fitted lifter as an ONNX file that needs nothing beside it: `simspine.pipeline.lifter` reads it. Needs PyTorch."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simspine.errors import InputError
from simspine.learning.encoding import Encoding
from simspine.learning.lifters import FittedLifter, given_points, sample_length
from simspine.learning.onnx_files import OnnxLayout, write_onnx
from simspine.learning.options import LiftingOptions
from simspine.pipeline.lifter import CARD, LifterCard

LIFTER = "lifter.onnx"


class _FromImage(nn.Module):
    """`Encoding` around a network: image points (n, frames, points, 2), NaN = missing, → m, relative to the root."""

    def __init__(self, lifter: FittedLifter, given: tuple[str, ...]):
        super().__init__()
        assert lifter.network is not None
        self.network = lifter.network
        encoding = lifter.encoding
        for name, array in encoding.arrays.items():
            self.register_buffer(name, torch.as_tensor(np.array(array), dtype=torch.float32))
        self.register_buffer("given", torch.as_tensor(np.isin(encoding.names, given)[:, None]))
        self.beside = encoding.beside_root

    def forward(self, image: Tensor) -> tuple[Tensor]:
        image = torch.where(self.given, image, torch.full_like(image, float("nan")))
        root = image[:, :, :1]
        for others in (image[:, :, self.beside], image[:, :, 1:]):
            root = torch.where(torch.isnan(root), _mean(others), root)
        relative = torch.cat([root, image[:, :, 1:] - root], 2)
        features = (relative - self.image_mean) / self.image_sd
        features = torch.where(torch.isnan(features), torch.zeros_like(features), features)
        space = self.network(features.flatten(2)).reshape(-1, *self.space_mean.shape)
        return (self._with_root(space * self.space_sd + self.space_mean),)

    @staticmethod
    def _with_root(space: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(space[:, :1]), space], 1)


def _mean(points: Tensor) -> Tensor:
    """(n, frames, 1, 2) of those that are there; NaN for none."""
    there = ~torch.isnan(points)
    total = torch.where(there, points, torch.zeros_like(points)).sum(2, keepdim=True)
    return total / there.sum(2, keepdim=True)


def export_lifter(path: Path, lifter: FittedLifter) -> float:
    """Write a network with its encoding; the largest difference of its outputs on onnxruntime from PyTorch's.

    Raises `InputError` for a control, which has no network, and as `write_onnx` does.
    """
    if lifter.network is None:
        raise InputError(f"the method {lifter.options.method} has no network to write; train simple or temporal.")
    options, given = lifter.options, given_points(lifter.options, lifter.names)
    frames = sample_length(options)
    card = LifterCard(
        method=options.method,
        points=lifter.names,
        seen=given,
        frames=frames,
        interval_s=_interval_s(lifter) if frames > 1 else 0.0,
        trained_on=_words(options),
        data=lifter.data,
    )
    layout = OnnxLayout(("image",), ("xyz",), len(lifter.names), {CARD: card.model_dump_json()})
    return write_onnx(path, _FromImage(lifter, given).cpu(), (_example(lifter.encoding, frames),), layout)


def _interval_s(lifter: FittedLifter) -> float:
    if lifter.rate is None:
        raise InputError(
            "frames/s of the training data are not known, so neither is how far apart a lifter's frames are."
        )
    return lifter.options.source.context / lifter.rate


def _example(encoding: Encoding, frames: int) -> Tensor:
    """Two samples near those that were learnt from; of the second one point, the root, is missing."""
    noise = np.random.default_rng(1).standard_normal((2, frames, len(encoding.names), 2))
    image = encoding.image_mean + encoding.image_sd * noise
    image[:, :, 1:] += image[:, :, :1]
    image[1, :, 0] = np.nan
    return torch.as_tensor(image, dtype=torch.float32)


def _words(options: LiftingOptions) -> str:
    source, people = options.source, len(options.train)
    if source.dataset is not None:
        return f"{people} people of {Path(source.dataset).name}, image points {options.input}"
    seen = "exact" if options.input == "truth" else source.detections
    return f"{people} synthetic people (seed {source.seed}), image points {seen}"
