"""Are left and right, and head and feet, where they belong? Shoulders, hips, ankles and feet against one another."""

from collections.abc import Iterator

import numpy as np

from simspine.quality.findings import Finding, Severity, where_true
from simspine.quality.thresholds import THRESHOLDS, Thresholds
from simspine.types import Markers

HIPS, SHOULDERS = ("RHip", "LHip"), ("RShoulder", "LShoulder")
ANKLES = ("RAnkle", "LAnkle")
FEET = (("RHeel", "RBigToe"), ("LHeel", "LBigToe"))
LEVEL_HIPS = 0.5  # share of the hips' distance that must be horizontal for 'forward' to mean anything


def sides(measured: Markers, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """Frames in which left and right seem to be exchanged somewhere, or the person is upside down: warnings. Points not
    there are not checked."""
    for code, angle, limit, message, suggestion in (
        (
            "trunk_twist", trunk_twist(measured), thresholds["trunk_twist"],
            "shoulders are turned against the hips by up to",
            "Left and right are probably exchanged at the shoulders or at the hips: look at each camera's points.",
        ),
        (
            "feet_backwards", feet_turn(measured), thresholds["feet_back"],
            "both feet point away from where the pelvis faces by up to",
            "Left and right of the hips, or heels and toes, are probably exchanged.",
        ),
        (
            "upside_down", standing_angle(measured), thresholds["upside_down"],
            "the person is upside down, the line from ankles to shoulders leans from the vertical by up to",
            "Unless it is a handstand: the vertical axis of the points points down. Check the calibration's or the "
            "file's frame.",
        ),
    ):  # fmt: skip
        odd = angle > limit.si
        if odd.any():
            text = (
                f"{message} {np.degrees(angle[odd].max()):.0f}° in {odd.sum()} frames, expected below {limit.value:g}°."
            )
            yield Finding(code, Severity.WARNING, text, suggestion, where_true(odd))


def exchanged(measured: Markers, thresholds: Thresholds = THRESHOLDS) -> np.ndarray:
    """(frames,) bool: in which `sides` finds something."""
    odd = np.zeros(measured.frames, bool)
    for finding in sides(measured, thresholds):
        odd[list(finding.frames)] = True
    return odd


def trunk_twist(measured: Markers) -> np.ndarray:
    """(frames,) rad, 0…π: turn between the line of the hips and that of the shoulders, seen along the trunk."""
    if not {*HIPS, *SHOULDERS} <= set(measured.names):
        return np.full(measured.frames, np.nan)
    hip, shoulder = (_pair(measured, names) for names in (HIPS, SHOULDERS))
    trunk = _unit(shoulder[1] - hip[1])
    return _angle(*(line - (line * trunk).sum(-1, keepdims=True) * trunk for line in (hip[0], shoulder[0])))


def feet_turn(measured: Markers) -> np.ndarray:
    """(frames,) rad, 0…π: turn about the vertical of the foot that is nearer to it from where the pelvis faces.

    NaN where a point is missing, the hips' line is too steep to tell (someone lying on the side), or the person is
    upside down.
    """
    if not {*HIPS, *FEET[0], *FEET[1]} <= set(measured.names):
        return np.full(measured.frames, np.nan)
    up, right = _up(measured), _pair(measured, HIPS)[0]
    forward = np.cross(up, right)  # x forward, y up, z right
    steep = np.linalg.norm(forward, axis=-1) < LEVEL_HIPS * np.linalg.norm(right, axis=-1)
    turns = []
    for heel, toe in FEET:
        foot = -_pair(measured, (heel, toe))[0]
        turns.append(_angle(foot - (foot @ up)[:, None] * up, forward))
    over = standing_angle(measured) > THRESHOLDS["upside_down"].si
    return np.where(steep | over, np.nan, np.minimum(*turns))


def standing_angle(measured: Markers) -> np.ndarray:
    """(frames,) rad, 0…π: between the vertical and the line from the middle of the ankles to that of the shoulders;
    NaN where a point is missing."""
    if not {*SHOULDERS, *ANKLES} <= set(measured.names):
        return np.full(measured.frames, np.nan)
    line = _pair(measured, SHOULDERS)[1] - _pair(measured, ANKLES)[1]
    return _angle(line, np.broadcast_to(_up(measured), line.shape))


def _up(measured: Markers) -> np.ndarray:
    return np.array([0.0, 1, 0] if measured.frame == "y_up" else [0.0, 0, 1])


def _pair(measured: Markers, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """From the second point to the first, and the middle, (frames, 3) each."""
    first, second = (measured.xyz[:, i] for i in measured.indices(names))
    return first - second, (first + second) / 2


def _unit(vectors: np.ndarray) -> np.ndarray:
    """NaN where there is no direction."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 1e-9, length, np.nan)


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(frames,) rad between vectors (frames, 3)."""
    return np.arccos(np.clip((_unit(a) * _unit(b)).sum(-1), -1, 1))
