"""The skin: its asset, its weights, and how it lies on and goes with the bones."""

import numpy as np
import pytest
from ray_hits import ray_hits

from simspine.anatomy.body import neutral_poses
from simspine.anatomy.marker_sets import PELVIS_SKIN_MARKERS, read_skin_table
from simspine.anatomy.skin import (
    bind_skin,
    blend_points,
    posed_points,
    poses_at_rest,
    rest_surface,
    segment_maps,
    skin_asset,
    surface_normals,
)
from simspine.core.errors import InputError

JOINTS = {"shoulder": "humerus", "elbow": "ulna", "wrist": "hand", "hip": "femur", "knee": "tibia", "ankle": "talus"}
# of both parts that meet in it, the one whose own end it is
CARRIER = {
    "shoulder": "clavicle",
    "elbow": "humerus",
    "wrist": "ulna",
    "hip": "femur",
    "knee": "femur",
    "ankle": "tibia",
}


def frames(poses):
    return {name: pose[None] for name, pose in poses.items()}


def test_weights_add_up_to_one():
    asset = skin_asset()
    np.testing.assert_allclose(asset.weights.sum(1), 1, atol=1e-12)
    assert asset.weights.min() >= 0
    assert asset.carriers.max() < len(asset.segments)


def test_the_surface_is_closed_but_for_eyes_and_mouth():
    """Each edge belongs to two triangles that run along it in opposite ways; few lie at the openings left."""
    triangles = skin_asset().triangles
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    there = {tuple(edge) for edge in edges.tolist()}
    assert len(there) == len(edges)
    alone = sum((b, a) not in there for a, b in there)
    assert alone < 0.01 * len(edges)


def test_without_changes_a_person_is_the_asset():
    asset = skin_asset()
    np.testing.assert_array_equal(rest_surface(0.0).points, asset.points[0])
    np.testing.assert_array_equal(rest_surface(1.0, {"heavier": 0.0}).points, asset.points[1])
    still = np.tile(np.eye(4)[:3], (len(asset.segments), 1, 1))
    moved = blend_points(asset.points[0], asset.carriers, asset.weights, still)
    np.testing.assert_allclose(moved, asset.points[0], atol=1e-12)


def test_landmarks_go_with_the_shape():
    """Twice the change of shape moves surface and knee twice as far."""
    one, two = rest_surface(0.0, {"body 1": 0.5}), rest_surface(0.0, {"body 1": 1.0})
    base = rest_surface(0.0)
    np.testing.assert_allclose(two.landmarks["knee_r"] - base.landmarks["knee_r"],
                               2 * (one.landmarks["knee_r"] - base.landmarks["knee_r"]), atol=1e-12)  # fmt: skip
    np.testing.assert_allclose(two.points - base.points, 2 * (one.points - base.points), atol=1e-12)


def test_an_unknown_direction_is_named():
    with pytest.raises(InputError, match="heavier"):
        rest_surface(0.5, {"heavyer": 1.0})


def test_at_rest_joints_lie_on_joints(body, skin):
    poses = poses_at_rest(body)
    maps = {name: poses[name] @ np.vstack([m, [0, 0, 0, 1]]) for name, m in zip(skin.segments, skin.maps, strict=True)}
    for side in "rl":
        for joint, owner in JOINTS.items():
            at = maps[f"{CARRIER[joint]}_{side}"] @ [*skin.landmarks[f"{joint}_{side}"], 1]
            np.testing.assert_allclose(at[:3], poses[f"{owner}_{side}"][:3, 3], atol=1e-9, err_msg=joint)
    for level in ("lumbar3", "T8", "C7"):
        at = maps[level] @ [*skin.landmarks[level], 1]
        np.testing.assert_allclose(at[:3], poses[level][:3, 3], atol=1e-9)


def test_a_body_moved_as_a_whole_moves_its_skin_as_a_whole(body, skin):
    poses = neutral_poses(body)
    c, s = np.cos(0.7), np.sin(0.7)
    move = np.array([[c, 0, s, 0.3], [0, 1, 0, -0.2], [-s, 0, c, 1.5], [0, 0, 0, 1]])
    still = posed_points(skin, segment_maps(skin, frames(poses))[0])
    moved = posed_points(skin, segment_maps(skin, frames({name: move @ pose for name, pose in poses.items()}))[0])
    np.testing.assert_allclose(moved, still @ move[:3, :3].T + move[:3, 3], atol=1e-9)


def test_a_bent_level_moves_the_back_above_it_and_not_the_seat(body, skin):
    still = posed_points(skin, segment_maps(skin, frames(neutral_poses(body)))[0])
    bent = posed_points(skin, segment_maps(skin, frames(neutral_poses(body, {"L3_L4_Flex_Ext": -0.3})))[0])
    moved = np.linalg.norm(bent - still, axis=1)
    height = still[:, 1]
    trunk = np.abs(still[:, 2]) < 0.12
    assert moved[trunk & (height < 0.95)].max() < 1e-4
    assert moved[trunk & (height > 1.35)].min() > 0.05
    joint = neutral_poses(body)["lumbar3"][:3, 3]
    far = trunk & (height > 1.35)
    lever = np.linalg.norm((still[far] - joint)[:, :2], axis=1)
    np.testing.assert_allclose(moved[far], 2 * np.sin(0.15) * lever, rtol=0.15)  # all of the joint's angle arrives


def test_the_back_is_as_deep_as_published(body, skin):
    """From the tips of the spinous processes straight back to the skin, against skin.yaml: within 11 mm a level."""
    poses, table = neutral_poses(body), read_skin_table()
    surface, triangles = posed_points(skin, segment_maps(skin, frames(poses))[0]), skin_asset().triangles
    pelvis = poses["pelvis"][:3, 3]
    off = []
    for level in table.levels:
        if level in PELVIS_SKIN_MARKERS or level == "S1":
            continue
        place = table.places[level]
        tip = pelvis + table.origins[place.body] + place.bone
        off.append(ray_hits(tip, np.array([-1.0, 0, 0]), surface, triangles)[0] - place.depth)
    assert np.abs(off).max() < 0.011
    assert abs(np.mean(off)) < table.person_depth_sd / 2


def test_normals_point_outwards():
    asset = skin_asset()
    outward = surface_normals(asset.points[0], asset.triangles)
    chest = asset.points[0][:, 0].argmax()
    assert outward[chest] @ [1, 0, 0] > 0
    np.testing.assert_allclose(np.linalg.norm(outward, axis=1), 1, atol=1e-9)


def test_a_body_without_vertebrae_is_refused():
    from simspine.anatomy.recipes import build_body, read_recipe

    with pytest.raises(InputError, match="every vertebra"):
        bind_skin(rest_surface(0.5), build_body(read_recipe("coupled"), "vertebral"))
