"""Verify a data set's HDF5 file: structure, every block of every array, clock, units, what the manifest promises."""

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from simspine.dataset.faults import Fault
from simspine.dataset.plausible import clock_faults, repeated_frames, unit_doubt
from simspine.formats._text import frame_ranges
from simspine.formats.dataset_layout import block_checksums
from simspine.formats.dataset_write import OURS

UNITS = {"markers": "m", "kinematics": "deg; m", "timestamps": "s"}
_PIECE = 1 << 22  # bytes read at once
_UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


class _Padded(io.RawIOBase):
    """A file that goes on with zeros where it was cut off, so that what is left of it can be opened."""

    def __init__(self, path: Path, size: int):
        self._file, self._size, self._at = open(path, "rb"), size, 0  # noqa: SIM115

    def readinto(self, buffer) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._at)
        piece = self._file.read(wanted)
        buffer[:wanted] = piece + bytes(wanted - len(piece))
        self._at += wanted
        return wanted

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def opened(path: Path) -> Iterator[tuple[h5py.File, int]]:
    """(file, bytes missing at its end); the file is padded with zeros where it was cut off."""
    try:
        with h5py.File(path, "r") as file:
            yield file, 0
            return
    except OSError as error:
        eof = re.search(r"stored_eof = (\d+)", str(error))
        if not eof:
            raise
    size, whole = path.stat().st_size, int(eof.group(1))
    with _Padded(path, whole) as padded, h5py.File(padded, "r") as file:
        yield file, whole - size


def verify_hdf5(path: Path, name: str, trials: Mapping[str, int] | None) -> list[Fault]:
    """Everything wrong with the file; trials: {'S1/Walking': frames} as the manifest has them, None if unknown."""
    found: list[Fault] = []
    try:
        with opened(path) as (file, missing):
            if missing:
                found.append(Fault(name, f"cut short: {missing} of {path.stat().st_size + missing} bytes are missing"))
            there = _trials(file)
            for trial in there if trials is None else trials:
                if trial not in there:
                    found.append(Fault(name, "the trial is missing from the file", trial))
                else:
                    frames = None if trials is None else trials[trial]
                    found += _trial_faults(file, name, trial, frames, numbers=not missing)
            found += _other_faults(file, name)
            for trial in [] if trials is None else there:
                if trial not in trials:
                    found.append(Fault(name, "the trial is not in the manifest", trial))
    except _UNREADABLE as error:
        found.append(Fault(name, f"cannot be read as HDF5: its structure is damaged ({error})"))
    return found


def _trials(file: h5py.File) -> list[str]:
    found = []
    for subject in file:
        if subject == "metadata":
            continue
        try:
            found += [f"{subject}/{trial}" for trial in file[subject] if trial != "calibration"]
        except _UNREADABLE:
            continue
    return found


def _other_faults(file: h5py.File, name: str) -> list[Fault]:
    """Damage to what is not of a trial: names, models, provenance, cameras."""
    found: list[Fault] = []
    for key in file:
        try:
            group = file["metadata"] if key == "metadata" else file[key].get("calibration")
        except _UNREADABLE:
            found.append(Fault(name, f"{key} is unreadable: the file's structure is damaged there"))
            continue
        if group is not None:
            damaged, unreadable = _damaged_arrays(group)
            found += [Fault(name, f"{group.name[1:]}/{array} is damaged") for array in (*damaged, *unreadable)]
    return found


def _trial_faults(file: h5py.File, name: str, trial: str, frames: int | None, numbers: bool) -> list[Fault]:
    """numbers: look at the numbers too; not in a file cut short, where texts of attributes may be gone."""
    found: list[Fault] = []
    try:
        group = file[trial]
        lengths = {key: len(group[key]) for key in UNITS if key in group}
    except _UNREADABLE as error:
        span = frame_ranges(range(frames or 0))
        return [Fault(name, f"cannot be read: the file's structure is damaged there ({error})", trial, span)]
    for key in UNITS:
        if key not in lengths:
            found.append(Fault(name, f"{key} is missing", trial))
    if frames is None:
        frames = max(lengths.values(), default=0)
    for key, length in lengths.items():
        if length != frames:
            span = frame_ranges(range(min(length, frames), max(length, frames)))
            found.append(Fault(name, f"{key} has {length} frames, expected {frames}", trial, span))
    damaged, unreadable = _damaged_arrays(group)
    by_frames: dict[str, list[str]] = {}
    for key, broken in damaged.items():
        by_frames.setdefault(frame_ranges(broken), []).append(key)
    found += [Fault(name, f"{_listed(keys)} damaged", trial, span) for span, keys in by_frames.items()]
    if unreadable:
        what = f"{_listed(unreadable)} unreadable: the file's structure is damaged there"
        found.append(Fault(name, what, trial, frame_ranges(range(frames))))
    spoilt = {*damaged, *unreadable}
    if numbers and not spoilt & set(UNITS) and set(lengths) == set(UNITS):
        found += _number_faults(group, name, trial)
    return found


def _damaged_arrays(group: h5py.Group) -> tuple[dict[str, list[int]], list[str]]:
    """({array: damaged frames or entries}, [arrays that cannot be read at all]) of a trial."""
    damaged: dict[str, list[int]] = {}
    names, unreadable = _array_names(group)
    for key in names:
        try:
            broken = broken_entries(group[key], _sums(group, key))
        except _UNREADABLE:
            unreadable.append(key)
            continue
        if broken:
            damaged[key] = broken
    return damaged, unreadable


def _array_names(group: h5py.Group, above: str = "") -> tuple[list[str], list[str]]:
    """(arrays below a group, what cannot be opened); checksums are not among them."""
    names, unreadable = [], []
    try:
        keys = list(group)
    except _UNREADABLE:
        return [], [above.rstrip("/") or "its list of arrays"]
    for key in keys:
        try:
            item = group[key]
        except _UNREADABLE:
            unreadable.append(above + key)
            continue
        if isinstance(item, h5py.Dataset):
            names.append(above + key)
        elif key != "checksums":
            below, lost = _array_names(item, f"{above}{key}/")
            names, unreadable = names + below, unreadable + lost
    return names, unreadable


def _sums(group: h5py.Group, key: str) -> h5py.Dataset | None:
    try:
        sums = group[f"{OURS}/checksums"].get(key.replace("/", "."))
        return sums if isinstance(sums, h5py.Dataset) else None
    except _UNREADABLE:
        return None


def broken_entries(data: h5py.Dataset, sums: h5py.Dataset | None = None) -> list[int]:
    """Entries along the first axis whose block cannot be read or has another CRC-32 than `sums` says."""
    if not data.ndim or not len(data) or data.dtype.hasobject:  # texts of any length lie elsewhere in the file
        return []
    block = int(sums.attrs["frames"]) if sums is not None else (data.chunks or (len(data),))[0]
    known = None if sums is None else sums[()]
    many = block * max(1, _PIECE // max(1, block * data.dtype.itemsize * int(np.prod(data.shape[1:]))))
    broken: list[int] = []
    for first in range(0, len(data), many):
        last = min(first + many, len(data))
        try:
            found = block_checksums(data[first:last], block)
        except OSError:  # somewhere in it: look block by block
            found = np.concatenate([_checksum_or_none(data, i, block) for i in range(first, last, block)])
        wrong = found < 0 if known is None else found != known[first // block : first // block + len(found)]
        for i in np.flatnonzero(wrong):
            broken += range(first + i * block, min(first + (i + 1) * block, last))
    return broken


def _checksum_or_none(data: h5py.Dataset, first: int, block: int) -> np.ndarray:
    try:
        return block_checksums(data[first : first + block], block).astype(np.int64)
    except OSError:
        return np.array([-1])


def _number_faults(group: h5py.Group, name: str, trial: str) -> list[Fault]:
    attributes = group[OURS].attrs if OURS in group else {}
    rate = float(attributes["rate"]) if "rate" in attributes else None
    found = [Fault(name, what, trial, span) for span, what in clock_faults(group["timestamps"][()], rate)]
    for key, unit in UNITS.items():
        said = group[key].attrs.get("units", unit)
        if said != unit:
            found.append(Fault(name, f"{key} says it is in {said!r}, expected {unit!r}", trial))
    doubt = unit_doubt(group["markers"][:: max(1, len(group["markers"]) // 200)])
    if doubt:
        found.append(Fault(name, doubt, trial))
    repeated = repeated_frames(group["kinematics"][()])
    if repeated.size:
        what = "equal to the frame before in every coordinate; copied?"
        found.append(Fault(name, what, trial, frame_ranges(repeated), "doubt"))
    return found


def _listed(names: list[str]) -> str:
    few = ", ".join(names[:3])
    return f"{few} {'is' if len(names) == 1 else 'are'}" if len(names) <= 3 else f"{few} and {len(names) - 3} more are"


def verify_netcdf(path: Path, name: str, trial: str) -> list[Fault]:
    """Damaged blocks of a netCDF file's variables, with the frames where they run along time."""
    found: list[Fault] = []
    try:
        with opened(path) as (file, missing):
            if missing:
                found.append(Fault(name, f"cut short: {missing} of {path.stat().st_size + missing} bytes", trial))
            frames = len(file["time"])
            for key, data in file.items():
                broken = broken_entries(data)
                if broken:
                    along_time = data.shape[0] == frames
                    span = frame_ranges(broken) if along_time else ""
                    found.append(Fault(name, f"{key} is damaged", trial, span))
    except _UNREADABLE as error:
        found.append(Fault(name, f"cannot be read as netCDF: its structure is damaged ({error})", trial))
    return found
