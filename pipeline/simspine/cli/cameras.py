"""simspine cameras: calibrate, check, refine and synchronise cameras."""

import click

from simspine.cli import options
from simspine.cli.options import FILE_PATH, config_option, joint_trial_options, json_option, with_options

board_options = with_options(
    [
        click.option(
            "--squares",
            required=True,
            type=options.PairOfNumbers(1, 999, "7x5"),
            help="Columns x rows of squares, such as 7x5.",
        ),
        click.option("--size-mm", type=float, required=True, help="Side of a square, measured on the print."),
        click.option("--marker-mm", type=float, help="Side of the markers.  [default: 3/4 of a square]"),
        click.option("--dictionary", default="4X4_50", show_default=True, help="ArUco dictionary of the markers."),
    ]
)


def board_from_options(squares, size_mm, marker_mm, dictionary):
    from simspine.vision.board import Board

    marker = 0.75 * size_mm if marker_mm is None else marker_mm
    return Board(*squares, size_mm / 1000, marker / 1000, dictionary)


@click.group("calibrate")
def calibrate_group():
    """Find lenses and positions of cameras."""


@calibrate_group.command("board")
@click.argument("recordings", metavar="VIDEOS...", nargs=-1, required=True, type=FILE_PATH)
@board_options
@click.option(
    "--lens", type=click.Choice(["perspective", "rational", "fisheye"]), default="perspective", show_default=True
)
@click.option(
    "--floor", type=int, required=True, metavar="FRAME", help="Frame with the board on the floor: defines the world."
)
@click.option("--frames", type=click.IntRange(1), default=200, show_default=True, help="Frames used, evenly spread.")
@click.option("--out", required=True, type=FILE_PATH, help="Calibration to write (.toml, Pose2Sim's format).")
@json_option
def calibrate_board_command(
    recordings, squares, size_mm, marker_mm, dictionary, lens, floor, frames, out, json_path
):  # fmt: skip
    """Calibrate cameras by a board that is moved about in front of them.

    VIDEOS: one per camera, synchronous; or folders of images, whose k-th images show the same instant. Cameras are
    named after them.
    """
    from simspine.workflow.camera_files import calibrate_by_board

    board = board_from_options(squares, size_mm, marker_mm, dictionary)
    calibrate_by_board(recordings, board, floor=floor, lens=lens, frames=frames, out=out, figures=json_path)


@click.group("cameras")
def cameras_group():
    """Calibrate cameras, check and refine a calibration, find delays.

    check, refine and sync use the 2D points of finished detections; if there are none yet, the stage detect runs first.
    calibrate finds cameras from videos of a board.
    """


cameras_group.add_command(calibrate_group)


@cameras_group.command("board")
@board_options
@click.option("--out", required=True, type=FILE_PATH, help="File to print: .pdf or .png.")
def print_board_command(squares, size_mm, marker_mm, dictionary, out):
    """Write a calibration board to print at its true size."""
    from simspine.workflow.camera_files import write_board

    board = board_from_options(squares, size_mm, marker_mm, dictionary)
    write_board(out, board)
    click.echo(f"{out} written: {board}. Print it at 100 %, glue it to something flat, and measure a square.")


@cameras_group.command("check")
@config_option()
@joint_trial_options
@json_option
def cameras_check_command(config, subject, trial, json_path):
    """Find cameras that are off, late, mirrored or exchanged.

    Exit code: 0 no fault, 3 faults, 2 bad input.
    """
    from simspine.workflow.camera_files import print_check

    if print_check(config, subject, trial, json_path):
        raise SystemExit(3)


@cameras_group.command("refine")
@config_option()
@joint_trial_options
@click.option("--out", required=True, type=FILE_PATH, help="Calibration to write (.toml, Pose2Sim's format).")
@json_option
def cameras_refine_command(config, subject, trial, out, json_path):
    """Write a calibration that agrees with what the cameras saw.

    The given one stays as it is. Only what the recording shows is changed; a table gives each change in standard
    deviations. World and scale stay the given calibration's.
    """
    from simspine.workflow.camera_files import print_refinement

    print_refinement(config, subject, trial, out=out, figures=json_path)


@cameras_group.command("sync")
@config_option()
@options.first_trial_options
@json_option
def cameras_sync_command(config, subject, trial, json_path):
    """Find each view's delay in frames, to paste into the trial.

    Views may be up to 60 frames apart; `delays: find` in the trial allows 10 seconds, and videos of other lengths.
    """
    from simspine.workflow.camera_files import print_delays

    print_delays(config, subject, trial, json_path)
