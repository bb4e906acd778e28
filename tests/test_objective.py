"""The objective on a network: one graph, and many networks at once."""

import copy

import pytest
import torch
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.testing import assert_close

from fairtask.losses import GroupLossDivergence
from fairtask.modules import FAIRNESS_HEADS
from fairtask.objective import Objective, cross_entropies
from tests._inputs import make_network

every_head = pytest.mark.parametrize("name", FAIRNESS_HEADS)

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
y, z = torch.arange(12)[:, None] % 2, torch.arange(12)[:, None] % 3 - 1


def make_objective():
    return Objective(0.3, [[GroupLossDivergence(2, group_momentum=0.0)]])


@every_head
def test_one_graph(name):
    torch.compiler.reset()
    network, objective = make_network(name), make_objective()

    def total(X, y, z):
        return objective(network(X), y, z).total()

    captured = torch.compile(total, fullgraph=True, backend="eager")
    assert_close(captured(X, y, z), total(X, y, z))


@every_head
def test_gradients_of_many_networks_at_once(name):
    networks = [make_network(name, seed=seed) for seed in range(3)]
    parameters, _ = stack_module_state(networks)
    template, objective = copy.deepcopy(networks[0]), make_objective()

    def total(parameters):
        outputs = functional_call(template, parameters, (X,))
        return objective(outputs, y, z).total()

    together = vmap(grad(total))(parameters)
    for i, network in enumerate(networks):
        objective(network(X), y, z).total().backward()
        for key, parameter in network.named_parameters():
            alone = torch.zeros_like(parameter)
            if parameter.grad is not None:
                alone = parameter.grad
            assert_close(together[key][i], alone)


def test_weighted_cross_entropy_is_a_mean_over_the_samples():
    logits = torch.zeros(3, 2)
    weight = torch.tensor([[2.0], [1.0], [0.0]])
    (loss,) = cross_entropies([logits], y[:3], weight)
    assert loss.item() == pytest.approx(torch.log(torch.tensor(2.0)).item())
    (half,) = cross_entropies([logits], y[:3], weight / 2)
    assert half.item() == pytest.approx(loss.item() / 2)


def test_weights_of_the_groups_leave_the_task():
    network, objective = make_network("probe"), make_objective()
    weight = torch.arange(12.0)
    plain = objective(network(X), y, z).values
    weighted = objective(network(X), y, z, group_weight=weight).values
    assert weighted[0] == plain[0]
    assert weighted[1] != plain[1]
