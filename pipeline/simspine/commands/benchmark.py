"""simspine benchmark …: anyone's predictions, by the papers' protocols."""

from pathlib import Path

import click

from simspine.commands.options import FILE, FOLDER, HintingCommand
from simspine.commands.train import FRAMES_OF_LIFTING, chosen_options, lifting_options, say

_ALL_FRAMES = {"--frames": "all frames that predictions and truth have in common count; leave out others in the files."}


@click.group()
def benchmark():
    """Evaluate predictions of any method by the papers' protocols (docs/benchmarks.md).

    The published figures stand beside them, marked as of other data. `simspine bench` is something else: it measures
    simspine itself on this machine, speed and accuracy, beside goals.
    """


def _outputs(command):
    """Where results go, of all protocols."""
    for option in (
        click.option("--out", type=FOLDER, help="Folder for tables (text, Markdown, LaTeX, JSON)."),
        click.option(
            "--format", "form", type=click.Choice(["text", "markdown", "latex"]), default="text", show_default=True,
            help="What is printed.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def _compared(command):
    """Predictions, truth and people, of the protocols in space."""
    for option in (
        click.option("--subjects", default="S9,S11", show_default=True, help="Who is tested, by comma; or all."),
        click.option("--truth", type=FILE, help="Data set, virtual capture, table, or TRC files (points only)."),
        click.argument("predictions", nargs=-1, metavar="[NAME=]FILE..."),
    ):
        command = option(command)
    return _outputs(command)


def _finish(run, tables, out, form) -> None:
    from simspine.evaluation.tables import joined
    from simspine.workflow.benchmarking import publish

    click.echo(joined(form, tables))
    for path in publish(run, tables, out) if out is not None else []:
        click.echo(path, err=True)


def _run(name, files, truth, options):
    from simspine.workflow.benchmarking import BenchmarkRun, fingerprint

    return BenchmarkRun(name, {label: fingerprint(path) for label, path in files.items()}, fingerprint(truth), options)


def _wanted(predictions, truth):
    """Files by name; both are needed."""
    from simspine.workflow.benchmarking import named_files

    if not predictions or truth is None:
        raise click.UsageError("give predictions, as FILE or NAME=FILE, and --truth.")
    return named_files(predictions)


@benchmark.command("multiview")
@_compared
def benchmark_multiview(predictions, truth, subjects, form, out):
    """Points in the world from several views: MPJPE and P-MPJPE by region and action, mm."""
    from simspine.evaluation.multiview import evaluate_multiview
    from simspine.evaluation.sources import read_points, truth_for

    files = _wanted(predictions, truth)
    found = {name: read_points(path) for name, path in files.items()}
    true = truth_for(truth, (), _names(subjects))
    _finish(_run("multiview", files, truth, {"subjects": subjects}), evaluate_multiview(found, true), out, form)


@benchmark.command("offsets")
@click.argument("predictions", type=FILE)
@click.option("--truth", type=FILE, required=True, help="Data set, virtual capture, table, or TRC files.")
@click.option("--subjects", default="all", show_default=True, help="Whose points are known, by comma; or all.")
@click.option("--out", type=FILE, help="New file for them, as the section of a configuration (.yaml).")
@click.option("--format", "form", type=click.Choice(["text", "markdown", "latex"]), default="text", show_default=True)
def benchmark_offsets(predictions, truth, subjects, out, form):
    """What a detector's points are off by in everybody, mm, by region of the spine.

    PREDICTIONS: points in space of people whose true points are known: a table, TRC files, or a run's results, of which
    the triangulated points are taken. What is found tells inverse kinematics in other people what is the detector's,
    and what their bodies' (ik.detector_offsets of a configuration).
    """
    from simspine.errors import InputError
    from simspine.evaluation.offsets import measured_offsets, offsets_section, offsets_table
    from simspine.evaluation.sources import read_detected, truth_for
    from simspine.evaluation.tables import joined
    from simspine.formats.atomic import write_text

    if out is not None and Path(out).exists():
        raise InputError(f"{out}: there already, and would be lost; name a new file, and copy its section from there.")
    found = measured_offsets(read_detected(predictions), truth_for(truth, (), _names(subjects)))
    name = Path(predictions).resolve().stem
    section = None if out is None else offsets_section(name, found)
    click.echo(joined(form, [offsets_table(name, found)]))
    if section is not None:
        write_text(out, section)
        click.echo(out, err=True)


@benchmark.command("lifting", cls=HintingCommand, elsewhere={"--frames": f"{FRAMES_OF_LIFTING} Of a truth: --step."})
@_compared
@click.option(
    "--step",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Every n-th frame of the truth counts; 50 is 1 Hz.",
)
@click.option("--config", type=FILE, help="Without PREDICTIONS: YAML file of settings, as of `simspine train lifting`.")
@lifting_options
@click.option("--methods", default="", help="Without PREDICTIONS: only these of mean, nearest, ridge, simple, …")
@click.option("--points", type=click.Choice(["spine", "full"]), help="Only lifters of these points.")
@click.option("--input", "image", type=click.Choice(["detected", "truth"]), help="Only lifters of these image points.")
@click.option("--more-people", default=25, show_default=True, help="Synthetic subjects to learn from beside the five.")
@click.option("--work", type=FILE, default="results/lifting", show_default=True, help="Folder of checkpoints, curves.")
def benchmark_lifting(predictions, truth, subjects, step, form, out, **lifters):
    """Spine points from one view: P-MPJPE, MPJPE and N-MPJPE relative to the root, mm.

    Predictions in a camera's axes are compared with the truth of that camera, which must then hold cameras.

    Without predictions, controls and lifters are fitted to synthetic subjects first (--preset cpu if none is named),
    which takes minutes; the same command goes on with one that was killed.
    """
    from simspine.evaluation.lifting import evaluate_lifting
    from simspine.evaluation.sources import read_points, truth_for

    if not predictions and truth is None:
        return _lifters(form, out, **lifters)
    files = _wanted(predictions, truth)
    found = {name: read_points(path) for name, path in files.items()}
    true = truth_for(truth, [s for own in found.values() for s in own], _names(subjects), step)
    run = _run("lifting", files, truth, {"subjects": subjects, "step": step})
    _finish(run, evaluate_lifting(found, true, step), out, form)
    return None


def _lifters(form, out, config, preset, methods, points, image, more_people, work, **changes):
    from simspine.learning.runs import benchmark_rows, chosen_rows, run_lifting_benchmark
    from simspine.workflow.benchmarking import BenchmarkRun

    options = chosen_options(config, "cpu", preset, changes)
    settings = options.model_dump(mode="json", exclude={"method", "points", "input"}) | {"more_people": more_people}
    rows = chosen_rows(benchmark_rows(more_people), _names(methods), points, image)
    tables = run_lifting_benchmark(options, rows, work, more_people, say)
    _finish(BenchmarkRun("lifting", {row.name: "" for row in rows}, "", settings), tables, out, form)


@benchmark.command("angles", cls=HintingCommand, elsewhere=_ALL_FRAMES)
@_compared
def benchmark_angles(predictions, truth, subjects, form, out):
    """Rotation of each level, LLA and TKA, degrees: errors, errors of change, correlation, coverage of intervals.

    The papers have no such protocol; this one is ours. Controls that know no frame stand beside: the mean of the people
    of the truth who are not tested, and each trial's own true mean.
    """
    from simspine.evaluation.angle_tables import evaluate_angles
    from simspine.evaluation.angles import read_angles
    from simspine.evaluation.sources import of_subjects

    files = _wanted(predictions, truth)
    found = {name: read_angles(path) for name, path in files.items()}
    whole = read_angles(truth)
    tested = of_subjects(whole, _names(subjects))
    training = [sequence for sequence in whole if sequence not in tested]
    tables = evaluate_angles(found, tested, training)
    _finish(_run("angles", files, truth, {"subjects": subjects}), tables, out, form)


@benchmark.command("2d", cls=HintingCommand, elsewhere=_ALL_FRAMES)
@click.argument("predictions", nargs=-1, metavar="[NAME=]FILE...")
@click.option("--truth", type=FILE, help="COCO file of labels, or the folder of a copy of SpineTrack (its val2017).")
@_outputs
def benchmark_2d(predictions, truth, form, out):
    """Points in images: AP and AR over OKS of body, feet, spine and all points, AUC of PCK.

    Predictions are COCO results (a list) or annotations, with 37 points, or 35 without the latissimus.
    """
    from simspine.evaluation.images import evaluate_images, read_found, read_labels
    from simspine.sources.spinetrack import EVALUATION, annotation_file

    files = _wanted(predictions, truth)
    labels = annotation_file(truth, EVALUATION) if truth.is_dir() else truth
    people = read_labels(labels)
    found = {name: read_found(path, labels) for name, path in files.items()}
    _finish(_run("2d", files, labels, {}), evaluate_images(found, people), out, form)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
