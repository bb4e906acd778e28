"""The training loop, without an estimator around it."""

import copy
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from skorch.helper import predefined_split
from torch import nn
from torch.func import grad_and_value, stack_module_state, vmap
from torch.testing import assert_close

from fairtask._data import InMemorySource, SampleDataset
from fairtask._net import FairnessNet, functional_step
from fairtask.losses import GroupLossDivergence, GroupLossFairness
from fairtask.modules import FAIRNESS_HEADS
from fairtask.objective import Objective
from tests._inputs import make_classifier, make_network, make_samples

TERMS = ["task_loss", "fairness_loss_z"]


def make_target(n):
    rows = torch.arange(n)[:, None]
    return {"y": rows % 2, "groups": rows // 2 % 2}


def make_dataset(n=10):
    X = torch.arange(2.0 * n).reshape(n, 2)
    return SampleDataset(InMemorySource(X), make_target(n))


def make_net(lam=0.25, trunk=None, **kwargs):
    network = make_network("probe", n_features=2)
    network.trunk = trunk or network.trunk
    objective = Objective(lam, [[GroupLossDivergence(2)]])
    return FairnessNet(network, objective, term_names=TERMS, verbose=0, **kwargs)


class TestFairnessNet:
    def test_network_never_sees_the_groups(self):
        seen = []
        net = make_net(max_epochs=1).initialize()
        net.module_.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
        net.fit_loop(make_dataset())
        assert seen
        assert all(len(X) == 1 and X[0].shape[1] == 2 for X in seen)

    def test_terms_are_weighted_by_batch_size(self):
        # Nothing is learnt (lr=0), so that an epoch's mean is that of the whole data.
        dataset = make_dataset()
        net = make_net(max_epochs=1, lr=0, batch_size=4).fit(dataset)
        with torch.no_grad():
            logits = net.module_(dataset.source.X).task[0]
        expected = nn.functional.cross_entropy(logits, dataset.target["y"][:, 0])
        assert net.history[-1, "train_task_loss"] == pytest.approx(expected.item())

    @pytest.mark.parametrize("part", ["train", "valid"])
    def test_objective_is_the_weighted_sum_of_its_terms(self, part):
        net = make_net(lam=0.25, max_epochs=3)
        net.set_params(train_split=predefined_split(make_dataset(6)))
        net.fit(make_dataset())
        for row in net.history:
            task, fairness = (row[f"{part}_{term}"] for term in TERMS)
            assert row[f"{part}_loss"] == pytest.approx(0.25 * task + 0.75 * fairness)

    def test_inputs_may_be_a_mapping_of_tensors(self):
        class Sum(nn.Module):
            def __init__(self):
                super().__init__()
                self.of_a, self.of_b = nn.Linear(2, 8), nn.Linear(3, 8)

            def forward(self, X):
                return self.of_a(X["a"]) + self.of_b(X["b"]).mean(1)

        X = {"a": torch.randn(10, 2), "b": torch.randn(10, 5, 3)}
        dataset = SampleDataset(InMemorySource(X), make_target(10))
        net = make_net(trunk=Sum(), max_epochs=3, batch_size=4)
        net.set_params(train_split=predefined_split(dataset))
        before = copy.deepcopy(net.module.state_dict())
        net.fit(dataset)
        after = net.module_.state_dict()
        assert all((after[name] != before[name]).any() for name in after)
        assert np.isfinite(net.history[:, ["train_loss", "valid_loss"]]).all()
        assert net.predict_proba(dataset).shape == (10, 2)


class TestFunctionalStep:
    """One training step of stacked models, each with a weight of its own."""

    lams = torch.tensor([0.1, 0.5, 0.9])
    X = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))

    @staticmethod
    def make_objective(lam):
        return Objective(lam, [[GroupLossFairness(2, group_momentum=0.9)]])

    @pytest.mark.parametrize("head", FAIRNESS_HEADS)
    def test_vmap_equals_each_model_alone(self, head):
        networks = [make_network(head, n_features=2, seed=seed) for seed in range(3)]
        objectives = [self.make_objective(lam) for lam in self.lams]
        alone = copy.deepcopy(networks), copy.deepcopy(objectives)
        weights, buffers = stack_module_state(networks)
        _, of_objectives = stack_module_state(objectives)
        # A tensor is a buffer, and different for each model.
        assert_close(of_objectives["lam"], self.lams)
        network, objective = networks[0], objectives[0]

        def step(weights, buffers, of_objective, batch):
            state = {**weights, **buffers}, of_objective
            return functional_step(network, objective, state, batch)

        together = vmap(grad_and_value(step), in_dims=(0, 0, 0, None))
        for rows in (slice(0, 7), slice(7, 12)):  # the second has running means
            target = {name: v[rows] for name, v in make_target(12).items()}
            batch = self.X[rows], target
            gradients, values = together(weights, buffers, of_objectives, batch)
            for i, (model, terms_of) in enumerate(zip(*alone, strict=True)):
                model.zero_grad()
                value = terms_of(model(batch[0]), **target).total()
                value.backward()
                assert_close(values[i], value.detach())
                for name, weight in model.named_parameters():
                    gradient = gradients[name][i]
                    if weight.grad is None:
                        assert not gradient.any()
                    else:
                        assert_close(gradient, weight.grad)
                loss = terms_of.fairness_losses[0][0]
                prefix = "fairness_losses.0.0."
                assert_close(of_objectives[prefix + "seen"][i], loss.seen)
                assert_close(
                    of_objectives[prefix + "running_means"][i], loss.running_means
                )
        assert loss.seen.all()


class TestSumOverProcesses:
    """Losses, and nothing else, see the samples of all processes."""

    path = "fairtask.losses._fairness_loss.sum_over_processes"

    @pytest.mark.parametrize("weighted", [False, True])
    def test_each_half_of_a_batch_has_the_loss_of_the_whole(
        self, monkeypatch, weighted
    ):
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(20, 2, generator=generator)
        y, groups = torch.arange(20) % 2, torch.arange(20) // 2 % 3 - 1
        weight = torch.rand(20, generator=generator) if weighted else None
        halves = slice(0, 7), slice(7, 20)
        make_loss = partial(GroupLossDivergence, 2, group_momentum=0.9)

        def loss_of(rows):
            loss = make_loss()
            part = None if weight is None else weight[rows]
            return loss(logits[rows], y[rows], groups[rows], part), loss

        expected, whole = loss_of(slice(None))
        sent = []

        def send(sums):
            sent.append(sums)
            return sums

        monkeypatch.setattr(self.path, send)
        for rows in halves:
            loss_of(rows)
        assert len(sent) == 2

        def add_up(sums):
            return [mine + other for mine, other in zip(*sent, strict=True)]

        monkeypatch.setattr(self.path, add_up)
        for rows in halves:
            value, loss = loss_of(rows)
            assert_close(value, expected)
            assert_close(loss.running_means, whole.running_means)

    def test_is_called_once_per_loss_and_batch(self, monkeypatch):
        calls = []
        monkeypatch.setattr(self.path, lambda sums: calls.append(1) or sums)
        X, y, z = make_samples(300)
        groups = pd.DataFrame({"sex": z, "age": np.resize(["a", "b", None], 300)})
        labels = np.column_stack([y, 1 - y])
        classifier = make_classifier(batch_size=64, max_epochs=3)
        classifier.fit(X, labels, sensitive_features=groups)
        assert classifier.group_history_.notna().all(axis=None)  # recorded without it
        n_losses, n_batches = 2 * 2, 3 * 5
        assert len(calls) == n_losses * n_batches
