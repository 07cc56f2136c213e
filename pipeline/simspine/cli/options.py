"""Options that several commands share, the search for configurations, and opening of written pages."""

import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path

import click

from simspine.core.errors import InputError, printable, unknown_name

CONFIG_ENDINGS = (".yaml", ".yml", ".json", "")
CONFIG_PARAMETERS = {"config_argument", "config_path"}  # both name the configuration


class _FilePath(click.Path):
    """A path. A file named twice, at least once by an option, is refused: the output would replace the input."""

    def convert(self, value, param, ctx):
        path = super().convert(value, param, ctx)
        if ctx is not None and not path.is_dir():
            named = ctx.meta.setdefault(f"{__name__}.{ctx.command_path}", {})
            other = named.setdefault(path.resolve(), param)
            repeated = other is not param and not {other.name, param.name} <= CONFIG_PARAMETERS
            if repeated and click.Option in (type(other), type(param)):
                self.fail(f"{path} is named twice; what is written needs a name of its own.", param, ctx)
        return path


FILE_PATH = _FilePath(path_type=Path)
FOLDER_PATH = click.Path(path_type=Path, file_okay=False)  # the folder need not exist
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
cores_option = click.option(
    "--cores", type=click.IntRange(1), default=os.cpu_count(), show_default="all", help="Processor cores to use."
)


def say(text: object, err: bool = False) -> None:
    """Print a text to standard output or error, without control characters that foreign names may hold."""
    click.echo(printable(text), err=err)


json_option = click.option("--json", "json_path", type=FILE_PATH, help="File to write the figures to, as JSON.")


def with_options(options: Sequence[Callable]) -> Callable:
    """A decorator that adds the options to a command, in their order."""

    def decorated(command):
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


class PairOfNumbers(click.ParamType):
    """Two whole numbers from `least` to `most` with an x between them."""

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
    """A number between two limits; `click.FloatRange` would accept NaN."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number; expected {self.min:g} to {self.max:g}.", param, ctx)
        return number


def packaged_config(path: Path | None) -> Path:
    """The file of a configuration.

    path: the file, a folder of results, or the name of a packaged configuration (demo, gait, human36m, virtual); None:
    the only configuration in the working folder. `InputError` for an unknown name without folder and ending."""
    from simspine.core.settings import data_folder, read_mapping

    if path is None:
        found = configs_here()
        if len(found) != 1:
            there = f"there are {', '.join(map(str, found))}" if found else f"there is none in {Path.cwd()}"
            raise InputError(f"no configuration was named, and {there}. Name one, or write it (`simspine init FILES`).")
        return found[0]
    if path.is_dir() and (path / "config.yaml").is_file():
        results = Path(str(read_mapping(path / "config.yaml").get("results", path)))
        if results.resolve() != path.resolve():
            text = f"{path} holds results of a run in another folder, where they were called {results}"
            raise InputError(f"{text}. Change to that folder, or name the configuration file.")
        return path / "config.yaml"
    folder = data_folder("configs")
    packaged = folder / f"{path}.yaml"
    if path.is_file() and path.suffix.lower() not in CONFIG_ENDINGS:
        advice = "Markers are read from .c3d and .trc: export them as one. For videos and sessions: `simspine init`"
        raise InputError(f"{path} is no configuration ({CONFIG_ENDINGS[0]}). {advice}.")
    if path.is_file() or (path.name == str(path) and packaged.is_file()):
        return path if path.is_file() else packaged
    if path.name != str(path) or path.suffix or path.is_dir():
        session = f"holds no config.yaml (a session of another program: `simspine add-spine {path}`)"
        fault = session if path.is_dir() else f"does not exist (looked from {Path.cwd()})"
        raise InputError(f"{path} {fault}. Name a configuration, or write one by `simspine init FILES`.")
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    raise InputError(f"{unknown_name('configuration', str(path), names)} Or name a file: {path}.yaml does not exist.")


def configs_here() -> list[Path]:
    """Configurations in the working folder, or else in its folder configs/, where `simspine init` writes them."""
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
    """CONFIG as the first argument, or as `--config`; the command gets it as `config`, read and checked.

    default: name of a packaged configuration to use if none is named; without it, that of the working folder is used.
    argument: False for commands with another first argument. needed: False for commands that get None if none is named.
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
    """Open a path or an address; nothing happens without a desktop, because commands print the path as well."""
    desktop = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if desktop:
        click.launch(target)


def trial_options(subject: str, trial: str) -> Callable:
    """Options --subject and --trial. subject, trial: continuations of their help texts."""
    return with_options([
        click.option("--subject", help=f"Subject{subject}"),
        click.option("--trial", help=f"Trial{trial}"),
    ])  # fmt: skip


first_trial_options = trial_options("; the first if left out.", "; the first if left out.")
result_trial_options = trial_options(", if the results have several.", ", if the results have several.")
_TOGETHER = "; all of them together if left out."
joint_trial_options = trial_options(_TOGETHER, f" of the subject{_TOGETHER}")
stage_options = with_options([
    config_option(),
    trial_options("; all of them if left out.", " of the subject; all of them if left out."),
    click.option("--force", is_flag=True, help="Do the work again even if it is done."),
    quiet_option,
])  # fmt: skip
