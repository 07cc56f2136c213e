"""simspine export, verify, check, validate, view, compare, overlay: write, check and show results."""

import sys
from pathlib import Path

import click

from simspine.cli import options
from simspine.cli.options import FILE_PATH, config_option, named_config, quiet_option, result_trial_options, say
from simspine.core.errors import InputError, printable


@click.command("export")
@options.stage_options
@click.option("--format", "format_", type=click.Choice(["hdf5", "csv", "npz", "coco", "c3d", "nwb", "bids"]),
              help="Write the whole data set, once the stage has run, in this format; csv: a row a frame.")  # fmt: skip
@click.option("--axes", type=click.Choice(["62"]),
              help="Write the motions of the whole data set in the 62 axes of the SIMSPINE paper (.mot).")  # fmt: skip
@click.option("--points", type=click.Choice(["15", "37"]), default="15", show_default=True,
              help="With --format: the spine's 15 points, or all 37 (coco: always 37).")  # fmt: skip
@click.option("--contents", type=click.Choice(["all", "angles"]), default="all", show_default=True,
              help="With --format hdf5: angles leaves out points, poses and cameras.")  # fmt: skip
@click.option("--public", is_flag=True,
              help="With --format, --axes: refuse what the licence of the inputs forbids to share.")  # fmt: skip
@click.option("--test", multiple=True, help="With --format: a subject of the test split. Default: S9, S11.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True,
              help="With --format coco: each n-th frame.")  # fmt: skip
@click.option("--out", type=FILE_PATH, help="With --format, --axes: folder to write.")
def export_command(config, subject, trial, force, quiet, format_, axes, out, **chosen):
    """Write TRC, MOT, marker errors, and the data set's HDF5 and summary.

    With --format or --axes: write the finished data set in another form.
    """
    if format_ is None and axes is None:
        from simspine.workflow.jobs import run_stage

        _refuse_options(chosen | {"out": out}, "goes with --format.")
        run_stage("export", config, subject, trial, force=force, quiet=quiet)
        return
    if axes is not None:
        _refuse_options({"format": format_}, "goes without --axes, which writes .mot files.")
        _refuse_options(chosen | {"public": False}, "goes with --format, not with --axes.")
    reason = "goes without --format and --axes, which hold the whole data set."
    _refuse_options({"subject": subject, "trial": trial}, reason)
    if format_ == "csv":
        _refuse_options(
            {"points": chosen["points"], "every": chosen["every"]},
            "has no effect on csv, which has each frame with all its figures.",
        )
    from simspine.workflow.exchange import ExportChoice, export_format

    choice = ExportChoice(
        points=int(chosen["points"]), contents=chosen["contents"], public=chosen["public"],
        test=tuple(chosen["test"]) or None, every=chosen["every"],
    )  # fmt: skip
    say(export_format(config, format_ or f"axes{axes}", choice, out))


def _refuse_options(chosen: dict, reason: str) -> None:
    """A usage error for the first option with another value than its default."""
    for name, value in chosen.items():
        if value not in (None, False, (), {"points": "15", "contents": "all", "every": 1}.get(name)):
            raise click.UsageError(f"--{name} {reason}")


@click.command("verify")
@click.argument("path", type=FILE_PATH)
@click.option("--kinematics", is_flag=True, help="Recompute the points of all frames from the angles, not of one only.")
def verify_command(path, kinematics):
    """Check the data set in the folder PATH against its manifest, or one HDF5 file by itself.

    Names each damaged file and, in HDF5 files, trial and array. Exit code: 0 intact, 1 damaged, 2 nothing to verify.
    """
    from simspine.dataset.verify import verify_dataset as check

    faults = check(path, kinematics)
    for fault in faults:
        click.secho(printable(fault), fg="red")
    if not faults:
        # With a manifest every byte is checked; in a file by itself the arrays only.
        result = "whole." if path.is_dir() else "no array is damaged. Bytes outside arrays need the folder's manifest."
        say(f"{path}: {result}")
    sys.exit(1 if faults else 0)


@click.command("check")
@config_option()
@click.option("-q", "--quiet", is_flag=True, help="Write the files, print no table.")
def check_quality_command(config, quiet):
    """Summarise the quality of all trials: quality.csv, quality.json, and a table.

    Exit code: 0 nothing worse than information, 3 warnings, 1 errors (frames were rejected), 2 bad input. The stage
    `quality` judges each trial and never fails for what it finds; this command reads its findings.
    """
    from simspine.quality.assess import severity_exit_code
    from simspine.workflow.jobs import warn_if_stale
    from simspine.workflow.results import print_quality, read_verdicts, write_quality

    # Files of a data set with other trials or settings stay as they are.
    verdicts = read_verdicts(config) if warn_if_stale(config, None) else write_quality(config)
    if not quiet:
        print_quality(config, verdicts)
    sys.exit(severity_exit_code(verdicts))


@click.command("validate")
@click.argument("dataset", required=False, type=FILE_PATH)
@config_option(help="Configuration whose results are used if no DATASET is named.", argument=False, needed=False)
@click.option("--out", type=FILE_PATH, help="Folder for the files; default: validation/ next to DATASET.")
def validate_dataset_command(dataset, config, out):
    """Tables of curvature and range of motion, next to published values.

    DATASET: an HDF5 file, or a configuration. Each value says how much of it the data decided. Columns:
    docs/validation.md.
    """
    from simspine.workflow.results import write_validation

    if dataset is not None and dataset.suffix.lower() in (".yaml", ".yml"):
        config, dataset = named_config(dataset), None
    if dataset is None:
        from simspine.workflow.dataset import dataset_file
        from simspine.workflow.jobs import warn_if_stale

        config = config or named_config(None)
        dataset = dataset_file(Path(config.results), f"{config.name}.h5")
        if not dataset.exists():
            raise InputError(f"{dataset} does not exist. Run `simspine run` first, or name a data set (.h5).")
        warn_if_stale(config)
    folder = dataset if dataset.is_dir() else dataset.parent
    for path in write_validation(dataset, out or folder / "validation"):
        say(path)


@click.command("view")
@click.argument("result", type=FILE_PATH)
@result_trial_options
@click.option("--out", type=FILE_PATH, help="Page to write; a temporary file if left out.")
@click.option("--open/--no-open", "opened", default=True, help="Open the page in the browser.  [default: open]")
@click.option("--rerun", "recording", type=FILE_PATH, help="Write a Rerun recording (.rrd) instead.")
def view_command(result, subject, trial, out, opened, recording):
    """Show RESULT in three dimensions.

    RESULT: a results folder, a trial's .h5 in it (vertebrae, kinematics, …), or a data set's .h5.
    """
    if out is not None and recording is not None:
        raise click.UsageError("--out and --rerun were both given; write one file at a time.")
    _warn_if_stale(result, subject, trial)
    if recording is not None:
        from simspine.workflow.views import record_rerun

        say(record_rerun(result, recording, subject, trial))
        return
    from simspine.workflow.views import write_view

    page = write_view(result, out, subject, trial=trial)
    say(page)
    if opened:
        options.show_on_desktop(page.resolve().as_uri())


def _warn_if_stale(result: Path, subject: str | None, trial: str | None) -> None:
    from simspine.workflow.jobs import warn_if_trial_is_stale
    from simspine.workflow.views import find_results

    if (found := find_results(result, subject, trial)) is not None:
        warn_if_trial_is_stale(found[0].results, found[0].subject, found[1])


@click.command("compare")
@click.argument("before", type=FILE_PATH)
@click.argument("after", type=FILE_PATH)
@result_trial_options
@click.option("--out", type=FILE_PATH, default=Path("comparison.html"), show_default=True, help="Page to write.")
def compare_command(before, after, subject, trial, out):
    """Compare two trials: what changed, and does it exceed the measurement error?

    BEFORE, AFTER: results folders, or a trial's .h5 in such a folder. Both are shown in three dimensions side by side.
    """
    from simspine.workflow.views import write_comparison

    for result in (before, after):
        _warn_if_stale(result, subject, trial)
    say(write_comparison(before, after, out, subject, trial=trial))


@click.command("overlay")
@config_option()
@options.first_trial_options
@click.option("--camera", help="One camera in full size; all of them side by side if left out.")
@click.option("--out", required=True, type=FILE_PATH, help="Video to write (.webm, .mp4; .avi: quick).")
@quiet_option
def overlay_command(config, subject, trial, camera, out, quiet):
    """Draw the body on a trial's videos: lines and the spine."""
    from simspine.workflow.jobs import warn_if_stale
    from simspine.workflow.views import write_overlay_of_trial

    warn_if_stale(config)
    say(write_overlay_of_trial(config, out, subject, trial=trial, camera=camera, quiet=quiet))
