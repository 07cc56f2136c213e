"""`simspine run`, `simspine demo` and `simspine warmup`."""

from pathlib import Path

import click

from simspine.commands.options import FILE, cores_option, packaged


@click.command()
@click.argument("config", type=FILE, callback=packaged)
@cores_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--storage", help="Where relative paths are: a bucket, as s3://BUCKET or s3://BUCKET/PREFIX.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- SNAKEMAKE OPTIONS]")
def run(config, cores, dry_run, storage, options):
    """Run the whole workflow of the configuration file CONFIG, from any folder; what is done already is kept.

    CONFIG may also be the name of one that comes with simspine: demo, virtual. Relative paths in it count from the
    working directory, or in the --storage that is named. Whatever follows -- is handed on to Snakemake, such as
    -- --keep-going.
    """
    from simspine.config import read_config
    from simspine.workflow.launch import run_workflow
    from simspine.workflow.summary import print_summary

    run_workflow(config, cores, options, dry_run, storage)
    if dry_run:
        return
    if storage is None:
        print_summary(read_config(config))
    else:
        click.echo(f"results: {storage.rstrip('/')}/{Path(read_config(config).results).as_posix()}")


@click.command()
@cores_option
def demo(cores):
    """Reconstruct the packaged recording: four real videos in, vertebral kinematics and a report out."""
    from simspine.config import read_config
    from simspine.data_files import data_folder
    from simspine.workflow.launch import run_workflow
    from simspine.workflow.summary import print_summary

    config = data_folder("configs") / "demo.yaml"
    run_workflow(config, cores)
    print_summary(read_config(config))


@click.command()
def warmup():
    """Compile the solvers' kernels, once after installation; the first recording then starts at once."""
    from simspine.pipeline.warmup import compile_kernels

    click.echo("Compiling the kernels for this processor (once; up to a minute).")
    click.echo(f"done in {compile_kernels(click.echo):.0f} s")
