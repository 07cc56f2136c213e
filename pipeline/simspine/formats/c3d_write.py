"""Write C3D point files through ezc3d: millimetres, residual −1 where a point is missing."""

import errno
import os
import struct
from pathlib import Path

import numpy as np

from simspine.arrays import frame_ranges
from simspine.formats._extra import exchange_package
from simspine.formats.atomic import atomic_path
from simspine.formats.takes import Take, other_points
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.types import Markers


def write_c3d(path: Path, take: Take, *, notice: str = "") -> None:
    """Write the take's points, at the released places and at the vertebrae's centroids (`_all_points`): mm, y up
    (POINT:Y_SCREEN = +Y), frames from 1, single precision (0.1 µm at 2 m).

    Parameters SIMSPINE:SUBJECT, TRIAL, REJECTED and INFERRED (frames, from 1, as '12-20 31'; inferred ones were
    rejected and filled in) and NOTICE say what the format has no place for.
    """
    ezc3d = exchange_package("ezc3d", "C3D")
    markers = _all_points(take)
    file = ezc3d.c3d()
    present = markers.present.T  # (points, frames)
    points = np.ones((4, len(markers.names), markers.frames))
    points[:3] = np.where(present, 1e3 * markers.xyz.transpose(2, 1, 0), np.nan)
    file["parameters"]["POINT"]["RATE"]["value"] = [markers.rate]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["LABELS"]["value"] = list(markers.names)
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    for key, value in (
        ("SUBJECT", take.subject), ("TRIAL", take.name), ("REJECTED", _frames(take, "rejected")),
        ("INFERRED", _frames(take, "inferred")), ("NOTICE", notice or " "),
    ):  # fmt: skip
        file.add_parameter("SIMSPINE", key, [value or " "])
    file.add_parameter("SIMSPINE", "START", [markers.start])
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(present, 0.0, -1.0)[None]
    with atomic_path(path) as temporary:
        temporary.touch()  # what the system has against it is said here; ezc3d says nothing, nor of a full disk
        file.write(str(temporary))
        if not _is_whole(temporary, markers):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_whole(path: Path, markers: Markers) -> bool:
    """Whether a file has the room that its points take: four single-precision numbers of each point and frame, from the
    block of 512 bytes on that its header names. ezc3d fills in that number last; before are header and parameters."""
    with open(path, "rb") as file:
        header = file.read(18)
    first = struct.unpack("<H", header[16:])[0] if len(header) == 18 else 0
    return first > 2 and path.stat().st_size >= 512 * (first - 1) + 16 * markers.present.size


def _frames(take: Take, status: str) -> str:
    """Frames of a status, from 1: '12-20 31'."""
    found = frame_ranges(i for i, own in enumerate(take.trial.status or (), 1) if own == status)
    return found.replace("–", "-").replace(",", "")


def _all_points(take: Take) -> Markers:
    """The take's points, then those along the spine at the centroids of their vertebrae (`Hip_vertebral`), then all
    centroids by level (`C7`); only the first where these are not known."""
    markers, others = take.trial.markers, other_points(take.trial)
    if not others:
        return markers
    vertebral, centres = others["vertebral"], others["centres"]
    along = [name for name in vertebral.names if name in VERTEBRA_OF]
    xyz = [markers.xyz, vertebral.select(along).xyz, centres.xyz]
    names = (*markers.names, *(f"{name}_vertebral" for name in along), *centres.names)
    return Markers(names, markers.rate, np.concatenate(xyz, 1), markers.frame, start=markers.start)
