"""Read a lab's normative bands: mean and standard deviation of angles over a cycle, with where they come from.

CSV with the columns angle, percent, mean, sd (degrees), separated by commas, or by semicolons with decimal commas, and
a first line `# source: …`. simspine brings no such table.
"""

import csv
import io
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.formats._text import decoded, read_bytes

COLUMNS = ("angle", "percent", "mean", "sd")
_SOURCE = "# source:"
_FEWEST = 11  # places of a cycle; fewer would cut its peaks
_WIDEST = 360.0  # degrees


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
    first, _, rest = decoded(read_bytes(path), path)[0].lstrip("\ufeff").partition("\n")
    first = first.strip(' \t\r,;"')  # spreadsheets quote a line with commas, and fill it up to the number of columns
    source = first[len(_SOURCE) :].strip()
    if not first.lower().startswith(_SOURCE) or not source:
        raise InputError(f"{path}: the first line must say where the bands come from: `{_SOURCE} author, year, table`.")
    semicolons = ";" in rest.partition("\n")[0]  # where a comma marks decimals, spreadsheets part columns by these
    reader = csv.DictReader(io.StringIO(rest), delimiter=";" if semicolons else ",", skipinitialspace=True)
    if tuple(name.strip() for name in reader.fieldnames or ()) != COLUMNS:
        raise InputError(f"{path}: line 2 has the columns {reader.fieldnames}, expected {', '.join(COLUMNS)}.")
    rows: dict[str, list[list[float]]] = {}
    reader.fieldnames = COLUMNS
    for number, row in enumerate(reader, 3):
        if None in row:  # such as decimal commas between commas
            raise InputError(
                f"{path}, line {number}: over {len(COLUMNS)} cells; separate numbers with decimal commas by semicolons."
            )
        if row["angle"] not in angles:
            raise unknown_name("angle", row["angle"], sorted(angles), f"{path}, line {number}")
        try:
            texts = [row[column].replace(",", ".") if semicolons else row[column] for column in COLUMNS[1:]]
            values = [float(text) for text in texts]
        except (TypeError, ValueError, AttributeError):
            raise InputError(f"{path}, line {number}: expected three numbers: percent, mean, sd.") from None
        rows.setdefault(row["angle"], []).append(values)
    if not rows:
        raise InputError(f"{path} holds no bands.")
    return BandTable(source, {angle: _band(np.array(values), angle, path) for angle, values in rows.items()})


def _band(values: np.ndarray, angle: str, path: Path) -> NormativeBand:
    percent, mean, sd = values.T
    ends = len(percent) >= _FEWEST and percent[0] == 0 and percent[-1] == 100
    if not (ends and (np.diff(percent) > 0).all()):
        raise InputError(f"{path}: {angle}: percent must ascend from 0 to 100 in {_FEWEST} rows or more.")
    if not (np.isfinite(values).all() and (sd > 0).all() and (np.abs(values[:, 1:]) < _WIDEST).all()):
        raise InputError(f"{path}: {angle}: expected degrees, and standard deviations above 0.")
    return NormativeBand(percent, np.radians(mean), np.radians(sd))
