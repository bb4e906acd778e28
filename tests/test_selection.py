"""Selection of a candidate: by hand on small tables, and inside searches."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

from fairtask.exceptions import BudgetNotMetWarning
from fairtask.metrics import make_fairness_scoring
from fairtask.model_selection import best_under_budget, knee_point, least_disparity
from tests._inputs import make_classifier, make_samples

NAMES = {"performance": "auc", "disparity": "eod"}


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


class TestBestUnderBudget:
    @pytest.mark.parametrize(
        ("budget", "chosen"), [(0.2, 0), (0.1, 0), (0.0999, 1), (0.05, 1), (0.03, 2)]
    )
    def test_by_hand(self, budget, chosen):
        assert best_under_budget(**NAMES, budget=budget)(TABLE) == chosen

    @pytest.mark.parametrize(("budget", "chosen"), [(0.12, 0), (0.119, 1), (0.0699, 2)])
    def test_one_standard_error(self, budget, chosen):
        choose = best_under_budget(**NAMES, budget=budget, one_standard_error=True)
        assert choose(TABLE) == chosen

    def test_not_met(self):
        choose = best_under_budget(**NAMES, budget=0.01)
        message = "within the budget of 0.01: the least is 0.03, 0.02 above it"
        with pytest.warns(BudgetNotMetWarning, match=message):
            assert choose(TABLE) == 2  # of two as little disparate the better
        choose = best_under_budget(**NAMES, budget=0.01, one_standard_error=True)
        message = "plus one standard error within .* the least is 0.05, 0.04 above"
        with pytest.warns(BudgetNotMetWarning, match=message):
            assert choose(TABLE) == 2

    def test_sign_of_the_disparity_does_not_matter(self):
        flipped = {k: -v if "eod" in k else v for k, v in TABLE.items()}
        choose = best_under_budget(**NAMES, budget=0.06)
        assert choose(flipped) == choose(TABLE) == 1

    def test_of_equals_the_less_disparate(self):
        choose = best_under_budget(**NAMES, budget=1)
        assert choose(results([0.9, 0.9, 0.9], [0.2, 0.1, 0.1])) == 1

    def test_undefined_folds_are_left_out_and_named(self):
        table = results([[0.9, 0.9], [0.8, 0.8]], [[0.3, np.nan], [0.1, np.nan]])
        choose = best_under_budget(**NAMES, budget=0.2)
        with pytest.warns(UndefinedMetricWarning, match="'eod' is undefined in 1 of 2"):
            assert choose(table) == 1

    def test_failed_fits_are_no_undefined_folds(self):
        table = results([[np.nan, np.nan], [0.8, 0.8]], [[np.nan] * 2, [0.1, 0.1]])
        assert best_under_budget(**NAMES, budget=0.2)(table) == 1  # without a warning

    def test_no_candidate_has_a_standard_error(self):
        table = results([[0.9, 0.9], [np.nan, 0.9]], [[0.1, np.nan], [0.1, 0.2]])
        choose = best_under_budget(**NAMES, budget=0.2, one_standard_error=True)
        with (
            pytest.warns(UndefinedMetricWarning),
            pytest.raises(ValueError, match="No candidate has a performance and a st"),
        ):
            choose(table)

    def test_candidates_that_failed_or_are_undefined_are_not_chosen(self):
        table = results(
            [[0.9, np.nan], [0.95, 0.95], [0.7, 0.7]], [[0, 0], [np.nan] * 2, [1, 1]]
        )
        with (
            pytest.warns(UndefinedMetricWarning),
            pytest.warns(BudgetNotMetWarning, match="the least is 1, 0.9 above"),
        ):
            assert best_under_budget(**NAMES, budget=0.1)(table) == 2

    def test_nothing_to_choose_from(self):
        table = results([[np.nan, 0.9]], [[0.1, 0.1]])
        with pytest.raises(ValueError, match="No candidate has defined scores"):
            best_under_budget(**NAMES, budget=0.1)(table)

    def test_standard_error_takes_two_folds(self):
        choose = best_under_budget(**NAMES, budget=0.1, one_standard_error=True)
        with pytest.raises(ValueError, match=r"'eod' takes at least two folds .* 1\."):
            choose(results([0.9], [0.1]))


class TestLeastDisparity:
    @pytest.mark.parametrize(
        ("tolerance", "chosen"), [(0, 0), (0.009, 0), (0.01, 1), (0.02, 2), (1, 2)]
    )
    def test_by_hand(self, tolerance, chosen):
        assert least_disparity(**NAMES, tolerance=tolerance)(TABLE) == chosen

    def test_within_one_standard_error(self):
        # AUC .93 and .91: standard error .01
        assert least_disparity(**NAMES)(TABLE) == 1

    def test_standard_error_takes_two_folds(self):
        with pytest.raises(ValueError, match="'auc' takes at least two folds"):
            least_disparity(**NAMES)(results([0.9], [0.1]))


class TestKneePoint:
    def test_by_hand(self):
        # Scaled: AUC 1, .75, .5, 0; EOD 1, .29, 0, 0 (the last is beaten by the third):
        # of the front AUC 1, .5, 0 and EOD 1, .29, 0.
        assert knee_point(**NAMES)(TABLE) == 1

    def test_straight_line_has_no_knee(self):
        table = results([0.9, 0.8, 0.7], [0.3, 0.2, 0.1])
        assert knee_point(**NAMES)(table) == 2

    def test_one_candidate(self):
        assert knee_point(**NAMES)(results([0.9], [0.3])) == 0


tables = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        *(
            st.lists(st.integers(0, 10).map(lambda k: k / 10), min_size=n, max_size=n)
            for _ in range(2)
        )
    )
)


@given(table=tables, budget=st.integers(0, 10).map(lambda k: k / 10))
def test_what_is_chosen_is_not_beaten(table, budget):
    auc, eod = map(np.array, table)
    cv_results = results(auc, eod)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BudgetNotMetWarning)
        best = best_under_budget(**NAMES, budget=budget)(cv_results)
    if (eod <= budget).any():
        assert eod[best] <= budget
        assert auc[best] == auc[eod <= budget].max()
    else:
        assert eod[best] == eod.min()
    near = least_disparity(**NAMES, tolerance=budget)(cv_results)
    assert auc[near] >= auc.max() - budget - 1e-9
    chosen = [best, near, knee_point(**NAMES)(cv_results)]
    for i in chosen:
        beaten = (auc >= auc[i]) & (eod <= eod[i]) & ((auc > auc[i]) | (eod < eod[i]))
        assert not beaten.any()


class TestInSearches:
    X, y, z = make_samples(200)

    def search(self, search_class, refit, **kwargs):
        frame = pd.DataFrame(self.X)
        return search_class(
            make_classifier(max_epochs=2),
            {"lam": [0.2, 0.6, 1.0]},
            scoring=make_fairness_scoring(
                ["roc_auc", "equalized_odds_difference"],
                sensitive_features=pd.Series(self.z),
            ),
            refit=refit,
            cv=2,
            error_score="raise",
            **kwargs,
        ).fit(frame, self.y, sensitive_features=self.z)

    @pytest.mark.parametrize("make", [best_under_budget, least_disparity, knee_point])
    @pytest.mark.parametrize("search_class", [GridSearchCV, RandomizedSearchCV])
    def test_refits_what_it_chooses(self, make, search_class):
        names = {"performance": "roc_auc", "disparity": "equalized_odds_difference"}
        choose = make(**names, **({"budget": 1} if make is best_under_budget else {}))
        extra = {"n_iter": 3} if search_class is RandomizedSearchCV else {}
        search = self.search(search_class, choose, **extra)
        assert search.best_index_ == choose(search.cv_results_)
        assert search.best_estimator_.lam == search.best_params_["lam"]
        assert search.predict(pd.DataFrame(self.X)).shape == (200,)

    def test_the_warning_says_by_how_much(self):
        refit = best_under_budget(
            performance="roc_auc", disparity="equalized_odds_difference", budget=0
        )
        with pytest.warns(BudgetNotMetWarning, match="above it, and is chosen"):
            search = self.search(GridSearchCV, refit)
        disparity = -search.cv_results_["mean_test_equalized_odds_difference"]
        assert search.best_index_ == disparity.argmin()


@pytest.mark.parametrize(
    "choose",
    [
        best_under_budget(**NAMES, budget=0.05),
        least_disparity(**NAMES),
        knee_point(**NAMES),
    ],
)
def test_pickles_and_names_what_it_cannot_find(choose):
    again = pickle.loads(pickle.dumps(choose))
    assert again(TABLE) == choose(TABLE)
    with pytest.raises(ValueError, match=r"'auc' must be .* one of \['AUC'\]"):
        choose({"split0_test_AUC": [0.9]})


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (best_under_budget, {"budget": -0.1}, "`budget` must be .* got -0.1"),
        (best_under_budget, {"budget": np.nan}, "`budget` must be .* got nan"),
        (best_under_budget, {"budget": "low"}, "`budget` must be .* got 'low'"),
        (best_under_budget, {"budget": 1, "disparity": 3}, "`disparity` .* got 3"),
        (best_under_budget, {"budget": 1, "one_standard_error": "no"}, "got 'no'"),
        (least_disparity, {"tolerance": -1}, "`tolerance` must be .* got -1"),
        (least_disparity, {"performance": None}, "`performance` .* got None"),
        (knee_point, {"performance": ["auc"]}, r"`performance` .* got \['auc'\]"),
    ],
)
def test_error_names_the_argument(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(**{**NAMES, **arguments})
