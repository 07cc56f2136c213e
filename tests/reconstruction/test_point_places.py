"""Where points lie on a person's body: whose error it is, and what it says of vertebrae."""

from dataclasses import replace

import numpy as np
import pytest

from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.anatomy.marker_sets import read_skin_table
from simspine.anatomy.priors import Prior
from simspine.anatomy.recipes import build_body
from simspine.core.types import Markers, Origin
from simspine.estimation.observations import NoiseLevels
from simspine.estimation.person import (
    CENTROID_SD,
    DETECTED_SIDE_BIAS_SD_M,
    LASTING_PLACE_SD_M,
    SIDE_DIFFERENCE_SD_M,
    Displacement,
    carried_along,
    own_centroids,
    point_places_of,
)


@pytest.fixture(scope="module")
def body():
    return build_body("articulated", "centres")


def _places(names=(*SPINE_CHAIN_MARKERS, "LKnee"), limbs=Origin.GIVEN):
    origin = tuple(Origin.DETECTED if name in SPINE_CHAIN_MARKERS else limbs for name in names)
    return point_places_of(Markers(names, 50.0, np.zeros((1, len(names), 3)), origin=origin, frame="y_up"))


def test_points_of_the_spine_are_told_from_limbs():
    places = _places()
    assert places.spine_points == SPINE_CHAIN_MARKERS
    assert list(places.sd) == ["LKnee"]
    assert (
        len(places.coordinate_names)
        == 3 * len(places.points)
        == len(places.priors(LASTING_PLACE_SD_M, 0.01)) - len(places.region_coordinate_names)
    )


def test_what_is_assumed_of_a_point_adds_up():
    places = _places()
    priors = {next(iter(prior.combination)): prior.sd for prior in places.priors(0.004, 0.01)}
    assert [priors[f"place of LKnee, {axis}"] for axis in "xyz"] == [0.012] * 3
    point = [priors[f"place of Spine_03, {axis}"] for axis in "xyz"]
    np.testing.assert_allclose(np.square(point), CENTROID_SD**2 + 0.004**2)
    assert [priors[name] for name in places.region_coordinate_names] == [0.01] * len(places.region_coordinate_names)


def test_what_a_region_is_always_off_by_is_no_points_own():
    """Points of a region that are all off alike, in an error of the region and without it: the covariance that the
    priors make says what each is off by besides."""
    places = _places()
    names = [*places.coordinate_names, *places.region_coordinate_names]
    S, _, precision, _ = Prior(places.priors(0.004, 0.03)).arrays(names, 1.0)
    covariance = np.linalg.inv((S.T * precision) @ S)
    i, j = (3 * places.points.index(name) for name in ("Spine_01", "Spine_02"))
    assert covariance[i, j] == pytest.approx(0.03**2)  # both are lumbar
    assert covariance[i, 3 * places.points.index("Spine_05")] == pytest.approx(0.0, abs=1e-12)
    assert covariance[i, i + 1] == pytest.approx(0.0, abs=1e-12)  # forwards says nothing of upwards
    stays = np.zeros(len(names))
    stays[[i, j]] = 0.025, 0.024
    region = names.index("detector bias of lumbar, x")
    stays[region] = 0.024
    own, variance, always, unsure = places.split_off_bias(stays, covariance)
    np.testing.assert_allclose(own[places.points.index("Spine_01")], (0.001, 0.0, 0.0), atol=1e-12)
    np.testing.assert_allclose(own[places.points.index("Spine_02")], 0.0, atol=1e-12)
    np.testing.assert_allclose(variance[places.points.index("Spine_02")], CENTROID_SD**2 + 0.004**2)
    np.testing.assert_allclose(unsure, 0.03**2)
    assert always.ravel().tolist().count(0.024) == 1


@pytest.mark.parametrize("lasting", [0.0, 0.002, 0.02])
def test_a_lasting_error_is_learnt_from_the_side(lasting):
    """Many points known exactly: the log-normal prior about what is assumed hardly counts."""
    names = SPINE_CHAIN_MARKERS
    places = _places(names)
    off = np.zeros((len(names), 3))
    off[:, 2] = lasting * np.where(np.arange(len(names)) % 2, 1, -1)
    off[:, :2] = 0.05  # the vertebrae's
    learnt = places.estimated_lasting_sd(off, np.zeros_like(off))
    assert learnt == pytest.approx(lasting, rel=0.5, abs=1e-4)


@pytest.mark.parametrize("difference", [0.002, 0.01])
def test_how_far_left_and_right_differ_is_learnt_from_all_pairs(difference):
    names = [side + part for part in ("Knee", "Ankle", "Elbow", "Wrist", "Hip") for side in "LR"]
    places = _places(names)
    constants = np.tile([0.02, -0.01, 0.005, 0.02, -0.01, -0.005], len(names) // 2)  # mirrored: nothing
    nothing = np.zeros((constants.size,) * 2)
    assert places.estimated_side_difference_sd(constants, nothing, SIDE_DIFFERENCE_SD_M) == SIDE_DIFFERENCE_SD_M
    constants[:: 2 * 3] += difference
    found = places.estimated_side_difference_sd(constants, nothing, SIDE_DIFFERENCE_SD_M)
    assert found == pytest.approx(max(SIDE_DIFFERENCE_SD_M, difference / np.sqrt(3)), rel=0.3)
    for expected in (SIDE_DIFFERENCE_SD_M, DETECTED_SIDE_BIAS_SD_M):
        covariance = np.eye(constants.size) * expected**2 / 2
        assert places.estimated_side_difference_sd(0 * constants, covariance, expected) == pytest.approx(expected)


def test_sides_of_a_detector_differ_by_its_bias():
    """Points that were marked by hand, or come from motion capture, differ as bones do."""
    detected, given = (_places(("LHip", "RHip"), origin) for origin in (Origin.DETECTED, Origin.GIVEN))
    crude = NoiseLevels(detected_sd=1.0, given_sd=1.0, skin_sd=1.0, region_sd=1.0, correlation_s=1.0)
    bones, fine = pytest.approx(SIDE_DIFFERENCE_SD_M), replace(crude, detected_sd=0.003)
    assert given.expected_side_difference_sd(crude) == bones == detected.expected_side_difference_sd(fine)
    assert detected.expected_side_difference_sd(crude) == pytest.approx(0.0107, abs=1e-4)


def test_points_nobody_knows_the_place_of_leave_what_is_assumed():
    places = _places(SPINE_CHAIN_MARKERS)
    nothing = np.zeros((len(SPINE_CHAIN_MARKERS), 3))
    assumed = nothing + LASTING_PLACE_SD_M**2 + CENTROID_SD[2] ** 2  # people's vertebrae lie aside as well
    assert places.estimated_lasting_sd(nothing, assumed) == pytest.approx(LASTING_PLACE_SD_M)


def test_a_vertebra_takes_its_share_of_what_its_point_is_off(body):
    off = np.zeros((len(SPINE_CHAIN_MARKERS), 3))
    off[SPINE_CHAIN_MARKERS.index("Spine_02")] = (0.004, -0.002, 0.0)  # L3
    found = own_centroids(body, SPINE_CHAIN_MARKERS, off, np.zeros_like(off), 0.001)
    share = CENTROID_SD**2 / (CENTROID_SD**2 + 0.001**2)
    np.testing.assert_allclose(found["L3"][0], share * (0.004, -0.002, 0.0), atol=1e-9)
    assert 0 < found["L4"][0][0] < found["L3"][0][0]  # its neighbours go with it
    assert abs(found["T8"][0][0]) < 1e-9  # which has a point of its own, where it should be
    assert found["T6"][1] > found["T8"][1]  # less is known between points
    assert len(found) == 25


def test_a_detector_that_errs_says_little_of_vertebrae(body):
    off = np.full((len(SPINE_CHAIN_MARKERS), 3), 0.01)
    found = own_centroids(body, SPINE_CHAIN_MARKERS, off, np.zeros_like(off), 0.02)
    assert np.abs([place for place, _ in found.values()]).max() < 0.0002


def test_points_that_mean_something_else_say_nothing():
    body = build_body("articulated", "simspine-release")
    off = np.full((len(SPINE_CHAIN_MARKERS), 3), 0.01)
    assert own_centroids(body, SPINE_CHAIN_MARKERS, off, np.zeros_like(off), 0.001) == {}


def test_virtual_markers_go_with_their_vertebra(body):
    moved = carried_along(
        body, {"L3": Displacement((0.001, 0.002, 0.0), 0.001), "T8": Displacement((0.0, 0.003, 0.0), 0.001)}
    )
    assert set(moved) == {"L3_virtual", "Spine_02_virtual", "T8_virtual", "Spine_04_virtual"}
    np.testing.assert_array_equal(moved["Spine_02_virtual"], (0.001, 0.002, 0.0))


def test_the_place_of_a_marker_on_the_skin_is_the_persons():
    """The variances of the table, one place for all trials; of both posterior superior iliac spines also what they
    share. Dots of a tape err in each recording."""
    names = ("C7_skin", "T6_skin", "LPSIS_skin", "RPSIS_skin", "LKnee")
    places, table = _places(names), read_skin_table()
    assert places.points == ("LKnee", *names[:-1])
    priors = places.priors(LASTING_PLACE_SD_M, 0.0)
    rows, _, precision, _ = Prior(priors).arrays(places.coordinate_names, 1.0)
    covariance = np.linalg.inv(rows.T @ (precision[:, None] * rows))
    sd = {name: np.array(place.sd) for name, place in table.of(names[:-1]).items()}
    shared, depth = np.square(table.pelvis_sd), np.array([table.person_depth_sd**2, 0.0, 0.0])
    for name in names[:-1]:
        at = 3 * places.points.index(name) + np.arange(3)
        in_common = shared if "PSIS" in name else depth
        np.testing.assert_allclose(np.diag(covariance)[at], sd[name] ** 2 + in_common)
    left, right = (3 * places.points.index(name) + np.arange(3) for name in ("LPSIS_skin", "RPSIS_skin"))
    np.testing.assert_allclose(covariance[left, right], shared)
    assert "T7.40_skin" not in _places(("C7_skin", "T7.40_skin")).points


def test_neighbouring_markers_on_the_skin_err_alike():
    """Like dots of a tape, by their distance; the depth that a person's skin has in common is unknown only where other
    points of the body show it."""
    skin, table = ("T10_skin", "T12_skin", "C7_skin"), read_skin_table()
    sd = {name: np.array(place.sd) for name, place in table.of(skin).items()}
    apart = abs(table.along("T12") - table.along("T10"))
    alike = np.exp(-apart / table.correlation) * sd["T10_skin"] * sd["T12_skin"]
    for others, depth in (((), 0.0), (("LKnee",), table.person_depth_sd**2)):
        places = _places((*skin, *others))
        rows, _, precision, _ = Prior(places.priors(LASTING_PLACE_SD_M, 0.0)).arrays(places.coordinate_names, 1.0)
        covariance = np.linalg.inv(rows.T @ (precision[:, None] * rows))
        t10, t12 = (3 * places.points.index(name) + np.arange(3) for name in ("T10_skin", "T12_skin"))
        np.testing.assert_allclose(np.diag(covariance[t10][:, t12]), alike + np.array([depth, 0.0, 0.0]))
        assert covariance[t10[0], t12[1]] == pytest.approx(0.0, abs=1e-12)
