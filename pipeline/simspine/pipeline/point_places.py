"""Where points lie on a person's body: how far off the places they mean, which is the same in all trials.

A point of the spine is off for two reasons: this person's vertebra is elsewhere than the sized body has it, and
whoever found the point was off, always in the same way. People are symmetrical, so what points are off to the side is
the second alone. It is learnt from there and taken to be as large forwards and upwards; what is left is the vertebra's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.body.model import Body
from simspine.body.recipes import VIRTUAL, vertebra_markers
from simspine.pipeline.noise import likeliest
from simspine.pipeline.person import Displacement
from simspine.priors.assumptions import LinearPrior
from simspine.skeletons.skin_names import on_skin
from simspine.spine.levels import CHAIN
from simspine.spine.shape.chain import LEVELS
from simspine.types import Markers, Origin

PLACE_SD = {Origin.DETECTED: 0.02, Origin.ESTIMATED: 0.02, Origin.GIVEN: 0.012}  # m, of limbs and head
LASTING_SD, LEAST = 0.005, 0.001  # m, of points of the spine: what is assumed, and never less
# m, forward, up, right, of a vertebra's centroid in the sized body. Up: what stays of the spacings in CT scans beside
# the heights of the regions (1.7 mm), and what the model's spacings differ from their mean (1.3 mm); forward the same.
CENTROID_SD = np.array([0.002, 0.002, 0.001])
SAME_PLACE = 1e-4  # m
ALIKE = 1.8  # levels over which neighbouring vertebrae are off alike: in the scans by 0.57 at the next one


@dataclass(frozen=True, eq=False)
class Places:
    """sd: {point: m} of limbs and head. spine: points of the spine whose places are unknown as well."""

    sd: Mapping[str, float]
    spine: tuple[str, ...]

    @property
    def points(self) -> tuple[str, ...]:
        return (*self.sd, *self.spine)

    @property
    def names(self) -> list[str]:
        """Of the unknowns, three for each point: forward, up, right on the body that carries it."""
        return [f"place of {point}, {axis}" for point in self.points for axis in "xyz"]

    def priors(self, lasting_sd: float) -> list[LinearPrior]:
        """What is assumed of the unknowns, with that much (m) for whoever found the points of the spine."""
        limbs = [np.full(3, sd) for sd in self.sd.values()]
        each = np.concatenate([*limbs, *(np.hypot(CENTROID_SD, lasting_sd) for _ in self.spine), []])
        found = zip(self.names, each.tolist(), strict=True)
        return [LinearPrior({name: 1.0}, 0.0, sd, "places of points") for name, sd in found]

    def lasting_sd(self, found: np.ndarray, variance: np.ndarray) -> float:
        """m: the likeliest, by what points of the spine are off to the side. found: (points, 3) m, variance: m²."""
        if not self.spine:
            return LASTING_SD
        square = found[len(self.sd) :, 2] ** 2 + variance[len(self.sd) :, 2]
        return float(np.sqrt(likeliest(max(float(square.mean()), LEAST**2), square.size, LASTING_SD**2)))


def places_of(markers: Markers) -> Places:
    """The points whose places on the body are unknown: those of a detector or given, not those on the skin."""
    skin = on_skin(markers.names)
    known = {name: sd for origin, sd in PLACE_SD.items() for name in markers.names_of(origin) if name not in skin}
    spine = tuple(name for name in known if name in CHAIN)
    return Places({name: sd for name, sd in known.items() if name not in spine}, spine)


def own_centroids(
    body: Body, points: Sequence[str], found: np.ndarray, variance: np.ndarray, lasting_sd: float
) -> dict[str, Displacement]:
    """{level: how far that vertebra of a person lies off `body`'s}.

    points: of the spine; found: (points, 3) m, how far they lie off their places, variance: m². Only points that mean
    centroids say something; of a level without one its neighbours do.
    """
    at = _levels_of(body, points)
    if not at:
        return {}
    seen = np.array([LEVELS.index(level) for level in at.values()])
    rows = [list(points).index(point) for point in at]
    share = CENTROID_SD**2 / (CENTROID_SD**2 + lasting_sd**2)
    own = share * found[rows]
    left = share**2 * variance[rows] + CENTROID_SD**2 * (1 - share)
    alike = np.exp(-np.abs(np.subtract.outer(np.arange(len(LEVELS)), np.arange(len(LEVELS)))) / ALIKE)
    gain = np.linalg.solve(alike[np.ix_(seen, seen)], alike[seen]).T
    unseen = 1 - np.einsum("ls,sl->l", gain, alike[seen])
    place, square = gain @ own, gain**2 @ left + unseen[:, None] * CENTROID_SD**2
    there = vertebra_markers(body)
    return {
        level: Displacement((float(x), float(y), float(z)), float(np.sqrt(square[i].mean())))
        for i, (level, (x, y, z)) in enumerate(zip(LEVELS, place, strict=True))
        if level in there
    }


def _levels_of(body: Body, points: Sequence[str]) -> dict[str, str]:
    """{point: level}, of the points that lie at a vertebra's centroid."""
    tree, found = body.tree, {}
    for level, marker in vertebra_markers(body).items():
        centroid = body.marker_index(marker)
        for point in points:
            i = body.marker_index(point)
            apart = np.linalg.norm(tree.marker_offset[i] - tree.marker_offset[centroid])
            if tree.marker_body[i] == tree.marker_body[centroid] and apart < SAME_PLACE:
                found[point] = level
    return found


def carried_along(body: Body, centroids: Mapping[str, Displacement]) -> dict[str, np.ndarray]:
    """{marker: (3,) m} by which the body's virtual markers go with their vertebrae."""
    of_level = vertebra_markers(body)
    found = {of_level[level]: np.array(moved.place) for level, moved in centroids.items()}
    by_body = {int(body.tree.marker_body[body.marker_index(name)]): place for name, place in found.items()}
    for name in CHAIN:
        marker = name + VIRTUAL
        if marker in body.marker_names:
            carrier = int(body.tree.marker_body[body.marker_index(marker)])
            if carrier in by_body:
                found[marker] = by_body[carrier]
    return found
