import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from fairtask import AuxiliaryFairnessClassifier
from fairtask.baselines import (
    AdversarialClassifier,
    GroupSpecificClassifier,
    RegularizedClassifier,
)
from fairtask.baselines._adversarial import AdversaryHead, AdversaryLoss
from fairtask.baselines._group_specific import GroupSpecificHead, GroupSpecificObjective
from fairtask.baselines._regularized import LagrangianObjective, RegularizedHead
from fairtask.datasets import make_biased_classification
from fairtask.exceptions import NothingPenalizedWarning
from fairtask.losses import FAIRNESS_LOSSES, GroupLossFairness
from fairtask.metrics import demographic_parity_difference
from fairtask.modules import MLP, MultiTaskNetwork
from fairtask.objective import Objective
from tests._inputs import NOT_LEARNT, batches, make_samples

SETTINGS = {"max_epochs": 5, "batch_size": 64, "random_state": 0, "device": "cpu"}
BASELINES = [AdversarialClassifier, GroupSpecificClassifier, RegularizedClassifier]
X, y, z = make_samples(300)
FAIRNESS_LOSS = "train_fairness_loss_sensitive_feature"

each_baseline = pytest.mark.parametrize("estimator_class", BASELINES)


def fit(estimator_class, **kwargs):
    classifier = estimator_class(**{**SETTINGS, **kwargs})
    return classifier.fit(X, y, sensitive_features=z)


def difference_of_rates(estimator_class, biased, **kwargs):
    """Difference of the positive rates with and without the method."""
    X, y, z = biased
    settings = {**SETTINGS, "max_epochs": 10, "batch_size": "auto", **kwargs}
    return [
        demographic_parity_difference(
            y,
            estimator_class(lam=lam, **settings)
            .fit(X, y, sensitive_features=z)
            .predict(X),
            sensitive_features=z,
        )
        for lam in (0.5, 1.0)
    ]


@pytest.fixture(scope="module")
def biased():
    return make_biased_classification(4000, random_state=0)


def make_network(head):
    torch.manual_seed(0)
    return MultiTaskNetwork(MLP(5, [8]), [torch.nn.Linear(8, 2)], [head])


def batch():
    return torch.tensor(X), torch.tensor(y)[:, None], torch.tensor(z)[:, None]


class TestRegularized:
    def test_task_head_pays_the_fairness_loss(self):
        network = make_network(RegularizedHead())
        samples, labels, groups = batch()
        outputs = network(samples)
        loss = GroupLossFairness(group_momentum=0.0)
        Objective(0.25, [[loss]])(outputs, labels, groups).total().backward()
        logits = network(samples).task[0]
        expected = 0.25 * cross_entropy(logits, labels[:, 0]) + 0.75 * loss(
            logits, labels[:, 0], groups[:, 0]
        )
        parameters = list(network.parameters())
        assert_close(
            [p.grad for p in parameters],
            list(torch.autograd.grad(expected, parameters)),
        )

    @pytest.mark.parametrize("fairness_loss", FAIRNESS_LOSSES)
    def test_every_loss_trains(self, fairness_loss):
        classifier = fit(RegularizedClassifier, fairness_loss=fairness_loss)
        assert np.isfinite(classifier.history_.to_numpy()).all()

    @pytest.mark.slow
    def test_reduces_the_difference_it_penalises(self, biased):
        with_penalty, without = difference_of_rates(
            RegularizedClassifier, biased, fairness_loss="dpl"
        )
        assert with_penalty < 0.3 * without

    def test_multipliers_ascend_by_the_loss(self):
        loss = GroupLossFairness(group_momentum=0.0)
        objective = LagrangianObjective(
            [[loss]], multiplier_init=10.0, multiplier_lr=0.5
        )
        network = make_network(RegularizedHead())
        samples, labels, groups = batch()
        terms = objective(network(samples), labels, groups)
        task, fairness = terms.values
        assert_close(terms.total().detach(), task + 10 * fairness)
        assert_close(objective.multipliers, (10 + 0.5 * fairness)[None])
        objective.eval()(network(samples), labels, groups)
        assert_close(objective.multipliers, (10 + 0.5 * fairness)[None])

    def test_multipliers_are_part_of_the_estimator(self):
        classifier = fit(
            RegularizedClassifier,
            fairness_loss="dpl",
            multiplier_lr=0.1,
            multiplier_init=0.0,
        )
        assert (classifier.net_.criterion_.multipliers > 0).all()

    def test_multipliers_start_at_10(self):
        classifier = fit(RegularizedClassifier, multiplier_lr=1e-9)
        assert classifier.net_.criterion_.multipliers.tolist() == pytest.approx([10])

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"lam": 0.3, "multiplier_lr": 0.1}, "`lam=0.3` has no use with `mult"),
            ({"multiplier_init": 5.0}, "`multiplier_init=5.0` has no use without"),
        ],
    )
    def test_weight_and_multipliers_exclude_each_other(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            fit(RegularizedClassifier, **kwargs)


class TestAdversarial:
    def test_trunk_climbs_where_the_adversary_descends(self):
        head = AdversaryHead([torch.nn.Linear(8, 2)])
        network = make_network(head)
        samples, labels, groups = batch()
        terms = Objective(0.25, [[AdversaryLoss()]])(network(samples), labels, groups)
        h = network.trunk(samples)
        adversary = cross_entropy(head.heads[0](h), groups[:, 0])
        task = cross_entropy(network.task_heads[0](h), labels[:, 0])
        assert_close(terms.total().detach(), (0.25 * task - 0.75 * adversary).detach())
        terms.total().backward()
        trunk, own = list(network.trunk.parameters()), list(head.parameters())
        against = torch.autograd.grad(
            0.25 * task - 0.75 * adversary, trunk, retain_graph=True
        )
        along = torch.autograd.grad(0.75 * adversary, own)
        assert_close([p.grad for p in trunk], list(against))
        assert_close([p.grad for p in own], list(along))

    def test_unknown_groups_do_not_count(self):
        logits = torch.randn(4, 2)
        groups = torch.tensor([0, 1, -1, -1])
        loss = AdversaryLoss()(logits, torch.zeros(4), groups)
        assert_close(loss, -cross_entropy(logits[:2], groups[:2]))
        assert AdversaryLoss()(logits, torch.zeros(4), torch.full((4,), -1)) == 0

    @pytest.mark.slow
    def test_hides_the_groups(self, biased):
        with_adversary, without = difference_of_rates(
            AdversarialClassifier,
            biased,
            adversary_hidden_layer_sizes=(16,),
            lr=0.002,
            numeric_encoding=None,
        )
        assert with_adversary < without


class TestGroupSpecific:
    table = pd.DataFrame({"sex": z, "age": np.resize(["a", "b", "c"], 300)})

    @pytest.fixture(scope="class")
    @classmethod
    def classifier(cls):
        classifier = GroupSpecificClassifier(**SETTINGS)
        return classifier.fit(X, y, sensitive_features=cls.table)

    @pytest.mark.parametrize("method", ["predict", "predict_proba"])
    def test_groups_by_position(self, classifier, method):
        message = f"`GroupSpecificClassifier.{method}` takes `X` by position"
        with pytest.raises(TypeError, match=message):
            getattr(classifier, method)(X, self.table)

    @pytest.mark.parametrize("groups", ["given", "predicted", "unknown"])
    def test_groups_select_or_mix_the_heads(self, classifier, groups):
        with torch.no_grad():
            outputs = classifier.net_.module_.eval()(torch.tensor(X))
        logits = outputs.task[0]  # of the shared head
        for s, codes in enumerate([z, np.resize([0, 1, 2], 300)]):
            of_groups = outputs.fairness[s][0]
            if groups == "given":
                logits = logits + of_groups[torch.arange(300), codes]
            elif groups == "predicted":
                membership = outputs.detached[s][0].softmax(1)
                logits = logits + torch.einsum("ng,ngc->nc", membership, of_groups)
        sensitive_features = {
            "given": self.table,
            "predicted": None,
            "unknown": pd.DataFrame(None, self.table.index, self.table.columns, object),
        }[groups]
        proba = classifier.predict_proba(X, sensitive_features=sensitive_features)
        assert_close(torch.tensor(proba), logits.double().softmax(1))

    def test_groups_with_opposite_rules(self):
        opposite = np.where(z, X[:, 1] > 0, X[:, 1] < 0)
        hidden = X.copy()
        hidden[:, 0] -= z  # the samples no longer tell the group
        classifier = GroupSpecificClassifier(
            hidden_layer_sizes=(16,), **{**SETTINGS, "max_epochs": 40, "lr": 0.01}
        ).fit(hidden, opposite, sensitive_features=z)
        given = classifier.predict(hidden, sensitive_features=z)
        assert (given == opposite).mean() > 0.9
        assert classifier.score(hidden, opposite) < 0.7

    def test_predicting_the_groups_leaves_the_trunk_alone(self):
        head = GroupSpecificHead(
            [torch.nn.Linear(8, 4)], torch.nn.Linear(8, 2), n_groups=2
        )
        network = make_network(head)
        samples, labels, groups = batch()
        terms = GroupSpecificObjective(0.0)(network(samples), labels, groups)
        terms.head_loss.backward()
        assert all(p.grad is None for p in network.trunk.parameters())
        logits = head.membership(network.trunk(samples).detach())
        expected = torch.autograd.grad(
            cross_entropy(logits, groups[:, 0]), list(head.membership.parameters())
        )
        assert_close([p.grad for p in head.membership.parameters()], list(expected))

    def test_penalty_makes_the_heads_alike(self):
        free, penalized = (
            fit(GroupSpecificClassifier, offset_penalty=penalty)
            .history_[FAIRNESS_LOSS]
            .iloc[-1]
            for penalty in (0.0, 10.0)
        )
        assert penalized < 0.2 * free

    def test_score_takes_groups(self, classifier):
        y_pred = classifier.predict(X, sensitive_features=self.table)
        score = classifier.score(X, y, sensitive_features=self.table)
        assert score == (y_pred == y).mean()

    def test_net_predicts_as_the_estimator(self, classifier):
        np.testing.assert_allclose(
            classifier.net_.predict_proba(X), classifier.predict_proba(X), atol=1e-6
        )

    def test_unseen_group_at_predict(self, classifier):
        with pytest.raises(ValueError, match=r"must hold the groups \[0, 1\]"):
            classifier.predict(X, sensitive_features=self.table.assign(sex=7))


@each_baseline
class TestEveryBaseline:
    def test_has_the_parameters_of_the_auxiliary_classifier_that_apply(
        self, estimator_class
    ):
        auxiliary = set(AuxiliaryFairnessClassifier().get_params())
        baseline = set(estimator_class().get_params())
        assert "fairness_head" not in baseline
        assert len(baseline - auxiliary) in (1, 2)
        assert {"hidden_layer_sizes", "lr", "early_stopping", "callbacks"} <= baseline

    def test_refuses_parameters_that_do_not_apply(self, estimator_class):
        with pytest.raises(TypeError, match=f"{estimator_class.__name__}.*fairness_h"):
            estimator_class(fairness_head="probe")

    def test_several_tasks_attributes_and_unknown_groups(self, estimator_class):
        labels = pd.DataFrame({"a": y, "b": np.digitize(X[:, 1], [-0.5, 0.5])})
        table = pd.DataFrame({"sex": z, "age": np.resize(["a", "b", None], 300)})
        classifier = estimator_class(**SETTINGS)
        classifier.fit(X, labels, sensitive_features=table)
        assert classifier.predict(X).shape == (300, 2)
        assert np.isfinite(classifier.history_.to_numpy()).all()
        assert set(classifier.history_) >= {
            "train_task_loss_b",
            "train_fairness_loss_age",
        }

    def test_early_stopping_and_partial_fit(self, estimator_class):
        classifier = fit(estimator_class, early_stopping=True)
        classifier.partial_fit(X, y, sensitive_features=z)
        assert len(classifier.history_) == 6

    def test_attribute_of_one_group(self, estimator_class):
        with pytest.warns(NothingPenalizedWarning, match="no two known groups"):
            estimator_class(**SETTINGS).fit(X, y, sensitive_features=["a"] * 300)

    def test_learns_the_task(self, estimator_class, biased):
        X, y, z = biased
        classifier = estimator_class(**SETTINGS, lr=0.002, numeric_encoding=None)
        classifier.fit(X, y, sensitive_features=z)
        assert classifier.score(X, y) > max(y.mean(), 1 - y.mean()) + 0.05


class TestLinear:
    @pytest.mark.filterwarnings(NOT_LEARNT)
    @pytest.mark.parametrize(
        "estimator_class", [RegularizedClassifier, GroupSpecificClassifier]
    )
    def test_fair_logistic_regression(self, estimator_class):
        classifier = fit(estimator_class, hidden_layer_sizes=(), numeric_encoding=None)
        assert not list(classifier.net_.module_.trunk.parameters())
        assert classifier.transform(X).shape == X.shape

    def test_an_adversary_needs_a_trunk_to_act_on(self):
        with pytest.raises(ValueError, match="`hidden_layer_sizes` must hold a layer"):
            fit(AdversarialClassifier, hidden_layer_sizes=())


class TestWeights:
    @each_baseline
    @pytest.mark.filterwarnings(NOT_LEARNT)
    def test_a_sample_without_weight_does_not_count(self, estimator_class):
        settings = {
            **SETTINGS,
            "batch_size": 1000,
            "dropout": 0.0,
            "optimizer": "sgd",
            "lr": 0.05,
            "lr_schedule": "constant",
            "numeric_encoding": "standard",
        }
        counted = np.arange(300) % 3 > 0
        weighted = estimator_class(**settings).fit(
            X, y, sensitive_features=z, sample_weight=counted.astype(float)
        )
        alone = estimator_class(**settings)
        alone.fit(X[counted], y[counted], sensitive_features=z[counted])
        np.testing.assert_allclose(
            weighted.predict_proba(X), alone.predict_proba(X), atol=1e-3
        )

    @pytest.mark.filterwarnings(NOT_LEARNT)
    def test_weights_of_classes_leave_the_adversary(self):
        labels = np.column_stack([y, 1 - y])
        losses = []
        for class_weight in (None, [{0: 1, 1: 5}, None], [None, {0: 1, 1: 5}]):
            classifier = AdversarialClassifier(
                class_weight=class_weight,
                numeric_encoding=None,
                **{**SETTINGS, "lr": 1e-30, "max_epochs": 1, "dropout": 0.0},
            )
            history = classifier.fit(X, labels, sensitive_features=z).history_
            losses.append(history[FAIRNESS_LOSS].iloc[0])
        assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


@each_baseline
@given(batch=batches())
@settings(max_examples=50)
def test_every_batch_composition(estimator_class, batch):
    """Absent groups, one class, unknown groups, one sample: finite all the same."""
    samples, labels, groups, n_groups = batch
    torch.manual_seed(0)
    if estimator_class is AdversarialClassifier:
        head = AdversaryHead([torch.nn.Linear(4, n_groups)])
        objective = Objective(0.5, [[AdversaryLoss()]])
    elif estimator_class is GroupSpecificClassifier:
        head = GroupSpecificHead(
            [torch.nn.Linear(4, 2 * n_groups)], torch.nn.Linear(4, n_groups), n_groups
        )
        objective = GroupSpecificObjective(0.5)
    else:
        head = RegularizedHead()
        objective = LagrangianObjective(
            [[GroupLossFairness(n_groups)]], multiplier_init=1.0, multiplier_lr=0.1
        )
    network = MultiTaskNetwork(MLP(2, [4]), [torch.nn.Linear(4, 2)], [head])
    total = objective(network(samples), labels[:, None], groups[:, None]).total()
    total.backward()
    assert total.isfinite()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
