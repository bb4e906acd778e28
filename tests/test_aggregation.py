import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close
from torchjd.aggregation import IMTLG, MGDA, PCGrad, Sum

from fairtask._aggregation import AggregatedBackward, check_aggregator
from fairtask.losses import GroupLossFairness
from fairtask.modules import FAIRNESS_HEADS
from fairtask.objective import Objective
from tests._inputs import (
    assert_same_bits,
    make_classifier,
    make_network,
    make_samples,
    weights,
)

X, y, z = make_samples(300)


def fit(**kwargs):
    return make_classifier(**kwargs).fit(X, y, sensitive_features=z)


@pytest.mark.parametrize("name", FAIRNESS_HEADS)
def test_sum_of_the_rows_is_the_gradient_of_the_weighted_sum(name):
    gradients = []
    for aggregated in (True, False):
        network = make_network(name, n_features=5)
        outputs = network(torch.tensor(X))
        terms = Objective(0.3, [[GroupLossFairness()]])(
            outputs, torch.tensor(y)[:, None], torch.tensor(z)[:, None]
        )
        if aggregated:
            value = AggregatedBackward(Sum())(network, outputs, terms)
            assert_close(value, terms.total().detach())
        else:
            terms.total().backward()
        gradients.append([p.grad for p in network.parameters()])
    assert_close(gradients[0], gradients[1])


def test_sum_trains_as_without():
    plain = fit()
    summed = fit(aggregator=Sum())
    assert_close(weights(summed), weights(plain), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("aggregator", [MGDA(), IMTLG(), PCGrad()], ids=str)
def test_aggregators_train(aggregator):
    table = pd.DataFrame({"sex": z, "age": np.resize([0, 1, 2], 300)})
    classifier = make_classifier(aggregator=aggregator, max_epochs=6, lr=0.02)
    classifier.fit(X, y, sensitive_features=table)
    assert classifier.score(X, y) > 0.75
    assert np.isfinite(classifier.history_.to_numpy()).all()


def test_single_task_learning_has_nothing_to_aggregate():
    plain = fit(lam=1)
    same = fit(lam=1, aggregator=MGDA())
    assert_same_bits(weights(same), weights(plain))


def test_object_of_another_class():
    with pytest.raises(ValueError, match="None or an instance of a class of torchjd"):
        fit(aggregator=torch.nn.Linear(1, 1))


def test_torchjd_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchjd.aggregation", None)
    with pytest.raises(ImportError, match="pip install torchjd"):
        check_aggregator(object())
