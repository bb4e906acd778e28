"""Bootstrap of differences between groups."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state

from fairtask._warnings import warn_user
from fairtask.metrics._difference import check_metric, make_difference
from fairtask.metrics._intervals import BootstrapResult, resample_difference

__all__ = ["bootstrap", "check_resampling", "make_generator"]


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
