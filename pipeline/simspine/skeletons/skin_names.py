"""How a marker's name shows that it is on the skin."""

from collections.abc import Iterable

SKIN = "_skin"


def on_skin(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that are of markers on the skin: `C7_skin`, `LPSIS_skin`."""
    return tuple(name for name in names if name.endswith(SKIN))


def not_on_skin(names: Iterable[str]) -> tuple[str, ...]:
    """The others."""
    return tuple(name for name in names if not name.endswith(SKIN))


def landmark(name: str) -> str:
    """What a marker on the skin is over: `C7_skin` → 'C7'."""
    return name.removesuffix(SKIN)
