"""C3D point files through ezc3d: millimetres, residual −1 where a point is missing."""

from pathlib import Path

import numpy as np

from simspine.arrays import frame_ranges
from simspine.errors import InputError
from simspine.formats._extra import exchange_package
from simspine.formats.atomic import atomic_path
from simspine.formats.takes import Take
from simspine.formats.trc import UNITS
from simspine.types import Markers


def write_c3d(path: Path, take: Take, *, notice: str = "") -> None:
    """Write the take's points: mm, y up (POINT:Y_SCREEN = +Y), frames from 1, single precision (0.1 µm at 2 m).

    Parameters SIMSPINE:SUBJECT, TRIAL, REJECTED (frames, from 1, as '12-20 31') and NOTICE say what the format has no
    place for.
    """
    ezc3d = exchange_package("ezc3d", "C3D")
    markers = take.trial.markers
    file = ezc3d.c3d()
    present = markers.present.T  # (points, frames)
    points = np.ones((4, len(markers.names), markers.frames))
    points[:3] = np.where(present, 1e3 * markers.xyz.transpose(2, 1, 0), np.nan)
    file["parameters"]["POINT"]["RATE"]["value"] = [markers.rate]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["LABELS"]["value"] = list(markers.names)
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    rejected = frame_ranges(i for i, status in enumerate(take.trial.status or (), 1) if status == "rejected")
    rejected = rejected.replace("–", "-").replace(",", "")
    for key, value in (
        ("SUBJECT", take.subject), ("TRIAL", take.name), ("REJECTED", rejected), ("NOTICE", notice or " "),
    ):  # fmt: skip
        file.add_parameter("SIMSPINE", key, [value or " "])
    file.add_parameter("SIMSPINE", "START", [markers.start])
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(present, 0.0, -1.0)[None]
    with atomic_path(path) as temporary:
        file.write(str(temporary))


def read_c3d(path: Path, frame: str = "y_up") -> Markers:
    """The points of a C3D file: m; missing (residual < 0) as NaN. `frame` labels the coordinates as they are."""
    ezc3d = exchange_package("ezc3d", "C3D")
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file.")
    try:
        file = ezc3d.c3d(str(path))
        parameters = file["parameters"]["POINT"]
        unit = "".join(parameters.get("UNITS", {}).get("value", ())[:1]).strip().lower()
        if unit not in UNITS:
            raise ValueError(f"POINT:UNITS is {unit!r}, expected one of {', '.join(UNITS)}")
        points = file["data"]["points"]
        missing = file["data"]["meta_points"]["residuals"][0] < 0
        xyz = np.where(missing, np.nan, points[:3] * UNITS[unit]).transpose(2, 1, 0)
        labels = tuple(label.strip() for label in parameters["LABELS"]["value"])
        start = file["parameters"].get("SIMSPINE", {}).get("START", {}).get("value", [0.0])[0]
        return Markers(labels, float(parameters["RATE"]["value"][0]), xyz, frame, start=float(start))
    except Exception as error:  # damaged files end in many ways
        raise InputError(f"{path}: cannot be read as C3D; cut short or damaged? ({error})") from None
