"""simspine check: what quality control says about a data set, with an exit code for scripts."""

import sys

import click

from simspine.commands.options import config_option


@click.command()
@config_option()
@click.option("--quiet", is_flag=True, help="Only the files and the exit code.")
def check(config_path, quiet):
    """Sum up the quality of all trials: quality.csv, quality.json, and a table.

    Exit code: 0 nothing worse than an info, 3 warnings, 1 errors (frames were rejected), 2 bad input. The stage
    `quality` decides on each trial and never fails for what it finds; this command reads what it said.
    """
    from simspine.config import read_config
    from simspine.quality.overview import exit_code
    from simspine.workflow.checking import print_quality, write_quality

    config = read_config(config_path)
    verdicts = write_quality(config)
    if not quiet:
        print_quality(config, verdicts)
    sys.exit(exit_code(verdicts))
