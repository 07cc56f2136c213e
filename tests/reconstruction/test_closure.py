"""Which modules a reconstruction loads: those that compute, and none that draws, evaluates or runs a workflow."""

import json
import subprocess
import sys

from simspine.io.hdf5 import write_store

SATELLITES = ("synthesis", "evaluation", "report", "workflow", "annotation", "learning", "cli")
MOST_MODULES = 84  # rooms not counted
RUN = """
import json, sys
import simspine as ss
from simspine.io.hdf5 import read_store

seen = read_store(sys.argv[1])
options = ss.Options(body={"recipe": "coupled"}, ik={"engine": "frames"})
found = ss.reconstruct(seen["keypoints"], seen["cameras"], options=options)
print(json.dumps([found.spine.frames, [name for name in sys.modules if name.startswith("simspine.")]]))
"""


def test_a_reconstruction_loads_no_satellite(truth, tmp_path):
    write_store(tmp_path / "seen.h5", keypoints=truth.keypoints, cameras=list(truth.cameras))
    done = subprocess.run([sys.executable, "-c", RUN, tmp_path / "seen.h5"], capture_output=True, text=True, check=True)
    frames, loaded = json.loads(done.stdout)
    assert frames == truth.keypoints.frames
    assert "simspine.estimation.inverse_kinematics" in loaded
    parts = [name.removeprefix("simspine.") for name in loaded]
    assert [name for name in parts if name.split(".")[0] in SATELLITES] == []
    modules = [name for name in parts if "." in name]
    assert len(modules) <= MOST_MODULES, "\n".join(sorted(modules))
