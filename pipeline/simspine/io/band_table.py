"""A lab's normative bands of angles over a cycle: CSV in degrees, under `# source: …`. simspine has none of its own."""

import csv
import io
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.core.errors import InputError, naming_table, unknown_name
from simspine.io.text_tables import read_text

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
    """The bands in a file. angles: names that may occur, with and without side.

    Raises `InputError` for a file without source, other columns, unknown angles, figures that are none, cycles that do
    not run from 0 to 100, and standard deviations that are not positive.
    """
    path = Path(path)
    first, _, rest = read_text(path).lstrip("\ufeff").partition("\n")
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
            cure = "separate numbers with decimal commas by semicolons."
            raise InputError(f"{path}, line {number}: over {len(BAND_COLUMNS)} cells; {cure}")
        if row["angle"] not in angles:
            raise unknown_name("angle", row["angle"], sorted(angles), f"{path}, line {number}")
        try:
            numbers = [row[column] for column in BAND_COLUMNS[1:]]
            values = [float(text.replace(",", ".") if semicolons else text) for text in numbers]
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
