"""Settings of the estimator: how markers become joint angles, the body, and its size."""

from typing import Literal, Self

from pydantic import Field, model_validator

from simspine.core.settings import Section


class KinematicsOptions(Section):
    """Markers → joint angles."""

    engine: Literal["trajectory", "frames"] = "trajectory"
    """trajectory: the whole trial at once, with standard deviations. frames: each by itself, as OpenSim's tool."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Weights by marker that replace those of the marker set."""
    marker_sd_m: float = Field(0.03, gt=0, lt=1)
    """How far a marker of weight 1 is off, one standard deviation of a coordinate, m."""
    given_sd_m: float = Field(0.01, gt=0, lt=1)
    """The same for a marker from motion capture, the place on the body included, m; all engines weigh by the ratio."""
    region_sd_m: float = Field(0.04, ge=0, lt=1)
    """Trajectory: systematic error that detected points of one region of the spine share, per axis, m; 0: none."""
    error_correlation_s: float = Field(2.0, ge=0)
    """Trajectory: correlation time of a marker's error, s; correlated errors average out less and widen intervals."""
    acceleration_sd: float = Field(8.0, gt=0)
    """Trajectory: how fast angles of pelvis and neck change their speed, one standard deviation, rad/s², for people in
    general; a body that is fitted to the person learns it from each trial."""
    level_acceleration_sd: float = Field(3.0, gt=0)
    """Trajectory: the same of each lumbar and thoracic level, rad/s²; smaller is calmer."""
    limb_acceleration_sd: float = Field(30.0, gt=0)
    """Trajectory: the same of arms, legs and shoulder girdle, rad/s²."""
    loss_from_sd: float = Field(3.0, gt=0)
    """Trajectory: how many standard deviations are far: markers beyond count by their distance, not its square."""


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

    @model_validator(mode="after")
    def _factors_in_order(self) -> Self:
        if self.min_factor >= self.max_factor:
            found = f"min_factor is {self.min_factor:g}, max_factor {self.max_factor:g}"
            raise ValueError(f"{found}; expected min_factor below max_factor")
        return self
