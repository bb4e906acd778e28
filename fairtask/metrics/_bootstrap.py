"""Confidence intervals of differences between groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.optimize import brentq
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
        return float(np.nanstd(self.distribution, ddof=1))

    @property
    def bias(self) -> float:
        """Mean of the distribution minus the value.

        A difference between the largest and the smallest of several noisy rates is too
        large on average; the value itself is by about as much as this.
        """
        return float(np.nanmean(self.distribution) - self.value)

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

    The difference is a largest over pairs of groups, :math:`\max_{a,b} (r_a - r_b)`,
    whose percentiles are of no use where groups are nearly equal: no resample has a
    difference of 0. The limits are

    - below, an intersection bound [1]_: :math:`\max_{a,b} (d_{ab} - c\, s_{ab})`, at
      least 0, with the standard error :math:`s_{ab}` of each pair's difference
      :math:`d_{ab}`, and c the quantile of the largest studentised error among the
      pairs that may be the largest;
    - above, the quantile of the distribution, less its bias.

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
    random_state : int, RandomState or None, default=None
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
    .. [1] V. Chernozhukov, S. Lee and A. M. Rosen. "Intersection bounds: estimation and
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
    resampled = difference.statistics.resampled(n_resamples, rng)
    results = resample_difference(difference, resampled, confidence_level)
    if difference.each:
        return dict(zip(difference.data.sensitive.names, results, strict=True))
    return results[0]


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
    """Return a generator seeded as scikit-learn's estimators are."""
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
    n_attributes = len(observed)
    joined = (
        [[s] for s in range(n_attributes)]
        if difference.each
        else [list(range(n_attributes))]
    )
    results = []
    for attributes in joined:
        values = np.array([aggregate(observed[s], difference.agg) for s in attributes])
        replicates = np.stack(
            [aggregate(resampled[s], difference.agg) for s in attributes], axis=-1
        )
        value = float(nan_reduce(np.max, values))
        distribution = nan_reduce(np.max, replicates)
        low = high = np.nan
        if np.isfinite(value):
            _warn_of_undefined(difference.metric, distribution)
            tail = (1 - confidence_level) / 2
            contrasts = [_contrasts(observed[s], resampled[s]) for s in attributes]
            n_samples = len(difference.data.y_true)
            low = _lower_limit(
                [strata for strata in contrasts if strata],
                difference.agg,
                tail,
                n_samples,
            )
            shift = np.nanmean(distribution) - value
            high = float(np.nanquantile(distribution, 1 - tail) - shift)
        results.append(
            BootstrapResult(value, low, high, float(confidence_level), distribution)
        )
    return results


def _warn_of_undefined(metric: str, distribution: np.ndarray) -> None:
    undefined = np.isnan(distribution).mean()
    if undefined:
        warn_user(
            UndefinedMetricWarning,
            f"`{metric}` is undefined in {undefined:.1%} of the resamples, in which a "
            "group that is compared has no samples of the kind needed. They are left "
            "out of the interval; `min_group_size` leaves out the group.",
        )


def _contrasts(observed: np.ndarray, resampled: np.ndarray) -> list["_Contrasts"]:
    """Contrasts of each stratum in which two groups are compared."""
    known = np.isfinite(observed)
    return [
        _Contrasts.between(observed[i, groups], resampled[:, i][:, groups])
        for i, groups in enumerate(known)
        if groups.sum() > 1
    ]


@dataclass(frozen=True)
class _Contrasts:
    """Differences between all ordered pairs of the groups of one stratum.

    Attributes
    ----------
    values : ndarray of shape (n_pairs,)
    errors : ndarray of shape (n_resamples, n_pairs)
        Resampled minus observed differences.
    scales : ndarray of shape (n_pairs,)
        Their standard errors.
    """

    values: np.ndarray
    errors: np.ndarray
    scales: np.ndarray

    @classmethod
    def between(cls, observed: np.ndarray, resampled: np.ndarray) -> "_Contrasts":
        """Compare the groups of a stratum, all of them known."""
        first, second = np.nonzero(~np.eye(len(observed), dtype=bool))
        # A group that a resample lacks says nothing there.
        errors = np.nan_to_num(resampled - observed)
        errors = errors[:, first] - errors[:, second]
        return cls(observed[first] - observed[second], errors, errors.std(axis=0))

    def select(self, kept: np.ndarray) -> "_Contrasts":
        """Return some of the pairs."""
        return _Contrasts(self.values[kept], self.errors[:, kept], self.scales[kept])

    def lower(self, c: float) -> np.ndarray:
        """Largest lower limit of a pair."""
        return (self.values - c * self.scales).max()

    def excess(self, c: float) -> np.ndarray:
        """Largest error beyond its allowance in each resample; at most 0 is covered."""
        return (self.errors - c * self.scales).max(axis=1)


def _lower_limit(
    by_attribute: Sequence[Sequence[_Contrasts]], agg: str, tail: float, n_samples: int
) -> float:
    """Intersection bound of the largest difference over attributes and strata."""

    def combine(of_strata: Callable[[_Contrasts], Any], contrasts: Any) -> Any:
        """Aggregate a number of each stratum as the metric does."""
        over_strata = np.max if agg == "worst_case" else np.mean
        return np.max(
            [over_strata([of_strata(k) for k in s], axis=0) for s in contrasts], axis=0
        )

    def critical(contrasts: Any, level: float) -> float:
        """Multiple of the standard errors that covers the errors at this level."""

        def excess(c: float) -> float:
            return np.quantile(combine(lambda k: k.excess(c), contrasts), level)

        c_max = 1.0
        while excess(c_max) > 0:
            c_max *= 2
        return brentq(excess, 0, c_max, xtol=1e-3) if excess(0) > 0 else 0.0

    def limit(c: float) -> float:
        return float(combine(lambda k: k.lower(c), by_attribute))

    # Rates of exactly 0 or 1 have no error in any resample.
    uncertain = _where(by_attribute, lambda k: k.scales > 0)
    if not uncertain:
        return max(0.0, limit(0))
    # Pairs that cannot be the largest need no allowance. The level at which they are
    # told tends to 1 with the number of samples.
    c = critical(uncertain, 1 - 0.1 / np.log(max(n_samples, 3)))
    overall = limit(c)

    def may_be_largest(k: _Contrasts) -> np.ndarray:
        bound = overall if agg == "worst_case" else k.lower(c)
        return k.values + 2 * c * k.scales >= bound

    return max(0.0, limit(critical(_where(uncertain, may_be_largest), 1 - tail)))


def _where(
    by_attribute: Sequence[Sequence[_Contrasts]],
    condition: Callable[[_Contrasts], np.ndarray],
) -> list[list[_Contrasts]]:
    """Return the pairs that meet a condition, without strata that have none."""
    selected = [[k.select(condition(k)) for k in strata] for strata in by_attribute]
    selected = [[k for k in strata if len(k.values)] for strata in selected]
    return [strata for strata in selected if strata]
