"""Bootstrap of metrics, such as differences between groups."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np

from fairtask._validation import read_random_state
from fairtask.metrics._comparison import warn_undefined
from fairtask.metrics._intervals import BootstrapResult, intervals
from fairtask.metrics._names import find_metric
from fairtask.metrics._resampling import resample

__all__ = ["bootstrap", "check_resampling", "make_generator"]


def bootstrap(
    metric: str | Callable,
    y_true: Any,
    y_output: Any,
    *,
    sensitive_features: Any,
    cluster: Any = None,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: Any = None,
    **metric_params: Any,
) -> BootstrapResult | dict[str, BootstrapResult]:
    r"""Confidence interval of a metric, such as a difference between groups.

    Samples are drawn with replacement, all attributes together. For rates this is one
    multinomial draw of the table of counts per resample, whatever the number of
    samples; weights, scores and losses are drawn sample by sample.

    A difference is the largest over pairs of groups, :math:`\max_{a,b} (v_a - v_b)`.
    Its percentiles are of no use where groups are nearly equal (no resample has a
    difference of 0) or small (a rate of 1 is 1 in each resample). The limits are

    .. math::

        \max_{a,b} \left( v_a - v_b - \sqrt{(v_a - l_a)^2 + (u_b - v_b)^2} \right)
        \quad \text{and} \quad
        \max_{a,b} \left( v_a - v_b + \sqrt{(u_a - v_a)^2 + (v_b - l_b)^2} \right)

    from limits :math:`l, u` of each group [1]_. The upper limit takes those of the
    confidence level: Wilson's for rates and AUC, those of Clopper and Pearson for
    losses in [0, 1], and those of a gamma distribution for a loss without a bound. The
    number of samples is derived from the standard error, except for rates. The lower
    limit takes wider ones, which hold together for all pairs that may be the largest
    [2]_: their width is the quantile, over the resamples, of the largest studentised
    error of these pairs. Of rates, AUC and losses in [0, 1] they are those of Clopper
    and Pearson, as are all limits of groups with fewer than 15 samples of the kind
    needed. The mean of a loss without a bound has no upper limit, it is infinite, where
    a group has fewer than 30 samples.

    The largest of several noisy differences is too large on average. ``result.bias``
    estimates by how much: the noise of the resamples is added to values of the groups
    that are shrunk towards each other, as far as their differences may be noise.

    The limits of a ratio of two groups are the numbers r for which 0 is just within the
    limits of :math:`r v_a - v_b` [3]_. With ``method="to_overall"`` the pairs consist
    of a group and all groups together, and the limits take into account how both vary
    together. The worst group is that of a pair with a constant. There are no limits of
    calibration errors.

    Parameters
    ----------
    metric : str or callable
        A metric of this module, or its name.
    y_true : array-like of shape (n_samples,)
        True labels.
    y_output : array-like of shape (n_samples,) or (n_samples, n_classes)
        Second argument of the metric: predicted labels, scores or probabilities.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Group of each sample.
    cluster : array-like of shape (n_samples,), default=None
        Cluster of each sample, such as the person, where samples of one cluster depend
        on each other. Whole clusters are drawn. None: all samples are independent.
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
        As the metric does, and if the metric is undefined in some resamples or has no
        limits, or no upper one.

    References
    ----------
    .. [1] R. G. Newcombe. "Interval estimation for the difference between independent
       proportions". Statistics in Medicine 17, 1998.
    .. [2] V. Chernozhukov, S. Lee and A. M. Rosen. "Intersection bounds: estimation and
       inference". Econometrica 81, 2013.
    .. [3] A. Donner and G. Y. Zou. "Closed-form confidence intervals for functions of
       the normal mean and standard deviation". Statistical Methods in Medical
       Research 21, 2012.

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
    found = find_metric(metric)
    check_resampling(n_resamples, confidence_level)
    comparison = found.compare(
        y_true,
        y_output,
        sensitive_features=sensitive_features,
        cluster=cluster,
        **metric_params,
    )
    if comparison.statistics.no_limits:
        warn_undefined(
            f"`{found.name}` has no confidence limits: "
            f"{comparison.statistics.no_limits}."
        )
    rng = make_generator(random_state)
    results = intervals(
        comparison, resample(comparison.statistics, n_resamples, rng), confidence_level
    )
    names = comparison.names
    for i, result in enumerate(results):
        where = f" of {names[i]!r}" if comparison.each and len(names) > 1 else ""
        if np.isinf(result.high):
            warn_undefined(
                f"`{found.name}`{where} has no upper limit: a group that is compared "
                f"has fewer than {comparison.statistics.few} samples, which say too "
                "little about a loss that may be large. `min_group_size` leaves out "
                "small groups."
            )
        if result.undefined and np.isfinite(result.value):
            warn_undefined(
                f"`{found.name}`{where} is undefined in {result.undefined:.1%} of the "
                "resamples, in which a group that is compared has no samples of the "
                "kind needed, or a ratio is 0/0. They are left out; `min_group_size` "
                "leaves out small groups."
            )
    return dict(zip(names, results, strict=True)) if comparison.each else results[0]


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
    seed = read_random_state(random_state).randint(2**31 - 1, size=4)
    return np.random.default_rng(seed)
