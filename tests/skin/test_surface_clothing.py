"""Garments: where they end, and that they lie outside the skin."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from simspine.anatomy.skin import rest_surface, skin_asset, surface_normals
from simspine.synthesis.rendered_people import GarmentCut, cut_to_hem, dress_skin, garment_field


@pytest.fixture(scope="module")
def rest():
    return rest_surface(0.3)


@pytest.mark.parametrize(
    "cut", [GarmentCut("top", 0.5, 0.01), GarmentCut("bottom", 1.5, 0.01), GarmentCut("hair", 0.04, 0.012, 2)]
)
def test_a_garment_lies_outside_the_skin_it_covers(rest, cut):
    (garment,), _ = dress_skin(rest, [cut])
    outward = surface_normals(rest.points, skin_asset().triangles)
    deep = garment_field(rest, cut)[garment.carried] > 0.03
    above = ((garment.points - rest.points[garment.carried]) * outward[garment.carried]).sum(1)
    assert deep.sum() > 50
    assert above[deep].min() > 0.9 * cut.thickness


def test_sleeves_and_legs_end_where_they_are_cut(rest):
    at = rest.landmarks
    top, bottom = (
        garment_field(rest, GarmentCut("top", 1.0, 0.01)),
        garment_field(rest, GarmentCut("bottom", 1.0, 0.01)),
    )
    tree = cKDTree(rest.points)
    for name, value in (("wrist_r", top), ("ankle_r", bottom), ("knuckle_l", top)):
        assert (value[tree.query_ball_point(at[name], 0.06)] < 0).all()
    assert (top[tree.query_ball_point((at["shoulder_r"] + at["elbow_r"]) / 2, 0.07)] > 0).all()
    assert (bottom[tree.query_ball_point((at["hip_l"] + at["knee_l"]) / 2, 0.09)] > 0).all()


def test_skin_under_clothes_is_not_drawn_and_the_rest_is(rest):
    cuts = [GarmentCut("bottom", 0.6, 0.01), GarmentCut("top", 0.5, 0.01)]
    _, bare = dress_skin(rest, cuts)
    covered = np.maximum(garment_field(rest, cuts[0]), garment_field(rest, cuts[1]))
    assert (covered[bare].min(1) < 0.03).all()
    assert {tuple(t) for t in bare.tolist()} >= {
        tuple(t) for t in skin_asset().triangles[(covered[skin_asset().triangles] < 0).all(1)].tolist()
    }


def test_points_outside_slide_to_the_hem():
    """A square of two triangles, its field the height less one: the points at height 0 come to height 1."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [1, 2, 0.0]])
    found = cut_to_hem(points, points[:, 1] - 1.0, np.array([[0, 1, 2], [1, 3, 2]]))
    np.testing.assert_allclose(found[:2, 1], 1.0)
    np.testing.assert_array_equal(found[2:], points[2:])
