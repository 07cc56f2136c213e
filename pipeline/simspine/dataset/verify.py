"""Check a data set against its manifest and against itself; name broken files, trials and arrays."""

import warnings
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
from simspine.dataset.recordings import read_dataset_manifest, sha256_of_file
from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import OWN_GROUP
from simspine.io.hdf5 import announced_bytes, checked_attribute, checked_member
from simspine.io.mot import read_mot
from simspine.io.trc import extent_of_points, read_trc
from simspine.reconstruction.publish import check_forward_kinematics


@dataclass(frozen=True)
class Fault:
    """One thing found wrong. frames: '128–255', counted from 0; '' where it is not a matter of frames."""

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

    kinematics: also recompute every point from the angles (slower). Raises `InputError` if there is nothing to verify.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if path.is_file() and path.suffix in HDF5_SUFFIXES:
        return verify_hdf5(path, path.name, None) or list(_kinematics_faults(path, path.name) if kinematics else ())
    if path.is_file() and path.suffix != ".json":
        raise InputError(f"{path}: expected a folder of results, its manifest.json, or a data set's .h5.")
    manifest = read_dataset_manifest(path)
    folder = path if path.is_dir() else path.parent
    found: list[Fault] = []
    for name, entry in manifest["files"].items():
        found += _file_faults(folder / name, name, entry, kinematics)
    return found


# Checks of a trial's numbers that need no checksum: clock, repeated frames, size of the person.
CLOCK_TOLERANCE = 1e-3  # of the step between frames: times are stored with at least six decimals
# Greatest extent of the points in a frame, m: a trunk lying curled up is 0.3, a tall person with raised arms 2.5.
PLAUSIBLE_EXTENTS_M = (0.15, 3.5)
LENGTH_UNITS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3}


def clock_faults(time: np.ndarray, rate: float | None) -> Iterator[tuple[str, str]]:
    """(frames, what) where the times (frames,) s do not go on by 1/rate; rate: taken from the median step if None."""
    if len(time) < 2:
        return
    steps = np.diff(time)
    step = 1 / rate if rate else float(np.median(steps))
    still = np.flatnonzero(~(steps > CLOCK_TOLERANCE * step)) + 1
    if still.size:
        yield frame_ranges(still), "time stands still or goes back: frames are repeated or out of order"
    gaps = np.flatnonzero(steps > (1 + CLOCK_TOLERANCE) * step) + 1
    if gaps.size:
        yield frame_ranges(gaps), f"time jumps by more than 1/{1 / step:g} s before them: frames are missing"
    fast = np.flatnonzero((steps > CLOCK_TOLERANCE * step) & (steps < (1 - CLOCK_TOLERANCE) * step)) + 1
    if fast.size and not gaps.size:
        yield frame_ranges(fast), f"time goes on by less than 1/{1 / step:g} s before them"


def unit_doubt(xyz: np.ndarray) -> str:
    """Why points (frames, points, 3) cannot be metres, with the unit that would fit; '' if they can."""
    extent = extent_of_points(xyz)
    if np.isnan(extent) or PLAUSIBLE_EXTENTS_M[0] <= extent <= PLAUSIBLE_EXTENTS_M[1]:
        return ""
    fits = [
        name for name, size in LENGTH_UNITS.items() if PLAUSIBLE_EXTENTS_M[0] <= extent * size <= PLAUSIBLE_EXTENTS_M[1]
    ]
    return f"the points are {extent:.3g} m apart, no person; the numbers look like {fits[0] if fits else 'no length'}"


# An HDF5 file: can every array be read, are all trials there, do times go on.
ANGLE_ARRAYS = ("lla", "tka", "level_angles")
EXPECTED_UNITS = {"markers": "m", "kinematics": "deg; m", "timestamps": "s"}
_MOST_COMPRESSED = 1100  # gzip reaches 1032; an array that claims more of the file has a damaged shape
_READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)


def verify_hdf5(path: Path, name: str, trials: Mapping[str, int] | None, numbers: bool = True) -> list[Fault]:
    """Everything wrong with the file; trials: {'S1/Walking': frames} as the manifest has them, None if unknown.

    numbers: check clock, units and repeated frames too. Not for a file known to be damaged: HDF5 may read texts of
    attributes from a damaged heap without end.
    """
    try:
        with h5py.File(path, "r") as file:
            damaged, there = list(unreadable_arrays(file)), list(_trial_names(file))
            found = [_array_fault(name, place) for place in damaged]
            wanted = dict.fromkeys(there) if trials is None else trials
            found += [Fault(name, "the trial is not in the manifest", trial) for trial in there if trial not in wanted]
            found += [Fault(name, "the trial is missing from the file", t) for t in wanted if t not in there]
            spoilt = {fault.trial for fault in found}
            for trial, frames in wanted.items():
                if trial in there and trial not in damaged:
                    found += _trial_faults(
                        file[trial], name, trial, frames=frames, numbers=numbers and trial not in spoilt
                    )
            return found
    except _READ_ERRORS as error:
        return [Fault(name, f"cannot be read as HDF5 ({reason_of(error)})")]


def _trial_names(file: h5py.File) -> Iterator[str]:
    """Names of the trials, '<subject>/<trial>', of every subject that can be opened."""
    for subject in (name for name in file if name != "metadata"):
        with suppress(*_READ_ERRORS):
            yield from (f"{subject}/{trial}" for trial in file[subject] if trial != "calibration")


def unreadable_arrays(file: h5py.File) -> Iterator[str]:
    """The path of each array that cannot be read; HDF5 has a checksum of every chunk."""
    largest = _MOST_COMPRESSED * file.id.get_filesize()
    for place, array in _arrays_below(file):
        try:
            if array is None or array.nbytes > largest:
                raise ValueError("cannot be opened, or is larger than the file can hold")
            if not array.dtype.hasobject:  # texts of any length lie elsewhere in the file
                array[()]
        except _READ_ERRORS:
            yield place


def _arrays_below(group: h5py.Group, above: str = "") -> Iterator[tuple[str, h5py.Dataset | None]]:
    """(path, array) of everything below a group; None for what cannot be opened."""
    try:
        keys = list(group)
    except _READ_ERRORS:
        yield above.rstrip("/"), None
        return
    for key in keys:
        try:
            item = checked_member(group, key)
            if isinstance(item, h5py.Dataset):
                announced_bytes(item)  # raises where the numbers are in another file
        except _READ_ERRORS:
            item = None
        if isinstance(item, h5py.Group):
            yield from _arrays_below(item, f"{above}{key}/")
        else:
            yield above + key, item


def _array_fault(name: str, place: str) -> Fault:
    """The fault of an array: by its trial where it is one of a trial."""
    parts = place.split("/", 2)
    if len(parts) < 2 or parts[0] == "metadata" or parts[1] == "calibration":
        return Fault(name, f"{place} is damaged")
    return Fault(name, f"{parts[2] if len(parts) > 2 else 'it'} is damaged", "/".join(parts[:2]))


def _trial_faults(group: h5py.Group, name: str, trial: str, frames: int | None, numbers: bool) -> list[Fault]:
    """Arrays missing or of unequal length; numbers: also what the arrays themselves contradict."""
    lengths = {key: len(group[key]) for key in EXPECTED_UNITS if key in group}
    found = [Fault(name, f"{key} is missing", trial) for key in EXPECTED_UNITS if key not in lengths]
    if frames is None:
        frames = max(lengths.values(), default=0)
    for key, length in lengths.items():
        if length != frames:
            span = frame_ranges(range(min(length, frames), max(length, frames)))
            found.append(Fault(name, f"{key} has {length} frames, expected {frames}", trial, span))
    if not numbers or len(lengths) < len(EXPECTED_UNITS):
        return found
    said = checked_attribute(group[OWN_GROUP], "rate") if OWN_GROUP in group else None
    rate = None if said is None else float(said)
    found += [Fault(name, what, trial, span) for span, what in clock_faults(group["timestamps"][()], rate)]
    for key, unit in EXPECTED_UNITS.items():
        said = checked_attribute(group[key], "units", unit)
        if said != unit:
            found.append(Fault(name, f"{key} says it is in {said!r}, expected {unit!r}", trial))
    found += [Fault(name, what, trial) for what in _impossible_numbers(group)]
    doubt = unit_doubt(group["markers"][:: max(1, len(group["markers"]) // 200)])
    return found + [Fault(name, doubt, trial)] * bool(doubt)


def _impossible_numbers(group: h5py.Group) -> Iterator[str]:
    """What no angle and no standard deviation of a trial can be; NaN is a frame without one."""
    own = group.get(OWN_GROUP, {})
    for key in own:
        if key.endswith("_sd") and (own[key][()] < 0).any():
            yield f"{key} holds negative standard deviations"
        if key in ANGLE_ARRAYS and (np.abs(own[key][()]) > 2 * np.pi).any():
            yield f"{key} holds angles of more than a turn"


def _file_faults(path: Path, name: str, entry: Mapping[str, Any], kinematics: bool) -> list[Fault]:
    trials = dict(entry["trials"])
    trial = next(iter(trials)) if len(trials) == 1 else ""
    if not path.is_file():
        lost = f" (holds {', '.join(f'{t}, {n} frames' for t, n in trials.items())})" if trials else ""
        return [Fault(name, f"the file is missing{lost}", trial)]
    size, wanted, found = path.stat().st_size, int(entry["size"]), []
    if size != wanted:
        length = "cut short" if size < wanted else "longer than it was"
        found.append(Fault(name, f"{length}: {size} bytes, the manifest has {wanted}", trial))
    elif sha256_of_file(path) != entry["sha256"]:
        found.append(Fault(name, "differs from its checksum in the manifest", trial))
    if entry["kind"] == "hdf5":
        inside = verify_hdf5(path, name, trials, numbers=not found)
        return found + (inside or list(_kinematics_faults(path, name) if kinematics else ()))
    if entry["kind"] in ("trc", "mot"):
        return found + _table_faults(path, name, entry["kind"], trial=trial, frames=trials.get(trial))
    return found


def _table_faults(path: Path, name: str, kind: str, trial: str, frames: int | None) -> list[Fault]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            values = read_trc(path).xyz if kind == "trc" else read_mot(path).values
        except InputError as error:
            return [Fault(name, _without_path(str(error), path), trial)]
    whats = [_without_path(str(warning.message), path) for warning in caught]
    if frames is not None and len(values) != frames:
        whats.append(f"{len(values)} frames, the manifest has {frames}")
    if kind == "trc" and (doubt := unit_doubt(values)):
        whats.append(doubt)
    return [Fault(name, what, trial) for what in whats]


def _without_path(message: str, path: Path) -> str:
    return message.removeprefix(f"{path}: ").removeprefix(f"{path}, ").replace(str(path), path.name)


def _kinematics_faults(path: Path, name: str) -> Iterator[Fault]:
    """Trials whose points are not the forward kinematics of their angles and the model in the file."""
    with DatasetFile(path) as data:
        for subject in data.subjects:
            model = data.model(subject)
            if not model:
                yield Fault(name, "no model in the file to check the points with", subject)
                continue
            body = Body.from_text(model, f"{name}: model of {subject}")
            for trial in data.trials(subject):
                content = data.trial(subject, trial)
                if content.withheld:
                    continue
                try:
                    check_forward_kinematics(body, content, f"{subject}/{trial}")
                except InputError as error:
                    what = str(error).partition(": ")[2].partition(" Nothing is")[0]
                    yield Fault(name, what, f"{subject}/{trial}")
