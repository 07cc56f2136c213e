"""simspine bench …: speed and quality on this machine."""

import click

from simspine.commands.options import FILE


@click.group()
def bench():
    """Measure speed and quality on this machine; the goals are printed beside."""


def _write_figures(metrics, settings, path) -> None:
    import json

    from simspine.benchmark.report import as_json, as_table
    from simspine.formats.atomic import write_text

    click.echo(as_table(metrics))
    if path is not None:
        write_text(path, json.dumps(as_json(metrics, settings), indent=1) + "\n")


_json_option = click.option("--json", "path", type=FILE, help="File for the figures.")


@bench.command("ik")
@_json_option
@click.option("--opensim-frames", default=200, show_default=True, help="Frames that OpenSim solves.")
@click.option("--frames", default=5000, show_default=True, help="Frames that we solve; memory also at four times that.")
@click.option("--quick", is_flag=True, help="A few frames only: shows that it runs, not how fast.")
def bench_ik(path, opensim_frames, frames, quick):
    """Inverse kinematics beside OpenSim's."""
    from dataclasses import asdict

    from simspine.benchmark.ik import QUICK, TrialSize, measure

    size = QUICK if quick else TrialSize(opensim_frames, frames, 4 * frames)
    _write_figures(measure(size, lambda line: click.echo(line, err=True)), {"frames": asdict(size)}, path)


@bench.command("triangulation")
@_json_option
@click.option("--detections", type=FILE, help="npz to keep the detected points in.")
@click.option("--quick", is_flag=True, help="Synthetic views only, few frames.")
def bench_triangulation(path, detections, quick):
    """Triangulation of the demonstration's videos and of synthetic views."""
    from simspine.benchmark.triangulation import measure

    _write_figures(measure(detections, quick), {"quick": quick}, path)


@bench.command("accuracy")
@_json_option
@click.option("--subjects", default=7, show_default=True, help="Virtual people.")
@click.option("--actions", default="Walking,Sitting", show_default=True, help="One trial of each, by comma.")
@click.option("--frames", default=80, show_default=True, help="Frames of a trial.")
@click.option("--presets", default="exact,finetuned,zero-shot", show_default=True, help="Detectors, by comma.")
@click.option("--seed", default=1, show_default=True, help="Of the virtual capture.")
@click.option("--spines", default="published", show_default=True, help="Whose spines: published figures, or scans.")
@click.option("--ablate", is_flag=True, help="Also one thing changed at a time: what limits accuracy.")
@click.option("--quick", is_flag=True, help="One person, two short trials: shows that it runs.")
def bench_accuracy(path, actions, presets, ablate, quick, **sizes):
    """The pipeline against spines that are known, beside the published procedure."""
    import json
    from dataclasses import asdict, replace

    from simspine.benchmark.accuracy import QUICK, StudySize, measure
    from simspine.benchmark.accuracy_tables import side_by_side
    from simspine.benchmark.report import as_json, as_table
    from simspine.formats.atomic import write_text

    chosen = tuple(name.strip() for name in presets.split(","))
    size = StudySize(actions=tuple(action.strip() for action in actions.split(",")), **sizes)
    if quick:
        size = replace(QUICK, spines=size.spines)
    metrics, details = measure(size, chosen, ablate, progress=lambda line: click.echo(line, err=True))
    click.echo(side_by_side(details["totals"]) + "\n")
    click.echo(as_table([metric for metric in metrics if metric.goal is not None]))
    if ablate:
        click.echo("\n" + side_by_side(details["ablations"]["totals"]))
    if path is not None:
        settings = asdict(size) | {"presets": chosen, "ablate": ablate}
        write_text(path, json.dumps(as_json(metrics, settings) | details, indent=1) + "\n")
