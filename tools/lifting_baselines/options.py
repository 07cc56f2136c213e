"""Settings of a lifter: what it learns from and how, and the presets of the command."""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from simspine.core.settings import Section
from simspine.learning.options import PresetTable, options_from

LIFTING_PRESETS: PresetTable = yaml.safe_load(Path(__file__).with_name("presets.yaml").read_text(encoding="utf-8"))
CONTROL_METHODS = ("mean", "nearest", "ridge")
LIFTING_TRAIN_SUBJECTS, LIFTING_TEST_SUBJECTS = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")


class LiftingSource(Section):
    """Whose points: synthetic subjects, or the trials of a data set."""

    dataset: str | None = None
    """Data set (HDF5). If left out, synthetic subjects are made in memory."""
    keypoints: str | None = None
    """Data set: folder of <subject>/<trial>.h5 with the 37 points in each image, for `input: detected`."""
    seed: int = Field(1, ge=0)
    """Virtual: decides all that is random about people, cameras and detections."""
    detections: str = Field("finetuned", pattern=r"^(exact|finetuned|zero-shot|.*\.ya?ml)$")
    """Virtual: how far off the 2D points are."""
    actions: tuple[str, ...] | None = None
    """Actions, or single trials; all if left out."""
    frames: int | None = Field(None, ge=20)
    """Virtual: frames of each trial at 50 Hz; as long as in Human3.6M if left out."""
    every: int = Field(50, ge=1)
    """Frames of the data set from one that is learnt from, and scored, to the next: 50 is 1 Hz."""
    context: int = Field(10, ge=1)
    """Frames of the data set from one that is detected to the next; divides `every`."""

    @model_validator(mode="after")
    def _context_divides(self) -> Self:
        if self.every % self.context:
            raise ValueError(f"context ({self.context}) does not divide every ({self.every}).")
        return self


class LiftingNetwork(Section):
    """Size of a network."""

    width: int = Field(1024, ge=8)
    """Units of a hidden layer."""
    blocks: int = Field(2, ge=1)
    """Residual blocks."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of units left out while training."""


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
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where: the GPU if there is one, and PyTorch can use it; or as named."""


class LiftingOptions(Section):
    """One lifter: its data, inputs, method, and how it is trained."""

    source: LiftingSource = LiftingSource()
    """Whose points."""
    method: Literal["mean", "nearest", "ridge", "simple"] = "simple"
    """Controls: mean pose, nearest neighbour, ridge regression. Network: SimpleBaseline3D."""
    points: Literal["spine", "full"] = "full"
    """Which points come in and go out: 15 of the spine, or all 37."""
    input: Literal["detected", "truth"] = "detected"
    """2D points: as a detector sees them, or the projected truth."""
    train: tuple[str, ...] = Field(LIFTING_TRAIN_SUBJECTS, min_length=1)
    """Subjects to learn from."""
    test: tuple[str, ...] = Field(LIFTING_TEST_SUBJECTS, min_length=1)
    """Subjects to predict."""
    network: LiftingNetwork = LiftingNetwork()
    """Size of the network."""
    training: LiftingTraining = LiftingTraining()
    """How the network is trained."""
    seed: int = Field(1, ge=0)
    """Decides initial weights, order of samples and dropout."""

    @model_validator(mode="after")
    def _people_are_told_apart(self) -> Self:
        if both := set(self.train) & set(self.test):
            raise ValueError(f"{', '.join(sorted(both))} cannot be trained on and tested on.")
        return self


def lifting_options(source: str | Path, **changes: Any) -> LiftingOptions:
    """Of a preset or a file, see `options_from`."""
    return options_from(LiftingOptions, LIFTING_PRESETS, source, changes)
