"""Where the inferred points of the spine lie on a body."""

from collections.abc import Mapping

import numpy as np

from simspine.body.kinematics import neutral_markers, neutral_poses
from simspine.body.model import Body
from simspine.errors import require_known
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.spine.shape.from_joints import JOINTS, spine_from_joints
from simspine.types import Markers


def inferred_places(body: Body, carriers: Mapping[str, str]) -> dict[str, tuple[str, np.ndarray]]:
    """Inferred point → (body that carries it, offset (3,) m), as inferred from the body's joints in the neutral pose.

    carriers: {point: body}. The way to infer them is `simspine.spine.shape.from_joints`. Empty where the body lacks
    markers for hips or shoulders. Raises `InputError` for a carrier that the body does not have.
    """
    names = body.marker_names
    if not set(JOINTS) <= set(names):
        return {}
    require_known(
        "body", dict.fromkeys(carriers.values()), body.bodies, f"{body.name!r} (hand in the recipe it was made by)"
    )
    poses = neutral_poses(body)
    spine = spine_from_joints(Markers(names, 1.0, neutral_markers(body, poses)[None], "y_up"))
    placed = {point: spine.xyz[0, spine.index(level)] for point, level in VERTEBRA_OF.items()}
    return {
        point: (carrier, poses[carrier][:3, :3].T @ (placed[point] - poses[carrier][:3, 3]))
        for point, carrier in carriers.items()
        if point in placed and np.isfinite(placed[point]).all()
    }
