"""Confidence limits of a metric, from resampled statistics."""

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from fairtask.metrics._comparison import Comparison
from fairtask.metrics._pairs import ComparedPairs
from fairtask.metrics._resampling import standard_errors
from fairtask.metrics._selection_bias import expected_excess
from fairtask.metrics._transforms import nan_max, nan_mean

__all__ = ["BootstrapResult", "intervals"]


@dataclass(frozen=True, eq=False)
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
    comparison: Comparison, drawn: np.ndarray, confidence_level: float
) -> list[BootstrapResult]:
    """Compute intervals, for each attribute or for the worst of their values.

    `drawn` are the statistics of resamples, shape (n_resamples, n_strata, n_groups).
    """
    statistics, transform = comparison.statistics, comparison.metric.transform
    observed = comparison.select(statistics.observed)
    resampled = comparison.select(drawn)
    n_effective = comparison.select(statistics.n_effective, constant=np.inf)
    numbers = list(zip(observed, resampled, n_effective, strict=True))
    rng = np.random.default_rng(0)  # of errors that resamples do not show
    excesses = [expected_excess(comparison, *part, rng) for part in numbers]
    positions = range(len(numbers))
    results = []
    for part in [[i] for i in positions] if comparison.each else [positions]:
        cost = nan_max([comparison.cost(observed[i]) for i in part])
        costs = [comparison.cost(resampled[i]) for i in part]
        distribution = nan_max(np.stack(costs, axis=-1))
        limits = np.nan, np.nan
        if np.isfinite(cost) and not statistics.no_limits:
            strata = [
                [
                    ComparedPairs(comparison, stratum, *numbers[i], rng)
                    for stratum, of_stratum in enumerate(comparison.costs(observed[i]))
                    if np.isfinite(of_stratum)
                ]
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
        nan_max(np.stack(part, axis=-1)) for part in zip(*costs, strict=True)
    )
    return float(nan_mean(noisy) - without_noise)


def _limits(
    comparison: Comparison, by_attribute: list[list[ComparedPairs]], level: float
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
