"""The spine as a step of a Pose2Sim project: `python pose2sim_step.py PROJECT`.

Pose2Sim detects and triangulates as it always does. Then the spine is added to its folder kinematics/.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from Pose2Sim import Pose2Sim

from simspine import read_session
from simspine.workflow.sessions import add_spine

STEPS = ("calibration", "poseEstimation", "synchronization", "personAssociation", "triangulation", "filtering")


def run(project: Path, steps: Sequence[str] = STEPS) -> list[Path]:
    """The steps of Pose2Sim, then the spine; returns the files that were added."""
    with contextlib.chdir(project):  # where its calibration looks for the project
        for step in steps:
            getattr(Pose2Sim, step)()
    return list(add_spine(read_session(project)).files)


if __name__ == "__main__":
    for path in run(Path(sys.argv[1])):
        print(path)
