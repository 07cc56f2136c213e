import subprocess
import sys

import numpy as np
import pytest

from simspine.anatomy.body import read_body, write_body
from simspine.anatomy.recipes import build_body
from simspine.core.errors import InputError
from simspine.io.hdf5 import read_store, write_store

WITHOUT_OPENSIM = """
import sys
sys.modules["opensim"] = None  # any import of it fails
import simspine as ss
from simspine.anatomy.body import neutral_motion
body = ss.read_body(sys.argv[1])
motion = neutral_motion(body, {"hip_flexion_r": 0.4, "arm_add_r": -0.3, "arm_add_l": -0.3})
markers = ss.forward_kinematics(body, motion)
fit = markers.select([n for n in markers.names if not n.endswith(("_virtual", "_inferred"))])
for options in ({}, {"smoothness": ss.Smoothness()}):
    result = ss.inverse_kinematics(body, fit, **options)
    assert result.converged.all(), result.reason
    assert abs(result.motion.column("hip_flexion_r")[0] - 0.4) < 0.02, result.motion.column("hip_flexion_r")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    body, path = build_body("coupled", "blazepose"), tmp_path_factory.mktemp("body") / "body.h5"
    write_body(path, body)
    return body, path


def test_round_trip(written):
    body, path = written
    again = read_body(path)
    assert again == body
    assert again.coordinates.names == body.coordinates.names
    np.testing.assert_array_equal(again.coordinates.free, body.coordinates.free)
    for a, b in zip(again.tree, body.tree, strict=True):
        if isinstance(a, tuple):
            assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_the_solver_runs_without_opensim(written):
    done = subprocess.run([sys.executable, "-c", WITHOUT_OPENSIM, written[1]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_damaged_file_is_refused(written, tmp_path):
    """Whatever is left out, or replaced by something of another kind."""
    whole = read_store(written[1])
    groups = {"": whole, **{name: whole[name] for name in ("coordinates", "tree", "functions")}}
    places = [(group, key) for group, content in groups.items() for key in content if key != "compiled_body"]
    assert len(places) > 40
    for group, key in places:
        rest = {name: value for name, value in groups[group].items() if name != key}
        write_store(tmp_path / "cut.h5", **(whole | {group: rest} if group else rest))
        with pytest.raises(InputError, match=r"cut\.h5 is damaged .* Write it anew"):
            read_body(tmp_path / "cut.h5")
    for group in ("coordinates", "tree", "functions", "bodies", "marker_names", "marker_bodies"):
        write_store(tmp_path / "odd.h5", **whole | {group: 3.0})
        with pytest.raises(InputError, match=r"odd\.h5 is damaged"):
            read_body(tmp_path / "odd.h5")


def test_other_files_are_refused(written, tmp_path):
    write_store(tmp_path / "other.h5", something=1)
    with pytest.raises(InputError, match="no compiled body"):
        read_body(tmp_path / "other.h5")
    write_store(tmp_path / "newer.h5", compiled_body=99)
    with pytest.raises(InputError, match="version 99; expected version 1"):
        read_body(tmp_path / "newer.h5")
