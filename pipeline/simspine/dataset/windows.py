"""Stretches of frames of equal length, as arrays: for learning, and for looking at a trial piece by piece."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.geometry import change_frame, project
from simspine.types import Camera

# What a window can be asked for, and where it lies in a trial's group. Angles come as rad.
FIELDS = {
    "markers": "markers",
    "kinematics": "kinematics",
    "time": "timestamps",
    **{name: f"simspine/{name}" for name in (
        "valid", "status", "lla", "tka", "lla_sd", "tka_sd", "level_angles", "level_angles_sd", "kinematics_sd",
        "marker_covariance", "marker_error", "filled",
    )},
}  # fmt: skip


class WindowSource(Protocol):
    """What a window is cut from: a trial of an open data set (`simspine.dataset.recordings.Recording`)."""

    subject: str
    frames: int
    cameras: tuple[Camera, ...]

    def array(self, field: str, first: int = 0, last: int | None = None) -> np.ndarray:
        """One of `FIELDS` for frames first … last-1."""


@dataclass(frozen=True)
class Window:
    """`length` frames of a trial from frame `start` on. Every array is read when it is asked for."""

    recording: WindowSource
    start: int
    length: int

    @property
    def markers(self) -> np.ndarray:
        """(length, points, 3) m, y_up; NaN where there is none."""
        return self["markers"]

    @property
    def kinematics(self) -> np.ndarray:
        """(length, coordinates) rad; m."""
        return self["kinematics"]

    @property
    def time(self) -> np.ndarray:
        """(length,) s."""
        return self["time"]

    @property
    def valid(self) -> np.ndarray:
        """(length,) bool: solved and not rejected."""
        return self["valid"]

    @property
    def status(self) -> tuple[str, ...]:
        """(length,) 'kept', 'corrected' or 'rejected'."""
        return tuple(self["status"])

    def __getitem__(self, field: str) -> np.ndarray:
        """One of `FIELDS`; `InputError` if it does not exist, or not in this file."""
        return self.recording.array(field, self.start, self.start + self.length)

    def arrays(self, fields: Sequence[str]) -> dict[str, np.ndarray]:
        """Several fields at once."""
        return {field: self[field] for field in fields}

    def project(self, cameras: Sequence[Camera] | None = None) -> np.ndarray:
        """The points in the images of the cameras (all the subject's if None): (views, length, points, 2) px.

        With the lens's distortion; NaN behind a camera, and where there is no point. A place may lie outside the image.
        """
        cameras = self.recording.cameras if cameras is None else cameras
        if not cameras:
            raise InputError(f"{self.recording.subject}: the data set holds no cameras to project to.")
        return project(cameras, change_frame(self.markers, "y_up", "z_up"))


class Windows(Sequence):
    """Windows over several trials; see `Recordings.windows`."""

    def __init__(self, recordings: Sequence[WindowSource], length: int, stride: int, fields: Sequence[str]):
        if length < 1 or stride < 1:
            raise InputError(f"windows of {length} frames, {stride} apart: both must be at least 1.")
        for field in fields:
            if field not in FIELDS:
                raise unknown_name("field", field, FIELDS)
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

    def torch(self, transform: Callable[[dict], dict] | None = None, tensors: bool = True) -> "TorchWindows":
        """These windows as a data set for `torch.utils.data.DataLoader`; see `TorchWindows`."""
        return TorchWindows(self, transform, tensors)


class TorchWindows:
    """A map-style data set: `len(data)`, `data[i]` = {field: tensor}, with the fields of the windows.

    transform: called with the dictionary of arrays before they become tensors. tensors=False leaves NumPy arrays, and
    PyTorch unimported. Safe with several workers: each opens the file for itself.
    """

    def __init__(self, windows: Windows, transform: Callable[[dict], dict] | None = None, tensors: bool = True):
        self.windows, self.transform, self.tensors = windows, transform, tensors

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = self.windows[int(index)].arrays(self.windows.fields)
        if self.transform is not None:
            item = self.transform(item)
        if not self.tensors:
            return item
        try:
            import torch
        except ImportError:
            raise InputError("tensors need PyTorch: install simspine[learn], or use tensors=False.") from None
        return {
            name: torch.from_numpy(value) if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" else value
            for name, value in item.items()
        }
