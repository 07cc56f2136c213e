"""What all trials of a person say together: their standing curve, their vertebrae, and where their points lie.

A point of the spine is off for two reasons: this person's vertebra is elsewhere than the sized body has it, and the
detector puts the point off it, always in the same way. People are symmetrical, so what points are off to the side is
the second alone. It is learnt from there and taken to be as large forwards and upwards; what is left is the vertebra's.
A systematic detector error, such as a region whose points are all too high, looks like a body of another shape. Its
variation from trial to trial alone is known; the part that is the same in all trials is taken as a share of it
(`simspine.estimation.fit_person`), as far as the detector's errors last at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from simspine.anatomy.body import Body
from simspine.anatomy.curvature import SACRAL_TILT_SD, SPINE_CHAIN_MARKERS
from simspine.anatomy.marker_sets import pelvis_skin_pair, read_skin_table
from simspine.anatomy.person_variation import SACRAL_TILT, in_coronal_plane, levels_given_known_curve
from simspine.anatomy.priors import LinearPrior, Prior, level_priors, likeliest_variance
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, Recipe, vertebra_markers
from simspine.anatomy.shape_model import CHAIN_LEVELS
from simspine.core.skeletons import SIMSPINE_SKELETON, SPINE_REGIONS, is_skin_marker, load_skeleton, skin_landmark
from simspine.core.types import FROM_DETECTOR, Markers, Origin
from simspine.estimation.observations import NoiseLevels
from simspine.estimation.person_solver import PersonFit


class Displacement(NamedTuple):
    """offset_m: (forward, up, right) m, from the place in the body of the person's size. sd: m, of each."""

    offset_m: tuple[float, float, float]
    sd: float


CURVE_ARRAYS = ("curve_mean", "curve_covariance", "curve_prior_precision")


@dataclass(frozen=True, eq=False)
class Person:
    """What all trials say of a person apart from the body itself.

    curve_coordinates: names of the standing curve's k unknowns (`curve_names`). curve_mean: (k,) rad, from people's
    mean curve. curve_covariance: (k, k). curve_prior_precision: (k, k), of people's curves that are `coronal_scale`
    times as crooked. trials: how many there are. noise: errors of points, learnt from all trials. anatomy: {variation:
    (value, standard deviation)}, see `simspine.anatomy.person_variation`. body_error_modes: {free coordinate: (r,) rad
    or m}, its change with each of r independent errors that the body may still have, one standard deviation each.
    centroids: by level, how far the person's vertebrae lie off the sized body's. detector_bias: by region of the spine,
    the detector's error in all trials. place_covariance_from_body: {marker: (3, 3) m²}, from the body's remaining
    errors, along the axes of the body that carries it. unconverged_cost: squared standard deviations that the fit had
    left to gain when it ended.
    """

    curve_coordinates: tuple[str, ...]
    curve_mean: np.ndarray
    curve_covariance: np.ndarray
    curve_prior_precision: np.ndarray
    trials: int
    noise: NoiseLevels
    anatomy: Mapping[str, tuple[float, float]]
    body_error_modes: Mapping[str, Sequence[float]]
    coronal_scale: float = 1.0
    centroids: Mapping[str, Displacement] = field(default_factory=dict)
    detector_bias: Mapping[str, Displacement] = field(default_factory=dict)
    place_covariance_from_body: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    unconverged_cost: float = 0.0

    def posterior_without(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean (k,) and covariance (k, k) of the curve without that share of the evidence, such as one trial's."""
        gained = np.linalg.inv(self.curve_covariance) - self.curve_prior_precision
        values, vectors = np.linalg.eigh((gained + gained.T) / 2)
        gained = (vectors * np.maximum(values, 0.0)) @ vectors.T
        pull = (gained + self.curve_prior_precision) @ self.curve_mean  # the prior's mean is zero
        covariance = np.linalg.inv(self.curve_prior_precision + (1 - share) * gained)
        return (1 - share) * covariance @ pull, covariance

    def as_dict(self) -> dict:
        """For a JSON file."""
        values = {own.name: getattr(self, own.name) for own in fields(self)}
        values |= {name: values[name].tolist() for name in CURVE_ARRAYS}
        return values | {"noise": asdict(self.noise)}

    @classmethod
    def from_dict(cls, entry: Mapping) -> "Person":
        """Of what `as_dict` gave."""
        values: dict[str, Any] = dict(entry)
        values["noise"] = NoiseLevels(**values["noise"])
        values["curve_coordinates"] = tuple(values["curve_coordinates"])
        k = len(values["curve_coordinates"])
        for name, shape in zip(CURVE_ARRAYS, ((k,), (k, k), (k, k)), strict=True):
            values[name] = np.array(values[name], float).reshape(shape)
        values["anatomy"] = {name: (float(value), float(sd)) for name, (value, sd) in values["anatomy"].items()}
        for name in ("centroids", "detector_bias"):
            found = values[name].items()
            values[name] = {key: Displacement(tuple(offset), float(sd)) for key, (offset, sd) in found}
        return cls(**values)

    @property
    def sacral_tilt(self) -> tuple[float, float]:
        """rad: how far the sacrum's endplate tilts forward against the model's, and its standard deviation."""
        if SACRAL_TILT not in self.curve_coordinates:
            return 0.0, SACRAL_TILT_SD
        i = self.curve_coordinates.index(SACRAL_TILT)
        return float(self.curve_mean[i]), float(np.sqrt(self.curve_covariance[i, i]))


def personal_prior(person: Person, recipe: Recipe) -> Prior:
    """The recipe's priors about this person's standing curve instead of people's, as a trial's evidence is added to it.

    The trial's own share in what is known of the curve is left out.
    """
    assert recipe.articulation is not None  # a recipe with an anatomy has one
    mean, covariance = person.posterior_without(1 / person.trials)
    scale = np.where(in_coronal_plane(person.curve_coordinates), person.coronal_scale, 1.0)
    anyone = np.linalg.inv(person.curve_prior_precision) / np.outer(scale, scale)
    known = levels_given_known_curve(
        level_priors(recipe.articulation.regions),
        person.curve_coordinates,
        mean,
        covariance=covariance,
        anyone=anyone,
    )
    return Prior([*recipe.priors, *known], person.body_error_modes)


def likeliest_coronal_scale(names: Sequence[str], fit: PersonFit, used: float) -> float:
    """By how much a person's spine is more crooked than people's, at least 1: these are without scoliosis.

    So the prior has the heavy tails of a scale mixture: it holds straight spines straight, and lets go of crooked ones.
    names: of the constants of the fit. used: scale of the prior of the fit.
    """
    plane = np.flatnonzero(in_coronal_plane(names))
    people = np.diag(np.linalg.inv(fit.prior_precision))[plane] / used**2
    square = (fit.solution.constants[plane] ** 2 + np.diag(fit.covariance)[plane]) / people
    return max(1.0, float(np.sqrt(likeliest_variance(float(square.mean()), plane.size, 1.0))))


# Where points lie on the body, and what of that is the detector's bias.

PLACE_SD_M = {Origin.DETECTED: 0.02, Origin.ESTIMATED: 0.02, Origin.GIVEN: 0.012}  # m, of limbs and head
# m, left less right, to begin with: bones of both sides differ by under 1 % (Auerbach & Ruff 2006, J Hum Evol 50:203),
# 2 mm in half a pelvis and in the places of joint centres. What a detector adds is learnt from all pairs of a person.
SIDE_DIFFERENCE_SD_M = 0.002
LASTING_PLACE_SD_M, MIN_PLACE_SD_M = 0.005, 0.0005  # m, of points of the spine: what is assumed, and never less
# m, forward, up, right, of a vertebra's centroid in the sized body. Up: spacings in CT scans vary by 1.7 mm once the
# heights of the regions are known, and the model's spacings differ from their mean by 1.3 mm. Forward: once the angle
# of each level is known, which differs by 4° from person to person, scans vary by 0.2 mm, with fractured vertebrae by
# 0.9 mm (`tools.learn_spine_shape`); a larger value would take from the curve, which flattens it.
CENTROID_SD = np.array([0.0005, 0.002, 0.001])
SAME_PLACE_M = 1e-4  # m
NO_ERROR_SD_M = 1e-4  # m, standard deviation of an error that is not there
CORRELATED_LEVELS = 1.8  # levels over which neighbouring vertebrae are off alike: in the scans by 0.57 at the next one


class PlaceErrors(NamedTuple):
    """own: (points, 3) m, how far each point is off its region's bias. own_variance: m². bias, bias_variance: (regions,
    3) m and m², of the detector in all trials."""

    own: np.ndarray
    own_variance: np.ndarray
    bias: np.ndarray
    bias_variance: np.ndarray


@dataclass(frozen=True, eq=False)
class PointPlaces:
    """Points whose places on the body are unknown. sd: {point: m, or forward, up, right m} of limbs, head and skin.
    spine_points: of the spine. regions: {region: points of a detector, of either kind}, which share a bias.
    """

    sd: Mapping[str, float | tuple[float, float, float]]
    spine_points: tuple[str, ...]
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def points(self) -> tuple[str, ...]:
        return (*self.sd, *self.spine_points)

    @property
    def coordinate_names(self) -> list[str]:
        """Of the unknowns, three for each point: forward, up, right on the body that carries it."""
        return [f"place of {point}, {axis}" for point in self.points for axis in "xyz"]

    @property
    def region_coordinate_names(self) -> list[str]:
        """Of the unknowns, three for each region: the bias of its points in all trials."""
        return [f"{region} points always, {axis}" for region in self.regions for axis in "xyz"]

    @property
    def region_membership(self) -> np.ndarray:
        """(points, regions): 1 where a point is one of the region's."""
        return np.array([[point in of for of in self.regions.values()] for point in self.points], float)

    def region_of(self, point: str) -> tuple[str, ...]:
        """The three unknowns of a point's region; () where it has none."""
        found = [region for region, of in self.regions.items() if point in of]
        return tuple(f"{region} points always, {axis}" for region in found for axis in "xyz")

    def priors(
        self, lasting_sd: float, detector_bias_sd: float, side_difference_sd: float = SIDE_DIFFERENCE_SD_M
    ) -> list[LinearPrior]:
        """What is assumed of the unknowns; m, lasting_sd: of the points of the spine."""
        limbs = [np.broadcast_to(sd, 3) for sd in self.sd.values()]
        each = np.concatenate([*limbs, *(np.hypot(CENTROID_SD, lasting_sd) for _ in self.spine_points), []])
        found = [
            LinearPrior(
                {f"{region} points always, {axis}": 1.0}, 0.0, max(detector_bias_sd, NO_ERROR_SD_M), "detectors"
            )
            for region in self.regions
            for axis in "xyz"
        ]
        pelvis, on_back = pelvis_skin_pair(is_skin_marker(self.sd)), self.skin_along_spine
        for i, (name, sd) in enumerate(zip(self.coordinate_names, each.tolist(), strict=True)):
            region = self.region_of(self.points[i // 3])
            bias = {region[i % 3]: -1.0} if region else {}
            if self.points[i // 3] not in (*pelvis, *on_back):
                found.append(LinearPrior({name: 1.0} | bias, 0.0, sd, "places of points"))
        found += self._skin_priors(on_back)
        return [*found, *(self._pelvis_priors(*pelvis) if pelvis else ()), *self._symmetry_priors(side_difference_sd)]

    @property
    def skin_along_spine(self) -> tuple[str, ...]:
        """Single markers on the skin over the spine, downwards."""
        levels = read_skin_table().levels
        found = [name for name in is_skin_marker(self.sd) if skin_landmark(name) in levels]
        return tuple(sorted(found, key=lambda name: levels.index(skin_landmark(name))))

    def _skin_priors(self, markers: Sequence[str]) -> Iterator[LinearPrior]:
        """Neighbouring markers on the skin err alike, in depth and in the level that was palpated.

        Errors are correlated like those of dots of a tape, exp(−distance / correlation length). All depths of a person
        have a part in common, which other points of the body show; without these it is not estimated
        (`simspine.estimation.solve_trial`). markers: along the spine.
        """
        if not markers:
            return
        table, only_skin = read_skin_table(), len(is_skin_marker(self.points)) == len(self.points)
        along = np.array([table.along(marker) for marker in markers])
        correlation = np.exp(-np.abs(np.subtract.outer(along, along)) / table.correlation)
        shared_sd = (0.0 if only_skin else table.person_depth_sd, 0.0, 0.0)
        for k, axis in enumerate("xyz"):
            sd = np.array([np.broadcast_to(self.sd[marker], 3)[k] for marker in markers])
            covariance = correlation * np.outer(sd, sd) + shared_sd[k] ** 2
            names = [f"place of {marker}, {axis}" for marker in markers]
            for row in np.linalg.inv(np.linalg.cholesky(covariance)).tolist():
                yield LinearPrior(dict(zip(names, row, strict=True)), 0.0, 1.0, "places on the skin")

    def _pelvis_priors(self, left: str, right: str) -> Iterator[LinearPrior]:
        """Both posterior superior iliac spines of a person lie elsewhere on the sacrum than the model's.

        What they have in common has a spread of its own, so that they show where the pelvis faces and which side is
        higher, and hardly how it is tilted.
        """
        together = read_skin_table().pelvis_sd
        for axis, own_sd, shared_sd in zip("xyz", np.broadcast_to(self.sd[left], 3), together, strict=True):
            both = f"place of {left}, {axis}", f"place of {right}, {axis}"
            sum_sd, difference_sd = np.sqrt(2 * own_sd**2 + 4 * shared_sd**2), np.sqrt(2) * own_sd
            for sign, sd in ((1.0, sum_sd), (-1.0, difference_sd)):
                yield LinearPrior({both[0]: 1.0, both[1]: sign}, 0.0, float(sd), "markers over the pelvis")

    def _symmetry_priors(self, sd: float) -> list[LinearPrior]:
        """Points of limbs lie at mirrored places left and right; markers that a hand put somewhere do not.

        Without these priors a motion to one side would look like a crooked body.
        """
        joints = set(load_skeleton(SIMSPINE_SKELETON).names) & set(self.sd)
        pairs = [
            (point, "R" + point[1:]) for point in self.sd if {point, "R" + point[1:]} <= joints and point[0] == "L"
        ]
        return [
            LinearPrior(
                {f"place of {left}, {axis}": 1.0, f"place of {right}, {axis}": mirror},
                mean=0.0,
                sd=sd,
                source="symmetry of places",
            )
            for left, right in pairs
            for axis, mirror in zip("xyz", (-1.0, -1.0, 1.0), strict=True)
        ]

    def split_bias_from_trial_error(self, constants: np.ndarray, covariance: np.ndarray) -> PlaceErrors:
        """constants: of `coordinate_names` and `region_coordinate_names`; covariance: of them."""
        places = 3 * len(self.points)
        own = np.eye(places, len(constants))
        own[:, places:] = -np.kron(self.region_membership, np.eye(3))
        variance = np.einsum("ij,jk,ik->i", own, covariance, own)
        return PlaceErrors(
            own=(own @ constants).reshape(-1, 3),
            own_variance=variance.reshape(-1, 3),
            bias=constants[places:].reshape(-1, 3),
            bias_variance=np.diag(covariance)[places:].reshape(-1, 3),
        )

    def estimated_side_difference_sd(self, constants: np.ndarray, covariance: np.ndarray) -> float:
        """m: the likeliest, by how far places left and right do not mirror each other; arguments as of
        `split_bias_from_trial_error`."""
        names = [*self.coordinate_names, *self.region_coordinate_names]
        rows = Prior(self._symmetry_priors(1.0)).arrays(names, 1.0)[0]
        if not len(rows):
            return SIDE_DIFFERENCE_SD_M
        square = (rows @ constants) ** 2 + np.einsum("ij,jk,ik->i", rows, covariance, rows)
        return float(np.sqrt(likeliest_variance(float(square.mean()), square.size, SIDE_DIFFERENCE_SD_M**2)))

    def estimated_lasting_sd(self, found: np.ndarray, variance: np.ndarray) -> float:
        """m: the likeliest, by what points of the spine are off to the side. found: (points, 3) m, variance: m²."""
        if not self.spine_points:
            return LASTING_PLACE_SD_M
        square = found[len(self.sd) :, 2] ** 2 + variance[len(self.sd) :, 2]
        left = max(float(square.mean()) - float(CENTROID_SD[2]) ** 2, MIN_PLACE_SD_M**2)
        return float(np.sqrt(likeliest_variance(left, square.size, LASTING_PLACE_SD_M**2)))


def point_places_of(markers: Markers) -> PointPlaces:
    """The points whose places on the body are unknown: those of a detector or given, and single markers on the skin.

    Dots of a tape err alike with their neighbours, in each recording (`shared_errors`).
    """
    skin = is_skin_marker(markers.names)
    known = {name: sd for origin, sd in PLACE_SD_M.items() for name in markers.names_of(origin) if name not in skin}
    spine = tuple(name for name in known if name in SPINE_CHAIN_MARKERS)
    limbs = {name: sd for name, sd in known.items() if name not in spine}
    on_skin = read_skin_table().of_single_markers(markers.names)
    detected = {name for name in markers.names_of(*FROM_DETECTOR) if name in known}
    regions = {
        region: tuple(p for p in (*limbs, *spine) if p in of and p in detected) for region, of in SPINE_REGIONS.items()
    }
    return PointPlaces(
        sd={**limbs, **{name: place.sd for name, place in on_skin.items()}},
        spine_points=spine,
        regions={region: points for region, points in regions.items() if len(points) > 1},
    )


def own_centroids(
    body: Body, points: Sequence[str], offsets: np.ndarray, variance: np.ndarray, lasting_sd: float
) -> dict[str, Displacement]:
    """{level: how far that vertebra of a person lies off `body`'s}.

    points: of the spine; offsets: (points, 3) m, how far they lie off their places, variance: m². Only points that mean
    centroids say something; of a level without one its neighbours do.
    """
    level_of = _levels_of(body, points)
    if not level_of:
        return {}
    seen = [CHAIN_LEVELS.index(level) for level in level_of.values()]
    rows = [list(points).index(point) for point in level_of]
    share = CENTROID_SD**2 / (CENTROID_SD**2 + lasting_sd**2)
    seen_variance = share**2 * variance[rows] + CENTROID_SD**2 * (1 - share)
    index = np.arange(len(CHAIN_LEVELS))
    correlation = np.exp(-np.abs(np.subtract.outer(index, index)) / CORRELATED_LEVELS)
    gain = np.linalg.solve(correlation[np.ix_(seen, seen)], correlation[seen]).T
    unseen_share = 1 - np.einsum("ls,sl->l", gain, correlation[seen])
    place = gain @ (share * offsets[rows])
    square = gain**2 @ seen_variance + unseen_share[:, None] * CENTROID_SD**2
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
    found = {of_level[level]: np.array(moved.offset_m) for level, moved in centroids.items()}
    by_body = {int(body.tree.marker_body[body.marker_index(name)]): place for name, place in found.items()}
    for name in SPINE_CHAIN_MARKERS:
        marker = name + VIRTUAL_SUFFIX
        if marker in body.marker_names:
            carrier = int(body.tree.marker_body[body.marker_index(marker)])
            if carrier in by_body:
                found[marker] = by_body[carrier]
    return found
