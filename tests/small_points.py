"""A few trials of points that move, true and predicted, for the tests of protocols."""

import numpy as np

from simspine.evaluation.point_sources import PointSequence
from simspine.evaluation.tables import POINT_COLUMNS

ALL = POINT_COLUMNS["all"]


def truth(trials=(("S9", "Walking_1", 4), ("S9", "Sitting_1", 2), ("S11", "Walking_2", 6)), step=50, camera=None):
    """Random places about 1 m apart; frames `step` apart from 0."""
    random = np.random.default_rng(8)
    return tuple(
        PointSequence(
            subject,
            trial,
            step * np.arange(frames),
            ALL,
            random.normal(size=(frames, 37, 3)),
            "z_up",
            camera,
        )
        for subject, trial, frames in trials
    )


def moved(sequences, change):
    """The sequences with places changed by change(sequence) → values."""
    return tuple(
        PointSequence(s.subject, s.trial, s.frames, s.names, change(s), s.axes, s.camera, s.action, None)
        for s in sequences
    )


def write_angles(path, sequences):
    """A table of angles, as any program writes it."""
    rows = {name: np.repeat([getattr(s, name) for s in sequences], [len(s.frames) for s in sequences])
            for name in ("subject", "trial")}  # fmt: skip
    arrays = {name: np.concatenate([getattr(s, name) for s in sequences]) for name in ("frames", "values")}
    if sequences[0].deviation is not None:
        arrays["deviation"] = np.concatenate([s.deviation for s in sequences])
    np.savez(
        path,
        **rows,
        frame=arrays.pop("frames"),
        angle=arrays.pop("values"),
        **arrays,
        names=np.array(sequences[0].names),
    )
