"""What is learnt of a person from all their trials: by people of another anatomy, and by noise that is known."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from small_project import detectable
from tools.bench.spine_errors import OWN_SPINE_MARKERS
from tools.bench.study_trials import POINT_ERRORS_BY_NAME, StudySize, trial_in_space, trials_of_people
from tools.other_anatomy.motion import make_foreign_subject, make_foreign_trial

from simspine.anatomy.body import forward_kinematics, neutral_motion
from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS, SPINE_MARKERS
from simspine.anatomy.options import ScalingOptions
from simspine.anatomy.priors import Prior
from simspine.anatomy.recipes import build_body
from simspine.core.skeletons import SPINE_REGIONS
from simspine.core.types import Markers, Motion, Origin
from simspine.estimation.person import Person, personal_prior
from simspine.estimation.solve_trial import read_spine, solve_kinematics
from simspine.quality.assess import check_solved_trial
from simspine.reconstruction.stage import Options
from simspine.reconstruction.stages import body_of_person

SD = 0.005  # m, of spine points from frame to frame
SCORED = 40  # frames of each trial whose vertebrae are compared
FIXED = Options(scaling=ScalingOptions(anatomy=False))


def _trials(frames: int = 120) -> tuple[list, list[Markers]]:
    """Trials of a person of another anatomy, and what is seen of them."""
    subject, rng = make_foreign_subject(4, 0), np.random.default_rng(5)
    truth = [make_foreign_trial(subject, action, frames) for action in ("standing", "bending", "walking")]
    spine = np.isin(truth[0].points.names, SPINE_MARKERS)
    origin = tuple(Origin.DETECTED if own else Origin.GIVEN for own in spine)
    seen = []
    for trial in truth:
        noise = rng.normal(0, 1, trial.points.xyz.shape) * np.where(spine, SD, 0.002)[:, None]
        seen.append(trial.points.with_(xyz=trial.points.xyz + noise, origin=origin))
    return truth, seen


@pytest.fixture(scope="module")
def fitted():
    truth, seen = _trials()
    return truth, seen, body_of_person(seen, "articulated", "centres", Options())[0]


@pytest.fixture
def rounds(monkeypatch):
    """Sets the rounds of fit and noise: two show most effects of all five."""
    return lambda count: monkeypatch.setattr("simspine.estimation.fit_person.NOISE_ROUNDS", count)


@pytest.fixture
def one_round(rounds, monkeypatch):
    """Few steps of one fit: where fits are compared with one another, or must only be finite."""
    rounds(1)
    monkeypatch.setattr("simspine.estimation.person_system.MAX_PERSON_STEPS", 4)


def _begun(markers: Markers) -> Markers:
    return markers.with_(xyz=markers.xyz[:SCORED])


def _vertebrae_off(truth, seen, sized) -> float:
    """m, mean over trials, the first frames, and vertebrae."""
    off = []
    for trial, markers in zip(truth, seen, strict=True):
        centres = read_spine(sized, solve_kinematics(sized, _begun(markers), "centres", Options().ik)).centres
        names = [name for name in trial.centres.names if name in centres.names]
        exact = trial.centres.select(names).xyz[:SCORED]
        off.append(np.linalg.norm(centres.select(names).xyz - exact, axis=-1).mean())
    return float(np.mean(off))


@pytest.fixture(scope="module")
def off_when_fitted(fitted) -> float:
    return _vertebrae_off(*fitted)


@pytest.mark.slow
def test_vertebrae_of_another_anatomy_come_nearer(fitted, off_when_fitted):
    truth, seen, _ = fitted
    plain = body_of_person(seen, "articulated", "centres", FIXED)[0]
    assert off_when_fitted < 0.5 * _vertebrae_off(truth, seen, plain)


def test_noise_is_learnt(fitted):
    person = fitted[2].person
    assert person.trials == 3
    named = {
        name: person.noise.detected_sd / np.sqrt(person.noise.weight_factors[name]) for name in ("Spine_02", "Spine_04")
    }
    for name, sd in named.items():
        assert 0.6 * SD < sd < 1.6 * SD, name
    assert person.noise.region_sd < 0.5 * Options().ik.region_sd_m  # there is none
    assert person.noise.correlation_s < 0.5 * Options().ik.error_correlation_s  # nor is there a memory


def test_what_all_trials_said_survives_a_file(fitted):
    person = fitted[2].person
    again = Person.from_dict(json.loads(json.dumps(person.as_dict())))
    for field in fields(Person):
        a, b = getattr(person, field.name), getattr(again, field.name)
        np.testing.assert_array_equal(a, b) if isinstance(a, np.ndarray) else None
    assert again.noise == person.noise
    assert dict(again.body_error_modes) == dict(person.body_error_modes)


def test_a_fit_that_ran_out_of_steps_is_a_finding(fitted):
    _, seen, sized = fitted
    markers = _begun(seen[0])
    result = solve_kinematics(sized, markers, "centres", Options().ik)
    spine = read_spine(sized, result)
    for left in (1e-9, 0.04):
        cut = replace(sized, person=replace(sized.person, unconverged_cost=left))
        found = check_solved_trial(cut, result, spine, markers).findings
        messages = [finding.message for finding in found if finding.code == "person_fit"]
        assert len(messages) == (left > 0.01)
        assert all("0.2 of their standard deviations" in message for message in messages)


def test_places_leave_out_only_what_the_prior_carries(fitted):
    """Of what is unsure of the body, places go along with what is in coordinates' covariance, and with nothing else."""
    _, seen, sized = fitted
    uncarried = replace(sized, person=replace(sized.person, body_error_modes={}))
    assert sized.person.body_error_modes
    carried = replace(sized)
    vars(carried)["prior"] = vars(uncarried)["prior"] = _anyone(sized)
    own, same = (
        read_spine(one, solve_kinematics(one, _begun(seen[0]), "centres", Options().ik)).centres
        for one in (carried, uncarried)
    )
    np.testing.assert_allclose(own.covariance, same.covariance, rtol=1e-9)


def test_a_single_trial_says_nothing_about_itself_beforehand(fitted):
    """With one trial the priors of the curve are those of anyone; with more they are narrower and about the person."""
    sized = fitted[2]
    alone = Person(**{f.name: getattr(sized.person, f.name) for f in fields(Person)} | {"trials": 1})
    anyone = {tuple(p.combination.items()): p for p in _anyone(sized).terms}
    for prior in personal_prior(alone, sized.recipe).terms:
        assert prior.mean == pytest.approx(anyone[tuple(prior.combination.items())].mean, abs=1e-9)
        assert prior.sd == pytest.approx(anyone[tuple(prior.combination.items())].sd, rel=1e-6)
    narrower = [p.sd / anyone[tuple(p.combination.items())].sd for p in sized.prior.terms]
    assert max(narrower) < 1 + 1e-6
    assert min(narrower) < 0.95


def _anyone(sized) -> Prior:
    return type(sized)(sized.body, sized.recipe, sized.factors).prior


def test_bodies_without_an_anatomy_stay_as_they_were_sized():
    _, seen = _trials(60)
    with_fit, without = (body_of_person(seen, "coupled", "centres", options)[0] for options in (Options(), FIXED))
    assert with_fit.person is None
    assert with_fit.body == without.body


@pytest.mark.usefixtures("one_round")
def test_gaps_and_points_that_never_appear_are_no_obstacle():
    _, (_, _, walking) = _trials(80)
    xyz = np.array(walking.xyz)
    xyz[:, walking.index("Spine_02")] = np.nan
    xyz[20:40, walking.index("LKnee")] = np.nan
    xyz[50] = np.nan
    sized, _ = body_of_person([walking.with_(xyz=xyz)], "articulated", "centres", Options())
    noise = sized.person.noise
    assert np.isfinite([noise.detected_sd, noise.given_sd, noise.region_sd, noise.correlation_s]).all()
    assert np.isfinite(sized.body.marker_offsets).all()


@pytest.mark.usefixtures("one_round")
def test_a_marker_that_one_trial_lacks_is_missing_there(fitted):
    """Of the other trials nothing is left out for it."""
    first, *others = map(_begun, fitted[1])
    names = [name for name in first.names if name != "Spine_02"]
    xyz = np.array(first.xyz)
    xyz[:, first.index("Spine_02")] = np.nan
    lacking, missing = (
        body_of_person([some, *others], "articulated", "centres", Options())[0].person
        for some in (first.select(names), first.with_(xyz=xyz))
    )
    assert lacking.noise.weight_factors.keys() == missing.noise.weight_factors.keys()
    for level in ("detected_sd", "given_sd", "region_sd", "correlation_s"):
        assert getattr(lacking.noise, level) == pytest.approx(getattr(missing.noise, level), rel=1e-6)
    np.testing.assert_allclose(lacking.curve_mean, missing.curve_mean, atol=1e-6)


@pytest.mark.long
def test_points_of_a_region_off_alike_in_space_bend_no_body(fitted):
    """In each trial by something else. Along the axes of vertebrae they would not be off alike, and the fit would turn
    the pelvis until they are: hips 7 mm further forward here, lordosis 7° larger."""
    _, seen, sized = fitted
    moved = []
    for markers, off in zip(seen, ((0.015, -0.01, 0.0), (-0.005, 0.02, 0.005), (0.01, 0.01, -0.01)), strict=True):
        xyz = np.array(markers.xyz)
        xyz[:, markers.indices(SPINE_REGIONS["lumbar"])] += off
        moved.append(markers.with_(xyz=xyz))
    found = body_of_person(moved, "articulated", "centres", Options())[0].person
    assert abs(found.anatomy["depth of the hips"][0] - sized.person.anatomy["depth of the hips"][0]) < 0.006
    assert abs(found.curve_mean[:6].sum() - sized.person.curve_mean[:6].sum()) < np.radians(4)


@pytest.mark.long
def test_where_points_beside_the_spine_lie_on_a_person_is_in_their_intervals(rounds):
    """Of another anatomy, seen by a detector; errors are 1.8 of what the posture alone is unsure of."""
    trials = next(trials_of_people("foreign", StudySize(subjects=1, frames=100)))[:2]
    seen = [trial_in_space(trial, POINT_ERRORS_BY_NAME["detector"], 1).points for trial in trials]
    rounds(2)
    sized, _ = body_of_person(seen, "articulated", "centres", Options())
    beside, squares = [name for name in SPINE_MARKERS if name not in SPINE_CHAIN_MARKERS], []
    for markers, trial in zip(seen, trials, strict=True):
        spine = read_spine(sized, solve_kinematics(sized, markers, "centres", Options().ik), OWN_SPINE_MARKERS)
        found = spine.markers.select(beside)
        variance = np.einsum("tmii->tmi", found.covariance)
        squares.append(((found.xyz - trial.truth.kinematics.markers.select(beside).xyz) ** 2 / variance).mean())
    assert 0.6 < np.sqrt(np.mean(squares)) < 1.4


@pytest.mark.usefixtures("one_round")
def test_frames_with_left_and_right_exchanged_say_nothing_of_the_body():
    """Fitted with them, the pelvis would face backwards in a third of all frames. Nor does a trial of nobody."""
    _, (standing, bending, walking) = _trials(30)
    nobody = bending.with_(xyz=np.full(bending.xyz.shape, np.nan))
    other = [{"L": "R", "R": "L"}.get(name[0], name[0]) + name[1:] for name in walking.names]
    names = [o if o in walking.names else name for o, name in zip(other, walking.names, strict=True)]
    turned = walking.with_(xyz=walking.xyz[:, walking.indices(names)])
    alone, beside = (
        body_of_person(trials, "articulated", "centres", Options())[0].person
        for trials in ([standing, bending], [standing, bending, turned, nobody])
    )
    np.testing.assert_allclose(beside.curve_mean, alone.curve_mean, atol=1e-3)  # lengths of limbs are of all trials
    assert beside.trials == 2
    only = body_of_person([turned], "articulated", "centres", Options())[0].person
    assert only.trials == 1


@pytest.mark.usefixtures("one_round")
def test_a_person_seen_in_a_few_frames_of_a_long_trial_is_fitted_by_these():
    _, (standing, _, _) = _trials(100)
    xyz = np.full(standing.xyz.shape, np.nan)
    xyz[41:47] = standing.xyz[41:47]
    sized, _ = body_of_person([standing.with_(xyz=xyz)], "articulated", "centres", Options())
    assert sized.person.trials == 1
    assert np.isfinite(sized.person.curve_covariance).all()


def test_a_scoliosis_is_the_persons(rounds):
    """A curve of 20° to one side in all trials, about which the person moves: over half of it is found, and none in a
    straight person. The sum of five thoracic levels; spine points with 6 mm of noise."""
    found = {}
    for curve, count in ((0.0, 2), (20.0, 3)):
        rounds(count)
        body, trials = build_body("articulated", "centres"), []
        for k in range(2):
            motion = _bowing_to_and_fro(body, curve, seed=k)
            exact = detectable(forward_kinematics(body, motion))
            spine = np.isin(exact.names, SPINE_MARKERS)
            noise = np.random.default_rng(k).normal(0, 1, exact.xyz.shape) * np.where(spine, 0.006, 0.002)[:, None]
            origin = tuple(Origin.DETECTED if own else Origin.GIVEN for own in spine)
            trials.append(exact.with_(xyz=exact.xyz + noise, origin=origin))
        sized, _ = body_of_person(trials, "articulated", "centres", Options())
        result = solve_kinematics(sized, trials[0], "centres", Options().ik)
        found[curve] = np.degrees(sum(result.motion.column(name).mean() for name in CROOKED_LEVELS))
    assert abs(found[0.0]) < 1.0
    assert 11.0 < found[20.0] < 21.0  # 15 after all five rounds


CROOKED_LEVELS = [f"T{i}_T{i + 1}_Lat_Bending" for i in range(5, 10)]


def _bowing_to_and_fro(body, curve: float, seed: int) -> Motion:
    """curve: degrees, of all `CROOKED_LEVELS`; the lumbar levels bend to the other side, and move."""
    coordinates, time = body.coordinates, np.arange(120) / 50
    values = np.repeat(neutral_motion(body).values, time.size, axis=0)
    for name in CROOKED_LEVELS:
        values[:, coordinates.index(name)] += np.radians(curve / len(CROOKED_LEVELS))
    for level in ("L1_L2", "L2_L3", "L3_L4", "L4_L5"):
        values[:, coordinates.index(f"{level}_Lat_Bending")] -= np.radians(curve / 5)
        values[:, coordinates.index(f"{level}_Flex_Ext")] -= np.radians(4 + seed) * np.sin(2.0 * time)
    return Motion(coordinates.names, 50, values, coordinates.rotational)


@pytest.mark.parametrize(
    ("name", "value"),
    [("curve_mean", []), ("curve_mean", None), ("curve_covariance", [[1.0]]), ("curve_covariance", 5)],
)
def test_a_curve_that_does_not_fit_its_names_is_refused(name, value):
    curve = {"curve_mean": [0.0, 0.0], "curve_covariance": np.eye(2), "curve_prior_precision": np.eye(2)}
    noise = dict.fromkeys(("detected_sd", "given_sd", "skin_sd", "region_sd", "correlation_s"), 1.0)
    others = {"centroids": {}, "detector_bias": {}, "anatomy": {}, "body_error_modes": {}, "trials": 1}
    entry = {"curve_coordinates": ["a", "b"], "noise": noise} | curve | others
    assert Person.from_dict(entry).trials == 1
    with pytest.raises(ValueError, match="reshape"):
        Person.from_dict(entry | {name: value})


@pytest.mark.parametrize(("too_high", "listing"), [(0.03, 0.0), (0.0, 8.0)])
def test_a_hip_detected_too_high_is_told_from_a_pelvis_that_lists(rounds, too_high, listing):
    """Four seconds of standing, with the right hip `too_high`, m; four more on the right leg, the pelvis listing.

    Expected is the share of the places' variance, 8.6² mm² with points of 5 mm, in theirs and the list's. That has 2.2²
    between people and 4² over 2.5 independent postures, 9.9² mm² over 0.17 m. A leg that is lifted is no standing."""
    rounds(2)
    body, rng, frames = build_body("articulated", "centres"), np.random.default_rng(6), 60
    motion = neutral_motion(body)
    values, side = np.repeat(motion.values, 2 * frames, axis=0), np.radians(listing)
    values[:, [n.endswith("Flex_Ext") for n in motion.names]] += rng.normal(0, 0.03, (2 * frames, 1))
    on_one_leg = {"pelvis_list": -side, "hip_adduction_r": side, "hip_adduction_l": -side}
    for name, value in (on_one_leg | {"hip_flexion_l": 0.8, "knee_angle_l": 1.2}).items():
        values[frames:, motion.names.index(name)] += value
    exact = forward_kinematics(body, Motion(motion.names, 15.0, values, motion.rotational))
    seen = detectable(exact)
    xyz = seen.xyz + rng.normal(0, SD, seen.xyz.shape)
    xyz[:, seen.index("RHip"), 1] += too_high
    seen = seen.with_(xyz=xyz, origin=(Origin.DETECTED,) * len(seen.names))
    fitted = body_of_person([seen], "articulated", "centres", Options())[0].body
    right, left = (fitted.tree.marker_offset[fitted.marker_index(name)] for name in ("RHip", "LHip"))
    assert (right - left)[1] == pytest.approx(0.43 * too_high, abs=0.15 * too_high + 0.003)
