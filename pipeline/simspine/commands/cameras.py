"""simspine cameras: where are they, do they agree with what they saw, and what makes them agree?"""

from pathlib import Path

import click

from simspine.commands.calibrate import board_of, board_options, calibrate
from simspine.commands.options import FILE, config_option

subject_option = click.option("--subject", help="Subject; all of them together if left out.")
trial_option = click.option("--trial", help="One trial of the subject; all of them together if left out.")
json_option = click.option("--json", "json_path", type=FILE, help="Write the figures as JSON, too.")


@click.group()
def cameras():
    """Calibrate cameras, check them by the person they saw, refine their calibration, find views that run late.

    check, refine and sync look at the 2D points of finished detections; where there are none yet, the stage detect
    runs first. calibrate finds cameras from videos alone.
    """


cameras.add_command(calibrate)


@cameras.command("board")
@board_options
@click.option("--out", required=True, type=FILE, help="File to print: .pdf, .svg or .png.")
def print_board_command(squares, size_mm, pattern, marker_mm, dictionary, out):
    """Write a calibration board to print at its true size."""
    from simspine.report.board import write_board

    board = board_of(squares, size_mm, pattern, marker_mm, dictionary)
    write_board(out, board)
    click.echo(f"{out} written: {board}. Print it at 100 %, glue it to something flat, and measure a square.")


@cameras.command("check")
@config_option()
@subject_option
@trial_option
@json_option
def check_command(config_path, subject, trial, json_path):
    """Compare each camera with the others; name those that are off, late, mirrored or exchanged.

    Exit code: 0 no fault, 3 faults, 2 bad input.
    """
    from simspine.config import read_config
    from simspine.workflow.rigs import print_check

    if print_check(read_config(config_path), subject, trial, json_path):
        raise SystemExit(3)


@cameras.command("refine")
@config_option()
@subject_option
@trial_option
@click.option("--out", required=True, type=FILE, help="Calibration to write (.toml, Pose2Sim's format).")
@json_option
def refine_command(config_path, subject, trial, out, json_path):
    """Write a calibration that agrees with what the cameras saw; the given one stays as it is.

    Only what the recording shows is changed, and by how many standard deviations is said for each value. World and
    scale stay the given calibration's.
    """
    from simspine.config import read_config
    from simspine.workflow.rigs import print_refinement

    print_refinement(read_config(config_path), subject, trial, Path(out), json_path)


@cameras.command("sync")
@config_option()
@click.option("--subject", help="Subject; the first if left out.")
@click.option("--trial", help="Trial; the first if left out.")
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="VIEW=FRAME",
    help="Frame at which a view shows an event that all show, such as a clap; once for each. The recording is not "
    "looked at; with --config views and frames are checked.",
)
@json_option
@click.pass_context
def sync_command(context, config_path, subject, trial, events, json_path):
    """Say by how many frames each view is late, to a fraction of a frame, as `delays` to paste into the trial.

    Views may be up to 60 frames apart; with `delays: find` in the trial up to 10 seconds, and other lengths.
    """
    from simspine.config import read_config
    from simspine.workflow.events import delays_of_events, frames_of_views
    from simspine.workflow.rigs import print_delays, print_delays_of_events

    if events:
        chosen = context.get_parameter_source("config_path") is not click.core.ParameterSource.DEFAULT
        views = frames_of_views(read_config(config_path), subject, trial) if chosen else None
        print_delays_of_events(delays_of_events(events, views), json_path)
        return
    print_delays(read_config(config_path), subject, trial, json_path)
