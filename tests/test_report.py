import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import binomtest
from sklearn.exceptions import UndefinedMetricWarning

from fairtask import metrics
from fairtask.metrics import compare_reports, fairness_report

# a: 4 positives of which 3 are found, 2 negatives of which 1 is; b: 2 and 1, 2 and 0.
Y = np.array([1, 1, 1, 1, 0, 0, 1, 1, 0, 0])
SCORE = np.array([0.9, 0.8, 0.7, 0.4, 0.6, 0.1, 0.8, 0.3, 0.4, 0.1])
PRED = (SCORE > 0.5).astype(int)
FRAME = pd.DataFrame({"group": ["a"] * 6 + ["b"] * 4, "coin": ["h", "t"] * 5})
RATES = ["selection_rate", "true_positive_rate", "false_positive_rate", "accuracy"]


def report(y=Y, y_pred=PRED, y_score=SCORE, z=FRAME["group"], **kwargs):
    arguments = {"n_resamples": 0, "random_state": 0, **kwargs}
    return fairness_report(y, y_pred, y_score, sensitive_features=z, **arguments)


def resampled(**kwargs):
    """Of twenty times the samples, which no resample lacks."""
    samples = (np.tile(values, 20) for values in (Y, PRED, SCORE, FRAME["group"]))
    return report(*samples, **{"n_resamples": 100, **kwargs})


class TestTable:
    def test_by_hand(self):
        table = report()
        assert table.index.tolist() == [("group", "a"), ("group", "b")]
        assert table.columns.tolist() == [
            *("n", "positives"),
            *RATES,
            *("roc_auc", "log_loss"),
        ]
        assert table["n"].tolist() == [6, 4]
        assert table["positives"].tolist() == [4, 2]
        assert_allclose(table["selection_rate"], [4 / 6, 1 / 4])
        assert_allclose(table["true_positive_rate"], [3 / 4, 1 / 2])
        assert_allclose(table["false_positive_rate"], [1 / 2, 0])
        assert_allclose(table["accuracy"], [4 / 6, 3 / 4])
        assert_allclose(table["roc_auc"], [7 / 8, 3 / 4])
        of_a = 0.9 * 0.8 * 0.7 * 0.4 * 0.4 * 0.9
        of_b = 0.8 * 0.3 * 0.6 * 0.9
        assert_allclose(table["log_loss"], [-np.log(of_a) / 6, -np.log(of_b) / 4])

    def test_overall(self):
        overall = report().overall
        assert overall.index.tolist() == ["all"]
        assert overall["n"].item() == 10
        assert overall["true_positive_rate"].item() == pytest.approx(4 / 6)

    def test_differences_are_the_metrics(self):
        table = report(z=FRAME, min_group_size=2).differences
        assert table.index.names == ["attribute", "metric"]
        outputs = {"group_auc_difference": SCORE, "group_loss_difference": SCORE}
        for (attribute, name), value in table["value"].items():
            z, output = FRAME[attribute], outputs.get(name, PRED)
            expected = getattr(metrics, name)(
                Y, output, sensitive_features=z, min_group_size=2
            )
            assert value == pytest.approx(expected), name
        assert len(table) == 2 * 6

    def test_intervals_are_those_of_the_bootstrap(self):
        table = resampled().differences.loc["sensitive_feature"]
        assert (table["low"] <= table["value"]).all()
        assert (table["value"] <= table["high"]).all()
        y, y_pred, z = (np.tile(values, 20) for values in (Y, PRED, FRAME["group"]))
        name, arguments = "equalized_odds_difference", {"n_resamples": 100}
        again = metrics.bootstrap(
            name, y, y_pred, sensitive_features=z, random_state=0, **arguments
        )
        row = table.loc[name]
        assert row.tolist() == pytest.approx([again.value, again.low, again.high])

    def test_scores_that_are_no_probabilities_have_no_log_loss(self):
        table = report(y_score=10 * SCORE)
        assert_allclose(table["roc_auc"], [7 / 8, 3 / 4])
        assert "log_loss" not in table
        assert "group_loss_difference" not in table.differences.index.unique("metric")

    def test_intersection(self):
        table = report(z=FRAME, attributes="intersection")
        groups = table.index.get_level_values("group")
        assert groups.tolist() == [("a", "h"), ("a", "t"), ("b", "h"), ("b", "t")]
        assert table["n"].tolist() == [3, 3, 2, 2]

    def test_small_and_absent_groups_are_shown_and_not_compared(self):
        with pytest.warns(UndefinedMetricWarning) as caught:
            table = report(groups=["a", "b", "c"], min_group_size=5)
        (warning,) = caught  # one for all
        message = str(warning.message)
        assert "group_auc_difference leaves out groups without samples: c" in message
        assert "group_auc_difference of 'group' is NaN" in message
        assert table["n"].tolist() == [6, 4, 0]
        assert table.loc[("group", "c"), RATES].isna().all()
        assert table.differences["value"].isna().all()

    def test_group_without_positives_is_named(self):
        # fairlearn's true positive rate of c is 0, and its difference 1; here c is not
        # compared in equalized odds, and said so, although it has false positives.
        y, y_pred = [0, 1, 0, 1, 0, 0], [0, 1, 0, 1, 1, 1]
        with pytest.warns(UndefinedMetricWarning) as caught:
            table = report(y, y_pred, None, list("aabbcc"))
        message = str(caught[0].message)
        assert "odds_difference leaves out groups without positives or" in message
        assert message.count(": c") == 2  # and in equal opportunity
        assert table.loc[("sensitive_feature", "c"), "false_positive_rate"] == 1

    def test_resamples_that_lack_a_group_are_named_once(self):
        y = [1, 0] * 20
        with pytest.warns(UndefinedMetricWarning, match="of the resamples") as caught:
            report(y, y, None, [0] * 38 + [1] * 2, n_resamples=1000)
        assert len(caught) == 1

    # Three classes; the one mistake is the first sample of b.
    OF_THREE = np.array(list("xyzxyz")), np.array(list("xyzyyz"))
    GROUPS = np.array(list("aaabbb"))

    def test_several_classes(self):
        proba = np.eye(3)[[0, 1, 2, 1, 1, 2]]
        table = report(*self.OF_THREE, proba, self.GROUPS)
        assert table.index.names == ["attribute", "group", "class"]
        of_b = table.xs("b", level="group").droplevel("attribute")
        assert of_b.index.tolist() == ["x", "y", "z"]
        assert of_b["positives"].tolist() == [1, 1, 1]
        assert of_b["true_positive_rate"].tolist() == [0, 1, 1]
        assert of_b["false_positive_rate"].tolist() == [0, 0.5, 0]
        assert of_b["roc_auc"].tolist() == [0.5, 0.75, 1]
        assert of_b["accuracy"].tolist() == pytest.approx([2 / 3] * 3)
        assert table.overall.index.tolist() == [("all", c) for c in "xyz"]

    def test_positive_class_of_several(self):
        table = report(*self.OF_THREE, None, self.GROUPS, pos_label="x")
        assert table["true_positive_rate"].tolist() == [1, 0]
        # The accuracy is that of all classes.
        assert table["accuracy"].tolist() == pytest.approx([1, 2 / 3])
        difference = metrics.group_accuracy_difference(
            *self.OF_THREE, sensitive_features=self.GROUPS
        )
        row = ("sensitive_feature", "group_accuracy_difference")
        assert table.differences.loc[row, "value"] == pytest.approx(difference)
        frame = table.metric_frame()
        assert_allclose(frame.by_group["accuracy"], table["accuracy"])

    def test_scores_of_each_class_that_do_not_sum_to_one(self):
        y = np.array([0, 1, 2] * 4)
        table = report(y, y, np.eye(3)[y] * 0.9, [0] * 6 + [1] * 6)
        assert table["roc_auc"].tolist() == [1] * 6
        assert "log_loss" not in table

    def test_weights(self):
        weights = np.array([1, 1, 1, 2, 1, 1] + [1] * 4)
        table = report(sample_weight=weights)
        assert table["n"].tolist() == [6, 4]
        assert_allclose(table["true_positive_rate"], [3 / 5, 1 / 2])


class TestChosenMetrics:
    def test_columns_and_rows_are_theirs(self):
        names = ["demographic_parity_ratio", "precision_group_min"]
        metric = metrics.group_calibration_difference
        table = report(metrics=[*names, metric, "base_rate_difference"])
        assert table.columns.tolist() == [
            *("n", "positives"),
            *("selection_rate", "precision", "base_rate", "calibration_error"),
        ]
        assert_allclose(table["base_rate"], [4 / 6, 1 / 2])
        assert_allclose(table["calibration_error"], [1.9 / 6, 1.4 / 4])
        assert table.low["calibration_error"].isna().all()
        assert "\nMetrics of the groups\n" in repr(table)
        values = table.differences["value"].droplevel("attribute")
        expected = {
            "demographic_parity_ratio": (1 / 4) / (4 / 6),
            "precision_group_min": 3 / 4,
            "group_calibration_difference": 1.4 / 4 - 1.9 / 6,
            "base_rate_difference": 4 / 6 - 1 / 2,
        }
        assert values.to_dict() == pytest.approx(expected)

    def test_intervals_are_those_of_the_bootstrap(self):
        names = ["equalized_odds_ratio", "accuracy_group_min", "precision_difference"]
        table = resampled(metrics=names).differences.loc["sensitive_feature"]
        y, y_pred, z = (np.tile(values, 20) for values in (Y, PRED, FRAME["group"]))
        for name in names:
            arguments = {"n_resamples": 100, "random_state": 0}
            again = metrics.bootstrap(
                name, y, y_pred, sensitive_features=z, **arguments
            )
            expected = [again.value, again.low, again.high]
            assert table.loc[name].tolist() == pytest.approx(expected)

    def test_ratio_of_zeros_is_named(self):
        with pytest.warns(UndefinedMetricWarning) as caught:
            table = report(y_pred=np.zeros(10, int), metrics=["selection_rate_ratio"])
        message = str(caught[0].message)
        assert "leaves out the selection rate, which is 0 in all groups" in message
        assert "is NaN: it takes two groups, of which one has" in message
        assert table.differences["value"].isna().all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"metrics": "roc_auc_ratio"}, "`metrics` must be a list .* 'roc_auc_rat"),
            ({"metrics": []}, "`metrics` must be a list"),
            ({"metrics": ["eod"]}, "`metrics` must be one of .* got 'eod'"),
            ({"metrics": ["roc_auc_ratio"], "y_score": None}, "`y_score` must be giv"),
            (
                {"metrics": ["log_loss_ratio"], "y_score": 10 * SCORE},
                "`y_score` must hold probabilities",
            ),
        ],
    )
    def test_error_names_the_argument(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            report(**arguments)


@pytest.mark.parametrize(
    ("names", "pos_label", "named"),
    [
        ([0, 1], None, None),
        ([-1, 1], None, None),
        ([False, True], None, None),
        ([1, 2], None, "2"),
        ([0, 1], 0, "0"),
        (["accept", "reject"], None, "'reject'"),
        (["accept", "reject"], "accept", "'accept'"),
        (["a", "b", "c"], None, None),
        (["a", "b", "c"], "b", "'b'"),
    ],
)
def test_positive_class_is_named_unless_it_is_1(names, pos_label, named):
    y, z = np.resize(names, 120), np.repeat(["f", "m"], 60)
    table = fairness_report(
        y, y, sensitive_features=z, pos_label=pos_label, n_resamples=0
    )
    comparison = compare_reports(table, table, n_resamples=2)
    for text in (table.to_text(), comparison.to_text()):
        assert ("The positive class is" in text) == (named is not None)
        assert f"The positive class is {named}." in text or named is None


class TestUnknownGroups:
    FRAME = FRAME.astype(object).assign(coin=[None, "h", None] + ["t", "h"] * 3 + ["t"])

    def test_are_counted(self):
        weights = np.r_[0, np.ones(9)]  # the first does not count
        table = report(z=self.FRAME, sample_weight=weights)
        assert table.n_unknown == {"group": 0, "coin": 1}
        assert table["n"].tolist() == [5, 4, 4, 4]
        note = "1 sample is in no group of coin"
        assert note in repr(table)
        assert note in table._repr_html_()
        assert pickle.loads(pickle.dumps(table)).n_unknown == table.n_unknown
        assert report().n_unknown == {"group": 0}
        assert "in no group" not in repr(report())

    def test_groups_that_are_not_named_count(self):
        table = report(z=np.array(list("aabbabccab")), groups=["a", "b"])
        assert table.n_unknown == {"sensitive_feature": 2}
        assert "2 samples are in no group of sensitive_feature" in repr(table)

    def test_unknown_level_of_a_control_feature(self):
        level = ["x"] * 3 + [None] + ["x"] * 6
        table = report(z=self.FRAME, control_features=level)
        # The level of the first sample of coin that is unknown is known.
        assert table.n_unknown == {"group": 0, "coin": 2}
        assert table.n_unknown_level == 1
        text = table.to_text()
        assert "1 sample is in no level of the control features." in text
        assert "2 samples are in no group of coin." in text
        assert table["n"].sum() == 9 + 7
        assert table.overall["n"].tolist() == [9]
        assert report().n_unknown_level == 0
        assert "no level" not in report().to_text()


class TestLimits:
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    @given(
        n=st.integers(1, 40), share=st.floats(0, 1), level=st.sampled_from([0.5, 0.95])
    )
    @settings(max_examples=25)
    def test_of_rates_are_those_of_wilson(self, n, share, level):
        k = round(share * n)
        y_pred = np.r_[np.ones(k, int), np.zeros(n - k, int), 0, 1]
        z = ["a"] * n + ["b"] * 2
        table = report(np.ones(n + 2, int), y_pred, None, z, confidence_level=level)
        exact = binomtest(k, n).proportion_ci(level, method="wilson")
        for name in ("selection_rate", "true_positive_rate", "accuracy"):
            row = ("sensitive_feature", "a")
            assert table.low.loc[row, name] == pytest.approx(exact.low, abs=1e-9)
            assert table.high.loc[row, name] == pytest.approx(exact.high, abs=1e-9)

    def test_equal_weights_do_not_matter(self):
        plain, weighted = report(), report(sample_weight=np.full(10, 3.0))
        for side in ("low", "high"):
            limits, expected = (
                getattr(table, side)[RATES] for table in (weighted, plain)
            )
            assert_allclose(limits, expected)

    def test_of_scores_come_from_resamples(self):
        table = resampled()
        for name in ("roc_auc", "log_loss"):
            assert (table.low[name] <= table[name]).all()
            assert (table[name] <= table.high[name]).all()
        assert report().low["roc_auc"].isna().all()

    @pytest.mark.filterwarnings("ignore:.*:sklearn.exceptions.UndefinedMetricWarning")
    def test_clusters_reach_all_intervals(self):
        repeated = [np.repeat(v, 20) for v in (Y, PRED, SCORE, FRAME["group"])]
        as_rows, table = (
            report(*repeated, n_resamples=100, cluster=cluster)
            for cluster in (None, np.repeat(np.arange(50), 4))
        )
        assert (table == as_rows).all(axis=None)
        widths, others = (t.high - t.low for t in (table, as_rows))
        assert (widths > 1.5 * others).all(axis=None)
        widths, others = (
            t.differences["high"] - t.differences["low"] for t in (table, as_rows)
        )
        assert (widths > 1.2 * others).all()
        # Without resamples a cluster is one sample, as Wilson's limits of 3 out of 4.
        table = report(*repeated, cluster=np.repeat(np.arange(10), 20))
        limits, expected = (
            part.low["true_positive_rate"].tolist() for part in (table, report())
        )
        assert limits == pytest.approx(expected)


class TestObject:
    def test_repr_shows_intervals(self):
        plain = repr(report())
        assert "0.750 [0.301, 0.954]" in plain  # Wilson's of 3 out of 4
        assert "with 95% intervals" not in plain
        assert "nan" not in plain
        text = repr(resampled())
        assert "Differences between groups, with 95% intervals" in text
        assert re.search(r"equalized_odds_difference +0\.500 \[0\.\d+, 0\.\d+\]", text)

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    def test_constant_classifier_is_marked(self):
        note = "All predictions are one class"
        for y_true, is_constant in ((Y, True), (np.zeros(10, int), False)):
            table = report(y_true, np.zeros(10, int), None, groups=["a", "b"])
            assert table.is_constant is is_constant
            assert (note in repr(table)) is is_constant
            assert (note in table._repr_html_()) is is_constant
        assert not report().is_constant
        assert pickle.loads(pickle.dumps(report())).is_constant is False

    def test_lines_of_the_terminal(self):
        with pd.option_context("display.width", 80):
            assert max(map(len, repr(report()).splitlines())) <= 80

    def test_html_has_both_tables(self):
        html = report()._repr_html_()
        assert html.count("<table") == 2
        assert "equalized_odds_difference" in html

    def test_digits(self):
        assert "0.8 [0.3, 1.0]" in report().to_text(digits=1)

    def test_is_a_data_frame_and_so_are_its_parts(self):
        table = report()
        assert isinstance(table, pd.DataFrame)
        assert type(table[["n"]]) is pd.DataFrame
        assert type(table.loc["group"]) is pd.DataFrame
        assert type(table.round(2)) is pd.DataFrame

    def test_a_column_can_be_deleted(self):
        table = report()
        del table["accuracy"]
        assert "accuracy" not in repr(table).split("Differences")[0]
        assert "0.750 [0.301, 0.954]" in repr(table)

    def test_level(self):
        assert "with 99.5% intervals" in repr(resampled(confidence_level=0.995))

    @pytest.mark.parametrize(
        "duplicate",
        [
            lambda table: pickle.loads(pickle.dumps(table)),
            copy.copy,
            copy.deepcopy,
            lambda table: table.copy(),
        ],
    )
    def test_copies_are_reports(self, duplicate):
        table = resampled()
        again = duplicate(table)
        assert type(again) is type(table)
        assert repr(again) == repr(table)
        assert again._repr_html_() == table._repr_html_()
        pd.testing.assert_frame_equal(again.differences, table.differences)
        pd.testing.assert_frame_equal(
            again.metric_frame().by_group, table.metric_frame().by_group
        )
        if duplicate is not copy.copy:
            again.iloc[0, 0] = again.differences.iloc[0, 0] = again.low.iloc[0, 0] = -1
            assert "-1" not in repr(table)

    def test_metric_frame(self):
        weights = np.arange(1, 11)
        table = report(sample_weight=weights)
        frame = table.metric_frame()
        assert frame.by_group["count"].tolist() == table["n"].tolist()
        for name in (*RATES, "roc_auc", "log_loss"):
            assert_allclose(frame.by_group[name], table[name], err_msg=name)
            assert_allclose(frame.overall[name], table.overall[name].item())

    def test_metric_frame_of_two_attributes_and_an_unknown_group(self):
        frame = FRAME.astype(object)
        frame.loc[0, "coin"] = None
        by_group = report(z=frame).metric_frame().by_group
        known = report(Y[1:], PRED[1:], SCORE[1:], frame[1:], attributes="intersection")
        assert_allclose(by_group["true_positive_rate"], known["true_positive_rate"])

    def test_metric_frame_takes_no_control_features(self):
        with pytest.raises(ValueError, match="takes no `control_features`"):
            report(control_features=FRAME["coin"]).metric_frame()

    def test_metric_frame_takes_two_classes(self):
        samples = [0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2], None, list("aaabbb")
        with pytest.raises(ValueError, match=r"one with `pos_label`.* \[0, 1, 2\]"):
            report(*samples).metric_frame()
        frame = report(*samples, pos_label=2).metric_frame()
        assert frame.by_group["true_positive_rate"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attributes": "worst_case"}, "`attributes` must be 'each' or 'intersection'"),
        ({"n_resamples": 1}, "`n_resamples` must be .* at least 2, or 0; got 1"),
        ({"n_resamples": -1}, "`n_resamples` must be .* got -1"),
        ({"confidence_level": 1}, "`confidence_level` must be .* got 1"),
        ({"min_group_size": 0}, "`min_group_size` must be"),
        ({"z": None}, "`sensitive_features` must have"),
        ({"y_score": SCORE[1:]}, "`y_score` must have one row per"),
        ({"y_score": np.where(SCORE > 0.8, np.nan, SCORE)}, "`y_score` must be finite"),
        ({"y_score": PRED.astype(str)}, "`y_score` must hold numbers"),
        ({"y_score": np.ones((10, 3)) / 3}, "of the 2 .* classes with `labels` if"),
        ({"y": [0, 1, 2, 0, 1] * 2}, "`y_score` must have a column for each of the 3"),
    ],
)
def test_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        report(**arguments)
