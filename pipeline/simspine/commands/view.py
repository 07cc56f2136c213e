"""simspine view, portray, cycles, overlay, clicks: look at a result, and at what could be clicked."""

import click

from simspine.commands.options import FILE, FOLDER, Within, config_option, quiet_option
from simspine.commands.showing import show


@click.command()
@click.argument("result", type=FILE)
@click.option("--subject", help="Subject, where the result holds several.")
@click.option("--trial", help="Trial, where the result holds several.")
@click.option("--out", type=FILE, help="Page to write; a temporary one if left out.")
@click.option("--open/--no-open", "opened", default=True, help="Open the page in the browser.  [default: open]")
@click.option("--rerun", "recording", type=FILE, help="Write a Rerun recording (.rrd) instead.")
@click.option(
    "--animation", type=FILE, help="Write the moving skeleton for Blender, Unreal … instead (.glb, .usda, .bvh)."
)
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


@click.command()
@click.argument("result", type=FILE)
@click.option("--out", required=True, type=FILE, help="Picture (.png, .jpg) or video (.webm, .mp4, .avi) to write.")
@click.option("--subject", help="Subject, where the result holds several.")
@click.option("--trial", help="Trial, where the result holds several.")
@click.option("--model", type=FILE, help="The OpenSim model (.osim) that a motion belongs to.")
@click.option("--from", "view", default="oblique", show_default=True, help="front, side, back, oblique, top; a camera.")
@click.option("--show", type=click.Choice(["bones", "skin", "both"]), default="bones", show_default=True)
@click.option("--frame", type=click.IntRange(0), help="Of a picture; the first if left out.")
def portray(result, out, subject, trial, model, view, show, frame):
    """Draw the person of RESULT in 3D as a picture or a video, without a browser.

    RESULT: as `simspine view` takes it, with poses of a body.
    """
    from simspine.workflow.portraits import write_portrait
    from simspine.workflow.viewing import read_scene

    click.echo(write_portrait(read_scene(result, subject, trial, model), out, view, show, frame))


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


@click.command()
@config_option()
@click.option("--subject", help="Subject; the first if left out.")
@click.option("--trial", help="Trial; the first if left out.")
@click.option("--frame", type=click.IntRange(0), default=0, show_default=True, help="Frame of the first video.")
@click.option("--radius", type=Within(2, 60), default=6.0, show_default=True, help="Of a marker, px.")
@click.option("--out", required=True, type=FOLDER, help="Folder for one picture per camera (.png).")
def clicks(config_path, subject, trial, frame, radius, out):
    """Propose clicks of markers on the skin: spots on the back that two cameras show at the same place.

    Numbered in the pictures, and printed as the section `skin_markers.clicks`, to be named by you.
    """
    from simspine.config import read_config
    from simspine.workflow.click_sheets import write_click_sheets

    click.echo(write_click_sheets(read_config(config_path), out, subject, trial, frame, radius))
