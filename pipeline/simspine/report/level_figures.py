"""Figures of all levels or all points at once: ranges of angles, where points came from, how well they fit."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from simspine.core.arrays import runs_of_frames
from simspine.core.types import Forced, Markers
from simspine.quality.findings import THRESHOLDS
from simspine.quality.observability import forced_mask
from simspine.report.figure_style import (
    BLUE,
    COLOUR_CYCLE,
    FORCED_LABEL,
    GREY,
    INK_COLOUR,
    MEASURED_STYLE,
    ORANGE,
    ORIGIN_COLOURS,
    PALE,
    VERMILLION,
    ArtistStyle,
    figure_legend,
    line_key,
    line_segments,
    marker_style,
    matplotlib_style,
    new_figure,
    patch_key,
    shade_rejected,
    time_axis,
    time_step,
)
from simspine.report.page import NORMAL_95
from simspine.report.spine_figures import AXIS_TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Levels: range of motion of each, with its interval and its verdict.


# The limits of the verdicts: measured is filled, partly measured pale, assumed hollow and dashed.
MEASURED_FROM, ASSUMED_BELOW = THRESHOLDS["measured"].value_si, THRESHOLDS["assumed"].value_si
SHORT_PLANE_NAMES = ("flexion", "to the right", "to the left")


def _looks_by_verdict(shares: np.ndarray, forced: np.ndarray) -> list[tuple[np.ndarray, ArtistStyle]]:
    """(levels with this verdict, how they are drawn) of the four verdicts: measured, partly, assumed, set by the model.

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
        panels = figure.subplots(1, 3, sharey=True)
        for k, (axes, title) in enumerate(zip(panels, AXIS_TITLES, strict=True)):
            axes.axvline(0, color=GREY, linewidth=0.7, zorder=0)
            _draw_ranges(axes, ends[:, :, k], shares[:, k], mask[:, k])
            for edge in _region_borders(levels):
                axes.axhline(edge, color=INK_COLOUR, linewidth=0.8)
            axes.set(title=title, xlabel=f"angle (°), positive = {SHORT_PLANE_NAMES[k]}")
            axes.text(1.0, 1.0, "range", transform=axes.transAxes, fontsize=8.5, ha="right", va="bottom")
            axes.grid(axis="y", visible=False)
            low, high = axes.get_xlim()
            axes.set_xlim(low, high + 0.12 * (high - low))  # room for the numbers
        _name_levels(panels[0], levels)
        _profile_legend(figure, shares, mask, sd is not None)
    return figure


def ends_of_span(angles: np.ndarray, sd: np.ndarray | None) -> np.ndarray:
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
    """Of each level its range and its interval; those that look alike at once. ends: (4, levels) as of
    `ends_of_span`."""
    known = np.isfinite(ends[1])
    for own, look in _looks_by_verdict(shares, forced):
        at = np.flatnonzero(known & own)
        low, least, greatest, high = ends[:, at]
        spans, style = [(low, least, at), (greatest, high, at)], {"linestyle": look.get("linestyle", "-")}
        _draw_intervals(axes, spans, color=look["edgecolor"], **style)
        axes.barh(at, greatest - least, 0.56, least, linewidth=1.1, **look)
    span = ends[2] - ends[1]
    decided = known & ~forced & ~(shares < ASSUMED_BELOW)
    for level in np.flatnonzero(decided & (span > np.hypot(ends[1] - ends[0], ends[3] - ends[2]))).tolist():
        text, place = f"{span[level]:.1f}°", axes.get_yaxis_transform()
        axes.text(1.0, level, text, transform=place, fontsize=8.5, ha="right", va="center")


def _draw_intervals(axes: "Axes", spans: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], **style: Any) -> None:
    """Lines from start to stop (n,) at their levels (n,), those of some length."""
    ends = [[(a, y), (b, y)] for start, stop, at in spans for a, b, y in zip(start, stop, at, strict=True) if a < b]
    if ends:
        lines = line_segments(np.reshape(ends, (-1, 2)), np.arange(2 * len(ends)).reshape(-1, 2))
        axes.plot(*lines, linewidth=1.1, solid_capstyle="butt", **style)


def _profile_legend(figure: "Figure", shares: np.ndarray, mask: np.ndarray, interval: bool) -> None:
    looks = _looks_by_verdict(shares, mask)
    keys = [patch_key(label, **look) for (own, look), label in zip(looks, VERDICT_LABELS, strict=True) if own.any()]
    if interval:
        keys.append(line_key("95 % interval", color=GREY, linewidth=1.1))
    figure_legend(figure, keys, 5)


def _name_levels(axes: "Axes", levels: Sequence[str]) -> None:
    """Levels as ticks, from below."""
    axes.set_yticks(range(len(levels)), levels, fontsize=8.5)
    axes.set_ylim(-0.6, len(levels) - 0.4)
    axes.tick_params(axis="y", length=0)


def spine_region(level: str) -> str:
    """'lumbar', 'thoracic' or 'cervical' for a level named after its vertebrae, upper one first; T12–L1 is lumbar."""
    upper, _, lower = level.partition("-")
    if lower[:1] in ("L", "S"):
        return "lumbar"
    return "thoracic" if upper[:1] == "T" else "cervical"


def _region_borders(levels: Sequence[str]) -> list[float]:
    """Heights between regions."""
    return [i - 0.5 for i in range(1, len(levels)) if spine_region(levels[i]) != spine_region(levels[i - 1])]


# Points: where each came from in each frame, and how far it is from its images and from the body.


POINT_STATES_DRAWN = ("missing", "filled", "inferred", "estimated", "given", "detected")
_HOLLOW: ArtistStyle = {"facecolor": "none"}
# Height of a bar and how it is drawn: readable without colour.
_STATE_STYLES: dict[str, tuple[float, ArtistStyle]] = {
    "detected": (0.66, {"facecolor": ORIGIN_COLOURS["detected"], "linewidth": 0}),
    "given": (0.66, {"facecolor": ORIGIN_COLOURS["given"], "linewidth": 0}),
    "estimated": (0.62, {"edgecolor": ORIGIN_COLOURS["estimated"], "linewidth": 0.8, "hatch": "..."} | _HOLLOW),
    "inferred": (0.56, {"edgecolor": ORIGIN_COLOURS["inferred"], "linewidth": 1.0} | _HOLLOW),
    "filled": (0.34, {"edgecolor": ORIGIN_COLOURS["filled"], "linewidth": 0.8, "hatch": "/////"} | _HOLLOW),
    "missing": (0.0, {"edgecolor": "none"} | _HOLLOW),
}


def point_states(markers: Markers) -> np.ndarray:
    """(frames, markers) of indices into `POINT_STATES_DRAWN`. A filled gap outranks the point's origin."""
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
    half = time_step(time) / 2
    with matplotlib_style():
        figure = new_figure(1.0 + 0.18 * len(names))
        axes = figure.subplots()
        shade_rejected(axes, time, status)
        keys = axes.get_legend_handles_labels()[0]
        for kind, (height, style) in _STATE_STYLES.items():
            own = state == POINT_STATES_DRAWN.index(kind)
            for p in range(len(names)) if height else ():
                spans = runs_of_frames(np.flatnonzero(own[:, p]))
                bars = [(time[a] - half, time[b - 1] - time[a] + 2 * half) for a, b in spans]
                if bars:
                    axes.broken_barh(bars, (p - height / 2, height), **style)
            if own.any():
                text = f"{kind} {100 * own.mean():.1f} %" + (" (empty)" if kind == "missing" else "")
                keys.append(patch_key(text, **style))
        figure_legend(figure, keys, 6)
        axes.set_yticks(range(len(names)), names, fontsize=8.5)
        axes.set(ylim=(len(names) - 0.4, -0.6), title="Where each point came from: shares of points × frames")
        axes.grid(axis="y", visible=False)
        time_axis(axes, time)
    return figure


# Signs behind names, and why.
_UNSEEN_SIGNS = {"inferred": ("○", "no observation of its own"), "estimated": ("◇", "not seen itself")}
FLAG_MM = 100  # the distance at which the validation protocol sends a marker back


def reprojection_figure(errors: np.ndarray, kept: np.ndarray, cameras: Sequence[str], swapped: np.ndarray) -> "Figure":
    """Distribution of the reprojection error per camera, the share of observations kept, and left/right swaps undone.

    errors: (frames, views, points) px, NaN = no observation. kept, swapped: same shape, bool.
    """
    observed = np.isfinite(errors)
    with matplotlib_style():
        figure = new_figure(3.5)
        left, right = figure.subplots(1, 2, width_ratios=[1.55, 1])
        _draw_cumulative(left, errors[observed], label="all detections, unused ones too", color=GREY, linestyle="--")
        for v, camera in enumerate(cameras):
            own = errors[:, v][observed[:, v] & kept[:, v]]
            _draw_cumulative(left, own, label=camera, color=COLOUR_CYCLE[v % len(COLOUR_CYCLE)], **MEASURED_STYLE)
        good = errors[observed & kept]
        left.set_xscale("log")
        if observed.any():
            left.set_xlim(max(0.1, np.percentile(errors[observed], 0.5)), np.percentile(errors[observed], 99.8) * 1.1)
        left.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f} %")
        left.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        left.set(ylim=(0, 1), xlabel="reprojection error (px, logarithmic)", ylabel="detections below")
        left.set_title(
            f"Used detections: median {np.median(good):.1f} px, 90th percentile {np.percentile(good, 90):.1f} px"
            if good.size
            else "No detection was used"
        )
        if observed.any():
            left.legend(loc="lower right")
        _kept_bars(right, observed, kept, swapped=swapped, cameras=cameras)
    return figure


def _draw_cumulative(axes: "Axes", values: np.ndarray, **style: Any) -> None:
    """An empirical distribution with at most 400 steps: enough for the eye, and light for long trials."""
    if values.size:
        share = np.linspace(0, 1, min(400, values.size + 1))
        axes.plot(np.maximum(np.quantile(values, share), 1e-3), share, **style)


def _kept_bars(
    axes: "Axes", observed: np.ndarray, kept: np.ndarray, swapped: np.ndarray, cameras: Sequence[str]
) -> None:
    for v in range(len(cameras)):
        total = int(observed[:, v].sum())
        share = (observed & kept)[:, v].sum() / total if total else np.nan
        axes.barh(v, 1, color="none", edgecolor=GREY, linewidth=0.6, height=0.62)
        axes.barh(v, share, color=COLOUR_CYCLE[v % len(COLOUR_CYCLE)], height=0.62, alpha=0.85)
        axes.text(1.28, v, f"{100 * share:.1f} %" if total else "none", va="center", ha="right", fontsize=8.5)
        exchanged = f"{100 * (swapped[:, v] & observed[:, v]).sum() / max(total, 1):.1f} %"
        axes.text(1.6, v, exchanged, va="center", ha="right", fontsize=8.5)
    axes.set_yticks(range(len(cameras)), cameras)
    axes.invert_yaxis()
    axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    for right_end, title in ((1.28, "used"), (1.62, "L/R exch.")):
        axes.text(right_end, -0.55, title, va="bottom", ha="right", fontsize=8.5)
    axes.set(xlim=(0, 1.62), xlabel="detections used; left and right exchanged")
    axes.grid(False)


def reprojection_by_point_svg(
    errors: np.ndarray, kept: np.ndarray, names: Sequence[str], cameras: Sequence[str], origin: Sequence[str]
) -> str:
    """Median error of used detections, and share used, for each point in each camera, as an `<svg>` element.

    errors, kept: (frames, views, points), px and bool. origin: per point; inferred and estimated ones get a sign.
    """
    median, share = _errors_by_point(errors, kept)
    top = np.nanmax(median, initial=1e-9, where=np.isfinite(median))
    middle, bottom = (_TABLE_LEFT + _TABLE_RIGHT) / 2, _TABLE_TOP + _ROW * (len(names) + 2)
    parts = [f'<svg viewBox="0 0 {_TABLE_RIGHT} {bottom}" font-size="8.5" fill="currentColor">']
    seen = np.isfinite(errors).any(1).mean(0)
    for row, (name, kind, part) in enumerate(zip(names, origin, seen, strict=True)):
        label = f"{name} {_UNSEEN_SIGNS[kind][0]}" if kind in _UNSEEN_SIGNS else name + _rarely_seen(part)
        parts.append(_svg_text(_TABLE_LEFT - 6, row, label, anchor="end"))
    title = "Median error of used detections (px)"
    parts += _svg_table((_TABLE_LEFT, middle - 5), title, cameras, median / top, shown=median)
    title = "Used, of the detections there were (%)"
    parts += _svg_table((middle + 5, _TABLE_RIGHT), title, cameras, 1 - share, shown=100 * share)
    said = [f"{sign} {kind} point: {why}" for kind, (sign, why) in _UNSEEN_SIGNS.items() if kind in origin]
    parts.append(_svg_text(_TABLE_RIGHT, len(names) + 1, "; ".join(said), anchor="end"))
    return "".join([*parts, "</svg>"])


def _errors_by_point(errors: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(points, views): median error of used detections, px, and share of detections used; NaN = none."""
    observed = np.isfinite(errors)
    median = np.full(errors.shape[:0:-1], np.nan)
    share = np.full_like(median, np.nan)
    for p, v in np.ndindex(median.shape):
        use = observed[:, v, p] & kept[:, v, p]
        if use.any():
            median[p, v] = np.median(errors[use, v, p])
        if observed[:, v, p].any():
            share[p, v] = use.sum() / observed[:, v, p].sum()
    return median, share


def _rarely_seen(share: float) -> str:
    """In which share of the frames a point was detected, if in fewer than half of them."""
    return f" (in {100 * share:.0f} % of frames)" if 0 < share < 0.5 else ""


# Of the table of points, in points (1/72 inch): its sides, and the height of a row. Cells at most so opaque that ink is
# read on them, on light and on dark pages.
_TABLE_LEFT, _TABLE_RIGHT, _TABLE_TOP, _ROW, _MOST_OPAQUE = 150, 619, 18, 13, 0.6


def _svg_text(x: float, row: float, text: str, anchor: str = "middle") -> str:
    """Text in a row of the table; the last before it: -1."""
    y = _TABLE_TOP + _ROW * (row + 0.72)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg_table(
    sides: tuple[float, float], title: str, cameras: Sequence[str], bad: np.ndarray, *, shown: np.ndarray
) -> Iterator[str]:
    """Whole numbers in cells, between a title and the cameras' names. sides: left and right.

    bad: from 0 (pale) to 1 (dark); shown: the numbers; both (rows, cameras), NaN = not known.
    """
    yield _svg_text(sum(sides) / 2, -1, title)
    width = (sides[1] - sides[0]) / max(1, len(cameras))
    for column, camera in enumerate(cameras):
        x = sides[0] + column * width
        yield _svg_text(x + width / 2, len(shown), camera)
        for row, value in enumerate(shown[:, column]):
            known = np.isfinite(value)
            if known:
                yield (
                    f'<rect x="{x:.1f}" y="{_TABLE_TOP + _ROW * row}" width="{width:.1f}" height="{_ROW}" '
                    f'style="fill: var(--blue)" fill-opacity="{_MOST_OPAQUE * bad[row, column]:.2f}"/>'
                )
            yield _svg_text(x + width / 2, row, f"{value:.0f}" if known else "–")


def marker_error_figure(names: Sequence[str], errors: np.ndarray, origin: Sequence[str]) -> "Figure":
    """Distance between each measured marker and the body's: median, and the middle half of the frames.

    errors: (frames, markers) m, NaN = missing. origin: per marker; hollow where inferred.
    """
    errors = 1000 * errors
    known = np.isfinite(errors).any(0)
    quartiles = np.full((3, len(names)), np.nan)
    quartiles[:, known] = np.nanpercentile(errors[:, known], [25, 50, 75], axis=0)
    order = [i for i in np.argsort(-quartiles[1], kind="stable") if known[i]] + list(np.flatnonzero(~known))
    with matplotlib_style():
        figure = new_figure(0.9 + 0.185 * len(names))
        axes = figure.subplots()
        for y, i in enumerate(order):
            if not known[i]:
                axes.text(0, y, " no marker in any frame", va="center", fontsize=8.5, color=GREY)
                continue
            colour = VERMILLION if quartiles[1, i] > FLAG_MM else BLUE
            axes.plot(quartiles[[0, 2], i], [y, y], color=colour, linewidth=3.4, alpha=0.35)
            axes.plot(quartiles[1, i], y, markersize=5.5, linestyle="none", **marker_style(origin[i], colour))
            axes.annotate(f"{quartiles[1, i]:.0f}", (quartiles[2, i], y), xytext=(4, 0), textcoords="offset points",
                          va="center", fontsize=8.5)  # fmt: skip
        high = np.nanmax(quartiles[2]) if known.any() else 1.0
        flagged = high > 0.6 * FLAG_MM
        if flagged:
            axes.axvline(FLAG_MM, color=VERMILLION, linestyle="--", linewidth=1)
            axes.text(FLAG_MM, -0.9, f" flag at {FLAG_MM:.0f} mm", color=VERMILLION, fontsize=8.5, va="bottom")
        axes.set(xlim=(0, max(high * 1.08, 1.12 * FLAG_MM if flagged else 0)), ylim=(len(names) - 0.4, -0.6),
                 xlabel="distance between measured marker and body (mm)")  # fmt: skip
        axes.set_yticks(range(len(names)), [names[i] for i in order], fontsize=8.5)
        axes.set_title("Marker errors of the fit: median (dot, number), middle half of the frames (line)", pad=20)
        kinds = [kind for kind in ("detected", "given", "estimated", "inferred") if kind in origin]
        keys = [line_key(kind, linestyle="none", markersize=5.5, **marker_style(kind, INK_COLOUR)) for kind in kinds]
        axes.legend(handles=keys, loc="lower right")
    return figure
