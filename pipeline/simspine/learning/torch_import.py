"""PyTorch, imported when a network is asked for, and one clear error where it is not installed."""

from types import ModuleType

from simspine.errors import InputError


def require_torch() -> ModuleType:
    """The module `torch`. Raises `InputError` naming the extra that installs it."""
    try:
        import torch
    except ImportError:
        raise InputError(
            "networks need PyTorch, which is not installed: pip install 'simspine[learn]'. The lifters' controls "
            "(mean, nearest, ridge) do without."
        ) from None
    return torch


def chosen_device(wanted: str) -> str:
    """'cpu' or 'cuda' for 'auto', 'cpu' or 'cuda'; `InputError` if a GPU is asked for and cannot be used."""
    there = require_torch().cuda.is_available()
    if wanted == "cuda" and not there:
        raise InputError("training.device is cuda, but PyTorch finds no GPU here; choose cpu or auto.")
    return "cuda" if there and wanted != "cpu" else "cpu"
