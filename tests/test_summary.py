import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import UndefinedMetricWarning

from fairtask.metrics import delta_m, mean_rank

METRICS = ["AUC", "EOD", "EOpD", "GAUCD"]
# Table 1 of "Learning fair latent representation with multi-task deep learning": AUC;
# EOD, EOpD, GAUCD of race; those of gender; MR; delta-m.
ADULT = """
STL             89.082 49.454 80.143 14.348  6.335  2.216  5.846 0      0
BGL             60.074 54.529 71.37  24.753  9.998  7.968  7.241 6.875  239.11
DPL             57.129 51.683 69.343 23.887  9.824  8.846  7.527 6.875  256.14
FPRL            57.129 51.683 69.343 23.887  9.824  8.846  7.527 6.875  256.14
TPRL            57.129 51.683 69.343 23.887  9.824  8.846  7.527 6.875  256.14
adversarial     88.371 49.605 80.286 15.832  6.108  2.009  5.846 2.75    -0.25
group-specific  88.158 48.882 80.103 14.036  6.365  2.149  5.794 3.5     -2.37
auxiliary-BGL   88.376 50.346 80.423 15.93   6.273  1.966  5.863 3.75     1.39
auxiliary-GLD   88.341 50.144 80.346 16.031  6.143  1.748  5.877 4       -4.28
auxiliary-GLF   88.339 50.096 80.31  15.906  5.928  1.631  5.883 3.5     -9.08
"""
COMPAS = """
STL             95.082 33.686 55.63   6.31   4.621  4.115 1.106 0       0
BGL             66.474 56.567 69.942 19.168 13.12  11.434 3.356 7.875 461.35
DPL             67.844 55.887 70.39  24.237 12.064 11.459 3.032 7.375 473.69
FPRL            67.844 55.887 70.39  24.237 12.064 11.459 3.032 7.375 473.69
TPRL            67.844 55.887 70.39  24.237 12.064 11.459 3.032 7.375 473.69
adversarial     94.916 34.213 55.903  6.337  4.325  3.134 1.133 2.875 -12.53
group-specific  93.344 34.559 54.259  9.164  3.693  3.358 1.731 3.75   33.51
auxiliary-BGL   94.896 33.459 55.299  6.696  4.661  4.405 1.222 3.75   11.77
auxiliary-GLD   94.974 33.391 55.336  6.601  3.9    3.365 1.147 2.25  -13.36
auxiliary-GLF   94.962 34.11  55.716  6.517  3.874  3.104 1.158 2.375 -15.55
"""
by_table = pytest.mark.parametrize("text", [ADULT, COMPAS], ids=["Adult", "COMPAS"])


def read(text):
    """Table with performance once per attribute, mean ranks and delta-m."""
    rows = [line.split() for line in text.strip().splitlines()]
    names = [row[0] for row in rows]
    figures = np.array([row[1:] for row in rows], dtype=float)
    table = pd.DataFrame(
        figures[:, [0, 1, 2, 3, 0, 4, 5, 6]],
        index=names,
        columns=pd.MultiIndex.from_product([["race", "gender"], METRICS]),
    )
    return table, figures[:, 7], figures[:, 8]


class TestPaper:
    @by_table
    def test_delta_m(self, text):
        table, _, printed = read(text)
        changes = delta_m(
            table, baseline="STL", higher_is_better=["AUC"], reduce="sum_per_task"
        )
        # Rounding the printed figures, to 3 and to 2 digits, may cause this error.
        base = table.loc["STL"]
        of_each = 0.0005 / base * (1 + table / base) * 100
        rounding = of_each.sum(axis=1) / 2 + 0.005
        assert (np.abs(changes - printed) <= rounding).all()
        assert rounding.max() < 0.35  # of changes up to 474

    @by_table
    def test_mean_rank(self, text):
        table, printed, _ = read(text)
        ranks = mean_rank(table, baseline="STL", higher_is_better=["AUC"])
        assert ranks.index.tolist() == table.index[1:].tolist()
        assert np.array_equal(ranks, printed[1:])


class TestDeltaM:
    TABLE = pd.DataFrame(
        {"AUC": [0.8, 0.76, 0.8], "EOD": [0.2, 0.1, 0.3], "EOpD": [0.5, 0.5, 0.4]},
        index=["base", "a", "b"],
    )

    def test_by_hand(self):
        # a: 5 % of AUC lost, 50 % of EOD gained; b: 50 % of EOD lost, 20 % of EOpD
        value = delta_m(self.TABLE, baseline="base", higher_is_better=["AUC"])
        assert value.tolist() == pytest.approx([0, (5 - 50) / 3, (50 - 20) / 3])

    def test_one_task_sums(self):
        value = delta_m(
            self.TABLE, baseline="base", higher_is_better=["AUC"], reduce="sum_per_task"
        )
        assert value.tolist() == pytest.approx([0, -45, 30])

    def test_of_two_tasks_the_mean_counts_columns_and_the_sum_tasks(self):
        columns = pd.MultiIndex.from_tuples([("x", "a"), ("x", "b"), ("y", "a")])
        table = pd.DataFrame([[1, 1, 1], [2, 3, 1.5]], columns=columns, dtype=float)
        arguments = {"baseline": 0, "higher_is_better": []}
        assert delta_m(table, **arguments)[1] == pytest.approx((100 + 200 + 50) / 3)
        summed = delta_m(table, **arguments, reduce="sum_per_task")
        assert summed[1] == pytest.approx((300 + 50) / 2)

    def test_negative_metric(self):
        table = pd.DataFrame({"neg_log_loss": [-0.5, -0.4]})
        value = delta_m(table, baseline=0, higher_is_better=["neg_log_loss"])
        assert value[1] == pytest.approx(-20)  # better by a fifth

    def test_baseline_of_zero_is_undefined(self):
        table = self.TABLE.assign(EOD=[0.0, 0.1, 0.0])
        with pytest.warns(UndefinedMetricWarning, match=r"0 in \['EOD'\]"):
            value = delta_m(table, baseline="base", higher_is_better=["AUC"])
        assert np.isnan(value["a"])
        assert value["b"] == pytest.approx(-20 / 3)  # as undivided as the baseline

    @pytest.mark.parametrize("reduce", ["mean", "sum_per_task"])
    def test_nan_stays(self, reduce):
        table = self.TABLE.assign(EOD=[0.2, np.nan, 0.1])
        value = delta_m(table, baseline="base", higher_is_better=[], reduce=reduce)
        assert value.isna().tolist() == [False, True, False]


class TestMeanRank:
    def test_by_hand(self):
        table = pd.DataFrame(
            {"AUC": [0.9, 0.8, 0.8], "EOD": [0.3, 0.1, 0.2]}, index=["a", "b", "c"]
        )
        ranks = mean_rank(table, higher_is_better=["AUC"])
        assert ranks.tolist() == [(1 + 3) / 2, (2.5 + 1) / 2, (2.5 + 2) / 2]
        ranks = mean_rank(table, higher_is_better=["AUC"], baseline="a")
        assert ranks.to_dict() == {"b": (1.5 + 1) / 2, "c": (1.5 + 2) / 2}

    def test_nan_has_no_rank(self):
        table = pd.DataFrame({"EOD": [0.3, np.nan, 0.1]})
        assert mean_rank(table, higher_is_better=[]).fillna(0).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        ([[1, 2]], {}, "`table` must be a DataFrame .* got list"),
        (pd.DataFrame({"AUC": ["a"]}), {}, "`table` must hold numbers"),
        (pd.DataFrame({"AUC": [1.0]}), {"baseline": "STL"}, r"rows \[0\]; got 'STL'"),
        (pd.DataFrame([[1.0, 2]], columns=["a"] * 2), {}, "distinct rows and columns"),
        (
            pd.DataFrame({"AUC": [1.0]}),
            {"higher_is_better": ["ACC"]},
            r"`higher_is_better` must name metrics of \['AUC'\]; got \['ACC'\]",
        ),
        (pd.DataFrame({"AUC": [1.0]}), {"higher_is_better": "AUC"}, "got 'AUC'"),
        (pd.DataFrame({"AUC": [1.0]}), {"higher_is_better": [{}]}, r"got \[{}\]"),
        (pd.DataFrame({"AUC": [1.0]}), {"baseline": []}, r"`baseline` .*; got \[\]"),
    ],
)
def test_error_names_the_argument(table, arguments, message):
    for function in (delta_m, mean_rank):
        keywords = {"baseline": 0, "higher_is_better": [], **arguments}
        with pytest.raises(ValueError, match=message):
            function(table, **keywords)


def test_reduce_must_be_known():
    with pytest.raises(ValueError, match="`reduce` must be 'mean' or 'sum_per_task'"):
        delta_m(TestDeltaM.TABLE, baseline="base", higher_is_better=[], reduce="median")
