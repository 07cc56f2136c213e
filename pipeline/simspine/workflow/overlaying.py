"""The video of a trial with the body drawn on it, out of the results' files."""

from pathlib import Path

from simspine.config import Config
from simspine.pipeline import overlay
from simspine.workflow.context import Context, named_or_first
from simspine.workflow.trials import read_trial


def write_overlay(
    config: Config,
    out: Path,
    subject: str | None = None,
    trial: str | None = None,
    camera: str | None = None,
    show: str = "lines",
    *,
    quiet: bool = False,
) -> Path:
    """Write a video of one trial: detections and the fitted body on each image; returns its path.

    out: ends in .webm, .mp4 or .avi (see `report.video`). show: the body as lines with its spine, as bones or as skin.
    camera: one in full size; if None all of them side by side, cut to where the person is during the trial. Captures
    without videos are drawn on a plain ground.
    """
    subject = named_or_first("subject", subject, list(config.subjects))
    context = Context(config, subject, quiet)
    trial = named_or_first("trial", trial, context.trials)
    found = read_trial(context.paths, trial, context.capture(trial).videos)
    names = [c.name for c in found.cameras]
    views = range(len(names)) if camera is None else [names.index(named_or_first("camera", camera, names))]
    with context.progress(f"{trial}: overlay") as progress:
        overlay.write_overlay(found, out, views, progress, show)
    return out
