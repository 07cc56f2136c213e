"""What describes a data set: the manifest of its files, and what its licence lets out.

`manifest.json` says which files make up a data set, what is in them, and the SHA-256 of each. No date in it: equal data
give an equal manifest.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from simspine.core.errors import InputError
from simspine.io.atomic import check_version, write_text
from simspine.io.dataset_write import TrialData
from simspine.io.text_tables import read_bytes
from simspine.reconstruction.publish import POINT_TOLERANCE_M

MANIFEST_FILE = "manifest.json"
MANIFEST_SCHEMA = 2
HDF5_UNITS = {"markers": "m", "kinematics": "deg; m", "timestamps": "s", "simspine": "attribute units"}


@dataclass(frozen=True)
class ManifestEntry:
    """One file. kind: hdf5, trc, mot, … rows: frames in it. units: {what: unit}. trials: {'S1/Walking': frames}."""

    kind: str
    rows: int = 0
    units: Mapping[str, str] = field(default_factory=dict)
    trials: Mapping[str, int] = field(default_factory=dict)


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_header(name: str, kind: str, origin: Mapping[str, Any], deviations: Mapping[str, float]) -> dict[str, Any]:
    """What a manifest says besides its files. deviations: of the points from forward kinematics, m, by trial."""
    return {
        "name": name,
        "format": kind,
        "configuration_hash": origin["configuration_hash"],
        "versions": origin["versions"],
        "notice": origin["notice"],
        "invariant": {
            "says": "markers are the forward kinematics of kinematics", "allowed_m": POINT_TOLERANCE_M,
            "largest_m": max(deviations.values(), default=None), "by_trial_m": dict(deviations),
        },
    }  # fmt: skip


def write_dataset_manifest(folder: Path, files: Mapping[str, ManifestEntry], header: Mapping[str, Any]) -> Path:
    """Describe the files (paths relative to the folder) in `folder`/manifest.json, written last; returns its path.

    header: name, configuration_hash, versions, notice, … as the caller has them.
    """
    described = {}
    for name, entry in sorted(files.items()):
        path = folder / name
        described[name] = {
            "kind": entry.kind, "size": path.stat().st_size, "sha256": sha256_of_file(path), "rows": entry.rows,
            "units": dict(entry.units), "trials": dict(entry.trials),
        }  # fmt: skip
    content = {"manifest": MANIFEST_SCHEMA, **header, "files": described}
    path = folder / MANIFEST_FILE
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path


def read_dataset_manifest(path: Path) -> dict[str, Any]:
    """The manifest at `path` or in the folder `path`; `InputError` if there is none or it is damaged."""
    file = path / MANIFEST_FILE if path.is_dir() else path
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
    check_version(schema, MANIFEST_SCHEMA, file)
    return content


# Human3.6M's agreement allows academic use by the person who signed it and no redistribution of its data
# (vision.imar.ro, licence agreement). Points of a body that was fitted to its motion capture are as good as that
# capture; angles and a model's sizes are our results. So a public copy holds angles, their deviations and models,
# and neither points, poses of bodies nor cameras.
HUMAN36M_NOTICE = (
    "Derived from Human3.6M (Ionescu et al., IEEE TPAMI 2014). Its licence allows academic research by the person who "
    "signed it and forbids passing its data on. Files with 3D points, poses of bodies or cameras stay on that person's "
    "own disk; angles, their standard deviations and body models may be passed on with this notice and the citation."
)


def licence_notice(configuration: Mapping[str, Any], virtual: bool = False) -> str:
    """The notice that results of this configuration (as in the provenance) carry; '' where nothing restricts them.

    virtual: what `capture.human36m` names is a virtual capture, which is ours to give away.
    """
    capture = configuration.get("capture") or {}
    return HUMAN36M_NOTICE if capture.get("human36m") and not virtual else ""


def refuse_public(restriction: str, kind: str, contents: str) -> None:
    """`InputError` if a public copy of this kind would hold what the restriction does not let out."""
    if restriction and contents != "angles":
        raise InputError(
            f"a public copy as {kind} would hold 3D points of data that may not be passed on. {restriction} "
            "For a public copy use `--contents angles` with the format hdf5."
        )


def drop_licensed_points(trial: TrialData) -> TrialData:
    """The trial with angles, curvature, deviations and status; points are NaN, and there are no poses of bodies.

    The place of the pelvis stays: it is one of the coordinates, as the release publishes them.
    """
    nothing = np.full_like(trial.markers.xyz, np.nan)
    markers = trial.markers.with_(xyz=nothing, weight=None, covariance=None, filled=None)
    return replace(trial, markers=markers, centres=None, poses={}, withheld=True)


def drop_licensed_places(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance without the folders of the machine it was made on; the configuration's hash stays."""
    kept = dict(provenance)
    places = ("subjects", "capture", "results")
    if "configuration" in kept:
        kept["configuration"] = {key: value for key, value in kept["configuration"].items() if key not in places}
    return kept
