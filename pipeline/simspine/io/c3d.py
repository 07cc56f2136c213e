"""C3D marker files, read and written through ezc3d; `read_markers` reads C3D or TRC, by the file's ending."""

import errno
import os
import re
import struct
from pathlib import Path

import numpy as np

from simspine.core.arrays import frame_ranges
from simspine.core.errors import InputError, naming_content, require_path
from simspine.core.geometry import markers_in_frame
from simspine.core.types import MAX_FRAME_RATE_HZ, MIN_FRAME_RATE_HZ, Markers
from simspine.io.atomic import atomic_path
from simspine.io.exchange import ExportTrial
from simspine.io.guarded import read_guarded
from simspine.io.text_tables import decode_text, list_names, named_columns, warn_assumed, warn_left_out
from simspine.io.trc import metres_per_unit, read_trc, without_placeholders

_MODEL_OUTPUTS = ("ANGLES", "FORCES", "MOMENTS", "POWERS", "SCALARS")  # in POINT: lists of a gait model's outputs
_AXIS_NAME = re.compile(r"([+-]?)([XYZ])")
_MAX_HEADER_FRAME = 0xFFFF  # largest frame number that the header's 16-bit word holds
_MAX_UNCOUNTED_BYTES = 1 << 30  # of points in a file that does not state how many frames it has
_INTEL, _MIPS = 84, 86  # processor codes in the parameter block; Intel's files are little-endian, the usual order
_RATE_TOLERANCE_SHARE = 0.01  # largest relative difference of the rates in parameters and header
_UPRIGHT_RATIO = 1.2  # least ratio of the extents along Z and Y that makes Z the vertical where a file states none


def read_c3d(path: str | os.PathLike, frame: str | None = None) -> Markers:
    """Read the points of a C3D file; of one without points, the origins of its segments' frames, as Theia writes them.

    Outputs of a gait model (angles, forces, moments, powers, scalars), points without a label and exact repetitions
    of a point are left out with a warning. A missing unit follows from the size of the person.

    Parameters
    ----------
    path : path
    frame : str, optional
        Frame of the coordinates, 'y_up' or 'z_up'. By default POINT:X_SCREEN and Y_SCREEN (right and up on a screen)
        state it; without them Z is up if the points clearly reach farther along Z, else Y, with a warning.

    Returns
    -------
    Markers
        m; missing points (residual < 0, or at 0 0 0) are NaN. Rotated to 'y_up' where neither Y nor Z points up. Time
        starts at the file's first frame: frame 500 at 100 frames/s is at 4.99 s.

    Raises
    ------
    InputError
        For a file that is damaged, cut short, or holds no points.
    """
    require_path(path)
    path = Path(path)
    with naming_content(path, "readable as C3D; cut short or damaged?"):
        arrays, metadata = read_guarded("C3D", path)
        header, parameters = metadata["header"]["points"], metadata["parameters"]
        points, residuals = arrays["points"][:3], arrays["residuals"][0]
        if not points.size and arrays["poses"].size:  # of segments, as Theia writes them
            points, rate = arrays["poses"][:3, 3], metadata["header"]["rotations"]["frame_rate"]
            points[:, (points == 0.0).all((0, 2))] = np.nan  # the room, as a segment
            own = parameters["POINT"] | {"LABELS": parameters["ROTATION"]["LABELS"], "RATE": {"value": [rate]}}
            parameters = parameters | {"POINT": own}
            return _markers_of_c3d(path, header, parameters, data=(points, np.zeros(points.shape[1:])), frame=frame)
        words, processor = _header_words(path)
        count, _, first, last = struct.unpack(f"{'>' if processor == _MIPS else '<'}4H", words[2:10])  # capped at 65535
        announced = last - first + 1
        if points.shape[1] and points.shape[2] < announced:  # ezc3d accepts a cut file
            raise InputError(f"{path}: cut short: {points.shape[2]} of the {announced} frames its header announces.")
        if points.size and points.shape[1] != count:  # ezc3d would mix them up
            raise InputError(f"{path}: {count} points by its header, {points.shape[1]} by POINT:USED. Export it again.")
        points, residuals = _with_frames_beyond_header(path, parameters, points, residuals)
        return _markers_of_c3d(path, header, parameters, data=(points, residuals), frame=frame)


def _markers_of_c3d(
    path: Path, header: dict, parameters, data: tuple[np.ndarray, np.ndarray], frame: str | None
) -> Markers:
    """`Markers` of ezc3d's results. data: points (3, points, frames) in the file's unit, residuals (points, frames)."""
    points, residuals = data
    if not points.size:
        raise InputError(f"{path}: holds no points, perhaps analog signals alone.")
    point = parameters["POINT"]
    if not np.isfinite(point["SCALE"]["value"]).all():
        raise InputError(f"{path}: POINT:SCALE is {point['SCALE']['value'][0]}, expected a number. Export it again.")
    labels = _point_labels(point)[: points.shape[1]]
    labels += [""] * (points.shape[1] - len(labels))
    model_outputs = {label for kind in _MODEL_OUTPUTS for label in _parameter_texts(point, kind)} & set(labels) - {""}
    if model_outputs:
        warn_left_out(f"{path}: {list_names(model_outputs)} are no points but results of a gait model; left out.")
    kept = [i for i, label in enumerate(labels) if label not in model_outputs]
    xyz = np.where(residuals < 0, np.nan, points).transpose(2, 1, 0)[:, kept]
    xyz[~np.isfinite(xyz).all(-1)] = np.nan
    names, xyz = named_columns([labels[i] for i in kept], xyz, "point", str(path))
    if not names:
        raise InputError(f"{path}: no point has a label (POINT:LABELS). Label them, and export again.")
    xyz = without_placeholders(xyz, path)
    if not np.isfinite(xyz).any():
        raise InputError(f"{path}: all points are missing, {(residuals < 0).mean():.0%} by residual −1. Label them.")
    xyz = xyz * metres_per_unit(xyz, "".join(_parameter_texts(point, "UNITS")[:1]), path)
    reach = np.nanmedian(np.nanmax(xyz, 1, initial=-np.inf) - np.nanmin(xyz, 1, initial=np.inf), 0)
    likely = "z_up" if reach[2] > _UPRIGHT_RATIO * reach[1] else "y_up"
    frame, turn = _coordinate_frame(point, frame, path, likely)
    rate = _point_rate(point, header, path)
    first = max(_trial_field(parameters, "ACTUAL_START_FIELD") - 1, header["first_frame"])
    start = parameters.get("SIMSPINE", {}).get("START", {}).get("value", [first / rate])[0]
    return Markers(names, rate, xyz @ turn.T, frame, start=float(start))


def _header_words(path: Path) -> tuple[bytes, int]:
    """The first 24 bytes of the header, and the processor code."""
    with open(path, "rb") as file:
        header = file.read(24)
        file.seek(512 * (header[0] - 1) + 3)
        return header, file.read(1)[0]


def _with_frames_beyond_header(
    path: Path, parameters, points: np.ndarray, residuals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points and residuals of all frames, also of those beyond what the header can count. Their number follows from the
    parameters, else from the file's length; zeros that fill up the last block are not counted."""
    start, end = (_trial_field(parameters, name) for name in ("ACTUAL_START_FIELD", "ACTUAL_END_FIELD"))
    long_frames = parameters.get("POINT", {}).get("LONG_FRAMES", {}).get("value", [0])
    stated, read = max(int(long_frames[0]), end - start + 1 if end else 0), points.shape[2]
    if not points.size or read >= stated > 0:
        return points, residuals
    rows, scale, header_full = _rows_of_data(path)
    if not header_full and not 0 < stated <= len(rows):
        return points, residuals  # complete, or a part of the recording that the parameters describe
    if rows.dtype.byteorder == ">" or stated > len(rows) or (not stated and rows.nbytes > _MAX_UNCOUNTED_BYTES):
        raise InputError(f"{path}: {read} of its {stated or len(rows)} frames can be read. Export it in parts.")
    frames = stated or max(int(np.flatnonzero(rows.any(1)).max(initial=0)) + 1, read)
    data = rows[:frames].reshape(frames, -1, 4).transpose(2, 1, 0).astype(float)
    return data[:3] * (1.0 if scale < 0 else scale), np.where(data[3] < 0, -1.0, 0.0)


def _rows_of_data(path: Path) -> tuple[np.ndarray, float, bool]:
    """Values of all frames that fit into the file (frames, 4 · points), their scale (negative: floating point), and
    whether the header's last frame is the largest number that it can hold."""
    header, kind = _header_words(path)
    order = "<" if kind == _INTEL else ">"
    count, analog, _, last = struct.unpack("<HHHH", header[2:10])
    scale, block = struct.unpack("<fH", header[12:18])
    number, start, width = np.dtype(f"{order}f4" if scale < 0 else f"{order}i2"), 512 * (block - 1), 4 * count + analog
    shape = ((path.stat().st_size - start) // (number.itemsize * width), width)
    rows = np.memmap(path, number, "r", start, shape)[:, : 4 * count]  # most files need none of them
    return rows, scale, last == _MAX_HEADER_FRAME


def _trial_field(parameters, name: str) -> int:
    """A frame number of TRIAL, stored as two 16-bit words, the lower first; 0 where it is missing."""
    words = parameters.get("TRIAL", {}).get(name, {}).get("value", ())
    return sum((int(word) & 0xFFFF) << 16 * place for place, word in enumerate(words[:2]))


def _parameter_texts(group, name: str) -> list[str]:
    return [_decoded_text(str(text)).strip() for text in group.get(name, {}).get("value", ())] if name in group else []


def _decoded_text(text: str) -> str:
    """The text, with bytes that are no UTF-8 (given as lone surrogates) read as Windows-1252 of older software."""
    content = text.encode("utf-8", "surrogateescape")
    return text if text.isascii() else decode_text(content, "a text in it")[0]


def _point_labels(point) -> list[str]:
    """Labels of all points: LABELS, and for more than 255 points also LABELS2, LABELS3, …"""
    labels, n = _parameter_texts(point, "LABELS"), 2
    while f"LABELS{n}" in point:
        labels, n = labels + _parameter_texts(point, f"LABELS{n}"), n + 1
    return labels


def _point_rate(point, header: dict, path: Path) -> float:
    """Frames/s: POINT:RATE, else the header's."""
    candidates = (*(np.ravel(point["RATE"]["value"]) if "RATE" in point else ()), header["frame_rate"])
    rates = [float(rate) for rate in candidates if MIN_FRAME_RATE_HZ <= rate <= MAX_FRAME_RATE_HZ]
    if not rates:
        found = ", ".join(f"{rate:g}" for rate in candidates)
        raise InputError(f"{path}: neither POINT:RATE nor the header tells the frame rate (found {found}).")
    words, processor = _header_words(path)
    (header_rate,) = struct.unpack("<f", words[20:24])  # ezc3d replaces it by the parameter's
    header_is_valid = processor == _INTEL and MIN_FRAME_RATE_HZ <= header_rate <= MAX_FRAME_RATE_HZ
    if header_is_valid and not np.isclose(rates[0], header_rate, rtol=_RATE_TOLERANCE_SHARE):
        warn_assumed(f"{path}: POINT:RATE is {rates[0]:g}, the header's rate {header_rate:g}; took the former.")
    return rates[0]


def _coordinate_frame(point, given: str | None, path: Path, likely: str) -> tuple[str, np.ndarray]:
    """The frame of the coordinates, and the rotation (3, 3) into it. likely: the frame if the file states none."""
    up, right = (_axis_direction("".join(_parameter_texts(point, name)[:1])) for name in ("Y_SCREEN", "X_SCREEN"))
    if up is None or (right is not None and right @ up != 0):  # nothing said, or one axis for both
        if given is None:
            text = f"{path}: POINT:Y_SCREEN does not say what is up"
            warn_left_out(f"{text}; took {likely[0].upper()} (frame=…, in a configuration mocap_frame).")
        return given or likely, np.eye(3)
    upright = {(0.0, 1.0, 0.0): "y_up", (0.0, 0.0, 1.0): "z_up"}.get(tuple(up))
    if given is not None:
        if given != upright:
            warn_left_out(f"{path}: read as {given}, as asked; Y_SCREEN is {_parameter_texts(point, 'Y_SCREEN')[0]}.")
        return given, np.eye(3)
    if upright:
        return upright, np.eye(3)
    if right is None:
        right = np.roll(up, 1)  # any heading will do
    return "y_up", np.stack([right, up, np.cross(right, up)])


def _axis_direction(text: str) -> np.ndarray | None:
    """The direction of '+Z', '-X' or 'Y'; None for any other text."""
    match = _AXIS_NAME.fullmatch(text.upper())
    return None if match is None else np.eye(3)["XYZ".index(match[2])] * (-1.0 if match[1] == "-" else 1.0)


def write_c3d(path: Path, take: ExportTrial, *, frame: str = "y_up", notice: str = "") -> None:
    """Write the trial's points as released, then the centroids of its vertebrae, in mm. frame: 'y_up' or 'z_up'.

    The first frame's number follows from the start. Parameters SIMSPINE:SUBJECT, TRIAL, NOTICE, REJECTED and INFERRED
    hold what C3D has no field for. The last two list frames from 1 ('12-20 31'); inferred frames were rejected and
    filled in.
    """
    import ezc3d

    markers = markers_in_frame(_all_points(take), frame)
    file = ezc3d.c3d()
    first = max(round(markers.start * markers.rate), 0)
    if first + markers.frames <= _MAX_HEADER_FRAME:  # else SIMSPINE:START has the start alone
        file["header"]["points"].update(first_frame=first, last_frame=first + markers.frames - 1)
    present = markers.present.T  # (points, frames)
    points = np.ones((4, len(markers.names), markers.frames))
    points[:3] = np.where(present, 1e3 * markers.xyz.transpose(2, 1, 0), np.nan)
    file["parameters"]["POINT"]["RATE"]["value"] = [markers.rate]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["LABELS"]["value"] = list(markers.names)
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y" if frame == "y_up" else "+Z"])
    for key, value in (
        ("SUBJECT", take.subject), ("TRIAL", take.name), ("REJECTED", _frames_text(take, "rejected")),
        ("INFERRED", _frames_text(take, "inferred")), ("NOTICE", notice or " "),
    ):  # fmt: skip
        file.add_parameter("SIMSPINE", key, [value or " "])
    file.add_parameter("SIMSPINE", "START", [markers.start])
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(present, 0.0, -1.0)[None]
    with atomic_path(path) as temporary:
        temporary.touch()  # raises the system's errors; ezc3d reports none, not even a full disk
        file.write(str(temporary))
        if not _is_whole(temporary, markers):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_whole(path: Path, markers: Markers) -> bool:
    """Whether a file is long enough: four numbers a point and frame, from the block that the header names last."""
    with open(path, "rb") as file:
        header = file.read(18)
    first = struct.unpack("<H", header[16:])[0] if len(header) == 18 else 0
    return first > 2 and path.stat().st_size >= 512 * (first - 1) + 16 * markers.present.size


def _frames_text(take: ExportTrial, status: str) -> str:
    """Numbers of the frames with a status, from 1: '12-20 31'."""
    ranges = frame_ranges(i for i, frame_status in enumerate(take.trial.status or (), 1) if frame_status == status)
    return ranges.replace("–", "-").replace(",", "")


def _all_points(take: ExportTrial) -> Markers:
    """The take's points, then the centroids of the vertebrae by level (`C7`) where these are known."""
    markers, centres = take.trial.markers, take.trial.centres
    if centres is None:
        return markers
    xyz = np.concatenate([markers.xyz, centres.xyz], 1)
    return Markers((*markers.names, *centres.names), markers.rate, xyz, markers.frame, start=markers.start)


MARKER_FILES = (".trc", ".c3d")


def read_markers(path: str | os.PathLike, frame: str | None = None, resample: float | None = None) -> Markers:
    """Marker trajectories, m, of a TRC or C3D file.

    frame: of the coordinates; None takes that which a C3D file states, 'y_up' for TRC. resample: see `read_trc`.
    """
    ending = Path(path).suffix.lower()
    if ending not in MARKER_FILES:
        raise InputError(f"{path}: motion capture is read from {' and '.join(MARKER_FILES)} files; export it as one.")
    if ending == ".trc":
        return read_trc(path, frame or "y_up", resample=resample)
    if resample is not None:
        raise InputError(f"{path}: frames of a C3D file are equally spaced in time; leave `mocap_resample` out.")
    return read_c3d(path, frame)
