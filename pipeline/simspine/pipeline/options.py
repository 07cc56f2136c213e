"""How each stage works: frozen types with defaults, one a stage. They are the sections of a configuration file, too."""

from collections.abc import Iterator, Mapping
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from simspine.errors import unknown_name
from simspine.types import FARTHEST_MEANT


def _leaves(annotation) -> Iterator[type]:
    """The kinds that a setting, or what its lists and mappings hold, may be of."""
    if parts := get_args(annotation):
        for part in parts:
            yield from _leaves(part)
    elif isinstance(annotation, type):
        yield annotation


def _holds_switch(value) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_switch(one) for pair in value.items() for one in pair)
    return any(map(_holds_switch, value)) if isinstance(value, list | tuple) else isinstance(value, bool)


class Section(BaseModel):
    """A group of settings: no unknown keys, never changed in place."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _switches_are_no_numbers(cls, value, info: ValidationInfo):
        """pydantic takes true for 1, which nobody means who writes it where a number belongs."""
        kinds = set(_leaves(cls.model_fields[info.field_name].annotation)) if info.field_name else set()
        if kinds & {int, float} and bool not in kinds and _holds_switch(value):
            raise PydanticKnownError("float_type" if float in kinds else "int_type")
        return value


class DetectionOptions(Section):
    """Image → 2D points."""

    detector: Literal["blazepose", "blazepose_spine", "spinepose", "import"] = "blazepose"
    """blazepose works offline; blazepose_spine (experimental) estimates the spine's points from what blazepose sees;
    spinepose sees the spine but is for non-commercial use; import reads `keypoints`."""
    model: str = "medium"
    """SpinePose: model id (small, medium, large, xlarge; v1/ or v2/ before it) or a path to an ONNX file."""
    device: Literal["cpu", "cuda"] = "cpu"
    """SpinePose: where the network runs. BlazePose runs on the processor only."""
    people: int = Field(4, ge=1, le=32)
    """The most people looked for in an image; each takes its time."""
    skeleton: str | None = None
    """Names of imported points (spinetrack37, halpe26, …); by their number if left out."""
    person: Literal["most_views", "largest", "all"] | list[float] = "most_views"
    """Whom to follow: seen in most views, largest in the images, nearest to a point [x, y, z] m in space, or all."""
    infer_spine: bool = True
    """Place spine points where the detector has none, by a model of real spines. They stay marked as inferred."""

    @field_validator("person", mode="before")
    @classmethod
    def _one_kind_of_person(cls, person):
        """One fault in place of one for each kind that was tried."""
        names = ("most_views", "largest", "all")
        if isinstance(person, str) and person not in names:
            raise ValueError(str(unknown_name("choice", person, (*names, "a point [x, y, z]"))))
        return person

    @model_validator(mode="after")
    def _blazepose_runs_on_the_processor(self) -> Self:
        if self.device != "cpu" and self.detector.startswith("blazepose"):
            raise ValueError(
                f"device {self.device} is for the networks of spinepose; {self.detector} runs on the processor only. "
                "Leave the device out, or choose another detector."
            )
        return self


class CameraOptions(Section):
    """Cameras beside one another, judged by the person they saw."""

    refine: bool = False
    """Replace the calibration by one that agrees with what the cameras saw; the report says what was changed."""
    rotation_deg: float = Field(0.5, ge=0)
    """Refinement: how far a camera may be turned, one standard deviation about each axis, degrees; 0 keeps it."""
    position_m: float = Field(0.02, ge=0)
    """Refinement: how far it may be moved along each axis, one standard deviation, m."""
    focal_share: float = Field(0.01, ge=0)
    """Refinement: relative error of the focal length, one standard deviation."""
    centre_px: float = Field(10.0, ge=0)
    """Refinement: error of the principal point, one standard deviation, px."""
    radial: float = Field(0.01, ge=0)
    """Refinement: error of the lens's first radial coefficient, one standard deviation."""


class TriangulationOptions(Section):
    """2D points of several views → 3D points with covariance."""

    min_confidence: float = Field(0.3, ge=0, le=1)
    """Detections below it are not used."""
    huber_px: float | None = Field(None, gt=0)
    """Error from which a view's pull grows linearly instead of quadratically; chosen from the noise if left out."""
    max_error_px: float | None = Field(None, gt=0)
    """A view with a larger error never takes part; 3 % of the longer image side if left out."""
    min_views: int = Field(2, ge=2)
    """Points seen by fewer consistent views are missing."""
    fix_swaps: bool = True
    """Find left and right exchanged in single views, and undo it."""


class FilterOptions(Section):
    """Zero-phase Butterworth low-pass over each marker's path, and gaps."""

    cutoff_hz: float | None = Field(6.0, gt=0)
    """Frequency at which the net (forward and backward) filter has −3 dB; null leaves the paths unfiltered."""
    order: int = Field(4, ge=2, le=8, multiple_of=2)
    """Order of the net filter."""
    max_gap_s: float = Field(0.2, ge=0)
    """Gaps up to this long are interpolated and marked; longer ones stay missing."""


class MergeOptions(Section):
    """Motion capture in the place of triangulated points."""

    correspondence: str | None = None
    """Table of which marker is which point: `human36m` (its copies' default) or a CSV file; equal names if left out."""
    max_misfit_m: float = Field(0.15, gt=0)
    """Largest plausible distance, root mean square over the trial, of markers and points that correspond."""
    max_shift_s: float = Field(1.0, ge=0)
    """How far apart the two clocks may be for the shift to be found; 0 does not look."""
    fix_shift: bool = False
    """Undo a shift of more than half a frame; it is only reported otherwise."""


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


class RegionOffset(Section):
    """What a detector's points of one region of the spine are off by in everybody, as measured on people whose true
    points are known."""

    mean_m: tuple[float, float, float]
    """Forward, up and right along the vertebrae that carry the points, m."""
    sd_m: float = Field(ge=0.001, lt=1)
    """How much a person's own differs from it, one standard deviation of each, m."""

    @field_validator("mean_m")
    @classmethod
    def _metres(cls, mean: tuple[float, float, float]) -> tuple[float, float, float]:
        if max(map(abs, mean)) >= FARTHEST_MEANT:
            raise ValueError(f"found {mean}; expected metres, less than {FARTHEST_MEANT} each")
        return mean


class KinematicsOptions(Section):
    """Markers → joint angles."""

    engine: Literal["trajectory", "frames", "opensim"] = "trajectory"
    """trajectory: the whole trial at once, with standard deviations. frames: each by itself. opensim: its own tool."""
    accuracy: float | None = Field(None, gt=0, lt=1e-1)
    """Relative decrease of the cost at which to stop; by engine if left out."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Weights by marker that replace those of the marker set."""
    marker_sd_m: float = Field(0.03, gt=0, lt=1)
    """How far a marker of weight 1 is off, one standard deviation of a coordinate, m."""
    given_sd_m: float = Field(0.01, gt=0, lt=1)
    """The same for a marker from motion capture, the place on the body included, m; all engines weigh by the ratio."""
    region_sd_m: float = Field(0.04, ge=0, lt=1)
    """Trajectory: systematic error that detected points of one region of the spine share, per axis, m; 0: none."""
    detector_offsets: dict[Literal["cervical", "thoracic", "lumbar"], RegionOffset] = Field(default_factory=dict)
    """Trajectory: what the detector's points of a region are off by in everybody, as `simspine benchmark offsets` has
    measured it; of regions left out each person's own recordings say it, and say little."""
    error_correlation_s: float = Field(2.0, ge=0)
    """Trajectory: correlation time of a marker's error, s; correlated errors average out less and widen intervals."""
    use_covariance: bool = False
    """Trajectory: add the covariance of each position to marker_sd_m² or given_sd_m², instead of using confidences."""
    acceleration_sd: float = Field(8.0, gt=0)
    """Trajectory: how fast angles of pelvis and neck change their speed, one standard deviation, rad/s², as assumed of
    anyone: a body that is fitted to the person learns from each trial how fast they move."""
    level_acceleration_sd: float = Field(3.0, gt=0)
    """Trajectory: the same of each lumbar and thoracic level, rad/s²; smaller is calmer."""
    limb_acceleration_sd: float = Field(30.0, gt=0)
    """Trajectory: the same of arms, legs and shoulder girdle, rad/s²."""
    velocity_sd: float | None = Field(None, gt=0)
    """Trajectory: how fast angles turn, one standard deviation, rad/s; smaller is slower. Left out: not held back."""
    loss: Literal["square", "huber"] = "huber"
    """Trajectory: how markers far off count."""
    loss_from_sd: float = Field(3.0, gt=0)
    """Trajectory: how many standard deviations are far."""
    starts: int | None = Field(None, ge=1, le=5)
    """Trajectory: rough paths to begin from; the one that ends lowest counts. By the body's recipe if left out."""

    def off_in_everybody(self, region: str) -> tuple[float, float, float]:
        """Forward, up and right, m, what a detector's points of a region are off by; nothing where not measured."""
        return self.detector_offsets[region].mean_m if region in self.detector_offsets else (0.0, 0.0, 0.0)

    @model_validator(mode="after")
    def _known_offsets_belong_to_errors_that_regions_share(self) -> Self:
        if self.detector_offsets and (self.engine != "trajectory" or not self.region_sd_m):
            raise ValueError("detector_offsets need the engine trajectory and a region_sd_m above 0")
        return self


class QualityOptions(Section):
    """What becomes of rejected frames."""

    fill_gaps: bool = False
    """Take rejected frames out, smooth over them, and fill short gaps; what is filled stays marked as inferred."""
    max_gap_s: float = Field(0.2, gt=0)
    """Filling: longer gaps, and those at the ends of a trial, stay gaps, s."""


class Options(Section):
    """The settings of all stages."""

    detection: DetectionOptions = DetectionOptions()
    cameras: CameraOptions = CameraOptions()
    triangulation: TriangulationOptions = TriangulationOptions()
    filter: FilterOptions = FilterOptions()
    merge: MergeOptions = MergeOptions()
    body: BodyOptions = BodyOptions()
    scaling: ScalingOptions = ScalingOptions()
    ik: KinematicsOptions = KinematicsOptions()
    quality: QualityOptions = QualityOptions()

    @model_validator(mode="after")
    def _filling_needs_the_trajectory(self) -> Self:
        if self.quality.fill_gaps and self.ik.engine != "trajectory":
            raise ValueError(f"quality.fill_gaps needs ik.engine trajectory; {self.ik.engine} sees no other frame")
        return self
