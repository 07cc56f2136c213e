"""simspine bench …: speed and quality on this machine."""

import click

from simspine.commands.options import FILE


@click.group()
def bench():
    """Measure speed and quality on this machine; the goals are printed beside.

    Predictions of any method, by the papers' protocols: `simspine benchmark`.
    """


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


@bench.command("workflow")
@_json_option
@click.option("--frames", default="2000,5000,20000", show_default=True, help="Lengths of the trials, by comma.")
@click.option("--detections", default="finetuned", show_default=True, help="Preset of the virtual detector.")
@click.option("--quick", is_flag=True, help="Short trials: shows that it runs, not what a frame costs.")
def bench_workflow(path, frames, detections, quick):
    """All stages from given 2D points, by length of the trial: processor time and memory of each."""
    import json

    from simspine.benchmark.report import as_json, as_table
    from simspine.benchmark.workflow import measure, table
    from simspine.formats.atomic import write_text

    try:
        lengths = [100, 200] if quick else [int(text) for text in _names(frames)]
    except ValueError:
        raise click.UsageError(f"--frames is {frames!r}; whole numbers by comma are wanted.") from None
    metrics, details = measure(lengths, detections, _say)
    click.echo(table(details["stages"], whole=not quick))
    if quick:  # starting a process takes longer than its frames: their cost and the goals cannot be told
        metrics = []
        click.echo(
            "\nThese trials are too short to tell what a frame costs: no slopes, no goals. Leave out --quick for them."
        )
    else:
        click.echo("\n" + as_table(metrics))
    if path is not None:
        settings = {"frames": lengths, "detections": detections}
        write_text(path, json.dumps(as_json(metrics, settings) | details, indent=1) + "\n")


@bench.command("accuracy")
@_json_option
@click.option("--subjects", default=7, show_default=True, help="Virtual people.")
@click.option("--actions", default="Walking,Sitting", show_default=True, help="From 2D points: one trial of each.")
@click.option("--frames", default=80, show_default=True, help="From 2D points: frames of a trial.")
@click.option("--presets", default="exact,finetuned,zero-shot", show_default=True, help="Detectors, by comma; or none.")
@click.option("--bodies", default="coupled,articulated", show_default=True, help="From 2D points: recipes; also paper.")
@click.option("--seed", default=1, show_default=True, help="Of the virtual capture.")
@click.option("--spines", default="published", show_default=True, help="From 2D points: published figures, or scans.")
@click.option("--families", default="published,scans,foreign", show_default=True, help="Of points in space; or none.")
@click.option("--points", default="exact,white,detector", show_default=True, help="How points in space are off.")
@click.option("--point-frames", default=500, show_default=True, help="From points in space: frames of a trial.")
@click.option("--point-actions", help="From points in space: by comma, or all.  [default: five, or the family's own]")
@click.option("--every", default=5, show_default=True, help="From points in space: every n-th frame is scored.")
@click.option("--quick", is_flag=True, help="One person, short trials: shows that it runs.")
def bench_accuracy(path, presets, families, points, **sizes):
    """The pipeline against spines that are known: from 2D points beside the published procedure, and from points in
    space beside baselines."""
    import json

    from simspine.benchmark.report import as_json
    from simspine.formats.atomic import write_text

    presets, families, points = (_names(text) for text in (presets, families, points))
    if not presets and not families:
        raise click.UsageError("nothing to measure: give --presets or --families, or both.")
    metrics, details, settings = [], {}, {"presets": presets, "families": families, "points": points}
    for chosen, part in ((presets, _from_images), (families, _from_points)):
        if chosen:
            found, more, used = part(chosen, points, sizes)
            metrics, details, settings = [*metrics, *found], details | more, settings | used
    if path is not None:
        write_text(path, json.dumps(as_json(metrics, settings) | details, indent=1) + "\n")


def _names(text: str) -> tuple[str, ...]:
    """Names by comma; 'none' is nothing."""
    return () if text.strip() == "none" else tuple(name.strip() for name in text.split(","))


def _from_images(presets, points, sizes):
    """Metrics, details and settings of the part of `bench accuracy` that starts from 2D points."""
    from dataclasses import asdict, replace

    from simspine.benchmark.accuracy import QUICK, StudySize, measure
    from simspine.benchmark.accuracy_tables import side_by_side
    from simspine.benchmark.report import as_table

    own = {name: sizes[name] for name in ("subjects", "frames", "seed", "spines")}
    size = (
        replace(QUICK, spines=own["spines"]) if sizes["quick"] else StudySize(actions=_names(sizes["actions"]), **own)
    )
    bodies = _names(sizes["bodies"])
    metrics, details = measure(size, presets, progress=_say, bodies=bodies)
    click.echo(side_by_side(details["totals"]) + "\n")
    click.echo(as_table([metric for metric in metrics if metric.goal is not None]))
    return metrics, details, asdict(size) | {"bodies": bodies}


def _from_points(families, points, sizes):
    """The same of the part that starts from points in space."""
    from dataclasses import asdict

    from simspine.benchmark.point_study import measure
    from simspine.benchmark.point_tables import tables
    from simspine.benchmark.point_trials import QUICK, PointStudySize
    from simspine.benchmark.report import as_table

    wanted = sizes["point_actions"]
    actions = wanted if wanted in (None, "all") else _names(wanted)
    own = PointStudySize(sizes["subjects"], sizes["point_frames"], sizes["every"], sizes["seed"], actions)
    size = QUICK if sizes["quick"] else own
    metrics, outcome = measure(size, families, points, progress=_say)
    click.echo(tables(outcome) + "\n")
    click.echo(as_table(metrics))
    return metrics, {"from_points": outcome.as_dict()}, {"from_points": asdict(size)}


def _say(line: str) -> None:
    click.echo(line, err=True)


@bench.command("faults")
@_json_option
@click.option("--kills", default=200, show_default=True, help="How often a run is ended by SIGKILL.")
@click.option("--seed", default=1, show_default=True, help="Of the moments.")
@click.option("--kills-only", is_flag=True, help="None of the other faults.")
@click.option("--quick", is_flag=True, help="A few kills over one trial: shows that it runs.")
def bench_faults(path, kills, seed, kills_only, quick):
    """Kills, a full disk, missing rights and memory, ctrl-C, two runs at once: what happens, and what the same command
    makes of it then. Exit code 1 if results differ, files are left over or finished work is repeated."""
    import json
    import sys

    from simspine.benchmark.faults import as_dicts, measure, table
    from simspine.formats.atomic import write_text

    kills = min(kills, 3) if quick else kills
    found = measure(kills, quick, seed, _say, kills_only)
    click.echo(table(found))
    if path is not None:
        write_text(path, json.dumps({"kills": kills, "seed": seed, "outcomes": as_dicts(found)}, indent=1) + "\n")
    if not all(one.good for one in found):
        sys.exit(1)
