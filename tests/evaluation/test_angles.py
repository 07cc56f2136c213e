import numpy as np
import pytest

from simspine.evaluation.metrics import angle_figures


def test_angles_ignore_whole_turns():
    a = np.array([[0.1, 3.1], [np.nan, -3.1]])
    b = np.array([[0.1 + 2 * np.pi, -3.1], [1.0, 3.1]])
    assert angle_figures(a.T, b.T)["rmse"] == pytest.approx((2 * np.pi - 6.2) * np.sqrt(2 / 3))
    assert angle_figures([np.full(4, 0.3)], [np.full(4, 0.1)])["rmse"] == pytest.approx(0.2)


def test_figures_by_hand():
    """Two trials: one off by 0.1 throughout, one exact but for a frame that is 0.3 off; one frame is missing."""
    truth = [np.array([0.0, 0.1, 0.2]), np.array([1.0, 1.0, 1.0, 1.0])]
    found = [truth[0] + 0.1, np.array([1.0, 1.3, 1.0, np.nan])]
    deviations = [np.full(3, 0.1), np.full(4, 0.1)]  # 0.1 is one standard deviation, 0.3 three
    figures = angle_figures(found, truth, deviations)
    assert figures["rmse"] == pytest.approx(np.sqrt((3 * 0.01 + 0.09) / 6))
    assert figures["bias"] == pytest.approx(0.1)
    assert figures["spread"] == pytest.approx(np.std([0.1, 0.1, 0.1, 0, 0.3, 0]))
    assert figures["change_rmse"] == pytest.approx(np.sqrt((0.01 + 0.04 + 0.01) / 6))  # 0 0 0, −.1 .2 −.1
    assert figures["correlation"] == pytest.approx(1)  # the second trial's truth is at rest
    assert figures["coverage"] == pytest.approx(5 / 6)
    assert figures["found"] == pytest.approx(6 / 7)


def test_a_constant_has_no_correlation_and_nothing_no_figures():
    moving = np.linspace(0, 1, 20)
    assert np.isnan(angle_figures([np.zeros(20)], [moving])["correlation"])
    assert angle_figures([-moving], [moving])["correlation"] == pytest.approx(-1)
    empty = angle_figures([np.full(20, np.nan)], [moving])
    assert empty["found"] == 0
    assert np.isnan(empty["rmse"])
    assert np.isnan(empty["coverage"])


def test_ninety_per_cent_of_normal_errors_are_inside():
    random = np.random.default_rng(1)
    spread = random.uniform(0.01, 0.2, 20000)
    figures = angle_figures([spread * random.normal(size=20000)], [np.zeros(20000)], [spread])
    assert figures["coverage"] == pytest.approx(0.9, abs=0.01)
