"""A marker's place as the sum of the bodies' shares, each of which grows with its body's factor.

In a fixed pose the way from ground to a marker runs through the bodies of the tree: within each body it is a vector
that is scaled with that body, and an isotropic scaling turns nothing. So distances in a scaled body need no new model.
"""

from collections.abc import Mapping

import numpy as np

from simspine.body import _opensim
from simspine.body._opensim import place
from simspine.body.kinematics import neutral_motion
from simspine.body.model import Body

Path = dict[str, np.ndarray]  # {body: (3,) m}, in ground


def marker_paths(body: Body, pose: Mapping[str, float], points: Mapping[str, tuple] | None = None) -> dict[str, Path]:
    """The path from ground to each marker of `body`, or to `points` {name: (body, offset)}.

    pose: values of coordinates that are not at their default. Shifts within a joint belong to its parent body, as
    OpenSim scales them.
    """
    if points is None:
        points = dict(zip(body.marker_names, zip(body.marker_bodies, body.marker_offsets, strict=True), strict=True))
    model = _opensim.load(body.osim)
    state = model.initSystem()
    place(list(model.getCoordinateSet()), neutral_motion(body, pose).values[0].tolist(), state)
    model.realizePosition(state)
    inboard = {j.getChildFrame().findBaseFrame().getName(): j for j in model.getJointSet()}

    def where(frame) -> np.ndarray:
        return frame.getPositionInGround(state).to_numpy()

    def path(name: str, point: np.ndarray) -> Path:
        """From ground through `name` to a point on it given in ground."""
        if name not in inboard:
            return {name: point}
        joint = inboard[name]
        entry = where(joint.getChildFrame())
        parent = joint.getParentFrame().findBaseFrame().getName()
        return path(parent, entry) | {name: point - entry}

    osim = _opensim.api()
    frames = model.getBodySet()
    return {
        name: path(
            carrier, frames.get(carrier).findStationLocationInGround(state, osim.Vec3(*map(float, offset))).to_numpy()
        )
        for name, (carrier, offset) in points.items()
    }


def vector(a: Path, b: Path, factors: Mapping[str, float]) -> np.ndarray:
    """(3,) m from the end of path a to the end of path b, bodies scaled by `factors` (1 where absent)."""
    total = np.zeros(3)
    for path, sign in ((b, 1.0), (a, -1.0)):
        for name, share in path.items():
            total = total + sign * factors.get(name, 1.0) * share
    return total


def distance(a: Path, b: Path, factors: Mapping[str, float]) -> float:
    """Length (m) of `vector`."""
    return float(np.linalg.norm(vector(a, b, factors)))
