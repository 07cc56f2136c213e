"""Known vulnerabilities of the locked packages, from a stored copy of the OSV database: no network is asked.

The copy is the folder, or the `all.zip`, that osv.dev publishes for PyPI: one JSON file a record.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from tools.release.locked import Pinned

OLDEST = 30  # days; what was found since is not in the copy


def read_copy(path: Path) -> list[dict]:
    """All records of a folder or a ZIP archive.

    Raises `ValueError` where there is no record, or where the newest is older than `OLDEST` days.
    """
    records = list(_records(path))
    if not records:
        raise ValueError(f"{path} holds no record of OSV (JSON files with an id and what is affected).")
    newest = max(datetime.fromisoformat(record["modified"]).astimezone(UTC) for record in records)
    age = (datetime.now(UTC) - newest).days
    if age > OLDEST:
        raise ValueError(f"{path} is {age} days old ({newest:%Y-%m-%d}); fetch it anew, {OLDEST} days at most.")
    return records


def _records(path: Path) -> Iterator[dict]:
    if path.is_dir():
        texts = (file.read_bytes() for file in sorted(path.rglob("*.json")))
    elif path.is_file() and zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)
        texts = (archive.read(name) for name in archive.namelist() if name.endswith(".json"))
    else:
        raise ValueError(f"{path} is neither a folder nor a ZIP archive with OSV's records.")
    for text in texts:
        record = json.loads(text)
        if "affected" in record and "modified" in record:
            yield record


def vulnerable(pins: Iterable[Pinned], records: Iterable[dict]) -> list[str]:
    """A line for each pinned version that a record names and that was not withdrawn."""
    by_name: dict[str, list[Pinned]] = {}
    for pin in pins:
        by_name.setdefault(pin.name, []).append(pin)
    lines = set()
    for record in records:
        if "withdrawn" in record:
            continue
        for affected in record["affected"]:
            package = affected.get("package", {})
            if package.get("ecosystem") != "PyPI":
                continue
            for pin in by_name.get(canonicalize_name(package.get("name", "")), ()):
                if _hits(affected, pin.version):
                    summary = record.get("summary") or record.get("details", "")[:80]
                    lines.add(f"{pin.name} {pin.version}: {record['id']} {summary}".strip())
    return sorted(lines)


def _hits(affected: dict, version: str) -> bool:
    """Whether a version is listed, or lies in one of the ranges."""
    if version in affected.get("versions", ()):
        return True
    ranges = [part["events"] for part in affected.get("ranges", ()) if part.get("type") == "ECOSYSTEM"]
    return any(_inside(events, Version(version)) for events in ranges)


def _inside(events: Iterable[dict], version: Version) -> bool:
    """OSV's rule: the last event at or below the version decides; a version it calls affected for good is in."""
    inside = False
    for event in sorted(events, key=_place):
        kind, text = next(iter(event.items()))
        place = _version(text)
        if kind == "introduced" and version >= place:
            inside = True
        elif (kind == "fixed" and version >= place) or (kind == "last_affected" and version > place):
            inside = False
    return inside


def _place(event: dict) -> Version:
    return _version(next(iter(event.values())))


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")
