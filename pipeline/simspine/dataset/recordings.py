"""A data set opened for use: subjects, actions, trials, windows of frames, each read when it is asked for."""

import json
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simspine.core.errors import InputError, naming_content, require_file_name, require_known
from simspine.core.geometry import change_frame, project_points
from simspine.core.types import Camera
from simspine.io.atomic import check_version, sha256_of_file, write_text
from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import TrialData
from simspine.io.text_tables import read_bytes
from simspine.reconstruction.publish import POINT_TOLERANCE_M, tidy_table

if TYPE_CHECKING:
    import pandas

# The manifest, and the points that a licence forbids to pass on. `manifest.json` lists the files of a data set, their
# content and their SHA-256. It has no date, so equal data give an equal manifest.
MANIFEST_FILE = "manifest.json"
MANIFEST_SCHEMA = 2
MOST_NAME_BYTES = 255  # of a whole file name: NAME_MAX of POSIX systems and NTFS
HDF5_UNITS = {"markers": "m", "kinematics": "deg; m", "timestamps": "s", "simspine": "attribute units"}


@dataclass(frozen=True)
class ManifestEntry:
    """One file. kind: hdf5, trc, mot, … rows: frames in it. units: {what: unit}. trials: {'S1/Walking': frames}."""

    kind: str
    rows: int = 0
    units: Mapping[str, str] = field(default_factory=dict)
    trials: Mapping[str, int] = field(default_factory=dict)


def manifest_header(name: str, kind: str, origin: Mapping[str, Any], deviations: Mapping[str, float]) -> dict[str, Any]:
    """A manifest's entries besides its files. deviations: {trial: largest distance of a point from its place, m}."""
    return {
        "name": name,
        "format": kind,
        "configuration_hash": origin["configuration_hash"],
        "versions": origin["versions"],
        "notice": origin["notice"],
        "invariant": {
            "says": "markers are the forward kinematics of kinematics", "allowed_m": POINT_TOLERANCE_M,
            "largest_m": max(deviations.values(), default=None), "by_trial_m": dict(deviations),
        },
    }  # fmt: skip


def write_dataset_manifest(folder: Path, files: Mapping[str, ManifestEntry], header: Mapping[str, Any]) -> None:
    """Describe the files (paths relative to the folder) in `folder`/manifest.json, written last.

    header: further entries, such as those of `manifest_header`.
    """
    described = {
        name: {
            "kind": entry.kind, "size": (folder / name).stat().st_size, "sha256": sha256_of_file(folder / name),
            "rows": entry.rows, "units": dict(entry.units), "trials": dict(entry.trials),
        }
        for name, entry in sorted(files.items())
    }  # fmt: skip
    content = {"manifest": MANIFEST_SCHEMA, **header, "files": described}
    write_text(folder / MANIFEST_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_dataset_manifest(path: Path) -> dict[str, Any]:
    """The manifest at `path` or in the folder `path`; `InputError` if there is none or it is damaged."""
    file = path / MANIFEST_FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{file} does not exist; expected a folder of results, or one that `simspine export` wrote.")
    with naming_content(file, "the manifest of an export, or damaged; export again"):
        content = json.loads(read_bytes(file))
        schema = content["manifest"]
        for entry in content["files"].values():
            _ = entry["sha256"], int(entry["size"]), entry["kind"], sum(dict(entry["trials"]).values())
        for name in content["files"]:
            _ = [require_file_name(part, MOST_NAME_BYTES) for part in name.split("/")]
    check_version(schema, MANIFEST_SCHEMA, file)
    return content


# Human3.6M's agreement allows academic use by the person who signed it and no redistribution of its data
# (vision.imar.ro, licence agreement). Points of a body fitted to its motion capture could replace that capture;
# angles and a model's sizes are results of simspine. So a public copy holds angles, their deviations and models, and
# neither points, poses of bodies nor cameras.
HUMAN36M_NOTICE = (
    "Derived from Human3.6M (Ionescu et al., IEEE TPAMI 2014). Its licence allows academic research by the person who "
    "signed it and forbids passing its data on. Files with 3D points, poses of bodies or cameras stay on that person's "
    "own disk; angles, their standard deviations and body models may be passed on with this notice and the citation."
)


def licence_notice(configuration: Mapping[str, Any], virtual: bool = False) -> str:
    """The notice that results of this configuration (as in the provenance) carry; '' where nothing restricts them.
    virtual: whether `capture.human36m` names a virtual capture, which no licence restricts."""
    capture = configuration.get("capture") or {}
    return HUMAN36M_NOTICE if capture.get("human36m") and not virtual else ""


def refuse_public(restriction: str, kind: str, contents: str) -> None:
    """Raise `InputError` if a public copy of this kind would hold points under the `restriction` (a licence notice)."""
    if restriction and contents != "angles":
        raise InputError(
            f"a public copy as {kind} would hold 3D points of data that may not be passed on. {restriction} "
            "For a public copy use `--contents angles` with the format hdf5."
        )


def drop_licensed_points(trial: TrialData) -> TrialData:
    """The trial with angles, curvature, deviations and status; points are NaN, and there are no poses of bodies. The
    position of the pelvis stays: it is among the coordinates, which the release publishes as well."""
    nothing = np.full_like(trial.markers.xyz, np.nan)
    markers = trial.markers.with_(xyz=nothing, weight=None, covariance=None, filled=None)
    return replace(trial, markers=markers, cameras=None, centres=None, poses={}, withheld=True)


def drop_licensed_places(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance without the folders of the machine it was made on; the configuration's hash stays."""
    kept = dict(provenance)
    places = ("subjects", "capture", "results")
    if "configuration" in kept:
        kept["configuration"] = {key: value for key, value in kept["configuration"].items() if key not in places}
    return kept


def action_of(trial: str, subject: str = "") -> str:
    """The trial's name without the subject before it and the take after it. 'S1_Directions_2', 'Directions 1' and
    'Directions-1' are 'Directions'. Names of one or two letters keep their number."""
    name = trial.removeprefix(f"{subject}_") if subject else trial
    name = re.sub(r"^S\d+[_ -](?=.)", "", name)
    return re.sub(r"(?<=[^\W\d_]{3})[ _.-]*\(?\d+\)?$", "", name) or trial


# Fields of a window, and their paths in the trial's HDF5 group. Angles are read as rad.
WINDOW_FIELDS = {
    "markers": "markers",
    "kinematics": "kinematics",
    "time": "timestamps",
    **{name: f"simspine/{name}" for name in (
        "valid", "status", "lla", "tka", "lla_sd", "tka_sd", "lla_change_sd", "tka_change_sd",
        "level_angles", "level_angles_sd", "kinematics_sd",
        "marker_covariance", "marker_error", "filled", "markers_vertebral", "centres", "centres_covariance",
    )},
}  # fmt: skip


def open_dataset(path: str | os.PathLike) -> "Recordings":
    """Open a data set written by simspine, or the released one.

    Parameters
    ----------
    path : path
        The HDF5 file, or a folder with exactly one.

    Returns
    -------
    Recordings

    Raises
    ------
    InputError
        Where there is none, or it is damaged or another kind of file.

    Examples
    --------
    >>> with ss.open_dataset("study.h5") as data:
    ...     data["S01", "bow"].array("markers").shape  # (frames, points, 3), m
    (16, 33, 3)
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        files = sorted(name for name in os.listdir(path) if name.endswith((".h5", ".hdf5")))
        if len(files) != 1:
            raise InputError(
                f"{path} holds {len(files)} HDF5 files ({', '.join(files) or 'none'}); name the data set's."
            )
        path = os.path.join(path, files[0])
    return Recordings(path)


class Recordings(AbstractContextManager["Recordings"]):
    """An open data set; close it, or use it in a `with` block. Angles rad, lengths m, times s; NaN = missing.

    `data["S1", "Walking"]` is a trial. It may be handed to other processes, which open the file again for themselves.

    Attributes
    ----------
    path : str
    """

    def __init__(self, path: str):
        self.path = path
        self._process, self._file = os.getpid(), DatasetFile(path)

    @property
    def file(self) -> DatasetFile:
        """The file itself; opened anew after a fork, since HDF5 handles cannot be shared between processes."""
        if self._process != os.getpid():
            self._process, self._file = os.getpid(), DatasetFile(self.path)
        return self._file

    def __reduce__(self):
        return Recordings, (self.path,)

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self.path}: {len(self.subjects)} subjects, {len(self.trials())} trials, {self.frames} frames>"

    def close(self) -> None:
        """Close the file; what was read stays."""
        self._file.close()

    @property
    def marker_names(self) -> tuple[str, ...]:
        """Names of the points, the same for all trials."""
        return self.file.marker_names

    @property
    def coordinate_names(self) -> tuple[str, ...]:
        """Names of the coordinates, the same for all trials."""
        return self.file.coordinate_names

    @property
    def provenance(self) -> dict[str, Any]:
        """Configuration, checksums of the inputs, versions; empty in a released file."""
        return self.file.provenance

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects."""
        return self.file.subjects

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions, those of all subjects, without repetition numbers."""
        return tuple(dict.fromkeys(recording.action for recording in self.trials()))

    @property
    def frames(self) -> int:
        """Frames of all trials together."""
        return sum(recording.frames for recording in self.trials())

    def trials(
        self, subject: str | Iterable[str] | None = None, action: str | Iterable[str] | None = None
    ) -> "tuple[Recording, ...]":
        """The trials, or those of the subjects and actions named; `InputError` for a name that does not exist."""
        subjects = _chosen_names("subject", subject, self.subjects, self.path)
        known = [Recording(self, name, trial) for name in subjects for trial in self.file.trials(name)]
        actions = _chosen_names("action", action, tuple(dict.fromkeys(r.action for r in known)), self.path)
        return tuple(recording for recording in known if recording.action in actions)

    def __getitem__(self, key: str | tuple[str, str]) -> "Recording":
        """One trial: data['S1', 'Walking'] or data['S1/Walking']."""
        parts = key.split("/", 1) if isinstance(key, str) else list(key)
        if len(parts) != 2:
            raise InputError(f"{key!r} names no trial; ask for data['<subject>', '<trial>'].")
        subject, trial = parts
        self.file.frames(subject, trial)  # refuses names that do not exist
        return Recording(self, subject, trial)

    def to_dataframe(self) -> "pandas.DataFrame":
        """One tidy table of all trials: subject, trial, frame, and the columns of `Reconstruction.to_dataframe`.

        Degrees, mm, s; every column's name ends in its unit. A column that a trial does not have is empty there.
        `decided_by` is not in a data set and has no column.
        """
        return tidy_table((recording.subject, recording.name, recording.read()) for recording in self.trials())

    def windows(
        self,
        length: int,
        stride: int | None = None,
        *,
        subject: str | Iterable[str] | None = None,
        action: str | Iterable[str] | None = None,
        fields: Sequence[str] = ("markers", "kinematics", "valid"),
    ) -> "Windows":
        """Windows of `length` frames, `stride` apart (default: `length`, so that they do not overlap), trial by trial.

        A sequence: windows[i] is read on request, and iterating reads one window after the other. Frames at the end
        that fill no window are left out. fields: those that `torch()` returns.
        """
        return Windows(self.trials(subject, action), length, length if stride is None else stride, fields)


def _chosen_names(kind: str, wanted: str | Iterable[str] | None, listed: Sequence[str], where: str) -> tuple[str, ...]:
    if wanted is None:
        return tuple(listed)
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    require_known(kind, names, listed, where)
    return names


@dataclass(frozen=True)
class Recording:
    """One trial of one subject; its data are read on request."""

    data: Recordings
    subject: str
    name: str

    @property
    def action(self) -> str:
        """The trial's name without the number of its repetition."""
        return action_of(self.name)

    @cached_property
    def frames(self) -> int:
        return self.data.file.frames(self.subject, self.name)

    @cached_property
    def rate(self) -> float:
        """Frames per second."""
        return self.data.file.clock(self.subject, self.name)[0]

    @cached_property
    def cameras(self) -> tuple[Camera, ...]:
        """The cameras that saw the trial; world z up."""
        return self.data.file.cameras(self.subject, self.name)

    def read(self, first: int = 0, last: int | None = None) -> TrialData:
        """Frames first … last-1 with all that is known of them; the whole trial if left out."""
        return self.data.file.trial(self.subject, self.name, slice(first, last))

    def window(self, start: int, length: int) -> "Window":
        """`length` frames from `start` on; its arrays are read when they are asked for."""
        if length < 1 or start < 0 or start + length > self.frames:
            raise InputError(
                f"{self.subject}/{self.name} has {self.frames} frames; a window of {length} from {start} is not in it."
            )
        return Window(self, start, length)

    def array(self, field: str, first: int = 0, last: int | None = None) -> np.ndarray:
        """One of `WINDOW_FIELDS` for frames first … last-1, in radians and metres."""
        require_known("field", (field,), WINDOW_FIELDS)
        values = self.data.file.array(self.subject, self.name, WINDOW_FIELDS[field], slice(first, last))
        if len(values) != (wanted := len(range(self.frames)[first:last])):
            where = f"{self.data.path}: {self.subject}/{self.name}, frames from {first} on"
            raise InputError(f"{where}: {field} has {len(values)} of {wanted}; `simspine verify` says more.")
        return values


@dataclass(frozen=True)
class Window:
    """`length` frames of a trial from frame `start` on. Every array is read when it is asked for."""

    recording: Recording
    start: int
    length: int

    def __getitem__(self, field: str) -> np.ndarray:
        """One of `WINDOW_FIELDS`; `InputError` if it does not exist, or not in this file."""
        return self.recording.array(field, self.start, self.start + self.length)

    def arrays(self, fields: Sequence[str]) -> dict[str, np.ndarray]:
        """Several fields at once."""
        return {field: self[field] for field in fields}

    def project(self, cameras: Sequence[Camera] | None = None) -> np.ndarray:
        """The points in the images of the cameras (all the subject's if None): (views, length, points, 2) px.

        With the lens's distortion; NaN behind a camera and for missing points. A projection may be outside the image.
        """
        cameras = self.recording.cameras if cameras is None else cameras
        if not cameras:
            raise InputError(f"{self.recording.subject}: the data set holds no cameras to project to.")
        return project_points(cameras, change_frame(self["markers"], "y_up", "z_up"))


class Windows:
    """Windows over several trials; see `Recordings.windows`."""

    def __init__(self, recordings: Sequence[Recording], length: int, stride: int, fields: Sequence[str]):
        if not all(isinstance(count, Integral) and count >= 1 for count in (length, stride)):
            raise InputError(f"windows of {length} frames, {stride} apart: both must be whole numbers from 1 on.")
        require_known("field", fields, WINDOW_FIELDS)
        self.recordings, self.length, self.stride, self.fields = tuple(recordings), length, stride, tuple(fields)
        counts = (max(0, (recording.frames - length) // stride + 1) for recording in self.recordings)
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Window:
        if isinstance(index, slice):
            raise InputError("windows are asked for one by one; use [windows[i] for i in range(…)].")
        i = index + len(self) if index < 0 else index
        if not 0 <= i < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        which = bisect_right(self._ends, i)
        before = self._ends[which - 1] if which else 0
        return Window(self.recordings[which], (i - before) * self.stride, self.length)

    def __iter__(self) -> Iterator[Window]:
        return (self[i] for i in range(len(self)))

    def torch(self, transform: Callable[[dict], dict] | None = None) -> "TorchWindows":
        """These windows as a data set for `torch.utils.data.DataLoader`; see `TorchWindows`."""
        return TorchWindows(self, transform)


class TorchWindows:
    """A map-style data set: `len(data)`, `data[i]` = {field: array}, with the fields of the windows.

    PyTorch's `DataLoader` makes tensors of numbers, not of texts (`status`). transform: called with each
    dictionary. Safe with several workers: each opens the file for itself.
    """

    def __init__(self, windows: Windows, transform: Callable[[dict], dict] | None = None):
        self.windows, self.transform = windows, transform

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = self.windows[int(index)].arrays(self.windows.fields)
        return item if self.transform is None else self.transform(item)
