"""Check a data set against its manifest and against itself; say which file and which frames are broken."""

import multiprocessing
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simspine.dataset.faults import Fault
from simspine.dataset.locate import locate
from simspine.dataset.manifest import broken_ranges, read_manifest
from simspine.dataset.plausible import repeated_frames, unit_doubt
from simspine.errors import InputError
from simspine.formats._text import frame_ranges

HDF5 = (".h5", ".hdf5")
_PATIENCE = 30.0  # s
_SLOWEST = 10e6  # bytes/s that a damaged file is read with at least


def verify(path: Path, kinematics: bool = False) -> list[Fault]:
    """Everything wrong with a data set: the folder of an export, its manifest.json, or one HDF5 file by itself.

    kinematics: also recompute every point from the angles (slower). Raises `InputError` if there is nothing to verify.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if path.is_file() and path.suffix in HDF5:
        return _watched(path, path.name, "hdf5", None) or _kinematics(path, path.name, kinematics)
    manifest = read_manifest(path)
    folder = path if path.is_dir() else path.parent
    found: list[Fault] = []
    for name, entry in manifest["files"].items():
        found += _file(folder / name, name, entry, kinematics)
    return found


def _file(path: Path, name: str, entry: Mapping[str, Any], kinematics: bool) -> list[Fault]:
    trials = dict(entry["trials"])
    only = next(iter(trials), "") if len(trials) == 1 else ""
    if not path.is_file():
        lost = f" (holds {', '.join(f'{t}, {n} frames' for t, n in trials.items())})" if trials else ""
        return [Fault(name, f"the file is missing{lost}", only)]
    size, wanted = path.stat().st_size, int(entry["size"])
    ranges = broken_ranges(path, entry)
    check = _watched if ranges and entry["kind"] in ("hdf5", "netcdf") else _content
    inside = check(path, name, entry["kind"], trials)
    if kinematics and entry["kind"] == "hdf5" and not inside:
        inside += _kinematics(path, name, True)
    if not ranges:
        return inside
    span = ", ".join(f"{a}–{b - 1}" for a, b in ranges[:3]) + (" and more" if len(ranges) > 3 else "")
    what = f"not the file of the manifest: bytes {span} of {wanted} differ"
    if size != wanted:
        what = f"{'cut short' if size < wanted else 'longer than it was'}: {size} bytes, the manifest has {wanted}"
    where = locate(path, entry["kind"], ranges)
    if size < wanted and entry["rows"] and entry["kind"] in ("trc", "mot", "sto"):
        where = _lost_rows(path, entry) or where
    if entry["kind"] == "hdf5" and not any(f.severity == "fault" for f in inside):
        where = "no array: names, attributes or structure"
    return [Fault(name, f"{what}{': ' + where if where else ''}", only), *inside]


def _lost_rows(path: Path, entry: Mapping[str, Any]) -> str:
    """Which frames a text table lacks at its end; the last line there is may be cut."""
    lines = path.read_bytes().splitlines()
    header = 5 if entry["kind"] == "trc" else next((i + 2 for i, t in enumerate(lines) if t.strip() == b"endheader"), 0)
    there = max(0, len(lines) - header - 1)
    return f"frames {frame_ranges(range(there, int(entry['rows'])))} are lost" if there < int(entry["rows"]) else ""


def _watched(path: Path, name: str, kind: str, trials: Mapping[str, int] | None) -> list[Fault]:
    """`_content` of a file that may be damaged, in a process of its own: some damage sends the HDF5 library round in
    circles, some ends the process."""
    ways = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in ways else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_content, args=(sender, path, name, kind, trials), daemon=True)
    process.start()
    sender.close()
    try:
        if receiver.poll(_PATIENCE + path.stat().st_size / _SLOWEST):
            return receiver.recv()
    except EOFError:  # the process died, as HDF5 may on damaged files
        pass
    finally:
        process.kill()
        process.join()
    return [Fault(name, "its structure is so damaged that the HDF5 library comes to no end")]


def _send_content(sender, *arguments) -> None:
    try:
        sender.send(_content(*arguments))
    except Exception as error:  # whatever a damaged structure makes the readers stumble over
        sender.send([Fault(arguments[1], f"its structure is damaged ({error!r})")])


def _content(path: Path, name: str, kind: str, trials: Mapping[str, int] | None) -> list[Fault]:
    """What contradicts itself inside a file, whatever its checksum says."""
    trial = next(iter(trials), "") if trials and len(trials) == 1 else ""
    frames = sum(trials.values()) if trials else None
    if kind == "hdf5":
        from simspine.dataset.verify_hdf5 import verify_hdf5

        return verify_hdf5(path, name, trials)
    if kind in ("trc", "mot"):
        return _table(path, name, kind, trial, frames)
    if kind == "netcdf":
        from simspine.dataset.verify_hdf5 import verify_netcdf

        return verify_netcdf(path, name, trial)
    return []


def _table(path: Path, name: str, kind: str, trial: str, frames: int | None) -> list[Fault]:
    from simspine.formats.mot import read_mot
    from simspine.formats.trc import read_trc

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            content = read_trc(path) if kind == "trc" else read_mot(path)
        except InputError as error:
            return [Fault(name, _without_path(str(error), path), trial)]
    values = content.xyz if kind == "trc" else content.values
    found = [Fault(name, _without_path(str(w.message), path), trial) for w in said]
    if frames is not None and content.frames != frames:
        found.append(Fault(name, f"{content.frames} frames, the manifest has {frames}", trial))
    doubt = unit_doubt(values) if kind == "trc" else ""
    if doubt:
        found.append(Fault(name, doubt, trial))
    repeated = repeated_frames(values)
    if repeated.size:
        what = "equal to the frame before in every column; copied?"
        found.append(Fault(name, what, trial, frame_ranges(repeated), "doubt"))
    return found


def _without_path(message: str, path: Path) -> str:
    return message.removeprefix(f"{path}: ").removeprefix(f"{path}, ").replace(str(path), path.name)


def _kinematics(path: Path, name: str, wanted: bool) -> list[Fault]:
    """Trials whose points are not the forward kinematics of their angles and the model in the file."""
    if not wanted:
        return []
    from simspine.body.model import Body
    from simspine.dataset.invariant import check_points
    from simspine.formats.dataset import open_dataset

    found = []
    with open_dataset(path) as data:
        for subject in data.subjects:
            model = data.model(subject)
            if not model:
                found.append(Fault(name, "no model in the file to check the points with", subject, severity="doubt"))
                continue
            body = Body.from_text(model, f"{name}: model of {subject}")
            for trial in data.trials(subject):
                content = data.trial(subject, trial)
                if content.withheld:
                    continue
                try:
                    check_points(body, content.motion, content.markers, f"{subject}/{trial}")
                except InputError as error:
                    found.append(
                        Fault(name, str(error).partition(": ")[2].partition(" Nothing is")[0], f"{subject}/{trial}")
                    )
    return found
