"""The page of a trial: statements, text for a methods section, pictures."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np

from simspine.anatomy.alignment import UP_AXIS
from simspine.anatomy.clinical import CURVATURE_OF_ADULTS, PUBLISHED_ADULTS
from simspine.anatomy.marker_sets import PELVIS_SKIN_MARKERS
from simspine.anatomy.scaling import model_stature
from simspine.core.arrays import frame_ranges
from simspine.core.skeletons import SKIN_SUFFIX, is_skin_marker, without_skin_markers
from simspine.core.types import Origin
from simspine.io.image_streams import encode_jpeg
from simspine.io.video import Video, open_videos
from simspine.quality.findings import THRESHOLDS, Finding, Severity, warning
from simspine.quality.marker_checks import HIP_PAIR, SKIN_LOST_CODE
from simspine.quality.observability import (
    ClinicalFigure,
    Observability,
    estimated_of_spine,
    narrowing_text,
    rhythm_verdict,
)
from simspine.reconstruction import headline
from simspine.reconstruction.cameras import (
    CAMERA_REFINED_CODE,
    REFINEMENT_REMOVED_IT,
    camera_changes,
    did_not_fit,
    is_refined,
    largest_change,
)
from simspine.reconstruction.publish import package_versions
from simspine.reconstruction.solved_trial import SolvedTrial, unseen_bodies
from simspine.report import tables, trial_sections
from simspine.report.body_video import films_of_trial, layer_of_image, shown_in
from simspine.report.canvas import figure_svg
from simspine.report.figures import posture_figure
from simspine.report.overlay import overlay_sheet, sample_frames
from simspine.report.page import (
    Picture,
    ReportContent,
    Statement,
    TrialSection,
    cause_of_finding,
    named_picture,
    page_words,
    render_page,
    write_report,
)
from simspine.report.scene import MOST_FRAMES, frame_step, pack_scene

_MAX_CAUSES = 3  # warnings that are named, and errors; the rest are counted
_NOTEBOOK_FRAMES = 300  # frames of a trial in a cell of a notebook: about 2 MB, most of it the player
_FEW_CAMERAS = 3  # fewer cameras see too little of a back that turns
PELVIS_SKIN_NAMES = {name + SKIN_SUFFIX for name in PELVIS_SKIN_MARKERS}
_PUBLICATION = re.compile(r"<publications>([^<]+)<")  # of an OpenSim model
_CITED = re.compile(r"(?:[a-z]+ )?([A-Z][A-Za-z-]+(?: & [A-Z][a-z]+)? \d{4})")  # at the start of a source's part


def summary_statements(trial: SolvedTrial) -> tuple[Statement, ...]:
    """Recording, what may be used, cautions, advice for the next recording."""
    return (
        Statement("What was recorded", _measured_sentence(trial)),
        Statement("What may be used", _use_sentence(trial)),
        Statement("Be careful with", _caution_sentence(trial)),
        Statement("Better next time", _advice_sentence(trial)),
    )


def recorded_sentence(trial: SolvedTrial) -> str:
    """Who and what was recorded: 'S01, trial walk: 4 cameras, 100 frames at 60 Hz (1.7 s), no frame rejected; …'."""
    spine, count, rejected = trial.spine, len(trial.cameras), int(trial.rejected.sum())
    frames = f"{spine.frames} frames at {spine.rate:g} Hz ({spine.frames / spine.rate:.1f} s)"
    used = f"{rejected or 'no frame'} rejected" if rejected or spine.frames > 1 else "used"
    frames = f"{frames if spine.frames > 1 else 'one frame'}, {used}"
    frames += "; the calibration did not fit" * did_not_fit(trial.findings)
    source = f"{count} camera{'s' * (count != 1)}" if count else "markers"
    return f"{trial.subject}, trial {trial.trial}: {source}, {frames}; {page_words('top')['not_given']}"


def _measured_sentence(trial: SolvedTrial) -> str:
    count = len(trial.cameras)
    ways = headline.spine_points_by_source(trial.markers)
    guessed = estimated_of_spine(trial.markers.names, trial.markers.origins)
    estimated = f"{len(guessed)} points of it are {tables.ESTIMATED_BY}: {', '.join(guessed)}."
    if ways:
        sources = page_words("sources")
        sources = sources | {headline.SKIN_MARKER_GROUP: sources["clicked"]} if count else sources
        parts = [
            f"{len(names)} {sources.get(way, way)}" + f": {', '.join(names)}" * (way != headline.DOTS_OF_TAPE)
            for way, names in ways.items()
        ]
        seen = f"On the back {'; and '.join(parts)}." + f" {estimated}" * bool(guessed)
    else:
        seen = "Of the spine itself nothing was seen: " + (estimated if guessed else "it is inferred from the limbs.")
    for name, text in page_words("long_names").items():
        seen = seen.replace(f"{name} (", f"{name} ({text}, ").replace(f"{name}.", f"{name} ({text}).")
    if unseen := len(trial.markers.names_of(Origin.INFERRED)):
        use = " and fits them" if trial.result.posterior is None else ", for the picture only"
        seen += page_words("top")["inferred"].format(count=unseen, use=use)
    points, words = len(without_skin_markers(trial.markers.names_of(Origin.DETECTED, Origin.GIVEN))), page_words("top")
    body = words["body" if count else "given"].format(points=points) * bool(points)
    seen = body + seen + words["basis"] * bool(count)
    if points and not any(unseen.all() for unseen in unseen_bodies(trial.body, trial.motion).values()):
        seen += words["stature"].format(stature=model_stature(trial.body, trial.sized.recipe, {}))
    moved = trial.spine.frames > 1 and not (trial.rejected.all() or _stood_still(trial))
    return seen + words["moved"] * moved


def _use_sentence(trial: SolvedTrial) -> str:
    """Sentences on what the figures may be used for, and on those that may not be used."""
    words, still, count = page_words("use"), _stood_still(trial), len(trial_sections.usable_figures(trial))
    fitted, frames = not did_not_fit(trial.findings), frame_ranges(np.flatnonzero(trial.rejected))
    usable = " and ".join([f"{count} ranges of motion"] * bool(count) + ["the means"] * still)
    parts = [
        words["describe"].format(answer="yes" if fitted else "roughly", usable=usable) if usable else words["nothing"],
        words["norms" if still else "no_norms"],
        words["visit" if fitted else "no_visit"],
        words["paper" if fitted else "misfit_paper"],
        words["misfit_again"] * (not fitted),
        *_curvature_sentences(trial),
        words["levels"] * (not trial_sections.level_pictures(trial)),
        *(f"{verdict.capitalize()}: {', '.join(names)}." for verdict, names in _not_shown(trial).items()),
        f"Rejected frames: {frames}." * bool(frames),
    ]
    return " ".join(filter(None, parts))


def _curvature_sentences(trial: SolvedTrial) -> list[str]:
    by = "points that were estimated, not seen," if trial.spine_estimated else "the recording"
    flexion = any(one.name == "lumbar_flexion" and one.is_assumed for one in trial.clinical_figures)
    still = _stood_still(trial)
    texts = [_curvature_sentence(one, by, still) for one in trial.curvature_figures]
    return [text.replace("lordosis:", page_words("top")["flexion"]) if flexion else text for text in texts]


def _stood_still(trial: SolvedTrial) -> bool:
    return tables.held_still((*trial.curvature_figures, *trial.clinical_figures))


def _curvature_sentence(figure: ClinicalFigure, by: str, still: bool) -> str:
    """A sentence on a curvature. by: what lowered its uncertainty. still: whether the person stood still."""
    name = figure.label.partition(",")[0]
    if figure.mean is None:
        return f"{name} is not known."
    is_unused = not tables.is_result(figure, still)
    value = name if is_unused else f"{name} {tables.stated_mean(figure, still)}"
    narrowed, verdict = "", "not to be used, " * (figure.is_decided and is_unused) + figure.decided_by
    if figure.share == figure.share:
        narrowed = f" ({by} narrowed its uncertainty by {narrowing_text(figure.share)})"
    if figure.is_assumed:
        return f"{name}: not measured. The model uses the average of healthy people{narrowed}."
    return f"{value}: {verdict}{narrowed}." if figure.decided_by else f"{value} has no interval."


def _not_shown(trial: SolvedTrial) -> dict[str, list[str]]:
    """{verdict: quantities} that no table shows: those that the model sets, and an assumed rhythm."""
    figures = (*trial.curvature_figures, *trial.clinical_figures)
    forced = [one for one in (*figures, *trial_sections.region_figures(trial)) if one.verdict is Observability.FORCED]
    of_verdict = {str(Observability.FORCED): _joined_sides([trial_sections.short_name(one) for one in forced])}
    rhythm, verdict = trial.lumbopelvic_rhythm, rhythm_verdict(figures)
    if rhythm is not None and rhythm.ratio is not None and verdict is Observability.ASSUMED:
        of_verdict[str(verdict)] = ["lumbopelvic rhythm"]
    return {verdict: names for verdict, names in of_verdict.items() if names}


def _joined_sides(names: Sequence[str]) -> list[str]:
    """The names, without the side where both sides are among them: 'Knee adduction'."""
    plain = [name.removeprefix("Right ").removeprefix("Left ").capitalize() for name in names]
    return [*dict.fromkeys(one if plain.count(one) > 1 else name for one, name in zip(plain, names, strict=True))]


def _caution_sentence(trial: SolvedTrial) -> str:
    warned = [finding for finding in _findings_of(trial) if finding.severity is not Severity.INFO]
    causes: dict[Severity, list[str]] = {Severity.ERROR: [], Severity.WARNING: []}
    others = [one for one in warned if one.code not in (CAMERA_REFINED_CODE, SKIN_LOST_CODE)]
    for finding in others:
        cause, frames = cause_of_finding(finding.code), f"frames {finding.span}" if finding.frames else ""
        places = ", ".join(filter(None, (finding.where, frames)))
        causes[finding.severity].append(f"{cause} ({places})" if places else cause)
    words = page_words("careful")
    parts = [words["refined"]] * is_refined(trial.findings)
    if did_not_fit(trial.findings):
        changes = camera_changes(trial.findings)
        size = f" by up to {largest_change(changes)}" if changes else ""
        gone = next((one for one in trial.findings if one.suggestion == REFINEMENT_REMOVED_IT), None)
        reason = f": {gone.summary}".replace(f": {gone.where}: ", f": in {gone.where}, ") if gone else ""
        parts.insert(0, words["misfit"].format(reason=reason, size=size))
    parts += [words["hips"]] * bool({*HIP_PAIR}.intersection(trial.markers.names_of(Origin.DETECTED)))
    if on_back := _views_of_skin_markers(trial):
        parts.append(words["few_views"].format(views=" and ".join(on_back)))
    for severity, found in ((severity, [*dict.fromkeys(texts)]) for severity, texts in causes.items()):
        rest = [f"and {len(found) - _MAX_CAUSES} more"] * (len(found) > _MAX_CAUSES)
        head = f"{severity}s".capitalize() if others == warned else f"Other {severity}s"
        parts += [f"{head}: {'; '.join(found[:_MAX_CAUSES] + rest)}."] * bool(found)
    parts += [words["cures"]] * bool(warned)
    return " ".join(parts) or "Nothing stood out."


def _views_of_skin_markers(trial: SolvedTrial) -> list[str]:
    """The cameras that saw markers on the skin, where only two of more did: nothing checks a point of two cameras."""
    if trial.triangulation is None or len(trial.cameras) < _FEW_CAMERAS:
        return []
    skin = trial.triangulation.of_points(is_skin_marker(trial.triangulation.names))
    views = [view for v, view in enumerate(skin.views) if skin.used[:, v].any()]
    return views if len(views) < _FEW_CAMERAS else []


def _findings_of(trial: SolvedTrial) -> tuple[Finding, ...]:
    """Findings of quality control, after a warning where no marker shows the lumbar spine."""
    words = page_words("unseen")
    unseen = warning("lumbar_unseen", words["message"], words["advice"])
    return (*[unseen] * trial_sections.lacks_lumbar_marker(trial), *trial_sections.page_findings(trial.findings))


def _advice_sentence(trial: SolvedTrial) -> str:
    """Advice for a better recording, by what this one lacks."""
    ways = headline.spine_points_by_source(trial.markers)
    lost = [finding.where for finding in trial.findings if finding.code == SKIN_LOST_CODE]
    lacks = {
        "lumbar_marker": trial_sections.lacks_lumbar_marker(trial),
        "any_marker": not ways,
        "lost_markers": bool(lost),
        "back_views": bool(_views_of_skin_markers(trial)) and not lost,
        "psis": bool(ways) and not PELVIS_SKIN_NAMES.issubset(trial.markers.names),
        "asis": not (trial.cameras or headline.DOTS_OF_TAPE in ways or {"LASI", "RASI"} <= {*trial.markers.names}),
        "cameras": 0 < len(trial.cameras) < _FEW_CAMERAS,
        "standing": not _stood_still(trial),
        "calibration": did_not_fit(trial.findings),
        "length": did_not_fit(trial.findings),
        "radiograph": any(figure.is_assumed for figure in trial.curvature_figures),
    }
    advice = [text.format(lost=", ".join(lost)) for name, text in page_words("advice").items() if lacks[name]]
    return " ".join(["Most important first:"] * (len(advice) > 1) + advice) or "Nothing: record it the same way."


def methods_text(trial: SolvedTrial, how: str = "") -> str:
    """Sentences for the methods section of a paper. how: sentences on detection and filtering of the points."""
    spine, body, distance, versions = trial.spine, trial.body, headline.marker_rms_mm(trial), package_versions()
    source = f"{len(trial.cameras)} cameras ({tables.image_sizes(trial.cameras)})" if trial.cameras else "markers"
    frames = "one frame" if spine.frames == 1 else f"{spine.frames} frames at {spine.rate:g} Hz"
    ways = headline.spine_points_by_source(trial.markers)
    skin = [name for way in (headline.SKIN_MARKER_GROUP, headline.DOTS_OF_TAPE) for name in ways.get(way, ())]
    words = page_words("methods")
    levels, free = sum(bool(level.coordinates) for level in trial.sized.levels), len(body.tree.free)
    adults, names = CURVATURE_OF_ADULTS | PUBLISHED_ADULTS, {one.name for one in trial.clinical_figures}
    known = adults.keys() & {*CURVATURE_OF_ADULTS, *names}  # their spread among adults decides the verdicts
    cited = sorted({adults[name].source.partition(",")[0] for name in known})
    parts = (
        words["recorded"].format(source=source, frames=frames, version=versions.get("simspine", "")),
        how,
        _points_sentence(trial),
        words["skin" if trial.cameras else "given_skin"].format(names=", ".join(skin)) if skin else "",
        words["body"].format(
            body=trial.sized.recipe.name, free=free, levels=levels, version=versions.get("opensim", "")
        ),
        words["by_frame" if trial.result.posterior is None else "trajectory"],
        *_model_sources(trial),
        f"RMS distance from points in space to the fitted body: {distance:.0f} mm." if distance else "",
        words["rejected"].format(count=trial.rejected.sum(), frames=spine.frames),
        words["intervals"],
        words["adults"].format(
            cited="; ".join(cited),
            **{name: THRESHOLDS[name].value for name in ("measured", "assumed")},
            **{f"narrow_{name}": narrowing_text(THRESHOLDS[name].value_si) for name in ("measured", "assumed")},
        ),
    )
    return " ".join(filter(None, parts))


def _model_sources(trial: SolvedTrial) -> list[str]:
    """Sentences on the publications of the parent model, and on the sources of the priors."""
    recipe, parent = trial.sized.recipe, _PUBLICATION.search(trial.body.osim)
    texts = [axis.source for region in recipe.regions for axis in region.axes] + [one.source for one in recipe.priors]
    cited = {found[1] for text in texts for part in re.split("; | and ", text) if (found := _CITED.match(part))}
    words = page_words("methods")
    sentences = [words["parent"]] * bool(parent and "Pose2Sim" in parent[1])
    if cited and trial.result.posterior is not None:
        sentences.append(words["priors"].format(cited="; ".join(sorted(cited))))
    return sentences


def _points_sentence(trial: SolvedTrial) -> str:
    """Sentences on the reprojection errors of detected points, as in the tables of the fit; '' without images."""
    if trial.triangulation is None:
        return ""
    seen = headline.detected_points(trial.triangulation, trial.markers)
    error, noise = headline.median_or_none(seen.error_px[seen.used]), headline.median_or_none(seen.noise_px)
    if error is None or noise is None:
        return ""
    refined = next((f.message.partition(": ")[2] for f in trial.findings if f.code == CAMERA_REFINED_CODE), "")
    observed = np.isfinite(seen.error_px)
    exchanged, used = int((seen.swapped & observed).sum()), int((seen.used & observed).sum())
    words = page_words("methods")
    return (
        words["misfit"] * did_not_fit(trial.findings)
        + words["refined"].format(refined=refined) * bool(refined)
        + words["exchanged"].format(count=exchanged) * bool(exchanged)
        + words["triangulated"].format(error=error, noise=noise, used=used, count=observed.sum())
    )


def _posture_pictures(trial: SolvedTrial, prefix: str) -> tuple[Picture, ...]:
    """Picture of the spine in both planes of the pelvis for a single frame; () for a movement."""
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
    return (named_picture("posture", svg=figure_svg(figure, f"{prefix}-posture")),)


OVERLAY_SAMPLES = 3  # frames shown as overlays
FILM_BYTES = 7_000_000  # limit for pictures of a trial's page; base64 makes them a third larger
REPORT_NOTICE = page_words("means")["notice"]


def trial_section_of(
    trial: SolvedTrial,
    prefix: str = "t1",
    samples: int = OVERLAY_SAMPLES,
    most: int = MOST_FRAMES,
    film_bytes: int = FILM_BYTES,
    how: str = "",
    as_calibrated: SolvedTrial | None = None,
) -> TrialSection:
    """One trial's part of a page. prefix: an id on that page. samples: frames shown as overlays. most: limit of frames
    in the 3D player. film_bytes: limit of all pictures next to it. how: as in `methods_text`. as_calibrated: the trial
    with the calibration as given, where that did not fit.
    """
    step = frame_step(trial.spine.frames, most)
    scene = replace(trial_sections.scene_of_trial(trial, step), films=films_of_trial(trial, step, film_bytes))
    methods, views = methods_text(trial, how), range(len(trial.videos))
    shown = sample_frames(trial.spine.frames, samples, trial.rejected)
    return TrialSection(
        name=trial.name,
        recorded=recorded_sentence(trial),
        findings=_findings_of(trial),
        overlays=(named_picture("overlay", data=encode_jpeg(overlay_picture(trial, shown, views))),)
        if trial.videos
        else (),
        figures=(*trial_sections.curve_pictures(trial, scene.curves), *trial_sections.level_pictures(trial)),
        tables=trial_sections.trial_tables(trial),
        rejected=() if trial.verdict is None else trial_sections.rejected_frames(trial.verdict),
        player=pack_scene(scene, most),
        usable=trial_sections.usable_table(trial, as_calibrated),
        moments=_moment_pictures(trial),
        glance=summary_statements(trial),
        fit=trial_sections.fit_tables(trial),
        posture=_posture_pictures(trial, prefix),
        methods=methods,
        references=tuple(Statement(*cited) for cited in page_words("references").items() if cited[0] in methods),
    )


def _moment_pictures(trial: SolvedTrial) -> tuple[Picture, ...]:
    """Picture of the larger end of the range that was measured best, from the two cameras that show most points."""
    figures = trial_sections.usable_figures(trial)[:1]
    if not figures or not trial.videos or trial.triangulation is None:
        return ()
    (figure,), used = figures, trial.triangulation.used
    frame = figure.ends[abs(figure.maximum or 0.0) > abs(figure.minimum or 0.0)]
    views = sorted(np.argsort(-used[frame].sum(-1), kind="stable")[:2].tolist())
    image = encode_jpeg(overlay_picture(trial, [frame], views))
    picture, name = named_picture("moment", data=image), trial_sections.short_name(figure)
    return (replace(picture, title=picture.title.format(name=name, time=trial.spine.time[frame])),)


def overlay_picture(trial: SolvedTrial, frames: Sequence[int], views: Sequence[int]) -> np.ndarray:
    """Images of frames (rows) from cameras (columns), with detected points and the fitted body."""
    opened = open_videos(trial.videos)
    columns = {view: _images_by_frame(opened[view], frames, trial.video_frames(view)) for view in views}
    sheet = []
    for frame in frames:
        shown = shown_in(trial, slice(frame, frame + 1))
        pictures = ((view, images.get(frame)) for view, images in columns.items())
        sheet.append(
            [None if image is None else (image, layer_of_image(trial, shown, frame, v)) for v, image in pictures]
        )
    labels = [f"{trial.spine.time[frame]:.2f} s" for frame in frames]
    return overlay_sheet(sheet, [trial.cameras[view].name for view in views], labels)


def _images_by_frame(video: Video, frames: Sequence[int], places: np.ndarray) -> dict[int, np.ndarray]:
    """{frame: image} of some frames of the trial. places: (frames,) the video's frame for each of the trial's."""
    rows = places[list(frames)].tolist()
    images = dict(zip(sorted({*rows}), video.at(rows), strict=True))
    return {frame: images[row] for frame, row in zip(frames, rows, strict=True)}


def write_trial_report(path: str | os.PathLike, trial: SolvedTrial) -> Path:
    """Write a page about one trial alone; returns its path."""
    content = ReportContent(
        title=trial.trial,
        subtitle=recorded_sentence(trial),
        trials=(trial_section_of(trial),),
        provenance=dict(package_versions()),
        licences=page_words("licences"),
        notice=REPORT_NOTICE,
    )
    write_report(path, content)
    return Path(path)


def notebook_player(trial: SolvedTrial) -> str:
    """HTML of the 3D player of a trial for a cell of a notebook: a self-contained iframe of limited size."""
    scene = trial_sections.scene_of_trial(trial, frame_step(trial.spine.frames, _NOTEBOOK_FRAMES))
    section = TrialSection(name=trial.name, player=pack_scene(scene, _NOTEBOOK_FRAMES))
    page = render_page(ReportContent(title=trial.trial, trials=(section,), alone=True))
    return (
        f'<iframe title="{escape(trial.trial)}" srcdoc="{escape(page)}" sandbox="allow-scripts" '
        'style="width: 100%; height: 44rem; border: 0"></iframe>'
    )
