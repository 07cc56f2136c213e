"""One HDF5 file per data set: the tree of the released SIMSPINE data, and added groups that its readers ignore.

Each data set, its shape and unit: docs/formats.md. What is added is in groups `simspine`.

A reader of the release takes every root group whose name starts with 'S' for a subject, and each group of a subject but
`calibration` for a trial, so added groups are elsewhere. All rotations are in degrees, also coupled ones (the
release copies OpenSim's files, where the two coupled knee angles are in radians). Missing = NaN.
Equal data give equal bytes.
"""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import h5py
import numpy as np

from simspine.core.errors import InputError, require_known, unknown_name
from simspine.core.types import Camera, Markers, Motion, Origin
from simspine.io import dataset_write, hdf5
from simspine.io.atomic import check_version
from simspine.io.dataset_write import ANGLE_ARRAYS, DATASET_SCHEMA, FRAME_ARRAYS, OWN_GROUP, TRIAL_SHARES, TrialData
from simspine.io.hdf5 import checked_attribute, checked_member, checked_values, damaged_error
from simspine.io.trc import require_size_of_person

# In the released file the coupled knee coordinates are OpenSim's radians among degrees (opensim-core 2088, 3936).
_RELEASED_IN_RADIANS = ("knee_angle_r_beta", "knee_angle_l_beta")
_RELEASED_IN_METRES = ("pelvis_tx", "pelvis_ty", "pelvis_tz", "Abs_t1", "Abs_t2")

_TURNING = ("pelvis", "arm")  # starts of coordinates that may turn round several times
_ANGLE_PATHS = tuple(f"{OWN_GROUP}/{name}" for name in ANGLE_ARRAYS)
_POINT_PATHS = ("markers", f"{OWN_GROUP}/centres")
_TRIAL_TEXTS = ("levels", "fitted", "clinical_names", "clinical_units", "clinical_decided")
# Each open array keeps its last chunks unpacked: enough for overlapping windows, and bounded over hundreds of trials.
_CHUNK_CACHE_BYTES = 1 << 17  # bytes of cache per array
_OPEN_ARRAYS = 1024
_MAX_CLOCK_ERROR_FRAMES = 0.5  # between the timestamps, and the rate and start that a trial states

P = ParamSpec("P")
T = TypeVar("T")


def _naming_unreadable(read: Callable[Concatenate["DatasetFile", P], T]) -> Callable[Concatenate["DatasetFile", P], T]:
    """Decorate a method so that its errors name file, subject and trial, also where a chunk cannot be read."""

    @wraps(read)
    def checked(self: "DatasetFile", *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._file:
            raise InputError(f"{self._where} was closed; open it again, or read inside the `with` block.")
        try:
            return read(self, *args, **kwargs)
        except Exception as error:  # damaged files end in many ways
            raise damaged_error(f"{self._where}: {'/'.join(map(str, args[:2]))}", error) from None

    return checked


class DatasetFile(AbstractContextManager["DatasetFile"]):
    """A data set opened for reading; close it, or use it in a `with` block. Arrays are read when they are asked for.

    marker_names, coordinate_names: one list for all trials. schema: None for the release's own file. That file is read,
    too: entries it lacks are None or empty, its degrees become radians, and its two coupled knee coordinates are taken
    as radians. Raises `InputError` where the file is missing, damaged, or another kind of file.
    """

    def __init__(self, path: str | os.PathLike):
        self._where = str(path)
        self._arrays: dict[tuple[str, str, str], h5py.Dataset] = {}  # opening one costs more than reading a window
        self._sound: set[str] = set()  # subjects and trials that were checked
        self._file = hdf5.open_hdf5_file(path, rdcc_nbytes=_CHUNK_CACHE_BYTES)
        try:
            self._read_metadata()
        except Exception as error:  # damaged files end in many ways
            self._file.close()
            raise damaged_error(path, error) from None

    def _read_metadata(self) -> None:
        meta = self._checked("metadata") if "metadata" in self._file else {}
        for name in ("markers_names", "kinematic_axes"):
            if name not in meta:
                raise InputError(f"{self._where}: no metadata/{name}; this is not a SIMSPINE data set.")
        schema = checked_attribute(self._file, "schema")
        self.schema = None if schema is None else check_version(schema, DATASET_SCHEMA, self._where)
        self.marker_names = _text_array(meta["markers_names"])
        self.coordinate_names = _text_array(meta["kinematic_axes"])
        ours = meta.get(OWN_GROUP, {})
        self.provenance: dict[str, Any] = json.loads(_long_text(ours["provenance"])) if "provenance" in ours else {}
        if "kinematic_units" in ours:
            units = np.array(_text_array(ours["kinematic_units"]))
        else:
            units = np.full(len(self.coordinate_names), "deg")
            units[np.isin(self.coordinate_names, _RELEASED_IN_METRES)] = "m"
            units[np.isin(self.coordinate_names, _RELEASED_IN_RADIANS)] = "rad"
        if len(units) != len(self.coordinate_names) or not np.isin(units, ("deg", "rad", "m")).all():
            found = ", ".join(dict.fromkeys(units))
            raise InputError(f"{self._where}: kinematic_units are {found}; expected deg, rad or m for each axis.")
        self.rotational = units != "m"
        self._to_si = np.where(units == "deg", np.pi / 180, 1.0)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; arrays that were read stay valid."""
        self._arrays.clear()
        self._file.close()

    @property
    @_naming_unreadable
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects, in the order written."""
        return tuple(name for name in self._file if name != "metadata")

    @_naming_unreadable
    def trials(self, subject: str) -> tuple[str, ...]:
        """Names of a subject's trials, in the order written."""
        return tuple(name for name in self._subject(subject) if name != "calibration")

    @_naming_unreadable
    def frames(self, subject: str, trial: str) -> int:
        """Number of frames of a trial, without reading it."""
        return len(self._trial(subject, trial)["markers"])

    @_naming_unreadable
    def cameras(self, subject: str, trial: str | None = None) -> tuple[Camera, ...]:
        """The cameras of a trial (None: of the subject's first), in the order of the views; world z up, metres."""
        own = {} if trial is None else self._trial(subject, trial).get(OWN_GROUP, {})
        return _cameras_in(own.get("calibration", self._subject(subject)["calibration"]))

    @_naming_unreadable
    def model(self, subject: str) -> str:
        """The scaled `.osim` as text; '' in a released file, which holds only a path (`model_file`)."""
        self._subject(subject)
        data = self._checked("metadata").get(f"{OWN_GROUP}/models/{subject}")
        return "" if data is None else _long_text(data)

    @_naming_unreadable
    def model_file(self, subject: str) -> str:
        """Path of the model when the data set was built."""
        return str(checked_attribute(self._subject(subject), "model_file", ""))

    @_naming_unreadable
    def trial(self, subject: str, trial: str, frames: slice = slice(None), *, poses: bool = True) -> TrialData:
        """One trial, or a stretch of its frames; only the chunks needed are read. poses: with those of the bodies."""
        group = self._trial(subject, trial)
        first, last, step = frames.indices(len(group["markers"]))
        if step != 1:
            raise InputError(f"frames {frames} has a step of {step}; read a stretch and thin it out yourself.")
        return _read_trial(self, group, slice(first, max(first, last)), poses)

    @_naming_unreadable
    def array(self, subject: str, trial: str, path: str, frames: slice = slice(None)) -> np.ndarray:
        """One array of a trial by its path in the group, rad, m, s. Texts come as str, `simspine/valid` as bool."""
        key = subject, trial, path
        data = self._arrays.get(key)
        if data is None:
            group = self._trial(subject, trial)
            if path == f"{OWN_GROUP}/valid" and path not in group:
                return np.ones(len(range(*frames.indices(len(group["markers"])))), bool)
            if path not in group:
                where = f"{self._where}: {subject}/{trial}"
                raise unknown_name("array", path, dataset_write.array_names(group), where)
            if len(self._arrays) >= _OPEN_ARRAYS:
                self._arrays.clear()
            data = self._arrays[key] = group[path]
        values = data[frames]
        if values.dtype.kind == "f" and (np.isinf(values).any() or (path.endswith("_sd") and (values < 0).any())):
            raise InputError(f"{path} holds infinite values, or negative standard deviations; was the file changed?")
        if path == "timestamps":
            _check_even(values)
        if path in _ANGLE_PATHS:
            is_of_levels = path.startswith(f"{OWN_GROUP}/level_")
            levels = _text_array(self._trial(subject, trial)[f"{OWN_GROUP}/levels"]) if is_of_levels else ()
            dataset_write.require_possible_angle(f"{self._where}: {path}", values, levels)
        if path in _POINT_PATHS:
            require_size_of_person(path, values)
        if path in ("kinematics", f"{OWN_GROUP}/kinematics_sd"):
            values *= self._to_si
        elif path == f"{OWN_GROUP}/valid":
            values = values.astype(bool)
        elif values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8")
        return values

    @_naming_unreadable
    def clock(self, subject: str, trial: str) -> tuple[float, float]:
        """(frames per second, time of the first frame) of a trial."""
        group = self._trial(subject, trial)
        return _rate_and_start(group["timestamps"], group.get(OWN_GROUP))

    def _subject(self, subject: str) -> h5py.Group:
        require_known("subject", (subject,), self.subjects, self._where)
        group = checked_member(self._file, subject)
        if not isinstance(group, h5py.Group):
            raise InputError(f"{self._where}: {subject} is an array, expected a group of trials.")
        if "calibration" in group:
            self._checked(f"{subject}/calibration")
        return group

    def _trial(self, subject: str, trial: str) -> h5py.Group:
        require_known("trial", (trial,), self.trials(subject), f"{self._where}: {subject}")
        return self._checked(f"{subject}/{trial}")

    def _checked(self, name: str) -> h5py.Group:
        """A group by its path; everything below it is checked at the first access."""
        group = checked_member(self._file, name)
        if name not in self._sound:
            hdf5.check_hdf5_tree(group)
            self._sound.add(name)
        return group


def _check_rows(group: h5py.Group) -> None:
    """`InputError` where arrays of a trial hold no floats, or differ in length."""
    frames = len(group["markers"])
    floats = (*(name for name, (_, unit) in FRAME_ARRAYS.items() if unit), "kinematics_sd", "centres")
    for name in ("markers", "kinematics", "timestamps", *(f"{OWN_GROUP}/{name}" for name in floats)):
        if name in group and (len(group[name]), group[name].dtype.kind) != (frames, "f"):
            found = f"{name} has {len(group[name])} rows of {group[name].dtype}, markers have {frames}"
            raise InputError(f"{found}; expected floats, equally many. Was the file changed?")


def _check_even(time: np.ndarray) -> None:
    if len(time) > 1:
        step = (time[-1] - time[0]) / (len(time) - 1)
        if not (np.abs(time - time[0] - step * np.arange(len(time))) < _MAX_CLOCK_ERROR_FRAMES * step).all():
            raise InputError("timestamps do not increase evenly; was the file changed?")


def _read_trial(dataset: DatasetFile, group: h5py.Group, frames: slice, with_poses: bool) -> TrialData:
    added = group.get(OWN_GROUP, {})

    def part(name: str) -> np.ndarray | None:
        return added[name][frames] if name in added else None

    def origins(name: str) -> tuple[Origin, ...] | None:
        return tuple(map(Origin, _text_array(added[name]))) if name in added else None

    _check_rows(group)
    rate, start = _rate_and_start(group["timestamps"], group.get(OWN_GROUP))
    _check_even(group["timestamps"][frames])
    markers = Markers(
        names=dataset.marker_names, rate=rate, xyz=group["markers"][frames], frame="y_up",
        weight=part("marker_weight"), covariance=part("marker_covariance"), origin=origins("marker_origin"),
        filled=part("marker_filled"), start=start + frames.start / rate,
    )  # fmt: skip
    require_size_of_person("markers", markers.xyz)
    sd = part("kinematics_sd")
    attribute = partial(checked_attribute, added) if OWN_GROUP in group else lambda _, default=None: default
    motion_rate = float(attribute("kinematics_rate", rate))
    motion = Motion(
        names=dataset.coordinate_names, rate=motion_rate, values=group["kinematics"][frames] * dataset._to_si,
        rotational=dataset.rotational, deviation=None if sd is None else sd * dataset._to_si,
        start=float(attribute("kinematics_start", start)) + frames.start / motion_rate,
    )  # fmt: skip
    sd = 0.0 * motion.values if motion.deviation is None else motion.deviation
    columns = zip(motion.names, motion.values.T, sd.T, motion.rotational, strict=True)
    for name, values, deviation, rotational in columns:
        if rotational and not name.startswith(_TURNING):
            dataset_write.require_possible_angle(name, values)
            dataset_write.require_possible_angle(f"{name}_sd", deviation)
    arrays = {field: added[name][frames] for name, (field, _) in FRAME_ARRAYS.items() if name in added}
    arrays |= {name: added[name][()] for name in TRIAL_SHARES if name in added}
    arrays |= {name: _text_array(added[name]) for name in _TRIAL_TEXTS if name in added}
    arrays |= {name: _text_array(added[name])[frames] for name in ("status", "reasons") if name in added}
    if "calibration" in added:
        arrays["cameras"] = _cameras_in(added["calibration"])
    if "centres" in added:
        arrays["centres"] = Markers(
            tuple(str(checked_attribute(added["centres"], "names")).split(",")), rate, added["centres"][frames], "y_up",
            covariance=part("centres_covariance"), origin=origins("centres_origin"), start=markers.start,
        )  # fmt: skip
        require_size_of_person(f"{OWN_GROUP}/centres", arrays["centres"].xyz)
    deviation = attribute("fk_deviation_m")
    return TrialData(
        markers, motion, **arrays, fitted_origin=origins("fitted_origin"),
        poses=_poses_in(added["poses"], frames) if with_poses and "poses" in added else {},
        forced=dataset_write.forced_from_json(json.loads(attribute("forced", "{}")), f"{dataset._where}: {group.name}"),
        fk_deviation=None if deviation is None else float(deviation), withheld=attribute("withheld") is not None,
    )  # fmt: skip


def _poses_in(group: h5py.Group, frames: slice) -> dict[str, np.ndarray]:
    return {checked_attribute(data, "body"): data[frames] for data in group.values()}


def _cameras_in(group: h5py.Group) -> tuple[Camera, ...]:
    columns = (checked_values(group[name]) for name in ("size", "K", "dist", "R", "t"))
    names, ours = _text_array(group["names"]), group.get(OWN_GROUP)
    lenses = ("perspective",) * len(names) if ours is None else _text_array(ours["lens"])
    return tuple(Camera(*row) for row in zip(names, *columns, lenses, strict=True))


def _rate_and_start(timestamps: h5py.Dataset, added: h5py.Group | None) -> tuple[float, float]:
    """(rate, time of the first frame); in a released file, which states neither, from the timestamps."""
    start, last = (float(timestamps[i]) if len(timestamps) else 0.0 for i in (0, -1))
    if added is not None and "rate" in added.attrs:
        rate, stated = float(checked_attribute(added, "rate")), float(checked_attribute(added, "start"))
        off = np.abs([rate * (start - stated), rate * (last - start) - len(timestamps) + 1])
        if len(timestamps) and not (off < _MAX_CLOCK_ERROR_FRAMES).all():
            raise InputError(f"rate {rate:g} and start {stated:g} do not fit the timestamps; was the file changed?")
        return rate, stated
    if len(timestamps) < 2:
        return 1.0, start
    rate = (len(timestamps) - 1) / (last - start)
    return (round(rate) if abs(rate - round(rate)) < 1e-3 * rate else rate), start  # TRC's times are rounded


def _text_array(data: h5py.Dataset) -> tuple[str, ...]:
    return tuple(bytes(text).decode("utf-8") for text in checked_values(data))


def _long_text(data: h5py.Dataset) -> str:
    return checked_values(data).tobytes().decode("utf-8")
