"""Places on the body beside the 37 points: joint centres, what touches the floor, what Human3.6M's skeleton needs.

Offsets in m on the unscaled model: body, (forward, up, right). Joint centres are origins of bodies. Soles: the mesh's
lowest points, to a few mm.
"""

_RIGHT = {
    "joint_hip": ("femur", (0.0, 0.0, 0.0)),
    "joint_knee": ("tibia", (0.0, 0.0, 0.0)),
    "joint_ankle": ("talus", (0.0, 0.0, 0.0)),
    "joint_toes": ("toes", (0.0, 0.0, 0.0)),
    "joint_shoulder": ("humerus", (0.0, 0.0, 0.0)),
    "joint_elbow": ("ulna", (0.0, 0.0, 0.0)),
    "joint_wrist": ("hand", (0.0, 0.0, 0.0)),
    "tip_toes": ("toes", (0.065, 0.008, -0.010)),
    "tip_thumb": ("hand", (0.040, -0.075, -0.030)),
    "knuckles": ("hand", (0.0, -0.085, 0.0)),
    "tip_hand": ("hand", (0.0, -0.170, 0.0)),
    "sole_heel": ("calcn", (0.010, 0.0, 0.0)),
    "sole_inner": ("calcn", (0.180, -0.006, -0.030)),
    "sole_outer": ("calcn", (0.140, -0.006, 0.040)),
    "sole_toes": ("toes", (0.060, -0.004, 0.0)),
    "seat": ("pelvis", (-0.085, -0.170, 0.060)),  # below the ischium, with what one sits on
    "kneecap": ("femur", (0.045, -0.400, 0.0)),
}
_MIDDLE = {
    "head_front": ("head", (0.085, 0.025, 0.0)),  # Human3.6M's Neck/Nose joint, behind the face
    "vertex": ("head", (0.0159224, 0.164131, 0.0)),
}
_FACE = {  # right: front of the eyeball; entrance of the ear canal, bitragion breadth 145 mm, to about 1 cm
    "Eye": ("head", (0.0781497, 0.0467611, 0.0311069)),
    "Ear": ("head", (0.005, 0.025, 0.0725)),
}
SIDED = ("pelvis",)  # bodies that carry both sides


def face() -> dict[str, tuple[str, tuple[float, float, float]]]:
    """{'LEye': (body, offset), …}: eyes and ears where they are, not where a detector sees them."""
    sides = (("R", 1.0), ("L", -1.0))
    return {side + name: (body, (x, y, sign * z)) for name, (body, (x, y, z)) in _FACE.items() for side, sign in sides}


def landmarks() -> dict[str, tuple[str, tuple[float, float, float]]]:
    """{name: (body, offset)}; the name of a sided one ends in `_r` or `_l`."""
    found = dict(_MIDDLE)
    for name, (body, (x, y, z)) in _RIGHT.items():
        for side, sign in (("r", 1.0), ("l", -1.0)):
            found[f"{name}_{side}"] = (body if body in SIDED else f"{body}_{side}", (x, y, sign * z))
    return found


CONTACTS = tuple(
    f"{name}_{side}" for name in ("sole_heel", "sole_inner", "sole_outer", "sole_toes", "seat") for side in "rl"
)
