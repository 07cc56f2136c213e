"""Which licence each locked package has, and whether it may be there."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tools.release.locked import Pinned

POLICY = Path(__file__).with_name("licences.toml")
Declared = Callable[[str], tuple[str, ...]]  # from a package's name: its own words, the surest first


@dataclass(frozen=True)
class Licence:
    """One package's licence as an SPDX expression; '' where nothing is known."""

    package: str
    version: str
    expression: str


def read_policy(path: Path = POLICY) -> Mapping:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def declared(name: str) -> tuple[str, ...]:
    """What the installed package says: its SPDX expression, classifiers, the field's first line; () if not there."""
    try:
        head = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ()
    expression = head.get("License-Expression")
    if expression:
        return (expression,)
    classes = [text.rpartition("::")[2].strip() for text in head.get_all("Classifier") or () if "License ::" in text]
    field = (head.get("License") or "").strip().splitlines()[:1]
    return (*(field if field and len(field[0]) < 40 else ()), *classes)


def licences(pins: Iterable[Pinned], policy: Mapping, words_of: Declared = declared) -> tuple[Licence, ...]:
    """The licence of each package: as read by us, else as it declares it."""
    found = []
    for pin in pins:
        known = policy["read"].get(pin.name) or _expression(words_of(pin.name), policy)
        found.append(Licence(pin.name, pin.version, known))
    return tuple(found)


def _expression(words: tuple[str, ...], policy: Mapping) -> str:
    """The first words that are a licence we have a name for; several classifiers count as all of them."""
    meant = [policy["words"].get(text.lower(), text) for text in words]
    known = [text for text in meant if _parts(text) <= {*policy["allowed"], *policy["named"]}]
    return known[0] if known else " AND ".join(meant)


def _parts(expression: str) -> set[str]:
    return {part.strip(" ()") for part in re.split(r"\b(?:AND|OR)\b", expression)}


def refused(found: Iterable[Licence], policy: Mapping) -> list[str]:
    """A line for each package that may not be there, or of which nothing is known. Of `A OR B` one is enough."""
    lines = []
    for licence in found:
        options = licence.expression.split(" OR ")
        if not any(_parts(option) <= {*policy["allowed"], *policy["named"]} for option in options):
            what = licence.expression or "no licence is known"
            lines.append(f"{licence.package} {licence.version}: {what}")
    return lines


def listing(found: Iterable[Licence], policy: Mapping) -> str:
    """A Markdown table of all, with what deserves a word."""
    lines = ["| package | version | licence | note |", "|---|---|---|---|"]
    for licence in found:
        weak = _parts(licence.expression) & set(policy["named"])
        notes = [*(["copyleft of its own files"] if weak else []), policy["bundled"].get(licence.package, "")]
        note = "; ".join(filter(None, notes))
        lines.append(f"| {licence.package} | {licence.version} | {licence.expression or 'unknown'} | {note} |")
    return "\n".join(lines) + "\n"
