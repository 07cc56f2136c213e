"""Options that several commands have."""

from pathlib import Path

import click


def config_option(default: str = "configs/demo.yaml", help: str = "Configuration file."):
    """`--config`, handed to the command as `config_path`."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        default=Path(default),
        show_default=True,
        help=help,
    )
