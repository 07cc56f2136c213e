"""Train one lifter: `python -m tools.lifting_baselines --help`."""

import click
from tools.lifting_baselines.options import lifting_options
from tools.lifting_baselines.runs import train_lifting

from simspine.cli.options import FILE_PATH
from simspine.cli.research import say_progress
from simspine.core.errors import InputError
from simspine.evaluation.tables import join_tables


def _chosen_options(config, preset, changes):
    """`LiftingOptions` from a file or a preset, with what the command line changes."""
    names = {"dataset": "source.dataset", "detections": "source.detections"}
    names |= {"device": "training.device", "epochs": "training.epochs"}
    named = {names.get(key, key): str(value) if key == "dataset" else value for key, value in changes.items() if value}
    if config is not None and preset is not None:
        raise InputError("a file of settings and --preset were given; a file names its preset itself (key `preset`).")
    return lifting_options(config or preset or "cpu", **named)


@click.command()
@click.argument("config", required=False, type=FILE_PATH)
@click.option("--preset", help="Settings: cpu (minutes; the default), paper, or tiny (seconds).")
@click.option("--dataset", type=FILE_PATH, help="Data set (HDF5) instead of synthetic subjects.")
@click.option("--detections", help="Synthetic subjects: exact, finetuned, zero-shot, or a YAML file.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where networks are trained.")
@click.option("--epochs", type=int, help="Passes over the training data.")
@click.option("--method", help="mean, nearest, ridge or simple.")
@click.option("--points", type=click.Choice(["spine", "full"]), help="15 points of the spine, or all.")
@click.option("--input", type=click.Choice(["detected", "truth"]), help="Which image points go in.")
@click.option("--out", type=FILE_PATH, default="results/lifting", show_default=True, help="Folder for all files.")
def main(config, preset, out, **changes):
    """Train one lifter: points in one view → points in space. CONFIG: a YAML file of settings.

    Writes predictions of the test subjects, tables, losses, and a checkpoint each epoch. A killed run goes on by the
    same command; a checkpoint of other settings or data is refused. Networks need PyTorch (`simspine[learn]`).
    """
    try:
        tables = train_lifting(_chosen_options(config, preset, changes), out, say_progress)
    except InputError as error:
        raise click.ClickException(str(error)) from None
    click.echo(join_tables(tables))
    click.echo(out)


if __name__ == "__main__":
    main()
