"""The data set's pose files: NASA CDF with one variable, `Pose`, (1, frames, 96) in mm or (1, frames, 64) in px."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.guarded import read_guarded

JOINTS = 32
_WIDTHS = {96: 3, 64: 2}  # numbers per frame → dimensions
_CDF_FLOATS = {"float32": 44, "float64": 45}


def read_poses(paths: Iterable[str | os.PathLike]) -> list[np.ndarray]:
    """Of each file (frames, 32, 3) mm or (frames, 32, 2) px, as the file has them: no unit is changed here.

    Many files at once save time, since each call starts a process. Raises `InputError` for files that are missing,
    empty, cut short, not CDF, without the variable `Pose`, of another shape, without frames, or with values that are
    not finite.
    """
    paths = list(paths)
    if empty := [path for path in paths if Path(path).is_file() and not Path(path).stat().st_size]:
        raise InputError(f"{empty[0]}: the file is empty. Unpack the archive again.")
    found, _ = read_guarded("CDF", *paths) if paths else ({}, {})
    return [_poses(path, found[str(number)]) for number, path in enumerate(paths)]


def read_pose(path: str | os.PathLike) -> np.ndarray:
    """What `read_poses` returns of a single file."""
    return read_poses([path])[0]


def write_pose(path: str | os.PathLike, poses: np.ndarray, dtype: str = "float32") -> None:
    """Write (frames, 32, 3) mm or (frames, 32, 2) px in the official layout.

    Equal arrays give equal bytes: nothing is compressed, since a compressed CDF carries the time of writing.
    """
    from cdflib import cdfwrite

    poses = np.asarray(poses, float)
    if poses.ndim != 3 or poses.shape[1] != JOINTS or poses.shape[2] not in (2, 3) or not len(poses):
        raise InputError(f"{path}: poses have shape {poses.shape}, expected (frames, {JOINTS}, 3 or 2).")
    if not np.isfinite(poses).all():
        raise InputError(f"{path}: poses hold values that are not finite, which the format has no mark for.")
    values = np.ascontiguousarray(poses.reshape(1, 1, len(poses), -1), dtype)
    variable = {
        "Variable": "Pose", "Data_Type": _CDF_FLOATS[dtype], "Num_Elements": 1, "Rec_Vary": True,
        "Dim_Sizes": list(values.shape[2:]), "Dim_Vary": [True, True], "Var_Type": "zVariable", "Compress": 0,
    }  # fmt: skip
    with atomic_path(path) as temporary:
        file = cdfwrite.CDF(temporary, cdf_spec={"Majority": "row_major", "Encoding": 6, "Checksum": True}, delete=True)
        file.write_var(variable, var_data=values[0])
        file.close()


def _poses(path: str | os.PathLike, values: np.ndarray) -> np.ndarray:
    width = values.shape[-1] if values.ndim else 0
    if width not in _WIDTHS:
        shape = " × ".join(map(str, values.shape))
        raise InputError(f"{path}: Pose is {shape}; expected 1 × frames × 96 (3D) or 64 (2D).")
    if not values.size:
        raise InputError(f"{path}: no frame in the file. Unpack the archive again.")
    poses = values.reshape(-1, JOINTS, _WIDTHS[width])
    if not np.isfinite(poses).all():
        first = int(np.argwhere(~np.isfinite(poses).all((1, 2)))[0, 0])
        raise InputError(f"{path}: values that are not finite, first in frame {first}. Unpack the archive again.")
    return poses
