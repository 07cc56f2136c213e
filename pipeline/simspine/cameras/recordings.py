"""Several recordings of one set-up, looked at together."""

from collections.abc import Sequence

import numpy as np

from simspine.skeletons.skin_names import not_on_skin
from simspine.types import Camera, Keypoints

GAP = 10  # frames without points between two recordings, so that nothing moves across


def joined(recordings: Sequence[Keypoints]) -> Keypoints:
    """Recordings of the same views and points as one, with frames without points between them.

    Markers on the skin are left out: not every recording has them, and they are to test what comes of it.
    """
    names = not_on_skin(recordings[0].names)
    first = recordings[0].select(names)
    xy, confidence = [], []
    for keypoints in recordings:
        same = keypoints.select(names)
        shape = (GAP, *same.xy.shape[1:])
        xy += [same.xy, np.full(shape, np.nan)]
        confidence += [same.confidence, np.zeros(shape[:-1])]
    return first.with_(xy=np.concatenate(xy[:-1]), confidence=np.concatenate(confidence[:-1]))


def same_rig(a: Sequence[Camera], b: Sequence[Camera]) -> bool:
    """Whether two recordings were calibrated alike."""
    fields = ("K", "distortion", "R", "t")
    return len(a) == len(b) and all(
        (x.name, x.lens, x.distortion.shape) == (y.name, y.lens, y.distortion.shape)
        and all(np.allclose(getattr(x, field), getattr(y, field)) for field in fields)
        for x, y in zip(a, b, strict=True)
    )


def of_views(keypoints: Keypoints, views: Sequence[int]) -> Keypoints:
    """What some of the views saw."""
    chosen = list(views)
    return keypoints.with_(xy=keypoints.xy[:, chosen], confidence=keypoints.confidence[:, chosen])
