"""simspine capture …: data to work on."""

from pathlib import Path

import click

from simspine.commands.options import FILE, HintingCommand, config_option, quiet_option


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
