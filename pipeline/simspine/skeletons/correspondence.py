"""Which marker of a motion capture is which SIMSPINE point, and how much it is worth there: tables as data.

A table is a CSV file with the columns joint, point, role, weight, sd_m, note. A joint without a point is not used; its
note says why. The released code overwrites Hip, Spine_04, Neck and Nose with joints of Human3.6M that lie elsewhere.
"""

import csv
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from simspine.errors import InputError, unknown_name
from simspine.skeletons import TARGET, load, tables_in

COLUMNS = ("joint", "point", "role", "weight", "sd_m", "note")


class Pair(NamedTuple):
    """marker: its name in the motion capture. point: SIMSPINE's name of the same place on the body.

    weight: confidence, where triangulated points have 0…1. sd: standard deviation of a coordinate, m, errors of
    placing the joint included.
    """

    marker: str
    point: str
    weight: float
    sd: float


def correspondences() -> tuple[str, ...]:
    """Names of the tables there are."""
    return tables_in("correspondences")


def _require_table(name: str) -> None:
    """`InputError` where `name` is neither a table of ours nor a CSV file that there is."""
    if name.lower().endswith(".csv"):
        if not Path(name).is_file():
            raise InputError(f"table of correspondences {name} does not exist.")
    elif name not in correspondences():
        raise unknown_name("table of correspondences", name, correspondences())


def read_correspondence(name: str) -> tuple[Pair, ...]:
    """The pairs of a table: the name of one of ours, or the path of a CSV file. `InputError` names the faulty line."""
    _require_table(name)
    if name.lower().endswith(".csv"):
        try:
            text = Path(name).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"table of correspondences {name} cannot be read: {error}") from None
    else:
        text = files(__package__).joinpath("correspondences", f"{name}.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise InputError(f"{name}: the first line is {rows.fieldnames}, expected {','.join(COLUMNS)}.")
    pairs = [_pair(row, f"{name}, line {number}") for number, row in enumerate(rows, start=2) if row["point"]]
    for field in ("marker", "point"):
        values = [getattr(pair, field) for pair in pairs]
        twice = sorted({v for v in values if values.count(v) > 1})
        if twice:
            raise InputError(f"{name}: {field} named twice: {', '.join(twice)}.")
    if not pairs:
        raise InputError(f"{name}: no joint has a point.")
    return tuple(pairs)


def _pair(row: dict, where: str) -> Pair:
    if row["point"] not in load(TARGET).names:
        raise unknown_name("point", row["point"], load(TARGET).names, where)
    try:
        weight, sd = float(row["weight"]), float(row["sd_m"])
    except (TypeError, ValueError):
        raise InputError(f"{where}: weight {row['weight']!r} and sd_m {row['sd_m']!r} must be numbers.") from None
    if not (0 < weight < 1e6 and 0 < sd < 1):
        raise InputError(f"{where}: weight {weight:g} must be positive, sd_m {sd:g} m between 0 and 1.")
    return Pair(row["joint"], row["point"], weight, sd)
