"""Limbs that nothing shows are drawn nowhere; a person who lies and a pelvis without markers are said."""

import numpy as np
import pytest
from small_project import dancing, of_size

import simspine as ss
from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.recipes import build_body
from simspine.core.types import Markers, Motion
from simspine.report.overlay import PersonLayer, draw_layers
from simspine.report.trial_sections import scene_of_trial

pytestmark = pytest.mark.usefixtures("two_rounds")

FRAMES = 20
LEG = ("LKnee", "LAnkle", "LHeel", "LBigToe", "LSmallToe")
LEFT_LEG = {"tibia_l", "talus_l", "calcn_l", "toes_l"}
PLUGIN_GAIT = (
    "C7", "T2", "T10", "SACR", "LASI", "RASI", "CLAV", "STRN", "LSHO", "RSHO", "LELB", "RELB", "LWRA", "RWRA",
    "LTHI", "RTHI", "LKNE", "RKNE", "LTIB", "RTIB", "LANK", "RANK", "LHEE", "RHEE", "LTOE", "RTOE",
)  # fmt: skip


@pytest.fixture(scope="module")
def half_seen():
    """Somebody whose left leg below the hip is in no frame."""
    markers = dancing(of_size(1.0), FRAMES)
    seen = markers.select([name for name in markers.names if name not in LEG])
    return ss.fit_trials({"t": seen}, "coupled", "spinetrack37")["t"]


def test_bones_of_a_leg_that_nothing_shows_are_not_drawn(half_seen):
    assert "limb_unseen" in {finding.code for finding in half_seen.findings}
    poses = scene_of_trial(half_seen).poses
    missing = {name for name, pose in poses.items() if np.isnan(pose).all()}
    assert missing >= LEFT_LEG
    assert not any(name.endswith("_r") or name in ("pelvis", "torso") for name in missing)
    assert np.isfinite(half_seen.poses["tibia_l"]).all()  # what is published stays
    every = scene_of_trial(half_seen, 3).poses
    assert np.isnan(every["tibia_l"]).all()
    np.testing.assert_allclose(every["tibia_r"], poses["tibia_r"][::3], atol=1e-12)


def test_lines_of_that_leg_are_not_drawn_either(half_seen):
    points = half_seen.model_points
    there = dict(zip(points.names, np.isfinite(points.xyz).all((0, 2)), strict=True))
    assert not any(there[name] for name in LEG if name in there)
    assert there["RKnee"]
    assert there["RAnkle"]
    flat = {name: 100 + 80 * points.xyz[0, i, [2, 1]] * [1, -1] + [0, 160] for i, name in enumerate(points.names)}
    whole = {name: place for name, place in flat.items() if np.isfinite(place).all()}
    plain = np.zeros((400, 200, 3), np.uint8)
    drawn = [draw_layers(plain, [PersonLayer(body=body)]) for body in (flat, whole)]
    np.testing.assert_array_equal(*drawn)


def standing(drop=(), turn=None):
    """Markers of Plug-in Gait on the model, standing; y up unless turned."""
    names = read_marker_set("plugin_gait").names
    kept = [label for label in PLUGIN_GAIT if label not in drop]
    ours = [names.get(label, label) for label in kept]
    body = build_body("articulated", "landmarks", [name for name in ours if name.endswith("_skin")], 0.007)
    coordinates = body.coordinates
    values = np.tile(coordinates.default, (12, 1))
    xyz = forward_kinematics(body, Motion(coordinates.names, 50.0, values, coordinates.rotational), names=ours).xyz
    return Markers(tuple(kept), 50.0, xyz if turn is None else xyz @ np.array(turn).T, "y_up")


def codes(markers):
    return {finding.code for finding in ss.fit_trials({"t": markers})["t"].findings}


@pytest.mark.parametrize(
    ("drop", "said"),
    [((), False), (("LASI", "RASI"), True), (("LASI",), True), (("LASI", "RASI", "SACR"), True)],
)
def test_a_pelvis_without_markers_on_both_sides_is_said(drop, said):
    assert ("pelvis_unseen" in codes(standing(drop))) == said


@pytest.mark.parametrize(("size", "height"), [(1.27, None), (1.0, 1.4)])
def test_a_person_of_an_unlikely_height_is_said(size, height):
    """A board in another unit: its squares, or the markers, are longer or shorter than said."""
    markers = standing()
    found = ss.fit_trials({"t": markers.with_(xyz=size * markers.xyz)}, height=height)["t"].findings
    assert "stature" in {finding.code for finding in found}


def test_a_chest_that_lies_behind_the_back_leaves_no_angle_of_the_trunk_measured():
    """Mirrored by the export, the clavicle and the sternum make a kyphosis that is 15 to 20° too large."""
    clean = standing()
    xyz = np.array(clean.xyz)
    for front, back in (("CLAV", "C7"), ("STRN", "T10")):
        xyz[:, clean.index(front), 0] = xyz[:, clean.index(back), 0] - 0.1  # x is forward
    solved = ss.fit_trials({"clean": clean})["clean"], ss.fit_trials({"t": clean.with_(xyz=xyz)})["t"]
    assert [[f.where for f in one.findings if f.code == "trunk_front_back"] for one in solved] == [
        [],
        ["CLAV, STRN, T2, T10"],  # each with the one of its height
    ]
    assert not any(str(one.decided_by).startswith(("measured", "partly")) for one in solved[1].curvature_figures)
    assert "contradicted by markers" in solved[1].to_dataframe()["tka_decided_by"].tolist()


def test_a_file_whose_vertical_is_another_axis_is_said():
    """opencap-core#144, #179: sideways. Plug-in Gait has no shoulder centres: the spine tells."""
    assert not codes(standing()) & {"lying", "stature"}
    assert "lying" in codes(standing(turn=[[1, 0, 0], [0, 0, 1], [0, -1, 0]]))
