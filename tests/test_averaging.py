import pytest
import torch
from torch import nn

from fairtask._averaging import WeightAverage


def set_to(network, value, n_batches=0):
    nn.init.constant_(network.weight, value)
    nn.init.constant_(network.running_mean, value)
    network.num_batches_tracked.fill_(n_batches)


@pytest.fixture
def network():
    """A network whose weight, running mean and count of batches are known."""
    network = nn.BatchNorm1d(1)
    set_to(network, 1.0)
    return network


def test_follows_the_weights(network):
    average = WeightAverage(decay=0.5)
    average.update(network)  # starts there
    expected = 1.0
    for step, value in enumerate([4.0, -2.0, 7.0, 3.0, 3.0, 3.0, 3.0, 9.0], start=1):
        set_to(network, value, n_batches=step)
        average.update(network)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert decay == 0.5  # the last step is past the start
    average.take_place(network)
    assert network.weight.item() == pytest.approx(expected)
    assert network.running_mean.item() == pytest.approx(expected)
    assert network.num_batches_tracked.item() == 8


def test_training_goes_on_from_the_weights(network):
    average, weight = WeightAverage(decay=0.9), network.weight
    average.update(network)
    set_to(network, 2.0)
    average.update(network)
    average.take_place(network)
    assert network.weight.item() != 2.0
    assert network.weight is weight  # changed in place: an optimizer holds it
    average.step_aside(network)
    assert network.weight.item() == 2.0


def test_frozen_weights_stay_as_they_are():
    average = WeightAverage(decay=0.9)
    network = nn.Linear(1, 1)
    network.weight.requires_grad_(False)
    before = network.weight.clone()
    for value in (1.0, 2.0, 3.0):
        nn.init.constant_(network.bias, value)
        average.update(network)
    average.take_place(network)
    assert network.bias.item() != 3.0
    assert torch.equal(network.weight, before)


def test_without_a_step_there_is_nothing_to_put_in_place(network):
    average = WeightAverage(decay=0.9)
    average.take_place(network)
    average.step_aside(network)
    assert network.weight.item() == 1.0
