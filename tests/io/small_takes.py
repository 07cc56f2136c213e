"""A small trial seen by two cameras, for the exchange formats."""

from functools import cache

import numpy as np
from aimed import aimed

from simspine.core.geometry import change_frame
from simspine.core.skeletons import VERTEBRA_OF, load_skeleton
from simspine.core.types import Camera, Markers, Motion
from simspine.io.dataset_write import TrialData
from simspine.io.exchange import ExportTrial

AXES = ("pelvis_tilt", "pelvis_tx", "L5_S1_Flex_Ext")
PARAMETERS = ("pelvic_tilt", "sagittal_vertical_axis")
DECIDED = {  # by trial
    "Walking_1": ("partly measured", "measured"),
    "Sitting": ("assumed: adults differ by ± 7°", "not known"),
}
UNSOLVED, REJECTED, FILLED = 3, 5, 6  # frames; the last was rejected and filled in


def facing(name: str, angle: float, size=(1000, 1002)) -> Camera:
    """A camera 4 m from the origin at a height of 1.2 m, looking at it, with Human3.6M's kind of lens."""
    centre = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.2])
    R = aimed(centre, [0, 0, 1.0])
    K = [[1145.0, 0, 512.0], [0, 1144.0, 515.0], [0, 0, 1]]
    return Camera(name, size, K, [-0.2, 0.24, -1e-3, 2e-3, -2e-3], R, -R @ centre)


@cache
def make_take(
    points: str = "simspine15",
    frames: int = 9,
    name: str = "Walking_1",
    subject: str = "S1",
    seed: int = 0,
    with_centres: bool = False,
) -> ExportTrial:
    """Points 0.3 to 1.6 m above the floor; one frame without solution, one rejected, one point missing throughout.

    with_centres: centroids of nine vertebrae, 4 cm in front of the points along the spine and 2 cm above.
    """
    rng = np.random.default_rng(seed)
    names = load_skeleton(points).names
    world = rng.uniform([-0.3, -0.3, 0.3], [0.3, 0.3, 1.6], (len(names), 3)) + rng.normal(0, 0.02, (frames, 1, 3))
    if points == "simspine37":
        world[:, names.index("LEye")] = np.nan
    world[UNSOLVED] = np.nan
    values = rng.normal(0, 0.3, (frames, 3))
    values[UNSOLVED] = np.nan
    status = ["kept"] * frames
    status[REJECTED] = "rejected"
    if frames > FILLED:
        status[FILLED] = "inferred"
    status[UNSOLVED] = "rejected"
    centres = None
    if with_centres:
        along = change_frame(world[:, [names.index(point) for point in VERTEBRA_OF]], "z_up", "y_up")
        centres = Markers(tuple(VERTEBRA_OF.values()), 50, along + np.array([0.04, 0.02, 0.0]), "y_up")
    trial = TrialData(
        Markers(names, 50, change_frame(world, "z_up", "y_up"), "y_up"),
        Motion(AXES, 50, values, (True, False, True), deviation=np.abs(values) / 10),
        levels=("L5-S1", "L4-L5"), angles=rng.normal(size=(frames, 2, 3)), lla=rng.normal(0.8, 0.1, frames),
        tka=rng.normal(0.6, 0.1, frames), lla_sd=np.full(frames, 0.02), tka_sd=np.full(frames, 0.03), status=status,
        centres=centres, clinical_names=PARAMETERS, clinical_units=("rad", "m"), clinical=rng.normal(size=(frames, 2)),
        clinical_sd=rng.random((frames, 2)), clinical_decided=DECIDED[name],
    )  # fmt: skip
    return ExportTrial(subject, name, trial, (facing("54138969", 0.3), facing("55011271", 2.0, (1000, 1000))))
