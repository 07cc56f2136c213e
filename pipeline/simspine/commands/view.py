"""simspine view, cycles, overlay: look at a result."""

import click

from simspine.commands.options import FILE, config_option, quiet_option
from simspine.commands.showing import show


@click.command()
@click.argument("result", type=FILE)
@click.option("--subject", help="Subject, where the result holds several.")
@click.option("--trial", help="Trial, where the result holds several.")
@click.option("--out", type=FILE, help="Page to write; a temporary one if left out.")
@click.option("--open/--no-open", "opened", default=True, help="Open the page in the browser.  [default: open]")
@click.option("--rerun", "recording", type=FILE, help="Write a Rerun recording (.rrd) instead.")
@click.option("--animation", type=FILE, help="Write the moving skeleton for Blender, Unreal … instead (.glb, .bvh).")
@click.option("--model", type=FILE, help="The OpenSim model (.osim) that a motion belongs to.")
def view(result, subject, trial, out, opened, recording, animation, model):
    """Show RESULT in three dimensions.

    RESULT: a results folder, a trial's .h5 in it (vertebrae, kinematics, …), a data set's .h5, markers of
    anyone (.trc, .c3d), or a motion (.mot, .sto) with --model.
    """
    if sum(file is not None for file in (out, recording, animation)) > 1:
        raise click.UsageError("--out, --rerun and --animation are three commands: one file at a time.")
    if recording is not None:
        from simspine.workflow.recording import record

        click.echo(record(result, recording, subject, trial))
        return
    if animation is not None:
        from simspine.workflow.animation import write_animation

        click.echo(write_animation(result, animation, subject, trial, model))
        return
    from simspine.workflow.viewing import write_view

    page = write_view(result, out, subject, trial, model)
    click.echo(page)
    if opened:
        show(page.resolve().as_uri())


def _times(context, parameter, text: str | None) -> list[float]:
    """Numbers that commas part."""
    try:
        return [float(word) for word in text.split(",")] if text else []
    except ValueError:
        raise click.BadParameter(f"expected times in s with commas between, as 0.42,1.51; found {text!r}.") from None


@click.command("cycles")
@click.argument("result", type=FILE)
@click.option("--out", required=True, type=FILE, help="Picture to write (.png, .svg, .pdf).")
@click.option("--right", callback=_times, help="Times of the right foot's contacts, s: 0.42,1.51,2.60.")
@click.option("--left", callback=_times, help="The same of the left foot.")
@click.option("--bands", type=FILE, help="Normative bands to draw behind (.csv).")
@click.option("--trial", help="SUBJECT/TRIAL, where the result holds several.")
def cycles_(result, out, right, left, bands, trial):
    """Draw the angles of pelvis, trunk and limbs of RESULT over cycles from event to event.

    RESULT: a results folder, or a trial's .h5 in it. simspine finds no events: they are yours, as are the bands.
    """
    from simspine.workflow.cycle_figures import write_cycles

    events = {side: times for side, times in (("r", right), ("l", left)) if times}
    click.echo(write_cycles(result, out, events, bands, trial))


@click.command()
@config_option()
@click.option("--subject", help="Subject; the first if left out.")
@click.option("--trial", help="Trial; the first if left out.")
@click.option("--camera", help="One camera in full size; all of them side by side if left out.")
@click.option("--out", required=True, type=FILE, help="Video to write (.webm, .mp4; .avi: quick).")
@click.option("--show", type=click.Choice(["lines", "bones", "skin"]), default="lines", show_default=True)
@quiet_option
def overlay(config_path, subject, trial, camera, out, show, quiet):
    """Draw the body on a trial's videos: lines and the spine, bones, or skin."""
    from simspine.config import read_config
    from simspine.workflow.overlaying import write_overlay

    click.echo(write_overlay(read_config(config_path), out, subject, trial, camera, show, quiet=quiet))
