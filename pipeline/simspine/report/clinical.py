"""Clinical parameters of a trial as tables of the page, beside what is published of standing adults."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from simspine.quality.clinical_figures import ClinicalFigure
from simspine.report.content import PageTable, number
from simspine.spine.adults import ADULTS, Adults
from simspine.spine.bands import bands
from simspine.spine.clinical import JOINTS, SIDES, SPINAL
from simspine.spine.lumbopelvic import LumbopelvicRhythm

CURVATURES = ("lla", "tka")
CONSTANT = 1e-6  # degrees or mm
SIGNS = {"deg": "°", "mm": " mm"}
ALIGNMENT_NOTE = (
    "Mean ± typical standard deviation over the frames kept, least and greatest value. Adults: standing, mean ± "
    "standard deviation, no limit for other postures. Tilts, slopes and the plumb line count from the vertical. Given "
    "by the model: the body has one value for everybody. Definitions and sources: docs/clinical.md."
)
LIMB_NOTE = (
    "ISB's angles, with the same signs on both sides. Rests on: right / left where they differ. Plane and rotation of "
    "a shoulder mean nothing while the arm hangs, and are left out there. Right − left: of the means; its ± takes the "
    "errors of both sides as having nothing in common."
)


def clinical_tables(figures: Sequence[ClinicalFigure], rhythm: LumbopelvicRhythm | None) -> tuple[PageTable, ...]:
    """Pelvis and spine, and joints of the limbs; none of either where there are no figures of it."""
    by_name = {figure.name: figure for figure in figures}
    alignment = [_alignment_row(by_name[name]) for name in (*CURVATURES, *SPINAL) if name in by_name]
    if alignment and rhythm is not None:
        alignment.append(_rhythm_row(rhythm))
    limbs = [row for joint in JOINTS for row in _limb_rows(joint, by_name)]
    columns = ("Angle", "Right", "from … to", "Left", "from … to", "Right − left", "Rests on")
    tables = (
        PageTable(("Pelvis and spine", "Mean", "From … to", "Adults", "Rests on"), tuple(alignment), ALIGNMENT_NOTE),
        PageTable(columns, tuple(limbs), LIMB_NOTE),
    )
    return tuple(table for table in tables if table.rows)


def _alignment_row(figure: ClinicalFigure) -> tuple[str, ...]:
    return (
        figure.label,
        _mean(figure),
        _range(figure),
        _adults(figure.name, SIGNS[figure.unit]),
        figure.decided,
    )


def _rhythm_row(rhythm: LumbopelvicRhythm) -> tuple[str, ...]:
    label, adults = "Lumbopelvic rhythm, lumbar over pelvic motion", _adults("lumbopelvic_rhythm", "")
    if rhythm.ratio is None:
        return (label, "–", "–", adults, f"not given: {rhythm.reason}")
    sd = "" if rhythm.sd is None else f" ± {number(rhythm.sd)}"
    parts = f"{_degrees(rhythm.lumbar)} lumbar, {_degrees(rhythm.pelvis)} pelvis"
    said = "its ± is an upper bound" if sd else "the engine gives no ±"
    return (label, number(rhythm.ratio) + sd, parts, adults, f"changes of both during the trial; {said}")


def _limb_rows(joint: str, by_name: Mapping[str, ClinicalFigure]) -> list[tuple[str, ...]]:
    rows = []
    for angle, _ in JOINTS[joint][1]:
        sides = [by_name.get(f"{joint}_{angle}_{side}") for side in SIDES]
        if not any(sides):
            continue
        cells = [text for side in sides for text in (("–", "–") if side is None else (_mean(side), _range(side)))]
        words = list(dict.fromkeys(side.decided for side in sides if side is not None))
        rows.append((f"{joint.capitalize()}, {angle}", *cells, _between_sides(*sides), " / ".join(words)))
    return rows


def _between_sides(right: ClinicalFigure | None, left: ClinicalFigure | None) -> str:
    """The right side's mean less the left one's, ± one standard deviation where both sides have one."""
    if right is None or left is None or right.mean is None or left.mean is None:
        return "–"
    sd = None if right.sd is None or left.sd is None else math.hypot(right.sd, left.sd)
    by = right.mean - left.mean
    texts = [number(value) for value in (by, sd) if value is not None]
    return _unbroken(f"{'+' if by > 0 else ''}{' ± '.join(texts)}{SIGNS[right.unit]}")


def _mean(figure: ClinicalFigure) -> str:
    sign, digits = SIGNS[figure.unit], 0 if figure.unit == "mm" else 1
    if figure.mean is None:
        return "–"
    texts = [number(value, digits) for value in (figure.mean, figure.sd) if value is not None]
    return _unbroken(f"{' ± '.join(texts)}{sign}")


def _range(figure: ClinicalFigure) -> str:
    if figure.low is None or figure.high is None:
        return "–"
    if figure.high - figure.low < CONSTANT:
        return "constant"
    return _unbroken(f"{number(figure.low, 0)} … {number(figure.high, 0)}{SIGNS[figure.unit]}")


def _adults(name: str, sign: str) -> str:
    if name in CURVATURES:
        band = bands(name)[0]
        return f"{band.low:g}–{band.high:g}{sign}, {band.span} ({band.source.partition(',')[0]})"
    adults: Adults | None = ADULTS.get(name)
    if adults is None:
        return "–"
    spread = adults.text
    if adults.mean is not None and adults.sd is not None:
        digits = 0 if sign == SIGNS["mm"] else 1
        spread = f"{number(adults.mean, digits)} ± {number(adults.sd, digits)}{sign}".replace("-", "−")
    return f"{spread} ({adults.source.partition(',')[0]})"


def _unbroken(text: str) -> str:
    """With minus signs, and spaces at which no line ends."""
    return text.replace("-", "−").replace(" ", "\u00a0")


def _degrees(angle: float | None) -> str:
    return "–" if angle is None else f"{np.degrees(angle):.0f}°".replace("-", "−")
