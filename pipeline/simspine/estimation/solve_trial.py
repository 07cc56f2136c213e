"""From a trial's markers to the body's coordinates, and from these to spine kinematics and clinical parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from simspine.anatomy.alignment import RHYTHM_PARAMETERS, LumbopelvicRhythm, lumbopelvic_rhythm
from simspine.anatomy.body import Body, body_poses, forward_kinematics
from simspine.anatomy.clinical import SIDE_WORDS, ClinicalMeasure, clinical_measures, clinical_parameters
from simspine.anatomy.curvature import MOTION_PLANES, SACRAL_TILT_SD, SPINE_MARKERS
from simspine.anatomy.marker_sets import read_skin_table
from simspine.anatomy.priors import Smoothness
from simspine.anatomy.recipes import fit_markers, vertebra_markers, virtual_spine_markers
from simspine.anatomy.vertebrae import (
    KIND_COUPLED,
    KIND_RIGID,
    ClinicalParameters,
    SpineKinematics,
    forced_between,
    spine_kinematics,
)
from simspine.core.errors import require_known
from simspine.core.skeletons import is_skin_marker, is_tape_dot
from simspine.core.types import Forced, Markers, Origin
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.estimation.observations import NoiseLevels, observe
from simspine.estimation.options import KinematicsOptions
from simspine.estimation.result import CHANGE_KEY, Result, Solver
from simspine.estimation.uncertainty import (
    along_root_axes,
    columns_between,
    place_covariance,
    spine_deviation,
    with_deviation,
)

INCIDENCE_PARAMETER, TILT_PARAMETER = "pelvic_incidence", "pelvic_tilt"
# {angle of a limb: the model's coordinates that it equals, or nearly equals}, without the side.
LIMB_ANGLE_COORDINATES = {
    **{f"hip_{angle}": (f"hip_{angle}",) for angle in ("flexion", "adduction", "rotation")},
    "knee_flexion": ("knee_angle",),
    "ankle_dorsiflexion": ("ankle_angle",),
    "ankle_inversion": ("subtalar_angle",),
    "shoulder_plane": ("arm_flex", "arm_add"),
    "shoulder_elevation": ("arm_flex", "arm_add"),
    "shoulder_rotation": ("arm_flex", "arm_add", "arm_rot"),
}


def measures_of_body(sized: SizedBody) -> tuple[ClinicalMeasure, ...]:
    """The clinical parameters that this body has."""
    return clinical_measures(sized.vertebrae, sized.body.bodies)


def read_clinical(sized: SizedBody, result: Result, poses: Mapping[str, np.ndarray]) -> ClinicalParameters:
    """The clinical parameters of a solved trial. poses: of the body, {name: (frames, 4, 4)}, y_up.

    Standard deviations come from the posterior. If the body was fitted to the person, those of pelvic tilt and pelvic
    incidence also include the uncertainty of the hips' places.
    """
    measures = measures_of_body(sized)
    clinical = replace(clinical_parameters(measures, poses), forced=_forced_parameters(sized, measures))
    derived = None if result.posterior is None else result.posterior.derived.get("clinical")
    if derived is None or derived.shape != clinical.values.shape:
        return clinical
    sd, incidence_sd = np.where(np.isfinite(clinical.values), derived, np.nan), incidence_deviation(sized)
    if incidence_sd is not None:
        for name in {INCIDENCE_PARAMETER, TILT_PARAMETER} & set(clinical.names):
            column = clinical.names.index(name)
            sd[:, column] = np.hypot(sd[:, column], incidence_sd[0])
    return replace(clinical, deviation=sd)


def incidence_deviation(sized: SizedBody) -> tuple[float, float] | None:
    """Standard deviation of pelvic incidence after the fit to the person, and before it, rad; None without such a fit.

    It is propagated from the places of the hips alone, whose errors count as independent. The slopes are those of a
    pelvis of average size, since detected hips may have made the fitted pelvis too wide.
    """
    person, pelvis = sized.person, sized.recipe.pelvis
    if person is None or pelvis is None:
        return None
    hips = {v.name: v.sd for v in sized.recipe.anatomy if v.name in pelvis.incidence}
    before = np.linalg.norm([pelvis.incidence[name] * sd for name, sd in hips.items()])
    after = np.linalg.norm([pelvis.incidence[name] * person.anatomy[name][1] for name in hips])
    return float(after), float(before)


def decided_shares(sized: SizedBody, result: Result) -> dict[str, float]:
    """{parameter: share that the data determine}, 0…1, of the parameters where it is known.

    For a limb's angle it is the smallest measurement response of its coordinates; for pelvic incidence, the share of
    the variance between people that the fit to the person removed.
    """
    shares: dict[str, float] = {}
    if result.posterior is not None:
        response = dict(zip(sized.body.coordinates.names, result.posterior.response.tolist(), strict=True))
        for angle, coordinates in LIMB_ANGLE_COORDINATES.items():
            for side in SIDE_WORDS:
                responses = [response.get(f"{coordinate}_{side}", np.nan) for coordinate in coordinates]
                if np.isfinite(responses).all():
                    shares[f"{angle}_{side}"] = min(responses)
    incidence_sd = incidence_deviation(sized)
    if incidence_sd is None:
        return shares
    after, before = np.hypot(incidence_sd, (sized.sacral_tilt_sd, SACRAL_TILT_SD)).tolist()
    return shares | {INCIDENCE_PARAMETER: 1 - (after / before) ** 2}


def lumbopelvic_rhythm_of(clinical: ClinicalParameters, kept: np.ndarray, result: Result) -> LumbopelvicRhythm:
    """The trial's lumbopelvic rhythm. kept: (frames,) bool, frames to use. result: from which `clinical` was read."""
    if not set(RHYTHM_PARAMETERS) <= set(clinical.names):
        return LumbopelvicRhythm(reason="the body lacks what it is measured on")
    lumbar, tilt = (np.where(kept, clinical.of(name), np.nan) for name in RHYTHM_PARAMETERS)
    change = None if result.posterior is None else result.posterior.derived.get(CHANGE_KEY)
    if change is None or change.shape[1] < 2 + len(RHYTHM_PARAMETERS):  # after lordosis and kyphosis
        return lumbopelvic_rhythm(lumbar, -tilt)
    return lumbopelvic_rhythm(lumbar, -tilt, *change[:, 2 : 2 + len(RHYTHM_PARAMETERS)].T)


def _forced_parameters(sized: SizedBody, measures: tuple[ClinicalMeasure, ...]) -> dict[str, tuple[Forced, ...]]:
    """{parameter: what the model fixes about it before any data, see `Forced`}, () where nothing."""
    forced: dict[str, tuple[Forced, ...]] = {name: () for measure in measures for name in measure.names}
    for measure in measures:
        if len(measure.names) > 1:
            forced |= _forced_angles_of_joint(sized.body, measure)
    plates, flexion = sized.vertebrae, MOTION_PLANES[:1]
    if INCIDENCE_PARAMETER in forced and incidence_deviation(sized) is None:
        forced[INCIDENCE_PARAMETER] = (Forced(KIND_RIGID, flexion, spans=("S1", "the hips"), body="pelvis"),)
    if "cervical_lordosis" in forced and plates["C2"].body == plates["C7"].body:
        forced["cervical_lordosis"] = (Forced(KIND_RIGID, flexion, spans=("C2", "C7"), body=plates["C2"].body),)
    for name, upper, plane in (("lumbar_flexion", "T12", MOTION_PLANES[0]), ("coronal_cobb", "T1", MOTION_PLANES[1])):
        if name in forced:
            chain = forced_between(sized.body.couplers, sized.levels, plates["S1"].body, plates[upper].body)
            forced[name] = chain[plane]
    return forced


def _forced_angles_of_joint(body: Body, measure: ClinicalMeasure) -> dict[str, tuple[Forced, ...]]:
    """In a joint with fewer than three free coordinates, the last angles are functions of these coordinates."""
    movers = [body.coordinates.names[body.tree.free[i]] for i in columns_between(body, measure.bodies)]
    dependent = measure.names[len(movers) :]
    return {name: (Forced(KIND_COUPLED, (name.split("_")[1],), " and ".join(movers)),) for name in dependent}


def solve_kinematics(
    sized: SizedBody,
    markers: Markers,
    marker_set: str,
    options: KinematicsOptions,
    spine_markers: Mapping[str, str] | None = None,
) -> Result:
    """Coordinates of the body that explain a trial's markers (y_up), with the uncertainty of all published figures.

    Markers that the body lacks are left out. marker_set: name, for the weights of markers. spine_markers: as for
    `read_spine`. Raises `InputError` for weights of unknown markers, and a body with none of the markers."""
    body, recipe, person = sized.body, sized.recipe, sized.person
    markers = fit_markers(body, markers)
    levels = NoiseLevels.of_options(options).given_view_agreement(markers) if person is None else person.noise
    require_known("marker", options.weights, body.marker_names, "ik.weights of the configuration")
    observations = observe(
        markers,
        sized.weights(marker_set) | dict(options.weights),
        options,
        levels,
        places_fitted=person is not None,
        detector_bias={} if person is None else {name: bias.offset_m for name, bias in person.detector_bias.items()},
    )
    if options.engine != "trajectory":
        solver = Solver(options.engine, coordinate_tasks=recipe.coordinate_tasks)
        return inverse_kinematics(body, markers, observations.weights, solver=solver)
    points = virtual_spine_markers(body) if spine_markers is None else spine_markers
    indices = [body.marker_index(name) for name in points.values()]
    clinical = measures_of_body(sized)
    return inverse_kinematics(
        body,
        markers,
        observations.weights,
        smoothness=_smoothness_of_options(sized, options),
        prior=sized.prior,
        errors=observations.errors,
        solver=Solver("trajectory"),
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
            | _spine_place_covariances(sized, z, blocks, markers=indices, depth_sd=_common_depth_sd(sized, markers))
        ),
    )


def _smoothness_of_options(sized: SizedBody, options: KinematicsOptions) -> Smoothness:
    """The configured smoothness: weaker for limbs, which move faster; with the trunk's, their motion would bend it.

    After a fit to the person the noise of markers is known, so the smoothness of all but the limbs is learnt from each
    trial. Limbs keep the configured one: a stronger one would shift slow errors of their markers to the spine. In the
    trial Sitting, seen by a detector and motion capture, the spine then moved by 2° although it was still."""
    acceleration = {"*": options.acceleration_sd}
    acceleration |= dict.fromkeys(sized.trunk, options.level_acceleration_sd)
    acceleration |= dict.fromkeys(sized.limbs, options.limb_acceleration_sd)
    learnt = () if sized.person is None else [name for name in sized.body.free_names if name not in sized.limbs]
    return Smoothness(acceleration, learn_from_trial=learnt)


def _spine_place_covariances(
    sized: SizedBody, z: np.ndarray, blocks: np.ndarray, markers: Sequence[int], depth_sd: float
) -> dict[str, np.ndarray]:
    """Covariances of the spine's points and the vertebrae's centres, with the remaining errors of the person's body.

    `blocks` includes the body errors' effect on coordinates, as far as the prior has their modes. A place changes with
    the coordinates and with the body itself, and these changes mostly cancel. So the modes are subtracted here, and the
    covariance of both changes together is added. markers: indices. depth_sd: m, see `_common_depth_sd`.
    """
    body, person, marker_of_level = sized.body, sized.person, vertebra_markers(sized.body)
    names = [*(body.marker_names[i] for i in markers), *(marker_of_level[level] for level in sized.vertebrae)]
    own = np.tile(depth_sd**2 * np.diag([1.0, 0.0, 0.0]), (len(names), 1, 1))
    if person is not None:
        modes = along_root_axes(body.tree, z, sized.prior.body_error_mode_matrix(body.free_names), back=True)
        blocks = blocks - modes @ modes.swapaxes(1, 2)
        own += np.array([person.place_covariance_from_body.get(name, np.zeros((3, 3))) for name in names])
        sd = [person.centroids[level].sd if level in person.centroids else 0.0 for level in sized.vertebrae]
        own[len(markers) :] += np.square(sd)[:, None, None] * np.eye(3)
    return place_covariance(body, z, blocks, vertebrae=sized.vertebrae, markers=markers, own=own)


def _common_depth_sd(sized: SizedBody, markers: Markers) -> float:
    """m: standard deviation of the depth that all vertebrae of a person share; 0 if the fit to the person estimates it.

    Markers on the skin of the back alone do not show how deep the spine lies, and places of a tape's dots are not
    fitted. If that depth were estimated, it would absorb other misfits, such as that of the trunk's length. So its
    variance is added to that of the places (a consider parameter: Schmidt 1966, Adv Control Syst 3:293).
    """
    measured = set(markers.names) - set(markers.names_of(Origin.INFERRED))
    on_skin = set(is_skin_marker(measured))
    fitted = sized.person is not None and on_skin != measured and not is_tape_dot(measured)
    return 0.0 if fitted or not on_skin else read_skin_table().person_depth_sd


def read_spine(sized: SizedBody, result: Result, spine_markers: Mapping[str, str] | None = None) -> SpineKinematics:
    """The spine's angles, LLA and TKA, clinical parameters, points and vertebral centres, with uncertainty.

    spine_markers: {spine point: the body's marker}; by default those of `virtual_spine_markers`.
    """
    body, motion = sized.body, result.motion
    poses = body_poses(body, motion)
    points = virtual_spine_markers(body) if spine_markers is None else spine_markers
    spine = spine_kinematics(
        poses,
        forward_kinematics(body, motion, names=[points.get(name, name) for name in SPINE_MARKERS]),
        sized.vertebrae,
        levels=sized.levels,
        forced=sized.forced,
        spine_markers=points,
    )
    spine = replace(spine, clinical=read_clinical(sized, result, poses))
    return with_deviation(spine, None if result.posterior is None else result.posterior.derived)
