import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.io.mot import read_sto, write_marker_errors, write_sto


def test_round_trip(tmp_path):
    values = np.array([[1.5, -2], [np.nan, 0]])
    write_sto(tmp_path / "x.sto", "A title", ("a", "b"), np.array([0.5, 0.6]), values, True, {"key": "value"})
    table = read_sto(tmp_path / "x.sto")
    assert (table.title, table.names, table.in_degrees) == ("A title", ("a", "b"), True)
    assert table.header["key"] == "value"
    np.testing.assert_array_equal(table.values, values)
    np.testing.assert_array_equal(table.time, [0.5, 0.6])


def test_foreign_layout(tmp_path):
    """CRLF, spaces, blank lines, trailing blanks, no title, an end of header in capitals."""
    text = "version=1\nnRows=2\nnColumns=2\ninDegrees=no\nENDHEADER\n\n time   a \n 0.0  1 \n 0.1  2 \n\n"
    (tmp_path / "x.sto").write_bytes(text.replace("\n", "\r\n").encode())
    table = read_sto(tmp_path / "x.sto")
    assert (table.title, table.names, table.in_degrees) == ("", ("a",), False)
    np.testing.assert_array_equal(table.values, [[1], [2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("t\nendheader\n", "nothing after"),
        ("t\nendheader\ntime\ta\n", "no rows"),
        ("t\nendheader\ntime\ta\n0\tone\n", "line 4: 'one' is not a number"),
    ],
)
def test_refused(tmp_path, text, message):
    (tmp_path / "x.sto").write_text(text)
    with pytest.raises(InputError, match=message):
        read_sto(tmp_path / "x.sto")


@pytest.mark.parametrize(("names", "shape"), [(("a",), (2, 2)), (("a b",), (2, 1)), ((), (2, 0))])
def test_unwritable(tmp_path, names, shape):
    with pytest.raises(InputError):
        write_sto(tmp_path / "x.sto", "t", names, np.arange(2), np.zeros(shape))
    assert not list(tmp_path.iterdir())


def test_marker_errors_leave_missing_markers_out(tmp_path):
    error = np.array([[0.03, 0.04, np.nan], [0.01, np.nan, np.nan], [np.nan] * 3])
    write_marker_errors(tmp_path / "e.sto", np.arange(3) / 50, error)
    table = read_sto(tmp_path / "e.sto")
    assert table.title == "Model Marker Errors from IK"
    assert table.names == ("total_squared_error", "marker_error_RMS", "marker_error_max")
    np.testing.assert_allclose(table.values[0], [0.0025, np.sqrt(0.00125), 0.04], atol=1e-12)
    np.testing.assert_allclose(table.values[1], [0.0001, 0.01, 0.01], atol=1e-12)
    assert np.isnan(table.values[2]).all()


def test_marker_errors_are_those_of_opensims_tool(tmp_path):
    """OpenSim's inverse kinematics of a rigid body with four markers that do not fit; its own table is the oracle."""
    import opensim

    opensim.Logger.setLevelString("off")
    from simspine.core.types import Markers
    from simspine.io.trc import write_trc

    places = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    names = ("A", "B", "C", "D")
    model = opensim.Model()
    body = opensim.Body("body", 1.0, opensim.Vec3(0), opensim.Inertia(1, 1, 1))
    model.addBody(body)
    joint = opensim.FreeJoint("free", model.getGround(), body)
    model.addJoint(joint)
    for name, place in zip(names, places, strict=True):
        model.addMarker(opensim.Marker(name, body, opensim.Vec3(*place)))
    model.finalizeConnections()
    model.printToXML(str(tmp_path / "model.osim"))
    xyz = places + np.random.default_rng(3).normal(0, 0.02, (4, 4, 3))
    xyz[1:3, 3] = np.nan
    write_trc(tmp_path / "m.trc", Markers(names, 50, xyz, "y_up"))
    tool = opensim.InverseKinematicsTool()
    model = opensim.Model(str(tmp_path / "model.osim"))
    tool.setModel(model)
    tool.setMarkerDataFileName(str(tmp_path / "m.trc"))
    tool.setOutputMotionFileName(str(tmp_path / "m.mot"))
    tool.setResultsDir(str(tmp_path))
    tool.setStartTime(0.0)
    tool.setEndTime(0.06)
    tool.set_accuracy(1e-8)
    tool.set_report_errors(True)
    tool.set_report_marker_locations(True)
    for name in names:
        task = opensim.IKMarkerTask()
        task.setName(name)
        task.setApply(True)
        task.setWeight(3.0)  # does not enter the table
        tool.upd_IKTaskSet().cloneAndAppend(task)
    assert tool.run()
    theirs = read_sto(next(tmp_path.glob("*ik_marker_errors.sto")))
    found = read_sto(next(tmp_path.glob("*ik_model_marker_locations.sto")))
    columns = [[found.names.index(f"{name}_t{axis}") for axis in "xyz"] for name in names]
    write_marker_errors(tmp_path / "ours.sto", found.time, np.linalg.norm(found.values[:, columns] - xyz, axis=-1))
    ours = read_sto(tmp_path / "ours.sto")
    assert (ours.title, ours.names, ours.in_degrees) == (theirs.title, theirs.names, theirs.in_degrees)
    assert theirs.values[:, 2].min() > 0.005
    # OpenSim divides by all markers, also those without target in the frame, and so flatters its RMS there
    theirs.values[1:3, 1] *= np.sqrt(4 / 3)
    np.testing.assert_allclose(ours.values, theirs.values, atol=2e-8)  # eight decimals in OpenSim's files
