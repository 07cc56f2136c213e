"""`manifest.json`: which files make up a data set, what is in them, and the SHA-256 of each.

No date in it: equal data give an equal manifest.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simspine.dataset.invariant import TOLERANCE
from simspine.errors import InputError
from simspine.formats._text import read_bytes
from simspine.formats.atomic import write_text
from simspine.formats.versions import check_version

NAME = "manifest.json"
SCHEMA = 2
HDF5_UNITS = {"markers": "m", "kinematics": "deg; m", "timestamps": "s", "simspine": "attribute units"}


@dataclass(frozen=True)
class Entry:
    """One file. kind: hdf5, trc, mot, … rows: frames in it. units: {what: unit}. trials: {'S1/Walking': frames}."""

    kind: str
    rows: int = 0
    units: Mapping[str, str] = field(default_factory=dict)
    trials: Mapping[str, int] = field(default_factory=dict)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_header(name: str, kind: str, origin: Mapping[str, Any], deviations: Mapping[str, float]) -> dict[str, Any]:
    """What a manifest says beside its files. deviations: per trial, of the points from forward kinematics, m."""
    return {
        "name": name,
        "format": kind,
        "configuration_hash": origin["configuration_hash"],
        "versions": origin["versions"],
        "notice": origin["notice"],
        "invariant": {
            "says": "markers are the forward kinematics of kinematics", "allowed_m": TOLERANCE,
            "largest_m": max(deviations.values(), default=None), "by_trial_m": dict(deviations),
        },
    }  # fmt: skip


def write_manifest(folder: Path, files: Mapping[str, Entry], header: Mapping[str, Any]) -> Path:
    """Describe the files (paths relative to the folder) in `folder`/manifest.json, written last; returns its path.

    header: name, configuration_hash, versions, notice, … as the caller has them.
    """
    described = {}
    for name, entry in sorted(files.items()):
        path = folder / name
        described[name] = {
            "kind": entry.kind, "size": path.stat().st_size, "sha256": sha256(path), "rows": entry.rows,
            "units": dict(entry.units), "trials": dict(entry.trials),
        }  # fmt: skip
    content = {"manifest": SCHEMA, **header, "files": described}
    path = folder / NAME
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest at `path` or in the folder `path`; `InputError` if there is none or it is damaged."""
    file = path / NAME if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{file} does not exist: {path} is no data set that simspine exported. Run `simspine export`.")
    text = read_bytes(file)
    try:
        content = json.loads(text)
        schema = content["manifest"]
        for entry in content["files"].values():
            _ = entry["sha256"], entry["size"], entry["kind"], entry["trials"]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{file} is damaged: not the JSON of a manifest ({error!r}). Export again.") from None
    check_version(schema, SCHEMA, file)
    return content
