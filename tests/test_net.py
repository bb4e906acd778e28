import numpy as np
import pytest
import torch
from skorch.helper import predefined_split

from fairtask._data import InMemoryDataset
from fairtask._net import FairnessNet
from fairtask.losses import GroupLossDivergence
from fairtask.modules import MLP, MultiTaskNetwork, ProbeHead
from fairtask.objective import Objective


def make_dataset(n=10):
    X = torch.arange(2.0 * n).reshape(n, 2)
    return InMemoryDataset(
        X,
        {
            "y": torch.arange(n)[:, None] % 2,
            "groups": torch.arange(n)[:, None] // 2 % 2,
        },
    )


def make_net(lam=0.25, **kwargs):
    torch.manual_seed(0)
    network = MultiTaskNetwork(
        MLP(2, [4]), [torch.nn.Linear(4, 2)], [ProbeHead([torch.nn.Linear(4, 2)])]
    )
    return FairnessNet(
        network,
        Objective(lam, [[GroupLossDivergence(2)]]),
        term_names=["task_loss", "fairness_loss_z"],
        verbose=0,
        **kwargs,
    )


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
            logits = net.module_(dataset.X).task[0]
        expected = torch.nn.functional.cross_entropy(logits, dataset.target["y"][:, 0])
        assert net.history[-1, "train_task_loss"] == pytest.approx(expected.item())

    def test_objective_is_eq_3_of_its_terms(self):
        net = make_net(lam=0.25, max_epochs=3).fit(make_dataset())
        for loss, task, fairness in net.history[
            :, ("train_loss", "train_task_loss", "train_fairness_loss_z")
        ]:
            assert loss == pytest.approx(0.25 * task + 0.75 * fairness)

    def test_terms_of_validation_data_have_columns_of_their_own(self):
        net = make_net(max_epochs=2)
        net.set_params(train_split=predefined_split(make_dataset(6)))
        net.fit(make_dataset())
        row = net.history[-1]
        expected = 0.25 * row["valid_task_loss"] + 0.75 * row["valid_fairness_loss_z"]
        assert row["valid_loss"] == pytest.approx(expected)
        assert np.isfinite(expected)
