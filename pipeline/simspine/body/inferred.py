"""Where the inferred points of the spine lie on a body."""

from collections.abc import Mapping

import numpy as np

from simspine.body.kinematics import neutral_markers, neutral_poses
from simspine.body.model import Body
from simspine.detection.spine_inference import HEADS, JOINTS, SPINE, infer_spine
from simspine.errors import unknown_name
from simspine.spine.shape.from_joints import LEVEL, spine_from_joints
from simspine.types import Markers

WAYS = ("shape", "rule")


def inferred_places(body: Body, carriers: Mapping[str, str], way: str = "shape") -> dict[str, tuple[str, np.ndarray]]:
    """Inferred point → (body that carries it, offset (3,) m), as inferred from the body's joints in the neutral pose.

    carriers: {point: body}. way: 'shape' (`simspine.spine.shape.from_joints`) or 'rule'
    (`simspine.detection.spine_inference`). Empty where the body has no markers for the joints they need (hips,
    shoulders, head). Raises `InputError` for a carrier that the body does not have, or an unknown way.
    """
    if way not in WAYS:
        raise unknown_name("way to infer the spine", way, WAYS)
    names = body.marker_names
    if not (set(JOINTS) <= set(names) and any(set(head) <= set(names) for head in HEADS)):
        return {}
    for carrier in dict.fromkeys(carriers.values()):
        if carrier not in body.bodies:
            raise unknown_name("body", carrier, body.bodies, f"{body.name!r} (hand in the recipe it was made by)")
    poses = neutral_poses(body)
    joints = neutral_markers(body, poses)
    if way == "rule":
        placed = dict(zip(SPINE, infer_spine(joints, names), strict=True))
    else:
        spine = spine_from_joints(Markers(names, 1.0, joints[None], "y_up"))
        placed = {point: spine.xyz[0, spine.index(level)] for point, level in LEVEL.items()}
    return {
        point: (carrier, poses[carrier][:3, :3].T @ (placed[point] - poses[carrier][:3, 3]))
        for point, carrier in carriers.items()
        if point in placed and np.isfinite(placed[point]).all()
    }
