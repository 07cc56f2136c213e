"""What becomes of rejected frames."""

from pydantic import Field

from simspine.settings import Section


class QualityOptions(Section):
    """What becomes of rejected frames."""

    fill_gaps: bool = False
    """Take rejected frames out, smooth over them, and fill short gaps; what is filled stays marked as inferred."""
    max_gap_s: float = Field(0.2, gt=0)
    """Filling: longer gaps, and those at the ends of a trial, stay gaps, s."""
