"""Read the points of C3D files, anyone's, through ezc3d."""

import re
import struct
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats._extra import exchange_package
from simspine.formats._text import listed, named, notice, remark
from simspine.formats.guarded import c3d_parts
from simspine.formats.trc import metres_per_unit
from simspine.types import Markers

_NO_POINTS = ("ANGLES", "FORCES", "MOMENTS", "POWERS", "SCALARS")  # of POINT: labels of a gait model's results
_AXIS = re.compile(r"([+-]?)([XYZ])")


def read_c3d(path: Path, frame: str | None = None) -> Markers:
    """The points of a C3D file: m; missing (residual < 0, NaN) as NaN; labels beyond the 255th from LABELS2 and so on.

    frame: the frame the coordinates are in; None takes it from POINT:X_SCREEN and Y_SCREEN (right and up on a screen),
    or 'y_up' with a warning where they say nothing. Coordinates stay as they are where Y or Z points up, else they are
    turned to 'y_up'. Time starts at the file's first frame: frame 500 at 100 frames/s is at 4.99 s.

    What is no point (angles, forces, moments, powers and scalars of a gait model), points without a label and exact
    repetitions are left out with a warning. A missing unit is told from the size of the person. Raises `InputError`.
    """
    exchange_package("ezc3d", "C3D")
    try:
        file = c3d_parts(path)
        header, parameters = dict(file["header"]["points"]), file["parameters"]
        points, residuals = file["data"]["points"][:3], file["data"]["meta_points"]["residuals"][0]
        announced = _announced_frames(path)
        if points.shape[1] and points.shape[2] < announced:  # ezc3d takes what is there
            raise InputError(f"{path}: cut short: {points.shape[2]} of the {announced} frames its header announces.")
        return _markers(path, header, parameters, (points, residuals), frame)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None
    except Exception as error:  # damaged files end in many ways
        raise InputError(f"{path}: cannot be read as C3D; cut short or damaged? ({error})") from None


def _markers(path: Path, header: dict, parameters, data: tuple[np.ndarray, np.ndarray], frame: str | None) -> Markers:
    """What ezc3d returned, understood. data: (3, points, frames) in the file's unit, and residuals (points, frames)."""
    points, residuals = data
    if not points.size:
        raise InputError(f"{path}: holds no points, perhaps analog signals alone.")
    point = parameters["POINT"]
    labels = _labels(point)[: points.shape[1]]
    labels += [""] * (points.shape[1] - len(labels))
    others = {label for kind in _NO_POINTS for label in _texts(point, kind)} & set(labels) - {""}
    if others:
        remark(f"{path}: {listed(others)} are no points but results of a gait model; left out.")
    kept = [i for i, label in enumerate(labels) if label not in others]
    xyz = np.where(residuals < 0, np.nan, points).transpose(2, 1, 0)[:, kept]
    xyz[~np.isfinite(xyz).all(-1)] = np.nan
    names, xyz = named([labels[i] for i in kept], xyz, "point", str(path))
    if not names:
        raise InputError(f"{path}: no point has a label (POINT:LABELS).")
    if zero := int((xyz == 0).all(-1).sum()):
        notice(f"{path}: {zero} times a point is at 0 0 0 without being marked as missing; taken as it stands.")
    xyz = xyz * metres_per_unit(xyz, "".join(_texts(point, "UNITS")[:1]), path)
    frame, turn = _frame(point, frame, path)
    rate = _rate(point, header, path)
    start = parameters.get("SIMSPINE", {}).get("START", {}).get("value", [header["first_frame"] / rate])[0]
    return Markers(names, rate, xyz @ turn.T, frame, start=float(start))


def _announced_frames(path: Path) -> int:
    """Last less first frame number + 1, of the header's 16-bit words; they are too small where there are very many."""
    with open(path, "rb") as file:
        header = file.read(10)
        file.seek(512 * (header[0] - 1) + 3)
        order = ">" if file.read(1) == b"\x56" else "<"  # 86: MIPS
    first, last = struct.unpack(order + "HH", header[6:10])
    return last - first + 1


def _texts(group, name: str) -> list[str]:
    """The texts of a parameter; none if it is not there."""
    return [str(text).strip() for text in group.get(name, {}).get("value", ())] if name in group else []


def _labels(point) -> list[str]:
    """LABELS, and what follows in LABELS2, LABELS3, … where there are more than 255 points."""
    labels, n = _texts(point, "LABELS"), 2
    while f"LABELS{n}" in point:
        labels, n = labels + _texts(point, f"LABELS{n}"), n + 1
    return labels


def _rate(point, header: dict, path: Path) -> float:
    """Frames/s: POINT:RATE, else the header's."""
    said = np.ravel(point["RATE"]["value"]) if "RATE" in point else ()
    rate = next((float(rate) for rate in (*said, header["frame_rate"]) if np.isfinite(rate) and rate > 0), None)
    if rate is None:
        raise InputError(f"{path}: neither POINT:RATE nor the header tells the frame rate.")
    return rate


def _frame(point, told: str | None, path: Path) -> tuple[str, np.ndarray]:
    """The frame of the coordinates, and the turn (3, 3) that brings them there."""
    up, right = (_axis("".join(_texts(point, name)[:1])) for name in ("Y_SCREEN", "X_SCREEN"))
    if up is None:
        if told is None:
            remark(
                f"{path}: POINT:Y_SCREEN does not say which axis points up; Y taken "
                "(frame=…, in a configuration mocap_frame)."
            )
        return told or "y_up", np.eye(3)
    upright = {(0.0, 1.0, 0.0): "y_up", (0.0, 0.0, 1.0): "z_up"}.get(tuple(up))
    if told is not None:
        if told != upright:
            remark(f"{path}: read as {told}, as told, although its POINT:Y_SCREEN is {_texts(point, 'Y_SCREEN')[0]}.")
        return told, np.eye(3)
    if upright:
        return upright, np.eye(3)
    if right is None or right @ up != 0:
        right = np.roll(up, 1)  # any heading will do
    return "y_up", np.stack([right, up, np.cross(right, up)])


def _axis(text: str) -> np.ndarray | None:
    """The direction of '+Z', '-X' or 'Y'; None if the text says none."""
    found = _AXIS.fullmatch(text.upper())
    return None if found is None else np.eye(3)["XYZ".index(found[2])] * (-1.0 if found[1] == "-" else 1.0)
