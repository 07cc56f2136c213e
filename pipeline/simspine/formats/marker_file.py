"""Markers of motion capture, in whichever format they were exported."""

import os
from pathlib import Path

from simspine.errors import InputError
from simspine.formats.c3d import read_c3d
from simspine.formats.trc import read_trc
from simspine.types import Markers

MARKER_FILES = (".trc", ".c3d")


def read_markers(path: str | os.PathLike, frame: str | None = None, resample: float | None = None) -> Markers:
    """Marker trajectories, m: C3D by its ending, else TRC.

    frame: of the coordinates, 'y_up' or 'z_up'; None for what a C3D file says itself, and for TRC's usual 'y_up'.
    resample: see `read_trc`. Raises `InputError` as the reader of the format, and for `resample` of a C3D file, which
    has a frame rate and no times.
    """
    if Path(path).suffix.lower() != ".c3d":
        return read_trc(path, frame or "y_up", resample=resample)
    if resample is not None:
        raise InputError(f"{path}: frames of a C3D file are equally spaced in time; leave `mocap_resample` out.")
    return read_c3d(Path(path), frame)
