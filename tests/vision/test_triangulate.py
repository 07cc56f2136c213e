"""The whole triangulation against known points."""

import numpy as np
import pytest
from rigs import walk
from scipy.stats import chi2

import simspine.vision.triangulation as solve
from simspine.core.errors import InputError
from simspine.core.geometry import project_points
from simspine.core.types import Camera, Keypoints, Origin
from simspine.vision.rays import chi2_quantile, expected_position, ray_midpoint, robust_weight, variance_inflation
from simspine.vision.triangulation import (
    REASON_DISAGREE,
    REASON_KEPT,
    REASON_TOO_FEW,
    triangulate,
    triangulate_with_report,
)


def distance(markers, truth):
    return np.linalg.norm(markers.xyz - truth, axis=-1)


@pytest.mark.parametrize("views", [2, 4, 16])
def test_exact_points_come_back_through_distorted_cameras(rig, views):
    cameras, truth = rig.ring(views + 1)[:views], rig.person(12)
    markers, report = triangulate_with_report(rig.see(cameras, truth), cameras)
    assert distance(markers, truth).max() < 1e-6
    assert np.nanmax(report.error_px) < 1e-6
    assert report.used.all()
    assert markers.frame == "z_up"
    assert markers.rate == 60
    assert np.allclose(markers.weight, 1)


@pytest.mark.parametrize(
    ("error", "weight"), [(0.0, 1.0), (2.0, 1.0), (4.0, 0.5), (5.0, 0.4), (7.5, 2 / 7.5 / 2), (10.0, 0.0), (20.0, 0.0)]
)
def test_an_observation_loses_weight_beyond_hubers_threshold_and_all_of_it_at_the_limit(error, weight):
    """Huber's from 2 px, straight to 0 from half the limit of 10 px."""
    assert robust_weight.__wrapped__(error, 2.0, 10.0) == pytest.approx(weight)


@pytest.mark.parametrize(("views", "bad"), [(4, 1), (6, 2), (16, 5)])
def test_gross_views_are_found_and_left_out(rig, rng, views, bad):
    cameras, truth = rig.ring(views), rig.person(15)
    keypoints = rig.see(cameras, truth, noise=1.0, rng=rng)
    xy, wrong = np.array(keypoints.xy), np.zeros(keypoints.confidence.shape, bool)
    order = rng.permuted(np.tile(np.arange(views), (15, len(rig.names), 1)), axis=-1)[
        ..., :bad
    ]  # which views, each time
    np.put_along_axis(wrong, order.transpose(0, 2, 1), True, axis=1)
    angle, size = rng.uniform(0, 2 * np.pi, wrong.shape), rng.uniform(60, 400, wrong.shape)
    xy += (wrong * size)[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    markers, report = triangulate_with_report(keypoints.with_(xy=xy), cameras, fix_swaps=False)
    clean = triangulate(keypoints, cameras, fix_swaps=False)
    assert report.kept.all()
    assert (report.used & wrong).mean() < 0.001
    assert (report.used | wrong).mean() > 0.99
    # as good as with all views good, but for there being fewer of them
    assert np.median(distance(markers, truth)) < 1.5 * np.median(distance(clean, truth))
    assert distance(markers, truth).max() < 0.06


def test_confident_wrong_views_among_sixteen_do_not_crowd_out_the_good(rig, rng):
    cameras, truth = rig.ring(16), rig.person(5)
    keypoints = rig.see(cameras, truth, noise=1.0, confidence=0.5, rng=rng)
    xy, confidence = np.array(keypoints.xy), np.array(keypoints.confidence)
    xy[:, 3:8] += rng.normal(0, 200, xy[:, 3:8].shape)
    confidence[:, 3:8] = 1.0
    markers = triangulate(keypoints.with_(xy=xy, confidence=confidence), cameras, fix_swaps=False)
    assert distance(markers, truth).max() < 0.03


def test_the_order_of_the_views_does_not_matter(rig, rng):
    cameras, truth = rig.ring(5), rig.person(10)
    keypoints = rig.see(cameras, truth, noise=2.0, rng=rng)
    xy = np.array(keypoints.xy)
    xy[rng.random(xy.shape[:3]) < 0.1] += 120
    confidence = rng.uniform(0.4, 1, xy.shape[:3])
    keypoints = keypoints.with_(xy=xy, confidence=confidence)
    order = [3, 0, 4, 2, 1]
    turned = keypoints.with_(xy=xy[:, order], confidence=confidence[:, order])
    a, ra = triangulate_with_report(keypoints, cameras)
    b, rb = triangulate_with_report(turned, [cameras[i] for i in order])
    assert np.allclose(a.xyz, b.xyz, atol=1e-6, equal_nan=True)
    assert np.array_equal(ra.used[:, order], rb.used)


def test_points_seen_by_one_view_are_missing(rig):
    cameras, truth = rig.ring(4), rig.person(4)
    keypoints = rig.see(cameras, truth)
    xy, confidence = np.array(keypoints.xy), np.array(keypoints.confidence)
    xy[1, :3, 5] = np.nan
    confidence[2, 1:, 6] = 0
    confidence[3, 1:, 7] = 0.1  # below the minimum
    markers, report = triangulate_with_report(keypoints.with_(xy=xy, confidence=confidence), cameras)
    missing = ~markers.present
    assert [tuple(i) for i in np.argwhere(missing)] == [(1, 5), (2, 6), (3, 7)]
    assert (report.reason[missing] == REASON_TOO_FEW).all()
    assert (markers.weight[missing] == 0).all()
    assert np.isnan(markers.covariance[missing]).all()
    assert distance(markers, truth)[~missing].max() < 1e-6


def test_two_views_that_disagree_give_nothing(rig):
    cameras, truth = rig.ring(5)[:2], rig.person(20)
    keypoints = rig.see(cameras, truth)
    xy = np.array(keypoints.xy)
    xy[7, 0, 3] += [0, 90]  # across the epipolar line of these upright cameras
    markers, report = triangulate_with_report(keypoints.with_(xy=xy), cameras)
    assert [tuple(i) for i in np.argwhere(~markers.present)] == [(7, 3)]
    assert report.reason[7, 3] == REASON_DISAGREE
    assert report.reason[7, 4] == REASON_KEPT


def test_min_views(rig):
    cameras, truth = rig.ring(4), rig.person(3)
    keypoints = rig.see(cameras, truth)
    xy = np.array(keypoints.xy)
    xy[0, :2, 0] = np.nan
    markers, report = triangulate_with_report(keypoints.with_(xy=xy), cameras, min_views=3)
    assert not markers.present[0, 0]
    assert not report.used[0, :, 0].any()
    assert report.used[1:].all()
    assert triangulate(keypoints.with_(xy=xy), cameras).present.all()


@pytest.mark.parametrize("wrong", [slice(15, 16), slice(12, 18)], ids=["one frame", "six frames"])
def test_two_against_two_is_settled_by_the_neighbouring_frames(rig, rng, wrong):
    """Where several frames are like that, they do not settle one another."""
    cameras, truth = rig.ring(4), rig.person(30)
    keypoints = rig.see(cameras, truth, noise=1.0, rng=rng)
    xy = np.array(keypoints.xy)
    ghost = truth[wrong, 0] + [0.4, 0.3, 0.2]  # two views agree on a wrong place
    xy[wrong, :2, 0] = project_points(cameras[:2], ghost).transpose(1, 0, 2)
    for order in ([0, 1, 2, 3], [2, 3, 0, 1]):  # whichever comes first
        markers, report = triangulate_with_report(
            keypoints.with_(xy=xy[:, order]), [cameras[i] for i in order], fix_swaps=False
        )
        assert distance(markers, truth)[wrong, 0].max() < 0.03
        assert (report.used[wrong, :, 0].sum(1) == 2).all()


def test_two_against_two_is_settled_by_confidence_where_there_are_no_neighbours(rig):
    cameras, truth = rig.ring(4), rig.person(1)
    keypoints = rig.see(cameras, truth)
    xy, confidence = np.array(keypoints.xy), np.ones(keypoints.confidence.shape)
    xy[0, :2, 0] = project_points(cameras[:2], truth[0, 0] + [0.4, 0.3, 0.2])
    confidence[0, :2, 0] = 0.5
    markers = triangulate(keypoints.with_(xy=xy, confidence=confidence), cameras)
    assert distance(markers, truth)[0, 0] < 1e-6


def test_points_behind_the_cameras_are_never_accepted(rig):
    # Rays of these two meet only behind both: project a point behind, as a pinhole formula without care would.
    cameras = [
        rig.look_at("a", (0, 0.5, 1.0), (4, 1.5, 1), np.zeros(5)),
        rig.look_at("b", (0, -0.5, 1.0), (4, -1.5, 1)),
    ]
    cameras = [c.with_(distortion=np.zeros(5)) for c in cameras]
    behind = np.array([-1.0, 0, 1.0])
    xy = []
    for camera in cameras:
        local = camera.R @ behind + camera.t
        assert local[2] < 0
        xy.append(camera.K[:2, :2] @ (local[:2] / local[2]) + camera.K[:2, 2])
    keypoints = Keypoints(["p"], 60, np.array(xy)[None, :, None], np.ones((1, 2, 1)))
    assert not triangulate(keypoints, cameras).present.any()


def test_narrow_baseline_means_large_covariance_not_rejection(rig, rng):
    truth = rig.person(40)
    narrow = [rig.look_at("a", (4, 0, 1)), rig.look_at("b", (4, 0.1, 1))]
    wide = [rig.look_at("a", (4, 0, 1)), rig.look_at("b", (0, 4, 1))]
    deviations = []
    for cameras in (narrow, wide):
        markers = triangulate(rig.see(cameras, truth, noise=1.0, rng=rng), cameras)
        assert markers.present.mean() > 0.99
        deviations.append(np.sqrt(np.nanmedian(markers.covariance[..., 0, 0])))
    assert deviations[0] > 5 * deviations[1]
    assert deviations[0] > 0.1  # m, along the line of sight: √2 px · (4 m)² / (1100 px · 0.1 m)


@pytest.mark.parametrize("views", [3, 4])
def test_covariance_covers_the_error(rig, rng, views):
    """Mahalanobis distances of clean Gaussian noise follow χ² with 3 degrees of freedom: 68 % and 95 % inside."""
    cameras, truth = rig.ring(views), rig.person(300)
    confidence = rng.uniform(0.4, 1.0, (300, views, len(rig.names)))
    keypoints = rig.see(cameras, truth, confidence=confidence)
    noise = rng.normal(0, 2.0, keypoints.xy.shape) / np.sqrt(confidence)[..., None]
    markers, report = triangulate_with_report(keypoints.with_(xy=keypoints.xy + noise), cameras, fix_swaps=False)
    error = (markers.xyz - truth)[markers.present]
    d2 = np.einsum("ni,nij,nj->n", error, np.linalg.inv(markers.covariance[markers.present]), error)
    assert np.mean(d2 < 3.506) == pytest.approx(0.68, abs=0.03)
    assert np.mean(d2 < 7.815) == pytest.approx(0.95, abs=0.02)
    # noise is that of an observation of mean confidence
    assert report.noise_px == pytest.approx(2.0 / np.sqrt(0.7), rel=0.12)


def test_covariances_are_symmetric_and_positive(rig, rng):
    cameras, truth = rig.ring(4), rig.person(10)
    covariance = triangulate(rig.see(cameras, truth, noise=2.0, rng=rng), cameras).covariance
    assert np.allclose(covariance, covariance.swapaxes(-1, -2))
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_a_frame_noisier_than_the_trial_says_so(rig, rng, monkeypatch):
    cameras, truth = rig.ring(4), rig.person(60)
    keypoints = rig.see(cameras, truth, noise=1.0, rng=rng)
    xy = np.array(keypoints.xy)
    xy[30] += rng.choice([-1, 1], xy[30].shape) * 3.5

    def sizes():
        markers = triangulate(keypoints.with_(xy=xy), cameras, max_error_px=30, fix_swaps=False)
        return np.sqrt(np.trace(markers.covariance, axis1=2, axis2=3))

    size = sizes()
    assert np.nanmedian(size[30]) > 1.2 * np.nanmedian(size)
    monkeypatch.setattr(solve, "variance_inflation", lambda squares, views, noise: np.ones_like(squares))
    assert (size[30] / sizes()[30]).max() > 1.1


def test_origin_is_carried_and_inferred_points_may_have_low_confidence(rig):
    cameras, truth = rig.ring(4), rig.person(3)
    confidence = np.ones((3, 4, len(rig.names)))
    confidence[:, :, 0] = 0.1
    origin = [Origin.INFERRED] + [Origin.DETECTED] * (len(rig.names) - 1)
    keypoints = rig.see(cameras, truth, confidence=confidence)
    assert not triangulate(keypoints, cameras).present[:, 0].any()
    markers = triangulate(keypoints.with_(origin=origin), cameras)
    assert markers.present.all()
    assert markers.origin == tuple(origin)
    assert markers.weight[:, 0] == pytest.approx(0.1)


def test_report_adds_up(rig, rng):
    cameras, truth = rig.ring(4), rig.person(20)
    keypoints = rig.see(cameras, truth, noise=2.0, rng=rng)
    xy = np.array(keypoints.xy)
    xy[:, 2, 4] += 150
    markers, report = triangulate_with_report(keypoints.with_(xy=xy), cameras, fix_swaps=False)
    expected = np.linalg.norm(project_points(cameras, markers.xyz).transpose(1, 0, 2, 3) - xy, axis=-1)
    assert np.allclose(report.error_px, expected)
    summary = report.summary()
    assert summary["observations_dropped_share"]["cam2"] >= 1 / len(rig.names)
    assert summary["reprojection_px_p90"] < 8
    assert summary["reprojection_px_median"] == np.median(expected[report.used])
    assert np.allclose(report.point_error_px, np.nanmean(np.where(report.used, expected, np.nan), 1))
    assert summary["points_kept_share"] == 1
    with pytest.raises(ValueError, match="read-only"):
        report.used[0] = False


def test_all_points_missing_is_a_result_not_a_crash(rig):
    cameras = rig.ring(3)
    nothing = Keypoints(rig.names, 60, np.full((4, 3, len(rig.names), 2), np.nan), np.zeros((4, 3, len(rig.names))))
    markers, report = triangulate_with_report(nothing, cameras)
    assert not markers.present.any()
    assert report.summary()["reprojection_px_median"] is None
    assert (report.reason == REASON_TOO_FEW).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_confidence": 1.5}, "min_confidence: Input should be less than or equal to 1 .found 1.5."),
        ({"huber_px": 0}, "huber_px: Input should be greater than 0"),
        ({"max_error_px": -3}, "max_error_px: Input should be greater than 0"),
        ({"min_views": 5}, "min_views is 5, expected 2…4"),
        ({"min_views": 1}, "min_views: Input should be greater than or equal to 2"),
    ],
)
def test_impossible_options(rig, options, message):
    cameras = rig.ring(4)
    with pytest.raises(InputError, match=message):
        triangulate(rig.see(cameras, rig.person(1)), cameras, **options)


def test_cameras_and_views_must_match(rig):
    cameras = rig.ring(4)
    keypoints = rig.see(cameras, rig.person(1))
    with pytest.raises(InputError, match=r"4 views of keypoints but 3 cameras \(cam0, cam1, cam2\)"):
        triangulate(keypoints, cameras[:3])
    one = keypoints.with_(xy=keypoints.xy[:, :1], confidence=keypoints.confidence[:, :1])
    with pytest.raises(InputError, match="at least two views"):
        triangulate(one, cameras[:1])
    with pytest.raises(InputError, match="nothing to triangulate"):
        triangulate(keypoints.with_(xy=keypoints.xy[:0], confidence=keypoints.confidence[:0]), cameras)


def test_a_pair_proposes_nothing_behind_either_camera():
    """Two rays from (±1, 0, 0) that cross in (0, 0, 2); turned away, one of them comes from behind its camera."""
    left, right = np.array([[-1.0], [0], [0]]), np.array([[1.0], [0], [0]])
    to_left, to_right = np.array([[0.5], [0], [1.0]]), np.array([[-0.5], [0], [1.0]])
    np.testing.assert_allclose(ray_midpoint(left, to_left, right, to_right).ravel(), [0, 0, 2])
    assert np.isnan(ray_midpoint(left, -to_left, right, to_right)).all()
    assert np.isnan(ray_midpoint(left, to_left, right, -to_right)).all()


def test_between_trusted_frames_a_point_is_expected_on_the_straight_line():
    xyz = np.zeros((3, 5, 1))
    xyz[0, :, 0] = [0.0, 9.0, 9.0, 9.0, 4.0]  # only the first and the last are trusted
    trusted = np.array([True, False, False, False, True])[:, None]
    place, tolerance = expected_position(xyz, trusted, 60.0)
    np.testing.assert_allclose(place[0, 1:4, 0], [1.0, 2.0, 3.0])
    assert tolerance[2, 0] > tolerance[1, 0] == tolerance[3, 0]


@pytest.mark.parametrize("unit", [1 / 0.06, 1 / 0.3048, 10.0, 0.1])
def test_cameras_that_are_not_in_metres_are_reported(unit):
    """A board's squares, inches or millimetres give a person of another size, whose points fit all images."""
    keypoints, cameras, _ = walk("finetuned")
    rig = [Camera(c.name, c.size, c.K, c.distortion, c.R, unit * c.t) for c in cameras]
    with pytest.warns(UserWarning, match=r"arms and legs are those of a person of .* m, as in no person.*metres"):
        solve.triangulate(keypoints, rig)


@pytest.mark.parametrize(
    "change",
    [
        lambda seen: {"xy": seen.xy / 1000},
        lambda seen: {"confidence": 0.25 * seen.confidence},
        lambda seen: {"xy": np.full(seen.xy.shape, np.nan)},
    ],
)
def test_points_that_no_views_agree_on_are_reported(change):
    keypoints, cameras, _ = walk("finetuned")
    with pytest.warns(UserWarning, match="points were triangulated, .*the views disagree about"):
        solve.triangulate(keypoints.with_(**change(keypoints)), cameras)


@pytest.mark.parametrize("size", [0.45, 1.0, 1.35])
def test_children_and_tall_people_are_not_reported(size, recwarn):
    keypoints, cameras, _ = walk("finetuned")
    rig = [Camera(c.name, c.size, c.K, c.distortion, c.R, size * c.t) for c in cameras]
    solve.triangulate(keypoints, rig)
    assert not recwarn


def test_residuals_of_a_point_have_two_degrees_of_freedom_a_view_less_three():
    views = np.array([2, 3, 4, 8])
    np.testing.assert_allclose(chi2_quantile(0.99, views), chi2.ppf(0.99, 2 * views - 3))


def test_the_variance_grows_as_far_as_residuals_exceed_what_the_noise_explains():
    views, noise = np.array([[3, 3, 4]]), np.array([2.0, 2.0, 0.5])
    explained = chi2.ppf(0.99, 2 * views - 3) * noise**2
    np.testing.assert_allclose(variance_inflation([[3.0, 0.5, 7.0]] * explained, views, noise), [[3.0, 1.0, 7.0]])


@pytest.mark.parametrize("unit", [100, 1000])
def test_cameras_in_other_units_are_refused(rig, unit):
    cameras = rig.ring(3)
    seen = rig.see(cameras, rig.person(2))
    wrong = [camera.with_(t=unit * camera.t) for camera in cameras]
    with pytest.raises(InputError, match=r"seems to be in millimetres or centimetres. Divide all by 1000 or 100"):
        triangulate(seen, wrong)
