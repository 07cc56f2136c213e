"""Walking of people of another anatomy: a cycle of feet, pelvis, trunk and arms, on a treadmill."""

from functools import cache

import numpy as np

from simspine.capture.foreign_body import standing_height
from simspine.capture.foreign_course import ForeignCourse

STANCE = 0.62  # of the stride (Perry 1992; C)
# Pitch of the foot over the stride from heel strike, degrees, toes up positive (Winter 2009; C).
_PITCH = (
    (0, 16), (0.1, 1), (0.15, 0), (0.25, 0), (0.34, -1), (0.5, -18),
    (0.61, -44), (0.68, -46), (0.8, -18), (0.91, 10), (0.97, 17),
)  # fmt: skip


@cache
def _pitch_curve():
    """The pitch as a periodic spline of the phase, rounded over about 3 % of the stride."""
    from scipy.interpolate import CubicSpline, PchipInterpolator
    from scipy.ndimage import gaussian_filter1d

    at, degrees = np.array(_PITCH, float).T
    around = PchipInterpolator(
        np.concatenate([at[-3:] - 1, at, at[:3] + 1]), np.concatenate([degrees[-3:], degrees, degrees[:3]])
    )
    grid = np.arange(200) / 200
    pitch = gaussian_filter1d(np.radians(around(grid)), 3.0, mode="wrap")
    return CubicSpline(np.append(grid, 1.0), np.append(pitch, pitch[0]), bc_type="periodic")


def foot_course(phase: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pitch (rad), place along the belt in strides, lift (0…1) at phases of the stride from heel strike."""
    phase = np.mod(phase, 1.0)
    u = np.clip((phase - STANCE) / (1 - STANCE), 0, 1)
    start, end, slope = -STANCE, 0.0, -(1 - STANCE)
    swing = start + slope * u + (end - start - slope) * u**3 * (10 - 15 * u + 6 * u**2)
    place = np.where(phase < STANCE, -phase, swing)
    return _pitch_curve()(phase), place, 64 * (u * (1 - u)) ** 3


def walk(c: ForeignCourse) -> None:
    """Adds walking to a course: steps of the person's own length and pace, and what the trunk and arms do with them."""
    rng, sizes = c.draw("gait"), c.subject.sizes
    leg = sizes["thigh"] + sizes["shank"]
    stride, pace = leg * rng.uniform(1.15, 1.3), rng.uniform(0.7, 0.82)
    ahead, lift = rng.uniform(0.26, 0.30), 0.045 * leg
    gains = {name: rng.uniform(low, high) for name, low, high in _GAINS}
    phase = pace * c.time + rng.uniform() + 0.03 * c.wander("pace", 1.0, 20, 5)
    feet, pitch, pelvis = _legs(c, phase, stride, ahead, lift, gains)
    c.feet[:], c.pitch[:] = feet, pitch
    c.pelvis += pelvis
    c.hips[:, [0, 2]] *= 0.5
    c.hips[:, 2] += gains["shift"] * np.sin(2 * np.pi * (phase - 0.06))
    c.hips[:, 1] = _height(c, phase, (stride, ahead, lift, gains)) + 0.001 * c.wander("height", 1.0)
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


_GAINS = (
    ("turn", 3.0, 6.0), ("list", 2.0, 5.0), ("lean", 0.0, 5.0), ("lumbar_flexion", 0.5, 1.8), ("arm", 9, 19),
    ("shift", 0.012, 0.022),
)  # fmt: skip


def _legs(c: ForeignCourse, phase, stride, ahead, lift, gains):
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


def _height(c: ForeignCourse, phase: np.ndarray, gait: tuple) -> np.ndarray:
    """Height of the hips: the largest of one wave per step that both legs reach."""
    stride, ahead, lift, gains = gait
    grid = np.arange(400) / 400
    feet, pitch, pelvis = _legs(c, grid, stride, ahead, lift, gains)
    hips = np.zeros((len(grid), 3))
    hips[:, 2] = gains["shift"] * np.sin(2 * np.pi * (grid - 0.06))
    reach = standing_height(c.subject, hips, pelvis, feet, pitch)
    waves = np.stack([np.cos(4 * np.pi * grid), np.sin(4 * np.pi * grid)], -1)
    size = np.linalg.lstsq(waves, reach - reach.mean(), rcond=None)[0] * 0.6
    top = (reach - waves @ size).min() - 0.008
    return top + np.stack([np.cos(4 * np.pi * phase), np.sin(4 * np.pi * phase)], -1) @ size
