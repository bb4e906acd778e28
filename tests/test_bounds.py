"""Bounds: values by hand, identities, and how often the certificate fails."""

from math import inf, isnan, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.exceptions import UndefinedMetricWarning

from fairtask.bounds import (
    _certificate,
    adversarial_bound,
    certified_difference,
    discrepancy_bound,
    excess_bound,
    generalization_slack,
    group_loss_bound,
)
from fairtask.bounds._certificate import difference_of_rates
from fairtask.bounds._two_samples import ExactTest
from fairtask.exceptions import VacuousBoundWarning
from fairtask.metrics import equalized_odds_difference

vacuous_ignored = pytest.mark.filterwarnings(
    "ignore::fairtask.exceptions.VacuousBoundWarning"
)

# delta = 2 / e^2: ln(2 / delta) = 2, and the slack of 100 and 400 samples is
# sqrt(2 / 200) + sqrt(2 / 800) = 0.1 + 0.05.
SAMPLES = {"n_samples": [100, 400], "delta": 2 / np.e**2}
COMPLEX = {**SAMPLES, "complexities": [0.01, 0.02]}  # 4 * 0.03 more
TRAINED = {"difference": 0.1, "eta": 0.01, "lam": 0.5, **COMPLEX}
TWO = {"n_samples": [9, 9], "complexities": [0, 0]}


class TestFormulas:
    @pytest.mark.parametrize(
        ("function", "arguments", "expected"),
        [
            (generalization_slack, SAMPLES, 0.15),
            (generalization_slack, COMPLEX, 0.27),
            (discrepancy_bound, {"discrepancy": 0.2, **COMPLEX}, 0.47),
            (adversarial_bound, {"error": 0.4, **COMPLEX}, 0.4 + 0.27),
            (adversarial_bound, {"error": 0.5, **COMPLEX}, 0.27),
            (group_loss_bound, {"difference": 0.03, **COMPLEX}, 0.3),
            (excess_bound, TRAINED, 0.1 + 0.02 + 0.54),
            (
                excess_bound,
                {"fairness_loss": "adversarial", **TRAINED},
                0.1 + 0.08 + 0.54,
            ),
        ],
    )
    def test_by_hand(self, function, arguments, expected):
        assert function(**arguments) == pytest.approx(expected)

    def test_vacuous_bound_warns(self):
        with pytest.warns(VacuousBoundWarning, match="the bound is vacuous: 2"):
            assert adversarial_bound(0.0, [10**9] * 2, complexities=[0, 0]) > 2

    @vacuous_ignored
    @given(
        st.lists(st.integers(1, 10**6), min_size=2, max_size=2),
        st.floats(0.001, 0.3),
    )
    def test_more_samples_and_less_certainty_make_it_smaller(self, sizes, delta):
        bound = group_loss_bound(0.1, sizes, delta=delta)
        assert group_loss_bound(0.1, [n + 1 for n in sizes], delta=delta) < bound
        assert group_loss_bound(0.1, sizes, delta=delta * 1.5) < bound
        assert group_loss_bound(0.1, sizes[::-1], delta=delta) == pytest.approx(bound)

    @pytest.mark.parametrize(
        ("function", "arguments", "message"),
        [
            (group_loss_bound, {"difference": 1.1}, "`difference` must be a number in"),
            (group_loss_bound, {"difference": None}, "`difference` must be a number"),
            (discrepancy_bound, {"discrepancy": -1}, "`discrepancy` must be a"),
            (adversarial_bound, {"error": 0.6}, "`error` must be a"),
            (generalization_slack, {"n_samples": 100}, "`n_samples` must be two fin"),
            (generalization_slack, {"n_samples": "12"}, "`n_samples` must be two fin"),
            (generalization_slack, {"n_samples": [10]}, "`n_samples` must be two fin"),
            (generalization_slack, {"n_samples": [9, 0]}, "`n_samples` must be two"),
            (generalization_slack, {"n_samples": [9, 1.5]}, "`n_samples` must be whol"),
            (generalization_slack, {"delta": 0}, "`delta` is the probability that"),
            (generalization_slack, {"complexities": [-1, 0]}, "`complexities` must be"),
            (excess_bound, {"eta": -1}, "`eta` must be"),
            (excess_bound, {"lam": 1}, "`lam` must be a"),
            (
                excess_bound,
                {"fairness_loss": "gld"},
                "`fairness_loss` must be 'glf' or 'adversarial'; got 'gld'",
            ),
        ],
    )
    def test_error_names_the_argument(self, function, arguments, message):
        extra = (
            {"difference": 0, "eta": 0, "lam": 0} if function is excess_bound else {}
        )
        with pytest.raises(ValueError, match=message):
            function(**{**TWO, **extra, **arguments})


class TestConditions:
    """Each condition that a docstring names, by an example that breaks the bound."""

    MANY = {"n_samples": [10**6] * 2, "complexities": [0, 0]}  # noqa: RUF012

    def test_discriminators_must_contain_the_level_sets(self):
        row, column = np.indices((40, 40)).reshape(2, -1)
        group = (row + column) % 2  # the colour of the square
        loss = group  # of a predictor that is wrong on the black squares alone
        assert abs(loss[group == 1].mean() - loss[group == 0].mean()) == 1
        # The best of many half-planes is hardly better than chance.
        angles = np.random.default_rng(0).uniform(0, np.pi, 200)
        height = np.outer(np.cos(angles), row) + np.outer(np.sin(angles), column)
        cuts = np.quantile(height, np.linspace(0.02, 0.98, 25), axis=1).T
        guess = height[:, None] > cuts[:, :, None]
        errors = (guess != group).mean(axis=-1)
        error = min(errors.min(), 1 - errors.max())
        assert adversarial_bound(error, **self.MANY) < 0.2

    def test_two_models_that_reveal_the_groups(self):
        # Losses of the groups, each half of the samples, at the same mean.
        best, trained = np.array([0.10, 0.10]), np.array([0.08, 0.12])
        assert best.mean() == trained.mean()
        difference = np.ptp(trained)
        settings = {"eta": 0, "lam": 0.5, "fairness_loss": "adversarial"}
        false = excess_bound(np.ptp(best), **settings, **self.MANY)
        assert false < difference
        with pytest.warns(VacuousBoundWarning):  # epsilon is 0
            assert excess_bound(2 - 4 * 0, **settings, **self.MANY) > difference

    def test_a_constant_prediction_has_no_difference(self):
        # Task losses .5 and .1: the objective prefers the second, with a difference.
        best, trained = np.array([0.5, 0.5]), np.array([0.02, 0.18])
        lam = 0.5
        values = [lam * m.mean() + (1 - lam) * np.ptp(m) for m in (best, trained)]
        assert values[1] < values[0]
        bound = excess_bound(np.ptp(best), eta=0, lam=lam, **self.MANY)
        assert bound < np.ptp(trained)

    def test_a_discrepancy_needs_no_complexity(self):
        # The 2**10 hypotheses on 10 points shatter them: the pair that is best on the
        # samples is not fixed before, and yet the bound holds.
        rng = np.random.default_rng(0)
        n, n_points, delta = 20, 10, 0.2
        first, second = rng.dirichlet(np.ones(n_points), size=2)
        truth = np.abs(first - second).sum() / 2
        failures = 0
        for _ in range(300):
            shares = [rng.multinomial(n, p) / n for p in (first, second)]
            measured = np.abs(shares[0] - shares[1]).sum() / 2
            failures += measured + generalization_slack([n, n], delta=delta) < truth
        assert failures <= 300 * delta


class TestCertificate:
    def test_small_and_equal_groups_by_hand(self):
        # Of the four tables of one sample each, only the loss of a alone is larger. The
        # others have the probability 1 - (q + d) (1 - q), at most 1 - d.
        bound = certified_difference([0, 0], sensitive_features=["a", "b"])
        assert 1 - 0.049 < bound < 1 - 0.049 + 0.01

    @pytest.mark.parametrize("delta", [0.05, 0.001])
    def test_no_loss_by_hand(self, delta):
        # The rate of the large group is hardly above 0, and (1 - p)^20 = .98 delta.
        bound = certified_difference(
            np.zeros(100_020, dtype=int),
            sensitive_features=["a"] * 20 + ["b"] * 100_000,
            delta=delta,
        )
        expected = 1 - (0.98 * delta) ** (1 / 20)
        assert expected < bound < expected + 2e-4

    def test_betting_by_hand(self):
        # One difference, of 0. The bet .9 / (1 - d) doubles the capital at d = 1 / 1.9;
        # it is below sqrt(2 ln(2) / .25).
        bound = certified_difference(
            [0.5, 0.5], sensitive_features=["a", "b"], delta=0.5
        )
        assert bound == pytest.approx(1 / 1.9, abs=2e-5)

    @pytest.mark.parametrize("scale", [1, 0.5])  # 0-1 losses and others
    def test_a_small_group_may_count_although_it_differs_less(self, scale):
        losses = np.array([1, 0] * 500 + [0] * 1000 + [0, 1, 0, 0]) * scale
        groups = np.repeat(["a", "b", "c"], [1000, 1000, 4])
        # a and b differ by .5, b and c by .25, but of c little is known.
        bound = certified_difference(losses, sensitive_features=groups)
        large = groups != "c"
        assert bound > 0.1 + certified_difference(
            losses[large], sensitive_features=groups[large]
        )

    @pytest.mark.parametrize(
        ("sizes", "delta"), [((1, 1), 0.05), ((3, 8), 0.05), ((10, 9), 0.2)]
    )
    def test_it_is_exact(self, sizes, delta):
        """The tables in which it fails have a probability of delta at most."""
        counts = [np.arange(n + 1) for n in sizes]
        bounds = np.array(
            [
                [self.of_counts((i, j), sizes, delta) for j in counts[1]]
                for i in counts[0]
            ]
        )
        assert (np.diff(bounds, axis=0) >= 0).all()
        assert (np.diff(bounds, axis=1) <= 0).all()
        rates = np.linspace(0, 1, 51)
        first, second = (
            binom.pmf(count, n, rates[:, None])
            for count, n in zip(counts, sizes, strict=True)
        )
        largest = 0.0
        for i, j in zip(*np.triu_indices(51, 1), strict=True):
            fails = bounds < rates[j] - rates[i]
            largest = max(largest, first[j] @ fails @ second[i])
        assert 0.8 * delta < largest <= delta

    @staticmethod
    def of_counts(counts, sizes, delta):
        """The limit of the difference of the first group from the second."""
        test = ExactTest(counts, sizes, [delta])
        return 0.0 if test.rejects(0.0) else round(test.limit(0.0), 4)

    @given(st.integers(0, 2**32 - 1))
    @settings(max_examples=25)
    def test_many_deltas_at_once(self, seed):
        rng = np.random.default_rng(seed)
        shape = rng.integers(1, 3), rng.integers(2, 4)
        sizes = rng.integers(1, 300, shape)
        events = rng.binomial(sizes, rng.beta(1, 2, shape))
        deltas = 0.5 / np.arange(rng.integers(2, 12), 0, -1)
        alone = [difference_of_rates(events, sizes, [delta]) for delta in deltas]
        bound = difference_of_rates(events, sizes, deltas)
        assert bound == pytest.approx(max(alone), abs=1e-6)
        # The bound falls as deltas are left out, which `choose_within_budget` needs.
        assert bound > difference_of_rates(events, sizes, deltas[1:]) - 1e-6

    @pytest.mark.parametrize(
        ("events", "sizes"), [([1, 38], [14, 40]), ([7, 4], [10, 45])]
    )
    def test_a_larger_delta_can_have_the_larger_limit(self, events, sizes):
        """It orders the tables anew."""
        deltas = 0.5 / np.arange(11, 0, -1)
        given = np.array([events]), np.array([sizes])
        alone = [difference_of_rates(*given, [delta]) for delta in deltas]
        assert max(alone) > alone[0] + 1e-3
        assert difference_of_rates(*given, deltas) == pytest.approx(
            max(alone), abs=1e-6
        )

    @pytest.mark.parametrize("sizes", [(60, 60), (60, 500), (7, 40)])
    def test_how_often_betting_fails(self, sizes):
        """Also for samples that are sorted by their loss."""
        delta = 0.05
        rng = np.random.default_rng(0)
        groups = np.repeat([0, 1], sizes)
        rates = np.array([0.5, 0.3])[groups]
        fails = []
        for _ in range(300):
            losses = 0.9 * (rng.random(len(groups)) < rates)
            order = np.argsort(losses)
            fails.append(
                certified_difference(
                    losses[order], sensitive_features=groups[order], delta=delta
                )
                < 0.9 * 0.2
            )
        assert np.mean(fails) <= delta

    @vacuous_ignored
    @given(st.integers(0, 2**32 - 1), st.booleans())
    @settings(max_examples=25)
    def test_less_certainty_and_more_samples_make_it_smaller(self, seed, zero_one):
        rng = np.random.default_rng(seed)
        groups = np.repeat([0, 1], rng.integers(5, 300, 2))
        losses = rng.beta(0.5, 1, len(groups))
        if zero_one:
            losses = np.round(losses)
        delta = rng.uniform(0.01, 0.3)

        def bound_of(losses, groups, delta):
            return certified_difference(losses, sensitive_features=groups, delta=delta)

        bound = bound_of(losses, groups, delta)
        assert bound_of(losses, groups, delta / 2) >= bound
        assert bound_of(np.tile(losses, 9), np.tile(groups, 9), delta) <= bound

    def test_the_difference_is_tested_and_not_two_groups_apart(self):
        groups = np.repeat([0, 1], 1000)
        for rate, excess in [(0.05, 0.0175), (0.5, 0.0385)]:
            is_wrong = np.tile(np.arange(1000) < 1000 * rate, 2)
            bound = certified_difference(is_wrong, sensitive_features=groups)
            normal = 1.645 * sqrt(2 * rate * (1 - rate) / 1000)
            assert normal < bound < excess < sqrt(log(20) / 1000)
            # Betting adapts to the variance of losses that are not 0 or 1.
            bound = certified_difference(0.2 * is_wrong, sensitive_features=groups)
            assert bound < 0.2 * 1.5 * excess

    @vacuous_ignored
    @given(st.integers(0, 2**32 - 1))
    def test_it_is_above_what_was_measured(self, seed):
        rng = np.random.default_rng(seed)
        y_true, y_pred, groups = rng.integers(0, 2, (3, 200))
        bound = certified_difference(
            y_true != y_pred, sensitive_features=groups, strata=y_true
        )
        assert bound > equalized_odds_difference(
            y_true, y_pred, sensitive_features=groups
        )

    def test_it_is_less_than_theorem_2_for_two_groups(self):
        losses, groups = np.tile([0.0, 1.0, 0.0, 0.0], 200), np.repeat([0, 1], 400)
        for scale in (1, 0.99):
            bound = certified_difference(scale * losses, sensitive_features=groups)
            assert bound < group_loss_bound(0, [400, 400])

    def test_pairs_with_the_same_counts_are_tested_once(self, monkeypatch):
        events = np.array([[3, 7] * 10])
        sizes = np.full_like(events, 20)
        expected = difference_of_rates(events[:, :4], sizes[:, :4], [0.05])
        tested = []

        def make_test(*arguments):
            tested.append(arguments)
            return ExactTest(*arguments)

        monkeypatch.setattr(_certificate, "ExactTest", make_test)
        assert difference_of_rates(events, sizes, [0.05]) == expected
        assert len(tested) == 4

    def test_groups_that_were_not_drawn(self):
        arguments = {"sensitive_features": ["a", "b"] * 100, "groups": ["a", "b", "c"]}
        with pytest.warns(VacuousBoundWarning, match="no sample of the group 'c' of"):
            assert certified_difference([0, 1] * 100, **arguments) == inf

    def test_an_attribute_of_one_group_is_left_out(self):
        losses, groups = np.tile([0, 1], 500), np.repeat([0, 1], 500)
        both = {"z": groups, "site": ["x"] * 1000}
        with pytest.warns(UndefinedMetricWarning, match="site has fewer than two"):
            bound = certified_difference(losses, sensitive_features=both)
        assert bound == certified_difference(losses, sensitive_features=groups)

    def test_several_attributes_and_unknown_groups(self):
        losses = np.tile([0.0, 1.0], 500)
        attributes = np.column_stack(
            [np.repeat([0, 1], 500), np.tile([0, 1, 0, 1, 0, 1, 1, 0], 125)]
        )
        alone = [
            certified_difference(losses, sensitive_features=a) for a in attributes.T
        ]
        both = certified_difference(losses, sensitive_features=attributes)
        assert both == max(alone) == alone[1]
        groups = np.array(["a", "b", None] * 300, dtype=object)
        known = groups != None  # noqa: E711
        assert certified_difference(
            np.where(known, 0.25, 1), sensitive_features=groups
        ) == certified_difference(np.full(600, 0.25), sensitive_features=groups[known])

    def test_a_stratum_that_lacks_a_group_says_nothing(self):
        with pytest.warns(VacuousBoundWarning, match="stratum 1 has no .*'b'"):
            bound = certified_difference(
                [0, 1, 0], sensitive_features=["a", "b", "a"], strata=[0, 0, 1]
            )
        assert bound == inf

    def test_one_group(self):
        with pytest.warns(UndefinedMetricWarning, match="fewer than two groups"):
            assert isnan(certified_difference([0, 1], sensitive_features=["a", "a"]))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"losses": [0, 2]}, "found 1 others, such as 2.0"),
            ({"losses": [0, np.nan]}, "`losses` must be in"),
            ({"losses": [[0, 1]]}, r"numbers of shape \(n_samples,\)"),
            ({"losses": []}, "one at least; got the shape"),
            ({"losses": ["a", "b"]}, "`losses` must hold numbers; it holds 'a'"),
            ({"losses": [[0], [1, 0]]}, "`losses` must be an array of one dim"),
            ({"delta": "0.05"}, "`delta` is the probability that"),
            ({"losses": [0, 1, 0]}, "expected 3, found 2"),
            ({"strata": [0]}, "`strata` must have one row per sample.* 2, found 1"),
            ({"strata": 0}, "`strata` must be a list, .* got 0"),
            ({"strata": [[0], [1, 0]]}, "`strata` must hold names of one type"),
            ({"strata": ["a", None]}, "`strata` must have no missing values; found 1"),
            ({"strata": [np.nan, 1]}, "`strata` must have no missing values; found 1"),
            ({"groups": ["a", "c"]}, "'b'"),
            ({"delta": 1}, "`delta` is the probability that"),
            ({"sensitive_features": None}, "`sensitive_features` must have a column"),
        ],
    )
    def test_error_names_the_argument(self, changes, message):
        arguments = {"losses": [0, 1], "sensitive_features": ["a", "b"]} | changes
        with pytest.raises(ValueError, match=message):
            certified_difference(arguments.pop("losses"), **arguments)
