"""Confidence limits of a metric, from resampled statistics."""

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from fairtask.metrics._comparison import Comparison
from fairtask.metrics._resampling import correlations, standard_errors
from fairtask.metrics._selection_bias import expected_excess
from fairtask.metrics._transforms import joint_error, nan_reduce

__all__ = ["BootstrapResult", "intervals"]

N_EXTREME = 8
"""Groups with the largest errors, to either side, among which the largest is sought."""


@dataclass(frozen=True)
class BootstrapResult:
    """A metric, such as a difference between groups, with its bootstrap distribution.

    Attributes
    ----------
    value : float
        The metric in the data.
    low, high : float
        Limits of the confidence interval.
    confidence_level : float
    distribution : ndarray of shape (n_resamples,)
        The metric in each resample; NaN where it was undefined.
    bias : float
        Estimate of how much the value is too large on average, or too small if it is
        negative. A difference between the largest and the smallest of several noisy
        rates is too large, and a ratio too small. The estimate adds the noise to values
        that are shrunk towards each other, see `bootstrap`. It is 0 where every rate is
        0 or 1: such data show no noise, and the bias of small groups is not known.

    Examples
    --------
    >>> from fairtask.metrics import bootstrap
    >>> y_true, y_pred = [0, 1, 1, 1] * 25, [0, 1, 0, 1] * 25
    >>> result = bootstrap(
    ...     "group_accuracy_difference",
    ...     y_true,
    ...     y_pred,
    ...     sensitive_features=["f", "f", "m", "m"] * 25,
    ...     random_state=0,
    ... )
    >>> result.value, result.confidence_level, result.distribution.shape
    (0.5, 0.95, (1000,))
    >>> bool(0 < result.low < 0.5 < result.high)
    True
    """

    value: float
    low: float
    high: float
    confidence_level: float
    distribution: np.ndarray = field(repr=False)
    bias: float

    @property
    def standard_error(self) -> float:
        """Standard deviation of the distribution."""
        return float(standard_errors(self.distribution))

    @property
    def undefined(self) -> float:
        """Share of the resamples in which the metric was undefined."""
        return float(np.isnan(self.distribution).mean())

    def __str__(self) -> str:
        return f"{self.value:z.3f} [{self.low:z.3f}, {self.high:z.3f}]"


def intervals(
    comparison: Comparison, resampled: list[np.ndarray], confidence_level: float
) -> list[BootstrapResult]:
    """Compute intervals, for each attribute or for the worst of their values.

    `resampled` has an array (n_resamples, n_strata, n_groups) for each attribute.
    """
    statistics, transform = comparison.statistics, comparison.metric.transform
    observed = comparison.select(statistics.observed)
    resampled = comparison.select(resampled)
    n_effective = comparison.select(statistics.n_effective, constant=np.inf)
    costs = [comparison.cost(of_attribute) for of_attribute in observed]
    distributions = [comparison.cost(of_attribute) for of_attribute in resampled]
    positions = list(range(len(observed)))
    rng = np.random.default_rng(0)  # of errors that resamples do not show
    excesses = [
        expected_excess(comparison, *numbers, rng)
        for numbers in zip(observed, resampled, n_effective, strict=True)
    ]
    results = []
    for part in [[i] for i in positions] if comparison.each else [positions]:
        cost = nan_reduce(np.max, np.array([costs[i] for i in part]))
        distribution = nan_reduce(
            np.max, np.stack([distributions[i] for i in part], axis=-1)
        )
        limits = np.nan, np.nan
        if np.isfinite(cost) and not statistics.no_limits:
            strata = [
                _compared_strata(
                    comparison, observed[i], resampled[i], n_effective[i], rng
                )
                for i in part
            ]
            limits = _limits(
                comparison, list(filter(None, strata)), 1 - (1 - confidence_level) / 2
            )
        results.append(
            BootstrapResult(
                float(transform.value(cost)),
                *limits,
                float(confidence_level),
                transform.value(distribution),
                float(transform.value(_bias([excesses[i] for i in part]))),
            )
        )
    return results


def _bias(costs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the bias of the largest cost, from those of attributes."""
    without_noise, noisy = (
        nan_reduce(np.max, np.stack(part, axis=-1)) for part in zip(*costs, strict=True)
    )
    return float(nan_reduce(np.mean, noisy) - without_noise)


def _compared_strata(
    comparison: Comparison,
    observed: np.ndarray,
    resampled: np.ndarray,
    n_effective: np.ndarray,
    rng: np.random.Generator,
) -> list["_Stratum"]:
    """Return the strata of an attribute that have a cost."""
    is_defined = np.isfinite(comparison.costs(observed))
    return [
        _Stratum(comparison, i, observed[i], resampled[:, i], n_effective[i], rng)
        for i in range(len(observed))
        if is_defined[i]
    ]


class _Stratum:
    """One statistic of the groups that are compared, and its errors.

    A reference is the last of the groups here.
    """

    def __init__(
        self,
        comparison: Comparison,
        stratum: int,
        observed: np.ndarray,
        resampled: np.ndarray,
        n_effective: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        groups = np.isfinite(observed)
        self.transform = comparison.metric.transform
        self.family = comparison.statistics
        self.statistic, _ = self.family.strata[comparison.strata[stratum]]
        self.values = observed[groups]
        self.n_effective = n_effective[groups]
        self.deviations = resampled[:, groups] - self.values
        self.resampled_errors = standard_errors(resampled[:, groups])
        self.slopes = self.transform.slopes(self.values)
        self.pairs = ~np.eye(len(self.values), dtype=bool)
        self.correlations: np.ndarray | None = None
        if comparison.has_reference:
            # Groups are compared with the reference only.
            self.pairs[:-1, :-1] = False
            self.pairs[:-1, -1] = self.transform.high
            self.pairs[-1, :-1] = self.transform.low
        if comparison.to_overall:
            # A group is a part of all groups together, and varies with them.
            with_all = correlations(self.deviations, self.deviations[:, [-1]])
            self.correlations = np.zeros(self.pairs.shape)
            self.correlations[-1] = self.correlations[:, -1] = with_all
        self._draw_errors_of_few(rng)

    def _draw_errors_of_few(self, rng: np.random.Generator) -> None:
        """Draw normal errors where resamples say nothing about the error of a value.

        NOTE: A rate of 0 or 1 is the same in each resample, and that of few samples has
        few values. Their strict limits fail no more often than normal errors do. With
        normal errors such groups count in the critical value like all others.
        """
        no_error = (self.resampled_errors == 0) | np.isnan(self.resampled_errors)
        is_small = self.n_effective < self.family.few
        drawn = np.isfinite(self.n_effective) & (no_error | is_small)
        below, above = self.distances(1, strict=True)
        self.errors = np.where(drawn, (below + above) / 2, self.resampled_errors)
        # A value of which nothing is known has infinite limits at any critical value.
        scale = np.where(np.isfinite(self.errors), self.errors, np.nan)[drawn]
        shape = len(self.deviations), drawn.sum()
        self.deviations[:, drawn] = scale * rng.standard_normal(shape)

    def distances(self, z: float, *, strict: bool) -> tuple[np.ndarray, np.ndarray]:
        """Distances of the limits below and above each value.

        They are strict limits of groups with few samples, and else if `strict`.
        """
        numbers = (self.statistic, self.values, self.resampled_errors, self.n_effective)
        is_strict = strict | (self.n_effective < self.family.few)
        lower, upper = (
            np.where(
                is_strict,
                self.family.limit(*numbers, side, strict=True),
                self.family.limit(*numbers, side),
            )
            for side in (-z, z)
        )
        below, above = self.values - lower, upper - self.values
        # Hardly any resample has the group: its value may be anything.
        below[np.isnan(below)] = above[np.isnan(above)] = np.inf
        return below, above

    def limits(self, z: float, *, strict: bool) -> tuple[np.ndarray, np.ndarray]:
        """Limits of the cost of each ordered pair, shape (n_groups, n_groups)."""
        below, above = self.distances(z, strict=strict)
        low, high = self.transform.pair_limits(
            self.values, below, above, self.correlations
        )
        # Other pairs are not compared.
        return np.where(self.pairs, low, -np.inf), np.where(self.pairs, high, -np.inf)

    def largest_error(self, kept: np.ndarray) -> np.ndarray:
        """Largest studentised error of the pairs that are kept, in each resample.

        NOTE: Pairs grow with the square of the groups, and few of them matter. The
        error of a pair is that of the first group minus that of the second, each
        studentised and weighted. The squares of both weights add up to 1, so that the
        error is at most the root of the sum of two squares. Pairs of the groups with
        the largest errors come first. Then few pairs, or none, may have a larger one.
        """
        if kept.sum() <= N_EXTREME * len(kept):
            return self._largest_of_pairs(kept)
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = np.nan_to_num(self.deviations / self.errors)
        # Errors of groups as the first and as the second of a pair.
        above = np.where(kept.any(axis=1), errors, 0).clip(0)
        below = np.where(kept.any(axis=0), -errors, 0).clip(0)
        extremes = [
            np.argpartition(-values, N_EXTREME, axis=1)[:, :N_EXTREME]
            for values in (above, below)
        ]
        largest = self._largest_among(kept, self.deviations, *extremes)
        limits = (largest * (1 - 1e-12))[:, None] ** 2  # for rounding errors
        may_be_first = above**2 + below.max(1, keepdims=True) ** 2 > limits
        may_be_second = below**2 + above.max(1, keepdims=True) ** 2 > limits
        n_candidates = np.maximum(may_be_first.sum(1), may_be_second.sum(1))
        for row in np.flatnonzero(n_candidates > N_EXTREME):
            candidates = [
                np.flatnonzero(may_be[row])[None]
                for may_be in (may_be_first, may_be_second)
            ]
            largest[row] = self._largest_among(
                kept, self.deviations[[row]], *candidates
            ).item()
        return largest

    def _largest_among(
        self,
        kept: np.ndarray,
        deviations: np.ndarray,
        first: np.ndarray,
        second: np.ndarray,
    ) -> np.ndarray:
        """Largest studentised error of pairs of these groups, a row per resample."""
        i, j = first[:, :, None], second[:, None, :]
        slopes = self.slopes[i, j]
        scale = joint_error(slopes * self.errors[i], self.errors[j], None)
        of_first, of_second = (
            np.take_along_axis(deviations, groups, axis=1) for groups in (first, second)
        )
        errors = slopes * of_first[:, :, None] - of_second[:, None, :]
        usable = kept[i, j] & (scale > 0)
        studentised = np.divide(errors, scale, out=np.zeros_like(errors), where=usable)
        # A resample that lacks a group has no error there.
        return np.nan_to_num(studentised).max((1, 2), initial=0)

    def _largest_of_pairs(self, kept: np.ndarray) -> np.ndarray:
        """Largest studentised error of the pairs that are kept, one after another."""
        largest = np.zeros(len(self.deviations))
        for first, others in enumerate(kept):
            slopes = self.slopes[first]
            scale = joint_error(
                slopes * self.errors[first],
                self.errors,
                None if self.correlations is None else self.correlations[first],
            )
            # A constant has no error.
            usable = others & (scale > 0)
            errors = (
                slopes[usable] * self.deviations[:, [first]]
                - self.deviations[:, usable]
            )
            studentised = np.nan_to_num(errors / scale[usable])
            np.maximum(largest, studentised.max(1, initial=0), out=largest)
        return largest


def _limits(
    comparison: Comparison, by_attribute: list[list[_Stratum]], level: float
) -> tuple[float, float]:
    """Limits of the metric at a one-sided level.

    NOTE: The cost is the largest over all pairs of groups. The largest upper limit is
    no lower than that of the pair that is truly the largest, so ordinary limits do. The
    lower limits of all pairs must hold together: they are wider, standard errors times
    the quantile, over the resamples, of the largest studentised error. Pairs that are
    clearly not the largest would widen them for nothing. A first round keeps the pairs
    whose upper limit reaches the best lower limit, at a level that tends to 1 with the
    number of samples. `bootstrap` cites these bounds.
    """
    strata = [stratum for part in by_attribute for stratum in part]
    is_worst_case = comparison.agg == "worst_case"
    z = norm.ppf(level)

    def critical_value(kept: list[np.ndarray], level: float) -> float:
        errors = [s.largest_error(k) for s, k in zip(strata, kept, strict=True)]
        return max(float(np.quantile(np.max(errors, axis=0), level)), z)

    def largest(side: int, z: float, *, strict: bool) -> float:
        """Aggregate the largest limits over strata, and take the largest attribute."""
        over_strata = np.max if is_worst_case else np.mean
        return float(
            np.max(
                [
                    over_strata([s.limits(z, strict=strict)[side].max() for s in part])
                    for part in by_attribute
                ]
            )
        )

    n_samples = max(len(comparison.samples.y_true), 3)
    c = critical_value([s.pairs for s in strata], 1 - 0.1 / np.log(n_samples))
    bounds = [s.limits(c, strict=True) for s in strata]
    best_low = np.array([low.max() for low, _ in bounds])
    if is_worst_case:
        best_low[:] = best_low.max()
    may_be_largest = [
        s.pairs & (high >= limit)
        for s, (_, high), limit in zip(strata, bounds, best_low, strict=True)
    ]
    transform = comparison.metric.transform
    costs = (
        largest(0, critical_value(may_be_largest, level), strict=True),
        largest(1, z, strict=False),
    )
    low, high = sorted(transform.value(cost) for cost in costs)
    statistic, _ = comparison.statistics.strata[comparison.strata[0]]
    return max(low, 0.0), min(high, transform.largest(statistic))
