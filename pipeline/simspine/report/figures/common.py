"""What the figures share: an empty figure, shading of rejected frames, legends, labels that do not overlap."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simspine.arrays import runs
from simspine.errors import InputError
from simspine.report.style import GREY, VERMILLION, WIDTH

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_COLUMNS = 800  # of a band: a panel is some 400 points wide


def new_figure(height: float, width: float = WIDTH) -> "Figure":
    """An empty figure of `width` x `height` inches that lays itself out; no window, no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def step(time: np.ndarray) -> float:
    """Time from frame to frame, s; 1 where there are fewer than two frames."""
    return float(np.median(np.diff(time))) if len(time) > 1 else 1.0


def shade_rejected(
    axes: "Axes", time: np.ndarray, status: Sequence[str] | None, labelled: bool = True, zorder: float = 0
) -> None:
    """Rejected frames as hatched stretches, half a frame to either side, with one legend entry; those that were filled
    in with dots in place of the hatch, and an entry of their own."""
    if status is None:
        return
    if len(status) != len(time):
        raise InputError(f"status has {len(status)} entries, expected one for each of {len(time)} frames.")
    half = step(time) / 2
    for kind, hatch, text in (("rejected", "////", "rejected frames"), ("inferred", "..", "inferred, not seen")):
        of_kind = np.array([str(s) == kind for s in status], bool)
        label = f"{text} ({of_kind.sum()} of {of_kind.size})" if labelled else None
        for a, b in runs(np.flatnonzero(of_kind)):
            left, right = time[a] - half, time[b - 1] + half
            # Two patches: SVG gives a hatch the opacity of the face it lies on.
            axes.axvspan(left, right, facecolor=VERMILLION, alpha=0.12, linewidth=0, zorder=zorder)
            axes.axvspan(left, right, facecolor="none", edgecolor=VERMILLION, hatch=hatch, linewidth=0, zorder=zorder,
                         label=label)  # fmt: skip
            label = None


def bare(axes: "Axes", half_width: float, half_height: float) -> None:
    """Room for a body around the origin, m, at one scale; no ticks, frame or grid."""
    axes.set(xlim=(-half_width, half_width), ylim=(-half_height, half_height), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(False)


def scale_bar(axes: "Axes", at: tuple[float, float], length: float, gap: float, label: str) -> None:
    """An upright bar from `at`, m, with its label `gap` beside it."""
    x, y = at
    axes.plot([x, x], [y, y + length], color=GREY, linewidth=2.2, solid_capstyle="butt")
    axes.text(x + gap, y + length / 2, label, fontsize=7.5, color=GREY, rotation=90, va="center")


def segments(xy: np.ndarray, pairs: "Sequence[tuple[int, int]] | np.ndarray") -> tuple[np.ndarray, np.ndarray]:
    """x and y of lines between pairs of points (points, 2), with a gap after each: a single artist draws them."""
    ends = np.full((len(pairs), 3, 2), np.nan)
    ends[:, :2] = xy[np.asarray(pairs, int).reshape(-1, 2)]
    return ends[..., 0].ravel(), ends[..., 1].ravel()


def fill_band(axes: "Axes", time: np.ndarray, low: np.ndarray, high: np.ndarray, **style: Any) -> None:
    """A band from low to high (frames,) over time, NaN = not known.

    Of more frames than `_COLUMNS`, neighbours share a column from their lowest to their highest: half a point of the
    page wide, so that the band looks the same and a page of a long trial stays light.
    """
    each = -(-len(time) // _COLUMNS) if len(time) > _COLUMNS else 1
    if each > 1:
        room = np.full(-len(time) % each, np.nan)
        time, low, high = (np.concatenate([values, room]).reshape(-1, each) for values in (time, low, high))
        time, low, high = np.nanmean(time, 1), np.fmin.reduce(low, 1), np.fmax.reduce(high, 1)
    axes.fill_between(time, low, high, linewidth=0, **style)


def time_axis(axes: "Axes", time: np.ndarray, labelled: bool = True) -> None:
    """Limits to the trial and name the axis with its unit."""
    half = step(time) / 2
    if len(time):
        axes.set_xlim(time[0] - half, time[-1] + half)
    if labelled:
        axes.set_xlabel("time (s)")


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Positions moved as little as needed to lie `gap` apart within [low, high]; the order stays.

    Too many for the room share it evenly. For labels at the end of curves.
    """
    from scipy.optimize import isotonic_regression

    wanted = np.asarray(positions, float)
    n = len(wanted)
    if n == 0:
        return wanted
    steps = min(gap, (high - low) / max(n - 1, 1)) * np.arange(n)
    order = np.argsort(wanted, kind="stable")
    # Substituting y_i = x_i - i·gap turns "at least gap apart" into "not decreasing": the least-squares answer is an
    # isotonic regression.
    y = isotonic_regression(np.clip(wanted[order], low, high) - steps).x
    out = np.empty(n)
    out[order] = np.clip(y, low, high - steps[-1]) + steps
    return out


def line_key(label: str, **style: Any) -> "Artist":
    """A line or point in a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def patch_key(label: str, **style: Any) -> "Artist":
    """A filled or hollow box in a legend."""
    from matplotlib.patches import Patch

    return Patch(label=label, **style)


def legend(figure: "Figure", keys: Sequence["Artist"], columns: int, **options: Any) -> None:
    """The figure's legend, above its panels."""
    if keys:
        figure.legend(handles=keys, loc="outside upper left", ncols=columns, **options)
