"""Options that several commands have."""

from pathlib import Path

import click

FILE = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, file_okay=False)  # need not exist
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")


def packaged(context, parameter, path: Path) -> Path:
    """A configuration file, or the one that comes with simspine under this name (demo, human36m, virtual)."""
    from simspine.data_files import data_folder

    there = data_folder("configs") / f"{path}.yaml"
    return there if path.name == str(path) and not path.exists() and there.is_file() else path


def config_option(default: str = "demo", help: str = "Configuration file, or the name of a packaged one."):
    """`--config`, handed to the command as `config_path`."""
    return click.option(
        "--config", "config_path", type=FILE, default=Path(default), show_default=True, help=help, callback=packaged
    )
