"""Limits of a difference between groups, from resampled statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import norm

from fairtask.metrics._difference import Difference, aggregate, nan_reduce
from fairtask.metrics._statistics import standard_errors

__all__ = ["BootstrapResult", "resample_difference"]


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
        large on average; the value itself is by about as much as this.
        """
        return float(nan_reduce(np.mean, self.distribution) - self.value)

    @property
    def undefined(self) -> float:
        """Share of the resamples in which the difference was undefined."""
        return float(np.isnan(self.distribution).mean())

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def resample_difference(
    difference: Difference, resampled: list[np.ndarray], confidence_level: float
) -> list[BootstrapResult]:
    """Return intervals from the resampled statistics of all groups.

    Parameters
    ----------
    difference : Difference
    resampled : list of ndarray of shape (n_resamples, n_strata, n_groups)
        What `GroupStatistics.resampled` returned.
    confidence_level : float

    Returns
    -------
    results : list of BootstrapResult
        One for each attribute, or one for the worst of them.
    """
    observed = difference.select(difference.statistics.observed())
    resampled = difference.select(resampled)
    everyone = list(range(len(observed)))
    return [
        _result(difference, attributes, observed, resampled, confidence_level)
        for attributes in ([[s] for s in everyone] if difference.each else [everyone])
    ]


def _result(
    difference: Difference,
    attributes: Sequence[int],
    observed: list[np.ndarray],
    resampled: list[np.ndarray],
    confidence_level: float,
) -> BootstrapResult:
    """Return the interval of the worst of some attributes."""
    agg = difference.agg
    value = max_of([aggregate(observed[s], agg) for s in attributes])
    distribution = max_of([aggregate(resampled[s], agg) for s in attributes])
    low = high = np.array(np.nan)
    if np.isfinite(value):
        strata = {
            s: [
                _Stratum(difference, s, i, observed[s][i], resampled[s][:, i])
                for i in range(len(difference.strata))
                if np.isfinite(observed[s][i]).sum() > 1
            ]
            for s in attributes
        }
        low, high = _limits(strata, difference, 1 - (1 - confidence_level) / 2)
    return BootstrapResult(
        float(value), float(low), float(high), float(confidence_level), distribution
    )


def max_of(values: Sequence[Any]) -> np.ndarray:
    """Largest of the values of several attributes, where there are any."""
    return nan_reduce(np.max, np.stack(values, axis=-1))


class _Stratum:
    """One statistic of the groups that are compared, and its errors.

    Parameters
    ----------
    difference : Difference
    attribute, stratum : int
    observed : ndarray of shape (n_groups,)
        NaN for a group that is not compared.
    resampled : ndarray of shape (n_resamples, n_groups)
    """

    def __init__(
        self,
        difference: Difference,
        attribute: int,
        stratum: int,
        observed: np.ndarray,
        resampled: np.ndarray,
    ) -> None:
        groups = np.isfinite(observed)
        statistics = difference.statistics
        n_effective = statistics.n_effective[attribute][difference.strata[stratum]]
        self.values = observed[groups]
        self.deviations = resampled[:, groups] - self.values
        self.errors = standard_errors(resampled[:, groups])
        self.limit = partial(
            statistics.limit, self.values, self.errors, n_effective[groups]
        )
        self.pairs = ~np.eye(len(self.values), dtype=bool)

    def intervals(self, z: float) -> tuple[np.ndarray, np.ndarray]:
        """Limits of the difference of each ordered pair, shape (n_groups, n_groups)."""
        values = self.values
        below, above = values - self.limit(-z), self.limit(z) - values
        # Nothing is known of a group that hardly any resample has.
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
            # A group that a resample lacks says nothing there.
            studentised = np.nan_to_num(errors / scale[usable])
            np.maximum(largest, studentised.max(1, initial=0), out=largest)
        return largest


def _limits(
    by_attribute: Mapping[int, list[_Stratum]], difference: Difference, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the largest difference at a one-sided level."""
    every = [stratum for strata in by_attribute.values() for stratum in strata]
    z = norm.ppf(level)

    def critical(kept: list[np.ndarray], level: float) -> float:
        """Multiple of the standard errors that holds for all that is kept."""
        errors = [s.largest_error(k) for s, k in zip(every, kept, strict=True)]
        return max(float(np.quantile(np.max(errors, axis=0), level)), z)

    def combine(side: int, z: float) -> np.ndarray:
        """Aggregate the largest limits over strata, and take the worst attribute."""
        over_strata = np.max if difference.agg == "worst_case" else np.mean
        return np.max(
            [
                over_strata([s.intervals(z)[side].max() for s in strata])
                for strata in by_attribute.values()
                if strata
            ]
        )

    # Pairs that are far from the largest need no allowance. The level at which they are
    # told tends to 1 with the number of samples.
    n_samples = max(len(difference.data.y_true), 3)
    c = critical([s.pairs for s in every], 1 - 0.1 / np.log(n_samples))
    bounds = [s.intervals(c) for s in every]
    best = np.array([low.max() for low, _ in bounds])
    if difference.agg == "worst_case":
        best[:] = best.max()
    may_be_largest = [
        high >= limit for (_, high), limit in zip(bounds, best, strict=True)
    ]
    low = combine(0, critical(may_be_largest, level))
    high = combine(1, z)
    is_bounded = difference.statistics.strata[0][0] != "log_loss"
    return np.maximum(low, 0), np.minimum(high, 1) if is_bounded else high
