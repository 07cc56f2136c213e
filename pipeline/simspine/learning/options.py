"""Settings of training: what detectors of the spine learn from and how, and the presets of the command."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, PositiveInt, field_validator, model_validator

from simspine.core.errors import InputError, require_known
from simspine.core.settings import Section, SettingsError, read_yaml
from simspine.core.skeletons import SPINETRACK_REGIONS, load_skeleton

# PyTorch, imported when a network is asked for, and one clear error where it is not installed.


def require_torch() -> ModuleType:
    """The module `torch`. Raises `InputError` naming the extra that installs it."""
    try:
        import torch
    except ImportError:
        raise InputError("networks need PyTorch, which is not installed: pip install 'simspine[learn]'.") from None
    return torch


def chosen_device(wanted: str) -> str:
    """'cpu' or 'cuda' for 'auto', 'cpu' or 'cuda'; `InputError` if a GPU is asked for and cannot be used."""
    there = require_torch().cuda.is_available()
    if wanted == "cuda" and not there:
        raise InputError("training.device is cuda, but PyTorch finds no GPU here; choose cpu or auto.")
    return "cuda" if there and wanted != "cpu" else "cpu"


# Settings of a training run from a preset or a YAML file, with changes of single ones.


Options = TypeVar("Options", bound=Section)
SayLine = Callable[[str], None]
PresetTable = Mapping[str, Mapping[str, Any]]
DEFAULT_PRESET = "paper"
SPINE_PRESETS: PresetTable = yaml.safe_load(Path(__file__).with_name("presets.yaml").read_text(encoding="utf-8"))


def options_from(kind: type[Options], presets: PresetTable, source: str | Path, changes: Mapping[str, Any]) -> Options:
    """The options of a preset by its name, or those in a YAML file, with single keys changed; None changes nothing.

    A key of a section is written 'training.epochs'. A file's key `preset` (default 'paper') names one whose values
    stand where the file has none. Raises `InputError` naming the file, for presets and keys that do not exist, and for
    values out of range."""
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
    """A section with some keys set; the keys alone where it is none."""
    return {**section, **keys} if isinstance(section, Mapping) else keys


def parse_options(kind: type[Options], content: Mapping[str, Any], where: str) -> Options:
    """Options out of a plain mapping; `InputError` with a line for each fault."""
    try:
        return kind.model_validate(content)
    except SettingsError as wrong:
        faults = "\n".join(f"  - {fault}" for fault in wrong.faults)
        raise InputError(f"{where} cannot be used as settings of training:\n{faults}") from None


# What a detector of the spine learns from and how.


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


DETECTOR_SKELETON = "spinetrack37"
CROP_SIZE_PX = (256, 192)  # height and width of the crops that detectors look at
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
    """SpineTrack's layout (`simspine capture render` writes it): annotations/, images/. With `labels`: the images."""
    split: str = "train-unreal"
    """Which of the annotations: person_keypoints_<split>.json, images/<split>/."""
    labels: str | None = None
    """A file of labels in place of that layout: COCO (.json)."""
    fraction: float = Field(1.0, gt=0, le=1)
    """Share of the people that are used, drawn by the seed."""
    whole_epochs: bool = False
    """An epoch shows as many crops as with all people: fractions are then compared at equal numbers of steps."""


class SpineData(Section):
    """Which images."""

    train: tuple[LabelledSet, ...] = Field((), max_length=2)
    """One or two sets to learn from."""
    mixing: Literal["batch", "epoch"] = "batch"
    """Of two sets. batch: half of each batch is from either. epoch: every image of both once an epoch, in one order."""
    test: tuple[LabelledSet, ...] = Field((), max_length=2)
    """One or two sets to judge by: after each epoch by the mean error in the first, at the end by the papers' figures
    in each. Decides nothing."""
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
    """Numbers of a point between map and output."""
    start: str | None = None
    """A network of another program to start from (.pt2, by `python -m tools.start_network`), in place of those sizes.
    """


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
    unit_px: float = Field(1.0, gt=0)
    """Spine: px of the crop that count as 1. Not published."""
    a: float = Field(0.2, ge=0)
    """Spine: steepness, per unit. Not published."""
    threshold: float = Field(38.0, ge=0)
    """Spine: length T of a step from which it is shortened, in units. Not published."""


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


class SpineTraining(DescentSettings):
    """How crops are learnt from."""

    mixed: bool = False
    """Half precision (bfloat16) where it serves: faster on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where: the GPU if there is one, and PyTorch can use it; or as named."""
    processes: int = Field(0, ge=0)
    """Processes that cut out crops ahead of the network; 0: this one does. Does not change results."""


class SpineDetectorOptions(Section):
    """One detector of the spine: data, network, losses, curriculum, training."""

    data: SpineData = SpineData()
    """Which images."""
    network: SpineNetworkSize = SpineNetworkSize()
    """Size of the network."""
    losses: SpineLosses = SpineLosses()
    """What is minimised."""
    curriculum: tuple[CurriculumStage, ...] = Field((CurriculumStage(),), min_length=1)
    """Stages in their order."""
    training: SpineTraining = SpineTraining()
    """How it is minimised."""
    teacher: str | None = None
    """Weights of a teacher: weights.pt of a training run with fewer points, whose weights the student starts from; or
    an ONNX SimCC network for crops of this size, from which is only distilled."""
    seed: int = Field(1, ge=0)
    """Decides initial weights, fractions, order and augmentation of the crops."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.network.start is not None and self.teacher is not None and not self.teacher.endswith(".onnx"):
            raise ValueError("network.start and a teacher's weights.pt both give weights; name a teacher in ONNX.")
        return self


def spine_options(source: str | Path, **changes: Any) -> SpineDetectorOptions:
    """Of a preset or a file, see `options_from`."""
    return options_from(SpineDetectorOptions, SPINE_PRESETS, source, changes)
