"""Angles of hip, knee, ankle and shoulder as the ISB recommends, from poses of bodies with x forward, y up, z right.

Hip, knee, ankle: Grood & Suntay 1983 (J Biomech Eng 105:136), Wu et al. 2002 (J Biomech 35:543). Flexion about the
proximal body's rightward axis, axial rotation about the distal body's long axis, abduction about the axis
perpendicular to both: the body-fixed sequence Z-X-Y. Shoulder: Wu et al. 2005 (J Biomech 38:981), the humerus on the
thorax, Y-X-Y. A left limb is mirrored first, so that signs mean the same on both sides.
"""

import numpy as np

from simspine.errors import unknown_name
from simspine.spine.rotations import as_rotations, zxy_angles

MIRROR = np.diag([1.0, 1.0, -1.0])
LEAST_ELEVATION = np.radians(10.0)  # of an arm: below it, the plane in which it is raised means nothing

# Signs of (flexion, adduction, internal rotation) against the right-hand rotations about z, x, y of a right limb.
JOINT_SIGNS = {"hip": (1.0, 1.0, 1.0), "knee": (-1.0, 1.0, 1.0), "ankle": (1.0, 1.0, 1.0)}


def joint_angles(proximal: np.ndarray, distal: np.ndarray, joint: str, side: str) -> np.ndarray:
    """(frames, 3) rad: flexion, adduction, internal rotation of a 'hip', 'knee' or 'ankle' on side 'r' or 'l'.

    Of the ankle: dorsiflexion, inversion, internal rotation of the calcaneus on the tibia. proximal, distal: poses
    (frames, 4, 4) or rotations (frames, 3, 3) in ground. Continuous in time.
    """
    if joint not in JOINT_SIGNS:
        raise unknown_name("joint", joint, JOINT_SIGNS)
    return zxy_angles(_relative(proximal, distal, side))[0] * np.array(JOINT_SIGNS[joint]) + 0.0


def shoulder_angles(thorax: np.ndarray, humerus: np.ndarray, side: str) -> np.ndarray:
    """(frames, 3) rad: plane of elevation (0 abduction, 90° forward flexion, −90° extension), elevation (0 hanging, 90°
    horizontal; never negative), axial rotation (positive inwards).

    Plane and rotation are NaN where the arm is raised by less than 10°: it hangs then in all planes alike. Poses as of
    `joint_angles`.
    """
    r = _relative(thorax, humerus, side)
    elevation = np.arctan2(np.hypot(r[:, 0, 1], r[:, 2, 1]), r[:, 1, 1])
    plane = np.arctan2(-r[:, 0, 1], -r[:, 2, 1])
    rotation = np.arctan2(-r[:, 1, 0], r[:, 1, 2])
    raised = elevation >= LEAST_ELEVATION
    return np.stack([np.where(raised, plane, np.nan), elevation, np.where(raised, rotation, np.nan)], 1)


def _relative(proximal: np.ndarray, distal: np.ndarray, side: str) -> np.ndarray:
    """(frames, 3, 3): the distal body in the proximal one's frame, of a left limb as a right one's mirror image."""
    if side not in ("r", "l"):
        raise unknown_name("side", side, ("r", "l"))
    turn = np.swapaxes(as_rotations(proximal, "proximal"), 1, 2) @ as_rotations(distal, "distal")
    return turn if side == "r" else MIRROR @ turn @ MIRROR
