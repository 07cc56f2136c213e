"""Baselines where geometry says what they must give."""

import numpy as np
import pytest
from tools.bench.accuracy import ACCURACY_LEVELS, LEVELS_BY_REGION
from tools.bench.baselines import (
    BASELINE_NAMES,
    baseline_estimates,
    curve_angles,
    curve_through,
    generic_spine,
    spine_by_curve,
    without_motion,
)
from tools.bench.spine_errors import spine_error_figures, spine_errors_of
from tools.bench.study_trials import PointErrors, StudySize, trial_in_space, trials_of_people

from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS, SPINE_MARKERS
from simspine.core.skeletons import VERTEBRA_OF
from simspine.core.types import Markers

RADIUS = 0.4


@pytest.fixture(scope="module")
def generic():
    return generic_spine()


@pytest.fixture(scope="module")
def trials():
    return next(trials_of_people("scans", StudySize(1, 60, actions=("Directions", "Sitting"))))


def on_arc(generic, places, frames=3):
    """Points (frames, places, 3) of a circle hollow behind: the spine leans forward below, back above."""
    turned = places / RADIUS
    arc = np.stack([RADIUS * np.cos(turned), RADIUS * np.sin(turned), np.zeros(len(places))], 1)
    return np.broadcast_to(arc, (frames, *arc.shape))


def chain_places(generic):
    return generic.place[[generic.vertebrae.index(VERTEBRA_OF[name]) for name in SPINE_CHAIN_MARKERS]]


def test_tangents_of_a_circle_turn_by_arc_over_radius(generic):
    """The natural ends of the cubic are straight, so the end at S1 is off by a little, and only there."""
    curve = curve_through(on_arc(generic, chain_places(generic)), 1e-6, generic)
    chord = curve.centre - on_arc(generic, generic.place)
    assert np.abs(chord).max() < 1e-3
    inner = {name: curve.along(name)[0] for name in ("L3", "L1", "T12", "T3")}
    place = dict(zip(generic.vertebrae, generic.place, strict=True))
    for lower, upper in (("L3", "L1"), ("T12", "T3")):
        a, b = inner[lower], inner[upper]
        turn = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        assert turn == pytest.approx((place[upper] - place[lower]) / RADIUS, rel=0.05)


def test_lordosis_of_a_circle_whose_ends_are_inside(generic):
    """Seen from the hips' line, with the signs of lordosis and kyphosis."""
    curve = curve_through(on_arc(generic, chain_places(generic)), 1e-6, generic)
    points = {name: np.zeros(3) for name in ("Hip", "LHip", "RHip", "LClavicle", "RClavicle")}
    points["RHip"] = points["RClavicle"] = np.array([0, 0, 0.1])  # to the right
    markers = Markers(tuple(points), 50.0, np.tile(np.stack(list(points.values())), (3, 1, 1)), "y_up")
    lla, tka = curve_angles(curve, markers)
    place = dict(zip(generic.vertebrae, generic.place, strict=True))
    assert lla[0] == pytest.approx((place["L1"] - place["S1"]) / RADIUS, rel=0.15)  # the straight end at S1
    assert tka[0] == pytest.approx(-(place["T3"] - place["T12"]) / RADIUS, rel=0.05)
    mirrored, _ = curve_angles(curve, markers.with_(xyz=markers.xyz * (1, 1, -1)))
    assert mirrored[0] == pytest.approx(-lla[0])


def test_the_generic_body_itself_has_its_endplates_angles(generic):
    """What tangents differ from endplates is taken away, so on the generic body nothing is left of it."""
    found = spine_by_curve(generic.points, generic).kinematics
    assert found.lla[0] == pytest.approx(generic.lla)
    assert found.tka[0] == pytest.approx(generic.tka)
    assert np.degrees(generic.lla) == pytest.approx(53.1, abs=0.1)  # as people stand on average
    assert 0.5 < generic.tka < 1.1


def test_tangents_alone_know_no_body(generic):
    """On another person they differ from the corrected angles by the same as on the generic body."""
    stretched = generic.points.with_(xyz=generic.points.xyz * (1.2, 1.0, 1.0))  # deeper from front to back: more bent
    raw, corrected = (spine_by_curve(stretched, generic, corrected=own).kinematics for own in (False, True))
    at_rest = spine_by_curve(generic.points, generic, corrected=False).kinematics
    assert raw.lla - corrected.lla == pytest.approx(at_rest.lla - generic.lla)
    assert raw.tka - corrected.tka == pytest.approx(at_rest.tka - generic.tka)
    assert raw.lla > at_rest.lla
    assert raw.tka > at_rest.tka


def test_what_smoothing_flattens_is_added_again(generic):
    """On the generic body itself the tangents of a smoothed curve are those of the one through its points."""
    unsure = generic.points.with_(covariance=np.broadcast_to(1e-4 * np.eye(3), (*generic.points.xyz.shape, 3)))
    smoothed, exact = (
        spine_by_curve(points, generic, corrected=False).kinematics for points in (unsure, generic.points)
    )
    assert smoothed.lla == pytest.approx(exact.lla)
    flat = curve_through(generic.points.select(SPINE_CHAIN_MARKERS).xyz, 0.01, generic)
    assert curve_angles(flat, generic.points)[0] < exact.lla - np.radians(5)


def test_a_turned_and_moved_person_has_the_same_curve(generic):
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    moved = generic.points.with_(xyz=generic.points.xyz @ turn.T + (3.0, 0.1, -2.0))
    found = spine_by_curve(moved, generic)
    assert found.kinematics.lla[0] == pytest.approx(generic.lla)
    centres = spine_by_curve(generic.points, generic).centres.xyz @ turn.T + (3.0, 0.1, -2.0)
    np.testing.assert_allclose(found.centres.xyz, centres, atol=1e-9)


def test_smoothing_follows_the_points_errors(generic):
    """Points that are sure are met, points that are not are passed by."""
    chain = np.array(on_arc(generic, chain_places(generic)))
    chain[:, 2, 0] += 0.01  # L3 off by 1 cm
    at = [generic.vertebrae.index(VERTEBRA_OF[name]) for name in SPINE_CHAIN_MARKERS]
    missed = [np.abs(curve_through(chain, sd, generic).centre[:, at] - chain).max() for sd in (1e-6, 0.005, 0.02)]
    assert missed[0] < 1e-5
    assert 0.002 < missed[1] < missed[2]


def test_exact_points_give_vertebrae_and_true_means(trials):
    given = [trial_in_space(trial, PointErrors(), 1).points for trial in trials]
    found = baseline_estimates(given, [trial.truth for trial in trials])
    assert tuple(found) == BASELINE_NAMES
    scored = {
        name: [spine_errors_of(a, t.truth, ACCURACY_LEVELS) for a, t in zip(e, trials, strict=True)]
        for name, e in found.items()
    }
    figure = {name: spine_error_figures(e, LEVELS_BY_REGION) for name, e in scored.items()}
    assert figure["curve"]["vertebrae_mm"] < 3
    assert figure["curve"]["mpjpe_mm"] < 1  # the filter's
    assert figure["curve"]["lla_motion_rmse_deg"] < 0.5
    for name in ("mean", "constant"):
        assert np.isnan(figure[name]["vertebrae_mm"])
        true = np.concatenate([t.truth.kinematics.lla - t.truth.kinematics.lla.mean() for t in trials])
        assert figure[name]["lla_motion_rmse_deg"] == pytest.approx(np.degrees(np.sqrt(np.mean(true**2))))
    assert figure["constant"]["lla_bias_deg"] == pytest.approx(0, abs=1e-9)
    assert figure["constant"]["lumbar_flexion_motion_rmse_deg"] > 0
    assert np.isnan(figure["curve"]["lumbar_flexion_rmse_deg"])


def test_held_keeps_the_mean_of_every_level(trials):
    truth = trials[1].truth
    found = without_motion(truth).kinematics
    np.testing.assert_allclose(found.level("L4-L5"), np.tile(truth.kinematics.level("L4-L5").mean(0), (60, 1)))
    assert found.lla[7] == pytest.approx(truth.kinematics.lla.mean())


def test_the_points_themselves_are_the_curves_points(trials):
    given = trial_in_space(trials[0], PointErrors(white=0.01), 1).points
    found = spine_by_curve(given, generic_spine()).kinematics.markers
    np.testing.assert_array_equal(found.xyz, given.select(SPINE_MARKERS).xyz)
    assert found.covariance is None
