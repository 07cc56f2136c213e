"""A data set of two subjects and three trials, long enough for several chunks of frames."""

from pathlib import Path

import numpy as np
import pytest

from simspine.core.skeletons import VERTEBRA_OF, load_skeleton
from simspine.core.types import Camera, Markers, Motion
from simspine.dataset.recordings import HDF5_UNITS, ManifestEntry, manifest_header, write_dataset_manifest
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, write_dataset
from simspine.io.mot import write_mot
from simspine.io.trc import write_trc

NAMES = load_skeleton("simspine15").names
LEVELS = tuple(VERTEBRA_OF.values())
AXES = ("pelvis_tilt", "pelvis_tx", "L5_S1_Flex_Ext", "L5_S1_Lat_Bending")
FRAMES = {"S1/Walking_1": 300, "S1/Walking_2": 150, "S5/Sitting": 40}
UNSOLVED, REJECTED = 7, (11, 12)


def camera(name: str, x: float) -> Camera:
    """Looks along world +y from 4 m off, z up in the image."""
    R = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]])
    K = [[1145.0, 0, 512], [0, 1145, 515], [0, 0, 1]]
    return Camera(name, (1000, 1002), K, [-0.2, 0.24, -1e-3, 2e-3, 0], R, -R @ np.array([x, -4.0, 1.0]))


def small_trial(frames: int, seed: int) -> TrialData:
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / 50
    rest = np.stack([rng.uniform(-0.1, 0.1, 15), np.linspace(0.9, 1.6, 15), rng.uniform(-0.1, 0.1, 15)], -1)
    xyz = rest + 0.1 * np.sin(2 * np.pi * time * 0.7)[:, :, None] + rng.normal(0, 1e-3, (frames, 15, 3))
    values = 0.2 * np.sin(2 * np.pi * time * [0.5, 0.6, 0.7, 0.8]) + rng.normal(0, 1e-3, (frames, 4))
    xyz[UNSOLVED], values[UNSOLVED] = np.nan, np.nan
    status = ["kept"] * frames
    for i in (UNSOLVED, *REJECTED):
        status[i] = "rejected"
    return TrialData(
        Markers(NAMES, 50, xyz, "y_up", covariance=np.tile(1e-4 * np.eye(3), (frames, 15, 1, 1)), start=0.5),
        Motion(AXES, 50, values, (True, False, True, True), deviation=np.full((frames, 4), 0.01), start=0.5),
        levels=("L5-S1",), angles=rng.normal(size=(frames, 1, 3)), lla=values[:, 2] + 0.8, tka=values[:, 3] + 0.6,
        status=status, reasons=[""] * frames, fk_deviation=0.0,
        centres=Markers(LEVELS, 50, xyz[:, :9] + [0.04, 0.02, 0.0], "y_up", start=0.5),
    )  # fmt: skip


def small_dataset() -> Dataset:
    cameras = (camera("54138969", 0.0), camera("55011271", 0.8))
    people: dict[str, dict[str, TrialData]] = {}
    for i, (key, frames) in enumerate(FRAMES.items()):
        subject, name = key.split("/")
        people.setdefault(subject, {})[name] = small_trial(frames, i)
    origin = {"configuration_hash": "ab" * 32, "versions": {"simspine": "0"}, "notice": ""}
    return Dataset({name: SubjectData(cameras, trials) for name, trials in people.items()}, origin)


def export_small(folder: Path) -> Path:
    """A data set's folder: HDF5, a trial as TRC and MOT, manifest."""
    data = small_dataset()
    write_dataset(folder / "tiny.h5", data)
    trial = data.subjects["S1"].trials["Walking_2"]
    write_trc(folder / "S1_Walking_2.trc", trial.markers)
    with pytest.warns(UserWarning, match="hold NaN"):
        write_mot(folder / "S1_Walking_2.mot", trial.motion)
    one = {"S1/Walking_2": FRAMES["S1/Walking_2"]}
    files = {
        "tiny.h5": ManifestEntry("hdf5", sum(FRAMES.values()), HDF5_UNITS, FRAMES),
        "S1_Walking_2.trc": ManifestEntry("trc", 150, {"markers": "m"}, one),
        "S1_Walking_2.mot": ManifestEntry("mot", 150, {"kinematics": "deg; m"}, one),
    }
    write_dataset_manifest(folder, files, manifest_header("tiny", "hdf5", data.provenance, dict.fromkeys(FRAMES, 0.0)))
    return folder
