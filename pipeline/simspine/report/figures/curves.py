"""Angles over time: curvature against normal bands, and the angle of each level about three axes."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from simspine.arrays import checked
from simspine.quality.curvature_figures import spread_of_adults
from simspine.quality.observability import forced_mask
from simspine.report import style
from simspine.report.figures.common import fill_band, legend, line_key, new_figure, shade_rejected, spread, time_axis
from simspine.report.summary import DOUBTED, typical, verdict_on
from simspine.spine.bands import Band
from simspine.spine.levels import POSITIVE
from simspine.types import Forced, ForcedKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NORMAL_95 = 1.96  # standard deviations to either side
TITLES = ("Flexion–extension", "Lateral bending", "Axial rotation")
CURVATURE_TITLES = {"lla": "Lumbar lordosis angle (L1–S1 Cobb)", "tka": "Thoracic kyphosis angle (T3–T12 Cobb)"}


def curvature(
    time: np.ndarray,
    lla: np.ndarray,
    tka: np.ndarray,
    bands: Sequence[Band] = (),
    status: Sequence[str] | None = None,
    forced: Mapping[str, Sequence[Forced]] | None = None,
    lla_sd: np.ndarray | None = None,
    tka_sd: np.ndarray | None = None,
) -> "Figure":
    """Lumbar lordosis and thoracic kyphosis (Cobb) over time against normal bands.

    time: (frames,) s. lla, tka: (frames,) rad, NaN = not known. bands: of both; the first of each is shaded, all
    are shown as bars beside the panel with their source. status: per frame kept, corrected or rejected (shaded).
    forced: may hold 'lla' or 'tka' with facts; such a curve is drawn as the model's, not as a measurement.
    lla_sd, tka_sd: (frames,) rad; a band of 95 % is drawn around the curve. A curve that is assumed
    or very uncertain beside the spread among standing adults is drawn dashed and orange, and says so.
    """
    time = np.asarray(time, float)
    with style.styled():
        figure = new_figure(6.0)
        panels = figure.subplots(2, 1, sharex=True)
        for axes, key, values, sd in zip(panels, CURVATURE_TITLES, (lla, tka), (lla_sd, tka_sd), strict=True):
            degrees = np.degrees(checked(key, values, time.shape))
            sd_deg = None if sd is None else np.degrees(checked(f"{key}_sd", sd, time.shape))
            draw_curvature(axes, time, degrees, (forced or {}).get(key, ()), sd_deg, key, status)
            shade_rejected(axes, time, status)
            beside = _draw_bands(axes, [band for band in bands if band.quantity == key])
            axes.set(title=CURVATURE_TITLES[key], ylabel=f"{key.upper()} (°)")
            axes.margins(y=0.12)
            axes.legend(loc="upper left", bbox_to_anchor=(beside, 1.03), borderaxespad=0, handlelength=1.5)
            time_axis(axes, time, labelled=axes is panels[1])
    return figure


def draw_curvature(
    axes: "Axes",
    time: np.ndarray,
    degrees: np.ndarray,
    forced: Sequence[Forced],
    sd: np.ndarray | None,
    quantity: str,
    status: Sequence[str] | None = None,
) -> None:
    """One curve with its band. sd: (frames,) degrees or None. forced: what the model forces of it. status: of each
    frame; the verdict is that on frames which were not rejected."""
    known = degrees[np.isfinite(degrees)]
    text = f"mean {known.mean():.1f}°, span {np.ptp(known):.1f}°" if known.size else "not known"
    if any(fact.kind is not ForcedKind.SUM for fact in forced):
        axes.plot(time, degrees, **style.FORCED, label=f"{text}\n{style.FORCED_LABEL}")
        return
    note = "\n(one coordinate for all levels)" if forced else ""
    kept = np.array([word not in ("rejected", "inferred") for word in status or ["kept"] * len(time)], bool)
    usual = typical(None if sd is None else sd[kept])
    verdict = verdict_on(quantity, usual)
    wide = verdict in DOUBTED
    colour = style.ORANGE if wide else style.BLUE
    look = style.MEASURED | ({"linestyle": (0, (5, 2))} if wide else {})
    axes.plot(time, degrees, color=colour, label=f"this trial: {text}{note}", zorder=3, **look)
    if sd is None or usual is None:
        return
    low, high = degrees - NORMAL_95 * sd, degrees + NORMAL_95 * sd
    label = f"95 % band, typically ±{NORMAL_95 * usual:.0f}°"
    fill_band(axes, time, low, high, facecolor=colour, alpha=0.22, label=label, zorder=1)
    for edge in (low, high):
        axes.plot(time, edge, color=colour, linewidth=0.8, alpha=0.8, zorder=2)
    if wide:
        others = f"standing adults differ by ±{NORMAL_95 * spread_of_adults(quantity):.0f}°"
        text = f"{verdict.upper()}: ±{NORMAL_95 * usual:.0f}°; {others}"
        axes.text(0.01, 0.03, text, transform=axes.transAxes, fontweight="bold", fontsize=8, va="bottom", zorder=4)


def shade_band(axes: "Axes", band: Band, label: str | None = None) -> None:
    """A published band across the panel, with edges that show through whatever lies above."""
    axes.axhspan(band.low, band.high, facecolor=style.SKY, alpha=0.2, linewidth=0, zorder=0, label=label)
    for edge in (band.low, band.high):
        axes.axhline(edge, color=style.SKY, linewidth=1.0, zorder=2)


def _draw_bands(axes: "Axes", bands: Sequence[Band]) -> float:
    """Bars in the margin, lettered, their sources in the legend; returns where the legend starts (axes fraction)."""
    place = axes.get_yaxis_transform()  # x in fractions of the panel, y in degrees
    for i, band in enumerate(bands):
        x, letter = 1.025 + 0.03 * i, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i % 26]
        colour = style.GREY if i else style.SKY
        if i == 0:
            shade_band(axes, band)
        axes.plot([x, x], [band.low, band.high], color=colour, linewidth=4, transform=place, clip_on=False,
                  solid_capstyle="butt")  # fmt: skip
        axes.annotate(letter, (x, band.high), xycoords=place, xytext=(0, 2), textcoords="offset points", ha="center",
                      fontsize=7, annotation_clip=False)  # fmt: skip
        axes.update_datalim([(0, band.low), (0, band.high)], updatex=False)  # clipped artists do not count otherwise
        check = "; to be checked" if band.grade == "C" else ""
        text = fill(f"{letter}: {band.low:g}–{band.high:g}°, {band.span} ({band.source}{check})", 46)
        axes.plot([], [], color=colour, linewidth=4, label=text, solid_capstyle="butt")
    return 1.03 + 0.03 * len(bands)


def level_angles(
    time: np.ndarray,
    levels: Sequence[str],
    angles: np.ndarray,
    forced: Mapping[str, Sequence[Forced]] | None = None,
    status: Sequence[str] | None = None,
) -> "Figure":
    """The angle of each level about three axes: one panel each for flexion–extension, lateral bending, axial rotation.

    time: (frames,) s. angles: (frames, levels, 3) rad, NaN = not known. forced: see `forced_mask`; dashed grey.
    """
    time = np.asarray(time, float)
    degrees = np.degrees(checked("angles", angles, (len(time), len(levels), 3)))
    mask = forced_mask(levels, forced or {})
    with style.styled():
        figure = new_figure(8.2)
        panels = figure.subplots(3, 1, sharex=True)
        for k, axes in enumerate(panels):
            shade_rejected(axes, time, status, labelled=k == 0)
            _draw_levels(axes, time, levels, degrees[:, :, k], mask[:, k])
            axes.axhline(0, color=style.GREY, linewidth=0.7, zorder=1)
            axes.set(title=f"{TITLES[k]}; positive = {POSITIVE[k]}", ylabel="angle (°)")
            time_axis(axes, time, labelled=k == 2)
        keys = panels[0].get_legend_handles_labels()[0]
        if not mask.all():
            keys.append(line_key("free in the model", color=style.BLUE, **style.MEASURED))
        if mask.any():
            keys.append(line_key(style.FORCED_LABEL, **style.FORCED))
        legend(figure, keys, 3)
    return figure


def _draw_levels(
    axes: "Axes", time: np.ndarray, levels: Sequence[str], degrees: np.ndarray, forced: np.ndarray
) -> None:
    colours = iter(style.sequence(max(1, int((~forced).sum()))))
    dashes, ends = 0, []
    for i, level in enumerate(levels):
        if not np.isfinite(degrees[:, i]).any():
            continue
        if forced[i]:
            look = style.FORCED | {"linestyle": (0, style.FORCED_DASHES[dashes % len(style.FORCED_DASHES)])}
            dashes += 1
        else:
            look = style.MEASURED | {"color": next(colours)}
        axes.plot(time, degrees[:, i], **look)
        known = np.flatnonzero(np.isfinite(degrees[:, i]))
        ends.append((level, degrees[known[-1], i], look["color"], time[known[-1]]))
    axes.margins(y=0.08)
    low, high = axes.get_ylim()
    room = 1.9 * 72  # the panel's height, points: a label of 7 points needs 8.5
    places = spread([(end[1] - low) / (high - low) for end in ends], 8.5 / room, 0.01, 0.99)
    for (level, value, colour, last), place in zip(ends, places, strict=True):
        axes.annotate(
            level, xy=(last, value), xytext=(1.03, place), textcoords="axes fraction", color=colour, fontsize=7.5,
            va="center", ha="left", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 1},
        )  # fmt: skip
