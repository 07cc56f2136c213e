"""Which body is used, and how it is brought to a person's size."""

from pydantic import Field

from simspine.settings import Section


class BodyOptions(Section):
    """The musculoskeletal model."""

    recipe: str = "articulated"
    """articulated: a joint per vertebra. coupled: the 62 coordinates of the SIMSPINE release, lumbar levels tied.
    paper: these 62 as the SIMSPINE paper describes them, lumbar levels free. Or a YAML file's path."""
    markers: str | None = None
    """Marker set; the one of the detector's skeleton if left out."""
    skin_marker_height_m: float = Field(0.007, ge=0, le=0.05)
    """How far the centre of a marker on the skin is above it, m: 0 for a flat sticker, its radius for a sphere."""


class ScalingOptions(Section):
    """Body segments' sizes from marker distances."""

    min_factor: float = Field(0.7, gt=0)
    """Smallest plausible ratio of a segment to the generic model's."""
    max_factor: float = Field(1.4, gt=0)
    """Largest plausible ratio."""
    max_asymmetry: float = Field(0.08, gt=0)
    """Largest plausible difference between left and right, as a share of their mean."""
    trim: float = Field(0.2, ge=0, lt=1)
    """Share of extreme frames left out of each segment's length."""
    anatomy: bool = True
    """Fit proportions, standing curve and the points' errors to all trials of a person together (articulated body)."""
