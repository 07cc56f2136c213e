"""Three statements on a trial that come before everything else: what was measured, how sure it is, what to doubt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.arrays import frame_ranges
from simspine.pipeline.headline import spine_seen_by
from simspine.pipeline.solved_trial import SolvedTrial
from simspine.quality.clinical_figures import IMPRECISE, ClinicalFigure
from simspine.quality.curvature_figures import share_of_curvature
from simspine.quality.findings import Severity
from simspine.quality.observability import Observability, estimated_of_spine, forced_mask, share_text
from simspine.quality.thresholds import THRESHOLDS
from simspine.report.causes import cause_of
from simspine.report.content import Statement
from simspine.report.summary import DOUBTED, typical, verdict_on
from simspine.report.uncertainty import ESTIMATED_BY
from simspine.skeletons.skin_names import not_on_skin
from simspine.spine.clinical import JOINTS, SIDES
from simspine.types import Origin

NORMAL_95 = 1.96  # standard deviations to either side
_CURVATURES = {"lla": "lumbar lordosis", "tka": "thoracic kyphosis"}
_MOST_CAUSES = 3  # warnings that are named; the rest are counted


def glance(found: SolvedTrial) -> tuple[Statement, ...]:
    """What was measured, how sure, what to be careful with, in a few sentences each."""
    return (
        Statement("What was measured", _measured(found)),
        Statement("How sure", _sure(found)),
        Statement("Be careful with", _careful(found)),
    )


def _measured(found: SolvedTrial) -> str:
    spine, count = found.spine, len(found.cameras)
    span = f"{spine.frames / spine.rate:.1f} s of movement, {spine.frames} frames at {spine.rate:g} Hz"
    by = f"{count} camera{'s' * (count != 1)} saw" if count else "The recording holds"
    points = len(not_on_skin(found.markers.names_of(Origin.DETECTED, Origin.GIVEN)))
    ways = spine_seen_by(found.markers)
    guessed = estimated_of_spine(found.markers.names, found.markers.origins)
    estimated = f"{len(guessed)} points of it are {ESTIMATED_BY}: {', '.join(guessed)}."
    if ways:
        parts = [f"{len(names)} {_WAYS.get(way, way)}: {', '.join(names)}" for way, names in ways.items()]
        seen = f"Of the spine itself it rests on {'; and '.join(parts)}." + f" {estimated}" * bool(guessed)
    elif guessed:
        seen = f"Of the spine itself nothing was seen: {estimated}"
    else:
        seen = "Of the spine itself nothing was seen: it is inferred from the limbs."
    return f"{by} {span}. A skeleton was fitted to {points} points of the body. {seen}"


_WAYS = {
    "on the skin": "markers on the back",
    "detected": "points that the detector found",
    "given": "points of motion capture",
}


def _sure(found: SolvedTrial) -> str:
    known = [_curvature(found, key, name) for key, name in _CURVATURES.items()]
    doubted = [(text, share) for text, share in known if share]
    parts = [_joints(found.clinical_figures), *(text for text, share in known if not share)]
    if doubted:
        verb, them = ("say", "them") if len(doubted) > 1 else ("says", "it")
        figures, shares = (" and ".join(part) for part in zip(*doubted, strict=True))
        by = "points that were estimated, not seen," if found.spine_estimated else "the recording"
        parts.append(f"{_upper(figures)} (95 %) {verb} little of this person: {by} decided {shares} of {them}.")
    return " ".join(filter(None, parts))


def _joints(figures: Sequence[ClinicalFigure]) -> str:
    """The angles of the limbs that were measured on both sides, with their spread: the precise ones, and the others."""
    by_name = {figure.name: figure for figure in figures}
    groups: dict[bool, _Measured] = {True: _Measured({}, []), False: _Measured({}, [])}
    for joint, (_, angles) in JOINTS.items():
        for angle, _ in angles:
            sides = [side for key in SIDES if (side := by_name.get(f"{joint}_{angle}_{key}")) is not None]
            words = {side.decided for side in sides}
            if len(sides) == len(SIDES) and words <= {str(Observability.MEASURED), IMPRECISE}:
                group = groups[IMPRECISE not in words]
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


def _curvature(found: SolvedTrial, key: str, name: str) -> tuple[str, str]:
    """What is known of a curvature; and '' or, where that says little of the person, the share that was measured."""
    spine, kept = found.spine, ~found.rejected
    values, sd = np.degrees(getattr(spine, key)[kept]), getattr(spine, f"{key}_sd")
    if not np.isfinite(values).any():
        return f"{_upper(name)} is not known.", ""
    usual = None if sd is None else typical(np.degrees(sd[kept]))
    figure = f"{name} {np.nanmean(values):.0f}°"
    if forced_mask([key], spine.forced).any():
        return f"{_upper(figure)} is set by the model.", ""
    if usual is None:
        return f"{_upper(figure)} has no standard deviation.", ""
    verdict, figure = verdict_on(key, usual, estimated=found.spine_estimated), f"{figure} ± {NORMAL_95 * usual:.0f}°"
    if verdict in DOUBTED:
        return figure, share_text(share_of_curvature(key, usual))
    return f"{_upper(figure)} (95 %) was {verdict}.", ""


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _careful(found: SolvedTrial) -> str:
    parts = []
    if found.rejected.any():
        frames = frame_ranges(np.flatnonzero(found.rejected))
        parts.append(f"{int(found.rejected.sum())} of {found.spine.frames} frames were rejected ({frames}).")
    parts.append(_levels(found.shares))
    warned = [finding for finding in found.findings if finding.severity is not Severity.INFO]
    causes = list(dict.fromkeys(cause_of(finding.code) for finding in warned))
    if causes:
        more = len(causes) - _MOST_CAUSES
        rest = f"; and {more} more" if more > 0 else ""
        parts.append(f"Data quality: {'; '.join(causes[:_MOST_CAUSES])}{rest}.")
    return " ".join(filter(None, parts)) or "Nothing stood out."


def _levels(shares: np.ndarray) -> str:
    """How many levels' flexion was not decided by the data. shares: (levels, 3)."""
    known = shares[:, 0][np.isfinite(shares[:, 0])]
    assumed = int((known < THRESHOLDS["assumed"].si).sum())
    if not assumed:
        return ""
    return (
        f"Single vertebrae: flexion of {assumed} of {known.size} levels follows published knowledge, not this person."
    )
