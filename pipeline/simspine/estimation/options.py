"""Settings of the estimator: how markers become joint angles, and the body."""

from typing import Literal

from pydantic import Field, NonNegativeFloat

from simspine.core.settings import Section


class KinematicsOptions(Section):
    """Markers → joint angles."""

    engine: Literal["trajectory", "frames"] = "trajectory"
    """trajectory: all frames at once, with standard deviations. frames: each frame by itself, as in OpenSim's tool."""
    weights: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    """Weights by marker that replace those of the marker set."""
    marker_sd_m: float = Field(0.03, gt=0, lt=1)
    """Standard deviation of a coordinate of a detected marker of weight 1, m."""
    given_sd_m: float = Field(0.01, gt=0, lt=1)
    """The same for a marker from motion capture, with its place on the body, m. All engines weigh it by the ratio."""
    region_sd_m: float = Field(0.04, ge=0, lt=1)
    """Trajectory: standard deviation of the offset that detected points of a spinal region share, an axis, m; or 0."""
    error_correlation_s: float = Field(2.0, ge=0)
    """Trajectory: integral of the autocorrelation of a marker's error, s. Correlated errors widen intervals."""
    acceleration_sd: float = Field(8.0, gt=0)
    """Trajectory: standard deviation of the angular accelerations of pelvis and neck, rad/s², for people in general.
    If the body was fitted to the person, each trial scales it."""
    level_acceleration_sd: float = Field(3.0, gt=0)
    """Trajectory: the same for each lumbar and thoracic level, rad/s². Smaller values smooth more."""
    limb_acceleration_sd: float = Field(30.0, gt=0)
    """Trajectory: the same for arms, legs and shoulder girdle, rad/s²."""
    loss_from_sd: float = Field(3.0, gt=0)
    """Trajectory: Huber's threshold, standard deviations. Beyond it the cost grows linearly with the distance."""


class BodyOptions(Section):
    """The musculoskeletal model."""

    recipe: str = "articulated"
    """articulated: a joint per vertebra. coupled: the 62 coordinates of the SIMSPINE release, lumbar levels tied.
    paper: these 62 as the SIMSPINE paper describes them, lumbar levels free. Or the path of your own recipe (YAML)."""
    markers: str | None = None
    """Marker set. Default: that of the detector's skeleton."""
    skin_marker_height_m: float = Field(0.007, ge=0, le=0.05)
    """Height of a skin marker's centre above the skin, m: 0 for a flat sticker, the radius for a sphere."""
