"""Figures of one trial's angles over time: curvature with normal bands, pelvis, trunk and limbs."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from simspine.anatomy.clinical import PublishedBand
from simspine.anatomy.vertebrae import ClinicalParameters
from simspine.core.arrays import require_shape
from simspine.core.types import Forced, ForcedKind
from simspine.quality.observability import spread_of_adults
from simspine.report import figure_style
from simspine.report.figure_style import (
    BLUE,
    INK_COLOUR,
    VERMILLION,
    figure_legend,
    fill_band,
    line_key,
    new_figure,
    shade_rejected,
    time_axis,
)
from simspine.report.summary import DOUBTED_VERDICTS, NORMAL_95, median_or_none, verdict_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Angles over time: curvature with normal bands, pelvis, trunk and limbs.


AXIS_TITLES = ("Flexion–extension", "Lateral bending", "Axial rotation")
CURVATURE_TITLES = {"lla": "Lumbar lordosis angle (L1–S1 Cobb)", "tka": "Thoracic kyphosis angle (T3–T12 Cobb)"}


def curvature_figure(
    time: np.ndarray,
    lla: np.ndarray,
    tka: np.ndarray,
    bands: Sequence[PublishedBand] = (),
    status: Sequence[str] | None = None,
    forced: Mapping[str, Sequence[Forced]] | None = None,
    lla_sd: np.ndarray | None = None,
    tka_sd: np.ndarray | None = None,
) -> "Figure":
    """Lumbar lordosis and thoracic kyphosis (Cobb) over time against normal bands.

    time: (frames,) s. lla, tka: (frames,) rad, NaN = not known. bands: of both; the first of each is shaded, all
    are shown as bars at the panel's right with their source. status: per frame kept, corrected or rejected (shaded).
    forced: may hold 'lla' or 'tka' with facts; such a curve is drawn as the model's, not as a measurement.
    lla_sd, tka_sd: (frames,) rad; a band of 95 % is drawn around the curve. A curve that is assumed
    or very uncertain compared with the spread among standing adults is drawn dashed and orange, and says so.
    """
    time = np.asarray(time, float)
    with figure_style.matplotlib_style():
        figure = new_figure(6.0)
        panels = figure.subplots(2, 1, sharex=True)
        for axes, key, values, sd in zip(panels, CURVATURE_TITLES, (lla, tka), (lla_sd, tka_sd), strict=True):
            degrees = np.degrees(require_shape(key, values, time.shape))
            sd_deg = None if sd is None else np.degrees(require_shape(f"{key}_sd", sd, time.shape))
            draw_curvature(
                axes, time, degrees, forced=(forced or {}).get(key, ()), sd=sd_deg, quantity=key, status=status
            )
            shade_rejected(axes, time, status)
            right = _draw_bands(axes, [band for band in bands if band.quantity == key])
            axes.set(title=CURVATURE_TITLES[key], ylabel=f"{key.upper()} (°)")
            axes.margins(y=0.12)
            axes.legend(loc="upper left", bbox_to_anchor=(right, 1.03), borderaxespad=0, handlelength=1.5)
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
        axes.plot(time, degrees, **figure_style.FORCED_STYLE, label=f"{text}\n{figure_style.FORCED_LABEL}")
        return
    note = "\n(one coordinate for all levels)" if forced else ""
    kept = np.array([word not in ("rejected", "inferred") for word in status or ["kept"] * len(time)], bool)
    usual = median_or_none(None if sd is None else sd[kept])
    verdict = verdict_on(quantity, usual)
    wide = verdict in DOUBTED_VERDICTS
    colour = figure_style.ORANGE if wide else figure_style.BLUE
    look = figure_style.MEASURED_STYLE | ({"linestyle": (0, (5, 2))} if wide else {})
    axes.plot(time, degrees, color=colour, label=f"this trial: {text}{note}", zorder=3, **look)
    if sd is None or usual is None:
        return
    _draw_interval(axes, time, degrees, NORMAL_95 * sd, colour=colour, usual=NORMAL_95 * usual)
    if wide:
        others = f"standing adults differ by ±{NORMAL_95 * spread_of_adults(quantity):.0f}°"
        warning = f"{verdict.upper()}: ±{NORMAL_95 * usual:.0f}°; {others}"
        axes.text(0.01, 0.03, warning, transform=axes.transAxes, fontweight="bold", fontsize=8, va="bottom", zorder=4)


def _draw_interval(
    axes: "Axes", time: np.ndarray, degrees: np.ndarray, reach: np.ndarray, colour: str, usual: float
) -> None:
    low, high = degrees - reach, degrees + reach
    label = f"95 % band, typically ±{usual:.0f}°"
    fill_band(axes, time, low, high, facecolor=colour, alpha=0.22, label=label, zorder=1)
    for edge in (low, high):
        axes.plot(time, edge, color=colour, linewidth=0.8, alpha=0.8, zorder=2)


def shade_band(axes: "Axes", band: PublishedBand, label: str | None = None) -> None:
    """A published band across the panel, with edges that show through whatever lies above."""
    axes.axhspan(band.low, band.high, facecolor=figure_style.SKY, alpha=0.2, linewidth=0, zorder=0, label=label)
    for edge in (band.low, band.high):
        axes.axhline(edge, color=figure_style.SKY, linewidth=1.0, zorder=2)


def _draw_bands(axes: "Axes", bands: Sequence[PublishedBand]) -> float:
    """Bars in the margin, lettered, their sources in the legend; returns where the legend starts (axes fraction)."""
    place = axes.get_yaxis_transform()  # x in fractions of the panel, y in degrees
    for i, band in enumerate(bands):
        x, letter = 1.025 + 0.03 * i, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i % 26]
        colour = figure_style.GREY if i else figure_style.SKY
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


# Panels: title, with what is positive where the name does not say it, and parameters; all of them angles.
_LIMB_PANELS = (
    ("Pelvic tilt (+: sacrum behind the hips)", ("pelvic_tilt",)),
    ("Trunk inclination (+: forwards)", ("trunk_inclination",)),
    ("Lumbar flexion, T12 on S1 (+: bending forward)", ("lumbar_flexion",)),
    ("Hip flexion", ("hip_flexion_r", "hip_flexion_l")),
    ("Hip adduction", ("hip_adduction_r", "hip_adduction_l")),
    ("Knee flexion", ("knee_flexion_r", "knee_flexion_l")),
    ("Ankle dorsiflexion (+: toes up)", ("ankle_dorsiflexion_r", "ankle_dorsiflexion_l")),
    ("Shoulder elevation (0: hanging)", ("shoulder_elevation_r", "shoulder_elevation_l")),
)
_LIMB_COLUMNS = 2


def limb_curves(time: np.ndarray, clinical: ClinicalParameters, status: Sequence[str] | None = None) -> "Figure | None":
    """A panel for each angle that is known, right and left in one; None where none is.

    time: (frames,) s. status: per frame kept, corrected, rejected or inferred (shaded).
    """
    panels = [(title, [name for name in names if _is_known(clinical, name)]) for title, names in _LIMB_PANELS]
    panels = [(title, names) for title, names in panels if names]
    if not panels:
        return None
    rows = -(-len(panels) // _LIMB_COLUMNS)
    with figure_style.matplotlib_style():
        figure = new_figure(0.6 + 1.75 * rows)
        grid = figure.subplots(rows, _LIMB_COLUMNS, sharex=True, squeeze=False)
        for number, axes in enumerate(grid.flat):
            if number >= len(panels):
                axes.set_visible(False)
                continue
            title, names = panels[number]
            for name in names:
                _draw_limbs(axes, time, clinical, name)
            shade_rejected(axes, time, status, labelled=False)
            axes.set(title=title, ylabel="°")
            time_axis(axes, time, labelled=number + _LIMB_COLUMNS >= len(panels))
        keys = [line_key("right", color=BLUE), line_key("left", color=VERMILLION, linestyle=(0, (5, 2)))]
        figure_legend(figure, [*keys, line_key("pelvis and trunk", color=INK_COLOUR)], 3)
    return figure


def _is_known(clinical: ClinicalParameters, name: str) -> bool:
    """Whether a parameter is there and not the model's own."""
    if name not in clinical.names or not np.isfinite(clinical.of(name)).any():
        return False
    return all(fact.kind is ForcedKind.SUM for fact in clinical.forced.get(name, ()))


def _draw_limbs(axes: "Axes", time: np.ndarray, clinical: ClinicalParameters, name: str) -> None:
    side = name.rpartition("_")[2]
    colour, dashes = {"r": (BLUE, "-"), "l": (VERMILLION, (0, (5, 2)))}.get(side, (INK_COLOUR, "-"))
    values, sd = np.degrees(clinical.of(name)), clinical.sd(name)
    if sd is not None:
        reach = NORMAL_95 * np.degrees(sd)
        fill_band(axes, time, values - reach, values + reach, color=colour, alpha=0.16)
    axes.plot(time, values, color=colour, linestyle=dashes, linewidth=1.4)
