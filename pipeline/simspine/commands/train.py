"""simspine train …: networks that learn from data sets."""

import click

from simspine.commands.options import FILE, HintingCommand

FRAMES_OF_LIFTING = "the length of synthetic trials is source.frames in a file of settings (`source: {frames: 500}`)."


@click.group()
def train():
    """Train networks, and controls for them, on synthetic subjects or a data set."""


def lifting_options(command):
    """What the commands on lifters have in common: where settings are from, and changes of single ones."""
    for option in reversed((
        click.option("--preset", help="Settings: cpu (minutes; the default), paper, or tiny (seconds)."),
        click.option("--dataset", type=FILE, help="Data set (HDF5) instead of synthetic subjects."),
        click.option("--detections", help="Synthetic subjects: exact, finetuned, zero-shot, or a YAML file."),
        click.option("--family", type=click.Choice(["centroids", "released"]), help="Which places spine points mean."),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where networks are trained."),
        click.option("--epochs", type=int, help="Passes over the training data."),
    )):  # fmt: skip
        command = option(command)
    return command


def chosen_options(config, default, preset, changes):
    """`LiftingOptions` from a file or a preset, with what the command line changes."""
    from simspine.errors import InputError
    from simspine.learning.options import preset_options, read_options

    names = {"dataset": "source.dataset", "detections": "source.detections", "family": "source.family"}
    names |= {"device": "training.device", "epochs": "training.epochs"}
    named = {names.get(key, key): str(value) if key == "dataset" else value for key, value in changes.items() if value}
    if config is not None and preset is not None:
        raise InputError("a file of settings and --preset were given; a file names its preset itself (key `preset`).")
    return preset_options(preset or default, **named) if config is None else read_options(config, **named)


@train.command("lifting", cls=HintingCommand, elsewhere={"--frames": FRAMES_OF_LIFTING})
@click.argument("config", required=False, type=FILE)
@lifting_options
@click.option("--method", help="mean, nearest, ridge; simple, temporal or angles.")
@click.option("--points", type=click.Choice(["spine", "full"]), help="15 points of the spine, or all.")
@click.option("--input", type=click.Choice(["detected", "truth"]), help="Which image points go in.")
@click.option("--out", type=FILE, default="results/lifting", show_default=True, help="Folder for all files.")
def train_lifting_command(config, preset, out, **changes):
    """Train one lifter: points in one view → points in space. CONFIG: a YAML file of settings.

    Writes predictions of the test subjects, tables, losses, and a checkpoint each epoch. A killed run goes on by the
    same command; a checkpoint of other settings or data is refused. Networks need PyTorch (`simspine[learn]`).
    """
    from simspine.evaluation.tables import joined
    from simspine.learning.runs import train_lifting

    options = chosen_options(config, "cpu", preset, changes)
    click.echo(joined("text", train_lifting(options, out, say)))
    click.echo(out)


def say(line: str) -> None:
    """Progress, beside the results."""
    click.echo(line, err=True)
