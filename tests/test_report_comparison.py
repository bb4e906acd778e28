"""What changed between two models on the same samples."""

import copy
import pickle
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from fairtask.metrics import compare_reports, fairness_report
from fairtask.model_selection import ReportComparisonDisplay

# Of 100 samples in each group 80 are positives. The first model finds 60 of a and 40 of
# b; the second finds 56 and 56, of which 40 are those of b that the first found.
Y = np.tile(np.repeat([1, 0], [80, 20]), 2)
Z = np.repeat(["a", "b"], 100)
BEFORE = np.r_[np.arange(100) < 60, np.arange(100) < 40].astype(int)
AFTER = np.tile(np.arange(100) < 56, 2).astype(int)
SCORES = [BEFORE * 0.6 + 0.2 + np.arange(200) % 3 / 50, AFTER * 0.5 + 0.25]


def report(y_pred, y_score=None, y=Y, z=Z, **kwargs):
    settings = {"n_resamples": 0, "sensitive_features": z, **kwargs}
    return fairness_report(y, y_pred, y_score, **settings)


def compare(of_before=None, of_after=None, n_resamples=300, scores=SCORES, **kwargs):
    outputs = zip((BEFORE, AFTER), scores, strict=True)
    before, after = (
        report(*output, **{**kwargs, **(special or {})})
        for output, special in zip(outputs, (of_before, of_after), strict=True)
    )
    return compare_reports(before, after, n_resamples=n_resamples, random_state=0)


class TestNumbers:
    def test_by_hand(self):
        comparison = compare()
        row = ("sensitive_feature", "equal_opportunity_difference")
        values = comparison.differences.loc[row, ["before", "after", "change"]]
        assert_allclose(values, [20 / 80, 0, -20 / 80], atol=1e-12)
        values = comparison.overall.loc["true_positive_rate"]
        assert_allclose(values[:3], [100 / 160, 112 / 160, 12 / 160])
        row = ("sensitive_feature", "b", "true_positive_rate")
        assert_allclose(comparison.by_group.loc[row][:3], [0.5, 0.7, 0.2])

    def test_values_are_those_of_the_reports(self):
        comparison = compare()
        for column, y_pred, score in zip(
            ("before", "after"), (BEFORE, AFTER), SCORES, strict=True
        ):
            of_one = report(y_pred, score)
            pd.testing.assert_series_equal(
                comparison.differences[column],
                of_one.differences["value"],
                check_names=False,
            )
            names = comparison.overall.index
            assert_allclose(comparison.overall[column], of_one.overall[names].iloc[0])
            by_group = comparison.by_group[column].unstack("statistic")[names]
            assert_allclose(by_group, of_one[names])

    def test_change_of_a_share_as_mcnemar_has_it(self):
        # 4 are found no more and 16 are found now, of 160: the standard error is
        # sqrt(20 - 12^2 / 160) / 160.
        row = compare(n_resamples=4000).overall.loc["true_positive_rate"]
        error = np.sqrt(20 - 12**2 / 160) / 160
        assert row["low"] == pytest.approx(0.075 - 1.96 * error, abs=0.15 * error)
        assert row["high"] == pytest.approx(0.075 + 1.96 * error, abs=0.15 * error)

    def test_paired_intervals_are_narrower(self):
        comparison = compare().by_group.xs("true_positive_rate", level="statistic")
        reports = [report(y_pred) for y_pred in (BEFORE, AFTER)]
        widths = [(r.high - r.low)["true_positive_rate"] for r in reports]
        apart = sum(widths).to_numpy()
        assert (comparison["high"] - comparison["low"] < 0.75 * apart).all()

    def test_the_same_model(self):
        same = report(BEFORE, SCORES[0])
        comparison = compare_reports(same, same, n_resamples=100, random_state=0)
        for table in (comparison.differences, comparison.overall, comparison.by_group):
            assert (table[["change", "low", "high"]] == 0).all(axis=None)
        first, *others = comparison.sentences()
        assert first == "Both models predict the same labels for all samples."
        assert all(re.search(r"stayed at \d.\d{3}\.$", line) for line in others)

    def test_a_limit_of_nearly_0_has_a_sign(self):
        comparison = compare()
        changes = comparison.differences.assign(change=-0.1, low=-0.2, high=-0.0004)
        sentence = replace(comparison, differences=changes).sentences()[0]
        assert sentence.endswith("due to chance (95% interval -0.200 to -0.0004).")

    @pytest.mark.parametrize(
        ("y_pred", "y_score", "changed"),
        [
            (AFTER, SCORES[0], {"selection_rate", "accuracy"}),
            (BEFORE, SCORES[0] ** 2, {"log_loss"}),  # the order is the same
            (BEFORE, SCORES[1], {"log_loss", "roc_auc"}),
        ],
    )
    def test_what_depends_on_the_same_outputs(self, y_pred, y_score, changed):
        comparison = compare_reports(
            report(BEFORE, SCORES[0]),
            report(y_pred, y_score),
            n_resamples=20,
            random_state=0,
        )
        names = ["selection_rate", "accuracy", "roc_auc", "log_loss"]
        table = comparison.overall.loc[names]
        is_fixed = (table[["change", "low", "high"]] == 0).all(axis=1)
        assert set(table.index[~is_fixed]) == changed

    def test_base_rates_do_not_depend_on_the_model(self):
        metrics = ["base_rate_difference", "base_rate_ratio", "roc_auc_difference"]
        weight = np.linspace(0.1, 1.3, len(BEFORE))
        before, after = (
            report(*outputs, metrics=metrics, sample_weight=weight)
            for outputs in zip((BEFORE, AFTER), SCORES, strict=True)
        )
        comparison = compare_reports(before, after, n_resamples=20, random_state=0)
        for name in ("differences", "overall", "by_group"):
            table = getattr(comparison, name)
            of_labels = table.index.get_level_values(-1).str.startswith("base_rate")
            assert of_labels.any()
            changed = (table[["change", "low", "high"]] != 0).any(axis=1)
            np.testing.assert_array_equal(changed, ~of_labels)

    def test_exchanged_models(self):
        settings = {"metrics": ["roc_auc_difference", "log_loss_group_max"]}
        before, after = (
            report(p, s, **settings)
            for p, s in zip((BEFORE, AFTER), SCORES, strict=True)
        )
        there, back = (
            compare_reports(*pair, n_resamples=50, random_state=0)
            for pair in ((before, after), (after, before))
        )
        for name in ("differences", "overall", "by_group"):
            one, other = getattr(there, name), getattr(back, name)
            assert_allclose(one["change"], -other["change"])
            assert_allclose(one["low"], -other["high"])
            assert_allclose(one["high"], -other["low"])

    def test_seeded(self):
        one, again, other = compare(), compare(), compare(n_resamples=200)
        pd.testing.assert_frame_equal(one.overall, again.overall)
        assert not one.overall.equals(other.overall)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("before", "after"), [([0.6, 0.6], [0.6, 0.6]), ([0.5, 0.65], [0.6, 0.6])]
    )
    def test_coverage(self, before, after):
        """benchmarks/bootstrap.py has more designs."""
        z, n_missed = np.repeat([0, 1], 400), 0
        truth = np.ptp(after) - np.ptp(before)
        settings = {
            "y": np.ones(800),
            "z": z,
            "labels": [0, 1],
            "metrics": ["equal_opportunity_difference"],
        }
        for seed in range(100):
            draws = np.random.default_rng(seed).random((2, 800))
            # The second model agrees with the first in two thirds of the samples.
            draws[1] = np.where(np.arange(800) % 3, draws[0], draws[1])
            reports = [
                report((u < np.take(tpr, z)).astype(int), **settings)
                for u, tpr in zip(draws, (before, after), strict=True)
            ]
            row = compare_reports(*reports, n_resamples=100).differences.iloc[0]
            n_missed += not row["low"] <= truth <= row["high"]
        assert n_missed <= 11


class TestSamples:
    def test_clusters(self):
        rows, clusters = compare(), compare(cluster=np.arange(200) // 5)
        widths, others = (
            (c.overall["high"] - c.overall["low"])["accuracy"] for c in (clusters, rows)
        )
        assert widths > 1.3 * others

    def test_several_attributes_and_classes(self):
        y = np.tile(["x", "y", "z"], 60)
        z = pd.DataFrame({"g": np.arange(180) % 2, "h": np.arange(180) // 90})
        before, after = (
            report(np.roll(y, shift) if shift else y, None, y, z) for shift in (1, 0)
        )
        comparison = compare_reports(before, after, n_resamples=20, random_state=0)
        assert comparison.by_group.index.names == [
            *("attribute", "group", "class", "statistic")
        ]
        assert comparison.overall.loc[("x", "accuracy"), "change"] == 1
        assert comparison.differences.index.unique("attribute").tolist() == ["g", "h"]
        assert "rate of class x went from" in comparison.to_text()

    def test_metrics_that_one_report_lacks_are_left_out(self):
        comparison = compare(scores=(SCORES[0], None))
        assert "roc_auc" not in comparison.overall.index
        assert len(comparison.differences) == 4
        comparison = compare(scores=(SCORES[0], 10 * SCORES[1]))
        assert "roc_auc" in comparison.overall.index
        assert "log_loss" not in comparison.overall.index

    def test_unknown_groups_are_counted(self):
        z = np.where(np.arange(200) % 50, Z.astype(object), None)
        comparison = compare(z=z)
        assert comparison.n_unknown == {"sensitive_feature": 4}
        text = repr(comparison)
        assert "4 samples are in no group of sensitive_feature." in text
        assert "Over all samples that count, the accuracy" in text
        assert "\nAll samples that count, with 95% intervals" in text

    def test_metric_without_intervals(self):
        comparison = compare(metrics=["calibration_error_difference"])
        assert comparison.differences[["low", "high"]].isna().all(axis=None)
        assert comparison.differences["change"].notna().all()
        assert "its change has no interval." in comparison.to_text()


class TestText:
    def test_sentences(self):
        sentences = compare(scores=(None, None)).sentences(digits=2)
        (sentence,) = [s for s in sentences if "equal opportunity difference" in s]
        assert sentence.startswith(
            "Between the groups of sensitive_feature, the equal opportunity difference "
            "went from 0.25 to 0.00. The change, for the better, is unlikely to be due "
            "to chance (95% interval -0."
        )
        (sentence,) = [s for s in sentences if "samples, the selection rate" in s]
        assert "The change is unlikely to be due to chance (95%" in sentence
        assert not any("In group b" in s for s in sentences)

    def test_groups_that_lost_are_named(self):
        # All of b lose what they had, and the difference vanishes.
        comparison = compare_reports(report(Y), report(np.zeros(200)), random_state=0)
        (sentence,) = [
            s
            for s in comparison.sentences()
            if "In group b of sensitive_feature, the true positive" in s
        ]
        assert "from 1.000 to 0.000. The change, for the worse, is" in sentence

    @pytest.mark.parametrize("which", ["before", "after"])
    def test_a_model_that_predicts_one_class_comes_first(self, which):
        reports = {"before": report(Y), "after": report(Y)}
        reports[which] = report(np.zeros(200))
        comparison = compare_reports(**reports, random_state=0)
        assert comparison.is_constant == {name: name == which for name in reports}
        note = f"The model {which} the change predicts one class for all samples"
        assert comparison.to_text().startswith(note)

    def test_zero_has_no_sign(self):
        table = report(np.zeros(200))
        table.low["selection_rate"] = -1e-9
        assert "0.000 [0.000, " in repr(table)
        comparison = compare_reports(report(Y), report(Y), random_state=0)
        assert "-0.000" not in comparison.to_text()

    def test_html(self):
        z = np.where(Z == "a", "<b>", Z)
        html = compare(z=pd.DataFrame({"<i>": z}))._repr_html_()
        assert html.count("<table") == 3
        assert "<i>" not in html
        assert "groups of &lt;i&gt;," in html

    def test_lines_of_the_terminal(self):
        comparison = compare()
        with pd.option_context("display.width", 80):
            tables = repr(comparison).split("\n\n", 1)[1]
        assert max(map(len, tables.splitlines())) <= 80

    def test_copies(self):
        comparison = compare()
        for again in (
            pickle.loads(pickle.dumps(comparison)),
            copy.copy(comparison),
            copy.deepcopy(comparison),
        ):
            assert repr(again) == repr(comparison)
            pd.testing.assert_frame_equal(again.overall, comparison.overall)


class TestErrors:
    @pytest.mark.parametrize(
        ("settings", "differing"),
        [
            ({"y": 1 - Y}, "values of `y_true`"),
            ({"z": Z[::-1]}, "groups of the samples"),
            ({"z": pd.DataFrame({"g": Z})}, "attributes"),
            ({"z": np.where(Z == "a", "c", Z)}, "groups"),
            ({"sample_weight": np.arange(1, 201)}, "weights"),
            ({"sample_weight": np.arange(200)}, "samples that count"),
            ({"cluster": np.arange(200)}, "clusters"),
            ({"min_group_size": 2}, "values of `min_group_size`"),
            ({"pos_label": 0}, "positive classes"),
            (
                {"labels": [0, 1, 2]},
                r"classes: \[0, 1\] and \[0, 1, 2\]. Pass `labels` to both reports.$",
            ),
        ],
    )
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    def test_other_samples(self, settings, differing):
        with pytest.raises(ValueError, match=f"`after` must be .* other {differing}"):
            compare(of_after=settings, scores=(None, None))

    def test_other_numbers_of_samples(self):
        shorter = report(AFTER[1:], None, Y[1:], Z[1:])
        with pytest.raises(ValueError, match="they have other numbers of samples"):
            compare_reports(report(BEFORE), shorter)

    def test_part_of_a_report(self):
        with pytest.raises(ValueError, match=r"`after` must be a report .* DataFrame"):
            compare_reports(report(BEFORE), report(AFTER)[["n"]])

    def test_no_metric_in_common(self):
        one, other = ({"metrics": [f"accuracy_{t}"]} for t in ("ratio", "difference"))
        with pytest.raises(ValueError, match="must have a metric in common"):
            compare(one, other)

    @pytest.mark.parametrize("n_resamples", [0, 1])
    def test_without_resamples(self, n_resamples):
        with pytest.raises(ValueError, match="`n_resamples` must be"):
            compare(n_resamples=n_resamples)


class TestDisplay:
    def test_draws_each_metric_and_statistic(self):
        comparison = compare()
        display = ReportComparisonDisplay(comparison).plot()
        values, changes = display.axes_[0]
        labels = [tick.get_text() for tick in values.get_yticklabels()]
        assert labels[0] == "sensitive_feature: demographic parity difference"
        assert "true positive rate" in labels
        n_rows = len(comparison.differences) + len(comparison.overall)
        assert len(labels) == n_rows
        drawn = sorted(x for line in changes.lines[1:] for x in line.get_xdata())
        expected = pd.concat([comparison.differences, comparison.overall])["change"]
        assert_allclose(drawn, sorted(expected))

    def test_unlimited_changes_and_own_axes(self):
        import matplotlib.pyplot as plt

        axes = plt.figure().subplots(1, 2)
        z = np.r_[np.full(190, "a"), np.full(10, "b")]  # no limit of its log loss
        comparison = compare(z=z, metrics=["log_loss_difference"])
        assert comparison.differences["high"].item() == np.inf
        assert (
            "; its change has no interval: a group has fewer than 30 samples."
            in (comparison.sentences()[0])
        )
        display = ReportComparisonDisplay(comparison).plot(ax=axes)
        assert display.figure_ is axes[0].figure
        display.figure_.canvas.draw()
        with pytest.raises(ValueError, match="`ax` must be None or 2 axes"):
            ReportComparisonDisplay(comparison).plot(ax=axes[:1])
