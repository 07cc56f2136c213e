"""Where points lie on a person's body: how far off the places they mean, which is the same in all trials.

A point of the spine is off for two reasons: this person's vertebra is elsewhere than the sized body has it, and
whoever found the point was off, always in the same way. People are symmetrical, so what points are off to the side is
the second alone. It is learnt from there and taken to be as large forwards and upwards; what is left is the vertebra's.
And a detector puts all points of a region too high in everybody, in which a body may look like one of another shape.
Where that was not measured on people whose points are known (`KinematicsOptions.detector_offsets`), nothing is known of
it but how much it differs from trial to trial; in all of them it is taken to be a part of that
(`simspine.pipeline.fit_person`), as far as the detector's errors last at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simspine.body.model import Body
from simspine.body.recipes import VIRTUAL, vertebra_markers
from simspine.pipeline.person import Displacement
from simspine.priors.assumptions import LinearPrior
from simspine.priors.likeliest import likeliest
from simspine.skeletons.regions import SPINE_REGIONS
from simspine.skeletons.skin_names import on_skin
from simspine.spine.levels import CHAIN
from simspine.spine.shape.chain import LEVELS
from simspine.types import FROM_DETECTOR, Markers, Origin

PLACE_SD = {Origin.DETECTED: 0.02, Origin.ESTIMATED: 0.02, Origin.GIVEN: 0.012}  # m, of limbs and head
LASTING_SD, LEAST = 0.005, 0.0005  # m, of points of the spine: what is assumed, and never less
# m, forward, up, right, of a vertebra's centroid in the sized body. Up: what stays of the spacings in CT scans beside
# the heights of the regions (1.7 mm), and what the model's spacings differ from their mean (1.3 mm). Forward: beside
# the angle of each level, which differs by 4° from person to person, scans leave 0.2 mm, with fractured
# vertebrae 0.9 mm (`tools.learn_spine_shape`); what more is assumed is taken from the curve, which flattens it.
CENTROID_SD = np.array([0.0005, 0.002, 0.001])
SAME_PLACE = 1e-4  # m
NONE = 1e-4  # m, standard deviation of an error that is not there
ALIKE = 1.8  # levels over which neighbouring vertebrae are off alike: in the scans by 0.57 at the next one


@dataclass(frozen=True, eq=False)
class Places:
    """sd: {point: m} of limbs and head. spine: points of the spine whose places are unknown as well. regions: {region:
    points from a detector, of either}, which are off together.
    """

    sd: Mapping[str, float]
    spine: tuple[str, ...]
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def points(self) -> tuple[str, ...]:
        return (*self.sd, *self.spine)

    @property
    def names(self) -> list[str]:
        """Of the unknowns, three for each point: forward, up, right on the body that carries it."""
        return [f"place of {point}, {axis}" for point in self.points for axis in "xyz"]

    @property
    def region_names(self) -> list[str]:
        """Of the unknowns, three for each region: what its points are off by in all trials."""
        return [f"{region} points always, {axis}" for region in self.regions for axis in "xyz"]

    @property
    def shared(self) -> np.ndarray:
        """(points, regions): 1 where a point is one of the region's."""
        return np.array([[point in of for of in self.regions.values()] for point in self.points], float)

    def region_of(self, point: str) -> tuple[str, ...]:
        """The three unknowns of a point's region; () where it has none."""
        found = [region for region, of in self.regions.items() if point in of]
        return tuple(f"{region} points always, {axis}" for region in found for axis in "xyz")

    def priors(self, lasting_sd: float, always_sd: Mapping[str, float]) -> list[LinearPrior]:
        """What is assumed of the unknowns. m: lasting_sd of whoever found the points of the spine, always_sd of what
        each region's points are always off by.
        """
        limbs = [np.full(3, sd) for sd in self.sd.values()]
        each = np.concatenate([*limbs, *(np.hypot(CENTROID_SD, lasting_sd) for _ in self.spine), []])
        regions = [max(always_sd[region], NONE) for region in self.regions for _ in "xyz"]
        found = [LinearPrior({n: 1.0}, 0.0, sd, "detectors") for n, sd in zip(self.region_names, regions, strict=True)]
        for i, (name, sd) in enumerate(zip(self.names, each.tolist(), strict=True)):
            region = self.region_of(self.points[i // 3])
            both = {region[i % 3]: -1.0} if region else {}
            found.append(LinearPrior({name: 1.0} | both, 0.0, sd, "places of points"))
        return found

    def apart(self, stays: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What each point is off by besides its region, (points, 3) m, and its variance, m²; and regions, (regions, 3).

        stays: of `names` and `region_names`; covariance: of them.
        """
        places = 3 * len(self.points)
        own = np.eye(places, len(stays))
        own[:, places:] = -np.kron(self.shared, np.eye(3))
        variance = np.einsum("ij,jk,ik->i", own, covariance, own)
        off, unsure = stays[places:].reshape(-1, 3), np.diag(covariance)[places:].reshape(-1, 3)
        return (own @ stays).reshape(-1, 3), variance.reshape(-1, 3), off, unsure

    def lasting_sd(self, found: np.ndarray, variance: np.ndarray) -> float:
        """m: the likeliest, by what points of the spine are off to the side. found: (points, 3) m, variance: m²."""
        if not self.spine:
            return LASTING_SD
        square = found[len(self.sd) :, 2] ** 2 + variance[len(self.sd) :, 2]
        left = max(float(square.mean()) - float(CENTROID_SD[2]) ** 2, LEAST**2)
        return float(np.sqrt(likeliest(left, square.size, LASTING_SD**2)))


def places_of(markers: Markers) -> Places:
    """The points whose places on the body are unknown: those of a detector or given, not those on the skin."""
    skin = on_skin(markers.names)
    known = {name: sd for origin, sd in PLACE_SD.items() for name in markers.names_of(origin) if name not in skin}
    spine = tuple(name for name in known if name in CHAIN)
    limbs = {name: sd for name, sd in known.items() if name not in spine}
    detected = {name for name in markers.names_of(*FROM_DETECTOR) if name in known}
    regions = {
        region: tuple(p for p in (*limbs, *spine) if p in of and p in detected) for region, of in SPINE_REGIONS.items()
    }
    return Places(limbs, spine, {region: points for region, points in regions.items() if len(points) > 1})


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
