"""Figures of several trials or runs: cycles of a movement with a lab's normative bands; networks side by side."""

import csv
import io
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simspine.anatomy.alignment import CYCLE_PERCENT
from simspine.anatomy.clinical import CLINICAL_DEFINITIONS
from simspine.core.errors import InputError, naming_table, unknown_name
from simspine.io.text_tables import decode_text, read_bytes
from simspine.report.figure_style import (
    BLUE,
    GREEN,
    INK_COLOUR,
    VERMILLION,
    figure_legend,
    line_key,
    matplotlib_style,
    new_figure,
    patch_key,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# A lab's normative bands: mean and standard deviation of angles over a cycle, and their source. CSV with the columns
# angle, percent, mean, sd (degrees), separated by commas, or by semicolons with decimal commas, and a first line
# `# source: …`. simspine brings no such table.


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
    with naming_table(path):
        cells = io.StringIO(rest, newline="")
        lines = list(csv.DictReader(cells, BAND_COLUMNS, delimiter=";" if semicolons else ",", skipinitialspace=True))
    columns = list(lines[0].values()) if lines else []
    if tuple(str(name).strip() for name in columns) != BAND_COLUMNS:
        raise InputError(f"{path}: line 2 has the columns {columns}, expected {', '.join(BAND_COLUMNS)}.")
    rows: dict[str, list[list[float]]] = {}
    for number, row in enumerate(lines[1:], 3):
        if None in row:  # such as decimal commas between commas
            raise InputError(
                f"{path}, line {number}: over {len(BAND_COLUMNS)} cells; separate numbers with decimal commas by "
                "semicolons."
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
    ± 1 standard deviation is drawn. spread: {angle: its ± of 95 %, rad}, written in the titles.
    Raises `InputError` where nothing moves.
    """
    moving = [name for name, values in angles.items() if np.nanmax(values) - np.nanmin(values) > _MIN_MOVEMENT_RAD]
    if not moving:
        raise InputError("no angle is known and moves in these cycles; are the frames between the events rejected?")
    panels: dict[str, list[str]] = {}
    for name in moving:
        panels.setdefault(name[:-2] if name[-2:] in ("_r", "_l") else name, []).append(name)
    rows = -(-len(panels) // _CYCLE_COLUMNS)
    with matplotlib_style():
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


def agreement_figure(people: Sequence[Mapping[str, Any]], angles: Sequence[str]) -> "Figure":
    """Bland–Altman figures, a panel for each angle: difference of two methods over their mean, a dot a person.

    people: rows with `<angle>_deg` and `<angle>_radiograph_deg`. Lines: the mean difference and ± 1.96 standard
    deviations of it (Bland & Altman 1986, Lancet 327:307). Raises `InputError` where no person has both.
    """
    with matplotlib_style():
        figure = new_figure(3.2)
        for axes, angle in zip(figure.subplots(1, len(angles), squeeze=False)[0], angles, strict=True):
            pairs = [(row[f"{angle}_deg"], row[f"{angle}_radiograph_deg"]) for row in people]
            pairs = [pair for pair in pairs if None not in pair]
            if not pairs:
                raise InputError(f"nobody has a {angle} from both methods; nothing can be compared.")
            estimate, radiograph = np.array(pairs).T
            difference = estimate - radiograph
            limits = 1.96 * difference.std(ddof=1) if len(difference) > 1 else 0.0
            axes.plot((estimate + radiograph) / 2, difference, "o", color=BLUE, markersize=3, alpha=0.6)
            for offset, dashes in ((0.0, "-"), (-limits, "--"), (limits, "--")):
                axes.axhline(difference.mean() + offset, color=VERMILLION, linestyle=dashes, linewidth=1.2)
            axes.set(
                title=f"{angle.capitalize()}: {difference.mean():+.1f} ± {limits:.1f}°",
                xlabel="mean of both (°)",
                ylabel="simspine less radiograph (°)",
            )
    return figure
