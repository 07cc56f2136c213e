"""Each loss against its formula in NumPy, and its gradient against finite differences (float64)."""

import numpy as np
import pytest
import torch

from simspine.learning.options import POINT_CHOICES, SpineLosses
from simspine.learning.spine_network import (
    NetworkOutputs,
    PointGraph,
    SimccMaps,
    WantedOutputs,
    all_losses,
    covariances_of_spread,
    expected_places,
    gaussian_loss,
    position_loss,
    spine_loss,
    structure_loss,
    total_loss,
    wanted_maps,
)

pytestmark = pytest.mark.learn
RNG = np.random.default_rng(1)
SETTINGS = SpineLosses(unit_px=10, a=3.0, threshold=0.5)
PLACES, LABELS = (torch.tensor(RNG.uniform(0, 16, (4, 5, 2))) for _ in range(2))
WEIGHT = torch.tensor([[1.0, 1, 0, 1.2, 1], [1, 1, 1, 1, 1.5], [0, 0, 0, 0, 0], [1, 0, 1, 1, 1]], dtype=torch.float64)
BONES = ((0, 1), (1, 2), (2, 3), (2, 4))


def maps(points=5, seed=2, crops=4):
    rng = np.random.default_rng(seed)
    return SimccMaps(*(torch.tensor(rng.normal(size=(crops, points, n))) for n in (32, 40)))


def mmpose_loss(found, wanted, weight):
    """`KLDiscretLoss(beta=10, label_softmax=True, use_target_weight=True)` of MMPose 1: mean over the bins of a map,
    times the point's weight; summed over the crops of a batch, divided by the number of points."""
    total = 0
    for own, true in zip(found, wanted, strict=True):
        p, q = (np.exp(10 * part.numpy()) for part in (own, true))
        p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
        total += ((q * np.log(q / p)).mean(-1) * weight).sum() / weight.shape[1]
    return total


def numpy_chain(chain, settings):
    smooth = [chain[0]]
    for point in chain[1:]:
        length = np.linalg.norm(point - smooth[-1])
        weight = 1 - 0.5 / (1 + np.exp(-settings.a * (length - settings.threshold)))
        smooth.append(smooth[-1] + weight * (point - smooth[-1]))
    return np.array(smooth)


@pytest.mark.parametrize("crops", [4, 256])
def test_position_is_mmposes_loss_of_256_crops(crops):
    """Fewer crops count as many: the published batch of 256 has the published balance of losses, and so have others."""
    found, wanted = maps(crops=crops), maps(crops=crops, seed=3)
    weight = WEIGHT.repeat(crops // 4, 1)
    expected = 256 / crops * mmpose_loss(found, wanted, weight.numpy())
    assert float(position_loss(found, wanted, weight)) == pytest.approx(expected)


def test_structure_is_the_angle_of_bones_over_pi():
    own, true, weight = PLACES.numpy(), LABELS.numpy(), WEIGHT.numpy()
    angles = []
    for crop in range(4):
        for a, b in BONES:
            if weight[crop, a] > 0 and weight[crop, b] > 0:
                first, second = own[crop, b] - own[crop, a], true[crop, b] - true[crop, a]
                turn = np.arctan2(first[1], first[0]) - np.arctan2(second[1], second[0])
                angles.append(abs(np.arctan2(np.sin(turn), np.cos(turn))))
    assert float(structure_loss(PLACES, LABELS, WEIGHT, BONES)) == pytest.approx(np.sum(angles) / (np.pi * len(angles)))
    opposite = LABELS[:, :1] + (LABELS[:, :1] - LABELS)  # each bone turned round
    assert float(structure_loss(opposite, LABELS, torch.ones_like(WEIGHT), BONES)) == pytest.approx(1.0)
    assert float(structure_loss(LABELS, LABELS, WEIGHT, BONES)) == pytest.approx(0, abs=1e-12)


def test_spine_is_the_distance_to_the_smoothed_chain():
    total, count = 0.0, 0
    for own, weight in zip(PLACES.numpy() / 10, WEIGHT.numpy(), strict=True):
        squared = ((own - numpy_chain(own, SETTINGS)) ** 2).mean(-1)
        total, count = total + squared[weight > 0].sum(), count + (weight > 0).sum()
    assert float(spine_loss(PLACES, WEIGHT, SETTINGS)) == pytest.approx(total / count)
    in_px = SpineLosses(unit_px=1, a=0.2, threshold=38)  # the same chain; the loss is that of the other unit
    assert float(spine_loss(4 * PLACES, WEIGHT, SpineLosses())) == pytest.approx(
        float(spine_loss(4 * PLACES, WEIGHT, in_px)) / 100
    )


def test_spread_is_the_gaussian_likelihood():
    spread = torch.tensor(RNG.normal(0, 0.5, (4, 5, 3)))
    normal = torch.distributions.MultivariateNormal(PLACES, covariances_of_spread(spread))
    expected = -(normal.log_prob(LABELS) + np.log(2 * np.pi))[WEIGHT > 0].mean()
    assert float(gaussian_loss(PLACES, spread, LABELS, WEIGHT)) == pytest.approx(float(expected), rel=1e-6)


CASES = {
    "position": (lambda x: position_loss(SimccMaps(x, maps().y), maps(seed=3), WEIGHT), maps().x),
    "structure": (lambda x: structure_loss(x, LABELS, WEIGHT, BONES), PLACES),
    "spine": (lambda x: spine_loss(x, WEIGHT, SETTINGS), PLACES),
    "spread": (lambda x: gaussian_loss(PLACES, x, LABELS, WEIGHT), torch.tensor(RNG.normal(0, 0.5, (4, 5, 3)))),
    "gaussian": (lambda x: gaussian_loss(x, torch.ones(4, 5, 3) / 3, LABELS, WEIGHT), PLACES),
    "places": (lambda x: expected_places(SimccMaps(x, maps().y)).square().mean(), maps().x),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_finite_differences(name):
    loss, at = CASES[name]
    assert torch.autograd.gradcheck(loss, (at.clone().requires_grad_(),), eps=1e-6, atol=1e-5)


def test_places_do_not_learn_from_the_spread():
    x, y = (part.requires_grad_() for part in maps(13))
    spread = torch.zeros(4, 13, 3, dtype=torch.float64, requires_grad=True)
    labels, weight = torch.ones(4, 13, 2, dtype=torch.float64), torch.ones(4, 13, dtype=torch.float64)
    wanted = WantedOutputs(labels, weight, maps(13, seed=3))
    graph = PointGraph.of(POINT_CHOICES["trunk"])
    all_losses(NetworkOutputs(SimccMaps(x, y), spread), wanted, graph, SETTINGS)["spread"].backward()
    assert (x.grad, y.grad) == (None, None)
    assert spread.grad.abs().sum() > 0


def test_points_in_one_place_and_nothing_labelled_give_numbers():
    places = torch.full((2, 5, 2), 7.0, dtype=torch.float64, requires_grad=True)
    for weight in (torch.ones(2, 5), torch.zeros(2, 5)):
        total = structure_loss(places, LABELS[:2], weight, BONES) + spine_loss(places, weight, SETTINGS)
        total = total + gaussian_loss(places.detach(), torch.zeros(2, 5, 3), LABELS[:2], weight)
        (gradient,) = torch.autograd.grad(total, places)
        assert torch.isfinite(total)
        assert torch.isfinite(gradient).all()


def test_the_graph_of_points_joins_what_is_there():
    every = PointGraph.of(POINT_CHOICES["all"])
    assert len(every.bones) == 36
    assert [POINT_CHOICES["all"][i] for i in every.chain][:3] == ["hip", "spine_01", "spine_02"]
    assert len(every.chain) == 9
    trunk = POINT_CHOICES["trunk"]
    bones = {(trunk[a], trunk[b]) for a, b in PointGraph.of(trunk).bones}
    assert {("hip", "spine_01"), ("spine_04", "left_latissimus"), ("neck_02", "neck_03")} <= bones
    body = POINT_CHOICES["body"]
    assert ("hip", "neck") in {
        (body[a], body[b]) for a, b in PointGraph.of(body).bones
    }  # over the spine that is absent


def test_the_sum_has_the_published_weights():
    names = POINT_CHOICES["trunk"]
    rng = np.random.default_rng(4)
    places = torch.tensor(rng.uniform(0, 16, (4, 13, 2)))
    weight = torch.ones(4, 13, dtype=torch.float64)
    found = NetworkOutputs(maps(13), torch.zeros(4, 13, 3, dtype=torch.float64))
    taught = tuple(range(5))
    wanted = WantedOutputs(places, weight, wanted_maps(places, (20, 16)), maps(5, seed=6), taught)
    losses = all_losses(found, wanted, PointGraph.of(names), SpineLosses())
    parts = {name: float(loss) for name, loss in losses.items()}
    published = {"position": 5, "distill": 2.5, "structure": 0.1, "spine": 0.5, "spread": 0.0016}
    assert parts.keys() == published.keys()
    expected = sum(published[name] * value for name, value in parts.items())
    assert float(total_loss(losses, SpineLosses())) == pytest.approx(expected)
    taught_loss = 64 * mmpose_loss(
        SimccMaps(*(part[:, list(taught)] for part in found.maps)), maps(5, seed=6), np.ones((4, 5))
    )
    assert parts["distill"] == pytest.approx(taught_loss)
