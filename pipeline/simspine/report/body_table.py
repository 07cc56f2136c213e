"""How a person's body differs from the model's beyond the sizes of its segments, as a table of the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from simspine.report.content import PageTable, number

FOLDED = "The body as fitted to this person"
NOTE = (
    "Beyond the sizes of its segments, found from all trials of the person together; 0 is the model as it was scaled. "
    "Decided by the data: by how much the trials narrow what people differ by, 1 − (± / spread)². Where little, the "
    "body is the model's."
)


@dataclass(frozen=True)
class FoundVariation:
    """One variation of the body. value, sd: as found; spread: how much people differ, one standard deviation.

    unit: '%', 'mm' or '°' of all three. positive: where a positive value leads to.
    """

    name: str
    value: float
    sd: float
    spread: float
    unit: str
    positive: str

    @property
    def decided(self) -> float:
        """Share of the variance between people that the data took away, 0…1."""
        return max(0.0, 1 - (self.sd / self.spread) ** 2)


def body_table(found: Sequence[FoundVariation]) -> tuple[PageTable, ...]:
    """A folded table; none where the body was not fitted to the person."""
    rows = tuple(_row(variation) for variation in found)
    columns = ("Of the body", "Found", "Positive", "People differ by", "Decided by the data")
    return (PageTable(columns, rows, NOTE, FOLDED),) if rows else ()


def _row(found: FoundVariation) -> tuple[str, ...]:
    unit = found.unit if found.unit == "°" else f"\u00a0{found.unit}"
    value = f"{found.value:+.1f} ± {number(found.sd)}{unit}".replace("-", "−")
    spread = f"± {number(found.spread)}{unit}"
    share = number(100 * found.decided, 0, "%")
    return (found.name.capitalize(), value.replace(" ± ", "\u00a0±\u00a0"), found.positive, spread, share)
