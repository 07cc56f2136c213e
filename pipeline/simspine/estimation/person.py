"""Where points lie on a person's body: how far off the places they mean, which is the same in all trials.

A point of the spine is off for two reasons: this person's vertebra is elsewhere than the sized body has it, and
whoever found the point was off, always in the same way. People are symmetrical, so what points are off to the side is
the second alone. It is learnt from there and taken to be as large forwards and upwards; what is left is the vertebra's.
And a detector puts all points of a region too high in everybody, in which a body may look like one of another shape.
Where that was not measured on people whose points are known (`KinematicsOptions.detector_offsets`), nothing is known of
it but how much it differs from trial to trial; in all of them it is taken to be a part of that
(`simspine.estimation.fit_person`), as far as the detector's errors last at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np

from simspine.anatomy.body import Body
from simspine.anatomy.curvature import SACRAL_TILT_SD, SPINE_CHAIN_MARKERS
from simspine.anatomy.person_variation import SACRAL_TILT, levels_given_known_curve
from simspine.anatomy.priors import LinearPrior, MarkerErrors, Prior, level_priors, likeliest_variance
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, Recipe, vertebra_markers
from simspine.anatomy.shape_model import CHAIN_LEVELS
from simspine.core.skeletons import SPINE_REGIONS, is_skin_marker
from simspine.core.types import FROM_DETECTOR, Markers, Origin
from simspine.estimation.options import KinematicsOptions

# What all trials said of a person: anatomy, standing curve, noise; and what each trial may take from it.


class Displacement(NamedTuple):
    """place: (forward, up, right) m, how far a vertebra lies elsewhere in this person than in the body of their size;
    sd: m, standard deviation of each."""

    place: tuple[float, float, float]
    sd: float


@dataclass(frozen=True, eq=False)
class Person:
    """What was found of a person, beside their body, and how sure it is.

    names: of the standing curve's unknowns (`curve_names`). mean: (k,) rad, from people's mean curve, covariance:
    (k, k), assumed: (k, k) precision of what was assumed of anyone. trials: how many said it. noise: options of inverse
    kinematics that were learnt from the recordings. worth: factors on the weights of markers, learnt as well. anatomy:
    {variation: (value, its standard deviation)}, see `simspine.anatomy.person_variation`. carried: {free coordinate:
    (r,) rad or
    m}, by how much it would change with each of r independent ways in which the body may still be wrong, one standard
    deviation each. centroids: by level, as points that mean centroids say. lasting, lasting_shared: which part of the
    noise is there in what the fit leaves over, and lasts (`MarkerErrors`). always: by region of the spine, what its
    points are off by in all trials, which is the detector's doing. unsure: {marker: (3, 3) m²}, covariance of where
    it is for all that may still be wrong with the body, along the axes of the body that carries it. left: squared
    standard deviations that the fit had left to gain when it ended (`PersonFit`).
    """

    names: tuple[str, ...]
    mean: np.ndarray
    covariance: np.ndarray
    assumed: np.ndarray
    trials: int
    noise: Mapping[str, float]
    worth: Mapping[str, float]
    anatomy: Mapping[str, tuple[float, float]]
    carried: Mapping[str, Sequence[float]]
    centroids: Mapping[str, Displacement] = field(default_factory=dict)
    lasting: Mapping[str, float] = field(default_factory=dict)
    misfit: Mapping[str, float] = field(default_factory=dict)
    lasting_shared: float = 1.0
    always: Mapping[str, Displacement] = field(default_factory=dict)
    unsure: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    left: float = 0.0

    def beside(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean (k,) and covariance (k, k) of what is known without that share of the evidence: without one trial's."""
        gained = np.linalg.inv(self.covariance) - self.assumed
        values, vectors = np.linalg.eigh((gained + gained.T) / 2)
        gained = (vectors * np.maximum(values, 0.0)) @ vectors.T
        pull = (gained + self.assumed) @ self.mean  # the prior's mean is zero
        covariance = np.linalg.inv(self.assumed + (1 - share) * gained)
        return (1 - share) * covariance @ pull, covariance

    def as_dict(self) -> dict:
        """For a JSON file."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "covariance", "assumed")}
        return {field.name: getattr(self, field.name) for field in fields(self)} | arrays

    @classmethod
    def from_dict(cls, entry: Mapping) -> "Person":
        """Of what `as_dict` gave."""
        arrays = {name: np.array(entry[name], float) for name in ("mean", "covariance", "assumed")}
        anatomy = {name: (float(value), float(sd)) for name, (value, sd) in entry["anatomy"].items()}
        own: dict[str, Any] = {"names": tuple(entry["names"]), "anatomy": anatomy}
        for key in ("centroids", "always"):
            found = entry.get(key, {}).items()
            own[key] = {name: Displacement(tuple(place), float(sd)) for name, (place, sd) in found}
        return cls(**{**entry, **arrays, **own})

    @property
    def sacral_tilt(self) -> tuple[float, float]:
        """rad: how far the sacrum's endplate tilts forward against the model's, and its standard deviation."""
        if SACRAL_TILT not in self.names:
            return 0.0, SACRAL_TILT_SD
        i = self.names.index(SACRAL_TILT)
        return float(self.mean[i]), float(np.sqrt(self.covariance[i, i]))

    @property
    def places(self) -> dict[str, tuple[float, float, float]]:
        """{level: m}, see `centroids`."""
        return {level: found.place for level, found in self.centroids.items()}

    @property
    def prior_covariance(self) -> np.ndarray:
        """(k, k) of what was assumed of anyone."""
        return np.linalg.inv(self.assumed)

    def options(self, options: KinematicsOptions) -> KinematicsOptions:
        """The options with what was learnt of the noise."""
        return options.model_copy(update=dict(self.noise))

    def errors(self, errors: MarkerErrors) -> MarkerErrors:
        """The errors of a trial's markers, with what was learnt of them."""
        means = {name: found.place for name, found in self.always.items()}
        shared = tuple(replace(e, mean=means[e.name]) if e.name in means else e for e in errors.shared_errors)
        return replace(
            errors,
            lasting_variance_share=self.lasting,
            misfit_variance_share=self.misfit,
            shared_error_variance_share=self.lasting_shared,
            shared_errors=shared,
        )


def personal_prior(person: Person, recipe: Recipe) -> Prior:
    """The recipe's priors about this person's standing curve instead of anyone's, as a trial's evidence is added to it.

    What the trial itself has said of the curve is left out.
    """
    assert recipe.articulation is not None  # a recipe with an anatomy has one
    levels = level_priors(recipe.articulation.regions)
    mean, covariance = person.beside(1 / person.trials)
    known = levels_given_known_curve(levels, person.names, mean, covariance=covariance, anyone=person.prior_covariance)
    return Prior([*recipe.priors, *known], person.carried)


PLACE_SD_M = {Origin.DETECTED: 0.02, Origin.ESTIMATED: 0.02, Origin.GIVEN: 0.012}  # m, of limbs and head
LASTING_PLACE_SD_M, MIN_PLACE_SD_M = 0.005, 0.0005  # m, of points of the spine: what is assumed, and never less
# m, forward, up, right, of a vertebra's centroid in the sized body. Up: what stays of the spacings in CT scans beside
# the heights of the regions (1.7 mm), and what the model's spacings differ from their mean (1.3 mm). Forward: beside
# the angle of each level, which differs by 4° from person to person, scans leave 0.2 mm, with fractured
# vertebrae 0.9 mm (`tools.learn_spine_shape`); what more is assumed is taken from the curve, which flattens it.
CENTROID_SD = np.array([0.0005, 0.002, 0.001])
SAME_PLACE_M = 1e-4  # m
NO_ERROR_SD_M = 1e-4  # m, standard deviation of an error that is not there
CORRELATED_LEVELS = 1.8  # levels over which neighbouring vertebrae are off alike: in the scans by 0.57 at the next one


@dataclass(frozen=True, eq=False)
class PointPlaces:
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
        regions = [max(always_sd[region], NO_ERROR_SD_M) for region in self.regions for _ in "xyz"]
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
            return LASTING_PLACE_SD_M
        square = found[len(self.sd) :, 2] ** 2 + variance[len(self.sd) :, 2]
        left = max(float(square.mean()) - float(CENTROID_SD[2]) ** 2, MIN_PLACE_SD_M**2)
        return float(np.sqrt(likeliest_variance(left, square.size, LASTING_PLACE_SD_M**2)))


def point_places_of(markers: Markers) -> PointPlaces:
    """The points whose places on the body are unknown: those of a detector or given, not those on the skin."""
    skin = is_skin_marker(markers.names)
    known = {name: sd for origin, sd in PLACE_SD_M.items() for name in markers.names_of(origin) if name not in skin}
    spine = tuple(name for name in known if name in SPINE_CHAIN_MARKERS)
    limbs = {name: sd for name, sd in known.items() if name not in spine}
    detected = {name for name in markers.names_of(*FROM_DETECTOR) if name in known}
    regions = {
        region: tuple(p for p in (*limbs, *spine) if p in of and p in detected) for region, of in SPINE_REGIONS.items()
    }
    return PointPlaces(limbs, spine, {region: points for region, points in regions.items() if len(points) > 1})


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
    seen = np.array([CHAIN_LEVELS.index(level) for level in at.values()])
    rows = [list(points).index(point) for point in at]
    share = CENTROID_SD**2 / (CENTROID_SD**2 + lasting_sd**2)
    own = share * found[rows]
    left = share**2 * variance[rows] + CENTROID_SD**2 * (1 - share)
    alike = np.exp(
        -np.abs(np.subtract.outer(np.arange(len(CHAIN_LEVELS)), np.arange(len(CHAIN_LEVELS)))) / CORRELATED_LEVELS
    )
    gain = np.linalg.solve(alike[np.ix_(seen, seen)], alike[seen]).T
    unseen = 1 - np.einsum("ls,sl->l", gain, alike[seen])
    place, square = gain @ own, gain**2 @ left + unseen[:, None] * CENTROID_SD**2
    there = vertebra_markers(body)
    return {
        level: Displacement((float(x), float(y), float(z)), float(np.sqrt(square[i].mean())))
        for i, (level, (x, y, z)) in enumerate(zip(CHAIN_LEVELS, place, strict=True))
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
            if tree.marker_body[i] == tree.marker_body[centroid] and apart < SAME_PLACE_M:
                found[point] = level
    return found


def carried_along(body: Body, centroids: Mapping[str, Displacement]) -> dict[str, np.ndarray]:
    """{marker: (3,) m} by which the body's virtual markers go with their vertebrae."""
    of_level = vertebra_markers(body)
    found = {of_level[level]: np.array(moved.place) for level, moved in centroids.items()}
    by_body = {int(body.tree.marker_body[body.marker_index(name)]): place for name, place in found.items()}
    for name in SPINE_CHAIN_MARKERS:
        marker = name + VIRTUAL_SUFFIX
        if marker in body.marker_names:
            carrier = int(body.tree.marker_body[body.marker_index(marker)])
            if carrier in by_body:
                found[marker] = by_body[carrier]
    return found
