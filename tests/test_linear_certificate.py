"""The certificate for linear heads: values by hand, identities, and its coverage."""

from math import inf, isnan, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ncf, nct
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression

from fairtask.bounds import certified_mean_difference
from fairtask.exceptions import VacuousBoundWarning

no_bound_ignored = pytest.mark.filterwarnings(
    "ignore::fairtask.exceptions.VacuousBoundWarning"
)
seeds = st.integers(0, 2**32 - 1)


def certify(*args, **kwargs):
    *samples, groups = args
    y = samples[1] if len(samples) > 1 else None
    return certified_mean_difference(samples[0], y, sensitive_features=groups, **kwargs)


def make(seed, n_samples=300, n_units=4, n_groups=3):
    """(h, y, z) with units of different scale, and groups that differ."""
    rng = np.random.default_rng(seed)
    y, z = rng.integers(0, 2, n_samples), rng.integers(0, n_groups, n_samples)
    h = rng.normal(size=(n_samples, n_units)) * (1 + z[:, None])
    return h + rng.normal(size=(2, n_groups, n_units))[y, z], y, z


class TestByHand:
    def test_one_unit(self):
        # Both groups have the variance 10 * 1 / 9, and the means differ by 1.
        h = np.concatenate([np.tile([0.0, 2.0], 5), np.tile([1.0, 3.0], 5)])[:, None]
        result = certify(h, np.repeat(["a", "b"], 10))
        assert result.distance == pytest.approx(1 / sqrt(10 / 9))
        # The limit of Student's t, for which this t is as improbable as 5 %.
        t, size = result.distance * sqrt(5), result.bound * sqrt(5)
        assert nct.cdf(t, 18, size) - nct.cdf(-t, 18, size) == pytest.approx(0.05)
        assert result.for_head([-3.0]) == pytest.approx(3 * sqrt(10 / 9) * result.bound)

    def test_two_units_of_groups_of_one_size_have_the_limit_of_hotelling(self):
        corners = np.array([[0, 0], [0, 2], [2, 0], [2, 2]] * 5)
        h = np.concatenate([corners, corners + np.array([1, 0])])
        result = certify(h, np.repeat([0, 1], 20), delta=0.1)
        square = 1 / (20 / 19)  # of the distance
        assert result.distance == pytest.approx(sqrt(square))
        ratio = 10 * square * 37 / (38 * 2)
        assert ncf.cdf(ratio, 2, 37, 10 * result.bound**2) == pytest.approx(0.1)

    def test_pairs(self):
        h = np.concatenate([[[0.0], [2.0]]] * 6)
        h[4:8] += 1
        y, z = np.repeat([5, 3], [8, 4]), np.repeat(["a", "b", "a"], 4)
        z[10:] = "b"
        result = certify(h, y, z)
        found = result.pairs[["class", "group_1", "group_2", "n_1", "n_2"]]
        assert found.to_numpy().tolist() == [[5, "a", "b", 4, 4], [3, "a", "b", 2, 2]]
        assert result.pairs["distance"].tolist() == pytest.approx([sqrt(3 / 4), 0])
        assert result.bound == result.pairs["bound"].max()

    def test_equal_groups_have_a_bound_above_0(self):
        h = np.tile([0.0, 2.0], 20)[:, None]
        result = certify(h, np.repeat([0, 1], 20))
        assert result.distance == 0
        assert 0.2 < result.bound < 1


class TestProperties:
    @settings(max_examples=15)
    @given(seeds)
    def test_linear_maps_leave_it_unchanged(self, seed):
        h, y, z = make(seed)
        rng = np.random.default_rng(seed)
        left, right = (np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(2))
        linear = left @ np.diag(rng.uniform(0.1, 10, 4)) @ right
        mapped = certify(h @ linear + rng.normal(size=4), y, z)
        result = certify(h, y, z)
        assert mapped.bound == pytest.approx(result.bound, rel=1e-4)
        assert mapped.distance == pytest.approx(result.distance, rel=1e-6)
        weights = rng.normal(size=(3, 4))
        np.testing.assert_allclose(
            mapped.for_head(weights), result.for_head(weights @ linear.T), rtol=1e-4
        )

    @settings(max_examples=15)
    @given(seeds)
    def test_no_head_shows_more_than_the_distance(self, seed):
        h, y, z = make(seed)
        result = certify(h, y, z)
        weights = np.random.default_rng(seed).normal(size=(20, 4))
        for pair, covariance in zip(
            result.pairs.itertuples(index=False), result.covariances, strict=True
        ):
            means = [h[(y == pair[1]) & (z == g)].mean(0) for g in pair[2:4]]
            shown = abs(weights @ (means[0] - means[1]))
            deviations = np.sqrt(np.einsum("ki,ij,kj->k", weights, covariance, weights))
            assert (shown <= pair.distance * deviations * (1 + 1e-9)).all()
            best = np.linalg.solve(covariance, means[0] - means[1])
            assert best @ (means[0] - means[1]) == pytest.approx(
                pair.distance * sqrt(best @ covariance @ best)
            )

    @settings(max_examples=20)
    @given(seeds)
    def test_units_that_add_nothing(self, seed):
        h, y, z = make(seed)
        result = certify(h, y, z)
        more = np.column_stack([h, h @ [1, 2, 0, -1], np.full(len(h), 7.0), 0 * y])
        for dtype, tolerance in ((float, 1e-5), (np.float32, 1e-4)):
            assert certify(more.astype(dtype), y, z).bound == pytest.approx(
                result.bound, rel=tolerance
            )

    @settings(max_examples=20)
    @given(seeds)
    def test_more_certainty_makes_it_larger(self, seed):
        h, y, z = make(seed)
        bounds = [certify(h, y, z, delta=d).bound for d in (0.001, 0.05, 0.2)]
        assert bounds[0] > bounds[1] > bounds[2]

    def test_how_often_it_fails(self):
        # The variance of the larger group is four times that of the smaller one.
        rng = np.random.default_rng(0)
        z = np.repeat([0, 1], [400, 100])
        fails = []
        for _ in range(300):
            h = rng.normal(size=(500, 24)) * (2 - z[:, None])
            h[:, 0] += sqrt((399 * 4 + 99) / 498) * z  # a distance of 1
            fails.append(certify(h, z).bound < 1)
        assert 0.01 < np.mean(fails) <= 0.075  # 5 %, and more than two standard errors

    def test_heads_that_are_fitted_later(self):
        rng = np.random.default_rng(0)
        y, z = rng.integers(0, 2, (2, 6_000))
        h = rng.normal(size=(6_000, 8)) + y[:, None] + 0.2 * z[:, None]
        result = certify(h[:4_000], y[:4_000], z[:4_000])
        head = LogisticRegression().fit(h[4_000:], z[4_000:])  # it looks for z
        scores = head.decision_function(h[4_000:])
        shown = [
            abs(
                np.subtract(
                    *(
                        scores[(y[4_000:] == c) & (z[4_000:] == g)].mean()
                        for g in (0, 1)
                    )
                )
            )
            for c in (0, 1)
        ]
        assert max(shown) < result.for_head(head.coef_)[0] < 1.5 * max(shown)


class TestNoBound:
    @pytest.mark.parametrize("n_units", [18, 19, 40])
    def test_too_few_samples_for_the_units(self, n_units):
        h = np.random.default_rng(0).normal(size=(20, n_units))
        with pytest.warns(VacuousBoundWarning, match="10 and 10 samples of the groups"):
            result = certify(h, np.repeat([0, 1], 10))
        assert result.bound == inf
        assert result.for_head(np.zeros(n_units)) == inf

    def test_one_sample_more_is_enough(self):
        h = np.random.default_rng(0).normal(size=(21, 18))
        assert certify(h, np.repeat([0, 1], [11, 10])).bound < inf

    def test_a_unit_that_is_the_group(self):
        h, _, z = make(0, n_groups=2)
        h[:, 1] = h[:, 0] + z  # without any variation inside the groups
        with pytest.warns(VacuousBoundWarning, match="combination of units separates"):
            assert certify(h, z).bound == inf

    def test_groups_that_hardly_overlap(self):
        h, _, z = make(0, n_groups=2)
        with pytest.warns(VacuousBoundWarning, match="there is no bound"):
            assert certify(1e-5 * h + z[:, None], z).bound == inf

    @pytest.mark.parametrize("n", [0, 1])
    def test_a_group_without_variance(self, n):
        h = np.random.default_rng(0).normal(size=(30 + n, 2))
        z = ["a"] * 30 + ["b"] * n
        with pytest.warns(VacuousBoundWarning, match=f"30 and {n} samples of the gr"):
            result = certify(h, z, groups=["a", "b"])
        assert result.bound == inf
        assert isnan(result.distance)

    def test_one_group(self):
        with pytest.warns(UndefinedMetricWarning, match="fewer than two groups"):
            result = certify([[0.0], [1.0]], ["a", "a"])
        assert isnan(result.bound)
        assert isnan(result.for_head([1.0]))

    @pytest.mark.parametrize("transformed", [1e8, 1e-170])
    def test_units_that_only_count_as_constant_are_named(self, transformed):
        h, y, z = make(0)
        h[:, 2] = transformed + h[:, 2] if transformed > 1 else transformed * h[:, 2]
        with pytest.warns(UndefinedMetricWarning, match=r"for the units \[2\] of `h`"):
            bound = certify(h, y, z).bound
        h[:, 2] = 0.1
        assert certify(h, y, z).bound == pytest.approx(bound)

    def test_a_unit_that_shows_the_class_only_counts_as_constant(self):
        h, y, z = make(0)
        h[:, 1] += 1e8 * y
        with pytest.warns(UndefinedMetricWarning, match=r"for the units \[1\] of `h`"):
            certify(h, y, z)

    def test_numbers_that_cannot_be_squared(self):
        h, y, z = make(0)
        with pytest.raises(ValueError, match="`h` must hold numbers of a size up to 1"):
            certify(1e155 * h, y, z)

    def test_a_constant_representation(self):
        result = certify(np.full((20, 3), 0.1), np.repeat([0, 1], 10))
        assert result.bound == result.distance == 0


class TestSmallGroups:
    def test_are_left_out_by_class(self):
        h, y, z = make(0)
        z[y == 1] = np.minimum(z[y == 1], 1)
        z[np.flatnonzero(y == 1)[0]] = 2
        with pytest.warns(
            VacuousBoundWarning, match="and 1 samples .* `min_group_size`"
        ):
            assert certify(h, y, z).bound == inf
        result = certify(h, y, z, min_group_size=2)
        parts = [y == 0, (y == 1) & (z < 2)]
        assert result.bound == max(certify(h[rows], z[rows]).bound for rows in parts)
        assert len(result.pairs) == 3 + 1
        assert result.left_out.to_numpy().tolist() == [["sensitive_feature", 1, 2, 1]]

    def test_all(self):
        with pytest.warns(
            UndefinedMetricWarning,
            match=r"two groups of at least 1,000 samples in class 'all', and no",
        ):
            result = certify(*make(0)[::2], min_group_size=1_000)
        assert isnan(result.bound)
        assert len(result.left_out) == 3

    def test_none(self):
        assert certify(*make(0)).left_out.empty

    @pytest.mark.parametrize("kind", [str, int, np.str_, np.int64])
    def test_message_names_them_as_they_are(self, kind):
        h = np.random.default_rng(0).normal(size=(30, 28))
        y, z = np.full(30, kind(7)), np.repeat([kind(1), kind(2)], 15)
        plain = (
            "'1' and '2' of .* in class '7'"
            if kind in (str, np.str_)
            else ("1 and 2 of .* in class 7 ")
        )
        with pytest.warns(VacuousBoundWarning, match=f"of the groups {plain}"):
            certify(h, y, z, min_group_size=2)


class TestInput:
    def test_several_attributes_and_unknown_groups(self):
        h, y, z = make(0, n_groups=2)
        site = np.random.default_rng(1).integers(0, 2, len(h))
        both = certify(h, y, {"z": z, "site": site})
        alone = [certify(h, y, groups).bound for groups in (z, site)]
        assert both.bound == max(alone)
        assert both.pairs["attribute"].tolist() == ["z", "z", "site", "site"]
        groups = np.where(np.arange(len(h)) % 3, z, None)
        known = np.arange(len(h)) % 3 > 0
        assert (
            certify(h, y, groups).bound == certify(h[known], y[known], z[known]).bound
        )

    def test_pandas(self):
        h, y, z = make(0)
        rows = pd.RangeIndex(len(h))[::-1]
        frame, z_column = pd.DataFrame(h, rows), pd.Series(z, rows)
        assert certify(frame, y, z_column).bound == certify(h, y, z).bound
        with pytest.raises(ValueError, match="`h` and `sensitive_features` must hold"):
            certify(frame, y, z_column[::-1])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"sensitive_features": None}, "`sensitive_features` must have a column"),
            ({"h": [0, 1]}, r"`h` must have shape \(n_samples, n_units\)"),
            ({"h": np.zeros((2, 0))}, "`h` must have shape"),
            ({"h": [[np.nan], [1]]}, "`h` must hold finite numbers; found 1 others"),
            ({"h": [["a"], ["b"]]}, "`h` must hold numbers; it holds 'a'"),
            ({"y": [0]}, "`y` must have one row per sample: expected 2, found 1"),
            ({"y": ["a", None]}, "`y` must have no missing values; found 1"),
            ({"sensitive_features": ["a"]}, "sensitive_features"),
            ({"groups": ["a", "c"]}, "'b'"),
            ({"min_group_size": 0}, "`min_group_size` must be an integer of at least"),
            ({"delta": 1}, "`delta` is the probability that"),
        ],
    )
    def test_error_names_the_argument(self, changes, message):
        arguments = {"h": [[0], [1]], "y": [0, 0], "sensitive_features": ["a", "b"]}
        arguments |= changes
        with pytest.raises(ValueError, match=message):
            certified_mean_difference(arguments.pop("h"), **arguments)

    @pytest.mark.parametrize(
        ("coef", "message"),
        [
            ([1.0], r"`coef` must have shape \(4,\) or .*; got shape \(1,\)"),
            (1.0, "`coef` must be a list, an array.* got 1.0"),
            (None, "`coef` must be a list, an array.* got None"),
            (["a"] * 4, "`coef` must hold numbers"),
            ([1, 2, 3, inf], "`coef` must hold finite numbers; found 1 others"),
        ],
    )
    def test_coef(self, coef, message):
        with pytest.raises(ValueError, match=message):
            certify(*make(0)).for_head(coef)
