"""Clinical parameters of a solved trial: what the model forces of them, and what the fit to a person leaves open."""

from dataclasses import replace

import numpy as np
import pytest

from simspine.anatomy.alignment import pelvic_incidence
from simspine.anatomy.body import body_poses, neutral_motion, neutral_poses
from simspine.anatomy.person_variation import joint_moves_of, vary_joint_places
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.anatomy.vertebrae import ClinicalParameters, forced_sentence
from simspine.core.types import ForcedKind
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.observations import NoiseLevels
from simspine.estimation.options import KinematicsOptions
from simspine.estimation.person import Person
from simspine.estimation.result import Posterior, Result
from simspine.estimation.solve_trial import (
    decided_shares,
    incidence_deviation,
    lumbopelvic_rhythm_of,
    measures_of_body,
    read_clinical,
)


def _sized(recipe: str) -> SizedBody:
    return SizedBody(build_body(recipe, "simspine37"), read_recipe(recipe), {})


@pytest.fixture(scope="module")
def articulated():
    return _sized("articulated")


def _fitted(sized: SizedBody, sd: float) -> SizedBody:
    """As if a fit had left each variation with this part of its standard deviation."""
    found = {v.name: (0.0, sd * v.sd) for v in sized.recipe.anatomy}
    empty = np.empty((0, 0))
    noise = NoiseLevels.of_options(KinematicsOptions())
    person = Person(
        curve_coordinates=(),
        curve_mean=np.empty(0),
        curve_covariance=empty,
        curve_prior_precision=empty,
        trials=1,
        noise=noise,
        anatomy=found,
        body_error_modes={},
    )
    return replace(sized, person=person)


def _solved(sized: SizedBody, clinical_sd=None) -> Result:
    motion = neutral_motion(sized.body)
    known = None if clinical_sd is None else Posterior(np.ones(motion.values.shape[1]), {"clinical": clinical_sd})
    return Result(motion, (), np.empty((1, 0)), np.zeros(1), np.ones(1, bool), ("",), known)


def _read(sized: SizedBody, clinical_sd=None):
    result = _solved(sized, clinical_sd)
    return read_clinical(sized, result, body_poses(sized.body, result.motion))


def test_the_coupled_body_forces_the_neck_and_the_shares_of_the_lumbar_spine():
    forced = _read(_sized("coupled")).forced
    assert [fact.kind for fact in forced["cervical_lordosis"]] == [ForcedKind.RIGID]
    assert "C2 and C7 are on the same rigid body" in forced_sentence(forced["cervical_lordosis"])
    for name in ("coronal_cobb", "lumbar_flexion"):
        assert [fact.kind for fact in forced[name]] == [ForcedKind.SUM]
    assert forced["t1_slope"] == forced["pelvic_tilt"] == ()


def test_what_every_body_forces(articulated):
    """One shape of pelvis, knees of one axis and ankles of two."""
    forced = {name for name, facts in _read(articulated).forced.items() if facts}
    knees = {f"knee_{angle}_{side}" for angle in ("adduction", "rotation") for side in "rl"}
    assert forced == knees | {"ankle_rotation_r", "ankle_rotation_l", "pelvic_incidence"}
    assert forced_sentence(_read(articulated).forced["knee_adduction_r"]) == "adduction = a function of knee_angle_r"


def test_a_fit_to_the_person_frees_the_incidence_and_gives_it_a_deviation(articulated):
    """That of hips drawn about their places."""
    sized = _fitted(articulated, 0.5)
    after, before = incidence_deviation(sized)
    assert after == pytest.approx(0.5 * before)
    poses = {name: pose[None] for name, pose in neutral_poses(sized.body).items()}
    sd = {v.name: v.sd for v in sized.recipe.anatomy}
    rng, drawn = np.random.default_rng(0), []
    for forward, up in rng.normal(0, 0.5, (2000, 2)) * (sd["depth of the hips"], sd["height of the hips"]):
        moved = dict(poses)
        for hip in ("femur_r", "femur_l"):
            moved[hip] = poses[hip].copy()
            moved[hip][0, :3, 3] += (forward, up, 0)
        drawn.append(pelvic_incidence(moved, sized.vertebrae)[0])
    assert after == pytest.approx(np.std(drawn), rel=0.06)

    count = len(_read(articulated).names)
    found = _read(sized, np.full((1, count), 0.01))
    assert found.forced["pelvic_incidence"] == ()
    assert found.sd("pelvic_tilt")[0] == pytest.approx(np.hypot(0.01, after))
    assert found.sd("pelvic_incidence")[0] == pytest.approx(np.hypot(0.01, after))
    assert found.sd("sacral_slope")[0] == found.sd("t1_slope")[0] == found.sd("trunk_inclination")[0] == 0.01
    # Of the sacrum's endplate this person says nothing: as much is left as people differ by, 6.9°.
    left = np.hypot(after, np.radians(6.9))
    taken = 1 - (left / np.hypot(before, np.radians(6.9))) ** 2
    assert decided_shares(sized, _solved(sized))["pelvic_incidence"] == pytest.approx(taken)


def test_hips_that_were_fitted_change_the_incidence(articulated):
    """The hips 15 mm further forward: the person's incidence, not the model's, by about what counts as error."""
    names = [v.name for v in articulated.recipe.anatomy]
    hips = names.index("depth of the hips")
    values = np.zeros(len(names))
    values[hips] = articulated.recipe.anatomy[hips].sd
    moves = joint_moves_of(articulated.body, articulated.recipe.anatomy, articulated.recipe.articulation.chain)
    other = replace(articulated, body=vary_joint_places(articulated.body, moves, values.tolist()))
    change = np.degrees(_read(other).of("pelvic_incidence") - _read(articulated).of("pelvic_incidence"))[0]
    assert 3 < change < 9
    alone = {v.name: (0.0, v.sd if v.name == names[hips] else 0.0) for v in articulated.recipe.anatomy}
    person = replace(_fitted(articulated, 1.0).person, anatomy=alone)
    assert np.degrees(incidence_deviation(replace(articulated, person=person))[0]) == pytest.approx(change, rel=0.1)


def test_deviations_are_missing_where_the_solver_gave_none_or_the_value_is(articulated):
    assert _read(articulated).deviation is None
    count = len(_read(articulated).names)
    found = _read(articulated, np.full((1, count), 0.02))
    assert (np.isnan(found.deviation) == np.isnan(found.values)).all()


def test_measures_are_those_of_both_bodies_alike(articulated):
    some = [tuple(n for m in measures_of_body(sized) for n in m.names) for sized in (articulated, _sized("coupled"))]
    assert some[0] == some[1]


def test_rhythm_needs_bending(articulated):
    found = lumbopelvic_rhythm_of(_read(articulated), np.ones(1, bool), _solved(articulated))
    assert found.ratio is None
    assert "bends by 0°" in found.reason


def test_rhythm_is_as_sure_as_the_changes_are(articulated):
    """Not as the values: what a pelvis is wrong by throughout changes no ratio of motions."""
    bend, name = np.linspace(0, 1, 50), ("lumbar_flexion", "pelvic_tilt")
    values = np.stack([0.8 * bend, 0.3 - 0.4 * bend], 1)
    clinical = ClinicalParameters(name, ("rad", "rad"), values, np.full((50, 2), 0.5))
    motion = neutral_motion(articulated.body)
    motion = motion.with_(values=np.tile(motion.values, (50, 1)))
    change = np.tile([1.0, 1.0, 0.01, 0.02], (50, 1))  # of lordosis, kyphosis, lumbar flexion, pelvic tilt
    known = Posterior(np.ones(motion.values.shape[1]), {"change": change})
    result = Result(motion, (), np.empty((50, 0)), np.zeros(50), np.ones(50, bool), ("",) * 50, known)
    found = lumbopelvic_rhythm_of(clinical, np.ones(50, bool), result)
    assert found.ratio == pytest.approx(2)
    assert found.sd == pytest.approx(np.sqrt(2) * (0.01 + 2 * 0.02) / found.pelvis)
