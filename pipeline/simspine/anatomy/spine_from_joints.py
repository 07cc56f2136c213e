"""The spine from hips, shoulders and ears, where the back was not observed: in space, and in one image.

The chain of inter-centroid vectors gets one more at either end: mid-ears to C1, and S1 to mid-hips. Each turns with its
neighbour; mid-shoulders move with T1 to T3. These three mid-points are the observations, with spreads for movement
against the spine. The lines through hips and shoulders show the trunk's heading (`OrientationPrior`); its tilts are
free, since the mid-points decide them. `complete_centres` infers size, curvature and lean from real spines through
these points. Places are those of the neutral full-body model (a test compares). Spreads without a source were chosen
before any result was known.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from simspine.anatomy.complete_spine import complete_centres
from simspine.anatomy.shape_model import CHAIN_LEVELS, CHAIN_VECTOR_COUNT, OrientationPrior, packaged_shape_model
from simspine.core.errors import InputError
from simspine.core.skeletons import VERTEBRA_OF, upright_axes
from simspine.core.types import Markers, Origin

REQUIRED_JOINTS = ("LHip", "RHip", "LShoulder", "RShoulder")
EAR_POINTS = ("LEar", "REar")

# From S1 to the middle of the hips: length m, pitch against L5-S1's. Its spread given L5-S1: that of the pelvic
# incidence, ± 9° (Boulay 2005, n = 149; Chen 2019, n = 320: ± 8–9°) and 5° for the vector of L5 against the endplate.
HIP_FROM_SACRUM = (0.1102, np.radians(40.5))
HIP_FROM_SACRUM_SD = (0.08, np.radians(10.0), np.radians(5.0))  # log length, pitch, tilt
# From the middle of the ears to C1: the head nods and tilts on C1 (25° and 10° in all, White & Panjabi 1978) and the
# ear canal's place varies by a centimetre.
EAR_FROM_C1 = (0.026, np.radians(2.0))
EAR_FROM_C1_SD = (0.30, np.radians(15.0), np.radians(15.0))
SHOULDER_FROM_T2_M = (0.0320, -0.0013)  # m: forward, up from T2's centre, where T3_TO_T1 leads from T3 to T1
T3_TO_T1 = (0.0117, 0.0389)

# m, forward, up, right. Detectors' hips are 30–50 mm from the joint centres (Needham 2021, 10.1038/s41598-021-00212-x):
# 23 mm along each axis, of which left and right cancel. The middle of the shoulders differs between standing people by
# 18 and 16 mm forward and up (six with markers), a detector by 12 mm (rendered people), raised arms move it by 18 mm.
HIPS_ERROR = (0.023, 0.023, 0.010)
SHOULDERS_ERROR = (0.030, 0.025, 0.012)
EARS_ERROR = (0.008, 0.008, 0.008)
# Of either line against the trunk's heading: from twist, or from one arm that reaches forward.
FACING_LINE_SD = np.radians(10.0)
UNOBSERVED_SD_M = 1.0  # m: standard deviation of mid-ears that are missing
# m: from children of 1 m to adults of 2.1 m, with some cm for errors of detectors. The median man (Gordon et al. 1989,
# 1988 Anthropometric Survey of U.S. Army Personnel) has ears 0.14 m apart, and shoulders some 0.4 m.
PLAUSIBLE_TRUNK_LENGTHS_M = (0.25, 0.75)
WIDEST_HIPS_M, WIDEST_SHOULDERS_M, WIDEST_EARS_M = 0.45, 0.6, 0.25
PLAUSIBLE_EAR_DISTANCES_M = (0.05, 0.45)  # of the middles of ears and shoulders
LOWEST_EARS_M = -0.1  # along the trunk, from the shoulders: a head that is bent forward as far as it goes
CONFIDENCE_SHARE_OF_JOINT = 0.1  # of an inferred point, relative to the least confident joint's
LEAST_WIDTH = 0.05  # m: hips or shoulders closer together give no direction


def spine_from_joints(joints: Markers, posture: str = "any") -> Markers:
    """Centres of all vertebrae C1…L5 and S1, inferred from hips, shoulders and ears.

    These centres hold no information beyond that of the joints. Frames are independent of each other.

    Parameters
    ----------
    joints : Markers
        With LHip, RHip, LShoulder, RShoulder, and both ears if known (without them the neck follows from the trunk
        alone), m, any axes. Their covariance adds to the spreads. A nose only shows whether all sides are exchanged.
    posture : str
        As of `complete_spine`.

    Returns
    -------
    Markers
        C1…L5, S1 with covariance, in the frame of `joints`, of origin INFERRED. NaN where a hip or shoulder is missing,
        mid-hips and mid-shoulders are nearer than 0.25 m or further than 0.75 m, hips or shoulders are wider than
        0.45 m and 0.6 m, or the shoulders are turned by more than a quarter against the hips. Ears that are no head's
        on these shoulders count as missing.

    Raises
    ------
    InputError
        Where a joint has no column, or for an unknown posture.
    """
    if absent := [name for name in REQUIRED_JOINTS if name not in joints.names]:
        raise InputError(
            f"the spine cannot be inferred without {', '.join(absent)}; points present: {', '.join(joints.names)}."
        )
    spine, doubts = _inferred_spine(joints, posture)
    for doubt in doubts:
        warnings.warn(doubt, stacklevel=2)
    return spine


def _inferred_spine(joints: Markers, posture: str) -> tuple[Markers, list[str]]:
    """As `spine_from_joints`, and what is doubtful about the joints."""
    joints = joints.without_zero_weights()
    hips, shoulders = _MidPoint.of(joints, "Hip"), _MidPoint.of(joints, "Shoulder")
    good = _is_trunk(hips, shoulders)
    doubts = list(_doubts_of_trunk(joints, hips, shoulders, good))
    xyz = np.full((joints.frames, len(CHAIN_LEVELS), 3), np.nan)
    covariance = np.full((joints.frames, len(CHAIN_LEVELS), 3, 3), np.nan)
    if good.any():
        mean, cov = _with_joints(*packaged_shape_model().prior(posture))
        hips, shoulders = hips[good], shoulders[good]
        head = _MidPoint.of(joints, "Ear")[good] if set(EAR_POINTS) <= set(joints.names) else None
        if head is not None and (odd := _is_no_head(head, shoulders, hips)).any():
            head = replace(head, place=np.where(odd[:, None], np.nan, head.place))
            doubts.append(
                f"in {odd.sum()} frames the ears are no head's on these shoulders; taken as missing. Are they of this "
                "person, and hips and shoulders as named?"
            )
        prior = _trunk_facing(hips, shoulders)
        y, C = _observed_mid_points(hips, shoulders, head, prior.rotation)
        levels, mix = _observation_matrix()
        x, X = complete_centres(mean, cov, levels, y=y, C=C, prior=prior, mix=mix)
        xyz[good], covariance[good] = x[:, 1:-1], X[:, 1:-1]
    spine = Markers(
        CHAIN_LEVELS,
        joints.rate,
        xyz,
        joints.frame,
        covariance=covariance,
        origin=(Origin.INFERRED,) * len(CHAIN_LEVELS),
        start=joints.start,
    )
    return spine, doubts


def _is_trunk(hips: "_MidPoint", shoulders: "_MidPoint") -> np.ndarray:
    """(frames,) bool: whether the four joints are plausibly far apart, left and right exchanged at neither end."""
    trunk = shoulders.place - hips.place
    length = np.linalg.norm(trunk, axis=1)
    up = trunk / np.maximum(length, 1e-9)[:, None]
    lines = [pair.across - (pair.across * up).sum(1, keepdims=True) * up for pair in (hips, shoulders)]
    widths = [np.linalg.norm(line, axis=1) for line in lines]
    exchanged = (np.minimum(*widths) > LEAST_WIDTH) & ((lines[0] * lines[1]).sum(1) < 0)
    shortest, longest = PLAUSIBLE_TRUNK_LENGTHS_M
    wide = (hips.width > WIDEST_HIPS_M) | (shoulders.width > WIDEST_SHOULDERS_M)
    return (length > shortest) & (length < longest) & (np.maximum(*widths) > LEAST_WIDTH) & ~exchanged & ~wide


def _doubts_of_trunk(joints: Markers, hips: "_MidPoint", shoulders: "_MidPoint", good: np.ndarray) -> Iterator[str]:
    """Frames that are no trunk; a nose behind the shoulders. good: (frames,) of `_is_trunk`."""
    odd = np.isfinite(hips.place + shoulders.place).all(1) & ~good
    if odd.any() or not good.any():
        text = f"hips and shoulders are a trunk in {good.sum()} of {len(good)} frames; the others have no spine."
        yield f"{text} Are they metres, seen, of one person, and left and right as named?"
    if "Nose" in joints.names:
        forward = np.cross(shoulders.place - hips.place, shoulders.across)
        ahead = ((joints.xyz[:, joints.index("Nose")] - shoulders.place) * forward).sum(1)
        if 2 * (ahead[good] < 0).sum() > good.sum():
            yield "left and right seem exchanged in all joints: the nose is behind. Rename them."


def _is_no_head(ears: "_MidPoint", shoulders: "_MidPoint", hips: "_MidPoint") -> np.ndarray:
    """(frames,) bool: whether the ears are too far from the shoulders or from one another, or too low."""
    neck, trunk = ears.place - shoulders.place, shoulders.place - hips.place
    distance, height = np.linalg.norm(neck, axis=1), (neck * trunk).sum(1) / np.linalg.norm(trunk, axis=1)
    nearest, farthest = PLAUSIBLE_EAR_DISTANCES_M
    return (distance < nearest) | (distance > farthest) | (height < LOWEST_EARS_M) | (ears.width > WIDEST_EARS_M)


@dataclass(frozen=True)
class _MidPoint:
    """A left and a right joint: their mid-point and the vector from left to right, (frames, 3) m; and the covariance
    (frames, 3, 3) m² of their sum, zero where it is not known."""

    place: np.ndarray
    across: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, joints: Markers, part: str) -> "_MidPoint":
        left, right = (joints.xyz[:, joints.index(side + part)] for side in "LR")
        covariance = np.zeros((joints.frames, 3, 3))
        if joints.covariance is not None:
            covariance = np.nan_to_num(joints.covariance[:, joints.indices(("L" + part, "R" + part))].sum(1))
        return cls(place=(left + right) / 2, across=right - left, covariance=covariance)

    @property
    def width(self) -> np.ndarray:
        return np.linalg.norm(self.across, axis=1)

    def __getitem__(self, frames) -> "_MidPoint":
        return _MidPoint(*(value[frames] for value in vars(self).values()))


def _observed_mid_points(
    hips: _MidPoint, shoulders: _MidPoint, head: _MidPoint | None, rotation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mid-ears, mid-shoulders and mid-hips (frames, 3, 3) m with covariance (frames, 3, 3, 3) m²."""
    lost = np.ones(len(hips.place), bool) if head is None else ~np.isfinite(head.place).all(1)
    head = shoulders if head is None else head
    y = np.stack([np.where(lost[:, None], shoulders.place, head.place), shoulders.place, hips.place], 1)
    parts = ((head, EARS_ERROR), (shoulders, SHOULDERS_ERROR), (hips, HIPS_ERROR))
    C = np.stack(
        [rotation @ np.diag(np.square(sd)) @ rotation.swapaxes(-1, -2) + part.covariance / 4 for part, sd in parts], 1
    )
    C[lost, 0] = UNOBSERVED_SD_M**2 * np.eye(3)
    return y, C


def infer_spine_points(markers: Markers) -> Markers:
    """The markers, with the points of the spine that no frame shows inferred at the centres of their vertebrae.

    `VERTEBRA_OF` has the vertebrae. Positions, and covariances where the markers have any, are those of
    `spine_from_joints`; the points' origin is INFERRED. What was detected or given stays. Unchanged where hips or
    shoulders have no column.
    """
    known = {markers.names[i] for i in np.flatnonzero(markers.present.any(0))}
    points = [point for point in VERTEBRA_OF if point not in known]
    if not points or not set(REQUIRED_JOINTS) <= known:
        return markers
    spine, doubts = _inferred_spine(markers, "any")
    if not spine.present.any():
        warnings.warn(doubts[0], stacklevel=2)
    spine = spine.select([VERTEBRA_OF[point] for point in points])
    inferred, joints = spine.present, markers.indices(REQUIRED_JOINTS)
    added = {"xyz": spine.xyz, "covariance": spine.covariance}
    if markers.weight is not None:
        added["weight"] = np.where(
            inferred, CONFIDENCE_SHARE_OF_JOINT * markers.weight[:, joints].min(1, keepdims=True), 0.0
        )
    if markers.filled is not None:
        added["filled"] = inferred & markers.filled[:, joints].any(1, keepdims=True)
    rest = markers.select([name for name in markers.names if name not in points])
    both = ((field, getattr(rest, field), values) for field, values in added.items())
    return markers.with_(
        names=(*rest.names, *points),
        origin=(*rest.origins, *(Origin.INFERRED,) * len(points)),
        **{field: np.concatenate([old, new], 1) for field, old, new in both if old is not None},
    )


def _with_joints(mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the vectors C1…S1 → the same with the vectors from the ears and to the hips."""
    n, m = CHAIN_VECTOR_COUNT, CHAIN_VECTOR_COUNT + 2
    T, shift, spread = np.zeros((3 * m, 3 * n)), np.zeros(3 * m), np.zeros(3 * m)
    for kind in range(3):
        T[kind * m + 1 : (kind + 1) * m - 1, kind * n : (kind + 1) * n] = np.eye(n)
    sizes, pitches, tilts = 0, m, 2 * m
    for end, nearest, (length, pitch), sd in (
        (0, 0, EAR_FROM_C1, EAR_FROM_C1_SD),
        (m - 1, n - 1, HIP_FROM_SACRUM, HIP_FROM_SACRUM_SD),
    ):
        T[sizes + end, :n] = 1 / n  # both vectors grow with the spine as a whole
        shift[sizes + end] = np.log(length) - mean[:n].mean()
        T[pitches + end, n + nearest], shift[pitches + end] = 1.0, pitch
        spread[[sizes + end, pitches + end, tilts + end]] = sd
    T[tilts, 2 * n] = 1.0  # the head tilts sideways with C1; hips and sacrum are one bone
    return T @ mean + shift, T @ cov @ T.T + np.diag(spread**2)


@cache
def _observation_matrix() -> tuple[np.ndarray, np.ndarray]:
    """Centres, by index in the longer chain, and how mid-ears, mid-shoulders and mid-hips follow from them (9, 15)."""
    t1 = CHAIN_LEVELS.index("T1") + 1
    g = complex(*SHOULDER_FROM_T2_M) / complex(*T3_TO_T1)  # turns and stretches T3 → T1 into T2 → mid-shoulders
    G = np.array([[g.real, -g.imag, 0], [g.imag, g.real, 0], [0, 0, 0]])
    mix = np.zeros((3, 3, 5, 3))
    mix[0, :, 0] = mix[1, :, 2] = mix[2, :, 4] = np.eye(3)
    mix[1, :, 1], mix[1, :, 3] = G, -G
    return np.array([0, t1, t1 + 1, t1 + 2, CHAIN_VECTOR_COUNT + 2]), mix.reshape(9, 15)


def _trunk_facing(hips: _MidPoint, shoulders: _MidPoint) -> OrientationPrior:
    """The prior on the trunk's heading: lines from left to right, weighted by precision, across the trunk."""
    up = shoulders.place - hips.place
    up = up / np.linalg.norm(up, axis=1, keepdims=True)
    total, precision = np.zeros_like(up), np.zeros(len(up))
    for pair in (hips, shoulders):
        line = pair.across - (pair.across * up).sum(1, keepdims=True) * up
        width = np.maximum(np.linalg.norm(line, axis=1), 1e-9)
        right = line / width[:, None]
        ahead = np.cross(up, right)
        noise = np.einsum("fi,fij,fj->f", ahead, pair.covariance, ahead) / width**2
        sharp = np.where(width > LEAST_WIDTH, 1 / (FACING_LINE_SD**2 + noise), 0.0)
        total, precision = total + sharp[:, None] * right, precision + sharp
    return OrientationPrior(upright_axes(up, total), precision[:, None, None] * np.diag([0.0, 1.0, 0.0]))


# In one image: inferred from inferred joints, for display. The depth of hips and shoulders is reconstructed under
# scaled orthographic projection from their foreshortening (Taylor 2000, "Reconstruction of articulated objects from
# point correspondences in a single uncalibrated image"): the scale is the least at which no segment is longer than it
# is in an adult. Foreshortening leaves signs open; the face and the feet say which way the person faces, and the trunk
# is taken to lean that way. Lengths were chosen; only their proportions matter.
TRUNK_LENGTH_M = 0.50  # mid-hips to mid-shoulders
SHOULDER_WIDTH_M, HIP_WIDTH_M = 0.34, 0.18
FACING_PAIRS = (("Nose", ("LEar", "REar")), ("LBigToe", ("LHeel",)), ("RBigToe", ("RHeel",)))  # (in front, behind)
EAR_AHEAD_M = 0.03  # m, in front of mid-shoulders
EAR_DEPTH_SD_M = 0.06  # m
PLACEHOLDER_RATE_HZ = 1.0  # Hz; a single frame has no rate, but `Markers` needs one


def spine_in_image(points: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{point of the spine: (3,) x px, y px, confidence}, of one person and image; empty where it cannot be inferred.

    points: {SIMSPINE point: (3,) x px, y px, confidence}; NaN = not seen. Wanted are hips and shoulders; ears, nose and
    feet help. The confidence is `CONFIDENCE_SHARE_OF_JOINT` of the least sure joint's.
    """
    seen = {name: np.asarray(p, float) for name, p in points.items() if np.isfinite(p[:2]).all()}
    if not set(REQUIRED_JOINTS) <= set(seen):
        return {}
    xy = {name: p[:2] for name, p in seen.items()}
    hips, shoulders = _middle_of_pair(xy, "Hip"), _middle_of_pair(xy, "Shoulder")
    trunk = shoulders - hips
    lines = {
        "Shoulder": (xy["RShoulder"] - xy["LShoulder"], SHOULDER_WIDTH_M),
        "Hip": (xy["RHip"] - xy["LHip"], HIP_WIDTH_M),
    }
    length = float(np.linalg.norm(trunk))
    scale = max(length / TRUNK_LENGTH_M, *(float(np.linalg.norm(line)) / m for line, m in lines.values()))  # px/m
    if not length > 0:
        return {}
    ahead = _facing_in_image(xy, trunk / length)
    to_metres = np.array([1.0, -1.0]) / scale  # px, y down → m, y up
    spine = spine_from_joints(_joints_in_space(xy, lines, to_metres, ahead))
    confidence = CONFIDENCE_SHARE_OF_JOINT * float(min(seen[name][2] for name in REQUIRED_JOINTS))
    points_of_spine = {}
    for point, level in VERTEBRA_OF.items():
        place = spine.xyz[0, spine.index(level)]
        if np.isfinite(place).all():
            points_of_spine[point] = np.array([hips[0] + scale * place[0], hips[1] - scale * place[1], confidence])
    return points_of_spine


# Two parabolas that touch at the base of the neck, from mid-hips to it and from it to the head. SpineTrack's annotation
# began with two curves and equal spacing; their kind and the shares are not published, these are conventions of ours.
NECK_BASE_SHARE = 0.25  # of the way from mid-shoulders to the head
TRUNK_SHARE, CURVE_BEND = 0.82, 1 / 3  # of the spine's length; the neck's part in the direction where the curves touch
LOWER_SHARES, UPPER_SHARES = np.linspace(0.14, 1.0, 7), np.array([0.35, 0.70])  # of their lengths: S1 … C7; C4, C1
HEAD_POINTS = (EAR_POINTS, ("Nose",), ("Head",))  # what stands for the head, the best first


def spine_on_curves(points: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{point of the spine: (2,) x px, y px} on two curves at equal distances; empty without hips, shoulders or a head.

    points: {SIMSPINE point: (…) x px, y px, …}, those that are seen."""
    xy = {name: np.asarray(p[:2], float) for name, p in points.items()}
    heads = [names for names in HEAD_POINTS if set(names) <= set(xy)]
    if not heads or not set(REQUIRED_JOINTS) <= set(xy):
        return {}
    hips, shoulders = _middle_of_pair(xy, "Hip"), _middle_of_pair(xy, "Shoulder")
    head = np.mean([xy[name] for name in heads[0]], axis=0)
    base = shoulders + NECK_BASE_SHARE * (head - shoulders)
    slope = (1 - CURVE_BEND) * (base - hips) / TRUNK_SHARE + CURVE_BEND * (head - base) / (1 - TRUNK_SHARE)
    lower = _on_curve(hips, base - slope * TRUNK_SHARE / 2, base, LOWER_SHARES)
    upper = _on_curve(base, base + slope * (1 - TRUNK_SHARE) / 2, head, UPPER_SHARES)
    return dict(zip(VERTEBRA_OF, (*lower, *upper), strict=True))


def _on_curve(first: np.ndarray, control: np.ndarray, last: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points of a parabola, given as Bézier's, at shares of its length."""
    t = np.linspace(0, 1, 201)[:, None]
    curve = (1 - t) ** 2 * first + 2 * t * (1 - t) * control + t**2 * last
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))]
    return np.column_stack([np.interp(shares * length[-1], length, side) for side in curve.T])


def _middle_of_pair(xy: Mapping[str, np.ndarray], part: str) -> np.ndarray:
    return (xy["L" + part] + xy["R" + part]) / 2


def _facing_in_image(xy: Mapping[str, np.ndarray], up: np.ndarray) -> float:
    """Facing in the image, px: positive where face and feet point to the right of the trunk's line."""
    across = np.array([-up[1], up[0]])  # to the right in the image for a person who is upright
    votes = 0.0
    for front, behind in FACING_PAIRS:
        points_behind = [xy[name] for name in behind if name in xy]
        if front in xy and points_behind:
            votes += float((xy[front] - np.mean(points_behind, axis=0)) @ across)
    return votes


def _joints_in_space(
    xy: Mapping[str, np.ndarray], lines: Mapping[str, tuple[np.ndarray, float]], to_metres: np.ndarray, ahead: float
) -> Markers:
    """Joints in the camera's axes x right, y up, z towards the camera, m, from mid-hips.

    lines: {part: (vector from left to right px, length m)}. to_metres: (2,). ahead: of `_facing_in_image`.
    """
    hips = _middle_of_pair(xy, "Hip")
    trunk = (_middle_of_pair(xy, "Shoulder") - hips) * to_metres
    frontal = float(lines["Shoulder"][0][0] + lines["Hip"][0][0]) < 0  # the right side is left in the image
    lean = _depth_of(trunk, TRUNK_LENGTH_M)
    middle = {"Hip": np.zeros(3), "Shoulder": np.r_[trunk, lean if frontal else -lean]}
    xyz = {}
    for part, (line, length) in lines.items():
        depth = _depth_of(line * to_metres, length)
        half = np.r_[line * to_metres, -depth if ahead < 0 else depth] / 2
        xyz["R" + part], xyz["L" + part] = middle[part] + half, middle[part] - half
    variances = np.zeros((len(xyz), 3))
    if {"LEar", "REar"} <= set(xy):
        right = (xyz["RShoulder"] - xyz["LShoulder"]) / SHOULDER_WIDTH_M
        depth = middle["Shoulder"][2] + EAR_AHEAD_M * np.cross([0.0, 1.0, 0.0], right)[2]
        xyz["REar"] = xyz["LEar"] = np.r_[(_middle_of_pair(xy, "Ear") - hips) * to_metres, depth]
        variances = np.vstack([variances, [[0.0, 0.0, EAR_DEPTH_SD_M**2]] * 2])
    covariance = variances[:, :, None] * np.eye(3)
    return Markers(
        tuple(xyz), PLACEHOLDER_RATE_HZ, np.stack(list(xyz.values()))[None], "y_up", covariance=covariance[None]
    )


def _depth_of(seen: np.ndarray, length: float) -> float:
    """Extent in depth (m) of a line of `length` m whose image is `seen` (2,) m long."""
    return float(np.sqrt(max(length**2 - float(np.linalg.norm(seen)) ** 2, 0.0)))
