"""Learning rates, stages and averages of weights, beside their formulas."""

import math

import pytest
import torch
from torch import nn

from simspine.learning.descent import decayed_groups, learning_rate_at, update_average
from simspine.learning.options import CurriculumStage, SpineTraining, spine_options
from simspine.learning.spine_training import stage_at_epoch

STAGES = spine_options("paper").curriculum

pytestmark = pytest.mark.learn


def test_the_rate_goes_up_in_a_line_and_down_in_a_cosine_to_five_percent():
    settings = SpineTraining()
    rates = [learning_rate_at(step, 20_000, settings) for step in range(20_000)]
    assert rates[0] == pytest.approx(4e-8)
    assert rates[500] == pytest.approx(2e-3, rel=1e-4)
    assert max(rates) == rates[1000] == pytest.approx(4e-3)
    assert rates[-1] == pytest.approx(0.05 * 4e-3)
    half = 1000 + (19_999 - 1000) / 2
    assert rates[round(half)] == pytest.approx(4e-3 * (0.05 + 0.95 / 2), rel=1e-3)
    short = [learning_rate_at(step, 50, settings) for step in range(50)]
    assert short.index(max(short)) == 5  # a tenth of all steps


def test_stages_come_in_their_order_by_their_shares():
    ids = [STAGES.index(stage_at_epoch(epoch, 10, STAGES)) for epoch in range(10)]
    assert ids == [0] * 5 + [1] * 3 + [2] * 2
    assert stage_at_epoch(0, 1, STAGES) in STAGES
    assert stage_at_epoch(5, 6, (CurriculumStage(),)) == CurriculumStage()


def test_the_average_of_weights_is_that_of_the_formula():
    network, settings = nn.BatchNorm1d(2), SpineTraining(average=0.1, average_steps=5)
    average = {name: value.clone() for name, value in network.state_dict().items()}
    expected = 1.0
    for step in range(6):
        with torch.no_grad():
            network.weight.fill_(step)
        network.num_batches_tracked.fill_(step)
        momentum = 0.1 + 0.9 * math.exp(-(1 + step) / 5)
        expected = (1 - momentum) * expected + momentum * step
        update_average(average, network, step, settings)
        assert float(average["weight"][0]) == pytest.approx(expected)
        assert int(average["num_batches_tracked"]) == step
    update_average(average, network, 6, settings.model_copy(update={"average": 0.0}))
    assert torch.equal(average["weight"], network.weight)


def test_norms_and_biases_do_not_decay():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2, bias=False))
    decayed, plain = decayed_groups(network, 0.05)
    assert decayed["weight_decay"] == 0.05
    assert plain["weight_decay"] == 0
    assert {tuple(p.shape) for p in decayed["params"]} == {(4, 3, 3, 3), (2, 4)}
    assert len(plain["params"]) == 3
