"""Figures of one trial's body: stick figures, the chain of the spine, curvature and angles of the limbs over time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from simspine.anatomy.clinical import PublishedBand
from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.anatomy.vertebrae import ClinicalParameters
from simspine.core.errors import InputError, require_shape
from simspine.core.geometry import change_frame
from simspine.core.types import Forced, ForcedKind, Markers
from simspine.quality.observability import spread_of_adults
from simspine.report import figure_style
from simspine.report.figure_style import (
    BLUE,
    GREY,
    INK_COLOUR,
    PAGE_WIDTH_IN,
    VERMILLION,
    bare_axes,
    figure_legend,
    fill_band,
    line_key,
    line_segments,
    marker_style,
    matplotlib_style,
    new_figure,
    patch_key,
    scale_bar,
    shade_rejected,
    time_axis,
)
from simspine.report.summary import DOUBTED_VERDICTS, median_or_none, verdict_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Stick figures with the spine from the side, the front and above, for a few frames.


FIGURE_VIEWS = ("side (facing right)", "front", "above")
UNKNOWN_VIEWS = ("along z", "along x", "along y")  # of points that do not show where the person faces
# Left and right: show where the person faces. A data set's file holds the trunk's points only, hence the last two.
BODY_PAIRS = (("LHip", "RHip"), ("LShoulder", "RShoulder"), ("LClavicle", "RClavicle"), ("LLatissimus", "RLatissimus"))

# Rows: what goes to the right and up in a view, along forward, up, right. From the front one faces the person: their
# right is on the viewer's left.
_SIDE_VIEW, _FRONT_VIEW, _VIEW_FROM_ABOVE = ((1, 0, 0), (0, 1, 0)), ((0, 0, -1), (0, 1, 0)), ((1, 0, 0), (0, 0, -1))
_VIEW_AXES = (_SIDE_VIEW, _FRONT_VIEW, _VIEW_FROM_ABOVE)
_UNSEEN_ORIGINS = {"inferred", "estimated"}  # drawn hollow, and with broken lines


def body_axes(points: np.ndarray, sides: Sequence[tuple[int, int]]) -> np.ndarray:
    """(3, 3) rows forward, up, to the person's right, for (n, 3) points in `y_up`, levelled: up stays up.

    sides: (left, right) numbers of paired points (hips, shoulders). Falls back to the axes of the frame where no pair
    is present.
    """
    left, right = np.array(sides, int).reshape(-1, 2).T
    across = points[right] - points[left]
    across = across[np.isfinite(across).all(-1)]
    up = np.array([0.0, 1.0, 0.0])
    side = across.mean(0) * [1, 0, 1] if len(across) else np.zeros(3)
    if np.linalg.norm(side) < 1e-6:
        side = np.array([0.0, 0.0, 1.0])  # OpenSim's own convention: z to the right
    side = side / np.linalg.norm(side)
    return np.stack([np.cross(up, side), up, side])


def stick_figures(
    markers: Markers, frames: Sequence[int], edges: Sequence[tuple[str, str]], spine: Sequence[str]
) -> "Figure":
    """Body in three views (rows) at some frames (columns), all at one scale.

    edges: pairs of marker names joined by a line. spine: markers of the spine, from below upwards, joined by a thick
    line. Names the markers lack are skipped. Inferred markers are hollow. Views are named by the body's sides where a
    left and a right point say where it faces, and by the axes of `y_up` where none do.
    """
    frames = [int(f) for f in frames]
    if not frames or min(frames) < 0 or max(frames) >= markers.frames:
        raise InputError(f"frames {frames} do not lie in 0…{markers.frames - 1}; choose at least one that does.")
    xyz = change_frame(markers.xyz, markers.frame, "y_up")
    at = {name: i for i, name in enumerate(markers.names)}
    sides = [(at[a], at[b]) for a, b in BODY_PAIRS if a in at and b in at]
    lines = [(at[a], at[b]) for a, b in edges if a in at and b in at]
    chain = [at[name] for name in spine if name in at]
    bodies = [_centred_body(xyz[frame], sides) for frame in frames]
    across, tall = _half_extent(bodies)
    with matplotlib_style():
        figure = new_figure(0.7 + min(9.0, PAGE_WIDTH_IN / len(frames) * (2 * tall + across) / across))
        panels = figure.subplots(3, len(frames), squeeze=False, height_ratios=[tall, tall, across])
        for column, points in zip(panels.T, bodies, strict=True):
            for axes, view in zip(column, _VIEW_AXES, strict=True):
                _draw_bodies(axes, points @ np.transpose(view), lines, chain=chain, origin=markers.origins)
                bare_axes(axes, 1.06 * across, 1.06 * (tall if axes is not column[2] else across))
        for axes, frame in zip(panels[0], frames, strict=True):
            axes.set_title(f"{markers.time[frame]:.2f} s (frame {frame})", fontsize=9)
        for axes, label in zip(panels[:, 0], FIGURE_VIEWS if sides else UNKNOWN_VIEWS, strict=True):
            axes.set_ylabel(label)
        scale_bar(panels[0, 0], (-1.02 * across, -tall), 0.5, gap=0.05, label="0.5 m")
        _bodies_legend(figure, markers.origins)
    return figure


def _half_extent(bodies: Sequence[np.ndarray]) -> tuple[float, float]:
    """Half of the horizontal and vertical extent of all bodies, m; at least a head's size."""
    reach = np.nanmax(np.abs([*np.concatenate(bodies), np.full(3, 0.3)]), axis=0)
    return max(reach[0], reach[2]), reach[1]


def _centred_body(points: np.ndarray, sides: Sequence[tuple[int, int]]) -> np.ndarray:
    """(points, 3) m along the person's axes, from the middle of their extent."""
    turned = points @ body_axes(points, sides).T
    known = turned[np.isfinite(turned).all(-1)]
    return turned - ((known.min(0) + known.max(0)) / 2 if len(known) else np.zeros(3))


def _draw_bodies(axes: "Axes", xy: np.ndarray, lines, chain: Sequence[int], origin: Sequence[str]) -> None:
    """Lines and points, those that look alike at once."""
    edges, bones, points = defaultdict(list), defaultdict(list), defaultdict(list)
    for a, b in lines:
        if a in chain and b in chain:
            continue
        hollow = bool(_UNSEEN_ORIGINS & {origin[a], origin[b]})
        edges["--" if hollow else "-"].append((a, b))
    for a, b in pairwise(chain):
        hollow = {origin[a], origin[b]} <= _UNSEEN_ORIGINS
        bones[(0, (2, 0.8)) if hollow else "-"].append((a, b))
    for i in range(len(xy)):
        points[i in chain, origin[i]].append(i)
    for dashes, pairs in edges.items():
        axes.plot(*line_segments(xy, pairs), color=GREY, linewidth=1.2, linestyle=dashes)
    for pattern, pairs in bones.items():
        axes.plot(*line_segments(xy, pairs), color=VERMILLION, linewidth=2.0, linestyle=pattern)
    for (of_spine, kind), some in points.items():
        style = marker_style(kind, VERMILLION if of_spine else BLUE)
        if kind in _UNSEEN_ORIGINS:
            style["markeredgewidth"] = 0.9
        axes.plot(*xy[some].T, markersize=3.2 if of_spine else 2.6, linestyle="none", **style)


def _bodies_legend(figure: "Figure", origin: Sequence[str]) -> None:
    keys = [line_key("spine", color=VERMILLION, linewidth=2.2)]
    for kind in ("detected", "given", "estimated", "inferred"):
        if kind in origin:
            keys.append(line_key(f"{kind} point", linestyle="none", markersize=4, **marker_style(kind, BLUE)))
    figure_legend(figure, keys, 4)


# The spine from the side and from the front at a few frames, with the uncertainty of each of its points.


CHAIN_PAIRS = (("LLatissimus", "RLatissimus"), ("LClavicle", "RClavicle"))
_ELLIPSE_SD = 2.0


def spine_chain(markers: Markers, frames: Sequence[int], centres: Markers | None = None) -> "Figure":
    """Points of the spine at some frames (columns), from the side and the front (rows), all at one scale.

    markers: the spine's points, y_up, with covariance (frames, markers, 3, 3) m²: ellipses of 2 standard deviations,
    which hold 86 % in the plane. centres: centres of the vertebrae, y_up, drawn as the column itself.
    """
    if markers.frame != "y_up" or (centres is not None and centres.frame != "y_up"):
        raise InputError(f"the spine's points are in frame {markers.frame!r}, expected 'y_up'; see change_frame.")
    at = [markers.index(name) for name in SPINE_CHAIN_MARKERS if name in markers.names]
    shown = [int(f) for f in frames if np.isfinite(markers.xyz[int(f), at]).any()]
    if not shown:
        raise InputError(f"no point of the spine is known in the frames {list(frames)}; choose others.")
    cells = [_chain_in_frame(markers, frame, at, centres) for frame in shown]
    reach = np.nanmax([np.nanmax(np.abs(points), axis=0) for points, _, _ in cells], axis=0) + 0.06  # m
    across, tall = max(reach[0], reach[2], 0.5 * reach[1] / len(cells)), reach[1]
    with matplotlib_style():
        figure = new_figure(0.5 + min(9.0, 2 * PAGE_WIDTH_IN / len(cells) * tall / across))
        panels = figure.subplots(2, len(cells), squeeze=False)
        for column, frame, (points, spread, centre) in zip(panels.T, shown, cells, strict=True):
            for axes, view in zip(column, (_SIDE_VIEW, _FRONT_VIEW), strict=True):
                _draw_chain(axes, points, spread, column=centre, turn=np.array(view, float))
                bare_axes(axes, across, tall)
            column[0].set_title(f"{markers.time[frame]:.2f} s", fontsize=9)
        for axes, label in zip(panels[:, 0], FIGURE_VIEWS[:2], strict=True):
            axes.set_ylabel(label)
        scale_bar(panels[0, 0], (-0.98 * across, -0.98 * tall), 0.1, gap=0.02, label="10 cm")
        _chain_legend(figure, cells)
    return figure


def _chain_in_frame(markers: Markers, frame: int, at: Sequence[int], centres: Markers | None):
    """Points, their covariances and the vertebral centres along the person's axes; None where not known."""
    sides = [(markers.index(a), markers.index(b)) for a, b in CHAIN_PAIRS if a in markers.names and b in markers.names]
    axes = body_axes(markers.xyz[frame], sides)
    origin = np.nanmean(markers.xyz[frame, at], axis=0)
    points = (markers.xyz[frame, at] - origin) @ axes.T
    spread = None if markers.covariance is None else axes @ markers.covariance[frame, at] @ axes.T
    return points, spread, None if centres is None else (centres.xyz[frame] - origin) @ axes.T


def _draw_chain(axes: "Axes", points: np.ndarray, spread, column, turn: np.ndarray) -> None:
    from matplotlib.patches import Ellipse

    if column is not None:
        axes.plot(*(turn @ column.T), color=GREY, linewidth=1.0, marker="o", markersize=1.8, zorder=1)
    xy = points @ turn.T
    for i, point in enumerate(xy):
        if spread is None or not np.isfinite(spread[i]).all():
            continue
        width, height, angle = covariance_ellipse(turn @ spread[i] @ turn.T)
        colours = {"facecolor": (BLUE, 0.14), "edgecolor": (BLUE, 0.8)}
        axes.add_patch(Ellipse(point, width, height, angle=angle, linewidth=0.7, **colours))
    axes.plot(*xy.T, color=VERMILLION, linewidth=1.8, marker="o", markersize=3.2, zorder=3)


def covariance_ellipse(covariance: np.ndarray) -> tuple[float, float, float]:
    """(width, height, angle in degrees) of the ellipse of 2 standard deviations of a (2, 2) covariance."""
    values, vectors = np.linalg.eigh(covariance)
    height, width = 2 * _ELLIPSE_SD * np.sqrt(np.maximum(values, 0))
    return float(width), float(height), float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))


def _chain_legend(figure: "Figure", cells) -> None:
    keys = [line_key("points of the spine", color=VERMILLION, linewidth=1.8, marker="o", markersize=3.2)]
    if any(spread is not None for _, spread, _ in cells):
        keys.append(patch_key("2 standard deviations", facecolor=BLUE, edgecolor=INK_COLOUR, alpha=0.3))
    if any(column is not None for _, _, column in cells):
        keys.append(line_key("vertebral centres", color=GREY, linewidth=1.0, marker="o", markersize=2))
    figure_legend(figure, keys, 3)


# Angles over time: curvature with normal bands, pelvis, trunk and limbs.


NORMAL_95 = 1.96  # standard deviations to either side
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
