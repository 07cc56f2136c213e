"""Synthetic people of another anatomy: the judge of an estimator that was made for people built like its own body.

Nothing here comes from the estimator: no table, no body model, no kinematics of it. Only the definitions are shared, so
that figures compare: the names of the 37 points, levels and Cobb angles.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from tools.other_anatomy.anatomy import ForeignSpine, ForeignSubject, read_foreign, sample_subject
from tools.other_anatomy.body import (
    ForeignPose,
    arm_points,
    foreign_vertebrae,
    leg_points,
    mirrored_point,
    pelvis_turn,
    place_on_segment,
    rest_pose,
    rib_cage,
    rigid_pose,
    spine_poses,
    standing_height,
)

from simspine.anatomy.curvature import SPINE_MARKERS, Level
from simspine.anatomy.vertebrae import SpineKinematics, spine_kinematics
from simspine.core.errors import InputError, require_known
from simspine.core.skeletons import VERTEBRA_OF, load_skeleton
from simspine.core.types import Markers
from simspine.synthesis.signals import minimum_jerk_step

# A motion of a person of another anatomy while it is composed: coordinates as functions of time alone.
# A longer trial goes on where a shorter one ends. Noise is a sum of slow sines, transitions have least jerk.


FOREIGN_RATE_HZ = 50.0
FOREIGN_REGIONS = ("lumbar", "thoracic", "neck", "head")
FLEXION_AXIS, BENDING_AXIS, TURN_AXIS = range(3)


class ForeignCourse:
    """A trial being composed: time (frames,) s, regions {name: (frames, 3) rad} and the coordinates of the rest."""

    def __init__(self, subject: ForeignSubject, action: str, frames: int):
        self.subject, self.action = subject, action
        self.time = np.arange(frames) / FOREIGN_RATE_HZ
        self.regions = {name: np.zeros((frames, 3)) for name in FOREIGN_REGIONS}
        rest = rest_pose(subject, frames)
        self.hips, self.pelvis = rest.hips.copy(), rest.pelvis.copy()
        self.arms, self.girdle = rest.arms.copy(), rest.girdle.copy()
        self.feet, self.pitch = rest.feet.copy(), rest.foot_pitch.copy()
        self.planted = True  # the legs decide the height of the hips

    def draw(self, label: str) -> np.random.Generator:
        return self.subject.stream("motion", self.action, label)

    def wander(self, label: str, sd: float, slowest: float = 25.0, fastest: float = 2.5) -> np.ndarray:
        """Noise (frames,) of a standard deviation: twelve sines with periods (s) in between."""
        return sd * slow_noise(self.draw(label), self.time, slowest, fastest)

    def add(self, region: str, axis: int, degrees: np.ndarray) -> None:
        self.regions[region][:, axis] += np.radians(degrees)

    def pose(self) -> ForeignPose:
        if self.planted:
            self.hips[:, 1] = standing_height(self.subject, self.hips, self.pelvis, feet=self.feet, pitch=self.pitch)
        levels = foreign_level_angles(self.subject.spine, self.regions, self.draw("levels"), self.time)
        return ForeignPose(
            hips=self.hips,
            pelvis=self.pelvis,
            levels=levels,
            arms=self.arms,
            girdle=self.girdle,
            feet=self.feet,
            foot_pitch=self.pitch,
        )


def slow_noise(rng: np.random.Generator, time: np.ndarray, slowest: float, fastest: float) -> np.ndarray:
    """Noise (frames,) of variance one, of sines with periods between two lengths, s."""
    count = 12
    periods = np.exp(rng.uniform(np.log(fastest), np.log(slowest), count))
    phases, weights = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.5, 1.0, count)
    weights *= np.sqrt(2 / (weights**2).sum())
    return np.sin(2 * np.pi * time[:, None] / periods + phases) @ weights


def foreign_level_angles(
    spine: ForeignSpine, regions: Mapping, rng: np.random.Generator, time: np.ndarray
) -> np.ndarray:
    """(frames, 25, 3) rad: each region's motion by the person's shares; the levels' own noise leaves its sum."""
    sd = np.radians(read_foreign()["level_noise"])
    out = np.empty((len(time), len(spine.levels), 3))
    for region, whole in regions.items():
        at = spine.within(region)
        own = np.array([[slow_noise(rng, time, 12.0, 2.0) for _ in range(3)] for _ in at])  # (levels, 3, frames)
        own = np.moveaxis(own - own.mean(0), -1, 0) * sd
        out[:, at] = whole[:, None] * spine.shares[at] + own
    return out


def pulse_events(rng: np.random.Generator, time: np.ndarray, times: tuple[tuple[float, float], ...]) -> tuple:
    """Pulses in turn: (count, frames) courses 0…1…0, and (count, 3) random numbers −1…1 of each.

    times: (mean s, relative spread) of waiting, going, holding, returning.
    """
    mean, spread = np.array(times).T
    count = int(np.ceil(time[-1] / (mean * (1 - spread)).sum())) + 1
    numbers = rng.uniform(-1, 1, (count, len(times) + 3))
    lengths = mean * (1 + spread * numbers[:, : len(times)])
    start = np.concatenate([[0.0], np.cumsum(lengths.sum(1))[:-1]]) + lengths[:, 0]
    t = time[None] - start[:, None]
    _, go, hold, back = lengths.T[:, :, None]
    return minimum_jerk_step(t / go) - minimum_jerk_step((t - go - hold) / back), numbers[:, len(times) :]


# Walking of people of another anatomy: a cycle of feet, pelvis, trunk and arms, on a treadmill.


STANCE_SHARE = 0.62  # of the stride (Perry 1992; C)
# Pitch of the foot over the stride from heel strike, degrees, toes up positive (Winter 2009; C).
_FOOT_PITCH_COURSE = (
    (0, 16), (0.1, 1), (0.15, 0), (0.25, 0), (0.34, -1), (0.5, -18),
    (0.61, -44), (0.68, -46), (0.8, -18), (0.91, 10), (0.97, 17),
)  # fmt: skip


@cache
def _pitch_curve():
    """The pitch as a periodic spline of the phase, rounded over about 3 % of the stride."""
    from scipy.interpolate import CubicSpline, PchipInterpolator
    from scipy.ndimage import gaussian_filter1d

    at, degrees = np.array(_FOOT_PITCH_COURSE, float).T
    around = PchipInterpolator(
        np.concatenate([at[-3:] - 1, at, at[:3] + 1]), np.concatenate([degrees[-3:], degrees, degrees[:3]])
    )
    grid = np.arange(200) / 200
    pitch = gaussian_filter1d(np.radians(around(grid)), 3.0, mode="wrap")
    return CubicSpline(np.append(grid, 1.0), np.append(pitch, pitch[0]), bc_type="periodic")


def foot_course(phase: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pitch (rad), place along the belt in strides, lift (0…1) at phases of the stride from heel strike."""
    phase = np.mod(phase, 1.0)
    u = np.clip((phase - STANCE_SHARE) / (1 - STANCE_SHARE), 0, 1)
    start, end, slope = -STANCE_SHARE, 0.0, -(1 - STANCE_SHARE)
    swing = start + slope * u + (end - start - slope) * u**3 * (10 - 15 * u + 6 * u**2)
    place = np.where(phase < STANCE_SHARE, -phase, swing)
    return _pitch_curve()(phase), place, 64 * (u * (1 - u)) ** 3


def add_walking(c: ForeignCourse) -> None:
    """Adds walking to a course: steps of the person's own length and pace, and what the trunk and arms do with them."""
    rng, sizes = c.draw("gait"), c.subject.sizes
    leg = sizes["thigh"] + sizes["shank"]
    stride, pace = leg * rng.uniform(1.15, 1.3), rng.uniform(0.7, 0.82)
    ahead, lift = rng.uniform(0.26, 0.30), 0.045 * leg
    gains = {name: rng.uniform(low, high) for name, low, high in _GAIT_GAIN_RANGES}
    phase = pace * c.time + rng.uniform() + 0.03 * c.wander("pace", 1.0, 20, 5)
    feet, pitch, pelvis = _leg_courses(c, phase, stride, ahead=ahead, lift=lift, gains=gains)
    c.feet[:], c.pitch[:] = feet, pitch
    c.pelvis += pelvis
    c.hips[:, [0, 2]] *= 0.5
    c.hips[:, 2] += gains["shift"] * np.sin(2 * np.pi * (phase - 0.06))
    c.hips[:, 1] = _hip_height(c, phase, (stride, ahead, lift, gains)) + 0.001 * c.wander("height", 1.0)
    c.planted = False
    once, twice = 2 * np.pi * phase, 4 * np.pi * phase
    c.add("lumbar", 0, gains["lean"] + gains["lumbar_flexion"] * np.cos(twice + 0.6))
    c.add("lumbar", 1, gains["list"] * 0.7 * np.sin(once))
    c.add("thoracic", 1, gains["list"] * 0.3 * np.sin(once + 0.3))
    c.add("lumbar", 2, -gains["turn"] * 0.5 * np.cos(once + 0.1))
    c.add("thoracic", 2, -gains["turn"] * 1.1 * np.cos(once + 0.2))
    c.add("neck", 2, gains["turn"] * 0.5 * np.cos(once + 0.2))
    for k, sign in ((0, -1), (1, 1)):  # the right arm is back when the right heel strikes
        swing = sign * np.cos(once + 0.25)
        c.arms[:, k, 0] += np.radians(gains["arm"] * swing + 3)
        c.arms[:, k, 2] += np.radians(5 + 6 * (1 + swing))
        c.girdle[:, k, 1] += np.radians(2.5 * swing)


_GAIT_GAIN_RANGES = (
    ("turn", 3.0, 6.0), ("list", 2.0, 5.0), ("lean", 0.0, 5.0), ("lumbar_flexion", 0.5, 1.8), ("arm", 9, 19),
    ("shift", 0.012, 0.022),
)  # fmt: skip


def _leg_courses(c: ForeignCourse, phase, stride, ahead, lift, gains):
    """Places of the feet (frames, 2, 3), their pitch (frames, 2), angles of the pelvis (frames, 3)."""
    feet, pitch = np.zeros((len(phase), 2, 3)), np.zeros((len(phase), 2))
    for k, delay in ((0, 0.0), (1, 0.5)):
        pitch[:, k], place, up = foot_course(phase - delay)
        feet[:, k, 0] = stride * (place + ahead)
        feet[:, k, 1] = lift * up
        feet[:, k, 2] = (0.5 - k) * c.subject.sizes["hips"] * 0.62
    once = 2 * np.pi * phase
    # the right hip is ahead when the right heel strikes: the pelvis turns left; it hangs on the swinging side
    pelvis = np.stack([
        np.radians(0.8) * np.cos(2 * once + 1.0),
        -np.radians(gains["list"]) * np.sin(once - 0.2),
        np.radians(gains["turn"]) * np.cos(once),
    ], -1)  # fmt: skip
    return feet, pitch, pelvis


def _hip_height(c: ForeignCourse, phase: np.ndarray, gait: tuple) -> np.ndarray:
    """Height of the hips: the largest of one wave per step that both legs reach."""
    stride, ahead, lift, gains = gait
    grid = np.arange(400) / 400
    feet, pitch, pelvis = _leg_courses(c, grid, stride, ahead=ahead, lift=lift, gains=gains)
    hips = np.zeros((len(grid), 3))
    hips[:, 2] = gains["shift"] * np.sin(2 * np.pi * (grid - 0.06))
    reach = standing_height(c.subject, hips, pelvis, feet=feet, pitch=pitch)
    waves = np.stack([np.cos(4 * np.pi * grid), np.sin(4 * np.pi * grid)], -1)
    size = np.linalg.lstsq(waves, reach - reach.mean(), rcond=None)[0] * 0.6
    top = (reach - waves @ size).min() - 0.008
    return top + np.stack([np.cos(4 * np.pi * phase), np.sin(4 * np.pi * phase)], -1) @ size


# What people of another anatomy do: an action is a function that adds to a course.


def _add_sway(c: ForeignCourse, size: float = 1.0) -> None:
    """Sway, breathing, small corrections of posture; the carriage of the person in this trial."""
    rng = c.draw("carriage")
    breath = np.sin(2 * np.pi * c.time / rng.uniform(3.2, 4.8) + rng.uniform(0, 6))
    c.hips[:, 0] += c.wander("sway_x", 0.006)
    c.hips[:, 2] += c.wander("sway_z", 0.005)
    for axis, sd in ((FLEXION_AXIS, 0.7), (BENDING_AXIS, 0.5), (TURN_AXIS, 0.6)):
        c.pelvis[:, axis] += np.radians(c.wander(f"pelvis{axis}", sd * size))
        for region, factor in (("lumbar", 0.8), ("thoracic", 0.8), ("neck", 1.8), ("head", 1.0)):
            lasting = (2.0 if axis == FLEXION_AXIS else 0.6) * rng.standard_normal()
            c.add(region, axis, factor * c.wander(f"{region}{axis}", sd * size) + lasting)
    c.add("thoracic", FLEXION_AXIS, -0.6 * breath)
    shrug, reach = (read_foreign()["girdle"][name] for name in ("shrug", "protraction"))
    for k in range(2):
        c.girdle[:, k, 0] += np.radians(
            c.wander(f"shrug{k}", shrug, 15, 3) + shrug * rng.standard_normal() / 2 + 0.4 * breath
        )
        c.girdle[:, k, 1] += np.radians(c.wander(f"protraction{k}", reach, 20, 3) + reach * rng.standard_normal() / 2)
        for j, sd in enumerate((2.0, 1.0, 2.5, 2.0)):
            c.arms[:, k, j] += np.radians(c.wander(f"arm{k}{j}", sd) + (2 * sd * rng.standard_normal() if j else 0))


def _add_standing(c: ForeignCourse) -> None:
    _add_sway(c)
    looks, sizes = pulse_events(c.draw("looks"), c.time, ((2.5, 0.4), (1.2, 0.2), (1.2, 0.5), (1.2, 0.2)))
    c.add("neck", TURN_AXIS, 14 * sizes[:, 0] @ looks)
    c.add("head", TURN_AXIS, 18 * sizes[:, 0] @ looks)
    c.add("neck", FLEXION_AXIS, 6 * sizes[:, 1] @ looks)


def _add_bending(c: ForeignCourse) -> None:
    """The trunk 60° forward and more; the lumbar spine leads, the pelvis follows and the hips move back."""
    _add_sway(c)
    rng = c.draw("rhythm")
    times = ((1.2, 0.3), (2.2, 0.15), (1.2, 0.4), (2.2, 0.15))
    down, sizes = pulse_events(c.draw("bends"), c.time, times)
    lead = rng.uniform(0.05, 0.2)  # how much the spine is ahead
    deep = 66 + 5 * sizes[:, 0]
    pelvis = rng.uniform(0.38, 0.52)
    lumbar = (1 - pelvis) * rng.uniform(0.72, 0.85)
    thoracic = 1 - pelvis - lumbar
    spine, hip = deep @ (down * (1 + lead * (1 - down))), deep @ (down * (1 - lead * (1 - down)))
    c.pelvis[:, FLEXION_AXIS] += np.radians(pelvis * hip)
    c.hips[:, 0] -= 0.24 * np.sin(np.radians(pelvis * hip))
    c.add("lumbar", FLEXION_AXIS, lumbar * spine)
    c.add("thoracic", FLEXION_AXIS, thoracic * spine)
    c.add("lumbar", BENDING_AXIS, 2 * sizes[:, 1] @ down)
    c.add("neck", FLEXION_AXIS, -rng.uniform(0.0, 0.35) * spine)
    c.add("head", FLEXION_AXIS, -rng.uniform(0.0, 0.1) * spine)
    c.arms[:, :, 0] += np.radians(12 * spine / 66)[:, None]
    c.girdle[:, :, 1] += np.radians(14 * spine / 66)[:, None]


def _add_side_bending(c: ForeignCourse) -> None:
    _add_sway(c)
    rng = c.draw("rhythm")
    bends, sizes = pulse_events(c.draw("bends"), c.time, ((0.8, 0.3), (1.6, 0.15), (0.8, 0.4), (1.6, 0.15)))
    way = np.where(np.arange(len(bends)) % 2, -1, 1) * (1 + 0.2 * sizes[:, 0])
    course = way @ bends
    lumbar, thoracic, pelvis = rng.uniform(13, 18), rng.uniform(13, 18), rng.uniform(1, 5)
    c.pelvis[:, BENDING_AXIS] += np.radians(pelvis * course)
    c.hips[:, 2] -= 0.035 * course
    c.add("lumbar", BENDING_AXIS, lumbar * course)
    c.add("thoracic", BENDING_AXIS, thoracic * course)
    c.add("neck", BENDING_AXIS, rng.uniform(0, 6) * course)
    c.add("lumbar", TURN_AXIS, rng.uniform(-2.5, 1.0) * course)  # turning goes with bending, differently in each
    c.add("thoracic", TURN_AXIS, rng.uniform(-3, 3) * course)
    c.add("lumbar", FLEXION_AXIS, rng.uniform(0, 3) * course**2)


def _add_twisting(c: ForeignCourse) -> None:
    _add_sway(c)
    rng = c.draw("rhythm")
    turns, sizes = pulse_events(c.draw("turns"), c.time, ((0.7, 0.3), (1.5, 0.15), (0.8, 0.4), (1.5, 0.15)))
    course = (np.where(np.arange(len(turns)) % 2, -1, 1) * (1 + 0.15 * sizes[:, 0])) @ turns
    c.pelvis[:, TURN_AXIS] += np.radians(rng.uniform(6, 14) * course)
    c.add("lumbar", TURN_AXIS, rng.uniform(5, 9) * course)
    c.add("thoracic", TURN_AXIS, rng.uniform(22, 30) * course)
    c.add("thoracic", BENDING_AXIS, rng.uniform(-3, 3) * course)
    c.add("neck", TURN_AXIS, rng.uniform(-10, 15) * course)
    c.arms[:, :, 0] += np.radians(rng.uniform(5, 20))
    c.arms[:, :, 2] += np.radians(rng.uniform(50, 85))
    c.arms[:, :, 3] += np.radians(rng.uniform(10, 45))


def _add_sitting(c: ForeignCourse) -> None:
    """On a seat as high as the knees: the pelvis tilted back, the lordosis flatter, slumping and straightening."""
    _add_sway(c, 0.8)
    rng, sizes = c.draw("seat"), c.subject.sizes
    slump, depth = pulse_events(c.draw("slumps"), c.time, ((2.0, 0.4), (2.2, 0.2), (2.0, 0.4), (2.2, 0.2)))
    slump = (0.75 + 0.25 * depth[:, 0]) @ slump
    back = rng.uniform(16, 28)
    c.planted = False
    c.feet[:, :, 0] = sizes["thigh"] * rng.uniform(0.85, 1.05)
    c.feet[:, :, 2] *= rng.uniform(1.0, 1.6)
    c.hips[:, 1] = sizes["ankle_height"] + sizes["shank"] * rng.uniform(0.93, 1.02)
    c.hips[:, [0, 2]] *= 0.3
    c.pelvis[:, FLEXION_AXIS] -= np.radians(back + 8 * slump)
    c.add("lumbar", FLEXION_AXIS, rng.uniform(1.0, 1.3) * back + 9 * slump)
    c.add("thoracic", FLEXION_AXIS, rng.uniform(0, 4) + 5 * slump)
    c.add("neck", FLEXION_AXIS, -3 - 4 * slump)
    looks, turned = pulse_events(c.draw("looks"), c.time, ((2.0, 0.4), (1.2, 0.2), (1.2, 0.5), (1.2, 0.2)))
    c.add("neck", TURN_AXIS, 15 * turned[:, 0] @ looks)
    c.add("head", TURN_AXIS, 15 * turned[:, 0] @ looks)
    c.add("thoracic", TURN_AXIS, 5 * turned[:, 0] @ looks)
    c.arms[:, :, 0] += np.radians(rng.uniform(10, 28))
    c.arms[:, :, 2] += np.radians(rng.uniform(40, 62))
    c.arms[:, :, 3] += np.radians(rng.uniform(5, 20))


def _add_reaching(c: ForeignCourse) -> None:
    """Both arms overhead, or one more than the other; the back straightens and leans to the lower arm's side."""
    _add_sway(c)
    rng = c.draw("rhythm")
    up, sizes = pulse_events(c.draw("reaches"), c.time, ((1.0, 0.3), (1.8, 0.15), (1.2, 0.4), (1.8, 0.15)))
    high = np.stack([148 + 12 * sizes[:, 0], 148 + 12 * sizes[:, 1]])  # R, L
    raised = np.stack([high[0] @ up, high[1] @ up], -1)
    c.arms[:, :, 0] += np.radians(raised)
    c.arms[:, :, 1] += np.radians((8 * sizes[:, 2]) @ up)[:, None]
    c.arms[:, :, 2] += np.radians(20 * np.sin(np.radians(raised)) ** 2)
    both, lean = raised.mean(1) / 148, (raised[:, 0] - raised[:, 1]) / 24
    c.add("thoracic", FLEXION_AXIS, -rng.uniform(4, 10) * both)
    c.add("lumbar", FLEXION_AXIS, -rng.uniform(1, 6) * both)
    c.add("thoracic", BENDING_AXIS, -4 * lean)
    c.add("neck", FLEXION_AXIS, -rng.uniform(0, 15) * both)
    c.girdle[:, :, 0] += np.radians(rng.uniform(2, 8) * raised / 148)
    c.hips[:, 0] += 0.012 * both


def _add_treadmill_walking(c: ForeignCourse) -> None:
    """On a treadmill, at the person's own pace."""
    _add_sway(c, 0.7)
    add_walking(c)


_FOREIGN_ACTION_FUNCTIONS: dict[str, Callable[[ForeignCourse], None]] = {
    "standing": _add_standing,
    "bending": _add_bending,
    "side_bending": _add_side_bending,
    "twisting": _add_twisting,
    "walking": _add_treadmill_walking,
    "sitting": _add_sitting,
    "reaching": _add_reaching,
}
FOREIGN_ACTIONS = tuple(_FOREIGN_ACTION_FUNCTIONS)


@dataclass(frozen=True, eq=False)
class ForeignTrial:
    """A trial whose truth is known, 50 Hz, y_up (x forward, y up, z right), metres, without gaps.

    points: the 37 SIMSPINE points; those along the spine are vertebral centroids (Hip: S1), limb points joint centres.
    centres: vertebral centroids C1 … L5, S1. spine: LLA, TKA as everywhere in simspine; a level's angles are the
    rotation of the upper vertebra's frame (y midway between its endplates' normals) in the lower one's. Their zero is
    this anatomy's own, so only their changes compare with an estimate's; LLA and TKA compare as they are.
    """

    subject: str
    trial: str
    points: Markers
    centres: Markers
    spine: SpineKinematics


def make_foreign_subject(seed: int, index: int) -> ForeignSubject:
    """The person of a number; equal numbers give the same person. Their standing height is the stature drawn."""
    if index < 0:
        raise InputError(f"index is {index}, expected 0, 1, …")
    subject = sample_subject(seed, index)
    height = trunk_and_limbs(subject, rest_pose(subject))[0]["Head"][0, 1]
    return subject.scaled(subject.stature / height)


def make_foreign_trial(subject: ForeignSubject, action: str, frames: int) -> ForeignTrial:
    """A trial of `frames` at 50 Hz; a longer one begins with the same frames. Deterministic.

    Raises `InputError` for an action that does not exist and for less than one frame.
    """
    require_known("action", (action,), FOREIGN_ACTIONS)
    if frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more.")
    course = ForeignCourse(subject, action, frames)
    _FOREIGN_ACTION_FUNCTIONS[action](course)
    found, poses = trunk_and_limbs(subject, course.pose())
    spine = spine_truth_of(subject, found, poses)
    names = load_skeleton("simspine37").names
    points = Markers(names, FOREIGN_RATE_HZ, np.stack([found[name] for name in names], 1), frame="y_up")
    assert spine.centres is not None
    return ForeignTrial(subject=subject.name, trial=f"{action}_1", points=points, centres=spine.centres, spine=spine)


def spine_truth_of(subject: ForeignSubject, points: Mapping, poses: Mapping) -> SpineKinematics:
    """LLA, TKA and level angles by the product's definitions, of what `trunk_and_limbs` gives."""
    markers = Markers(
        SPINE_MARKERS, FOREIGN_RATE_HZ, np.stack([points[name] for name in SPINE_MARKERS], 1), frame="y_up"
    )
    return spine_kinematics(poses, markers, foreign_vertebrae(subject.spine), levels=foreign_levels(subject))


def foreign_levels(subject: ForeignSubject) -> tuple[Level, ...]:
    """The joints from below, then sums and segments in space, named as those of the articulated body."""
    pairs = [(name, name.split("-")) for name in subject.spine.levels]
    joints = [Level(name, below, above) for name, (above, below) in pairs]
    sums = (Level("lumbar", "S1", "L1"), Level("thoracic", "T12", "T1"), Level("neck", "T1", "skull"))
    segments = (Level("pelvis", None, "pelvis"), Level("thorax", None, "ribs"))
    return (*joints, *sums, Level("thorax-pelvis", "pelvis", "ribs"), *segments)


def trunk_and_limbs(subject: ForeignSubject, pose: ForeignPose) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All points (frames, 3) and the poses of the trunk's segments (frames, 4, 4)."""
    pelvis = rigid_pose(pelvis_turn(pose.pelvis), pose.hips)
    poses = spine_poses(subject, pelvis, pose.levels) | {"pelvis": pelvis}
    rest = rest_pose(subject)
    standing = spine_poses(subject, rigid_pose(pelvis_turn(rest.pelvis), rest.hips), rest.levels)
    ribs = poses["ribs"] = rib_cage(poses, standing)
    places = _on_ribs(subject, standing)
    points = {name: poses[level][:, :3, 3] for name, level in VERTEBRA_OF.items()}
    points |= {
        name: place_on_segment(poses["skull"], at) for name, at in subject.places.items() if name.endswith(_HEAD_POINTS)
    }
    for side in "RL":
        points[f"{side}Latissimus"] = place_on_segment(ribs, mirrored_point(places["latissimus"], side))
    return points | arm_points(subject, ribs, places, pose) | leg_points(subject, pose), poses


_HEAD_POINTS = ("Head", "Nose", "Eye", "Ear")


def _on_ribs(subject: ForeignSubject, standing: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Places (3,) m on the rib cage, right side, which is upright when standing."""
    origin = rib_cage(standing, standing)[0, :3, 3]
    at = {level: standing[level][0, :3, 3] - origin for level in ("T1", "T3", "T7")}
    at = {level: place * (1, 1, 0) for level, place in at.items()}
    shoulder = at["T1"] + subject.places["shoulder"]
    return {
        "shoulder": shoulder,
        "acromion": shoulder + subject.places["acromion"],
        "sternum": at["T3"] + subject.places["sternum"],
        "latissimus": at["T7"] + subject.places["latissimus"],
    }
