"""Upper confidence limits of a disparity, from held-out samples."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from fairtask.bounds._certificate import difference_of_rates
from fairtask.metrics import BootstrapResult, bootstrap
from fairtask.metrics._comparison import Comparison
from fairtask.metrics._group_metric import GroupMetric
from fairtask.metrics._rates import GroupRates
from fairtask.metrics._transforms import DIFFERENCE
from fairtask.model_selection._scores import is_best_at_one

__all__ = ["UpperLimits"]

TAKEN_BY_EXACT = {"attributes", "control_features", "groups", "labels", "pos_label"}


class UpperLimits:
    """Disparities of models on the same samples, and their upper limits.

    Parameters
    ----------
    metric : GroupMetric
    is_exact : bool
        Whether limits are those of `certified_difference`, or of `bootstrap`.
    deltas : ndarray
        All probabilities with which a limit may be asked for.
    y_true : array-like of shape (n_samples,)
    resampling : mapping
        Arguments of `bootstrap`.
    metric_params : mapping
        Arguments of the metric, with the groups.

    Raises
    ------
    ValueError
        If the metric has no such limits with these arguments.
    """

    def __init__(
        self,
        metric: GroupMetric,
        is_exact: bool,
        deltas: np.ndarray,
        y_true: Any,
        *,
        resampling: Mapping[str, Any],
        metric_params: Mapping[str, Any],
    ) -> None:
        self.metric = metric
        self.is_exact = is_exact
        self.deltas = deltas
        self.y_true = y_true
        self.resampling = resampling
        self.metric_params = metric_params
        self._check()

    def _check(self) -> None:
        name, family = self.metric.name, self.metric.family
        if self.metric_params.get("attributes") == "each":
            raise ValueError(
                "`attributes` must give one number per model, 'worst_case' or "
                "'intersection'; got 'each'."
            )
        if not self.is_exact and not family.has_limits:
            raise ValueError(
                f"`disparity` must have confidence limits; {name!r} has none."
            )
        if not self.is_exact:
            return
        if self.metric.transform is not DIFFERENCE or family is not GroupRates:
            raise ValueError(
                "`disparity` must be a difference between rates for `limit='exact'`, "
                f"such as 'equalized_odds_difference'; {name!r} is none. With "
                "`limit='bootstrap'` it has a limit that holds for many samples."
            )
        others = sorted(
            self.metric_params.keys() - TAKEN_BY_EXACT - {"sensitive_features"}
        )
        if others:
            raise ValueError(
                f"`{others[0]}` has no use with `limit='exact'`, which compares all "
                "groups with each other and counts each sample once; use "
                "`limit='bootstrap'`."
            )

    def compare(self, output: Any, labels: Any) -> Comparison:
        """Compare the groups by a model's predictions or scores."""
        params: dict[str, Any] = {"labels": labels, **self.metric_params}
        return self.metric.compare(self.y_true, output, **params)

    def value(self, comparison: Comparison) -> float:
        """Return the disparity."""
        value: Any = comparison.value()
        return 1 - value if is_best_at_one(self.metric.name) else value

    def limit(self, comparison: Comparison, delta: float) -> float:
        """Return the limit that the true disparity exceeds with probability `delta`.

        It is infinite where the disparity is undefined, and does not rise where `delta`
        grows, which several tests of one candidate need.
        """
        if self.is_exact:
            return _exact_limit(comparison, self.deltas[self.deltas >= delta])
        if comparison.left_out() and "min_group_size" not in self.metric_params:
            return np.inf  # nothing is known of a group without samples
        with warnings.catch_warnings():
            # `compare` has warned; an infinite limit stands in the table.
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            result = bootstrap(
                self.metric.name,
                self.y_true,
                comparison.samples.outputs[self.metric.family.output],
                confidence_level=1 - 2 * delta,  # it has two sides
                **self.resampling,
                **{"labels": comparison.samples.classes, **self.metric_params},
            )
        assert isinstance(result, BootstrapResult)
        high = 1 - result.low if is_best_at_one(self.metric.name) else result.high
        return np.inf if np.isnan(high) else high


def _exact_limit(comparison: Comparison, deltas: np.ndarray) -> float:
    """Return the certified bound on a difference between rates.

    NOTE: `delta` is not divided by the numbers of attributes, classes and pairs of
    groups. The largest of the true differences does not depend on the samples. It is
    enough that the bound on this one holds, since the largest bound is no lower.
    """
    bounds = []
    strata: Any = comparison.statistics.strata
    for tables in comparison.samples.tables():
        events = np.array([rate.count(tables, c) for rate, c in strata])
        sizes = np.array([rate.needs[0].count(tables, c) for rate, c in strata])
        if not sizes.all():
            return np.inf  # nothing is known of a group without samples
        if len(tables) > 1:
            bounds.append(difference_of_rates(events, sizes, deltas))
    return max(bounds, default=np.inf)
