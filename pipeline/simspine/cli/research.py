"""simspine capture, train, bench, benchmark: data with known truth, training of networks, measurements of simspine
itself, and evaluation of any method's predictions.
"""

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click

from simspine.cli.options import FILE_PATH, PairOfNumbers, config_option, json_option, quiet_option, say, with_options
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
    from simspine.synthesis.virtual_trial import write_capture
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
        written = write_capture(folder, config.virtual, progress, subject, replacing=out is None)
    say(f"{folder}: " + (f"trials written: {len(written)}" if written else "everything is there already"))


@capture_group.command("render")
@click.option("--out", type=FILE_PATH, required=True, help="Folder to write to.")
@click.option("--preset", type=click.Choice(["spinetrack"]),
              help="25,000 pictures of 16 people in 10 actions by 5 fixed cameras; other options change single "
              "counts.")  # fmt: skip
@click.option("--images", type=click.IntRange(1), help="Number of pictures.  [default: 1000]")
@click.option("--people", type=click.IntRange(1), help="Number of different people.  [default: 16]")
@click.option("--fixed-cameras", type=click.IntRange(1), help="Number of cameras.  [default: one per picture]")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of all random numbers.")
@click.option("--size", type=PairOfNumbers(32, 4096, "192x256"), default="192x256", show_default=True,
              help="Width x height of the pictures, px.")  # fmt: skip
@click.option("--action", "actions", multiple=True,
              help="An action of the virtual capture; may be repeated. All if left out.")  # fmt: skip
@click.option("--backgrounds", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of images for the background, in addition to the rooms.")  # fmt: skip
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


say_progress = partial(say, err=True)  # a line of a long command


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


class _SourceGroup(click.Group):
    """The commands of `tools/bench`, which come with the source code, not with the package."""

    def _found(self) -> dict[str, click.Command]:
        source = Path(__file__).resolve().parents[3]
        if not (source / "tools/bench").is_dir():
            raise InputError("`simspine bench` needs the source code: `pip install -e .` in a clone.")
        if str(source) not in sys.path:
            sys.path.insert(0, str(source))
        from tools.bench.commands import COMMANDS

        return {str(command.name): command for command in COMMANDS}

    def list_commands(self, ctx):
        return list(self._found())

    def get_command(self, ctx, cmd_name):
        return self._found().get(cmd_name)


@click.group("bench", cls=_SourceGroup)
def bench_group():
    """Measure speed and accuracy of simspine on this machine; needs its source code.

    `simspine benchmark` evaluates predictions of any method by the papers' protocols.
    """


@click.group("benchmark")
def benchmark_group():
    """Evaluate predictions of any method by the papers' protocols (docs/benchmarks.md).

    Published figures are printed as well, marked as from other data. `simspine bench` is another command: it measures
    speed and accuracy of simspine itself on this machine, against goals.
    """


_comparison_options = with_options([
    click.argument("predictions", nargs=-1, metavar="[NAME=]FILE..."),
    click.option("--truth", "--dataset", type=FILE_PATH,
                 help="Data set, virtual capture, table, or TRC files (points only)."),
    click.option("--subjects", default="S9,S11", show_default=True, help="Tested subjects, by comma; or all."),
    json_option,
])  # fmt: skip


def names_by_comma(text: str) -> tuple[str, ...]:
    """Names separated by commas; none where the text is 'none'."""
    return tuple(name.strip() for name in text.split(",") if name.strip() not in ("", "none"))


def _write_results(tables, protocol, files, json_path, **options) -> None:
    """Print the tables, and write them if asked. files: predictions by name, and the truth. options: of the protocol"""
    from simspine.evaluation.tables import join_tables
    from simspine.workflow.results import write_benchmark_results

    click.echo(join_tables(tables))
    if json_path is not None:
        predictions, truth = files
        if json_path.resolve() in map(Path.resolve, predictions.values()):
            raise InputError(f"{json_path} is one of the predictions, and would be replaced; name another file.")
        write_benchmark_results(json_path, tables, protocol, predictions, truth=truth, options=options)


def _read_predictions(read, predictions, truth):
    """Files by name, and the predictions that `read` gives for them; a usage error without predictions or truth."""
    from simspine.workflow.results import named_files

    if not predictions or truth is None:
        raise click.UsageError("give predictions, as FILE or NAME=FILE, and --truth.")
    files = named_files(predictions)
    return files, {name: read(path) for name, path in files.items()}


@benchmark_group.command("multiview")
@_comparison_options
def benchmark_multiview_command(predictions, truth, subjects, json_path):
    """Points in the world from several views: MPJPE, P-MPJPE, mm."""
    from simspine.evaluation.point_protocols import evaluate_multiview
    from simspine.evaluation.point_sources import read_points, truth_for

    files, predicted = _read_predictions(read_points, predictions, truth)
    tables = evaluate_multiview(predicted, truth_for(truth, (), names_by_comma(subjects)))
    _write_results(tables, "multiview", (files, truth), json_path, subjects=subjects)


@benchmark_group.command("lifting")
@_comparison_options
@click.option("--step", type=click.IntRange(min=1), default=50, show_default=True,
              help="Use each n-th frame of the truth; 50 is 1 Hz.")  # fmt: skip
def benchmark_lifting_command(predictions, truth, subjects, step, json_path):
    """Spine points from one view, relative to the root: P-MPJPE …, mm.

    Predictions in a camera's axes are compared with the truth in that camera's axes; the truth must contain cameras.
    """
    from simspine.evaluation.point_protocols import evaluate_lifting
    from simspine.evaluation.point_sources import read_points, truth_for

    files, predicted = _read_predictions(read_points, predictions, truth)
    sequences = [sequence for of_method in predicted.values() for sequence in of_method]
    tables = evaluate_lifting(predicted, truth_for(truth, sequences, names_by_comma(subjects), step), step)
    _write_results(tables, "lifting", (files, truth), json_path, subjects=subjects, step=step)


@benchmark_group.command("angles")
@_comparison_options
def benchmark_angles_command(predictions, truth, subjects, json_path):
    """Angles of levels, LLA and TKA: errors, correlation, coverage.

    The papers have no such protocol; simspine defines it. Constant controls are printed as well: the mean of the people
    of the truth who are not tested, and each trial's own true mean.
    """
    from simspine.evaluation.angle_protocol import evaluate_angles, read_angles
    from simspine.evaluation.point_sources import sequences_of_subjects

    files, predicted = _read_predictions(read_angles, predictions, truth)
    sequences = read_angles(truth)
    tested = sequences_of_subjects(sequences, names_by_comma(subjects))
    training = [sequence for sequence in sequences if sequence not in tested]
    _write_results(evaluate_angles(predicted, tested, training), "angles", (files, truth), json_path, subjects=subjects)


@benchmark_group.command("2d")
@click.argument("predictions", nargs=-1, metavar="[NAME=]FILE...")
@click.option("--truth", "--dataset", type=FILE_PATH,
              help="COCO file of labels, or the folder of a copy of SpineTrack (its val2017).")  # fmt: skip
@json_option
def benchmark_2d_command(predictions, truth, json_path):
    """Points in images: AP and AR over OKS, AUC of PCK.

    Predictions are COCO results (a list) or annotations, with 37 points, 35 without the latissimus, 26 (Halpe) or 17.
    """
    from simspine.evaluation.point_protocols import evaluate_images, read_found_people, read_labelled_people
    from simspine.io.coco import annotation_file

    labels = annotation_file(truth) if truth is not None and truth.is_dir() else truth
    people = None if labels is None else read_labelled_people(labels)
    files, predicted = _read_predictions(lambda path: read_found_people(path, labels), predictions, labels)
    _write_results(evaluate_images(predicted, people), "2d", (files, labels), json_path)
