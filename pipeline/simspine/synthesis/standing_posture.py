"""Sizes of a subject's segments, and the standing posture: C7 balanced over the hips, gaze ahead.

Geometry in the median plane of the unscaled model (x forward, y up); all rotations are about z.
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
    """Measures (m) of the unscaled articulated body. below, above: (levels, 3) joint centre of each level in the
    vertebra below and in the one above; sacrum, hips: in the pelvis; breastbone: sternoclavicular joints in T4, by
    side; vertex: in the head; ranges: of the coordinates.
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
        """{body: its vertebra}."""
        return {v.body: v for v in self.vertebrae.values()}


@dataclass(frozen=True, eq=False)
class BodySizes:
    """Sizes of a subject's body.

    factors: {body: scale}; legs are scaled by the stature until `with_leg_lengths` fits them. thorax: scale of ribs and
    shoulder blades. hips: (3,) m, shift of the hip centres from those of the scaled generic pelvis. below, above:
    (levels, 3) m, joint centres as in `Generic`. wedge: {body: tilt of its lower and upper endplate, rad}.
    """

    factors: dict[str, float]
    thorax: float
    hips: np.ndarray
    below: np.ndarray
    above: np.ndarray
    wedge: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class StandingPosture:
    """pose: {coordinate: rad} of standing; other coordinates are 0. curve: (levels,) rad, its flexion–extension."""

    pose: Mapping[str, float]
    curve: np.ndarray


def sizes_of(subject: SyntheticSubject, generic: Generic) -> BodySizes:
    """Sizes of all segments. The spacings next to a vertebra set its size; discs fill the rest of the spacings."""
    spine, scale = subject.spine, subject.stature / generic.stature
    proportions = subject.proportions
    segment_scale = {name: scale * proportions.get(name, 1.0) for name in generic.segments}
    ratio = _spacing_ratio(spine.spacing, generic)
    factors = {name: segment_scale[segment] for segment, bodies in generic.segments.items() for name in bodies}
    smooth = np.array([ratio[max(k - 1, 0) : k + 2].mean() for k in range(len(ratio))])
    vertebrae = [name for name in generic.chain if name not in ("sacrum", "head")]
    for k, name in enumerate(vertebrae):
        factors[name] = float((smooth[k] + smooth[k + 1]) / 2 * spine.vertebra[k])
    factors["Abdomen"] = factors["lumbar3"]
    thorax = scale * proportions["thorax"]
    factors |= {clavicle_body(side): thorax * subject.girdle.width for side in "rl"}
    centres = [_joint_centres(subject, generic, factors, ratio=ratio, k=k) for k in range(len(generic.levels))]
    below, above = np.swapaxes(centres, 0, 1)
    wedge = dict(zip(generic.chain[1:-1], spine.wedge[:-1], strict=True))
    wedge[generic.chain[0]] = np.array([0.0, spine.sacral_tilt])
    return BodySizes(
        factors=factors, thorax=thorax, hips=np.array([*subject.hips, 0.0]), below=below, above=above, wedge=wedge
    )


def with_leg_lengths(
    subject: SyntheticSubject, generic: Generic, sizes: BodySizes, posture: StandingPosture
) -> BodySizes:
    """The sizes with legs that give the subject's stature."""
    factors = dict(sizes.factors)
    head = _chain_places(generic, sizes, posture.curve)[-1]
    vertex = head + _turn_vector(posture.curve.sum(), factors["head"] * generic.vertex[:2])
    over_hips = _turn_vector(posture.pose["pelvis_tilt"], vertex - _hip_middle(generic, sizes))[1]
    legs = subject.stature - over_hips - factors["calcn_r"] * generic.foot
    ratio = subject.proportions["thigh_over_shank"]
    shank = legs / (ratio * generic.thigh + generic.shank)
    factors |= {name: float(ratio * shank) for name in generic.segments["thigh"]}
    factors |= {name: float(shank) for name in generic.segments["shank"]}
    return replace(sizes, factors=factors)


def _spacing_ratio(spacing: np.ndarray, generic: Generic) -> np.ndarray:
    """(levels,) spacing / generic spacing; where none is published, the mean of the three nearest levels."""
    ratio = np.full(len(spacing), np.nan)
    for k in np.flatnonzero(np.isfinite(spacing)):
        ratio[k] = spacing[k] / _generic_spacing(generic, int(k))
    known = np.flatnonzero(np.isfinite(ratio))
    for k in np.flatnonzero(np.isnan(ratio)):
        ratio[k] = ratio[known[np.argsort(np.abs(known - k), kind="stable")[:3]]].mean()
    return ratio


def _generic_spacing(generic: Generic, k: int) -> float:
    """Distance (m) between the centres of the vertebrae below and above a level."""
    below, above = (generic.carried[name] for name in generic.chain[k : k + 2])
    return float(np.linalg.norm((generic.below[k] - below.centroid) - (generic.above[k] - above.centroid)))


def _joint_centres(subject: SyntheticSubject, generic: Generic, factors: Mapping, ratio: np.ndarray, k: int):
    """Joint centre (3,) m of a level in the vertebra below and in the one above."""
    low, high = (generic.carried.get(name) for name in generic.chain[k : k + 2])
    f_low, f_high = (factors[name] for name in generic.chain[k : k + 2])
    centre = subject.spine.centre[k]
    if low is None or high is None or low.superior is None or high.inferior is None:  # C1-C2, C1-skull: no disc
        return f_low * generic.below[k] + centre / 3, f_high * generic.above[k] + centre / 3
    top, bottom = np.array(low.superior.centre), np.array(high.inferior.centre)
    size = (f_low + f_high) / 2
    to_centre, from_centre = size * (generic.below[k] - top), size * (generic.above[k] - bottom)
    disc = size * ((generic.below[k] - top) - (generic.above[k] - bottom))
    apart = f_low * (top - low.centroid) - f_high * (bottom - high.centroid) + disc
    # the disc fills the missing distance, along the line of the centres
    length = np.linalg.norm(apart)
    missing = (
        apart / length * max(ratio[k] * _generic_spacing(generic, k) - length, (MIN_DISC_HEIGHT_SHARE - 1) * disc[1])
    )
    shift = centre * min(1.0, disc[1] / 0.008)  # thin discs limit the shift
    return f_low * top + to_centre + missing / 2 + shift, f_high * bottom + from_centre - missing / 2 + shift


def find_standing_posture(
    subject: SyntheticSubject, generic: Generic, sizes: BodySizes, vertebrae: VertebraeOfBody
) -> StandingPosture:
    """The standing posture: sampled lordosis and kyphosis, C7 over the hips, sampled head tilt, straight legs."""
    spine = subject.spine
    curve = standing_curve(subject, vertebrae)
    tilt, curve = _balanced_posture(subject, generic, sizes, curve)
    pose = {f"{level}_Flex_Ext": float(v) for level, v in zip(generic.levels, curve, strict=True)}
    pose |= {f"{level}_Lat_Bending": float(v) for level, v in zip(generic.levels, spine.own_curve[:, 1], strict=True)}
    pose |= {"pelvis_tilt": tilt} | {f"hip_flexion_{side}": -tilt for side in "rl"}
    for side in "rl":
        pose |= {girdle_angle(motion, side): angle for motion, angle in subject.girdle.rest.items()}
        # Whatever the height of the shoulders.
        pose[f"arm_add_{side}"] = HANGING_ARM_ABDUCTION + subject.girdle.rest["elevation"]
    return StandingPosture(pose, curve)


def standing_curve(subject: SyntheticSubject, vertebrae: VertebraeOfBody) -> np.ndarray:
    """(levels,) rad, extension positive: the sampled curve if there is one, else one with the subject's LLA and TKA.

    `lordosis_parts` and `kyphosis_parts` distribute the missing angle over levels. The neck has only `own_curve`.
    """
    spine, names = subject.spine, list(read_levels().names)
    if spine.curve is not None:
        return spine.curve.copy()
    curve, generic = spine.own_curve[:, 0].copy(), read_endplates()
    for level, angle in read_population()["lordosis_by_level"].items():  # of the mean curve, less the generic body's
        above, below = (_endplate_tilt(endplate_of(generic, name, "superior")) for name in level.split("_"))
        curve[names.index(level)] += np.radians(angle) - (above - below)
    for first, last, upper, lower, target, parts in (
        ("L5_S1", "L1_L2", ("L1", "superior"), ("S1", "superior"), spine.lordosis, spine.lordosis_parts),
        ("T11_T12", "T3_T4", ("T3", "superior"), ("T12", "inferior"), -spine.kyphosis, spine.kyphosis_parts),
    ):
        i = slice(names.index(first), names.index(last) + 1)
        bones = _endplate_tilt(endplate_of(vertebrae, *upper)) - _endplate_tilt(endplate_of(vertebrae, *lower))
        curve[i] += parts * (target - bones - curve[i].sum())
    return curve


def _endplate_tilt(plate: Endplate) -> float:
    """Backward tilt of an endplate, rad."""
    return float(np.arctan2(-plate.normal[0], plate.normal[1]))


def _balanced_posture(
    subject: SyntheticSubject, generic: Generic, sizes: BodySizes, curve: np.ndarray
) -> tuple[float, np.ndarray]:
    """Pelvic tilt (rad) that puts C7 at its sampled place over the hips; the curve with the neck's part."""
    c7 = generic.chain.index("C7")
    x, y = (_chain_places(generic, sizes, curve)[c7] - _hip_middle(generic, sizes)).tolist()
    behind = subject.spine.c7_behind_hips
    tilt = float(np.arctan2(x, y) + np.arcsin(behind / np.hypot(x, y)))
    levels = read_levels()
    missing = -subject.spine.head_tilt - tilt - curve.sum()
    curve = curve.copy()
    for i, part in ((levels.regions["neck"], 0.75), (levels.regions["head"], 0.25)):
        step = part * missing * levels.motion[i, 0] / levels.motion[i, 0].sum()
        low, high = np.array([generic.ranges[f"{levels.names[k]}_Flex_Ext"] for k in i]).T
        curve[i] = np.clip(curve[i] + step, 0.6 * low, 0.6 * high)
    return tilt, curve


def _chain_places(generic: Generic, sizes: BodySizes, curve: np.ndarray) -> np.ndarray:
    """(bodies of the chain, 2) m: their origins in the pelvis."""
    at, turned = sizes.factors["pelvis"] * generic.sacrum[:2], 0.0
    places = [at]
    for below, above, angle in zip(sizes.below, sizes.above, curve, strict=True):
        at = at + _turn_vector(turned, below)
        turned += angle
        at = at - _turn_vector(turned, above)
        places.append(at)
    return np.array(places)


def _hip_middle(generic: Generic, sizes: BodySizes) -> np.ndarray:
    """(2,) m: middle of the hip centres in the pelvis."""
    return sizes.factors["pelvis"] * generic.hips[:2] + sizes.hips[:2]


def _turn_vector(angle: float, vector: np.ndarray) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]])
