"""The commands of `simspine bench`."""

import click

from simspine.cli.options import FILE_PATH, FOLDER_PATH
from simspine.cli.research import names_by_comma, say_progress


def _write_json(path, content) -> None:
    import json

    from simspine.io.atomic import write_text

    if path is not None:
        write_text(path, json.dumps(content, indent=1) + "\n")


def _write_figures(metrics, settings, path) -> None:
    from tools.bench.figures import benchmark_json, metrics_table

    click.echo(metrics_table(metrics))
    _write_json(path, benchmark_json(metrics, settings))


_json_option = click.option("--json", "path", type=FILE_PATH, help="File for the figures.")


@click.command("ik")
@_json_option
@click.option("--frames", default=5000, show_default=True, help="Frames that we solve; memory also at four times that.")
@click.option("--quick", is_flag=True, help="A few frames only: shows that it runs, not how fast.")
def bench_ik_command(path, frames, quick):
    """Inverse kinematics, compared with OpenSim's."""
    from dataclasses import asdict

    from tools.bench.engines import QUICK_TRIALS, TrialSize, measure_ik

    size = QUICK_TRIALS if quick else TrialSize(ours=frames, long=4 * frames)
    _write_figures(measure_ik(size, say_progress), {"frames": asdict(size)}, path)


@click.command("triangulation")
@_json_option
@click.option("--quick", is_flag=True, help="Synthetic views only, few frames.")
def bench_triangulation_command(path, quick):
    """Triangulation of the demonstration's videos and of synthetic views."""
    from tools.bench.engines import measure_triangulation

    _write_figures(measure_triangulation(quick), {"quick": quick}, path)


@click.command("workflow")
@_json_option
@click.option("--frames", default="2000,5000,20000", show_default=True, help="Lengths of the trials, by comma.")
@click.option("--quick", is_flag=True, help="Short trials: shows that it runs, not what a frame costs.")
def bench_workflow_command(path, frames, quick):
    """All stages from given 2D points, by length of the trial: processor time and memory of each."""
    from tools.bench.figures import benchmark_json, metrics_table
    from tools.bench.workflow import measure_workflow, stage_costs_table

    try:
        lengths = [100, 200] if quick else [int(text) for text in names_by_comma(frames)]
    except ValueError:
        raise click.UsageError(f"--frames is {frames!r}; whole numbers by comma are wanted.") from None
    metrics, details = measure_workflow(lengths, say_progress)
    click.echo(stage_costs_table(details["stages"]))
    if quick:  # starting a process takes longer than its frames: their cost cannot be measured
        metrics = []
    short = "These trials are too short to show what a frame costs: no slopes, no goals. Leave out --quick for them."
    click.echo("\n" + (metrics_table(metrics) if metrics else short))
    _write_json(path, benchmark_json(metrics, {"frames": lengths}) | details)


@click.command("accuracy")
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
@click.option("--quick", is_flag=True, help="One person, short trials: shows that it runs.")
def bench_accuracy_command(path, presets, families, points, **sizes):
    """The pipeline compared with spines that are known, from 2D points and from points in space.

    The published procedure and trivial baselines get the same points.
    """
    from dataclasses import asdict

    from tools.bench.accuracy import measure_from_images, measure_from_points, study_tables
    from tools.bench.figures import benchmark_json
    from tools.bench.study_trials import StudySize

    presets, families, points, actions, bodies = (
        names_by_comma(text) for text in (presets, families, points, sizes["actions"], sizes["bodies"])
    )
    people = {"subjects": 1 if sizes["quick"] else sizes["subjects"], "seed": sizes["seed"]}
    lengths = (40, 100) if sizes["quick"] else (sizes["frames"], sizes["point_frames"])
    settings = {"presets": presets, "bodies": bodies, "spines": sizes["spines"], "families": families, "points": points}
    found = {}
    if presets:
        size = StudySize(frames=lengths[0], every=1, actions=actions, **people)
        settings["from_images"] = asdict(size)
        found["from_images"] = measure_from_images(size, sizes["spines"], presets, bodies, progress=say_progress)
    if families:
        size = StudySize(frames=lengths[1], **people)
        settings["from_points"] = asdict(size)
        found["from_points"] = measure_from_points(size, families, points, progress=say_progress)
    if not found:
        raise click.UsageError("nothing to measure: give --presets or --families, or both.")
    for outcome in found.values():
        click.echo(study_tables(outcome) + "\n")
    _write_json(path, benchmark_json([], settings) | {name: outcome.as_dict() for name, outcome in found.items()})


@click.command("radiographs")
@click.argument("folder", type=FOLDER_PATH)
@_json_option
@click.option("--figure", type=FILE_PATH, help="PNG file for Bland–Altman figures.")
def bench_radiographs_command(folder, path, figure):
    """Backs with registered radiographs: the spine from the line on the skin, compared with simple rules.

    FOLDER holds one npz file a study: people, and of each person back_k, centres_k, marks_k (mm; forward, up, right).
    """
    from tools.bench.radiographs import (
        interval_table,
        person_rows,
        radiograph_table,
        read_radiographed_people,
    )

    from simspine.evaluation.tables import evaluation_data, evaluation_markdown

    people = read_radiographed_people(folder, say_progress)
    tables, rows = [radiograph_table(people), interval_table(people)], person_rows(people)
    for table in tables:
        click.echo(evaluation_markdown(table))
    if figure is not None:
        from tools.bench.figures import agreement_figure

        from simspine.io.atomic import atomic_path

        with atomic_path(figure) as temporary:
            agreement_figure(rows, ("kyphosis", "lordosis")).savefig(
                temporary, format="png", dpi=150, facecolor="white"
            )
    _write_json(path, {"tables": [evaluation_data(table) for table in tables], "people": rows})


@click.command("real")
@_json_option
@click.option("--gait", type=FILE_PATH, help="npz of people with markers on C7, T2, T6, T10, T12 and the sacrum.")
@click.option("--ct", type=FILE_PATH, help="npz of angles between vertebrae of the same people prone and supine.")
def bench_real_command(path, gait, ct):
    """People who exist: a marker on the back left out in gait, and single levels in two postures."""
    from dataclasses import asdict

    from tools.bench.real_people import (
        ct_table,
        gait_tables,
        misplaced_levels,
        read_ct_pairs,
        read_gait_people,
        score_gait,
    )

    from simspine.evaluation.tables import evaluation_json, join_tables
    from simspine.io.atomic import write_text

    if gait is None and ct is None:
        raise click.UsageError("nothing to measure: give --gait or --ct, or both.")
    pairs, tables, trials = None if ct is None else read_ct_pairs(ct), [], []
    if gait is not None:
        people = read_gait_people(gait)
        trials = score_gait(people, progress=say_progress)
        tables += gait_tables(trials, misplaced_levels(people))
    if pairs is not None:
        tables.append(ct_table(*pairs))
    click.echo(join_tables(tables))
    if path is not None:
        write_text(path, evaluation_json(tables, trials=[asdict(trial) for trial in trials]))


@click.command("faults", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[--every-write] [--help]")
def bench_faults_command(options):
    """Kills, a full disk, missing memory, ctrl-C: what happens, and what the same command makes of it then."""
    from tools.faults.__main__ import main

    main(list(options))


COMMANDS = (
    bench_ik_command,
    bench_triangulation_command,
    bench_workflow_command,
    bench_accuracy_command,
    bench_radiographs_command,
    bench_real_command,
    bench_faults_command,
)
