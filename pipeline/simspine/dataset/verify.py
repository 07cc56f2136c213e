"""Check a data set against its manifest and against itself; name broken files and, where known, broken frames."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simspine.body.model import Body
from simspine.dataset.faults import Fault
from simspine.dataset.invariant import check_trial
from simspine.dataset.manifest import read_manifest, sha256
from simspine.dataset.plausible import unit_doubt
from simspine.dataset.verify_hdf5 import repeats, verify_hdf5, verify_netcdf
from simspine.errors import InputError
from simspine.formats.dataset import DatasetFile
from simspine.formats.mot import read_mot
from simspine.formats.trc import read_trc

HDF5 = (".h5", ".hdf5")


def verify(path: Path, kinematics: bool = False) -> list[Fault]:
    """Everything wrong with a data set: the folder of an export, its manifest.json, or one HDF5 file by itself.

    kinematics: also recompute every point from the angles (slower). Raises `InputError` if there is nothing to verify.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if path.is_file() and path.suffix in HDF5:
        return verify_hdf5(path, path.name, None) or (_kinematics(path, path.name) if kinematics else [])
    manifest = read_manifest(path)
    folder = path if path.is_dir() else path.parent
    found: list[Fault] = []
    for name, entry in manifest["files"].items():
        found += _file(folder / name, name, entry, kinematics)
    return found


def _file(path: Path, name: str, entry: Mapping[str, Any], kinematics: bool) -> list[Fault]:
    trials = dict(entry["trials"])
    trial = next(iter(trials)) if len(trials) == 1 else ""
    if not path.is_file():
        lost = f" (holds {', '.join(f'{t}, {n} frames' for t, n in trials.items())})" if trials else ""
        return [Fault(name, f"the file is missing{lost}", trial)]
    size, wanted, found = path.stat().st_size, int(entry["size"]), []
    if size != wanted:
        length = "cut short" if size < wanted else "longer than it was"
        found.append(Fault(name, f"{length}: {size} bytes, the manifest has {wanted}", trial))
    elif sha256(path) != entry["sha256"]:
        found.append(Fault(name, "differs from its checksum in the manifest", trial))
    if entry["kind"] == "hdf5":
        inside = verify_hdf5(path, name, trials, numbers=not found)
        return found + (inside or (_kinematics(path, name) if kinematics else []))
    if entry["kind"] == "netcdf":
        return found + verify_netcdf(path, name, trial)
    if entry["kind"] in ("trc", "mot"):
        return found + _table(path, name, entry["kind"], trial, trials.get(trial))
    return found


def _table(path: Path, name: str, kind: str, trial: str, frames: int | None) -> list[Fault]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            values = read_trc(path).xyz if kind == "trc" else read_mot(path).values
        except InputError as error:
            return [Fault(name, _without_path(str(error), path), trial)]
    whats = [_without_path(str(warning.message), path) for warning in said]
    if frames is not None and len(values) != frames:
        whats.append(f"{len(values)} frames, the manifest has {frames}")
    if kind == "trc" and (doubt := unit_doubt(values)):
        whats.append(doubt)
    return [Fault(name, what, trial) for what in whats] + repeats(values, name, trial)


def _without_path(message: str, path: Path) -> str:
    return message.removeprefix(f"{path}: ").removeprefix(f"{path}, ").replace(str(path), path.name)


def _kinematics(path: Path, name: str) -> list[Fault]:
    """Trials whose points are not the forward kinematics of their angles and the model in the file."""
    found = []
    with DatasetFile(path) as data:
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
                    check_trial(body, content, f"{subject}/{trial}")
                except InputError as error:
                    what = str(error).partition(": ")[2].partition(" Nothing is")[0]
                    found.append(Fault(name, what, f"{subject}/{trial}"))
    return found
