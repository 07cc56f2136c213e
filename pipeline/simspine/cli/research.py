"""simspine capture and simspine train: data with known truth, and training of networks."""

from contextlib import ExitStack
from pathlib import Path

import click

from simspine.cli.options import FILE_PATH, PairOfNumbers, config_option, quiet_option, say
from simspine.core.errors import InputError, require_known, safe_file_name


@click.group("capture")
def capture_group():
    """Make synthetic people whose spines are known."""


@capture_group.command("virtual")
@config_option("virtual", help="Configuration with a section `virtual`, or the name of a packaged one.")
@click.option("--out", type=FILE_PATH, help="Folder to write to, if not capture.human36m.")
@click.option("--subject", help="Only this subject (S1, S5, …); other processes can write others at the same time.")
@quiet_option
def capture_virtual_command(config, out, subject, quiet):
    """Simulate motions, cameras and a detector; no videos.

    Writes a folder in the layout of Human3.6M (positions as CDF files), 2D points in detections/
    and the truth in truth/: models, coordinates, vertebral centres, angles of every level, LLA and TKA. No videos.

    The same command continues an interrupted run. On one machine, the same settings give the same bytes.
    """
    write_configured(config, out, subject, quiet=quiet)


def write_configured(config, out: Path | None = None, subject: str | None = None, quiet=False) -> None:
    """Write the virtual capture that a configuration describes.

    out: folder to write, if not the configuration's. subject: only this one. `InputError` without section `virtual`.
    """
    from simspine.synthesis.capture_files import write_capture
    from simspine.workflow.inputs import progress_bar
    from simspine.workflow.up_to_date import hold_lock

    if config.virtual is None:
        raise InputError(f"the configuration {config.name!r} has no section `virtual`; see configs/virtual.yaml.")
    folder = Path(config.capture.human36m) if out is None else out
    with ExitStack() as locks:
        for name in [subject] if subject else config.subjects:
            busy = f"another process is writing the virtual capture of {name}"
            locks.enter_context(hold_lock(folder / f".{safe_file_name(name)}.lock", busy))
        progress = locks.enter_context(progress_bar("virtual capture, frames", quiet))
        written = write_capture(folder, config.virtual, progress, subject)
    say(f"{folder}: " + (f"trials written: {len(written)}" if written else "everything is there already"))


@capture_group.command("render")
@click.option("--out", type=FILE_PATH, required=True, help="Folder to write to.")
@click.option(
    "--preset",
    type=click.Choice(["spinetrack"]),
    help="25,000 pictures of 16 people in 10 actions by 5 fixed cameras; other options change single counts.",
)
@click.option("--images", type=click.IntRange(1), help="Number of pictures.  [default: 1000]")
@click.option("--people", type=click.IntRange(1), help="Number of different people.  [default: 16]")
@click.option("--fixed-cameras", type=click.IntRange(1), help="Number of cameras.  [default: one per picture]")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of all random numbers.")
@click.option(
    "--size",
    type=PairOfNumbers(32, 4096, "192x256"),
    default="192x256",
    show_default=True,
    help="Width x height of the pictures, px.",
)
@click.option(
    "--action", "actions", multiple=True, help="An action of the virtual capture; may be repeated. All if left out."
)
@click.option(
    "--backgrounds",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of images for the background, in addition to the rooms.",
)
@quiet_option
def capture_render_command(out, preset, seed, size, actions, backgrounds, quiet, **counts):
    """Render pictures with exact labels, in SpineTrack's layout.

    Writes images/train-unreal/, annotations/person_keypoints_train-unreal.json (37 points, hidden ones by the z-buffer,
    masks, cameras, points in space). On one machine, the same settings give the same bytes.
    """
    from dataclasses import replace

    from simspine.io.image_streams import images_in
    from simspine.synthesis.actions import ACTION_NAMES
    from simspine.synthesis.rendered_crops import SPINETRACK_COUNTS, RenderSettings, write_pictures
    from simspine.workflow.inputs import progress_bar
    from simspine.workflow.up_to_date import hold_lock

    background_images = () if backgrounds is None else images_in(backgrounds)
    require_known("action", actions, ACTION_NAMES)
    chosen = {name: value for name, value in (counts | {"actions": actions}).items() if value}
    base = RenderSettings() if preset is None else SPINETRACK_COUNTS
    settings = replace(base, seed=seed, size=size, backgrounds=background_images, **chosen)
    busy, advice = f"another process is rendering to {out}", "Wait for it, or name another folder."
    with hold_lock(out / ".lock", busy, 0.0, advice), progress_bar("rendering, pictures", quiet) as progress:
        written = write_pictures(out, settings, progress)
    say(f"{out}: {written} pictures")


@click.group("train")
def train_group():
    """Train networks that find the spine."""


def say_progress(line: str) -> None:
    """Print a line of progress to standard error."""
    say(line, err=True)


@train_group.command("spine")
@click.argument("config", type=FILE_PATH)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training data.")
@click.option("--batch", type=click.IntRange(2), help="Crops per batch.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Device that trains the network.")
@click.option("--seed", type=click.IntRange(0), help="Seed of weights, order and augmentation.")
@click.option("--teacher", type=FILE_PATH, help="weights.pt or an ONNX network with fewer points.")
@click.option(
    "--out", type=FILE_PATH, default="results/spine-detector", show_default=True, help="Folder for all files."
)
def train_spine_command(config, out, teacher, seed, **training):
    """Train a network that finds the spine in images. CONFIG: a YAML file of settings.

    \b
    A small example (configs/training/spine-detector.yaml has more):
      preset: cpu            # or paper
      data:
        train: [{folder: pictures}]      # `simspine capture render --out pictures`
        test: {folder: other-pictures}

    One or two sets of labelled images: rendered ones, SpineTrack's, or files of labels (COCO .json).
    Writes weights.pt, detector.onnx, losses.csv, and the figures of the test set and those of the mean place in the
    box. The same command continues a killed run; a checkpoint of other settings or data is refused. Needs PyTorch
    (`simspine[learn]`).
    """
    from simspine.evaluation.tables import join_tables
    from simspine.learning.options import spine_options
    from simspine.learning.spine_runs import train_detector

    changes = {f"training.{key}": value for key, value in training.items()} | {"seed": seed}
    options = spine_options(config, **changes, teacher=None if teacher is None else str(teacher))
    tables = train_detector(options, out, say_progress)
    if tables:
        say(join_tables([table for table in tables if table.name.startswith("spine_detector")]))
    say(out)
