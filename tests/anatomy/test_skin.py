"""Markers on the skin: their places against the model's bones, and on every body."""

import numpy as np
import pytest
from tools.measure_endplates import attached_bones

from simspine.anatomy.body import body_poses, forward_kinematics, neutral_markers, neutral_motion, neutral_poses
from simspine.anatomy.curvature import read_endplates
from simspine.anatomy.marker_sets import read_skin_table
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.anatomy.split_torso import carried_vertebrae
from simspine.anatomy.vertebrae import vertebra_centroids
from simspine.core.errors import InputError
from simspine.core.skeletons import SKIN_SUFFIX, unit_vectors

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


def test_the_skin_lies_as_far_behind_the_vertebrae_as_in_people():
    """Kaiser et al. 2025, means of three studies of standing people: 59 mm from T1 to T6, then evenly more down to L5.

    There it is 81 mm. Bones are scaled to 0.9 of the model's, the tissue is not; the trunk is turned upright."""
    body, table = build_body("articulated", "blazepose", LANDMARKS), read_skin_table()
    values = np.zeros((1, len(body.coordinates)))
    for region in read_recipe("articulated").articulation.regions:
        for level, angle in zip(region.levels, region.axes[0].standing, strict=True):
            values[:, body.coordinates.index(f"{level}_Flex_Ext")] = angle
    standing = neutral_motion(body)
    standing = standing.with_(values=standing.values + values)
    skin = dict(zip(LANDMARKS, forward_kinematics(body, standing, names=LANDMARKS).xyz[0], strict=True))
    carriers = carried_vertebrae(read_recipe("articulated").articulation, read_endplates())
    centres = vertebra_centroids(body_poses(body, standing), carriers, 1.0)
    levels = [level for level in table.levels if level in centres.names]
    marks = np.array([skin[level + SKIN_SUFFIX] for level in levels])
    line = centres.select(levels).xyz[0]
    pelvis = (skin["LPSIS" + SKIN_SUFFIX] + skin["RPSIS" + SKIN_SUFFIX]) / 2
    down = unit_vectors(np.append((pelvis - marks[0])[:2], 0.0))
    forward = np.array([-down[1], down[0], 0.0])
    depth = np.array([table.places[level].depth for level in levels])[:, None] * forward
    marks, line = 0.9 * (marks + depth) - depth, 0.9 * line
    found = np.interp(marks @ down, line @ down, line @ forward) - marks @ forward
    below = (marks @ down)[levels.index("T6") :]
    expected = np.full(len(levels), 0.059)
    fifth = levels.index("L5")
    expected[levels.index("T6") :] = np.interp(below, [below[0], (marks @ down)[fifth]], [0.059, 0.081])
    first = levels.index("T1")
    np.testing.assert_allclose(found[first : fifth + 1], expected[first : fifth + 1], atol=2e-3)


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
