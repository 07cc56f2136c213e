"""Legs that swing do not bend the spine: limbs have a standard deviation of fast changes of their own."""

import numpy as np
import pytest

from simspine.anatomy.body import follow_couplers, forward_kinematics, neutral_motion
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Motion, Origin
from simspine.estimation import trajectory_engine
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.options import KinematicsOptions
from simspine.estimation.solve_trial import read_spine, solve_kinematics

RATE, FRAMES, STRIDE = 50.0, 75, 1.05
SET = "centres"


@pytest.fixture(scope="module")
def sized() -> SizedBody:
    recipe = read_recipe("articulated")
    return SizedBody(build_body(recipe, SET), recipe, {})


def test_limbs_are_what_moves_no_vertebra(sized):
    """By their names in the model: legs, arms and clavicles; the pelvis and all 25 levels carry the spine."""
    assert len(sized.limbs) == 2 * (7 + 7 + 2)
    assert not [name for name in sized.limbs if name.startswith("pelvis") or "_Flex_Ext" in name or "_Bending" in name]
    assert len(sized.trunk) == 3 * (6 + 11)
    plain = SizedBody(build_body("coupled", "simspine37"), read_recipe("coupled"), {})
    assert set(plain.limbs) == {name for name in sized.limbs if not name.startswith("clavicle")}


def test_swinging_legs_do_not_bend_a_still_spine(sized):
    """Hips and knees as in walking, after Winter; nothing else moves, and all markers are exact."""
    body = sized.body
    c = body.coordinates
    time = np.arange(FRAMES) / RATE
    values = np.tile(neutral_motion(body, {"arm_add_r": 0.0, "arm_add_l": 0.0}).values, (FRAMES, 1))
    for side, begin in (("r", 0.0), ("l", 0.5)):
        phase = 2 * np.pi * (time / STRIDE + begin)
        values[:, c.index(f"hip_flexion_{side}")] = np.radians(8 + 20 * np.cos(phase))
        values[:, c.index(f"knee_angle_{side}")] = np.radians(22 - 14 * np.cos(phase - 0.6) - 16 * np.cos(2 * phase))
    motion = Motion(c.names, RATE, follow_couplers(body, values), c.rotational)
    names = [name for name in load_skeleton("simspine37").names if name in body.marker_names]
    markers = forward_kinematics(body, motion).select(names)
    markers = markers.with_(origin=(Origin.DETECTED,) * len(names))

    def bent(**changes) -> float:
        options = KinematicsOptions(marker_sd_m=0.01, region_sd_m=0.01, error_correlation_s=0.3, **changes)
        spine = read_spine(sized, solve_kinematics(sized, markers, SET, options))
        return float(np.degrees(np.std(spine.lla)))

    assert bent() < 0.5 * bent(limb_acceleration_sd=8.0)
    assert bent() < 0.3


def test_the_rough_path_holds_postures_that_go_with_the_hips(sized, monkeypatch):
    """Each level is drawn to people's standing posture there, though the prior on flexion is about the hips as well."""
    held = []

    def stopped(*_, ridge, **__):
        held.extend(ridge)
        raise StopIteration

    monkeypatch.setattr(trajectory_engine, "starting_path", stopped)
    markers = forward_kinematics(sized.body, neutral_motion(sized.body, {}))
    with pytest.raises(StopIteration):
        solve_kinematics(sized, markers.select(markers.names[:20]), SET, KinematicsOptions())
    names = [sized.body.coordinates.names[i] for i in sized.body.tree.free]
    firmness = dict(zip(names, held, strict=False))  # offsets of markers come behind the coordinates
    assert min(firmness[name] for name in sized.trunk) > 1.0
    assert firmness["hip_flexion_r"] == pytest.approx(0.0, abs=0.2 * firmness["L5_S1_Flex_Ext"])
