"""Biomechanical validation as a page: each point's error on a body and as a bar, and the frames to annotate again."""

from typing import Any

import numpy as np

from simspine.annotation.validation import (
    REANNOTATE_ERROR_M,
    USUAL_ERROR_M,
    VALIDATED_SPINE_POINTS,
    PointError,
    Validation,
    validation_conclusion,
)
from simspine.core import skeletons
from simspine.core.skeletons import VERTEBRA_OF

MAX_FRAMES_LISTED = 40  # frames that are listed
MAX_POINTS_NAMED = 4  # points that are named of a frame
SMALL_ERROR_M = 0.012  # of the disc of a point that was not seen
ERROR_CLASSES = {"usual": "good", "beyond usual": "middling", "annotate again": "bad", "not seen": "none"}
# A standing adult from the front, m: to the person's left, and up. For the picture only.
MIDLINE_PLACES = {
    "Hip": 0.97, "Spine_01": 1.03, "Spine_02": 1.09, "Spine_03": 1.15, "Spine_04": 1.28, "Spine_05": 1.39,
    "Neck": 1.47, "Neck_02": 1.53, "Neck_03": 1.59, "Nose": 1.65, "Head": 1.82,
}  # fmt: skip
PAIRED_PLACES = {
    "Eye": (0.035, 1.69), "Ear": (0.08, 1.66), "Clavicle": (0.06, 1.44), "Latissimus": (0.16, 1.29),
    "Shoulder": (0.2, 1.44), "Elbow": (0.3, 1.16), "Wrist": (0.36, 0.91), "Hip": (0.1, 0.94), "Knee": (0.12, 0.51),
    "Ankle": (0.13, 0.1), "Heel": (0.11, 0.04), "BigToe": (0.15, 0.01), "SmallToe": (0.22, 0.02),
}  # fmt: skip
STANDING_FIGURE_PLACES = {name: (0.0, up) for name, up in MIDLINE_PLACES.items()} | {
    side + name: (sign * x, up) for side, sign in (("L", 1), ("R", -1)) for name, (x, up) in PAIRED_PLACES.items()
}


def validation_page(found: Validation, links: bool = False) -> str:
    """The page as HTML, one file that needs nothing else. links: whether frames lead to the annotation page, which must
    then be `index.html` beside this one."""
    from simspine.report.page import render_plain_page

    seen = [v for row in found.points for v in (row.rmse_m, row.reference_m) if np.isfinite(v)]
    longest = max([REANNOTATE_ERROR_M * 1.2, *(1.05 * v for v in seen)])
    spine = [row for row in found.in_order if row.point in VALIDATED_SPINE_POINTS]
    others = [row for row in found.in_order if row.point not in VALIDATED_SPINE_POINTS]
    groups = (("Spine, from below", spine), ("Other points, the worst first", others))
    step = 0.02 if longest < 0.2 else 0.1 if longest < 1 else 0.5
    ticks = [(_bar_share(v, longest), f"{100 * v:.0f}") for v in np.arange(0, longest, step)]
    return render_plain_page(
        "validation.html.j2",
        names=found.names,
        frames=found.frames,
        passed=found.passed,
        sentence=validation_conclusion(found),
        links=links,
        bones=_body_lines(),
        discs=_error_discs(found),
        ticks=[*ticks[:-1], (ticks[-1][0], f"{ticks[-1][1]} cm")],
        usual=(_bar_share(USUAL_ERROR_M[0], longest), _bar_share(USUAL_ERROR_M[1] - USUAL_ERROR_M[0], longest)),
        limit=_bar_share(REANNOTATE_ERROR_M, longest),
        groups=[(title, [_point_row(row, longest) for row in rows]) for title, rows in groups if rows],
        again=[_frame_entry(found, frame) for frame in found.again[:MAX_FRAMES_LISTED]],
        again_count=len(found.again),
        strip=_frame_strip(found),
        worse=found.worse[:MAX_FRAMES_LISTED],
        worse_count=len(found.worse),
        worst=_worst_spine_point(spine),
    )


def _point_row(row: PointError, longest: float) -> dict[str, Any]:
    known, beside = np.isfinite(row.rmse_m), np.isfinite(row.reference_m)
    return {
        "name": row.point,
        "level": VERTEBRA_OF.get(row.point, ""),
        "kind": ERROR_CLASSES[row.verdict],
        "rmse": f"{100 * row.rmse_m:.1f}" if known else "not seen",
        "reference": f"{100 * row.reference_m:.1f}" if beside else "–",
        "width": _bar_share(row.rmse_m, longest) if known else None,
        "mark": _bar_share(row.reference_m, longest) if beside else None,
        "frames": row.frames,
        "beyond": len(row.beyond),
    }


def _bar_share(value: float, longest: float) -> float:
    return round(100 * float(value) / longest, 2)


def _body_lines() -> list[tuple[float, ...]]:
    """x1 y1 x2 y2 of each line of the body, y downwards."""
    table = skeletons.load_skeleton(skeletons.SIMSPINE_SKELETON)
    ends = [(name, table.names[parent]) for name, parent in zip(table.names, table.parents, strict=True) if parent >= 0]
    lines = [
        (*STANDING_FIGURE_PLACES[a], *STANDING_FIGURE_PLACES[b])
        for a, b in ends
        if a in STANDING_FIGURE_PLACES and b in STANDING_FIGURE_PLACES
    ]
    return [(x1, -y1, x2, -y2) for x1, y1, x2, y2 in lines]


def _error_discs(found: Validation) -> list[dict[str, Any]]:
    """Large ones first, so that none is covered."""
    discs = []
    for row in found.points:
        if row.point in STANDING_FIGURE_PLACES:
            x, up = STANDING_FIGURE_PLACES[row.point]
            beside = round(row.reference_m, 4) if np.isfinite(row.reference_m) else None
            known = np.isfinite(row.rmse_m)
            said = f"{100 * row.rmse_m:.1f} cm, {row.verdict}" if known else "not seen"
            discs.append({
                "x": round(x, 3), "y": round(-up, 3), "r": round(row.rmse_m, 4) if known else SMALL_ERROR_M,
                "kind": ERROR_CLASSES[row.verdict], "reference": beside, "title": f"{row.point}: {said}",
            })  # fmt: skip
    return sorted(discs, key=lambda disc: -disc["r"])


def _frame_entry(found: Validation, frame: int) -> dict[str, Any]:
    points = found.beyond_at(frame)
    names = [VERTEBRA_OF.get(point, point) for point in points[:MAX_POINTS_NAMED]]
    more = f" and {len(points) - MAX_POINTS_NAMED} more" if len(points) > MAX_POINTS_NAMED else ""
    return {"frame": frame, "first": points[0], "points": ", ".join(names) + more}


def _worst_spine_point(spine: list[PointError]) -> str:
    """The point along the spine that is furthest off; '' where none was seen."""
    seen = [row for row in spine if np.isfinite(row.rmse_m)]
    return max(seen, key=lambda row: row.rmse_m).point if seen else ""


def _frame_strip(found: Validation) -> list[tuple[int, float]]:
    """Frame and height 0…10 of each with a point beyond 10 cm."""
    counted = {frame: sum(frame in row.beyond for row in found.points) for frame in found.again}
    most = max(counted.values(), default=1)
    return [(frame, round(10 * count / most, 2)) for frame, count in sorted(counted.items())]
