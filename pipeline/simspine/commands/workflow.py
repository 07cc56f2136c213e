"""`simspine status` and `simspine job`."""

import json
import os
import sys
from pathlib import Path

import click

from simspine.commands.options import config_option


@click.command()
@config_option()
@click.option("--quiet", is_flag=True, help="Only what is not done.")
def status(config_path, quiet):
    """Say what is done, running, failed, stale or still to do, by subject and trial, and why.

    All results are compared with the checksums in their manifests, and these with inputs, settings and code as they
    are. Exit code: 0 if all is done, 1 if not, 2 bad input. `simspine run` does what is not done.
    """
    from simspine.config import read_config
    from simspine.workflow.status import DONE, states, status_lines

    found = states(read_config(config_path))
    open_ = [state for state in found if state.kind != DONE]
    for line in status_lines(open_ if quiet else found):
        click.echo(line)
    sys.exit(1 if open_ else 0)


@click.command()
@click.argument("name")
@config_option()
@click.option("--subject", help="Whose job it is; none for dataset and page.")
@click.option("--trial", help="Of which trial, for detect, markers and motion.")
@click.option("--cores", type=click.IntRange(1), default=1, show_default=True, help="Trials that page draws at a time.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where its relative paths count from; of the recordings only what the job reads must be there.",
)
@click.option("--content", help="The configuration itself as JSON, in place of what the file holds.")
def job(name, config_path, subject, trial, cores, folder, content):
    """One job of the workflow, some stages in one process, as the Snakefile calls it.

    NAME: capture, detect, cameras, markers, scale, motion, dataset or page. Does what is not done yet.
    """
    from simspine.config import check_config, read_config
    from simspine.errors import unknown_name
    from simspine.workflow.jobs import CAPTURE, JOBS, OF_ALL, capture_step, run_job
    from simspine.workflow.manifest import run_task

    names = (CAPTURE, *JOBS, *OF_ALL)
    if name not in names:
        raise unknown_name("job", name, names)
    if folder is not None:
        config_path = config_path.absolute()
        os.chdir(folder)
    config = read_config(config_path) if content is None else check_config(json.loads(content))
    if name == CAPTURE:
        from simspine.commands.capture import write_configured

        write_configured(config, config_path, subject=subject)
        step = capture_step(config, subject)
        run_task(step.manifest, step.task, step.module)
    else:
        run_job(config, name, subject, trial, cores, here=folder is None)
