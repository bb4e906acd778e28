"""Fairness scorers wherever scikit-learn scores, with metadata routing on and off."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import check_scoring
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairtask import metrics
from fairtask.exceptions import ConstantClassifierWarning
from fairtask.metrics import (
    equalized_odds_difference,
    make_fairness_scorer,
    make_fairness_scoring,
)
from fairtask.metrics._names import METRICS
from tests._inputs import make_classifier, make_samples

X, y, z = make_samples(240)
# An index that is not the position, in an order of its own.
INDEX = pd.Index(np.random.default_rng(0).permutation(240) + 1000)
FRAME = pd.DataFrame(X, columns=list("abcde"), index=INDEX)
LABELS = pd.Series(y, index=INDEX)
GROUPS = pd.Series(z, index=INDEX, name="sex")
SHUFFLED = GROUPS.sample(frac=1, random_state=0)
NAMES = list(METRICS)
CV = KFold(3, shuffle=True, random_state=0)


EOD = "equalized_odds_difference"
PARITY = "demographic_parity_difference"


def output_for(name, model, X):
    """Predictions, scores or probabilities, as the metric takes them."""
    output = METRICS[name].family.output
    if output == "y_pred":
        return model.predict(X)
    if output == "y_score":
        return model.decision_function(X)
    prob = model.predict_proba(X)
    return prob if prob.shape[1] > 2 else prob[:, 1]


def score_of(name, y_true, output, z, **kwargs):
    """Score of an output, from the metric itself."""
    value = getattr(metrics, name)(y_true, output, sensitive_features=z, **kwargs)
    return value if name.endswith("ratio") else -value


def by_hand(name, model=None):
    """Scores of the folds, from the metric itself."""
    scores = []
    for train, test in CV.split(X):
        fitted = (model or LogisticRegression()).fit(X[train], y[train])
        output = output_for(name, fitted, X[test])
        scores.append(score_of(name, y[test], output, z[test]))
    return scores


def cross_validated(scorer, X=X, y=y, model=None, **kwargs):
    arguments = {"cv": CV, "error_score": "raise", **kwargs}
    model = model or LogisticRegression()
    return cross_val_score(model, X, y, scoring=scorer, **arguments)


def halving_search(model, params, scorer):
    return HalvingGridSearchCV(
        model,
        params,
        scoring=scorer,
        cv=CV,
        min_resources=120,
        factor=2,
        random_state=0,
        error_score="raise",
    )


class TestByIndex:
    """Without metadata routing the groups are found by the index of the samples."""

    @pytest.mark.parametrize("name", NAMES)
    def test_cross_val_score(self, name):
        scorer = make_fairness_scorer(name, sensitive_features=SHUFFLED)
        expected = by_hand(name)
        for samples, labels in ((FRAME, y), (X, LABELS), (FRAME, LABELS)):
            scores = cross_validated(scorer, samples, labels)
            # Columns of a data frame are added up in another order.
            assert scores == pytest.approx(expected, abs=1e-6)

    def test_in_a_pipeline_that_drops_the_index(self):
        model = make_pipeline(
            make_column_transformer((StandardScaler(), list("abcde"))),
            LogisticRegression(),
        )
        scorer = make_fairness_scorer(
            equalized_odds_difference, sensitive_features=SHUFFLED
        )
        scores = cross_validated(scorer, FRAME, model=model)
        assert len(set(scores)) == 3
        assert (scores < 0).all()

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    def test_multi_metric_search(self):
        scoring = make_fairness_scoring(
            ["roc_auc", *NAMES], sensitive_features=SHUFFLED, min_group_size=2
        )
        search = GridSearchCV(
            LogisticRegression(),
            {"C": [0.01, 1.0]},
            scoring=scoring,
            refit=EOD,
            cv=CV,
            error_score="raise",
        ).fit(FRAME, y)
        for name in NAMES:
            folds = [search.cv_results_[f"split{i}_test_{name}"][1] for i in range(3)]
            assert folds == pytest.approx(by_hand(name, LogisticRegression(C=1.0)))
        eod = search.cv_results_[f"mean_test_{EOD}"]
        assert search.best_index_ == eod.argmax()  # the greater the better

    def test_halving_search(self):
        scorer = make_fairness_scorer(PARITY, sensitive_features=SHUFFLED)
        search = halving_search(LogisticRegression(), {"C": [0.01, 0.1, 1.0]}, scorer)
        search.fit(FRAME, y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert search.n_iterations_ == 2

    @pytest.mark.slow
    def test_in_several_processes(self):
        scorer = make_fairness_scorer(EOD, sensitive_features=SHUFFLED)
        scores = cross_validated(scorer, FRAME, n_jobs=2)
        assert scores == pytest.approx(by_hand(EOD))

    def test_estimator_that_takes_sensitive_features(self):
        search = GridSearchCV(
            make_classifier(max_epochs=2),
            {"lam": [0.5, 1.0]},
            scoring=make_fairness_scoring(["accuracy", EOD], sensitive_features=GROUPS),
            refit="accuracy",
            cv=2,
            error_score="raise",
        ).fit(FRAME, y, sensitive_features=GROUPS)
        disparity = search.cv_results_[f"mean_test_{EOD}"]
        assert (disparity <= 0).all()
        assert np.isfinite(disparity).all()

    def test_several_attributes(self):
        both = pd.DataFrame({"sex": GROUPS, "coin": np.arange(240) % 2})
        arguments = {"sensitive_features": both, "attributes": "intersection"}
        scorer = make_fairness_scorer(EOD, **arguments)
        model = LogisticRegression().fit(X, y)
        expected = equalized_odds_difference(y, model.predict(X), **arguments)
        assert scorer(model, X, LABELS) == -expected

    @pytest.mark.parametrize(
        ("samples", "labels", "message"),
        [
            (X, y, "`X` or `y` must be a pandas object; got ndarray and ndarray"),
            (
                FRAME,
                LABELS.sort_index(),
                "`X` and `y` must hold their rows",
            ),
            (
                FRAME.reset_index(drop=True),
                y,
                r"no `sensitive_features` for 240 of 240 .*: \[0, 1, 2, 3, 4\]",
            ),
        ],
    )
    def test_error_names_the_missing_part(self, samples, labels, message):
        model = LogisticRegression().fit(X, y)
        scorer = make_fairness_scorer(EOD, sensitive_features=GROUPS)
        with pytest.raises(ValueError, match=message):
            scorer(model, samples, labels)


class TestRouted:
    """With metadata routing they are passed beside `X` and `y`."""

    @pytest.fixture(autouse=True)
    def _routing(self):
        with sklearn.config_context(enable_metadata_routing=True):
            yield

    @pytest.mark.parametrize("bound", [None, 1 - GROUPS], ids=["unbound", "bound"])
    def test_cross_validate(self, bound):
        # Passed groups take precedence over those of the scorer.
        scoring = make_fairness_scoring(["roc_auc", *NAMES], sensitive_features=bound)
        result = cross_validate(
            LogisticRegression(),
            X,
            y,
            scoring=scoring,
            params={"sensitive_features": z},
            cv=CV,
            error_score="raise",
        )
        for name in NAMES:
            assert result[f"test_{name}"].tolist() == pytest.approx(by_hand(name))

    def test_bound_ones_are_found_when_none_are_passed(self):
        scorer = make_fairness_scorer(EOD, sensitive_features=SHUFFLED)
        # scikit-learn 1.6 does not take None for `params`.
        scores = cross_validated(scorer, FRAME, params={})
        assert scores == pytest.approx(by_hand(EOD))

    @pytest.mark.parametrize("search_class", [GridSearchCV, RandomizedSearchCV])
    def test_search_passes_to_fit_and_score(self, search_class):
        arguments = {} if search_class is GridSearchCV else {"n_iter": 2}
        search = search_class(
            make_classifier(max_epochs=2),
            {"lam": [0.5, 1.0]},
            scoring=make_fairness_scoring(["roc_auc", EOD]),
            refit="roc_auc",
            cv=2,
            error_score="raise",
            **arguments,
        ).fit(X, y, sensitive_features=z)
        disparity = search.cv_results_[f"mean_test_{EOD}"]
        assert np.isfinite(disparity).all()
        assert search.best_estimator_.groups_[0].tolist() == [0, 1]

    def test_halving_search(self):
        model, scorer = make_classifier(max_epochs=1), make_fairness_scorer(EOD)
        search = halving_search(model, {"lam": [0.5, 1.0]}, scorer)
        search.fit(X, y, sensitive_features=z)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_groups_of_the_splitter_are_not_those_of_the_metric(self):
        params = {"sensitive_features": z, "groups": np.arange(240) % 7}
        scorer = make_fairness_scorer(PARITY)
        scores = cross_validated(scorer, cv=GroupKFold(3), params=params)
        assert np.isfinite(scores).all()

    def test_requests_can_be_changed(self):
        scorer = make_fairness_scorer(PARITY)
        scorer.set_score_request(sensitive_features="race")
        scores = cross_validated(scorer, params={"race": z})
        assert scores == pytest.approx(by_hand(PARITY))

    def test_other_requests_leave_the_sensitive_features(self):
        scorer = make_fairness_scorer(PARITY)
        scorer.set_score_request(sample_weight=True)
        scores = cross_validated(
            scorer,
            model=LogisticRegression().set_fit_request(sample_weight=False),
            params={"sensitive_features": z, "sample_weight": np.arange(240.0)},
        )
        assert np.isfinite(scores).all()
        assert scores != pytest.approx(by_hand(PARITY))

    def test_weights_that_reach_fit_need_a_request(self):
        """A scorer does not silently go without them."""
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            cross_validated(
                make_fairness_scorer(PARITY),
                model=LogisticRegression().set_fit_request(sample_weight=True),
                params={"sensitive_features": z, "sample_weight": np.arange(240.0)},
            )

    @pytest.mark.parametrize("bound", [None, 1 - SHUFFLED], ids=["unbound", "bound"])
    @pytest.mark.parametrize("several", [False, True])
    def test_control_features(self, several, bound):
        control = np.arange(240) % 2
        scorer = make_fairness_scorer(PARITY, control_features=bound)
        scorer.set_score_request(control_features=True)
        search = GridSearchCV(
            LogisticRegression(),
            {"C": [1.0]},
            scoring={"score": scorer} if several else scorer,
            refit=False,
            cv=CV,
            error_score="raise",
        ).fit(FRAME, y, sensitive_features=z, control_features=control)
        _, test = next(iter(CV.split(X)))
        model = LogisticRegression().fit(FRAME.drop(INDEX[test]), np.delete(y, test))
        expected = score_of(
            PARITY,
            y[test],
            model.predict(FRAME.iloc[test]),
            z[test],
            control_features=control[test],
        )
        score = search.cv_results_["split0_test_score"].item()
        assert score == pytest.approx(expected)

    def test_no_request_for_what_a_metric_does_not_take(self):
        with pytest.raises(TypeError, match=r"takes sensitive_.*; got \['race'\]"):
            make_fairness_scorer(PARITY).set_score_request(race=True)


class TestLabels:
    def test_fold_with_one_class_knows_the_other(self):
        model = LogisticRegression().fit(FRAME, np.where(y, "yes", "no"))
        rows = np.flatnonzero(y == 0)
        for name in (PARITY, "group_loss_difference"):
            scorer = make_fairness_scorer(name, sensitive_features=GROUPS)
            score = scorer(model, FRAME.iloc[rows], np.full(len(rows), "no"))
            assert np.isfinite(score)

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    def test_class_that_the_training_part_lacks(self):
        labels = np.where(np.arange(240) < 200, y, 2)
        model = LogisticRegression().fit(FRAME[:200], labels[:200])
        scorer = make_fairness_scorer(EOD, sensitive_features=GROUPS)
        expected = score_of(EOD, labels, model.predict(FRAME), z)
        assert scorer(model, FRAME, labels) == expected
        scorer = make_fairness_scorer("group_auc_difference", sensitive_features=GROUPS)
        with pytest.raises(ValueError, match=r"no scores for the classes \[2\] of"):
            scorer(model, FRAME, labels)

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    def test_several_classes(self):
        labels = y + 2 * (X[:, 2] > 1)
        model = LogisticRegression().fit(FRAME, labels)
        for name in NAMES:
            scorer = make_fairness_scorer(name, sensitive_features=GROUPS)
            output = output_for(name, model, FRAME)
            expected = score_of(name, labels, output, z)
            assert scorer(model, FRAME, labels) == pytest.approx(expected)

    @pytest.mark.parametrize(
        "name", [n for n in NAMES if "pos_label" in METRICS[n].settings]
    )
    def test_positive_class(self, name):
        model = LogisticRegression().fit(FRAME, y)
        scorer = make_fairness_scorer(name, sensitive_features=GROUPS, pos_label=0)
        output = output_for(name, model, FRAME)
        if METRICS[name].family.output != "y_pred":  # of the other class
            output = {"y_score": -output, "y_prob": 1 - output}[
                METRICS[name].family.output
            ]
        expected = score_of(name, y, output, z, pos_label=0)
        assert scorer(model, FRAME, y) == pytest.approx(expected)

    def test_probabilities_where_there_is_no_decision_function(self):
        class Uncertain(ClassifierMixin, BaseEstimator):
            def fit(self, X, y):
                self.classes_ = np.unique(y)
                return self

            def predict_proba(self, X):
                p = 1 / (1 + np.exp(-X[:, 0]))
                return np.column_stack([1 - p, p])

        scorer = make_fairness_scorer("group_auc_difference")
        model = Uncertain().fit(X, y)
        expected = metrics.group_auc_difference(y, X[:, 0], sensitive_features=z)
        score = scorer(model, X, y, sensitive_features=z)
        assert score == pytest.approx(-expected)


def test_called_with_the_groups():
    model = LogisticRegression().fit(X, y)
    scorer = make_fairness_scorer(EOD)
    weights = np.arange(240)
    for arguments in ({}, {"sample_weight": weights}):
        expected = equalized_odds_difference(
            y, model.predict(X), sensitive_features=z, **arguments
        )
        assert scorer(model, X, y, sensitive_features=z, **arguments) == -expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_constant_classifier(name):
    model = DummyClassifier(strategy="prior").fit(X, y)
    scoring = make_fairness_scoring([name, "accuracy"], sensitive_features=GROUPS)
    with pytest.warns(ConstantClassifierWarning, match=f"`{name}` says nothing"):
        scoring[name](model, FRAME, y)
    mark = scoring["constant_predictions"]
    assert mark(model, FRAME, y) == -1
    assert mark(model, FRAME, np.ones_like(y)) == 0  # there is no other class
    assert mark(LogisticRegression().fit(X, y), X, y) == 0
    assert list(make_fairness_scoring(["accuracy"])) == ["accuracy"]


def test_scorer_is_one_of_scikit_learn():
    scorer = make_fairness_scorer(EOD, agg="mean")
    assert check_scoring(LogisticRegression(), scorer) is scorer
    text = "make_fairness_scorer('equalized_odds_difference', agg='mean')"
    assert repr(scorer) == text
    assert repr(pickle.loads(pickle.dumps(scorer))) == text


def test_error_without_groups_names_both_ways_to_pass_them():
    model = LogisticRegression().fit(X, y)
    scorer = make_fairness_scorer(EOD)
    with pytest.raises(ValueError, match=r"enable metadata routing .* or make the"):
        scorer(model, X, y)


def test_scoring_gives_each_metric_what_it_takes():
    scoring = make_fairness_scoring(
        ["accuracy", EOD, PARITY],
        agg="mean",
        min_group_size=3,
    )
    assert "agg='mean', min_group_size=3" in repr(scoring[EOD])
    assert "agg" not in repr(scoring[PARITY])


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (make_fairness_scorer, {"metric": "eod"}, "`metric` must be one of .* 'eod'"),
        (make_fairness_scorer, {"sensitive_features": z}, "pandas .* ndarray"),
        (
            make_fairness_scorer,
            {"sensitive_features": pd.Series([0, 1], index=[1, 1])},
            "distinct index .* it has duplicates",
        ),
        (make_fairness_scorer, {"attributes": "each"}, "`attributes` .* got 'each'"),
        (make_fairness_scorer, {"agregate": 1}, "`agregate` is no argument"),
        (make_fairness_scorer, {"agg": "max"}, "`agg` must be 'worst_case' or"),
        (make_fairness_scorer, {"min_group_size": 0}, "`min_group_size` must be"),
        (make_fairness_scoring, {"names": "roc_auc"}, "`names` must be a sequence"),
        (make_fairness_scoring, {"names": ["eod"]}, r"`names` .*; got \['eod'\]"),
        (make_fairness_scoring, {"names": ["accuracy"], "agg": "mean"}, "`agg` is no"),
        (
            make_fairness_scoring,
            {"names": ["accuracy"], "sensitive_features": GROUPS},
            "`sensitive_features` is for metrics of groups",
        ),
    ],
)
def test_error_names_the_argument(function, arguments, message):
    valid = {make_fairness_scorer: {"metric": EOD}}
    with pytest.raises(ValueError, match=message):
        function(**{**valid.get(function, {}), **arguments})
