"""The learning curve of each class and group."""

import io
import pickle
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from fairtask import AuxiliaryFairnessClassifier, _history
from fairtask.baselines import (
    AdversarialClassifier,
    GroupSpecificClassifier,
    RegularizedClassifier,
)
from fairtask.exceptions import NothingPenalizedWarning
from tests._inputs import (
    NOT_LEARNT,
    assert_same_bits,
    make_classifier,
    make_samples,
    weights,
)

# Many of these networks stay as they were made.
pytestmark = pytest.mark.filterwarnings(NOT_LEARNT)

X, y, z = make_samples(300)
X_val, y_val, z_val = make_samples(100, seed=1)
VALIDATION = {"X_val": X_val, "y_val": y_val, "sensitive_features_val": z_val}
SEX = pd.Series(np.where(z, "m", "f"), name="sex")
TABLE = pd.DataFrame({"sex": SEX, "age": np.resize(["old", "young", None], 300)})
# Rows without a cell: no sample of class 1 in group "m".
INCOMPLETE = np.flatnonzero((y == 0) | (z == 0))
# The network is the same before, in and after training.
UNMOVED = {"lr": 1e-30, "weight_decay": 0, "dropout": 0, "max_epochs": 2}


def fit(groups=z, labels=y, rows=slice(None), validation=None, **kwargs):
    """Fit a classifier; return it with its history."""
    classifier = make_classifier(**kwargs)
    if isinstance(groups, pd.DataFrame | pd.Series):
        groups = groups.iloc[rows]
    classifier.fit(
        X[rows], labels[rows], sensitive_features=groups, **(validation or {})
    )
    return classifier, classifier.group_history_


def log_losses(y_proba, y, groups, weight=None):
    """By class and group, with the classes 0, 1, ...; missing groups are left out."""
    losses = -np.log(y_proba[np.arange(len(y)), y])
    weight = np.ones(len(y)) if weight is None else weight
    table = pd.DataFrame(
        {"class": y, "group": groups, "sum": weight * losses, "weight": weight}
    )
    sums = table.groupby(["class", "group"]).sum()
    return sums["sum"] / sums["weight"]


def assert_cells(row, expected):
    """Compare the cells of a part and an attribute, NaN where nothing is expected."""
    expected = expected.reindex(row.index)
    np.testing.assert_allclose(row.to_numpy(), expected.to_numpy(), rtol=1e-4)


class TestValues:
    @pytest.mark.parametrize("lam", [0.2, 1.0])
    def test_training_part(self, lam):
        classifier, history = fit(SEX, lam=lam, **UNMOVED)
        assert history.columns.names == ["part", "attribute", "class", "group"]
        assert history.columns.tolist() == [
            ("train", "sex", label, group) for label in (0, 1) for group in ("f", "m")
        ]
        pd.testing.assert_index_equal(history.index, classifier.history_.index)
        expected = log_losses(classifier.predict_proba(X), y, SEX)
        for epoch in (1, 2):
            assert_cells(history.loc[epoch, ("train", "sex")], expected)

    def test_first_batch_comes_before_the_first_step(self):
        _, history = fit(SEX, batch_size=300, max_epochs=1, dropout=0)
        initial, _ = fit(SEX, **UNMOVED)
        expected = log_losses(initial.predict_proba(X), y, SEX)
        assert_cells(history.loc[1, ("train", "sex")], expected)

    def test_validation_part_is_without_dropout(self):
        classifier, history = fit(dropout=0.5, validation=VALIDATION)
        expected = log_losses(classifier.predict_proba(X_val), y_val, z_val)
        assert_cells(history.loc[5, ("valid", "sensitive_feature")], expected)

    def test_cells_add_up_to_the_task_loss(self):
        classifier, history = fit()
        counts = pd.Series(1, range(300)).groupby([y, z]).sum().to_numpy()
        means = history["train"].to_numpy() @ counts / 300
        expected = classifier.history_["train_task_loss"]
        np.testing.assert_allclose(means, expected, rtol=1e-5)

    @pytest.mark.parametrize("size", [1, 100])
    def test_however_many_samples_are_summed_at_once(self, monkeypatch, size):
        _, expected = fit(validation=VALIDATION)
        monkeypatch.setattr(_history, "REDUCED_AT_ONCE", size)
        _, history = fit(validation=VALIDATION)
        pd.testing.assert_frame_equal(history, expected, rtol=1e-5)

    @pytest.mark.parametrize("weighted_losses", ["all", "task"])
    def test_weights_count_where_they_do_in_the_fairness_losses(self, weighted_losses):
        weight = np.random.default_rng(0).random(300)
        classifier = make_classifier(weighted_losses=weighted_losses, **UNMOVED)
        classifier.fit(X, y, sensitive_features=SEX, sample_weight=weight)
        weight = weight if weighted_losses == "all" else None
        expected = log_losses(classifier.predict_proba(X), y, SEX, weight)
        assert_cells(classifier.group_history_.loc[1, ("train", "sex")], expected)

    def test_unknown_groups_are_in_no_cell(self):
        classifier, history = fit(TABLE, **UNMOVED)
        expected = log_losses(classifier.predict_proba(X), y, TABLE["age"])
        assert len(expected) == 4
        assert_cells(history.loc[1, ("train", "age")], expected)

    def test_cell_without_samples(self):
        classifier, history = fit(SEX, rows=INCOMPLETE, **UNMOVED)
        assert history["train", "sex", 1, "m"].isna().all()
        proba = classifier.predict_proba(X[INCOMPLETE])
        expected = log_losses(proba, y[INCOMPLETE], SEX[INCOMPLETE])
        assert len(expected) == 3
        assert_cells(history.loc[1, ("train", "sex")], expected)

    def test_several_tasks_and_attributes(self):
        labels = pd.DataFrame(
            {"income": np.where(y, "low", "high"), "band": np.digitize(X[:, 1], [0, 1])}
        )
        classifier, history = fit(TABLE, labels, **UNMOVED)
        levels = ["part", "attribute", "task", "class", "group"]
        assert history.columns.names == levels
        probabilities = classifier.predict_proba(X)
        for attribute in TABLE:
            for k, task in enumerate(labels):
                codes = np.searchsorted(classifier.classes_[k], labels[task])
                expected = log_losses(probabilities[k], codes, TABLE[attribute])
                expected.index = expected.index.set_levels(
                    classifier.classes_[k], level="class"
                )
                assert_cells(history.loc[1, ("train", attribute, task)], expected)

    def test_groups_of_an_intersection(self):
        _, history = fit(TABLE, intersectional=True)
        groups = history.columns.unique("group").tolist()
        assert groups == [("f", "old"), ("f", "young"), ("m", "old"), ("m", "young")]
        assert history["train", "sex & age", 1, ("m", "old")].notna().all()


class TestWhatIsRecorded:
    def test_attribute_that_is_not_penalised(self):
        with pytest.warns(NothingPenalizedWarning, match="'country' has no two known"):
            classifier, history = fit(TABLE.assign(country="here"))
        assert history["train", "country"].notna().all(axis=None)
        without, _ = fit(TABLE)  # it changes nothing
        for part in ("task", "fairness"):
            assert_same_bits(weights(classifier, part), weights(without, part))

    @pytest.mark.parametrize("groups", [None, np.full(300, None)])
    def test_no_groups(self, groups):
        classifier, history = fit(groups, lam=1)
        assert history.shape == (5, 0)
        assert history.columns.names == ["part", "attribute", "class", "group"]
        pd.testing.assert_index_equal(history.index, classifier.history_.index)

    def test_not_fitted(self):
        with pytest.raises(NotFittedError):
            make_classifier().group_history_  # noqa: B018

    def test_is_not_in_the_history_and_its_log(self):
        columns, printed = [], []
        for groups in (z, None):
            with redirect_stdout(io.StringIO()) as output:
                classifier, _ = fit(groups, lam=1, verbose=2, max_epochs=1)
            printed.append(output.getvalue().splitlines()[0].split())
            columns.append(list(classifier.history_))
            recorded = dict(classifier.net_.history[-1])
            assert set(recorded) >= set(columns[-1])
            del recorded["batches"]
            assert not any(isinstance(value, list) for value in recorded.values())
        assert columns[0] == columns[1]
        assert printed[0] == printed[1]

    def test_epoch_that_a_callback_ends_at_its_beginning(self):
        class End(Callback):
            def on_epoch_begin(self, net, **kwargs):
                if len(net.history) == 3:
                    raise KeyboardInterrupt

        _, history = fit(callbacks=[End()])
        assert history.index.tolist() == [1, 2, 3]
        assert history.isna().all(axis=1).tolist() == [False, False, True]


@pytest.mark.parametrize(
    "estimator_class",
    [
        AuxiliaryFairnessClassifier,
        AdversarialClassifier,
        GroupSpecificClassifier,
        RegularizedClassifier,
    ],
)
def test_every_estimator(tmp_path, estimator_class):
    classifier = estimator_class(random_state=0, device="cpu", **UNMOVED)
    classifier.fit(X, y, sensitive_features=SEX)
    (logits,) = classifier.net_.evaluate(
        classifier._dataset(X), lambda network, X, _: network(X).task
    )
    expected = log_losses(logits.softmax(dim=1).numpy(), y, SEX)
    history = classifier.group_history_
    assert_cells(history.loc[2, ("train", "sex")], expected)
    classifier.save(tmp_path / "model")
    loaded = estimator_class.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.group_history_, history)


class TestGoingOn:
    def test_warm_start(self):
        classifier, first = fit(warm_start=True, max_epochs=2)
        classifier.fit(X, y, sensitive_features=z, **VALIDATION)
        history = classifier.group_history_
        assert history.index.tolist() == [1, 2, 3, 4]
        pd.testing.assert_frame_equal(history.loc[:2, ["train"]], first)
        without = history["valid"].isna().all(axis=1)
        assert without.tolist() == [True, True, False, False]

    def test_partial_fit(self):
        classifier = make_classifier()
        rows = np.flatnonzero((y == 0) & (z == 0))
        classifier.partial_fit(
            X[rows], y[rows], [0, 1], sensitive_features=z[rows], groups=[0, 1]
        )
        classifier.partial_fit(X, y, sensitive_features=z)
        history = classifier.group_history_
        cells = [(label, group) for label in (0, 1) for group in (0, 1)]
        assert history["train", "sensitive_feature"].columns.tolist() == cells
        expected = [[True, False, False, False], [True] * 4]
        assert history.notna().to_numpy().tolist() == expected

    def test_early_stopping(self):
        classifier, history = fit(
            early_stopping=True, n_iter_no_change=2, max_epochs=50, lr=0.05
        )
        assert len(history) == len(classifier.history_) < 50
        assert history.notna().all(axis=None)
        assert history.columns.unique("part").tolist() == ["train", "valid"]

    @pytest.mark.parametrize("transfer", ["pickle", "save"])
    def test_copies(self, tmp_path, transfer):
        validation = {**VALIDATION, "sensitive_features_val": TABLE[:100]}
        classifier, history = fit(
            TABLE, rows=INCOMPLETE, validation=validation, max_epochs=2
        )
        assert history.isna().any(axis=None)
        if transfer == "pickle":
            copy = pickle.loads(pickle.dumps(classifier))
        else:
            classifier.save(tmp_path / "model")
            copy = AuxiliaryFairnessClassifier.load(tmp_path / "model")
        pd.testing.assert_frame_equal(copy.group_history_, history)
        copy.partial_fit(
            X[INCOMPLETE], y[INCOMPLETE], sensitive_features=TABLE.loc[INCOMPLETE]
        )
        assert len(copy.group_history_) == 3
        pd.testing.assert_frame_equal(copy.group_history_.loc[:2], history)
        assert len(classifier.group_history_) == 2
