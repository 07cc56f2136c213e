"""Teachers: networks with fewer points, whose weights a student starts from, and whose maps it keeps to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simspine.detection.onnx_session import input_shape, open_session
from simspine.errors import InputError
from simspine.learning.spine2d.batches import SIZE
from simspine.learning.spine2d.options import POINT_CHOICES, SpineNetworkSize
from simspine.learning.spine2d.simcc import SPLIT, SimccMaps
from simspine.learning.spine2d.weights import made_network, read_weights

ROWS = ("points.weight", "points.bias")  # what has a row for each point


@dataclass(frozen=True, eq=False)
class Teacher:
    """see: from crops (n, 3, height, width) to maps of its points. names: of these, SpineTrack's. state: weights that a
    student can start from, or None.
    """

    see: Callable[[Tensor], SimccMaps]
    names: tuple[str, ...]
    state: Mapping[str, Tensor] | None = None


def read_teacher(path: str | Path, size: SpineNetworkSize, names: tuple[str, ...], device: str = "cpu") -> Teacher:
    """A teacher for a student of this size with these points.

    Raises `InputError` for a file that is none, for one of another size, and where it has a point the student lacks.
    """
    path = Path(path)
    teacher = _onnx_teacher(path) if path.suffix == ".onnx" else _own_teacher(path, size, device)
    more = [name for name in teacher.names if name not in names]
    if more:
        raise InputError(
            f"the teacher {path} has points that the student lacks: {', '.join(more)}. Choose data.points."
        )
    return teacher


def widened(
    state: Mapping[str, Tensor], names: tuple[str, ...], wanted: tuple[str, ...], seed: int
) -> dict[str, Tensor]:
    """A student's weights out of a teacher's: rows of points that the teacher has are copied, new ones are drawn from
    a normal distribution with the mean and the standard deviation of the teacher's rows; all else is the teacher's.

    names: of the teacher's points; wanted: of the student's.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, len(wanted)]))
    found = dict(state)
    for key in ROWS:
        old = state[key]
        mean, sd = float(old.mean()), float(old.std(correction=0))
        rows = torch.as_tensor(rng.normal(mean, sd, (len(wanted), *old.shape[1:])), dtype=old.dtype)
        for i, name in enumerate(wanted):
            if name in names:
                rows[i] = old[names.index(name)]
        found[key] = rows
    return found


def _own_teacher(path: Path, size: SpineNetworkSize, device: str) -> Teacher:
    weights = read_weights(path)
    if weights.size != size:
        raise InputError(
            f"the teacher {path} has a network of {weights.size}, the student one of {size}; a student starts from a "
            "teacher of its own size. Set `network` to the teacher's."
        )
    network = made_network(weights).to(device).eval()

    def see(crops: Tensor) -> SimccMaps:
        with torch.no_grad():
            return network(crops).maps

    return Teacher(see, weights.names, weights.state)


def _onnx_teacher(path: Path) -> Teacher:
    session = open_session(path)
    size = input_shape(session, SIZE, path)
    if size != SIZE:
        raise InputError(f"the teacher {path} takes images of {size} px, expected {SIZE}.")
    outputs: list[Any] = [output.shape for output in session.get_outputs()[:2]]
    bins = [round(side * SPLIT) for side in SIZE[::-1]]
    if len(outputs) < 2 or [shape[-1] for shape in outputs] != bins or outputs[0][1] not in _BY_COUNT:
        raise InputError(
            f"{path} is no teacher: outputs {outputs}, expected (n, points, {bins[0]}) and (n, points, {bins[1]}) with "
            f"{' or '.join(map(str, sorted(_BY_COUNT)))} points in SpineTrack's order."
        )
    name = session.get_inputs()[0].name

    def see(crops: Tensor) -> SimccMaps:
        x, y = session.run(None, {name: crops.float().cpu().numpy()})[:2]
        return SimccMaps(torch.as_tensor(x, device=crops.device), torch.as_tensor(y, device=crops.device))

    return Teacher(see, _BY_COUNT[outputs[0][1]])


_BY_COUNT = {17: POINT_CHOICES["all"][:17], 26: POINT_CHOICES["body"], 37: POINT_CHOICES["all"]}
