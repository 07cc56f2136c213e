"""Plausibility of a spine: calibrated on samples of the model, blind to pose, sharp on single faults."""

import numpy as np
import pytest
from scipy.stats import chi2, norm

from simspine.anatomy.complete_spine import shape_plausibility, standard_normal_of
from simspine.anatomy.shape_model import CHAIN_LEVELS, chain_positions, packaged_shape_model
from simspine.core.errors import InputError

NINE = ("C1", "C4", "C7", "T3", "T8", "L1", "L3", "L5", "S1")


def samples(count: int, noise: float, seed: int = 0) -> np.ndarray:
    """Spines drawn from the model with noise on each centre, (count, 25, 3) m."""
    rng = np.random.default_rng(seed)
    z = rng.multivariate_normal(*packaged_shape_model().prior("any"), count)
    return chain_positions(z) + rng.normal(0, noise, (count, len(CHAIN_LEVELS), 3))


def by_level(points: np.ndarray, levels=CHAIN_LEVELS) -> dict[str, np.ndarray]:
    return {level: points[..., CHAIN_LEVELS.index(level), :] for level in levels}


def test_spines_of_the_model_follow_a_standard_normal():
    found = shape_plausibility(by_level(samples(150, 0.02), NINE), 0.02**2)
    assert found.levels == NINE
    assert abs(found.whole.mean()) < 0.3
    assert 0.8 < found.whole.std() < 1.25
    assert abs(found.each.mean()) < 0.1
    assert 0.9 < found.each.std() < 1.1
    assert found.each.max() < 5


def test_pose_does_not_matter():
    from scipy.spatial.transform import Rotation

    spine = samples(4, 0.001, seed=3)
    turned = spine @ Rotation.from_euler("xyz", (70, -20, 130), degrees=True).as_matrix().T + [3, -1, 2]
    one, other = (shape_plausibility(by_level(points)) for points in (spine, turned))
    np.testing.assert_allclose(other.whole, one.whole, atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(other.apart, axis=-1), np.linalg.norm(one.apart, axis=-1), atol=2e-4)


@pytest.mark.parametrize(("level", "shift"), [("T8", (0.04, 0, 0)), ("L3", (0, 0.03, 0)), ("C5", (0, 0, 0.03))])
def test_one_point_off_is_found_and_how_far(level, shift):
    spine = chain_positions(packaged_shape_model().mean)
    spine[CHAIN_LEVELS.index(level)] += shift
    found = shape_plausibility(by_level(spine))
    worst = int(found.each[0].argmax())
    assert found.levels[worst] == level
    assert found.each[0, worst] > 7
    apart, shift = found.apart[0, worst], np.array(shift)
    assert np.linalg.norm(apart) == pytest.approx(np.linalg.norm(shift), rel=0.3)  # to first order
    assert apart @ shift > 0.8 * np.linalg.norm(apart) * np.linalg.norm(shift)


def test_typical_spine_is_no_surprise_and_order_matters():
    spine = chain_positions(packaged_shape_model().mean)
    assert shape_plausibility(by_level(spine)).whole[0] < 0
    i, j = CHAIN_LEVELS.index("T5"), CHAIN_LEVELS.index("L1")
    spine[[i, j]] = spine[[j, i]]
    assert shape_plausibility(by_level(spine)).whole[0] > 20


@pytest.mark.parametrize("freedom", [3, 21, 69])
def test_chances_are_those_of_chi_squared(freedom):
    for chance in (0.5, 0.1, 1e-3, 1e-6):
        assert standard_normal_of(np.array(chi2.isf(chance, freedom)), freedom) == pytest.approx(
            norm.isf(chance), abs=0.2
        )


def test_bad_input_is_named():
    spine = chain_positions(packaged_shape_model().mean)
    with pytest.raises(InputError, match="at least 4"):
        shape_plausibility(by_level(spine, NINE[:3]))
    with pytest.raises(InputError, match="T13"):
        shape_plausibility({"T13": spine[0]})
    with pytest.raises(InputError, match="metres"):
        shape_plausibility(by_level(1000 * spine))
