"""simspine cameras calibrate: cameras from nothing but their recordings."""

import os
import re
from pathlib import Path

import click

from simspine.commands.options import FILE, quiet_option


def squares(context, parameter, text: str) -> tuple[int, int]:
    """Columns and rows of '7x5'."""
    match = re.fullmatch(r"(\d{1,3})[x×](\d{1,3})", text.strip().lower())
    if match is None:
        raise click.BadParameter(f"{text!r}; write columns x rows, such as 7x5.")
    return int(match[1]), int(match[2])


def board_options(command):
    """The options that say what a board is; `board_of` makes one of them."""
    for option in (
        click.option("--dictionary", default="4X4_50", show_default=True, help="ArUco dictionary of the markers."),
        click.option("--marker-mm", type=float, help="Side of the markers.  [default: 3/4 of a square]"),
        click.option("--pattern", type=click.Choice(["charuco", "checkerboard"]), default="charuco", show_default=True),
        click.option("--size-mm", type=float, required=True, help="Side of a square, measured on the print."),
        click.option("--squares", required=True, callback=squares, help="Columns x rows of squares, such as 7x5."),
    ):
        command = option(command)
    return command


def board_of(squares, size_mm, pattern, marker_mm, dictionary):
    """The board that the options describe."""
    from simspine.detection.board import Board

    marker = 0.0 if pattern == "checkerboard" else (0.75 * size_mm if marker_mm is None else marker_mm)
    return Board(*squares, size_mm / 1000, marker / 1000, dictionary)


@click.group()
def calibrate():
    """Find lenses and places of cameras."""


@calibrate.command("board")
@click.argument("recordings", metavar="VIDEOS...", nargs=-1, required=True, type=FILE)
@board_options
@click.option(
    "--lens", type=click.Choice(["perspective", "rational", "fisheye"]), default="perspective", show_default=True
)
@click.option("--intrinsics", type=FILE, help="Calibration whose lenses are kept; only places are sought.")
@click.option("--lenses-only", is_flag=True, help="Seek lenses only; the recordings need not be synchronous.")
@click.option("--floor", type=int, metavar="FRAME", help="Frame in which the board lay on the floor: the world.")
@click.option("--frames", type=click.IntRange(1), default=200, show_default=True, help="Looked at, evenly spread.")
@click.option("--out", required=True, type=FILE, help="Calibration to write (.toml, Pose2Sim's format).")
@click.option("--json", "json_path", type=FILE, help="Write the figures as JSON, too.")
def board_command(
    recordings, squares, size_mm, pattern, marker_mm, dictionary, lens, intrinsics, lenses_only, floor, frames, out,
    json_path,
):  # fmt: skip
    """Calibrate cameras by a board that is moved about in front of them.

    VIDEOS: one a camera, synchronous; or folders of images, of which the k-th of each shows the same instant. Their
    names become the cameras'.
    """
    from simspine.errors import InputError
    from simspine.workflow.board_calibration import BoardRequest, calibrate_by_board

    if lenses_only and (intrinsics is not None or floor is not None):
        raise InputError("--lenses-only seeks lenses: --intrinsics and --floor do not go with it.")
    board = board_of(squares, size_mm, pattern, marker_mm, dictionary)
    request = BoardRequest(board, lens, frames, floor, intrinsics, lenses_only)
    calibrate_by_board([Path(path) for path in recordings], request, Path(out), json_path, os.cpu_count() or 1)


@calibrate.command("person")
@click.argument("recordings", metavar="VIDEOS...", nargs=-1, required=True, type=FILE)
@click.option("--intrinsics", type=FILE, help="Calibration whose lenses are used; its places are not.")
@click.option("--fov", type=float, metavar="DEGREES", help="Without it: the lenses' angle over the longer image side.")
@click.option("--height", type=float, metavar="METRES", help="Of the person; mean adults' if left out, ± 6 %.")
@click.option("--out", required=True, type=FILE, help="Calibration to write (.toml, Pose2Sim's format).")
@click.option("--json", "json_path", type=FILE, help="Write the figures as JSON, too.")
@quiet_option
def person_command(recordings, intrinsics, fov, height, out, json_path, quiet):
    """Place cameras by one person who walks about in front of them; their lenses are known or guessed.

    VIDEOS: one a camera, synchronous, with nobody else in them. With --intrinsics names are matched to its cameras;
    with --fov they become the cameras'.
    """
    from simspine.workflow.person_calibration import calibrate_by_person, known_lenses

    lenses = known_lenses(intrinsics, fov)
    calibrate_by_person([Path(path) for path in recordings], lenses, height, Path(out), json_path, quiet)
