"""A small trial of known numbers, as NWB and BIDS files are tried with."""

import numpy as np

from simspine.core.skeletons import load_skeleton
from simspine.core.types import Markers, Motion
from simspine.io.dataset_write import TrialData
from simspine.io.exchange import ExportTrial

FRAMES, RATE = 20, 50.0
LEVELS = ("T12-L1", "L5-S1")


def neuroscience_take() -> ExportTrial:
    rng = np.random.default_rng(3)
    names = load_skeleton("simspine15").names
    xyz = rng.normal(size=(FRAMES, len(names), 3))
    xyz[4:6, 2] = np.nan
    centres = Markers(("T12", "L1", "L2"), RATE, rng.normal(size=(FRAMES, 3, 3)), "y_up", start=0.5)
    trial = TrialData(
        markers=Markers(names, RATE, xyz, "y_up", start=0.5),
        motion=Motion(("pelvis_tilt",), RATE, rng.normal(size=(FRAMES, 1)), (True,), start=0.5),
        levels=LEVELS,
        angles=rng.normal(size=(FRAMES, 2, 3)),
        angles_sd=rng.uniform(size=(FRAMES, 2, 3)),
        lla=rng.normal(size=FRAMES),
        centres=centres,
        status=("kept",) * (FRAMES - 1) + ("rejected",),
        reasons=("",) * (FRAMES - 1) + ("a marker jumped",),
    )
    return ExportTrial("S01", "walk 1", trial)
