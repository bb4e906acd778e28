"""A difference between groups: which are compared, its value, its uncertainty."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._validation import check_one_of
from fairtask._warnings import warn_user
from fairtask.metrics._comparison import Comparison
from fairtask.metrics._group_statistics import GroupAUCs, GroupLosses, GroupRates
from fairtask.metrics._statistics import GroupStatistics, n_needed

__all__ = [
    "DIFFERENCES",
    "Difference",
    "aggregate",
    "check_metric",
    "check_min_group_size",
    "check_settings",
    "compare_groups",
    "left_out",
    "make_difference",
    "nan_reduce",
    "sample_losses",
]


@dataclass(frozen=True)
class _Kind:
    """What a difference metric is made of.

    Attributes
    ----------
    output : str
        Name of its second argument.
    statistics : tuple of str
        Statistics whose differences between groups are aggregated.
    needs : str
        What a group must have to be compared, see `NEEDS`.
    settings : frozenset of str
        Names of its further arguments.
    """

    output: str
    statistics: tuple[str, ...]
    needs: str
    settings: frozenset[str]


_SETTINGS = frozenset({"attributes", "labels", "groups", "min_group_size"})
_DIRECTED = _SETTINGS | {"pos_label"}

DIFFERENCES = {
    "demographic_parity_difference": _Kind(
        "y_pred", ("selection_rate",), "samples", _DIRECTED
    ),
    "equal_opportunity_difference": _Kind(
        "y_pred", ("true_positive_rate",), "positives", _DIRECTED
    ),
    "equalized_odds_difference": _Kind(
        "y_pred",
        ("true_positive_rate", "false_positive_rate"),
        "both",
        _DIRECTED | {"agg"},
    ),
    "group_accuracy_difference": _Kind("y_pred", ("accuracy",), "samples", _SETTINGS),
    "group_auc_difference": _Kind("y_score", ("roc_auc",), "both", _DIRECTED),
    "group_loss_difference": _Kind(
        "y_prob", ("log_loss", "soft_zero_one"), "samples", _DIRECTED | {"loss"}
    ),
}
"""Kind of each difference metric."""


@dataclass(frozen=True)
class Difference:
    """A difference metric on some data.

    Attributes
    ----------
    metric : str
    data : Comparison
    statistics : GroupStatistics
    strata : list of int
        The strata of the statistics that the metric is about.
    compared : list of ndarray of shape (n_strata, n_groups), bool
        The groups of each attribute that are compared.
    agg : {"worst_case", "mean"}
        How the differences of the strata become one.
    each : bool
        Whether there is a value for each attribute, instead of the worst.
    """

    metric: str
    data: Comparison
    statistics: GroupStatistics
    strata: list[int]
    compared: list[np.ndarray]
    agg: str = "worst_case"
    each: bool = False

    def compared_strata(self) -> list[tuple[str, int]]:
        """Name and positive class of what the metric is about."""
        return [self.statistics.strata[i] for i in self.strata]

    def select(self, statistics: list[np.ndarray]) -> list[np.ndarray]:
        """Return what the metric is about, NaN for groups that are not compared.

        Parameters
        ----------
        statistics : list of ndarray of shape (..., n_strata, n_groups)
            An array for each attribute.
        """
        return [
            np.where(compared, of_attribute[..., self.strata, :], np.nan)
            for compared, of_attribute in zip(self.compared, statistics, strict=True)
        ]

    def by_attribute(self) -> dict[str, float]:
        """Return the value of each attribute."""
        observed = self.select(self.statistics.observed())
        values = [float(aggregate(of_attribute, self.agg)) for of_attribute in observed]
        return dict(zip(self.data.sensitive.names, values, strict=True))

    def value(self) -> float | dict[str, float]:
        """Return the value of the metric."""
        values = self.by_attribute()
        if self.each:
            return values
        return float(nan_reduce(np.max, np.array(list(values.values()))))


def aggregate(statistics: np.ndarray, agg: str) -> np.ndarray:
    """Aggregate the differences between groups over the strata.

    Parameters
    ----------
    statistics : ndarray of shape (..., n_strata, n_groups)
        NaN where a group is not compared.
    agg : {"worst_case", "mean"}

    Returns
    -------
    differences : ndarray of shape (...)
        Over the strata in which two groups are compared; NaN where there is none.
    """
    differences = nan_reduce(np.max, statistics) - nan_reduce(np.min, statistics)
    alone = np.isfinite(statistics).sum(-1) < 2
    differences = np.where(alone, np.nan, differences)
    return nan_reduce(np.max if agg == "worst_case" else np.mean, differences)


def nan_reduce(reduce: Any, values: np.ndarray) -> np.ndarray:
    """Reduce the last axis over what is not NaN; NaN, without a word, if all is."""
    known = ~np.isnan(values)
    if reduce is np.mean:
        with np.errstate(invalid="ignore"):
            return np.where(known, values, 0).sum(-1) / known.sum(-1)
    fill = -np.inf if reduce is np.max else np.inf
    reduced = reduce(np.where(known, values, fill), axis=-1, initial=fill)
    return np.where(known.any(-1), reduced, np.nan)


def make_difference(
    metric: str,
    y_true: Any,
    y_output: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    **settings: Any,
) -> Difference:
    """Check what was passed to a metric, and warn of groups that cannot be compared.

    Parameters
    ----------
    metric : str
        Key of `DIFFERENCES`.
    y_true, y_output, sensitive_features, sample_weight, **settings
        Arguments of the metric.
    """
    check_settings(metric, settings)
    kind = DIFFERENCES[metric]
    agg = settings.pop("agg", "worst_case")
    loss = settings.pop("loss", "log_loss")
    min_group_size = settings.pop("min_group_size", 1)
    data = Comparison.encode(
        y_true,
        y_output,
        sensitive_features=sensitive_features,
        sample_weight=sample_weight,
        has_predictions=kind.output == "y_pred",
        has_positive="pos_label" in kind.settings,
        **settings,
    )
    statistics: GroupStatistics
    if kind.output == "y_pred":
        statistics = GroupRates(data, kind.statistics)
    elif kind.output == "y_score":
        statistics = GroupAUCs(data, data.scores(y_output, "y_score"))
    else:
        prob = data.probabilities_of_truth(y_output, "y_prob")
        statistics = GroupLosses(data, loss, sample_losses(prob, loss))
    difference = compare_groups(
        metric,
        data,
        statistics,
        min_group_size,
        agg=agg,
        each=settings.get("attributes") == "each",
    )
    _warn_of_undefined(difference)
    return difference


def check_settings(metric: str, settings: Mapping[str, Any]) -> None:
    """Raise a ValueError if a metric has no such argument, or not with this value."""
    known = DIFFERENCES[metric].settings
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise ValueError(
            f"`{unknown[0]}` is no argument of `{metric}`, which takes {sorted(known)}."
        )
    for name, options in {
        "agg": ("worst_case", "mean"),
        "loss": ("log_loss", "soft_zero_one"),
        "attributes": ("worst_case", "each", "intersection"),
    }.items():
        if name in settings:
            check_one_of(name, settings[name], options)
    check_min_group_size(settings.get("min_group_size", 1))


def check_metric(metric: Any) -> str:
    """Return the name of a difference metric, or raise a ValueError if it is none."""
    name = getattr(metric, "__name__", metric)
    if not isinstance(name, str) or name not in DIFFERENCES:
        raise ValueError(
            f"`metric` must be one of {list(DIFFERENCES)}, or a function of that name; "
            f"got {metric!r}."
        )
    return name


def check_min_group_size(min_group_size: Any) -> None:
    """Raise a ValueError if it is no number of samples."""
    is_number = isinstance(min_group_size, Integral) and min_group_size is not True
    if not is_number or min_group_size < 1:
        raise ValueError(
            "`min_group_size` must be an integer of at least 1; got "
            f"{min_group_size!r}."
        )


def compare_groups(
    metric: str,
    data: Comparison,
    statistics: GroupStatistics,
    min_group_size: int,
    *,
    agg: str = "worst_case",
    each: bool = False,
) -> Difference:
    """Choose the statistics of a metric, and the groups that have enough samples."""
    kind = DIFFERENCES[metric]
    strata = [
        i for i, (name, _) in enumerate(statistics.strata) if name in kind.statistics
    ]
    classes = [statistics.strata[i][1] for i in strata]
    compared = [
        np.array([n_needed(sizes, c, kind.needs) >= min_group_size for c in classes])
        for sizes in map(data.sizes, range(len(data.sensitive.names)))
    ]
    return Difference(metric, data, statistics, strata, compared, agg, each)


def sample_losses(prob: np.ndarray, loss: str) -> np.ndarray:
    """Loss of samples whose true class has these probabilities."""
    if loss == "soft_zero_one":
        return 1 - prob
    # Clipped as in sklearn.metrics.log_loss: a certain mistake costs 36, not infinity.
    return -np.log(prob.clip(np.finfo(float).eps))


def left_out(difference: Difference) -> list[tuple[str, str, list[str]]]:
    """Find the groups that have nothing of what a metric compares.

    Parameters
    ----------
    difference : Difference

    Returns
    -------
    found : list of (str, str, list of str)
        Where (attribute and class, if there are several), what is lacking, and the
        groups.
    """
    data = difference.data
    needs = DIFFERENCES[difference.metric].needs
    found = []
    for attribute, groups in enumerate(data.sensitive.groups):
        sizes = data.sizes(attribute)
        absent = sizes.sum(axis=1) == 0
        for c in dict.fromkeys(c for _, c in difference.compared_strata()):
            where = _describe(data, attribute, None if needs == "samples" else c)
            lacking = "positives or without negatives" if needs == "both" else needs
            none = n_needed(sizes, c, needs) == 0
            for what, chosen in (("samples", absent), (lacking, none & ~absent)):
                if chosen.any():
                    found.append((where, what, [str(g) for g in groups[chosen]]))
    return found


def _warn_of_undefined(difference: Difference) -> None:
    """Name the groups that are left out, and what cannot be compared."""
    metric, data = difference.metric, difference.data
    for where, lacking, groups in left_out(difference):
        warn_user(
            UndefinedMetricWarning,
            f"`{metric}`{where} leaves out groups without {lacking}: "
            f"{', '.join(groups)}.",
        )
    needs = DIFFERENCES[metric].needs
    # The rates of one class are compared in the same groups.
    strata = {c: i for i, (_, c) in enumerate(difference.compared_strata())}
    for attribute, compared in enumerate(difference.compared):
        for c, stratum in strata.items():
            n_compared = compared[stratum].sum()
            if n_compared < 2:
                where = _describe(data, attribute, None if needs == "samples" else c)
                warn_user(
                    UndefinedMetricWarning,
                    f"`{metric}`{where} is undefined and set to NaN: {n_compared} of "
                    f"{compared.shape[1]} groups can be compared, and it takes two.",
                )


def _describe(data: Comparison, attribute: int, c: int | None) -> str:
    """Name the attribute and the class where there are several."""
    parts = []
    if len(data.sensitive.names) > 1:
        parts.append(f" of {data.sensitive.names[attribute]!r}")
    if data.takes_turns and c is not None:
        parts.append(f" for class {data.classes[c]!r}")
    return "".join(parts)
