"""Markers of motion capture, in whichever format they were exported."""

import os
from pathlib import Path

from simspine.errors import InputError
from simspine.formats._text import remark
from simspine.formats.c3d import read_c3d
from simspine.formats.trc import read_trc
from simspine.types import Markers

MARKER_FILES = (".trc", ".c3d")


def read_markers(path: str | os.PathLike, frame: str | None = None, resample: float | None = None) -> Markers:
    """Marker trajectories, m, of a TRC or C3D file, told by its ending.

    A name that all labels have before a colon, as a subject's, is left out with a remark.

    frame: of the coordinates, 'y_up' or 'z_up'; None for what a C3D file says itself, and for TRC's usual 'y_up'.
    resample: see `read_trc`. Raises `InputError` for other endings, as the reader of the format does, and for
    `resample` of a C3D file, which has a frame rate and no times.
    """
    ending = Path(path).suffix.lower()
    if ending not in MARKER_FILES:
        raise InputError(f"{path}: motion capture is read from {' and '.join(MARKER_FILES)} files; export it as one.")
    if ending == ".trc":
        return _without_prefix(read_trc(path, frame or "y_up", resample=resample), path)
    if resample is not None:
        raise InputError(f"{path}: frames of a C3D file are equally spaced in time; leave `mocap_resample` out.")
    return _without_prefix(read_c3d(Path(path), frame), path)


def _without_prefix(markers: Markers, path: str | os.PathLike) -> Markers:
    prefixes, short = zip(*(name.rpartition(":")[::2] for name in markers.names), strict=True)
    if len(set(prefixes)) > 1 or not prefixes[0] or len(set(short)) < len(short) or "" in short:
        return markers
    remark(f"{path}: all names begin with {prefixes[0]!r}, which was left out.")
    return markers.with_(names=short)
