"""From markers to the spine: coordinates of the body, and where each vertebra is and how it is turned."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from simspine.anatomy.body import body_poses, forward_kinematics
from simspine.anatomy.curvature import SPINE_MARKERS
from simspine.anatomy.priors import Prior, Smoothness
from simspine.anatomy.recipes import fit_markers, vertebra_markers, virtual_spine_markers
from simspine.anatomy.vertebrae import SpineKinematics, spine_kinematics
from simspine.core.errors import require_known
from simspine.core.types import Markers
from simspine.estimation.clinical_uncertainty import measures_of_body, read_clinical
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.estimation.noise import ik_inputs, marker_errors_of, tightened_by_view_agreement
from simspine.estimation.options import KinematicsOptions
from simspine.estimation.result import Result, Solver
from simspine.estimation.uncertainty import (
    covariance_with_body_errors,
    place_covariance,
    spine_deviation,
    with_deviation,
)


def solve_kinematics(
    sized: SizedBody,
    markers: Markers,
    marker_set: str,
    options: KinematicsOptions,
    prior: Prior | None = None,
    spine_markers: Mapping[str, str] | None = None,
) -> Result:
    """Coordinates of the body that explain a trial's markers (y_up), with the uncertainty of all published figures.

    Markers that the body lacks are left out. prior: by default the recipe's. spine_markers: as for `read_spine`.
    Raises `InputError` for weights of markers that do not exist, and where no marker is the body's.
    """
    body, recipe = sized.body, sized.recipe
    markers = fit_markers(body, markers)
    configured = options
    options = tightened_by_view_agreement(options, markers) if sized.person is None else sized.person.options(options)
    markers, weights = ik_inputs(options, markers, _marker_set_weights(sized, marker_set, options.weights))
    if options.engine != "trajectory":
        solver = Solver(options.engine, options.accuracy, coordinate_tasks=recipe.coordinate_tasks)
        return inverse_kinematics(body, markers, weights, solver=solver)
    points = virtual_spine_markers(body) if spine_markers is None else spine_markers
    places = [body.marker_index(name) for name in points.values()]
    clinical = measures_of_body(sized)
    errors = marker_errors_of(options, markers, configured.error_correlation_s)
    assumed = sized.prior if prior is None else prior
    return inverse_kinematics(
        body,
        markers,
        weights,
        smoothness=_smoothness_of_options(sized, options),
        prior=assumed,
        errors=errors if sized.person is None else sized.person.errors(errors),
        solver=Solver("trajectory", options.accuracy, starts=options.starts or recipe.starts),
        derive=lambda z, blocks: (
            spine_deviation(
                body,
                z,
                blocks,
                vertebrae=sized.vertebrae,
                levels=sized.levels,
                sacral_tilt_sd=sized.sacral_tilt_sd,
                measures=clinical,
            )
            | _spine_place_covariances(sized, assumed, z, blocks=blocks, markers=places)
        ),
    )


def _smoothness_of_options(sized: SizedBody, options: KinematicsOptions) -> Smoothness:
    """Limbs move much faster than the trunk; held back like it they would bend it instead.

    Where the noise of its markers is known, each trial itself shows how fast trunk, pelvis and neck move. Limbs keep
    what is configured: held as still as they seem to be, they would leave the slow errors of their markers to the
    spine, which then moves by 2° where it does not (Sitting, seen by a detector and motion capture).
    """
    acceleration = {"*": options.acceleration_sd}
    acceleration |= dict.fromkeys(sized.trunk, options.level_acceleration_sd)
    acceleration |= dict.fromkeys(sized.limbs, options.limb_acceleration_sd)
    learnt = () if sized.person is None else [name for name in sized.body.free_names if name not in sized.limbs]
    return Smoothness(options.velocity_sd, acceleration, learn_from_trial=learnt)


def _spine_place_covariances(
    sized: SizedBody, prior: Prior, z: np.ndarray, blocks: np.ndarray, markers: Sequence[int]
) -> dict[str, np.ndarray]:
    """Covariances of the spine's points and the vertebrae's centres, with remaining errors of this person's body.

    Their effect on coordinates is in `blocks`, as far as `prior` has it. Places move with coordinates and with the body
    itself, which mostly cancel, so places have the covariance of both together instead.
    """
    body, person = sized.body, sized.person
    if person is None:
        return place_covariance(body, z, blocks, vertebrae=sized.vertebrae, markers=markers)
    ways = prior.body_error_mode_matrix(body.free_names)
    found = place_covariance(body, z, blocks - ways @ ways.T, vertebrae=sized.vertebrae, markers=markers)
    of_level = vertebra_markers(body)
    centres = [body.marker_index(of_level[level]) for level in sized.vertebrae]
    sd = np.array([person.centroids[level].sd if level in person.centroids else 0.0 for level in sized.vertebrae])
    for kind, at in (("markers", markers), ("centres", centres)):
        own = np.array([person.place_covariance_from_body.get(body.marker_names[i], np.zeros((3, 3))) for i in at])
        found[kind] = found[kind] + covariance_with_body_errors(body, z, at, own)
    found["centres"] += sd[:, None, None] ** 2 * np.eye(3)
    return found


def _marker_set_weights(sized: SizedBody, marker_set: str, own: Mapping[str, float]) -> dict[str, float]:
    require_known("marker", own, sized.body.marker_names, "ik.weights of the configuration")
    weights = sized.weights(marker_set) | dict(own)
    worth = {} if sized.person is None else sized.person.weight_factors
    return {name: weight * worth.get(name, 1.0) for name, weight in weights.items()}


def read_spine(
    sized: SizedBody,
    result: Result,
    spine_markers: Mapping[str, str] | None = None,
    poses: Mapping[str, np.ndarray] | None = None,
) -> SpineKinematics:
    """The spine of the body in motion: angles per level, LLA and TKA, clinical parameters, points, vertebral centres,
    with uncertainty.

    spine_markers: {spine point: the body's marker}; by default those of `virtual_spine_markers`. poses: `body_poses` of
    the result, where they are at hand.
    """
    body, motion = sized.body, result.motion
    poses = body_poses(body, motion) if poses is None else poses
    own = virtual_spine_markers(body) if spine_markers is None else spine_markers
    spine = spine_kinematics(
        poses,
        forward_kinematics(body, motion, names=[own.get(name, name) for name in SPINE_MARKERS]),
        sized.vertebrae,
        levels=sized.levels,
        forced=sized.forced,
        spine_markers=own,
    )
    spine = replace(spine, clinical=read_clinical(sized, result, poses))
    return with_deviation(spine, None if result.posterior is None else result.posterior.derived)
