"""The body of a person of another anatomy as rigid segments: poses from coordinates, and the points they carry.

World y_up, metres; poses (frames, 4, 4) map a segment's points to the ground. Spine: a vertebra's origin is its
centroid, its y axis midway between the normals of its endplates. Limbs: two links between joint centres.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation
from tools.other_anatomy.anatomy import ForeignSpine, ForeignSubject

from simspine.anatomy.curvature import Endplate, Vertebra, parse_point

BODY_SIDES = ("R", "L")
RIB_CAGE_VERTEBRAE = ("T1", "T4", "T8")  # the rib cage turns and moves as their mean
ARM_REST_ELEVATION_RAD = 0.2  # rad; below about this elevation the shoulder blade rests
MAX_LEG_EXTENSION = 0.9993  # of a leg's length, hip to ankle, with the knee as straight as in standing


@dataclass(frozen=True, eq=False)
class ForeignPose:
    """Coordinates of a person over time; angles in rad, lengths in m, all (frames, …).

    hips: (3,) middle of the hip joint centres. pelvis: (3,) forward tilt, tilt to the right, turn to the left, from
    standing. levels: (25, 3) flexion, bending to the right, turn to the left, from standing. arms: (2, 4) R and L:
    raised forward, raised outwards, elbow, inward roll. girdle: (2, 2) shrug, protraction. feet: (2, 3) R and L: the
    place on the floor below the flat foot's ankle, and its lift. foot_pitch: (2,) toes up; the foot rolls over heel or
    ball.
    """

    hips: np.ndarray
    pelvis: np.ndarray
    levels: np.ndarray
    arms: np.ndarray
    girdle: np.ndarray
    feet: np.ndarray
    foot_pitch: np.ndarray


def rotation_about_axis(axis: str, angle: np.ndarray) -> np.ndarray:
    """Right-hand rotations (…, 3, 3) about an axis."""
    return Rotation.from_euler(axis, np.reshape(angle, (-1, 1))).as_matrix().reshape(*np.shape(angle), 3, 3)


def joint_turn(angles: np.ndarray) -> np.ndarray:
    """Rotations (…, 3, 3) of flexion, bending to the right, turn to the left (…, 3)."""
    turns = np.reshape(angles * (-1, 1, 1), (-1, 3))
    return Rotation.from_euler("ZXY", turns).as_matrix().reshape(*angles.shape[:-1], 3, 3)


def rigid_pose(rotation: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Poses (…, 4, 4)."""
    shape = np.broadcast_shapes(rotation.shape[:-2], origin.shape[:-1])
    pose = np.zeros((*shape, 4, 4))
    pose[..., :3, :3], pose[..., :3, 3], pose[..., 3, 3] = rotation, origin, 1
    return pose


def place_on_segment(pose: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Where a segment's point is: (…, 3)."""
    return pose[..., :3, :3] @ point + pose[..., :3, 3]


def _lean_rotation(angle: float) -> np.ndarray:
    return rotation_about_axis("z", np.array(angle))


def foreign_vertebrae(spine: ForeignSpine) -> dict[str, Vertebra]:
    """Centroids and endplates, each vertebra on a body of its name, head to sacrum."""
    found = {}
    for name, height, wedge in zip(spine.vertebrae, spine.height, spine.wedge, strict=True):
        upper, lower = (
            Endplate(name, (0.0, sign * height / 2, 0.0), parse_point(_lean_rotation(sign * wedge / 2)[:, 1]))
            for sign in (1, -1)
        )
        has_upper, has_lower = name not in ("C1", "C2"), name not in ("C1", "S1")
        found[name] = Vertebra(
            level=name,
            body=name,
            centroid=(0.0, 0.0, 0.0),
            superior=upper if has_upper else None,
            inferior=lower if has_lower else None,
        )
    return dict(reversed(found.items()))


def spine_poses(subject: ForeignSubject, pelvis: np.ndarray, levels: np.ndarray) -> dict[str, np.ndarray]:
    """{'S1': (frames, 4, 4), …, 'C1', 'skull'}. levels: (frames, 25, 3) from standing."""
    spine = subject.spine
    back = subject.sizes["pelvis"] * np.array([-np.sin(subject.tilt), np.cos(subject.tilt), 0.0])
    sacrum = _lean_rotation(-subject.slope - spine.wedge[0] / 2)
    at = back - sacrum[:, 1] * spine.height[0] / 2
    poses = {"S1": pelvis @ rigid_pose(sacrum, at)}
    heights, wedges = np.append(spine.height, 0.0), np.append(spine.wedge, 0.0)
    for i, (lower, upper) in enumerate(zip(spine.vertebrae, (*spine.vertebrae[1:], "skull"), strict=True)):
        gap = spine.disc[i]
        disc = rigid_pose(_lean_rotation((wedges[i] + spine.disc_angle[i]) / 2), np.array([0.0, heights[i] / 2, 0.0]))
        disc = disc @ rigid_pose(np.eye(3), np.array([0.0, gap / 2, 0.0]))
        centre = np.array([*spine.centre[i], 0.0])
        moved = joint_turn(levels[:, i])
        moved = rigid_pose(moved, centre - moved @ centre)
        rest = rigid_pose(np.eye(3), np.array([0.0, gap / 2, 0.0])) @ rigid_pose(
            rotation_about_axis("x", spine.sideways[i]), np.zeros(3)
        )
        rest = rest @ rigid_pose(_lean_rotation((spine.disc_angle[i] + wedges[i + 1]) / 2), np.zeros(3))
        rest = rest @ rigid_pose(np.eye(3), np.array([0.0, heights[i + 1] / 2, 0.0]))
        poses[upper] = poses[lower] @ disc @ moved @ rest
    return poses


def rib_cage(poses: Mapping[str, np.ndarray], rest: Mapping[str, np.ndarray]) -> np.ndarray:
    """The rib cage: turned as T1, T4, T8 are on average from standing, where it is upright; origin: their mean."""
    turned = [poses[name][:, :3, :3] @ np.swapaxes(rest[name][:, :3, :3], 1, 2) for name in RIB_CAGE_VERTEBRAE]
    u, _, v = np.linalg.svd(np.mean(turned, 0))
    u[..., -1] *= np.sign(np.linalg.det(u @ v))[:, None]
    return rigid_pose(u @ v, np.mean([poses[name][:, :3, 3] for name in RIB_CAGE_VERTEBRAE], 0))


def mirrored_point(values: np.ndarray, side: str) -> np.ndarray:
    """A right point on the other side."""
    return values * (1, 1, 1 if side == "R" else -1)


def rest_pose(subject: ForeignSubject, frames: int = 1) -> ForeignPose:
    """Standing at rest over the origin, feet below the hips, arms hanging."""
    zero = np.zeros
    feet = zero((frames, 2, 3))
    feet[:, :, 2] = np.array([0.5, -0.5]) * subject.sizes["hips"] * 1.15
    feet[:, :, 0] = -0.04
    pelvis, pitch, hips = zero((frames, 3)), zero((frames, 2)), zero((frames, 3))
    hips[:, 1] = standing_height(subject, hips, pelvis, feet=feet, pitch=pitch)
    arms = np.tile(np.radians([3.0, 7.0, 12.0, 15.0]), (frames, 2, 1))
    return ForeignPose(
        hips=hips,
        pelvis=pelvis,
        levels=zero((frames, len(subject.spine.levels), 3)),
        arms=arms,
        girdle=zero((frames, 2, 2)),
        feet=feet,
        foot_pitch=pitch,
    )


def foot_poses(subject: ForeignSubject, feet: np.ndarray, pitch: np.ndarray, side: str) -> np.ndarray:
    """Poses of a foot, from its place (frames, 3) and pitch (frames,): origin below the ankle on the sole.

    It rolls over the heel when the toes are up, over the ball when they are down, and never sinks into the floor.
    """
    heel, ball = subject.places["Heel"][0], subject.places["ball"][0]
    pivot = heel + (ball - heel) / (1 + np.exp(pitch / 0.04))
    lift = smooth_max(-heel * np.sin(pitch), -ball * np.sin(pitch), 0.002)
    yaw = rotation_about_axis("y", np.array(subject.gains["toes_out"] * (-1 if side == "R" else 1)))
    shift = np.stack([pivot * (1 - np.cos(pitch)), lift, np.zeros_like(pitch)], -1)
    return rigid_pose(yaw @ rotation_about_axis("z", pitch), feet + shift @ yaw.T)


def smooth_max(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """A smooth curve just above the larger of two."""
    return (a + b + np.sqrt((a - b) ** 2 + width**2)) / 2


def hip_centres(subject: ForeignSubject, pelvis: np.ndarray, side: str) -> np.ndarray:
    """Hip joint centres (frames, 3) from the middle of both; pelvis: (frames, 3) angles."""
    return pelvis_turn(pelvis) @ mirrored_point(np.array([0.0, 0.0, subject.sizes["hips"] / 2]), side)


def pelvis_turn(angles: np.ndarray) -> np.ndarray:
    """Rotations (frames, 3, 3) of forward tilt, tilt to the right, turn to the left; heading first."""
    return Rotation.from_euler("YXZ", angles[:, ::-1] * (1, 1, -1)).as_matrix()


def standing_height(subject, hips: np.ndarray, pelvis: np.ndarray, feet: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """(frames,) height of the hips with which the straighter leg is as straight as `MAX_LEG_EXTENSION` says."""
    reach, heights = MAX_LEG_EXTENSION * (subject.sizes["thigh"] + subject.sizes["shank"]), []
    for k, side in enumerate(BODY_SIDES):
        ankle = place_on_segment(foot_poses(subject, feet[:, k], pitch[:, k], side), _ankle_place(subject))
        hip = hip_centres(subject, pelvis, side)
        away = (hips + hip - ankle)[:, [0, 2]]
        heights.append(ankle[:, 1] + np.sqrt(np.maximum(reach**2 - (away**2).sum(1), 0.01)) - hip[:, 1])
    return -smooth_max(-heights[0], -heights[1], 0.004)


def _ankle_place(subject: ForeignSubject) -> np.ndarray:
    return np.array([0.0, subject.sizes["ankle_height"], 0.0])


def leg_points(subject: ForeignSubject, pose: ForeignPose) -> dict[str, np.ndarray]:
    """Hips, knees, ankles, and the feet's points; the toes lie flat while the heel rises."""
    sizes, places, points = subject.sizes, subject.places, {}
    turned = pelvis_turn(pose.pelvis)
    for k, side in enumerate(BODY_SIDES):
        foot = foot_poses(subject, pose.feet[:, k], pose.foot_pitch[:, k], side)
        hip, ankle = pose.hips + hip_centres(subject, pose.pelvis, side), place_on_segment(foot, _ankle_place(subject))
        ahead = turned[:, :, 0] + np.cross(foot[:, :3, 2] * [1, 0, 1], [0.0, -1.0, 0.0])
        points[f"{side}Hip"], points[f"{side}Ankle"] = hip, ankle
        points[f"{side}Knee"] = middle_joint(hip, ankle, sizes["thigh"], lower=sizes["shank"], towards=ahead)
        for name in ("Heel", "SmallToe"):
            points[side + name] = place_on_segment(foot, mirrored_point(places[name], side))
        up = smooth_max(pose.foot_pitch[:, k], np.zeros(len(foot)), 0.02) - pose.foot_pitch[:, k]
        ball = mirrored_point(places["ball"], side)
        toe = rotation_about_axis("z", up) @ (mirrored_point(places["BigToe"], side) - ball)
        points[f"{side}BigToe"] = place_on_segment(foot, ball) + np.einsum("nij,nj->ni", foot[:, :3, :3], toe)
    return points


def middle_joint(top: np.ndarray, end: np.ndarray, upper: float, lower: float, towards: np.ndarray) -> np.ndarray:
    """The joint (frames, 3) between two links from `top` to `end`, on the side that `towards` points to."""
    axis = end - top
    span = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = axis / span
    span = np.minimum(span, upper + lower)
    side = towards - (towards * axis).sum(1, keepdims=True) * axis
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    along = (upper**2 - lower**2 + span**2) / (2 * span)
    return top + along * axis + np.sqrt(np.maximum(upper**2 - along**2, 0.0)) * side


def arm_points(subject: ForeignSubject, ribs: np.ndarray, places: Mapping, pose: ForeignPose) -> dict[str, np.ndarray]:
    """Shoulders, elbows, wrists and inner ends of the clavicles. places: on the rib cage, standing, right side.

    The clavicle turns about its inner end, the scapula about the acromioclavicular joint; both follow the arm, by the
    person's own gains.
    """
    sizes, points = subject.sizes, {}
    yaw = np.arctan2(ribs[:, 0, 2], ribs[:, 2, 2])
    heading = rotation_about_axis("y", yaw)
    for k, side in enumerate(BODY_SIDES):
        arm, hinge = (
            np.einsum("nij,nj->ni", heading, mirrored_point(way, side)) for way in _arm_directions(pose.arms[:, k])
        )
        shoulder = _shoulder_on_ribs(subject.gains, ribs, places, arm=arm, girdle=pose.girdle[:, k])
        ground = np.einsum("nij,nj->ni", ribs[:, :3, :3], mirrored_point(shoulder, side)) + ribs[:, :3, 3]
        elbow = pose.arms[:, k, 2]
        points[f"{side}Clavicle"] = place_on_segment(ribs, mirrored_point(places["sternum"], side))
        points[f"{side}Shoulder"] = ground
        points[f"{side}Elbow"] = ground + sizes["upper_arm"] * arm
        fore = np.cos(elbow)[:, None] * arm + np.sin(elbow)[:, None] * hinge
        points[f"{side}Wrist"] = points[f"{side}Elbow"] + sizes["forearm"] * fore
    return points


def _arm_directions(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(frames, 3) of a right arm that faces x: where the upper arm points, and where the forearm goes at 90°."""
    forward, outward, _, roll = angles.T
    arm = np.stack([np.sin(forward) * np.cos(outward), -np.cos(forward) * np.cos(outward), np.sin(outward)], -1)
    hinge = np.stack([np.cos(forward), np.sin(forward), np.zeros_like(forward)], -1)
    return arm, np.cos(roll)[:, None] * hinge - np.sin(roll)[:, None] * np.cross(arm, hinge)


def _shoulder_on_ribs(
    gains: Mapping[str, float], ribs: np.ndarray, places: Mapping, arm: np.ndarray, girdle: np.ndarray
) -> np.ndarray:
    """(frames, 3) m, right side, of the rib cage. arm: (frames, 3) where the upper arm points in the ground."""
    local = np.einsum("nji,nj->ni", ribs[:, :3, :3], arm)
    raised = np.hypot(np.arccos(np.clip(-local[:, 1], -1, 1)), ARM_REST_ELEVATION_RAD) - ARM_REST_ELEVATION_RAD
    clavicle = rotation_about_axis("y", girdle[:, 1] - gains["retraction_per_elevation"] * raised)
    clavicle = clavicle @ rotation_about_axis("x", -(girdle[:, 0] + gains["clavicle_per_elevation"] * raised))
    scapula = rotation_about_axis("x", -gains["scapula_per_elevation"] * raised)
    acromion = places["sternum"] + clavicle @ (places["acromion"] - places["sternum"])
    return acromion + np.einsum("nij,j->ni", clavicle @ scapula, places["shoulder"] - places["acromion"])
