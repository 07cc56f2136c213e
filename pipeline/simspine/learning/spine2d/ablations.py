"""The same detector trained with some of its losses, or with more and more of its data, as in the papers' figures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from simspine.errors import InputError, unknown_name
from simspine.evaluation.tables import Cell, EvaluationTable, TableColumn, TableRow
from simspine.learning.lifters import Say
from simspine.learning.spine2d.options import SpineDetectorOptions
from simspine.learning.spine2d.runs import AFTER, TrainedDetector, train_detector

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)  # of the last set named
LOSS_ROWS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "position": (),
    "+ distill": ("distill",),
    "+ distill + spine": ("distill", "spine"),
    "+ distill + structure": ("distill", "structure"),
    "all": ("distill", "spine", "structure"),
})  # fmt: skip
_SWITCHED = ("distill", "spine", "structure")
_FIGURES = (("spine", "median error"), ("spine", "PCK 0.1"), ("all", "median error"), ("all", "PCK 0.1"))
_PRECISION = ("spine AP", "body AP", "all AP")


def by_losses(options: SpineDetectorOptions) -> dict[str, SpineDetectorOptions]:
    """The options with some losses switched off, by the paper's rows; without a teacher none is distilled."""
    made = {}
    for name, kept in LOSS_ROWS.items():
        losses = options.losses.model_copy(update={part: 0.0 for part in _SWITCHED if part not in kept})
        label = name if options.teacher is not None else name.replace("+ distill + ", "+ ")
        made[label] = options.model_copy(update={"losses": losses})
    if options.teacher is None:
        del made["+ distill"]  # nothing is left of it
    return made


def by_fractions(options: SpineDetectorOptions) -> dict[str, SpineDetectorOptions]:
    """The options with more and more people of the last training set; all others stay."""
    made = {}
    for fraction in FRACTIONS:
        last = options.data.train[-1].model_copy(update={"fraction": fraction})
        data = options.data.model_copy(update={"train": (*options.data.train[:-1], last)})
        made[f"{100 * fraction:g} %"] = options.model_copy(update={"data": data})
    return made


VARIED: Mapping[str, Callable[[SpineDetectorOptions], dict[str, SpineDetectorOptions]]] = MappingProxyType({
    "losses": by_losses,
    "fractions": by_fractions,
})  # fmt: skip


def run_detector_ablation(
    options: SpineDetectorOptions, what: str, folder: str | Path, say: Say = lambda line: None
) -> EvaluationTable:
    """One table: a detector for each value of `what` (of `VARIED`), all else as in the options, judged by their test
    set. Each has a folder below `folder`, and a killed run goes on.

    Raises `InputError` for another name, without a test set or training set, and as `train_detector` does.
    """
    if what not in VARIED:
        raise unknown_name("setting to change", what, VARIED)
    if options.data.test is None or not options.data.train:
        raise InputError("to compare settings data.train and data.test are needed; name sets of labelled images.")
    rows = []
    for number, (name, own) in enumerate(VARIED[what](options).items(), start=1):
        say(f"{what}: {name}")
        trained = train_detector(own, Path(folder) / f"{what}-{number}", say)
        rows.append(TableRow(name, "all", _cells(trained)))
    columns = (
        *(TableColumn(f"{part}: {name}", "%" if "error" in name else "", 1 if "error" in name else 3)
          for part, name in _FIGURES),
        *(TableColumn(name, "", 3) for name in _PRECISION),
    )  # fmt: skip
    notes = ("Errors in % of the shorter side of the box. All of one seed: what repeats would say is not shown.",)
    return EvaluationTable(f"spine_detector_{what}", f"Detector by {what}", columns, tuple(rows), notes)


def _cells(trained: TrainedDetector) -> tuple[Cell, ...]:
    own, precision, *_ = trained.tables
    errors: list[Cell] = [own.value(AFTER, part, name) for part, name in _FIGURES]
    return (*errors, *(precision.value(AFTER, "all", name) for name in _PRECISION))
