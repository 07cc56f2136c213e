"""The recording of `simspine demo gait`, from the sample study of biomechzoo: extract_gait.py PEOPLE.npz P1

PEOPLE.npz holds `P1_0` (standing), `P1_1` (walking), … (frames, markers, 3) in mm, 100 Hz, z up, and `P1_0_labels`.
Each trial becomes a C3D file of every second frame in third_party/gait/, with the labels as they are.
"""

import sys
from pathlib import Path

import ezc3d
import numpy as np

TRIALS = {"0": "standing", "1": "walking"}
RATE_HZ, STEP = 100.0, 2


def write_trial(path: Path, labels: list[str], xyz: np.ndarray) -> None:
    """xyz: (frames, markers, 3) mm; 0 or NaN: missing."""
    missing = (xyz == 0).all(-1) | ~np.isfinite(xyz).all(-1)
    file = ezc3d.c3d()
    points = np.ones((4, xyz.shape[1], xyz.shape[0]))
    points[:3] = np.where(missing[..., None], np.nan, xyz).transpose(2, 1, 0)
    for name, value in (("RATE", [RATE_HZ / STEP]), ("UNITS", ["mm"]), ("LABELS", labels)):
        file["parameters"]["POINT"][name]["value"] = value
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(missing.T, -1.0, 0.0)[None]
    file.write(str(path))


if __name__ == "__main__":
    people, person = np.load(sys.argv[1]), sys.argv[2]
    for number, trial in TRIALS.items():
        found = people[f"{person}_{number}"].astype(float)[::STEP]
        labels = [str(label) for label in people[f"{person}_{number}_labels"]]
        write_trial(Path(f"third_party/gait/{trial}.c3d"), labels, found)
