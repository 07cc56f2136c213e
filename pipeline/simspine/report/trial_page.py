"""A reconstruction as part of a report's page, and what a page says over several of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.anatomy.clinical import JOINT_DEFINITIONS, SIDE_WORDS
from simspine.core.arrays import frame_ranges
from simspine.core.skeletons import without_skin_markers
from simspine.core.types import Origin
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
from simspine.reconstruction.solved_trial import SolvedTrial
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
from simspine.report.summary import DOUBTED_VERDICTS, NORMAL_95, median_or_none, spine_points_by_source, verdict_on
from simspine.report.tables import (
    ESTIMATED_BY,
    INFERRED_BY,
    Caveats,
    NotMeasured,
    caveats_of_trial,
    not_measured,
)
from simspine.report.trial_sections import TrialParts, scene_of_trial, trial_section

# Three statements on a trial that come before everything else: what was measured, how sure it is, what to doubt.


_CURVATURE_TITLES = {"lla": "lumbar lordosis", "tka": "thoracic kyphosis"}
_MAX_CAUSES = 3  # warnings that are named; the rest are counted


def summary_statements(trial: SolvedTrial) -> tuple[Statement, ...]:
    """What was measured, how sure, what to be careful with, in a few sentences each."""
    return (
        Statement("What was measured", _measured_sentence(trial)),
        Statement("How sure", _certainty_sentence(trial)),
        Statement("Be careful with", _caution_sentence(trial)),
    )


def _measured_sentence(trial: SolvedTrial) -> str:
    spine, count = trial.spine, len(trial.cameras)
    span = f"{spine.frames / spine.rate:.1f} s of movement, {spine.frames} frames at {spine.rate:g} Hz"
    by = f"{count} camera{'s' * (count != 1)} saw" if count else "The recording holds"
    points = len(without_skin_markers(trial.markers.names_of(Origin.DETECTED, Origin.GIVEN)))
    ways = spine_points_by_source(trial.markers)
    guessed = estimated_of_spine(trial.markers.names, trial.markers.origins)
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


def _certainty_sentence(trial: SolvedTrial) -> str:
    known = [_curvature_sentence(trial, key, name) for key, name in _CURVATURE_TITLES.items()]
    doubted = [(text, share) for text, share in known if share]
    parts = [_limb_angle_groups(trial.clinical_figures), *(text for text, share in known if not share)]
    if doubted:
        verb, them = ("say", "them") if len(doubted) > 1 else ("says", "it")
        figures, shares = (" and ".join(part) for part in zip(*doubted, strict=True))
        by = "points that were estimated, not seen," if trial.spine_estimated else "the recording"
        parts.append(f"{_capitalised(figures)} (95 %) {verb} little of this person: {by} decided {shares} of {them}.")
    return " ".join(filter(None, parts))


def _limb_angle_groups(figures: Sequence[ClinicalFigure]) -> str:
    """The angles of the limbs that were measured on both sides, with their spread: the precise ones, and the others."""
    by_name = {figure.name: figure for figure in figures}
    groups: dict[bool, _Measured] = {True: _Measured({}, []), False: _Measured({}, [])}
    for joint, (_, angles) in JOINT_DEFINITIONS.items():
        for angle, _ in angles:
            sides = [side for key in SIDE_WORDS if (side := by_name.get(f"{joint}_{angle}_{key}")) is not None]
            words = {side.decided_by for side in sides}
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


def _curvature_sentence(trial: SolvedTrial, key: str, name: str) -> tuple[str, str]:
    """What is known of a curvature; and '' or, where that says little of the person, the share that was measured."""
    spine, kept = trial.spine, ~trial.rejected
    values, sd = np.degrees(getattr(spine, key)[kept]), getattr(spine, f"{key}_sd")
    if not np.isfinite(values).any():
        return f"{_capitalised(name)} is not known.", ""
    usual = None if sd is None else median_or_none(np.degrees(sd[kept]))
    figure = f"{name} {np.nanmean(values):.0f}°"
    if forced_mask([key], spine.forced).any():
        return f"{_capitalised(figure)} is set by the model.", ""
    if usual is None:
        return f"{_capitalised(figure)} has no standard deviation.", ""
    verdict, figure = verdict_on(key, usual, estimated=trial.spine_estimated), f"{figure} ± {NORMAL_95 * usual:.0f}°"
    if verdict in DOUBTED_VERDICTS:
        return figure, observed_share_text(share_of_curvature(key, usual))
    return f"{_capitalised(figure)} (95 %) was {verdict}.", ""


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _caution_sentence(trial: SolvedTrial) -> str:
    parts = []
    if trial.rejected.any():
        frames = frame_ranges(np.flatnonzero(trial.rejected))
        parts.append(f"{int(trial.rejected.sum())} of {trial.spine.frames} frames were rejected ({frames}).")
    parts.append(_undecided_level_count(trial.observed_shares))
    warned = [finding for finding in trial.findings if finding.severity is not Severity.INFO]
    causes = list(dict.fromkeys(cause_of_finding(finding.code) for finding in warned))
    if causes:
        more = len(causes) - _MAX_CAUSES
        rest = f"; and {more} more" if more > 0 else ""
        parts.append(f"Data quality: {'; '.join(causes[:_MAX_CAUSES])}{rest}.")
    return " ".join(filter(None, parts)) or "Nothing stood out."


def _undecided_level_count(shares: np.ndarray) -> str:
    """How many levels' flexion was not decided by the data. shares: (levels, 3)."""
    known = shares[:, 0][np.isfinite(shares[:, 0])]
    assumed = int((known < THRESHOLDS["assumed"].value_si).sum())
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
    trial: SolvedTrial,
    prefix: str = "t1",
    samples: int = OVERLAY_SAMPLES,
    most: int = MOST_FRAMES,
    film_bytes: int = FILM_BYTES,
) -> TrialSection:
    """One trial's part of a page. prefix: an id on that page. samples: frames shown as overlays. most: frames that the
    3D player holds. film_bytes: of all pictures next to it.
    """
    parts = TrialParts(
        spine=trial.spine,
        verdict=trial.verdict,
        triangulation=trial.triangulation,
        ik=trial.result,
        measured=trial.markers,
        levels=trial.sized.levels,
        shares=trial.observed_shares,
        clinical=(*trial.curvature_figures, *trial.clinical_figures),
        rhythm=trial.lumbopelvic_rhythm,
    )
    step = frame_step(trial.spine.frames, most)
    scene = replace(scene_of_trial(trial, step), films=films_of_trial(trial, step, film_bytes))
    overlays, player = _overlay_sheet(trial, samples), pack_scene(scene, most)
    return trial_section(trial.name, prefix, parts, overlays=overlays, player=player, glance=summary_statements(trial))


def _overlay_sheet(trial: SolvedTrial, samples: int) -> tuple[Picture, ...]:
    """One sheet of sample frames × cameras; nothing where the trial came without videos."""
    if not trial.videos:
        return ()
    return (
        Picture(
            "On the images",
            "Detected points and the fitted body drawn on sample frames of each camera",
            "The fitted body (lines) should lie on the person. Hollow points were inferred, crossed ones left out.",
            data=image_webp(overlay_picture(trial, samples)),
        ),
    )


def overlay_picture(trial: SolvedTrial, samples: int, most: int | None = None) -> np.ndarray:
    """Sample frames (rows) in the cameras (columns; the first `most`) with what was detected and the fitted body."""
    frames = sample_frames(trial.spine.frames, samples, trial.rejected)
    opened = open_videos(trial.videos[:most])
    columns = [_images_by_frame(video, frames, trial.video_frames(v)) for v, video in enumerate(opened)]
    sheet = []
    for frame in frames:
        shown = shown_in(trial, slice(frame, frame + 1))
        pictures = enumerate(images.get(frame) for images in columns)
        sheet.append(
            [None if image is None else (image, layer_of_image(trial, shown, frame, v)) for v, image in pictures]
        )
    labels = [f"{trial.spine.time[frame]:.2f} s" for frame in frames]
    return overlay_sheet(sheet, [camera.name for camera in trial.cameras[:most]], labels)


def _images_by_frame(video: Video, frames: Sequence[int], places: np.ndarray) -> dict[int, np.ndarray]:
    """{frame: image} of the trial's frames asked for and there. places: (frames,) the video's frame of each."""
    return dict(zip(frames, video.shown_at(places[list(frames)]), strict=False))


def trial_caveats(trial: SolvedTrial) -> Caveats:
    """What was not measured in one trial."""
    return caveats_of_trial(trial.markers, trial.spine, trial.observed_shares, ~trial.rejected)


def angles_not_measured(trials: Sequence[Caveats], fitted: bool) -> NotMeasured:
    """Statements for the box 'What is not measured'. fitted: inferred points had a weight in the fit."""
    return not_measured(trials, INFERRED_BY if fitted else f"{INFERRED_BY}; not fitted, only drawn")


def write_trial_report(path: str | os.PathLike, trial: SolvedTrial) -> Path:
    """A page about one trial alone."""
    content = ReportContent(
        title=trial.trial,
        subtitle=f"{trial.spine.frames} frames, {trial.spine.frames / trial.spine.rate:.1f} s",
        trials=(trial_section_of(trial),),
        provenance=Provenance(versions=dict(package_versions())),
        licences=DETECTOR_LICENCES,
        notice=REPORT_NOTICE,
        **angles_not_measured([trial_caveats(trial)], fitted=trial.result.posterior is None),
    )
    write_report(path, content)
    return Path(path)
