"""The body at a person's size, and its fit to all trials of the person: joint places, standing curve, noise.

`size_body` scales the recipe's body by distances between markers. `fit_to_person` alternates between the fit of the
body to some postures of all trials (`simspine.estimation.person_solver`) and the estimate of the noise from its
residuals (`simspine.estimation.noise`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from simspine.anatomy import curvature, recipes
from simspine.anatomy.body import Body, neutral_poses
from simspine.anatomy.options import ScalingOptions
from simspine.anatomy.person_variation import (
    OWN_LIST_NAME,
    OWN_TILT_NAME,
    SACRAL_TILT,
    JointMoves,
    curve_names,
    curve_prior,
    joint_moves_of,
    levels_given_curve,
    vary_joint_places,
)
from simspine.anatomy.priors import LevelPrior, LinearPrior, Prior, level_priors
from simspine.anatomy.scaling import ScaleFactors, measure_factors, scale_body
from simspine.anatomy.split_torso import carried_vertebrae, spine_levels
from simspine.anatomy.vertebrae import forced_by_model
from simspine.core.arrays import mean_of_known
from simspine.core.skeletons import is_skin_marker
from simspine.core.types import Forced, Markers
from simspine.estimation.noise import (
    FrameCheck,
    PostureRecording,
    add_white_noise,
    is_standing,
    lasting_error_share,
    learnt_noise,
    sampled_recordings,
)
from simspine.estimation.observations import NoiseLevels, detector_error_share, observe
from simspine.estimation.options import KinematicsOptions
from simspine.estimation.person import (
    GIVEN_SYMMETRY,
    LASTING_PLACE_SD_M,
    Displacement,
    Person,
    PlaceErrors,
    PointPlaces,
    carried_along,
    likeliest_coronal_scale,
    own_centroids,
    personal_prior,
    point_places_of,
)
from simspine.estimation.person_solver import PersonFit, PersonProblem, solve_person


@dataclass(frozen=True, eq=False)
class SizedBody:
    """A body at a person's size, and its recipe. factors: {body: scale}, 1 where absent. person: constants
    estimated from all trials; None if the body was not fitted to them. doubt: as of `ScaleFactors`.
    """

    body: Body
    recipe: recipes.Recipe
    factors: Mapping[str, float]
    person: Person | None = None
    doubt: str = ""

    @cached_property
    def vertebrae(self) -> curvature.VertebraeOfBody:
        """Centroids and endplates on the bodies that carry them, with the person's displacements and sacral tilt."""
        scaled = curvature.scale_vertebrae(
            carried_vertebrae(self.recipe.partition, curvature.read_endplates()), self.factors
        )
        if self.person is None:
            return scaled
        offsets = {level: centroid.offset_m for level, centroid in self.person.centroids.items()}
        return curvature.with_tilted_sacrum(curvature.displace_vertebrae(scaled, offsets), self.person.sacral_tilt[0])

    @property
    def sacral_tilt_sd(self) -> float:
        """rad: standard deviation of the tilt of the sacrum's endplate."""
        return curvature.SACRAL_TILT_SD if self.person is None else self.person.sacral_tilt[1]

    @cached_property
    def levels(self) -> tuple[curvature.Level, ...]:
        """The levels of the spine, with their coordinates."""
        articulation = self.recipe.articulation
        return curvature.SPINE_LEVELS if articulation is None else spine_levels(articulation)

    @cached_property
    def trunk(self) -> tuple[str, ...]:
        """Free coordinates of the lumbar and thoracic levels."""
        trunk = (level for level in self.levels if level.name in (*curvature.LUMBAR_LEVELS, *curvature.THORACIC_LEVELS))
        return tuple(name for level in trunk for name in level.coordinates if name in self.ranges)

    @cached_property
    def limbs(self) -> tuple[str, ...]:
        """Free coordinates that move no part of the spine: those of arms, legs and shoulder girdle."""
        tree, bodies = self.body.tree, self.body.bodies
        spine = {body for level in self.levels for body in (level.parent, level.child)} & set(bodies)
        moving = {int(k) for body in spine for k in tree.columns_of(bodies.index(body) + 1)}
        return tuple(self.body.coordinates.names[c] for k, c in enumerate(tree.free) if k not in moving)

    @cached_property
    def forced(self) -> dict[str, tuple[Forced, ...]]:
        """Angles that the model sets, see `simspine.anatomy.vertebrae`."""
        coordinates = self.body.coordinates
        locked = [name for name, held in zip(coordinates.names, coordinates.locked, strict=True) if held]
        return forced_by_model(self.body.couplers, self.vertebrae, locked=locked, levels=self.levels)

    @cached_property
    def prior(self) -> Prior:
        """The recipe's prior, about this person's standing curve if it was estimated."""
        return recipes.read_prior(self.recipe) if self.person is None else personal_prior(self.person, self.recipe)

    def weights(self, marker_set: str) -> dict[str, float]:
        """Weights of inverse kinematics by marker name."""
        return recipes.default_weights(self.recipe, marker_set)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """{free coordinate: (lower, upper)} rad or m."""
        c = self.body.coordinates
        return {c.names[i]: (float(c.lower[i]), float(c.upper[i])) for i in np.flatnonzero(c.free)}


def size_body(
    trials: Sequence[Markers],
    recipe: str | recipes.Recipe,
    marker_set: str,
    options: ScalingOptions,
    height: float | None = None,
    mass: float | None = None,
    skin_height: float = 0.007,
) -> tuple[SizedBody, ScaleFactors]:
    """The recipe's body at a person's size, from distances between markers.

    trials: markers of all trials of the person, y_up. marker_set: name of the set that places points on the body.
    height: m, or None. mass: kg, or None. skin_height: height of skin markers' centres above the skin, m.
    """
    recipe = recipes.read_recipe(recipe) if isinstance(recipe, str) else recipe
    skin = dict.fromkeys(name for markers in trials for name in is_skin_marker(markers.names))
    unscaled = recipes.build_body(recipe, marker_set, tuple(skin), skin_height)
    factors = measure_factors(unscaled, stack_trials(trials), recipe, height=height, limits=options)
    body = scale_body(unscaled, factors, mass, recipe)
    return SizedBody(body, recipe, factors.by_body, doubt=factors.doubt), factors


def stack_trials(trials: Sequence[Markers]) -> Markers:
    """All trials one after another, with the markers that all of them have."""
    shared = [name for name in trials[0].names if all(name in markers.names for markers in trials)]
    chosen = [markers.select(shared) for markers in trials]
    filled = [np.zeros(m.present.shape, bool) if m.filled is None else m.filled for m in chosen]
    weight = [np.ones(m.present.shape) if m.weight is None else m.weight for m in chosen]
    return chosen[0].with_(
        xyz=np.concatenate([m.xyz for m in chosen]),
        weight=np.concatenate(weight),
        filled=np.concatenate(filled),
        covariance=None,
    )


def femur_lengths(body: Body) -> dict[str, float]:
    """{'left', 'right': hip centre to knee centre, m} in the model's default pose."""
    poses = neutral_poses(body)
    return {
        side: float(np.linalg.norm(poses[f"femur_{s}"][:3, 3] - poses[f"tibia_{s}"][:3, 3]))
        for side, s in (("left", "l"), ("right", "r"))
    }


# Rounds of expectation maximisation, which has not converged by then. After 16, spine points with 5 mm of noise are 4 %
# nearer to the truth, those of a detector 4 to 7 % farther, and jitter is half as large again (10 people).
NOISE_ROUNDS = 5
# Standard deviation of a detector's bias for a person, over that of a region's offset between trials. If all errors
# are systematic, the best ratio is 1 or more: with 0, 0.5 and 1, points err by 28.8, 25.6 and 23.3 mm. If each trial
# has new errors, it is 0: with the same ratios, vertebrae err by 9.3, 10.7 and 13.8 mm.
DETECTOR_BIAS_RATIO = 0.5
# m, an axis: points of a fine-tuned detector have a bias of 22 mm in all trials of all people, in the three regions of
# the spine (Khan 2026, tables 3 and 4, less the errors that vary: `synthesis/tables/presets.yaml`). No trial shows it.
# The estimate uses `DETECTOR_BIAS_RATIO`; the standard deviations contain this bias.
DETECTOR_BIAS_SD_M = 0.013
# m, an axis, left less right: limb points of the same detector have a bias of 8.2 mm (ibid.), each side its own.
# Standard deviations contain it where limbs are given; where they are detected, see `person.DETECTED_SIDE_BIAS_SD_M`.
SIDE_BIAS_SD_M = 0.0067


@dataclass(frozen=True, eq=False)
class _PersonUnknowns:
    """Constants of the person: variations of the body, places of points and biases of their regions, the standing
    curve and `others`, in this order. standing_prior: of frames in which the person stands.
    """

    variations: Sequence[JointMoves]
    variation_names: tuple[str, ...]
    places: PointPlaces
    levels: Sequence[LevelPrior]
    others: tuple[str, ...]
    standing_prior: Prior

    @cached_property
    def curve_names(self) -> tuple[str, ...]:
        return curve_names(self.levels)

    @cached_property
    def names(self) -> tuple[str, ...]:
        places = self.places
        return (
            *self.variation_names,
            *places.coordinate_names,
            *places.region_coordinate_names,
            *self.curve_names,
            *self.others,
        )

    @property
    def place_part(self) -> slice:
        """Slice of `names`: places of points and biases of regions."""
        return slice(len(self.variation_names), len(self.names) - len(self.curve_names) - len(self.others))


@dataclass(frozen=True, eq=False)
class _PersonNoise:
    """Estimates of one round. levels: noise of points. lasting_place_sd: m, detector's error in all trials, of points
    of the spine. side_difference_sd: m, of mirrored places. lasting_share: share of the detected points' variance that
    lasts. coronal_scale: see `curve_prior`.
    """

    levels: NoiseLevels
    side_difference_sd: float
    lasting_place_sd: float = LASTING_PLACE_SD_M
    lasting_share: float = 1.0
    coronal_scale: float = 1.0


def fit_to_person(
    sized: SizedBody, trials: Sequence[Markers], marker_set: str, options: KinematicsOptions, exchanged: FrameCheck
) -> SizedBody:
    """The body with joint places estimated from all trials of the person, and the person's constants.

    trials: y_up. exchanged: tells in which frames left and right, or head and feet, are exchanged. The body stays as it
    is if the recipe has no `anatomy` or the engine has no priors.
    """
    if not sized.recipe.anatomy or sized.recipe.articulation is None or options.engine != "trajectory":
        return sized
    weights = sized.weights(marker_set) | dict(options.weights)
    configured = NoiseLevels.of_options(options)
    recordings = sampled_recordings(sized.body, trials, weights, levels=configured, exchanged=exchanged)
    if not recordings:
        return sized  # the engine reports the lack of markers for each trial
    unknowns = _unknowns_of_person(sized, recordings[0].postures)
    configured = configured.given_view_agreement(*(recording.postures for recording in recordings))
    noise, fit = _PersonNoise(configured, unknowns.places.expected_side_difference_sd(configured)), None
    for _ in range(NOISE_ROUNDS):
        used = noise
        problem = _problem_of_person(sized, recordings, unknowns, weights=weights, options=options, noise=used)
        fit = solve_person(problem, None if fit is None else fit.solution)
        part = unknowns.place_part
        errors = unknowns.places.split_off_bias(fit.solution.constants[part], fit.covariance[part, part])
        bursts = [recording.bursts for recording in recordings]
        noise = _noise_after_fit(
            used, problem, fit, unknowns=unknowns, errors=errors, bursts=bursts, configured=configured
        )
    assert fit is not None
    body, centroids = _fitted_body(sized, unknowns, fit, errors=errors, lasting_sd=used.lasting_place_sd)
    person = _person_of_fit(
        unknowns,
        fit,
        errors,
        trials=len(recordings),
        noise=add_white_noise(
            noise.levels,
            weights,
            trials=[recording.markers for recording in recordings],
            fast_variance=mean_of_known(np.array([recording.fast_variance for recording in recordings]), 0),
            detected_lasting_share=noise.lasting_share,
        ),
        coronal_scale=used.coronal_scale,
        body_error_modes=dict(zip(body.free_names, fit.body_error_modes.tolist(), strict=True)),
        place_covariance_from_body=dict(zip(problem.followed_markers, fit.place_covariance.tolist(), strict=True)),
        centroids=centroids,
    )
    return replace(sized, body=body, person=person)


def _unknowns_of_person(sized: SizedBody, markers: Markers) -> _PersonUnknowns:
    recipe, pelvis = sized.recipe, sized.recipe.pelvis
    assert recipe.articulation is not None
    return _PersonUnknowns(
        variations=joint_moves_of(sized.body, recipe.anatomy, recipe.articulation.chain),
        variation_names=tuple(variation.name for variation in recipe.anatomy),
        places=point_places_of(markers),
        levels=level_priors(recipe.articulation.regions),
        others=() if pelvis is None else (OWN_TILT_NAME, OWN_LIST_NAME),
        standing_prior=Prior() if pelvis is None else Prior([pelvis.prior_about_own_tilt(), pelvis.list_priors[1]]),
    )


def _problem_of_person(
    sized: SizedBody,
    recordings: Sequence[PostureRecording],
    unknowns: _PersonUnknowns,
    weights: Mapping[str, float],
    options: KinematicsOptions,
    noise: _PersonNoise,
) -> PersonProblem:
    # The body's misfit lasts for a while, however short the detector's errors are. If frames counted as independent,
    # errors that points share would bend and lengthen the body.
    correlation_s = max(noise.levels.correlation_s, options.error_correlation_s)
    levels = replace(noise.levels, correlation_s=correlation_s)
    places = unknowns.places
    constants = _population_prior(sized.recipe, unknowns.levels, noise.coronal_scale)
    # Points that were marked by hand or projected have small errors, so no detector's share and no bias.
    share = detector_error_share(noise.levels.detected_sd)
    bias_sd = DETECTOR_BIAS_RATIO * noise.levels.region_sd * share**0.5
    hidden_variance = {"detectors": share * DETECTOR_BIAS_SD_M**2 - bias_sd**2}
    given_share = detector_error_share(noise.levels.given_sd)
    hidden_variance[GIVEN_SYMMETRY] = given_share * SIDE_BIAS_SD_M**2 - noise.side_difference_sd**2
    return PersonProblem(
        body=sized.body,
        observations=[
            observe(recording.postures, weights, options, levels, places_fitted=True) for recording in recordings
        ],
        variations=unknowns.variations,
        points_with_unknown_place=places.points,
        names=unknowns.names,
        person_prior=Prior([*constants, *places.priors(noise.lasting_place_sd, bias_sd, noise.side_difference_sd)]),
        posture_prior=Prior([*sized.recipe.priors, *levels_given_curve(unknowns.levels)]),
        durations_s=[recording.markers.frames / recording.markers.rate for recording in recordings],
        followed_markers=_markers_to_follow(sized.body, places),
        standing_prior=unknowns.standing_prior,
        standing_frames=[is_standing(recording.postures) for recording in recordings],
        hidden_variance={source: max(0.0, variance) for source, variance in hidden_variance.items()},
    )


def _markers_to_follow(body: Body, places: PointPlaces) -> dict[str, tuple[str, ...]]:
    """{marker whose place is published: names of the constants of the bias that is subtracted from the place}."""
    on_bones = (*recipes.virtual_spine_markers(body).values(), *recipes.vertebra_markers(body).values())
    points = [name for name in curvature.SPINE_MARKERS if name in body.marker_names]
    followed = dict.fromkeys((*on_bones, *places.skin_along_spine), ())
    return followed | {point: places.region_of(point) for point in points}


def _noise_after_fit(
    noise: _PersonNoise,
    problem: PersonProblem,
    fit: PersonFit,
    unknowns: _PersonUnknowns,
    errors: PlaceErrors,
    bursts: Sequence[np.ndarray],
    configured: NoiseLevels,
) -> _PersonNoise:
    """The noise that is likeliest given the fit."""
    places = unknowns.places
    share, time = lasting_error_share(problem, fit, bursts, configured.correlation_s)
    levels = learnt_noise(noise.levels, problem, fit, configured=configured, correlation_s=2 * share * time)
    return _PersonNoise(
        levels=levels,
        lasting_place_sd=places.estimated_lasting_sd(errors.own, errors.own_variance),
        side_difference_sd=places.estimated_side_difference_sd(
            fit.solution.constants[unknowns.place_part],
            fit.covariance[unknowns.place_part, unknowns.place_part],
            places.expected_side_difference_sd(noise.levels),
        ),
        lasting_share=share,
        coronal_scale=likeliest_coronal_scale(unknowns.names, fit, noise.coronal_scale),
    )


def _fitted_body(
    sized: SizedBody, unknowns: _PersonUnknowns, fit: PersonFit, errors: PlaceErrors, lasting_sd: float
) -> tuple[Body, dict[str, Displacement]]:
    """The body with the fitted places of joints and points, and the displacements of the vertebrae by level."""
    places, limbs = unknowns.places, len(unknowns.places.sd)
    own, variance = errors.own[limbs:], errors.own_variance[limbs:]
    centroids = own_centroids(sized.body, places.spine_points, own, variance=variance, lasting_sd=lasting_sd)
    moved = dict(zip(places.points, errors.own, strict=True)) | carried_along(sized.body, centroids)
    values = fit.solution.constants[: len(unknowns.variations)].tolist()
    return recipes.place_inferred(
        vary_joint_places(sized.body, unknowns.variations, values, moved), sized.recipe
    ), centroids


def _person_of_fit(unknowns: _PersonUnknowns, fit: PersonFit, errors: PlaceErrors, **others: Any) -> Person:
    """The person's anatomy, standing curve and detector's bias; `others`: fields that do not follow from these."""
    count, start = len(unknowns.variations), unknowns.place_part.stop
    biases = zip(unknowns.places.regions, errors.bias.tolist(), errors.bias_variance.mean(1).tolist(), strict=True)
    curve = slice(start, start + len(unknowns.curve_names))
    values, sd = fit.solution.constants[:count], fit.constant_sd[:count]
    anatomy = zip(unknowns.variation_names, zip(values.tolist(), sd.tolist(), strict=True), strict=True)
    return Person(
        curve_coordinates=unknowns.curve_names,
        curve_mean=fit.solution.constants[curve],
        curve_covariance=fit.covariance[curve, curve],
        curve_prior_precision=np.linalg.inv(np.linalg.inv(fit.prior_precision)[curve, curve]),
        anatomy=dict(anatomy),
        detector_bias={name: Displacement((x, y, z), v**0.5) for name, (x, y, z), v in biases},
        unconverged_cost=fit.unconverged_cost,
        **others,
    )


def _population_prior(recipe: recipes.Recipe, levels: Sequence[LevelPrior], coronal_scale: float) -> list[LinearPrior]:
    """Priors on all constants of a person except places."""
    priors, pelvis = [LinearPrior({v.name: 1.0}, 0.0, v.sd, v.source) for v in recipe.anatomy], recipe.pelvis
    priors += curve_prior(levels, {} if pelvis is None else pelvis.incidence, coronal_scale)
    if pelvis is not None:
        priors += [pelvis.population_prior(SACRAL_TILT in curve_names(levels)), pelvis.list_priors[0]]
    return priors
