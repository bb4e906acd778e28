"""Metrics by name: those with a function, and any statistic with any transform."""

from collections.abc import Callable
from functools import cache
from typing import Any

from fairtask._validation import check_one_of
from fairtask.metrics import (
    _calibration,
    _label_metrics,
    _rates,
    _score_metrics,
    _scores,
)
from fairtask.metrics._group_metric import GroupMetric, as_function
from fairtask.metrics._statistics import Statistic
from fairtask.metrics._transforms import DIFFERENCE, GROUP_MAX, GROUP_MIN, TRANSFORMS

__all__ = [
    "METRICS",
    "REPORTED",
    "find_metric",
    "function_of_name",
    "make_group_metric",
    "metric_of_name",
]

METRICS: dict[str, GroupMetric] = {
    name: getattr(module, name).metric
    for module in (_label_metrics, _score_metrics)
    for name in module.__all__
}
"""The metrics that have a function, by its name."""

REPORTED = tuple(
    METRICS[name]
    for name in (
        "demographic_parity_difference",
        "equal_opportunity_difference",
        "equalized_odds_difference",
        "group_accuracy_difference",
        "group_auc_difference",
        "group_loss_difference",
    )
)
"""The metrics that a report has by default."""

STATISTICS = {
    statistic.name: statistic
    for module in (_rates, _scores, _calibration)
    for statistic in vars(module).values()
    if isinstance(statistic, Statistic)
}
"""All statistics by name, in the order in which these modules define them."""


def make_group_metric(statistic: str, transform: str) -> Callable[..., Any]:
    """Make a metric that compares a statistic of the groups, or takes the worst.

    Its name, such as "precision_group_min", is known wherever a metric is named:
    in `bootstrap`, `fairness_report` and the scorers.

    Parameters
    ----------
    statistic : str
        - of predicted labels: "selection_rate", "base_rate", "true_positive_rate",
          "false_positive_rate", "true_negative_rate", "false_negative_rate",
          "precision", "false_discovery_rate", "false_omission_rate" or "accuracy";
        - of scores: "roc_auc";
        - of probabilities: "log_loss", "soft_zero_one" or "calibration_error".
    transform : {"difference", "ratio", "group_min", "group_max"}
        The largest minus the smallest value of a group, the smallest divided by the
        largest, or the value of the worst group: the smallest for rates of what is
        right and AUC, the largest for rates of errors, losses and calibration errors,
        and either for selection and base rates.

    Returns
    -------
    metric : callable
        With the parameters of the other metrics of the same input.

    Raises
    ------
    ValueError
        If there is no such statistic, or no such transform of it.

    Examples
    --------
    >>> from fairtask.metrics import make_group_metric
    >>> precision_of_the_worst_group = make_group_metric("precision", "group_min")
    >>> precision_of_the_worst_group(
    ...     [0, 1, 1, 1], [1, 1, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """
    check_one_of("statistic", statistic, tuple(STATISTICS))
    suitable = [n for n, t in TRANSFORMS.items() if t.suits(STATISTICS[statistic])]
    check_one_of("transform", transform, suitable)
    return _function(_derive(statistic, transform))


@cache
def _function(metric: GroupMetric) -> Callable[..., Any]:
    def described() -> None: ...

    # Pickles look the function up by its name in `fairtask.metrics`.
    described.__module__ = "fairtask.metrics"
    described.__name__ = described.__qualname__ = metric.name
    words = metric.statistics[0].words
    described.__doc__ = {
        DIFFERENCE: f"Difference between groups in the {words}.",
        GROUP_MIN: f"Smallest {words} of a group.",
        GROUP_MAX: f"Largest {words} of a group.",
    }.get(metric.transform, f"Ratio of the smallest to the largest {words} of a group.")
    return as_function(metric, described)


def _derive(statistic: str, transform: str) -> GroupMetric:
    return GroupMetric(
        f"{statistic}_{transform}", TRANSFORMS[transform], (STATISTICS[statistic],)
    )


def function_of_name(name: str) -> Callable[..., Any]:
    """Return the function of a metric that has its name from its parts."""
    metric = metric_of_name(name)
    if metric is None or name in METRICS:
        raise AttributeError(f"module 'fairtask.metrics' has no attribute {name!r}")
    return _function(metric)


def metric_of_name(name: str) -> GroupMetric | None:
    """Return the metric with this name, or None."""
    if name in METRICS:
        return METRICS[name]
    for suffix, transform in TRANSFORMS.items():
        statistic = STATISTICS.get(name.removesuffix(f"_{suffix}"))
        if name.endswith(f"_{suffix}") and statistic and transform.suits(statistic):
            return _derive(statistic.name, suffix)
    return None


def find_metric(metric: Any, argument: str = "metric") -> GroupMetric:
    """Return the metric with this name or function, or raise a ValueError."""
    name = getattr(metric, "__name__", metric)
    found = metric_of_name(name) if isinstance(name, str) else None
    if found is not None:
        return found
    raise ValueError(
        f"`{argument}` must be one of {list(METRICS)}, a function of that name, or a "
        f"statistic with a transform, such as 'precision_group_min'; got {metric!r}."
    )
