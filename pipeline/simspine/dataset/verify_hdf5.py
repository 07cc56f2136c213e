"""Verify a data set's HDF5 file: can every array be read, does every block of it have its checksum, do times go on."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np

from simspine.arrays import frame_ranges
from simspine.dataset.faults import Fault
from simspine.dataset.plausible import clock_faults, repeated_frames, unit_doubt
from simspine.formats.dataset_layout import block_checksums
from simspine.formats.dataset_write import OURS
from simspine.formats.hdf5 import announced, attribute, member
from simspine.skeletons.vertebrae import VERTEBRA_OF

UNITS = {"markers": "m", "kinematics": "deg; m", "timestamps": "s"}
_MOST_COMPRESSED = 1100  # gzip reaches 1032; an array that claims more of the file has a damaged shape
_UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)


def verify_hdf5(path: Path, name: str, trials: Mapping[str, int] | None, numbers: bool = True) -> list[Fault]:
    """Everything wrong with the file; trials: {'S1/Walking': frames} as the manifest has them, None if unknown.

    numbers: check clock, units and repeated frames too. Not for a file known to be damaged: HDF5 may read texts of
    attributes from a damaged heap without end.
    """
    try:
        with h5py.File(path, "r") as file:
            damaged, there = dict(damaged_arrays(file)), _trials(file)
            found = [_fault(name, place, frames) for place, frames in damaged.items()]
            wanted = dict.fromkeys(there) if trials is None else trials
            found += [Fault(name, "the trial is not in the manifest", trial) for trial in there if trial not in wanted]
            found += [Fault(name, "the trial is missing from the file", t) for t in wanted if t not in there]
            spoilt = {fault.trial for fault in found}
            for trial, frames in wanted.items():
                if trial in there and trial not in damaged:
                    found += _trial_faults(file[trial], name, trial, frames, numbers and trial not in spoilt)
            return found
    except _UNREADABLE as error:
        return [Fault(name, f"cannot be read as HDF5 ({error})")]


def _trials(file: h5py.File) -> list[str]:
    """Names of the trials, '<subject>/<trial>', of every subject that can be opened."""
    found = []
    for subject in (name for name in file if name != "metadata"):
        with suppress(*_UNREADABLE):
            found += [f"{subject}/{trial}" for trial in file[subject] if trial != "calibration"]
    return found


def verify_netcdf(path: Path, name: str, trial: str) -> list[Fault]:
    """Variables of a netCDF file that cannot be read, with the frames (entries of the first axis) where known."""
    try:
        with h5py.File(path, "r") as file:
            return [Fault(name, _what(key, frames), trial, frames) for key, frames in damaged_arrays(file)]
    except _UNREADABLE as error:
        return [Fault(name, f"cannot be read as netCDF ({error})", trial)]


def damaged_arrays(file: h5py.File) -> Iterator[tuple[str, str]]:
    """(path, damaged frames) of each array with a wrong block, and (path, '') of what cannot be read at all."""
    largest = _MOST_COMPRESSED * file.id.get_filesize()
    for place, array in _arrays(file):
        try:
            if array is None or array.nbytes > largest:
                raise ValueError("cannot be opened, or is larger than the file can hold")
            frames = frame_ranges(broken_entries(array, _sums(file, place)))
            if frames:
                yield place, frames
        except _UNREADABLE:
            yield place, ""


def _arrays(group: h5py.Group, above: str = "") -> Iterator[tuple[str, h5py.Dataset | None]]:
    """(path, array) of everything below a group but checksums; None for what cannot be opened."""
    try:
        keys = [key for key in group if key != "checksums"]
    except _UNREADABLE:
        yield above.rstrip("/"), None
        return
    for key in keys:
        try:
            item = member(group, key)
            if isinstance(item, h5py.Dataset):
                announced(item)  # raises where the numbers are in another file
        except _UNREADABLE:
            item = None
        if isinstance(item, h5py.Group):
            yield from _arrays(item, f"{above}{key}/")
        else:
            yield above + key, item


def _sums(file: h5py.File, place: str) -> h5py.Dataset | None:
    """The checksums of a trial's array; None for arrays without."""
    subject, trial, key = [*place.split("/", 2), "", ""][:3]
    return file.get(f"{subject}/{trial}/{OURS}/checksums/{key.replace('/', '.')}") if key else None


def broken_entries(data: h5py.Dataset, sums: h5py.Dataset | None = None) -> list[int]:
    """Entries along the first axis whose block cannot be read or has another CRC-32 than `sums` says."""
    if not data.ndim or not len(data) or data.dtype.hasobject:  # texts of any length lie elsewhere in the file
        return []
    block = int(attribute(sums, "frames")) if sums is not None else (data.chunks or data.shape)[0]
    try:
        found = list(block_checksums(data[()], block))
    except OSError:  # HDF5's own checksum of a block
        found = [_checksum(data, first, block) for first in range(0, len(data), block)]
    known = found if sums is None else list(sums[()])
    if len(known) != len(found):
        return list(range(len(data)))
    wrong = [i for i, (a, b) in enumerate(zip(found, known, strict=True)) if a is None or a != b]
    return [entry for i in wrong for entry in range(i * block, min((i + 1) * block, len(data)))]


def _checksum(data: h5py.Dataset, first: int, block: int) -> int | None:
    try:
        return int(block_checksums(data[first : first + block], block)[0])
    except OSError:
        return None


def _what(key: str, frames: str) -> str:
    return f"{key} is damaged" if frames else f"{key} cannot be read"


def _fault(name: str, place: str, frames: str) -> Fault:
    """The fault of an array: by its trial where it is one of a trial."""
    parts = place.split("/", 2)
    if len(parts) < 2 or parts[0] == "metadata" or parts[1] == "calibration":
        return Fault(name, _what(place, frames))
    return Fault(name, _what(parts[2] if len(parts) > 2 else "it", frames), "/".join(parts[:2]), frames)


def _trial_faults(group: h5py.Group, name: str, trial: str, frames: int | None, numbers: bool) -> list[Fault]:
    """Arrays missing or of unequal length; numbers: also what the arrays themselves contradict."""
    lengths = {key: len(group[key]) for key in UNITS if key in group}
    found = [Fault(name, f"{key} is missing", trial) for key in UNITS if key not in lengths]
    if frames is None:
        frames = max(lengths.values(), default=0)
    for key, length in lengths.items():
        if length != frames:
            span = frame_ranges(range(min(length, frames), max(length, frames)))
            found.append(Fault(name, f"{key} has {length} frames, expected {frames}", trial, span))
    return found + _number_faults(group, name, trial) if numbers and len(lengths) == len(UNITS) else found


def _number_faults(group: h5py.Group, name: str, trial: str) -> list[Fault]:
    said = attribute(group[OURS], "rate") if OURS in group else None
    rate = None if said is None else float(said)
    found = [Fault(name, what, trial, span) for span, what in clock_faults(group["timestamps"][()], rate)]
    for key, unit in UNITS.items():
        said = attribute(group[key], "units", unit)
        if said != unit:
            found.append(Fault(name, f"{key} says it is in {said!r}, expected {unit!r}", trial))
    found += _place_faults(group, name, trial)
    doubt = unit_doubt(group["markers"][:: max(1, len(group["markers"]) // 200)])
    return found + [Fault(name, doubt, trial)] * bool(doubt) + repeats(group["kinematics"][()], name, trial)


def _place_faults(group: h5py.Group, name: str, trial: str) -> list[Fault]:
    """Points at the vertebrae that are not at the centroids published beside them."""
    ours = group.get(OURS, {})
    there = [key for key in ("centres", "markers_vertebral") if key in ours]
    if len(there) == 1:
        return [Fault(name, f"{OURS}/{there[0]} stands without the other places of the spine's points", trial)]
    if not there:
        return []
    levels = str(attribute(ours["centres"], "names")).split(",")
    names = [bytes(text).decode() for text in group.file["metadata/markers_names"][()]]
    along = [i for i, point in enumerate(names) if point in VERTEBRA_OF]
    wanted = ours["centres"][()][:, [levels.index(VERTEBRA_OF[names[i]]) for i in along]]
    found = ours["markers_vertebral"][()][:, along]
    differs = ((found != wanted) & ~(np.isnan(found) & np.isnan(wanted))).any((1, 2))
    what = "markers_vertebral are not at the centroids of their vertebrae (centres)"
    return [Fault(name, what, trial, frame_ranges(np.flatnonzero(differs)))] if differs.any() else []


def repeats(values: np.ndarray, name: str, trial: str) -> list[Fault]:
    """The doubt about frames (frames, …) that are copies of the frame before them, if there are any."""
    frames = repeated_frames(values)
    what = "equal to the frame before in every coordinate; copied?"
    return [Fault(name, what, trial, frame_ranges(frames), "doubt")] if frames.size else []
