"""`manifest.json`: which files make up a data set, what is in them, and checksums to find damage by.

Beside the SHA-256 of each file it keeps a CRC-32 of every block of it, so that damage is traced to bytes, and from
those to frames (`simspine.dataset.locate`). No date in it: equal data give an equal manifest.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simspine.errors import InputError
from simspine.formats.atomic import write_text

NAME = "manifest.json"
SCHEMA = 1
_SMALLEST = 1 << 14  # bytes in a block
_MOST = 4096  # blocks in a file
HDF5_UNITS = {"markers": "m", "kinematics": "deg; m", "timestamps": "s", "simspine": "attribute units"}


@dataclass(frozen=True)
class Entry:
    """One file. kind: hdf5, trc, mot, … rows: frames in it. units: {what: unit}. trials: {'S1/Walking': frames}."""

    kind: str
    rows: int = 0
    units: Mapping[str, str] = field(default_factory=dict)
    trials: Mapping[str, int] = field(default_factory=dict)


def block_size(size: int) -> int:
    """Bytes in a block of a file of `size` bytes."""
    block = _SMALLEST
    while size > block * _MOST:
        block *= 2
    return block


def checksums(path: Path, block: int) -> tuple[str, list[str]]:
    """(SHA-256, CRC-32 of each block) of a file, read once."""
    whole, parts = hashlib.sha256(), []
    with open(path, "rb") as file:
        while piece := file.read(block):
            whole.update(piece)
            parts.append(f"{zlib.crc32(piece):08x}")
    return whole.hexdigest(), parts


def manifest_header(
    name: str, kind: str, origin: Mapping[str, Any], deviations: Mapping[str, float], allowed: float = 1e-6
) -> dict[str, Any]:
    """What a manifest says beside its files. deviations: per trial, of the points from forward kinematics, m."""
    return {
        "name": name,
        "format": kind,
        "configuration_hash": origin["configuration_hash"],
        "versions": origin["versions"],
        "notice": origin["notice"],
        "invariant": {
            "says": "markers are the forward kinematics of kinematics", "allowed_m": allowed,
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
        size = path.stat().st_size
        block = block_size(size)
        sha256, crc32 = checksums(path, block)
        described[name] = {
            "kind": entry.kind, "size": size, "sha256": sha256, "rows": entry.rows, "units": dict(entry.units),
            "trials": dict(entry.trials), "block": block, "crc32": " ".join(crc32),
        }  # fmt: skip
    content = {"manifest": SCHEMA, **header, "files": described}
    path = folder / NAME
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest at `path` or in the folder `path`; `InputError` if there is none or it is damaged."""
    file = path / NAME if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        schema = int(content["manifest"])
        for entry in content["files"].values():
            _ = entry["sha256"], entry["size"], entry["kind"], entry["block"], entry["crc32"], entry["trials"]
    except FileNotFoundError:
        raise InputError(
            f"{file} does not exist: {path} is no data set that simspine exported. Run `simspine export`."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is damaged: not the JSON of a manifest ({error!r}). Export again.") from None
    if schema > SCHEMA:
        raise InputError(f"{file}: schema {schema}, this version reads up to {SCHEMA}. Update simspine.")
    return content


def broken_ranges(path: Path, entry: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Byte ranges [first, end) in which a file differs from its entry; blocks beside each other are joined.

    What a short file lacks, and what a long one has too much, is the last range.
    """
    size, block, known = path.stat().st_size, int(entry["block"]), entry["crc32"].split()
    sha256, found = checksums(path, block)
    if sha256 == entry["sha256"]:
        return []
    longest = max(size, int(entry["size"]))
    pairs = [
        (known[i] if i < len(known) else "", found[i] if i < len(found) else "") for i in range(-(-longest // block))
    ]
    ranges: list[tuple[int, int]] = []
    for i, (wanted, there) in enumerate(pairs):
        if wanted != there:
            first, end = i * block, min((i + 1) * block, longest)
            if size < int(entry["size"]) and first < size < end:
                first = size
            ranges = _joined(ranges, first, end)
    return ranges


def _joined(ranges: list[tuple[int, int]], first: int, end: int) -> list[tuple[int, int]]:
    if ranges and ranges[-1][1] == first:
        return [*ranges[:-1], (ranges[-1][0], end)]
    return [*ranges, (first, end)]
