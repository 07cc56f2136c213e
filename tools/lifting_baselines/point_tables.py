"""Points of many trials as one table, which `simspine benchmark` reads."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from simspine.core.errors import InputError
from simspine.evaluation.point_sources import KEY_COLUMNS, PointSequence
from simspine.io.atomic import atomic_path


def write_point_sequences(path: str | os.PathLike, sequences: Iterable[PointSequence]) -> None:
    """Write sequences as one table (.npz). Layout: `simspine.evaluation.point_sources`.

    All must have the same points, axes, and deviations or none; `InputError` otherwise, and for none at all.
    """
    some = tuple(sequences)
    if not some:
        raise InputError(f"{path}: no frames to write.")
    alike = {"names": some[0].names, "axes": [some[0].axes]}
    for name in (*alike, "deviation"):
        if len({getattr(s, name) if name != "deviation" else s.deviation is None for s in some}) > 1:
            raise InputError(f"{path}: sequences with different {name} cannot stand in one file.")
    table: dict[str, Any] = {name: np.array(value) for name, value in alike.items()}
    for name in (*KEY_COLUMNS, "action"):
        table[name] = np.concatenate([np.full(len(s.frames), getattr(s, name) or "") for s in some])
    table |= {"frame": np.concatenate([s.frames for s in some]), "xyz": np.concatenate([s.values for s in some])}
    if some[0].deviation is not None:
        table["deviation"] = np.concatenate([s.deviation for s in some])
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **table)
