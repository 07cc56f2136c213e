"""Options from images to markers: detection, cameras, triangulation, filtering, merging with motion capture."""

from collections.abc import Sized
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from simspine.core.errors import unknown_name
from simspine.core.settings import Section

BLAZEPOSE_MODELS = ("full", "heavy")  # heavy has a quarter less error, and takes 3.5 times as long
LIVE_MODEL = "full"  # of BlazePose for a webcam
DEFAULT_MODELS = {"blazepose": "heavy", "blazepose_spine": "heavy", "spinepose": "medium"}


class DetectionOptions(Section):
    """Image → 2D points."""

    detector: Literal["blazepose", "blazepose_spine", "spinepose", "import"] = "blazepose"
    """blazepose works offline; blazepose_spine (experimental) estimates spine points from blazepose's points and mask;
    spinepose sees the spine but is for non-commercial use; import reads `keypoints`."""
    model: str | None = None
    """The detector's network. blazepose: heavy (default) or full (less exact, 3.5 times as fast). spinepose: model id
    (small, medium (default), large, xlarge; v1/ or v2/ before it). The path of an ONNX file of SimCC (RTMPose) or heat
    maps (HRNet, ViTPose, Sapiens) needs no detector."""
    device: Literal["cpu", "cuda"] = "cpu"
    """SpinePose: where the network runs. BlazePose runs on the processor only."""
    people: int = Field(4, ge=1, le=32)
    """Largest number of people looked for in an image; each needs additional time."""
    skeleton: str | None = None
    """Skeleton of imported points (spinetrack37, halpe26, …); by their number if left out."""
    person: Literal["most_views", "largest", "all"] | list[float] = "most_views"
    """Person to follow: seen in most views, largest in the images, nearest to a point [x, y, z] m in space, or all."""
    resample: float | None = Field(None, ge=0)
    """Frames/s at which videos are read by their time stamps, where frame rates are uneven or differ; 0 ignores time
    stamps and takes each video's frames as evenly spaced."""
    infer_spine: bool = True
    """Infer spine points that the detector does not give, by a model of real spines. They are marked as inferred."""

    @model_validator(mode="before")
    @classmethod
    def _network_file_names_the_detector(cls, given):
        """An ONNX file alone is enough."""
        alone = isinstance(given, dict) and str(given.get("model")).lower().endswith(".onnx")
        return {"detector": "spinepose"} | given if alone else given

    @field_validator("person", mode="before")
    @classmethod
    def _one_kind_of_person(cls, person):
        """One error message in place of one for each type of value."""
        names = ("most_views", "largest", "all")
        if isinstance(person, str) and person not in names:
            raise ValueError(str(unknown_name("choice", person, (*names, "a point [x, y, z]"))))
        if isinstance(person, Sized) and not isinstance(person, str) and len(person) != 3:
            raise ValueError(f"{list(person)}, expected three coordinates x, y, z in metres")
        return person

    @model_validator(mode="after")
    def _device_and_model_are_the_detectors(self) -> Self:
        if self.device != "cpu" and self.detector.startswith("blazepose"):
            raise ValueError(
                f"device {self.device} is for the networks of spinepose; {self.detector} runs on the processor only. "
                "Leave the device out, or choose another detector."
            )
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
    """Comparison of the cameras with one another, and of their world with the person in it."""

    find_vertical: bool = True
    """Turn the world upright where neither the person nor the cameras stand along its z axis; the report says so."""
    refine: bool | Literal["auto"] = False
    """Refine the calibration by the person's keypoints, and report the changes; `auto`: only if a camera disagrees."""


class TriangulationOptions(Section):
    """2D points of several views → 3D points with covariance."""

    min_confidence: float = Field(0.3, ge=0, le=1)
    """Detections below it are not used."""
    huber_px: float | None = Field(None, gt=0)
    """Error above which a view's cost grows linearly instead of quadratically; from the noise if left out."""
    max_error_px: float | None = Field(None, gt=0)
    """Views with a larger error are never used; 3 % of the longer image side if left out."""
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
    """Table of corresponding markers and points: `human36m` (default of its copies) or a CSV file; default: by name."""
    max_misfit_m: float = Field(0.15, gt=0)
    """Largest plausible distance, root mean square over the trial, of markers and points that correspond."""
    max_shift_s: float = Field(1.0, ge=0)
    """Largest time shift between both clocks that is looked for and reported; 0: none is looked for."""
