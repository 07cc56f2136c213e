"""Where the inferred points of the spine lie on a body."""

from collections.abc import Mapping

import numpy as np

from simspine.body.kinematics import neutral_markers, neutral_poses
from simspine.body.model import Body
from simspine.detection.spine_inference import HEADS, JOINTS, SPINE, infer_spine
from simspine.errors import unknown_name


def inferred_places(body: Body, carriers: Mapping[str, str]) -> dict[str, tuple[str, np.ndarray]]:
    """Inferred point → (body that carries it, offset (3,) m), by the rule applied to the neutral pose.

    carriers: {point: body}. Empty where the body has no markers for the joints the rule needs (hips, shoulders, head).
    Raises `InputError` for a carrier that the body does not have.
    """
    names = body.marker_names
    if not (set(JOINTS) <= set(names) and any(set(head) <= set(names) for head in HEADS)):
        return {}
    for carrier in dict.fromkeys(carriers.values()):
        if carrier not in body.bodies:
            raise unknown_name("body", carrier, body.bodies, f"{body.name!r} (hand in the recipe it was made by)")
    poses = neutral_poses(body)
    placed = dict(zip(SPINE, infer_spine(neutral_markers(body, poses), names), strict=True))
    return {
        point: (carrier, poses[carrier][:3, :3].T @ (placed[point] - poses[carrier][:3, 3]))
        for point, carrier in carriers.items()
        if point in placed
    }
