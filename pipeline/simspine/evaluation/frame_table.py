"""One table with a row per frame of many trials, as .npz or HDF5, so that any program can write one.

Columns of all such tables; what they hold beside, `points` and `angles` say:

- `subject`, `trial`: (rows,) texts, 'S9' and 'Walking_1'; `camera`: (rows,) texts, '' or left out where a row is of no
  view; `action`: (rows,) texts, or left out, then from the trial's name.
- `frame`: (rows,) whole numbers from 0, of the data set's frames; in any order.
- `rate`: one number, frames/s of the data set's frames, or left out.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.npz import read_npz
from simspine.formats.store import foreign_contents, load, save
from simspine.types import read_only

NEEDED, OPTIONAL = ("subject", "trial", "frame"), ("camera", "action", "rate")


@dataclass(frozen=True)
class TablePart:
    """The rows of one trial and view. rows: their indices in the table, by frame; frames: (n,) their numbers."""

    subject: str
    trial: str
    camera: str | None
    action: str
    rows: np.ndarray
    frames: np.ndarray
    rate: float | None


def common(path: str | os.PathLike, sequences: Sequence[Any], name: str) -> Any:
    """What all sequences have under this name; `InputError` where they differ, and for no sequence at all."""
    if not sequences:
        raise InputError(f"{path}: no frames to write.")
    if len({getattr(sequence, name) for sequence in sequences}) > 1:
        raise InputError(f"{path}: sequences with different {name} cannot stand in one file.")
    return getattr(sequences[0], name)


def write_rows(
    path: str | os.PathLike, sequences: Sequence[Any], columns: Mapping[str, np.ndarray], arrays: Sequence[str]
) -> None:
    """Write sequences one below the other: .npz, or HDF5 by any other ending. columns: those that are not per row.

    arrays: names of the sequences' fields with a row per frame; a field must be None in all of them or in none.
    """
    rate = common(path, sequences, "rate")
    table: dict[str, Any] = dict(columns) if rate is None else dict(columns) | {"rate": np.array([rate])}
    for name in ("subject", "trial", "action", "camera"):
        texts = [getattr(sequence, name, None) or "" for sequence in sequences]
        table[name] = np.concatenate([np.full(len(s.frames), t) for s, t in zip(sequences, texts, strict=True)])
    table["frame"] = np.concatenate([sequence.frames for sequence in sequences])
    for name in arrays:
        parts = [getattr(sequence, name) for sequence in sequences]
        if len({part is None for part in parts}) > 1:
            raise InputError(f"{path}: some sequences have {name} and some none; give all of them or none.")
        if parts[0] is not None:
            table[name] = np.concatenate(parts)
    if Path(path).suffix == ".npz":
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **table)
    else:
        save(path, **table)


def read_rows(
    path: str | os.PathLike, needed: Sequence[str], optional: Sequence[str] = ()
) -> tuple[dict[str, Any], tuple[TablePart, ...]]:
    """All columns, and the rows of each trial and view in the order of their first rows.

    Raises `InputError` naming the file where it is damaged, a column is missing, or columns differ in length.
    """
    columns = read_npz(Path(path)) if Path(path).suffix == ".npz" else _own_columns(path, needed)
    missing = [name for name in (*NEEDED, *needed) if name not in columns]
    if missing:
        raise InputError(
            f"{path}: no {', '.join(missing)}; expected are the arrays {', '.join((*NEEDED, *needed))} and, where "
            f"known, {', '.join((*OPTIONAL, *optional))}. See docs/benchmarks.md."
        )
    frame = np.asarray(columns["frame"])
    if frame.ndim != 1 or frame.dtype.kind not in "iu":
        raise InputError(f"{path}: frame is {frame.dtype} of shape {frame.shape}, expected whole numbers, one a row.")
    subject, trial, camera, action = (
        _texts(path, name, columns.get(name), len(frame)) for name in ("subject", "trial", "camera", "action")
    )
    rate = float(np.ravel(columns["rate"])[0]) if "rate" in columns else None
    of: dict[tuple[str, str, str], list[int]] = {}
    for i, key in enumerate(zip(subject, trial, camera, strict=True)):
        of.setdefault(key, []).append(i)
    parts = []
    for (who, what, view), own in of.items():
        rows = np.array(own)[np.argsort(frame[own], kind="stable")]
        parts.append(TablePart(who, what, view or None, action[rows[0]], rows, frame[rows].astype(int), rate))
    return columns, tuple(parts)


def _own_columns(path: str | os.PathLike, needed: Sequence[str]) -> dict[str, Any]:
    """Columns of a table that `write_rows` wrote as HDF5; what another program wrote is named."""
    if (found := foreign_contents(path)) is not None:
        arrays = ", ".join(f"{name}={name}" for name in (*NEEDED, *needed))
        raise InputError(
            f"{path}: HDF5 of another program, whose layout is not known; it holds {found}. Write a table as .npz: "
            f"np.savez('table.npz', {arrays}); docs/benchmarks.md says what each array is."
        )
    return load(path)


def array_of(
    path: str | os.PathLike, columns: Mapping[str, Any], name: str, shape: tuple[int, ...]
) -> np.ndarray | None:
    """A column of numbers, (rows, *shape); None where it was left out. `InputError` for another shape."""
    if name not in columns:
        return None
    wanted = (len(columns["frame"]), *shape)
    try:
        array = np.asarray(columns[name], float)
    except (ValueError, TypeError):
        raise InputError(f"{path}: {name} is not made of numbers.") from None
    if array.shape != wanted:
        raise InputError(f"{path}: {name} has shape {array.shape}, expected {wanted}.")
    return array


def _texts(path: str | os.PathLike, name: str, column: Any, rows: int) -> list[str]:
    """A column of texts; empty ones where it was left out."""
    if column is None:
        return [""] * rows
    texts = [t.decode("utf-8") if isinstance(t, bytes) else str(t) for t in np.ravel(column).tolist()]
    if len(texts) != rows:
        raise InputError(f"{path}: {name} has {len(texts)} rows, frame has {rows}.")
    return texts


def check_deviations(where: str, deviation: np.ndarray, names: Sequence[str], frames: np.ndarray) -> None:
    """Raise `InputError` for a standard deviation that is negative or infinite; NaN is one that is not known.

    deviation: (frames, names) or (frames, names, 3).
    """
    wrong = np.argwhere((deviation < 0) | np.isinf(deviation))
    if not len(wrong):
        return
    row, column, *axis = wrong[0]
    along = f" along {'xyz'[axis[0]]}" if axis else ""
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    raise InputError(
        f"{where}: the standard deviation of {names[column]}{along} in frame {frames[row]} is "
        f"{deviation[tuple(wrong[0])]:g}{more}; expected are 0 or more, and NaN where it is not known."
    )


def frame_numbers(where: str, frames: np.ndarray) -> np.ndarray:
    """(n,) whole numbers, read-only. Raises `InputError` unless they start at 0 or later and increase."""
    found = read_only(where, "frames", frames, (None,), int)
    if (found[:1] < 0).any() or (np.diff(found) <= 0).any():
        raise InputError(f"{where}: frame numbers must start at 0 or later and increase; each may be there once.")
    return found
