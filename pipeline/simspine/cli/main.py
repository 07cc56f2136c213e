"""The command line: read arguments, call one function, report. Heavy imports wait until a command runs."""

import errno
import gc
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from simspine import __version__
from simspine.cli.annotate import annotate_command, annotations_group
from simspine.cli.bench import bench_group, benchmark_group
from simspine.cli.cameras import cameras_group
from simspine.cli.data import (
    check_quality_command,
    cycles_command,
    export_command,
    overlay_command,
    validate_dataset_command,
    verify_command,
    view_command,
)
from simspine.cli.detect import detect_command
from simspine.cli.options import FILE_PATH, config_option, cores_option, stage_options
from simspine.cli.research import capture_group, train_group
from simspine.cli.run import (
    back_command,
    demo_command,
    job_command,
    model_group,
    run_command,
    status_command,
    warmup_command,
)

NO_MEMORY = "not enough memory. What is done is kept; give the command more, or cut long trials."
STAGE_COMMANDS = {
    "triangulate": "Combine the views into 3D points with covariance.",
    "merge": "Filter, fill short gaps, and merge with motion capture where there is any.",
    "scale": "Build the body model and scale it to the person.",
    "ik": "Fit the body to the markers: joint angles.",
    "vertebrae": "Vertebral positions, angles per level, lumbar and thoracic curvature.",
    "quality": "Check every frame; say what was kept, corrected or rejected, and why.",
}


# New objects between two looks for cycles among them. Loading libraries and drawing figures make a hundred thousand
# objects that live on, and Python's own 700 has them gone through again and again: an eighth of the time of loading.
_COLLECTED_AFTER = 50_000


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Cycles of objects are looked for less often while a command runs."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECTED_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Commands(click.Group):
    """A command group that turns bad input into one clear message and exit code 2, and warnings into a line each.

    What the operating system refuses (no permission, disk full) is the user's to correct as well.
    """

    def invoke(self, ctx):
        warnings.showwarning = lambda message, *_: click.secho(f"warning: {message}", fg="yellow", err=True)
        try:
            with _seldom_collected():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("stopped by ctrl-C.", err=True)
            sys.exit(128 + signal.SIGINT)
        except ValueError as error:
            from simspine.core.errors import InputError

            if not isinstance(error, InputError):
                raise
            message = str(error)
        except MemoryError:
            message = NO_MEMORY
        except ImportError as error:
            if "failed to map" not in str(error):  # what the system's loader says where memory runs out
                raise
            message = NO_MEMORY
        except OSError as error:
            if error.errno in (None, errno.EPIPE):  # a bug of ours; a closed pipe, which click handles
                raise
            message = f"{error.filename or 'a file'}: {os.strerror(error.errno)}."
        click.secho(f"error: {message}", fg="red", err=True)
        sys.exit(2)

    def list_commands(self, ctx):
        return list(self.commands)  # in the order of the data, not of the alphabet


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="simspine")
def main():
    """Vertebra-level spine kinematics from synchronised multi-camera video.

    The stages detect → triangulate → merge → scale → ik → vertebrae → quality → export run one after another;
    `simspine run CONFIG` runs them all for every subject. Each skips work that is done already.
    """


for _command in (demo_command, run_command, back_command, status_command):
    main.add_command(_command)


def _add_stage(name: str, text: str) -> None:
    @main.command(name, help=text)
    @stage_options
    def command(config_path, subject, trial, force, quiet):
        from simspine.workflow.config import read_config
        from simspine.workflow.jobs import run_stage

        run_stage(name, read_config(config_path), subject, trial, force=force, quiet=quiet)


main.add_command(detect_command)
for _name, _text in STAGE_COMMANDS.items():
    _add_stage(_name, _text)
main.add_command(export_command)


@main.command("report")
@config_option()
@cores_option
def report_command(config_path, cores):
    """Write the self-contained HTML report of the results; pages of many trials, one on each core at a time."""
    from simspine.workflow.config import read_config
    from simspine.workflow.reporting import write_report_of

    click.echo(write_report_of(read_config(config_path), cores))


@main.command("summary")
@config_option()
def summary_command(config_path):
    """Print the results' headline figures, and where the files are."""
    from simspine.workflow.config import read_config
    from simspine.workflow.dataset import print_summary

    print_summary(read_config(config_path))


@main.command("init")
@click.argument("files", nargs=-1, required=True, type=FILE_PATH)
@click.option("--calibration", type=FILE_PATH, help="Videos: calibration of the cameras.")
@click.option("--marker-set", help="Marker files: which set they are of.  [default: centres]")
@click.option("--out", type=FILE_PATH, show_default="configs/NAME.yaml")
@click.option("--name", default="mine", show_default=True, help="Name of the data set.")
@click.option("--subject", default="S01", show_default=True)
@click.option("--trial", default="trial", show_default=True, help="Videos: name of the trial.")
@click.option("--height", type=float, help="Of the person, m.")
@click.option("--mass", type=float, help="Of the person, kg.")
def init_command(files, calibration, marker_set, out, name, subject, trial, height, mass):
    """Write a configuration for your own FILES after checking that they fit.

    FILES: synchronised videos of one trial, one per camera; or marker files (.c3d, .trc), each a trial.
    """
    from simspine.workflow.setup import write_new_config

    person = {key: value for key, value in (("height", height), ("mass", mass)) if value is not None}
    path = out or Path(f"configs/{name}.yaml")
    click.echo(
        write_new_config(
            files, calibration, path, name=name, subject=subject, trial=trial, marker_set=marker_set, person=person
        )
    )


@main.command("doctor")
@config_option()
@click.option("--schema", is_flag=True, help="Print the configuration's JSON schema and stop.")
def doctor_command(config_path, schema):
    """Check the installation and a configuration: what is there, what fits, what is missing."""
    import json

    from simspine.workflow.config import json_schema, read_config
    from simspine.workflow.setup import examine_installation

    if schema:
        click.echo(json.dumps(json_schema(), indent=2))
    elif not examine_installation(read_config(config_path)):
        sys.exit(2)


for _group in (
    cameras_group,
    warmup_command,
    model_group,
    bench_group,
    benchmark_group,
    train_group,
    capture_group,
    validate_dataset_command,
    verify_command,
    check_quality_command,
    view_command,
    cycles_command,
    export_command,
    overlay_command,
    annotate_command,
    annotations_group,
    job_command,
):
    main.add_command(_group)
# the old name of plot-cycles
main.add_command(click.Command("cycles", params=cycles_command.params, callback=cycles_command.callback, hidden=True))
