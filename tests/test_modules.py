"""Which part of a network pays for which loss, seen on the gradients themselves."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from fairtask._random import OwnStream
from fairtask.losses import GroupLossFairness
from fairtask.modules import FAIRNESS_HEADS, MLP, Dropout, MultiTaskNetwork
from fairtask.objective import Objective, cross_entropies
from tests._inputs import make_network

every_head = pytest.mark.parametrize("name", FAIRNESS_HEADS)


def make_batch():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(32, 4, generator=generator)
    y = torch.arange(32) % 2
    z = torch.arange(32) // 2 % 2
    return X + z[:, None], y[:, None], z[:, None]


X, y, z = make_batch()


def gradients(network, lam):
    """Gradient of the objective for the trunk, the task head and the fairness head."""
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
class TestEveryHead:
    def test_task_head_gets_no_gradient_from_a_fairness_loss(self, name):
        assert is_zero(gradients(make_network(name), lam=0)["task"])

    def test_task_head_gets_the_gradient_of_single_task_learning(self, name):
        network = make_network(name)
        alone = 0.25 * cross_entropy(network(X).task[0], y[:, 0])
        expected = torch.autograd.grad(alone, list(network.task_heads.parameters()))
        assert_close(gradients(network, lam=0.25)["task"], list(expected))

    def test_trunk_pays_the_task_and_the_fairness_loss(self, name):
        fairness, task, both = (
            gradients(make_network(name), lam=lam)["trunk"] for lam in (0, 1, 0.25)
        )
        assert not is_zero(fairness)
        expected = [0.25 * t + 0.75 * f for t, f in zip(task, fairness, strict=True)]
        assert_close(both, expected)

    def test_trunk_gets_the_gradient_of_the_fairness_loss_on_the_head(self, name):
        # The task losses of the probe and of the anchored head do not reach the trunk.
        network = make_network(name)
        own = network.fairness_heads[0].heads
        (head,) = network.task_heads if name == "task" else own
        loss = GroupLossFairness(2)(head(network.trunk(X)), y[:, 0], z[:, 0])
        expected = torch.autograd.grad(loss, list(network.trunk.parameters()))
        assert_close(gradients(network, lam=0)["trunk"], list(expected))

    def test_one_graph(self, name):
        torch.compiler.reset()
        network = make_network(name)
        objective = Objective(0.3, [[GroupLossFairness(2, group_momentum=0.0)]])

        def total(X, y, z):
            return objective(network(X), y, z).total()

        captured = torch.compile(total, fullgraph=True, backend="eager")
        assert_close(captured(X, y, z), total(X, y, z))


@pytest.mark.parametrize(
    ("name", "task_weight", "fairness_weight"),
    [("probe", 1, 0), ("literal", 0, 0.75), ("anchored", 1, 0.75)],
)
def test_fairness_head_is_trained_by(name, task_weight, fairness_weight):
    # The weight of its own task loss is 1 whatever lam is.
    network = make_network(name)
    head = network.fairness_heads[0].heads[0]
    logits = head(network.trunk(X).detach())
    expected = task_weight * cross_entropy(logits, y[:, 0])
    fairness = GroupLossFairness(2)(logits, y[:, 0], z[:, 0])
    expected = expected + fairness_weight * fairness
    expected = torch.autograd.grad(expected, list(head.parameters()))
    assert_close(gradients(network, lam=0.25)["fairness"], list(expected))


def test_task_head_as_fairness_head_has_no_weights_of_its_own():
    assert not list(make_network("task").fairness_heads.parameters())


def test_value_of_the_objective_leaves_out_the_task_loss_of_the_probe():
    outputs = make_network("probe")(X)
    terms = Objective(0.25, [[GroupLossFairness(2)]])(outputs, y, z)
    task, fairness = terms.values
    assert_close(terms.total().detach(), 0.25 * task + 0.75 * fairness)


def test_weighted_cross_entropy_is_a_mean_over_the_samples():
    logits = torch.zeros(3, 2)
    weight = torch.tensor([[2.0], [1.0], [0.0]])
    losses = [*cross_entropies([logits], y[:3], weight)]
    losses += cross_entropies([logits], y[:3], weight / 2)
    assert torch.stack(losses).tolist() == pytest.approx([math.log(2), math.log(2) / 2])


def test_weights_of_the_groups_leave_the_task():
    outputs = make_network("probe")(X)
    objective = Objective(0.3, [[GroupLossFairness(2, group_momentum=0.0)]])
    plain = objective(outputs, y, z).values
    weighted = objective(outputs, y, z, group_weight=torch.arange(32.0)).values
    assert weighted[0] == plain[0]
    assert weighted[1] != plain[1]


def test_several_tasks_and_attributes_add_up():
    torch.manual_seed(0)
    labels = torch.cat([y, 1 - y], 1)
    groups = torch.cat([z, (z + labels[:, :1]) % 2], 1)
    heads = [torch.nn.Linear(8, 2) for _ in range(4)]
    network = MultiTaskNetwork(
        MLP(4, [8]),
        [torch.nn.Linear(8, 2) for _ in range(2)],
        [FAIRNESS_HEADS["literal"](heads[2 * s : 2 * s + 2]) for s in range(2)],
    )
    outputs = network(X)
    assert outputs.detached == [[], []]
    loss = GroupLossFairness(2, group_momentum=0.0)
    terms = Objective(0.25, [[loss, loss], [loss, loss]])(outputs, labels, groups)
    task = [cross_entropy(outputs.task[k], labels[:, k]) for k in range(2)]
    by_attribute = [
        sum(loss(outputs.fairness[s][k], labels[:, k], groups[:, s]) for k in range(2))
        for s in range(2)
    ]
    assert_close(terms.values, [term.detach() for term in [*task, *by_attribute]])
    assert_close(terms.total(), 0.25 * sum(task) + 0.75 * sum(by_attribute))


def test_mlp_without_layers_is_the_identity():
    trunk = MLP(4, [])
    assert trunk.out_features == 4
    assert trunk(X) is X


def test_mlp_has_dropout_after_each_layer():
    trunk = MLP(3, [4, 5], activation="tanh", dropout=0.5)
    kinds = [type(layer).__name__ for layer in trunk]
    assert kinds == ["Linear", "Tanh", "Dropout"] * 2
    assert trunk.out_features == 5


class TestDropout:
    @pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1 - 1e-9])
    def test_share_and_scale(self, p):
        torch.manual_seed(0)
        n, layer = 200_001, Dropout(p)  # no multiple of the numbers per integer
        kept = layer(torch.ones(n))
        is_kept = kept > 0
        share = min(p, 1 - 2**-16)  # the largest that 16 bits can hold
        assert abs(is_kept.double().mean() - (1 - share)) <= 4 * math.sqrt(p / 4 / n)
        assert_close(kept[is_kept], torch.full_like(kept[is_kept], 1 / (1 - share)))

    def test_the_numbers_of_an_integer_are_independent(self):
        torch.manual_seed(0)
        kept = Dropout(0.5)(torch.ones(50_000, 4)) > 0
        assert (torch.corrcoef(kept.T.float()) - torch.eye(4)).abs().max() < 0.02

    def test_gradient_is_that_of_the_kept_numbers(self):
        x = torch.ones(3, 5, requires_grad=True)
        kept = Dropout(0.4)(x)
        kept.sum().backward()
        assert torch.equal(x.grad, kept.detach())

    @pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
    def test_p_is_a_share(self, p):
        with pytest.raises(ValueError, match=r"`p` must be a number in \[0, 1\)"):
            Dropout(p)

    def test_evaluation_changes_nothing(self):
        assert Dropout(0.5).eval()(X) is X

    def test_draws_from_the_stream_of_a_training(self):
        before = torch.get_rng_state()
        masks = []
        for _ in range(2):
            with OwnStream(3):
                masks.append(Dropout(0.5)(torch.ones(100)))
        assert torch.equal(*masks)
        assert torch.equal(torch.get_rng_state(), before)
