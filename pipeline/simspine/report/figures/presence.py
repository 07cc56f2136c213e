"""What is known about each point in each frame: detected, given, estimated, inferred, filled or missing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.arrays import checked, runs
from simspine.errors import InputError
from simspine.report.figures.common import legend, new_figure, patch_key, shade_rejected, step, time_axis
from simspine.report.style import ORIGIN_COLOURS, Style, styled
from simspine.types import Markers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STATES = ("missing", "filled", "inferred", "estimated", "given", "detected")
# Height of a bar and how it is drawn: readable without colour.
_LOOKS: dict[str, tuple[float, Style]] = {
    "detected": (0.66, {"facecolor": ORIGIN_COLOURS["detected"], "linewidth": 0}),
    "given": (0.66, {"facecolor": ORIGIN_COLOURS["given"], "linewidth": 0}),
    "estimated": (
        0.62,
        {"facecolor": "none", "edgecolor": ORIGIN_COLOURS["estimated"], "linewidth": 0.8, "hatch": "..."},
    ),
    "inferred": (0.56, {"facecolor": "none", "edgecolor": ORIGIN_COLOURS["inferred"], "linewidth": 1.0}),
    "filled": (0.34, {"facecolor": "none", "edgecolor": ORIGIN_COLOURS["filled"], "linewidth": 0.8, "hatch": "/////"}),
    "missing": (0.0, {"facecolor": "none", "edgecolor": "none"}),
}


def states(markers: Markers) -> np.ndarray:
    """(frames, markers) of indices into `STATES`. Where a gap was filled, that outranks the point's origin."""
    origin = markers.origins
    state = np.broadcast_to([STATES.index(str(o)) for o in origin], (markers.frames, len(origin))).copy()
    if markers.filled is not None:
        state[markers.filled] = STATES.index("filled")
    state[~markers.present] = STATES.index("missing")
    return state


def availability(
    time: np.ndarray, names: Sequence[str], state: np.ndarray, status: Sequence[str] | None = None
) -> "Figure":
    """One line per point over time.

    state: (frames, points) indices into `STATES`. status: per frame; rejected ones are shaded. Detected and given
    points are full bars, estimated ones dotted, inferred ones hollow, filled gaps half as high and hatched, missing
    ones empty.
    """
    time = np.asarray(time, float)
    state = checked("state", state, (len(time), len(names)), int)
    if state.size and (state.min() < 0 or state.max() >= len(STATES)):
        raise InputError(f"state holds {state.min()}…{state.max()}, expected indices into {', '.join(STATES)}.")
    half = step(time) / 2
    with styled():
        figure = new_figure(1.0 + 0.16 * len(names))
        axes = figure.subplots()
        shade_rejected(axes, time, status)
        keys = axes.get_legend_handles_labels()[0]
        for kind, (height, style) in _LOOKS.items():
            own = state == STATES.index(kind)
            for p in range(len(names)) if height else ():
                spans = runs(np.flatnonzero(own[:, p]))
                bars = [(time[a] - half, time[b - 1] - time[a] + 2 * half) for a, b in spans]
                if bars:
                    axes.broken_barh(bars, (p - height / 2, height), **style)
            if own.any():
                text = f"{kind} {100 * own.mean():.1f} %" + (" (empty)" if kind == "missing" else "")
                keys.append(patch_key(text, **style))
        legend(figure, keys, 6)
        axes.set_yticks(range(len(names)), names, fontsize=7.5)
        axes.set(ylim=(len(names) - 0.4, -0.6), title="Where each point came from")
        axes.grid(axis="y", visible=False)
        time_axis(axes, time)
    return figure
