"""simspine export and simspine verify: what leaves the pipeline, and whether it is still whole."""

import sys

import click

from simspine.commands.options import FILE


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
        from simspine.config import read_config
        from simspine.workflow.exchange import Choice, export_format

        choice = Choice(int(points), contents, public, tuple(test) or None, every)
        click.echo(export_format(read_config(stage_options["config_path"]), format_, choice, out))
        return None

    command.callback = callback
    command.params += [
        click.Option(
            ["--format", "format_"], type=click.Choice(["hdf5", "npz", "coco", "parquet", "netcdf", "c3d"]),
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
            help="With --format hdf5, parquet: angles leaves out points, poses and cameras.",
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
        click.Option(["--out"], type=FILE, help="With --format, --axes: folder to write."),
    ]  # fmt: skip


def _only_axes(format_, chosen) -> None:
    """What does not go with --axes."""
    if format_ is not None:
        raise click.UsageError("--axes goes without --format: it writes .mot files.")
    for name, given in chosen.items():
        if given and name not in ("--public", "--out"):
            raise click.UsageError(f"{name} goes with --format, not with --axes.")


@click.command()
@click.argument("path", type=FILE)
@click.option("--kinematics", is_flag=True, help="Also compute every point from the angles anew.")
def verify(path, kinematics):
    """Check the data set in the folder PATH against its manifest, or one HDF5 file by itself.

    Names each broken file and, in HDF5 files, trial and frames. Exit code 0: whole; 1: as exported, but
    something looks odd; 2: broken.
    """
    from simspine.dataset.verify import verify as check

    faults = check(path, kinematics)
    for fault in faults:
        click.secho(str(fault), fg="red" if fault.severity == "fault" else "yellow")
    broken = sum(fault.severity == "fault" for fault in faults)
    if not faults:
        # With a manifest every byte is checked; in a file by itself the arrays only.
        known = "whole." if path.is_dir() else "no array is damaged. Bytes outside arrays need the folder's manifest."
        click.echo(f"{path}: {known}")
    sys.exit(2 if broken else 1 if faults else 0)
