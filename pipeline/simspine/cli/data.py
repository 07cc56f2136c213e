"""simspine view, cycles, overlay: look at a result."""

import sys
from pathlib import Path

import click

from simspine.cli.options import FILE_PATH, config_option, quiet_option, show_on_desktop

# simspine export and simspine verify: what leaves the pipeline, and whether it is still whole.


def add_export_options(command: click.Command) -> None:
    """Widen the stage export by other formats: with --format it writes the finished data set in one of them."""
    stage = command.callback

    def callback(format_, axes, points, contents, public, test, every, out, **stage_options):
        chosen = {"--points": points != "15", "--contents": contents != "all", "--public": public, "--test": test,
                  "--every": every != 1, "--out": out}  # fmt: skip
        if axes is not None:
            _only_axes(format_, chosen)
            format_ = f"axes{axes}"
        if format_ is None:
            for name in (name for name, given in chosen.items() if given):
                raise click.UsageError(f"{name} goes with --format.")
            return stage(**stage_options)
        for name in ("subject", "trial"):
            if stage_options[name]:
                raise click.UsageError(f"--{name} goes without --format and --axes, which hold the whole data set.")
        from simspine.workflow.config import read_config
        from simspine.workflow.exchange import ExportChoice, export_format

        choice = ExportChoice(
            points=int(points), contents=contents, public=public, test=tuple(test) or None, every=every
        )
        click.echo(export_format(read_config(stage_options["config_path"]), format_, choice, out))
        return None

    command.callback = callback
    command.params += [
        click.Option(
            ["--format", "format_"], type=click.Choice(["hdf5", "npz", "coco", "netcdf", "c3d"]),
            help="Write the whole data set, once the stage has run, in this format.",
        ),
        click.Option(
            ["--axes"], type=click.Choice(["62"]),
            help="Write the motions of the whole data set in the 62 axes of the SIMSPINE paper (.mot).",
        ),
        click.Option(
            ["--points"], type=click.Choice(["15", "37"]), default="15", show_default=True,
            help="With --format: the spine's 15 points, or all 37 (coco: always 37).",
        ),
        click.Option(
            ["--contents"], type=click.Choice(["all", "angles"]), default="all", show_default=True,
            help="With --format hdf5: angles leaves out points, poses and cameras.",
        ),
        click.Option(
            ["--public"], is_flag=True,
            help="With --format, --axes: refuse what the licence of the inputs does not let out.",
        ),
        click.Option(["--test"], multiple=True, help="With --format: a subject of the test split. Default: S9, S11."),
        click.Option(
            ["--every"], type=click.IntRange(1), default=1, show_default=True,
            help="With --format coco: each n-th frame.",
        ),
        click.Option(["--out"], type=FILE_PATH, help="With --format, --axes: folder to write."),
    ]  # fmt: skip


def _only_axes(format_, chosen) -> None:
    """What does not go with --axes."""
    if format_ is not None:
        raise click.UsageError("--axes goes without --format: it writes .mot files.")
    for name, given in chosen.items():
        if given and name not in ("--public", "--out"):
            raise click.UsageError(f"{name} goes with --format, not with --axes.")


@click.command("verify")
@click.argument("path", type=FILE_PATH)
@click.option("--kinematics", is_flag=True, help="Also compute every point from the angles anew.")
def verify_command(path, kinematics):
    """Check the data set in the folder PATH against its manifest, or one HDF5 file by itself.

    Names each broken file and, in HDF5 files, trial and frames. Exit code 0: whole; 1: as exported, but
    something looks odd; 2: broken.
    """
    from simspine.dataset.verify import verify_dataset as check

    faults = check(path, kinematics)
    for fault in faults:
        click.secho(str(fault), fg="red" if fault.severity == "fault" else "yellow")
    broken = sum(fault.severity == "fault" for fault in faults)
    if not faults:
        # With a manifest every byte is checked; in a file by itself the arrays only.
        known = "whole." if path.is_dir() else "no array is damaged. Bytes outside arrays need the folder's manifest."
        click.echo(f"{path}: {known}")
    sys.exit(2 if broken else 1 if faults else 0)


# simspine check: what quality control says about a data set, with an exit code for scripts.


@click.command("check")
@config_option()
@click.option("--quiet", is_flag=True, help="Only the files and the exit code.")
def check_quality_command(config_path, quiet):
    """Sum up the quality of all trials: quality.csv, quality.json, and a table.

    Exit code: 0 nothing worse than an info, 3 warnings, 1 errors (frames were rejected), 2 bad input. The stage
    `quality` decides on each trial and never fails for what it finds; this command reads what it said.
    """
    from simspine.quality.assess import severity_exit_code
    from simspine.workflow.config import read_config
    from simspine.workflow.views import print_quality, write_quality

    config = read_config(config_path)
    verdicts = write_quality(config)
    if not quiet:
        print_quality(config, verdicts)
    sys.exit(severity_exit_code(verdicts))


# simspine validate: the paper's tables and figures for any data set.


@click.command("validate")
@click.argument("dataset", required=False, type=FILE_PATH)
@config_option(help="Configuration file; its results are taken where no DATASET is named.")
@click.option("--out", type=FILE_PATH, help="Folder for the files; default: validation/ beside it.")
def validate_dataset_command(dataset, config_path, out):
    """Write tables (CSV, Markdown) and figures (PNG, SVG) of curvature and range of motion of DATASET (HDF5).

    Each figure says what the data decided, and what the model or a prior did. Columns: docs/validation.md.
    """
    from simspine.core.errors import InputError
    from simspine.workflow.views import write_validation

    if dataset is None:
        from simspine.workflow.config import read_config

        config = read_config(config_path)
        dataset = Path(config.results) / f"{config.name}.h5"
        if not dataset.exists():
            raise InputError(f"{dataset}: not there yet; run the stages up to export first, or name a data set.")
    beside = dataset if dataset.is_dir() else dataset.parent
    for path in write_validation(dataset, out or beside / "validation"):
        click.echo(path)


@click.command("view")
@click.argument("result", type=FILE_PATH)
@click.option("--subject", help="Subject, where the result holds several.")
@click.option("--trial", help="Trial, where the result holds several.")
@click.option("--out", type=FILE_PATH, help="Page to write; a temporary one if left out.")
@click.option("--open/--no-open", "opened", default=True, help="Open the page in the browser.  [default: open]")
@click.option("--rerun", "recording", type=FILE_PATH, help="Write a Rerun recording (.rrd) instead.")
@click.option("--model", type=FILE_PATH, help="The OpenSim model (.osim) that a motion belongs to.")
def view_command(result, subject, trial, out, opened, recording, model):
    """Show RESULT in three dimensions.

    RESULT: a results folder, a trial's .h5 in it (vertebrae, kinematics, …), a data set's .h5, markers of
    anyone (.trc, .c3d), or a motion (.mot, .sto) with --model.
    """
    if out is not None and recording is not None:
        raise click.UsageError("--out and --rerun are two commands: one file at a time.")
    if recording is not None:
        from simspine.workflow.views import record_rerun

        click.echo(record_rerun(result, recording, subject, trial))
        return
    from simspine.workflow.views import write_view

    page = write_view(result, out, subject, trial=trial, model=model)
    click.echo(page)
    if opened:
        show_on_desktop(page.resolve().as_uri())


def _times_by_comma(context, parameter, text: str | None) -> list[float]:
    """Numbers that commas part."""
    try:
        return [float(word) for word in text.split(",")] if text else []
    except ValueError:
        raise click.BadParameter(f"expected times in s with commas between, as 0.42,1.51; found {text!r}.") from None


@click.command("cycles")
@click.argument("result", type=FILE_PATH)
@click.option("--out", required=True, type=FILE_PATH, help="Picture to write (.png, .svg, .pdf).")
@click.option("--right", callback=_times_by_comma, help="Times of the right foot's contacts, s: 0.42,1.51,2.60.")
@click.option("--left", callback=_times_by_comma, help="The same of the left foot.")
@click.option("--bands", type=FILE_PATH, help="Normative bands to draw behind (.csv).")
@click.option("--trial", help="SUBJECT/TRIAL, where the result holds several.")
def cycles_command(result, out, right, left, bands, trial):
    """Draw the angles of pelvis, trunk and limbs of RESULT over cycles from event to event.

    RESULT: a results folder, or a trial's .h5 in it. simspine finds no events: they are yours, as are the bands.
    """
    from simspine.workflow.views import write_cycles

    events = {side: times for side, times in (("r", right), ("l", left)) if times}
    click.echo(write_cycles(result, out, events, bands=bands, trial=trial))


@click.command("overlay")
@config_option()
@click.option("--subject", help="Subject; the first if left out.")
@click.option("--trial", help="Trial; the first if left out.")
@click.option("--camera", help="One camera in full size; all of them side by side if left out.")
@click.option("--out", required=True, type=FILE_PATH, help="Video to write (.webm, .mp4; .avi: quick).")
@click.option("--show", type=click.Choice(["lines", "bones", "skin"]), default="lines", show_default=True)
@quiet_option
def overlay_command(config_path, subject, trial, camera, out, show, quiet):
    """Draw the body on a trial's videos: lines and the spine, bones, or skin."""
    from simspine.workflow.config import read_config
    from simspine.workflow.views import write_overlay_of_trial

    click.echo(
        write_overlay_of_trial(
            read_config(config_path), out, subject, trial=trial, camera=camera, show=show, quiet=quiet
        )
    )
