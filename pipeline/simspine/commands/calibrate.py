"""simspine cameras calibrate: cameras from nothing but their recordings."""

from pathlib import Path

import click

from simspine.commands.options import FILE, quiet_option


@click.group()
def calibrate():
    """Find lenses and places of cameras."""


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
