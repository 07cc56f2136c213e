"""Points along the spine and the vertebrae they are named after: a point's place on the vertebra is one of two.

`released`: where the SIMSPINE release has its markers, near the tips of the spinous processes. `vertebral`: the
centroid of the vertebra, as its paper defines the points (docs/marker-atlas.md).
"""

import numpy as np

from simspine.errors import InputError
from simspine.skeletons import TARGET, load
from simspine.types import Markers

_TABLE = load(TARGET)
# The nine points along the spine, from below, and the vertebra of each.
VERTEBRA_OF = {
    name: level.replace("sacrum", "S1") for name, level in zip(_TABLE.names, _TABLE.levels, strict=True) if level
}


def at_vertebrae(markers: Markers, centres: Markers) -> Markers:
    """`markers` with the points along the spine at their vertebrae's centroids; the others stay.

    centres: centroids by level (C1 … L5, S1), same frames and frame. Covariances come from both where both have them.
    Raises `InputError` where frames differ or a vertebra is missing.
    """
    if (markers.frames, markers.frame) != (centres.frames, centres.frame):
        raise InputError(
            f"markers have {markers.frames} frames in {markers.frame!r}, centres {centres.frames} in "
            f"{centres.frame!r}; both must be alike."
        )
    along = [name for name in markers.names if name in VERTEBRA_OF]
    to, source = markers.indices(along), centres.indices([VERTEBRA_OF[name] for name in along])
    xyz = np.array(markers.xyz)
    xyz[:, to] = centres.xyz[:, source]
    covariance = None
    if markers.covariance is not None and centres.covariance is not None:
        covariance = np.array(markers.covariance)
        covariance[:, to] = centres.covariance[:, source]
    return markers.with_(xyz=xyz, covariance=covariance)
