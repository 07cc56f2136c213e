"""Clicks of markers on the skin, proposed: pictures with numbered spots, and the clicks to be named."""

from pathlib import Path

from simspine.config import Config
from simspine.detection.back_spots import spots_on_trunk
from simspine.detection.skin_markers import TRUNK
from simspine.errors import InputError
from simspine.formats.store import load
from simspine.pipeline.click_proposals import Proposal, propose_clicks
from simspine.report.click_sheet import click_sheet
from simspine.report.picture_file import write_picture
from simspine.skeletons.skin_names import not_on_skin
from simspine.sources.video import open_videos
from simspine.types import Keypoints
from simspine.workflow.context import Context, named_or_first, timing_in
from simspine.workflow.run import run_stage


def write_click_sheets(
    config: Config, out: Path, subject: str | None, trial: str | None, frame: int, radius: float
) -> str:
    """Write <camera>.png for each view that shows a spot; returns the clicks as YAML. frame: of the first video.

    The stage detect runs first where it has not. Raises `InputError` where there are no videos, or no such frame.
    """
    subject = named_or_first("subject", subject, list(config.subjects))
    context = Context(config, subject)
    trial = named_or_first("trial", trial, context.trials)
    capture = context.capture(trial)
    if not capture.videos:
        raise InputError(f"{subject}/{trial}: markers on the skin are looked for in videos, and this trial has none.")
    run_stage("detect", config, subject, trial)
    stored = load(context.paths.keypoints(trial))
    cameras, timing = list(stored["cameras"]), timing_in(stored)
    keypoints: Keypoints = stored["keypoints"].select(not_on_skin(stored["keypoints"].names))
    row = frame - (0 if timing is None else timing.first)
    if not 0 <= row < keypoints.frames:
        first = frame - row
        raise InputError(f"there is no frame {frame}; {subject}/{trial} has {first} to {first + keypoints.frames - 1}.")
    at = [row if timing is None else int(timing.nearest(v)[row]) for v in range(len(cameras))]
    images = [next(video.at([number])) for video, number in zip(open_videos(capture.videos), at, strict=True)]
    trunk = keypoints.xy[row][:, keypoints.indices(TRUNK)]
    spots = [spots_on_trunk(image, corners, radius) for image, corners in zip(images, trunk, strict=True)]
    found = propose_clicks(keypoints, row, cameras, spots)
    for v, camera in enumerate(cameras):
        own = {n + 1: proposal.views[camera.name] for n, proposal in enumerate(found) if camera.name in proposal.views}
        if own:
            write_picture(
                out / f"{camera.name}.png", click_sheet(images[v], trunk[v], own, f"{camera.name} · frame {at[v]}")
            )
    return _as_yaml(found, {camera.name: number for camera, number in zip(cameras, at, strict=True)})


def _as_yaml(found: list[Proposal], frames: dict[str, int]) -> str:
    """The section `clicks`, with numbers in place of names."""
    if not found:
        return "clicks: {} # no spot on the back is shown by two views; try another frame, or another --radius"
    lines = ["clicks: # replace the number of each marker by its level (C7, T7, LPSIS, …) and delete the other lines"]
    for n, proposal in enumerate(found):
        views = ", ".join(f"{view}: [[{frames[view]}, {x:.1f}, {y:.1f}]]" for view, (x, y) in proposal.views.items())
        lines.append(f"  {n + 1}: {{{views}}} # {100 * proposal.along:.0f} % of the way from hips to shoulders")
    return "\n".join(lines)
