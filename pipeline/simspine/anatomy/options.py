"""Settings of the body's size; loads nothing heavy."""

from typing import Self

from pydantic import Field, model_validator

from simspine.core.settings import Section


class ScalingOptions(Section):
    """Sizes of body segments, from distances between markers."""

    min_factor: float = Field(0.7, gt=0)
    """Smallest plausible scale factor of a segment; of a short person, times the stature's factor (0.7 or more)."""
    max_factor: float = Field(1.4, gt=0)
    """Largest plausible scale factor."""
    max_asymmetry: float = Field(0.08, gt=0)
    """Largest plausible difference between left and right, as a share of their mean."""
    anatomy: bool = True
    """Estimate proportions, standing curve and errors of points from all trials of a person (articulated body)."""

    @model_validator(mode="after")
    def _factors_in_order(self) -> Self:
        if self.min_factor >= self.max_factor:
            found = f"min_factor is {self.min_factor:g}, max_factor {self.max_factor:g}"
            raise ValueError(f"{found}; expected min_factor below max_factor")
        return self
