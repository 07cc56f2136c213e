"""A scene with skin: an articulated body at rest that is shifted and turned over four frames."""

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.anatomy.body import neutral_poses
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.core.types import Markers
from simspine.report.people_pictures import average_skin_solid
from simspine.report.scene import Scene

SHIFTS = np.array([[0, 0, 0], [0.3, 0, 0], [0.3, 0, -0.4], [0, 0.1, 0]], float)  # m, y up


def skinned_scene():
    """No bones: the skin alone. The head turns by 0.05 rad a frame about the vertical."""
    body = build_body(read_recipe("articulated"), "vertebral")
    poses = {}
    for name, rest in neutral_poses(body).items():
        pose = np.tile(rest, (len(SHIFTS), 1, 1))
        pose[:, :3, 3] += SHIFTS
        if name == "head":
            pose[:, :3, :3] = (
                Rotation.from_euler("y", 0.05 * np.arange(len(SHIFTS))[:, None]).as_matrix() @ rest[:3, :3]
            )
        poses[name] = pose
    spine = Markers((), 10.0, np.zeros((len(SHIFTS), 0, 3)), "y_up")
    return Scene("walk", spine, poses=poses, skin=average_skin_solid(body))
