"""A mesh over a picture against what a pinhole camera must see of a flat square."""

import numpy as np
import pytest

from simspine.core.types import Camera
from simspine.synthesis.shading import draw_mesh_over

K = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
CAMERA = Camera("cam", (100, 80), K, np.zeros(5), np.eye(3), np.zeros(3))  # looks along z
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])


def square(depth, half=0.1, x=0.0):
    corners = np.add([[-half, -half], [half, -half], [half, half], [-half, half]], (x, 0))
    return np.column_stack([corners * depth, np.full(4, depth)])


def drawn(points, colours, opacity=1.0, triangles=TRIANGLES):
    picture = np.full((80, 100, 3), 40, np.uint8)
    normals = np.tile([0.0, 0.0, -1.0], (len(points), 1))
    draw_mesh_over(picture, CAMERA, points, normals, triangles, np.array(colours), opacity)
    return picture


def test_a_square_lies_where_the_camera_sees_it_and_nowhere_else():
    picture = drawn(square(2.0), [[200, 100, 50]] * 2)
    inside = np.zeros((80, 100), bool)
    inside[30:51, 40:61] = True  # ± 10 px about (50, 40), pixel centres at whole numbers
    changed = (picture != 40).any(-1)
    assert not changed[~inside].any()
    assert changed[31:50, 41:60].all()
    np.testing.assert_allclose(picture[40, 50], [200, 100, 50], atol=1)  # seen head on: its own colour
    edge, middle = picture[31:50, 40].mean(), picture[31:50, 42].mean()
    assert 40 < edge < middle  # softened


@pytest.mark.parametrize("order", [(2.0, 3.0), (3.0, 2.0)])
def test_the_nearer_square_is_seen(order):
    points = np.concatenate([square(order[0]), square(order[1])])
    colours = [[250, 0, 0]] * 2 + [[0, 250, 0]] * 2
    picture = drawn(points, colours, triangles=np.concatenate([TRIANGLES, TRIANGLES + 4]))
    assert picture[40, 50].argmax() == np.argmin(order)


def test_opacity_blends_with_the_picture():
    np.testing.assert_allclose(drawn(square(2.0), [[240, 240, 240]] * 2, 0.25)[40, 50], 0.25 * 240 + 0.75 * 40, atol=1)


def test_what_faces_away_is_dim():
    points, picture = square(2.0), np.zeros((80, 100, 3), np.uint8)
    draw_mesh_over(picture, CAMERA, points, np.tile([1.0, 0, 0], (4, 1)), TRIANGLES, np.full((2, 3), 200.0))
    assert 50 < picture[40, 50, 0] < 90


@pytest.mark.parametrize("points", [square(-2.0), square(2.0, x=4.0), np.full((4, 3), np.nan)])
def test_what_is_behind_beside_or_unknown_leaves_the_picture(points):
    assert (drawn(points, [[200, 100, 50]] * 2) == 40).all()


def test_a_missing_corner_takes_only_its_triangle():
    points = square(2.0)
    points[3] = np.nan
    picture = drawn(points, [[200, 100, 50]] * 2)
    assert picture[33, 55, 0] > 150
    assert picture[47, 45, 0] == 40
