"""The marker set of Plug-in Gait: names as recorded, places on the skin, what measures the segments."""

import numpy as np
import pytest

from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.recipes import build_body, measured_by, read_recipe
from simspine.core.errors import InputError
from simspine.core.types import Markers, Origin


def recording(*names: str, **more) -> Markers:
    return Markers(names, 100.0, np.zeros((2, len(names), 3)), "y_up", **more)


def test_markers_keep_their_names_but_those_over_bone_of_the_back():
    named = read_marker_set("plugin_gait").renamed(recording("LASI", "T10", "SACR", "LPSI", "LHJC", "other"))
    assert named.names == ("LASI", "T10_skin", "S1_skin", "LPSIS_skin", "LHip", "other")
    assert named.names_of(Origin.DETECTED) == ("T10_skin", "S1_skin", "LPSIS_skin")
    assert named.names_of(Origin.GIVEN) == ("LASI", "LHip", "other")


def test_origins_that_a_recording_states_stay():
    stated = recording("LASI", "T10", origin=(Origin.DETECTED, Origin.GIVEN))
    assert read_marker_set("plugin_gait").renamed(stated).origins == stated.origins


def test_other_sets_rename_nothing():
    markers = recording("T10", "Hip")
    named = read_marker_set("centres").renamed(markers)
    assert named.names == markers.names
    assert named.origin is None


def test_two_markers_of_one_place_are_refused():
    with pytest.raises(InputError, match="S1, SACR are the same place"):
        read_marker_set("plugin_gait").renamed(recording("S1", "SACR"))


def test_left_and_right_mirror_each_other():
    places = read_marker_set("plugin_gait").places
    left = [name for name in places if name.startswith("L") and name[1:].isupper()]
    assert len(left) == 23
    for name in left:
        own, other = places[name], places["R" + name[1:]]
        np.testing.assert_allclose(own.offset, np.array(other.offset) * [1, 1, -1])
        assert own.body.removesuffix("_l") == other.body.removesuffix("_r")
        assert own.weight == other.weight


@pytest.mark.parametrize("recipe", ["articulated", "coupled"])
def test_every_recipe_carries_the_markers(recipe):
    body = build_body(recipe, "plugin_gait", ("C7_skin", "T12_skin", "S1_skin"), 0.007)
    assert {"LASI", "RSHO", "CLAV", "C7_skin", "T12_skin", "S1_skin", "LHip"} <= set(body.marker_names)


def test_segments_are_measured_by_joint_centres_where_there_are_any():
    recipe = read_recipe("articulated")
    skin = measured_by(recipe, "plugin_gait", ("LASI", "RASI", "LKNE", "RKNE"))
    both = measured_by(recipe, "plugin_gait", ("LHip", "RHip", "LKnee", "RKnee", "LASI", "RASI"))
    assert {s.name: s.pairs for s in skin.segments}["thigh"] == (("LASI", "LKNE"), ("RASI", "RKNE"))
    assert {s.name: s.bends for s in skin.segments}["thigh"]
    assert {s.name: s.pairs for s in both.segments}["thigh"] == (("LHip", "LKnee"), ("RHip", "RKnee"))
    assert measured_by(recipe, "centres", ("LASI",)).segments == recipe.segments
