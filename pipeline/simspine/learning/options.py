"""Training settings of spine detectors (data, network, losses, augmentation), and the command's presets."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, PositiveInt, field_validator, model_validator

from simspine.core.errors import InputError, needing_extra, require_known
from simspine.core.settings import Section, SettingsError, read_yaml
from simspine.core.skeletons import SPINETRACK_REGIONS, load_skeleton

# PyTorch is imported only where a network is used; without it there is one clear error.


def require_torch() -> ModuleType:
    """The module `torch`. Raises `InputError` naming the extra that installs it."""
    with needing_extra("a network", "learn"):
        import torch
    return torch


def chosen_device(wanted: str) -> str:
    """'cpu' or 'cuda' for 'auto', 'cpu' or 'cuda'; `InputError` if a GPU is asked for and cannot be used."""
    has_gpu = require_torch().cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise InputError("training.device is cuda, but PyTorch finds no GPU here; choose cpu or auto.")
    return "cuda" if has_gpu and wanted != "cpu" else "cpu"


# Settings of a training run come from a preset or a YAML file; the caller may change single keys.


Options = TypeVar("Options", bound=Section)
SayLine = Callable[[str], None]
PresetTable = Mapping[str, Mapping[str, Any]]
DEFAULT_PRESET = "paper"
SPINE_PRESETS: PresetTable = yaml.safe_load(Path(__file__).with_name("presets.yaml").read_text(encoding="utf-8"))


def options_from(kind: type[Options], presets: PresetTable, source: str | Path, changes: Mapping[str, Any]) -> Options:
    """Read the options of a named preset or of a YAML file, then change single keys; None leaves a key unchanged.

    A key of a section is written 'training.epochs'. A file's key `preset` (default 'paper') names the preset that
    supplies missing values. Raises `InputError` for presets and keys that do not exist, and for values out of range.
    """
    content, where = {"preset": source}, f"preset {source}"
    if isinstance(source, Path):
        content, where = read_yaml(source), str(source)
        if not isinstance(content, dict):
            raise InputError(f"{source} is not a mapping; expected keys such as {', '.join(kind.model_fields)}.")
    preset = str(content.pop("preset", DEFAULT_PRESET))
    require_known("preset", [preset], presets, where)
    found = dict(presets[preset])
    for key, value in content.items():
        found[key] = _with_keys(found.get(key), value) if isinstance(value, dict) else value
    for key, value in changes.items():
        section, _, inner = key.partition(".")
        if value is not None:
            found[section] = _with_keys(found.get(section), {inner: value}) if inner else value
    return parse_options(kind, found, where)


def _with_keys(section: Any, keys: Mapping[str, Any]) -> Mapping[str, Any]:
    """A section with some keys replaced; only these keys where `section` is no mapping."""
    return {**section, **keys} if isinstance(section, Mapping) else keys


def parse_options(kind: type[Options], content: Mapping[str, Any], where: str) -> Options:
    """Options from a plain mapping. Raises `InputError` with one line for each fault."""
    try:
        return kind.model_validate(content)
    except SettingsError as wrong:
        faults = "\n".join(f"  - {fault}" for fault in wrong.faults)
        raise InputError(f"{where} cannot be used as settings of training:\n{faults}") from None


class DescentSettings(Section):
    """AdamW; the learning rate has a linear warm-up and a cosine decay."""

    epochs: int = Field(10, ge=1)
    """Passes over the training data; with two sets, over the larger."""
    batch: int = Field(64, ge=2)
    """Samples in a batch."""
    accumulate: int = Field(1, ge=1)
    """Batches per optimiser step: the effective batch is `batch` times this."""
    rate: float = Field(4e-3, gt=0)
    """Greatest learning rate."""
    warm_up: int = Field(1000, ge=0)
    """Steps of the linear warm-up; at most a tenth of all steps."""
    last_share: float = Field(0.05, ge=0, le=1)
    """Learning rate at the end, as a share of the greatest."""
    decay: float = Field(0.05, ge=0)
    """Weight decay; none on norms and biases."""
    average: float = Field(2e-4, ge=0, le=1)
    """Momentum of the moving average of the weights, which becomes the detector; 0: no averaging."""
    average_steps: float = Field(2000.0, gt=0)
    """Time constant in steps of the average's fast start."""
    clip: float | None = Field(35.0, gt=0)
    """Largest norm of the gradient; larger ones are clipped."""


DETECTOR_SKELETON = "spinetrack37"
CROP_SIZE_PX = (256, 192)  # height and width of a detector's crops
_DETECTOR_POINTS = load_skeleton(DETECTOR_SKELETON).names
POINT_CHOICES: Mapping[str, tuple[str, ...]] = {
    "all": _DETECTOR_POINTS,
    "trunk": tuple(
        name
        for name in _DETECTOR_POINTS
        if name in SPINETRACK_REGIONS["spine"] or name.endswith(("_latissimus", "_clavicle"))
    ),
    "body": _DETECTOR_POINTS[:26],
}


class LabelledSet(Section):
    """One set of labelled images, in one of two layouts."""

    folder: str
    """Folder with annotations/ and images/, as `simspine capture render` writes it; with `labels`: of the images."""
    split: str = "train-unreal"
    """Which split: annotations/person_keypoints_<split>.json and images/<split>/."""
    labels: str | None = None
    """A COCO file of labels (.json), for images in any folder."""
    fraction: float = Field(1.0, gt=0, le=1)
    """Share of the people that are used; the seed decides which."""
    whole_epochs: bool = False
    """With a fraction, an epoch still has as many crops as all people, so that runs have equal numbers of steps."""


class SpineData(Section):
    """Images to train on and to test on."""

    train: tuple[LabelledSet, ...] = Field((), max_length=2)
    """One or two training sets."""
    mixing: Literal["batch", "epoch"] = "batch"
    """How two sets are mixed. batch: each gives half of every batch. epoch: each image of both comes once an epoch."""
    test: tuple[LabelledSet, ...] = Field((), max_length=2)
    """One or two test sets: the mean error in the first after each epoch, the papers' figures in each at the end. They
    do not affect training."""
    points: Literal["all", "trunk", "body"] = "all"
    """all: SpineTrack's 37 points; trunk: spine, latissimus and clavicles (13); body: 26, those of a teacher."""

    @field_validator("test", mode="before")
    @classmethod
    def _one_set_alone(cls, given: Any) -> Any:
        return (given,) if isinstance(given, Mapping | LabelledSet) else given or ()

    @property
    def names(self) -> tuple[str, ...]:
        """The points' names, in SpineTrack's order."""
        return POINT_CHOICES[self.points]


class SpineNetworkSize(Section):
    """Size of the network."""

    width: int = Field(128, ge=16, multiple_of=8)
    """Channels at 1/16 of the crop; the other levels have shares of it."""
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (2, 3, 4, 3)
    """Blocks at 1/4, 1/8, 1/16 and 1/32 of the crop."""
    hidden: int = Field(256, ge=8)
    """Length of the hidden vector of a point."""
    start: str | None = None
    """A network from another program to start from (.pt2, by `python -m tools.start_network`); it replaces the sizes.
    """


class SpineLosses(Section):
    """Weights of the losses, and parameters of the spine loss that the paper does not give."""

    position: float = Field(5.0, ge=0)
    """Published: KL to the Gaussians of the labels."""
    distill: float = Field(2.5, ge=0)
    """Published: KL to the teacher's maps; counts with a teacher only."""
    structure: float = Field(0.1, ge=0)
    """Published: angles of bones."""
    spine: float = Field(0.5, ge=0)
    """Published: distance of the spine's points from their smoothed chain."""
    spread: float = Field(0.0016, ge=0)
    """Ours: likelihood of the covariances; positions enter it as constants, and their own loss outweighs it."""
    unit_px: float = Field(10.0, gt=0)
    """Spine: unit of length, in px of the crop; in units of 1 px it outweighs `position`. Not published."""
    a: float = Field(2.0, ge=0)
    """Spine: steepness, per unit. Not published."""
    threshold: float = Field(3.8, ge=0)
    """Spine: length T of a step above which it is shortened, in units. Not published."""


class CurriculumStage(Section):
    """A part of the training with one strength of augmentation. Lengths are shares of the box, angles degrees."""

    share: float = Field(1.0, gt=0)
    """Length, relative to the other stages."""
    frozen: Literal["nothing", "backbone"] = "nothing"
    """Part of the network that is not trained, for instance the backbone while the head adapts to new points."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of mirroring, which exchanges left and right."""
    half_body: float = Field(0.0, ge=0, le=1)
    """Probability of showing the upper or the lower half only."""
    shift: float = Field(0.0, ge=0, le=0.5)
    """Largest shift."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest scale of the box."""
    rotation_deg: float = Field(0.0, ge=0, le=180)
    """Largest rotation."""
    colour: bool = False
    """Whether hue, saturation and brightness change at random."""
    blur: float = Field(0.0, ge=0, le=1)
    """Probability of a blur, and of a median blur."""
    hole: float = Field(0.0, ge=0, le=1)
    """Probability of a grey rectangle, 0.2 to 0.4 of the crop's sides."""

    @model_validator(mode="after")
    def _scales_are_in_order(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale is {self.scale}, expected two positive numbers in rising order.")
        return self


class SpineTraining(DescentSettings):
    """Optimiser, precision and hardware."""

    mixed: bool = False
    """Mixed precision (bfloat16): faster on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU if PyTorch can use one, else the CPU."""
    processes: int = Field(0, ge=0)
    """Processes that crop images ahead of the network; 0: the main process crops. Does not change results."""


class SpineDetectorOptions(Section):
    """One detector of the spine: data, network, losses, curriculum, training."""

    data: SpineData = SpineData()
    """Images to train on and to test on."""
    network: SpineNetworkSize = SpineNetworkSize()
    """Size of the network."""
    losses: SpineLosses = SpineLosses()
    """The losses and their weights."""
    curriculum: tuple[CurriculumStage, ...] = Field((CurriculumStage(),), min_length=1)
    """Stages of augmentation, in order."""
    training: SpineTraining = SpineTraining()
    """Optimiser, precision and hardware."""
    teacher: str | None = None
    """A teacher network: weights.pt of a training run with fewer points, whose weights the student starts from; or
    an ONNX network for crops of this size, of which only the maps are distilled."""
    seed: int = Field(1, ge=0)
    """Seed of initial weights, fractions, and order and augmentation of the crops."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.network.start is not None and self.teacher is not None and not self.teacher.endswith(".onnx"):
            raise ValueError("network.start and a teacher's weights.pt both give weights; name a teacher in ONNX.")
        return self


def spine_options(source: str | Path, **changes: Any) -> SpineDetectorOptions:
    """Options of a spine detector from a preset or a file, see `options_from`."""
    return options_from(SpineDetectorOptions, SPINE_PRESETS, source, changes)
