"""Maps of points: what they hold, how far apart they are, and which place is read from them."""

import numpy as np
import pytest
import torch

from simspine.learning.spine_network import (
    SIMCC_SHARPNESS,
    SimccMaps,
    best_places,
    expected_places,
    simcc_divergence,
    wanted_maps,
)

pytestmark = pytest.mark.learn
PLACES = torch.tensor([[[96.0, 128.0], [40.3, 200.75], [0.0, 255.0]]], dtype=torch.float64)


def softmax(values):
    raised = np.exp(values - values.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def test_wanted_maps_are_gaussians_of_two_bins_a_pixel():
    maps = wanted_maps(PLACES)
    assert (maps.x.shape, maps.y.shape) == ((1, 3, 384), (1, 3, 512))
    bins = np.arange(384)
    np.testing.assert_allclose(maps.x[0, 1], np.exp(-((bins - 80.6) ** 2) / (2 * 4.9**2)), atol=1e-12)
    assert float(maps.y[0, 0].max()) == 1 == float(maps.y[0, 0, 256])
    assert float(maps.y[0, 0, 256 + 4]) == pytest.approx(np.exp(-8 / 5.66**2))


def test_divergence_is_that_of_the_formula():
    rng = np.random.default_rng(1)
    found, wanted = (SimccMaps(*(torch.tensor(rng.normal(size=(2, 3, n))) for n in (7, 9))) for _ in range(2))
    expected = np.zeros((2, 3))
    for own, true in zip(found, wanted, strict=True):
        p, q = softmax(SIMCC_SHARPNESS * own.numpy()), softmax(SIMCC_SHARPNESS * true.numpy())
        expected += (q * (np.log(q) - np.log(p))).mean(-1)
    np.testing.assert_allclose(simcc_divergence(found, wanted), expected, rtol=1e-10)
    np.testing.assert_allclose(simcc_divergence(wanted, wanted), 0, atol=1e-12)


def test_places_are_read_back_between_bins():
    maps = wanted_maps(PLACES)
    np.testing.assert_allclose(best_places(maps)[0, :2], PLACES[0, :2], atol=0.01)
    np.testing.assert_allclose(best_places(maps)[0, 2], [0, 255], atol=0.5)
    assert (expected_places(maps)[0, :2] - PLACES[0, :2]).abs().max() < 0.6  # the tails of the distribution pull
    flat = SimccMaps(torch.zeros(1, 1, 384), torch.zeros(1, 1, 512))
    assert torch.isfinite(best_places(flat)).all()
    np.testing.assert_allclose(expected_places(flat)[0, 0], [95.75, 127.75])
