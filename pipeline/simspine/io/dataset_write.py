"""The data set: its tree in memory, and its writer. Layout of the file: `simspine.io.dataset_read`."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np

from simspine.core.errors import InputError, names_text, naming_content, require_known
from simspine.core.skeletons import GROUND_SEGMENTS, load_skeleton, points_at_vertebrae
from simspine.core.types import LENS_COEFFICIENTS, Camera, Forced, Frozen, Markers, Motion, Origin, read_only_array
from simspine.io.atomic import atomic_path
from simspine.io.hdf5 import create_file, open_checked

# Chunks of frames, compression, checksums; measured in docs/formats.md.
# gzip and Fletcher-32 are part of every HDF5 library, MATLAB's and R's too; LZF, somewhat faster, is h5py's own.
# Shuffled, level 4 is as small as 6 within 1 % and quicker to write; each read costs a third without the shuffling.
HDF5_FILTERS = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}
MIN_CHUNK_FRAMES = 128  # frames in a chunk: windows of some hundred frames need few chunks, and damage stays local
MIN_CHUNK_BYTES = 1 << 15  # bytes: smaller chunks take longer to find than to read
TEXT_CHUNK_BYTES = 1 << 16  # bytes in a chunk of a long text


def chunk_frames(frames: int, row_bytes: int) -> int:
    """Frames in a chunk of an array with `row_bytes` per frame: a power of two, but at most `frames`."""
    chunk = MIN_CHUNK_FRAMES
    while chunk * row_bytes < MIN_CHUNK_BYTES:
        chunk *= 2
    return max(1, min(chunk, frames))


def array_names(group: h5py.Group) -> list[str]:
    """Paths of all arrays below a group."""
    names: list[str] = []
    group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


FRAME_STATUSES = ("kept", "corrected", "rejected", "inferred")


def is_rejected(status: Sequence[str] | np.ndarray | None, frames: int) -> np.ndarray:
    """(frames,) bool: rejected, also if they were filled in ('inferred'); none where no status is known."""
    return np.zeros(frames, bool) if status is None else np.isin(status, ("rejected", "inferred"))


# Arrays of a trial with a row for each frame: name in the file, field of `TrialData`, unit.
FRAME_ARRAYS = {
    "level_angles": ("angles", "rad"), "lla": ("lla", "rad"), "tka": ("tka", "rad"),
    "level_angles_sd": ("angles_sd", "rad"), "lla_sd": ("lla_sd", "rad"), "tka_sd": ("tka_sd", "rad"),
    "lla_change_sd": ("lla_change_sd", "rad"), "tka_change_sd": ("tka_change_sd", "rad"),
    "clinical": ("clinical", "rad; m"), "clinical_sd": ("clinical_sd", "rad; m"),
    "marker_error": ("marker_error", "m"), "filled": ("filled", None),
}  # fmt: skip
_RATE_TOLERANCE = 1e-3  # largest relative difference of the rates of points and angles, which have the same frames
TRIAL_SHARES = ("response", "level_share")
ANGLE_ARRAYS = {name: name_here for name, (name_here, unit) in FRAME_ARRAYS.items() if unit == "rad"}


def require_possible_angle(name: str, values: np.ndarray | None, levels: Sequence[str] = ()) -> None:
    """`InputError` for an angle of a joint or a curvature beyond a full turn, or its deviation (…_sd) beyond half a
    turn: degrees taken for radians, or damage. levels: names along the second axis; people turn round in the room."""
    if values is not None and len(levels):
        values = values[:, [level not in GROUND_SEGMENTS for level in levels]]
    largest = 0.0 if values is None else float(np.nan_to_num(np.abs(values)).max(initial=0.0))
    most, why = (np.pi, "no angle is so uncertain") if name.endswith("_sd") else (2 * np.pi, "nobody bends so far")
    if largest > most:
        raise InputError(f"{name} reaches {largest:.3g} rad, {why}. Are these degrees?")


@dataclass(frozen=True, eq=False)
class TrialData(Frozen):
    """One trial. Angles rad, lengths m, times s; NaN = missing. markers: y_up, the forward kinematics of `motion`.

    cameras: those that saw the trial, in the order of the views, () for none; None: not known, or its subject's.
    levels: names of the spinal levels. angles: (frames, levels, 3) flexion, lateral bending, axial rotation. lla,
    tka: (frames,). angles_sd, lla_sd, tka_sd: standard deviations of the same shapes; lla_change_sd, tka_change_sd:
    of the difference to the mean over some 600 frames; those of the coordinates are `motion.deviation`, the
    covariances of the points `markers.covariance`. response: (coordinates,) share of each coordinate that the data
    decided, 0…1, NaN where there is none; level_share: (levels, 3) the same of each level's angles. clinical_names:
    of the clinical parameters, clinical_units: 'rad' or 'm' of each; clinical, clinical_sd: (frames, parameters);
    clinical_decided: a text per parameter on the data behind it in this trial. forced: {level, 'lla', 'tka' or clinical
    parameter: facts that the model forces there, () for none}. status: per frame kept, corrected, rejected or
    inferred (rejected and filled in). reasons: per frame, why it was not kept, or ''. fitted: names of the markers
    that inverse kinematics fitted, with their origin; marker_error: (frames, fitted) m; filled: (frames, fitted)
    bool, where a gap of the fitted marker was interpolated. centres: centroids of the vertebrae C1 … L5, S1 (y_up).
    poses: {body: (frames, 4, 4)} in ground. fk_deviation: largest distance, m, between `markers` or `centres` and
    the forward kinematics of `motion` as written. withheld: the points are left out on purpose (a licence), so
    `markers` are all NaN.
    """

    markers: Markers
    motion: Motion
    cameras: tuple[Camera, ...] | None = None
    levels: tuple[str, ...] = ()
    angles: np.ndarray | None = None
    lla: np.ndarray | None = None
    tka: np.ndarray | None = None
    angles_sd: np.ndarray | None = None
    lla_sd: np.ndarray | None = None
    tka_sd: np.ndarray | None = None
    lla_change_sd: np.ndarray | None = None
    tka_change_sd: np.ndarray | None = None
    response: np.ndarray | None = None
    level_share: np.ndarray | None = None
    clinical_names: tuple[str, ...] = ()
    clinical_units: tuple[str, ...] = ()
    clinical: np.ndarray | None = None
    clinical_sd: np.ndarray | None = None
    clinical_decided: tuple[str, ...] = ()
    forced: Mapping[str, tuple[Forced, ...]] = field(default_factory=dict)
    status: tuple[str, ...] | None = None
    reasons: tuple[str, ...] | None = None
    fitted: tuple[str, ...] = ()
    fitted_origin: tuple[Origin, ...] | None = None
    marker_error: np.ndarray | None = None
    filled: np.ndarray | None = None
    centres: Markers | None = None
    poses: Mapping[str, np.ndarray] = field(default_factory=dict)
    fk_deviation: float | None = None
    withheld: bool = False

    def __post_init__(self):
        frames = self.markers.frames
        if self.markers.frame != "y_up":
            raise InputError(f"TrialData.markers is in {self.markers.frame!r}, expected 'y_up'; see change_frame.")
        if self.centres is not None and (self.centres.frames, self.centres.frame) != (frames, "y_up"):
            found = f"{self.centres.frames} frames in {self.centres.frame!r}"
            raise InputError(f"TrialData.centres has {found}, expected {frames} in 'y_up'.")
        if self.motion.frames != frames:
            raise InputError(f"TrialData.motion has {self.motion.frames} frames, markers {frames}; cut both alike.")
        if not np.isclose(self.motion.rate, self.markers.rate, rtol=_RATE_TOLERANCE):
            raise InputError(f"TrialData.motion has {self.motion.rate} frames/s, markers have {self.markers.rate}.")
        curve, angles, clinical = (frames,), (frames, len(self.levels), 3), (frames, len(self.clinical_names))
        shapes = {
            "angles": angles, "lla": curve, "tka": curve, "clinical": clinical, "level_share": (len(self.levels), 3),
            "response": (len(self.motion.names),), "marker_error": (frames, len(self.fitted)),
        }  # fmt: skip
        self._set_arrays(shapes, infinite=False)
        for name in ("levels", "fitted", "clinical_names"):
            if len({*getattr(self, name)}) < len(getattr(self, name)):
                raise InputError(f"TrialData.{name} has a name twice: {names_text(getattr(self, name))}.")
        if len(self.clinical_units) != len(self.clinical_names) or not {*self.clinical_units} <= {"rad", "m"}:
            text = names_text(self.clinical_units)
            raise InputError(f"TrialData.clinical_units are {text}; expected rad or m for each clinical parameter.")
        deviations = {f"{name}{kind}_sd": curve for name in ("lla", "tka") for kind in ("", "_change")}
        self._set_deviations(deviations | {"angles_sd": angles, "clinical_sd": clinical})
        for name in ANGLE_ARRAYS.values():
            levels = self.levels if name.startswith("angles") else ()
            require_possible_angle(f"TrialData.{name}", getattr(self, name), levels)
        columns = () if self.clinical is None else self.clinical.T
        for name, unit, values in zip(self.clinical_names, self.clinical_units, columns, strict=False):
            if unit == "rad" and not name.startswith("shoulder"):  # arms turn round
                require_possible_angle(name, values)
        self._set_arrays({"filled": (frames, len(self.fitted))}, bool)
        for name in ("levels", "fitted", "clinical_names", "clinical_units", "clinical_decided", "status", "reasons"):
            if (texts := getattr(self, name)) is not None:
                self._set(**{name: tuple(str(text) for text in texts)})
        if self.fitted_origin is not None:
            self._set(fitted_origin=tuple(Origin(origin) for origin in self.fitted_origin))
        counts = {
            "clinical_decided": len(self.clinical_names) if self.clinical_decided else 0, "status": frames,
            "reasons": frames, "fitted_origin": len(self.fitted),
        }  # fmt: skip
        for name, count in counts.items():
            if (texts := getattr(self, name)) is not None and len(texts) != count:
                raise InputError(f"TrialData.{name} has {len(texts)} entries, expected {count}.")
        require_known("frame status", dict.fromkeys(self.status or ()), FRAME_STATUSES)
        poses = {
            str(body): read_only_array("TrialData", f"poses[{body!r}]", pose, (frames, 4, 4))
            for body, pose in self.poses.items()
        }
        forced = {str(name): tuple(facts) for name, facts in self.forced.items()}
        self._set(poses=MappingProxyType(poses), forced=MappingProxyType(forced))

    @property
    def vertebral(self) -> Markers | None:
        """`markers` with the points along the spine at their vertebrae's centroids; None where these are not known."""
        return None if self.centres is None else points_at_vertebrae(self.markers, self.centres)

    @property
    def valid(self) -> np.ndarray:
        """(frames,) bool: solved and not rejected. Other frames stay in the file, too."""
        return np.isfinite(self.motion.values).all(1) & ~is_rejected(self.status, self.motion.frames)

    @property
    def inferred(self) -> np.ndarray:
        """(frames,) bool: rejected, and filled in from neighbouring frames."""
        return np.array([status == "inferred" for status in self.status or ("",) * self.motion.frames], bool)

    @property
    def degrees(self) -> np.ndarray:
        """(frames, coordinates): rotations in degrees, translations in metres."""
        return np.where(self.motion.rotational, np.degrees(self.motion.values), self.motion.values)


@dataclass(frozen=True)
class SubjectData:
    """One person. cameras: of the first filmed trial. trials: each in memory, or a function that reads it, or a data
    set's file that holds it. model: the scaled `.osim` as text; model_file: its path."""

    cameras: tuple[Camera, ...]
    trials: Mapping[str, TrialData | Callable[[], TrialData] | Path]
    model: str = ""
    model_file: str = ""


@dataclass(frozen=True)
class Dataset:
    """The whole tree. subjects: by name, as in the release ('S1') or any other. provenance: content for JSON."""

    subjects: Mapping[str, SubjectData]
    provenance: Mapping[str, Any] = field(default_factory=dict)


def forced_to_json(forced: Mapping[str, Iterable[Forced]]) -> dict[str, list[dict[str, Any]]]:
    """The facts on each level, 'lla' or 'tka' in a form that JSON can hold."""
    return {name: [asdict(fact) for fact in facts] for name, facts in forced.items()}


def forced_from_json(data: Any, where: str) -> dict[str, tuple[Forced, ...]]:
    """The inverse of `forced_to_json`. Raises `InputError` naming `where` for anything else."""
    said = f"facts on levels as expected in 'forced', but {str(data)[:80]!r}"
    with naming_content(where, f"{said}; earlier versions hold sentences there: make the file again"):
        return {str(name): tuple(Forced(**fact) for fact in facts) for name, facts in data.items()}


DATASET_SCHEMA = 4  # 2: cameras with five coefficients of distortion; 3: no origin `estimated`
OWN_GROUP = "simspine"  # the name of every group that the release does not have
POINT_ORDERS = ("simspine37", "simspine15", "spinetrack37")


def write_dataset(path: str | os.PathLike, dataset: Dataset) -> None:
    """Write the data set, one trial in memory at a time. A trial in a file is copied without unpacking. Trials
    must agree on markers and coordinates, since the tree names them once."""
    for subject, content in dataset.subjects.items():
        for name in (subject, *content.trials):
            if not name or "/" in name or name in (".", "calibration", "metadata"):
                raise InputError(f"{name!r} cannot name a subject or trial of {path}; use letters, digits, - and _.")
    with atomic_path(path) as temporary, create_file(temporary) as file:
        file.attrs["schema"] = DATASET_SCHEMA
        file.attrs["format"] = "SIMSPINE data set; groups named 'simspine' extend the released tree"
        if dataset.provenance.get("notice"):
            file.attrs["notice"] = str(dataset.provenance["notice"])
        meta = file.create_group("metadata")
        first: tuple[str, dict[str, tuple[str, ...]]] | None = None
        for subject, content in dataset.subjects.items():
            group = file.create_group(subject, track_order=True)
            group.attrs["model_file"] = content.model_file
            _write_cameras(group, content.cameras)
            for name, source in content.trials.items():
                names = _add_trial(group, name, source)
                if first is None:
                    first = f"{subject}/{name}", names
                    _write_names(meta, names)
                for kind, found in names.items():
                    if found != (named := first[1][kind]):
                        differ = sorted(set(found) ^ set(named)) or "their order"
                        text = f"{subject}/{name} and {first[0]} differ in their {kind}: {differ}"
                        raise InputError(f"{text}. A data set has one list for all.")
        if first is None:
            raise InputError("the data set holds no trial; nothing is written.")
        ours = meta[OWN_GROUP]
        _put_array(ours, "provenance", _utf8_text(json.dumps(dict(dataset.provenance), sort_keys=True)))
        models = ours.create_group("models")
        for subject, content in dataset.subjects.items():
            if content.model:
                data = _put_array(models, subject, _utf8_text(content.model))
                data.attrs["sha256"] = hashlib.sha256(content.model.encode()).hexdigest()


def _add_trial(
    subject: h5py.Group, name: str, source: TrialData | Callable[[], TrialData] | Path
) -> dict[str, tuple[str, ...]]:
    """Write a trial, or copy it from its file; returns the names that all trials of a data set share."""
    if isinstance(source, Path):
        with open_checked(source) as made:
            made.copy(f"{subject.name}/{name}", subject)
            return _names_in_file(made["metadata"], subject[name])
    trial = source() if callable(source) else source
    _write_trial(subject.create_group(name, track_order=True), trial)
    return {
        "markers": trial.markers.names,
        "coordinates": trial.motion.names,
        "rotations": tuple(np.array(trial.motion.names)[trial.motion.rotational].tolist()),
        "centroids": () if trial.centres is None else trial.centres.names,
    }


def _names_in_file(meta: h5py.Group, trial: h5py.Group) -> dict[str, tuple[str, ...]]:
    """The names that `_add_trial` returns, of a trial that was written."""
    coordinates, centres = meta["kinematic_axes"].asstr()[()], trial.get(f"{OWN_GROUP}/centres")
    return {
        "markers": tuple(meta["markers_names"].asstr()[()].tolist()),
        "coordinates": tuple(coordinates.tolist()),
        "rotations": tuple(coordinates[meta[f"{OWN_GROUP}/kinematic_units"][()] == b"deg"].tolist()),
        "centroids": () if centres is None else tuple(centres.attrs["names"].split(",")),
    }


def _write_names(meta: h5py.Group, names: Mapping[str, Sequence[str]]) -> None:
    """Write names, units, and the index in this file of each point of the known orders (-1: missing)."""
    meta["markers_names"] = _string_array(names["markers"])
    meta["kinematic_axes"] = _string_array(names["coordinates"])
    ours = meta.create_group(OWN_GROUP)
    ours["kinematic_units"] = np.where(np.isin(names["coordinates"], names["rotations"]), b"deg", b"m")
    orders = ours.create_group("orders")
    for name in POINT_ORDERS:
        data = orders.create_dataset(name, data=np.array(skeleton_indices(names["markers"], name), "<i4"))
        data.attrs["names"] = ",".join(load_skeleton(name).names)


def skeleton_indices(names: Sequence[str], skeleton: str) -> list[int]:
    """For each point of the skeleton, the index in `names` (SIMSPINE names) of the same point; -1 if it is missing."""
    table, indices = load_skeleton(skeleton), {name: i for i, name in enumerate(names)}
    return [indices.get(table.to_simspine.get(native, ""), -1) for native in table.names]


def _write_cameras(group: h5py.Group, cameras: Sequence[Camera]) -> None:
    calibration = group.create_group("calibration")
    calibration["names"] = np.array([c.name.encode() for c in cameras] or np.empty(0, "S1"))
    length = max((camera.distortion.size for camera in cameras), default=5)
    columns = {
        "K": ([c.K for c in cameras], (3, 3), "px"),
        "dist": ([np.pad(c.distortion, (0, length - c.distortion.size)) for c in cameras], (length,), "1"),
        "R": ([c.R for c in cameras], (3, 3), "1"),
        "t": ([c.t for c in cameras], (3,), "m"),
        "size": ([c.size for c in cameras], (2,), "px"),
    }
    for name, (rows, shape, unit) in columns.items():
        values = np.array(rows, "<i4" if name == "size" else "<f8")
        _put_array(calibration, name, values.reshape(-1, *shape), unit)
    if any(camera.lens != "perspective" for camera in cameras):
        calibration.create_group(OWN_GROUP)["lens"] = _string_array([camera.lens for camera in cameras])
    names = LENS_COEFFICIENTS["perspective"][0].split()
    calibration["dist"].attrs["order"] = f"{' '.join(names[:length])} (OpenCV)"
    calibration["R"].attrs["convention"] = "x_camera = R x_world + t; world z up"


def _write_trial(group: h5py.Group, trial: TrialData) -> None:
    markers, motion = trial.markers, trial.motion
    _put_array(group, "markers", markers.xyz, "m").attrs.update(frame="y_up", places="released")
    _put_array(group, "kinematics", trial.degrees, "deg; m")
    _put_array(group, "timestamps", markers.time, "s")
    ours = group.create_group(OWN_GROUP, track_order=True)
    ours.attrs["rate"], ours.attrs["start"] = markers.rate, markers.start
    ours.attrs["kinematics_rate"], ours.attrs["kinematics_start"] = motion.rate, motion.start
    if trial.cameras is not None:
        _write_cameras(ours, trial.cameras)
    if trial.withheld:
        ours.attrs["withheld"] = "points: see the notice"
    if trial.fk_deviation is not None:
        ours.attrs["fk_deviation_m"] = float(trial.fk_deviation)
    sd = motion.deviation
    sd = None if sd is None else np.where(motion.rotational, np.degrees(sd), sd)
    optional = [
        ("marker_weight", markers.weight, "1"), ("marker_covariance", markers.covariance, "m2"),
        ("marker_filled", markers.filled, None), ("kinematics_sd", sd, "deg; m"),
        *((name, getattr(trial, name), "1") for name in TRIAL_SHARES),
        *((name, getattr(trial, field), unit) for name, (field, unit) in FRAME_ARRAYS.items()),
    ]  # fmt: skip
    for name, values, unit in optional:
        if values is not None:
            _put_array(ours, name, values, unit)
    if trial.centres is not None:
        _write_centres(ours, trial, trial.centres)
    texts = {
        "marker_origin": markers.origin, "levels": trial.levels, "status": trial.status, "reasons": trial.reasons,
        "fitted": trial.fitted, "fitted_origin": trial.fitted_origin,
    }  # fmt: skip
    if trial.clinical is not None:
        texts |= {"clinical_names": trial.clinical_names, "clinical_units": trial.clinical_units}
        texts |= {"clinical_decided": trial.clinical_decided or None}
    for name, words in texts.items():
        if words is not None:
            _put_array(ours, name, _string_array(words))
    if trial.angles is not None:
        ours["level_angles"].attrs["axes"] = "flexion, lateral bending, axial rotation"
    ours.attrs["forced"] = json.dumps(forced_to_json(trial.forced))
    valid = _put_array(ours, "valid", trial.valid.astype(np.uint8))
    valid.attrs["meaning"] = "1: solved and not rejected"
    poses = ours.create_group("poses", track_order=True)
    for body, pose in trial.poses.items():
        _put_array(poses, body.replace("/", "_"), pose, "1; m").attrs["body"] = body


def _write_centres(ours: h5py.Group, trial: TrialData, centres: Markers) -> None:
    """Write the centroids of the vertebrae, and the trial's points with the spine's moved to them."""
    _put_array(ours, "centres", centres.xyz, "m").attrs.update(frame="y_up", names=",".join(centres.names))
    vertebral = points_at_vertebrae(trial.markers, centres)
    _put_array(ours, "markers_vertebral", vertebral.xyz, "m").attrs.update(frame="y_up", places="vertebral")
    if centres.covariance is not None:
        _put_array(ours, "centres_covariance", centres.covariance, "m2")
    if centres.origin is not None:
        _put_array(ours, "centres_origin", _string_array(centres.origin))


def _put_array(group: h5py.Group, name: str, values: np.ndarray, unit: str | None = None) -> h5py.Dataset:
    """Write an array in chunks of frames, compressed unless it is a scalar or empty; its unit as an attribute."""
    values = np.asarray(values)
    options: dict[str, Any] = {}
    if values.size and values.ndim:
        row = values.nbytes // len(values)
        long_text = values.dtype == np.uint8 and values.ndim == 1 and name != "valid"
        chunk = min(len(values), TEXT_CHUNK_BYTES) if long_text else chunk_frames(len(values), row)
        options = {"chunks": (chunk, *values.shape[1:]), **HDF5_FILTERS}
    data = group.create_dataset(name, data=values, **options)
    if unit:
        data.attrs["units"] = unit
    return data


def _utf8_text(text: str) -> np.ndarray:
    """A long text as UTF-8 bytes: attributes hold 64 KiB at most, and strings of variable length are not compressed."""
    return np.frombuffer(text.encode("utf-8"), np.uint8)


def _string_array(texts: Sequence[str]) -> np.ndarray:
    encoded = [str(text).encode("utf-8") for text in texts]
    return np.array(encoded, dtype=f"S{max([1, *map(len, encoded)])}")
