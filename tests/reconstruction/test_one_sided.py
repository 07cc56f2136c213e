"""Somebody who moves to one side only does not become a crooked body."""

import numpy as np
import pytest
from small_project import NOISE_PX, SWING, dance, of_size, ring

import simspine as ss
from simspine.anatomy.body import follow_couplers
from simspine.anatomy.recipes import VIRTUAL_SUFFIX
from simspine.core.geometry import change_frame, project_points
from simspine.core.skeletons import INFERRED_SUFFIX, load_skeleton
from simspine.core.types import Keypoints, Motion

FRAMES, RATE = 50, 30.0


def seen(markers, cameras, rng):
    table = load_skeleton("spinetrack37")
    xy = np.full((FRAMES, len(cameras), len(table), 2), np.nan)
    for i, native in enumerate(table.names):
        name = table.to_simspine.get(native)
        if name in markers.names:
            xyz = change_frame(markers.xyz[:, markers.index(name)], "y_up", "z_up")
            xy[:, :, i] = project_points(cameras, xyz).transpose(1, 0, 2)
    xy += rng.normal(0, NOISE_PX, xy.shape)
    return Keypoints(table.names, RATE, xy, np.full(xy.shape[:3], 0.9))


@pytest.mark.slow
@pytest.mark.parametrize(("coordinate", "size"), [("Lat_Bending", -0.05), ("axial_rotation", 0.1)])
def test_moving_to_one_side_leaves_the_pelvis_where_it_is(coordinate, size):
    body = of_size(0.96)
    still = dance(body, FRAMES)
    values = np.array(still.values)
    for name in SWING:
        values[:, still.names.index(name)] = values[0, still.names.index(name)]
    bend = np.sin(np.pi * np.arange(FRAMES) / (2 * (FRAMES - 1))) ** 2
    values[:, still.names.index(f"L5_S1_{coordinate}")] += size * bend
    motion = Motion(still.names, RATE, follow_couplers(body, values), still.rotational)
    markers = ss.forward_kinematics(body, motion)
    markers = markers.select([n for n in markers.names if not n.endswith((INFERRED_SUFFIX, VIRTUAL_SUFFIX))])
    cameras = ring()
    found = ss.reconstruct(seen(markers, cameras, np.random.default_rng(4)), cameras).motion
    for name in ("pelvis_list", "pelvis_rotation"):
        off = np.degrees(found.column(name) - motion.column(name))
        assert np.abs(off).max() < 1.5, name  # 12° where the body may become crooked
        assert np.abs(off).mean() < 0.8, name
