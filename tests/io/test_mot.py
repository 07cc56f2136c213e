"""Degrees, radians and the coupled columns; OpenSim and Pose2Sim as judges."""

import importlib.util
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simspine.core.errors import InputError
from simspine.core.types import Motion
from simspine.io.mot import is_rotational, read_mot, write_mot, write_sto

NAMES = ("pelvis_tilt", "pelvis_tx", "knee_angle_r", "knee_angle_r_beta", "Abs_t1", "Abs_r1")
TURNING = (True, False, True, True, False, True)


def put(tmp_path, columns, degrees="inDegrees=yes", rows=None, extra=()):
    """A .mot file as OpenSim's IK tool writes it: padded cells, comment lines."""
    values = np.stack([np.asarray(v, float) for v in columns.values()], 1)
    lines = ["Coordinates", "version=1", f"nRows={rows or len(values)}", f"nColumns={1 + len(columns)}"]
    lines += [degrees] if degrees else []
    lines += [*extra, "", "Units are S.I. units (second, meters, Newtons, ...)", "", "endheader"]
    lines.append("\t".join(["time", *columns]))
    lines += ["\t".join(f"{v:>16.8f}" for v in [i / 50, *row]) for i, row in enumerate(values)]
    path = tmp_path / "x.mot"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "angle"),
    [("pelvis_tx", False), ("pelvis_ty", False), ("Abs_t1", False), ("Abs_t2", False),
     ("ground_child_tz", False), ("C1_skull_shift_forward", False), ("L5_S1_shift_up", False),
     ("pelvis_tilt", True), ("Abs_r3", True), ("knee_angle_l_beta", True), ("L1_T12_Flex_Ext", True)],
)  # fmt: skip
def test_angles_are_told_by_name(name, angle):
    assert is_rotational(name) is angle


motions = arrays(float, (4, 6), elements=st.floats(-7, 7) | st.just(np.nan))


@settings(max_examples=60, deadline=None)
@given(motions, st.booleans(), st.sampled_from([50.0, 60.0, 59.94, 1000.0]), st.integers(0, 500))
def test_our_own_files_come_back_exactly(tmp_path_factory, values, coupled, rate, first):
    motion = Motion(NAMES, rate, values, TURNING, start=first / rate)
    path = tmp_path_factory.mktemp("mot") / "x.mot"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "x.mot|.*frames hold NaN")
        write_mot(path, motion, coupled_in_degrees=coupled)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is guessed
        back = read_mot(path)
    np.testing.assert_allclose(back.values, values, atol=1e-12)
    assert back.rotational.tolist() == list(TURNING)
    assert (back.names, back.rate) == (NAMES, rate)
    assert back.start == pytest.approx(motion.start, abs=1e-9)


@pytest.mark.parametrize("knees", [[5.0, 60.0, 110.0], [0.2, 0.5, 0.9], [0.0, 0.01, 1.5]])
@pytest.mark.parametrize("unit", ["radians", "degrees"])
def test_coupled_column_is_read_by_its_evidence(tmp_path, knees, unit, recwarn):
    knees = np.array(knees)
    beta = np.radians(knees) if unit == "radians" else knees
    path = put(tmp_path, {"knee_angle_r": knees, "knee_angle_r_beta": beta})
    motion = read_mot(path)
    np.testing.assert_allclose(motion.column("knee_angle_r_beta"), np.radians(knees), atol=1e-7)
    assert [("knee_angle_r_beta is read as radians" in str(w.message)) for w in recwarn] == [True] * (unit == "radians")


@pytest.mark.parametrize(("beta", "factor"), [([0.1, 1.0, 1.9], 1.0), ([5.0, 60.0, 110.0], np.pi / 180)])
@pytest.mark.filterwarnings("ignore:.*is read as radians")
def test_coupled_column_alone_is_read_by_its_range(tmp_path, beta, factor):
    motion = read_mot(put(tmp_path, {"pelvis_tilt": [1, 2, 3], "knee_angle_l_beta": beta}))
    np.testing.assert_allclose(motion.column("knee_angle_l_beta"), np.array(beta) * factor, atol=1e-7)


def test_radians_in_the_header_hold_for_every_column(tmp_path):
    path = put(
        tmp_path, {"knee_angle_r": [0.5, 1.0], "knee_angle_r_beta": [0.5, 1.0], "pelvis_tx": [2, 3]}, "inDegrees=no"
    )
    np.testing.assert_allclose(read_mot(path).values, [[0.5, 0.5, 2], [1, 1, 3]])


def test_a_header_that_contradicts_itself(tmp_path):
    with pytest.raises(InputError, match="inDegrees is yes in one line of the header and no in another"):
        read_mot(put(tmp_path, {"pelvis_tilt": [1.0, 2.0]}, extra=["inDegrees=no"]))


def test_opensim_reads_what_we_write(tmp_path):
    import opensim

    opensim.Logger.setLevelString("off")
    values = np.random.default_rng(0).uniform(-2, 2, (5, 6))
    motion, path = Motion(NAMES, 60, values, TURNING, start=1.5), str(tmp_path / "x.mot")
    write_mot(path, motion)
    expected = np.where(TURNING, np.degrees(values), values)
    table = opensim.TimeSeriesTable(path)
    assert table.getColumnLabels() == NAMES
    assert table.getTableMetaDataString("inDegrees") == "yes"
    np.testing.assert_allclose(table.getMatrix().to_numpy(), expected, atol=1e-11)
    np.testing.assert_allclose(table.getIndependentColumn(), motion.time, atol=1e-9)
    storage = opensim.Storage(path)
    assert (storage.getName(), storage.isInDegrees(), storage.getSize()) == ("Coordinates", True, 5)
    for i, name in enumerate(NAMES):
        column = opensim.ArrayDouble()  # getDataColumn appends
        storage.getDataColumn(name, column)
        np.testing.assert_allclose([column.get(k) for k in range(5)], expected[:, i], atol=1e-11)


def test_unsolved_frames_are_said_to_stop_opensims_storage(tmp_path):
    import opensim

    opensim.Logger.setLevelString("off")
    values = np.ones((5, 6))
    values[2] = np.nan
    with pytest.warns(UserWarning, match="1 frames hold NaN"):
        write_mot(tmp_path / "x.mot", Motion(NAMES, 60, values, TURNING))
    table = opensim.TimeSeriesTable(str(tmp_path / "x.mot"))
    assert np.isnan(table.getMatrix().to_numpy()).all(1).tolist() == [False, False, True, False, False]
    assert opensim.Storage(str(tmp_path / "x.mot")).getSize() != 5  # why we warn; if this fails, drop the warning


def test_opensim_itself_leaves_coupled_coordinates_in_radians(tmp_path):
    """The trap, shown on OpenSim: its conversion skips the coupled column, so its files need our reading."""
    import opensim

    opensim.Logger.setLevelString("off")
    package = importlib.util.find_spec("Pose2Sim").submodule_search_locations[0]
    model = opensim.Model(f"{package}/OpenSim_Setup/Model_Pose2Sim_muscles_flex.osim")
    model.initSystem()
    names = ("knee_angle_r", "knee_angle_r_beta", "pelvis_tx")
    knees = np.radians([10.0, 60.0, 100.0])
    motion = Motion(names, 50, np.stack([knees, knees, knees], 1), [True, True, False])
    write_sto(tmp_path / "radians.mot", "Coordinates", names, time=motion.time, values=motion.values)
    storage = opensim.Storage(str(tmp_path / "radians.mot"))
    model.getSimbodyEngine().convertRadiansToDegrees(storage)
    storage.printToFile(str(tmp_path / "opensim.mot"), "w")
    assert "inDegrees=yes" in (tmp_path / "opensim.mot").read_text()
    with pytest.warns(UserWarning, match="knee_angle_r_beta is read as radians"):
        back = read_mot(tmp_path / "opensim.mot")
    np.testing.assert_allclose(back.values, motion.values, atol=1e-7)
    # the other way: OpenSim gets our coupled column right only if we leave it in radians, too
    write_mot(tmp_path / "ours.mot", motion, coupled_in_degrees=False)
    storage, column = opensim.Storage(str(tmp_path / "ours.mot")), opensim.ArrayDouble()
    model.getSimbodyEngine().convertDegreesToRadians(storage)
    storage.getDataColumn("knee_angle_r_beta", column)
    np.testing.assert_allclose([column.get(k) for k in range(3)], knees, atol=1e-11)


def test_pose2sim_reads_what_we_write(tmp_path):
    from Pose2Sim import common

    values = np.random.default_rng(0).uniform(-2, 2, (5, 6))
    write_mot(tmp_path / "x.mot", Motion(NAMES, 60, values, TURNING))
    data, time, _ = common.read_mot(str(tmp_path / "x.mot"))
    assert tuple(data.columns) == NAMES
    np.testing.assert_allclose(time, np.arange(5) / 60, atol=1e-9)
    np.testing.assert_allclose(data.to_numpy(), np.where(TURNING, np.degrees(values), values), atol=1e-11)


def test_the_header_lists_frames_that_were_filled_in(tmp_path):
    motion = Motion(("hip_flexion_r",), 50, np.linspace(0, 1, 8)[:, None], (True,))
    write_mot(tmp_path / "a.mot", motion, inferred=[2, 3, 6])
    assert "inferredFrames=2-3 6\n" in (tmp_path / "a.mot").read_text()
    np.testing.assert_allclose(read_mot(tmp_path / "a.mot").values, motion.values, atol=1e-9)
    write_mot(tmp_path / "b.mot", motion)
    assert "inferredFrames" not in (tmp_path / "b.mot").read_text()


def storage(path, title, columns, rows=6):
    """A file that says inDegrees=yes, as OpenSim does of forces as well; column k holds k + 1 + 0.1 · row."""
    values = 1 + np.arange(len(columns)) + 0.1 * np.arange(rows)[:, None]
    lines = [title, "version=1", f"nRows={rows}", f"nColumns={len(columns) + 1}", "inDegrees=yes", "endheader"]
    lines += ["\t".join(("time", *columns))]
    lines += ["\t".join(f"{v:.6f}" for v in (0.05 * i, *row)) for i, row in enumerate(values)]
    path.write_text("\n".join(lines) + "\n")
    return values


@pytest.mark.parametrize(
    ("title", "columns"),
    [
        (
            "forces",
            [
                "hip_flexion_r_work",
                "knee_angle_r_stiffness",
                "disc_strain",
                "ground_force_vx",
                "ground_force_px",
                "ground_torque_y",
                "1_ground_force_vz",
                "1_ground_torque_x",
            ],
        ),
        (
            "walk_grf.mot",
            [
                "R_ground_force_vy",
                "l_ground_force_pz",
                "ground_moment_mx",
                "F1X",
                "FP2y",
                "Rvx",
                "lpz",
                "COPx",
                "CoP2_z",
                "Tz1",
            ],
        ),
        ("Inverse Dynamics Generalized Forces", ["pelvis_tx_force", "hip_flexion_r_moment", "knee_angle_r"]),
        ("x", ["soleus_r.tendon_force", "soleus_r_activation", "soleus_r_norm_fiber_length", "torso_Y"]),
        ("Static Optimization", ["soleus_r", "glut_med1_r"]),
        ("ModelControls", ["soleus_r", "FX"]),
        ("plates.mot", ["Fx_R", "FZ_L", "Fz_1", "My_2", "FP1.Copx", "insole_pressure"]),
        ("Length", ["soleus_r", "bflh_r"]),
        ("walk_07", ["addlong_l", "edl_l", "lumbar_reserve", "hip_moment_r"]),  # no angle among muscles and moments
        ("NormalizedFiberLength", ["soleus_r", "bflh_r"]),
        ("FiberVelocity", ["soleus_r", "bflh_r"]),
        ("TendonForce", ["soleus_r", "bflh_r"]),
        ("Joint Powers", ["hip_flexion_r", "knee_angle_r"]),
        ("walk", ["hip_flexion_r_speed", "knee_angle_r_vel", "ankle_angle_r_dot"]),
        ("joint_moments", ["hip_flexion_r", "knee_angle_r"]),
        ("net torques", ["hip_flexion_r", "knee_angle_r"]),
    ],
)
def test_what_is_no_angle_keeps_its_unit(tmp_path, title, columns, recwarn):
    values = storage(tmp_path / "x.mot", title, columns)
    motion = read_mot(tmp_path / "x.mot")
    np.testing.assert_allclose(motion.values, values, atol=1e-6)
    assert not motion.rotational.any()
    assert any("kept in the file's units" in str(one.message) for one in recwarn)


def test_angles_beside_forces_are_converted(tmp_path):
    """A title may be the name of a trial: of a control group, or from a force plate."""
    names = ["pelvis_tilt", "pelvis_ty", "hip_flexion_r", "ground_force_vy", "torso_Ox", "torso_X"]
    for title in ("Coordinates", "control_07", "force plate walk 2.mot"):
        values = storage(tmp_path / "x.mot", title, names)
        motion = read_mot(tmp_path / "x.mot")
        angle = [True, False, True, False, True, False]
        np.testing.assert_array_equal(motion.rotational, angle)
        np.testing.assert_allclose(motion.values, np.where(angle, np.radians(values), values), atol=1e-6)


def test_a_column_that_may_be_no_angle_is_named(tmp_path):
    """Muscles and sensors under a header that says degrees; what the caller says is not said again."""
    storage(tmp_path / "x.mot", "walk", ["knee_angle_r", "TA", "soleus_r"])
    with pytest.warns(UserWarning, match="TA, soleus_r are read as angles, a guess"):
        read_mot(tmp_path / "x.mot")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_mot(tmp_path / "x.mot", rotational={"TA": True, "soleus_r": False}, rate=20)


def test_quaternions_of_the_pelvis_are_no_angles_without_a_word(tmp_path):
    with pytest.warns(UserWarning, match="pelvis_imu_q0, pelvis_imu_q1 are read as angles"):
        read_mot(put(tmp_path, {"pelvis_imu_q0": [0.9, 0.9], "pelvis_imu_q1": [0.1, 0.2]}))


def test_the_caller_decides(tmp_path):
    values = storage(tmp_path / "x.mot", "x", ["error_angle", "sway"])
    motion = read_mot(tmp_path / "x.mot", rotational={"error_angle": True, "sway": False})
    np.testing.assert_allclose(motion.values, values * [np.pi / 180, 1], atol=1e-6)


@pytest.mark.parametrize(("in_degrees", "size", "said"), [(True, 1.1, "Are they radians"), (False, 63.0, "degrees")])
def test_angles_that_are_hardly_in_the_unit_of_the_header(tmp_path, in_degrees, size, said):
    """A squat in radians, called degrees, and in degrees, called radians."""
    names = ("hip_flexion_r", "knee_angle_r", "ankle_angle_r", "hip_flexion_l", "knee_angle_l", "ankle_angle_l")
    values = size * np.sin(np.arange(20) / 6)[:, None] * np.linspace(0.5, 1, 6)
    write_sto(tmp_path / "x.mot", "Coordinates", names, time=np.arange(20) / 50, values=values, in_degrees=in_degrees)
    with pytest.warns(UserWarning, match=said):
        read_mot(tmp_path / "x.mot")
    values = np.radians(values) if size > 10 else np.degrees(values)
    write_sto(tmp_path / "x.mot", "Coordinates", names, time=np.arange(20) / 50, values=values, in_degrees=in_degrees)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_mot(tmp_path / "x.mot")


def test_lengths_that_are_no_metres_are_named(tmp_path):
    columns = {"pelvis_tilt": [4, 5], "pelvis_ty": [873.0, 881.0]}
    with pytest.warns(UserWarning, match="lengths reach 881 m. Are they millimetres or centimetres"):
        read_mot(put(tmp_path, columns))


@pytest.mark.parametrize("title", ["Speeds", "Accelerations", "Model velocities"])
def test_derivatives_are_no_angles(tmp_path, title):
    values = storage(tmp_path / "x.sto", title, ["hip_flexion_r", "knee_angle_r"])
    with pytest.warns(UserWarning, match="are no coordinates"):
        motion = read_mot(tmp_path / "x.sto")
    assert not motion.rotational.any()
    np.testing.assert_allclose(motion.values, values, atol=1e-6)


@pytest.mark.parametrize(("stated", "factor"), [("1", np.pi / 180), ("false", 1.0)])
def test_other_spellings_of_the_unit(tmp_path, stated, factor, recwarn):
    motion = read_mot(put(tmp_path, {"hip_flexion_r": [12, 13]}, degrees=f"inDegrees={stated}"))
    np.testing.assert_allclose(motion.values[:, 0], factor * np.array([12, 13]))
    assert not any("inDegrees" in str(warning.message) for warning in recwarn)


def test_frame_numbers_are_no_seconds(tmp_path):
    path = put(tmp_path, {"pelvis_tilt": [1, 2, 3]})
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows[:-3], *(f"{n}\t{n}" for n in (7, 8, 9))]) + "\n")
    with pytest.raises(InputError, match=r"1 frames/s by its times\. Are they frame numbers"):
        read_mot(path)


def test_a_table_of_quaternions_is_refused_by_its_kind(tmp_path):
    path = tmp_path / "imu.sto"
    cells = "0.8,0.6,0,0\t1,0,0,0"
    path.write_text(f"DataRate=40\nDataType=Quaternion\nversion=3\nendheader\ntime\tpelvis\ttorso\n0\t{cells}\n")
    with pytest.raises(InputError, match="each cell is a Quaternion, expected one number"):
        read_mot(path)
