"""simspine bench measures simspine itself; simspine benchmark evaluates any method's predictions."""

import sys
from pathlib import Path

import click

from simspine.cli.options import FILE_PATH, with_options
from simspine.core.errors import InputError


class _SourceGroup(click.Group):
    """The commands of `tools/bench`, which come with the source code, not with the package."""

    def _found(self) -> dict[str, click.Command]:
        source = Path(__file__).resolve().parents[3]
        if not (source / "tools/bench").is_dir():
            raise InputError("`simspine bench` needs simspine's source code; install it from a clone.")
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


_output_options = with_options(
    [click.option("--json", "json_path", type=FILE_PATH, help="File for the tables, with all settings.")]
)
_comparison_options = with_options(
    [
        click.argument("predictions", nargs=-1, metavar="[NAME=]FILE..."),
        click.option(
            "--truth", "--dataset", type=FILE_PATH, help="Data set, virtual capture, table, or TRC files (points only)."
        ),
        click.option("--subjects", default="S9,S11", show_default=True, help="Tested subjects, by comma; or all."),
        _output_options,
    ]
)


def names_by_comma(text: str) -> tuple[str, ...]:
    """Names separated by commas; 'none' stands for none."""
    return tuple(name.strip() for name in text.split(",") if name.strip() not in ("", "none"))


def _write_results(tables, protocol, files, output, **options) -> None:
    """Print the tables, and write them if asked. files: predictions by name, and the truth. output: values of
    `_output_options`. options: of the protocol."""
    from simspine.evaluation.tables import join_tables
    from simspine.workflow.results import write_benchmark_results

    click.echo(join_tables(tables))
    if output["json_path"] is not None:
        predictions, truth = files
        write_benchmark_results(output["json_path"], tables, protocol, predictions, truth=truth, options=options)


def _read_predictions(read, predictions, truth):
    """Files by name, and the predictions that `read` gives for them; a usage error without predictions or truth."""
    from simspine.workflow.results import named_files

    if not predictions or truth is None:
        raise click.UsageError("give predictions, as FILE or NAME=FILE, and --truth.")
    files = named_files(predictions)
    return files, {name: read(path) for name, path in files.items()}


@benchmark_group.command("multiview")
@_comparison_options
def benchmark_multiview_command(predictions, truth, subjects, **output):
    """Points in the world from several views: MPJPE, P-MPJPE, mm."""
    from simspine.evaluation.point_protocols import evaluate_multiview
    from simspine.evaluation.point_sources import read_points, truth_for

    files, predicted = _read_predictions(read_points, predictions, truth)
    tables = evaluate_multiview(predicted, truth_for(truth, (), names_by_comma(subjects)))
    _write_results(tables, "multiview", (files, truth), output, subjects=subjects)


@benchmark_group.command("lifting")
@_comparison_options
@click.option(
    "--step",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Use each n-th frame of the truth; 50 is 1 Hz.",
)
def benchmark_lifting_command(predictions, truth, subjects, step, **output):
    """Spine points from one view, relative to the root: P-MPJPE …, mm.

    Predictions in a camera's axes are compared with the truth in that camera's axes; the truth must contain cameras.
    """
    from simspine.evaluation.point_protocols import evaluate_lifting
    from simspine.evaluation.point_sources import read_points, truth_for

    files, predicted = _read_predictions(read_points, predictions, truth)
    sequences = [sequence for of_method in predicted.values() for sequence in of_method]
    tables = evaluate_lifting(predicted, truth_for(truth, sequences, names_by_comma(subjects), step), step)
    _write_results(tables, "lifting", (files, truth), output, subjects=subjects, step=step)


@benchmark_group.command("angles")
@_comparison_options
def benchmark_angles_command(predictions, truth, subjects, **output):
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
    _write_results(evaluate_angles(predicted, tested, training), "angles", (files, truth), output, subjects=subjects)


@benchmark_group.command("2d")
@click.argument("predictions", nargs=-1, metavar="[NAME=]FILE...")
@click.option(
    "--truth",
    "--dataset",
    type=FILE_PATH,
    help="COCO file of labels, or the folder of a copy of SpineTrack (its val2017).",
)
@_output_options
def benchmark_2d_command(predictions, truth, **output):
    """Points in images: AP and AR over OKS, AUC of PCK.

    Predictions are COCO results (a list) or annotations, with 37 points, or 35 without the latissimus.
    """
    from simspine.evaluation.point_protocols import evaluate_images, read_found_people, read_labelled_people
    from simspine.io.coco import annotation_file

    labels = annotation_file(truth) if truth is not None and truth.is_dir() else truth
    people = None if labels is None else read_labelled_people(labels)
    files, predicted = _read_predictions(lambda path: read_found_people(path, labels), predictions, labels)
    _write_results(evaluate_images(predicted, people), "2d", (files, labels), output)
