"""One trial's part of the page, out of the stages' results."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.quality.findings import Finding, Status, Verdict
from simspine.quality.observability import ONE_COORDINATE
from simspine.report import content, embed
from simspine.report.figures.bodies import stick_figures
from simspine.report.figures.chain import spine_chain
from simspine.report.figures.common import frame_ranges
from simspine.report.figures.curves import curvature, level_angles
from simspine.report.figures.levels import level_map, range_profile
from simspine.report.figures.presence import availability, states
from simspine.report.figures.residuals import marker_errors, reprojection, reprojection_by_point
from simspine.report.player.pack import Packed
from simspine.report.sampling import sample_frames
from simspine.report.uncertainty import angle_table
from simspine.skeletons.inferred_names import base_name
from simspine.spine.bands import BANDS, Band
from simspine.spine.levels import CHAIN, LEVELS, Level
from simspine.spine.vertebrae import SpineKinematics
from simspine.types import Markers, Origin

if TYPE_CHECKING:
    from simspine.ik.result import Result
    from simspine.triangulation.report import TriangulationReport

MANY = 8  # levels: more curves than that are drawn as a map
_SUM = "the sum follows the images, its distribution over the levels is the model's"
INFERRED_BY = "vertebral centres of real spines (a statistical model) that go with hips, shoulders and ears as seen"


def trial_section(
    name: str,
    prefix: str,
    *,
    spine: SpineKinematics | None = None,
    verdict: Verdict | None = None,
    triangulation: "TriangulationReport | None" = None,
    ik: "Result | None" = None,
    measured: Markers | None = None,
    model: Markers | None = None,
    edges: Sequence[tuple[str, str]] = (),
    overlays: Sequence[content.Picture] = (),
    centres: Markers | None = None,
    levels: Sequence[Level] = LEVELS,
    shares: np.ndarray | None = None,
    bands: Sequence[Band] = BANDS,
    summary: Sequence[content.Row] = (),
    player: Packed | None = None,
) -> content.TrialSection:
    """Figures, findings and reasons of one trial; what is not handed in is left out.

    prefix: an id, different for each trial of the page ('t1'). measured: the markers inverse kinematics fitted, with
    origin and filled. model: the body's markers by forward kinematics. edges: pairs of names for the stick figure.
    centres: of the vertebrae. levels: of the body, with their coordinates. shares: (levels of `spine`, 3) share of each
    angle that the data decided, NaN = not known (`quality.observability.level_shares`). player: the trial in 3D.
    """
    status = None if verdict is None else [str(s) for s in verdict.status]
    origin = dict(zip(measured.names, measured.origins, strict=True)) if measured is not None else {}
    for point in list(origin):  # triangulation knows an inferred point by its plain name
        origin.setdefault(base_name(point), origin[point])
    figures = []

    def add(figure, key: str, title: str, alt: str, caption: str) -> None:
        figures.append(content.Picture(title, alt, caption, svg=embed.svg(figure, f"{prefix}-{key}")))

    if spine is not None:
        add(
            curvature(spine.time, spine.lla, spine.tka, bands, status, spine.forced,
                      spine.lla_sd, spine.tka_sd),
            "curvature", "Curvature", "Lumbar lordosis and thoracic kyphosis over time, with normal bands",
            "Bars beside the panels are published ranges of standing adults; sitting or bending leaves them by rights. "
            "A dashed grey curve is the model's, not the person's; a dashed orange one is less sure than the spread "
            "among standing adults: it says little about this person.",
        )  # fmt: skip
        joints = [level.name for level in levels if level.coordinates and level.name in spine.levels]
        joints = joints or list(spine.levels)
        at = [spine.levels.index(level) for level in joints]
        angles = spine.angles[:, at]
        shares = np.full((len(spine.levels), 3), np.nan) if shares is None else shares
    if spine is not None and len(joints) > MANY:
        add(
            level_map(spine.time, joints, angles, shares[at], status, spine.forced),
            "map", "Angles per level", "Flexion, lateral bending and axial rotation of all levels over time as colours",
            "Relative to the model's neutral pose, from the sacrum (below) to the skull. The bars say how much of each "
            "row the data decided; where they are hollow, the colours are mostly what is believed of spines.",
        )  # fmt: skip
        sd = None if spine.angles_sd is None else spine.angles_sd[:, at]
        add(
            range_profile(joints, angles, sd, shares[at], status, spine.forced),
            "range", "Range of each level", "For each level the range of its angles with a 95 % interval",
            "Boxes: from the least to the greatest angle; lines: 1.96 standard deviations beyond. A hollow box moves "
            "as the model shares motion out over its levels, not as this level was seen to move.",
        )  # fmt: skip
    elif spine is not None:
        add(
            level_angles(spine.time, joints, angles, spine.forced, status),
            "levels", "Angles per level", "Flexion, lateral bending and axial rotation of each level over time",
            "Relative to the model's neutral pose. Levels in dashed grey are fixed ratios of a solid one: together "
            "they say how much the lumbar spine moved, not how the motion was shared out.",
        )  # fmt: skip
    if spine is not None and (spine.markers.covariance is not None or centres is not None):
        rejected = None if verdict is None else verdict.rejected
        add(
            spine_chain(spine.markers, sample_frames(spine.frames, 5, rejected), centres),
            "chain", "The spine", "Points of the spine from the side and the front at five times, with ellipses",
            _chain_caption(spine.markers),
        )  # fmt: skip
    if triangulation is not None:
        seen = triangulation.of(n for n in triangulation.names if origin.get(n) is not Origin.INFERRED)
        add(
            reprojection(seen.error_px, seen.used, seen.views, seen.swapped),
            "reprojection", "Reprojection errors", "Distribution of reprojection errors and share kept per camera",
            "How far the triangulated points land from the detections in each image. Observations the other cameras "
            "contradict are left out; the dashed curve shows the errors with them.",
        )  # fmt: skip
        add(
            reprojection_by_point(
                triangulation.error_px, triangulation.used, triangulation.names, triangulation.views,
                [str(origin.get(n, Origin.DETECTED)) for n in triangulation.names],
            ),
            "points", "Reprojection errors by point", "Median error and share kept for each point in each camera",
            "Dark cells are trouble: one dark column is a camera, one dark row a point.",
        )  # fmt: skip
    if ik is not None:
        add(
            marker_errors(ik.marker_names, ik.marker_error,
                          [str(origin.get(n, Origin.DETECTED)) for n in ik.marker_names]),
            "markers", "Marker errors", "Distance between each measured marker and the body, median and quartiles",
            "How far the body's markers lie from the measured ones. Hollow points were inferred: a small error there "
            "says that body and inference agree, not that the spine was seen.",
        )  # fmt: skip
    if measured is not None:
        add(
            availability(measured.time, measured.names, states(measured), status),
            "presence", "Seen, inferred, filled, missing", "For each point, when it was seen, inferred or filled",
            "Full bars were seen or given, hollow ones inferred from others; hatched stretches are interpolated gaps.",
        )  # fmt: skip
    if model is not None and model.frames:
        rejected = None if verdict is None else verdict.rejected
        add(
            stick_figures(model, sample_frames(model.frames, 5, rejected), edges, CHAIN),
            "body", "The body", "Stick figures from the side, the front and above",
            "The body's own markers (forward kinematics of the angles), the spine in colour.",
        )  # fmt: skip
    kept = None if verdict is None else ~verdict.rejected
    return content.TrialSection(
        name,
        tuple(summary),
        () if verdict is None else tuple(map(page_finding, verdict.findings)),
        tuple(overlays),
        tuple(figures),
        () if spine is None or spine.angles_sd is None else (angle_table(spine, shares, levels, kept),),
        rejected=() if verdict is None else rejections(verdict),
        player=player,
    )


def _chain_caption(markers: Markers) -> str:
    text = "Points near the spinous processes, by forward kinematics of the angles; moved to one centre, not turned."
    if markers.covariance is None:
        return text
    variance = np.diagonal(markers.covariance, axis1=-2, axis2=-1)
    typical = 200 * np.sqrt(np.nanmedian(variance))  # 2 sd, cm
    return f"{text} Ellipses hold 86 % of what the fit leaves possible: ± {typical:.1f} cm in a typical direction."


def page_finding(finding: Finding) -> content.PageFinding:
    """A finding of quality control as the page shows it."""
    return content.PageFinding(
        finding.code, str(finding.severity), finding.message, finding.suggestion, finding.span, finding.where
    )


def rejections(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """(frames, reasons) of the rejected frames, one row per set of reasons, in the order they first occur."""
    groups: dict[tuple[str, ...], np.ndarray] = defaultdict(lambda: np.zeros(verdict.frames, bool))
    for frame, (status, reasons) in enumerate(zip(verdict.status, verdict.reasons, strict=True)):
        if status is Status.REJECTED:
            groups[reasons][frame] = True
    return tuple((frame_ranges(mask), ", ".join(reasons)) for reasons, mask in groups.items())


def not_measured(
    measured: Sequence[Markers], spines: Sequence[SpineKinematics], rule: str = INFERRED_BY
) -> tuple[tuple[content.Statement, ...], tuple[content.Statement, ...]]:
    """(inferred, forced) statements for the box 'What is not measured', over all trials; equal reasons share a line."""
    inferred = dict.fromkeys(base_name(name) for markers in measured for name in markers.names_of(Origin.INFERRED))
    reasons: dict[str, list[str]] = defaultdict(list)
    for spine in spines:
        for name, reason in spine.forced.items():
            if reason:
                reasons[reason].append(name.upper() if name in ("lla", "tka") else name)
    forced = tuple(
        content.Statement(", ".join(dict.fromkeys(names)), f"{_SUM}: {reason}" if ONE_COORDINATE in reason else reason)
        for reason, names in reasons.items()
    )
    return ((content.Statement(", ".join(inferred), rule),) if inferred else ()), forced
