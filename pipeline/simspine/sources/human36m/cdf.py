"""The data set's pose files: NASA CDF with one variable, `Pose`, (1, frames, 96) in mm or (1, frames, 64) in px."""

import math
import os
from pathlib import Path

import numpy as np

from simspine.errors import InputError, missing_file, require_path
from simspine.formats.atomic import atomic_path
from simspine.formats.cdf import CdfFile, CdfVariable

JOINTS = 32
_WIDTHS = {96: 3, 64: 2}  # numbers per frame → dimensions
_CDF_FLOATS = {"float32": 44, "float64": 45}


def read_pose(path: str | os.PathLike) -> np.ndarray:
    """(frames, 32, 3) mm or (frames, 32, 2) px, as the file has them: no unit is changed here.

    Raises `InputError` for files that are missing, empty, cut short, not CDF, without the variable `Pose`, of another
    shape, without frames, or with values that are not finite.
    """
    frames, dimensions, file, pose = _open(path)
    try:
        values = file.read(pose).astype(float)
    except ValueError as error:
        raise _unreadable(path, error) from None
    poses = values.reshape(frames, JOINTS, dimensions)
    if not np.isfinite(poses).all():
        first = int(np.argwhere(~np.isfinite(poses).all((1, 2)))[0, 0])
        raise InputError(f"{path}: values that are not finite, first in frame {first}. Unpack the archive again.")
    return poses


def pose_shape(path: str | os.PathLike) -> tuple[int, int]:
    """(frames, 3 or 2) from the header alone; the checks of `read_pose` that need no values."""
    frames, dimensions, _, _ = _open(path)
    return frames, dimensions


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


def _open(path: str | os.PathLike) -> tuple[int, int, CdfFile, CdfVariable]:
    """Frames, dimensions, the file and its variable `Pose`."""
    require_path(path)
    if not Path(path).is_file():
        raise InputError(f"{path}: {missing_file(path)}.")
    if not Path(path).stat().st_size:
        raise InputError(f"{path}: the file is empty. Unpack the archive again.")
    try:
        file = CdfFile(path)
        variables = file.variables
    except (OSError, ValueError) as error:  # InputError among them
        raise _unreadable(path, error) from None
    if "Pose" not in variables:
        raise InputError(f"{path}: no variable 'Pose' in the file; found {', '.join(variables) or 'none'}.")
    pose = variables["Pose"]
    width = pose.shape[-1] if pose.shape else 0
    frames = pose.records * math.prod(pose.shape[:-1])
    if width not in _WIDTHS:
        raise InputError(
            f"{path}: Pose is {pose.records} × {' × '.join(map(str, pose.shape))}; expected 1 × frames × 96 (3D) or 64 "
            "(2D)."
        )
    if not frames:
        raise InputError(f"{path}: no frame in the file. Unpack the archive again.")
    return frames, _WIDTHS[width], file, pose


def _unreadable(path, reason) -> InputError:
    return InputError(f"{path}: not a readable CDF file ({reason}). It may be cut short: unpack the archive again.")
