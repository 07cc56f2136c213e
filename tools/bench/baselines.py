"""What any method must beat: the published procedure, a curve through the points, the mean of people, and no motion.

Each gives a `TrialSpine` whose unknown parts are NaN, so it is scored as the methods are:

`peer`: the published procedure of SIMSPINE, rewritten from its description: plain weighted triangulation, zero-phase
low-pass, sixteen joints replaced by motion capture, segment factors as plain ratios, frame-by-frame inverse kinematics
of the coupled body with the released weights, and blending of the spine's chain with the measured points. Where paper
and release differ, the release counts. docs/research/published-procedure.md names each choice that neither settles.
Sources: SimSpine (CVPR 2026) and its repository dfki-av/simspine; Pose2Sim 0.10.
`curve`: a smoothing cubic through the nine points along the spine, frame by frame. Vertebrae stand on it at published
fractions of its length; LLA and TKA are angles between its tangents at S1 and L1, T12 and T3, minus what the same curve
through the generic body's own points differs from the angle between that body's endplates.
`tangents`: the same curve's angles between tangents, without any endplates; what smoothing flattens is added as on the
generic body.
`mean`: LLA and TKA of the generic body with people's mean standing curve, the mean of the estimators' prior.
`constant`: the true mean of each trial, held. An oracle of posture, and no motion.

`back_marker_baselines` predicts a marker of the back from the others there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.ndimage import find_objects, label
from scipy.signal import butter, filtfilt
from tools.bench.engines import triangulate_plainly
from tools.bench.spine_errors import OWN_SPINE_MARKERS, TrialSpine

from simspine.anatomy.body import Body, body_poses, forward_kinematics, neutral_markers, neutral_motion
from simspine.anatomy.curvature import (
    SPINE_CHAIN_MARKERS,
    SPINE_MARKERS,
    lumbar_lordosis,
    read_endplates,
    signed_angle,
    thoracic_kyphosis,
)
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES, LevelRegion
from simspine.anatomy.recipes import Recipe, build_body, fit_markers, read_recipe
from simspine.anatomy.scaling import ScaleFactors, SegmentFactor, model_stature, scale_body
from simspine.anatomy.split_torso import carried_vertebrae, spine_levels
from simspine.anatomy.vertebrae import SpineKinematics, vertebra_centroids
from simspine.core.errors import InputError
from simspine.core.filtering import fill_short_gaps
from simspine.core.geometry import angle_between, distances_along, markers_in_frame, rigid_fit
from simspine.core.skeletons import VERTEBRA_OF, unit_vectors
from simspine.core.types import Camera, Keypoints, Markers, Motion, Origin
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.estimation.result import Solver
from simspine.estimation.solve_trial import read_spine
from simspine.evaluation.metrics import finite_values, mean_or_nan

TRUE_POINT_MARKER_SET = "centres"  # marker set: where the virtual capture has its points
BASELINE_NAMES = ("curve", "tangents", "mean", "constant")
# 1/m: spectral density along the spine of its curvature, which is some 3 /m and changes within 0.2 m. With the points'
# own variance it says how much of their zigzag is curvature.
CURVATURE_DENSITY = 2.0


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
def generic_spine() -> GenericSpine:
    """That of the recipe `articulated`."""
    read = read_recipe("articulated")
    assert read.articulation is not None  # one body per vertebra
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
    length = np.nanmedian(np.linalg.norm(np.diff(chain, axis=1), axis=-1).sum(1))
    stretch = length / (at[-1] - at[0])
    knots, wanted = stretch * at, stretch * generic.place
    splines = [make_smoothing_spline(knots, row, lam=sd**2 / CURVATURE_DENSITY) for row in np.eye(len(at))]
    value, slope = (
        np.stack([spline(wanted, nu) for spline in splines], 1) for nu in (0, 1)
    )  # linear in the points, so one matrix serves all frames and axes
    return SpineCurve(generic.vertebrae, *(np.einsum("vp,fpi->fvi", matrix, chain) for matrix in (value, slope)))


def baseline_estimates(trials: Sequence[Markers], truths: Sequence[TrialSpine]) -> dict[str, list[TrialSpine]]:
    """{name: the estimate of each trial} of `BASELINE_NAMES` for all trials of a person.

    trials: all points (y_up). truths: for `constant` alone.
    """
    generic = generic_spine()
    return {
        "curve": [spine_by_curve(points, generic) for points in trials],
        "tangents": [spine_by_curve(points, generic, corrected=False) for points in trials],
        "mean": [_trial_spine(truth, generic.lla, generic.tka, generic.levels) for truth in truths],
        "constant": [without_motion(truth) for truth in truths],
    }


def spine_by_curve(points: Markers, generic: GenericSpine, corrected: bool = True) -> TrialSpine:
    """The curve's spine, and the points themselves as the spine's.

    corrected: by the difference of tangents and endplates of the generic body; else only by what smoothing does.
    """
    chosen = points.select(SPINE_CHAIN_MARKERS)
    variance = 0.0 if chosen.covariance is None else np.nanmedian(np.einsum("tmii->tm", chosen.covariance)) / 3
    sd = float(np.sqrt(variance))
    curve = curve_through(chosen.xyz, sd, generic)
    lla, tka = curve_angles(curve, points)
    smoothed, interpolated = (
        curve_angles(curve_through(generic.points.select(SPINE_CHAIN_MARKERS).xyz, own, generic), generic.points)
        for own in (sd, 0.0)
    )
    wanted = (generic.lla, generic.tka) if corrected else interpolated
    centres = Markers(curve.names, points.rate, curve.centre, "y_up", start=points.start)
    markers = points.select(SPINE_MARKERS).with_(covariance=None)
    lla, tka = lla - smoothed[0] + wanted[0], tka - smoothed[1] + wanted[1]
    return _spine_of(markers, centres, lla, tka, levels=generic.levels)


def curve_angles(curve: SpineCurve, points: Markers) -> tuple[np.ndarray, np.ndarray]:
    """(frames,) rad lumbar lordosis and thoracic kyphosis between tangents, seen along the hips and the clavicles."""

    def place(name: str) -> np.ndarray:
        return points.xyz[:, points.index(name)]

    lla = signed_angle(curve.along("S1"), curve.along("L1"), unit_vectors(place("RHip") - place("LHip")))
    across = unit_vectors(place("RClavicle") - place("LClavicle"))
    return lla, -signed_angle(curve.along("T12"), curve.along("T3"), across)


def without_motion(truth: TrialSpine) -> TrialSpine:
    """The truth's mean LLA, TKA and level angles in all its frames."""
    known = truth.kinematics
    means = np.broadcast_to(np.nanmean(known.angles, 0), known.angles.shape)
    lla, tka = (mean_or_nan(finite_values([values])) for values in (known.lla, known.tka))
    return _trial_spine(truth, lla, tka, known.levels, turned=means)


def _trial_spine(
    truth: TrialSpine, lla: float, tka: float, levels: tuple[str, ...], turned: np.ndarray | None = None
) -> TrialSpine:
    """LLA and TKA (rad) that do not change, in the truth's frames, without any points."""
    markers, centres = (
        of.with_(xyz=np.full(of.xyz.shape, np.nan), covariance=None) for of in (truth.kinematics.markers, truth.centres)
    )
    return _spine_of(
        markers, centres, np.full(markers.frames, lla), np.full(markers.frames, tka), levels=levels, turned=turned
    )


def _spine_of(
    markers: Markers,
    centres: Markers,
    lla: np.ndarray,
    tka: np.ndarray,
    levels: tuple[str, ...],
    turned: np.ndarray | None = None,
) -> TrialSpine:
    """turned: (frames, levels, 3) rad; levels' angles are unknown unless given."""
    angles = np.full((markers.frames, len(levels), 3), np.nan) if turned is None else turned
    kinematics = SpineKinematics(
        rate=markers.rate,
        start=markers.start,
        levels=levels,
        angles=angles,
        lla=lla,
        tka=tka,
        markers=markers,
        repaired=np.zeros(angles.shape[:2], bool),
    )
    return TrialSpine(kinematics, centres, np.zeros(markers.frames, bool))


# The published procedure.


PEER_MARKER_SET = "simspine-release"
COORDINATE_TASKS = {"L5_S1_Flex_Ext": (0.0, 1.0)}  # target (rad) and weight of the released IK set-up
PEER_CUTOFF_HZ = 5.0
PEER_MAX_GAP_S = 0.4  # 20 frames at 50 Hz, Pose2Sim's default

PEER_LIMB_POINTS = tuple(
    f"{side}{joint}" for side in "RL" for joint in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
)
# {Human3.6M joint: the SIMSPINE point whose place it takes}. The last four are other places on the body: its hip lies
# between the hip joints and not on the sacrum, its spine near L1 and not at T8.
REPLACED_JOINTS = {name: name for name in PEER_LIMB_POINTS} | {
    "Hip": "Hip",
    "Spine": "Spine_04",
    "Thorax": "Neck",
    "NeckNose": "Nose",
}
# Taken from forward kinematics as they are. All points named neither here nor in `CHAIN` stay as measured.
POINTS_FROM_MODEL = ("Head", "RClavicle", "LClavicle", "RHeel", "LHeel", "RBigToe", "LBigToe", "RSmallToe", "LSmallToe")
MODEL_BLEND_SHARE = 0.8  # of the chain; the rest is the measured one, midpoint-smoothed
MIN_AXIS_LENGTH_M = 1e-6  # m; frames with less between Hip and Neck are left out


def lowpass_as_released(markers: Markers) -> Markers:
    """A first-order Butterworth design run forward and backward on each coordinate: nominal order 2.

    The design's cut-off is not corrected for the second pass, so the net gain at `PEER_CUTOFF_HZ` is −6 dB. Only runs
    of frames longer than the padding, three times the filter's length, are filtered.
    """
    b, a = butter(1, PEER_CUTOFF_HZ / (markers.rate / 2))
    pad = 3 * max(len(a), len(b))
    xyz = np.array(markers.xyz)
    for m in range(xyz.shape[1]):
        for (run,) in find_objects(label(markers.present[:, m])[0]):
            if run.stop - run.start > pad:
                xyz[run, m] = filtfilt(b, a, xyz[run, m], axis=0, padlen=pad)
    return markers.with_(xyz=xyz)


def replace_joints(points: Markers, mocap: Markers) -> Markers:
    """Sixteen points overwritten by joints of the motion capture (`REPLACED_JOINTS`), both cut to the shorter.

    Times are not aligned, joins are not smoothed. Raises `InputError` where frames or rates differ.
    """
    if points.frame != mocap.frame or not np.isclose(points.rate, mocap.rate):
        raise InputError(
            f"points ({points.frame}, {points.rate:g} frames/s) and motion capture ({mocap.frame}, {mocap.rate:g} "
            "frames/s) must share frame and rate: this procedure aligns neither."
        )
    frames = min(points.frames, mocap.frames)
    xyz, origin = np.array(points.xyz[:frames]), list(points.origins)
    for joint, point in REPLACED_JOINTS.items():
        column = points.index(point)
        xyz[:, column], origin[column] = mocap.xyz[:frames, mocap.index(joint)], Origin.GIVEN
    return Markers(points.names, points.rate, xyz, points.frame, origin=tuple(origin), start=points.start)


def reanchor_points(chain: np.ndarray, hip: np.ndarray, neck: np.ndarray, neck_index: int) -> np.ndarray:
    """The chain (frames, points, 3) moved so that its axis, point 0 to `neck_index`, lies between `hip` and `neck`.

    A point at share s along the axis and p across it becomes hip + s (neck − hip) + k p. k is the ratio of the axes'
    lengths; p keeps its direction. Where the axes oppose, the chain is reversed. hip, neck: (frames, 3). Frames with an
    axis shorter than `MIN_AXIS_LENGTH_M` stay.
    """
    opposed = ((chain[:, neck_index] - chain[:, 0]) * (neck - hip)).sum(-1) < 0
    chain = np.where(opposed[:, None, None], chain[:, ::-1], chain)
    axis, target = chain[:, neck_index] - chain[:, 0], neck - hip
    length, wanted = np.linalg.norm(axis, axis=-1), np.linalg.norm(target, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        away = chain - chain[:, :1]
        share = (away * axis[:, None]).sum(-1, keepdims=True) / (length**2)[:, None, None]
        across = away - share * axis[:, None]
        moved = hip[:, None] + share * target[:, None] + across * (wanted / length)[:, None, None]
    return np.where(((length < MIN_AXIS_LENGTH_M) | (wanted < MIN_AXIS_LENGTH_M))[:, None, None], chain, moved)


def pull_in_first_point(chain: np.ndarray) -> np.ndarray:
    """The chain with its second point pulled towards the first, to at most twice its distance from the third."""
    way, limit = chain[:, 1] - chain[:, 0], 2 * np.linalg.norm(chain[:, 1] - chain[:, 2], axis=-1)
    length = np.linalg.norm(way, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(length > limit, limit / length, 1.0)
    out = chain.copy()
    out[:, 1] = chain[:, 0] + way * scale[:, None]
    return out


def smooth_by_midpoints(chain: np.ndarray) -> np.ndarray:
    """Each inner point the mean of the smoothed one before and the given one after; the ends stay."""
    out = chain.copy()
    for i in range(1, chain.shape[1] - 1):
        out[:, i] = (out[:, i - 1] + chain[:, i + 1]) / 2
    return out


def blend_model_and_measured(model: Markers, measured: Markers) -> Markers:
    """The released markers: forward kinematics `model` blended with the `measured` points it was fitted to.

    Both y_up, of equal length; the result has the points of `measured`. Points missing in a frame of either stay NaN.
    """
    out = np.array(measured.xyz)
    chain = model.select(SPINE_CHAIN_MARKERS).xyz
    target = measured.select(SPINE_CHAIN_MARKERS).xyz
    neck = SPINE_CHAIN_MARKERS.index("Neck")
    laid = pull_in_first_point(reanchor_points(chain, target[:, 0], target[:, neck], neck))
    at = {name: laid[:, i] for i, name in enumerate(SPINE_CHAIN_MARKERS)}
    for side in "RL":
        shoulder = measured.xyz[:, measured.index(f"{side}Shoulder")]
        middle = (at["Spine_04"] + at["Spine_05"]) / 2
        out[:, measured.index(f"{side}Latissimus")] = middle + 0.6 * (shoulder - at["Spine_05"])
    blended = MODEL_BLEND_SHARE * laid + (1 - MODEL_BLEND_SHARE) * smooth_by_midpoints(target)
    out[:, measured.indices(SPINE_CHAIN_MARKERS)] = blended
    for name in POINTS_FROM_MODEL:
        out[:, measured.index(name)] = model.xyz[:, model.index(name)]
    return Markers(measured.names, measured.rate, out, measured.frame, start=measured.start)


# Segment factors: plain ratios over a few frames, one segment at a time.


FASTEST_SHARE_LEFT_OUT = 0.2  # of the frames, left out
STRAIGHTEST_FRAMES_USED = 50  # frames with the least flexion of hips and knees
TRIMMED_SEGMENT_SHARE = 0.2  # of a length's values, half at each end
PEER_BODY_MASS_KG = 70.0  # kg, of all people


def slow_straight_frames(trials: Sequence[Markers]) -> np.ndarray:
    """Indices of the frames that are measured, into all frames of the trials one after another.

    The fastest fifth (mean speed of the markers) is left out. Of the others, the fifty with the straightest hips and
    knees are taken, by the mean angle between trunk and thigh and between thigh and shank.
    """
    speed = np.concatenate([_mean_marker_speed(markers) for markers in trials])
    bend = np.concatenate([_hip_and_knee_bend(markers) for markers in trials])
    known = np.flatnonzero(np.isfinite(speed) & np.isfinite(bend))
    if not len(known):
        raise InputError("no frame shows shoulders, hips, knees and ankles together; nothing to scale by.")
    slow = known[speed[known] <= np.quantile(speed[known], 1 - FASTEST_SHARE_LEFT_OUT)]
    return np.sort(slow[np.argsort(bend[slow], kind="stable")[:STRAIGHTEST_FRAMES_USED]])


def _mean_marker_speed(markers: Markers) -> np.ndarray:
    step = np.linalg.norm(np.gradient(markers.xyz, axis=0), axis=-1) if markers.frames > 1 else np.zeros((1, 1))
    known = np.isfinite(step)
    return np.where(known, step, 0.0).sum(1) / np.maximum(known.sum(1), 1) * markers.rate


def _hip_and_knee_bend(markers: Markers) -> np.ndarray:
    x = {name: markers.xyz[:, markers.index(name)] for name in markers.names}
    angles = [
        angle_between(x[f"{s}{a}"] - x[f"{s}{b}"], x[f"{s}{b}"] - x[f"{s}{c}"])
        for s in "RL"
        for a, b, c in (("Shoulder", "Hip", "Knee"), ("Hip", "Knee", "Ankle"))
    ]
    return np.mean(angles, axis=0)


def plain_factors(body: Body, trials: Sequence[Markers], recipe: Recipe) -> ScaleFactors:
    """Factors of the recipe's segments: measured length over the neutral model's, averaged over the segment's pairs.

    Lengths are trimmed means. Segments that cannot be measured get the mean of the others.
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
            cut = int(len(known) * TRIMMED_SEGMENT_SHARE / 2)
            ratios.append(known[cut : len(known) - cut].mean() / own if len(known) else np.nan)
        if np.isfinite(ratios).any():
            sizes[segment.name] = float(np.nanmean(ratios))
    rest = float(np.mean(list(sizes.values())))

    def factor(name: str, bodies: tuple[str, ...]) -> SegmentFactor:
        return SegmentFactor(name, bodies, sizes.get(name, rest), assumed=name not in sizes, reason="plain ratio")

    factors = tuple(factor(s.name, s.bodies) for s in recipe.segments)
    return ScaleFactors(factors, stature=rest * model_stature(body, recipe, {}), stature_factor=rest)


def peer_markers(keypoints: Keypoints, cameras: Sequence[Camera], mocap: Markers | None) -> Markers:
    """What the published procedure fits (y_up): triangulated, gaps filled, low-passed, joints replaced.

    mocap: Human3.6M joints; None leaves the points as triangulated.
    """
    points = lowpass_as_released(fill_short_gaps(triangulate_plainly(keypoints, cameras), PEER_MAX_GAP_S))
    if mocap is not None:
        points = replace_joints(points, markers_in_frame(mocap, points.frame))
    return markers_in_frame(points, "y_up")


def peer_estimates(trials: Sequence[Markers]) -> list[TrialSpine]:
    """The published procedure's spine in each trial of a person. trials: the points that it fits (y_up)."""
    recipe = read_recipe("coupled")
    unscaled = build_body(recipe, PEER_MARKER_SET)
    factors = plain_factors(unscaled, trials, recipe)
    sized = SizedBody(scale_body(unscaled, factors, PEER_BODY_MASS_KG, recipe), recipe, factors.by_body)
    solver = Solver("frames", coordinate_tasks=COORDINATE_TASKS)
    weights = sized.weights(PEER_MARKER_SET)
    spines = []
    for measured in trials:
        fitted = fit_markers(sized.body, measured)
        by_name = {name: weights[name] for name in fitted.names}
        result = inverse_kinematics(sized.body, fitted, by_name, solver=solver)
        model = read_spine(sized, result, OWN_SPINE_MARKERS)
        blended = blend_model_and_measured(forward_kinematics(sized.body, result.motion), measured)
        released = replace(model, markers=lowpass_as_released(blended).select(SPINE_MARKERS))
        assert released.centres is not None  # bodies with vertebrae have them
        spines.append(TrialSpine(released, released.centres, ~np.isfinite(result.motion.values).all(1)))
    return spines


# A marker of the back, from the other markers there.

BACK_MARKERS = ("C7", "T2", "T6", "T10", "T12", "SACR")


def back_marker_baselines(trial: Markers, standing: Markers, level: str) -> dict[str, np.ndarray]:
    """{baseline: (frames, 3) m of the marker over a level}, from the others on the back; NaN where one is missing."""
    back = [name for name in BACK_MARKERS if name == level or np.isfinite(trial.select([name]).xyz).any()]
    at, rest = back.index(level), [i for i, name in enumerate(back) if name != level]
    still, seen = np.nanmean(standing.select(back).xyz, axis=0), trial.select(back).xyz[:, rest]
    along = distances_along(still)
    curve, full = _spline_places(seen, along[rest], along[at]), np.isfinite(seen).all((1, 2))
    turn, shift = np.full((trial.frames, 3, 3), np.nan), np.full((trial.frames, 3), np.nan)
    turn[full], shift[full] = rigid_fit(still[rest], seen[full])
    offset = still[at] - _spline_places(still[None, rest], along[rest], along[at])[0]
    return {
        "spline + standing offset": curve + turn @ offset,
        "spline": curve,
        "rigid back": turn @ still[at] + shift,
    }


def _spline_places(seen: np.ndarray, along: np.ndarray, at: float) -> np.ndarray:
    """(frames, 3): natural cubic splines through points (frames, points, 3) at lengths (points,), at another length."""
    from scipy.interpolate import CubicSpline

    found, full = np.full((len(seen), 3), np.nan), np.isfinite(seen).all((1, 2))
    if full.any():
        found[full] = CubicSpline(along, seen[full], axis=1, bc_type="natural")(at)
    return found
