"""What `requirements.lock` pins: names, versions, checksums, and for which machines."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Pinned:
    """One package: canonical name, version, SHA-256 of its files, marker ('' = everywhere)."""

    name: str
    version: str
    checksums: tuple[str, ...]
    marker: str


def read_lock(path: Path) -> tuple[Pinned, ...]:
    """All pins of a lock made by `uv pip compile --generate-hashes`, by name and version.

    Raises `ValueError` where a package has no checksum, or where the file pins nothing.
    """
    found = []
    for block in re.split(r"\n(?=\S)", path.read_text(encoding="utf-8").strip()):
        head, *rest = [line.strip().rstrip("\\").strip() for line in block.splitlines()]
        requirement = Requirement(head)
        checksums = tuple(line.removeprefix("--hash=sha256:") for line in rest if line.startswith("--hash=sha256:"))
        if not checksums:
            raise ValueError(f"{path}: {head} has no checksum; run `make lock`.")
        version = str(requirement.specifier).removeprefix("==")
        found.append(Pinned(canonicalize_name(requirement.name), version, checksums, str(requirement.marker or "")))
    if not found:
        raise ValueError(f"{path} pins nothing; run `make lock`.")
    return tuple(sorted(found, key=lambda pin: (pin.name, pin.version)))
