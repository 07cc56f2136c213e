"""Every limit that quality control uses: thresholds of the checks, and how far a level of the spine may turn.

`tables/thresholds.csv` gives each limit its unit, reason and source: a publication, or 'chosen' with what it was
derived from. `tables/ranges_of_motion.csv` holds published ranges of motion, degrees.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

_RAD = np.radians(1.0)
_SI_PER_UNIT = {"deg": _RAD, "deg/s": _RAD, "cm": 0.01, "m/s": 1.0, "px": 1.0, "frames": 1.0, "%": 0.01, "1": 1.0}


@dataclass(frozen=True)
class Threshold:
    """A limit as people write it: value in `unit`."""

    name: str
    value: float
    unit: str
    reason: str
    source: str

    @property
    def value_si(self) -> float:
        """In m, rad, s; a share for per cent."""
        return self.value * _SI_PER_UNIT[self.unit]


@dataclass(frozen=True)
class Envelope:
    """How far a level may turn from the neutral pose, (low, high) degrees: flexion, bending right, turning left.

    flexion_total: flexion and extension together, where these bounds are wider because neutral poses differ: the
    neutral pose may be anywhere within the total range, so that the total bounds each direction.
    """

    level: str
    flexion: tuple[float, float]
    bending: tuple[float, float]
    rotation: tuple[float, float]
    source: str
    flexion_total: float | None = None

    @property
    def extent(self) -> np.ndarray:
        """(3,) rad: published total range of motion, both directions together."""
        total = np.ptp(self.limits(), axis=1)
        if self.flexion_total is not None:
            total[0] = np.radians(self.flexion_total)
        return total

    def limits(self, factor: float = 1.0) -> np.ndarray:
        """(3, 2) rad: low and high, each times `factor`."""
        return np.radians([self.flexion, self.bending, self.rotation]) * factor


def _table_rows(name: str) -> list[dict[str, str]]:
    text = (files("simspine.quality") / "tables" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _envelope(row: Mapping[str, str]) -> Envelope:
    def bounds(motion: str) -> tuple[float, float]:
        return float(row[f"{motion}_low"]), float(row[f"{motion}_high"])

    return Envelope(
        level=row["level"],
        flexion=bounds("flexion"),
        bending=bounds("bending"),
        rotation=bounds("rotation"),
        source=row["source"],
        flexion_total=float(row["flexion_total"]) if row["flexion_total"] else None,
    )


THRESHOLDS: Mapping[str, Threshold] = {
    row["name"]: Threshold(
        name=row["name"], value=float(row["value"]), unit=row["unit"], reason=row["reason"], source=row["source"]
    )
    for row in _table_rows("thresholds.csv")
}
LEVEL_ENVELOPES: Mapping[str, Envelope] = {row["level"]: _envelope(row) for row in _table_rows("ranges_of_motion.csv")}
