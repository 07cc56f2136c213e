"""Published curvature of standing adults, as data for figures. Angles in degrees here: they are copied from tables
and drawn.

grade: A read in an abstract or table; B transcribed in public code that cites the source; C from memory of the
literature, to be checked before it is called authoritative. No band is a limit: sitting or bending leaves it by
rights.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """A normal range of 'lla' or 'tka', degrees. span: the endplates it was measured between."""

    quantity: str
    low: float
    high: float
    span: str
    source: str
    grade: str
    note: str = ""


BANDS = (
    Band(
        "lla", 38.6, 61.0, "T12–S1", "Asian Spine J 2019, PMC6680033, n=627 standing, mean 49.8 ± 11.2", "A",
        "measured from T12, so a few degrees off L1–S1",
    ),
    Band("lla", 49.9, 70.5, "L1–S1", "Vialle 2005, n=300 standing, mean 60.2 ± 10.3", "C"),
    Band("lla", 45.0, 70.0, "lumbar", "normal range quoted in Spine Secrets", "A"),
    Band(
        "lla", 33.0, 39.0, "L1–S1", "SimSpine (CVPR 2026), range of means per action", "A",
        "a model's output, not radiographs",
    ),
    Band("tka", 30.0, 50.0, "T2–T12", "normal range quoted in Spine Secrets", "A"),
    Band(
        "tka", 20.0, 60.0, "thoracic", "SRS normal range (in Zappala 2021, J Orthop Surg Res 16:447)", "A",
        "the classic range is 20–40; more than 40 in 65 % of cases of 34 studies",
    ),
    Band("tka", 30.6, 50.6, "T4–T12", "Vialle 2005, n=300 standing, mean 40.6 ± 10.0", "C"),
    Band(
        "tka", 29.0, 37.0, "T3–T12", "SimSpine (CVPR 2026), range of means per action", "A",
        "a model's output, not radiographs",
    ),
)  # fmt: skip


def bands(quantity: str) -> tuple[Band, ...]:
    """The bands of 'lla' or 'tka'; the first is the one to draw if only one is drawn."""
    return tuple(band for band in BANDS if band.quantity == quantity)
