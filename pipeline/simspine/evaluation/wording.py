"""Settings as a reader would write them."""

from collections.abc import Mapping, Sequence
from typing import Any


def in_words(value: Any) -> str:
    """One value: 'S1, S5', 'yes', 'not set'; numbers and texts as they are."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {text}" for key, text in settings_in_words(value).items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(in_words, value)) or "none"
    return str(value)


def settings_in_words(settings: Mapping[str, Any]) -> dict[str, str]:
    """{name: value}, those of sections as 'training: step epochs'."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        name = str(key).replace("_", " ")
        if isinstance(value, Mapping) and value:
            found |= {f"{name}: {inner}": text for inner, text in settings_in_words(value).items()}
        else:
            found[name] = in_words(value)
    return found
