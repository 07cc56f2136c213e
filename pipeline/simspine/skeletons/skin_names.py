"""How a marker's name shows that it is on the skin."""

import re
from collections.abc import Iterable

SKIN = "_skin"
_BETWEEN = re.compile(r"([CTLS]\d+)\.(\d\d)")


def on_skin(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that are of markers on the skin: `C7_skin`, `LPSIS_skin`."""
    return tuple(name for name in names if name.endswith(SKIN))


def not_on_skin(names: Iterable[str]) -> tuple[str, ...]:
    """The others."""
    return tuple(name for name in names if not name.endswith(SKIN))


def landmark(name: str) -> str:
    """What a marker on the skin is over: `C7_skin` → 'C7'."""
    return name.removesuffix(SKIN)


def between(landmark: str) -> tuple[str, float] | None:
    """Of a dot of a tape: the level above it, and its share of the way to the next one: 'T7.40' → ('T7', 0.4)."""
    found = _BETWEEN.fullmatch(landmark)
    return None if found is None else (found[1], int(found[2]) / 100)


def of_tape(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that are of dots of a tape: `T7.40_skin`."""
    return tuple(name for name in on_skin(names) if between(landmark(name)) is not None)
