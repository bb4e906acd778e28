"""Confidence limits of a difference between groups, from resampled statistics."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from scipy.stats import norm

from fairtask.metrics._difference import Difference, aggregate, nan_reduce

__all__ = [
    "BootstrapResult",
    "difference_intervals",
    "standard_errors",
    "wilson_limit",
]


@dataclass(frozen=True)
class BootstrapResult:
    """A difference between groups with its bootstrap distribution.

    Attributes
    ----------
    value : float
        The difference in the data.
    low, high : float
        Limits of the confidence interval.
    confidence_level : float
    distribution : ndarray of shape (n_resamples,)
        The difference in each resample; NaN where it was undefined.
    """

    value: float
    low: float
    high: float
    confidence_level: float
    distribution: np.ndarray = field(repr=False)

    @property
    def standard_error(self) -> float:
        """Standard deviation of the distribution."""
        return float(standard_errors(self.distribution))

    @property
    def bias(self) -> float:
        """Mean of the distribution minus the value.

        A difference between the largest and the smallest of several noisy rates is too
        large on average; the value itself is too large by about as much as this.
        """
        return float(nan_reduce(np.mean, self.distribution) - self.value)

    @property
    def undefined(self) -> float:
        """Share of the resamples in which the difference was undefined."""
        return float(np.isnan(self.distribution).mean())

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def standard_errors(resampled: np.ndarray) -> np.ndarray:
    """Standard deviation over the resamples, the first axis, where they have a value.

    NaN, without a warning, where fewer than two have one.
    """
    known = ~np.isnan(resampled)
    n = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, resampled, 0).sum(axis=0) / n
        squares = np.where(known, resampled - mean, 0) ** 2
        return np.where(n > 1, np.sqrt(squares.sum(axis=0) / (n - 1)), np.nan)


def wilson_limit(values: np.ndarray, n: np.ndarray, z: float) -> np.ndarray:
    """Wilson's limit [1]_ of shares of n samples, which is valid at 0 and 1 as well.

    References
    ----------
    .. [1] E. B. Wilson. "Probable inference, the law of succession, and statistical
       inference". Journal of the American Statistical Association 22, 1927.
    """
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN without samples
        half = z * np.sqrt(values * (1 - values) / n + z**2 / (4 * n**2))
        return (values + z**2 / (2 * n) + half) / (1 + z**2 / n)


def difference_intervals(
    difference: Difference, resampled: list[np.ndarray], confidence_level: float
) -> list[BootstrapResult]:
    """Compute intervals, for each attribute or for the largest of their differences.

    `resampled` has an array (n_resamples, n_strata, n_groups) for each attribute.
    """
    observed = difference.select(difference.statistics.observed)
    resampled = difference.select(resampled)
    values = [aggregate(of_attribute, difference.agg) for of_attribute in observed]
    distributions = [
        aggregate(of_attribute, difference.agg) for of_attribute in resampled
    ]
    positions = list(range(len(observed)))
    results = []
    for part in [[i] for i in positions] if difference.each else [positions]:
        value = nan_reduce(np.max, np.stack([values[i] for i in part]))
        distribution = nan_reduce(
            np.max, np.stack([distributions[i] for i in part], axis=-1)
        )
        low = high = np.nan
        if np.isfinite(value):
            strata = [
                _compared_strata(difference, i, observed[i], resampled[i]) for i in part
            ]
            low, high = _limits(
                difference, list(filter(None, strata)), 1 - (1 - confidence_level) / 2
            )
        level = float(confidence_level)
        results.append(BootstrapResult(float(value), low, high, level, distribution))
    return results


def _compared_strata(
    difference: Difference, attribute: int, observed: np.ndarray, resampled: np.ndarray
) -> list["_Stratum"]:
    """Return the strata of an attribute in which two groups or more are compared."""
    n_effective = difference.statistics.n_effective[attribute]
    return [
        _Stratum(difference, observed[i], resampled[:, i], n_effective[stratum])
        for i, stratum in enumerate(difference.strata)
        if np.isfinite(observed[i]).sum() > 1
    ]


class _Stratum:
    """One statistic of the groups that are compared, and its errors."""

    def __init__(
        self,
        difference: Difference,
        observed: np.ndarray,
        resampled: np.ndarray,
        n_effective: np.ndarray,
    ) -> None:
        groups = np.isfinite(observed)
        self.values = observed[groups]
        self.deviations = resampled[:, groups] - self.values
        self.errors = standard_errors(resampled[:, groups])
        self.limit = partial(
            difference.statistics.limit, self.values, self.errors, n_effective[groups]
        )
        self.pairs = ~np.eye(len(self.values), dtype=bool)

    def intervals(self, z: float) -> tuple[np.ndarray, np.ndarray]:
        """Limits of the difference of each ordered pair, shape (n_groups, n_groups)."""
        values = self.values
        below, above = values - self.limit(-z), self.limit(z) - values
        # Hardly any resample has the group: its value may be anything.
        below[np.isnan(below)] = above[np.isnan(above)] = np.inf
        differences = values[:, None] - values
        low = differences - np.hypot(below[:, None], above)
        high = differences + np.hypot(above[:, None], below)
        # A group is not compared with itself.
        return np.where(self.pairs, low, -np.inf), np.where(self.pairs, high, -np.inf)

    def largest_error(self, kept: np.ndarray) -> np.ndarray:
        """Largest studentised error of the pairs that are kept, in each resample."""
        largest = np.zeros(len(self.deviations))
        for first, others in enumerate(kept):
            # Rates of 0 or 1 have no error in any resample, and no scale.
            scale = np.hypot(self.errors[first], self.errors)
            usable = others & (scale > 0)
            errors = self.deviations[:, [first]] - self.deviations[:, usable]
            # A resample that lacks a group has no error there.
            studentised = np.nan_to_num(errors / scale[usable])
            np.maximum(largest, studentised.max(1, initial=0), out=largest)
        return largest


def _limits(
    difference: Difference, by_attribute: list[list[_Stratum]], level: float
) -> tuple[float, float]:
    """Limits of the largest difference at a one-sided level.

    NOTE: The difference is the largest over all pairs of groups. The largest upper
    limit is no lower than that of the pair that is truly the largest, so ordinary
    limits do. The lower limits of all pairs must hold together: they are wider,
    standard errors times the quantile, over the resamples, of the largest studentised
    error. Pairs that are clearly not the largest would widen them for nothing. A first
    round keeps the pairs whose upper limit reaches the best lower limit, at a level
    that tends to 1 with the number of samples. `bootstrap` cites these bounds.
    """
    strata = [stratum for part in by_attribute for stratum in part]
    is_worst_case = difference.agg == "worst_case"
    z = norm.ppf(level)

    def critical_value(kept: list[np.ndarray], level: float) -> float:
        errors = [s.largest_error(k) for s, k in zip(strata, kept, strict=True)]
        return max(float(np.quantile(np.max(errors, axis=0), level)), z)

    def largest(side: int, z: float) -> float:
        """Aggregate the largest limits over strata, and take the largest attribute."""
        over_strata = np.max if is_worst_case else np.mean
        return float(
            np.max(
                [
                    over_strata([s.intervals(z)[side].max() for s in part])
                    for part in by_attribute
                ]
            )
        )

    n_samples = max(len(difference.samples.y_true), 3)
    c = critical_value([s.pairs for s in strata], 1 - 0.1 / np.log(n_samples))
    bounds = [s.intervals(c) for s in strata]
    best_low = np.array([low.max() for low, _ in bounds])
    if is_worst_case:
        best_low[:] = best_low.max()
    may_be_largest = [
        high >= limit for (_, high), limit in zip(bounds, best_low, strict=True)
    ]
    low = largest(0, critical_value(may_be_largest, level))
    high = largest(1, z)
    statistic, _ = difference.statistics.strata[difference.strata[0]]
    return max(low, 0.0), min(high, float(statistic.largest))
