"""One trial's part of the page, out of the stages' results."""

import gc
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from simspine.anatomy.alignment import LumbopelvicRhythm
from simspine.anatomy.clinical import PUBLISHED_BANDS
from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS, SPINE_LEVELS, Level
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.errors import frame_ranges
from simspine.core.skeletons import base_name
from simspine.core.types import Markers, Origin
from simspine.quality.findings import Finding, Verdict
from simspine.quality.observability import ClinicalFigure, is_estimated
from simspine.report import canvas, page
from simspine.report.level_figures import (
    availability_figure,
    level_map,
    marker_error_figure,
    point_states,
    range_profile,
    reprojection_by_point_figure,
    reprojection_figure,
)
from simspine.report.overlay import sample_frames
from simspine.report.scene import PackedScene
from simspine.report.spine_figures import curvature_figure, limb_curves, spine_chain, stick_figures
from simspine.report.tables import ESTIMATED_BY, FoundVariation, angle_table, body_table, clinical_tables, skin_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simspine.estimation.result import Result
    from simspine.vision.triangulation import TriangulationReport


@dataclass(frozen=True, eq=False)
class TrialParts:
    """What is known of a trial; a part that is None has no figure.

    spine: its kinematics, with centres. verdict: of quality control. triangulation: how well the points fit the images.
    ik: the solution. measured: the markers inverse kinematics was given, with origin and filled. model: the body's
    markers by forward kinematics; edges: pairs of their names for the stick figure. levels: of the body, with their
    coordinates. shares: (levels of `spine`, 3) observability of each angle, NaN = not known
    (`quality.observability.level_shares`). clinical, rhythm: clinical parameters of the trial.
    variations: of the body, where it was fitted to the person.
    """

    spine: SpineKinematics | None = None
    verdict: Verdict | None = None
    triangulation: "TriangulationReport | None" = None
    ik: "Result | None" = None
    measured: Markers | None = None
    model: Markers | None = None
    edges: Sequence[tuple[str, str]] = ()
    levels: Sequence[Level] = SPINE_LEVELS
    shares: np.ndarray | None = None
    clinical: Sequence[ClinicalFigure] = ()
    rhythm: LumbopelvicRhythm | None = None
    variations: Sequence[FoundVariation] = ()

    @property
    def status(self) -> list[str] | None:
        return None if self.verdict is None else [str(s) for s in self.verdict.status]

    @property
    def rejected(self) -> np.ndarray | None:
        return None if self.verdict is None else self.verdict.rejected

    @cached_property
    def origin(self) -> dict[str, str]:
        """{marker: origin}. Triangulation knows an inferred point by its plain name, so that is there as well."""
        if self.measured is None:
            return {}
        origin = dict(zip(self.measured.names, map(str, self.measured.origins), strict=True))
        return {base_name(name): kind for name, kind in origin.items()} | origin

    @property
    def spine_estimated(self) -> bool:
        """Whether points of the spine that were fitted were estimated."""
        return self.measured is not None and is_estimated(self.measured.names, self.measured.origins)

    def level_shares(self, spine: SpineKinematics) -> np.ndarray:
        return np.full((len(spine.levels), 3), np.nan) if self.shares is None else self.shares


# A figure of a trial with what the page says of it: key, title, alternative text, caption.
DrawnFigure = tuple["Figure", str, str, str, str]


def trial_section(
    name: str,
    prefix: str,
    parts: TrialParts,
    *,
    overlays: Sequence[page.Picture] = (),
    player: PackedScene | None = None,
    glance: Sequence[page.Statement] = (),
) -> page.TrialSection:
    """Figures, findings and reasons of one trial. prefix: an id, different for each trial of the page ('t1').

    overlays: pictures of the images. player: the trial in 3D. glance: what comes first.
    """

    def pictures(drawn: Iterable[DrawnFigure]) -> tuple[page.Picture, ...]:
        found = []
        for figure, key, title, alt, caption in drawn:
            found.append(page.Picture(title, alt, caption, svg=canvas.figure_svg(figure, f"{prefix}-{key}")))
            # One after another, and none kept: of long trials each figure takes a hundred megabytes. Its parts name
            # one another, so that it goes with a look for cycles among new objects only.
            del figure
            gc.collect(0)
        return tuple(found)

    spine, verdict = parts.spine, parts.verdict
    tables = [*clinical_tables(parts.clinical, parts.rhythm)]
    if spine is not None and spine.angles_sd is not None:
        kept = None if verdict is None else ~verdict.rejected
        tables.append(
            angle_table(spine, parts.level_shares(spine), parts.levels, kept=kept, estimated=parts.spine_estimated)
        )
    tables += [*skin_table(parts.triangulation, parts.ik), *body_table(parts.variations)]
    return page.TrialSection(
        name=name,
        findings=() if verdict is None else tuple(map(page_finding, verdict.findings)),
        overlays=tuple(overlays),
        figures=pictures(chain(_body_figures(parts), _limb_figures(parts), _spine_figures(parts))),
        tables=tuple(tables),
        rejected=() if verdict is None else rejected_frames(verdict),
        player=player,
        glance=tuple(glance),
        checks=pictures(chain(_triangulation_figures(parts), _marker_figures(parts))),
    )


def _limb_figures(parts: TrialParts) -> Iterator[DrawnFigure]:
    """Pelvis, trunk and joints of the limbs over time."""
    clinical = None if parts.spine is None else parts.spine.clinical
    if parts.spine is None or clinical is None:
        return
    drawn = limb_curves(parts.spine.time, clinical, parts.status)
    if drawn is None:
        return
    yield (
        drawn, "limbs", "Pelvis, trunk and limbs", "Angles of pelvis, trunk and joints of the limbs over time",
        "Right: solid, left: dashed, with ± 1.96 standard deviations. No normal bands here: these belong to cycles "
        "of gait, which are drawn where the configuration names the contacts of the feet (report.events).",
    )  # fmt: skip


def _spine_figures(parts: TrialParts) -> Iterator[DrawnFigure]:
    """Curvature, angles per level, and the chain of points."""
    spine = parts.spine
    if spine is None:
        return
    estimated = f" Points of the spine were {ESTIMATED_BY}: the curves follow these." * parts.spine_estimated
    yield (
        curvature_figure(
            spine.time, spine.lla, spine.tka, bands=PUBLISHED_BANDS, status=parts.status, forced=spine.forced,
            lla_sd=spine.lla_sd, tka_sd=spine.tka_sd,
        ),
        "curvature", "Curvature", "Lumbar lordosis and thoracic kyphosis over time, with normal bands",
        "Bars at the right of the panels are published ranges of standing adults; sitting or bending is expected to "
        "leave them. "
        "A dashed grey curve is the model's, not the person's; a dashed orange one is assumed, or very uncertain "
        f"compared with the spread among standing adults: it says little about this person.{estimated}",
    )  # fmt: skip
    yield from _level_figures(parts, spine)
    if spine.markers.covariance is not None or spine.centres is not None:
        yield (
            spine_chain(spine.markers, sample_frames(spine.frames, 5, parts.rejected), spine.centres),
            "chain", "The spine", "Points of the spine from the side and the front at five times, with ellipses",
            _chain_caption(spine.markers),
        )  # fmt: skip


def _level_figures(parts: TrialParts, spine: SpineKinematics) -> Iterator[DrawnFigure]:
    """A map of the levels' angles over time, and their ranges."""
    joints = [level.name for level in parts.levels if level.coordinates and level.name in spine.levels]
    joints = joints or list(spine.levels)
    at = [spine.levels.index(level) for level in joints]
    angles, shares = spine.angles[:, at], parts.level_shares(spine)[at]
    yield (
        level_map(spine.time, joints, angles, shares=shares, status=parts.status, forced=spine.forced),
        "map", "Angles per level", "Flexion, lateral bending and axial rotation of all levels over time as colours",
        "Relative to the model's neutral pose, from the sacrum (below) to the skull. The bars are the "
        "observability of each row; where they are hollow, the colours are mostly assumed; where a dashed grey line "
        "is in their place, the model sets them.",
    )  # fmt: skip
    sd = None if spine.angles_sd is None else spine.angles_sd[:, at]
    yield (
        range_profile(joints, angles, sd, shares=shares, status=parts.status, forced=spine.forced),
        "range", "Range of each level", "For each level the range of its angles with a 95 % interval",
        "Boxes: from the least to the greatest angle; lines: 1.96 standard deviations beyond. A hollow box moves "
        "as the model shares motion out over its levels, not as measured at this level.",
    )  # fmt: skip


def _triangulation_figures(parts: TrialParts) -> Iterator[DrawnFigure]:
    """Reprojection errors by camera, and by point."""
    report = parts.triangulation
    if report is None:
        return
    observed = report.of_points(name for name in report.names if parts.origin.get(name) != Origin.INFERRED)
    yield (
        reprojection_figure(observed.error_px, observed.used, observed.views, observed.swapped),
        "reprojection", "Reprojection errors", "Distribution of reprojection errors and share kept per camera",
        "How far the triangulated points land from the detections in each image. Observations the other cameras "
        "contradict are left out; the dashed curve shows the errors with them.",
    )  # fmt: skip
    origins = [parts.origin.get(name, str(Origin.DETECTED)) for name in report.names]
    yield (
        reprojection_by_point_figure(report.error_px, report.used, report.names, cameras=report.views, origin=origins),
        "points", "Reprojection errors by point", "Median error and share kept for each point in each camera",
        "Dark cells are trouble: one dark column is a camera, one dark row a point.",
    )  # fmt: skip


def _marker_figures(parts: TrialParts) -> Iterator[DrawnFigure]:
    """Marker errors, and when each marker is known."""
    if parts.ik is not None:
        origins = [parts.origin.get(name, str(Origin.DETECTED)) for name in parts.ik.marker_names]
        yield (
            marker_error_figure(parts.ik.marker_names, parts.ik.marker_error, origins),
            "markers", "Marker errors", "Distance between each measured marker and the body, median and quartiles",
            "How far the body's markers lie from the measured ones. Hollow points were inferred or estimated: a small "
            "error there says that body and inference agree, not that the spine was detected.",
        )  # fmt: skip
    if parts.measured is not None:
        measured = parts.measured
        yield (
            availability_figure(measured.time, measured.names, point_states(measured), parts.status),
            "presence", "Detected, inferred, filled, missing",
            "For each point, when it was detected, estimated, inferred or filled",
            "Full bars were detected or given, dotted ones estimated by a network that does not see them, hollow ones "
            "inferred from others; hatched stretches were interpolated.",
        )  # fmt: skip


def _body_figures(parts: TrialParts) -> Iterator[DrawnFigure]:
    """The body as a stick figure."""
    model, origin = parts.model, parts.origin
    if model is not None and model.frames:
        if origin:
            model = model.with_(origin=[origin.get(name, Origin.INFERRED) for name in model.names])
        yield (
            stick_figures(model, sample_frames(model.frames, 5, parts.rejected), parts.edges, SPINE_CHAIN_MARKERS),
            "body", "The body", "Stick figures from the side, the front and above",
            "The body's own markers (forward kinematics of the angles), the spine in colour. Hollow ones stand for "
            "points that were not seen.",
        )  # fmt: skip


def _chain_caption(markers: Markers) -> str:
    text = "Points near the spinous processes, by forward kinematics of the angles; moved to one centre, not turned."
    if markers.covariance is None:
        return text
    variance = np.diagonal(markers.covariance, axis1=-2, axis2=-1)
    typical = 200 * np.sqrt(np.nanmedian(variance))  # 2 sd, cm
    return f"{text} Ellipses hold 86 % of what the fit leaves possible: ± {typical:.1f} cm in a typical direction."


def page_finding(finding: Finding) -> page.PageFinding:
    """A finding of quality control as the page shows it."""
    severity, advice = str(finding.severity), finding.suggestion
    return page.PageFinding(finding.code, severity, finding.message, advice, frames=finding.span, where=finding.where)


def rejected_frames(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """(frames, reasons) of the rejected frames, one row per set of reasons, in the order they first occur; those that
    were filled in say so."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for frame in np.flatnonzero(verdict.rejected):
        filled = ("filled in: inferred, not seen",) if verdict.inferred[frame] else ()
        groups[(*verdict.reasons[frame], *filled)].append(int(frame))
    return tuple((frame_ranges(frames), ", ".join(reasons)) for reasons, frames in groups.items())
