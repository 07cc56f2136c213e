"""A reconstruction as part of a report's page, and what a page says over several of them."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from simspine.body.anatomy import Variation
from simspine.pipeline.film import films_of
from simspine.pipeline.glance import glance
from simspine.pipeline.overlay import layer_of, shown_in
from simspine.pipeline.publish import versions
from simspine.pipeline.scene import scene_of
from simspine.pipeline.sized_body import SizedBody
from simspine.pipeline.solved_trial import SolvedTrial, body_edges
from simspine.priors.standing_curve import SACRAL_TILT
from simspine.report.body_table import FoundVariation
from simspine.report.content import Picture, Provenance, ReportContent, TrialSection
from simspine.report.embed import webp
from simspine.report.overlay import overlay_sheet
from simspine.report.page import write_report
from simspine.report.player.pack import pack
from simspine.report.player.scene import MOST_FRAMES, step_of
from simspine.report.sampling import sample_frames
from simspine.report.trial import TrialParts, trial_section
from simspine.report.uncertainty import INFERRED_BY, Caveats, NotMeasured, caveats, not_measured
from simspine.sources.video import Video, open_videos
from simspine.spine.endplates import SACRAL_TILT_SD

SAMPLES = 3  # frames shown as overlays
FILM_BYTES = 6_000_000  # of pictures in a trial's page; as text they take a third more
NOTICE = (
    "Angles and curvatures come from a body model fitted to points seen by cameras. They were not checked against "
    "images of this person's vertebrae and are not for diagnosis."
)
LICENCES = {
    "simspine": "BSD-3-Clause",
    "Pose2Sim (model, demo videos)": "BSD-3-Clause",
    "OpenSim": "Apache-2.0",
    "BlazePose's networks": "Apache-2.0",
    "three.js, in this page (3D player)": "MIT",
    "SpinePose": "CC-BY-NC-4.0, code and weights: not for commercial use; only if you chose that detector",
}


def section_of(
    found: SolvedTrial,
    prefix: str = "t1",
    samples: int = SAMPLES,
    most: int = MOST_FRAMES,
    film_bytes: int = FILM_BYTES,
) -> TrialSection:
    """One trial's part of a page. prefix: an id on that page. samples: frames shown as overlays. most: frames that the
    3D player holds. film_bytes: of all pictures beside it.
    """
    parts = TrialParts(
        spine=found.spine,
        verdict=found.verdict,
        triangulation=found.triangulation,
        ik=found.result,
        measured=found.markers,
        model=found.model_points,
        edges=body_edges(),
        levels=found.sized.levels,
        shares=found.shares,
        clinical=(*found.curvature_figures, *found.clinical_figures),
        rhythm=found.lumbopelvic_rhythm,
        variations=variations_of(found.sized),
    )
    step = step_of(found.spine.frames, most)
    films = films_of(found, step, film_bytes)
    overlays, player = _overlays(found, samples), pack(replace(scene_of(found, step), films=films), most)
    return trial_section(found.name, prefix, parts, overlays=overlays, player=player, glance=glance(found))


def variations_of(sized: SizedBody) -> tuple[FoundVariation, ...]:
    """How the person's body differs from the model's; () where it was not fitted to the person."""
    person = sized.person
    if person is None:
        return ()
    found = [_found(v, *person.anatomy[v.name]) for v in sized.recipe.anatomy if v.name in person.anatomy]
    if SACRAL_TILT in person.names:
        tilt, sd, spread = np.degrees((*person.sacral_tilt, SACRAL_TILT_SD)).tolist()
        found.append(FoundVariation("slope of the sacral endplate", tilt, sd, spread, "°", "steeper"))
    return tuple(found)


def _found(variation: Variation, value: float, sd: float) -> FoundVariation:
    """value, sd: a share of the height, or m."""
    if variation.stretch:
        return FoundVariation(variation.name, 100 * value, 100 * sd, 100 * variation.sd, "%", "higher")
    (body, direction), *_ = (variation.shift or {}).items()
    axis = int(np.argmax(np.abs(direction)))
    outwards = "outwards" if body.endswith(("_r", "_l")) else "to the right"
    side = -1 if axis == 2 and body.endswith("_l") else 1
    words = (("forwards", "backwards"), ("upwards", "downwards"), (outwards, "inwards"))
    positive = words[axis][0 if side * direction[axis] > 0 else 1]
    return FoundVariation(variation.name, 1e3 * value, 1e3 * sd, 1e3 * variation.sd, "mm", positive)


def _overlays(found: SolvedTrial, samples: int) -> tuple[Picture, ...]:
    """One sheet of sample frames × cameras; nothing where the trial came without videos."""
    if not found.videos:
        return ()
    return (
        Picture(
            "On the images",
            "Detected points and the fitted body drawn on sample frames of each camera",
            "The fitted body (lines) should lie on the person. Hollow points were inferred, crossed ones left out.",
            data=webp(overlay_picture(found, samples)),
        ),
    )


def overlay_picture(found: SolvedTrial, samples: int, most: int | None = None) -> np.ndarray:
    """Sample frames (rows) in the cameras (columns; the first `most`) with what was detected and the fitted body."""
    frames = sample_frames(found.spine.frames, samples, found.rejected)
    opened = open_videos(found.videos[:most])
    columns = [_images(video, frames, found.video_frames(v)) for v, video in enumerate(opened)]
    sheet = []
    for frame in frames:
        shown = shown_in(found, slice(frame, frame + 1))
        pictures = enumerate(images.get(frame) for images in columns)
        sheet.append([None if image is None else (image, layer_of(found, shown, frame, v)) for v, image in pictures])
    labels = [f"{found.spine.time[frame]:.2f} s" for frame in frames]
    return overlay_sheet(sheet, [camera.name for camera in found.cameras[:most]], labels)


def _images(video: Video, frames: Sequence[int], places: np.ndarray) -> dict[int, np.ndarray]:
    """{frame: image} of the trial's frames asked for and there. places: (frames,) the video's frame of each."""
    return dict(zip(frames, video.shown_at(places[list(frames)]), strict=False))


def caveats_of(found: SolvedTrial) -> Caveats:
    """What was not measured in one trial."""
    return caveats(found.markers, found.spine, found.shares, ~found.rejected)


def not_measured_in(trials: Sequence[Caveats], fitted: bool) -> NotMeasured:
    """Statements for the box 'What is not measured'. fitted: inferred points had a weight in the fit."""
    return not_measured(trials, INFERRED_BY if fitted else f"{INFERRED_BY}; not fitted, only drawn")


def write_trial_report(path: str | os.PathLike, found: SolvedTrial) -> Path:
    """A page about one trial alone."""
    content = ReportContent(
        title=found.trial,
        subtitle=f"{found.spine.frames} frames, {found.spine.frames / found.spine.rate:.1f} s",
        trials=(section_of(found),),
        provenance=Provenance(versions=dict(versions())),
        licences=LICENCES,
        notice=NOTICE,
        **not_measured_in([caveats_of(found)], fitted=found.result.posterior is None),
    )
    write_report(path, content)
    return Path(path)
