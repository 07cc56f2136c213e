"""Many levels at once: angles as a map of level over time, range of motion of each level, and their observability.

For a spine of single vertebrae, whose 25 levels are too many curves for one panel.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.arrays import checked
from simspine.quality.observability import forced_mask
from simspine.report.figures.common import (
    legend,
    line_key,
    new_figure,
    patch_key,
    segments,
    shade_rejected,
    step,
    time_axis,
)
from simspine.report.figures.curves import NORMAL_95, TITLES
from simspine.report.style import BLUE, FORCED, FORCED_LABEL, GREY, INK, ORANGE, styled
from simspine.spine.levels import POSITIVE
from simspine.types import Forced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HALF = 0.5  # an angle of at least this observability is drawn filled, others hollow
_NICE = np.array([1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 180.0])  # ends of a colour scale, degrees
SHORT = ("flexion", "to the right", "to the left")


def level_map(
    time: np.ndarray,
    levels: Sequence[str],
    angles: np.ndarray,
    shares: np.ndarray,
    status: Sequence[str] | None = None,
    forced: Mapping[str, Sequence[Forced]] | None = None,
) -> "Figure":
    """Angles of all levels as three maps (level × time, from the sacrum up), beside each their observability.

    time: (frames,) s. angles: (frames, levels, 3) rad, NaN = not known. shares: (levels, 3), NaN = not known. forced:
    see `quality.observability.forced_mask`. Rejected frames are hatched.
    """
    time = np.asarray(time, float)
    degrees = np.degrees(checked("angles", angles, (len(time), len(levels), 3)))
    shares = checked("shares", shares, (len(levels), 3))
    mask = forced_mask(levels, forced or {})
    half = step(time) / 2
    with styled():
        figure = new_figure(1.6 + 0.165 * len(levels))
        panels = figure.subplots(1, 6, width_ratios=[1, 0.24] * 3, sharey=True, gridspec_kw={"wspace": 0.02})
        for k, title in enumerate(TITLES):
            axes, beside = panels[2 * k], panels[2 * k + 1]
            values = degrees[:, :, k]
            limit = _limit(values)
            image = axes.imshow(
                values.T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", origin="lower",
                interpolation="nearest", extent=(time[0] - half, time[-1] + half, -0.5, len(levels) - 0.5), zorder=1,
            )  # fmt: skip
            shade_rejected(axes, time, status, labelled=k == 0, zorder=2)
            axes.grid(False)
            axes.set_title(f"{title}\n", fontsize=9.5)
            time_axis(axes, time)
            bar = figure.colorbar(image, ax=[axes, beside], location="bottom", extend="both", aspect=28, pad=0.02)
            bar.set_label(f"°, positive = {POSITIVE[k]}", fontsize=7.5)
            bar.outline.set_linewidth(0.5)
            _draw_shares(beside, shares[:, k], mask[:, k])
            for edge in _borders(levels):
                axes.axhline(edge, color=GREY, linewidth=1.0, zorder=3)
        _name_levels(panels[0], levels)
        legend(figure, panels[0].get_legend_handles_labels()[0], 1)
    return figure


def _limit(degrees: np.ndarray) -> float:
    """End of the colour scale: most values within it; a few levels that turn far must not bleach the others."""
    known = np.abs(degrees[np.isfinite(degrees)])
    wanted = np.percentile(known, 95) if known.size else 1.0
    return float(_NICE[min(np.searchsorted(_NICE, wanted), len(_NICE) - 1)])


def _draw_shares(axes: "Axes", shares: np.ndarray, forced: np.ndarray) -> None:
    known = ~forced & np.isfinite(shares)
    for own, face, edge in ((known & (shares >= HALF), BLUE, BLUE), (known & (shares < HALF), "none", ORANGE)):
        at, widths = np.flatnonzero(own), np.maximum(shares[own], 0.015)
        axes.barh(at, widths, 0.66, facecolor=face, edgecolor=edge, linewidth=0.9)
    for i, share in enumerate(shares):
        if forced[i]:
            axes.plot([0, 1], [i, i], **FORCED)
        elif known[i]:
            observed = share >= HALF
            axes.annotate(f"{100 * share:.0f}", (0.0 if observed else share, i), xytext=(2, -0.4), fontsize=7,
                          textcoords="offset points", va="center", color="white" if observed else INK)  # fmt: skip
    axes.set(xlim=(0, 1.05), xticks=[])
    axes.grid(False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.set_title("data\n%", fontsize=7.5, fontweight="normal")


def range_profile(
    levels: Sequence[str],
    angles: np.ndarray,
    sd: np.ndarray | None,
    shares: np.ndarray,
    status: Sequence[str] | None = None,
    forced: Mapping[str, Sequence[Forced]] | None = None,
) -> "Figure":
    """Range of each level's angle over the trial (frames not rejected), with the 95 % interval around it.

    angles, sd: (frames, levels, 3) rad. shares: (levels, 3), NaN = not known. A bar from the least to the greatest
    angle, a line to 1.96 standard deviations beyond either; how far the angle moved as a number. Filled: mostly
    measured; hollow: mostly assumed; dashed grey: set by the model.
    """
    angles = np.asarray(angles, float)
    angles = checked("angles", angles, (len(angles), len(levels), 3))
    shares = checked("shares", shares, (len(levels), 3))
    mask = forced_mask(levels, forced or {})
    kept = slice(None) if status is None else np.array([str(s) not in ("rejected", "inferred") for s in status], bool)
    ends = ends_of(angles[kept], None if sd is None else np.asarray(sd, float)[kept])
    with styled():
        figure = new_figure(1.2 + 0.165 * len(levels))
        panels = figure.subplots(1, 3, sharey=True)
        for k, (axes, title) in enumerate(zip(panels, TITLES, strict=True)):
            axes.axvline(0, color=GREY, linewidth=0.7, zorder=0)
            _draw_ranges(axes, ends[:, :, k], shares[:, k], mask[:, k])
            for edge in _borders(levels):
                axes.axhline(edge, color=INK, linewidth=0.8)
            axes.set(title=title, xlabel=f"angle (°), positive = {SHORT[k]}")
            axes.text(1.0, 1.0, "range", transform=axes.transAxes, fontsize=7.5, ha="right", va="bottom")
            axes.grid(axis="y", visible=False)
            low, high = axes.get_xlim()
            axes.set_xlim(low, high + 0.12 * (high - low))  # room for the numbers
        _name_levels(panels[0], levels)
        _profile_legend(figure, shares, mask, sd is not None)
    return figure


def ends_of(angles: np.ndarray, sd: np.ndarray | None) -> np.ndarray:
    """(4, levels, 3) degrees: least angle less 1.96 sd, least, greatest, greatest plus 1.96 sd; NaN = not known.

    angles, sd: (frames, levels, 3) rad, NaN = not known. Without sd the outer ends are the inner ones.
    """
    if not len(angles):
        return np.full((4, *angles.shape[1:]), np.nan)
    known = np.isfinite(angles)
    order = np.where(known, angles, np.inf).argmin(0), np.where(known, angles, -np.inf).argmax(0)
    low, high = (np.take_along_axis(angles, frame[None], 0)[0] for frame in order)
    reach = [0.0 if sd is None else NORMAL_95 * np.take_along_axis(sd, frame[None], 0)[0] for frame in order]
    return np.degrees([low - reach[0], low, high, high + reach[1]])


def _draw_ranges(axes: "Axes", ends: np.ndarray, shares: np.ndarray, forced: np.ndarray) -> None:
    """Of each level its range and its interval; those that look alike at once. ends: (4, levels) as of `ends_of`."""
    known = np.isfinite(ends[1])
    observed = ~(shares < HALF)  # also where the solver gave no share
    looks = ((forced, GREY, "--"), (~forced & observed, BLUE, "-"), (~forced & ~observed, ORANGE, "-"))
    place = axes.get_yaxis_transform()
    for own, colour, dash in looks:
        at = np.flatnonzero(known & own)
        low, least, greatest, high = ends[:, at]
        sides = ((low, least), (greatest, high))
        beyond = [end for a, b in sides for end in zip(a[a < b], at[a < b], b[a < b], at[a < b], strict=True)]
        if beyond:
            points = np.array(beyond).reshape(-1, 2)
            lines = segments(points, np.arange(len(points)).reshape(-1, 2))
            axes.plot(*lines, color=colour, linewidth=1.1, linestyle=dash, solid_capstyle="butt")
        face = colour if colour == BLUE else "none"
        axes.barh(at, greatest - least, 0.56, least, facecolor=face, edgecolor=colour, linewidth=1.1, linestyle=dash)
        for i, width in zip(at.tolist(), greatest - least, strict=True):
            axes.text(1.0, i, f"{width:.1f}°", transform=place, fontsize=7, ha="right", va="center")


def _profile_legend(figure: "Figure", shares: np.ndarray, mask: np.ndarray, interval: bool) -> None:
    entries = (
        (not (mask | (shares < HALF)).all(), BLUE, BLUE, "-", "mostly measured"),
        (bool((~mask & (shares < HALF)).any()), "none", ORANGE, "-", "mostly assumed"),
        (bool(mask.any()), "none", GREY, "--", FORCED_LABEL),
    )
    keys = [
        patch_key(f"range over the trial, {label}", facecolor=face, edgecolor=edge, linestyle=dash)
        for shown, face, edge, dash, label in entries
        if shown
    ]
    if interval:
        keys.append(line_key("95 % interval", color=GREY, linewidth=1.1))
    legend(figure, keys, 3)


def _name_levels(axes: "Axes", levels: Sequence[str]) -> None:
    """Levels as ticks, from below."""
    axes.set_yticks(range(len(levels)), levels, fontsize=7.5)
    axes.set_ylim(-0.6, len(levels) - 0.4)
    axes.tick_params(axis="y", length=0)


def region(level: str) -> str:
    """'lumbar', 'thoracic' or 'cervical' for a level named after its vertebrae, upper one first; T12–L1 is lumbar."""
    upper, _, lower = level.partition("-")
    if lower[:1] in ("L", "S"):
        return "lumbar"
    return "thoracic" if upper[:1] == "T" else "cervical"


def _borders(levels: Sequence[str]) -> list[float]:
    """Heights between regions."""
    return [i - 0.5 for i in range(1, len(levels)) if region(levels[i]) != region(levels[i - 1])]
