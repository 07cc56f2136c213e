"""A reconstruction as part of a report's page, and what a page says over several of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.anatomy.clinical import JOINT_DEFINITIONS, SIDE_WORDS
from simspine.anatomy.curvature import SACRAL_TILT_SD
from simspine.anatomy.person_variation import SACRAL_TILT, Variation
from simspine.core.errors import frame_ranges
from simspine.core.skeletons import without_skin_markers
from simspine.core.types import Origin
from simspine.estimation.fit_person import SizedBody
from simspine.io.video import Video, open_videos
from simspine.quality.findings import THRESHOLDS, Severity
from simspine.quality.observability import (
    MEASURED_IMPRECISELY,
    ClinicalFigure,
    Observability,
    estimated_of_spine,
    forced_mask,
    observed_share_text,
    share_of_curvature,
)
from simspine.reconstruction.publish import package_versions
from simspine.reconstruction.solved_trial import SolvedTrial, body_edges
from simspine.report.body_video import films_of_trial, layer_of_image, shown_in
from simspine.report.canvas import image_webp
from simspine.report.overlay import overlay_sheet, sample_frames
from simspine.report.page import (
    Picture,
    Provenance,
    ReportContent,
    Statement,
    TrialSection,
    cause_of_finding,
    write_report,
)
from simspine.report.scene import MOST_FRAMES, frame_step, pack_scene
from simspine.report.summary import DOUBTED_VERDICTS, median_or_none, spine_points_by_source, verdict_on
from simspine.report.tables import (
    ESTIMATED_BY,
    INFERRED_BY,
    Caveats,
    FoundVariation,
    NotMeasured,
    caveats_of_trial,
    not_measured,
)
from simspine.report.trial_page import TrialParts, trial_section
from simspine.report.trial_scene import scene_of_trial

# Three statements on a trial that come before everything else: what was measured, how sure it is, what to doubt.


NORMAL_95 = 1.96  # standard deviations to either side
_CURVATURE_TITLES = {"lla": "lumbar lordosis", "tka": "thoracic kyphosis"}
_MAX_CAUSES = 3  # warnings that are named; the rest are counted


def summary_statements(found: SolvedTrial) -> tuple[Statement, ...]:
    """What was measured, how sure, what to be careful with, in a few sentences each."""
    return (
        Statement("What was measured", _measured_sentence(found)),
        Statement("How sure", _certainty_sentence(found)),
        Statement("Be careful with", _caution_sentence(found)),
    )


def _measured_sentence(found: SolvedTrial) -> str:
    spine, count = found.spine, len(found.cameras)
    span = f"{spine.frames / spine.rate:.1f} s of movement, {spine.frames} frames at {spine.rate:g} Hz"
    by = f"{count} camera{'s' * (count != 1)} saw" if count else "The recording holds"
    points = len(without_skin_markers(found.markers.names_of(Origin.DETECTED, Origin.GIVEN)))
    ways = spine_points_by_source(found.markers)
    guessed = estimated_of_spine(found.markers.names, found.markers.origins)
    estimated = f"{len(guessed)} points of it are {ESTIMATED_BY}: {', '.join(guessed)}."
    if ways:
        parts = [f"{len(names)} {_DECISION_TEXTS.get(way, way)}: {', '.join(names)}" for way, names in ways.items()]
        seen = f"Of the spine itself it rests on {'; and '.join(parts)}." + f" {estimated}" * bool(guessed)
    elif guessed:
        seen = f"Of the spine itself nothing was seen: {estimated}"
    else:
        seen = "Of the spine itself nothing was seen: it is inferred from the limbs."
    return f"{by} {span}. A skeleton was fitted to {points} points of the body. {seen}"


_DECISION_TEXTS = {
    "on the skin": "markers on the back",
    "detected": "points that the detector found",
    "given": "points of motion capture",
}


def _certainty_sentence(found: SolvedTrial) -> str:
    known = [_curvature_sentence(found, key, name) for key, name in _CURVATURE_TITLES.items()]
    doubted = [(text, share) for text, share in known if share]
    parts = [_limb_angle_groups(found.clinical_figures), *(text for text, share in known if not share)]
    if doubted:
        verb, them = ("say", "them") if len(doubted) > 1 else ("says", "it")
        figures, shares = (" and ".join(part) for part in zip(*doubted, strict=True))
        by = "points that were estimated, not seen," if found.spine_estimated else "the recording"
        parts.append(f"{_capitalised(figures)} (95 %) {verb} little of this person: {by} decided {shares} of {them}.")
    return " ".join(filter(None, parts))


def _limb_angle_groups(figures: Sequence[ClinicalFigure]) -> str:
    """The angles of the limbs that were measured on both sides, with their spread: the precise ones, and the others."""
    by_name = {figure.name: figure for figure in figures}
    groups: dict[bool, _Measured] = {True: _Measured({}, []), False: _Measured({}, [])}
    for joint, (_, angles) in JOINT_DEFINITIONS.items():
        for angle, _ in angles:
            sides = [side for key in SIDE_WORDS if (side := by_name.get(f"{joint}_{angle}_{key}")) is not None]
            words = {side.decided for side in sides}
            if len(sides) == len(SIDE_WORDS) and words <= {str(Observability.MEASURED), MEASURED_IMPRECISELY}:
                group = groups[MEASURED_IMPRECISELY not in words]
                group.names.setdefault(angle, []).append(joint)
                group.deviations.extend(side.sd for side in sides if side.sd is not None)
    parts = [
        f"{said} {group.text}."
        for said, group in (("Measured", groups[True]), ("Imprecise", groups[False]))
        if group.names
    ]
    return " ".join(parts) or "No angle of the limbs was measured on both sides."


@dataclass(frozen=True)
class _Measured:
    """names: {angle: joints}. deviations: degrees, of all of them."""

    names: dict[str, list[str]]
    deviations: list[float]

    @property
    def text(self) -> str:
        names = ", ".join(f"{' and '.join(joints)} {angle}" for angle, joints in self.names.items())
        if not self.deviations:
            return names
        low, high = (NORMAL_95 * f(self.deviations) for f in (min, max))
        return f"to ± {low:.0f}{'' if round(low) == round(high) else f'–{high:.0f}'}° (95 %): {names}"


def _curvature_sentence(found: SolvedTrial, key: str, name: str) -> tuple[str, str]:
    """What is known of a curvature; and '' or, where that says little of the person, the share that was measured."""
    spine, kept = found.spine, ~found.rejected
    values, sd = np.degrees(getattr(spine, key)[kept]), getattr(spine, f"{key}_sd")
    if not np.isfinite(values).any():
        return f"{_capitalised(name)} is not known.", ""
    usual = None if sd is None else median_or_none(np.degrees(sd[kept]))
    figure = f"{name} {np.nanmean(values):.0f}°"
    if forced_mask([key], spine.forced).any():
        return f"{_capitalised(figure)} is set by the model.", ""
    if usual is None:
        return f"{_capitalised(figure)} has no standard deviation.", ""
    verdict, figure = verdict_on(key, usual, estimated=found.spine_estimated), f"{figure} ± {NORMAL_95 * usual:.0f}°"
    if verdict in DOUBTED_VERDICTS:
        return figure, observed_share_text(share_of_curvature(key, usual))
    return f"{_capitalised(figure)} (95 %) was {verdict}.", ""


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _caution_sentence(found: SolvedTrial) -> str:
    parts = []
    if found.rejected.any():
        frames = frame_ranges(np.flatnonzero(found.rejected))
        parts.append(f"{int(found.rejected.sum())} of {found.spine.frames} frames were rejected ({frames}).")
    parts.append(_undecided_level_count(found.observed_shares))
    warned = [finding for finding in found.findings if finding.severity is not Severity.INFO]
    causes = list(dict.fromkeys(cause_of_finding(finding.code) for finding in warned))
    if causes:
        more = len(causes) - _MAX_CAUSES
        rest = f"; and {more} more" if more > 0 else ""
        parts.append(f"Data quality: {'; '.join(causes[:_MAX_CAUSES])}{rest}.")
    return " ".join(filter(None, parts)) or "Nothing stood out."


def _undecided_level_count(shares: np.ndarray) -> str:
    """How many levels' flexion was not decided by the data. shares: (levels, 3)."""
    known = shares[:, 0][np.isfinite(shares[:, 0])]
    assumed = int((known < THRESHOLDS["assumed"].si).sum())
    if not assumed:
        return ""
    return (
        f"Single vertebrae: flexion of {assumed} of {known.size} levels follows published knowledge, not this person."
    )


OVERLAY_SAMPLES = 3  # frames shown as overlays
FILM_BYTES = 6_000_000  # of pictures in a trial's page; as text they take a third more
REPORT_NOTICE = (
    "Angles and curvatures come from a body model fitted to points seen by cameras. They were not checked against "
    "images of this person's vertebrae and are not for diagnosis."
)
DETECTOR_LICENCES = {
    "simspine": "BSD-3-Clause",
    "Pose2Sim (model, demo videos)": "BSD-3-Clause",
    "OpenSim": "Apache-2.0",
    "BlazePose's networks": "Apache-2.0",
    "three.js, in this page (3D player)": "MIT",
    "SpinePose": "CC-BY-NC-4.0, code and weights: not for commercial use; only if you chose that detector",
}


def trial_section_of(
    found: SolvedTrial,
    prefix: str = "t1",
    samples: int = OVERLAY_SAMPLES,
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
        shares=found.observed_shares,
        clinical=(*found.curvature_figures, *found.clinical_figures),
        rhythm=found.lumbopelvic_rhythm,
        variations=variations_of(found.sized),
    )
    step = frame_step(found.spine.frames, most)
    films = films_of_trial(found, step, film_bytes)
    overlays, player = (
        _overlay_sheet(found, samples),
        pack_scene(replace(scene_of_trial(found, step), films=films), most),
    )
    return trial_section(found.name, prefix, parts, overlays=overlays, player=player, glance=summary_statements(found))


def variations_of(sized: SizedBody) -> tuple[FoundVariation, ...]:
    """How the person's body differs from the model's; () where it was not fitted to the person."""
    person = sized.person
    if person is None:
        return ()
    found = [_found_variation(v, *person.anatomy[v.name]) for v in sized.recipe.anatomy if v.name in person.anatomy]
    if SACRAL_TILT in person.curve_coordinates:
        tilt, sd, spread = np.degrees((*person.sacral_tilt, SACRAL_TILT_SD)).tolist()
        found.append(
            FoundVariation(
                name="slope of the sacral endplate", value=tilt, sd=sd, spread=spread, unit="°", positive="steeper"
            )
        )
    return tuple(found)


def _found_variation(variation: Variation, value: float, sd: float) -> FoundVariation:
    """value, sd: a share of the height, or m."""
    if variation.stretch:
        return FoundVariation(
            name=variation.name, value=100 * value, sd=100 * sd, spread=100 * variation.sd, unit="%", positive="higher"
        )
    (body, direction), *_ = (variation.shift or {}).items()
    axis = int(np.argmax(np.abs(direction)))
    outwards = "outwards" if body.endswith(("_r", "_l")) else "to the right"
    side = -1 if axis == 2 and body.endswith("_l") else 1
    words = (("forwards", "backwards"), ("upwards", "downwards"), (outwards, "inwards"))
    positive = words[axis][0 if side * direction[axis] > 0 else 1]
    return FoundVariation(
        name=variation.name, value=1e3 * value, sd=1e3 * sd, spread=1e3 * variation.sd, unit="mm", positive=positive
    )


def _overlay_sheet(found: SolvedTrial, samples: int) -> tuple[Picture, ...]:
    """One sheet of sample frames × cameras; nothing where the trial came without videos."""
    if not found.videos:
        return ()
    return (
        Picture(
            "On the images",
            "Detected points and the fitted body drawn on sample frames of each camera",
            "The fitted body (lines) should lie on the person. Hollow points were inferred, crossed ones left out.",
            data=image_webp(overlay_picture(found, samples)),
        ),
    )


def overlay_picture(found: SolvedTrial, samples: int, most: int | None = None) -> np.ndarray:
    """Sample frames (rows) in the cameras (columns; the first `most`) with what was detected and the fitted body."""
    frames = sample_frames(found.spine.frames, samples, found.rejected)
    opened = open_videos(found.videos[:most])
    columns = [_images_by_frame(video, frames, found.video_frames(v)) for v, video in enumerate(opened)]
    sheet = []
    for frame in frames:
        shown = shown_in(found, slice(frame, frame + 1))
        pictures = enumerate(images.get(frame) for images in columns)
        sheet.append(
            [None if image is None else (image, layer_of_image(found, shown, frame, v)) for v, image in pictures]
        )
    labels = [f"{found.spine.time[frame]:.2f} s" for frame in frames]
    return overlay_sheet(sheet, [camera.name for camera in found.cameras[:most]], labels)


def _images_by_frame(video: Video, frames: Sequence[int], places: np.ndarray) -> dict[int, np.ndarray]:
    """{frame: image} of the trial's frames asked for and there. places: (frames,) the video's frame of each."""
    return dict(zip(frames, video.shown_at(places[list(frames)]), strict=False))


def trial_caveats(found: SolvedTrial) -> Caveats:
    """What was not measured in one trial."""
    return caveats_of_trial(found.markers, found.spine, found.observed_shares, ~found.rejected)


def angles_not_measured(trials: Sequence[Caveats], fitted: bool) -> NotMeasured:
    """Statements for the box 'What is not measured'. fitted: inferred points had a weight in the fit."""
    return not_measured(trials, INFERRED_BY if fitted else f"{INFERRED_BY}; not fitted, only drawn")


def write_trial_report(path: str | os.PathLike, found: SolvedTrial) -> Path:
    """A page about one trial alone."""
    content = ReportContent(
        title=found.trial,
        subtitle=f"{found.spine.frames} frames, {found.spine.frames / found.spine.rate:.1f} s",
        trials=(trial_section_of(found),),
        provenance=Provenance(versions=dict(package_versions())),
        licences=DETECTOR_LICENCES,
        notice=REPORT_NOTICE,
        **angles_not_measured([trial_caveats(found)], fitted=found.result.posterior is None),
    )
    write_report(path, content)
    return Path(path)
