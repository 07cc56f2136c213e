"""How much each marker is worth in inverse kinematics: marker set, confidence, origin, covariance."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_project import dancing, of_size

from simspine.core.types import Markers, Origin
from simspine.estimation.observations import ON_SKIN, NoiseLevels, Observations, are_of_kind, observe, shared_errors
from simspine.estimation.options import KinematicsOptions
from simspine.reconstruction.reconstruct import fit_trials
from simspine.reconstruction.stage import Options

NAMES = ("RHip", "Neck", "Hip_inferred")
BY_NAME = {"RHip": 2.0, "Neck": 0.5, "Hip_inferred": 0.1}


def markers(**changes) -> Markers:
    origin = (Origin.GIVEN, Origin.DETECTED, Origin.INFERRED)
    shape = (4, 3)
    covariance = np.tile(np.diag([1e-4, 2e-4, 3e-4]), (*shape, 1, 1))
    some = Markers(NAMES, 50, np.ones((*shape, 3)), "y_up", np.full(shape, 0.8), covariance, origin)
    return some.with_(**changes)


def observed(options: KinematicsOptions, some: Markers) -> Observations:
    return observe(some, BY_NAME, options, NoiseLevels.of_options(options))


def test_kinds_of_points():
    """A marker on the skin is one whoever saw it; what is inferred is no measurement."""
    names = ("RHip", "Neck", "T7_skin", "LPSIS_skin", "Head", "Hip_inferred")
    origin = (Origin.GIVEN, Origin.DETECTED, Origin.DETECTED, Origin.GIVEN, Origin.ESTIMATED, Origin.INFERRED)
    seen = observed(KinematicsOptions(), Markers(names, 50, np.ones((2, 6, 3)), "y_up", origin=origin))
    kinds = (*origin[:2], ON_SKIN, ON_SKIN, *origin[4:])
    for kind in {*origin, ON_SKIN}:
        assert are_of_kind(seen.markers, kind).tolist() == [kind == one for one in kinds]
    assert (seen.precision[:, :5] > 0).all()
    assert (seen.precision[:, 5] == 0).all()
    sd = 1 / np.sqrt(seen.precision[0, :2])
    assert_allclose(sd, [0.01 / np.sqrt(2), 0.03 / np.sqrt(0.5)])


def test_weights_by_origin():
    """A given marker counts by the ratio of the variances: (30 mm / 10 mm)² = 9 times as much."""
    options, same = KinematicsOptions(marker_sd_m=0.03, given_sd_m=0.01), KinematicsOptions(given_sd_m=0.03)
    assert_allclose(observed(options, markers()).weights[0], [9 * 2 * 0.8, 0.5 * 0.8, 0])
    assert_allclose(observed(same, markers()).weights[0], [2 * 0.8, 0.5 * 0.8, 0])
    framewise = KinematicsOptions(engine="frames", marker_sd_m=0.03, given_sd_m=0.01)
    # the same ratio; what is inferred keeps its low weight
    assert_allclose(observed(framewise, markers()).weights[0], [9 * 2 * 0.8, 0.5 * 0.8, 0.1])
    assert_allclose(observed(options, markers(origin=None, weight=None)).weights[0], [2, 0.5, 0.1])


def test_detected_points_of_a_region_err_together():
    """Motion capture errs by itself, inferred points have no weight, and a single point's error is its own."""
    names = ("Hip", "Spine_01", "Spine_02_inferred", "Spine_04", "Neck", "Neck_02", "Head", "RHip")
    origin = [Origin.DETECTED] * 8
    origin[2], origin[6] = Origin.INFERRED, Origin.GIVEN
    some = Markers(names, 50, np.ones((2, 8, 3)), "y_up", origin=tuple(origin))
    found = {error.name: error.markers for error in observed(KinematicsOptions(), some).errors.shared_errors}
    assert found == {"cervical": ("Neck", "Neck_02"), "lumbar": ("Hip", "Spine_01")}
    assert shared_errors(some, region_sd=0.0, detector_bias={}) == ()


def test_views_that_agree_make_points_surer():
    """Three times their disagreement, at most what is configured, at least 3 mm; motion capture says nothing of it."""
    configured = NoiseLevels.of_options(KinematicsOptions(marker_sd_m=0.03, region_sd_m=0.04))

    def sds(sd):
        covariance = np.tile(sd**2 * np.eye(3), (4, 3, 1, 1))
        covariance[:, 0] *= 1e4  # the given marker
        found = configured.given_view_agreement(markers(covariance=covariance))
        return found.detected_sd, found.region_sd

    assert_allclose(sds(0.005), (0.015, 0.015))
    assert_allclose(sds(0.012), (0.03, 0.036))
    assert_allclose(sds(1e-5), (0.003, 0.003))
    assert configured.given_view_agreement(markers(covariance=None)) == configured
    blurred, sharp = (markers(covariance=np.tile(sd**2 * np.eye(3), (4, 3, 1, 1))) for sd in (0.012, 0.005))
    of_all = configured.given_view_agreement(blurred, sharp)
    assert of_all == configured.given_view_agreement(sharp, blurred) != configured.given_view_agreement(blurred)


@pytest.mark.parametrize("engine", ["trajectory", "frames"])
def test_where_a_marker_of_weight_0_lies_does_not_matter(engine):
    """Neither to the body's size nor to the angles: limbs that would be too long, and a point of the spine."""
    true = dancing(of_size(1.0), 24)
    weight = np.ones(true.present.shape)
    weight[:, true.indices(["LKnee", "RKnee", "Spine_03"])] = 0
    weight[::2, true.index("LAnkle")] = 0
    apart = true.with_(xyz=true.xyz + np.where(weight > 0, 0.0, 0.3)[..., None], weight=weight)
    options = Options(ik={"engine": engine})
    near, far = (
        fit_trials({"t": markers}, "coupled", "spinetrack37", options=options)["t"]
        for markers in (true.with_(weight=weight), apart)
    )
    assert near.sized.factors == far.sized.factors
    assert_allclose(near.motion.values, far.motion.values, atol=1e-9)
