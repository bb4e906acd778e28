"""Bootstrap intervals: their distribution and their limits."""

import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import binomtest, norm
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score

from fairtask.metrics import (
    bootstrap,
    equalized_odds_difference,
    group_auc_difference,
    group_loss_difference,
)
from fairtask.metrics._rates import ACCURACY, RATES, TRUE_POSITIVE_RATE, GroupRates
from fairtask.metrics._resampling import _multiply, _units
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._scores import LOG_LOSS, ROC_AUC, GroupAUCs, GroupLosses
from fairtask.metrics._share_limits import exact_limit

RATES_OF = (
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "group_accuracy_difference",
    "false_omission_rate_difference",
    "base_rate_difference",
)
EVERY = (*RATES_OF, "group_auc_difference", "group_loss_difference")
by_metric = pytest.mark.parametrize("metric", EVERY)


def make_data(n=600, n_groups=3, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.integers(0, n_groups, n)
    score = rng.random(n)
    y = (rng.random(n) < 0.2 + 0.6 * score - 0.05 * z).astype(int)
    return y, score, z


def resample(metric, y, score, z, **kwargs):
    output = (score > 0.5).astype(int) if metric in RATES_OF else score
    return bootstrap(
        metric, y, output, sensitive_features=z, **{"random_state": 0, **kwargs}
    )


def resample_positives(found, z, **kwargs):
    """Difference in the true positive rate, of positives that are found or not."""
    return bootstrap(
        "equal_opportunity_difference",
        np.ones(len(z), dtype=int),
        np.asarray(found).astype(int),
        sensitive_features=z,
        **{"random_state": 0, **kwargs},
    )


class TestReplicates:
    """Each replicate is the statistic of a sample drawn with replacement."""

    @given(seed=st.integers(0, 99), weighted=st.booleans())
    @settings(max_examples=20)
    def test_equal_the_statistics_of_the_repeated_samples(self, seed, weighted):
        y, score, z = make_data(60, seed=seed)
        frame = pd.DataFrame({"z": z, "other": z % 2})
        frame.loc[:4, "other"] = np.nan
        rng = np.random.default_rng(seed)
        weights = rng.integers(1, 4, 60) if weighted else np.ones(60)
        occurs = rng.integers(0, 3, 60)
        for make in (
            lambda samples: GroupRates(samples, RATES),
            lambda samples: GroupAUCs(samples, [ROC_AUC]),
            lambda samples: GroupLosses(samples, [LOG_LOSS]),
        ):
            statistics, of_repeated = (
                make(
                    GroupedSamples.encode(
                        y[rows],
                        {"y_pred": score[rows] > 0.5, "y_score": score[rows]},
                        sensitive_features=frame.iloc[rows],
                        sample_weight=weights[rows],
                        groups={"z": [0, 1, 2], "other": [0, 1]},
                    )
                )
                for rows in (np.arange(60), np.repeat(np.arange(60), occurs))
            )
            # Multiplicities of atoms: how often their samples are drawn.
            atoms = self.atoms(statistics, y, score, frame, weights)
            drawn = np.bincount(atoms, occurs, len(statistics.counts))
            (replicate,) = statistics.evaluate(drawn[None])
            assert_allclose(replicate, of_repeated.observed)

    @staticmethod
    def atoms(statistics, y, score, frame, weights):
        if not isinstance(statistics, GroupRates):
            return np.arange(len(y))
        kinds = frame.fillna(-1).assign(y=y, predicted=score > 0.5, w=weights)
        order = ["z", "other", "y", "predicted", "w"]
        return kinds.groupby(order, sort=True).ngroup().to_numpy()

    @pytest.mark.slow
    @by_metric
    def test_spread_is_that_of_repeated_experiments(self, metric):
        # Groups that differ clearly: there the distribution is that of the estimate.
        def experiment(seed):
            rng = np.random.default_rng(seed)
            z = rng.integers(0, 2, 800)
            score = rng.random(800) ** np.where(z == 1, 0.6, 1)
            y = (rng.random(800) < np.where(z == 1, score, 0.5)).astype(int)
            return resample(metric, y, score, z, n_resamples=200)

        results = [experiment(seed) for seed in range(200)]
        spread = np.std([result.value for result in results])
        estimated = np.mean([result.standard_error for result in results])
        # The standard deviation of 200 values is known to about 5 %.
        assert estimated == pytest.approx(spread, rel=0.2)


class TestLimits:
    @by_metric
    def test_hold_the_value(self, metric):
        result = resample(metric, *make_data())
        assert 0 <= result.low <= result.value <= result.high
        assert result.distribution.shape == (1000,)
        assert result.confidence_level == 0.95

    @by_metric
    def test_are_wider_for_a_higher_level(self, metric):
        low, high = (
            resample(metric, *make_data(), confidence_level=level)
            for level in (0.5, 0.99)
        )
        assert high.low <= low.low
        assert low.high < high.high

    @by_metric
    def test_equal_groups_have_a_lower_limit_of_zero(self, metric):
        y, score, _ = make_data()
        z = np.repeat([0, 1], len(y))
        result = resample(metric, np.tile(y, 2), np.tile(score, 2), z)
        assert result.value == pytest.approx(0, abs=1e-12)
        assert result.low == 0 < result.high
        assert result.bias > 0  # no resample has a difference of 0

    def test_two_groups_that_are_far_apart_by_the_normal_distribution(self):
        # TPR .8 of 400 and .5 of 400: standard error sqrt(.16/400 + .25/400)
        found = np.r_[np.arange(400) % 10 < 8, np.arange(400) % 2 < 1]
        z = np.repeat([0, 1], 400)
        result = resample_positives(found, z, n_resamples=20_000)
        error = np.sqrt(0.41 / 400)
        assert result.standard_error == pytest.approx(error, rel=0.03)
        assert result.low == pytest.approx(0.3 - 1.96 * error, abs=0.1 * error)
        assert result.high == pytest.approx(0.3 + 1.96 * error, abs=0.1 * error)
        assert result.bias == pytest.approx(0, abs=0.02 * error)

    def test_rates_that_never_vary(self):
        # 20 of 20 against none of 20: no resample has another difference than 1. A rate
        # p with p^20 = .025 and one minus that are the limits of Clopper and Pearson;
        # the critical value is that of one difference of normal variables.
        z = np.repeat([0, 1], 20)
        result = resample_positives(1 - z, z)
        assert (result.distribution == 1).all()
        assert result.bias == 0  # nothing shows how large it is
        assert result.low == pytest.approx(
            1 - np.sqrt(2) * (1 - 0.025 ** (1 / 20)), abs=0.02
        )
        assert result.high == 1

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    @pytest.mark.parametrize("metric", ["difference", "ratio"])
    @pytest.mark.parametrize("concentration", [0.3, 3])
    def test_of_many_groups_are_those_of_all_pairs(
        self, metric, concentration, monkeypatch
    ):
        """Most pairs are skipped, also where some groups are tiny."""
        rng = np.random.default_rng(0)
        shares = rng.dirichlet(np.full(40, concentration))
        z = rng.choice(40, 3_000, p=shares)
        y_true, y_pred = rng.random((2, 3_000)) < np.linspace(0.1, 0.4, 40)[z]
        results = []
        for n_extreme in (1, 40):  # a pair at first, all pairs
            monkeypatch.setattr("fairtask.metrics._pairs.N_EXTREME", n_extreme)
            results.append(
                bootstrap(
                    f"equalized_odds_{metric}",
                    y_true,
                    y_pred,
                    sensitive_features=z,
                    n_resamples=200,
                    random_state=0,
                )
            )
        assert results[0].low == results[1].low
        assert results[0].high == results[1].high

    def test_two_groups_as_newcombe_has_them(self):
        # Newcombe's first example: 56 of 70 against 48 of 80, .0524 to .3339.
        found = np.r_[np.arange(70) < 56, np.arange(80) < 48]
        z = np.repeat([0, 1], [70, 80])
        result = resample_positives(found, z, n_resamples=20_000)
        assert result.high == pytest.approx(0.3339, abs=5e-5)
        # A critical value of the resamples, a little above the normal one.
        assert 0.04 < result.low <= 0.0524 + 5e-5

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    def test_areas_of_few_samples(self):
        # Six above six in one group: in no resample is the area anything but 1.
        rng = np.random.default_rng(0)
        y = np.r_[np.repeat([0, 1], 6), rng.integers(0, 2, 400)]
        score = np.r_[np.arange(12) / 12, rng.normal(size=400) + y[12:]]
        z = np.r_[np.zeros(12), np.ones(400)]
        result = resample("group_auc_difference", y, score, z)
        assert result.value - result.low > 0.1

    def test_exact_limits_are_those_of_clopper_and_pearson(self):
        n = np.array([1, 3, 20, 400])
        for found in (np.zeros(4, int), np.ones(4, int), n // 2, n):
            for z in (1, 1.96, 3):
                expected = [
                    binomtest(k, m).proportion_ci(1 - 2 * norm.sf(z), "exact")
                    for k, m in zip(found, n, strict=True)
                ]
                for side, limits in zip((-z, z), np.transpose(expected), strict=True):
                    assert_allclose(exact_limit(found / n, n, side), limits, atol=1e-9)

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    @pytest.mark.parametrize("size", [3, 10])
    def test_tiny_equal_groups_do_not_seem_to_differ(self, size):
        # With limits that approximate, groups of 3 seemed to differ in .6 of data sets.
        z = np.repeat(np.arange(11), [500] + [size] * 10)
        n_wrong = 0
        for seed in range(30):
            rng = np.random.default_rng(seed)
            y = rng.integers(0, 2, len(z))
            y_pred = np.where(rng.random(len(z)) < 0.9, y, 1 - y)
            result = bootstrap(
                "equalized_odds_difference",
                y,
                y_pred,
                sensitive_features=z,
                n_resamples=100,
                random_state=seed,
            )
            n_wrong += result.low > 0
        assert n_wrong <= 3

    def test_groups_whose_rate_never_varies_count(self):
        # The more groups of 40 out of 40, the more likely one of them by chance.
        def low(n_groups):
            sizes = [400] + [40] * n_groups
            z = np.repeat(np.arange(n_groups + 1), sizes)
            found = np.r_[np.arange(400) % 10 < 7, np.ones(40 * n_groups)]
            return resample_positives(found, z).low

        assert low(20) < low(5) < low(1)

    def test_losses_in_0_1_of_few_samples_are_like_shares(self):
        # Eight losses of .5 beside many of 0.1: as 4 of 8, and 0.1 hardly varies.
        prob = np.r_[np.full(8, 0.5), 0.9 + 0.001 * (np.arange(400) % 2)]
        z = np.repeat([0, 1], [8, 400])
        result = resample(
            "group_loss_difference", np.ones(408), prob, z, loss="soft_zero_one"
        )
        exact = binomtest(4, 8).proportion_ci(0.95, "exact")
        assert result.high == pytest.approx(exact.high - 0.0995, abs=0.01)
        assert result.low == pytest.approx(exact.low - 0.0995, abs=0.02)

    @pytest.mark.parametrize(("n", "is_bounded"), [(29, False), (30, True)])
    def test_log_loss_of_few_samples_has_no_upper_limit(self, n, is_bounded):
        rng = np.random.default_rng(0)
        prob = rng.uniform(0.3, 0.9, 300 + n)
        z = np.repeat([0, 1], [300, n])
        data = "group_loss_difference", np.ones(300 + n), prob, z
        if is_bounded:
            result = resample(*data)
        else:
            with pytest.warns(UndefinedMetricWarning, match="fewer than 30 samples"):
                result = resample(*data)
        assert np.isfinite(result.high) == is_bounded

    def test_upper_limits_of_skewed_losses(self):
        # Exponential losses: Student's upper limit misses their mean in .09 of samples.
        n_missed = 0
        for seed in range(200):
            prob = np.exp(-np.random.default_rng(seed).exponential(size=30))
            result = bootstrap(
                "log_loss_group_max",
                np.ones(30),
                prob,
                sensitive_features=np.zeros(30),
                pos_label=1,
                labels=[0, 1],
                n_resamples=100,
                random_state=seed,
            )
            n_missed += result.high < 1
        assert n_missed <= 12

    def test_worst_loss_has_an_upper_limit(self):
        y, score, z = make_data()
        result = resample("log_loss_group_max", y, score, z)
        assert result.value < result.high < 2 * result.value

    def test_losses_of_one_sample(self):
        with pytest.warns(UndefinedMetricWarning, match="resamples|no upper limit"):
            result = resample(
                "group_loss_difference",
                [1, 1, 0, 1, 0],
                [0.5, 0.2, 0.4, 0.9, 0.1],
                [0, 1, 1, 1, 1],
            )
        assert (result.low, result.high) == (0, np.inf)  # its error is unknown

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("sizes", "rates"),
        [
            ([500, 500, 500], [0.4, 0.4, 0.4]),
            ([500, 500], [0.4, 0.47]),
            ([500, 500, 500], [0.4, 0.4, 0.5]),
            ([2000, 5], [0.9, 0.9]),
            ([2000, 20], [0.95, 0.95]),
            ([2000, 10], [0.9, 0.7]),
        ],
    )
    def test_coverage(self, sizes, rates):
        """Equal, close, apart, and small groups with rates near 1.

        benchmarks/bootstrap.py has more designs.
        """
        z = np.repeat(np.arange(len(sizes)), sizes)
        truth, too_high, too_low = np.ptp(rates), 0, 0
        for seed in range(300):
            rng = np.random.default_rng(seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UndefinedMetricWarning)
                found = rng.random(len(z)) < np.take(rates, z)
                result = resample_positives(
                    found, z, n_resamples=200, random_state=seed
                )
            too_high += result.low > truth + 1e-12
            too_low += result.high < truth
        # 2.5 % of 300 is 7.5, with a standard deviation of 2.7.
        assert max(too_high, too_low) <= 16


class TestBias:
    @pytest.mark.parametrize("rates", [[0.7, 0.7], [0.7] * 5, [0.5, 0.9]])
    def test_is_that_of_repeated_experiments(self, rates):
        z = np.repeat(np.arange(len(rates)), 200)
        results = [
            resample_positives(
                np.random.default_rng(seed).random(len(z)) < np.take(rates, z),
                z,
                n_resamples=100,
                random_state=seed,
            )
            for seed in range(60)
        ]
        true_bias = np.mean([result.value for result in results]) - np.ptp(rates)
        estimated = np.mean([result.bias for result in results])
        assert estimated == pytest.approx(true_bias, rel=0.35, abs=0.005)

    def test_of_a_ratio_is_negative(self):
        y, score, z = make_data(300, n_groups=6)
        result = resample("base_rate_ratio", y, score > 0.5, z % 6)
        assert result.bias < 0


class TestClusters:
    @pytest.mark.parametrize("metric", ["group_auc_difference", *RATES_OF[:2]])
    def test_copies_of_samples_say_nothing_new(self, metric):
        y, score, z = make_data(400)
        single = resample(metric, y, score, z)
        copies = [np.repeat(values, 5) for values in (y, score, z)]
        clusters = [f"person {i}" for i in np.repeat(np.arange(400), 5)]
        result = resample(metric, *copies, cluster=clusters)
        assert result.value == pytest.approx(single.value)
        assert result.standard_error == pytest.approx(single.standard_error, rel=0.1)
        assert result.low == pytest.approx(single.low, abs=0.02)
        assert result.high == pytest.approx(single.high, abs=0.02)
        as_rows = resample(metric, *copies)
        assert as_rows.high - as_rows.low < 0.7 * (result.high - result.low)

    def test_clusters_of_one_sample_are_samples(self):
        y, score, z = make_data(200)
        for metric in ("group_auc_difference", "group_loss_difference"):
            one, other = (
                resample(metric, y, score, z, cluster=cluster)
                for cluster in (None, np.arange(200))
            )
            assert np.array_equal(one.distribution, other.distribution)
            assert (one.low, one.high) == (other.low, other.high)

    def test_clusters_that_do_not_count_are_not_drawn(self):
        _, score, z = make_data(100)
        counting = resample_positives(score > 0.5, z, cluster=np.arange(100))
        # Those of weight 0 come first.
        twice = [np.tile(values, 2) for values in (score > 0.5, z)]
        weights, clusters = np.repeat([0, 1], 100), np.arange(200)
        result = resample_positives(*twice, cluster=clusters, sample_weight=weights)
        assert np.array_equal(result.distribution, counting.distribution)

    @given(seed=st.integers(0, 99))
    @settings(max_examples=10)
    def test_replicates_are_the_statistics_of_repeated_clusters(self, seed):
        rng = np.random.default_rng(seed)
        y, score, z = make_data(60, seed=seed)
        cluster = rng.integers(0, 25, 60)
        samples = GroupedSamples.encode(
            y, {"y_pred": score > 0.5}, sensitive_features=z, cluster=cluster
        )
        statistics = GroupRates(samples, RATES)
        counts, (content,) = _units([statistics])
        assert counts.tolist() == [1] * len(np.unique(cluster))
        drawn = rng.integers(0, 3, len(counts))
        _, codes = np.unique(pd.factorize(cluster)[0], return_inverse=True)
        rows = np.repeat(np.arange(60), drawn[codes])
        repeated = GroupRates(
            GroupedSamples.encode(
                y[rows],
                {"y_pred": score[rows] > 0.5},
                sensitive_features=z[rows],
                groups=[0, 1, 2],
                labels=[0, 1],
            ),
            RATES,
        )
        (replicate,) = statistics.evaluate(_multiply(content, drawn[None]))
        assert_allclose(replicate, repeated.observed)

    def test_effective_numbers_by_hand(self):
        # Positives: clusters of 3 and 1 in group a, weights 2 and 1 of one in b.
        samples = GroupedSamples.encode(
            [1, 1, 1, 1, 0, 1, 1],
            {"y_pred": [1] * 7},
            sensitive_features=list("aaaaabb"),
            sample_weight=[1, 1, 1, 1, 1, 2, 1],
            cluster=list("pppqqrr"),
            labels=[0, 1],
        )
        numbers = GroupRates(samples, [TRUE_POSITIVE_RATE, ACCURACY]).n_effective
        assert_allclose(numbers, [[4**2 / (9 + 1), 1], [5**2 / (9 + 4), 1]])

    @pytest.mark.parametrize(
        ("cluster", "message"),
        [
            ([1, 2], "`cluster` must have one row per sample: expected 4, found 2"),
            ([1, None, None, 2], "`cluster` must name .* 2 have a missing value"),
            (np.ones((4, 2)), "`cluster` must have one value per sample"),
            (["a"] * 4, "`cluster` must name two clusters at least.* all 4 samples"),
            (pd.Series([1, 1, 2, 2], index=[3, 2, 1, 0]), "`cluster`"),
        ],
    )
    def test_error_names_the_argument(self, cluster, message):
        y = pd.Series([0, 1, 0, 1])
        with pytest.raises(ValueError, match=message):
            resample_positives(y, y, cluster=cluster)


@by_metric
def test_seeded(metric):
    data = make_data(200)
    first, again, other = (
        resample(metric, *data, random_state=seed, n_resamples=50)
        for seed in (0, np.random.RandomState(0), 1)
    )
    assert np.array_equal(first.distribution, again.distribution)
    assert (first.low, first.high) == (again.low, again.high)
    assert not np.array_equal(first.distribution, other.distribution)


@by_metric
def test_attributes(metric):
    y, score, z = make_data()
    frame = pd.DataFrame({"z": z, "coin": np.arange(len(y)) % 2})
    each = resample(metric, y, score, frame, attributes="each")
    assert list(each) == ["z", "coin"]
    worst = resample(metric, y, score, frame)
    assert worst.value == max(result.value for result in each.values())
    # All attributes come from the same draws.
    largest = np.max([result.distribution for result in each.values()], axis=0)
    assert np.array_equal(worst.distribution, largest)
    assert worst.low <= max(result.low for result in each.values()) + 1e-9


def test_settings_reach_the_metric():
    y, score, z = make_data()
    for agg in ("worst_case", "mean"):
        result = resample("equalized_odds_difference", y, score, z, agg=agg)
        assert result.value == equalized_odds_difference(
            y, score > 0.5, sensitive_features=z, agg=agg
        )
        assert result.low <= result.value <= result.high


def test_several_classes():
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, 3, (2, 600))
    proba = rng.dirichlet(np.ones(3), 600)
    for metric in (group_auc_difference, group_loss_difference):
        result = resample(metric, y, proba, z, n_resamples=50)
        assert result.value == metric(y, proba, sensitive_features=z)
        assert result.low <= result.value <= result.high


@given(seed=st.integers(0, 999), n_groups=st.integers(1, 4))
@settings(max_examples=30)
def test_areas_equal_those_of_scikit_learn(seed, n_groups):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 80))
    y, score = rng.integers(0, 2, n), rng.integers(0, 5, n) / 4  # many ties
    z, weights = rng.integers(0, n_groups, n), rng.integers(1, 4, n)
    y[:2], z[:2] = [0, 1], 0
    samples = GroupedSamples.encode(
        y, {"y_score": score}, sensitive_features=z, sample_weight=weights
    )
    areas = GroupAUCs(samples, [ROC_AUC]).observed
    for i, group in enumerate(samples.sensitive.groups[0]):
        rows = z == group
        if len(np.unique(y[rows])) == 2:
            expected = roc_auc_score(y[rows], score[rows], sample_weight=weights[rows])
            assert areas[0, i] == pytest.approx(expected)
        else:
            assert np.isnan(areas[0, i])


def test_undefined():
    with pytest.warns(UndefinedMetricWarning, match="1 of 1 groups"):
        result = resample_positives([0, 1], ["a"] * 2)
    assert np.isnan([result.value, result.low, result.high]).all()


def test_group_that_resamples_lack():
    with pytest.warns(UndefinedMetricWarning, match=r"undefined in 3\d\.\d% of the"):
        result = resample_positives(np.arange(50) % 2, np.repeat([0, 1], [49, 1]))
    assert np.isnan(result.distribution).mean() == pytest.approx(1 / np.e, abs=0.05)
    assert result.low <= result.value <= result.high


def test_result_is_text_and_pickles():
    result = resample("group_auc_difference", *make_data(), n_resamples=20)
    assert str(result) == f"{result.value:.3f} [{result.low:.3f}, {result.high:.3f}]"
    assert "distribution" not in repr(result)
    again = pickle.loads(pickle.dumps(result))
    assert np.array_equal(again.distribution, result.distribution)
    assert result == result
    assert result != again  # results hold arrays, and are compared by identity


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "accuracy"}, "`metric` must be one of .* got 'accuracy'"),
        (
            {"metric": partial(equalized_odds_difference, agg="mean")},
            "`metric` must be",
        ),
        ({"n_resamples": 1}, "`n_resamples` must be .* at least 2; got 1"),
        ({"n_resamples": 10.0}, "`n_resamples` must be .* got 10.0"),
        ({"confidence_level": 95}, "`confidence_level` must be .* got 95"),
        ({"confidence_level": "high"}, "`confidence_level` must be .* got 'high'"),
        ({"agg": "max"}, "`agg` must be"),
        ({"agregate": "max"}, "`agregate` is no argument of `equalized_odds"),
        ({"metric": "group_accuracy_difference", "pos_label": 1}, "`pos_label` is no"),
        ({"metric": "demographic_parity_difference", "agg": "mean"}, "`agg` is no"),
        ({"loss": "log_loss"}, "`loss` is no argument"),
        ({"min_group_size": 0}, "`min_group_size` must be"),
    ],
)
def test_error_names_the_argument(arguments, message):
    valid = {
        "metric": "equalized_odds_difference",
        "y_true": [0, 1],
        "y_output": [0, 1],
    }
    with pytest.raises(ValueError, match=message):
        bootstrap(**{**valid, "sensitive_features": ["a", "b"], **arguments})


def test_a_generator_goes_on():
    generator = np.random.default_rng(0)
    y, z = np.resize([0, 0, 1], 60), np.resize(list("ab"), 60)
    first, second, again = (
        bootstrap(
            "demographic_parity_difference",
            y,
            np.resize([0, 1, 1, 0, 1], 60),
            sensitive_features=z,
            n_resamples=50,
            random_state=random_state,
        )
        for random_state in (generator, generator, np.random.default_rng(0))
    )
    assert again.bias == first.bias != second.bias
