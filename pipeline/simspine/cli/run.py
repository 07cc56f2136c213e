"""simspine run, demo, back, warmup, status, job; and simspine model: body models."""

import json
import sys

import click

from simspine.cli.options import FILE_PATH, FOLDER_PATH, config_option, cores_option, packaged_config


@click.command("run")
@click.argument("config", type=FILE_PATH, callback=packaged_config)
@cores_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- SNAKEMAKE OPTIONS]")
def run_command(config, cores, dry_run, options):
    """Run the whole workflow of the configuration file CONFIG, from any folder; what is done already is kept.

    CONFIG may also be the name of one that comes with simspine: demo, virtual. Relative paths in it count from the
    working directory. Whatever follows -- is handed on to Snakemake, such as -- --keep-going.
    """
    from simspine.workflow.config import read_config
    from simspine.workflow.dataset import print_summary
    from simspine.workflow.launch import run_workflow

    run_workflow(config, cores, options, dry_run=dry_run)
    if not dry_run:
        print_summary(read_config(config))


@click.command("demo")
@cores_option
def demo_command(cores):
    """Reconstruct the packaged recording: four real videos in, vertebral kinematics and a report out."""
    from simspine.core.settings import data_folder
    from simspine.workflow.config import read_config
    from simspine.workflow.dataset import print_summary
    from simspine.workflow.launch import run_workflow

    config = data_folder("configs") / "demo.yaml"
    run_workflow(config, cores)
    print_summary(read_config(config))


@click.command("back")
@click.argument("file", type=FILE_PATH)
@click.option("--out", type=FOLDER_PATH, help="Folder for the results.  [default: <FILE>_spine beside it]")
@click.option(
    "--line", type=FILE_PATH, help="CSV file of the midline, where FILE is a scan (.ply) without marked points."
)
@click.option(
    "--unit", type=click.Choice(["m", "dm", "cm", "mm", "in"]), help="Of FILE.  [default: by the back's length]"
)
@click.option(
    "--frame", type=click.Choice(["y_up", "z_up"]), help="Of FILE.  [default: y_up; markers: as the file says]"
)
@click.option("--heading", type=float, help="Where the person faces, degrees from x to the left; needed without PSIS.")
@click.option("--height", type=float, help="Of the person, m.")
@click.option("--mass", type=float, help="Of the person, kg.")
def back_command(file, out, line, unit, frame, heading, height, mass):
    """From a line on the skin of the back to the spine under it: FILE → report, table and data set.

    FILE: a CSV file with columns x, y, z (and name for C7, LPSIS, RPSIS), from C7 down; markers (.trc, .c3d); or a
    scan of the back (.ply) with the midline's points painted red.
    """
    import math

    from simspine.io.back_line import read_back_line
    from simspine.reconstruction.spine_from_back import spine_from_back

    found = read_back_line(file, unit, line)
    result = spine_from_back(
        found.points,
        c7=found.c7,
        psis=found.psis,
        height=height,
        mass=mass,
        heading=None if heading is None else math.radians(heading),
        rate=found.rate or 30.0,
        frame=frame or found.frame or "y_up",
    )
    folder = out or file.with_name(f"{file.stem}_spine")
    folder.mkdir(parents=True, exist_ok=True)
    files = [result.save(folder / "spine.h5"), result.report(folder / "report.html")]
    click.echo(f"{found.points.shape[0]} frame(s), a line of {found.points.shape[1]} points, read in {found.unit}")
    for name, values, sd in (
        ("lumbar lordosis", result.lla, result.spine.lla_sd),
        ("thoracic kyphosis", result.tka, result.spine.tka_sd),
    ):
        click.echo(
            f"{name} of the first frame: {math.degrees(values[0]):.0f} ± {1.96 * math.degrees(sd[0]):.0f}° (95 %)"
        )
    for finding in result.findings:
        click.echo(f"{finding.severity}: {finding.message} {finding.suggestion}")
    for written in files:
        click.echo(written)


@click.command("warmup")
def warmup_command():
    """Compile the solvers' kernels, once after installation; the first recording then starts at once."""
    from simspine.workflow.setup import compile_kernels

    click.echo("Compiling the kernels for this processor (once; up to a minute).")
    click.echo(f"done in {compile_kernels(click.echo):.0f} s")


@click.command("status")
@config_option()
@click.option("--quiet", is_flag=True, help="Only what is not done.")
def status_command(config_path, quiet):
    """Say what is done, running, failed, stale or still to do, by subject and trial, and why.

    All results are compared with the checksums in their manifests, and these with inputs, settings and code as they
    are. Exit code: 0 if all is done, 1 if not, 2 bad input. `simspine run` does what is not done.
    """
    from simspine.workflow.config import read_config
    from simspine.workflow.jobs import STATE_DONE, stage_states, status_lines

    found = stage_states(read_config(config_path))
    open_ = [state for state in found if state.kind != STATE_DONE]
    for line in status_lines(open_ if quiet else found):
        click.echo(line)
    sys.exit(1 if open_ else 0)


@click.command("job")
@click.argument("name")
@config_option()
@click.option("--subject", help="Whose job it is; none for dataset and page.")
@click.option("--trial", help="Of which trial, for detect, markers and motion.")
@click.option("--cores", type=click.IntRange(1), default=1, show_default=True, help="Trials that page draws at a time.")
@click.option("--content", help="The configuration itself as JSON, in place of what the file holds.")
def job_command(name, config_path, subject, trial, cores, content):
    """One job of the workflow, some stages in one process, as the Snakefile calls it.

    NAME: capture, detect, cameras, markers, scale, motion, dataset or page. Does what is not done yet.
    """
    from simspine.core.errors import unknown_name
    from simspine.workflow.config import check_config, read_config
    from simspine.workflow.jobs import CAPTURE_JOB, JOBS_OF_ALL, STAGES_OF_JOB, capture_step, run_job
    from simspine.workflow.up_to_date import run_task

    names = (CAPTURE_JOB, *STAGES_OF_JOB, *JOBS_OF_ALL)
    if name not in names:
        raise unknown_name("job", name, names)
    config = read_config(config_path) if content is None else check_config(json.loads(content))
    if name == CAPTURE_JOB:
        from simspine.cli.research import write_configured

        write_configured(config, config_path, subject=subject)
        step = capture_step(config, subject)
        run_task(step.manifest, step.task, step.stage)
    else:
        run_job(config, name, subject, trial=trial, cores=cores)


@click.group("model")
def model_group():
    """Body models."""


@model_group.command("build")
@click.argument("name")
@click.option("--markers", default="simspine-release", show_default=True, help="Marker set.")
@click.option("--out", required=True, type=FILE_PATH, help="OpenSim model to write.")
def build_command(name, markers, out):
    """Write the body of the recipe NAME as an OpenSim model."""
    from simspine.anatomy.recipes import build_body

    build_body(name, markers).write_osim(out)
    click.echo(out)
