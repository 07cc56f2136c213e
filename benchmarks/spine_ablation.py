"""The same detector of the spine with some of its losses, stages or data, or without its teacher: tables and a figure.

    python benchmarks/spine_ablation.py configs/training/spine-detector.yaml --what losses fractions

losses: the paper's rows. fractions: 1 to 100 % of the last training set, at equal numbers of steps. mixing: 0 to 10 %
of a second set in each batch or each epoch; with two test sets a figure has AUC and AP on either. curriculum: single
stages. teacher: without it, from its weights, and with its maps as well. networks: files to start from (--starts). Each
network has a folder of its own below `--out`, and a killed run goes on by the same command.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simspine.core.errors import InputError
from simspine.evaluation.tables import EvaluationTable, TableCell, TableColumn, TableRow, evaluation_json, join_tables
from simspine.io.atomic import write_text
from simspine.learning.options import CurriculumStage, SpineDetectorOptions, spine_options
from simspine.learning.spine_runs import SIDES_EXCHANGED_LABEL, TRAINED_LABEL, train_detector
from simspine.report.figure_style import BLUE, VERMILLION, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VariantOptions = dict[str, SpineDetectorOptions]
MIXED_FRACTIONS = (0.01, 0.02, 0.05, 0.1)  # of the second set, next to all of the first
DATA_FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)  # of the last set named
LOSS_ROWS: Mapping[str, tuple[str, ...]] = {
    "position": (),
    "+ distill": ("distill",),
    "+ distill + spine": ("distill", "spine"),
    "+ distill + structure": ("distill", "structure"),
    "all": ("distill", "spine", "structure"),
}
_SWITCHED_LOSSES = ("distill", "spine", "structure")
_ABLATION_FIGURES = (("spine", "median error"), ("spine", "PCK 0.1"), ("all", "median error"), ("all", "PCK 0.1"))
DRAWN_FIGURES = ("spine: median error", "all: median error")
_PRECISION_COLUMNS = ("spine AP", "body AP", "all AP")
_AREA_COLUMN = "9 points, 0–0.19"
_SIZE_COLUMNS = ("parameters", "FLOPs")
MIXING_FIGURES = {"spine AUC": "area under PCK's curve up to 0.19", "spine AP": "average precision"}  # name: axis
_TABLES_OF_SET = 4  # of `train_detector`, for each test set


def variants_by_losses(options: SpineDetectorOptions) -> VariantOptions:
    """The options with some losses switched off, by the paper's rows; without a teacher none is distilled."""
    made = {}
    for name, kept in LOSS_ROWS.items():
        off = {part: 0.0 for part in _SWITCHED_LOSSES if part not in kept}
        label = name if options.teacher is not None else name.replace("+ distill + ", "+ ")
        made[label] = options.model_copy(update={"losses": options.losses.model_copy(update=off)})
    if options.teacher is None:
        del made["+ distill"]  # nothing is left of it
    return made


def variants_by_fractions(options: SpineDetectorOptions) -> VariantOptions:
    """The options with more and more people of the last training set, at equal numbers of steps; all others stay."""
    made = {}
    for fraction in DATA_FRACTIONS:
        change = {"fraction": fraction, "whole_epochs": True} if fraction < 1 else {"fraction": 1.0}
        last = options.data.train[-1].model_copy(update=change)
        data = options.data.model_copy(update={"train": (*options.data.train[:-1], last)})
        made[f"{100 * fraction:g} %"] = options.model_copy(update={"data": data})
    return made


def variants_by_mixing(options: SpineDetectorOptions) -> VariantOptions:
    """The first set with 0 to 10 % of the second: mixed in each batch, half of it from either, and in each epoch."""
    if len(options.data.train) < 2:
        raise InputError("to compare ways of mixing two training sets are needed; name a second one in data.train.")
    first, second = options.data.train
    made = {"0 %": options.model_copy(update={"data": options.data.model_copy(update={"train": (first,)})})}
    for fraction in MIXED_FRACTIONS:
        few = second.model_copy(update={"fraction": fraction})
        for mixing in ("batch", "epoch"):
            data = options.data.model_copy(update={"train": (first, few), "mixing": mixing})
            made[f"{100 * fraction:g} %, each {mixing}"] = options.model_copy(update={"data": data})
    return made


def variants_by_curriculum(options: SpineDetectorOptions) -> VariantOptions:
    """The options with single stages of their curriculum throughout, with mirroring alone, and with all in turn."""
    made = {"mirroring alone": options.model_copy(update={"curriculum": (CurriculumStage(),)})}
    for number, stage in enumerate(options.curriculum, start=1):
        made[f"stage {number} alone"] = options.model_copy(update={"curriculum": (stage,)})
    return made | {"stages in turn": options}


def variants_by_network(options: SpineDetectorOptions, starts: Sequence[Path]) -> VariantOptions:
    """The options with their own network, and with each of these to start from (`tools.start_network`)."""
    made = {"own": options}
    for path in starts:
        network = options.network.model_copy(update={"start": str(path)})
        made[path.stem] = options.model_copy(update={"network": network})
    return made


def variants_by_teacher(options: SpineDetectorOptions) -> VariantOptions:
    """The options without their teacher, with a student that only starts from it, and as they are."""
    if options.teacher is None:
        raise InputError("to compare students a teacher is needed; name its weights.pt (`teacher`, or --teacher).")
    alone = options.losses.model_copy(update={"distill": 0.0})
    return {
        "no teacher": options.model_copy(update={"teacher": None}),
        "teacher's weights": options.model_copy(update={"losses": alone}),
        "teacher's weights and maps": options,
    }


ABLATION_VARIANTS: Mapping[str, Callable[[SpineDetectorOptions], VariantOptions]] = {
    "losses": variants_by_losses,
    "teacher": variants_by_teacher,
    "curriculum": variants_by_curriculum,
    "fractions": variants_by_fractions,
    "mixing": variants_by_mixing,
}


def run_ablations(
    options: SpineDetectorOptions,
    which: tuple[str, ...],
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
    starts: Sequence[Path] = (),
) -> tuple[EvaluationTable, ...]:
    """A table for each of these names: a detector for each variant, all else as in the options, judged by their test
    set. Each has a folder below `folder`, and a killed run goes on; what several tables have is trained once.
    """
    if not options.data.test or not options.data.train:
        raise InputError("to compare settings data.train and data.test are needed; name sets of labelled images.")
    choices = {**ABLATION_VARIANTS, "networks": partial(variants_by_network, starts=starts)}
    variants = {what: choices[what](options) for what in which}
    trained: dict[str, tuple[EvaluationTable, ...]] = {}
    tables = []
    for what, rows in variants.items():
        made = []
        for number, (name, own) in enumerate(rows.items(), start=1):
            say(f"{what}: {name}")
            key = own.model_dump_json()
            if key not in trained:
                trained[key] = train_detector(own, folder / f"{what}-{number}", say)
            cells = _ablation_cells(trained[key])
            same = next((row.method for row in made if row.cells == cells), None)
            remark = f"as {same}: of this set the same people" if same and what in ("fractions", "mixing") else ""
            made.append(TableRow(name, "all", cells, remark=remark))
        tables.append(_ablation_table(what, tuple(made), set_names(options)))
    return tuple(tables)


def set_names(options: SpineDetectorOptions) -> list[str]:
    """What the test sets are called in columns: the folders, and where these are alike the splits too."""
    names = [Path(where.folder).name for where in options.data.test]
    alike = len(set(names)) < len(names)
    return [f"{name} {where.split}" if alike else name for name, where in zip(names, options.data.test, strict=True)]


def _ablation_table(what: str, rows: tuple[TableRow, ...], sets: Sequence[str]) -> EvaluationTable:
    columns = (
        *(TableColumn(f"{part}: {name}", "%" if "error" in name else "", 1 if "error" in name else 3)
          for part, name in _ABLATION_FIGURES),
        TableColumn(SIDES_EXCHANGED_LABEL, "%", 1),
        *(TableColumn(name, "", 3) for name in _PRECISION_COLUMNS),
        TableColumn("parameters", "10⁶", 2), TableColumn("FLOPs", "10⁹", 2),
        *(TableColumn(f"{figure}, {name}", "", 3) for name in sets for figure in MIXING_FIGURES),
    )  # fmt: skip
    notes = (
        f"Figures without a set's name are of {sets[0]}. Errors in % of the shorter side of the box. AUC: of PCK up "
        "to 0.19. FLOPs: a multiplication with its addition is one. All of one seed: repeats would differ.",
    )
    return EvaluationTable(
        name=f"spine_detector_{what}", title=f"Detector by {what}", columns=columns, rows=rows, notes=notes
    )


def _ablation_cells(tables: Sequence[EvaluationTable]) -> tuple[TableCell, ...]:
    own, precision = tables[:2]
    sizes = [("all", name) for name in (SIDES_EXCHANGED_LABEL, *_SIZE_COLUMNS)]
    exchanged, *size = (own.value(TRAINED_LABEL, part, name) for part, name in sizes)
    errors = [own.value(TRAINED_LABEL, part, name) for part, name in _ABLATION_FIGURES]
    of_sets = []
    for first in range(0, len(tables), _TABLES_OF_SET):
        of_sets.append(tables[first + 3].value(TRAINED_LABEL, "all", _AREA_COLUMN))
        of_sets.append(tables[first + 1].value(TRAINED_LABEL, "all", "spine AP"))
    found = [precision.value(TRAINED_LABEL, "all", name) for name in _PRECISION_COLUMNS]
    return (*errors, exchanged, *found, *size, *of_sets)


def ablation_figure(tables: Sequence[EvaluationTable], columns: tuple[str, str]) -> "Figure":
    """A panel a table: two of its columns, of the same unit. Rows that are shares of data ('25 %') are a curve over a
    logarithmic axis, others stand below one another.
    """
    tallest = max(len(table.rows) for table in tables)
    figure = new_figure(0.32 * tallest + 1.3, 3.4 * len(tables))
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, table in zip(panels, tables, strict=True):
        names = [row.method for row in table.rows]
        draw = _draw_curve if all(name.endswith(" %") for name in names) else _draw_dots
        for column, colour in zip(columns, (VERMILLION, BLUE), strict=True):
            values = np.array([table.value(row.method, row.label, column) for row in table.rows], float)
            draw(axes, names, values, colour, column)
        # In the end only: a limit set before the second column would leave its larger values outside.
        axes.set_ylim(bottom=0) if draw is _draw_curve else axes.set_xlim(left=0)
        axes.set_title(table.title, fontsize="small")
        unit = next(column.unit for column in table.columns if column.name == columns[0])
        (axes.set_ylabel if draw is _draw_curve else axes.set_xlabel)(f"error ({unit})", fontsize="small")
    panels[0].legend(fontsize="x-small")
    return figure


def mixing_figure(table: EvaluationTable, sets: Sequence[str]) -> "Figure":
    """Of the table of mixing: AUC left, AP right, over the share of the second set; a colour for each test set, a line
    for each way of mixing. The row without a second set begins every curve."""
    figure = new_figure(3.0, 7.2)
    for axes, (name, label) in zip(figure.subplots(1, 2), MIXING_FIGURES.items(), strict=True):
        for test, colour in zip(sets, (VERMILLION, BLUE), strict=False):
            for way, line in (("batch", "o-"), ("epoch", "s--")):
                rows = [row.method for row in table.rows if row.method == "0 %" or row.method.endswith(way)]
                shares = [float(row.split(" ")[0]) for row in rows]
                values = [table.value(row, "all", f"{name}, {test}") for row in rows]
                axes.plot(shares, np.array(values, float), line, color=colour, label=f"{test}, each {way}")
        axes.set_xlabel("share of the second set (%)", fontsize="small")
        axes.set_ylabel(label, fontsize="small")
        axes.set_ylim(0, 1)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="x-small")
    return figure


def _draw_dots(axes: "Axes", names: list[str], values: np.ndarray, colour: str, label: str) -> None:
    axes.plot(values, np.arange(len(names)), "o", color=colour, label=label)
    axes.set_yticks(np.arange(len(names)), names, fontsize="x-small")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def _draw_curve(axes: "Axes", names: list[str], values: np.ndarray, colour: str, label: str) -> None:
    shares = [float(name.removesuffix(" %")) for name in names]
    axes.plot(shares, values, "o-", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{share:g}" for share in shares], fontsize="x-small")
    axes.minorticks_off()
    axes.set_xlabel("share of the people (%)", fontsize="small")
    axes.grid(alpha=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="settings, as of `simspine train spine`")
    parser.add_argument("--what", nargs="+", choices=[*ABLATION_VARIANTS, "networks"], default=["losses", "fractions"])
    parser.add_argument("--out", type=Path, default=Path("results/spine-ablation"))
    parser.add_argument("--starts", nargs="+", type=Path, default=[], help="networks: files of tools.start_network")
    parser.add_argument("--seed", type=int)
    chosen = parser.parse_args()
    options = spine_options(chosen.config, seed=chosen.seed)
    tables = run_ablations(options, tuple(chosen.what), chosen.out, print, chosen.starts)
    write_text(chosen.out / "ablation.json", evaluation_json(tables))
    ablation_figure(tables, DRAWN_FIGURES).savefig(chosen.out / "ablation.png", dpi=110)
    for what, table in zip(chosen.what, tables, strict=True):
        if what == "mixing":
            mixing_figure(table, set_names(options)).savefig(chosen.out / "mixing.png", dpi=110)
    print(join_tables(tables))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
