"""A lab's normative bands of angles over a cycle: CSV in degrees, under `# source: …`. simspine has none of its own."""

import os
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from simspine.core.errors import InputError, unknown_name
from simspine.io.text_tables import cell_separator, parse_number, read_lines, split_cells

BAND_COLUMNS = ("angle", "percent", "mean", "sd")
_SOURCE_COMMENT = "# source:"
_MIN_CYCLE_PLACES, _MAX_ANGLE_DEG = 11, 360.0  # fewer places of a cycle would cut its peaks


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
    """The bands in a file. angles: names that may occur, with and without side."""
    (_, first), *lines = read_lines(path)
    first = first.strip(' \t,;"')  # spreadsheets quote a line with commas, and fill it up to the number of columns
    source = first[len(_SOURCE_COMMENT) :].strip()
    if not first.lower().startswith(_SOURCE_COMMENT) or not source:
        raise InputError(
            f"{path}: the first line must say where the bands come from: `{_SOURCE_COMMENT} author, year, table`."
        )
    mark = cell_separator(lines[0][1]) if lines else ","  # semicolons where a comma marks decimals
    cells = [(number, [cell.strip('"') for cell in split_cells(line, mark)]) for number, line in lines]
    columns = cells[0][1] if cells else []
    if tuple(columns) != BAND_COLUMNS:
        raise InputError(f"{path}: line 2 has the columns {columns}, expected {', '.join(BAND_COLUMNS)}.")
    rows: dict[str, list[list[float]]] = {}
    for number, (angle, *numbers) in cells[1:]:
        where = f"{path}, line {number}"
        if angle not in angles:
            raise unknown_name("angle", angle, sorted(angles), where)
        if len(numbers) != len(BAND_COLUMNS) - 1:
            cure = "Separate numbers with decimal commas by semicolons."
            raise InputError(f"{where}: {len(numbers)} numbers, expected percent, mean and sd. {cure}")
        values = [parse_number(text if mark == "," else text.replace(",", "."), where) for text in numbers]
        rows.setdefault(angle, []).append(values)
    if not rows:
        raise InputError(f"{path} holds no bands.")
    return BandTable(source, {angle: _parse_band(np.array(values), angle, path) for angle, values in rows.items()})


def _parse_band(values: np.ndarray, angle: str, path: str | os.PathLike) -> NormativeBand:
    percent, mean, sd = values.T
    ends = len(percent) >= _MIN_CYCLE_PLACES and percent[0] == 0 and percent[-1] == 100
    if not (ends and (np.diff(percent) > 0).all()):
        raise InputError(f"{path}: {angle}: percent must ascend from 0 to 100 in {_MIN_CYCLE_PLACES} rows or more.")
    if not (np.isfinite(values).all() and (sd > 0).all() and (np.abs(values[:, 1:]) < _MAX_ANGLE_DEG).all()):
        raise InputError(f"{path}: {angle}: expected degrees, and standard deviations above 0.")
    return NormativeBand(percent, np.radians(mean), np.radians(sd))
