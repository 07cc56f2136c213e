"""Two ways from 2D points to a spine on the same recordings: ours, and the published procedure.

Each takes all trials of one person, since the body is scaled to all of them. Ours runs the list of stages, as the
workflow does.

The published procedure is our own writing of what is described for SIMSPINE: plain weighted triangulation, zero-phase
low-pass, sixteen joints replaced by motion capture, segment factors as plain ratios, frame-by-frame inverse kinematics
of the coupled body with the released weights, and the blending of the spine's chain that makes the released markers out
of forward kinematics. What was run for the release and what its paper says differ in places; here is what was run.
docs/accuracy-of-recordings.md names each choice that neither settles. Sources: SimSpine (CVPR 2026) and its repository
dfki-av/simspine; Pose2Sim 0.10.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from scipy.ndimage import find_objects, label
from scipy.signal import butter, filtfilt

from simspine.anatomy.body import Body, forward_kinematics, neutral_markers
from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS, SPINE_MARKERS
from simspine.anatomy.recipes import Recipe, build_body, fit_markers, read_recipe
from simspine.anatomy.scaling import ScaleFactors, SegmentFactor, scale_body
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.errors import InputError
from simspine.core.filtering import fill_short_gaps
from simspine.core.geometry import markers_in_frame
from simspine.core.types import Camera, Keypoints, Markers, Origin
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.estimation.options import BodyOptions
from simspine.estimation.result import Solver
from simspine.estimation.solve_trial import read_spine
from simspine.evaluation.bench_engines import weighted_dlt
from simspine.evaluation.spine_errors import TrialSpine
from simspine.reconstruction.reconstruct import AFTER_DETECTION, AFTER_MERGING, UNSEEN
from simspine.reconstruction.stage import Known, Options
from simspine.reconstruction.stages import run_stages
from simspine.vision.options import MergeOptions

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


def triangulate_plainly(keypoints: Keypoints, cameras: Sequence[Camera]) -> Markers:
    """Confidence-weighted linear triangulation of all views (z_up), no outlier handling; NaN with fewer than two views.

    Hartley & Zisserman 2004, ch. 12.2. Pixels are freed from lens distortion first.
    """
    seen = (keypoints.confidence > 0).sum(1) >= 2
    xyz = weighted_dlt(cameras, keypoints.xy, keypoints.confidence)
    return Markers(
        keypoints.names, keypoints.rate, np.where(seen[..., None], xyz, np.nan), "z_up", origin=keypoints.origin
    )


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
    """Sixteen points overwritten by joints of the motion capture (`REPLACED_JOINTS`), frame by frame, both cut to the
    shorter.

    No alignment in time, no smoothing at the joins. Both in one frame and at one rate, or `InputError`.
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
    """The chain (frames, points, 3) with its axis from point 0 to `neck_index` laid on that from `hip` to `neck`.

    Each point is its share s along the axis and what remains across it, p; it becomes hip + s (neck − hip) + k p, k
    being the ratio of the axes' lengths. p is not turned with the axis. Where the axes oppose, the chain is taken in
    reverse order. hip, neck: (frames, 3). Frames with an axis shorter than `MIN_AXIS_LENGTH_M` stay as they are.
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


# Segment factors as the published procedure measures them: plain ratios over a few frames, one segment at a time.


FASTEST_SHARE_LEFT_OUT = 0.2  # of the frames, left out
STRAIGHTEST_FRAMES_USED = 50  # frames with the least flexion of hips and knees
TRIMMED_SEGMENT_SHARE = 0.2  # of a length's values, half at each end
PEER_BODY_MASS_KG = 70.0  # kg, for everybody


def slow_straight_frames(trials: Sequence[Markers]) -> np.ndarray:
    """Indices, into all frames of the trials one after another, of the frames that are measured.

    Without the fastest fifth (mean speed of the markers within their trial), the fifty with hips and knees straightest:
    the mean angle between trunk and thigh and between thigh and shank, from the markers.
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
        _angle_between(x[f"{s}{a}"] - x[f"{s}{b}"], x[f"{s}{b}"] - x[f"{s}{c}"])
        for s in "RL"
        for a, b, c in (("Shoulder", "Hip", "Knee"), ("Hip", "Knee", "Ankle"))
    ]
    return np.mean(angles, axis=0)


def _angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
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
            cut = int(len(known) * TRIMMED_SEGMENT_SHARE / 2)
            ratios.append(known[cut : len(known) - cut].mean() / own if len(known) else np.nan)
        if np.isfinite(ratios).any():
            sizes[segment.name] = float(np.nanmean(ratios))
    rest = float(np.mean(list(sizes.values())))

    def factor(name: str, bodies: tuple[str, ...]) -> SegmentFactor:
        return SegmentFactor(name, bodies, sizes.get(name, rest), assumed=name not in sizes, reason="plain ratio")

    return ScaleFactors(tuple(factor(s.name, s.bodies) for s in recipe.segments), float("nan"), rest)


# What a method is given, and the ways themselves.


TRUE_POINT_MARKER_SET = "centres"  # marker set: where the virtual capture has its points
# Points that are compared: those of the marker set that was fitted, which say where a detector marks them.
OWN_SPINE_MARKERS = MappingProxyType({name: name for name in SPINE_MARKERS})
BEFORE = UNSEEN | {"spine_markers": OWN_SPINE_MARKERS}


@dataclass(frozen=True)
class ObservedTrial:
    """What a method is given of one trial. mocap: Human3.6M joints by their names, z_up, at the keypoints' rate."""

    subject: str
    trial: str
    keypoints: Keypoints
    cameras: tuple[Camera, ...]
    mocap: Markers | None = None


@dataclass(frozen=True)
class GroundTruthTrial:
    """An observed trial and what was true.

    points: the 37 points, y_up: limbs where the motion capture means them, the others where the detector is asked to.
    """

    observed: ObservedTrial
    spine: TrialSpine
    points: Markers


def our_estimates(trials: Sequence[GroundTruthTrial], recipe: str = "articulated") -> list[TrialSpine]:
    """Our estimate of each trial's spine, by the stages that `simspine.reconstruct` runs. recipe: the body's."""
    known = {}
    for number, trial in enumerate(trials):
        seen = trial.observed
        of_trial = {"keypoints": seen.keypoints, "cameras": seen.cameras, "skeleton": TRUE_POINT_MARKER_SET}
        known[str(number)] = BEFORE | of_trial | {"subject": seen.subject, "trial": seen.trial, "mocap": seen.mocap}
    return [_found(trial) for trial in run_stages(known, _options(recipe), AFTER_DETECTION).values()]


def estimates_from_points(trials: Sequence[Markers]) -> list[TrialSpine]:
    """Our estimate of each trial of a person from markers (y_up) as the stages hand them to inverse kinematics."""
    known = {
        str(number): BEFORE | {"subject": "", "trial": "", "markers": markers, "skeleton": TRUE_POINT_MARKER_SET}
        for number, markers in enumerate(trials)
    }
    return [_found(trial) for trial in run_stages(known, _options("articulated"), AFTER_MERGING).values()]


def _options(recipe: str) -> Options:
    body = BodyOptions(recipe=recipe, markers=TRUE_POINT_MARKER_SET)
    return Options(merge=MergeOptions(correspondence="human36m"), body=body)


def _found(trial: Known) -> TrialSpine:
    return _trial_spine_of(trial["spine"], trial["verdict"].rejected)


def _trial_spine_of(spine: SpineKinematics, rejected: np.ndarray) -> TrialSpine:
    assert spine.centres is not None  # the stages give them
    return TrialSpine(spine, spine.centres, rejected)


def reference_estimates(
    observed: Sequence[ObservedTrial], marker_set: str = PEER_MARKER_SET
) -> list[tuple[TrialSpine, TrialSpine]]:
    """The published procedure on each trial: as released, and before the blending (its forward kinematics).

    marker_set: where the points are on the body; weights are the release's in all sets.
    """
    recipe = read_recipe("coupled")
    unscaled = build_body(recipe, marker_set)
    targets = [peer_markers(trial) for trial in observed]
    factors = plain_factors(unscaled, targets, recipe)
    sized = SizedBody(scale_body(unscaled, factors, PEER_BODY_MASS_KG, recipe), recipe, factors.by_body)
    solver = Solver("frames", coordinate_tasks=COORDINATE_TASKS)
    weights = sized.weights(marker_set)
    spines = []
    for target in targets:
        fitted = fit_markers(sized.body, target)
        by_name = {name: weights[name] for name in fitted.names}
        result = inverse_kinematics(sized.body, fitted, by_name, solver=solver)
        spine = read_spine(sized, result, OWN_SPINE_MARKERS)
        model = _trial_spine_of(spine, ~np.isfinite(result.motion.values).all(1))
        markers = lowpass_as_released(blend_model_and_measured(forward_kinematics(sized.body, result.motion), target))
        released = replace(spine, markers=markers.select(SPINE_MARKERS))
        spines.append((replace(model, kinematics=released), model))
    return spines


def peer_markers(observed: ObservedTrial) -> Markers:
    """What the published procedure fits (y_up): triangulated, gaps filled, low-passed, joints replaced."""
    points = fill_short_gaps(triangulate_plainly(observed.keypoints, observed.cameras), PEER_MAX_GAP_S)
    points = lowpass_as_released(points)
    if observed.mocap is not None:
        points = replace_joints(points, markers_in_frame(observed.mocap, points.frame))
    return markers_in_frame(points, "y_up")
