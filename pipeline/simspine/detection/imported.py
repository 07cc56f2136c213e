"""2D points that others detected: folders of OpenPose or Pose2Sim JSON."""

import os
from collections.abc import Sequence

from simspine import skeletons
from simspine.detection.run import Detections


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
