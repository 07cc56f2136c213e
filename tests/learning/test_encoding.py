import numpy as np
import pytest
from small_samples import small_samples
from tools.lifting_baselines.samples import Encoding, LiftingSamples, relative_to_root

DATA = small_samples(400)
CODE = Encoding.of(DATA)


def test_features_and_targets_have_mean_zero_and_variance_one():
    for array in (CODE.features(DATA), CODE.targets(DATA)):
        np.testing.assert_allclose(array.mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(array.std(0), 1, atol=1e-9)


def test_targets_come_back_as_points_with_the_root_at_zero():
    assert CODE.targets(DATA).shape == (400, 14 * 3)
    np.testing.assert_allclose(CODE.points(CODE.targets(DATA)), DATA.xyz, atol=1e-12)


def test_a_missing_point_is_at_the_mean_and_changes_no_other():
    seen = DATA.seen.copy()
    seen[:, 5] = np.nan
    features = CODE.features(LiftingSamples(DATA.names, seen, DATA.xyz)).reshape(400, 15, 2)
    assert (features[:, 5] == 0).all()
    whole = CODE.features(DATA).reshape(400, 15, 2)
    np.testing.assert_array_equal(np.delete(features, 5, 1), np.delete(whole, 5, 1))


def test_image_points_are_relative_to_the_root_whose_own_place_stays():
    image = DATA.seen[0]
    found = relative_to_root(DATA.names, image)
    np.testing.assert_array_equal(found[0], image[0])
    np.testing.assert_allclose(found[1:], image[1:] - image[0], atol=1e-15)


@pytest.mark.parametrize(("lost", "stands_in"), [([0], [1]), ([0, 1], list(range(2, 15)))])
def test_a_missing_root_is_taken_from_its_neighbours_or_from_all(lost, stands_in):
    """Beside the Hip there is Spine_01 among the spine's points."""
    image = DATA.seen[3].copy()
    image[lost] = np.nan
    expected = DATA.seen[3][stands_in].mean(0)
    np.testing.assert_allclose(relative_to_root(DATA.names, image)[0], expected)


def test_statistics_leave_gaps_out():
    seen = DATA.seen.copy()
    seen[:200, 7] = np.nan
    code = Encoding.of(LiftingSamples(DATA.names, seen, DATA.xyz))
    half = relative_to_root(DATA.names, DATA.seen[200:])[:, 7]
    np.testing.assert_allclose(code.image_mean[7], half.mean(0))
    np.testing.assert_allclose(code.image_sd[7], half.std(0))
