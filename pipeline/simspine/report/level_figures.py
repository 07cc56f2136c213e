"""Figures of all levels or all points at once: ranges of angles, and origins of points."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from simspine.core.arrays import runs_of_frames
from simspine.core.errors import InputError
from simspine.core.types import Forced, Markers
from simspine.quality.findings import THRESHOLDS
from simspine.quality.observability import forced_mask
from simspine.report.figure_style import (
    BLUE,
    FORCED_LABEL,
    GREY,
    INK_COLOUR,
    ORANGE,
    ORIGIN_COLOURS,
    PALE,
    VERMILLION,
    ArtistStyle,
    figure_legend,
    line_key,
    matplotlib_style,
    new_figure,
    patch_key,
)
from simspine.report.page import NORMAL_95
from simspine.report.spine_figures import AXIS_TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Levels: range of motion of each, with its interval and its verdict.


# Limits of the verdicts: measured ranges are filled, partly measured ones pale, assumed ones hollow and dashed.
MEASURED_FROM, ASSUMED_BELOW = THRESHOLDS["measured"].value_si, THRESHOLDS["assumed"].value_si
SHORT_PLANE_NAMES = ("flexion", "to the right", "to the left")


def _looks_by_verdict(shares: np.ndarray, forced: np.ndarray) -> list[tuple[np.ndarray, ArtistStyle]]:
    """(levels with this verdict, style of drawing) for the verdicts: measured, partly, assumed, set by the model.

    shares: (levels,), NaN counts as measured where the solver gave no share.
    """
    assumed, partly = shares < ASSUMED_BELOW, (shares >= ASSUMED_BELOW) & (shares < MEASURED_FROM)
    return [
        (~forced & ~assumed & ~partly, {"facecolor": BLUE, "edgecolor": BLUE}),
        (~forced & partly, {"facecolor": (BLUE, PALE / 2), "edgecolor": (BLUE, PALE)}),
        (~forced & assumed, {"facecolor": "none", "edgecolor": ORANGE, "linestyle": "--"}),
        (forced, {"facecolor": "none", "edgecolor": GREY, "linestyle": "--"}),
    ]


VERDICT_LABELS = ("measured", "partly measured", "assumed", FORCED_LABEL)


def range_profile(
    levels: Sequence[str],
    angles: np.ndarray,
    sd: np.ndarray | None,
    shares: np.ndarray,
    status: Sequence[str] | None = None,
    forced: Mapping[str, Sequence[Forced]] | None = None,
) -> "Figure":
    """Range of each level's angle over the trial (frames not rejected), with the 95 % interval around it.

    angles, sd: (frames, levels, 3) rad. shares: (levels, 3), NaN = not known. Looks: see `_looks_by_verdict`.
    """
    mask = forced_mask(levels, forced or {})
    kept = slice(None) if status is None else np.array([str(s) not in ("rejected", "inferred") for s in status], bool)
    ends = ends_of_span(angles[kept], None if sd is None else np.asarray(sd, float)[kept])
    with matplotlib_style():
        figure = new_figure(1.2 + 0.185 * len(levels))
        panels = figure.subplots(1, 3, sharey=True, subplot_kw={"ylim": (-0.6, len(levels) - 0.4)})
        for k, (axes, title) in enumerate(zip(panels, AXIS_TITLES, strict=True)):
            axes.axvline(0, color=GREY, linewidth=0.7, zorder=0)
            _draw_ranges(axes, ends[:, :, k], shares[:, k], mask[:, k])
            for edge in (i - 0.5 for i, (a, b) in enumerate(pairwise(map(spine_region, levels)), 1) if a != b):
                axes.axhline(edge, color=INK_COLOUR, linewidth=0.8)  # between regions
            axes.set(title=title, xlabel=f"angle (°), positive = {SHORT_PLANE_NAMES[k]}")
            axes.text(1.0, 1.0, "range", transform=axes.transAxes, fontsize=8.5, ha="right", va="bottom")
            axes.grid(axis="y", visible=False)
            low, high = axes.get_xlim()
            axes.set_xlim(low, high + 0.42 * (high - low))  # room for the numbers
            axes.set_yticks(range(len(levels)), levels, fontsize=8.5)
            axes.tick_params(axis="y", length=0, labelleft=True)
        _profile_legend(figure, shares, mask, sd is not None)
    return figure


def ends_of_span(angles: np.ndarray, sd: np.ndarray | None) -> np.ndarray:
    """(4, levels, 3) degrees: least angle minus 1.96 sd, least, greatest, greatest plus 1.96 sd; NaN = not known.

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
    """Draw the range and the interval of each level, all levels of a verdict at once. ends: (4, levels) as from
    `ends_of_span`."""
    known = np.isfinite(ends[1])
    for of_verdict, look in _looks_by_verdict(shares, forced):
        at = np.flatnonzero(known & of_verdict)
        low, least, greatest, high = ends[:, at]
        style = {"colors": look["edgecolor"], "linestyles": look.get("linestyle", "-"), "linewidth": 1.1}
        axes.hlines(at, low, least, **style)
        axes.hlines(at, greatest, high, **style)
        axes.barh(at, greatest - least, 0.56, least, linewidth=1.1, **look)
    span, interval_of_span = ends[2] - ends[1], np.hypot(ends[1] - ends[0], ends[3] - ends[2])
    decided = known & ~forced & ~(shares < ASSUMED_BELOW)
    for level in np.flatnonzero(decided & (span > interval_of_span)).tolist():
        text, place = f"{span[level]:.1f} ± {interval_of_span[level]:.1f}°", axes.get_yaxis_transform()
        axes.text(1.0, level, text, transform=place, fontsize=8.5, ha="right", va="center")


def _profile_legend(figure: "Figure", shares: np.ndarray, mask: np.ndarray, interval: bool) -> None:
    looks = _looks_by_verdict(shares, mask)
    keys = [patch_key(label, **look) for (own, look), label in zip(looks, VERDICT_LABELS, strict=True) if own.any()]
    if interval:
        keys.append(line_key("95 % interval", color=GREY, linewidth=1.1))
    figure_legend(figure, keys, 5)


def spine_region(level: str) -> str:
    """'lumbar', 'thoracic' or 'cervical' for a level named after its vertebrae, upper one first; T12–L1 is lumbar."""
    upper, _, lower = level.partition("-")
    if lower[:1] in ("L", "S"):
        return "lumbar"
    return "thoracic" if upper[:1] == "T" else "cervical"


# Points: origin of each in each frame.


POINT_STATES_DRAWN = ("missing", "filled", "inferred", "estimated", "given", "detected")
_HOLLOW: ArtistStyle = {"facecolor": "none"}
# Height and style of a bar, which can be told apart without colour.
_STATE_STYLES: dict[str, tuple[float, ArtistStyle]] = {
    "detected": (0.66, {"facecolor": ORIGIN_COLOURS["detected"], "linewidth": 0}),
    "given": (0.66, {"facecolor": ORIGIN_COLOURS["given"], "linewidth": 0}),
    "estimated": (0.62, {"edgecolor": ORIGIN_COLOURS["estimated"], "linewidth": 0.8, "hatch": "..."} | _HOLLOW),
    "inferred": (0.56, {"edgecolor": ORIGIN_COLOURS["inferred"], "linewidth": 1.0} | _HOLLOW),
    "filled": (0.34, {"edgecolor": ORIGIN_COLOURS["filled"], "linewidth": 0.8, "hatch": "/////"} | _HOLLOW),
    "missing": (0.0, {"edgecolor": "none"} | _HOLLOW),
}


def point_states(markers: Markers) -> np.ndarray:
    """(frames, markers) of indices into `POINT_STATES_DRAWN`; filled gaps count as 'filled', whatever the origin."""
    origin = markers.origins
    state = np.broadcast_to([POINT_STATES_DRAWN.index(str(o)) for o in origin], (markers.frames, len(origin))).copy()
    if markers.filled is not None:
        state[markers.filled] = POINT_STATES_DRAWN.index("filled")
    state[~markers.present] = POINT_STATES_DRAWN.index("missing")
    return state


def availability_figure(
    time: np.ndarray, names: Sequence[str], state: np.ndarray, status: Sequence[str] | None = None
) -> "Figure":
    """One line per point over time.

    state: (frames, points) indices into `POINT_STATES_DRAWN`. status: per frame; rejected ones are shaded.
    """
    half = (float(np.median(np.diff(time))) if len(time) > 1 else 1.0) / 2  # half the time from frame to frame
    with matplotlib_style():
        figure = new_figure(1.0 + 0.18 * len(names))
        axes = figure.subplots()
        _shade_rejected(axes, time, half, status)
        keys = axes.get_legend_handles_labels()[0]
        for kind, (height, style) in _STATE_STYLES.items():
            of_kind = state == POINT_STATES_DRAWN.index(kind)
            for p in range(len(names)) if height else ():
                spans = runs_of_frames(np.flatnonzero(of_kind[:, p]))
                bars = [(time[a] - half, time[b - 1] - time[a] + 2 * half) for a, b in spans]
                if bars:
                    axes.broken_barh(bars, (p - height / 2, height), **style)
            if of_kind.any():
                text = f"{kind} {100 * of_kind.mean():.1f} %" + (" (empty)" if kind == "missing" else "")
                keys.append(patch_key(text, **style))
        figure_legend(figure, keys, 6)
        axes.set_yticks(range(len(names)), names, fontsize=8.5)
        axes.set(ylim=(len(names) - 0.4, -0.6), title="Where each point came from: shares of points × frames")
        axes.set_xlabel("time (s)")
        if len(time):
            axes.set_xlim(time[0] - half, time[-1] + half)
        axes.grid(axis="y", visible=False)
    return figure


def _shade_rejected(axes: "Axes", time: np.ndarray, half: float, status: Sequence[str] | None) -> None:
    """Hatch stretches of rejected frames, half a frame wider on either side, with one legend entry; frames that were
    filled in get dots instead, and an entry of their own."""
    if status is None:
        return
    if len(status) != len(time):
        raise InputError(f"status has {len(status)} entries, expected one for each of {len(time)} frames.")
    for kind, hatch, text in (("rejected", "////", "rejected frames"), ("inferred", "..", "inferred, not seen")):
        of_kind = np.array([str(s) == kind for s in status], bool)
        label: str | None = f"{text} ({of_kind.sum()} of {of_kind.size})"
        for a, b in runs_of_frames(np.flatnonzero(of_kind)):
            left, right = time[a] - half, time[b - 1] + half
            # Two patches: SVG gives a hatch the opacity of the face it lies on.
            axes.axvspan(left, right, facecolor=VERMILLION, alpha=0.12, linewidth=0, zorder=0)
            axes.axvspan(left, right, facecolor="none", edgecolor=VERMILLION, hatch=hatch, linewidth=0, zorder=0,
                         label=label)  # fmt: skip
            label = None
