"""2D points that others detected: folders of OpenPose or Pose2Sim JSON, and our own files."""

import os
from collections.abc import Sequence

from simspine import skeletons
from simspine.detection.run import Detections
from simspine.errors import InputError
from simspine.types import Keypoints


def read_detections(
    folders: Sequence[str | os.PathLike], rate: float, skeleton: str | None = None
) -> tuple[Detections, skeletons.Skeleton]:
    """Everybody in one folder of JSON files per view, and the skeleton of their points.

    rate: frames/s, which the files do not hold. skeleton: its name; by default the one with as many points.
    Points of a skeleton that is not in the tables cannot be used: `InputError`.
    """
    from simspine.formats.keypoint_json import read_people

    names, people = read_people(folders, skeletons.load(skeleton).names if skeleton else None)
    known = skeletons.load(skeleton) if skeleton else skeletons.by_size(len(names))
    return Detections(known.names, rate, people), known


def read_own(path: str | os.PathLike) -> Keypoints:
    """Keypoints stored by an earlier run; origins are kept. Raises `InputError` if the file holds none, or several."""
    from simspine.formats.store import load

    found = {name: item for name, item in load(path).items() if isinstance(item, Keypoints)}
    if len(found) != 1:
        raise InputError(f"{path} holds {len(found)} sets of keypoints ({', '.join(found) or 'none'}), expected one.")
    return next(iter(found.values()))
