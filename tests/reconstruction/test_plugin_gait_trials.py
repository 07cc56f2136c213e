"""A recording with Plug-in Gait's names becomes a spine without renaming."""

import numpy as np
import pytest

import simspine as ss
from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.recipes import build_body
from simspine.core.types import Motion

pytestmark = pytest.mark.usefixtures("two_rounds")

LABELS = (
    "C7", "T10", "SACR", "LASI", "RASI", "CLAV", "STRN", "LSHO", "RSHO", "LELB", "RELB", "LWRA", "RWRA",
    "LKNE", "RKNE", "LANK", "RANK", "LHEE", "RHEE", "LTOE", "RTOE",
)  # fmt: skip


IOR_LABELS = (
    "CV7", "TV2", "TV7", "LV1", "LV3", "LV5", "LIAS", "RIAS", "LIPS", "RIPS", "LCAJ", "RCAJ", "SJN", "SXS", "LFLE",
    "RFLE", "LFME", "RFME", "LFAX", "RFAX", "LTTC", "RTTC", "LFAL", "RFAL", "LTAM", "RTAM", "LFCC", "RFCC", "LFM5",
    "RFM5",
    "LFM1",
)  # fmt: skip


def standing_model(marker_set, labels, places, hanging_arms=False):
    """Our names of the labels, the body with these markers, and 30 frames in which it stands still."""
    names = read_marker_set(marker_set).names
    ours = [names.get(label, label) for label in labels]
    body = build_body("articulated", places, [name for name in ours if name.endswith("_skin")], 0.007)
    coordinates = body.coordinates
    values = np.tile(coordinates.default, (30, 1))
    for side in "rl" if hanging_arms else "":
        values[:, coordinates.names.index(f"arm_add_{side}")] = 0.0
    return ours, body, Motion(coordinates.names, 50.0, values, coordinates.rotational)


def test_a_set_is_found_said_and_fitted():
    """Markers of the model itself by the names of IOR, in another order of letters and with a misspelt one."""
    ours, body, still = standing_model("ior", IOR_LABELS, "landmarks")
    xyz = forward_kinematics(body, still, names=ours).xyz
    labels = [f"Ada:{label.lower()}" for label in IOR_LABELS[:-1]] + ["LFM11"]
    found = ss.fit_trials({"standing": ss.Markers(labels, 50.0, xyz, "y_up")})["standing"]
    assert found.markers.names == (*ours[:-1], "LFM11")
    assert float(np.nanmax(found.result.marker_error[:, : len(ours) - 1])) < 0.012
    said = {finding.code: finding for finding in found.findings}
    assert "'ior': it knows 30 of 31 names" in said["marker_set"].message
    assert "LFM11 (did you mean LFM1?)" in said["unknown_markers"].message
    assert said["unknown_markers"].severity == "warning"


def test_the_models_own_markers_give_the_model_back():
    ours, body, still = standing_model("plugin_gait", LABELS, "plugin_gait", hanging_arms=True)
    recorded = ss.Markers(LABELS, 50.0, forward_kinematics(body, still, names=ours).xyz, "y_up")
    found = ss.fit_trials({"standing": recorded}, marker_set="plugin_gait")["standing"]
    assert found.markers.names == tuple(ours)
    assert found.result.converged.all()
    assert abs(found.sized.factors["femur_r"] - 1) < 0.01
    assert float(np.nanmax(found.result.marker_error[:, [ours.index(name) for name in ("LASI", "RKNE")]])) < 0.01
