"""Angles over the cycles of a movement, beside the normative bands that a lab brought."""

import csv
import io
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simspine.anatomy.clinical import CLINICAL_DEFINITIONS, published_bands
from simspine.anatomy.clinical_angles import CYCLE_PERCENT
from simspine.anatomy.curvature import MOTION_PLANES
from simspine.core.errors import InputError, unknown_name
from simspine.evaluation.validation_records import LUMBAR_ROM, NECK_ROM, PAPER_CURVATURE_BY_ACTION
from simspine.evaluation.validation_tables import (
    RANGE_PERCENTILES,
    VALIDATION_NOTES,
    VALIDATION_TITLES,
    CurvatureRow,
    RangeRow,
    curvature_records,
    curvature_table,
    lumbar_rom,
    neck_rom,
    pooled_values,
    records_by_group,
    validation_cells,
    validation_tables_of,
)
from simspine.io.text_tables import decode_text, read_bytes
from simspine.quality.observability import Observability
from simspine.report import canvas, figure_style, page
from simspine.report.figure_style import (
    BLUE,
    FORCED_STYLE,
    GREEN,
    INK_COLOUR,
    PURPLE,
    SKY,
    VERMILLION,
    figure_legend,
    line_key,
    marker_face_colour,
    matplotlib_style,
    new_figure,
    observability_handles,
    observability_look,
    patch_key,
)
from simspine.report.spine_figures import AXIS_TITLES, CURVATURE_TITLES, shade_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Range of motion: lumbar levels about three axes beside the literature, and the neck by action.


RANGE_DEFINITION = f"range: percentile {RANGE_PERCENTILES[0]:g} to {RANGE_PERCENTILES[1]:g} of a person's frames"
_SOURCE_MARKERS = ("^", "v", "s", "D")


def lumbar_range_figure(dataset) -> "Figure | None":
    """Range of motion by lumbar level, from above, about three axes; None where the data set has no such levels.

    dataset: as `simspine.evaluation.validation_tables.lumbar_rom` takes it. The band spans the published values, one
    mark each. Filled:
    measured; hollow: assumed; dashed grey: set by the model, so no finding.
    """
    rows = [row for row in lumbar_rom(dataset) if row.level != "lumbar"]
    if not rows:
        return None
    levels = list(dict.fromkeys(row.level for row in rows))
    with matplotlib_style():
        figure = new_figure(4.1)
        panels = figure.subplots(1, 3)
        for k, axes in enumerate(panels):
            some = [row for row in rows if row.plane == MOTION_PLANES[k]]
            _draw_literature(axes, levels, MOTION_PLANES[k])
            forced = any(row.decided == Observability.FORCED for row in some)
            line = FORCED_STYLE if forced else {"color": INK_COLOUR, "linewidth": 0.9}
            axes.plot(range(len(some)), [row.rom_mean_deg for row in some], zorder=3, **line)
            for i, row in enumerate(some):
                _draw_point(axes, i, row)
            axes.set_xticks(range(len(levels)), levels, rotation=40, ha="right")
            top = 1.22 * axes.get_ylim()[1]  # room for the studies' names
            axes.set(title=AXIS_TITLES[k], ylim=(0, top), ylabel="total range of motion (°)")
            axes.grid(axis="x", visible=False)
        keys = observability_handles({row.decided for row in rows}, marker=True)
        keys.append(patch_key("published, bending as far as one can", facecolor=SKY, alpha=0.25))
        people = "; mean ± SD over people" if any(row.subjects > 1 for row in rows) else ""
        figure_legend(figure, keys, 3, title=RANGE_DEFINITION + people, title_fontsize=8, alignment="left")
    return figure


def _draw_literature(axes: "Axes", levels: Sequence[str], plane: str) -> None:
    """Band from the smallest to the largest published value, and the values themselves."""
    studies = [study for study in LUMBAR_ROM if study.plane == plane and set(study.totals) & set(levels)]
    table = np.array([[study.totals.get(level, np.nan) for level in levels] for study in studies])
    at = np.arange(len(levels))
    if table.size:
        low, high = np.nanmin(table, 0), np.nanmax(table, 0)
        axes.fill_between(at, low, high, facecolor=SKY, alpha=0.25, linewidth=0, zorder=0)
    for mark, values, study in zip(_SOURCE_MARKERS, table, studies, strict=False):
        axes.plot(at, values, mark, color=SKY, markersize=4, markeredgecolor=INK_COLOUR, markeredgewidth=0.4, zorder=2,
                  label=study.source)  # fmt: skip
    axes.legend(loc="upper left", fontsize=7, handletextpad=0.1, borderaxespad=0.1)


def _draw_point(axes: "Axes", at: float, row: RangeRow) -> None:
    shown = observability_look(row.decided)
    spread = None if np.isnan(row.rom_sd_deg) else row.rom_sd_deg
    axes.errorbar(
        at,
        row.rom_mean_deg,
        spread,
        fmt="o",
        color=shown.edge,
        markerfacecolor=marker_face_colour(shown),
        markersize=6,
        capsize=3,
        linewidth=1.1,
        zorder=4,
    )


def neck_range_figure(dataset) -> "Figure | None":
    """Range of motion of the neck in each action about three axes; None where the data set has no neck.

    dataset: as `simspine.evaluation.validation_tables.neck_rom` takes it. Sorted as the table is; the largest
    published range is written,
    not drawn: daily actions use a small part of it.
    """
    rows = [row for row in neck_rom(dataset) if row.action]
    if not rows:
        return None
    actions = list(dict.fromkeys(row.action for row in rows))
    with matplotlib_style():
        figure = new_figure(1.5 + 0.24 * len(actions))
        panels = figure.subplots(1, 3, sharey=True)
        for k, axes in enumerate(panels):
            some = {row.action: row for row in rows if row.plane == MOTION_PLANES[k]}
            for i, action in enumerate(actions):
                _draw_bar(axes, i, some[action])
            limit = max(study.totals["neck"] for study in NECK_ROM if study.plane == MOTION_PLANES[k])
            axes.set(title=AXIS_TITLES[k], xlabel=f"range (°); published maximum {limit:g}°")
            axes.set_xlim(left=0)
            axes.margins(x=0.1)
            axes.grid(axis="y", visible=False)
        panels[0].set_yticks(range(len(actions)), actions)
        panels[0].set_ylim(len(actions) - 0.4, -0.6)
        keys = observability_handles({row.decided for row in rows})
        if any(np.isfinite(row.rom_sd_deg) for row in rows):
            keys.append(line_key("± SD over people", color=VERMILLION, linewidth=1))
        figure_legend(
            figure, keys, len(keys), title=f"{RANGE_DEFINITION}; mean over people", title_fontsize=8, alignment="left"
        )
    return figure


def _draw_bar(axes: "Axes", at: float, row: RangeRow) -> None:
    shown = observability_look(row.decided)
    axes.barh(at, row.rom_mean_deg, 0.62, facecolor=shown.face, edgecolor=shown.edge, linewidth=1.1,
              linestyle=shown.dash)  # fmt: skip
    if np.isfinite(row.rom_sd_deg):
        axes.errorbar(row.rom_mean_deg, at, xerr=row.rom_sd_deg, color=VERMILLION, capsize=2, linewidth=1)


# Distribution of LLA and TKA in each action, how well they are known, the paper's means, the published range.


MOST_FRAMES = 4000  # per violin: more change its outline by less than a line's width


def curvature_violins(dataset) -> "Figure":
    """LLA and TKA of the kept frames per action; filled: measured, hollow: mostly assumed, dashed: set.

    dataset: as `simspine.evaluation.validation_tables.curvature_table` takes it. A violin's width is how often frames
    had an angle; how
    well the angle is known is the bar to its left, 95 % of one frame's estimate about the mean. The points to the
    right are the paper's mean ± SD.
    """
    some = curvature_records(dataset)
    groups = records_by_group(some, lambda record: record.action, PAPER_CURVATURE_BY_ACTION)
    rows = {row.name: row for row in curvature_table(some) if row.group == "action" and row.name in groups}
    with matplotlib_style():
        figure = new_figure(6.4)
        panels = figure.subplots(2, 1, sharex=True)
        for axes, quantity in zip(panels, CURVATURE_TITLES, strict=True):
            band = published_bands(quantity)[0]
            shade_band(axes, band)
            for i, (name, part) in enumerate(groups.items()):
                _draw_violin(axes, i, np.degrees(pooled_values(part, quantity)), row=rows[name], quantity=quantity)
            axes.set(title=CURVATURE_TITLES[quantity], ylabel=f"{quantity.upper()} (°)")
            axes.text(
                0.995, band.high, f"published: {band.low:g}–{band.high:g}° ({band.source.split(',')[0]})",
                transform=axes.get_yaxis_transform(), fontsize=7, ha="right", va="bottom",
            )  # fmt: skip
            axes.margins(y=0.1)
            axes.grid(axis="x", visible=False)
        turned = {"rotation": 40, "ha": "right"} if len(groups) > 6 else {}
        panels[1].set_xticks(range(len(groups)), groups, **turned)
        room = max(0.0, 6 - len(groups)) / 2  # a few violins stay slim
        panels[1].set_xlim(-0.6 - room, len(groups) - 0.4 + room)
        keys = observability_handles({getattr(row, f"{q}_decided") for row in rows.values() for q in CURVATURE_TITLES})
        keys.append(line_key("mean ± SD of the frames", color=INK_COLOUR, marker="o", markersize=3.5, linewidth=1))
        if any(np.isfinite(getattr(row, f"{q}_uncertainty_deg")) for row in rows.values() for q in CURVATURE_TITLES):
            keys.append(line_key("how well a frame is known, 95 %", color=PURPLE, linewidth=4, alpha=0.7))
        if any(np.isfinite(row.paper_lla_mean_deg) for row in rows.values()):
            keys.append(line_key("paper, mean ± SD", color=VERMILLION, marker="D", markersize=3, linewidth=0.9))
        figure_legend(figure, keys, len(keys))
    return figure


def _draw_violin(axes: "Axes", at: float, values: np.ndarray, row: CurvatureRow, quantity: str) -> None:
    """One violin with its mean and standard deviation, and the paper's beside it."""
    shown = observability_look(getattr(row, f"{quantity}_decided"))
    values = values[:: -(-len(values) // MOST_FRAMES)] if len(values) else values
    if len(values) and np.ptp(values) > 1e-6:
        axes.violinplot([values], [at], widths=0.6, showextrema=False)
        axes.collections[-1].set(
            facecolor=shown.face, edgecolor=shown.edge, alpha=1, linewidth=1.1, linestyle=shown.dash
        )
    elif len(values):  # constant: a violin of no height
        axes.plot([at - 0.3, at + 0.3], [values[0]] * 2, color=shown.edge, linewidth=1.4, linestyle=shown.dash)
    mean, sd = getattr(row, f"{quantity}_mean_deg"), getattr(row, f"{quantity}_sd_deg")
    if np.isfinite(mean):
        axes.errorbar(at, mean, sd, fmt="o", color=INK_COLOUR, markersize=3.5, capsize=2.5, linewidth=1, zorder=4)
    half = 1.96 * getattr(row, f"{quantity}_uncertainty_deg")
    if np.isfinite(mean) and np.isfinite(half):
        axes.plot([at - 0.38] * 2, [mean - half, mean + half], color=PURPLE, linewidth=4, alpha=0.7, zorder=3)
    mean, sd = getattr(row, f"paper_{quantity}_mean_deg"), getattr(row, f"paper_{quantity}_sd_deg")
    if np.isfinite(mean):
        axes.errorbar(at + 0.38, mean, sd, fmt="D", color=VERMILLION, markersize=3, capsize=2, linewidth=0.9, zorder=4)


# All validation figures of a data set, under the names their files use; and the same, with the tables, for a
# page.


def validation_figures(dataset) -> "dict[str, Figure]":
    """{'lla_tka', 'lumbar_rom', 'neck_rom': figure}; what the data lack is left out.

    dataset: a `Dataset`, an open `DatasetFile`, or `Record`s of `simspine.evaluation.validation_records`. The numbers
    are those of
    `simspine.evaluation.validation_tables`.
    """
    some = curvature_records(dataset)
    found = {
        "lla_tka": curvature_violins(some) if some else None,
        "lumbar_rom": lumbar_range_figure(some),
        "neck_rom": neck_range_figure(some),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


# Title, what it shows, how to read it.
_FIGURE_DESCRIPTIONS = {
    "lla_tka": (
        "Curvature by action",
        "Distribution of lumbar lordosis and thoracic kyphosis in each action, with published values",
        "Shaded: a published range of standing adults. Dashed grey is the model's, orange mostly assumed.",
    ),
    "lumbar_rom": (
        "Range of motion of the lumbar levels",
        "Range of motion from T12–L1 to L5–S1 about three axes, beside published ranges",
        "Where points are hollow, a prior or a coupler gave the curve its shape: no finding about the levels.",
    ),
    "neck_rom": (
        "Range of motion of the neck",
        "Range of motion of the head on the trunk in each action about three axes",
        "Daily actions use a small part of what people can.",
    ),
}


def validation_pictures(dataset, prefix: str = "validation") -> tuple[page.Picture, ...]:
    """The figures as SVG for a page. prefix: of their ids, so that they clash with no other on it."""
    made = []
    for name, figure in validation_figures(dataset).items():
        title, alt, caption = _FIGURE_DESCRIPTIONS[name]
        made.append(page.Picture(title, alt, caption, svg=canvas.figure_svg(figure, f"{prefix}-{name}")))
    return tuple(made)


def validation_text_tables(dataset) -> tuple[page.PageTable, ...]:
    """The tables as text for a page, folded under their titles; empty ones are left out."""
    made = []
    for name, rows in validation_tables_of(curvature_records(dataset)).items():
        if rows:
            header, lines = validation_cells(name, rows)
            made.append(page.PageTable(header, lines, VALIDATION_NOTES[name], VALIDATION_TITLES[name]))
    return tuple(made)


# Read a lab's normative bands: mean and standard deviation of angles over a cycle, with where they come from.
# CSV with the columns angle, percent, mean, sd (degrees), separated by commas, or by semicolons with decimal
# commas, and a first line `# source: …`. simspine brings no such table.


BAND_COLUMNS = ("angle", "percent", "mean", "sd")
_SOURCE_COMMENT = "# source:"
_MIN_CYCLE_PLACES = 11  # places of a cycle; fewer would cut its peaks
_MAX_ANGLE_DEG = 360.0  # degrees


@dataclass(frozen=True, eq=False)
class NormativeBand:
    """percent: (places,) of the cycle, ascending from 0 to 100. mean, sd: (places,) rad."""

    percent: np.ndarray
    mean: np.ndarray
    sd: np.ndarray


@dataclass(frozen=True, eq=False)
class BandTable:
    """source: as the file cites it. bands: {angle: band}; an angle without side serves both."""

    source: str
    bands: dict[str, NormativeBand]

    def of(self, name: str) -> NormativeBand | None:
        """The band of an angle, its own or that of both sides; None where there is none."""
        return self.bands.get(name, self.bands.get(name.removesuffix("_r").removesuffix("_l")))


def read_bands(path: str | os.PathLike, angles: Collection[str]) -> BandTable:
    """The bands in a file. angles: names that may occur, with and without side.

    Raises `InputError` for a file without source, other columns, unknown angles, figures that are none, cycles that do
    not run from 0 to 100, and standard deviations that are not positive.
    """
    path = Path(path)
    first, _, rest = decode_text(read_bytes(path), path)[0].lstrip("\ufeff").partition("\n")
    first = first.strip(' \t\r,;"')  # spreadsheets quote a line with commas, and fill it up to the number of columns
    source = first[len(_SOURCE_COMMENT) :].strip()
    if not first.lower().startswith(_SOURCE_COMMENT) or not source:
        raise InputError(
            f"{path}: the first line must say where the bands come from: `{_SOURCE_COMMENT} author, year, table`."
        )
    semicolons = ";" in rest.partition("\n")[0]  # where a comma marks decimals, spreadsheets part columns by these
    reader = csv.DictReader(io.StringIO(rest), delimiter=";" if semicolons else ",", skipinitialspace=True)
    if tuple(name.strip() for name in reader.fieldnames or ()) != BAND_COLUMNS:
        raise InputError(f"{path}: line 2 has the columns {reader.fieldnames}, expected {', '.join(BAND_COLUMNS)}.")
    rows: dict[str, list[list[float]]] = {}
    reader.fieldnames = BAND_COLUMNS
    for number, row in enumerate(reader, 3):
        if None in row:  # such as decimal commas between commas
            raise InputError(
                f"{path}, line {number}: over {len(BAND_COLUMNS)} cells; separate numbers with decimal commas by semicolons."
            )
        if row["angle"] not in angles:
            raise unknown_name("angle", row["angle"], sorted(angles), f"{path}, line {number}")
        try:
            texts = [row[column].replace(",", ".") if semicolons else row[column] for column in BAND_COLUMNS[1:]]
            values = [float(text) for text in texts]
        except (TypeError, ValueError, AttributeError):
            raise InputError(f"{path}, line {number}: expected three numbers: percent, mean, sd.") from None
        rows.setdefault(row["angle"], []).append(values)
    if not rows:
        raise InputError(f"{path} holds no bands.")
    return BandTable(source, {angle: _parse_band(np.array(values), angle, path) for angle, values in rows.items()})


def _parse_band(values: np.ndarray, angle: str, path: Path) -> NormativeBand:
    percent, mean, sd = values.T
    ends = len(percent) >= _MIN_CYCLE_PLACES and percent[0] == 0 and percent[-1] == 100
    if not (ends and (np.diff(percent) > 0).all()):
        raise InputError(f"{path}: {angle}: percent must ascend from 0 to 100 in {_MIN_CYCLE_PLACES} rows or more.")
    if not (np.isfinite(values).all() and (sd > 0).all() and (np.abs(values[:, 1:]) < _MAX_ANGLE_DEG).all()):
        raise InputError(f"{path}: {angle}: expected degrees, and standard deviations above 0.")
    return NormativeBand(percent, np.radians(mean), np.radians(sd))


_CYCLE_COLUMNS = 3
_MIN_CYCLES_FOR_SD = 3  # cycles from which on their standard deviation is drawn
_MIN_MOVEMENT_RAD = 1e-4  # rad: angles that move less belong to the body, not to the movement
_SIDE_STYLES = {"r": ("right", BLUE, "-"), "l": ("left", VERMILLION, (0, (5, 2)))}


def cycle_figure(
    angles: Mapping[str, np.ndarray], bands: BandTable | None = None, spread: Mapping[str, float] | None = None
) -> "Figure":
    """A panel for each angle, right and left in one: every cycle thin, their mean thick, from three cycles on with ± 1
    standard deviation of theirs, the normative band behind.

    angles: {clinical parameter: (cycles, 101) rad}, NaN = not known; those that stay the same are left out. bands: mean
    ± 1 standard deviation is drawn. spread: {angle: its ± of 95 %, rad}, told in the titles.
    Raises `InputError` where nothing moves.
    """
    moving = [name for name, values in angles.items() if np.nanmax(values) - np.nanmin(values) > _MIN_MOVEMENT_RAD]
    if not moving:
        raise InputError("no angle is known and moves in these cycles; are the frames between the events rejected?")
    panels: dict[str, list[str]] = {}
    for name in moving:
        panels.setdefault(name[:-2] if name[-2:] in ("_r", "_l") else name, []).append(name)
    rows = -(-len(panels) // _CYCLE_COLUMNS)
    with figure_style.matplotlib_style():
        figure = new_figure(0.9 + 1.9 * rows)
        grid = figure.subplots(rows, _CYCLE_COLUMNS, sharex=True, squeeze=False).flat
        for number, (axes, (title, names)) in enumerate(zip(grid, panels.items(), strict=False)):
            _draw_band(axes, names, bands)
            for name in names:
                _draw_cycles(axes, name, np.degrees(angles[name]))
            known = [np.degrees(spread[name]) for name in names if spread and name in spread]
            told = f"± {max(known):.0f}°" if known else "(°)"
            axes.set(title=f"{_angle_label(title, names)} {told}", xlim=(0, 100))
            axes.tick_params(labelbottom=True)
            if number + _CYCLE_COLUMNS >= len(panels):
                axes.set_xlabel("cycle (%)")
        for axes in figure.axes[len(panels) :]:
            axes.set_visible(False)
        keys = [line_key(text, color=colour, linestyle=dashes) for text, colour, dashes in _SIDE_STYLES.values()]
        keys += [] if bands is None else [patch_key(f"mean ± 1 sd: {bands.source}", facecolor=GREEN, alpha=0.25)]
        figure_legend(figure, keys, 3)
    return figure


def _angle_label(panel: str, names: list[str]) -> str:
    """An angle as the page calls it, without its side and its vertebrae."""
    known = CLINICAL_DEFINITIONS.get(names[0])
    return panel.replace("_", " ").capitalize() if known is None else known.label.partition(", ")[0]


def _draw_band(axes: "Axes", names: list[str], bands: BandTable | None) -> None:
    """The band of both sides once; where each side has its own, both."""
    found = [band for name in names if bands is not None and (band := bands.of(name)) is not None]
    for band in {id(band): band for band in found}.values():
        mean, sd = np.degrees(band.mean), np.degrees(band.sd)
        axes.fill_between(band.percent, mean - sd, mean + sd, color=GREEN, alpha=0.25, linewidth=0)


def _draw_cycles(axes: "Axes", name: str, values: np.ndarray) -> None:
    _, colour, dashes = _SIDE_STYLES.get(name[-1] if name[-2:-1] == "_" else "", ("", INK_COLOUR, "-"))
    axes.plot(CYCLE_PERCENT, values.T, color=colour, linewidth=0.6, alpha=0.45)
    known = np.isfinite(values).all(1)
    if known.sum() >= _MIN_CYCLES_FOR_SD:
        mean, sd = values[known].mean(0), values[known].std(0, ddof=1)
        axes.fill_between(CYCLE_PERCENT, mean - sd, mean + sd, color=colour, alpha=0.18, linewidth=0)
    if known.any():
        axes.plot(CYCLE_PERCENT, values[known].mean(0), color=colour, linestyle=dashes, linewidth=1.8)
