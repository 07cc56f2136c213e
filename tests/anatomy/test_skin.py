"""Markers on the skin: their places against the model's bones, and on every body."""

import numpy as np
import pytest
from tools.measure_endplates import attached_bones

from simspine.anatomy.body import neutral_markers, neutral_poses
from simspine.anatomy.marker_sets import read_skin_table
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.core.errors import InputError
from simspine.core.skeletons import SKIN_SUFFIX

LANDMARKS = tuple(name + SKIN_SUFFIX for name in read_skin_table().places)
HEIGHT = 0.007


@pytest.fixture(scope="module", params=["coupled", "articulated"])
def places(request):
    """{marker: (3,) m in ground} of a body in its neutral pose."""
    body = build_body(request.param, "blazepose", LANDMARKS, HEIGHT)
    return dict(zip(body.marker_names, neutral_markers(body, neutral_poses(body)), strict=True))


def test_the_same_place_on_every_body(places):
    body = build_body("coupled", "blazepose", LANDMARKS, HEIGHT)
    whole = dict(zip(body.marker_names, neutral_markers(body, neutral_poses(body)), strict=True))
    for name in LANDMARKS:
        np.testing.assert_allclose(places[name], whole[name], atol=1e-9, err_msg=name)


@pytest.mark.parametrize("landmark", ["C7", "T1", "T6", "T10", "L1", "L3", "L5"])
def test_a_marker_is_behind_the_rearmost_point_of_the_bone(places, landmark):
    """The bone's own mesh says where its process ends; the table says how much tissue is behind it."""
    base = read_recipe("coupled").base
    bone = next(bone for bone in attached_bones(base, base.parent / "Geometry") if bone.level == landmark)
    pose = neutral_poses(build_body("coupled", "blazepose"))[bone.body]
    points = bone.points @ pose[:3, :3].T + pose[:3, 3]
    tip = points[np.argmin(points[:, 0])] * [1, 1, 0]
    place = read_skin_table().places[landmark]
    np.testing.assert_allclose(places[landmark + SKIN_SUFFIX] - tip, [-place.depth - HEIGHT, 0, 0], atol=2e-3)


def test_the_processes_lie_where_palpation_finds_them(places):
    """Ernst et al. 2013: share of the way from C7 to the level of the posterior superior iliac spines."""
    height = {name.removesuffix(SKIN_SUFFIX): places[name][1] for name in LANDMARKS}
    for landmark, percent in (("T4", 21.0), ("T7", 39.0), ("T10", 54.1), ("L1", 70.9), ("L4", 86.1)):
        share = (height["C7"] - height[landmark]) / (height["C7"] - height["LPSIS"])
        assert abs(100 * share - percent) < 2.0, landmark


def test_bodies_stand_where_the_table_has_them():
    poses = neutral_poses(build_body("coupled", "blazepose"))
    for body, origin in read_skin_table().origins.items():
        np.testing.assert_allclose(poses[body][:3, 3] - poses["pelvis"][:3, 3], origin, atol=5e-5, err_msg=body)
        np.testing.assert_allclose(poses[body][:3, :3], np.eye(3), atol=1e-9, err_msg=body)


@pytest.mark.parametrize("recipe", ["coupled", "articulated"])
def test_a_dot_lies_between_its_neighbours(recipe):
    """On the straight line between the markers of two levels, at its share of the way."""
    dots = {"T7.40": ("T7", "T8"), "T12.75": ("T12", "L1"), "L3.50": ("L3", "L4"), "L5.20": ("L5", "S1")}
    levels = tuple(level + SKIN_SUFFIX for pair in dots.values() for level in pair)
    body = build_body(recipe, "blazepose", (*dict.fromkeys(levels), *(dot + SKIN_SUFFIX for dot in dots)), HEIGHT)
    at = dict(zip(body.marker_names, neutral_markers(body, neutral_poses(body)), strict=True))
    for dot, (above, below) in dots.items():
        share = float(dot[-3:])
        line = (1 - share) * at[above + SKIN_SUFFIX] + share * at[below + SKIN_SUFFIX]
        np.testing.assert_allclose(at[dot + SKIN_SUFFIX], line, atol=1e-9, err_msg=dot)


def test_the_way_along_the_skin_goes_both_ways():
    table = read_skin_table()
    for name in ("C7.00", "T4.37", "T12.99", "L5.60", "S1.00"):
        assert table.landmark_at(table.along(name)) == name
    assert table.along("T7") == table.along("T7.00")


@pytest.mark.parametrize("name", ["S1.20", "T13.20", "LPSIS.20", "T7.4"])
def test_a_dot_beyond_the_spine_is_named(name):
    with pytest.raises(InputError, match=f"unknown marker on the skin '{name}'"):
        read_skin_table().of([name])


def test_left_and_right_mirror_one_another(places):
    np.testing.assert_allclose(places["LPSIS" + SKIN_SUFFIX] * [1, 1, -1], places["RPSIS" + SKIN_SUFFIX], atol=1e-9)


def test_an_unknown_landmark_is_named():
    with pytest.raises(InputError, match=r"T13.*T12"):
        build_body("coupled", "blazepose", ("T13_skin",))
