"""One lifter from its options to files, and the whole benchmark of lifters from nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.core.errors import InputError, require_known
from simspine.evaluation.point_protocols import evaluate_lifting
from simspine.evaluation.point_sources import write_point_sequences
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow, evaluation_json
from simspine.io.atomic import write_text
from simspine.learning.lifters import (
    FittedLifter,
    LifterProgress,
    LifterSay,
    fit_lifter,
    source_views,
    views_of_subjects,
)
from simspine.learning.options import CONTROL_METHODS, LIFTING_METHODS, NETWORK_METHODS, LiftingOptions, require_torch
from simspine.learning.samples import LIFTED_SPINE_POINTS

MORE_TEST_FRAMES = 500  # of a trial of additional people, 50 Hz


@dataclass(frozen=True)
class LiftingRow:
    """One lifter of the benchmark. people: '' for the training subjects of the options, else how many there are.
    redraw: whether its samples are redrawn each epoch (`LiftingTraining.redraw`), if the options do not say so."""

    method: str
    points: str
    input: str
    people: str = ""
    redraw: bool = False

    @property
    def name(self) -> str:
        """'simple, full, detected', how many people it learnt from if not those of the options, whether redrawn."""
        said = self.method, self.points, self.input, self.people, "redrawn" if self.redraw else ""
        return ", ".join(filter(None, said))

    @property
    def setting(self) -> tuple[str, str, str]:
        """What a lifter has in common with the controls it is compared with."""
        return self.points, self.input, self.people


def train_lifting(
    options: LiftingOptions,
    folder: str | Path,
    say: LifterSay = lambda line: None,
    progress: LifterProgress | None = None,
) -> tuple[EvaluationTable, ...]:
    """Fit one lifter and predict the test subjects; the tables of the protocol.

    Writes to the folder: options.json, checkpoint.pt, losses.csv and lifter.onnx (`lifter_file`) of a network,
    truth.npz and predictions.npz of the test subjects (`evaluation.points`), tables.json. A killed run goes on after
    its last epoch. Raises `InputError` as `fit_lifter` does.
    """
    folder = Path(folder)
    if options.method in NETWORK_METHODS:  # before minutes of work
        require_torch()
        from simspine.learning.onnx_files import require_onnx

        require_onnx()
    views = source_views(options.source, [*options.train, *options.test], progress)
    lifter = fit_lifter(options, views, folder, say)
    if lifter.network is not None:
        from simspine.learning.onnx_files import LIFTER_FILE, export_lifter

        export_lifter(folder / LIFTER_FILE, lifter)
    test = views_of_subjects(views, options.test)
    predictions, truth = lifter.lift(test), [view.truth for view in test]
    tables = evaluate_lifting({options.method: predictions}, truth, options.source.every)
    write_text(folder / "options.json", json.dumps(options.model_dump(mode="json"), indent=1) + "\n")
    write_losses(folder / "losses.csv", lifter)
    write_point_sequences(folder / "truth.npz", truth)
    write_point_sequences(folder / "predictions.npz", predictions)
    write_text(folder / "tables.json", evaluation_json(tables))
    return tables


def benchmark_rows(more_people: int = 0) -> tuple[LiftingRow, ...]:
    """The paper's four settings with all controls and SimpleBaseline3D; the other lifters on detected full bodies.

    more_people: if any, the full body again with as many more people to learn from.
    """
    settings = [(points, image) for points in ("spine", "full") for image in ("detected", "truth")]
    rows = [LiftingRow(method, *setting) for setting in settings for method in (*CONTROL_METHODS, "simple")]
    rows.append(LiftingRow("temporal", "full", "detected"))
    if more_people:
        people = f"{more_people} more people"
        methods = {"detected": (*CONTROL_METHODS, "simple", "temporal"), "truth": (*CONTROL_METHODS, "simple")}
        rows += [LiftingRow(method, "full", image, people) for image, own in methods.items() for method in own]
        rows.append(LiftingRow("temporal", "full", "detected", people, redraw=True))
    return tuple(rows)


def chosen_rows(
    rows: Sequence[LiftingRow], methods: Sequence[str] = (), points: str | None = None, image: str | None = None
) -> tuple[LiftingRow, ...]:
    """Only rows of these methods, points and inputs; all where none are named. `InputError` where no row is left."""
    require_known("method", methods, LIFTING_METHODS)
    found = [row for row in rows if row.method in (methods or LIFTING_METHODS)]
    found = [row for row in found if points in (None, row.points) and image in (None, row.input)]
    if not found:
        raise InputError("no lifter of the benchmark is of these methods, points and input; ask for fewer of them.")
    return tuple(found)


def run_lifting_benchmark(
    options: LiftingOptions,
    rows: Sequence[LiftingRow],
    folder: str | Path,
    more_people: int = 0,
    say: LifterSay = lambda line: None,
) -> tuple[EvaluationTable, ...]:
    """Controls and lifters from nothing: people are made, networks trained, tables printed like the paper's.

    options: of all rows, but for method, points and input. more_people: synthetic subjects besides those of the
    options, in trials of ten seconds. Each network has a folder below `folder`, and a killed run goes on; losses.csv
    has its losses, tables.json all figures. Raises `InputError` as `fit_lifter` does.
    """
    folder = Path(folder)
    if any(row.method in NETWORK_METHODS for row in rows):
        require_torch()  # before minutes of work
    say("making the people")
    views = source_views(options.source, [*options.train, *options.test])
    more = more_subjects(options, more_people) if any(row.people for row in rows) else ()
    if more:
        frames = min(options.source.frames or MORE_TEST_FRAMES, MORE_TEST_FRAMES)
        views += source_views(options.source.model_copy(update={"frames": frames}), more)
    test = views_of_subjects(views, options.test)
    predictions = {}
    for row in rows:
        train = (*options.train, *more) if row.people else options.train
        training = options.training.model_copy(update={"redraw": options.training.redraw or row.redraw})
        change = {"method": row.method, "points": row.points, "input": row.input, "train": train, "training": training}
        place = folder / row.name.replace(", ", "-").replace(" ", "-")
        say(row.name)
        own = views_of_subjects(views, (*train, *options.test))
        lifter = fit_lifter(options.model_copy(update=change), own, place, say)
        predictions[row.name] = lifter.lift(test)
        write_losses(place / "losses.csv", lifter)
    truth = [view.truth for view in test]
    tables = (*evaluate_lifting(predictions, truth, options.source.every), gain_table(rows, predictions, truth))
    write_text(
        folder / "tables.json",
        evaluation_json(tables, options=options.model_dump(mode="json"), more_people=more_people),
    )
    return tables


def more_subjects(options: LiftingOptions, count: int) -> tuple[str, ...]:
    """Names of so many synthetic subjects that the options do not name: S12, S13, …"""
    named = {*options.train, *options.test}
    return tuple([name for name in (f"S{12 + i}" for i in range(count + len(named))) if name not in named][:count])


def gain_table(rows: Sequence[LiftingRow], predictions: Mapping, truth: Sequence) -> EvaluationTable:
    """MPJPE of all lifted points and of the spine, and how far below the best control's it is in the same setting."""
    errors = {row: mean_lifting_errors(predictions[row.name], truth) for row in rows}
    best: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if row.method in CONTROL_METHODS:
            before = best.get(row.setting, [np.inf, np.inf])
            best[row.setting] = [min(pair) for pair in zip(before, errors[row], strict=True)]
    columns = [TableColumn(name) for name in ("MPJPE spine", "MPJPE all points")]
    columns += [TableColumn(name, "%", 1) for name in ("below the best control, spine", "… all points")]
    made = []
    for row in rows:
        own = best.get(row.setting) if row.method not in CONTROL_METHODS else None
        gains = [100 * (1 - e / b) for e, b in zip(errors[row], own, strict=True)] if own else [None, None]
        made.append(TableRow(row.name, "all", (*errors[row], *gains)))
    notes = ("Root-relative, means over frames and points, the root counted with 0.",)
    return EvaluationTable(
        name="lifting_gain",
        title="Lifting: lifters and controls",
        columns=tuple(columns),
        rows=tuple(made),
        notes=notes,
    )


def mean_lifting_errors(predictions: Sequence, truth: Sequence) -> list[float]:
    """Root-relative MPJPE (mm) of the spine's points and of all that were predicted; keys must be the same."""
    known = {sequence.key: sequence for sequence in truth}
    spine, every = [], []
    for sequence in predictions:
        true = known[sequence.key].select(sequence.names, sequence.frames).xyz
        root = sequence.names.index(LIFTED_SPINE_POINTS[0])
        error = np.linalg.norm(sequence.xyz - sequence.xyz[:, [root]] - true + true[:, [root]], axis=-1)
        every.append(error.ravel())
        spine.append(error[:, [sequence.names.index(name) for name in LIFTED_SPINE_POINTS]].ravel())
    return [1e3 * float(np.nanmean(np.concatenate(part))) for part in (spine, every)]


def write_losses(path: Path, lifter: FittedLifter) -> None:
    """A line per epoch: loss of training, error of the watched (mm). Nothing for controls."""
    if lifter.history is None:
        return
    pairs = zip(lifter.history.losses, lifter.history.watched, strict=True)
    lines = [f"{i},{losses['total']!r},{error!r}" for i, (losses, error) in enumerate(pairs, start=1)]
    write_text(path, "\n".join(["epoch,loss,watched_mm", *lines]) + "\n")
