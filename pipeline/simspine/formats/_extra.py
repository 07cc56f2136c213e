"""Packages that only some formats need."""

from importlib import import_module
from types import ModuleType

from simspine.errors import InputError


def exchange_package(name: str, format_name: str) -> ModuleType:
    """Import a package of the extra `exchange`; `InputError` naming the extra where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise InputError(
            f"{format_name} needs the package {package}, which is not installed. Install simspine[exchange]."
        ) from None
