"""The published way from 2D points to a spine, to compare with: our own writing of what is described for SIMSPINE.

Steps, each a pure function: plain weighted triangulation, zero-phase low-pass, sixteen joints replaced by motion
capture, segment factors as plain ratios, frame-by-frame inverse kinematics of the coupled body with the released
weights, and the blending of the spine's chain that makes the released markers out of forward kinematics. What was run
for the release and what its paper says differ in places; here is what was run, and docs/accuracy-of-recordings.md names
each choice that neither settles. Sources: SimSpine (CVPR 2026) and its repository dfki-av/simspine; Pose2Sim 0.10.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import find_objects, label
from scipy.signal import butter, filtfilt

from simspine.benchmark.triangulation import dlt
from simspine.errors import InputError
from simspine.spine.levels import CHAIN
from simspine.types import Camera, Keypoints, Markers, Origin

MARKER_SET = "simspine-release"
COORDINATE_TASKS = {"L5_S1_Flex_Ext": (0.0, 1.0)}  # target (rad) and weight of the released IK set-up
CUTOFF_HZ = 5.0
MAX_GAP_S = 0.4  # 20 frames at 50 Hz, Pose2Sim's default

LIMBS = tuple(f"{side}{joint}" for side in "RL" for joint in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"))
# {Human3.6M joint: the SIMSPINE point whose place it takes}. The last four are other places on the body: its hip lies
# between the hip joints and not on the sacrum, its spine near L1 and not at T8.
REPLACED = {name: name for name in LIMBS} | {"Hip": "Hip", "Spine": "Spine_04", "Thorax": "Neck", "NeckNose": "Nose"}
# Taken from forward kinematics as they are. All points named neither here nor in `CHAIN` stay as measured.
FROM_MODEL = ("Head", "RClavicle", "LClavicle", "RHeel", "LHeel", "RBigToe", "LBigToe", "RSmallToe", "LSmallToe")
MODEL_SHARE = 0.8  # of the chain; the rest is the measured one, midpoint-smoothed
SHORTEST_AXIS = 1e-6  # m; frames with less between Hip and Neck are left out


def triangulate_plainly(keypoints: Keypoints, cameras: Sequence[Camera]) -> Markers:
    """Confidence-weighted linear triangulation of all views (z_up), no outlier handling; NaN with fewer than two views.

    Hartley & Zisserman 2004, ch. 12.2. Pixels are freed from lens distortion first.
    """
    seen = (keypoints.confidence > 0).sum(1) >= 2
    xyz = dlt(cameras, keypoints.xy, keypoints.confidence)
    return Markers(
        keypoints.names, keypoints.rate, np.where(seen[..., None], xyz, np.nan), "z_up", origin=keypoints.origin
    )


def lowpass_as_released(markers: Markers) -> Markers:
    """A first-order Butterworth design run forward and backward on each coordinate: nominal order 2.

    The design's cut-off is not corrected for the second pass, so the net gain at `CUTOFF_HZ` is −6 dB. Only runs of
    frames longer than the padding, three times the filter's length, are filtered.
    """
    b, a = butter(1, CUTOFF_HZ / (markers.rate / 2))
    pad = 3 * max(len(a), len(b))
    xyz = np.array(markers.xyz)
    for m in range(xyz.shape[1]):
        for (run,) in find_objects(label(markers.present[:, m])[0]):
            if run.stop - run.start > pad:
                xyz[run, m] = filtfilt(b, a, xyz[run, m], axis=0, padlen=pad)
    return markers.with_(xyz=xyz)


def replace_joints(points: Markers, mocap: Markers) -> Markers:
    """Sixteen points overwritten by joints of the motion capture (`REPLACED`), frame by frame, both cut to the shorter.

    No alignment in time, no smoothing at the joins. Both in one frame and at one rate, or `InputError`.
    """
    if points.frame != mocap.frame or not np.isclose(points.rate, mocap.rate):
        raise InputError(
            f"points ({points.frame}, {points.rate:g} frames/s) and motion capture ({mocap.frame}, {mocap.rate:g} "
            "frames/s) must share frame and rate: this procedure aligns neither."
        )
    frames = min(points.frames, mocap.frames)
    xyz, origin = np.array(points.xyz[:frames]), list(points.origins)
    for joint, point in REPLACED.items():
        column = points.index(point)
        xyz[:, column], origin[column] = mocap.xyz[:frames, mocap.index(joint)], Origin.GIVEN
    return Markers(points.names, points.rate, xyz, points.frame, origin=tuple(origin), start=points.start)


def re_anchored(chain: np.ndarray, hip: np.ndarray, neck: np.ndarray, neck_index: int) -> np.ndarray:
    """The chain (frames, points, 3) with its axis from point 0 to `neck_index` laid on that from `hip` to `neck`.

    Each point is its share s along the axis and what remains across it, p; it becomes hip + s (neck − hip) + k p, k
    being the ratio of the axes' lengths. p is not turned with the axis. Where the axes oppose, the chain is taken in
    reverse order. hip, neck: (frames, 3). Frames with an axis shorter than `SHORTEST_AXIS` stay as they are.
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
    return np.where(((length < SHORTEST_AXIS) | (wanted < SHORTEST_AXIS))[:, None, None], chain, moved)


def first_pulled_in(chain: np.ndarray) -> np.ndarray:
    """The chain with its second point pulled towards the first, to at most twice its distance from the third."""
    way, limit = chain[:, 1] - chain[:, 0], 2 * np.linalg.norm(chain[:, 1] - chain[:, 2], axis=-1)
    length = np.linalg.norm(way, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(length > limit, limit / length, 1.0)
    out = chain.copy()
    out[:, 1] = chain[:, 0] + way * scale[:, None]
    return out


def midpoint_smoothed(chain: np.ndarray) -> np.ndarray:
    """Each inner point the mean of the smoothed one before and the given one after; the ends stay."""
    out = chain.copy()
    for i in range(1, chain.shape[1] - 1):
        out[:, i] = (out[:, i - 1] + chain[:, i + 1]) / 2
    return out


def blended(model: Markers, measured: Markers) -> Markers:
    """The released markers: forward kinematics `model` blended with the `measured` points it was fitted to.

    Both y_up, of equal length; the result has the points of `measured`. Points missing in a frame of either stay NaN.
    """
    out = np.array(measured.xyz)
    chain = model.select(CHAIN).xyz
    target = measured.select(CHAIN).xyz
    neck = CHAIN.index("Neck")
    laid = first_pulled_in(re_anchored(chain, target[:, 0], target[:, neck], neck))
    at = {name: laid[:, i] for i, name in enumerate(CHAIN)}
    for side in "RL":
        shoulder = measured.xyz[:, measured.index(f"{side}Shoulder")]
        middle = (at["Spine_04"] + at["Spine_05"]) / 2
        out[:, measured.index(f"{side}Latissimus")] = middle + 0.6 * (shoulder - at["Spine_05"])
    out[:, measured.indices(CHAIN)] = MODEL_SHARE * laid + (1 - MODEL_SHARE) * midpoint_smoothed(target)
    for name in FROM_MODEL:
        out[:, measured.index(name)] = model.xyz[:, model.index(name)]
    return Markers(measured.names, measured.rate, out, measured.frame, start=measured.start)
