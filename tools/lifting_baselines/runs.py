"""One lifter from its options to files."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tools.lifting_baselines.lifters import fit_lifter, source_views, views_of_subjects
from tools.lifting_baselines.options import CONTROL_METHODS, LiftingOptions
from tools.lifting_baselines.point_tables import write_point_sequences
from tools.lifting_baselines.samples import LIFTED_SPINE_POINTS

from simspine.evaluation.point_protocols import evaluate_lifting
from simspine.evaluation.tables import EvaluationTable, evaluation_json
from simspine.io.atomic import write_text
from simspine.learning.options import SayLine, require_torch


def train_lifting(
    options: LiftingOptions, folder: str | Path, say: SayLine = lambda line: None
) -> tuple[EvaluationTable, ...]:
    """Fit one lifter and predict the test subjects; the tables of the protocol.

    Writes to the folder: options.json, checkpoint.pt and losses.csv of a network, truth.npz and predictions.npz of the
    test subjects (`evaluation.points`), tables.json. A killed run goes on after its last epoch. Raises `InputError` as
    `fit_lifter` does."""
    folder = Path(folder)
    if options.method not in CONTROL_METHODS:  # before minutes of work
        require_torch()
    views = source_views(options.source, [*options.train, *options.test])
    lifter = fit_lifter(options, views, folder, say)
    test = views_of_subjects(views, options.test)
    predictions, truth = lifter.lift(test), [view.truth for view in test]
    tables = evaluate_lifting({options.method: predictions}, truth, options.source.every)
    write_text(folder / "options.json", json.dumps(options.model_dump(mode="json"), indent=1) + "\n")
    if lifter.history is not None:
        from simspine.learning.descent import write_losses

        write_losses(folder / "losses.csv", lifter.history, "watched_mm")
    write_point_sequences(folder / "truth.npz", truth)
    write_point_sequences(folder / "predictions.npz", predictions)
    write_text(folder / "tables.json", evaluation_json(tables))
    return tables


def mean_lifting_errors(predictions: Sequence, truth: Sequence) -> list[float]:
    """Root-relative MPJPE (mm) of the spine's points and of all that were predicted; keys must be the same."""
    known = {sequence.key: sequence for sequence in truth}
    spine, every = [], []
    for sequence in predictions:
        true = known[sequence.key].select(sequence.names, sequence.frames).values
        root = sequence.names.index(LIFTED_SPINE_POINTS[0])
        error = np.linalg.norm(sequence.values - sequence.values[:, [root]] - true + true[:, [root]], axis=-1)
        every.append(error.ravel())
        spine.append(error[:, [sequence.names.index(name) for name in LIFTED_SPINE_POINTS]].ravel())
    return [1e3 * float(np.nanmean(np.concatenate(part))) for part in (spine, every)]
