"""Clinical parameters of a solved trial: values, standard deviations, and the parts that the model decides."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from simspine.anatomy.body import Body, neutral_poses
from simspine.anatomy.clinical import SIDE_WORDS, ClinicalMeasure, clinical_measures, clinical_parameters
from simspine.anatomy.clinical_angles import (
    HIP_BODIES,
    RHYTHM_PARAMETERS,
    LumbopelvicRhythm,
    lumbopelvic_rhythm,
    pelvic_incidence,
)
from simspine.anatomy.curvature import MOTION_PLANES, SACRAL_TILT_SD
from simspine.anatomy.vertebrae import KIND_COUPLED, KIND_RIGID, ClinicalParameters, forced_between
from simspine.core.types import Forced
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.result import CHANGE_KEY, Result
from simspine.estimation.uncertainty import columns_between

INCIDENCE_PARAMETER, TILT_PARAMETER = "pelvic_incidence", "pelvic_tilt"
# Angles of limbs, and the model's coordinate that is all or nearly all of each.
LIMB_ANGLE_COORDINATES = {
    **{f"hip_{angle}": f"hip_{angle}" for angle in ("flexion", "adduction", "rotation")},
    "knee_flexion": "knee_angle",
    "ankle_dorsiflexion": "ankle_angle",
    "ankle_inversion": "subtalar_angle",
}


def measures_of_body(sized: SizedBody) -> tuple[ClinicalMeasure, ...]:
    """The clinical parameters that this body has."""
    return clinical_measures(sized.vertebrae, sized.body.bodies)


def read_clinical(sized: SizedBody, result: Result, poses: Mapping[str, np.ndarray]) -> ClinicalParameters:
    """The clinical parameters of a solved trial. poses: of the body, {name: (frames, 4, 4)}, y_up.

    Standard deviations are those of the posterior. Where the body was fitted to the person, the places of its hips are
    known to some extent only: pelvic tilt and incidence have that too.
    """
    some = measures_of_body(sized)
    found = replace(clinical_parameters(some, poses), forced=_forced_parameters(sized, some))
    derived = None if result.posterior is None else result.posterior.derived.get("clinical")
    if derived is None or derived.shape != found.values.shape:
        return found
    sd, hips = np.where(np.isfinite(found.values), derived, np.nan), incidence_deviation(sized)
    if hips is not None:
        for name in {INCIDENCE_PARAMETER, TILT_PARAMETER} & set(found.names):
            at = found.names.index(name)
            sd[:, at] = np.hypot(sd[:, at], hips[0])
    return replace(found, deviation=sd)


def incidence_deviation(sized: SizedBody) -> tuple[float, float] | None:
    """Standard deviation of pelvic incidence after the fit to the person, and before it, rad; None without such a fit.

    From the places of the hips alone, whose errors count as independent.
    """
    person = sized.person
    variations = [v for v in sized.recipe.anatomy if v.shift and set(HIP_BODIES) & set(v.shift)]
    if person is None or not variations:
        return None
    poses = {name: pose[None] for name, pose in neutral_poses(sized.body).items()}
    pelvis, base = poses["pelvis"][0, :3, :3], pelvic_incidence(poses, sized.vertebrae)[0]
    after = before = 0.0
    for variation in variations:
        moved = dict(poses)
        for hip, direction in (variation.shift or {}).items():
            if hip in HIP_BODIES:
                moved[hip] = poses[hip].copy()
                moved[hip][0, :3, 3] += variation.sd * (pelvis @ np.array(direction))
        change = pelvic_incidence(moved, sized.vertebrae)[0] - base
        before += change**2
        after += (change * person.anatomy[variation.name][1] / variation.sd) ** 2
    return float(np.sqrt(after)), float(np.sqrt(before))


def decided_shares(sized: SizedBody, result: Result) -> dict[str, float]:
    """{parameter: share of it that the data decided}, 0…1, where that is known.

    Angles of limbs that are a coordinate of the body have its measurement response. Pelvic incidence has the part that
    the fit to the person took from the variance between people.
    """
    shares: dict[str, float] = {}
    if result.posterior is not None:
        response = dict(zip(sized.body.coordinates.names, result.posterior.response.tolist(), strict=True))
        for angle, coordinate in LIMB_ANGLE_COORDINATES.items():
            for side in SIDE_WORDS:
                if f"{coordinate}_{side}" in response:
                    shares[f"{angle}_{side}"] = response[f"{coordinate}_{side}"]
    known = incidence_deviation(sized)
    if known is None:
        return shares
    after, before = np.hypot(known, (sized.sacral_tilt_sd, SACRAL_TILT_SD)).tolist()
    return shares | {INCIDENCE_PARAMETER: 1 - (after / before) ** 2}


def lumbopelvic_rhythm_of(clinical: ClinicalParameters, kept: np.ndarray, result: Result) -> LumbopelvicRhythm:
    """The trial's lumbopelvic rhythm, from the frames that are kept (frames,) bool. result: that it was read from."""
    if not set(RHYTHM_PARAMETERS) <= set(clinical.names):
        return LumbopelvicRhythm(
            ratio=None, sd=None, lumbar=None, pelvis=None, reason="the body lacks what it is measured on"
        )
    lumbar, tilt = (clinical.of(name)[kept] for name in RHYTHM_PARAMETERS)
    change = None if result.posterior is None else result.posterior.derived.get(CHANGE_KEY)
    if change is None or change.shape[1] < 2 + len(RHYTHM_PARAMETERS):  # after lordosis and kyphosis
        return lumbopelvic_rhythm(lumbar, -tilt)
    return lumbopelvic_rhythm(lumbar, -tilt, *change[kept, 2 : 2 + len(RHYTHM_PARAMETERS)].T)


def _forced_parameters(sized: SizedBody, some: tuple[ClinicalMeasure, ...]) -> dict[str, tuple[Forced, ...]]:
    """What the model forces of each parameter, () where nothing."""
    found: dict[str, tuple[Forced, ...]] = {name: () for measure in some for name in measure.names}
    for measure in some:
        if len(measure.names) > 1:
            found |= _of_joint(sized.body, measure)
    plates, flexion = sized.vertebrae, MOTION_PLANES[:1]
    if INCIDENCE_PARAMETER in found and incidence_deviation(sized) is None:
        found[INCIDENCE_PARAMETER] = (Forced(KIND_RIGID, flexion, spans=("S1", "the hips"), body="pelvis"),)
    if "cervical_lordosis" in found and plates["C2"].body == plates["C7"].body:
        found["cervical_lordosis"] = (Forced(KIND_RIGID, flexion, spans=("C2", "C7"), body=plates["C2"].body),)
    for name, upper, plane in (("lumbar_flexion", "T12", MOTION_PLANES[0]), ("coronal_cobb", "T1", MOTION_PLANES[1])):
        if name in found:
            chain = forced_between(sized.body.couplers, sized.levels, plates["S1"].body, plates[upper].body)
            found[name] = chain[plane]
    return found


def _of_joint(body: Body, measure: ClinicalMeasure) -> dict[str, tuple[Forced, ...]]:
    """A joint of fewer axes than three gives its last angles as functions of the coordinates that it has."""
    movers = [body.coordinates.names[body.tree.free[i]] for i in columns_between(body, measure.bodies)]
    rest = measure.names[len(movers) :]
    return {name: (Forced(KIND_COUPLED, (name.split("_")[1],), " and ".join(movers)),) for name in rest}
