"""Options from images to markers: detection, cameras, triangulation, filtering, merging with motion capture."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from simspine.core.errors import unknown_name
from simspine.core.settings import Section

BLAZEPOSE_MODELS = ("full", "heavy")  # heavy has a quarter less error, and takes 3.5 times as long
LIVE_MODEL = "full"  # of BlazePose for a webcam
DEFAULT_MODELS = {"blazepose": "heavy", "blazepose_spine": "full", "spinepose": "medium"}


class DetectionOptions(Section):
    """Image → 2D points."""

    detector: Literal["blazepose", "blazepose_spine", "spinepose", "import"] = "blazepose"
    """blazepose works offline; blazepose_spine (experimental) estimates the spine's points from what blazepose sees;
    spinepose sees the spine but is for non-commercial use; import reads `keypoints`."""
    model: str | None = None
    """The detector's network. blazepose: heavy (default) or full (farther off, 3.5 times as fast). spinepose: model id
    (small, medium (default), large, xlarge; v1/ or v2/ before it), or a path to an ONNX file of SimCC (RTMPose) or heat
    maps (HRNet, ViTPose, Sapiens)."""
    device: Literal["cpu", "cuda"] = "cpu"
    """SpinePose: where the network runs. BlazePose runs on the processor only."""
    people: int = Field(4, ge=1, le=32)
    """The most people looked for in an image; each takes its time."""
    skeleton: str | None = None
    """Names of imported points (spinetrack37, halpe26, …); by their number if left out."""
    person: Literal["most_views", "largest", "all"] | list[float] = "most_views"
    """Whom to follow: seen in most views, largest in the images, nearest to a point [x, y, z] m in space, or all."""
    resample: float | None = Field(None, ge=0)
    """Frames/s at which videos are read by their time stamps, where frame rates are uneven or differ; 0 takes the
    frames of each as evenly spaced, whatever its time stamps say."""
    infer_spine: bool = True
    """Place spine points where the detector has none, by a model of real spines. They stay marked as inferred."""

    @field_validator("person", mode="before")
    @classmethod
    def _one_kind_of_person(cls, person):
        """One error message in place of one for each type of value."""
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

    @model_validator(mode="after")
    def _model_is_the_detectors(self) -> Self:
        if self.model is None or self.detector == "spinepose":
            return self
        if self.detector != "blazepose":
            raise ValueError(f"model {self.model} has no effect with {self.detector}. Leave it out.")
        if self.model not in BLAZEPOSE_MODELS:
            raise ValueError(str(unknown_name("model of blazepose", self.model, BLAZEPOSE_MODELS)))
        return self

    @property
    def network(self) -> str:
        """The model used: the one chosen, or the detector's default; '' for `import`."""
        return self.model or DEFAULT_MODELS.get(self.detector, "")


class CameraOptions(Section):
    """The cameras compared with one another, and their world with the person they saw."""

    find_vertical: bool = True
    """Turn the world upright where neither the person nor the cameras stand along its z axis; the report says so."""

    refine: bool | Literal["auto"] = False
    """Use a calibration that agrees with what the cameras saw, and say what was changed; `auto`: where one is off."""


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
    """How far apart the two clocks may be for the shift to be found and reported; 0 does not look."""
