import numpy as np
import pytest

from simspine.anatomy.body import follow_couplers, forward_kinematics
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, build_body
from simspine.core.skeletons import INFERRED_SUFFIX
from simspine.core.types import Motion


@pytest.fixture(scope="session")
def release():
    return build_body("coupled", "simspine37")


@pytest.fixture(scope="session")
def fit_names(release):
    return [name for name in release.marker_names if not name.endswith((INFERRED_SUFFIX, VIRTUAL_SUFFIX))]


MOVING = {
    "pelvis_tilt": 0.1,
    "pelvis_list": -0.1,
    "hip_flexion_r": 0.6,
    "hip_adduction_r": -0.1,
    "hip_flexion_l": 0.3,
    "knee_angle_r": 0.8,
    "knee_angle_l": 0.4,
    "L5_S1_Flex_Ext": -0.05,
    "L5_S1_Lat_Bending": 0.01,
    "L5_S1_axial_rotation": 0.03,
    "neck_flexion": 0.2,
    "arm_add_r": 0.9,
    "arm_add_l": 1.1,
    "arm_flex_r": 0.3,
    "elbow_flex_r": 0.7,
    "elbow_flex_l": 0.5,
}


@pytest.fixture(scope="session")
def walk(release):
    """A motion of a few frames through a bent pose, with any heading: arms come down from the model's T-pose."""

    def make(frames=5, heading=0.0, at=(0.0, 0.94, 0.0)):
        c = release.coordinates
        values = np.tile(c.default, (frames, 1))
        share = np.linspace(0.8, 1.0, frames)
        for name, size in MOVING.items():
            values[:, c.index(name)] += size * share
        values[:, c.index("pelvis_rotation")] = heading
        for name, place in zip(("pelvis_tx", "pelvis_ty", "pelvis_tz"), at, strict=True):
            values[:, c.index(name)] = place + 0.02 * np.arange(frames)
        return Motion(c.names, 50.0, follow_couplers(release, values), c.rotational)

    return make


@pytest.fixture(scope="session")
def seen(release, fit_names):
    """Markers of a motion, with noise (m)."""

    def make(motion, noise=0.0, seed=0):
        markers = forward_kinematics(release, motion).select(fit_names)
        return markers.with_(xyz=markers.xyz + np.random.default_rng(seed).normal(0, noise, markers.xyz.shape))

    return make
