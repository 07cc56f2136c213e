"""A file with coordinates only: angles, LLA and couplers out of them, judged by the body's own kinematics."""

import numpy as np
import pytest

from simspine.anatomy.body import body_poses, follow_couplers, forward_kinematics
from simspine.anatomy.curvature import SPINE_MARKERS, read_endplates
from simspine.anatomy.recipes import build_body, virtual_spine_markers
from simspine.anatomy.vertebrae import spine_kinematics
from simspine.core.types import Markers, Motion
from simspine.evaluation.validation_records import (
    forced_by_ratio,
    level_angles_of_coordinates,
    lordosis_of_levels,
    trial_records,
)
from simspine.evaluation.validation_tables import curvature_table, lumbar_rom, neck_rom
from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, write_dataset

FRAMES = 40


@pytest.fixture(scope="module")
def bowing():
    """The coupled body that bows, bends and turns its head, and what its kinematics say of it."""
    body = build_body("coupled", "simspine37")
    names, phase = body.coordinates.names, np.linspace(0, 2 * np.pi, FRAMES)
    values = np.tile(body.coordinates.default, (FRAMES, 1))
    for name, size in (("L5_S1_Flex_Ext", -0.07), ("L5_S1_Lat_Bending", 0.02), ("neck_rotation", 0.6)):
        values[:, names.index(name)] = size * np.sin(phase)
    motion = Motion(names, 50, follow_couplers(body, values), body.coordinates.rotational)
    points = forward_kinematics(body, motion)
    chosen = virtual_spine_markers(body)
    spine = spine_kinematics(body_poses(body, motion), points, read_endplates(), spine_markers=chosen)
    return motion, spine


def released(motion: Motion) -> Dataset:
    markers = Markers(SPINE_MARKERS, motion.rate, np.zeros((motion.frames, len(SPINE_MARKERS), 3)), "y_up")
    return Dataset({"S9": SubjectData((), {"Walking 1": TrialData(markers, motion)})})


def test_angles_are_those_of_the_body(bowing):
    motion, spine = bowing
    levels, angles = level_angles_of_coordinates(motion)
    assert levels == ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2", "T12-L1", "neck", "lumbar")
    for i, level in enumerate(levels):
        tolerance = np.radians(1.5) if level == "lumbar" else 1e-6  # sums are exact to first order
        np.testing.assert_allclose(angles[:, i], spine.level(level), atol=tolerance, err_msg=level)
    assert np.ptp(np.degrees(angles[:, 0, 0])) > 7


def test_lordosis_is_that_between_the_endplates(bowing):
    motion, spine = bowing
    np.testing.assert_allclose(
        lordosis_of_levels(*level_angles_of_coordinates(motion)), spine.lla, atol=np.radians(0.6)
    )
    assert np.ptp(np.degrees(spine.lla)) > 40


def test_couplers_show_in_the_data(bowing):
    forced = forced_by_ratio(*level_angles_of_coordinates(bowing[0]))
    flexion, bending = forced["L4-L5"]  # nothing turned, so nothing is known of rotation
    assert (flexion.planes, flexion.driver) == (("flexion",), "L5_S1_Flex_Ext")
    assert (bending.planes, bending.driver) == (("lateral bending",), "L5_S1_Lat_Bending")
    assert (flexion.ratio, bending.ratio) == (pytest.approx(1.857, abs=5e-4), pytest.approx(1.33, abs=5e-4))
    assert set(forced) == {"L4-L5", "L3-L4", "L2-L3", "L1-L2", "T12-L1"}


def test_levels_that_move_on_their_own_are_not_forced(bowing):
    levels, angles = level_angles_of_coordinates(bowing[0])
    angles = np.array(angles)
    angles[:, levels.index("L3-L4"), 0] += np.radians(0.1) * np.sin(np.arange(FRAMES))
    assert all("flexion" not in fact.planes for fact in forced_by_ratio(levels, angles)["L3-L4"])
    angles[5] = np.nan  # a frame without solution says nothing
    assert forced_by_ratio(levels, angles)["L4-L5"][0].planes == ("flexion",)


def test_tables_of_a_released_data_set(bowing, tmp_path):
    motion, spine = bowing
    write_dataset(tmp_path / "released.h5", released(motion))
    with DatasetFile(tmp_path / "released.h5") as file:
        some = trial_records(file)
    row = curvature_table(some).iloc[0]
    assert row.lla_mean_deg == pytest.approx(np.degrees(spine.lla).mean(), abs=0.5)
    assert np.isnan(row.tka_mean_deg)
    words = {r.level: r.decided for r in lumbar_rom(some).itertuples() if r.plane == "flexion"}
    assert words["L4-L5"] == words["T12-L1"] == "set by the model"
    assert words["L5-S1"] == words["lumbar"] == ""
    turn = next(r for r in neck_rom(some).itertuples() if r.plane == "axial rotation")
    assert turn.rom_mean_deg == pytest.approx(np.degrees(1.2), rel=0.02)
