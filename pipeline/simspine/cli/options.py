"""Options that several commands have, and what they do with files that were written."""

import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path

import click

CONFIG_PARAMETERS = {"config_argument", "config_path"}  # which mean the same


class _FilePath(click.Path):
    """A path. A file that an option names once more is refused: what is written would replace what is read."""

    def convert(self, value, param, ctx):
        path = super().convert(value, param, ctx)
        if ctx is not None and path.is_file():
            named = ctx.meta.setdefault(f"{__name__}.{ctx.command_path}", {})
            other = named.setdefault(path.resolve(), param)
            twice = other is not param and not {other.name, param.name} <= CONFIG_PARAMETERS
            if twice and click.Option in (type(other), type(param)):
                self.fail(f"{path} is named twice; what is written needs a name of its own.", param, ctx)
        return path


FILE_PATH = _FilePath(path_type=Path)
FOLDER_PATH = click.Path(path_type=Path, file_okay=False)  # need not exist
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
cores_option = click.option(
    "--cores", type=click.IntRange(1), default=os.cpu_count(), show_default="all", help="Processor cores to use."
)


json_option = click.option("--json", "json_path", type=FILE_PATH, help="Write the figures as JSON, too.")


def with_options(options: Sequence[Callable]) -> Callable:
    """A decorator that gives a command all these options, in their order."""

    def decorated(command):
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


class PairOfNumbers(click.ParamType):
    """Two whole numbers with an x between them, each within limits."""

    name = "pair"

    def __init__(self, least: int, most: int, example: str):
        self.least, self.most, self.example = least, most, example

    def convert(self, value, param, ctx):
        parts = str(value).strip().lower().replace("×", "x").split("x")
        if len(parts) != 2 or not all(part.isdecimal() and self.least <= int(part) <= self.most for part in parts):
            span = f"{self.least} to {self.most}"
            self.fail(f"{value!r}; expected two numbers from {span}, such as {self.example}.", param, ctx)
        return int(parts[0]), int(parts[1])


class Within(click.FloatRange):
    """A number between two others; click takes NaN for one."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number; expected {self.min:g} to {self.max:g}.", param, ctx)
        return number


def packaged_config(path: Path | None) -> Path:
    """A configuration file; the one that comes with simspine under this name (demo, gait, human36m, virtual); that of a
    folder of results; or, where none is named, the only one in the working folder.

    `InputError` for a name without folder and ending that is neither.
    """
    from simspine.core.errors import InputError, unknown_name
    from simspine.core.settings import data_folder, read_mapping

    if path is None:
        found = configs_here()
        if len(found) != 1:
            many = f"there are {len(found)}: {', '.join(map(str, found))}"
            raise InputError(
                f"no configuration was named, and {many if found else f'there is none in {Path.cwd()}'}. Name one, or "
                "write one by `simspine init FILES`."
            )
        return found[0]
    if path.is_dir() and (path / "config.yaml").is_file():
        results = Path(str(read_mapping(path / "config.yaml").get("results", path)))
        if results.resolve() != path.resolve():
            raise InputError(
                f"{path} holds results of a run in another folder, where they were called {results}. Change to the "
                "folder in which that path leads to them, or name the configuration file."
            )
        return path / "config.yaml"
    if path.name != str(path) or path.is_file():
        return path
    folder = data_folder("configs")
    there = folder / f"{path}.yaml"
    if path.suffix or there.is_file():
        return there if there.is_file() else path
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    raise InputError(f"{unknown_name('configuration', str(path), names)} Or name a file: {path}.yaml does not exist.")


def configs_here() -> list[Path]:
    """Configurations in the working folder, or else in its folder configs/, where `simspine init` puts them."""
    from simspine.core.errors import InputError
    from simspine.core.settings import read_mapping

    for folder in (Path(), Path("configs")):
        found = []
        for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
            with suppress(InputError):
                content = read_mapping(path)
                found += [path] if "results" in content and ("subjects" in content or "capture" in content) else []
        if found:
            return found
    return []


def named_config(path: Path | None):
    """The configuration in the file that `packaged_config` finds, read and checked."""
    from simspine.workflow.config import read_config

    return read_config(packaged_config(path))


def config_option(
    default: str | None = None,
    help: str = "The same as CONFIG: a configuration file, a folder of results, or the name of a packaged one.",
    argument: bool = True,
    needed: bool = True,
):
    """CONFIG as the first argument, or as `--config`, handed to the command as `config`, read and checked.

    default: name of a packaged one, where none is named; else that of the working folder. argument: False for commands
    whose first argument is another. needed: False for commands that get None where none is named.
    """

    def decorated(command):
        @wraps(command)
        def with_config(*args, config_path, config_argument=None, **chosen):
            if config_path is not None and config_argument is not None:
                raise click.UsageError("CONFIG and --config were both given; they mean the same.")
            named = config_argument or config_path or (default and Path(default))
            return command(*args, config=named_config(named) if named or needed else None, **chosen)

        option = click.option("--config", "config_path", type=FILE_PATH, help=help, show_default=default or False)
        first = click.argument("config_argument", required=False, metavar="[CONFIG]", type=FILE_PATH)
        return first(option(with_config)) if argument else option(with_config)

    return decorated


def show_on_desktop(target: str) -> None:
    """target: path or address. Where there is no desktop nothing happens: what was written is named anyway."""
    desktop = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if desktop:
        click.launch(target)


def trial_options(subject: str, trial: str) -> Callable:
    """--subject and --trial. subject, trial: what their help says after the word."""
    return with_options([
        click.option("--subject", help=f"Subject{subject}"),
        click.option("--trial", help=f"Trial{trial}"),
    ])  # fmt: skip


first_trial_options = trial_options("; the first if left out.", "; the first if left out.")
result_trial_options = trial_options(", where the results hold several.", ", where the results hold several.")
joint_trial_options = trial_options(
    "; all of them together if left out.", " of the subject; all of them together if left out."
)
stage_options = with_options([
    config_option(),
    trial_options("; all of them if left out.", " of the subject; all of them if left out."),
    click.option("--force", is_flag=True, help="Do the work again even if it is done."),
    quiet_option,
])  # fmt: skip
