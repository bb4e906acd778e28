"""Selection of a candidate: by hand on small tables, and inside searches."""

import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.tree import DecisionTreeClassifier

from fairtask.exceptions import BudgetNotMetWarning, ConstantClassifierWarning
from fairtask.metrics import make_fairness_scoring
from fairtask.model_selection import best_under_budget, knee_point, least_disparity
from tests._inputs import make_classifier, make_samples

NAMES = {"performance": "auc", "disparity": "eod"}
SCORES = {"performance": "roc_auc", "disparity": "equalized_odds_difference"}


def results(auc, eod):
    """``cv_results_`` from an array of folds per candidate."""
    auc, eod = (np.asarray(v, float).reshape(len(v), -1) for v in (auc, eod))
    return {
        f"split{i}_test_{name}": values[:, i]
        for name, values in (("auc", auc), ("eod", eod))
        for i in range(values.shape[1])
    }


# Means: AUC .92 .91 .90 .88; EOD .10 .05 .03 .03; standard error of EOD .02 each.
TABLE = results(
    [[0.93, 0.91], [0.92, 0.90], [0.91, 0.89], [0.89, 0.87]],
    [[-0.12, -0.08], [-0.07, -0.03], [-0.05, -0.01], [-0.05, -0.01]],
)


within = partial(best_under_budget, **NAMES)
within_with_error = partial(within, one_standard_error=True)
least = partial(least_disparity, **NAMES)
knee = knee_point(**NAMES)


within_by_hand = [(0.2, 0), (0.1, 0), (0.0999, 1), (0.05, 1), (0.03, 2)]
with_error_by_hand = [(0.12, 0), (0.119, 1), (0.0699, 2)]
least_by_hand = [(0, 0), (0.009, 0), (0.01, 1), (0.02, 2), (1, 2)]


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        *((within(budget=budget), chosen) for budget, chosen in within_by_hand),
        *((within_with_error(budget=b), chosen) for b, chosen in with_error_by_hand),
        *((least(tolerance=t), chosen) for t, chosen in least_by_hand),
        (least(), 1),  # AUC .93 and .91: standard error .01
        # Scaled: AUC 1, .75, .5, 0; EOD 1, .29, 0, 0 (the third beats the last): of the
        # front AUC 1, .5, 0 and EOD 1, .29, 0.
        (knee, 1),
    ],
)
def test_by_hand(rule, chosen):
    assert rule(TABLE) == chosen
    assert pickle.loads(pickle.dumps(rule))(TABLE) == chosen
    # The sign of the disparity does not matter.
    assert rule({k: -v if "eod" in k else v for k, v in TABLE.items()}) == chosen
    with pytest.raises(ValueError, match=r"`performance` .* \['AUC'\]; got 'auc'"):
        rule({"split0_test_AUC": [0.9]})


@pytest.mark.parametrize(
    ("rule", "auc", "eod", "chosen"),
    [
        # Of equals the less disparate one.
        (within(budget=1), [0.9, 0.9, 0.9], [0.2, 0.1, 0.1], 1),
        # A failed fit is not an undefined fold, which would warn.
        (within(budget=0.2), [[np.nan] * 2, [0.8] * 2], [[np.nan] * 2, [0.1] * 2], 1),
        # On a straight line there is no knee, and of one candidate no choice.
        (knee, [0.9, 0.8, 0.7], [0.3, 0.2, 0.1], 2),
        (knee, [0.9], [0.3], 0),
    ],
)
def test_special_tables(rule, auc, eod, chosen):
    assert rule(results(auc, eod)) == chosen


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (within, "within the budget of 0.01: the least is 0.03, 0.02 above it"),
        (
            within_with_error,
            "plus one standard error within .* the least is 0.05, 0.04 above",
        ),
    ],
)
def test_budget_not_met(make, message):
    with pytest.warns(BudgetNotMetWarning, match=message):
        # Of two with the same disparity the better one.
        assert make(budget=0.01)(TABLE) == 2


RATIO = {
    f"split{i}_test_{name}": values
    for i in (0, 1)
    for name, values in (
        ("auc", np.array([0.92, 0.91, 0.9])),
        ("demographic_parity_ratio", np.array([0.7, 0.82, 0.9])),
        ("accuracy_group_min", np.array([0.6, 0.8, 0.7])),
    )
}


def test_disparity_of_a_ratio_is_what_it_lacks_of_one():
    names = {"performance": "auc", "disparity": "demographic_parity_ratio"}
    four_fifths = best_under_budget(budget=0.2, **names)
    assert four_fifths(RATIO) == 1
    assert least_disparity(tolerance=1, **names)(RATIO) == 2
    with pytest.warns(BudgetNotMetWarning, match=r"'1 - demographic.* least is 0\.1,"):
        assert best_under_budget(budget=0.05, **names)(RATIO) == 2


def test_worst_group_is_a_performance_or_a_disparity():
    worst = "accuracy_group_min"
    names = {"performance": worst, "disparity": "demographic_parity_ratio"}
    assert best_under_budget(budget=1, **names)(RATIO) == 1
    names = {"performance": "auc", "disparity": worst}
    assert best_under_budget(budget=0.35, **names)(RATIO) == 1


def test_undefined_folds_are_left_out_and_named():
    table = results([[0.9, 0.9], [0.8, 0.8]], [[0.3, np.nan], [0.1, np.nan]])
    with pytest.warns(UndefinedMetricWarning, match="'eod' is undefined in 1 of 2"):
        assert within(budget=0.2)(table) == 1


def test_candidates_that_failed_or_are_undefined_are_not_chosen():
    table = results(
        [[0.9, np.nan], [0.95, 0.95], [0.7, 0.7]], [[0, 0], [np.nan] * 2, [1, 1]]
    )
    with (
        pytest.warns(UndefinedMetricWarning),
        pytest.warns(BudgetNotMetWarning, match="the least is 1, 0.9 above"),
    ):
        assert within(budget=0.1)(table) == 2


@pytest.mark.parametrize(
    ("rule", "auc", "eod", "message"),
    [
        (
            within(budget=0.1),
            [[np.nan, 0.9]],
            [[0.1, 0.1]],
            "No candidate has defined scores",
        ),
        (
            within_with_error(budget=0.1),
            [0.9],
            [0.1],
            r"'eod' takes at least two folds .* 1\.",
        ),
        (least(), [0.9], [0.1], "'auc' takes at least two folds"),
    ],
)
def test_nothing_to_choose_from(rule, auc, eod, message):
    with pytest.raises(ValueError, match=message):
        rule(results(auc, eod))


def with_marks(*folds):
    """``cv_results_`` whose candidates are marked as constant in these folds."""
    names = [f"split{i}_test_constant_predictions" for i in range(2)]
    return TABLE | dict(zip(names, np.transpose(folds), strict=True))


@pytest.mark.parametrize(
    ("rule", "chosen"), [(within(budget=0.05), 1), (least(tolerance=1), 1), (knee, 1)]
)
def test_constant_candidates_are_not_chosen(rule, chosen):
    # Constant in one fold is enough. The others are AUC .92 and .91, EOD .10 and .05.
    table = with_marks([0, 0], [0, 0], [-1, 0], [-1, -1])
    with pytest.warns(
        ConstantClassifierWarning, match="of a fold: 2 and 3. They are not chosen"
    ):
        assert rule(table) == chosen


def test_a_constant_candidate_does_not_meet_the_budget():
    table = with_marks([0, 0], [0, 0], [-1, -1], [-1, -1])
    with (
        pytest.warns(ConstantClassifierWarning),
        pytest.warns(BudgetNotMetWarning, match="the least is 0.05, 0.02 above"),
    ):
        assert within(budget=0.03)(table) == 1


@pytest.mark.parametrize("rule", [within(budget=0.2), least(), knee])
def test_where_all_are_constant_a_warning_says_so(rule):
    with pytest.warns(ConstantClassifierWarning, match="All candidates .* 'eod' says"):
        assert rule(with_marks(*[[-1, 0]] * 4)) == rule(TABLE)
    assert rule(with_marks(*[[0, 0]] * 4)) == rule(TABLE)


def test_no_candidate_has_a_standard_error():
    table = results([[0.9, 0.9], [np.nan, 0.9]], [[0.1, np.nan], [0.1, 0.2]])
    with (
        pytest.warns(UndefinedMetricWarning),
        pytest.raises(ValueError, match="No candidate has a performance and a st"),
    ):
        within_with_error(budget=0.2)(table)


tables = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        *(
            st.lists(st.integers(0, 10).map(lambda k: k / 10), min_size=n, max_size=n)
            for _ in range(2)
        )
    )
)


@given(table=tables, budget=st.integers(0, 10).map(lambda k: k / 10))
def test_no_candidate_beats_the_chosen_one(table, budget):
    auc, eod = map(np.array, table)
    cv_results = results(auc, eod)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BudgetNotMetWarning)
        best = within(budget=budget)(cv_results)
    if (eod <= budget).any():
        assert eod[best] <= budget
        assert auc[best] == auc[eod <= budget].max()
    else:
        assert eod[best] == eod.min()
    near = least(tolerance=budget)(cv_results)
    assert auc[near] >= auc.max() - budget - 1e-9
    for i in (best, near, knee(cv_results)):
        beaten = (auc >= auc[i]) & (eod <= eod[i]) & ((auc > auc[i]) | (eod < eod[i]))
        assert not beaten.any()


@pytest.mark.parametrize(
    ("cv_results", "message"),
    [
        (None, "`cv_results` must be `cv_results_` of a search.* got None"),
        ([1, 2], r"`cv_results` must be `cv_results_` .* got \[1, 2\]"),
        (TABLE | {"split1_test_auc": [0.9]}, r"one entry per candidate .*\(1,\)"),
        (TABLE | {"params": [{"lam": 1}]}, r"one entry per candidate .*\(1,\)"),
        (TABLE | {"split1_test_auc": None}, r"one entry per candidate .*\(\)"),
        ({name: [] for name in TABLE}, "at least one candidate"),
        (TABLE | {"split1_test_auc": ["a"] * 4}, "must hold numbers .* 'auc'"),
        (TABLE | {"split1_test_eod": [[1]] * 4}, r"one entry per candidate"),
    ],
)
@pytest.mark.parametrize("rule", [within(budget=0.1), least(), knee])
def test_results_that_are_none(rule, cv_results, message):
    with pytest.raises(ValueError, match=message):
        rule(cv_results)


LAMS = [{"model__lam": lam, "seed": 0} for lam in (0.1, 0.25, 0.5, 1.0)]


def test_warnings_name_candidates_by_the_parameters_that_differ():
    table = with_marks([0, 0], [0, 0], [0, 0], [-1, -1]) | {"params": LAMS}
    table["split0_test_eod"] = np.array([np.nan, 0.07, 0.05, 0.05])
    with (
        pytest.warns(ConstantClassifierWarning, match=r"a fold: 3 \(lam=1\)\. They"),
        pytest.warns(BudgetNotMetWarning, match=r"of candidate 2 \(lam=0\.5\), which"),
        pytest.warns(UndefinedMetricWarning, match=r"for candidate 0 \(lam=0\.1\)\."),
    ):
        assert within(budget=0.01)(table) == 2


def test_of_many_candidates_a_warning_names_the_first():
    table = results([[0.9, 0.9]] * 12, [[0.1, np.nan]] * 12)
    names = "for candidate 0, 1, 2, 3, 4 and 7 others"
    with pytest.warns(UndefinedMetricWarning, match=names):
        assert within(budget=0.2)(table) == 0


def test_a_search_or_a_data_frame_can_be_passed():
    search = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1]})
    search.cv_results_ = TABLE
    assert within(budget=0.05)(search) == 1
    assert within(budget=0.05)(pd.DataFrame(TABLE)) == 1


class TestInSearches:
    X, y, z = make_samples(200)

    def search(self, search_class, refit):
        return search_class(
            make_classifier(max_epochs=2),
            {"lam": [0.2, 0.6, 1.0]},
            scoring=make_fairness_scoring(
                SCORES.values(), sensitive_features=pd.Series(self.z)
            ),
            refit=refit,
            cv=2,
            error_score="raise",
        ).fit(pd.DataFrame(self.X), self.y, sensitive_features=self.z)

    @pytest.mark.parametrize(
        "make", [partial(best_under_budget, budget=1), least_disparity, knee_point]
    )
    @pytest.mark.parametrize(
        "search_class", [GridSearchCV, partial(RandomizedSearchCV, n_iter=3)]
    )
    def test_refits_the_chosen_candidate(self, make, search_class):
        choose = make(**SCORES)
        search = self.search(search_class, choose)
        assert search.best_index_ == choose(search.cv_results_)
        assert search.best_estimator_.lam == search.best_params_["lam"]
        assert search.predict(pd.DataFrame(self.X)).shape == (200,)

    def test_the_constant_candidate_is_the_least_disparate_and_not_chosen(self):
        names = SCORES | {"disparity": "demographic_parity_difference"}
        search = GridSearchCV(
            DecisionTreeClassifier(max_depth=2),
            {"min_impurity_decrease": [1.0, 0.0]},  # the first does not split
            scoring=make_fairness_scoring(
                names.values(), sensitive_features=pd.Series(self.z)
            ),
            refit=best_under_budget(**names, budget=0.01),
            cv=2,
            error_score="raise",
        )
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            search.fit(pd.DataFrame(self.X), self.y)
        found = search.cv_results_
        assert found[f"mean_test_{names['disparity']}"].argmax() == 0
        assert found["mean_test_constant_predictions"].tolist() == [-1, 0]
        assert search.best_params_ == {"min_impurity_decrease": 0.0}
        messages = " ".join(str(warning.message) for warning in record)
        assert "of a fold: 0 (min_impurity_decrease=1). They are not" in messages
        assert "says nothing about fairness" in messages  # of the scorer
        assert "within the budget of 0.01" in messages

    def test_the_warning_says_by_how_much(self):
        refit = best_under_budget(**SCORES, budget=0)
        with pytest.warns(
            BudgetNotMetWarning, match=r"above it, of candidate \d \(lam"
        ):
            search = self.search(GridSearchCV, refit)
        disparity = -search.cv_results_["mean_test_equalized_odds_difference"]
        assert search.best_index_ == disparity.argmin()


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (best_under_budget, {"budget": -0.1}, "`budget` must be .* got -0.1"),
        (best_under_budget, {"budget": np.nan}, "`budget` must be .* got nan"),
        (best_under_budget, {"budget": "low"}, "`budget` must be .* got 'low'"),
        (best_under_budget, {"budget": True}, "`budget` must be .* got True"),
        (best_under_budget, {"budget": np.inf}, "`budget` must be finite; got inf"),
        (
            best_under_budget,
            {"budget": 5, "disparity": "demographic_parity_ratio"},
            "`budget` must be at most 1, .* got 5. Write 5 % as 0.05",
        ),
        (least_disparity, {"tolerance": False}, "`tolerance` must be .* got False"),
        (best_under_budget, {"budget": 1, "disparity": 3}, "`disparity` .* got 3"),
        (knee_point, {"disparity": "roc_auc"}, "`disparity` .* got 'roc_auc', a score"),
        (best_under_budget, {"budget": 1, "one_standard_error": "no"}, "got 'no'"),
        (least_disparity, {"tolerance": -1}, "`tolerance` must be .* got -1"),
        (least_disparity, {"performance": None}, "`performance` .* got None"),
        (knee_point, {"performance": ["auc"]}, r"`performance` .* got \['auc'\]"),
    ],
)
def test_error_names_the_argument(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(**{**NAMES, **arguments})
