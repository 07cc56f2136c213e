"""What is known about each point in each frame: detected, given, inferred, filled or missing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.arrays import checked, runs
from simspine.errors import InputError
from simspine.report.figures.common import new_figure, shade_rejected, step, time_axis
from simspine.report.style import ORIGIN_COLOURS, styled
from simspine.types import Markers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STATES = ("missing", "filled", "inferred", "given", "detected")


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

    state: (frames, points) indices into `STATES`. status: per frame; rejected ones are shaded.

    Readable without colour: detected and given points are full bars, inferred ones hollow, filled gaps half as high and
    hatched, missing ones empty.
    """
    time = np.asarray(time, float)
    state = checked("state", state, (len(time), len(names)), int)
    if state.size and (state.min() < 0 or state.max() >= len(STATES)):
        raise InputError(f"state holds {state.min()}…{state.max()}, expected indices into {', '.join(STATES)}.")
    styles = {
        "detected": {"facecolor": ORIGIN_COLOURS["detected"], "linewidth": 0},
        "given": {"facecolor": ORIGIN_COLOURS["given"], "linewidth": 0},
        "inferred": {"facecolor": "none", "edgecolor": ORIGIN_COLOURS["inferred"], "linewidth": 1.0},
        "filled": {"facecolor": "none", "edgecolor": ORIGIN_COLOURS["filled"], "linewidth": 0.8, "hatch": "/////"},
    }
    heights = {"detected": 0.66, "given": 0.66, "inferred": 0.56, "filled": 0.34}
    half = step(time) / 2
    with styled():
        from matplotlib.patches import Patch

        figure = new_figure(1.0 + 0.16 * len(names))
        axes = figure.subplots()
        shade_rejected(axes, time, status)
        for kind, style in styles.items():
            code, height = STATES.index(kind), heights[kind]
            for p in range(len(names)):
                bars = [
                    (time[a] - half, time[b - 1] - time[a] + 2 * half)
                    for a, b in runs(np.flatnonzero(state[:, p] == code))
                ]
                if bars:
                    axes.broken_barh(bars, (p - height / 2, height), **style)
        handles, labels = axes.get_legend_handles_labels()
        for kind in ("detected", "given", "inferred", "filled", "missing"):
            share = (state == STATES.index(kind)).mean() if state.size else 0.0
            if share:
                style = styles.get(kind, {"facecolor": "none", "edgecolor": "none"})
                handles.append(Patch(**style))
                labels.append(f"{kind} {100 * share:.1f} %" + (" (empty)" if kind == "missing" else ""))
        figure.legend(handles, labels, loc="outside upper left", ncols=6)
        axes.set_yticks(range(len(names)), names, fontsize=7.5)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_title("Where each point came from")
        time_axis(axes, time)
    return figure
