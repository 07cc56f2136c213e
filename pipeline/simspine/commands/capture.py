"""simspine capture …: data to work on."""

from pathlib import Path

import click

from simspine.commands.options import FILE, HintingCommand, Within, config_option, quiet_option


@click.group()
def capture():
    """Make data to work on."""


@capture.command(
    "virtual",
    cls=HintingCommand,
    elsewhere={"--frames": "set virtual.frames in the configuration."},
)
@config_option("virtual", help="Configuration, or the name of a packaged one; its section `virtual` says what.")
@click.option("--out", type=FILE, help="Folder to write to, if not capture.human36m.")
@click.option("--subject", help="Only this subject (S1, S5, …); the others can be written at the same time.")
@quiet_option
def capture_virtual(config_path, out, subject, quiet):
    """Make people whose spines are known, film them with virtual cameras, and detect them as a detector would.

    Writes a folder laid out like a copy of Human3.6M (positions as CDF files, metadata.xml), 2D points in detections/
    and the truth in truth/: models, coordinates, vertebral centres, angles of every level, LLA and TKA. No videos.

    An interrupted run is continued where it stopped. The same settings and seed give the same bytes.
    """
    from simspine.config import read_config

    write_configured(read_config(config_path), config_path, out, subject, quiet)


def write_configured(
    config, config_path: Path, out: Path | None = None, subject: str | None = None, quiet=False
) -> Path:
    """Write the virtual capture that a configuration describes; returns its folder.

    out: that folder, if not the configuration's. subject: only this one. `InputError` if nothing is described.
    """
    from simspine.capture.writer import CaptureSettings, write_capture
    from simspine.errors import InputError
    from simspine.workflow.context import progress_bar

    if config.virtual is None:
        raise InputError(f"{config_path} has no section `virtual`; see configs/virtual.yaml for one.")
    if out is None and config.capture is None:
        raise InputError(f"{config_path} names no folder (capture.human36m) to write to; say --out FOLDER.")
    folder = Path(config.capture.human36m) if out is None else out
    chosen = config.virtual.resolved()
    settings = CaptureSettings(**chosen.model_dump(exclude={"preset"}))
    with progress_bar("virtual capture, frames", quiet) as progress:
        written = write_capture(folder, settings, progress, subject)
    click.echo(f"{folder}: " + (f"trials written: {len(written)}" if written else "everything is there already"))
    return folder


@capture.command("render", cls=HintingCommand, elsewhere={"--frames": "say --images N."})
@click.option("--out", type=FILE, required=True, help="Folder to write to.")
@click.option("--images", type=click.IntRange(1), default=1000, show_default=True, help="How many pictures.")
@click.option("--people", type=click.IntRange(1), default=16, show_default=True, help="How many different people.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Decides everything random.")
@click.option("--size", default="192x256", show_default=True, help="Width x height of the pictures, px.")
@click.option(
    "--action", "actions", multiple=True, help="An action of the virtual capture; repeat it. All if left out."
)
@click.option("--motion", type=FILE, help="A data set of ours (.h5) whose people are rendered.")
@click.option("--backgrounds", type=FILE, help="Folder of images to put people before, beside the rooms.")
@click.option("--together", type=click.IntRange(1, 8), default=1, show_default=True, help="Most people in a picture.")
@click.option("--exposure", type=Within(0, 0.5), default=0.0, show_default=True,
              help="Time that the shutter is open, s: what moves is blurred.")  # fmt: skip
@quiet_option
def capture_render(out, images, people, seed, size, actions, motion, backgrounds, together, exposure, quiet):
    """Render pictures of people whose spines are known, with exact labels, in SpineTrack's layout.

    Writes images/train-unreal/, annotations/person_keypoints_train-unreal.json (37 points, hidden ones by the z-buffer,
    masks, cameras, points in space) and sheet.jpg to look at. The same settings and seed give the same bytes.
    """
    from simspine.capture.rendered.crops import Style
    from simspine.capture.rendered.writer import RenderSettings, background_files, write_pictures
    from simspine.workflow.context import progress_bar

    if motion is not None and actions:
        raise click.UsageError("--motion and --action: people do one or the other; leave one of them out.")
    behind = () if backgrounds is None else background_files(backgrounds)
    style = Style(size=_picture_size(size), backgrounds=behind, together=together, exposure=exposure)
    settings = RenderSettings(seed, images, people, style, _known(actions), motion)
    with progress_bar("rendering, pictures", quiet) as progress:
        written = write_pictures(out, settings, progress)
    click.echo(f"{out}: {written} pictures; sheet.jpg shows some")


@capture.command("videos", cls=HintingCommand, elsewhere={"--images": "say --frames N, the length of each video."})
@click.option("--out", type=FILE, required=True, help="Folder to write to.")
@click.option("--subjects", type=click.IntRange(1, 7), default=1, show_default=True, help="How many people.")
@click.option("--action", "actions", multiple=True, default=("Walking_1",), show_default=True,
              help="An action, or one of its two trials (Walking_1); repeat it.")  # fmt: skip
@click.option("--frames", type=click.IntRange(20), default=150, show_default=True, help="Frames of each trial, 50 Hz.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Decides everything random.")
@quiet_option
def capture_videos(out, subjects, actions, frames, seed, quiet):
    """Render videos of people whose spines are known: a virtual capture, filmed by its four cameras.

    Writes a virtual capture with its truth, and for each trial videos and a calibration in videos/SUBJECT/TRIAL, which
    the workflow can start from (configs/rendered.yaml).
    """
    from simspine.capture.rendered.videos import FilmSettings, write_videos
    from simspine.workflow.context import progress_bar

    with progress_bar("rendering, images of a trial", quiet) as progress:
        made = write_videos(out, FilmSettings(seed, subjects, tuple(actions), frames), progress)
    click.echo("\n".join(f"{folder}: videos and calibration" for folder in made))


def _picture_size(text: str) -> tuple[int, int]:
    """Width and height out of '192x256'."""
    from simspine.errors import InputError

    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(part.isdecimal() and 32 <= int(part) <= 4096 for part in parts):
        raise InputError(f"--size is {text!r}, expected width x height in px, each from 32 to 4096, such as 192x256.")
    return int(parts[0]), int(parts[1])


def _known(actions: tuple[str, ...]) -> tuple[str, ...] | None:
    """The actions, checked; None for all."""
    from simspine.capture.actions import ACTIONS
    from simspine.errors import require_known

    require_known("action", actions, ACTIONS)
    return actions or None
