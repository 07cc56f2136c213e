"""What others published, as data. Degrees: they are copied from tables, to be printed and drawn.

grade: A read in an abstract or table; B transcribed in public code that cites the source; C from memory of the
literature, to be checked before it is called authoritative.
"""

from dataclasses import dataclass

PAPER = "SimSpine (CVPR 2026), Table B2"


@dataclass(frozen=True)
class Curvature:
    """Mean and standard deviation of LLA (L1–S1) and TKA (T3–T12) over the frames of an action or a subject, degrees.

    What the paper reports of its own data: a model's output, not radiographs.
    """

    lla_mean: float
    lla_sd: float
    tka_mean: float
    tka_sd: float


# The paper lists both spellings of two actions; each row holds the subjects whose files are named so.
BY_ACTION = {
    "Directions": Curvature(36.09, 2.10, 33.26, 4.34),
    "Discussion": Curvature(36.40, 2.69, 34.04, 3.52),
    "Eating": Curvature(36.86, 2.53, 32.34, 3.90),
    "Greeting": Curvature(36.42, 2.59, 31.00, 3.89),
    "Phoning": Curvature(35.41, 3.28, 35.46, 4.56),
    "Photo": Curvature(36.97, 2.86, 32.10, 3.61),
    "Posing": Curvature(36.78, 2.87, 32.27, 5.22),
    "Purchases": Curvature(37.60, 2.95, 33.29, 3.93),
    "Sitting": Curvature(34.53, 4.38, 35.56, 3.95),
    "SittingDown": Curvature(35.41, 4.75, 35.34, 6.21),
    "Smoking": Curvature(34.94, 3.24, 35.07, 4.11),
    "TakingPhoto": Curvature(36.67, 1.79, 31.41, 2.84),
    "Waiting": Curvature(36.48, 2.81, 32.37, 3.73),
    "WalkDog": Curvature(36.68, 3.30, 31.82, 4.49),
    "WalkTogether": Curvature(35.98, 2.22, 31.03, 3.77),
    "Walking": Curvature(36.08, 2.43, 32.05, 3.92),
    "WalkingDog": Curvature(36.13, 3.34, 30.68, 3.75),
}
BY_SUBJECT = {
    "S1": Curvature(35.21, 2.88, 32.38, 3.86),
    "S5": Curvature(38.14, 2.71, 31.89, 3.95),
    "S6": Curvature(37.50, 3.15, 37.17, 4.23),
    "S7": Curvature(36.77, 3.12, 32.85, 4.83),
    "S8": Curvature(34.51, 2.46, 33.65, 4.02),
    "S9": Curvature(33.94, 2.53, 32.84, 4.83),
    "S11": Curvature(35.08, 2.90, 34.28, 3.52),
}
# As printed; both are the unweighted means of the rows.
OVER_ACTIONS = Curvature(36.20, 2.95, 32.89, 4.10)
OVER_SUBJECTS = Curvature(35.88, 2.82, 33.58, 4.18)


@dataclass(frozen=True)
class Ranges:
    """Total range of motion (both directions together) of levels in one plane, degrees: {level: value}.

    plane: as in `simspine.spine.levels.PLANES`. People bend as far as they can in these studies; in daily actions less
    is to be expected.
    """

    plane: str
    totals: dict[str, float]
    source: str
    grade: str


_LUMBAR = ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")
_FROM_T12 = ("T12-L1", *_LUMBAR)


def _ranges(plane: str, levels: tuple[str, ...], values: tuple[float, ...], source: str, grade: str, sides: int = 1):
    """sides: 2 where the source lists one side."""
    return Ranges(plane, {name: sides * value for name, value in zip(levels, values, strict=True)}, source, grade)


_WP = "White & Panjabi 1978"
LUMBAR_ROM = (
    _ranges("flexion", _LUMBAR, (14, 14, 14, 18, 14), "Pearcy 1985", "B"),
    _ranges("flexion", _FROM_T12, (12, 12, 14, 15, 17, 20), _WP, "B"),
    _ranges("lateral bending", _LUMBAR, (10, 10, 10, 6, 3), "Pearcy 1985", "B"),
    _ranges("lateral bending", _FROM_T12, (8, 6, 6, 8, 6, 3), _WP, "B", sides=2),
    _ranges("axial rotation", _FROM_T12, (1.3, 1.6, 1.5, 2.0, 2.1, 1.7), "Fujii 2005", "B", sides=2),
    _ranges("axial rotation", _FROM_T12, (2, 2, 2, 2, 2, 5), _WP, "B", sides=2),
    Ranges("flexion", {"lumbar": 67}, "Pearcy 1985 (L1–S1)", "B"),
    Ranges("lateral bending", {"lumbar": 35}, "Pearcy 1985 (L1–S1)", "B"),
    Ranges("axial rotation", {"lumbar": 9}, "Pearcy 1985 (L1–S1)", "B"),
)
NECK_ROM = (
    Ranges("flexion", {"neck": 127}, "AnatomyStandard 2020 (C0–C7)", "A"),
    Ranges("flexion", {"neck": 122}, "Vasavada 1998 (skull–T1)", "A"),
    Ranges("lateral bending", {"neck": 98}, "AnatomyStandard 2020 (C0–C7)", "A"),
    Ranges("lateral bending", {"neck": 80}, "Vasavada 1998 (skull–T1)", "A"),
    Ranges("axial rotation", {"neck": 132}, "Vasavada 1998 (skull–T1)", "A"),
)


def published_range(level: str, plane: str) -> tuple[float, float, str]:
    """Smallest and largest published total range of a level, degrees, and the sources; (NaN, NaN, '') if none."""
    found = [ranges for ranges in (*LUMBAR_ROM, *NECK_ROM) if ranges.plane == plane and level in ranges.totals]
    if not found:
        return float("nan"), float("nan"), ""
    values = [float(ranges.totals[level]) for ranges in found]
    return min(values), max(values), "; ".join(ranges.source for ranges in found)
