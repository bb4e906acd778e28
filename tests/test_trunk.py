"""A trunk of the user's own for tables."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torch import nn
from torch.testing import assert_close

from fairtask.baselines import AdversarialClassifier, RegularizedClassifier
from tests._inputs import (
    NOT_LEARNT,
    assert_same_bits,
    make_classifier,
    make_samples,
    weights,
)

X, y, z = make_samples(300)


def make_module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh())


def from_width(n_features):
    return nn.Sequential(nn.Linear(n_features, 8), nn.Tanh())


def make_trunk_classifier(trunk, **kwargs):
    return make_classifier(trunk=trunk, hidden_layer_sizes=(128, 64), **kwargs)


def fit(trunk, **kwargs):
    return make_trunk_classifier(trunk, **kwargs).fit(X, y, sensitive_features=z)


class TestModule:
    def test_trains_a_copy_with_its_weights(self):
        module = make_module().eval()
        before = copy.deepcopy(module.state_dict())
        untrained = fit(module, lr=1e-30, weight_decay=0, max_epochs=1)
        trained = fit(module)
        assert_same_bits(module.state_dict(), before)
        assert not module.training
        for name, start in module.named_parameters():
            kept, moved = (
                classifier.net_.module_.trunk[1].get_parameter(name)
                for classifier in (untrained, trained)
            )
            assert_close(kept, start)
            assert (moved != start).any()
        assert trained.transform(X).shape == (300, 8)
        assert trained.score(X, y) > 0.8

    def test_batch_normalisation_trains_without_a_batch_of_one(self):
        classifier = make_trunk_classifier(make_module(), batch_size=32)
        classifier.fit(X[:65], y[:65], sensitive_features=z[:65])
        assert np.isfinite(classifier.history_["train_loss"]).all()

    def test_samples_stay_as_they_are(self):
        def in_place(n_features):
            return nn.Sequential(nn.ReLU(inplace=True), nn.Linear(n_features, 8))

        samples = X.astype(np.float32)
        before = samples.copy()
        classifier = make_trunk_classifier(in_place)
        classifier.fit(samples, y, sensitive_features=z).predict(samples)
        np.testing.assert_array_equal(samples, before)

    def test_clone_has_a_copy(self):
        classifier = make_trunk_classifier(make_module())
        copied = clone(classifier)
        assert copied.trunk is not classifier.trunk
        classifier, copied = (
            c.fit(X, y, sensitive_features=z) for c in (classifier, copied)
        )
        assert_same_bits(weights(copied), weights(classifier))

    def test_partial_fit_goes_on(self):
        classifier = fit(make_module())
        before = copy.deepcopy(weights(classifier))
        classifier.partial_fit(X, y, sensitive_features=z)
        assert len(classifier.history_) == 6
        moved = weights(classifier)["trunk.1.0.weight"] - before["trunk.1.0.weight"]
        assert 0 < moved.abs().max() < 0.1  # from where it was

    def test_file_needs_pickle(self, tmp_path):
        with pytest.raises(ValueError, match=r"`trunk` holds a Sequential, .*pickle"):
            fit(make_module()).save(tmp_path / "model")

    @pytest.mark.filterwarnings(NOT_LEARNT)
    def test_without_weights(self):
        with pytest.raises(
            ValueError, match="`trunk` must have weights that are not frozen"
        ):
            fit(nn.Identity())
        assert fit(nn.Identity(), lam=1).transform(X).shape == (300, 5)

    @pytest.mark.parametrize(
        "classifier_class", [AdversarialClassifier, RegularizedClassifier]
    )
    def test_of_a_baseline(self, classifier_class):
        classifier = classifier_class(
            trunk=make_module(), numeric_encoding=None, max_epochs=1, random_state=0
        )
        assert classifier.fit(X, y, sensitive_features=z).transform(X).shape[1] == 8


class TwoOutputs(nn.Linear):
    def forward(self, X):
        h = super().forward(X)
        return (h, h) if self.training else h


def test_a_second_output_in_training_is_refused():
    message = "`trunk` must return one tensor in training.* returned a tuple"
    with pytest.raises(ValueError, match=message):
        fit(lambda n: TwoOutputs(n, 8))


class TestCallable:
    def test_gets_the_number_of_encoded_features(self):
        table = pd.DataFrame(X).add_prefix("x").assign(c=np.resize(["u", "v"], 300))
        classifier = make_trunk_classifier(from_width)
        classifier.fit(table, y, sensitive_features=z)
        assert classifier.net_.module_.trunk[1][0].in_features == 5 + 2

    def test_draws_its_weights_from_the_seed_of_the_training(self):
        assert_same_bits(weights(fit(from_width)), weights(fit(from_width)))
        equal = make_classifier(hidden_layer_sizes=(8,), activation="tanh", dropout=0)
        equal.fit(X, y, sensitive_features=z)
        assert_same_bits(weights(fit(from_width)), weights(equal))


@pytest.mark.parametrize("trunk", [make_module(), from_width])
def test_pickle(trunk):
    classifier = fit(trunk)
    restored = pickle.loads(pickle.dumps(classifier))
    assert np.array_equal(restored.predict_proba(X), classifier.predict_proba(X))
    restored.partial_fit(X, y, sensitive_features=z)
    assert len(restored.history_) == 6


@pytest.mark.parametrize(
    ("before", "now"), [(make_module(), make_module()), (from_width, make_module())]
)
def test_another_trunk_is_refused_in_a_training_that_goes_on(before, now):
    classifier = fit(before)
    with pytest.raises(ValueError, match=r"(?s)`trunk` was .* when the net"):
        classifier.set_params(trunk=now).partial_fit(X, y, sensitive_features=z)


@pytest.mark.parametrize(
    ("trunk", "kwargs", "message"),
    [
        (nn.Linear(4, 8), {}, "`trunk` cannot compute .* sample of shape \\(5,\\)"),
        (
            nn.Sequential(nn.Linear(5, 8), nn.Unflatten(1, (2, 4))),
            {},
            r"`trunk` must return .* \(n_samples, width\).* has shape \(1, 2, 4\)",
        ),
        (lambda n: nn.LSTM(n, 8), {}, "`trunk` must return .* has type tuple"),
        (lambda n: n, {}, "`trunk` must be a torch.nn.Module, .* returned 5"),
        (7, {}, "'trunk' parameter .* Got 7"),
        (
            from_width,
            {"hidden_layer_sizes": (16,)},
            r"`hidden_layer_sizes=\(16,\)` has no use with a `trunk` of your own",
        ),
        (from_width, {"dropout": 0.5}, "`dropout=0.5` has no use with a `trunk`"),
        (from_width, {"activation": "tanh"}, "`activation='tanh'` has no use with a"),
    ],
)
def test_bad_trunk(trunk, kwargs, message):
    classifier = make_trunk_classifier(trunk).set_params(**kwargs)
    with pytest.raises(ValueError, match=message):
        classifier.fit(X, y, sensitive_features=z)


def test_a_callable_may_return_the_same_module():
    module = nn.Sequential(nn.Linear(5, 8), nn.Tanh()).double()
    first = fit(lambda n_features: module)
    before = first.predict_proba(X)
    fit(lambda n_features: module, random_state=1)
    np.testing.assert_array_equal(first.predict_proba(X), before)
