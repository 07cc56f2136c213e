"""The whole-trajectory engine: a dense solution, seams, gaps, honest standard deviations."""

import numpy as np
import pytest
from promise import SAME_SHARE
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.priors import LinearPrior, MarkerErrors, Prior, Smoothness
from simspine.anatomy.tree import all_coordinates
from simspine.core.errors import InputError
from simspine.core.types import Motion
from simspine.estimation import trajectory_engine
from simspine.estimation.banded import BandedSystem
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.estimation.levenberg_marquardt import clipped_step, minimise
from simspine.estimation.path_basis import path_basis
from simspine.estimation.result import Solver
from simspine.estimation.terms import LIMIT_SD_RAD, LimitTerm, MarkerTerm, Objective, PriorTerm
from simspine.estimation.trajectory import (
    WindowPosterior,
)

RATE = 60.0


@pytest.fixture(scope="module")
def moving(release, fit_names):
    """A smooth random motion about a standing pose, and its markers with noise: (motion, markers)."""

    def make(frames, noise=0.02, seed=0, size=0.25):
        rng = np.random.default_rng(seed)
        tree, c = release.tree, release.coordinates
        names = [c.names[i] for i in tree.free]
        middle = np.array([-0.2 if name.startswith("arm_add") else c.default[c.index(name)] for name in names])
        low, high = np.maximum(tree.lower, middle - 1), np.minimum(tree.upper, middle + 1)
        middle = np.clip(middle, low + 0.15 * (high - low), high - 0.15 * (high - low))
        middle[:6] = [0, 0, 0, 0, 0.94, 0]
        amplitude = np.minimum(np.minimum(high - middle, middle - low), size)
        knots = middle + rng.uniform(-0.6, 0.6, (frames // 40 + 4, len(middle))) * amplitude
        z = CubicSpline(np.arange(len(knots)) * 40, knots)(np.arange(frames))
        motion = Motion(c.names, RATE, all_coordinates(tree, np.clip(z, tree.lower, tree.upper))[0], c.rotational)
        markers = forward_kinematics(release, motion).select(fit_names)
        return motion, markers.with_(xyz=markers.xyz + rng.normal(0, noise, markers.xyz.shape))

    return make


SMOOTH = Smoothness(acceleration=20.0)


@pytest.mark.slow
def test_a_short_trial_equals_the_dense_solution(release, moving):
    """scipy's trust region on all residuals of four frames at once finds the same minimum."""
    motion, markers = moving(4)
    tree = release.tree._replace(
        marker_body=release.tree.marker_body[[release.marker_index(n) for n in markers.names]],
        marker_offset=release.tree.marker_offset[[release.marker_index(n) for n in markers.names]],
    )
    n = tree.free.size
    w = np.full(markers.xyz.shape[:2], 1 / 0.02**2)
    prior = PriorTerm(np.eye(n), tree.rest[tree.free], np.ones(n), np.zeros(n))
    start = motion.values[:, tree.free]
    terms = (MarkerTerm(tree, np.array(markers.xyz), w), prior)
    objective = Objective(terms, np.full(n, RATE**4 / 20.0**2), path_basis(4, 1))
    found = minimise(objective, start, tolerance=1e-16)

    def residuals(flat):
        from simspine.anatomy.tree import all_poses

        z = flat.reshape(-1, n)
        x = all_poses(tree, all_coordinates(tree, z)[0])[2]
        return np.concatenate([
            ((x - markers.xyz) / 0.02).ravel(),
            (np.diff(z, n=2, axis=0) * RATE**2 / 20.0).ravel(),
            (z - tree.rest[tree.free]).ravel(),
        ])  # fmt: skip

    dense = least_squares(residuals, start.ravel(), xtol=1e-15, ftol=1e-15, gtol=1e-12)
    assert found.cost == pytest.approx(2 * dense.cost, rel=1e-10)
    np.testing.assert_allclose(found.points, dense.x.reshape(-1, n), atol=1e-5)


@pytest.mark.parametrize("wrong", [0.02, 0.08])
@pytest.mark.parametrize("seed", range(6))
def test_a_trial_is_solved_to_the_end(release, moving, seed, wrong):
    """Oracle: the minimum itself, to the last digit. Neither the path that leads there nor the last step may show.

    A share of the points is far off, and what no point sees is near a limit: large residuals bend the cost, limits are
    kinks in it.
    """
    _, markers = moving(60, seed=seed)
    rng = np.random.default_rng(seed)
    moved = rng.uniform(size=(*markers.xyz.shape[:2], 1)) < wrong
    far = markers.with_(xyz=markers.xyz + moved * rng.normal(0, 0.3, markers.xyz.shape))
    c = release.coordinates
    held = Prior([LinearPrior({c.names[i]: 1.0}, float(c.default[i]), 0.3) for i in release.tree.free[6:]])
    options = {"smoothness": SMOOTH, "prior": held, "errors": MarkerErrors(sd=0.02, loss="huber")}
    found = inverse_kinematics(release, far, **options)
    least = inverse_kinematics(release, far, **options, solver=Solver(tolerance=1e-15))
    assert found.converged.all()
    assert least.converged.all()
    apart = np.abs(found.motion.values - least.motion.values)
    assert (apart <= SAME_SHARE * least.motion.deviation + 1e-12).all()


def test_a_long_step_of_one_coordinate_does_not_shorten_the_others():
    np.testing.assert_array_equal(clipped_step(np.array([[-70.0, 0.5], [0.1, 0.7]])), [[-0.7, 0.5], [0.1, 0.7]])


@pytest.mark.parametrize("place", [(30.0, 0.5), (-3.0, -20.0)])
def test_a_clipped_step_that_leads_uphill_is_no_minimum(place):
    """One coordinate moves the other twenty times as far. Newton's step, clipped in the longer one, raises the cost;
    the whole step, shortened, leads there in a straight line."""
    combinations = np.array([[1.0, -20.0], [0.0, 1.0]])
    prior = PriorTerm(combinations, mean=combinations @ place, precision=np.array([1.0, 4.0]), decay=np.zeros(2))
    gradient = prior_gradient = combinations.T @ (np.array([1.0, 4.0]) * (combinations @ place))
    if abs(place[1]) < 0.7:
        assert clipped_step(np.array([place]))[0] @ prior_gradient < 0.0
    found = minimise(Objective((prior,), np.zeros(2), path_basis(1, 1)), np.zeros((1, 2)))
    assert not found.reason
    np.testing.assert_allclose(found.points[0], place, atol=1e-6 * np.abs(gradient).max())


def test_windows_make_no_seam(release, moving):
    """With every angle held a little by a prior, so that both problems are solved to the end."""
    _, markers = moving(300)
    c = release.coordinates
    held = Prior(
        [LinearPrior({n: 1.0}, float(c.default[c.index(n)]), 0.3) for n in c.names if "arm" in n or "pro_sup" in n]
    )
    options = {"smoothness": SMOOTH, "prior": held}
    whole = inverse_kinematics(release, markers, **options, solver=Solver(tolerance=1e-8, window=300))
    cut = inverse_kinematics(release, markers, **options, solver=Solver(tolerance=1e-8, window=100, overlap=60))
    assert whole.converged.all()
    assert cut.converged.all()
    apart = np.abs(cut.motion.values - whole.motion.values) / np.maximum(whole.motion.deviation, 1e-9)
    assert np.quantile(apart, 0.99) < 0.1  # standard deviations
    assert apart.max() < 0.3
    np.testing.assert_allclose(cut.motion.deviation, whole.motion.deviation, rtol=0.05, atol=1e-6)


def test_threads_change_nothing(release, moving):
    _, markers = moving(160)
    one, two = (
        inverse_kinematics(release, markers, smoothness=SMOOTH, solver=Solver(window=60, overlap=20, threads=k))
        for k in (1, 2)
    )
    np.testing.assert_array_equal(one.motion.values, two.motion.values)


def test_the_covariance_is_handed_out_window_by_window(release, moving):
    """Deviations and those of any function of the coordinates are from the covariance that `derive` is given."""
    _, markers = moving(70)
    seen = []

    def derive(z, blocks):
        seen.append(blocks.shape)
        return {"sd": np.sqrt(np.einsum("tii->ti", blocks)), "z": z}

    result = inverse_kinematics(
        release, markers, smoothness=SMOOTH, derive=derive, solver=Solver(window=30, overlap=10)
    )
    n = release.tree.free.size
    assert seen == [(9, n, n), (9, n, n), (4, n, n)]  # every fourth frame of windows of 30, 30 and 10, and the last
    derived = result.posterior.derived
    anywhere = (release.tree.upper - release.tree.lower) / np.sqrt(12)
    own = result.motion.deviation[:, release.tree.free]
    computed = np.r_[0:30:4, 29, 30:60:4, 59, 60:70:4, 69]
    np.testing.assert_allclose(np.minimum(derived["sd"], anywhere)[computed], own[computed], rtol=1e-12)
    found = result.motion.values[computed][:, release.tree.free[3:]]
    np.testing.assert_allclose(np.sin(derived["z"][computed, 3:]), np.sin(found))


@pytest.mark.parametrize("slow", [False, True])
def test_changes_are_not_surer_where_nothing_is_seen(release, moving, slow):
    """Priors are repeated since errors of markers last. In a gap there are none, and a knee that nothing holds for a
    second may have moved by about as much as the prior and the time allow: 0.68 of its standard deviation, were it an
    Ornstein–Uhlenbeck process of known ends. That it rests at its limit there says nothing."""
    markers = moving(150)[1]
    xyz = np.array(markers.xyz)
    xyz[45:105] = np.nan
    knee, sd = release.free_names.index("knee_angle_r"), 0.2
    prior = Prior([LinearPrior({name: 1.0}, 0.0, sd) for name in release.free_names if not name.startswith("pelvis")])
    errors = MarkerErrors(sd=0.005, correlation_time=1.0, slow_markers=markers.names if slow else ())

    def derive(z, blocks):
        return {"gradient": np.tile(np.eye(z.shape[1])[[knee]], (len(z), 1, 1))}

    result = inverse_kinematics(
        release, markers.with_(xyz=xyz), smoothness=SMOOTH, prior=prior, errors=errors, derive=derive
    )
    change = result.posterior.derived["change"][:, 0]
    assert change[75] > 2 * change[[20, 130]].max()
    assert 0.34 * sd < change[75] < 1.7 * sd


def test_deviations_about_the_mean_are_those_of_the_full_covariance():
    """A random banded precision, inverted in full: var(g·z − mean of g·z) over var(g·z), frame by frame."""
    rng = np.random.default_rng(3)
    frames, n, inner = 9, 3, slice(1, 8)
    lower = np.tril(rng.normal(size=(frames * n,) * 2))
    lower[np.subtract.outer(np.arange(frames * n), np.arange(frames * n)) > 2 * n] = 0.0
    H = lower @ lower.T + np.eye(frames * n)
    system = BandedSystem(path_basis(frames, 1), n)
    for d in range(2 * n + 1):
        system.band[d, : frames * n - d] = np.diag(H, -d)
    full = np.linalg.inv(H).reshape(frames, n, frames, n)[inner, :, inner]
    gradient = rng.normal(size=(7, 2, n))
    covariance = np.einsum("tkn,tnsm,skm->kts", gradient, full, gradient)
    centre = np.eye(7) - 1 / 7
    wanted = np.array([np.diag(centre @ own @ centre) / np.diag(own) for own in covariance]).T
    variance = np.array([np.diag(own) for own in covariance]).T
    posterior = WindowPosterior(np.zeros((frames, n)), np.zeros((frames, n, n)), system.factorise(), inner)
    found = posterior.share_about_mean(gradient, variance)
    np.testing.assert_allclose(found, np.minimum(wanted, 1.0), rtol=1e-9)
    assert (found < 1).any()


def test_missing_frames_are_bridged_and_say_so(release, moving):
    motion, markers = moving(120)
    xyz = np.array(markers.xyz)
    xyz[50:66] = np.nan
    result = inverse_kinematics(release, markers.with_(xyz=xyz), smoothness=SMOOTH)
    assert not result.converged[50:66].any()
    assert "fewer than 3 markers" in result.reason[57]
    assert result.converged[:50].all()
    knee = release.coordinates.index("knee_angle_r")
    assert result.motion.deviation[57, knee] > 2 * result.motion.deviation[30, knee]
    assert abs(result.motion.values[57, knee] - motion.values[57, knee]) < 3 * result.motion.deviation[57, knee]


def test_a_gap_longer_than_a_window_leaves_the_rest_known(release, moving):
    """Nothing is known within it; the response is a mean over the windows that saw something."""
    _, markers = moving(130)
    xyz = markers.xyz.copy()
    xyz[40:90] = np.nan
    xyz[64] = markers.xyz[64]
    xyz[64, 2:] = np.nan  # too few to count
    solver = Solver(window=20, overlap=5)
    found = inverse_kinematics(release, markers.with_(xyz=xyz), smoothness=SMOOTH, solver=solver)
    whole = inverse_kinematics(release, markers, smoothness=SMOOTH, solver=solver)
    free = release.tree.free
    assert np.isfinite(found.motion.deviation[np.ix_(np.r_[0:40, 100:130], free)]).all()
    assert np.isnan(found.motion.deviation[60:80][:, free]).all()
    assert not found.converged[60:80].any()
    known = np.isfinite(whole.posterior.response)
    assert np.isfinite(found.posterior.response[known]).all()
    assert found.posterior.response[known].mean() == pytest.approx(whole.posterior.response[known].mean(), abs=0.1)


def test_a_person_who_leaves_is_known_less_and_less(release, moving):
    """Deviations grow from the last frame that shows the person; none is larger than that of a uniform distribution
    over the joint's range."""
    _, markers = moving(90)
    xyz = markers.xyz.copy()
    xyz[60:] = np.nan
    motion = inverse_kinematics(release, markers.with_(xyz=xyz), smoothness=SMOOTH).motion
    c, free = release.coordinates, release.tree.free
    deviation = motion.deviation[:, free]
    assert (np.diff(deviation[60:], axis=0) >= -1e-6 * deviation[60:-1]).all()
    shown = c.rotational[free] & (deviation[50] < 0.1)
    assert (deviation[-1, shown] > 1.5 * deviation[50, shown]).all()
    anywhere = (release.tree.upper - release.tree.lower) / np.sqrt(12)
    assert (deviation <= anywhere * (1 + 1e-9)).all()


def test_what_no_marker_sees_stays_and_is_told(release, moving):
    _, markers = moving(60)
    result = inverse_kinematics(release, markers, smoothness=SMOOTH)
    c = release.coordinates
    response = result.posterior.response
    assert response[c.index("wrist_flex_r")] == pytest.approx(0, abs=1e-9)
    assert response[c.index("knee_angle_r")] > 0.95
    assert response[c.index("L4_L5_Flex_Ext")] == response[c.index("L5_S1_Flex_Ext")]  # tied to it
    assert np.isnan(response[c.index("Abs_t1")])
    np.testing.assert_allclose(result.motion.column("wrist_flex_r"), c.default[c.index("wrist_flex_r")], atol=1e-6)


def test_a_belief_pulls_where_data_are_weak(release, moving):
    _, markers = moving(40)
    few = markers.select([n for n in markers.names if not n.startswith(("Spine", "Neck", "Hip"))])
    free, held = (
        inverse_kinematics(release, few, smoothness=SMOOTH, prior=prior)
        for prior in (None, Prior([LinearPrior({"L5_S1_Flex_Ext": 1.0}, 0.05, 1e-4)]))
    )
    assert np.abs(held.motion.column("L5_S1_Flex_Ext") - 0.05).max() < 1e-3
    assert np.abs(free.motion.column("L5_S1_Flex_Ext") - 0.05).max() > 5e-3


def test_an_outlier_is_shrugged_off_by_a_robust_loss(release, moving):
    motion, markers = moving(60, noise=0.005)
    xyz = np.array(markers.xyz)
    xyz[20:30, markers.index("LKnee")] += 0.4
    bad = markers.with_(xyz=xyz)
    knee = release.coordinates.index("hip_flexion_l")
    error = {
        loss: np.abs(fitted.motion.values[25, knee] - motion.values[25, knee])
        for loss in ("square", "huber")
        if (fitted := inverse_kinematics(release, bad, None, SMOOTH, errors=MarkerErrors(sd=0.005, loss=loss)))
    }
    assert error["huber"] < 0.3 * error["square"]


def test_limbs_known_to_centimetres_are_kept_beside_a_spine_known_to_a_millimetre(release, moving):
    """Nothing is an outlier here, so a robust loss finds what a square one does."""
    _, markers = moving(60, noise=0.001)
    rng = np.random.default_rng(1)
    spine = np.array([name.startswith(("Spine", "Neck", "Hip")) for name in markers.names])
    xyz = markers.xyz + np.where(spine, 0.0, 0.010)[:, None] * rng.normal(size=markers.xyz.shape)
    weights = {name: 1.0 if own else 0.01 for name, own in zip(markers.names, spine, strict=True)}
    bent = Prior([LinearPrior({f"elbow_flex_{side}": 1.0}, 0.0, 0.1) for side in "lr"])  # far from where they are
    fitted = {
        loss: inverse_kinematics(
            release, markers.with_(xyz=xyz), weights, SMOOTH, bent, errors=MarkerErrors(sd=0.001, loss=loss)
        ).motion.values
        for loss in ("square", "huber")
    }
    np.testing.assert_allclose(fitted["huber"], fitted["square"], atol=0.05)


def test_frames_that_share_an_error_can_count_once(release, moving):
    """The same as markers of so much less weight; the frames' own intervals stay."""
    _, markers = moving(60)
    time = 0.2
    shared = time * RATE
    thinned, once = (
        inverse_kinematics(
            release,
            markers,
            np.full(markers.present.shape, weight),
            SMOOTH,
            errors=MarkerErrors(correlation_time=time, slow_markers=names),
        )
        for weight, names in ((1 / shared, ()), (1.0, markers.names))
    )
    assert np.abs(once.motion.values - thinned.motion.values).max() < 1e-4
    seen = [release.coordinates.index(n) for n in ("pelvis_tx", "hip_flexion_r", "L5_S1_Flex_Ext")]
    assert (once.motion.deviation[:, seen] < thinned.motion.deviation[:, seen]).all()


@pytest.mark.parametrize(
    ("options", "telling"),
    [
        ({"smoothness": SMOOTH, "errors": MarkerErrors(slow_markers=("LKnew",))}, "Did you mean 'LKnee'"),
        ({"smoothness": Smoothness(acceleration={"knee_angel_r": 1.0})}, "Did you mean 'knee_angle_r'"),
        ({"smoothness": Smoothness(acceleration=-1.0)}, "expected a positive number"),
        ({"smoothness": Smoothness(metres_per_rad=np.nan)}, "metres_per_rad' is nan, expected a positive number"),
        ({"smoothness": Smoothness(learn_from_trial=["knee_angel_r"])}, "Did you mean 'knee_angle_r'"),
        ({"smoothness": SMOOTH, "prior": Prior((), {"knee_angle_r": [np.nan]})}, "body_error_modes hold values that"),
        ({"prior": Prior([LinearPrior({"L5_S1_Flex_Xt": 1.0}, 0.0, 1.0)])}, "Did you mean 'L5_S1_Flex_Ext'"),
        ({"smoothness": SMOOTH, "errors": MarkerErrors(loss="hubert")}, "Did you mean 'huber'"),
        ({"smoothness": SMOOTH, "solver": Solver(coordinate_tasks={"L5_S1_Flex_Ext": (0, 1)})}, "no coordinate tasks"),
        ({"smoothness": SMOOTH, "solver": Solver(min_markers=99)}, "no frame has 99 markers"),
    ],
)
def test_clear_errors(release, moving, options, telling):
    _, markers = moving(5)
    with pytest.raises(InputError, match=telling):
        inverse_kinematics(release, markers, **options)


@pytest.mark.parametrize(
    "given",
    [
        {"sd": None}, {"sd": 0.0}, {"sd": 10**400}, {"sd": [0.1]}, {"correlation_time": "long"},
        {"correlation_time": -1.0}, {"loss_threshold_sd": np.inf}, {"loss_threshold_sd": np.nan},
        {"body_misfit_time": np.nan}, {"body_misfit_sd": -0.003},
    ],
)  # fmt: skip
def test_errors_of_markers_are_numbers_in_their_range(given):
    with pytest.raises(InputError, match=f"MarkerErrors.{next(iter(given))}"):
        MarkerErrors(**given)


def test_a_belief_needs_a_width():
    with pytest.raises(InputError, match="sd 0"):
        LinearPrior({"knee_angle_r": 1.0}, 0.0, 0.0)


def test_lasting_errors_are_as_wide_as_a_single_frame_at_most(release, moving):
    """Smoothing over frames that share one error adds nothing: the intervals are those of one frame."""
    _, markers = moving(60)
    white, lasting, single = (
        inverse_kinematics(
            release,
            markers.with_(xyz=xyz),
            smoothness=s,
            errors=MarkerErrors(correlation_time=c),
            solver=Solver(engine="trajectory"),
        )
        for xyz, s, c in ((markers.xyz, SMOOTH, 0.0), (markers.xyz, SMOOTH, 10.0), (markers.xyz, None, 0.0))
    )
    c = release.coordinates
    seen = [c.index(n) for n in ("pelvis_tx", "hip_flexion_r", "knee_angle_l", "L5_S1_Flex_Ext")]
    ratio = lasting.motion.deviation[10:50][:, seen] / single.motion.deviation[10:50][:, seen]
    assert np.quantile(ratio, 0.05) > 0.8
    assert np.quantile(ratio, 0.95) < 1.4  # beliefs that last tie the frames of the other a little
    assert (white.motion.deviation[30, seen] < 0.8 * lasting.motion.deviation[30, seen]).all()


def _solved_long_trial(release, moving, frames, monkeypatch, spacings):
    """A long trial, solved with knots so far apart."""
    monkeypatch.setattr(trajectory_engine, "KNOT_SPACINGS_S", spacings)
    _, markers = moving(frames, noise=0.01)
    c = release.coordinates
    held = Prior([LinearPrior({c.names[i]: 1.0}, float(c.default[i]), 0.3) for i in release.tree.free[6:]])
    calm = Smoothness(acceleration=5.0)
    return inverse_kinematics(release, markers, smoothness=calm, prior=held, errors=MarkerErrors(sd=0.01))


@pytest.mark.slow
def test_a_spline_ends_where_the_frames_do(release, moving, monkeypatch):
    """Of a trial of several windows: knots every 50 ms against an unknown in every frame. Limits of the comparison as
    in docs/method.md."""
    every = _solved_long_trial(release, moving, 700, monkeypatch, ())
    some = _solved_long_trial(release, moving, 700, monkeypatch, (0.05,))
    assert some.converged.all()
    turning = release.coordinates.rotational
    apart = np.degrees(some.motion.values - every.motion.values)[:, turning]
    seen = every.motion.deviation[:, turning].max(0) < np.radians(5.0)  # wrists and feet turn as they like
    assert 0 < np.sqrt((apart[:, seen] ** 2).mean()) < 0.05
    assert np.quantile(np.abs(apart[:, seen]), 0.999) < 0.5  # more where a joint just comes to its limit
    known = every.motion.deviation > 0
    ratio = some.motion.deviation[known] / every.motion.deviation[known]
    assert abs(np.median(ratio) - 1) < 0.01
    assert np.quantile(ratio, 0.01) > 0.9  # a spline follows less of the noise where points say much
    assert ratio.max() < 1.02
    np.testing.assert_allclose(some.posterior.response, every.posterior.response, atol=0.01)


def test_fast_motion_is_solved_frame_by_frame():
    """A shoulder that swings 1 rad at 1 Hz is a spline with knots every 60 ms, at 8 Hz it is not."""
    time = np.arange(200) / 50.0
    slow, fast = (np.sin(2 * np.pi * rate * time)[:, None] for rate in (1.0, 8.0))
    assert trajectory_engine._is_spline([slow], np.array([0]), 3)
    assert not trajectory_engine._is_spline([slow, fast], np.array([0]), 3)


def _with_errors_of(tau: float, sd: np.ndarray, xyz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions (frames, markers, 3) with errors of standard deviation sd (markers,) m and a memory of tau s."""
    keeps = np.exp(-1 / (RATE * tau))
    errors = rng.normal(0, 1, xyz.shape)
    for t in range(1, len(xyz)):
        errors[t] = keeps * errors[t - 1] + np.sqrt(1 - keeps**2) * errors[t]
    return xyz + sd[:, None] * errors


def test_a_bend_within_a_quarter_of_a_second_stays_one_where_errors_last(release):
    """How fast coordinates move is learnt from points whose errors last, within bounds. A bend that truly takes 0.10 s
    from 15 to 85 % takes 0.17 s, in the mean of six draws of the errors. With a lower bound of a tenth in place of
    `MIN_SMOOTHNESS_FACTOR` it takes 0.21 s."""
    c, frames = release.coordinates, 240
    spine = [n for n in release.marker_names if n in ("Hip", "Neck", "Neck_02", "Neck_03") or n.startswith("Spine_0")]
    spine = [name for name in spine if name.count("_") < 2]
    names = [*spine, "LHip", "RHip", "LKnee", "RKnee"]
    part = np.clip((np.arange(frames) / RATE - 2) / 0.25 + 0.5, 0, 1)
    part = part**3 * (10 - 15 * part + 6 * part**2)  # least jerk (Flash & Hogan 1985)
    values = np.tile(c.default, (frames, 1))
    level, up = c.index("L5_S1_Flex_Ext"), c.index("pelvis_ty")
    values[:, up] = 0.94
    values[:, level] -= 0.05 * part
    motion = Motion(c.names, RATE, all_coordinates(release.tree, values[:, release.tree.free])[0], c.rotational)
    true = forward_kinematics(release, motion).select(names)
    sd = np.where(np.isin(names, spine), 0.01, 0.002)
    held = Prior([LinearPrior({c.names[i]: 1.0}, float(c.default[i]), 0.3) for i in release.tree.free[6:]])
    trunk = [name for name in release.free_names if name.startswith(("pelvis", "L5_S1", "neck"))]
    errors = MarkerErrors(sd=0.01, correlation_time=0.6, slow_markers=tuple(spine))

    def bend(seed: int) -> np.ndarray:
        seen = _with_errors_of(0.3, sd, true.xyz, np.random.default_rng(seed))
        options = {"smoothness": Smoothness(acceleration=8.0, learn_from_trial=trunk), "prior": held, "errors": errors}
        weights = np.tile((0.01 / sd) ** 2, (frames, 1))
        result = inverse_kinematics(release, true.with_(xyz=seen), weights, **options, solver=Solver(uncertainty=False))
        return values[0, level] - result.motion.values[:, level]

    mean = np.mean([bend(seed) for seed in range(6)], axis=0) / 0.05
    before, after = mean[90:105].mean(), mean[135:150].mean()
    rise = (mean[105:135] - before) / (after - before)
    begins, ends = np.interp([0.15, 0.85], rise, np.arange(len(rise)) / RATE)
    assert ends - begins < 0.19


def test_a_limit_of_one_coordinate_does_not_hold_up_the_others(monkeypatch):
    """A prior pulls one coordinate 1 rad beyond its limit, another to a place inside. The minimum in closed form is
    found with four factors."""
    pull, stiffness, beyond, frames = 1.0, LIMIT_SD_RAD**-2, 1.0, 30
    limits = LimitTerm(np.full(2, -np.inf), np.array([0.5, np.inf]))
    prior = PriorTerm(np.eye(2), np.array([0.5 + beyond, 0.3]), np.full(2, pull), decay=np.zeros(2))
    objective = Objective((limits, prior), np.full(2, 1e-6), path_basis(frames, 1))
    factorised, factorise = [], BandedSystem.factorise
    monkeypatch.setattr(BandedSystem, "factorise", lambda *given: factorised.append(1) or factorise(*given))
    found = minimise(objective, np.zeros((frames, 2)))
    assert found.reason == ""
    np.testing.assert_allclose(found.points[:, 0], 0.5 + beyond * pull / (pull + stiffness), atol=1e-6)
    np.testing.assert_allclose(found.points[:, 1], 0.3, atol=1e-6)
    assert len(factorised) <= 4
