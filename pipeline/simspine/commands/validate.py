"""simspine validate: the paper's tables and figures for any data set."""

from pathlib import Path

import click

from simspine.commands.options import FILE, config_option


@click.command()
@click.argument("dataset", required=False, type=FILE)
@config_option(help="Configuration file; its results are taken where no DATASET is named.")
@click.option("--out", type=FILE, help="Folder for the files; default: validation/ beside it.")
def validate(dataset, config_path, out):
    """Write tables (CSV, Markdown) and figures (PNG, SVG) of curvature and range of motion of DATASET (HDF5).

    Each figure says what the data decided, and what the model or a prior did. Columns: docs/validation.md.
    """
    from simspine.errors import InputError
    from simspine.workflow.validating import write_validation

    if dataset is None:
        from simspine.config import read_config

        config = read_config(config_path)
        dataset = Path(config.results) / f"{config.name}.h5"
        if not dataset.exists():
            raise InputError(f"{dataset}: not there yet; run the stages up to export first, or name a data set.")
    beside = dataset if dataset.is_dir() else dataset.parent
    for path in write_validation(dataset, out or beside / "validation"):
        click.echo(path)
