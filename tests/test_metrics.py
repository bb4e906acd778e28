import inspect
import math
import pickle
import re
import warnings
from contextlib import nullcontext
from functools import partial

import fairlearn.metrics as fairlearn
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    precision_score,
    roc_auc_score,
)
from sklearn.model_selection import StratifiedKFold

from fairtask import metrics
from fairtask.metrics import (
    base_rate_difference,
    demographic_parity_difference,
    equal_opportunity_difference,
    equalized_odds_difference,
    false_discovery_rate_difference,
    false_negative_rate_difference,
    false_omission_rate_difference,
    false_positive_rate_difference,
    group_accuracy_difference,
    group_auc_difference,
    group_calibration_difference,
    group_loss_difference,
    predictive_parity_difference,
)

METRICS = {
    "parity": demographic_parity_difference,
    "opportunity": equal_opportunity_difference,
    "odds": equalized_odds_difference,
    "mean_odds": partial(equalized_odds_difference, agg="mean"),
    "accuracy": group_accuracy_difference,
    "base_rate": base_rate_difference,
    "false_positives": false_positive_rate_difference,
    "false_negatives": false_negative_rate_difference,
    "precision": predictive_parity_difference,
    "false_discoveries": false_discovery_rate_difference,
    "false_omissions": false_omission_rate_difference,
    "auc": group_auc_difference,
    "log_loss": group_loss_difference,
    "soft_zero_one": partial(group_loss_difference, loss="soft_zero_one"),
    "calibration": partial(group_calibration_difference, n_bins=2),
}
ON_SCORES = ("auc", "log_loss", "soft_zero_one", "calibration")
GIVEN_PREDICTION = ("precision", "false_discoveries", "false_omissions")

# a, the first six: TPR 3/4, FPR 1/2, 4 of 6 predicted positive, of which 3 are
# b, the other four: TPR 1/2, FPR 0, 1 of 4 predicted positive, which is
Y = np.array([1, 1, 1, 1, 0, 0, 1, 1, 0, 0])
SCORE = np.array([0.9, 0.8, 0.7, 0.4, 0.6, 0.1, 0.8, 0.3, 0.4, 0.1])
Z = np.array(["a"] * 6 + ["b"] * 4)
EXPECTED = {
    "parity": 4 / 6 - 1 / 4,
    "opportunity": 3 / 4 - 1 / 2,
    "odds": 1 / 2 - 0,
    "mean_odds": (1 / 4 + 1 / 2) / 2,
    "accuracy": 3 / 4 - 4 / 6,
    "base_rate": 4 / 6 - 2 / 4,
    "false_positives": 1 / 2 - 0,
    "false_negatives": 1 / 2 - 1 / 4,
    "precision": 1 - 3 / 4,
    "false_discoveries": 1 / 4 - 0,
    "false_omissions": 1 / 2 - 1 / 3,
    # Of 8 pairs in a only (0.4, 0.6) is the wrong way round; of 4 in b (0.3, 0.4).
    "auc": 7 / 8 - 3 / 4,
    "log_loss": -math.log(0.8 * 0.3 * 0.6 * 0.9) / 4
    + math.log(0.9 * 0.8 * 0.7 * 0.4 * 0.4 * 0.9) / 6,
    # a: .1 + .2 + .3 + .6 + .6 + .1 = 1.9; b: .2 + .7 + .4 + .1 = 1.4
    "soft_zero_one": 1.4 / 4 - 1.9 / 6,
    # Up to .5 and above. a: 1 of .4 + .1, 3 of 3.0; b: 1 of .3 + .4 + .1, 1 of .8
    "calibration": (0.2 + 0.2) / 4 - (0.5 + 0) / 6,
}
by_name = pytest.mark.parametrize("name", METRICS)


def predicted(name, score):
    return score if name in ON_SCORES else (score > 0.5).astype(int)


def compute(name, y=Y, score=SCORE, z=Z, **kwargs):
    return METRICS[name](y, predicted(name, score), sensitive_features=z, **kwargs)


def with_more(y, score, z):
    """The samples above and more, as arguments of `compute`."""
    return {"y": [*Y, *y], "score": np.array([*SCORE, *score]), "z": [*Z, *z]}


@by_name
def test_hand_computed(name):
    assert compute(name) == pytest.approx(EXPECTED[name])


@by_name
def test_sample_weight_by_hand(name):
    weights = np.array([1, 1, 1, 2, 1, 1] + [1] * 4)  # twice the positive that a misses
    log_loss_a = -math.log(0.9 * 0.8 * 0.7 * 0.4**2 * 0.4 * 0.9) / 7
    expected = {
        "parity": 4 / 7 - 1 / 4,
        "opportunity": 3 / 5 - 1 / 2,
        "odds": 1 / 2 - 0,
        "mean_odds": (1 / 10 + 1 / 2) / 2,
        "accuracy": 3 / 4 - 4 / 7,
        "base_rate": 5 / 7 - 1 / 2,
        "false_positives": 1 / 2 - 0,
        "false_negatives": 1 / 2 - 2 / 5,
        "precision": 1 - 3 / 4,
        "false_discoveries": 1 / 4 - 0,
        "false_omissions": 2 / 3 - 1 / 3,
        "auc": 8 / 10 - 3 / 4,
        "log_loss": -math.log(0.8 * 0.3 * 0.6 * 0.9) / 4 - log_loss_a,
        "soft_zero_one": 2.5 / 7 - 1.4 / 4,
        "calibration": 1.1 / 7 - 0.4 / 4,
    }[name]
    assert compute(name, sample_weight=weights) == pytest.approx(expected)


def test_certain_mistake_costs_a_finite_log_loss():
    # As in scikit-learn: probabilities are clipped at the machine's epsilon.
    value = group_loss_difference([1, 1], [0.0, 1.0], sensitive_features=["a", "b"])
    assert value == pytest.approx(-math.log(np.finfo(float).eps))


@pytest.mark.parametrize(
    ("negative", "positive"),
    [(0, 1), (-1, 1), (1, 2), (0.0, 1.0), (False, True), ("no", "yes"), ("0", "1")],
)
@pytest.mark.parametrize(
    "convert", [list, np.array, pd.Series, pd.DataFrame, "category", "object"]
)
def test_label_types(negative, positive, convert):
    def encode(codes):
        labels = [positive if code else negative for code in codes]
        if isinstance(convert, str):
            return pd.Series(labels, dtype=convert)
        return convert(labels)

    y_true, y_pred = encode(Y), encode(SCORE > 0.5)
    for pos_label, expected in [
        (None, 1 / 4),
        (positive, 1 / 4),
        (np.array([positive])[0], 1 / 4),
        (negative, 1 / 2),  # true negative rates: 1/2 and 1
    ]:
        assert equal_opportunity_difference(
            y_true, y_pred, sensitive_features=Z, pos_label=pos_label
        ) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("label", "expected"),
    # -log(1/4) + log(1/2) for positives, -log(1/2) + log(3/4) for negatives
    [(1, math.log(2)), (True, math.log(2)), (0, math.log(1.5)), (-1, math.log(1.5))],
)
def test_one_label_of_a_known_pair_determines_the_class(label, expected):
    value = group_loss_difference(
        [label] * 2, [0.5, 0.25], sensitive_features=["a", "b"]
    )
    assert value == pytest.approx(expected)


@by_name
@pytest.mark.parametrize("shuffled", [0, 1, 2, 3])
def test_rows_of_pandas_belong_together_by_their_index(name, shuffled):
    index = np.random.default_rng(0).permutation(10)
    arguments = [Y, SCORE, Z, np.full(10, 3.0)]
    series = [pd.Series(values, index=index) for values in arguments]
    y_true, score, z, weights = series
    value = compute(name, y_true, score, z, sample_weight=weights)
    assert value == pytest.approx(EXPECTED[name])

    # The position counts where there is no index.
    series[shuffled] = arguments[shuffled]
    y_true, score, z, weights = series
    value = compute(name, y_true, score, z, sample_weight=weights)
    assert value == pytest.approx(EXPECTED[name])

    series[shuffled] = pd.Series(arguments[shuffled])
    y_true, score, z, weights = series
    with pytest.raises(ValueError, match="in another order"):
        compute(name, y_true, score, z, sample_weight=weights)


@by_name
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_group_is_left_out(name, missing):
    samples = with_more([0, 0, 1], [1.0, 1.0, 0.0], [missing] * 3)
    assert compute(name, **samples) == pytest.approx(EXPECTED[name])


@by_name
def test_all_groups_missing(name):
    with pytest.warns(UndefinedMetricWarning, match="0 of 0 groups"):
        assert math.isnan(compute(name, z=[None] * 10))


@by_name
@pytest.mark.parametrize("container", [list, tuple, np.array, pd.Series])
def test_groups_selects(name, container):
    # c and the unknown are certain mistakes only, which would set each difference.
    samples = with_more([0, 0, 0, 1, 0], [1.0, 1.0, 1.0, 0.0, 1.0], [*"cccc", None])
    value = compute(name, **samples, groups=container(["b", "a", "b"]))
    assert value == pytest.approx(EXPECTED[name])
    assert compute(name, **samples) > EXPECTED[name] + 0.05


@by_name
def test_group_of_training_that_does_not_occur(name):
    with pytest.warns(UndefinedMetricWarning, match=r"without .*: c, d\.") as caught:
        value = compute(name, groups=np.array(["c", "a", "b", "d"]))
    assert value == pytest.approx(EXPECTED[name])
    assert len(caught) == 1


@by_name
def test_min_group_size_counts_what_the_metric_averages(name):
    # b has 4 samples, 2 positives and 2 negatives, and fewer predicted positives; a has
    # 2 predicted negatives. Weights do not count.
    over_all = ("parity", "accuracy", "base_rate", *ON_SCORES[1:])
    enough = 4 if name in over_all else 2
    if name in ("precision", "false_discoveries"):
        enough = 1
    weights = np.full(10, 9.0)
    value = compute(name, min_group_size=enough, sample_weight=weights)
    assert value == pytest.approx(EXPECTED[name])
    with pytest.warns(UndefinedMetricWarning, match="of 2 groups can be compared"):
        value = compute(name, min_group_size=enough + 1, sample_weight=weights)
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("name", "positives", "negatives"),
    [("opportunity", 3, 0), ("odds", 3, 1), ("odds", 1, 3), ("auc", 3, 1)],
)
def test_min_group_size_counts_each_class_needed(name, positives, negatives):
    y = np.tile([1] * positives + [0] * negatives, 2)
    score, z = np.linspace(0, 1, len(y)), np.repeat(["a", "b"], len(y) // 2)
    smallest = positives if name == "opportunity" else 1
    assert compute(name, y, score, z, min_group_size=smallest) >= 0
    with pytest.warns(UndefinedMetricWarning, match="0 of 2 groups"):
        assert math.isnan(compute(name, y, score, z, min_group_size=smallest + 1))


@by_name
def test_samples_of_weight_zero_are_absent(name):
    # They would change the rates, and make b large enough.
    samples = with_more([0, 1] * 5, [1.0, 0.0] * 5, ["b"] * 10)
    samples["sample_weight"] = np.repeat([1.0, 0.0], 10)
    assert compute(name, **samples) == pytest.approx(EXPECTED[name])
    with pytest.warns(UndefinedMetricWarning, match="of 2 groups can be compared"):
        compute(name, **samples, min_group_size=5)


@by_name
def test_warning_points_at_the_line_that_calls(name):
    metric = METRICS[name]
    with pytest.warns(UndefinedMetricWarning) as caught:
        value = metric([0, 1], [0, 1], sensitive_features=["a", "a"], groups=["a", "b"])
    assert math.isnan(value)
    assert [warning.filename for warning in caught] == [__file__] * 2
    public_name = getattr(metric, "func", metric).__name__
    assert all(f"`{public_name}`" in str(warning.message) for warning in caught)


ANY_NUMBER = st.integers(1, 4)


@st.composite
def tables(draw, *, n_groups=ANY_NUMBER, complete=False):
    """Draw y, scores, groups and weights; if complete, each group has both classes."""
    count = draw(n_groups)
    row = st.tuples(
        st.integers(0, 1),
        st.integers(0, 8).map(lambda k: k / 8),  # few values, so that scores tie
        st.integers(0, count - 1),
        st.integers(1 if complete else 0, 3),
    )
    rows = draw(st.lists(row, min_size=1, max_size=30))
    if complete:
        both = [(c, g) for g in range(count) for c in (0, 1)]
        rows += [(c, draw(st.integers(0, 8)) / 8, g, 1) for c, g in both]
    y, score, z, weights = (np.array(column) for column in zip(*rows, strict=True))
    return y, score, np.array(list("abcd"))[z], weights


def assume_defined(name, score, z):
    """Draw again if a group lacks the predictions that the metric averages."""
    if name in GIVEN_PREDICTION:
        chosen = predicted(name, score) == (name != "false_omissions")
        assume(set(z[chosen]) == set(z))


def by_frame(metric, y, score, *, sensitive_features, sample_weight):
    return fairlearn.MetricFrame(
        metrics={"value": metric},
        y_true=y,
        y_pred=score,
        sensitive_features=sensitive_features,
        sample_params={"value": {"sample_weight": sample_weight}},
    ).difference()["value"]


def negative_predictive_value(y, y_pred, *, sample_weight):
    return precision_score(y, y_pred, pos_label=0, sample_weight=sample_weight)


def base_rate(y, y_pred, *, sample_weight):
    return np.average(y, weights=sample_weight)


FAIRLEARN = {
    "parity": fairlearn.demographic_parity_difference,
    "opportunity": fairlearn.equal_opportunity_difference,
    "odds": fairlearn.equalized_odds_difference,
    "mean_odds": partial(fairlearn.equalized_odds_difference, agg="mean"),
    "accuracy": partial(by_frame, accuracy_score),
    "base_rate": partial(by_frame, base_rate),
    "false_positives": fairlearn.false_positive_rate_difference,
    "false_negatives": fairlearn.false_negative_rate_difference,
    "precision": partial(by_frame, precision_score),
    "false_omissions": partial(by_frame, negative_predictive_value),
    "auc": partial(by_frame, roc_auc_score),
    "log_loss": partial(by_frame, partial(log_loss, labels=[0, 1])),
}


def by_fairlearn(name, y=Y, score=SCORE, z=Z, sample_weight=None):
    weights = np.ones(len(y)) if sample_weight is None else sample_weight
    output = predicted(name, score)
    return FAIRLEARN[name](y, output, sensitive_features=z, sample_weight=weights)


in_fairlearn = pytest.mark.parametrize("name", FAIRLEARN)


@in_fairlearn
@settings(max_examples=25, deadline=None)
@given(table=tables(n_groups=st.integers(2, 4), complete=True), weighted=st.booleans())
def test_equals_fairlearn(name, table, weighted):
    *samples, weights = table
    assume_defined(name, *samples[1:])
    weights = weights / 3 if weighted else None
    expected = by_fairlearn(name, *samples, sample_weight=weights)
    value = compute(name, *samples, sample_weight=weights)
    assert_allclose(value, expected, atol=1e-9)


@pytest.mark.slow
@in_fairlearn
@settings(max_examples=30)
@given(table=tables(n_groups=st.just(4), complete=True), names=st.permutations("abcd"))
def test_intersection_equals_fairlearn(name, table, names):
    y, score, z, weights = table
    assume_defined(name, score, z)
    codes = np.array([names.index(group) for group in z])
    frame = pd.DataFrame({"first": codes // 2, "second": codes % 2})
    value = compute(
        name, y, score, frame, sample_weight=weights, attributes="intersection"
    )
    expected = by_fairlearn(name, y, score, frame, weights)
    assert_allclose(value, expected, atol=1e-9)


@pytest.mark.parametrize("name", ["opportunity", "odds"])
def test_perfect_classifier_where_a_group_has_no_positives(name):
    y, z = np.array([0, 1, 0, 1, 0, 0]), list("aabbcc")
    assert by_fairlearn(name, y, y, z) == 1.0
    with pytest.warns(UndefinedMetricWarning, match="without positives.*: c") as caught:
        assert compute(name, y, y, z) == 0.0
    assert len(caught) == 1  # a and b are compared


@in_fairlearn
def test_one_group_cannot_be_compared(name):
    assert by_fairlearn(name, z=["a"] * 10) == 0.0
    with pytest.warns(UndefinedMetricWarning, match="1 of 1 groups"):
        assert math.isnan(compute(name, z=["a"] * 10))


@pytest.mark.slow
@by_name
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@settings(max_examples=60, deadline=None)
@given(table=tables(), data=st.data())
def test_properties(name, table, data):
    y, score, z, weights = table
    value = compute(name, y, score, z, sample_weight=weights)
    largest = -math.log(np.finfo(float).eps) if name == "log_loss" else 1
    assert math.isnan(value) or 0 <= value <= largest

    order = data.draw(st.permutations(range(len(y))), label="order of the samples")
    shuffled = (values[order] for values in (y, score, z))
    permuted = compute(name, *shuffled, sample_weight=weights[order])
    assert_allclose(permuted, value, atol=1e-9)

    names = dict(zip("abcd", data.draw(st.permutations([7, 1, 3, 2])), strict=True))
    renamed = compute(name, y, score, [names[g] for g in z], sample_weight=weights)
    assert_allclose(renamed, value, atol=1e-9)

    if weights.any():  # without a sample there is no metric
        repeated = (np.repeat(values, weights) for values in (y, score, z))
        assert_allclose(compute(name, *repeated), value, atol=1e-9)


@by_name
@settings(max_examples=20, deadline=None)
@given(table=tables(n_groups=st.just(1), complete=True))
def test_zero_for_copies_of_one_group(name, table):
    assume_defined(name, *table[1:3])
    y, score, z, weights = (np.tile(values, 3) for values in table)
    z = np.repeat(["a", "b", "c"], len(y) // 3)
    assert compute(name, y, score, z, sample_weight=weights) == 0


DIRECTED = tuple(name for name in METRICS if name not in ("accuracy", *ON_SCORES))
HARD = (*DIRECTED, "accuracy")
EVERY = (*HARD, *ON_SCORES)


@pytest.mark.parametrize(
    ("names", "arguments", "message"),
    [
        (ON_SCORES, {"y_true": [0, 1, 2, 0]}, r"a column for each of the 3 classes"),
        (EVERY, {"y_true": [0, 1, 0.5, 0]}, "`y_true` must hold class labels.* 0.5"),
        (EVERY, {"y_true": [0, 1, np.nan, 0]}, "`y_true` must not have missing"),
        (EVERY, {"y_true": [0, 1, None, 0]}, "`y_true` must not have missing"),
        (EVERY, {"y_true": [[0, 1]] * 4}, r"`y_true` .*shape \(4, 2\)"),
        (
            ON_SCORES,
            {"y_true": range(99)},
            r"`y_true`.* 99 .*: \[0, 1, 2, 3, 4, 5, ...\]",
        ),
        (EVERY, {"y_true": []}, "`y_true` must have at least one sample"),
        (EVERY, {"y_true": "income"}, "`y_true` must be a list.* Pass the column"),
        (
            EVERY,
            {"y_true": [{0}] * 4},
            "`y_true` must hold class .* of type set",
        ),
        (EVERY, {"sensitive_features": [0, 1, 0, np.inf]}, "it holds infinity"),
        (EVERY, {"control_features": [None] * 4}, "`control_features` must have a lev"),
        (
            EVERY,
            {"control_features": [0, "a"] * 2},
            "'control_feature' .* names of one type",
        ),
        (EVERY, {"groups": np.array(1)}, "`groups` must be a dict"),
        (DIRECTED, {"pos_label": [0, 1]}, r"`pos_label` must be one label; got \[0, 1"),
        (ON_SCORES, {"y_pred": [[1], [0, 1], [1], [0]]}, "`y_(score|prob)` must be an"),
        (ON_SCORES, {"y_true": ["no"] * 4}, "`pos_label` is needed"),
        (ON_SCORES, {"y_true": [0] * 4, "pos_label": "no"}, "`pos_label` .* got 'no'"),
        (DIRECTED, {"pos_label": 2}, r"`pos_label` must be one of \[0, 1\]; got 2"),
        (DIRECTED, {"pos_label": "1"}, "`pos_label` must be one of .* got '1'"),
        (
            HARD,
            {"y_true": ["0", "1", "0", "1"]},
            "`y_pred`, like `y_true`",
        ),
        (HARD, {"y_true": ["0"] * 4, "y_pred": [1] * 4}, "`y_pred`.* holds numbers"),
        (HARD, {"y_pred": [0, 1, 1]}, "`y_pred`.* expected 4, found 3"),
        (HARD, {"y_pred": None}, "`y_pred` must be a list, an array.* got None"),
        (HARD, {"y_pred": [0, 1, pd.NA, 0]}, "`y_pred` must not have missing"),
        (
            HARD,
            {"y_pred": [0.1, 0.2, 0.3, 0.4]},
            "`y_pred` must hold class labels.* 0.1",
        ),
        (HARD, {"y_pred": [0, 1, 2, 0]}, r"`y_pred` must .*\[0, 1\]; found \[2\] as"),
        (DIRECTED, {"y_pred": [2, 1, 0, 0], "pos_label": 1}, r"found \[2\] as well"),
        (
            HARD,
            {"y_true": ["no", "yes"] * 2, "y_pred": ["no", "yes "] * 2},
            "found .'yes '. as well. If `y_true` may lack a class",
        ),
        (ON_SCORES, {"y_pred": [0, 1, 1]}, "`y_(score|prob)`.* expected 4, found 3"),
        (ON_SCORES, {"y_pred": [[0.5] * 3] * 4}, r"`y_(score|prob)` .*\(4, 3\)"),
        (ON_SCORES, {"y_pred": [0, 1, 1, np.nan]}, "`y_(score|prob)` must be finite"),
        (ON_SCORES, {"y_pred": list("abcd")}, "`y_(score|prob)` must hold numbers"),
        (ON_SCORES[1:], {"y_pred": [0, 1, 1, 1.5]}, "`y_prob`.* from 0 to 1.5"),
        (ON_SCORES[1:], {"y_pred": [0, 1, 1, -0.5]}, "`y_prob`.* from -0.5 to 1"),
        (EVERY, {"sensitive_features": ["a"] * 3}, "`sensitive_features`.* expected 4"),
        (EVERY, {"sensitive_features": [[["a"]]] * 4}, "`sensitive_f.* 3 dimensions"),
        (EVERY, {"sensitive_features": None}, "`sensitive_features`.* got None"),
        (EVERY, {"sample_weight": [1, 1, 1]}, "`sample_weight`.* expected 4, found 3"),
        (EVERY, {"sample_weight": [1, 1, 1, -2]}, "`sample_weight`.* found -2"),
        (EVERY, {"sample_weight": [1, 1, 1, np.inf]}, "`sample_weight` must be finite"),
        (EVERY, {"sample_weight": [1e308] * 4}, "`sample_weight` must hold numbers of"),
        (EVERY, {"min_group_size": 0}, "`min_group_size` must be .* got 0"),
        (EVERY, {"min_group_size": True}, "`min_group_size` must be .* got True"),
        (EVERY, {"sensitive_features": {"a": [0], "b": [0, 1]}}, "`sensitive_f.* dict"),
        (EVERY, {"min_group_size": "a"}, "`min_group_size` must be .* got 'a'"),
        (EVERY, {"groups": "ab"}, "`groups` must be a dict .* or a list .* got 'ab'"),
        (EVERY, {"groups": {"age": ["a"]}}, "`groups` must name the attributes"),
        (EVERY, {"labels": [0, 2]}, r"`labels` must name every class.* \[1\] besides"),
        (EVERY, {"attributes": "all"}, "`attributes` must be .* got 'all'"),
        (["odds"], {"agg": "max"}, "`agg` must be 'worst_case' or 'mean'; got 'max'"),
        (["log_loss"], {"loss": "hinge"}, "`loss` must be .*; got 'hinge'"),
        (["calibration"], {"n_bins": 0}, "`n_bins` must be an integer .* got 0"),
        (EVERY, {"method": "overall"}, "`method` must be .* got 'overall'"),
        (EVERY, {"control_features": [0] * 3}, "`control_features`.* expected 4"),
    ],
)
def test_error_names_the_argument(names, arguments, message):
    valid = {"y_true": [0, 1, 0, 1], "y_pred": [0, 1, 1, 1]}
    keywords = {**valid, "sensitive_features": list("aabb"), **arguments}
    y_true, y_pred = keywords.pop("y_true"), keywords.pop("y_pred")
    for name in names:
        with pytest.raises(ValueError, match=message):
            METRICS[name](y_true, y_pred, **keywords)


@by_name
def test_metric_is_a_function_with_a_signature(name):
    metric = getattr(METRICS[name], "func", METRICS[name])
    assert pickle.loads(pickle.dumps(metric)) is metric
    assert getattr(metrics, metric.__name__) is metric
    parameters = list(inspect.signature(metric).parameters)
    assert {"attributes", "groups", "min_group_size"} <= set(parameters)
    documented, _, _ = metric.__doc__.partition("\nReturns\n")
    assert re.findall(r"^(\w+) : .*\n    [A-Z]", documented, re.M) == parameters
    with pytest.raises(TypeError, match=rf"^{metric.__name__}\(\) .* 'bogus'"):
        metric([0, 1], [0, 1], sensitive_features=["a", "b"], bogus=1)
    positional, by_keyword = (Y, predicted(name, SCORE)), {"sensitive_features": Z}
    arguments = dict(zip(parameters[:2], positional, strict=True))
    assert metric(*positional, **by_keyword) == metric(**arguments, **by_keyword)
    with pytest.raises(TypeError, match=f"`{metric.__name__}` takes `y_true`.* groups"):
        metric(*positional, Z)


class TestSeveralAttributes:
    # The groups of the tests above, and one that has no differences.
    FRAME = pd.DataFrame({"bad": Z, "none": ["c", "d"] * 5})

    def test_by_hand(self):
        values = equal_opportunity_difference(
            Y, SCORE > 0.5, sensitive_features=self.FRAME, attributes="each"
        )
        # c: samples 0, 2, 4, 6, 8, positives 0, 2, 6 all found; d: 1, 3, 7, found one
        assert values == pytest.approx({"bad": 1 / 4, "none": 2 / 3})

    @by_name
    def test_worst_and_each(self, name):
        values = compute(name, z=self.FRAME, attributes="each")
        assert values["bad"] == pytest.approx(EXPECTED[name])
        assert values["none"] == compute(name, z=self.FRAME["none"])
        assert compute(name, z=self.FRAME) == max(values.values())

    @by_name
    def test_dict_of_columns(self, name):
        columns = {column: list(self.FRAME[column]) for column in self.FRAME}
        assert compute(name, z=columns) == compute(name, z=self.FRAME)

    def test_more_combinations_of_groups_than_integers(self):
        rng = np.random.default_rng(0)
        y, y_pred = rng.integers(0, 2, (2, 50))
        frame = pd.DataFrame(rng.integers(0, 2, (50, 80)))
        arguments = {"sensitive_features": frame, "attributes": "each"}
        values = demographic_parity_difference(y, y_pred, **arguments)
        for attribute, value in values.items():
            z = frame[int(attribute)]
            expected = demographic_parity_difference(y, y_pred, sensitive_features=z)
            assert value == pytest.approx(expected)

    @by_name
    def test_attribute_that_cannot_be_compared_is_named(self, name):
        frame = pd.DataFrame({"bad": Z, "single": ["x"] * 10})
        with pytest.warns(UndefinedMetricWarning, match="of 'single' is undefined"):
            values = compute(name, z=frame, attributes="each")
        assert math.isnan(values["single"])
        with pytest.warns(UndefinedMetricWarning, match="of 'single' is undefined"):
            assert compute(name, z=frame) == pytest.approx(EXPECTED[name])

    @by_name
    def test_intersection(self, name):
        # Each combination with c or with d is the whole of its group.
        frame = pd.DataFrame({"bad": np.tile(Z, 2), "copy": np.repeat(["c", "d"], 10)})
        y, score = np.tile(Y, 2), np.tile(SCORE, 2)
        for groups in (None, [("a", "c"), ("b", "c")]):
            value = compute(
                name, y, score, frame, attributes="intersection", groups=groups
            )
            assert value == pytest.approx(EXPECTED[name])

    @by_name
    def test_groups_of_each(self, name):
        others = pd.DataFrame({"bad": ["e", "e"], "none": ["f", None]})
        samples = with_more([0, 1], [1.0, 0.0], [None] * 2)
        samples["z"] = pd.concat([self.FRAME, others], ignore_index=True)
        expected = compute(name, z=self.FRAME, attributes="each")
        named, in_order = {"none": ["d", "c"], "bad": ["a", "b"]}, [[*"ab"], [*"cd"]]
        for groups in (named, in_order):
            values = compute(name, **samples, attributes="each", groups=groups)
            assert values == pytest.approx(expected)


class TestSeveralClasses:
    Y_TRUE = np.array(list("xyzxyz"))
    Y_PRED = np.array(list("xyzyyz"))
    GROUP = np.array(list("aaabbb"))
    # a: each of the three classes is right; b: x is taken for y.
    PROBA = np.eye(3)[[0, 1, 2, 1, 1, 2]]

    def compute(self, metric, output, **kwargs):
        return metric(self.Y_TRUE, output, sensitive_features=self.GROUP, **kwargs)

    def test_rates_by_hand(self):
        # Selection rates of x, y, z: 1/3 each in a; 0, 2/3, 1/3 in b.
        parity = self.compute(demographic_parity_difference, self.Y_PRED)
        assert parity == pytest.approx(1 / 3)
        # TPR: 1, 1, 1 in a; 0, 1, 1 in b. FPR: 0, 0, 0 in a; 0, 1/2, 0 in b.
        assert self.compute(equal_opportunity_difference, self.Y_PRED) == 1
        assert self.compute(equalized_odds_difference, self.Y_PRED) == 1
        mean = self.compute(equalized_odds_difference, self.Y_PRED, agg="mean")
        assert mean == pytest.approx((1 + 1 / 2) / 6)
        accuracy = self.compute(group_accuracy_difference, self.Y_PRED)
        assert accuracy == pytest.approx(1 / 3)

    def test_scores_by_hand(self):
        # Inside b: x has a score of 0 like the rest, y ties with x, z is perfect.
        assert self.compute(group_auc_difference, self.PROBA) == pytest.approx(1 / 2)
        soft = self.compute(group_loss_difference, self.PROBA, loss="soft_zero_one")
        assert soft == pytest.approx(1 / 3)

    @pytest.mark.parametrize(
        "metric", [demographic_parity_difference, equalized_odds_difference]
    )
    def test_pos_label_takes_one_against_the_rest(self, metric):
        for label in "xyz":
            value = self.compute(metric, self.Y_PRED, pos_label=label)
            binary = metric(
                label == self.Y_TRUE,
                label == self.Y_PRED,
                sensitive_features=self.GROUP,
            )
            assert value == binary

    def test_pos_label_finds_its_column(self):
        for k, label in enumerate("xyz"):
            whole, column = (
                self.compute(group_auc_difference, scores, pos_label=label)
                for scores in (self.PROBA, self.PROBA[:, k])
            )
            assert whole == column

    def test_a_class_that_only_one_group_has(self):
        y_true = np.array(list("xyzxyy"))
        with pytest.warns(UndefinedMetricWarning, match="for class 'z'") as caught:
            value = equal_opportunity_difference(
                y_true, self.Y_PRED, sensitive_features=self.GROUP
            )
        assert value == 1  # class x
        assert len(caught) == 2  # b lacks z, so that z cannot be compared

    def test_labels_name_classes_that_are_missing(self):
        proba = np.column_stack([np.zeros(6), self.PROBA])
        with pytest.raises(ValueError, match="`labels` if `y_true` lacks some"):
            self.compute(group_loss_difference, proba)
        value = self.compute(
            group_loss_difference, proba, labels=list("wxyz"), loss="soft_zero_one"
        )
        assert value == pytest.approx(1 / 3)

    def test_predicted_class_that_y_true_lacks(self):
        metric, y_true = group_accuracy_difference, np.array(list("yxxyxw"))
        arguments = {"sensitive_features": self.GROUP}
        message = r"lacks, \['z'\], which .* besides \['w', 'x', 'y'\]"
        with pytest.warns(UserWarning, match=message) as caught:
            value = metric(y_true, self.Y_PRED, **arguments)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        # Whoever names the classes knows it.
        assert metric(y_true, self.Y_PRED, labels=list("wxyz"), **arguments) == value

    def test_labels_must_be_in_the_order_of_the_columns(self):
        with pytest.raises(ValueError, match="`labels` must be sorted"):
            self.compute(group_auc_difference, self.PROBA, labels=list("yxz"))

    def test_probabilities_must_sum_to_one(self):
        with pytest.raises(ValueError, match=r"sum to 1 in each row; found .* 0\.5"):
            self.compute(group_loss_difference, self.PROBA / 2)


@pytest.mark.parametrize("name", ON_SCORES)
@pytest.mark.parametrize("pos_label", [None, 0])
def test_two_columns_of_two_classes(name, pos_label):
    columns = np.column_stack([1 - SCORE, SCORE])
    one = SCORE if pos_label is None else 1 - SCORE
    both = compute(name, score=columns, pos_label=pos_label)
    assert both == pytest.approx(compute(name, score=one, pos_label=pos_label))


@pytest.mark.parametrize(
    ("metric", "arguments"),
    [
        # `labels` names the positive class of a fold, which accuracy does not need.
        (demographic_parity_difference, {"labels": ["no", "yes"]}),
        (group_accuracy_difference, {}),
    ],
)
def test_one_class(metric, arguments):
    labels = ["no", "no"]
    assert metric(labels, labels, sensitive_features=["a", "b"], **arguments) == 0


@pytest.mark.parametrize(
    ("predicted", "pos_label", "is_known"),
    [
        ([0, 1], None, True),  # 1 is the positive class
        ([-1, 1], None, True),
        (["no", "yes"], "yes", True),
        (["no", "yes"], None, False),
    ],
)
def test_predicted_class_beside_one_true_class(predicted, pos_label, is_known):
    expected = nullcontext() if is_known else pytest.warns(UserWarning, match="'yes'")
    with expected:
        value = demographic_parity_difference(
            predicted[:1] * 2,
            predicted,
            sensitive_features=["a", "b"],
            pos_label=pos_label,
        )
    assert value == 1


@st.composite
def multiclass_tables(draw):
    """Draw y, predictions, probabilities and groups; each group has each class."""
    n_classes, n_groups = draw(st.integers(3, 4)), draw(st.integers(2, 3))
    rows = [(c, g) for c in range(n_classes) for g in range(n_groups)]
    more = st.tuples(st.integers(0, n_classes - 1), st.integers(0, n_groups - 1))
    rows += draw(st.lists(more, max_size=20))
    y, z = np.array(rows).T
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    proba = rng.dirichlet(np.ones(n_classes), len(y))
    return y, proba.argmax(1), proba, z


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parity", "opportunity", "odds", "auc"])
@settings(max_examples=20)
@given(table=multiclass_tables())
def test_several_classes_equal_fairlearn_one_by_one(name, table):
    y, y_pred, proba, z = table
    labels = range(proba.shape[1])
    by_class = [
        FAIRLEARN[name](
            (y == c).astype(int),
            proba[:, c] if name == "auc" else (y_pred == c).astype(int),
            sensitive_features=z,
            sample_weight=np.ones(len(y)),
        )
        for c in labels
    ]
    output = proba if name == "auc" else y_pred
    value = METRICS[name](y, output, sensitive_features=z, labels=labels)
    assert_allclose(value, max(by_class), atol=1e-9)


def test_group_that_is_missing_in_one_fold():
    """With a 3 % group fairlearn calls a perfect classifier unfair in some folds."""
    rng = np.random.default_rng(0)
    y = rng.random(400) < 0.1
    z = np.where(rng.random(400) < 0.03, "rare", "common")
    by_fold = {equalized_odds_difference: [], fairlearn.equalized_odds_difference: []}
    for _, test in StratifiedKFold(10, shuffle=True, random_state=0).split(z, y):
        for metric, values in by_fold.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UndefinedMetricWarning)
                values.append(metric(y[test], y[test], sensitive_features=z[test]))
    assert max(by_fold[fairlearn.equalized_odds_difference]) == 1.0
    assert np.isnan(by_fold[equalized_odds_difference]).any()
    assert not np.nansum(by_fold[equalized_odds_difference])
