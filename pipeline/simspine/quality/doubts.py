"""Which figures of a trial rest on points that a warning or an error names."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from simspine.anatomy.clinical import JOINT_POINTS, SIDE_WORDS
from simspine.quality.findings import Finding, Severity
from simspine.quality.marker_checks import BONES, FRONT_BACK_CODE, LIMB_PAIRS, SKIN_ORDER_CODE, VIEW_POINT_CODE
from simspine.quality.observability import CONTRADICTED, ClinicalFigure

# Findings whose advice is to leave the angles out, see `tables/advice.yaml`; those about the whole trunk.
TRUNK_CODES = frozenset({SKIN_ORDER_CODE, FRONT_BACK_CODE})
UNREADABLE_CODES = frozenset({"bone_length", "limb_unseen"}) | TRUNK_CODES
_POINTS_OF_COORDINATE = {"hip_flexion": "Knee", "knee_angle": "Ankle", "elbow_flex": "Wrist"}  # of `limb_unseen`
_POINTS_OF_PLACE: Mapping[str, frozenset[str]] = {
    **{f"{SIDE_WORDS[s]} {bone}": frozenset(s.upper() + p for p in ends) for bone, ends in BONES.items() for s in "rl"},
    **{bone: frozenset(s + p for s in "RL" for p in ends) for bone, ends in BONES.items()},
    **{place: frozenset(pairs[1]) for place, pairs in LIMB_PAIRS.items()},
    **{f"{name}_{s}": frozenset({s.upper() + p}) for name, p in _POINTS_OF_COORDINATE.items() for s in "rl"},
}


def with_doubts(figures: Iterable[ClinicalFigure], findings: Sequence[Finding]) -> tuple[ClinicalFigure, ...]:
    """The figures, each with the places of the findings about points that it rests on.

    A figure is unreadable where the advice of such a finding is to leave it out: in the frames of its least or greatest
    value, or in the whole trial, where it is not decided either.
    """
    named = [one for one in findings if one.severity is not Severity.INFO or one.code == VIEW_POINT_CODE]
    serious = [(one, place) for one in named for place in one.where.split(", ")]
    made = []
    for figure in figures:
        about = [(one, place) for one, place in serious if place and _rests_on(figure, one.code, place)]
        left_out = [one for one, _ in about if one.code in UNREADABLE_CODES]
        contradicted = any(one.code in TRUNK_CODES for one in left_out)
        is_unreadable = contradicted or any({*one.frames} & {*figure.ends} for one in left_out)
        places = tuple(dict.fromkeys(place for _, place in about))
        decided_by = CONTRADICTED if contradicted and figure.is_decided else figure.decided_by
        made.append(replace(figure, doubts=places, is_unreadable=is_unreadable, decided_by=decided_by))
    return tuple(made)


def _rests_on(figure: ClinicalFigure, code: str, place: str) -> bool:
    """Whether a figure rests on the place of a finding: a limb on its bones and points, the trunk on its sources."""
    joint, _, angle = figure.name.partition("_")
    if joint not in JOINT_POINTS:
        return code in TRUNK_CODES or place == figure.name or place in re.split(r"[^\w.]+", figure.decided_by)
    shown_by, turned_by = JOINT_POINTS[joint]
    points = {figure.name[-1].upper() + name for name in shown_by + turned_by * angle.startswith("rotation")}
    return place == figure.name or bool(points & _POINTS_OF_PLACE.get(place, frozenset({place})))
