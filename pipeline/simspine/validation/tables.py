"""Tables as text: CSV with every column, Markdown with those a reader compares."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from simspine.errors import unknown_name
from simspine.quality.observability import Observability, share_text
from simspine.spine.bands import bands
from simspine.validation.curvature import CurvatureRow, as_records, curvature_table
from simspine.validation.motion import PERCENTILES, RangeRow, lumbar_rom, neck_rom

TITLES = {
    "lla_tka": "Lumbar lordosis (LLA, L1–S1) and thoracic kyphosis (TKA, T3–T12) by action and subject",
    "lumbar_rom": "Range of motion of the lumbar levels",
    "neck_rom": "Range of motion of the neck by action",
}
_ROM = (
    f"Range: percentile {PERCENTILES[0]:g} to {PERCENTILES[1]:g} of a person's kept frames, mean ± standard deviation "
    "over people. Published: total ranges of people who bend as far as they can."
)
SPREAD = ", mean ± spread over frames"
_SHARE = (
    "Data: share of the angle that the data decided; an angle 'set by the model', 'assumed' or 'very uncertain' is no "
    "finding."
)
NOTES = {
    "lla_tka": "Mean ± spread, degrees: the spread is the standard deviation over the kept frames, that is, motion and "
    "people, no uncertainty. Paper: SimSpine (CVPR 2026), Table B2, a model's output as well. Uncertainty: typical "
    f"standard deviation of one frame's estimate. Rejected frames are left out. {_SHARE}",
    "lumbar_rom": f"{_ROM} {_SHARE}",
    "neck_rom": f"{_ROM} {_SHARE}",
}


def tables(dataset) -> dict[str, tuple[CurvatureRow | RangeRow, ...]]:
    """All tables of a data set by name: 'lla_tka', 'lumbar_rom', 'neck_rom'."""
    some = as_records(dataset)
    return {"lla_tka": curvature_table(some), "lumbar_rom": lumbar_rom(some), "neck_rom": neck_rom(some)}


def as_csv(rows: Sequence[CurvatureRow | RangeRow]) -> str:
    """One line per row, all columns, numbers in full; empty cells = not known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if rows:
        writer.writerow(asdict(rows[0]))
    writer.writerows([_plain(value) for value in asdict(row).values()] for row in rows)
    return out.getvalue()


def as_markdown(name: str, rows: Sequence[CurvatureRow | RangeRow]) -> str:
    """The table `name` with title, notes and readable columns."""
    header, lines = cells(name, rows)
    piped = ["| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in (header, *lines)]
    piped.insert(1, "|" + " --- |" * len(header))
    return "\n".join([f"## {TITLES[name]}", "", *piped, "", NOTES[name], ""])


def _plain(value):
    """A number to six decimals; nothing for NaN."""
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else round(value, 6)


def cells(name: str, rows: Sequence[CurvatureRow | RangeRow]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and lines of the table `name` as text for people, for Markdown and the report's page."""
    if name not in TITLES:
        raise unknown_name("table", name, TITLES)
    columns = _CURVATURE if name == "lla_tka" else _RANGES
    used = {title: cell for title, cell in columns.items() if title != "Action" or name != "lumbar_rom"}
    lines = [tuple(cell(row) for cell in used.values()) for row in rows]
    if name == "lla_tka":
        lines += _normal_lines(tuple(used))
    return tuple(used), tuple(lines)


def _normal_lines(header: Sequence[str]) -> list[tuple[str, ...]]:
    """Published normal ranges as last lines of the curvature table."""
    lines = []
    for quantity in ("lla", "tka"):
        for band in bands(quantity):
            check = "; to be checked" if band.grade == "C" else ""
            values = {"": f"published, {band.span} ({band.source}{check})"}
            values[f"{quantity.upper()}{SPREAD}"] = f"{band.low:g}–{band.high:g}"
            lines.append(tuple(values.get(title, "") for title in header))
    return lines


def _number(value: float, digits: int = 1) -> str:
    return "–" if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # no −0


def _pm(mean: float, sd: float, digits: int = 1) -> str:
    if math.isnan(mean):
        return "–"
    return _number(mean, digits) if math.isnan(sd) else f"{_number(mean, digits)} ± {_number(sd, digits)}"


def _span(low: float, high: float) -> str:
    ends = list(dict.fromkeys(_number(value, 0) for value in (low, high)))
    return "–".join(ends)


def _sure(share: float, decided: str) -> str:
    if decided == Observability.FORCED:
        return decided
    return " ".join(filter(None, (share_text(share), decided and f"({decided})")))


def _of(quantity: str) -> dict[str, Callable[[Any], str]]:
    def get(row, what):
        return getattr(row, f"{quantity}_{what}")

    title = quantity.upper()
    return {
        f"{title}{SPREAD}": lambda row: _pm(get(row, "mean_deg"), get(row, "sd_deg")),
        f"paper {title}": lambda row: _pm(
            getattr(row, f"paper_{quantity}_mean_deg"), getattr(row, f"paper_{quantity}_sd_deg"), 2
        ),
        f"{title} uncertainty": lambda row: _number(get(row, "uncertainty_deg")),
        f"{title} data": lambda row: _sure(get(row, "share"), get(row, "decided")),
    }


_CURVATURE: Mapping[str, Callable[[Any], str]] = {
    "": lambda row: row.name,
    "Subjects": lambda row: str(row.subjects),
    "Trials": lambda row: str(row.trials),
    "Frames": lambda row: str(row.frames),
    "Rejected": lambda row: str(row.rejected),
    **_of("lla"),
    **_of("tka"),
}
_RANGES: Mapping[str, Callable[[Any], str]] = {
    "Action": lambda row: row.action or "all",
    "Level": lambda row: row.level,
    "Plane": lambda row: row.plane,
    "Subjects": lambda row: str(row.subjects),
    "Frames": lambda row: str(row.frames),
    "Range (°)": lambda row: _pm(row.rom_mean_deg, row.rom_sd_deg),
    "From … to (°)": lambda row: f"{_number(row.low_deg)} … {_number(row.high_deg)}",
    "Published (°)": lambda row: _span(row.published_low_deg, row.published_high_deg),
    "Uncertainty (°)": lambda row: _number(row.uncertainty_deg),
    "Data": lambda row: _sure(row.share, row.decided),
}
