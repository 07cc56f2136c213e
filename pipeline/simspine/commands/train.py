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
@click.option("--method", help="mean, nearest, ridge; simple or temporal.")
@click.option("--points", type=click.Choice(["spine", "full"]), help="15 points of the spine, or all.")
@click.option("--input", type=click.Choice(["detected", "truth"]), help="Which image points go in.")
@click.option("--skeleton", help="Only points of this detector go in: blazepose33, blazepose_spine46, coco17, …")
@click.option("--out", type=FILE, default="results/lifting", show_default=True, help="Folder for all files.")
def train_lifting_command(config, preset, out, **changes):
    """Train one lifter: points in one view → points in space. CONFIG: a YAML file of settings.

    Writes predictions of the test subjects, tables, losses, a checkpoint each epoch, and of a network lifter.onnx,
    which `simspine detect --lift` takes. A killed run goes on by the same command; a checkpoint of other settings or
    data is refused. Networks need PyTorch (`simspine[learn]`).
    """
    from simspine.evaluation.tables import joined
    from simspine.learning.runs import train_lifting

    options = chosen_options(config, "cpu", preset, changes)
    click.echo(joined("text", train_lifting(options, out, say)))
    click.echo(out)


def say(line: str) -> None:
    """Progress, beside the results."""
    click.echo(line, err=True)


@train.command("spine", cls=HintingCommand, elsewhere={"--images": "name the folder in CONFIG (`data: {train: […]}`)."})
@click.argument("config", type=FILE)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training data.")
@click.option("--batch", type=click.IntRange(2), help="Crops at once.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where the network is trained.")
@click.option("--seed", type=click.IntRange(0), help="Decides weights, order and augmentation.")
@click.option("--teacher", type=FILE, help="weights.pt or an ONNX network with fewer points.")
@click.option(
    "--ablate",
    type=click.Choice(["losses", "teacher", "curriculum", "fractions", "all"]),
    help="Tables and a figure of detectors with some of the losses; without the teacher; with single stages; with 1 to "
    "100 % of the last training set; or with each of these in turn.",
)
@click.option("--out", type=FILE, default="results/spine-detector", show_default=True, help="Folder for all files.")
def train_spine_command(config, out, teacher, seed, ablate, **training):
    """Train a network that finds the spine in images. CONFIG: a YAML file of settings.

    \b
    A small one (configs/training/spine-detector.yaml has more):
      preset: cpu            # or paper
      data:
        train: [{folder: pictures}]      # `simspine capture render --out pictures`
        test: {folder: other-pictures}

    One or two sets of labelled images: rendered ones, SpineTrack's, or files of labels (COCO .json, MMPose .npz).
    Writes weights.pt, detector.onnx, losses.csv, and the figures of the test set beside those of the mean place in the
    box. A killed run goes on by the same command; a checkpoint of other settings or data is refused. Needs PyTorch
    (`simspine[learn]`).
    """
    from simspine.evaluation.tables import as_json, joined
    from simspine.formats.atomic import write_text
    from simspine.learning.spine2d.ablations import DRAWN, VARIED, run_detector_ablations
    from simspine.learning.spine2d.options import read_spine_options
    from simspine.learning.spine2d.runs import train_detector
    from simspine.report.ablation_figure import write_ablation_figure

    changes = {f"training.{key}": value for key, value in training.items()} | {"seed": seed}
    options = read_spine_options(config, **changes, teacher=None if teacher is None else str(teacher))
    if ablate is None:
        tables = train_detector(options, out, say).tables[:1]
    else:
        which = tuple(what for what in VARIED if what != "teacher" or options.teacher) if ablate == "all" else (ablate,)
        tables = run_detector_ablations(options, which, out, say)
        write_text(out / f"{ablate}.json", as_json(tables))
        write_ablation_figure(out / f"{ablate}.png", tables, DRAWN)
    if tables:
        click.echo(joined("text", tables))
    click.echo(out)
