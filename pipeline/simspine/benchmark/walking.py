"""A made-up walk, so that benchmarks and tests have a motion whose truth is known and whose joints move as people's do.

Amplitudes are of the size of level walking (Winter 2009, Biomechanics and Motor Control of Human Movement, ch. 4), arms
hang with bent elbows, and each stride differs a little from the one before.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from simspine.body.kinematics import follow_couplers, forward_kinematics
from simspine.body.model import Body
from simspine.types import Markers, Motion

STRIDE = 1.1  # s
SPEED = 1.2  # m/s
# Coordinate: mean, amplitude (rad), phase (strides). Left limbs are half a stride later.
TRUNK = {
    "pelvis_tilt": (-0.05, 0.03, 0.0),
    "pelvis_list": (0.0, 0.06, 0.2),
    "L5_S1_Flex_Ext": (-0.02, 0.02, 0.1),
    "L5_S1_Lat_Bending": (0.0, 0.02, 0.7),
    "L5_S1_axial_rotation": (0.0, 0.03, 0.4),
    "neck_flexion": (0.05, 0.06, 0.3),
    "neck_rotation": (0.0, 0.15, 0.6),
}
LIMBS = {
    "hip_flexion": (0.15, 0.4, 0.0),
    "hip_adduction": (0.0, 0.1, 0.3),
    "hip_rotation": (0.0, 0.08, 0.6),
    "knee_angle": (0.55, 0.45, 0.75),
    "ankle_angle": (0.0, 0.2, 0.4),
    "subtalar_angle": (0.0, 0.08, 0.1),
    "mtp_angle": (-0.1, 0.1, 0.5),
    "arm_flex": (0.1, 0.35, 0.5),
    "arm_add": (-0.2, 0.08, 0.1),
    "arm_rot": (0.1, 0.15, 0.8),
    "elbow_flex": (0.7, 0.25, 0.55),
    "pro_sup": (0.9, 0.1, 0.2),
}


def walk(body: Body, frames: int, rate: float = 60.0, seed: int = 0) -> Motion:
    """A walk along a slow curve, from the origin. Coordinates the body lacks are left out, others stay at default."""
    rng = np.random.default_rng(seed)
    c = body.coordinates
    time = np.arange(frames) / rate
    stride = time / STRIDE
    values = np.tile(c.default, (frames, 1))
    rows = {name: (*wave, 0.0) for name, wave in TRUNK.items()}
    rows |= {f"{k}_r": (*wave, 0.0) for k, wave in LIMBS.items()} | {f"{k}_l": (*w, 0.5) for k, w in LIMBS.items()}
    for name, (mean, amplitude, phase, later) in rows.items():
        if name in c.names:
            i = c.index(name)
            wander = amplitude * gaussian_filter1d(rng.normal(size=frames + 1), rate / 2, mode="wrap")[:frames]
            wave = mean + amplitude * np.sin(2 * np.pi * (stride + phase + later)) + 3.0 * wander
            low, high = (c.lower[i], c.upper[i]) if c.clamped[i] else (-np.inf, np.inf)
            values[:, i] = np.clip(wave, low + 0.02, high - 0.02)
    heading = 0.5 * np.sin(2 * np.pi * time / 20.0)
    values[:, c.index("pelvis_rotation")] = heading
    values[:, c.index("pelvis_tx")] = np.cumsum(np.cos(heading)) * SPEED / rate
    values[:, c.index("pelvis_tz")] = -np.cumsum(np.sin(heading)) * SPEED / rate
    values[:, c.index("pelvis_ty")] = 0.93 + 0.02 * np.sin(4 * np.pi * stride)
    return Motion(c.names, rate, follow_couplers(body, values), c.rotational)


def walking_markers(body: Body, names: list[str], motion: Motion, noise: float = 0.005, seed: int = 1) -> Markers:
    """The body's markers `names` during the motion, with Gaussian noise (m) in each direction."""
    markers = forward_kinematics(body, motion).select(names)
    return markers.with_(xyz=markers.xyz + np.random.default_rng(seed).normal(0, noise, markers.xyz.shape))
