"""The same detector with some of its losses, stages or data, or without its teacher, as in the papers' figures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from simspine.errors import InputError, unknown_name
from simspine.evaluation.tables import Cell, EvaluationTable, TableColumn, TableRow
from simspine.learning.lifters import Say
from simspine.learning.spine2d.options import CurriculumStage, SpineDetectorOptions
from simspine.learning.spine2d.runs import AFTER, EXCHANGED, TrainedDetector, train_detector

Variants = dict[str, SpineDetectorOptions]
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
DRAWN = ("spine: median error", "all: median error")
_PRECISION = ("spine AP", "body AP", "all AP")


def by_losses(options: SpineDetectorOptions) -> Variants:
    """The options with some losses switched off, by the paper's rows; without a teacher none is distilled."""
    made = {}
    for name, kept in LOSS_ROWS.items():
        off = {part: 0.0 for part in _SWITCHED if part not in kept}
        label = name if options.teacher is not None else name.replace("+ distill + ", "+ ")
        made[label] = options.model_copy(update={"losses": options.losses.model_copy(update=off)})
    if options.teacher is None:
        del made["+ distill"]  # nothing is left of it
    return made


def by_fractions(options: SpineDetectorOptions) -> Variants:
    """The options with more and more people of the last training set, at equal numbers of steps; all others stay."""
    made = {}
    for fraction in FRACTIONS:
        change = {"fraction": fraction, "whole_epochs": True} if fraction < 1 else {"fraction": 1.0}
        last = options.data.train[-1].model_copy(update=change)
        data = options.data.model_copy(update={"train": (*options.data.train[:-1], last)})
        made[f"{100 * fraction:g} %"] = options.model_copy(update={"data": data})
    return made


def by_curriculum(options: SpineDetectorOptions) -> Variants:
    """The options with single stages of their curriculum throughout, with mirroring alone, and with all in turn."""
    made = {"mirroring alone": options.model_copy(update={"curriculum": (CurriculumStage(),)})}
    for number, stage in enumerate(options.curriculum, start=1):
        made[f"stage {number} alone"] = options.model_copy(update={"curriculum": (stage,)})
    return made | {"stages in turn": options}


def by_teacher(options: SpineDetectorOptions) -> Variants:
    """The options without their teacher, with a student that only starts from it, and as they are."""
    if options.teacher is None:
        raise InputError("to compare students a teacher is needed; name its weights.pt (`teacher`, or --teacher).")
    alone = options.losses.model_copy(update={"distill": 0.0})
    return {
        "no teacher": options.model_copy(update={"teacher": None}),
        "teacher's weights": options.model_copy(update={"losses": alone}),
        "teacher's weights and maps": options,
    }


VARIED: Mapping[str, Callable[[SpineDetectorOptions], Variants]] = MappingProxyType({
    "losses": by_losses,
    "teacher": by_teacher,
    "curriculum": by_curriculum,
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
    return run_detector_ablations(options, (what,), folder, say)[0]


def run_detector_ablations(
    options: SpineDetectorOptions, which: tuple[str, ...], folder: str | Path, say: Say = lambda line: None
) -> tuple[EvaluationTable, ...]:
    """A table for each of these names, as `run_detector_ablation`; what several tables have is trained once."""
    if options.data.test is None or not options.data.train:
        raise InputError("to compare settings data.train and data.test are needed; name sets of labelled images.")
    variants = {what: VARIED[what](options) for what in which}
    trained: dict[str, TrainedDetector] = {}
    tables = []
    for what, rows in variants.items():
        made = []
        for number, (name, own) in enumerate(rows.items(), start=1):
            say(f"{what}: {name}")
            key = own.model_dump_json()
            if key not in trained:
                trained[key] = train_detector(own, Path(folder) / f"{what}-{number}", say)
            made.append(TableRow(name, "all", _cells(trained[key])))
        tables.append(_table(what, tuple(made)))
    return tuple(tables)


def _table(what: str, rows: tuple[TableRow, ...]) -> EvaluationTable:
    columns = (
        *(TableColumn(f"{part}: {name}", "%" if "error" in name else "", 1 if "error" in name else 3)
          for part, name in _FIGURES),
        TableColumn(EXCHANGED, "%", 1),
        *(TableColumn(name, "", 3) for name in _PRECISION),
    )  # fmt: skip
    notes = ("Errors in % of the shorter side of the box. All of one seed: what repeats would say is not shown.",)
    return EvaluationTable(f"spine_detector_{what}", f"Detector by {what}", columns, rows, notes)


def _cells(trained: TrainedDetector) -> tuple[Cell, ...]:
    own, precision, *_ = trained.tables
    errors: list[Cell] = [own.value(AFTER, part, name) for part, name in (*_FIGURES, ("all", EXCHANGED))]
    return (*errors, *(precision.value(AFTER, "all", name) for name in _PRECISION))
