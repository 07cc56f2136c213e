"""From what a person does to coordinates of the body: sharing out over the levels, feet on the floor, joint limits."""

from collections.abc import Mapping

import numpy as np

from simspine.body.kernels import all_poses
from simspine.body.kinematics import follow_couplers
from simspine.capture.bodies import TruthBody
from simspine.capture.body_landmarks import CONTACTS
from simspine.capture.movement_primitives import over, soft_limit, wander
from simspine.capture.population import AXES, SHIFTS, read_levels
from simspine.capture.subjects import SyntheticSubject
from simspine.types import Motion

RATE = 50.0  # Hz, as Human3.6M's motion capture
KINDS = ("flexion", "bending", "rotation")  # of a region: forward, to the right, to the left
SIGNS = np.array([-1.0, 1.0, 1.0])  # the model's Flex_Ext is positive in extension
LEVEL_NOISE = np.radians(0.35)  # of a level, slow, beside what its region does (ours)
SETTLE = 6

# What a motion may say beside the names of limb coordinates:
#   <region>_<kind>   lumbar, thoracic, neck, head; a region's motion from standing, rad
#   tilt, list        of the pelvis: backwards, to the right, from standing, rad; heading: where the person faces
#   hip_flexion_*     thighs from the vertical
#   x, z              m, on the floor, of the pelvis, or as far as `planted` = 1 of the middle of the feet
#   flat              0…1, how far the ankles keep the soles level
Channels = Mapping[str, np.ndarray]


def perform(
    subject: SyntheticSubject,
    truth: TruthBody,
    channels: Channels,
    rng: np.random.Generator,
    girdle_rng: np.random.Generator,
) -> Motion:
    """The body's motion: all coordinates, 50 Hz, y_up. rng: of the levels; girdle_rng: of the shoulders."""
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
    for side in "rl":  # thighs count from the vertical
        values[:, column[f"hip_flexion_{side}"]] -= get("tilt")
    _spine(subject, values, column, get, rng)
    _girdle(subject, values, column, girdle_rng)
    values = _limited(body, values)
    tilt = truth.posture.pose["pelvis_tilt"] + get("tilt")
    for side in "rl":  # soles level: the ankle takes back what hip and knee do
        level = values[:, column[f"knee_angle_{side}"]] - values[:, column[f"hip_flexion_{side}"]] - tilt
        ankle = values[:, column[f"ankle_angle_{side}"]]
        at = column[f"ankle_angle_{side}"]
        low, high = body.coordinates.lower[at], body.coordinates.upper[at]
        values[:, at] = soft_limit(ankle + get("flat") * level, low, high)
    values[:, [column[f"pelvis_{name}"] for name in ("tilt", "list", "rotation")]] = _pelvis(
        get("heading"), tilt, get("list")
    )
    _place(truth, values, column, get)
    values = follow_couplers(body, values)
    return Motion(names, RATE, values, body.coordinates.rotational)


def _spine(
    subject: SyntheticSubject, values: np.ndarray, column: Mapping[str, int], get, rng: np.random.Generator
) -> None:
    levels, spine = read_levels(), subject.spine
    time = np.arange(len(values)) / RATE
    for region in levels.regions:
        i = levels.within(region)
        amount = np.column_stack([get(f"{region}_{kind}") for kind in KINDS])  # (frames, 3)
        whole = levels.motion[i].sum(0)
        change = spine.change[i] - (spine.shares[i] * spine.change[i]).sum(0)  # all levels together give the amount
        share = spine.shares[i] * (1 + change * np.tanh(amount / whole)[:, None])  # (frames, levels, 3)
        moved = share * amount[:, None]
        moved[:, :, 2] += spine.rotation_per_bending[i] * moved[:, :, 1]
        for k, level in enumerate(levels.names[i[0] : i[-1] + 1]):
            for axis, sign, angle in zip(AXES, SIGNS, moved[:, k].T, strict=True):
                own = LEVEL_NOISE * wander(rng, time, 1.5)
                values[:, column[f"{level}_{axis}"]] += sign * angle + own
            bent = moved[:, k, [0, 0, 1]] * spine.shift[i[k]]
            for direction, shift in zip(SHIFTS, bent.T, strict=True):
                values[:, column[f"{level}_shift_{direction}"]] += shift


def _girdle(subject: SyntheticSubject, values: np.ndarray, column: Mapping[str, int], rng: np.random.Generator) -> None:
    """Shoulders that go with the arms, and slowly by themselves."""
    time = np.arange(len(values)) / RATE
    for side in "rl":
        arm = (values[:, column[f"{name}_{side}"]] for name in ("arm_flex", "arm_add"))
        for name, moved in subject.girdle.at(side, *arm).items():
            values[:, column[name]] += moved + subject.girdle.unrest * wander(rng, time, 4.0)


def _limited(body, values: np.ndarray) -> np.ndarray:
    held = np.isfinite(body.coordinates.lower) & (np.arange(values.shape[1]) >= 6) & ~body.coordinates.dependent
    low, high = body.coordinates.lower[held], body.coordinates.upper[held]
    out = values.copy()
    # where the default lies near a limit (straight knees), the margin is narrower
    room = np.minimum(body.coordinates.default[held] - low, high - body.coordinates.default[held])
    margin = np.clip(room / (high - low) * 0.9, 0.03, 0.15)
    out[:, held] = soft_limit(values[:, held], low, high, margin)
    return out


def _pelvis(heading: np.ndarray, tilt: np.ndarray, lean: np.ndarray) -> np.ndarray:
    """Heading, then tilts, as the model's coordinates, which turn the other way round: (frames, 3) rad."""
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_euler("YZX", np.column_stack([heading, tilt, lean]))
    return np.unwrap(turned.as_euler("ZXY"), axis=0)


def _place(truth: TruthBody, values: np.ndarray, column: Mapping[str, int], get) -> None:
    """Pelvis so that the lowest contact rests on the floor, and the feet, as far as planted, stay where they stand."""
    body = truth.body
    at = [column[f"pelvis_t{axis}"] for axis in "xyz"]
    values[:, at] = 0.0
    _, _, markers = all_poses(body.tree, values)
    contacts = markers[:, [body.marker_index(name) for name in CONTACTS]]
    feet = markers[:, [body.marker_index(f"joint_ankle_{side}") for side in "rl"]].mean(1)
    lift = over(-contacts[:, :, 1].min(1), SETTLE)
    planted = get("planted")
    values[:, at[0]] = get("x") - planted * feet[:, 0]
    values[:, at[1]] = lift
    values[:, at[2]] = get("z") - planted * feet[:, 2]
