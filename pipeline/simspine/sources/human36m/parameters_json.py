"""The JSON of karfly/human36m-camera-parameters, in which most people have the data set's cameras.

    {"intrinsics": {camera: {"calibration_matrix": 3 × 3, "distortion": [k1, k2, p1, p2, k3]}},
     "extrinsics": {subject: {camera: {"R": 3 × 3, "t": 3 numbers in mm}}}}

x_camera = R X + t. The numbers are those of metadata.xml, so p1 and p2 belong to the data set's lens (`camera_model`).
"""

import numpy as np

from simspine.errors import InputError
from simspine.sources.human36m import names
from simspine.sources.human36m.metadata import Metadata
from simspine.types import Camera

_FARTHEST = 100.0  # m; numbers beyond are millimetres, a room is smaller


def is_parameters(content) -> bool:
    """Whether parsed JSON is of this kind."""
    return isinstance(content, dict) and {"intrinsics", "extrinsics"} <= set(content)


def parameters(content: dict, where: str) -> Metadata:
    """The rigs of parsed JSON. Raises `InputError` for missing entries and cameras without a known image size."""
    try:
        rigs = {
            subject: tuple(_camera(name, content["intrinsics"][name], pose, where) for name, pose in poses.items())
            for subject, poses in content["extrinsics"].items()
        }
    except KeyError as missing:
        raise InputError(f"{where}: the entry {missing} is missing.") from None
    except (TypeError, AttributeError, ValueError, OverflowError) as error:  # InputError of Camera among them
        raise InputError(f"{where}: {error}") from None
    return Metadata({subject: rigs[subject] for subject in names.subject_order(rigs)}, "human36m", {})


def _camera(name: str, intrinsic: dict, pose: dict, where: str) -> Camera:
    if name not in names.CAMERAS:
        raise InputError(f"camera {name!r} is none of {', '.join(names.CAMERAS)}, so its image size is not known.")
    t = np.asarray(pose["t"], float).ravel()
    t = t / 1000 if np.linalg.norm(t) > _FARTHEST else t
    return Camera(name, names.CAMERAS[name], intrinsic["calibration_matrix"], intrinsic["distortion"], pose["R"], t)
