"""One setting of the synthetic subjects at a time: the same lifters, learnt and tested with each of its values."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from simspine.errors import InputError, unknown_name
from simspine.evaluation.tables import Cell, EvaluationTable, TableColumn, TableRow
from simspine.learning.options import LiftingOptions
from simspine.learning.runs import LiftingRow, run_lifting_benchmark

ABLATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "detections": ("exact", "finetuned", "zero-shot"),
    "family": ("centroids", "released"),
    "spines": ("published", "scans"),
})  # fmt: skip
_REGIONS = ("P-MPJPE spine", "MPJPE cervical", "MPJPE thoracic", "MPJPE lumbar", "MPJPE spine")
_GAIN = "below the best control, spine"


def run_ablation(
    options: LiftingOptions,
    setting: str,
    rows: Sequence[LiftingRow],
    folder: str | Path,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[EvaluationTable, ...]:
    """One table: lifters and controls with each value of `setting` (of `ABLATIONS`), all else as in the options.

    rows: lifters, of the training subjects of the options alone. Networks have their folders below
    `<folder>/<setting>-<value>`, and a killed run goes on. Raises `InputError` for an unknown setting, for a data set
    (whose people cannot be made anew), and as `run_lifting_benchmark` does.
    """
    if setting not in ABLATIONS:
        raise unknown_name("setting to change", setting, ABLATIONS)
    if options.source.dataset is not None:
        raise InputError(
            f"{setting} is a setting of synthetic subjects; people of the data set {options.source.dataset} are as "
            "they are. Leave out --dataset."
        )
    made: list[TableRow] = []
    for value in ABLATIONS[setting]:
        say(f"{setting}: {value}")
        source = options.source.model_copy(update={setting: value})
        regions, _, gain, *_ = run_lifting_benchmark(
            options.model_copy(update={"source": source}), rows, Path(folder) / f"{setting}-{value}", 0, say
        )
        for row in rows:
            cells: list[Cell] = [regions.value(row.name, "all", column) for column in _REGIONS]
            made.append(TableRow(row.name, value, (*cells, gain.value(row.name, "all", _GAIN))))
    columns = (*(TableColumn(name) for name in _REGIONS), TableColumn(_GAIN, "%", 1))
    notes = (f"Each with people and image points made with that value of {setting}, learnt from and tested on.",)
    return (EvaluationTable("lifting_ablation", f"Lifting by {setting}", columns, tuple(made), notes),)
