"""Motions of the whole body, as parts that add to a `Score`: stand, walk, sit, bend, look, reach, gesture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy

from simspine.anatomy.body import follow_couplers, neutral_markers
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES
from simspine.anatomy.tree import all_poses
from simspine.core.types import Motion
from simspine.synthesis import signals as p
from simspine.synthesis.bodies import FLOOR_CONTACTS, TruthBody
from simspine.synthesis.population import SHIFT_DIRECTIONS, SyntheticGirdle, SyntheticSubject, read_levels
from simspine.synthesis.signals import band_limited_noise, smooth_envelope, soft_limit

# Inverse kinematics of an arm: angles that bring the hand to a place on or in front of the body.

ARM_COORDINATES = ("arm_flex", "arm_add", "arm_rot", "elbow_flex")
_RELAXED_ARM = np.radians([15.0, -8.0, 0.0, 60.0])  # preferred angles, since a place leaves the arm a degree of freedom


def reaching_arm_angles(
    truth: TruthBody, girdle: SyntheticGirdle, side: str, place: str, offset: Sequence[float] = (0.0, 0.0, 0.0)
) -> dict[str, float]:
    """{arm coordinate: change from standing, rad} that brings the knuckles to a place.

    girdle: motion of the shoulder with the arm. side: 'r' or 'l'. place: a marker, at its position in the standing
    body. offset: from there (forward, up, outwards), in arm lengths. If the place is out of reach, the hand comes near.
    """
    body, coordinates = truth.body, truth.body.coordinates
    names = coordinates.names
    columns = [names.index(f"{joint}_{side}") for joint in ARM_COORDINATES]
    row, hand = coordinates.default[None].copy(), body.marker_index(f"knuckles_{side}")
    target = _hand_target(truth, side, place, offset)

    def residuals(angles: np.ndarray) -> np.ndarray:
        row[0, columns] = angles
        for name, moved in girdle.at(side, angles[0], angles[1]).items():
            row[0, names.index(name)] = coordinates.default[names.index(name)] + moved
        return np.concatenate([(all_poses(body.tree, row)[2][0, hand] - target) / 0.02, 0.4 * (angles - _RELAXED_ARM)])

    margin = 0.05 * (coordinates.upper[columns] - coordinates.lower[columns])
    bounds = coordinates.lower[columns] + margin, coordinates.upper[columns] - margin
    found = scipy.optimize.least_squares(residuals, np.clip(_RELAXED_ARM, *bounds), bounds=bounds, max_nfev=60).x
    change = found - coordinates.default[columns]
    return {f"{joint}_{side}": float(v) for joint, v in zip(ARM_COORDINATES, change, strict=True)}


def _hand_target(truth: TruthBody, side: str, place: str, offset: Sequence[float]) -> np.ndarray:
    """(3,) m: a marker of the standing body plus an offset in arm lengths."""
    body = truth.body
    markers = all_poses(body.tree, body.coordinates.default[None].copy())[2][0]
    shoulder, elbow, wrist = (
        markers[body.marker_index(f"joint_{name}_{side}")] for name in ("shoulder", "elbow", "wrist")
    )
    length = np.linalg.norm(shoulder - elbow) + np.linalg.norm(elbow - wrist)
    outwards = 1.0 if side == "r" else -1.0
    return markers[body.marker_index(place)] + length * np.array(offset) * [1.0, 1.0, outwards]


def arm_elevation(pose: dict[str, float], side: str) -> float:
    """Elevation of the upper arm in a pose of `reaching_arm_angles`: 0 hanging, 1 horizontal, up to 1.5."""
    flex, add = pose[f"arm_flex_{side}"], pose[f"arm_add_{side}"]
    return float(np.clip(1 - np.cos(flex) * np.cos(add), 0.0, 1.5))


# From channels to coordinates of the body: distribution over the levels, feet on the floor, joint limits.


MOTION_RATE_HZ = 50.0  # Hz, as Human3.6M's motion capture
REGION_MOTIONS = ("flexion", "bending", "rotation")  # of a region: forward, to the right, to the left
COORDINATE_SIGNS = np.array([-1.0, 1.0, 1.0])  # the model's Flex_Ext is positive in extension
LEVEL_NOISE_SD = np.radians(0.35)  # slow noise of a level, added to its share of the region's motion (ours)
SETTLE_FRAMES = 6

# Channels of a motion, besides coordinates of the limbs (change from standing, rad):
#   <region>_<kind>   motion of the region (lumbar, thoracic, neck, head) from standing, rad
#   tilt, list        of the pelvis, backwards and to the right, from standing, rad; heading: direction of the person
#   hip_flexion_*     angle of the thigh from the vertical, rad
#   x, z              m, position on the floor: of the pelvis (`planted` = 0), of the middle of the feet (`planted` = 1)
#   flat              0…1, how far the ankles keep the soles level
MotionChannels = Mapping[str, np.ndarray]


def perform_motion(
    subject: SyntheticSubject,
    truth: TruthBody,
    channels: MotionChannels,
    rng: np.random.Generator,
    girdle_rng: np.random.Generator,
) -> Motion:
    """Motion of the body from channels: all coordinates, 50 Hz, y_up. rng: for levels; girdle_rng: for shoulders."""
    body = truth.body
    names = body.coordinates.names
    frames = len(channels["x"])
    values = np.tile(body.coordinates.default, (frames, 1))
    column = {name: i for i, name in enumerate(names)}

    def get(name: str) -> np.ndarray:
        return np.asarray(channels.get(name, np.zeros(frames)), float)

    for name in channels:
        if name in column:
            values[:, column[name]] += channels[name]
    for side in "rl":  # angles of thighs are relative to the vertical
        values[:, column[f"hip_flexion_{side}"]] -= get("tilt")
    _add_spine_motion(subject, values, column, get=get, rng=rng)
    _add_girdle_motion(subject, values, column, girdle_rng)
    values = _limited_to_ranges(body, values)
    tilt = truth.posture.pose["pelvis_tilt"] + get("tilt")
    for side in "rl":  # the ankle compensates hip and knee to keep the sole level
        level = values[:, column[f"knee_angle_{side}"]] - values[:, column[f"hip_flexion_{side}"]] - tilt
        ankle = values[:, column[f"ankle_angle_{side}"]]
        at = column[f"ankle_angle_{side}"]
        low, high = body.coordinates.lower[at], body.coordinates.upper[at]
        values[:, at] = soft_limit(ankle + get("flat") * level, low, high)
    values[:, [column[f"pelvis_{name}"] for name in ("tilt", "list", "rotation")]] = _pelvis_rotations(
        get("heading"), tilt, get("list")
    )
    _place_on_floor(truth, values, column, get)
    values = follow_couplers(body, values)
    return Motion(names, MOTION_RATE_HZ, values, body.coordinates.rotational)


def _add_spine_motion(
    subject: SyntheticSubject, values: np.ndarray, column: Mapping[str, int], get, rng: np.random.Generator
) -> None:
    levels, spine = read_levels(), subject.spine
    for region, i in levels.regions.items():
        amount = np.column_stack([get(f"{region}_{kind}") for kind in REGION_MOTIONS])  # (frames, 3)
        change = spine.change[i] - (spine.shares[i] * spine.change[i]).sum(0)  # the levels' angles sum to the amount
        moved = spine.shares[i] * (1 + change * np.tanh(amount / levels.motion[i].sum(0))[:, None])
        moved = moved * amount[:, None]  # (frames, levels, 3)
        moved[:, :, 2] += spine.rotation_per_bending[i] * moved[:, :, 1]
        for k, angles in zip(i, np.moveaxis(moved, 1, 0), strict=True):
            for axis, sign, angle in zip(LEVEL_AXIS_COORDINATES, COORDINATE_SIGNS, angles.T, strict=True):
                own = LEVEL_NOISE_SD * band_limited_noise(rng, np.arange(len(values)) / MOTION_RATE_HZ, 1.5)
                values[:, column[f"{levels.names[k]}_{axis}"]] += sign * angle + own
            for direction, shift in zip(SHIFT_DIRECTIONS, (angles[:, [0, 0, 1]] * spine.shift[k]).T, strict=True):
                values[:, column[f"{levels.names[k]}_shift_{direction}"]] += shift


def _add_girdle_motion(
    subject: SyntheticSubject, values: np.ndarray, column: Mapping[str, int], rng: np.random.Generator
) -> None:
    """Add the rhythm of the shoulders with the arms, and slow noise."""
    time = np.arange(len(values)) / MOTION_RATE_HZ
    for side in "rl":
        arm = (values[:, column[f"{name}_{side}"]] for name in ("arm_flex", "arm_add"))
        for name, moved in subject.girdle.at(side, *arm).items():
            values[:, column[name]] += moved + subject.girdle.unrest * band_limited_noise(rng, time, 4.0)


def _limited_to_ranges(body, values: np.ndarray) -> np.ndarray:
    held = np.isfinite(body.coordinates.lower) & (np.arange(values.shape[1]) >= 6) & ~body.coordinates.dependent
    low, high = body.coordinates.lower[held], body.coordinates.upper[held]
    out = values.copy()
    # the margin is narrower where the default is near a limit (straight knees)
    room = np.minimum(body.coordinates.default[held] - low, high - body.coordinates.default[held])
    margin = np.clip(room / (high - low) * 0.9, 0.03, 0.15)
    out[:, held] = soft_limit(values[:, held], low, high, margin)
    return out


def _pelvis_rotations(heading: np.ndarray, tilt: np.ndarray, lean: np.ndarray) -> np.ndarray:
    """(frames, 3) rad: the pelvis' coordinates (Z-X-Y sequence) from heading, tilt and list (Y-Z-X sequence)."""
    turned = scipy.spatial.transform.Rotation.from_euler("YZX", np.column_stack([heading, tilt, lean]))
    return np.unwrap(turned.as_euler("ZXY"), axis=0)


def _place_on_floor(truth: TruthBody, values: np.ndarray, column: Mapping[str, int], get) -> None:
    """Place the pelvis so that the lowest contact point is on the floor, and planted feet do not move."""
    body = truth.body
    translations = [column[f"pelvis_t{axis}"] for axis in "xyz"]
    values[:, translations] = 0.0
    _, _, markers = all_poses(body.tree, values)
    contacts = markers[:, [body.marker_index(name) for name in FLOOR_CONTACTS]]
    feet = markers[:, [body.marker_index(f"joint_ankle_{side}") for side in "rl"]].mean(1)
    lift = smooth_envelope(-contacts[:, :, 1].min(1), SETTLE_FRAMES)
    planted = get("planted")
    values[:, translations[0]] = get("x") - planted * feet[:, 0]
    values[:, translations[1]] = lift
    values[:, translations[2]] = get("z") - planted * feet[:, 2]


AREA_M = (1.35, 1.85)  # m from the middle to either side: depth (x of the body), width (z)
# Raised arms extend the thoracic and slightly the lumbar spine (degrees per arm at shoulder height). The direction is
# that of the paper's table, where actions with raised arms have less kyphosis; the size is ours.
ARM_RAISE_EXTENSION_DEG = {"thoracic_flexion": -4.5, "lumbar_flexion": -1.5}
OTHER_SIDE = {"r": "l", "l": "r"}
STRIDE_LEG_LENGTHS = 1.5  # stride length of `gait_cycle`, in leg lengths


@dataclass
class Score:
    """Motion of a person over time: channels (see `MotionChannels`) to which the parts of the motion add."""

    subject: SyntheticSubject
    truth: TruthBody
    rng: np.random.Generator
    frames: int
    channels: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def time(self) -> np.ndarray:
        """(frames,) s."""
        return np.arange(self.frames) / MOTION_RATE_HZ

    @property
    def length(self) -> float:
        """Duration, s."""
        return self.frames / MOTION_RATE_HZ

    def add(self, name: str, values) -> None:
        self.channels[name] = self.channels.get(name, np.zeros(self.frames)) + values

    def degrees(self, weight: np.ndarray | float = 1.0, **angles: float) -> None:
        """Add angles (degrees) times a weight over time to channels."""
        for name, angle in angles.items():
            self.add(name, np.radians(angle) * weight)

    def both(self, weight: np.ndarray | float = 1.0, **angles: float) -> None:
        self.degrees(weight, **{f"{name}_{side}": angle for side in "rl" for name, angle in angles.items()})

    def near(self, value: float, spread: float = 0.15) -> float:
        """A random number near `value` (log-normal, relative spread `spread`)."""
        return float(value * np.exp(spread * np.clip(self.rng.standard_normal(), -2, 2)))

    def wander(self, knot: float) -> np.ndarray:
        return p.band_limited_noise(self.rng, self.time, knot)

    def side(self) -> str:
        return "rl"[int(self.rng.random() < 0.4)]

    def times(self, every: float, duration: float, first: float = 0.4) -> list[float]:
        """Start times (s) of an event of `duration` s that recurs about every `every` s without overlap."""
        starts: list[float] = []
        t = first + self.rng.uniform(0, min(0.4 * every, 0.3 * self.length))
        while t + duration < self.length or (not starts and t < self.length):
            starts.append(t)
            t += duration + max(self.rng.normal(every - duration, 0.3 * every), 0.2)
        return starts

    def spells(self, every: float, hold: float, rise: float = 0.8, first: float = 0.4) -> np.ndarray:
        """(frames,) 0…1: weight of an event that recurs, for about `hold` s each time."""
        out = np.zeros(self.frames)
        for start in self.times(every, hold + 2 * rise, first):
            span = min(self.near(hold, 0.3), max(hold, 0.1))
            out += p.minimum_jerk_pulse(self.time, start, rise, hold=span, fall=rise)
        return out


def add_breathing(score: Score) -> None:
    """Add breathing, small motions of a person at rest, and loosely hanging arms."""
    rate = score.near(0.25)
    breath = np.sin(2 * np.pi * (rate * score.time + 0.3 * score.wander(4.0)))
    score.degrees(breath, thoracic_flexion=-score.near(0.8), lumbar_flexion=0.3, neck_flexion=0.3)
    for region, size in (("lumbar", 1.2), ("thoracic", 1.2), ("neck", 2.0), ("head", 1.0)):
        score.degrees(score.wander(2.0), **{f"{region}_flexion": size})
        score.degrees(score.wander(2.0), **{f"{region}_bending": 0.6 * size})
        score.degrees(score.wander(1.6), **{f"{region}_rotation": 0.8 * size})
    for side in "rl":
        score.degrees(score.wander(1.2), **{f"arm_flex_{side}": 2.5, f"elbow_flex_{side}": 4.0})
        score.degrees(score.wander(1.2), **{f"arm_add_{side}": 1.5, f"arm_rot_{side}": 3.0, f"wrist_flex_{side}": 4.0})
        score.degrees(1.0, **{f"elbow_flex_{side}": score.near(14), f"pro_sup_{side}": score.near(-10)})
        score.degrees(1.0, **{f"knee_angle_{side}": score.near(6), f"hip_flexion_{side}": 3.0})


def stand_still(score: Score, standing: np.ndarray | float = 1.0, sway: float = 1.0) -> None:
    """Stand on planted feet, with sway and shifts of weight from foot to foot."""
    score.add("planted", standing)
    score.add("flat", standing)
    score.both(standing * score.wander(1.5), hip_flexion=0.5 * sway)
    shift = np.tanh(1.2 * score.wander(4.0))
    score.degrees(standing * shift, hip_adduction_r=3.0 * sway, hip_adduction_l=-3.0 * sway, list=1.5 * sway)
    score.degrees(standing * shift, lumbar_bending=-1.2 * sway)
    score.both(standing, hip_adduction=-score.near(3.0, 0.4))
    score.both(standing, hip_rotation=-score.near(6.0, 0.4))


def stand_facing(score: Score, turning: float = 25.0, place: float = 0.4, sway: float = 1.0) -> None:
    """Stand still at a random position and heading; turn now and then by about `turning` degrees."""
    stand_still(score, sway=sway)
    score.add("heading", score.rng.uniform(-np.pi, np.pi))
    score.add("x", score.rng.uniform(-place, place))
    score.add("z", score.rng.uniform(-place, place))
    if turning == 0:
        return
    starts = score.times(9.0, 1.6, first=3.0)
    score.add(
        "heading",
        p.minimum_jerk_course(score.time, starts, np.radians(random_headings(score, len(starts), turning)), 1.4),
    )
    for start in starts:  # on the spot: one foot, then the other
        for side, delay in (("r", 0.0), ("l", 0.55)):
            lifted = p.minimum_jerk_pulse(score.time, start + delay, 0.35, hold=0.05, fall=0.35)
            score.degrees(lifted, **{f"hip_flexion_{side}": 14, f"knee_angle_{side}": 28})


def random_headings(score: Score, count: int, size: float) -> np.ndarray:
    """(count + 1,) degrees: 0, then random headings about it."""
    return np.concatenate([[0.0], score.rng.normal(0.0, size, count)])


def leg_length(truth: TruthBody) -> float:
    """Distance from hip to ankle of a straight leg, m."""
    standing = neutral_markers(truth.body)
    hip, ankle = (standing[truth.body.marker_index(f"joint_{name}_r")] for name in ("hip", "ankle"))
    return float(np.linalg.norm(hip - ankle))


def walk_round(
    score: Score, walking: np.ndarray | float = 1.0, pace: float = 1.0, arms: tuple[float, float] = (1.0, 1.0)
) -> None:
    """Walk round a closed path in the area. walking: (frames,) 0…1, size of the steps. arms: swing, right and left.

    Where `walking` is 0, the person stands on planted feet.
    """
    walking = np.broadcast_to(np.asarray(walking, float), (score.frames,))
    size = score.near(1.0, 0.04) * pace
    stride = STRIDE_LEG_LENGTHS * leg_length(score.truth) * size
    speed = score.near(1.1, 0.08) * pace * (1 + 0.04 * score.wander(2.0))
    # step length and cadence both scale with `walking`, so the speed scales with its square
    distance = np.cumsum(speed * walking**2) / MOTION_RATE_HZ
    phase = np.cumsum(speed * walking) / MOTION_RATE_HZ / stride + score.rng.uniform()
    start = score.rng.uniform(0, 6)
    place, direction = p.along_path(p.closed_path(score.rng, (AREA_M[0] - 0.25, AREA_M[1] - 0.25)), distance + start)
    score.add("x", place[:, 0])
    score.add("z", place[:, 1])
    score.add("heading", -direction)
    swing = score.near(1.0, 0.25)
    for side, delay, part in (("r", 0.0, arms[0]), ("l", 0.5, arms[1])):
        for name, values in p.gait_cycle(phase + delay).items():
            score.add(f"{name}_{side}", size * walking * values)
        score.degrees(-walking, **{f"knee_angle_{side}": 4.0, f"hip_flexion_{side}": 2.0})  # less than when standing
        turn = 2 * np.pi * (phase + delay)
        score.degrees(-part * swing * walking * np.cos(turn), **{f"arm_flex_{side}": 17})
        score.degrees(part * swing * walking * (1 - np.cos(turn)), **{f"elbow_flex_{side}": 8})
    _add_trunk_of_walking(score, walking, phase, direction)
    stand_still(score, 1 - walking)


def _add_trunk_of_walking(score: Score, walking: np.ndarray, phase: np.ndarray, direction: np.ndarray) -> None:
    """Add the motion of pelvis, spine and head over the stride. direction: (frames,) rad, of the path."""
    turn = 2 * np.pi * phase
    # At right heel strike (phase 0) the right side of the pelvis and the left shoulder are forward.
    score.degrees(walking * np.cos(turn), heading=score.near(4.5))
    # In stance the hips shift towards the stance foot and the other side drops; the legs keep their direction.
    stance = walking * np.sin(turn + 0.3)
    drop, shift, narrow = np.radians(score.near(3.5)) * stance, score.near(0.02) * stance, np.radians(1.5) * walking
    score.add("list", -drop)
    score.add("x", -np.sin(direction) * shift)
    score.add("z", np.cos(direction) * shift)
    score.add("hip_adduction_r", narrow + drop + shift / leg_length(score.truth))
    score.add("hip_adduction_l", narrow - drop - shift / leg_length(score.truth))
    score.degrees(walking * np.cos(2 * turn + 0.6), tilt=score.near(1.2))
    back = score.near(1.0)
    score.degrees(-walking * np.cos(turn + 0.15), lumbar_rotation=3.5 * back, thoracic_rotation=7.0 * back)
    score.degrees(walking * np.sin(turn + 0.3), lumbar_bending=3.5, thoracic_bending=-0.5)
    score.degrees(walking * np.cos(2 * turn + 0.4), lumbar_flexion=1.2 * back, thoracic_flexion=0.7 * back)
    score.degrees(walking * np.cos(turn), neck_rotation=3.0, head_rotation=3.0)  # the head looks ahead
    score.degrees(walking, tilt=-2.0, thoracic_flexion=1.0)


def sit_on_chair(score: Score, sitting: np.ndarray) -> None:
    """Sit on a chair with weight `sitting` (frames,) 0…1: the pelvis tilts back, the lumbar lordosis decreases.

    Between 0 and 1 the trunk leans forward, as in sitting down and standing up.
    """
    thigh, lean = score.near(86.0, 0.05), score.near(12.0, 0.3)
    score.degrees(sitting, tilt=lean, lumbar_flexion=score.near(16.0, 0.25), thoracic_flexion=score.near(3.0, 0.5))
    score.degrees(sitting, neck_flexion=-score.near(5.0, 0.4))
    score.both(sitting, hip_flexion=thigh, hip_adduction=-score.near(9.0, 0.5))
    for side in "rl":
        score.degrees(sitting, **{f"knee_angle_{side}": score.near(88.0, 0.06)})
    between = (4 * sitting * (1 - sitting)) ** 2
    score.degrees(between, tilt=-34.0, lumbar_flexion=8.0, thoracic_flexion=4.0, neck_flexion=-16.0)
    score.both(between, arm_flex=22.0, elbow_flex=15.0)


# Ways to sit on the floor (degrees): thigh from the vertical, knee, adduction (negative: apart), rotation of the hips.
FLOOR_SITTING_ANGLES = {
    "knees up": {"hip_flexion": 152, "knee_angle": 141, "hip_adduction": -6, "hip_rotation": 0},
    "legs out": {"hip_flexion": 96, "knee_angle": 12, "hip_adduction": -10, "hip_rotation": -15},
    "cross-legged": {"hip_flexion": 104, "knee_angle": 131, "hip_adduction": -38, "hip_rotation": -48},
}


def sit_on_floor(score: Score, low: np.ndarray, way: str) -> None:
    """Sit on the floor with weight `low` (frames,) 0…1, through a squat; the lumbar lordosis decreases."""
    between = (4 * low * (1 - low)) ** 2
    for side in "rl":
        score.degrees(
            low,
            **{f"{name}_{side}": score.near(1.0, 0.03) * angle for name, angle in FLOOR_SITTING_ANGLES[way].items()},
        )
    squat = {"hip_flexion": 108, "knee_angle": 128}
    score.both(
        between,
        **{name: angle - 0.5 * FLOOR_SITTING_ANGLES[way][name] for name, angle in squat.items()},
        hip_adduction=-12.0,
    )
    score.degrees(low, tilt=score.near(20.0, 0.2), lumbar_flexion=score.near(30.0, 0.15))
    score.degrees(low, thoracic_flexion=score.near(7.0, 0.3), neck_flexion=-score.near(8.0, 0.3))
    score.degrees(between, tilt=-42.0, lumbar_flexion=10.0, neck_flexion=-14.0)
    score.both(between, arm_flex=64.0, elbow_flex=55.0)
    if way != "knees up":  # with knees up, the soles stay on the floor
        score.add("flat", -low)


def bend_forward(score: Score, bent: np.ndarray, deep: float = 1.0) -> None:
    """Bend forward in hips and spine with weight `bent` (frames,) 0…1; the hips move back over the planted feet."""
    hips, back = score.near(48.0, 0.1) * deep, score.near(36.0, 0.12) * deep
    score.degrees(bent, tilt=-hips, lumbar_flexion=back, thoracic_flexion=score.near(11.0) * deep)
    score.degrees(bent, neck_flexion=-10.0 * deep, head_flexion=-6.0 * deep)
    for side in "rl":
        knee = score.near(24.0, 0.3) * deep
        score.degrees(bent, **{f"hip_flexion_{side}": 0.5 * knee + 11.0 * deep, f"knee_angle_{side}": knee})


def crouch_down(score: Score, low: np.ndarray, deep: float = 1.0) -> None:
    """Bend the knees, with the trunk slightly forward. low: (frames,) 0…1, weight."""
    score.both(low, hip_flexion=42.0 * deep, knee_angle=74.0 * deep)
    score.degrees(low, tilt=-24.0 * deep, lumbar_flexion=12.0 * deep, neck_flexion=-10.0 * deep)


def look_about(score: Score, every: float, wide: float = 30.0, down: float = 0.0) -> None:
    """Look about: the head turns mostly in its upper joints; the neck and the thorax follow."""
    count = max(int(score.length / every), 1)
    starts = np.sort(score.rng.uniform(0, score.length, count))
    turn = p.minimum_jerk_course(
        score.time, starts, np.clip(random_headings(score, count, wide), -2 * wide, 2 * wide), 0.7
    )
    nod = p.minimum_jerk_course(score.time, starts, random_headings(score, count, 9.0), 0.7) + down
    score.degrees(turn, head_rotation=0.52, neck_rotation=0.22, thoracic_rotation=0.12)
    score.degrees(nod, head_flexion=0.35, neck_flexion=0.6)


def bring_hand(score: Score, done: np.ndarray, side: str, offset: Sequence[float], place: str | None = None) -> None:
    """Bring a hand to a place (see `reaching_arm_angles`; default: its shoulder) with weight `done` (frames,) 0…1, and
    hold it there with small random motions.
    """
    pose = reaching_arm_angles(
        score.truth, score.subject.girdle, side, place=place or f"joint_shoulder_{side}", offset=offset
    )
    for name, change in pose.items():
        score.add(name, done * change)
    score.degrees(-done, **{f"elbow_flex_{side}": 14.0})  # removes the elbow flexion of `add_breathing`
    score.degrees(done * score.wander(0.9), **{f"arm_flex_{side}": 1.5, f"arm_rot_{side}": 2.5})
    score.degrees(done * arm_elevation(pose, side), **ARM_RAISE_EXTENSION_DEG)


def raise_arms(score: Score, done: np.ndarray) -> None:
    score.both(done, arm_add=-102.0, arm_flex=30.0)
    for _ in "rl":
        score.degrees(done * 1.3, **ARM_RAISE_EXTENSION_DEG)


def add_gestures(score: Score, every: float, sides: str = "rl", size: float = 1.0) -> None:
    """Add gestures of the hands: each goes to a random place in front of the body and beats there."""
    for side in sides:
        for start in score.times(every, 2.2):
            hold = score.near(0.8, 0.4)
            done = p.minimum_jerk_pulse(score.time, start, score.near(0.55), hold=hold, fall=score.near(0.65))
            offset = (score.rng.uniform(0.35, 0.65), score.rng.uniform(-0.5, 0.05), score.rng.uniform(-0.2, 0.35))
            bring_hand(score, size * done, side, offset)
            score.degrees(done * np.sin(2 * np.pi * score.near(1.8) * score.time), **{f"elbow_flex_{side}": 7.0})
            score.degrees(done, thoracic_rotation=3.0 if side == "l" else -3.0)
