"""Settings of a training run from a preset or a YAML file, with changes of single ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from simspine.errors import InputError, unknown_name
from simspine.settings import Section, SettingsError
from simspine.yaml_files import read_yaml

Options = TypeVar("Options", bound=Section)
Presets = Mapping[str, Mapping[str, Any]]
DEFAULT = "paper"


def options_of_preset(kind: type[Options], presets: Presets, name: str, changes: Mapping[str, Any]) -> Options:
    """The options of a preset, with single keys changed; a key of a section is written 'training.epochs'.

    Raises `InputError` for a preset or key that does not exist, and for values out of range.
    """
    if name not in presets:
        raise unknown_name("preset", name, presets)
    return checked(kind, changed(presets[name], changes), f"preset {name}")


def options_of_file(kind: type[Options], presets: Presets, path: str | Path, changes: Mapping[str, Any]) -> Options:
    """The options in a YAML file. A key `preset` (default 'paper') names one whose values stand where the file has
    none. Raises `InputError` naming the file.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        keys = ", ".join(kind.model_fields)
        raise InputError(f"{path} is not a mapping; expected keys such as {keys}.")
    preset = content.pop("preset", DEFAULT)
    if not isinstance(preset, str) or preset not in presets:
        raise unknown_name("preset", str(preset), presets, str(path))
    flat = {
        key if not isinstance(value, dict) else f"{key}.{inner}": entry
        for key, value in content.items()
        for inner, entry in (value.items() if isinstance(value, dict) else [("", value)])
    }
    asked = {key: value for key, value in changes.items() if value is not None}
    return checked(kind, changed(presets[preset], {**flat, **asked}), str(path))


def checked(kind: type[Options], content: Mapping[str, Any], where: str) -> Options:
    """Options out of a plain mapping; `InputError` with a line for each fault."""
    try:
        return kind.model_validate(content)
    except SettingsError as wrong:
        faults = "\n".join(f"  - {fault}" for fault in wrong.faults)
        raise InputError(f"{where} cannot be used as settings of training:\n{faults}") from None


def changed(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with other values; 'section.key' reaches into a section, and None changes nothing."""
    found = {key: dict(value) if isinstance(value, Mapping) else value for key, value in content.items()}
    for key, value in changes.items():
        section, _, inner = key.partition(".")
        if value is None:
            continue
        if inner:
            found[section] = {**found.get(section, {}), inner: value}
        else:
            found[section] = value
    return found
