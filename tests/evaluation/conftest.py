"""A small data set of three people and four actions, whose curvatures and ranges are known in closed form."""

import numpy as np
import pytest

from simspine.anatomy.curvature import MOTION_PLANES, SPINE_LEVELS, SPINE_MARKERS
from simspine.core.types import Forced, Markers, Motion
from simspine.evaluation.validation_records import trial_records
from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, write_dataset

RATE = 50.0
ACTIONS = ("Directions 1", "Directions 2", "Walking", "juggling")
SUBJECTS = ("S1", "S5", "Anna")
NAMES = tuple(level.name for level in SPINE_LEVELS)
COORDINATES = tuple(dict.fromkeys(c for level in SPINE_LEVELS for c in level.coordinates))
SLOPES = {"L4-L5": 1.857, "L3-L4": 1.643, "L2-L3": 1.143, "L1-L2": 0.929, "T12-L1": 0.571}
FORCED = {level: (Forced("coupled", ("flexion",), "L5_S1_Flex_Ext", slope),) for level, slope in SLOPES.items()} | {
    "tka": (Forced("rigid", MOTION_PLANES, spans=("T3", "T12"), body="torso"),)
}


def wave(frames: int) -> np.ndarray:
    """Evenly spread over −1 … 1, so its percentiles are known: P1 = −0.98, P99 = 0.98."""
    return np.linspace(-1, 1, frames)


def make_trial(subject: int, action: int, frames: int = 101, *, forced: bool = True, rejected: int = 0) -> TrialData:
    """LLA 40 + subject + 2·action degrees ± up to 3; flexion of L5-S1 spans 2·(subject + 1) degrees in all."""
    u = wave(frames)
    angles = np.zeros((frames, len(NAMES), 3))
    flexion = np.radians(subject + 1) * u
    angles[:, NAMES.index("L5-S1"), 0] = flexion
    for level, slope in SLOPES.items():
        angles[:, NAMES.index(level), 0] = slope * flexion
    for k in range(len(MOTION_PLANES)):
        angles[:, NAMES.index("neck"), k] = np.radians(10 * (action + 1) * (k + 1)) * u
    lla = np.radians(40 + subject + 2 * action + 3 * u)
    tka = np.full(frames, np.radians(35.0))
    status = ["kept"] * frames
    for i in range(rejected):  # the first ones, and with a value that would be seen
        status[i], lla[i] = "rejected", np.radians(300)
    response = np.array([0.95 if c == "L5_S1_Flex_Ext" else 0.1 for c in COORDINATES])
    return TrialData(
        Markers(SPINE_MARKERS, RATE, np.zeros((frames, len(SPINE_MARKERS), 3)), "y_up"),
        Motion(COORDINATES, RATE, np.zeros((frames, len(COORDINATES))), np.ones(len(COORDINATES), bool)),
        levels=NAMES,
        angles=angles,
        lla=lla,
        tka=tka,
        angles_sd=np.full_like(angles, np.radians(2)),
        lla_sd=np.full(frames, np.radians(5.6)),
        tka_sd=np.zeros(frames),
        response=response,
        forced=FORCED if forced else {},
        status=status,
        reasons=["" if s == "kept" else "jump" for s in status],
    )


def make_dataset(**options) -> Dataset:
    return Dataset(
        {
            name: SubjectData((), {action: make_trial(s, a, **options) for a, action in enumerate(ACTIONS)})
            for s, name in enumerate(SUBJECTS)
        }
    )


@pytest.fixture(scope="session")
def small_dataset() -> Dataset:
    return make_dataset()


@pytest.fixture(scope="session")
def make():
    """`make_dataset` for tests that want another one."""
    return make_dataset


@pytest.fixture
def recorded(tmp_path):
    """Records of a data set, by way of its file."""

    def written(dataset):
        write_dataset(tmp_path / "set.h5", dataset)
        with DatasetFile(tmp_path / "set.h5") as file:
            return trial_records(file)

    return written


@pytest.fixture
def small_records(small_dataset, recorded):
    return recorded(small_dataset)
