"""A recording with Plug-in Gait's names becomes a spine without renaming."""

import numpy as np

import simspine as ss
from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.recipes import build_body
from simspine.core.types import Motion

LABELS = (
    "C7", "T10", "SACR", "LASI", "RASI", "CLAV", "STRN", "LSHO", "RSHO", "LELB", "RELB", "LWRA", "RWRA",
    "LKNE", "RKNE", "LANK", "RANK", "LHEE", "RHEE", "LTOE", "RTOE",
)  # fmt: skip


def test_the_models_own_markers_give_the_model_back():
    names = read_marker_set("plugin_gait").names
    ours = [names.get(label, label) for label in LABELS]
    body = build_body("articulated", "plugin_gait", [name for name in ours if name.endswith("_skin")], 0.007)
    coordinates = body.coordinates
    values = np.tile(coordinates.default, (30, 1))
    for side in "rl":
        values[:, coordinates.names.index(f"arm_add_{side}")] = 0.0
    still = Motion(coordinates.names, 50.0, values, coordinates.rotational)
    recorded = ss.Markers(LABELS, 50.0, forward_kinematics(body, still, names=ours).xyz, "y_up")
    found = ss.fit_trials({"standing": recorded}, marker_set="plugin_gait")["standing"]
    assert found.markers.names == tuple(ours)
    assert found.result.converged.all()
    assert abs(found.sized.factors["femur_r"] - 1) < 0.01
    assert float(np.nanmax(found.result.marker_error[:, [ours.index(name) for name in ("LASI", "RKNE")]])) < 0.01
