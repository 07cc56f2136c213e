"""A recording of two people: the small project's body twice, in one place and in another."""

import json
from pathlib import Path

import numpy as np
from small_project import RATE, Truth, seen_by

from simspine.core.types import Keypoints
from simspine.io.calibration import write_calibration
from simspine.io.keypoint_json import write_keypoints

APART = np.array([0.3, 1.1, 0.0])  # m, from the first person to the second
AWAY = slice(0, 4)  # frames in which the first camera does not see the second person


def keypoints_of_both(truth: Truth) -> list[Keypoints]:
    """As SpineTrack names them; the second person is seen less."""
    first, second = (seen_by(truth.cameras, truth.markers, who, who * APART) for who in range(2))
    xy, confidence = second.xy.copy(), second.confidence.copy()
    xy[AWAY, 0], confidence[AWAY, 0] = np.nan, 0.0
    return [first, second.with_(xy=xy, confidence=confidence)]


def write_both(folder: Path, truth: Truth) -> dict:
    """Calibration and one folder of JSON per camera, its people in changing order; the trial's section."""
    names = [camera.name for camera in truth.cameras]
    write_calibration(folder / "cameras.toml", truth.cameras)
    first, second = (
        write_keypoints(folder / f"pose_{who}", keypoints, names)
        for who, keypoints in enumerate(keypoints_of_both(truth))
    )
    for ours, theirs in zip(first, second, strict=True):
        pairs = zip(sorted(Path(ours).glob("*.json")), sorted(Path(theirs).glob("*.json")), strict=True)
        for i, (a, b) in enumerate(pairs):
            content = json.loads(a.read_text())
            content["people"] += json.loads(b.read_text())["people"]
            content["people"] = content["people"][:: 1 if i % 3 else -1]
            a.write_text(json.dumps(content))
    return {"keypoints": [str(f) for f in first], "calibration": str(folder / "cameras.toml"), "rate": RATE}
