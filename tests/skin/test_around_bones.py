"""The skin around a model's bones: nothing comes through, and nothing moves where nothing has to."""

import numpy as np
import pytest
from ray_hits import ray_hits

from simspine.anatomy.skin import posed_points, poses_at_rest, segment_maps, skin_asset
from simspine.report.bones import MIN_FLESH_M, skin_around_bones
from simspine.report.people_pictures import average_skin_solid
from simspine.report.trial_scene import bones_and_joints

WAY = np.array([0.36, 0.48, 0.8])  # through no edge of the surface


def surface(skin, body):
    poses = poses_at_rest(body)
    return posed_points(skin, segment_maps(skin, {name: pose[None] for name, pose in poses.items()})[0])


def winding(place, points, triangles):
    """How often the surface goes around a place, by the solid angles of its triangles (Van Oosterom & Strackee 1983);
    where fingers or lips overlap it is 2, which a count of hits on a ray takes for outside."""
    a, b, c = np.moveaxis(points[triangles] - place, 1, 0)
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return np.arctan2((a * np.cross(b, c)).sum(1), below).sum() / (2 * np.pi)


def share_outside(skin, body, bones, start):
    """Of the points of bones whose body's name starts so."""
    points, triangles, poses = surface(skin, body), skin_asset().triangles, poses_at_rest(body)
    places = [
        b.points[::25] @ poses[b.body][:3, :3].T + poses[b.body][:3, 3] for b in bones if b.body.startswith(start)
    ]
    return np.mean([winding(place, points, triangles) < 0.5 for place in np.concatenate(places)])


def test_bones_lie_inside(body, skin):
    bones = bones_and_joints(body.osim)[0]
    around = average_skin_solid(body, bones)
    assert share_outside(skin, body, bones, "") > 0.05  # by joints and points alone they do not
    assert share_outside(around, body, bones, "") < 0.01
    assert share_outside(around, body, bones, ("hand", "calcn", "toes")) < 0.1


def test_thumbs_point_where_the_bones_thumbs_do(body):
    """Both thumbs are the part of their hand furthest to the side away from the little finger."""
    bones = bones_and_joints(body.osim)[0]
    around, poses, asset = average_skin_solid(body, bones), poses_at_rest(body), skin_asset()
    points, main = surface(around, body), np.array(asset.segments)[asset.carriers[:, 0]]
    for side in "rl":
        pose = np.linalg.inv(poses[f"hand_{side}"])
        flesh = points[main == f"hand_{side}"] @ pose[:3, :3].T + pose[:3, 3]
        bone = np.concatenate([b.points for b in bones if b.body == f"hand_{side}"])
        for axis in range(3):
            assert flesh[:, axis].min() == pytest.approx(bone[:, axis].min(), abs=0.025)
            assert flesh[:, axis].max() == pytest.approx(bone[:, axis].max(), abs=0.025)


def test_one_point_outside_moves_the_skin_there_and_nowhere_else(body, skin):
    start, pose = surface(skin, body), poses_at_rest(body)["femur_r"]
    knee = poses_at_rest(body)["tibia_r"][:3, 3]
    thigh = int(np.linalg.norm(start - (0.5 * (pose[:3, 3] + knee)), axis=1).argmin())
    outward = start[thigh] - (0.5 * (pose[:3, 3] + knee))
    place = start[thigh] + 0.008 * outward / np.linalg.norm(outward)
    local = np.linalg.inv(pose) @ [*place, 1]
    moved = surface(skin_around_bones(skin, body, {"femur_r": local[None, :3]}), body)
    assert len(ray_hits(place, WAY, start, skin_asset().triangles)) % 2 == 0
    assert len(ray_hits(place, WAY, moved, skin_asset().triangles)) % 2 == 1
    away = np.linalg.norm(start - place, axis=1)
    step = np.linalg.norm(moved - start, axis=1)
    assert step.max() < 0.008 + 3 * MIN_FLESH_M
    assert step[away > 0.25].max() < 1e-6


def test_bones_deep_inside_leave_the_skin_as_it_was(body, skin):
    inside = {"T6": np.array([[0.02, 0.0, 0.0]]), "femur_l": np.array([[0.0, -0.2, 0.0]])}
    np.testing.assert_allclose(surface(skin_around_bones(skin, body, inside), body), surface(skin, body), atol=1e-9)
