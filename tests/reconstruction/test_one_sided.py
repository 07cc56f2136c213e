"""Somebody who moves to one side only does not become a crooked body."""

import numpy as np
import pytest
from small_project import SWING, dance, detectable, of_size, ring, seen_by

import simspine as ss
from simspine.anatomy.body import follow_couplers
from simspine.core.types import Motion

FRAMES, RATE = 50, 30.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("coordinate", "size"), [("Lat_Bending", -0.05), pytest.param("axial_rotation", 0.1, marks=pytest.mark.long)]
)
def test_moving_to_one_side_leaves_the_pelvis_where_it_is(coordinate, size):
    body = of_size(0.96)
    still = dance(body, FRAMES)
    values = np.array(still.values)
    for name in SWING:
        values[:, still.names.index(name)] = values[0, still.names.index(name)]
    bend = np.sin(np.pi * np.arange(FRAMES) / (2 * (FRAMES - 1))) ** 2
    values[:, still.names.index(f"L5_S1_{coordinate}")] += size * bend
    motion = Motion(still.names, RATE, follow_couplers(body, values), still.rotational)
    cameras, markers = ring(), detectable(ss.forward_kinematics(body, motion))
    found = ss.reconstruct(seen_by(cameras, markers, seed=4), cameras).motion
    for name in ("pelvis_list", "pelvis_rotation"):
        off = np.degrees(found.column(name) - motion.column(name))
        assert np.abs(off).max() < 1.5, name  # 12° where the body may become crooked
        assert np.abs(off).mean() < 0.8, name
