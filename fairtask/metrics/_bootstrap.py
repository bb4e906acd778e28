"""Confidence intervals of differences between groups."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state

from fairtask._warnings import warn_user
from fairtask.metrics._difference import (
    Difference,
    aggregate,
    check_metric,
    make_difference,
    nan_reduce,
)
from fairtask.metrics._statistics import standard_errors

__all__ = [
    "BootstrapResult",
    "bootstrap",
    "check_resampling",
    "make_generator",
    "resample_difference",
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
        large on average; the value itself is by about as much as this.
        """
        return float(nan_reduce(np.mean, self.distribution) - self.value)

    @property
    def undefined(self) -> float:
        """Share of the resamples in which the difference was undefined."""
        return float(np.isnan(self.distribution).mean())

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    metric: str | Callable,
    y_true: Any,
    y_output: Any,
    *,
    sensitive_features: Any,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: Any = None,
    **metric_params: Any,
) -> BootstrapResult | dict[str, BootstrapResult]:
    r"""Confidence interval of a difference between groups.

    Samples are drawn with replacement, all attributes together. For rates this is one
    multinomial draw of the table of counts per resample, whatever the number of
    samples; weights, scores and losses are drawn sample by sample.

    The difference is a largest over pairs of groups, :math:`\max_{a,b} (v_a - v_b)`,
    whose percentiles are of no use where groups are nearly equal (no resample has a
    difference of 0) or small (a rate of 1 is 1 in each resample). The limits are

    .. math::

        \max_{a,b} \left( v_a - v_b - \sqrt{(v_a - l_a)^2 + (u_b - v_b)^2} \right)
        \quad \text{and} \quad
        \max_{a,b} \left( v_a - v_b + \sqrt{(u_a - v_a)^2 + (v_b - l_b)^2} \right)

    from limits :math:`l, u` of each group [1]_: Wilson's for rates, and for an AUC with
    the number of samples that its standard error amounts to; Student's for losses.
    Above they are those of the confidence level, since the pair that is truly the
    largest is one of all. Below they are wider, so that they hold for all pairs
    together that may be the largest [2]_: by the quantile over the resamples of their
    largest studentised error.

    Parameters
    ----------
    metric : str or callable
        A difference metric of this module, or its name.
    y_true : array-like of shape (n_samples,)
        True labels.
    y_output : array-like of shape (n_samples,) or (n_samples, n_classes)
        What the metric takes second: predicted labels, scores or probabilities.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Group of each sample.
    n_resamples : int, default=1000
        Number of resamples, at least 2.
    confidence_level : float, default=0.95
        Between 0 and 1.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.
    **metric_params
        Further arguments of the metric, such as ``agg``, ``sample_weight`` or
        ``attributes``.

    Returns
    -------
    result : BootstrapResult or dict of str to BootstrapResult
        A dict if ``attributes="each"``. With NaN for limits where the metric is NaN.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Warns
    -----
    UndefinedMetricWarning
        As the metric does, and if the difference is undefined in some resamples.

    References
    ----------
    .. [1] R. G. Newcombe. "Interval estimation for the difference between independent
       proportions". Statistics in Medicine 17, 1998.
    .. [2] V. Chernozhukov, S. Lee and A. M. Rosen. "Intersection bounds: estimation and
       inference". Econometrica 81, 2013.

    Examples
    --------
    >>> from fairtask.datasets import make_biased_classification
    >>> from fairtask.metrics import bootstrap
    >>> X, y, z = make_biased_classification(n_samples=2_000, random_state=0)
    >>> y_pred = (X[:, 0] > 0).astype(int)
    >>> result = bootstrap(
    ...     "equalized_odds_difference",
    ...     y,
    ...     y_pred,
    ...     sensitive_features=z,
    ...     random_state=0,
    ... )
    >>> 0 <= result.low <= result.value <= result.high
    True
    """
    name = check_metric(metric)
    check_resampling(n_resamples, confidence_level)
    difference = make_difference(
        name, y_true, y_output, sensitive_features=sensitive_features, **metric_params
    )
    rng = make_generator(random_state)
    results = resample_difference(
        difference, difference.statistics.resampled(n_resamples, rng), confidence_level
    )
    names = difference.data.sensitive.names
    for i, result in enumerate(results):
        if result.undefined and np.isfinite(result.value):
            where = f" of {names[i]!r}" if difference.each and len(names) > 1 else ""
            warn_user(
                UndefinedMetricWarning,
                f"`{name}`{where} is undefined in {result.undefined:.1%} of the "
                "resamples, in which a group that is compared has no samples of the "
                "kind needed. They are left out; `min_group_size` leaves out the "
                "group.",
            )
    return dict(zip(names, results, strict=True)) if difference.each else results[0]


def check_resampling(
    n_resamples: Any, confidence_level: Any, *, smallest: int = 2
) -> None:
    """Raise a ValueError if there is no such number or level.

    From one resample there is no interval; `smallest` is 0 where there may be none.
    """
    if (
        not isinstance(n_resamples, Integral)
        or n_resamples < smallest
        or n_resamples == 1
    ):
        raise ValueError(
            "`n_resamples` must be an integer of at least 2"
            f"{', or 0' if smallest == 0 else ''}; got {n_resamples!r}."
        )
    if not isinstance(confidence_level, Real) or not 0 < float(confidence_level) < 1:
        raise ValueError(
            f"`confidence_level` must be between 0 and 1; got {confidence_level!r}."
        )


def make_generator(random_state: Any) -> np.random.Generator:
    """Return a generator, seeded as scikit-learn's estimators are."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    seed = check_random_state(random_state).randint(2**31 - 1, size=4)
    return np.random.default_rng(seed)


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
