"""What a lifter learns from and how: frozen types with defaults, and the presets that the command line offers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from simspine.learning.settings_files import options_of_file, options_of_preset
from simspine.settings import Section
from simspine.skeletons import available

CONTROLS = ("mean", "nearest", "ridge")
NETWORKS = ("simple", "temporal", "angles")
METHODS = (*CONTROLS, *NETWORKS)
TRAIN, TEST = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")


class LiftingSource(Section):
    """Whose points: synthetic subjects, or the trials of a data set."""

    dataset: str | None = None
    """Data set (HDF5). If left out, synthetic subjects are made in memory."""
    keypoints: str | None = None
    """Data set: folder of <subject>/<trial>.h5 with the 37 points in each image, for `input: detected`."""
    seed: int = Field(1, ge=0)
    """Virtual: decides all that is random about people, cameras and detections."""
    spines: Literal["published", "scans"] = "published"
    """Virtual: where vertebral spacing and standing curve are from."""
    detections: str = Field("finetuned", pattern=r"^(exact|finetuned|zero-shot|.*\.ya?ml)$")
    """Virtual: how far off the 2D points are."""
    family: Literal["centroids", "released"] = "centroids"
    """Virtual: the spine's points are centres of vertebral bodies, or at the places of the released marker set."""
    actions: tuple[str, ...] | None = None
    """Actions, or single trials; all if left out."""
    frames: int | None = Field(None, ge=20)
    """Virtual: frames of each trial at 50 Hz; as long as in Human3.6M if left out."""
    every: int = Field(50, ge=1)
    """Frames of the data set from one that is learnt from, and scored, to the next: 50 is 1 Hz."""
    context: int = Field(10, ge=1)
    """Frames of the data set from one that a temporal lifter sees to the next; divides `every`."""

    @model_validator(mode="after")
    def _context_divides(self) -> Self:
        if self.every % self.context:
            raise ValueError(f"context ({self.context}) does not divide every ({self.every}).")
        return self


class LiftingNetwork(Section):
    """Size of a network."""

    width: int = Field(1024, ge=8)
    """Units of a hidden layer of the frame-wise lifters."""
    channels: int = Field(1024, ge=8)
    """Channels of the temporal lifter."""
    blocks: int = Field(2, ge=1)
    """Residual blocks of the frame-wise lifters."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of units left out while training; the angle lifter goes without."""
    receptive: int = Field(9, ge=3)
    """Temporal lifter: frames it sees, a power of three; `context` says how far apart they are."""

    @model_validator(mode="after")
    def _receptive_is_a_power(self) -> Self:
        if self.receptive not in (3, 9, 27, 81, 243):
            raise ValueError(f"receptive is {self.receptive}, expected a power of three: 3, 9, 27, 81 or 243.")
        return self


class LiftingTraining(Section):
    """AdamW with a step schedule."""

    epochs: int = Field(90, ge=1)
    """Passes over the training data."""
    batch: int = Field(256, ge=2)
    """Samples of a step."""
    rate: float = Field(1e-3, gt=0)
    """Learning rate of the first epoch."""
    decay: float = Field(0.01, ge=0)
    """Weight decay."""
    step_epochs: int = Field(30, ge=1)
    """Epochs after which the rate is multiplied by `step_factor`."""
    step_factor: float = Field(0.1, gt=0, le=1)
    """See `step_epochs`."""
    redraw: bool = False
    """Each epoch sees every sample with the detector's errors of another one, and half of the samples mirrored."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where: the GPU if there is one, and PyTorch can use it; or as named."""


class DescentSettings(Section):
    """AdamW with a linear warm-up and a cosine."""

    epochs: int = Field(10, ge=1)
    """Passes over the training data; with two sets, over the larger."""
    batch: int = Field(64, ge=2)
    """Samples at once."""
    accumulate: int = Field(1, ge=1)
    """Batches of a step: the effective batch is `batch` times this."""
    rate: float = Field(4e-3, gt=0)
    """Greatest learning rate."""
    warm_up: int = Field(1000, ge=0)
    """Steps of the linear warm-up; never more than a tenth of all."""
    last_share: float = Field(0.05, ge=0, le=1)
    """Learning rate at the end, as a share of the greatest."""
    decay: float = Field(0.05, ge=0)
    """Weight decay; none on norms and biases."""
    average: float = Field(2e-4, ge=0, le=1)
    """Momentum of the moving average of weights, which is what is used; 0: the weights themselves."""
    average_steps: float = Field(2000.0, gt=0)
    """Steps after which that average has become slow."""
    clip: float | None = Field(35.0, gt=0)
    """Greatest norm of a gradient."""


class LiftingOptions(Section):
    """One lifter: its data, inputs, method, and how it is trained."""

    source: LiftingSource = LiftingSource()
    """Whose points."""
    method: Literal["mean", "nearest", "ridge", "simple", "temporal", "angles"] = "simple"
    """Controls: mean pose, nearest neighbour, ridge regression. Networks: SimpleBaseline3D, temporal, joint angles."""
    points: Literal["spine", "full"] = "full"
    """Which points come in and go out: 15 of the spine, or all 37."""
    skeleton: str | None = None
    """Detector whose points come in (blazepose33, blazepose_spine46, coco17, …): the others are missing in the image,
    and placed in space all the same. None are missing if left out."""
    input: Literal["detected", "truth"] = "detected"
    """2D points: as a detector sees them, or the projected truth."""
    train: tuple[str, ...] = Field(TRAIN, min_length=1)
    """Subjects to learn from."""
    test: tuple[str, ...] = Field(TEST, min_length=1)
    """Subjects to predict."""
    calibrate: tuple[str, ...] = ("S8",)
    """Angle lifter: training subjects left out, to scale its standard deviations by; () leaves them as learnt."""
    network: LiftingNetwork = LiftingNetwork()
    """Size of the network."""
    training: LiftingTraining = LiftingTraining()
    """How the network is trained."""
    seed: int = Field(1, ge=0)
    """Decides initial weights, order of samples and dropout."""

    @field_validator("skeleton")
    @classmethod
    def _skeleton_is_known(cls, name: str | None) -> str | None:
        if name is not None and name not in available():
            raise ValueError(f"unknown skeleton {name!r}; there are {', '.join(available())}.")
        return name

    @model_validator(mode="after")
    def _people_are_told_apart(self) -> Self:
        if both := set(self.train) & set(self.test):
            raise ValueError(f"{', '.join(sorted(both))} cannot be trained on and tested on.")
        if not set(self.calibrate) < set(self.train):
            raise ValueError("calibrate must name some of the subjects in train, not all of them.")
        return self


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {"training": {"batch": 2048}},
    "cpu": {
        "network": {"width": 256, "channels": 256, "dropout": 0.25},
        "training": {"epochs": 8, "step_epochs": 3, "step_factor": 0.2},
    },
    "tiny": {
        "source": {"actions": ["Greeting_1", "Sitting_1", "Walking_1"], "frames": 500, "context": 25},
        "train": ["S1", "S5"],
        "test": ["S6"],
        "calibrate": ["S5"],
        "network": {"width": 64, "channels": 64, "dropout": 0.1, "receptive": 3},
        "training": {"epochs": 3, "batch": 32, "step_epochs": 2, "device": "cpu"},
    },
}


def preset_options(name: str, **changes: Any) -> LiftingOptions:
    """The options of a preset, with single keys changed; a key of a section is written 'training.epochs'.

    Raises `InputError` for a preset or key that does not exist, and for values out of range.
    """
    return options_of_preset(LiftingOptions, PRESETS, name, changes)


def read_options(path: str | Path, **changes: Any) -> LiftingOptions:
    """The options in a YAML file with the keys of `LiftingOptions`; changes as in `preset_options`.

    A key `preset` names one whose values stand where the file has none. Raises `InputError` naming the file.
    """
    return options_of_file(LiftingOptions, PRESETS, path, changes)
