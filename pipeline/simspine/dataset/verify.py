"""Check a data set against its manifest and against itself; name broken files, trials and arrays."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simspine.anatomy.body import Body
from simspine.core.arrays import frame_ranges
from simspine.core.errors import InputError, reason_of
from simspine.dataset.recordings import read_dataset_manifest
from simspine.io.atomic import check_announced_bytes, sha256_of_file
from simspine.io.dataset_read import DatasetFile
from simspine.io.hdf5 import announced_bytes, checked_member, read_store
from simspine.reconstruction.publish import check_forward_kinematics


@dataclass(frozen=True)
class Fault:
    """One fault of a data set. frames: those concerned, such as '128–255', from 0; '' where it concerns no frames."""

    file: str
    what: str
    trial: str = ""
    frames: str = ""

    def __str__(self) -> str:
        place = [self.file, self.trial, f"frames {self.frames}" if self.frames else ""]
        return f"fault: {', '.join(part for part in place if part)}: {self.what}"


HDF5_SUFFIXES = (".h5", ".hdf5")


def verify_dataset(path: Path, kinematics: bool = False) -> list[Fault]:
    """Everything wrong with a data set: the folder of an export, its manifest.json, or one HDF5 file by itself.

    kinematics: compare points and angles in all frames, not in one. Raises `InputError` if there is nothing to verify.
    """
    path = Path(path)
    if path.is_file() and path.suffix in HDF5_SUFFIXES:
        try:
            read_store(path, ())
        except (InputError, *_READ_ERRORS):
            return verify_hdf5(path, path.name, None) or list(_content_faults(path, path.name, kinematics))
        raise InputError(f"{path} is a stage's file, no data set. `simspine status` compares it with its checksum.")
    if not path.is_dir() and (path.suffix != ".json" or not path.exists()):
        found = "is another file" if path.exists() else "does not exist"
        raise InputError(f"{path} {found}; expected a folder of results, its manifest.json, or a data set's .h5.")
    manifest = read_dataset_manifest(path)
    folder = path if path.is_dir() else path.parent
    faults: list[Fault] = []
    for name, entry in manifest["files"].items():
        try:
            faults += _file_faults(folder / name, name, entry, kinematics)
        except OSError as error:
            faults.append(Fault(name, f"cannot be read ({reason_of(error)})"))
    return faults


# Checks of an HDF5 file: every array can be read; all trials are there, with all their frames.
EXPECTED_ARRAYS = ("markers", "kinematics", "timestamps")
_READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)


def verify_hdf5(path: Path, name: str, trials: Mapping[str, int] | None) -> list[Fault]:
    """Everything wrong with the file; trials: {'S1/Walking': frames} as the manifest has them, None if unknown.

    No attribute is read: in a damaged file HDF5 may read texts of attributes without end.
    """
    try:
        with h5py.File(path, "r") as file:
            damaged, names = list(unreadable_arrays(file)), list(_trial_names(file))
            faults = [_array_fault(name, place) for place in damaged]
            wanted = dict.fromkeys(names) if trials is None else trials
            faults += [Fault(name, "the trial is not in the manifest", trial) for trial in names if trial not in wanted]
            faults += [Fault(name, "the trial is missing from the file", t) for t in wanted if t not in names]
            for trial, frames in wanted.items():
                if trial in names and trial not in damaged:
                    faults += _trial_faults(file[trial], name, trial, frames=frames)
            return faults
    except _READ_ERRORS as error:
        return [Fault(name, f"cannot be read as HDF5 ({reason_of(error)})")]


def _trial_names(file: h5py.File) -> Iterator[str]:
    """Names of the trials, '<subject>/<trial>', of every subject that can be opened."""
    for subject in (name for name in file if name != "metadata"):
        with suppress(*_READ_ERRORS):
            if isinstance(group := checked_member(file, subject), h5py.Group):
                yield from (f"{subject}/{trial}" for trial in group if trial != "calibration")


def unreadable_arrays(file: h5py.File) -> Iterator[str]:
    """The path of each array that cannot be read; HDF5 has a checksum of every chunk."""
    for place, array in _arrays_below(file, {file["/"]}):
        try:
            if array is None:
                raise ValueError("cannot be opened, or is larger than the file can hold")
            if not array.dtype.hasobject:  # texts of any length lie elsewhere in the file
                array[()]
        except _READ_ERRORS:
            yield place


def _arrays_below(
    group: h5py.Group, seen: set[h5py.Group], above: str = ""
) -> Iterator[tuple[str, h5py.Dataset | None]]:
    """(path, array) of all arrays below a group; None for items that cannot be opened and groups seen before."""
    try:
        keys = list(group)
    except _READ_ERRORS:
        yield above.rstrip("/"), None
        return
    for key in keys:
        try:
            item = checked_member(group, key)
            if isinstance(item, h5py.Dataset):
                check_announced_bytes(above + key, announced_bytes(item), item.file.id.get_filesize())
        except _READ_ERRORS:
            item = None
        if isinstance(item, h5py.Group) and item not in seen:
            seen.add(item)
            yield from _arrays_below(item, seen, f"{above}{key}/")
        else:
            yield above + key, item if isinstance(item, h5py.Dataset) else None


def _array_fault(name: str, place: str) -> Fault:
    """The fault of a damaged array at the path `place`; it names the trial where the array belongs to one."""
    parts = place.split("/", 2)
    if len(parts) < 2 or parts[0] == "metadata" or parts[1] == "calibration":
        return Fault(name, f"{place} is damaged")
    return Fault(name, f"{parts[2] if len(parts) > 2 else 'it'} is damaged", "/".join(parts[:2]))


def _trial_faults(group: h5py.Group, name: str, trial: str, frames: int | None) -> list[Fault]:
    """Arrays missing or of unequal length."""
    present = [key for key in EXPECTED_ARRAYS if isinstance(group.get(key, getlink=True), h5py.HardLink)]
    lengths = {key: len(group[key]) for key in present}
    faults = [Fault(name, f"{key} is missing", trial) for key in EXPECTED_ARRAYS if key not in lengths]
    if frames is None:
        frames = max(lengths.values(), default=0)
    for key, length in lengths.items():
        if length != frames:
            span = frame_ranges(range(min(length, frames), max(length, frames)))
            faults.append(Fault(name, f"{key} has {length} frames, expected {frames}", trial, span))
    return faults


def _file_faults(path: Path, name: str, entry: Mapping[str, Any], kinematics: bool) -> list[Fault]:
    trials = dict(entry["trials"])
    trial = next(iter(trials)) if len(trials) == 1 else ""
    if not path.is_file():
        lost = f" (holds {', '.join(f'{t}, {n} frames' for t, n in trials.items())})" if trials else ""
        return [Fault(name, f"the file is missing{lost}", trial)]
    size, wanted, faults = path.stat().st_size, int(entry["size"]), []
    if size != wanted:
        length = "cut short" if size < wanted else "longer than it was"
        faults.append(Fault(name, f"{length}: {size} bytes, the manifest has {wanted}", trial))
    elif sha256_of_file(path) != entry["sha256"]:
        faults.append(Fault(name, "differs from its checksum in the manifest", trial))
    if entry["kind"] == "hdf5":
        inside = verify_hdf5(path, name, trials)
        return faults + (inside or list(_content_faults(path, name, kinematics)))
    return faults


def _content_faults(path: Path, name: str, kinematics: bool) -> Iterator[Fault]:
    """Trials that cannot be read, or whose points contradict the angles in the first valid frame (or in any)."""
    try:
        with DatasetFile(path) as data:
            for subject in data.subjects:
                yield from _faults_of_person(data, subject, name, kinematics)
    except InputError as error:
        yield Fault(name, str(error).removeprefix(f"{path}: "))


def _faults_of_person(data: DatasetFile, subject: str, name: str, kinematics: bool) -> Iterator[Fault]:
    try:
        model, trials, _ = data.model(subject), data.trials(subject), data.cameras(subject)
        body = Body.from_text(model, f"{name}: model of {subject}") if model else None
    except InputError as error:
        yield Fault(name, str(error), subject)
        return
    if kinematics and body is None:
        yield Fault(name, "no model in the file to check the points with", subject)
    for trial in trials:
        try:
            content = data.trial(subject, trial)
            if body is not None and not content.withheld:
                if not kinematics:
                    first = next(iter(np.flatnonzero(content.valid)), 0)
                    content = data.trial(subject, trial, slice(first, first + 1))
                check_forward_kinematics(body, content, f"{subject}/{trial}")
        except InputError as error:
            what = str(error).partition(f"{subject}/{trial}: ")[2].partition(" Nothing is")[0]
            yield Fault(name, what or str(error), f"{subject}/{trial}")
