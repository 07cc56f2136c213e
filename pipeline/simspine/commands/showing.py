"""Show a file or a page that was written, with the program that the desktop has for it."""

import os
import sys

import click


def show(target: str) -> None:
    """target: path or address. Where there is no desktop nothing happens: what was written is named anyway."""
    desktop = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if desktop:
        click.launch(target)
