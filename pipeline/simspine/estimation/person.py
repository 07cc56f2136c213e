"""Constants of a person, estimated from all trials: standing curve, vertebrae, places of points, detector's bias.

A point of the spine departs from the sized body for two reasons: the person's vertebra lies elsewhere, and the detector
errs in all trials alike. People are nearly symmetrical, so lateral departures show the detector's error. Its standard
deviation is learnt from them and taken for the other axes too; the rest of a departure is the vertebra's.
A bias of all points of a region, such as points that are too high, looks like a body of another shape. Trials show only
how the offset of a region varies between them. The spread of the bias is a ratio of that variation, times the root of
the detector's share in lasting errors (`simspine.estimation.fit_person`).
"""

import itertools
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
from simspine.estimation.observations import NoiseLevels, detector_error_share
from simspine.estimation.person_solver import PersonFit


class Displacement(NamedTuple):
    """Departure from the place in the sized body. offset_m: (forward, up, right) m. sd: m, of an axis."""

    offset_m: tuple[float, float, float]
    sd: float


CURVE_ARRAYS = ("curve_mean", "curve_covariance", "curve_prior_precision")


@dataclass(frozen=True, eq=False)
class Person:
    """What is estimated from all trials of a person, without the body itself.

    curve_coordinates: names of the standing curve's k unknowns (`curve_names`). curve_mean: (k,) rad, relative to the
    mean curve of people. curve_covariance: (k, k) rad². curve_prior_precision: (k, k) rad⁻², of people's curves, whose
    coronal spread is multiplied by `coronal_scale`. trials: their number. noise: levels learnt from all trials.
    anatomy: {variation: (value, standard deviation)}, see `simspine.anatomy.person_variation`. body_error_modes: {free
    coordinate: (r,) rad or m}, its change with r independent remaining errors of the body, one standard deviation each,
    as `simspine.estimation.uncertainty.along_root_axes` returns it.
    centroids: {level: displacement of the vertebra's centroid from the sized body's}. detector_bias: {spinal region:
    error of its detected points in all trials}. place_covariance_from_body: {marker: (3, 3) m²}, from the body's
    remaining errors, along the axes of the marker's body. unconverged_cost: see `PersonMinimum`.
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
        """Mean (k,) and covariance (k, k) of the curve without this share of the evidence, such as one trial's."""
        evidence = np.linalg.inv(self.curve_covariance) - self.curve_prior_precision
        values, vectors = np.linalg.eigh((evidence + evidence.T) / 2)
        evidence = (vectors * np.maximum(values, 0.0)) @ vectors.T
        pull = (evidence + self.curve_prior_precision) @ self.curve_mean  # the prior's mean is zero
        covariance = np.linalg.inv(self.curve_prior_precision + (1 - share) * evidence)
        return (1 - share) * covariance @ pull, covariance

    def as_dict(self) -> dict:
        """Entries for a JSON file."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {name: values[name].tolist() for name in CURVE_ARRAYS}
        return values | {"noise": asdict(self.noise)}

    @classmethod
    def from_dict(cls, entry: Mapping) -> "Person":
        """The person of entries as `as_dict` returns them."""
        values: dict[str, Any] = dict(entry)
        values["noise"] = NoiseLevels(**values["noise"])
        values["curve_coordinates"] = tuple(values["curve_coordinates"])
        k = len(values["curve_coordinates"])
        for name, shape in zip(CURVE_ARRAYS, ((k,), (k, k), (k, k)), strict=True):
            values[name] = np.array(values[name], float).reshape(shape)
        values["anatomy"] = {name: (float(value), float(sd)) for name, (value, sd) in values["anatomy"].items()}
        for name in ("centroids", "detector_bias"):
            entries = values[name].items()
            values[name] = {key: Displacement(tuple(offset), float(sd)) for key, (offset, sd) in entries}
        return cls(**values)

    @property
    def sacral_tilt(self) -> tuple[float, float]:
        """Forward tilt of the sacrum's endplate relative to the model's, and its standard deviation, rad."""
        if SACRAL_TILT not in self.curve_coordinates:
            return 0.0, SACRAL_TILT_SD
        i = self.curve_coordinates.index(SACRAL_TILT)
        return float(self.curve_mean[i]), float(np.sqrt(self.curve_covariance[i, i]))


def personal_prior(person: Person, recipe: Recipe) -> Prior:
    """The recipe's priors for a trial of this person, about the person's standing curve instead of people's.

    Of the evidence on the curve, the share of one of the trials is left out, so that no trial counts fully twice.
    """
    assert recipe.articulation is not None  # a recipe with an anatomy has one
    mean, covariance = person.posterior_without(1 / person.trials)
    scale = np.where(in_coronal_plane(person.curve_coordinates), person.coronal_scale, 1.0)
    anyone = np.linalg.inv(person.curve_prior_precision) / np.outer(scale, scale)
    personal = levels_given_known_curve(
        level_priors(recipe.articulation.regions), person.curve_coordinates, mean, covariance=covariance, anyone=anyone
    )
    return Prior([*recipe.priors, *personal], person.body_error_modes)


def likeliest_coronal_scale(names: Sequence[str], fit: PersonFit, used: float) -> float:
    """Likeliest factor on the coronal spread of people without scoliosis, at least 1.

    The learnt factor gives the prior the heavy tails of a scale mixture: it keeps straight spines straight and hardly
    holds back those with a scoliosis. Squares count by what the recordings determined of them (MacKay 1992, Neural
    Comput 4:415), which converges in fewer rounds than expectation maximisation. names: constants of the fit. used:
    factor in the prior of the fit.
    """
    coronal = np.flatnonzero(in_coronal_plane(names))
    prior_variance = np.diag(np.linalg.inv(fit.prior_precision))[coronal]
    square = fit.solution.constants[coronal] ** 2 / prior_variance
    determined = (1 - np.diag(fit.covariance)[coronal] / prior_variance).sum()
    mean_square = used**2 * float(square.sum() / max(determined, 1e-9))
    return max(1.0, float(np.sqrt(likeliest_variance(mean_square, determined, 1.0))))


# Places of points on the body, and the detector's bias in them.

PLACE_SD_M = {Origin.DETECTED: 0.02, Origin.ESTIMATED: 0.02, Origin.GIVEN: 0.012}  # m, of limbs and head
# m, left less right: bones of both sides differ by under 1 % (Auerbach & Ruff 2006, J Hum Evol 50:203), by 2 mm in half
# a pelvis and in places of joint centres. It is a start; the sum with the detector's part is learnt from all pairs.
SIDE_DIFFERENCE_SD_M = 0.002
# m, left less right, an axis: limb points of a detector that was not trained on the data have a bias of 12.8 mm, each
# side its own (Khan 2026, tables 3 and 4; `synthesis/tables/presets.yaml`).
DETECTED_SIDE_BIAS_SD_M = 0.0105
GIVEN_SYMMETRY, DETECTED_SYMMETRY = "symmetry of given points", "symmetry of detected points"
LASTING_PLACE_SD_M = 0.005  # m: detector's error in all trials, on the spine; a start
# m, forward, up, right: a vertebra's centroid about its place in the sized body. Up: given the heights of the regions,
# spacings in CT scans vary by 1.7 mm; the model's spacings differ from their mean by 1.3 mm. Forward: given the angles
# of the levels, which vary by 4° between people, scans vary by 0.2 mm, by 0.9 mm with fractured vertebrae
# (`tools.learn_spine_shape`). A larger value would flatten the curve: displaced centroids would explain part of it.
CENTROID_SD = np.array([0.0005, 0.002, 0.001])
# m: places nearer to each other count as one; also the least standard deviation of the detector's bias.
SAME_PLACE_M = 1e-4
CORRELATED_LEVELS = 1.8  # correlation length of centroids' displacements, levels: 0.57 between neighbours in the scans


class PlaceErrors(NamedTuple):
    """Departures of points from the sized body, in two parts. own: (points, 3) m, without the bias of the region.
    own_variance: (points, 3) m². bias, bias_variance: (regions, 3) m and m², of the detector in all trials."""

    own: np.ndarray
    own_variance: np.ndarray
    bias: np.ndarray
    bias_variance: np.ndarray


@dataclass(frozen=True, eq=False)
class PointPlaces:
    """Points whose places on the body are unknown. sd: {point of limbs, head or skin: m, or (forward, up, right) m}.
    spine_points: those of the spine. regions: {region: its detected points, with or without `sd`}, which share a bias.
    """

    sd: Mapping[str, float | tuple[float, float, float]]
    spine_points: tuple[str, ...]
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def points(self) -> tuple[str, ...]:
        return (*self.sd, *self.spine_points)

    @property
    def coordinate_names(self) -> list[str]:
        """Names of three unknowns of each point: forward, up, right on the body that carries it."""
        return [f"place of {point}, {axis}" for point in self.points for axis in "xyz"]

    @property
    def region_coordinate_names(self) -> list[str]:
        """Names of three unknowns of each region: the bias of its points in all trials."""
        return [f"detector bias of {region}, {axis}" for region in self.regions for axis in "xyz"]

    def region_of(self, point: str) -> tuple[str, ...]:
        """Names of the three unknowns of a point's region; () if no region has the point."""
        regions = [region for region, members in self.regions.items() if point in members]
        return tuple(f"detector bias of {region}, {axis}" for region in regions for axis in "xyz")

    def priors(
        self, lasting_sd: float, detector_bias_sd: float, side_difference_sd: float = SIDE_DIFFERENCE_SD_M
    ) -> list[LinearPrior]:
        """Priors of the unknowns. lasting_sd: m, the detector's error in all trials, for each point of the spine.
        detector_bias_sd: m, for each region. side_difference_sd: m, of mirrored places."""
        known_sd = [np.broadcast_to(sd, 3) for sd in self.sd.values()]
        place_sd = np.concatenate([*known_sd, *(np.hypot(CENTROID_SD, lasting_sd) for _ in self.spine_points), []])
        priors = [
            LinearPrior({name: 1.0}, 0.0, max(detector_bias_sd, SAME_PLACE_M), "detectors")
            for name in self.region_coordinate_names
        ]
        on_skin = (*self.skin_along_spine, *pelvis_skin_pair(is_skin_marker(self.sd)))
        for i, (name, sd) in enumerate(zip(self.coordinate_names, place_sd.tolist(), strict=True)):
            region = self.region_of(self.points[i // 3])
            bias = {region[i % 3]: -1.0} if region else {}
            if self.points[i // 3] not in on_skin:
                priors.append(LinearPrior({name: 1.0} | bias, 0.0, sd, "places of points"))
        return [*priors, *self._skin_priors(), *self._symmetry_priors(side_difference_sd)]

    @property
    def skin_along_spine(self) -> tuple[str, ...]:
        """Single markers on the skin over the spine, downwards."""
        levels = read_skin_table().levels
        over_spine = [name for name in is_skin_marker(self.sd) if skin_landmark(name) in levels]
        return tuple(sorted(over_spine, key=lambda name: levels.index(skin_landmark(name))))

    def _skin_priors(self) -> Iterator[LinearPrior]:
        """Priors of places of skin markers over the spine and over the pelvis.

        Over the spine, neighbours err alike in depth and in the level that was palpated: exp(−distance / correlation
        length). All depths of a person share an error, which is estimated if other points of the body show it; else its
        variance is added to that of the places (`simspine.estimation.solve_trial`). Both posterior superior iliac
        spines share a deviation from their places on the sacrum. So they constrain the rotation and the lateral tilt of
        the pelvis, and hardly its tilt in the sagittal plane.
        """
        table, only_skin = read_skin_table(), len(is_skin_marker(self.points)) == len(self.points)
        spine, pelvis = self.skin_along_spine, pelvis_skin_pair(is_skin_marker(self.sd))
        along = np.array([table.along(marker) for marker in spine])
        alike = np.exp(-np.abs(np.subtract.outer(along, along)) / table.correlation)
        depth_sd = (0.0 if only_skin else table.person_depth_sd, 0.0, 0.0)
        groups = (spine, alike, depth_sd), (pelvis, np.eye(len(pelvis)), table.pelvis_sd)
        for (markers, correlation, shared_sd), (k, axis) in itertools.product(groups, enumerate("xyz")):
            sd = np.array([np.broadcast_to(self.sd[marker], 3)[k] for marker in markers])
            covariance = correlation * np.outer(sd, sd) + shared_sd[k] ** 2
            names = [f"place of {marker}, {axis}" for marker in markers]
            for row in np.linalg.inv(np.linalg.cholesky(covariance)).tolist():
                yield LinearPrior(dict(zip(names, row, strict=True)), 0.0, 1.0, "places on the skin")

    def _symmetry_priors(self, sd: float) -> list[LinearPrior]:
        """Priors that mirror the places of left and right points of the skeleton; markers placed by hand have none.

        Without these priors a motion to one side would look like an asymmetric body. sd: m, of the difference.
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
                source=GIVEN_SYMMETRY if self.sd[left] == PLACE_SD_M[Origin.GIVEN] else DETECTED_SYMMETRY,
            )
            for left, right in pairs
            for axis, mirror in zip("xyz", (-1.0, -1.0, 1.0), strict=True)
        ]

    def split_off_bias(self, constants: np.ndarray, covariance: np.ndarray) -> PlaceErrors:
        """Each point's departure less its region's bias, and the biases. constants: values of `coordinate_names` and
        `region_coordinate_names`, m. covariance: theirs, m²."""
        count = 3 * len(self.points)
        subtract_bias = np.eye(count, len(constants))
        is_of_region = [[point in members for members in self.regions.values()] for point in self.points]
        subtract_bias[:, count:] = -np.kron(np.array(is_of_region, float), np.eye(3))
        variance = np.einsum("ij,jk,ik->i", subtract_bias, covariance, subtract_bias)
        return PlaceErrors(
            own=(subtract_bias @ constants).reshape(-1, 3),
            own_variance=variance.reshape(-1, 3),
            bias=constants[count:].reshape(-1, 3),
            bias_variance=np.diag(covariance)[count:].reshape(-1, 3),
        )

    def expected_side_difference_sd(self, levels: NoiseLevels) -> float:
        """Standard deviation of the differences of mirrored places before any trial, m."""
        detected = {prior.source for prior in self._symmetry_priors(1.0)} == {DETECTED_SYMMETRY}
        bias_sd = DETECTED_SIDE_BIAS_SD_M * np.sqrt(detector_error_share(levels.detected_sd)) if detected else 0.0
        return float(np.hypot(SIDE_DIFFERENCE_SD_M, bias_sd))

    def estimated_side_difference_sd(self, constants: np.ndarray, covariance: np.ndarray, expected: float) -> float:
        """Likeliest standard deviation of the differences of mirrored places, m, at least what is expected: postures
        explain part of a difference. Arguments: see `split_off_bias`, `expected_side_difference_sd`."""
        names = [*self.coordinate_names, *self.region_coordinate_names]
        rows = Prior(self._symmetry_priors(1.0)).arrays(names, 1.0)[0]
        if not len(rows):
            return expected
        square = (rows @ constants) ** 2 + np.einsum("ij,jk,ik->i", rows, covariance, rows)
        return max(expected, float(np.sqrt(likeliest_variance(float(square.mean()), square.size, expected**2))))

    def estimated_lasting_sd(self, departures: np.ndarray, variance: np.ndarray) -> float:
        """Likeliest standard deviation of the detector's error in all trials, m, from the lateral departures of the
        points of the spine. departures: (points, 3) m. variance: (points, 3) m²."""
        if not self.spine_points:
            return LASTING_PLACE_SD_M
        square = departures[len(self.sd) :, 2] ** 2 + variance[len(self.sd) :, 2]
        mean_square = max(float(square.mean()) - float(CENTROID_SD[2]) ** 2, 0.0)
        return float(np.sqrt(likeliest_variance(mean_square, square.size, LASTING_PLACE_SD_M**2)))


def point_places_of(markers: Markers) -> PointPlaces:
    """The points whose places on the body are unknown: detected, estimated and given points, and single skin markers.

    Dots of a tape are left out: their places are errors of each recording (`shared_errors`).
    """
    skin = is_skin_marker(markers.names)
    place_sd = {name: sd for origin, sd in PLACE_SD_M.items() for name in markers.names_of(origin) if name not in skin}
    spine = tuple(name for name in place_sd if name in SPINE_CHAIN_MARKERS)
    limbs = {name: sd for name, sd in place_sd.items() if name not in spine}
    on_skin = read_skin_table().of_single_markers(markers.names)
    from_detector = markers.names_of(*FROM_DETECTOR)
    detected = [name for name in (*limbs, *spine) if name in from_detector]
    regions = {region: tuple(name for name in detected if name in members) for region, members in SPINE_REGIONS.items()}
    return PointPlaces(
        sd={**limbs, **{name: place.sd for name, place in on_skin.items()}},
        spine_points=spine,
        regions={region: points for region, points in regions.items() if len(points) > 1},
    )


def own_centroids(
    body: Body, points: Sequence[str], offsets: np.ndarray, variance: np.ndarray, lasting_sd: float
) -> dict[str, Displacement]:
    """Displacements of the person's vertebrae from those of `body`, by level.

    points: of the spine. offsets, variance: (points, 3) m and m², departures of the points from their places. Only
    points at centroids are used. A level without such a point is interpolated from its neighbours.
    """
    level_of = _levels_of(body, points)
    if not level_of:
        return {}
    observed = [CHAIN_LEVELS.index(level) for level in level_of.values()]
    rows = [list(points).index(point) for point in level_of]
    share = CENTROID_SD**2 / (CENTROID_SD**2 + lasting_sd**2)
    observed_variance = share**2 * variance[rows] + CENTROID_SD**2 * (1 - share)
    index = np.arange(len(CHAIN_LEVELS))
    correlation = np.exp(-np.abs(np.subtract.outer(index, index)) / CORRELATED_LEVELS)
    gain = np.linalg.solve(correlation[np.ix_(observed, observed)], correlation[observed]).T
    unexplained_share = 1 - np.einsum("ls,sl->l", gain, correlation[observed])
    place = gain @ (share * offsets[rows])
    square = gain**2 @ observed_variance + unexplained_share[:, None] * CENTROID_SD**2
    levels_of_body = vertebra_markers(body)
    return {
        level: Displacement((float(x), float(y), float(z)), float(np.sqrt(square[i].mean())))
        for i, (level, (x, y, z)) in enumerate(zip(CHAIN_LEVELS, place, strict=True))
        if level in levels_of_body
    }


def _levels_of(body: Body, points: Sequence[str]) -> dict[str, str]:
    """{point: level} of the points that lie at a vertebra's centroid."""
    tree, level_of = body.tree, {}
    for level, marker in vertebra_markers(body).items():
        centroid = body.marker_index(marker)
        for point in points:
            i = body.marker_index(point)
            apart = np.linalg.norm(tree.marker_offset[i] - tree.marker_offset[centroid])
            if tree.marker_body[i] == tree.marker_body[centroid] and apart < SAME_PLACE_M:
                level_of[point] = level
    return level_of


def carried_along(body: Body, centroids: Mapping[str, Displacement]) -> dict[str, np.ndarray]:
    """Displacements of the body's virtual markers, which move with their vertebrae, {marker: (3,) m}."""
    marker_of = vertebra_markers(body)
    moves = {marker_of[level]: np.array(displacement.offset_m) for level, displacement in centroids.items()}
    by_body = {int(body.tree.marker_body[body.marker_index(name)]): move for name, move in moves.items()}
    for name in SPINE_CHAIN_MARKERS:
        marker = name + VIRTUAL_SUFFIX
        if marker in body.marker_names:
            carrier = int(body.tree.marker_body[body.marker_index(marker)])
            if carrier in by_body:
                moves[marker] = by_body[carrier]
    return moves
