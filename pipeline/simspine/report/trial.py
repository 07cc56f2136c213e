"""One trial's part of the page, out of the stages' results."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.quality.findings import Finding, Status, Verdict
from simspine.report import content, embed
from simspine.report.figures.bodies import stick_figures
from simspine.report.figures.common import frame_ranges
from simspine.report.figures.curves import ONE_COORDINATE, curvature, level_angles
from simspine.report.figures.presence import availability, states
from simspine.report.figures.residuals import marker_errors, reprojection, reprojection_by_point
from simspine.report.sampling import sample_frames
from simspine.spine.bands import BANDS, Band
from simspine.spine.levels import CHAIN, JOINTS
from simspine.spine.vertebrae import SpineKinematics
from simspine.types import Markers, Origin

if TYPE_CHECKING:
    from simspine.ik.result import Result
    from simspine.triangulation.report import Report

_SUM = "the sum follows the images, its distribution over the levels is the model's"
RULE = "two smooth curves through hips, shoulders and head, points evenly spaced along them"


def trial_section(
    name: str,
    prefix: str,
    *,
    spine: SpineKinematics | None = None,
    verdict: Verdict | None = None,
    triangulation: "Report | None" = None,
    ik: "Result | None" = None,
    measured: Markers | None = None,
    model: Markers | None = None,
    edges: Sequence[tuple[str, str]] = (),
    overlays: Sequence[content.Picture] = (),
    bands: Sequence[Band] = BANDS,
    summary: Sequence[content.Row] = (),
) -> content.Trial:
    """Figures, findings and reasons of one trial; what is not handed in is left out.

    prefix: an id, different for each trial of the page ('t1'). measured: the markers inverse kinematics fitted, with
    origin and filled. model: the body's markers by forward kinematics. edges: pairs of names for the stick figure.
    """
    status = None if verdict is None else [str(s) for s in verdict.status]
    origin = dict(zip(measured.names, measured.origin or (), strict=False)) if measured is not None else {}
    figures = []

    def add(figure, key: str, title: str, alt: str, caption: str) -> None:
        figures.append(content.Picture(title, alt, caption, svg=embed.svg(figure, f"{prefix}-{key}")))

    if spine is not None:
        add(
            curvature(spine.time, spine.lla, spine.tka, bands, status, spine.forced),
            "curvature", "Curvature", "Lumbar lordosis and thoracic kyphosis over time, with normal bands",
            "Bars beside the panels are published ranges of standing adults; sitting or bending leaves them by rights. "
            "A dashed grey curve is the model's, not the person's.",
        )  # fmt: skip
        joints = [level.name for level in JOINTS if level.name in spine.levels] or list(spine.levels)
        angles = spine.angles[:, [spine.levels.index(level) for level in joints]]
        add(
            level_angles(spine.time, joints, angles, spine.forced, status),
            "levels", "Angles per level", "Flexion, lateral bending and axial rotation of each level over time",
            "Relative to the model's neutral pose. Levels in dashed grey are fixed ratios of a solid one: together "
            "they say how much the lumbar spine moved, not how the motion was shared out.",
        )  # fmt: skip
    if triangulation is not None:
        add(
            reprojection(triangulation.error_px, triangulation.used, triangulation.views, triangulation.swapped),
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
            "says that body and rule agree, not that the spine was seen.",
        )  # fmt: skip
    if measured is not None:
        add(
            availability(measured.time, measured.names, states(measured), status),
            "presence", "Seen, inferred, filled, missing", "For each point, when it was seen, inferred or filled",
            "Full bars were seen or given, hollow ones inferred by a rule; hatched stretches are interpolated gaps.",
        )  # fmt: skip
    if model is not None and model.frames:
        rejected = None if verdict is None else verdict.rejected
        add(
            stick_figures(model, sample_frames(model.frames, 5, rejected), edges, CHAIN),
            "body", "The body", "Stick figures from the side, the front and above",
            "The body's own markers (forward kinematics of the angles), the spine in colour.",
        )  # fmt: skip
    return content.Trial(
        name,
        tuple(summary),
        () if verdict is None else tuple(map(page_finding, verdict.findings)),
        tuple(overlays),
        tuple(figures),
        rejected=() if verdict is None else rejections(verdict),
    )


def page_finding(finding: Finding) -> content.Finding:
    """A finding of quality control as the page shows it."""
    return content.Finding(
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
    measured: Sequence[Markers], spines: Sequence[SpineKinematics], rule: str = RULE
) -> tuple[tuple[content.Statement, ...], tuple[content.Statement, ...]]:
    """(inferred, forced) statements for the box 'What is not measured', over all trials; equal reasons share a line."""
    inferred = dict.fromkeys(
        name
        for markers in measured
        for name, origin in zip(markers.names, markers.origin or (), strict=False)
        if origin is Origin.INFERRED
    )
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
