"""Human3.6M's joints as motion capture of reflective markers would give them: near the true joints, not on them.

Error of a joint = a constant offset (markers misplaced, joint centres estimated from the skin), turning with the
segment; plus soft tissue that shifts as the joint bends and lags as the segment moves; plus correlated noise. Sizes
are chosen, within what is reported of markers on the skin (thigh up to 30 mm, shank 10 mm: Leardini et al. 2005, Gait
& Posture 21:212), of which a fitted skeleton shows a part.
"""

from itertools import pairwise

import numpy as np

from simspine.capture.random_streams import drift, stream
from simspine.skeletons import load
from simspine.skeletons.segment_axes import carried, unit, upright

OFFSET = 0.003  # m per axis, deviation of the constant offset
BEND = 0.005  # m per axis, deviation of the shift of a joint bent by 90°
LAG = 0.002  # s that soft tissue stays behind, times the joint's speed relative to the pelvis
NOISE = (0.001, 0.003)  # m per axis, deviation of the noise: drawn per joint
CORRELATION_TIME = 0.1  # s, of the noise

_CHAINS = {
    "arm": ("thorax", (0.5**0.5, -(0.5**0.5), 0.0), ("Shoulder", "Elbow", "Wrist", "Hand")),
    "leg": ("pelvis", (0.0, -1.0, 0.0), ("Hip", "Knee", "Ankle", "ToeBase")),
}


def captured(joints: np.ndarray, rate: float, seed: int, subject: str, trial: str) -> np.ndarray:
    """The 32 joints (frames, 32, 3) m, z up, as captured; same shape. rate: frames/s.

    Offsets and soft tissue belong to the subject, noise to the trial. Joints that coincide (`SpineBase` and `Hip`, …)
    still do afterwards.
    """
    names = load("human36m32").names
    joints = np.asarray(joints, float)
    first = _first_at_same_place(joints)
    axes, bent = _axes_and_bend(names, joints)
    local = np.empty((len(joints), len(names), 3))
    for j, name in enumerate(names):
        draw = stream(seed, "mocap", subject, name)
        local[:, j] = OFFSET * draw.standard_normal(3) + BEND * draw.standard_normal(3) * bent[:, j, None]
    lag = -LAG * np.gradient(joints - joints[:, :1], 1 / rate, axis=0) if len(joints) > 1 else 0.0
    draw = stream(seed, "mocap", subject, trial)
    noise = draw.uniform(*NOISE, (len(names), 1)) * drift(draw, len(joints), (len(names), 3), rate, CORRELATION_TIME)
    error = np.einsum("fjik,fjk->fji", axes, local) + lag + noise
    return joints + error[:, first]


def _first_at_same_place(joints: np.ndarray) -> list[int]:
    """For each joint the first one that is where it is in all frames."""
    apart = np.array([np.abs(joints - joints[:, j, None]).max((0, 2)) for j in range(joints.shape[1])])
    return np.argmax(apart < 1e-9, 1).tolist()


def _axes_and_bend(names: tuple[str, ...], joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes (frames, 32, 3, 3) of each joint's segment (forward, up, right), and 1 − cos of how far it is bent."""
    at = {name: joints[:, j] for j, name in enumerate(names)}
    trunk = {
        "pelvis": upright(at["Spine"] - at["Hip"], at["RHip"] - at["LHip"]),
        "thorax": upright(at["Thorax"] - at["Spine"], at["RShoulder"] - at["LShoulder"]),
    }
    axes = {name: trunk["thorax"] for name in names}
    axes |= {name: trunk["pelvis"] for name in ("Hip", "SpineBase", "Spine", "RHip", "LHip")}
    bent = dict.fromkeys(names, np.zeros(len(joints)))
    for frame, start, chain in _CHAINS.values():
        for side in "LR":
            turned, before = trunk[frame], trunk[frame] @ np.array(start)
            for near, far in pairwise(chain):
                segment = at[side + far] - at[side + near]
                if np.linalg.norm(segment, axis=-1).min() < 1e-6:
                    break
                along = unit(segment)
                bent[side + near] = 1 - (before * along).sum(-1)
                turned, before = carried(turned, before, along), along
                axes[side + far] = turned
            ends = ("Thumb", "ThumbTip", "Hand", "HandTip") if "Wrist" in chain else ("ToeBase", "ToeTip")
            axes |= {side + end: turned for end in ends}
    return np.stack([axes[n] for n in names], 1), np.stack([bent[n] for n in names], 1)
