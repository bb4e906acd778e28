"""Choices within a budget: limits by hand, several candidates, refusals."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from fairtask import AuxiliaryFairnessClassifierCV
from fairtask.bounds import certified_difference
from fairtask.exceptions import BudgetNotMetError
from fairtask.metrics import (
    bootstrap,
    equalized_odds_difference,
    group_auc_difference,
    make_fairness_scoring,
)
from fairtask.model_selection import (
    _limits,
    choose_within_budget,
    fit_candidates,
)
from fairtask.model_selection._multiplicity import fixed_sequence, holm
from tests._inputs import make_samples

NAMES = {"performance": "roc_auc", "disparity": "equalized_odds_difference"}


class Column(ClassifierMixin, BaseEstimator):
    """Predicts a column of the samples; its scores are those of another one."""

    def __init__(self, i, classes=(0, 1)):
        self.i = i
        self.classes = classes
        self.classes_ = np.array(classes)

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.asarray(X)[:, self.i]

    def decision_function(self, X):
        return np.asarray(X)[:, self.i] + np.arange(len(X)) % 7 / 10


rng = np.random.default_rng(0)
z, y = rng.integers(0, 2, (2, 3_000))
# Rates of error: .1 in both groups; .1 and .3; everybody is positive.
WRONG = np.column_stack(
    [rng.random(3_000) < 0.1, rng.random(3_000) < np.where(z == 0, 0.1, 0.3)]
)
X = np.column_stack([np.where(WRONG, 1 - y[:, None], y[:, None]), np.ones_like(y)])
EVEN, UNEVEN, ALL = (Column(i) for i in range(3))


def choose(candidates, *, X=X, y=y, z=z, **kwargs):
    arguments = {"budget": 0.2, "performance": "accuracy", "random_state": 0}
    return choose_within_budget(
        candidates, X, y, sensitive_features=z, **{**arguments, **kwargs}
    )


class TestLimits:
    def limit(self, model, **kwargs):
        return choose([model], **kwargs).table["limit"].item()

    def test_exact_limit_of_equalized_odds(self):
        for model in (EVEN, UNEVEN):
            bound = certified_difference(
                y != model.predict(X), sensitive_features=z, strata=y, delta=0.1
            )
            assert self.limit(model, confidence_level=0.9) == pytest.approx(bound)

    @pytest.mark.parametrize(
        ("disparity", "happened", "among"),
        [
            ("demographic_parity_difference", X[:, 1] == 1, y >= 0),
            ("group_accuracy_difference", X[:, 1] == y, y >= 0),
            ("false_positive_rate_difference", X[:, 1] == 1, y == 0),
            ("predictive_parity_difference", y == 1, X[:, 1] == 1),
        ],
    )
    def test_exact_limit_of_a_rate(self, disparity, happened, among):
        bound = certified_difference(happened[among], sensitive_features=z[among])
        assert self.limit(UNEVEN, disparity=disparity) == pytest.approx(bound)

    def test_exact_limit_is_the_largest_of_attributes_and_classes(self):
        pred, truth = X[:, 1] + 2 * WRONG[:, 0], y + 2 * (np.arange(3_000) % 5 == 0)
        columns = pd.DataFrame({"a": z, "b": np.arange(3_000) % 3})
        bound = max(
            certified_difference(
                pred == c, sensitive_features=columns[name], strata=truth == c
            )
            for c in range(4)
            for name in columns
        )
        limit = self.limit(
            Column(0, classes=(0, 1, 2, 3)), X=pred[:, None], y=truth, z=columns
        )
        assert limit == pytest.approx(bound)

    def test_a_class_that_the_model_does_not_know(self):
        truth = np.where(np.arange(3_000) % 5 == 0, 2, y)
        limits = [
            self.limit(Column(1, classes=classes), y=truth)
            for classes in ((0, 1), (0, 1, 2))
        ]
        assert limits[0] == limits[1] < 1
        with pytest.raises(ValueError, match=r"no scores for the classes \[2\] of"):
            choose([EVEN], y=truth, disparity="group_auc_difference", limit="bootstrap")

    @pytest.mark.parametrize(
        "disparity", ["equalized_odds_difference", "group_auc_difference"]
    )
    def test_bootstrap_limit(self, disparity):
        limits = choose(
            [EVEN, UNEVEN], disparity=disparity, limit="bootstrap", n_resamples=50
        ).table["limit"]
        take = "decision_function" if "auc" in disparity else "predict"
        high = bootstrap(
            disparity,
            y,
            getattr(UNEVEN, take)(X),
            sensitive_features=z,
            n_resamples=1_000,
            # UNEVEN is tested by itself after EVEN has passed.
            confidence_level=0.9,
            random_state=0,
        ).high
        assert limits[1] == pytest.approx(high, abs=0.01)

    def test_ratio_is_taken_by_what_it_lacks_of_one(self):
        name = "demographic_parity_ratio"
        choice = choose([UNEVEN], disparity=name, limit="bootstrap", budget=0.3)
        result = bootstrap(
            name,
            y,
            UNEVEN.predict(X),
            sensitive_features=z,
            confidence_level=0.9,
            random_state=0,
        )
        row = choice.table.iloc[0]
        assert row["disparity"] == pytest.approx(1 - result.value)
        assert row["limit"] == pytest.approx(1 - result.low, abs=0.01)
        assert "'1 - demographic_parity_ratio'" in choice.reason

    def test_more_candidates_do_not_lower_a_limit(self):
        """Holm's procedure needs it, and the exact test alone does not give it."""
        pred = np.repeat([1, 0, 1, 0], [5, 15, 4, 16])
        data = {"X": pred[:, None], "y": 1 - pred, "z": np.repeat([0, 1], 20)}
        limits = [
            choose(
                [EVEN] * n,
                **data,
                disparity="demographic_parity_difference",
                confidence_level=0.9,
                budget=0,
            ).table["limit"][0]
            for n in (11, 12)
        ]
        alone = [
            certified_difference(pred, sensitive_features=data["z"], delta=0.1 / n)
            for n in (11, 12)
        ]
        assert alone[0] > alone[1]
        assert limits == pytest.approx([alone[0]] * 2)

    @pytest.mark.parametrize("limit", ["exact", "bootstrap"])
    def test_a_group_without_positives_has_an_infinite_limit(self, limit):
        group = np.where(np.arange(len(z)) % 10 == 0, 2, z)
        lacks = (group != 2) | (y == 0)
        data = {"X": X[lacks], "y": y[lacks], "z": group[lacks]}
        with pytest.warns(UndefinedMetricWarning):
            choice = choose([EVEN], **data, limit=limit)
        assert choice.table["limit"].tolist() == [np.inf]
        message = "of too few samples: group 2 has 0 positives, fewer than 1.$"
        with pytest.raises(BudgetNotMetError, match=message):
            choice.estimator  # noqa: B018

    @pytest.mark.parametrize("method", ["between_groups", "to_overall"])
    @pytest.mark.parametrize("min_group_size", [1, 5])
    def test_a_loss_of_a_small_group_has_an_infinite_limit(
        self, min_group_size, method
    ):
        z = np.repeat([0, 1, 2], [1_500, 1_496, 4])
        choice = choose(
            [LogisticRegression().fit(X, y)],
            z=z,
            disparity="group_loss_difference",
            limit="bootstrap",
            n_resamples=20,
            min_group_size=min_group_size,
            method=method,
        )
        is_left_out = min_group_size > 4
        assert np.isfinite(choice.table["limit"].item()) == is_left_out
        reason = "because of too few samples: group 2 has 4 samples, fewer than 30."
        assert (reason in choice.reason) == (not is_left_out)

    def test_resamples_are_drawn_once(self, monkeypatch):
        drawn = []

        def resample(*arguments):
            drawn.append(arguments)
            return draw(*arguments)

        draw = _limits.resample
        monkeypatch.setattr(_limits, "resample", resample)
        models = [EVEN, UNEVEN, Column(1)]
        table = choose(models, limit="bootstrap", n_resamples=50).table
        assert table["qualifies"].tolist() == [True, False, False]
        assert table["delta"].tolist() == pytest.approx([0.05 / 3, 0.025, 0.025])
        assert len(drawn) == 3

    def test_a_level_with_one_group_has_no_difference(self):
        level = np.where((z == 0) & (np.arange(3_000) % 4 == 0), "alone", "both")
        both = level == "both"
        with pytest.warns(UndefinedMetricWarning, match="1 of 1 groups"):
            limit = self.limit(EVEN, control_features=level)
        assert limit == self.limit(EVEN, X=X[both], y=y[both], z=z[both])


def limits_of(values):
    return lambda i, delta: values[i] + 0.01 * np.log(1 / delta)


class TestSeveralCandidates:
    # With delta: value + .01 ln(1 / delta). ln 20 = 3.0, ln 40 = 3.7, ln 60 = 4.1.
    def test_holm_by_hand(self):
        # With delta / 3 only the last is within .141. With delta / 2 the first is, too:
        # .1409 instead of .1449. The second fails with delta as well.
        limits, deltas = holm(limits_of([0.104, 0.15, 0.0]), 3, 0.141, 0.05)
        assert deltas == pytest.approx([0.025, 0.05, 0.05 / 3])
        assert limits == pytest.approx([0.1409, 0.18, 0.0409], abs=1e-4)

    def test_fixed_sequence_stops_at_the_first_that_fails(self):
        limits, deltas = fixed_sequence(limits_of([0.1, 0.2, 0.0]), 3, 0.15, 0.05)
        assert limits[:2] == pytest.approx([0.13, 0.23], abs=1e-3)
        assert deltas[:2].tolist() == [0.05, 0.05]
        assert np.isnan(limits[2])
        assert np.isnan(deltas[2])

    @given(
        values=st.lists(st.floats(0, 0.3), min_size=1, max_size=8),
        budget=st.floats(0, 0.3),
    )
    def test_holm_finds_what_bonferroni_finds(self, values, budget):
        limit, n = limits_of(values), len(values)
        passed = holm(limit, n, budget, 0.05)[0] <= budget
        bonferroni = np.array([limit(i, 0.05 / n) for i in range(n)]) <= budget
        alone = np.array([limit(i, 0.05) for i in range(n)]) <= budget
        assert (bonferroni <= passed).all()
        assert (passed <= alone).all()
        # The order does not matter.
        reverse = holm(limits_of(values[::-1]), n, budget, 0.05)[0] <= budget
        assert (reverse[::-1] == passed).all()

    def test_the_best_that_qualifies_is_chosen(self):
        models = {"even": EVEN, "uneven": UNEVEN, "all": ALL}
        choice = choose(models)
        assert choice.name == "even"
        assert choice.estimator is EVEN
        table = choice.table
        assert table.index.tolist() == ["even", "uneven", "all"]
        assert table["qualifies"].tolist() == [True, False, False]
        assert table["delta"].tolist() == pytest.approx([0.05 / 3, 0.05, 0.05 / 3])
        assert table["performance"].tolist() == pytest.approx(
            [(X[:, i] == y).mean() for i in range(3)]
        )
        assert table["disparity"].tolist() == pytest.approx(
            [
                equalized_odds_difference(y, X[:, i], sensitive_features=z)
                for i in range(3)
            ]
        )
        assert "'even' has the best performance, 0.897, of the " in choice.reason
        assert "candidates that qualified (1 of 3); its" in choice.reason
        # A budget that both are within does not make the worse one better.
        assert choose([UNEVEN, EVEN], budget=0.9).name == 1
        assert pickle.loads(pickle.dumps(choice)).name == "even"

    def test_names_may_be_tuples(self):
        models = {("gld", 0.3): UNEVEN, ("glf", 0.1): EVEN}
        assert choose(models).name == ("glf", 0.1)
        assert "('glf', 0.1) has the best" in choose(models).reason
        assert (
            "Of the candidates that were tested (2 of 2), 1 has"
            in choose([UNEVEN, EVEN], budget=0).reason
        )
        assert choose(models, budget=0.01).name is None

    def test_sequence_that_begins_with_a_failure_is_refused(self):
        choice = choose([UNEVEN, EVEN], multiplicity="fixed_sequence")
        assert choice.name is None
        assert choice.table["limit"].isna().tolist() == [False, True]
        assert choose([EVEN, UNEVEN], multiplicity="fixed_sequence").name == 0

    def test_refusal_says_why(self):
        choice = choose({"u": UNEVEN}, budget=0.1)
        message = (
            "budget of 0.1. Of the candidates that were tested (1 of 1), 'u' has the "
            "least upper limit of 'equalized_odds_difference': 0.2"
        )
        assert message in choice.reason
        with pytest.raises(BudgetNotMetError) as raised:
            choice.estimator  # noqa: B018
        assert str(raised.value) == choice.reason

    @pytest.mark.parametrize(
        ("candidates", "settings", "reason"),
        [
            (
                {"all": ALL, "u": UNEVEN},
                {},
                r"\['all'\] are within it, but predict one class .*\. Of the others "
                r"that were tested \(1 of 2\), 'u' has .* with fewer candidates",
            ),
            (
                {"bad": UNEVEN, "even": EVEN},
                {"multiplicity": "fixed_sequence"},
                r"\(1 of 2\), 'bad' .* samples\. The sequence stopped at 'bad'; the",
            ),
            (
                [EVEN],
                {"z": np.zeros(3_000, dtype=int)},
                r"takes two groups\. Groups with enough samples: 1 of 1\.$",
            ),
            (
                [EVEN],
                {
                    "z": pd.DataFrame({"a": z, "b": 0}),
                    "limit": "bootstrap",
                    "min_group_size": 2_000,
                },
                r"takes two .* with enough samples: 0 of 2 of 'a', 0 of 1 of 'b'\.$",
            ),
        ],
    )
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    def test_refusal_names_the_cause(self, candidates, settings, reason):
        choice = choose(candidates, n_resamples=20, **settings)
        assert re.search(reason, choice.reason)
        is_holm = settings == {}
        assert ("fewer candidates" in choice.reason) == is_holm

    def test_constant_candidate_does_not_qualify(self):
        choice = choose({"all": ALL}, budget=0.5)
        assert choice.table["constant"].tolist() == [True]
        assert choice.table["limit"].item() < 0.5
        assert choice.name is None
        assert choice.reason.endswith(
            "['all'] are within it, but predict one class for all samples."
        )

    def test_performance_may_be_a_metric_or_a_scorer(self):
        worst = choose([UNEVEN], performance="accuracy_group_min").table
        wrong = X[:, 1] != y
        assert worst["performance"].item() == pytest.approx(1 - wrong[z == 1].mean())
        assert choose([EVEN], performance=lambda *_: 0.3).table["performance"][0] == 0.3

    def test_undefined_performance_does_not_qualify(self):
        choice = choose([EVEN], performance=lambda *_: np.nan)
        assert choice.name is None
        assert choice.reason.endswith("[0] are within it, but have no performance.")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"budget": True}, "`budget` must be a number .* got True"),
            ({"budget": np.inf}, "`budget` must be .*; got inf"),
            ({"budget": 5}, "`budget` must be at most 1, .* Write 5 % as 0.05"),
            ({"confidence_level": 0.4}, "`confidence_level` must be between 0.5"),
            ({"confidence_level": 95}, "`confidence_level` must be between 0 and 1"),
            ({"limit": "hoeffding"}, "`limit` must be 'exact' or 'bootstrap'"),
            ({"multiplicity": None}, "`multiplicity` must be 'holm' or"),
            ({"disparity": "eod"}, "`disparity` must be one of"),
            ({"disparity": group_auc_difference}, "`disparity` .* `limit='bootstrap'`"),
            ({"disparity": "demographic_parity_ratio"}, "`disparity` must be a diff"),
            (
                {"disparity": "group_calibration_difference", "limit": "bootstrap"},
                "`disparity` must have confidence limits",
            ),
            ({"attributes": "each"}, "`attributes` must give one number"),
            ({"sample_weight": y + 1}, "`sample_weight` has no use with `limit='exac"),
            ({"min_group_size": 3}, "`min_group_size` has no use"),
            ({"performance": "auc"}, "`performance` must be a score .* got 'auc'"),
            ({"performance": 3}, "`performance` must be a score .* got 3"),
            ({"n_resamples": 1}, "`n_resamples` must be"),
            ({"candidates": []}, "`candidates` must be a dict"),
            ({"candidates": EVEN}, "`candidates` must be a dict"),
            ({"candidates": ["a"]}, "`candidates` must be a dict"),
            ({"candidates": {1: None}}, "`candidates` must be a dict"),
            ({"candidates": {None: EVEN}}, "`candidates` must be a dict"),
            (
                {"X": pd.DataFrame(X), "y": pd.Series(y)[::-1]},
                "`X` and `y` must hold their rows in one order",
            ),
        ],
    )
    def test_error_names_the_argument(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            choose(**{"candidates": [EVEN], **arguments})


class TestFitCandidates:
    X, y, z = make_samples(400)
    X = pd.DataFrame(X)
    scoring = make_fairness_scoring(NAMES.values(), sensitive_features=pd.Series(z))

    def search(self, model, grid, **kwargs):
        search = GridSearchCV(model, grid, scoring=self.scoring, cv=2, refit=False)
        return search.fit(self.X, self.y, **kwargs)

    def test_front_from_the_least_disparate(self):
        model = make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0))
        name = "decisiontreeclassifier__max_depth"
        search = self.search(model, {name: [1, 2, 3, 4, 6]})
        aucs, eods = [0.7, 0.9, 0.8, 0.85, 0.6], [0.1, 0.3, 0.05, np.nan, 0.0]
        results = {"params": search.cv_results_["params"]}
        for score, values in (("auc", aucs), ("eod", eods)):
            results[f"split0_test_{score}"] = values
        results["split0_test_constant_predictions"] = [0, 0, 0, 0, -1]
        search.cv_results_ = results
        fitted = fit_candidates(
            search, self.X, self.y, performance="auc", disparity="eod"
        )
        assert list(fitted) == ["max_depth=3", "max_depth=2"]
        depths = [model[-1].get_depth() for model in fitted.values()]
        assert depths == [3, 2]
        choice = choose(fitted, X=self.X, y=self.y, z=self.z, budget=1)
        assert choice.estimator is fitted[choice.name]

    def test_names_that_round_to_the_same(self):
        search = self.search(LogisticRegression(), {"C": [1.0, 1.0001]})
        for i in range(2):
            search.cv_results_[f"split{i}_test_roc_auc"] = [0.9, 0.9]
            search.cv_results_[f"split{i}_test_{NAMES['disparity']}"] = [0.1, 0.1]
        fitted = fit_candidates(search, self.X, self.y, **NAMES)
        assert list(fitted) == ["C=1, candidate 0", "C=1, candidate 1"]
        assert [model.C for model in fitted.values()] == [1.0, 1.0001]

    def test_of_a_search_over_lam(self):
        search = AuxiliaryFairnessClassifierCV(
            (4,), max_epochs=2, lams=[0.3, 1.0], cv=2, random_state=0, device="cpu"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search.fit(self.X, self.y, sensitive_features=self.z)
            fitted = fit_candidates(
                search, self.X, self.y, **NAMES, sensitive_features=self.z
            )
        assert set(fitted) <= {"lam=0.3", "lam=1"}
        for name, model in fitted.items():
            assert name == f"lam={model.lam:g}"
            assert model.n_features_in_ == 5

    def test_without_candidates(self):
        search = self.search(LogisticRegression(), {"C": [1.0]})
        search.cv_results_["split0_test_roc_auc"] = [np.nan]
        with pytest.raises(ValueError, match="`search` has no candidate with defined"):
            fit_candidates(search, self.X, self.y, **NAMES)
        swapped = dict(zip(NAMES, reversed(NAMES.values()), strict=True))
        with pytest.raises(ValueError, match="got 'roc_auc', a score of scikit-learn"):
            fit_candidates(search, self.X, self.y, **swapped)
        for wrong in (None, LogisticRegression(), GridSearchCV(EVEN, {"i": [0]})):
            with pytest.raises(ValueError, match="`search` must be a fitted search"):
                fit_candidates(wrong, self.X, self.y, **NAMES)
        with pytest.raises(ValueError, match="fit its candidates with `fit_candidates"):
            choose(search)
