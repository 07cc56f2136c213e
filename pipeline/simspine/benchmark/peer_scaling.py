"""Segment factors as the published procedure measures them: plain ratios over a few frames, one segment at a time."""

from collections.abc import Sequence

import numpy as np

from simspine.body.kinematics import neutral_markers
from simspine.body.model import Body
from simspine.body.recipes import Recipe
from simspine.body.scaling import ScaleFactors, SegmentFactor
from simspine.errors import InputError
from simspine.types import Markers

FASTEST_SHARE = 0.2  # of the frames, left out
STRAIGHTEST = 50  # frames with the least flexion of hips and knees
TRIMMED_SHARE = 0.2  # of a length's values, half at each end
MASS = 70.0  # kg, for everybody


def slow_straight_frames(trials: Sequence[Markers]) -> np.ndarray:
    """Indices, into all frames of the trials one after another, of the frames that are measured.

    Without the fastest fifth (mean speed of the markers within their trial), the fifty with hips and knees straightest:
    the mean angle between trunk and thigh and between thigh and shank, from the markers.
    """
    speed = np.concatenate([_speed(markers) for markers in trials])
    bend = np.concatenate([_bend(markers) for markers in trials])
    known = np.flatnonzero(np.isfinite(speed) & np.isfinite(bend))
    if not len(known):
        raise InputError("no frame shows shoulders, hips, knees and ankles together; nothing to scale by.")
    slow = known[speed[known] <= np.quantile(speed[known], 1 - FASTEST_SHARE)]
    return np.sort(slow[np.argsort(bend[slow], kind="stable")[:STRAIGHTEST]])


def _speed(markers: Markers) -> np.ndarray:
    step = np.linalg.norm(np.gradient(markers.xyz, axis=0), axis=-1) if markers.frames > 1 else np.zeros((1, 1))
    known = np.isfinite(step)
    return np.where(known, step, 0.0).sum(1) / np.maximum(known.sum(1), 1) * markers.rate


def _bend(markers: Markers) -> np.ndarray:
    x = {name: markers.xyz[:, markers.index(name)] for name in markers.names}
    angles = [
        _angle(x[f"{s}{a}"] - x[f"{s}{b}"], x[f"{s}{b}"] - x[f"{s}{c}"])
        for s in "RL"
        for a, b, c in (("Shoulder", "Hip", "Knee"), ("Hip", "Knee", "Ankle"))
    ]
    return np.mean(angles, axis=0)


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1))


def plain_factors(body: Body, trials: Sequence[Markers], recipe: Recipe) -> ScaleFactors:
    """Factors of the recipe's segments: the mean over a segment's pairs of measured length over that of the neutral
    model, lengths being trimmed means. A pair that spans several segments counts for its own only. Segments that
    cannot be measured get the mean of the others.
    """
    chosen = slow_straight_frames(trials)
    xyz = np.concatenate([markers.xyz for markers in trials])[chosen]
    index, model = trials[0].index, neutral_markers(body)
    sizes: dict[str, float] = {}
    for segment in recipe.segments:
        ratios = []
        for a, b in segment.pairs:
            length = np.linalg.norm(xyz[:, index(a)] - xyz[:, index(b)], axis=-1)
            own = np.linalg.norm(model[body.marker_index(a)] - model[body.marker_index(b)])
            known = np.sort(length[np.isfinite(length)])
            cut = int(len(known) * TRIMMED_SHARE / 2)
            ratios.append(known[cut : len(known) - cut].mean() / own if len(known) else np.nan)
        if np.isfinite(ratios).any():
            sizes[segment.name] = float(np.nanmean(ratios))
    rest = float(np.mean(list(sizes.values())))
    factors = tuple(
        SegmentFactor(s.name, s.bodies, sizes.get(s.name, rest), s.name not in sizes, "plain ratio")
        for s in recipe.segments
    )
    return ScaleFactors(factors, float("nan"), rest)
