"""Options that several commands have, and what they do with files that were written."""

import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

FILE_PATH = click.Path(path_type=Path)
FOLDER_PATH = click.Path(path_type=Path, file_okay=False)  # need not exist
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")
cores_option = click.option(
    "--cores", type=click.IntRange(1), default=os.cpu_count(), show_default="all", help="Processor cores to use."
)


json_option = click.option("--json", "json_path", type=FILE_PATH, help="Write the figures as JSON, too.")
result_subject_option = click.option("--subject", help="Subject, where the results hold several.")
result_trial_option = click.option("--trial", help="Trial, where the results hold several.")


def with_options(options: Sequence[Callable]) -> Callable:
    """A decorator that gives a command all these options, in their order."""

    def decorated(command):
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


class Within(click.FloatRange):
    """A number between two others; click takes NaN for one."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number; expected {self.min:g} to {self.max:g}.", param, ctx)
        return number


def packaged_config(context, parameter, path: Path) -> Path:
    """A configuration file, or the one that comes with simspine under this name (demo, human36m, virtual).

    `InputError` for a name without folder and ending that is neither.
    """
    from simspine.core.errors import InputError, unknown_name
    from simspine.core.settings import data_folder

    if path.name != str(path) or path.is_file():
        return path
    folder = data_folder("configs")
    there = folder / f"{path}.yaml"
    if path.suffix or there.is_file():
        return there if there.is_file() else path
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    raise InputError(f"{unknown_name('configuration', str(path), names)} Or name a file: {path}.yaml does not exist.")


def config_option(default: str = "demo", help: str = "Configuration file, or the name of a packaged one."):
    """`--config`, handed to the command as `config_path`."""
    return click.option(
        "--config",
        "config_path",
        type=FILE_PATH,
        default=Path(default),
        show_default=True,
        help=help,
        callback=packaged_config,
    )


def show_on_desktop(target: str) -> None:
    """target: path or address. Where there is no desktop nothing happens: what was written is named anyway."""
    desktop = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if desktop:
        click.launch(target)


stage_options = with_options([
    config_option(),
    click.option("--subject", help="Subject; all of them if left out."),
    click.option("--trial", help="One trial of the subject; all of them if left out."),
    click.option("--force", is_flag=True, help="Do the work again even if it is done."),
    quiet_option,
])  # fmt: skip
