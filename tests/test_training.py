"""Trainings with weights, validation data, several tasks, or more than one `fit`."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from skorch.callbacks import Callback, GradientNormClipping
from torch.testing import assert_close

from fairtask.exceptions import NothingPenalizedWarning
from fairtask.metrics import equalized_odds_difference
from tests._inputs import (
    NOT_LEARNT,
    assert_same_bits,
    make_classifier,
    make_samples,
    weights,
)

X, y, z = make_samples(300)
X_val, y_val, z_val = make_samples(200, seed=1)
VALIDATION = {"X_val": X_val, "y_val": y_val, "sensitive_features_val": z_val}
FAIRNESS_LOSS = "train_fairness_loss_sensitive_feature"
LABELS = pd.DataFrame(
    {"income": np.where(y, "high", "low"), "band": np.digitize(X[:, 1], [-0.5, 0.5])}
)
# The weights stay as they are.
UNMOVED = {"lr": 1e-30, "weight_decay": 0, "max_epochs": 1}


def fit(classifier, **kwargs):
    return classifier.fit(X, y, sensitive_features=z, **kwargs)


def partial_fit(classifier, **kwargs):
    return classifier.partial_fit(X, y, sensitive_features=z, **kwargs)


class TestSampleWeight:
    weight = np.random.default_rng(0).integers(0, 4, 300)

    def full_batch(self, **kwargs):
        settings = {"optimizer": "sgd", "lr": 0.2, "lr_schedule": "constant"}
        return make_classifier(batch_size=1000, dropout=0.0, **settings, **kwargs)

    @pytest.mark.parametrize("lam", [0.2, 1.0])
    def test_weight_is_repetition(self, lam):
        # Of the whole set in one batch and without dropout, so that only the weights
        # can make a difference; training on the repeated rows sees the same means. The
        # distance in the representation also depends on the number of samples.
        rows = np.repeat(np.arange(300), self.weight)
        settings = {"lam": lam, "representation_weight": 0.0}
        weighted = fit(self.full_batch(**settings), sample_weight=self.weight)
        repeated = self.full_batch(**settings).fit(
            X[rows], y[rows], sensitive_features=z[rows]
        )
        plain = fit(self.full_batch(**settings))
        proba = weighted.predict_proba(X)
        assert np.abs(proba - repeated.predict_proba(X)).max() < 0.001
        assert np.abs(proba - plain.predict_proba(X)).max() > 0.01

    def test_scale_does_not_matter(self):
        first, second = (
            fit(make_classifier(), sample_weight=scale * self.weight)
            for scale in (1, 1000)
        )
        assert_close(weights(first), weights(second))

    def test_equal_weights_are_none(self):
        weighted = fit(make_classifier(), sample_weight=np.full(300, 3.0))
        assert_close(weights(weighted), weights(fit(make_classifier())))

    def test_class_weight_equals_sample_weight(self):
        # The covariance of the representation is that of all classes together.
        alone = {"representation_weight": 0.0}
        by_class = fit(make_classifier(class_weight={0: 1, 1: 4}, **alone))
        by_sample = fit(make_classifier(**alone), sample_weight=np.where(y == 1, 4, 1))
        assert_close(weights(by_class), weights(by_sample))

    @pytest.mark.filterwarnings(NOT_LEARNT)
    def test_weights_of_the_task_alone_leave_the_groups(self):
        # The fairness loss of the first batch, before any step: it sees the weights
        # only if they count there.
        def first_loss(sample_weight, scope):
            classifier = self.full_batch(weighted_losses=scope, max_epochs=1)
            history = fit(classifier, sample_weight=sample_weight).history_
            return history[FAIRNESS_LOSS].iloc[0]

        weight = np.where(np.arange(300) % 2, 1.0, 5.0)
        unweighted = first_loss(None, "all")
        assert first_loss(weight, "task") == pytest.approx(unweighted, rel=1e-5)
        assert first_loss(weight, "all") != pytest.approx(unweighted, rel=1e-2)

    def test_balanced_class_weight_finds_more_of_the_rare_class(self):
        rare = np.flatnonzero((y == 0) | (np.arange(300) % 6 == 0))
        share = {}
        for class_weight in (None, "balanced"):
            classifier = make_classifier(class_weight=class_weight, max_epochs=10)
            classifier.fit(X[rare], y[rare], sensitive_features=z[rare])
            share[class_weight] = classifier.predict(X[rare]).mean()
        assert share["balanced"] > share[None]

    @pytest.mark.parametrize(
        ("weight", "class_weight", "message"),
        [
            (np.ones(299), None, "sample_weight"),
            (-np.ones(300), None, "`sample_weight` must not be negative; found -1"),
            (np.zeros(300), None, "[Ss]ample.weight.* zero|non-zero"),
            (np.full(300, np.nan), None, "`sample_weight` must be finite"),
            ((y == 0).astype(float), {0: 0}, "together leave no sample"),
            (y, None, r"must leave two classes .* classes \[0\] have the weight 0"),
            (
                None,
                {1: 0},
                r"must leave two classes .* classes \[1\] have the weight 0",
            ),
        ],
    )
    def test_bad_weights(self, weight, class_weight, message):
        with pytest.raises(ValueError, match=message):
            fit(make_classifier(class_weight=class_weight), sample_weight=weight)

    def test_one_of_three_classes_without_weight(self):
        labels = np.array(["a", "b", "c"])[2 * y]
        labels[::3] = "b"
        weight = (labels != "b").astype(float)
        with pytest.warns(UserWarning, match=r"classes \['b'\] have the weight 0"):
            classifier = make_classifier(lr=0.05).fit(
                X, labels, sensitive_features=z, sample_weight=weight
            )
        assert set(classifier.predict(X)) == {"a", "c"}

    def test_one_class_of_several_tasks_without_weight(self):
        labels = pd.DataFrame({"a": y, "b": np.arange(300) % 2})
        with pytest.raises(ValueError, match=r"\[0\] of the task 'a' have"):
            make_classifier().fit(X, labels, sensitive_features=z, sample_weight=y)

    @pytest.mark.filterwarnings(NOT_LEARNT)
    def test_a_part_of_a_stream_may_lack_the_weight_of_a_class(self):
        make_classifier().partial_fit(X, y, sensitive_features=z, sample_weight=y)

    def test_all_weight_held_out(self):
        weight = np.zeros(300)
        weight[[y.argmin(), y.argmax()]] = 1
        classifier = make_classifier(
            early_stopping=True, validation_fraction=0.99, max_epochs=1
        )
        with pytest.raises(ValueError, match="holds out all samples whose weight"):
            fit(classifier, sample_weight=weight)


class TestEarlyStopping:
    def early(self, **kwargs):
        settings = {"lr": 0.05, "lr_schedule": "constant", "early_stopping": True}
        return make_classifier(**{**settings, **kwargs})

    def test_stops_after_the_best_epoch(self):
        seen = []

        class Record(Callback):
            def on_epoch_end(self, net, **kwargs):
                seen.append(net.history[-1, "valid_score"])

        classifier = self.early(
            validation_fraction=0.3,
            n_iter_no_change=3,
            max_epochs=100,
            callbacks=[Record()],
        )
        score = fit(classifier).history_["valid_score"]
        assert len(score) == score.idxmax() + 3 < 100
        assert seen == score.tolist()  # the last epoch is among them

    @pytest.mark.slow
    @pytest.mark.parametrize("scoring", ["neg_log_loss", "accuracy", "roc_auc"])
    def test_weights_are_those_of_the_best_epoch(self, scoring):
        classifier = self.early(
            epoch_scoring=scoring, n_iter_no_change=None, max_epochs=30
        )
        history = fit(classifier, **VALIDATION).history_
        assert len(history) == 30
        assert history["valid_score"].idxmax() < 30
        proba = classifier.predict_proba(X_val)
        score = {
            "neg_log_loss": np.log(proba[np.arange(200), y_val]).mean(),
            "accuracy": (proba.argmax(axis=1) == y_val).mean(),
            "roc_auc": roc_auc_score(y_val, proba[:, 1]),
        }[scoring]
        assert score == pytest.approx(history["valid_score"].max())

    def test_callable_sees_labels_probabilities_and_groups(self):
        seen = []

        def score(y_true, y_proba, sensitive_features):
            seen.append((y_true, y_proba, sensitive_features))
            return -equalized_odds_difference(
                y_true == "high",
                y_proba[:, 1] > 0.5,
                sensitive_features=sensitive_features,
            )

        self.early(epoch_scoring=score).fit(
            X,
            LABELS["income"],
            sensitive_features=pd.Series(np.where(z, "m", "f"), name="sex"),
        )
        y_true, y_proba, sensitive_features = seen[0]
        assert set(y_true) == {"high", "low"}
        assert y_proba.shape == (30, 2)
        assert set(sensitive_features["sex"]) == {"f", "m"}

    def test_held_out_samples_are_not_trained_on(self):
        classifier = fit(self.early(validation_fraction=0.5, max_epochs=1))
        batches = classifier.net_.history[-1, "batches"]
        assert sum(batch.get("train_batch_size", 0) for batch in batches) == 150

    def test_validation_data_without_early_stopping_are_recorded(self):
        classifier = fit(make_classifier(), **VALIDATION)
        row = classifier.history_.iloc[-1]
        proba = classifier.predict_proba(X_val)[np.arange(200), y_val]
        assert row["valid_task_loss"] == pytest.approx(-np.log(proba).mean(), rel=1e-5)
        assert row["valid_fairness_loss_sensitive_feature"] > 0
        assert_close(weights(classifier), weights(fit(make_classifier())))

    def test_unseen_group_in_validation_data_is_unknown(self):
        unseen = {**VALIDATION, "sensitive_features_val": [7] * 200}
        history = fit(make_classifier(), **unseen).history_
        assert (history["valid_fairness_loss_sensitive_feature"] == 0).all()

    def test_validation_data_are_not_kept(self):
        sizes = []
        for n in (100, 10_000):
            names = ("X_val", "y_val", "sensitive_features_val")
            validation = dict(zip(names, make_samples(n, seed=1), strict=True))
            sizes.append(len(pickle.dumps(fit(self.early(), **validation))))
        assert sizes[1] < sizes[0] + 1000

    def test_score_that_is_never_a_number(self):
        with pytest.warns(UserWarning, match="`epoch_scoring` gave no number"):
            fit(self.early(epoch_scoring=lambda *_: float("nan")))

    def test_score_of_another_type(self):
        with pytest.raises(ValueError, match="`epoch_scoring` must return a number"):
            fit(self.early(epoch_scoring=lambda *_: "good"))

    def test_user_interrupts_the_scoring(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit(self.early(epoch_scoring=interrupt))

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"X_val": X}, "`X_val` and `y_val` belong together; `y_val` is None"),
            ({"y_val": y}, "`X_val` and `y_val` belong together; `X_val` is None"),
            ({"sensitive_features_val": z}, "needs `X_val` and `y_val`"),
            ({"X_val": X[:, :2], "y_val": y}, "X has 2 features, but .* expecting 5"),
            ({"X_val": X, "y_val": y + 5}, r"must hold the classes \[0, 1\]"),
            ({"X_val": X[y == 0], "y_val": y[y == 0]}, r"every class .*missing: \[1\]"),
        ],
    )
    def test_bad_validation_data(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            fit(self.early(epoch_scoring="roc_auc"), **kwargs)


class TestPartialFit:
    def test_learns(self):
        X, y, z = make_samples(3000)
        classifier = make_classifier()
        for rows in np.array_split(np.arange(3000), 30):
            classifier.partial_fit(X[rows], y[rows], sensitive_features=z[rows])
        assert classifier.score(X, y) > 0.85
        assert len(classifier.history_) == 30

    def test_first_part_may_lack_groups_and_classes(self):
        classifier = make_classifier()
        rows = np.flatnonzero((y == 0) & (z == 0))
        classifier.partial_fit(
            X[rows], y[rows], [0, 1], sensitive_features=z[rows], groups=[0, 1]
        )
        assert classifier.predict_proba(X).shape == (300, 2)
        first, second = partial_fit(classifier).history_[FAIRNESS_LOSS]
        assert first == 0 < second

    @pytest.mark.parametrize(
        ("y_more", "z_more", "message"),
        [
            (y + 1, z, r"`y` must hold the classes \[0, 1\]; found \[2\] as well"),
            (y, z + 1, r"must hold the groups \[0, 1\]; found \[2\] as well"),
        ],
    )
    def test_classes_and_groups_that_were_not_announced(self, y_more, z_more, message):
        classifier = partial_fit(make_classifier())
        before = copy.deepcopy(weights(classifier))
        with pytest.raises(ValueError, match=message):
            classifier.partial_fit(X, y_more, sensitive_features=z_more)
        assert_same_bits(weights(classifier), before)

    def test_optimizer_goes_on(self):
        classifier = partial_fit(partial_fit(make_classifier()))
        state = classifier.net_.optimizer_.state_dict()["state"]
        assert state[0]["step"].item() == 2 * 5  # batches of 64 out of 300

    def test_a_part_that_fails_leaves_the_optimizer(self):
        classifier = partial_fit(make_classifier())
        before = copy.deepcopy(classifier.net_.optimizer_.state_dict()["state"])
        with pytest.raises(ValueError, match="diverged"):
            partial_fit(classifier.set_params(lr=1e30))
        assert_close(classifier.net_.optimizer_.state_dict()["state"], before)
        partial_fit(classifier.set_params(lr=0.01))

    @pytest.mark.parametrize("optimizers", [("sgd", "adamw"), ("adamw", "sgd")])
    def test_another_optimizer_starts_anew(self, optimizers):
        first, second = optimizers
        classifier = partial_fit(make_classifier(optimizer=first))
        partial_fit(classifier.set_params(optimizer=second))
        assert len(classifier.history_) == 2

    def test_tasks_in_another_order(self):
        classifier = make_classifier().partial_fit(X, LABELS, sensitive_features=z)
        with pytest.raises(ValueError, match=r"must have the columns \['income', 'b"):
            classifier.partial_fit(X, LABELS[["band", "income"]], sensitive_features=z)
        classifier.partial_fit(X, LABELS.to_numpy(), sensitive_features=z)

    def test_goes_on_from_fit_with_the_learning_rate_of_partial_fit(self):
        classifier = partial_fit(fit(make_classifier()))
        assert len(classifier.history_) == 6
        assert classifier.net_.optimizer_.param_groups[0]["lr"] == classifier.lr

    def test_balanced_class_weight_is_refused(self):
        with pytest.raises(ValueError, match="`class_weight='balanced'` cannot be"):
            partial_fit(make_classifier(class_weight="balanced"))


class TestWarmStart:
    @pytest.fixture
    def classifier(self):
        return fit(make_classifier(warm_start=True, lr_schedule="constant"))

    def test_goes_on(self, classifier):
        first = classifier.history_["train_task_loss"].iloc[0]
        history = fit(classifier).history_
        assert len(history) == 10
        assert history["train_task_loss"].iloc[5] < 0.9 * first

    def test_other_classes_are_refused(self, classifier):
        with pytest.raises(ValueError, match=r"must hold the classes \[0, 1\]"):
            classifier.fit(X, y + 1, sensitive_features=z)

    def test_changed_parameters_count(self, classifier):
        row = fit(classifier.set_params(lam=0.7)).history_.iloc[-1]
        expected = 0.7 * row["train_task_loss"] + 0.3 * row[FAIRNESS_LOSS]
        assert row["train_loss"] == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("hidden_layer_sizes", (8,)),
            ("fairness_head", "task"),
            ("parity", "overall"),
            ("activation", "tanh"),
        ],
    )
    def test_parameters_that_do_not_fit_the_network(self, classifier, name, value):
        with pytest.raises(ValueError, match=f"`{name}` was .* when the network was"):
            fit(classifier.set_params(**{name: value}))

    def test_fairness_cannot_be_added(self):
        classifier = fit(make_classifier(warm_start=True, lam=1))
        with pytest.warns(NothingPenalizedWarning, match="has no fairness head"):
            fit(classifier.set_params(lam=0.2))

    def test_without_the_groups_that_were_there(self, classifier):
        with pytest.warns(NothingPenalizedWarning, match="no known group"):
            classifier.fit(X, y)

    def test_failed_training_leaves_what_was_fitted(self, classifier):
        before, history = classifier.predict_proba(X), classifier.group_history_
        with pytest.raises(ValueError, match="diverged"):
            fit(classifier.set_params(lr=1e30))
        assert np.array_equal(classifier.predict_proba(X), before)
        pd.testing.assert_frame_equal(classifier.group_history_, history)


@pytest.mark.filterwarnings(NOT_LEARNT)
@pytest.mark.parametrize("train", [fit, partial_fit])
def test_a_training_that_goes_on_has_other_batches_and_dropout(train):
    classifier = make_classifier(warm_start=True, dropout=0.5, **UNMOVED)
    losses = [train(classifier).history_.iloc[-1, 0] for _ in range(3)]
    assert len(set(losses)) == 3


class TestSeveralTasks:
    def test_binary_and_multiclass(self):
        classifier = make_classifier(max_epochs=15, lr=0.02)
        classifier.fit(X, LABELS, sensitive_features=z)
        assert [c.tolist() for c in classifier.classes_] == [["high", "low"], [0, 1, 2]]
        proba = classifier.predict_proba(X)
        assert [p.shape for p in proba] == [(300, 2), (300, 3)]
        y_pred = classifier.predict(X)
        assert y_pred.shape == (300, 2)
        right = y_pred == LABELS.to_numpy(dtype=object)
        assert (right.mean(axis=0) > 0.8).all()
        assert classifier.score(X, LABELS) == pytest.approx(right.all(axis=1).mean())
        assert set(classifier.history_) >= {
            "train_task_loss_income",
            "train_task_loss_band",
            FAIRNESS_LOSS,
        }

    def test_positive_classes_of_other_tasks_are_refused(self):
        classifier = make_classifier(
            parity="equal_opportunity", positive_classes=["low"]
        )
        with pytest.raises(ValueError, match="an entry for each of the 2 tasks"):
            classifier.fit(X, LABELS, sensitive_features=z)

    def test_positive_classes_of_each_task(self):
        classifier = make_classifier(
            parity="equal_opportunity", positive_classes=[["low"], [0, 2]], max_epochs=1
        )
        classifier.fit(X, LABELS, sensitive_features=z)
        of_income, of_band = classifier.net_.criterion_.fairness_losses[0]
        assert of_income.stratum_classes.tolist() == [1]
        assert of_band.stratum_classes.tolist() == [0, 2]

    def test_early_stopping_averages_the_tasks(self):
        classifier = make_classifier(
            early_stopping=True, epoch_scoring="accuracy", n_iter_no_change=None
        )
        validation = {"X_val": X, "y_val": LABELS, "sensitive_features_val": z}
        classifier.fit(X, LABELS, sensitive_features=z, **validation)
        right = classifier.predict(X) == LABELS.to_numpy(dtype=object)
        assert classifier.history_["valid_score"].max() == pytest.approx(right.mean())


class TestIntersections:
    def test_groups_are_the_combinations(self):
        table = pd.DataFrame({"sex": z, "age": np.resize(["old", "young", None], 300)})
        classifier = make_classifier(intersectional=True)
        classifier.fit(X, y, sensitive_features=table)
        assert classifier.sensitive_feature_names_ == ["sex & age"]
        pairs = [(0, "old"), (0, "young"), (1, "old"), (1, "young")]
        assert classifier.groups_[0].tolist() == pairs

    def test_one_attribute_is_itself(self):
        together, alone = (
            fit(make_classifier(intersectional=flag)) for flag in (True, False)
        )
        assert_close(weights(together), weights(alone))


def test_an_error_of_a_callback_is_its_own():
    class Broken(Callback):
        def initialize(self):
            raise ValueError("no such folder")

    with pytest.raises(ValueError, match=r"^no such folder$"):
        fit(make_classifier(callbacks=[Broken()]))


@pytest.mark.filterwarnings(NOT_LEARNT)
def test_gradient_norm_is_clipped_by_a_callback():
    # With plain SGD of one step the weights move by lr times the clipped norm.
    settings = {
        "optimizer": torch.optim.SGD,
        "lr_schedule": "constant",
        "batch_size": 300,
        "dropout": 0,
        "lam": 1,
        "max_epochs": 1,
    }
    start = weights(fit(make_classifier(**{**settings, "lr": 1e-30})))
    clip = GradientNormClipping(0.1)
    end = weights(fit(make_classifier(callbacks=[clip], **settings)))
    moved = torch.cat([(end[k] - start[k]).flatten() for k in start]).norm()
    assert moved.item() == pytest.approx(0.01 * 0.1, rel=1e-3)


def test_batch_size_auto_gives_small_data_more_steps():
    sizes = {}
    for n in (300, 3000, 30_000):
        X, y, z = make_samples(n)
        classifier = make_classifier(batch_size="auto", max_epochs=1)
        history = classifier.fit(X, y, sensitive_features=z).net_.history
        sizes[n] = history[-1, "batches", 0, "train_batch_size"]
    assert sizes == {300: 32, 3000: 93, 30_000: 512}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_unknown_groups_in_any_share(share):
    some = np.where(np.arange(300) < 300 * share, None, z.astype(object))
    with_unknown = make_classifier().fit(X, y, sensitive_features=some)
    column = with_unknown.history_[FAIRNESS_LOSS]
    assert np.isfinite(column).all()
    assert (column > 0).any()
