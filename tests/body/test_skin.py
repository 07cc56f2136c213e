"""Markers on the skin: their places beside the model's bones, and on every body."""

import numpy as np
import pytest
from tools.measure_endplates import attached_bones

from simspine.body.kinematics import neutral_markers, neutral_poses
from simspine.body.recipes import build, read_recipe
from simspine.body.skin import read_skin_table
from simspine.errors import InputError
from simspine.skeletons.skin_names import SKIN

LANDMARKS = tuple(name + SKIN for name in read_skin_table().places)
HEIGHT = 0.007


@pytest.fixture(scope="module", params=["coupled", "articulated"])
def places(request):
    """{marker: (3,) m in ground} of a body in its neutral pose."""
    body = build(request.param, "blazepose", LANDMARKS, HEIGHT)
    return dict(zip(body.marker_names, neutral_markers(body, neutral_poses(body)), strict=True))


def test_the_same_place_on_every_body(places):
    body = build("coupled", "blazepose", LANDMARKS, HEIGHT)
    whole = dict(zip(body.marker_names, neutral_markers(body, neutral_poses(body)), strict=True))
    for name in LANDMARKS:
        np.testing.assert_allclose(places[name], whole[name], atol=1e-9, err_msg=name)


@pytest.mark.parametrize("landmark", ["C7", "T1", "T6", "T10", "L1", "L3", "L5"])
def test_a_marker_is_behind_the_rearmost_point_of_the_bone(places, landmark):
    """The bone's own mesh says where its process ends; the table says how much tissue is behind it."""
    base = read_recipe("coupled").base
    bone = next(bone for bone in attached_bones(base, base.parent / "Geometry") if bone.level == landmark)
    pose = neutral_poses(build("coupled", "blazepose"))[bone.body]
    points = bone.points @ pose[:3, :3].T + pose[:3, 3]
    tip = points[np.argmin(points[:, 0])] * [1, 1, 0]
    place = read_skin_table().places[landmark]
    np.testing.assert_allclose(places[landmark + SKIN] - tip, [-place.depth - HEIGHT, 0, 0], atol=2e-3)


def test_the_processes_lie_where_palpation_finds_them(places):
    """Ernst et al. 2013: share of the way from C7 to the level of the posterior superior iliac spines."""
    height = {name.removesuffix(SKIN): places[name][1] for name in LANDMARKS}
    for landmark, percent in (("T4", 21.0), ("T7", 39.0), ("T10", 54.1), ("L1", 70.9), ("L4", 86.1)):
        share = (height["C7"] - height[landmark]) / (height["C7"] - height["LPSIS"])
        assert abs(100 * share - percent) < 2.0, landmark


def test_left_and_right_mirror_one_another(places):
    np.testing.assert_allclose(places["LPSIS" + SKIN] * [1, 1, -1], places["RPSIS" + SKIN], atol=1e-9)


def test_an_unknown_landmark_is_named():
    with pytest.raises(InputError, match=r"T13.*T12"):
        build("coupled", "blazepose", ("T13_skin",))
