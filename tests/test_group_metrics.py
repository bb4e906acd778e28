"""Any statistic with any transform: ratios, worst groups, references and strata."""

import inspect
import math
import pickle

import fairlearn.metrics as fairlearn
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, precision_score

from fairtask import metrics
from fairtask.metrics import (
    bootstrap,
    demographic_parity_difference,
    demographic_parity_ratio,
    equal_opportunity_ratio,
    equalized_odds_difference,
    equalized_odds_ratio,
    fairness_report,
    group_calibration_difference,
    make_fairness_scorer,
    make_group_metric,
)

# a: 3 of 4 positives found, 1 of 2 negatives selected; b: 1 of 2, and 0 of 2
Y = np.array([1, 1, 1, 1, 0, 0, 1, 1, 0, 0])
SCORE = np.array([0.9, 0.8, 0.7, 0.4, 0.6, 0.1, 0.8, 0.3, 0.4, 0.1])
PRED = (SCORE > 0.5).astype(int)
Z = np.array(["a"] * 6 + ["b"] * 4)
VALUES = {
    "selection_rate": (4 / 6, 1 / 4),
    "base_rate": (4 / 6, 2 / 4),
    "true_positive_rate": (3 / 4, 1 / 2),
    "false_positive_rate": (1 / 2, 0),
    "true_negative_rate": (1 / 2, 1),
    "false_negative_rate": (1 / 4, 1 / 2),
    "precision": (3 / 4, 1),
    "false_discovery_rate": (1 / 4, 0),
    "false_omission_rate": (1 / 2, 1 / 3),
    "accuracy": (4 / 6, 3 / 4),
    "roc_auc": (7 / 8, 3 / 4),
    "soft_zero_one": (1.9 / 6, 1.4 / 4),
    # Every sample of a group is alone in its bin.
    "calibration_error": (1.9 / 6, 1.4 / 4),
}
ON_SCORES = ("roc_auc", "soft_zero_one", "calibration_error")
TRANSFORMS = {
    "difference": lambda a, b: abs(a - b),
    "ratio": lambda a, b: min(a, b) / max(a, b),
    "group_min": min,
    "group_max": max,
}
EITHER_WORST = ("selection_rate", "base_rate")
GREATER_IS_BETTER = (
    "true_positive_rate",
    "true_negative_rate",
    "precision",
    "accuracy",
    "roc_auc",
)


def output_for(statistic):
    return SCORE if statistic in ON_SCORES else PRED


def transforms_of(statistic):
    best = "group_max" if statistic in GREATER_IS_BETTER else "group_min"
    return [t for t in TRANSFORMS if statistic in EITHER_WORST or t != best]


@pytest.mark.filterwarnings("ignore:.* has no confidence limits")
@pytest.mark.parametrize(
    ("statistic", "transform"), [(s, t) for s in VALUES for t in transforms_of(s)]
)
def test_hand_computed(statistic, transform):
    metric = make_group_metric(statistic, transform)
    value = metric(Y, output_for(statistic), sensitive_features=Z)
    assert value == pytest.approx(TRANSFORMS[transform](*VALUES[statistic]))
    # A limit, if there is any, is on its side of the value.
    name = f"{statistic}_{transform}"
    assert metric.__name__ == name
    samples = (np.tile(v, 20) for v in (Y, output_for(statistic)))
    result = bootstrap(
        name, *samples, sensitive_features=np.tile(Z, 20), n_resamples=50
    )
    assert result.value == pytest.approx(value)
    if statistic != "calibration_error":
        assert 0 <= result.low <= value + 1e-12
        assert value - 1e-12 <= result.high <= 1


@pytest.mark.parametrize(
    ("metric", "same_as"),
    [
        (demographic_parity_ratio, ("selection_rate", "ratio")),
        (equal_opportunity_ratio, ("true_positive_rate", "ratio")),
        (metrics.predictive_parity_difference, ("precision", "difference")),
        (metrics.group_accuracy_difference, ("accuracy", "difference")),
    ],
)
def test_named_metric_is_one_of_them(metric, same_as):
    arguments = {"sensitive_features": Z, "method": "to_overall"}
    derived = make_group_metric(*same_as)
    assert metric(Y, PRED, **arguments) == derived(Y, PRED, **arguments)
    assert inspect.signature(metric) == inspect.signature(derived)


@pytest.mark.parametrize(
    ("statistic", "transform", "absent"),
    [
        ("accuracy", "difference", {"agg", "pos_label", "loss", "n_bins"}),
        ("precision", "group_min", {"agg", "method", "loss", "n_bins"}),
        ("log_loss", "group_max", {"agg", "method", "loss", "n_bins"}),
        ("calibration_error", "ratio", {"agg", "loss"}),
    ],
)
def test_takes_what_matters(statistic, transform, absent):
    metric = make_group_metric(statistic, transform)
    taken = set(inspect.signature(metric).parameters)
    optional = {"agg", "method", "pos_label", "loss", "n_bins"}
    assert optional - taken == absent
    for name in absent:
        with pytest.raises(TypeError, match=f"^{statistic}_{transform}.*{name!r}"):
            metric(Y, SCORE, sensitive_features=Z, **{name: None})


@st.composite
def tables(draw):
    """Draw y, predictions, groups, levels and weights, of each combination one."""
    kinds = np.array(list(np.ndindex(2, 2, 3, 2)))
    more = draw(st.lists(st.integers(0, len(kinds) - 1), max_size=40))
    rows = kinds[[*range(len(kinds)), *more]]
    weights = draw(st.lists(st.integers(1, 4), min_size=len(rows), max_size=len(rows)))
    y, y_pred, z, level = rows.T
    return y, y_pred, np.array(list("abc"))[z], level, np.array(weights)


FAIRLEARN = {
    "demographic_parity_difference": fairlearn.demographic_parity_difference,
    "demographic_parity_ratio": fairlearn.demographic_parity_ratio,
    "equal_opportunity_difference": fairlearn.equal_opportunity_difference,
    "equal_opportunity_ratio": fairlearn.equal_opportunity_ratio,
    "equalized_odds_difference": fairlearn.equalized_odds_difference,
    "equalized_odds_ratio": fairlearn.equalized_odds_ratio,
    "true_negative_rate_difference": fairlearn.true_negative_rate_difference,
    "true_negative_rate_ratio": fairlearn.true_negative_rate_ratio,
    "false_negative_rate_difference": fairlearn.false_negative_rate_difference,
    "false_negative_rate_ratio": fairlearn.false_negative_rate_ratio,
    "accuracy_difference": fairlearn.accuracy_score_difference,
    "accuracy_ratio": fairlearn.accuracy_score_ratio,
}
AGGS = [("equalized_odds_difference", "mean"), ("equalized_odds_ratio", "mean")]


def by_name(name, y, y_pred, **kwargs):
    """Value of a metric, with or without a function of its name."""
    if hasattr(metrics, name):
        return getattr(metrics, name)(y, y_pred, **kwargs)
    return make_group_metric(*name.rsplit("_", 1))(y, y_pred, **kwargs)


@pytest.mark.parametrize("method", ["between_groups", "to_overall"])
@pytest.mark.parametrize(("name", "agg"), [*((n, None) for n in FAIRLEARN), *AGGS])
@settings(max_examples=15, deadline=None)
@given(table=tables(), weighted=st.booleans())
def test_equals_fairlearn(name, agg, method, table, weighted):
    y, y_pred, z, _, weights = table
    arguments = {"sensitive_features": z, "method": method}
    arguments |= {"agg": agg} if agg else {}
    arguments |= {"sample_weight": weights} if weighted else {}
    expected = FAIRLEARN[name](y, y_pred, **arguments)
    assert_allclose(by_name(name, y, y_pred, **arguments), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("statistic", "function"),
    [
        ("accuracy", accuracy_score),
        ("precision", precision_score),
        ("true_positive_rate", fairlearn.true_positive_rate),
        ("selection_rate", fairlearn.selection_rate),
    ],
)
@settings(max_examples=15, deadline=None)
@given(table=tables())
def test_equals_the_metric_frame(statistic, function, table):
    """Inside the levels of a control feature, the worst level counts."""
    y, y_pred, z, level, weights = table
    frame = fairlearn.MetricFrame(
        metrics=function,
        y_true=y,
        y_pred=y_pred,
        sensitive_features=z,
        control_features=level,
        sample_params={"sample_weight": weights},
    )
    arguments = {"sensitive_features": z, "sample_weight": weights}
    arguments["control_features"] = level
    for method in ("between_groups", "to_overall"):
        for transform, worst in (("difference", "max"), ("ratio", "min")):
            metric = make_group_metric(statistic, transform)
            expected = getattr(frame, transform)(method=method)
            value = metric(y, y_pred, method=method, **arguments)
            assert value == pytest.approx(getattr(expected, worst)())
            by_level = metric(y, y_pred, method=method, attributes="each", **arguments)
            names = [f"sensitive_feature | control_feature={k}" for k in (0, 1)]
            assert list(by_level) == names
            assert_allclose(list(by_level.values()), expected)
    metric = make_group_metric(statistic, "group_min")
    expected = frame.group_min().min()
    assert metric(y, y_pred, **arguments) == pytest.approx(expected)


class TestUndefined:
    def test_rates_that_are_all_zero_have_no_ratio(self):
        y, z = [0, 1, 0, 1], list("aabb")
        with pytest.warns(UndefinedMetricWarning, match="selection rate, which is 0"):
            value = demographic_parity_ratio(y, [0] * 4, sensitive_features=z)
        assert math.isnan(value)

    @pytest.mark.parametrize("agg", ["worst_case", "mean"])
    def test_rate_that_is_zero_in_all_groups_is_left_out(self, agg):
        # TPR 1 and 1/2; nobody is a false positive.
        y, y_pred, z = [0, 1, 0, 1, 1], [0, 1, 0, 1, 0], list("aabbb")
        with pytest.warns(UndefinedMetricWarning, match="positive rate, which is 0"):
            value = equalized_odds_ratio(y, y_pred, sensitive_features=z, agg=agg)
        assert value == 0.5

    def test_no_predicted_positives(self):
        y, y_pred, z = [0, 1, 0, 1, 0, 1], [0, 1, 1, 1, 0, 0], list("aabbcc")
        metric = metrics.predictive_parity_difference
        with pytest.warns(UndefinedMetricWarning, match="predicted positives: c"):
            assert metric(y, y_pred, sensitive_features=z) == 0.5

    def test_worst_group_takes_one_group(self):
        metric = make_group_metric("true_positive_rate", "group_min")
        assert metric([1, 1, 0], [0, 1, 1], sensitive_features=["a"] * 3) == 0.5
        with pytest.warns(UndefinedMetricWarning) as caught:
            value = metric([0, 0], [0, 1], sensitive_features=["a"] * 2)
        assert math.isnan(value)
        message = str(caught[1].message)
        assert "0 of 1 groups can be compared, and it takes one" in message

    def test_levels_in_which_nothing_can_be_compared(self):
        level = [0] * 6 + [1] * 4  # as the groups
        with pytest.warns(UndefinedMetricWarning) as caught:
            value = demographic_parity_difference(
                Y, PRED, sensitive_features=Z, control_features=level
            )
        assert math.isnan(value)
        for k, warning in enumerate(caught):
            assert f"control_feature={k}' is undefined" in str(warning.message)


class TestControlFeatures:
    # Simpson's paradox: inside each department both are selected alike.
    DEPARTMENT = np.repeat(["arts", "law"], [50, 60])
    SEX = np.repeat(["f", "m", "f", "m"], [40, 10, 10, 50])
    SELECTED = np.r_[
        np.arange(40) % 5 == 0, np.arange(10) % 5 == 0, np.arange(60) % 2 == 0
    ].astype(int)

    def test_difference_that_a_column_explains(self):
        arguments = {"sensitive_features": pd.Series(self.SEX, name="sex")}
        y = np.arange(110) % 2
        plain = demographic_parity_difference(y, self.SELECTED, **arguments)
        assert plain == pytest.approx((2 + 25) / 60 - (8 + 5) / 50)
        arguments["control_features"] = pd.Series(self.DEPARTMENT, name="department")
        for attributes, expected in (
            ("worst_case", 0),
            ("each", {"sex | department=arts": 0, "sex | department=law": 0}),
        ):
            value = demographic_parity_difference(
                y, self.SELECTED, attributes=attributes, **arguments
            )
            assert value == pytest.approx(expected)
        report = fairness_report(y, self.SELECTED, n_resamples=0, **arguments)
        assert report["n"].tolist() == [40, 10, 10, 50]
        assert report["selection_rate"].tolist() == pytest.approx([0.2, 0.2, 0.5, 0.5])

    def test_combinations_of_columns_and_missing_values(self):
        columns = pd.DataFrame(
            {"a": [1, 1, 1, 1, 2, 2, 2, 2, 1, 1], "b": list("xxyyxxyy") + [None] * 2}
        )
        y, z = [0, 1] * 5, [0, 1] * 5
        y_pred = [0, 0, 1, 1, 0, 0, 0, 1, 0, 1]  # the last two are in no combination
        values = demographic_parity_difference(
            y,
            y_pred,
            sensitive_features=z,
            control_features=columns,
            attributes="each",
        )
        assert list(values.values()) == [0, 0, 0, 1]
        assert "a & b=(1, 'x')" in next(iter(values))

    def test_interval_of_a_level_is_that_of_its_samples(self):
        # 40 times the samples: the levels are drawn together, which matters little.
        y, y_pred, z = (np.tile(v, 80) for v in (Y, PRED, Z))
        level = np.repeat(["x", "y"], 400)
        arguments = {"n_resamples": 2000, "random_state": 0}
        name = "equalized_odds_ratio"
        results = bootstrap(
            name,
            y,
            y_pred,
            sensitive_features=z,
            control_features=level,
            attributes="each",
            agg="mean",
            **arguments,
        )
        alone = bootstrap(
            name,
            y[:400],
            y_pred[:400],
            sensitive_features=z[:400],
            **arguments,
            agg="mean",
        )
        assert len(results) == 2
        for result in results.values():
            assert result.value == pytest.approx(alone.value)
            assert result.low == pytest.approx(alone.low, abs=0.01)
            assert result.high == pytest.approx(alone.high, abs=0.01)

    def test_scorer_finds_them_by_index(self):
        rng = np.random.default_rng(0)
        index = rng.permutation(200)
        X = pd.DataFrame(rng.normal(size=(200, 2)), index=index)
        y = (X[0] + rng.normal(size=200) > 0).astype(int)
        z, level = (pd.Series(rng.integers(0, 2, 200), index=index) for _ in range(2))
        model = LogisticRegression().fit(X, y)
        scorer = make_fairness_scorer(
            "demographic_parity_ratio",
            sensitive_features=z.sort_index(),
            control_features=level.sort_index(),
        )
        expected = demographic_parity_ratio(
            y, model.predict(X), sensitive_features=z, control_features=level
        )
        scorer = pickle.loads(pickle.dumps(scorer))
        assert scorer(model, X, y) == expected
        plain = make_fairness_scorer("demographic_parity_ratio", sensitive_features=z)
        assert plain(model, X, y) > expected
        elsewhere, groups = X.set_index(index + 500), z.to_numpy()
        with pytest.raises(ValueError, match="no `control_features` for 200 of 200"):
            scorer(model, elsewhere, y.to_numpy(), sensitive_features=groups)


class TestScorers:
    @pytest.mark.parametrize(
        ("name", "sign"),
        [
            ("accuracy_difference", -1),
            ("accuracy_ratio", 1),
            ("accuracy_group_min", 1),
            ("false_positive_rate_group_max", -1),
        ],
    )
    def test_greater_is_better(self, name, sign):
        rng = np.random.default_rng(0)
        X, z = pd.DataFrame(rng.normal(size=(200, 2))), rng.integers(0, 2, 200)
        y = (X[0] + rng.normal(size=200) > 0).astype(int)
        model = LogisticRegression().fit(X, y)
        metric = make_group_metric(*name.split("_", 1)) if name[0] == "a" else None
        metric = metric or make_group_metric("false_positive_rate", "group_max")
        expected = metric(y, model.predict(X), sensitive_features=z)
        for given_metric in (name, metric):
            scorer = make_fairness_scorer(given_metric)
            assert scorer(model, X, y, sensitive_features=z) == sign * expected


class TestLimits:
    """Ratios, as Donner and Zou have them, and worst groups."""

    @staticmethod
    def of_two(selected, sizes, name, **kwargs):
        z = np.repeat([0, 1], sizes)
        y_pred = np.concatenate(
            [np.arange(n) < k for k, n in zip(selected, sizes, strict=True)]
        )
        y_true = np.ones(len(z), dtype=int)
        arguments = {"n_resamples": 4000, "random_state": 0, **kwargs}
        return bootstrap(
            name, y_true, y_pred.astype(int), sensitive_features=z, **arguments
        )

    def test_ratio_of_many_samples_by_the_delta_method(self):
        result = self.of_two([4000, 3000], [10_000, 10_000], "selection_rate_ratio")
        error = 0.75 * np.sqrt(0.6 / 4000 + 0.7 / 3000)
        assert result.value == pytest.approx(0.75)
        assert result.standard_error == pytest.approx(error, rel=0.05)
        assert result.low == pytest.approx(0.75 - 1.96 * error, abs=0.1 * error)
        assert result.high == pytest.approx(0.75 + 1.96 * error, abs=0.1 * error)

    def test_ratio_of_a_rate_of_zero(self):
        # Wilson's upper limit of 0 of 20 is .161; 90 of 100 are at least .826.
        result = self.of_two([90, 0], [100, 20], "selection_rate_ratio")
        assert (result.value, result.low) == (0, 0)
        assert 0.161 / 0.9 < result.high < 0.161 / 0.826
        # The limits of the 0 are rounded up or down.
        name = "selection_rate_ratio"
        for n in range(5, 40):
            result = self.of_two([90, 0], [100, n], name, n_resamples=20)
            assert result.high > 0.05

    def test_worst_group_has_its_own_limits(self):
        # Wilson's of 30 of 100; the other group is far away.
        limits = binomtest(30, 100).proportion_ci(method="wilson")
        for name, selected in (("group_min", [30, 90]), ("group_max", [30, 0])):
            result = self.of_two(selected, [100, 100], f"selection_rate_{name}")
            assert result.value == pytest.approx(0.3)
            assert result.low == pytest.approx(limits.low, abs=0.01)
            assert result.high == pytest.approx(limits.high, abs=0.01)

    def test_part_of_all_varies_with_all(self):
        # .4 of a half against .35 of all is half of the difference to the other half.
        arguments = [4000, 3000], [10_000, 10_000], "selection_rate_difference"
        result = self.of_two(*arguments, method="to_overall")
        between = self.of_two(*arguments)
        assert result.value == pytest.approx(between.value / 2)
        assert result.low == pytest.approx(between.low / 2, rel=0.02)
        assert result.high == pytest.approx(between.high / 2, rel=0.02)

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["between_groups", "to_overall"])
    @pytest.mark.parametrize("transform", ["difference", "ratio"])
    def test_coverage(self, transform, method):
        """Equal groups, groups apart, and a small group."""
        for sizes, rates in (
            ([500, 500], [0.4, 0.4]),
            ([500, 300, 200], [0.4, 0.5, 0.3]),
            ([1000, 30], [0.6, 0.4]),
        ):
            z, rates = np.repeat(np.arange(len(sizes)), sizes), np.array(rates)
            overall = np.average(rates, weights=sizes)
            high, low = rates.max(), rates.min()
            truth = {"difference": high - low, "ratio": low / high}[transform]
            if method == "to_overall":
                truth = {
                    "difference": max(high - overall, overall - low),
                    "ratio": min(overall / high, low / overall),
                }[transform]
            misses = 0
            for seed in range(200):
                rng = np.random.default_rng(seed)
                y_pred = (rng.random(len(z)) < rates[z]).astype(int)
                result = bootstrap(
                    f"selection_rate_{transform}",
                    np.ones(len(z), dtype=int),
                    y_pred,
                    sensitive_features=z,
                    method=method,
                    n_resamples=200,
                    random_state=seed,
                )
                misses += not result.low - 1e-12 <= truth <= result.high + 1e-12
            # 5 % of 200 is 10, with a standard deviation of 3.1.
            assert misses <= 19


class TestCalibration:
    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 999), n_bins=st.integers(1, 12))
    def test_bins_are_those_of_scikit_learn(self, seed, n_bins):
        rng = np.random.default_rng(seed)
        prob, z = rng.integers(0, 21, 60) / 20, np.repeat(list("ab"), 30)
        y = (rng.random(60) < prob).astype(int)
        assume(all(len(np.unique(y[z == g])) == 2 for g in "ab"))
        errors = []
        for group in "ab":
            of_group = y[z == group], prob[z == group]
            true, mean = calibration_curve(*of_group, n_bins=n_bins)
            edges = np.linspace(0, 1, n_bins + 1)[1:-1]
            sizes = np.bincount(np.searchsorted(edges, of_group[1]))
            errors.append(np.average(np.abs(true - mean), weights=sizes[sizes > 0]))
        value = group_calibration_difference(
            y, prob, sensitive_features=z, n_bins=n_bins
        )
        assert value == pytest.approx(abs(errors[0] - errors[1]))

    def test_of_each_of_several_classes(self):
        rng = np.random.default_rng(0)
        prob, z = rng.dirichlet(np.ones(3), 90), np.arange(90) % 2
        y = np.arange(90) % 3
        by_class = [
            group_calibration_difference(y == c, prob[:, c], sensitive_features=z)
            for c in range(3)
        ]
        value = group_calibration_difference(y, prob, sensitive_features=z)
        assert value == pytest.approx(max(by_class))

    def test_has_no_interval(self):
        data = {
            "y_true": np.tile(Y, 20),
            "sensitive_features": np.tile(Z, 20),
            "n_resamples": 20,
        }
        score = np.tile(SCORE, 20)
        with pytest.warns(UndefinedMetricWarning, match="limits: noise makes"):
            result = bootstrap(group_calibration_difference, y_output=score, **data)
        assert np.isfinite(result.value)
        assert np.isfinite(result.standard_error)
        assert np.isnan([result.low, result.high]).all()
        report = fairness_report(
            y_pred=score > 0.5,
            y_score=score,
            metrics=["group_calibration_difference", "group_auc_difference"],
            **data,
        )
        note = "There is no interval of group_calibration_difference: noise makes"
        assert report.to_text().count("There is no interval") == 1
        assert note in report.to_text()


def test_equal_groups():
    """Copies of a group have a difference of 0 and a ratio of 1, to all as well."""
    y, y_pred, z = np.tile(Y, 2), np.tile(PRED, 2), np.repeat([0, 1], 10)
    for method in ("between_groups", "to_overall"):
        arguments = {"sensitive_features": z, "method": method}
        assert equalized_odds_difference(y, y_pred, **arguments) == 0
        assert equalized_odds_ratio(y, y_pred, **arguments) == 1


def test_difference_to_overall_by_hand():
    # Selected: 4/6, 1/4, and 5/10 of all.
    arguments = {"sensitive_features": Z, "method": "to_overall"}
    value = demographic_parity_difference(Y, PRED, **arguments)
    assert value == pytest.approx(1 / 4)
    assert demographic_parity_ratio(Y, PRED, **arguments) == pytest.approx(1 / 2)
    # The area of all is that of all pairs, and not between those of the groups.
    area = make_group_metric("roc_auc", "difference")(Y, SCORE, **arguments)
    pairs = SCORE[Y == 1][:, None] - SCORE[Y == 0]
    overall = ((pairs > 0) + (pairs == 0) / 2).mean()
    assert area == pytest.approx(max(abs(7 / 8 - overall), abs(3 / 4 - overall)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recall", "ratio"), "`statistic` must be .* got 'recall'"),
        (("precision", "max"), "`transform` must be .* got 'max'"),
        # The best group says nothing.
        (("precision", "group_max"), "'ratio' or 'group_min'; got 'group_max'"),
        (("log_loss", "group_min"), "'ratio' or 'group_max'; got 'group_min'"),
    ],
)
def test_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_group_metric(*arguments)


def test_a_made_metric_is_found_by_its_name():
    metric = make_group_metric("precision", "group_min")
    assert pickle.loads(pickle.dumps(metric)) is metric is metrics.precision_group_min
    with pytest.raises(AttributeError, match="precision_group_max"):
        metrics.precision_group_max  # noqa: B018


def test_a_report_keeps_the_losses_apart():
    # Probabilities for which the two losses differ by different amounts.
    names = ["group_loss_difference", "soft_zero_one_difference"]
    report = fairness_report(
        Y, PRED, SCORE, sensitive_features=Z, metrics=names, n_resamples=0
    )
    losses = -np.log(np.where(Y == 1, SCORE, 1 - SCORE))
    expected = abs(losses[Z == "a"].mean() - losses[Z == "b"].mean())
    found = report.differences["value"].droplevel(0)
    assert found["group_loss_difference"] == pytest.approx(expected)
    expected = 1.4 / 4 - 1.9 / 6
    assert found["soft_zero_one_difference"] == pytest.approx(expected)
