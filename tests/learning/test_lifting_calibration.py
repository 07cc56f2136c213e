import numpy as np

from simspine.learning.calibration import coverage, deviation_factors

RNG = np.random.default_rng(5)
DEVIATION = RNG.uniform(0.01, 0.05, (4000, 6, 3))


def test_factors_make_errors_as_large_as_said():
    error = RNG.normal(0, 1, DEVIATION.shape) * DEVIATION * [0.5, 1.0, 2.0]
    np.testing.assert_allclose(deviation_factors(error, DEVIATION), [0.5, 1, 2], rtol=0.02)


def test_gaussian_errors_lie_in_their_intervals():
    error = RNG.normal(0, 1, DEVIATION.shape) * DEVIATION
    assert all(abs(found - share) < 0.01 for share, found in coverage(error, DEVIATION).items())
    assert abs(coverage(2 * error, DEVIATION)[0.95] - 0.673) < 0.01  # 0.98 sd either way


def test_the_root_and_gaps_do_not_count():
    error, deviation = RNG.normal(0, 1, DEVIATION.shape) * DEVIATION, DEVIATION.copy()
    alone = coverage(error[:, 1:-1], DEVIATION[:, 1:-1])
    deviation[:, 0], error[:, 0] = 0.0, 0.0
    error[:, -1] = np.nan
    assert coverage(error, deviation) == alone
    np.testing.assert_array_equal(deviation_factors(error[:, :1], deviation[:, :1]), [1, 1, 1])
