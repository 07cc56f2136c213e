"""Points of the spine in one image, from joints seen in it: an inference of an inference, to look at.

How far hips and shoulders lie in depth is reconstructed under scaled orthographic projection from their foreshortening
(Taylor 2000, "Reconstruction of articulated objects from point correspondences in a single uncalibrated image"): the
scale is the least at which no segment is longer than it is in an adult. Foreshortening leaves signs open; the face and
the feet say which way the person faces, and the trunk is taken to lean that way. The spine then is that of
`spine_from_joints`, projected back.

Lengths are conventions of ours, near the neutral full-body model's. They cancel but for their proportions.
"""

from collections.abc import Mapping

import numpy as np

from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.spine.shape.from_joints import CONFIDENCE, JOINTS, spine_from_joints
from simspine.types import Markers

TRUNK, SHOULDERS, HIPS = 0.50, 0.34, 0.18  # m: mid-hips to mid-shoulders; between the shoulders, and the hips
FACING = (("Nose", ("LEar", "REar")), ("LBigToe", ("LHeel",)), ("RBigToe", ("RHeel",)))  # in front of, what
EAR_AHEAD = 0.03  # m, of the middle of the shoulders
EAR_DEPTH_SD = 0.06  # m
RATE = 1.0  # Hz; a single frame has none, but markers want one


def spine_in_image(points: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{point of the spine: (3,) x px, y px, confidence}, of one person and image; empty where it cannot be told.

    points: {SIMSPINE point: (3,) x px, y px, confidence}; NaN = not seen. Wanted are hips and shoulders; ears, nose and
    feet help. The confidence is `CONFIDENCE` of the least sure joint's.
    """
    seen = {name: np.asarray(p, float) for name, p in points.items() if np.isfinite(p[:2]).all()}
    if not set(JOINTS) <= set(seen):
        return {}
    xy = {name: p[:2] for name, p in seen.items()}
    hips, shoulders = _middle(xy, "Hip"), _middle(xy, "Shoulder")
    trunk = shoulders - hips
    lines = {"Shoulder": (xy["RShoulder"] - xy["LShoulder"], SHOULDERS), "Hip": (xy["RHip"] - xy["LHip"], HIPS)}
    length = float(np.linalg.norm(trunk))
    scale = max(length / TRUNK, *(float(np.linalg.norm(line)) / m for line, m in lines.values()))  # px/m
    if not length > 0:
        return {}
    ahead = _ahead(xy, trunk / length)
    joints = _in_space(xy, lines, (hips, shoulders, scale, ahead))
    spine = spine_from_joints(joints)
    sure = CONFIDENCE * float(min(seen[name][2] for name in JOINTS))
    found = {}
    for point, level in VERTEBRA_OF.items():
        place = spine.xyz[0, spine.index(level)]
        if np.isfinite(place).all():
            found[point] = np.array([hips[0] + scale * place[0], hips[1] - scale * place[1], sure])
    return found


def _middle(xy: Mapping[str, np.ndarray], part: str) -> np.ndarray:
    return (xy["L" + part] + xy["R" + part]) / 2


def _ahead(xy: Mapping[str, np.ndarray], up: np.ndarray) -> float:
    """Which way the person faces in the image: positive to the right of their trunk's line, in px of what tells it."""
    across = np.array([-up[1], up[0]])  # to the right in the image for a person who is upright
    votes = 0.0
    for front, behind in FACING:
        there = [xy[name] for name in behind if name in xy]
        if front in xy and there:
            votes += float((xy[front] - np.mean(there, axis=0)) @ across)
    return votes


def _in_space(xy: Mapping[str, np.ndarray], lines: Mapping[str, tuple[np.ndarray, float]], view: tuple) -> Markers:
    """Joints in the camera's axes x right, y up, z towards the camera, m, from mid-hips.

    view: mid-hips px, mid-shoulders px, px/m, which way the person faces.
    """
    hips, shoulders, scale, ahead = view
    upright = np.array([1.0, -1.0]) / scale  # px, y down → m, y up
    frontal = float(lines["Shoulder"][0][0] + lines["Hip"][0][0]) < 0  # the right side is left in the image
    lean = np.sqrt(max(TRUNK**2 - (np.linalg.norm(shoulders - hips) / scale) ** 2, 0.0))
    places = {"Hip": np.zeros(3), "Shoulder": np.r_[(shoulders - hips) * upright, lean if frontal else -lean]}
    xyz, covariance = {}, {}
    for part, (line, length) in lines.items():
        depth = np.sqrt(max(length**2 - (np.linalg.norm(line) / scale) ** 2, 0.0))
        half = np.r_[line * upright, -depth if ahead < 0 else depth] / 2
        xyz["R" + part], xyz["L" + part] = places[part] + half, places[part] - half
    if {"LEar", "REar"} <= set(xy):
        ears = (_middle(xy, "Ear") - hips) * upright
        along = (xyz["RShoulder"] - xyz["LShoulder"]) / SHOULDERS
        forward = np.cross([0.0, 1.0, 0.0], along)[2]
        depth = places["Shoulder"][2] + EAR_AHEAD * forward
        xyz["REar"] = xyz["LEar"] = np.r_[ears, depth]
        covariance = {name: np.diag([0.0, 0.0, EAR_DEPTH_SD**2]) for name in ("LEar", "REar")}
    names = tuple(xyz)
    spread = np.stack([covariance.get(name, np.zeros((3, 3))) for name in names])
    return Markers(names, RATE, np.stack([xyz[n] for n in names])[None], "y_up", covariance=spread[None])
