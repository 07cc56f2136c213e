"""In which settings two configurations differ."""

from collections.abc import Mapping
from typing import Any

_SHOWN = 5
_ABSENT = object()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """'filter.cutoff_hz was 6.0, is 5.0' for each setting that differs, in the order of `after`.

    before, after: configurations as JSON has them (`Config.model_dump(mode="json")`).
    """
    old, new = dict(_settings(before)), dict(_settings(after))
    found = []
    for key in (*new, *(key for key in old if key not in new)):
        was, now = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if was != now:
            found.append(f"{key} {_said(was, 'was')}, {_said(now, 'is')}")
    return tuple(found)


def told(found: tuple[str, ...]) -> str:
    """The differences as one text, the first few of them."""
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more


def _settings(section: Mapping[str, Any], before: str = ""):
    """(dotted key, value) of all settings; an empty section counts as one."""
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from _settings(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _said(value: Any, verb: str) -> str:
    return f"{verb} not there" if value is _ABSENT else f"{verb} {'null' if value is None else value}"
