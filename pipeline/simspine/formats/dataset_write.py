"""Write a data set: the released tree, and ours beside it. Layout: `simspine.formats.dataset`."""

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.dataset_layout import FILTERS, TEXT, array_names, block_checksums, chunk_frames
from simspine.formats.dataset_tree import Dataset, SubjectData, TrialData
from simspine.formats.forced import forced_to_json
from simspine.formats.hdf5 import created
from simspine.skeletons import load as load_skeleton
from simspine.types import COEFFICIENTS, Markers

SCHEMA = 4  # 2: cameras with five coefficients of distortion; 3: no origin `estimated`
OURS = "simspine"  # the name of every group that the release does not have
ORDERS = ("simspine37", "simspine15", "spinetrack37")
_Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[bool, ...]]
_NAMED = ("markers", "coordinates", "centroids")  # and which coordinates are rotational


def write_dataset(path: str | os.PathLike, dataset: Dataset) -> None:
    """Write the data set atomically, one trial in memory at a time (see `LazyTrials`).

    Raises `InputError` if trials disagree on markers or coordinates (the tree names them once), if there is no trial,
    or if a name cannot be one in the file.
    """
    for subject, content in dataset.subjects.items():
        for name in (subject, *content.trials):
            if not name or "/" in name or name in (".", "calibration", "metadata"):
                raise InputError(
                    f"{name!r} cannot name a subject or trial in {path}; use letters, digits, '-' and '_'."
                )
    with atomic_path(path) as temporary, created(temporary) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["format"] = "SIMSPINE data set; groups named 'simspine' extend the released tree"
        if dataset.provenance.get("notice"):
            file.attrs["notice"] = str(dataset.provenance["notice"])
        meta = file.create_group("metadata")
        first: tuple[str, _Names] | None = None
        for subject, content in dataset.subjects.items():
            group = file.create_group(subject, track_order=True)
            _write_calibration(group, content)
            for name, trial in content.trials.items():
                centres = () if trial.centres is None else trial.centres.names
                names = trial.markers.names, trial.motion.names, centres, tuple(trial.motion.rotational)
                if first is None:
                    first = f"{subject}/{name}", names
                    _write_names(meta, trial)
                _check_same_names(f"{subject}/{name}", names, *first)
                _write_trial(group.create_group(name, track_order=True), trial)
        if first is None:
            raise InputError("the data set holds no trial; nothing is written.")
        ours = meta[OURS]
        _put(ours, "provenance", _text(json.dumps(dict(dataset.provenance), sort_keys=True, ensure_ascii=True)))
        models = ours.create_group("models")
        for subject, content in dataset.subjects.items():
            if content.model:
                data = _put(models, subject, _text(content.model))
                data.attrs["sha256"] = hashlib.sha256(content.model.encode()).hexdigest()


def _check_same_names(name: str, names: _Names, where: str, first: _Names) -> None:
    for kind, found, wanted in zip(_NAMED, names[:3], first[:3], strict=True):
        if found != wanted:
            odd = sorted(set(found) ^ set(wanted)) or "their order"
            raise InputError(f"{name} and {where} differ in their {kind}: {odd}. A data set has one list for all.")
    if names[-1] != first[-1]:
        raise InputError(f"{name} and {where} differ in which coordinates are rotational.")


def _write_names(meta: h5py.Group, trial: TrialData) -> None:
    """Names, units, and where in this file each point of the known orders is (-1: not here)."""
    meta["markers_names"] = _strings(trial.markers.names)
    meta["kinematic_axes"] = _strings(trial.motion.names)
    ours = meta.create_group(OURS)
    ours["kinematic_units"] = np.array([b"deg" if r else b"m" for r in trial.motion.rotational])
    orders = ours.create_group("orders")
    for name in ORDERS:
        data = orders.create_dataset(name, data=np.array(permutation(trial.markers.names, name), "<i4"))
        data.attrs["names"] = ",".join(load_skeleton(name).names)


def permutation(names: Sequence[str], skeleton: str) -> list[int]:
    """For each point of the skeleton, the index in `names` (SIMSPINE names) of the same point; -1 where it is not."""
    table, where = load_skeleton(skeleton), {name: i for i, name in enumerate(names)}
    return [where.get(table.to_simspine.get(native, ""), -1) for native in table.names]


def _write_calibration(group: h5py.Group, subject: SubjectData) -> None:
    group.attrs["model_file"] = subject.model_file
    calibration = group.create_group("calibration")
    calibration["names"] = np.array([c.name.encode() for c in subject.cameras] or np.empty(0, "S1"))
    cameras = subject.cameras
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
        _put(calibration, name, values.reshape(-1, *shape), unit)
    if any(camera.lens != "perspective" for camera in cameras):
        calibration.create_group(OURS)["lens"] = _strings([camera.lens for camera in cameras])
    names = COEFFICIENTS["perspective"][0].split()
    calibration["dist"].attrs["order"] = f"{' '.join(names[:length])} (OpenCV)"
    calibration["R"].attrs["convention"] = "x_camera = R x_world + t; world z up"


def _write_trial(group: h5py.Group, trial: TrialData) -> None:
    markers, motion = trial.markers, trial.motion
    _put(group, "markers", markers.xyz, "m").attrs.update(frame="y_up", places="released")
    _put(group, "kinematics", trial.degrees, "deg; m")
    _put(group, "timestamps", markers.time, "s")
    ours = group.create_group(OURS, track_order=True)
    ours.attrs["rate"], ours.attrs["start"] = markers.rate, markers.start
    ours.attrs["kinematics_rate"], ours.attrs["kinematics_start"] = motion.rate, motion.start
    if trial.withheld:
        ours.attrs["withheld"] = "points: see the notice"
    if trial.fk_deviation is not None:
        ours.attrs["fk_deviation_m"] = float(trial.fk_deviation)
    optional = (
        ("marker_weight", markers.weight, "1"), ("marker_covariance", markers.covariance, "m2"),
        ("marker_filled", markers.filled, None), ("kinematics_sd", trial.degrees_sd, "deg; m"),
        ("response", trial.response, "1"), ("level_share", trial.level_share, "1"),
        ("level_angles", trial.angles, "rad"), ("lla", trial.lla, "rad"), ("tka", trial.tka, "rad"),
        ("level_angles_sd", trial.angles_sd, "rad"), ("lla_sd", trial.lla_sd, "rad"), ("tka_sd", trial.tka_sd, "rad"),
        ("clinical", trial.clinical, "rad; m"), ("clinical_sd", trial.clinical_sd, "rad; m"),
        ("marker_error", trial.marker_error, "m"), ("filled", trial.filled, None),
    )  # fmt: skip
    for name, values, unit in optional:
        if values is not None:
            _put(ours, name, values, unit)
    if trial.centres is not None:
        _write_centres(ours, trial, trial.centres)
    texts = {
        "marker_origin": markers.origin, "levels": trial.levels, "status": trial.status, "reasons": trial.reasons,
        "fitted": trial.fitted, "fitted_origin": trial.fitted_origin,
    }  # fmt: skip
    if trial.clinical is not None:
        texts |= {"clinical_names": trial.clinical_names, "clinical_units": trial.clinical_units}
        texts |= {"clinical_decided": trial.clinical_decided or None}
    for name, said in texts.items():
        if said is not None:
            _put(ours, name, _strings(said))
    if trial.angles is not None:
        ours["level_angles"].attrs["axes"] = "flexion, lateral bending, axial rotation"
    ours.attrs["forced"] = json.dumps(forced_to_json(trial.forced))
    valid = _put(ours, "valid", trial.valid.astype(np.uint8))
    valid.attrs["meaning"] = "1: solved and not rejected"
    poses = ours.create_group("poses", track_order=True)
    for body, pose in trial.poses.items():
        _put(poses, body.replace("/", "_"), pose, "1; m").attrs["body"] = body
    _write_checksums(group)


def _write_centres(ours: h5py.Group, trial: TrialData, centres: Markers) -> None:
    """The centroids of the vertebrae, and the trial's points with those along the spine at them."""
    _put(ours, "centres", centres.xyz, "m").attrs.update(frame="y_up", names=",".join(centres.names))
    vertebral = trial.vertebral
    assert vertebral is not None  # there are centres
    _put(ours, "markers_vertebral", vertebral.xyz, "m").attrs.update(frame="y_up", places="vertebral")
    if centres.covariance is not None:
        _put(ours, "centres_covariance", centres.covariance, "m2")
    if centres.origin is not None:
        _put(ours, "centres_origin", _strings(centres.origin))


def _write_checksums(group: h5py.Group) -> None:
    """CRC-32 of each chunk of frames of every array, so that a changed number is found and its frames named."""
    arrays = array_names(group)
    sums = group[OURS].create_group("checksums", track_order=True)
    for name in arrays:
        block = group[name].chunks[0] if group[name].chunks else max(1, len(group[name]))
        data = sums.create_dataset(name.replace("/", "."), data=block_checksums(group[name][()], block))
        data.attrs["frames"] = block


def _put(group: h5py.Group, name: str, values: np.ndarray, unit: str | None = None) -> h5py.Dataset:
    """A dataset in chunks of frames, compressed where it has a length; its unit as an attribute."""
    values = np.asarray(values)
    options: dict[str, Any] = {}
    if values.size and values.ndim:
        row = values.nbytes // len(values)
        long_text = values.dtype == np.uint8 and values.ndim == 1 and name != "valid"
        chunk = min(len(values), TEXT) if long_text else chunk_frames(len(values), row)
        options = {"chunks": (chunk, *values.shape[1:]), **FILTERS}
    data = group.create_dataset(name, data=values, **options)
    if unit:
        data.attrs["units"] = unit
    return data


def _text(text: str) -> np.ndarray:
    """A long text as UTF-8 bytes: attributes end at 64 KiB, and strings of variable length are not compressed."""
    return np.frombuffer(text.encode("utf-8"), np.uint8)


def _strings(texts: Sequence[str]) -> np.ndarray:
    encoded = [str(text).encode("utf-8") for text in texts]
    return np.array(encoded, dtype=f"S{max([1, *map(len, encoded)])}")
