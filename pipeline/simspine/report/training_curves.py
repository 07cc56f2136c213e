"""Curves of training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simspine.formats.atomic import atomic_path

COLOURS = 10  # that Matplotlib has before they repeat


def write_training_curves(path: str | Path, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> None:
    """A PNG with a line a network. curves: {name: (loss of training, error of the watched people in mm), by epoch}."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for number, (name, (losses, errors)) in enumerate(curves.items()):
        epochs = np.arange(1, len(losses) + 1)
        line = "-" if number < COLOURS else "--"
        left.plot(epochs, losses, line, label=name)
        right.plot(epochs, errors, line)
    left.set(xlabel="epoch", ylabel="loss while training (standardised)")
    right.set(xlabel="epoch", ylabel="MPJPE of the spine, test people (mm)")
    figure.legend(loc="outside right upper", fontsize="x-small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
