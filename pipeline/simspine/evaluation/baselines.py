"""What any method must beat: a curve through the points, the mean of people, and no motion at all.

Each gives a `TrialSpine` whose unknown parts are NaN, so it is scored as the methods are:

`curve`: a smoothing cubic through the nine points along the spine, frame by frame. Vertebrae stand on it at published
fractions of its length; LLA and TKA are angles between its tangents at S1 and L1, T12 and T3, minus what the same curve
through the generic body's own points differs from the angle between that body's endplates.
`tangents`: the same curve's angles between tangents, without any endplates; what smoothing flattens is added as on the
generic body.
`hips_line`: as `curve`, but LLA's lower end is the line from the middle of the hips to S1 instead of the tangent.
`mean`: LLA and TKA of the generic body with people's mean standing curve, the mean of the estimators' prior.
`standing_curve_mean`: the mean of the curve's LLA and TKA over all frames in which the person stands.
`constant`: the true mean of each trial, held. An oracle of posture, and no motion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from simspine.anatomy.body import Body, body_poses, forward_kinematics, neutral_motion
from simspine.anatomy.curvature import (
    SPINE_CHAIN_MARKERS,
    SPINE_MARKERS,
    lumbar_lordosis,
    read_endplates,
    signed_angle,
    thoracic_kyphosis,
)
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES, LevelRegion
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.anatomy.split_torso import carried_vertebrae, spine_levels
from simspine.anatomy.vertebrae import SpineKinematics, vertebra_centroids
from simspine.core.errors import InputError
from simspine.core.geometry import off_vertical
from simspine.core.skeletons import VERTEBRA_OF
from simspine.core.types import Markers, Motion
from simspine.evaluation.methods import TRUE_POINT_MARKER_SET
from simspine.evaluation.metrics import finite_values, mean_or_nan
from simspine.evaluation.spine_errors import TrialSpine

BASELINE_NAMES = ("curve", "tangents", "hips_line", "mean", "standing_curve_mean", "constant")
# 1/m: spectral density along the spine of its curvature, which is some 3 /m and changes within 0.2 m. With the points'
# own variance it says how much of their zigzag is curvature.
CURVATURE_DENSITY = 2.0
# Farthest from upright where a person is said to stand.
MAX_STANDING_THIGH_TILT, MAX_STANDING_TRUNK_TILT = np.radians([20.0, 15.0])


@dataclass(frozen=True, eq=False)
class GenericSpine:
    """The generic body with people's mean standing curve. points: its markers, one frame, y_up. vertebrae: names from
    S1 up to C1; place: (vertebrae,) m along the spine at published spacings. lla, tka: rad, of its endplates. levels:
    names of its levels.
    """

    points: Markers
    vertebrae: tuple[str, ...]
    place: np.ndarray
    lla: float
    tka: float
    levels: tuple[str, ...]


@lru_cache(maxsize=1)
def generic_spine(recipe: str = "articulated") -> GenericSpine:
    """That of a recipe with one body per vertebra."""
    read = read_recipe(recipe)
    if read.articulation is None:
        raise InputError(f"recipe {recipe!r} has no single vertebrae; the published spacings belong to those.")
    body = build_body(read, TRUE_POINT_MARKER_SET)
    vertebrae = carried_vertebrae(read.articulation, read_endplates())
    standing = _standing_motion(body, read.articulation.regions)
    poses = body_poses(body, standing)
    names = tuple(vertebrae)[::-1]
    centres = vertebra_centroids(poses, vertebrae, 1.0).select(names).xyz[0]
    spacing = {tuple(key.split("-")): mean for key, (mean, _) in read.articulation.spacing.items()}
    steps = [
        spacing.get((above, below), float(np.linalg.norm(centres[i + 1] - centres[i])))
        for i, (below, above) in enumerate(pairwise(names))
    ]
    return GenericSpine(
        points=forward_kinematics(body, standing),
        vertebrae=names,
        place=np.concatenate([[0.0], np.cumsum(steps)]),
        lla=float(lumbar_lordosis(poses, vertebrae)[0]),
        tka=float(thoracic_kyphosis(poses, vertebrae)[0]),
        levels=tuple(level.name for level in spine_levels(read.articulation)),
    )


def _standing_motion(body: Body, regions: Sequence[LevelRegion]) -> Motion:
    """One frame, neutral but for people's mean curve."""
    neutral = neutral_motion(body)
    values = np.array(neutral.values)
    for region in regions:
        for level, angle in zip(region.levels, region.axes[0].standing, strict=True):
            values[:, body.coordinates.index(f"{level}_{LEVEL_AXIS_COORDINATES[0]}")] += angle
    return neutral.with_(values=values)


@dataclass(frozen=True, eq=False)
class SpineCurve:
    """A curve along the spine. names: vertebrae, S1 to C1. centre, tangent: (frames, vertebrae, 3) m, towards the head
    and not of unit length."""

    names: tuple[str, ...]
    centre: np.ndarray
    tangent: np.ndarray

    def along(self, vertebra: str) -> np.ndarray:
        """(frames, 3) tangent at a vertebra."""
        return self.tangent[:, self.names.index(vertebra)]


def curve_through(chain: np.ndarray, sd: float, generic: GenericSpine) -> SpineCurve:
    """The smoothing cubic through points (frames, 9, 3) m in the order of `CHAIN`. sd: of a coordinate of them, m.

    Reinsch 1967: least squares against the points in variances `sd`², plus the square of the curvature over
    `CURVATURE_DENSITY`. The parameter is the published place along the spine, stretched to the chain's length.
    """
    from scipy.interpolate import make_smoothing_spline

    at = generic.place[[generic.vertebrae.index(VERTEBRA_OF[name]) for name in SPINE_CHAIN_MARKERS]]
    length = np.median(np.linalg.norm(np.diff(chain, axis=1), axis=-1).sum(1))
    stretch = length / (at[-1] - at[0])
    knots, wanted = stretch * at, stretch * generic.place
    splines = [make_smoothing_spline(knots, row, lam=sd**2 / CURVATURE_DENSITY) for row in np.eye(len(at))]
    value, slope = (
        np.stack([spline(wanted, nu) for spline in splines], 1) for nu in (0, 1)
    )  # linear in the points, so one matrix serves all frames and axes
    return SpineCurve(generic.vertebrae, *(np.einsum("vp,fpi->fvi", matrix, chain) for matrix in (value, slope)))


def standing_frames(points: Markers) -> np.ndarray:
    """(frames,) bool: both thighs and the trunk upright, within `MAX_STANDING_THIGH_TILT` and
    `MAX_STANDING_TRUNK_TILT`. points: y_up."""
    thighs = np.maximum(*(off_vertical(points, f"{side}Knee", f"{side}Hip") for side in "LR"))
    trunk = off_vertical(points, SPINE_CHAIN_MARKERS[0], "Neck")
    return (thighs < MAX_STANDING_THIGH_TILT) & (trunk < MAX_STANDING_TRUNK_TILT)


def baseline_estimates(trials: Sequence[Markers], truths: Sequence[TrialSpine]) -> dict[str, list[TrialSpine]]:
    """{name: the estimate of each trial} of `BASELINE_NAMES` for all trials of a person.

    trials: as `points_in_space.observed_markers` gives them. truths: for `constant` alone.
    """
    generic = generic_spine()
    curves = [spine_by_curve(points, generic) for points in trials]
    upright = [standing_frames(points) for points in trials]
    spines = [curve.kinematics for curve in curves]
    everyday_lla, everyday_tka = (
        _mean_of_trials([getattr(spine, name)[frames] for spine, frames in zip(spines, upright, strict=True)])
        for name in ("lla", "tka")
    )
    return {
        "curve": curves,
        "tangents": [spine_by_curve(points, generic, corrected=False) for points in trials],
        "hips_line": [spine_by_curve(points, generic, hips=True) for points in trials],
        "mean": [_without_points(truth, generic.lla, generic.tka, generic.levels) for truth in truths],
        "standing_curve_mean": [_without_points(truth, everyday_lla, everyday_tka, generic.levels) for truth in truths],
        "constant": [without_motion(truth) for truth in truths],
    }


def spine_by_curve(points: Markers, generic: GenericSpine, hips: bool = False, corrected: bool = True) -> TrialSpine:
    """The curve's spine, and the points themselves as the spine's. hips: LLA from the line of hips to S1. corrected:
    by what tangents and endplates of the generic body differ, not only by what smoothing does to the tangents.
    """
    chosen = points.select(SPINE_CHAIN_MARKERS)
    variance = 0.0 if chosen.covariance is None else np.nanmedian(np.einsum("tmii->tm", chosen.covariance)) / 3
    sd = float(np.sqrt(variance))
    curve = curve_through(chosen.xyz, sd, generic)
    lla, tka = curve_angles(curve, points, hips)
    smoothed, interpolated = (
        curve_angles(curve_through(generic.points.select(SPINE_CHAIN_MARKERS).xyz, own, generic), generic.points, hips)
        for own in (sd, 0.0)
    )
    wanted = (generic.lla, generic.tka) if corrected else interpolated
    centres = Markers(curve.names, points.rate, curve.centre, "y_up", start=points.start)
    markers = points.select(SPINE_MARKERS).with_(covariance=None)
    unknown = np.full((points.frames, len(generic.levels), 3), np.nan)
    lla, tka = lla - smoothed[0] + wanted[0], tka - smoothed[1] + wanted[1]
    return _trial_spine(lla, tka, generic.levels, turned=unknown, markers=markers, centres=centres)


def curve_angles(curve: SpineCurve, points: Markers, hips: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(frames,) rad lumbar lordosis and thoracic kyphosis between tangents, seen along the hips and the clavicles."""

    def place(name: str) -> np.ndarray:
        return points.xyz[:, points.index(name)]

    def unit(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    lower = place(SPINE_CHAIN_MARKERS[0]) - (place("LHip") + place("RHip")) / 2 if hips else curve.along("S1")
    lla = signed_angle(lower, curve.along("L1"), unit(place("RHip") - place("LHip")))
    across = unit(place("RClavicle") - place("LClavicle"))
    return lla, -signed_angle(curve.along("T12"), curve.along("T3"), across)


def without_motion(truth: TrialSpine) -> TrialSpine:
    """The truth's mean LLA, TKA and level angles in all its frames."""
    known = truth.kinematics
    means = np.broadcast_to(np.nanmean(known.angles, 0), known.angles.shape)
    lla, tka = _mean_of_trials([known.lla]), _mean_of_trials([known.tka])
    return _without_points(truth, lla, tka, levels=known.levels, turned=means)


def _mean_of_trials(series: Sequence[np.ndarray]) -> float:
    return mean_or_nan(finite_values(series))


def _without_points(
    truth: TrialSpine, lla: float, tka: float, levels: tuple[str, ...], turned: np.ndarray | None = None
) -> TrialSpine:
    """LLA and TKA (rad) that do not change, in the truth's frames; levels' angles unknown unless given."""
    known = truth.kinematics
    markers = known.markers.with_(xyz=np.full(known.markers.xyz.shape, np.nan), covariance=None)
    centres = truth.centres.with_(xyz=np.full(truth.centres.xyz.shape, np.nan), covariance=None)
    turned = np.full((known.frames, len(levels), 3), np.nan) if turned is None else turned
    lla_course, tka_course = np.full(known.frames, lla), np.full(known.frames, tka)
    return _trial_spine(lla_course, tka_course, levels, turned=turned, markers=markers, centres=centres)


def _trial_spine(
    lla: np.ndarray, tka: np.ndarray, levels: tuple[str, ...], turned: np.ndarray, markers: Markers, centres: Markers
) -> TrialSpine:
    """turned: (frames, levels, 3) rad."""
    kinematics = SpineKinematics(
        rate=markers.rate,
        start=markers.start,
        levels=levels,
        angles=turned,
        lla=lla,
        tka=tka,
        markers=markers,
        repaired=np.zeros(turned.shape[:2], bool),
    )
    return TrialSpine(kinematics, centres, np.zeros(len(lla), bool))
