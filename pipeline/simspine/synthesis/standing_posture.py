"""Sizes of a subject's segments, and how the subject stands: balanced over the feet, looking ahead.

Plane geometry in the median plane of the unscaled model (x forward, y up), where nothing turns but about z.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from simspine.anatomy.curvature import Endplate, Vertebra, VertebraeOfBody, endplate_of, read_endplates
from simspine.anatomy.split_torso import clavicle_body, girdle_angle
from simspine.synthesis.population import SyntheticSubject, read_levels, read_population

HANGING_ARM_ABDUCTION = np.radians(-7.0)  # abduction of hanging arms
MIN_DISC_HEIGHT_SHARE = 0.4  # of the generic disc's height


@dataclass(frozen=True, eq=False)
class Generic:
    """Measures (m) of the unscaled articulated body. below, above: (levels, 3) centres of the levels in their bodies;
    sacrum, hips: in the pelvis; breastbone: of the clavicles' joints, in T4, by side; vertex: in the head; ranges: of
    coordinates.
    """

    levels: tuple[str, ...]
    chain: tuple[str, ...]
    below: np.ndarray
    above: np.ndarray
    vertebrae: VertebraeOfBody
    sacrum: np.ndarray
    hips: np.ndarray
    breastbone: Mapping[str, np.ndarray]
    vertex: np.ndarray
    thigh: float
    shank: float
    foot: float
    stature: float
    ranges: Mapping[str, tuple[float, float]]
    segments: Mapping[str, tuple[str, ...]]

    @cached_property
    def carried(self) -> dict[str, Vertebra]:
        """{body: the vertebra it carries}."""
        return {v.body: v for v in self.vertebrae.values()}


@dataclass(frozen=True, eq=False)
class BodySizes:
    """How large the parts of a body are.

    factors: {body: scale}; the legs' are those of the stature until `with_leg_lengths` has fitted them. thorax: scale
    of ribs and shoulder blades. hips: (3,) m, of the hip centres from the generic pelvis' of this size. below, above:
    (levels, 3) m, centres of the levels in their bodies. wedge: {body: tilt of its lower and upper endplate, rad}.
    """

    factors: dict[str, float]
    thorax: float
    hips: np.ndarray
    below: np.ndarray
    above: np.ndarray
    wedge: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class StandingPosture:
    """pose: {coordinate: rad} of standing; levels left out are 0. curve: (levels,) its flexion–extension."""

    pose: Mapping[str, float]
    curve: np.ndarray


def sizes_of(subject: SyntheticSubject, generic: Generic) -> BodySizes:
    """Sizes of all segments. A vertebra has the size that the spacings about it ask for, a disc what they leave."""
    spine, whole = subject.spine, subject.stature / generic.stature
    own = subject.proportions
    of_segment = {name: whole * own.get(name, 1.0) for name in generic.segments}
    ratio = _spacing_ratio(spine.spacing, generic)
    factors = {name: of_segment[segment] for segment, bodies in generic.segments.items() for name in bodies}
    smooth = np.array([ratio[max(k - 1, 0) : k + 2].mean() for k in range(len(ratio))])
    vertebrae = [name for name in generic.chain if name not in ("sacrum", "head")]
    for k, name in enumerate(vertebrae):
        factors[name] = float((smooth[k] + smooth[k + 1]) / 2 * spine.vertebra[k])
    factors["Abdomen"] = factors["lumbar3"]
    thorax = whole * own["thorax"]
    factors |= {clavicle_body(side): thorax * subject.girdle.width for side in "rl"}
    below, above = np.zeros_like(generic.below), np.zeros_like(generic.above)
    for k in range(len(generic.levels)):
        below[k], above[k] = _joint_centres(subject, generic, factors, ratio=ratio, k=k)
    wedge = dict(zip(generic.chain[1:-1], spine.wedge[:-1], strict=True))
    wedge[generic.chain[0]] = np.array([0.0, spine.sacral_tilt])
    return BodySizes(
        factors=factors, thorax=thorax, hips=np.array([*subject.hips, 0.0]), below=below, above=above, wedge=wedge
    )


def with_leg_lengths(
    subject: SyntheticSubject, generic: Generic, sizes: BodySizes, posture: StandingPosture
) -> BodySizes:
    """The sizes with legs as long as the stature wants them."""
    factors = dict(sizes.factors)
    rest = subject.stature - _vertex_over_hips(generic, sizes, posture) - factors["calcn_r"] * generic.foot
    part = subject.proportions["thigh_over_shank"]
    shank = rest / (part * generic.thigh + generic.shank)
    factors |= {name: float(part * shank) for name in generic.segments["thigh"]}
    factors |= {name: float(shank) for name in generic.segments["shank"]}
    return replace(sizes, factors=factors)


def _spacing_ratio(spacing: np.ndarray, generic: Generic) -> np.ndarray:
    """(levels,) size of a spacing relative to the generic one; where none is published, the mean of the next three."""
    ratio = np.full(len(spacing), np.nan)
    for k in np.flatnonzero(np.isfinite(spacing)):
        ratio[k] = spacing[k] / _generic_spacing(generic, int(k))
    known = np.flatnonzero(np.isfinite(ratio))
    for k in np.flatnonzero(np.isnan(ratio)):
        ratio[k] = ratio[known[np.argsort(np.abs(known - k), kind="stable")[:3]]].mean()
    return ratio


def _generic_spacing(generic: Generic, k: int) -> float:
    """m between the centres of the vertebrae below and above a level."""
    below, above = (generic.carried[name] for name in generic.chain[k : k + 2])
    return float(np.linalg.norm((generic.below[k] - below.centroid) - (generic.above[k] - above.centroid)))


def _joint_centres(subject: SyntheticSubject, generic: Generic, factors: Mapping, ratio: np.ndarray, k: int):
    """Centre of a level in the body below and in the one above."""
    low, high = (generic.carried.get(name) for name in generic.chain[k : k + 2])
    f_low, f_high = (factors[name] for name in generic.chain[k : k + 2])
    centre = subject.spine.centre[k]
    if low is None or high is None or low.superior is None or high.inferior is None:  # below C1 and the skull: no disc
        return f_low * generic.below[k] + centre / 3, f_high * generic.above[k] + centre / 3
    top, bottom = np.array(low.superior.centre), np.array(high.inferior.centre)
    size = (f_low + f_high) / 2
    to_centre, from_centre = size * (generic.below[k] - top), size * (generic.above[k] - bottom)
    disc = size * ((generic.below[k] - top) - (generic.above[k] - bottom))
    apart = f_low * (top - low.centroid) - f_high * (bottom - high.centroid) + disc
    # the disc takes what is missing, along the line of the centres
    length = np.linalg.norm(apart)
    missing = (
        apart / length * max(ratio[k] * _generic_spacing(generic, k) - length, (MIN_DISC_HEIGHT_SHARE - 1) * disc[1])
    )
    shift = centre * min(1.0, disc[1] / 0.008)  # a thin disc leaves the centre less room
    return f_low * top + to_centre + missing / 2 + shift, f_high * bottom + from_centre - missing / 2 + shift


def find_standing_posture(
    subject: SyntheticSubject, generic: Generic, sizes: BodySizes, vertebrae: VertebraeOfBody
) -> StandingPosture:
    """Standing: lordosis and kyphosis as sampled, C7 over the hips, the head as it is held, legs straight."""
    spine = subject.spine
    curve = standing_curve(subject, vertebrae)
    tilt, curve = _balanced_posture(subject, generic, sizes, curve)
    pose = {f"{level}_Flex_Ext": float(v) for level, v in zip(generic.levels, curve, strict=True)}
    pose |= {f"{level}_Lat_Bending": float(v) for level, v in zip(generic.levels, spine.own_curve[:, 1], strict=True)}
    pose |= {"pelvis_tilt": tilt} | {f"hip_flexion_{side}": -tilt for side in "rl"}
    for side in "rl":
        pose |= {girdle_angle(motion, side): angle for motion, angle in subject.girdle.rest.items()}
        pose[f"arm_add_{side}"] = HANGING_ARM_ABDUCTION + subject.girdle.rest["elevation"]  # wherever shoulders are
    return StandingPosture(pose, curve)


def standing_curve(subject: SyntheticSubject, vertebrae: VertebraeOfBody) -> np.ndarray:
    """(levels,) rad, extension positive, such that the Cobb angles are the person's, the neck only its own part; or the
    curve as drawn. What a person's lordosis differs from people's mean is shared out over the levels.
    """
    spine, names = subject.spine, list(read_levels().names)
    if spine.curve is not None:
        return spine.curve.copy()
    curve = spine.own_curve[:, 0].copy()
    for level, angle in _mean_lumbar().items():
        curve[names.index(level)] += angle
    for first, last, upper, lower, target, parts in (
        ("L5_S1", "L1_L2", ("L1", "superior"), ("S1", "superior"), spine.lordosis, spine.lordosis_parts),
        ("T11_T12", "T3_T4", ("T3", "superior"), ("T12", "inferior"), -spine.kyphosis, spine.kyphosis_parts),
    ):
        i = slice(names.index(first), names.index(last) + 1)
        bones = _endplate_tilt(endplate_of(vertebrae, *upper)) - _endplate_tilt(endplate_of(vertebrae, *lower))
        curve[i] += parts * (target - bones - curve[i].sum())
    return curve


def _mean_lumbar() -> dict[str, float]:
    """{level: rad} of people's mean standing curve, against the generic body's bones."""
    by_level, bones = read_population()["lordosis_by_level"], read_endplates()
    found = {}
    for level, angle in by_level.items():
        upper, lower = (_endplate_tilt(endplate_of(bones, name, "superior")) for name in level.split("_"))
        found[level] = float(np.radians(angle)) - (upper - lower)
    return found


def _endplate_tilt(plate: Endplate) -> float:
    """How far an endplate leans back, rad."""
    return float(np.arctan2(-plate.normal[0], plate.normal[1]))


def _balanced_posture(
    subject: SyntheticSubject, generic: Generic, sizes: BodySizes, curve: np.ndarray
) -> tuple[float, np.ndarray]:
    """Tilt of the pelvis that puts C7 where it belongs over the hips; the curve, with the neck that lifts the gaze."""
    c7 = generic.chain.index("C7")
    x, y = (_chain_places(generic, sizes, curve)[c7] - _hip_middle(generic, sizes)).tolist()
    behind = subject.spine.c7_behind_hips
    tilt = float(np.arctan2(x, y) + np.arcsin(behind / np.hypot(x, y)))
    levels = read_levels()
    lower, upper = levels.within("neck"), levels.within("head")
    missing = -subject.spine.head_tilt - tilt - curve.sum()
    curve = curve.copy()
    for i, part in ((lower, 0.75), (upper, 0.25)):
        step = part * missing * levels.motion[i, 0] / levels.motion[i, 0].sum()
        low, high = np.array([generic.ranges[f"{levels.names[k]}_Flex_Ext"] for k in i]).T
        curve[i] = np.clip(curve[i] + step, 0.6 * low, 0.6 * high)
    return tilt, curve


def _chain_places(generic: Generic, sizes: BodySizes, curve: np.ndarray) -> np.ndarray:
    """(bodies of the chain, 2) m, origins in the pelvis."""
    at, turned = sizes.factors["pelvis"] * generic.sacrum[:2], 0.0
    places = [at]
    for below, above, angle in zip(sizes.below, sizes.above, curve, strict=True):
        at = at + _turn_vector(turned, below)
        turned += angle
        at = at - _turn_vector(turned, above)
        places.append(at)
    return np.array(places)


def _vertex_over_hips(generic: Generic, sizes: BodySizes, posture: StandingPosture) -> float:
    tilt = posture.pose["pelvis_tilt"]
    head = _chain_places(generic, sizes, posture.curve)[-1]
    vertex = head + _turn_vector(posture.curve.sum(), sizes.factors["head"] * generic.vertex[:2])
    return float(_turn_vector(tilt, vertex - _hip_middle(generic, sizes))[1])


def _hip_middle(generic: Generic, sizes: BodySizes) -> np.ndarray:
    """(2,) m, middle of the hip centres in the pelvis."""
    return sizes.factors["pelvis"] * generic.hips[:2] + sizes.hips[:2]


def _turn_vector(angle: float, vector: np.ndarray) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]])
