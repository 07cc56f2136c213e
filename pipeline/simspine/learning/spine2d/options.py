"""What a detector of the spine learns from and how: frozen types with defaults, and the presets of the command line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from simspine.learning.options import DescentSettings
from simspine.learning.settings_files import options_of_file, options_of_preset
from simspine.settings import Section
from simspine.skeletons import load
from simspine.skeletons.regions import SPINETRACK_REGIONS

SKELETON = "spinetrack37"
_TRUNK = (
    *reversed(SPINETRACK_REGIONS["spine"]),
    "left_latissimus",
    "right_latissimus",
    "left_clavicle",
    "right_clavicle",
)
_TABLE = load(SKELETON).names
POINT_CHOICES: Mapping[str, tuple[str, ...]] = {
    "all": _TABLE,
    "trunk": tuple(name for name in _TABLE if name in _TRUNK),
    "body": _TABLE[:26],
}


class LabelledSet(Section):
    """One set of labelled images, in one of two layouts."""

    folder: str
    """SpineTrack's layout (`simspine capture render` writes it): annotations/, images/. With `labels`: the images."""
    split: str = "train-unreal"
    """Which of the annotations: person_keypoints_<split>.json, images/<split>/."""
    labels: str | None = None
    """A file of labels in place of that layout: COCO (.json), or MMPose's arrays (.npz)."""
    fraction: float = Field(1.0, gt=0, le=1)
    """Share of the people that are used, drawn by the seed."""
    whole_epochs: bool = False
    """An epoch shows as many crops as with all people: fractions are then compared at equal numbers of steps."""


class SpineData(Section):
    """Which images. With two sets half of each batch is from either, whatever their sizes."""

    train: tuple[LabelledSet, ...] = Field((), max_length=2)
    """One or two sets to learn from."""
    test: LabelledSet | None = None
    """A set to judge by: after each epoch by the mean error, at the end by the papers' figures. Decides nothing."""
    points: Literal["all", "trunk", "body"] = "all"
    """all: SpineTrack's 37 points; trunk: spine, latissimus and clavicles (13); body: 26, those of a teacher."""

    @property
    def names(self) -> tuple[str, ...]:
        """The points' names, in SpineTrack's order."""
        return POINT_CHOICES[self.points]


class SpineNetworkSize(Section):
    """Size of the network."""

    width: int = Field(128, ge=16, multiple_of=8)
    """Channels at 1/16 of the crop; the other levels have shares of it."""
    blocks: tuple[int, int, int, int] = (2, 3, 4, 3)
    """Blocks at 1/4, 1/8, 1/16 and 1/32 of the crop."""
    hidden: int = Field(256, ge=8)
    """Numbers of a point between map and output."""

    @field_validator("blocks")
    @classmethod
    def _blocks_are_there(cls, blocks: tuple[int, ...]) -> tuple[int, ...]:
        if min(blocks) < 1:
            raise ValueError("each level needs at least one block.")
        return blocks


class SpineLosses(Section):
    """Weights of the losses, and what the paper leaves open about them."""

    position: float = Field(5.0, ge=0)
    """Published: KL to the Gaussians of the labels."""
    distill: float = Field(2.5, ge=0)
    """Published: KL to the teacher's maps; counts with a teacher only."""
    structure: float = Field(0.1, ge=0)
    """Published: angles of bones."""
    spine: float = Field(0.5, ge=0)
    """Published: distance of the spine's points from their smoothed chain."""
    spread: float = Field(0.1, ge=0)
    """Ours: likelihood of the covariances. Places do not learn from it."""
    points: Literal["sum", "mean"] = "sum"
    """Position and distillation: over points. The paper's formula adds."""
    chain: Literal["up", "down"] = "up"
    """Spine: where smoothing starts, at the sacrum (up) or below the head. Not published."""
    unit_px: float = Field(1.0, gt=0)
    """Spine: px of the crop that count as 1. Not published."""
    a: float = Field(0.2, ge=0)
    """Spine: steepness, per unit. Not published."""
    threshold: float = Field(38.0, ge=0)
    """Spine: length T of a step from which it is shortened, in units. Not published."""
    fixed_target: bool = False
    """Spine: no gradient through the smoothed chain. Not published."""


class CurriculumStage(Section):
    """A part of the training with one strength of augmentation. Lengths are shares of the box, angles degrees."""

    share: float = Field(1.0, gt=0)
    """Length, relative to the other stages."""
    frozen: Literal["nothing", "backbone"] = "nothing"
    """What does not learn: with a teacher's weights at first the backbone, for instance."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of mirroring; left and right are exchanged."""
    half_body: float = Field(0.0, ge=0, le=1)
    """Probability of showing the upper or the lower half only."""
    shift: float = Field(0.0, ge=0, le=0.5)
    """Largest shift."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest scale of the box."""
    rotation_deg: float = Field(0.0, ge=0, le=180)
    """Largest rotation."""
    colour: bool = False
    """Change hue, saturation, brightness."""
    blur: float = Field(0.0, ge=0, le=1)
    """Probability of a blur, and of a median blur."""
    hole: float = Field(0.0, ge=0, le=1)
    """Probability of a grey rectangle, 0.2 to 0.4 of the crop's sides."""

    @model_validator(mode="after")
    def _scales_are_in_order(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale is {self.scale}, expected two positive numbers in rising order.")
        return self


CURRICULUM = (
    CurriculumStage(
        share=0.5, half_body=0.3, shift=0.16, scale=(0.6, 1.4), rotation_deg=80, colour=True, blur=0.1, hole=1.0
    ),
    CurriculumStage(share=0.3, half_body=0.3, scale=(0.75, 1.25), rotation_deg=60, blur=0.1, hole=0.5),
    CurriculumStage(share=0.2, scale=(0.9, 1.1), rotation_deg=10),
)


class SpineTraining(DescentSettings):
    """How crops are learnt from."""

    mixed: bool = False
    """Half precision (bfloat16) where it serves: faster on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where: the GPU if there is one, and PyTorch can use it; or as named."""
    threads: int = Field(2, ge=1)
    """Threads that cut out crops. Does not change results."""


class SpineDetectorOptions(Section):
    """One detector of the spine: data, network, losses, curriculum, training."""

    data: SpineData = SpineData()
    """Which images."""
    network: SpineNetworkSize = SpineNetworkSize()
    """Size of the network."""
    losses: SpineLosses = SpineLosses()
    """What is minimised."""
    curriculum: tuple[CurriculumStage, ...] = Field(CURRICULUM, min_length=1)
    """Stages in their order."""
    training: SpineTraining = SpineTraining()
    """How it is minimised."""
    teacher: str | None = None
    """Weights of a teacher: weights.pt of a training run with fewer points, whose weights the student starts from; or
    an ONNX SimCC network for crops of this size, from which is only distilled."""
    seed: int = Field(1, ge=0)
    """Decides initial weights, fractions, order and augmentation of the crops."""


SPINE_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {"training": {"batch": 256, "accumulate": 4, "mixed": True}},
    "cpu": {
        "network": {"width": 64, "blocks": [1, 2, 3, 2], "hidden": 192},
        "training": {"epochs": 12, "batch": 32, "rate": 2e-3, "warm_up": 60, "average": 2e-3, "average_steps": 100},
        "curriculum": [
            {"share": 0.4, "half_body": 0.1, "shift": 0.1, "scale": [0.75, 1.25], "rotation_deg": 40, "colour": True,
             "blur": 0.1, "hole": 0.5},
            {"share": 0.4, "scale": [0.8, 1.2], "rotation_deg": 30, "colour": True, "blur": 0.1, "hole": 0.3},
            {"share": 0.2, "scale": [0.9, 1.1], "rotation_deg": 10},
        ],
    },
    "tiny": {
        "network": {"width": 32, "blocks": [1, 1, 1, 1], "hidden": 32},
        "training": {"epochs": 3, "batch": 8, "warm_up": 5, "average_steps": 10, "device": "cpu", "threads": 1},
    },
}  # fmt: skip


def spine_preset(name: str, **changes: Any) -> SpineDetectorOptions:
    """The options of a preset, with single keys changed; a key of a section is written 'training.epochs'.

    Raises `InputError` for a preset or key that does not exist, and for values out of range.
    """
    return options_of_preset(SpineDetectorOptions, SPINE_PRESETS, name, changes)


def read_spine_options(path: str | Path, **changes: Any) -> SpineDetectorOptions:
    """The options in a YAML file with the keys of `SpineDetectorOptions`; changes as in `spine_preset`.

    A key `preset` names one whose values stand where the file has none. Raises `InputError` naming the file.
    """
    return options_of_file(SpineDetectorOptions, SPINE_PRESETS, path, changes)
