"""Options that several commands have."""

from pathlib import Path

import click

FILE = click.Path(path_type=Path)
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")


def config_option(default: str = "configs/demo.yaml", help: str = "Configuration file."):
    """`--config`, handed to the command as `config_path`."""
    return click.option("--config", "config_path", type=FILE, default=Path(default), show_default=True, help=help)
