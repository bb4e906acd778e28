"""Who pays what, seen on the gradients themselves."""

import pytest
import torch
from torch.testing import assert_close

from fairtask.losses import GroupLossFairness
from fairtask.modules import FAIRNESS_HEADS, MLP, MultiTaskNetwork
from fairtask.objective import Objective

every_head = pytest.mark.parametrize("name", FAIRNESS_HEADS)


def make_batch():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(32, 4, generator=generator)
    y = torch.arange(32) % 2
    z = torch.arange(32) // 2 % 2
    return X + z[:, None], y[:, None], z[:, None]


def make_network(name):
    torch.manual_seed(0)
    head_class = FAIRNESS_HEADS[name]
    heads = [torch.nn.Linear(8, 2)] if head_class.has_own_heads else []
    trunk = MLP(4, [8], activation="tanh")
    return MultiTaskNetwork(trunk, [torch.nn.Linear(8, 2)], [head_class(heads)])


def gradients(network, lam):
    """Gradient of the objective for the trunk, the task head and the fairness head."""
    X, y, z = make_batch()
    network.zero_grad()
    Objective(lam, [[GroupLossFairness(2)]])(network(X), y, z).total().backward()
    return {
        part: [
            torch.zeros_like(p) if p.grad is None else p.grad.clone()
            for p in module.parameters()
        ]
        for part, module in {
            "trunk": network.trunk,
            "task": network.task_heads,
            "fairness": network.fairness_heads,
        }.items()
    }


def is_zero(tensors):
    return all(not tensor.any() for tensor in tensors)


@every_head
def test_task_head_gets_no_gradient_from_a_fairness_loss(name):
    network = make_network(name)
    assert is_zero(gradients(network, lam=0)["task"])


@every_head
def test_task_head_gets_the_gradient_of_single_task_learning(name):
    network = make_network(name)
    X, y, _ = make_batch()
    single_task = torch.nn.functional.cross_entropy(network(X).task[0], y[:, 0])
    expected = torch.autograd.grad(single_task, network.task_heads.parameters())
    for got, alone in zip(gradients(network, lam=0.25)["task"], expected, strict=True):
        assert_close(got, 0.25 * alone)


@every_head
def test_trunk_pays_the_task_and_the_fairness_loss(name):
    network = make_network(name)
    fairness = gradients(network, lam=0)["trunk"]
    task = gradients(network, lam=1)["trunk"]
    both = gradients(network, lam=0.25)["trunk"]
    assert not is_zero(fairness)
    for f, t, b in zip(fairness, task, both, strict=True):
        assert_close(b, 0.25 * t + 0.75 * f)


def fairness_head_gradients(name):
    """Gradient of the fairness head, and of its fairness and task loss on h."""
    network = make_network(name)
    X, y, z = make_batch()
    parameters = list(network.fairness_heads.parameters())
    head = network.fairness_heads[0].heads[0]
    h = network.trunk(X).detach()
    fairness = GroupLossFairness(2)(head(h), y[:, 0], z[:, 0])
    task = torch.nn.functional.cross_entropy(head(h), y[:, 0])
    return (
        gradients(network, lam=0.25)["fairness"],
        torch.autograd.grad(fairness, parameters),
        torch.autograd.grad(task, parameters),
    )


def test_probe_learns_task_to_the_task_alone_whatever_lam_is():
    got, _, task = fairness_head_gradients("probe")
    assert_close(got, list(task))


def test_literal_head_is_trained_by_the_fairness_loss_alone():
    got, fairness, _ = fairness_head_gradients("literal")
    assert_close(got, [0.75 * f for f in fairness])


def test_anchored_head_is_trained_by_both():
    got, fairness, task = fairness_head_gradients("anchored")
    assert_close(got, [0.75 * f + t for f, t in zip(fairness, task, strict=True)])


def test_task_head_as_fairness_head_has_no_weights_of_its_own():
    assert not list(make_network("task").fairness_heads.parameters())


@every_head
def test_trunk_gets_the_gradient_of_the_fairness_loss_on_the_head(name):
    # Neither the probe's fit nor the anchor's reaches the trunk.
    network = make_network(name)
    X, y, z = make_batch()
    h = network.trunk(X)
    heads = network.task_heads if name == "task" else network.fairness_heads[0].heads
    loss = GroupLossFairness(2)(heads[0](h), y[:, 0], z[:, 0])
    expected = torch.autograd.grad(loss, list(network.trunk.parameters()))
    assert_close(gradients(network, lam=0)["trunk"], list(expected))


def test_value_of_the_objective_leaves_out_the_fit_of_the_probe():
    network = make_network("probe")
    X, y, z = make_batch()
    terms = Objective(0.25, [[GroupLossFairness(2)]])(network(X), y, z)
    task, fairness = terms.values
    assert_close(terms.total().detach(), 0.25 * task + 0.75 * fairness)


def test_several_tasks_and_attributes_add_up():
    torch.manual_seed(0)
    X, y, z = make_batch()
    y, z = torch.cat([y, 1 - y], 1), torch.cat([z, (z + y[:, :1]) % 2], 1)
    heads = [torch.nn.Linear(8, 2) for _ in range(4)]
    network = MultiTaskNetwork(
        MLP(4, [8]),
        [torch.nn.Linear(8, 2) for _ in range(2)],
        [FAIRNESS_HEADS["literal"](heads[2 * s : 2 * s + 2]) for s in range(2)],
    )
    outputs = network(X)
    assert outputs.detached == [[], []]
    loss = GroupLossFairness(2, group_momentum=0.0)
    terms = Objective(0.25, [[loss, loss], [loss, loss]])(outputs, y, z)
    cross_entropy = torch.nn.functional.cross_entropy
    task = [cross_entropy(outputs.task[k], y[:, k]) for k in range(2)]
    by_attribute = [
        sum(loss(outputs.fairness[s][k], y[:, k], z[:, s]) for k in range(2))
        for s in range(2)
    ]
    assert_close(terms.values, [term.detach() for term in [*task, *by_attribute]])
    assert_close(terms.total(), 0.25 * sum(task) + 0.75 * sum(by_attribute))


def test_mlp_without_layers_is_the_identity():
    trunk = MLP(3, [])
    X = torch.randn(2, 3)
    assert trunk.out_features == 3
    assert trunk(X) is X


def test_mlp_has_dropout_after_each_layer():
    trunk = MLP(3, [4, 5], activation="tanh", dropout=0.5)
    kinds = [type(layer).__name__ for layer in trunk]
    assert kinds == ["Linear", "Tanh", "Dropout"] * 2
    assert trunk.out_features == 5
