"""Checkpoints: a network after an epoch, with all that is needed to go on, and to refuse what is not its own."""

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from simspine.errors import InputError
from simspine.formats.atomic import atomic_path

SCHEMA = 2


@dataclass(frozen=True)
class Identity:
    """What a checkpoint belongs to. options: all settings, as JSON can say them. data: digest of the training data."""

    options: Mapping[str, Any]
    data: str


def save_checkpoint(path: Path, identity: Identity, state: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. state: tensors, numbers, texts, in lists and dictionaries."""
    content = {"schema": SCHEMA, "options": json.dumps(identity.options, sort_keys=True), "data": identity.data}
    with atomic_path(path) as temporary:
        torch.save(content | {"state": dict(state)}, temporary)


def load_checkpoint(path: Path, identity: Identity | None = None) -> tuple[Identity, dict[str, Any]]:
    """What `save_checkpoint` wrote. No code in a file is run (`weights_only`).

    Raises `InputError` naming the file where it cannot be read, and, if an identity is given, where the file belongs to
    other data or other settings.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{path} is no checkpoint that can be read: {reason}. Delete it to begin anew.") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise InputError(
            f"{path} is no checkpoint of a training run of ours, or of another version. Delete it to begin anew."
        )
    found = Identity(json.loads(content["options"]), content["data"])
    if identity is not None:
        _refuse_others(path, found, identity)
    return found, content["state"]


def _refuse_others(path: Path, found: Identity, wanted: Identity) -> None:
    there, asked = _flat(found.options), _flat(json.loads(json.dumps(wanted.options)))
    others = [key for key in sorted(there | asked) if there.get(key) != asked.get(key)]
    advice = "Name another folder, or delete this one's checkpoint to begin anew."
    if others:
        said = "; ".join(f"{key} is {there.get(key)!r}, asked for is {asked.get(key)!r}" for key in others)
        raise InputError(f"{path} was trained with other settings: {said}. {advice}")
    if found.data != wanted.data:
        raise InputError(
            f"{path} was trained on other data (sha256 {found.data[:12]}…, here {wanted.data[:12]}…) although the "
            f"settings are the same. {advice}"
        )


def _flat(options: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in options.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {before + key: value}
    return found
