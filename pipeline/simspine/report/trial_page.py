"""A reconstruction as part of a report's page, and what a page says over several of them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.anatomy.alignment import UP_AXIS
from simspine.anatomy.clinical import JOINT_DEFINITIONS, SIDE_WORDS
from simspine.core.arrays import frame_ranges
from simspine.core.errors import InputError
from simspine.core.skeletons import is_skin_marker, without_skin_markers
from simspine.core.types import Origin
from simspine.io.video import Video, open_videos
from simspine.quality.findings import THRESHOLDS, Severity
from simspine.quality.marker_checks import SKIN_LOST_CODE
from simspine.quality.observability import (
    ASSUMED_VERDICTS,
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
from simspine.report.canvas import figure_svg, image_webp
from simspine.report.overlay import overlay_sheet, sample_frames
from simspine.report.page import (
    NORMAL_95,
    Picture,
    Provenance,
    ReportContent,
    Statement,
    TrialSection,
    cause_of_finding,
    interval_text,
    write_report,
)
from simspine.report.scene import MOST_FRAMES, frame_step, pack_scene
from simspine.report.spine_figures import changes_figure, posture_figure
from simspine.report.summary import DOTS_OF_TAPE, median_or_none, spine_points_by_source, verdict_on
from simspine.report.tables import (
    ESTIMATED_BY,
    INFERRED_BY,
    Caveats,
    NotMeasured,
    caveats_of_trial,
    change_between,
    comparison_table,
    known_in_several,
    not_measured,
    range_of,
)
from simspine.report.trial_sections import TrialParts, most_moved, scene_of_trial, trial_section

# Four statements on a trial that come before everything else.


_CURVATURE_TITLES = {"lla": "lumbar lordosis", "tka": "thoracic kyphosis"}
_MAX_CAUSES = 3  # warnings that are named; the rest are counted
_FEW_CAMERAS = 3  # fewer see too little of a back that turns
_WHERE_TO_MARK = "C7, T7, T10, L3 and both PSIS"


def summary_statements(trial: SolvedTrial) -> tuple[Statement, ...]:
    """What was measured, how sure, what to be careful with, what to do better next time: a few sentences each."""
    return (
        Statement("What was measured", _measured_sentence(trial)),
        Statement("How sure", _certainty_sentence(trial)),
        Statement("Be careful with", _caution_sentence(trial)),
        Statement("Better next time", _advice_sentence(trial)),
    )


def _measured_sentence(trial: SolvedTrial) -> str:
    spine, count = trial.spine, len(trial.cameras)
    span = f"{spine.frames / spine.rate:.1f} s of movement, {spine.frames} frames at {spine.rate:g} Hz"
    span = span if spine.frames > 1 else "one frame"
    by = f"{count} camera{'s' * (count != 1)} saw" if count else "The recording holds"
    points = len(without_skin_markers(trial.markers.names_of(Origin.DETECTED, Origin.GIVEN)))
    skeleton = f"A skeleton was fitted to {points} points of the body. " * bool(points)
    ways = spine_points_by_source(trial.markers)
    guessed = estimated_of_spine(trial.markers.names, trial.markers.origins)
    estimated = f"{len(guessed)} points of it are {ESTIMATED_BY}: {', '.join(guessed)}."
    if ways:
        parts = [f"{len(names)} {_DECISION_TEXTS.get(way, way)}{_named(way, names)}" for way, names in ways.items()]
        seen = f"Of the spine itself it rests on {'; and '.join(parts)}." + f" {estimated}" * bool(guessed)
    elif guessed:
        seen = f"Of the spine itself nothing was seen: {estimated}"
    else:
        seen = "Of the spine itself nothing was seen: it is inferred from the limbs."
    return f"{by} {span}. {skeleton}{seen}{_moved_sentence(trial)}"


def _named(way: str, names: Sequence[str]) -> str:
    """The names, but for the dots of a tape."""
    return "" if way == DOTS_OF_TAPE else f": {', '.join(names)}"


def _moved_sentence(trial: SolvedTrial) -> str:
    """What moved most for its error."""
    moved = most_moved((*trial.curvature_figures, *trial.clinical_figures))[:2]
    parts = [f"{figure.label} by {interval_text(range_of(figure), figure.range_sd, figure.unit)}" for figure in moved]
    return f" Most moved: {'; '.join(parts)}." if parts and trial.spine.frames > 1 else ""


_DECISION_TEXTS = {
    "on the skin": "markers on the back",
    "detected": "points that the detector found",
    "given": "points of motion capture",
    DOTS_OF_TAPE: "points on a line along the back",
}


def _certainty_sentence(trial: SolvedTrial) -> str:
    known = [_curvature_sentence(trial, key, name) for key, name in _CURVATURE_TITLES.items()]
    doubted = [(text, share) for text, share in known if share]
    parts = [_limb_angle_groups(trial.clinical_figures), *(text for text, share in known if not share)]
    if doubted:
        verb, them = ("say", "them") if len(doubted) > 1 else ("says", "it")
        figures, shares = (" and ".join(part) for part in zip(*doubted, strict=True))
        by = "points that were estimated, not seen," if trial.spine_estimated else "the recording"
        parts.append(f"{_capitalised(figures)} {verb} little of this person: {by} decided {shares} of {them}.")
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
    limbs = any(name.startswith(joint) for name in by_name for joint in JOINT_DEFINITIONS)
    return " ".join(parts) or "No angle of the limbs was measured on both sides." * limbs


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
        return f"to ± {low:.0f}{'' if round(low) == round(high) else f'–{high:.0f}'}°: {names}"


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
    if verdict in ASSUMED_VERDICTS:
        return figure, observed_share_text(share_of_curvature(key, usual))
    return f"{_capitalised(figure)} was {verdict}.", ""


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


def _advice_sentence(trial: SolvedTrial) -> str:
    """What would make this recording surer, by what it lacked."""
    codes, ways = {finding.code for finding in trial.findings}, spine_points_by_source(trial.markers)
    lost = [finding.where for finding in trial.findings if finding.code == SKIN_LOST_CODE]
    advice = (
        (not ways, f"Put markers on the skin over {_WHERE_TO_MARK}."),
        (lost, f"Keep the marker{'s' * (len(lost) != 1)} over {', '.join(lost)} in view of two cameras."),
        (0 < len(trial.cameras) < _FEW_CAMERAS, "Use three cameras or more, one of them behind the person."),
        ("camera_refined" in codes, "Calibrate the cameras again: the calibration did not fit these images."),
        (any(figure.is_assumed for figure in trial.curvature_figures),
         "For the curvature itself, measure a line of points along the back, or use a radiograph."),
        (codes & {"bone_length", "marker_jump", "markers_missing"}, "Fitted clothes and more light help the detector."),
    )  # fmt: skip
    return " ".join(text for wanted, text in advice if wanted) or "Nothing: record it the same way."


def methods_text(trial: SolvedTrial) -> str:
    """Sentences for the methods section of a paper, with the numbers of this recording."""
    spine, cameras, report = trial.spine, len(trial.cameras), trial.triangulation
    source = f"{cameras} cameras" if cameras else "markers"
    frames = "one frame" if spine.frames == 1 else f"{spine.frames} frames at {spine.rate:g} Hz"
    parts = [
        f"Posture and movement were recorded with {source} ({frames}) and reconstructed with simspine "
        f"{package_versions().get('simspine', '')}."
    ]
    if report is not None and np.isfinite(report.error_px[report.used]).any():
        median = np.nanmedian(report.error_px[report.used])
        parts.append(f"Points detected in the images were triangulated (median reprojection error {median:.1f} px).")
    distance = median_or_none(trial.result.marker_error)
    if distance is not None:
        together = "all frames together" if trial.result.posterior is not None else "each frame"
        parts.append(
            f"The body model '{trial.sized.recipe.name}' was fitted to {together}; its markers lie "
            f"{1e3 * distance:.0f} mm (median) from the measured ones."
        )
    parts.append(f"{int(trial.rejected.sum())} of {spine.frames} frames were rejected by the quality checks.")
    known = [figure for figure in trial.curvature_figures if figure.mean is not None]
    if known:
        values = [
            f"{figure.label.lower().replace('l1–s1', 'L1–S1').replace('t3–t12', 'T3–T12')}: "
            f"{interval_text(figure.mean, figure.sd, figure.unit)} ({figure.decided_by or 'no interval'})"
            for figure in known
        ]
        parts.append(f"Means with 95 % intervals of the posterior: {'; '.join(values)}.")
    return " ".join(parts)


def _posture_pictures(trial: SolvedTrial, prefix: str) -> tuple[Picture, ...]:
    """The spine of a single frame in both planes of the pelvis; nothing of a movement."""
    centres, sacrum = trial.spine.centres, trial.sized.vertebrae.get("S1")
    if trial.spine.frames > 1 or centres is None or sacrum is None:
        return ()
    right = trial.poses[sacrum.body][0, :3, 2] * (1 - UP_AXIS)
    right = right / max(float(np.linalg.norm(right)), 1e-9)
    planes = np.array([np.cross(UP_AXIS, right), UP_AXIS, right])
    base = centres.select(["S1"]).xyz[0, 0]
    deviation = None
    if centres.covariance is not None:
        turned = planes @ centres.covariance[0] @ planes.T
        deviation = 1e3 * np.sqrt(np.maximum(np.diagonal(turned, axis1=1, axis2=2), 0.0))
    skin = trial.markers.select(is_skin_marker(trial.markers.names)).xyz[0]
    figure = posture_figure(
        centres.names,
        1e3 * (centres.xyz[0] - base) @ planes.T,
        deviation,
        1e3 * (skin - base) @ planes.T if len(skin) else None,
    )
    return (
        Picture(
            "The spine in both planes",
            "Centres of the vertebrae seen from the right and from behind, with their intervals",
            "Planes of the pelvis, made vertical. The band is the 95 % interval of each place. Neighbouring levels "
            "share most of their error.",
            svg=figure_svg(figure, f"{prefix}-posture"),
        ),
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
    section = trial_section(
        trial.name, prefix, parts, overlays=overlays, player=player, glance=summary_statements(trial)
    )
    return replace(section, posture=_posture_pictures(trial, prefix), methods=methods_text(trial))


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


def comparison_page(trials: Mapping[str, SolvedTrial], title: str) -> ReportContent:
    """Two trials of a movement: what changed and whether that is more than the error, and both in 3D.

    trials: {name on the page: trial}, the earlier one first.
    """
    first, last = trials
    figures = {name: (*trial.curvature_figures, *trial.clinical_figures) for name, trial in trials.items()}
    table = comparison_table(figures)
    changes = [change_between(one, other) for one, other in known_in_several(figures) if one and other]
    if table is None:
        raise InputError(f"{first} and {last}: no parameter is known in both; nothing can be compared.")
    titles = ("Difference of means", "Difference of ranges")
    drawn = [changes_figure(changes, f"{name}: {last} less {first}", name == titles[1]) for name in titles]
    captions = "Filled: larger than its error. Hollow: within. Dashed: assumed in one of the trials."
    pictures = tuple(
        Picture(name, f"{name}, each with its interval", captions, svg=figure_svg(figure, f"c{number}"))
        for number, (name, figure) in enumerate(zip(titles, drawn, strict=True))
    )
    scenes = {
        name: replace(scene_of_trial(trial, frame_step(trial.spine.frames, MOST_FRAMES)), name=name, curves=())
        for name, trial in trials.items()
    }
    return ReportContent(
        title=title,
        subtitle=f"{last} compared with {first}",
        trials=tuple(
            TrialSection(name, player=pack_scene(scene), glance=summary_statements(trials[name])[:3])
            for name, scene in scenes.items()
        ),
        comparisons=(table,),
        changes=pictures,
        alone=True,
        notice=REPORT_NOTICE,
    )
