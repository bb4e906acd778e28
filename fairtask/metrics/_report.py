"""What a classifier does in each group, in one table."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from fairtask._warnings import warn_user
from fairtask.metrics._bootstrap import (
    check_resampling,
    make_generator,
    resample_difference,
)
from fairtask.metrics._comparison import Comparison, check_one_of
from fairtask.metrics._difference import (
    DIFFERENCES,
    NEEDS,
    check_min_group_size,
    compare_groups,
    n_needed,
    sample_losses,
)
from fairtask.metrics._statistics import (
    RATES,
    GroupAUCs,
    GroupLosses,
    GroupRates,
    GroupStatistics,
)

__all__ = [
    "FairnessReport",
    "fairness_report",
    "limits",
]


class FairnessReport(pd.DataFrame):
    """Statistics of each group, and the differences between groups.

    It is a data frame with a row per attribute and group (and, for more than two
    classes, per class against the rest), and a column per statistic; what is cut from
    it is an ordinary data frame. `fairness_report` makes it.

    Attributes
    ----------
    overall : DataFrame
        The same statistics of all groups together, one row (or one per class).
    differences : DataFrame
        A row per attribute and difference metric, and the columns "value", "low" and
        "high", the limits of its bootstrap interval.
    low, high : DataFrame
        Limits of the intervals of each group's statistics, in the same form as the
        report: Wilson's for rates, percentiles of bootstrap resamples for AUC and log
        loss.
    confidence_level : float
        Of all intervals.
    """

    differences: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    confidence_level: float
    overall: pd.DataFrame
    _samples: tuple[Comparison, Any]

    # What pandas keeps with the object and pickles with it.
    _metadata: ClassVar[list[str]] = [
        "differences",
        "low",
        "high",
        "overall",
        "confidence_level",
        "_samples",
    ]

    @property
    def _constructor(self) -> Callable:
        return pd.DataFrame

    def metric_frame(self) -> Any:
        """Hand the same statistics to fairlearn.

        Returns
        -------
        frame : fairlearn.metrics.MetricFrame
            Of the rates and, where there are scores, AUC and log loss. Several
            attributes become their combinations there.

        Raises
        ------
        ValueError
            If there are more than two classes and no ``pos_label``.
        """
        from fairlearn.metrics import (
            MetricFrame,
            count,
            false_positive_rate,
            selection_rate,
            true_positive_rate,
        )

        data, y_score = self._samples
        if data.is_multiclass:
            raise ValueError(
                "`metric_frame` takes two classes; name one with `pos_label` in "
                f"`fairness_report`: {data.classes}."
            )
        metrics: dict[str, Callable] = {
            "selection_rate": selection_rate,
            "true_positive_rate": true_positive_rate,
            "false_positive_rate": false_positive_rate,
            "accuracy": accuracy_score,
            "roc_auc": _of_scores(roc_auc_score),
            "log_loss": _of_scores(log_loss, labels=[0, 1]),
        }
        metrics = {name: metrics[name] for name in self.columns if name in metrics}
        of_metrics = {name: {"sample_weight": data.weights} for name in metrics}
        for name in ("roc_auc", "log_loss"):
            if name in metrics:
                of_metrics[name]["y_score"] = data.scores(y_score, "y_score")[:, 0]
        return MetricFrame(
            metrics={"count": count, **metrics},
            y_true=data.y_true,
            y_pred=data.y_pred,
            sensitive_features=data.sensitive.decode(),
            sample_params=of_metrics,
        )

    def to_text(self, digits: int = 3) -> str:
        """Write groups and differences as text.

        Parameters
        ----------
        digits : int, default=3
            Digits after the point.
        """
        groups, differences = self._formatted(digits)
        return f"{groups.to_string()}\n\n{self._heading()}\n{differences.to_string()}\n"

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        groups, differences = self._formatted(3)
        return f"{groups.to_html()}\n<p>{self._heading()}</p>\n{differences.to_html()}"

    def _heading(self) -> str:
        if self.differences["low"].isna().all():
            return "Differences between groups"
        return f"Differences between groups, with {self.confidence_level:.0%} intervals"

    def _formatted(self, digits: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Write each number, or number and interval, as a string."""
        groups = pd.DataFrame(self).astype(object)
        for name in self.low.columns.difference(["n", "positives"]):
            groups[name] = _format(self[name], self.low[name], self.high[name], digits)
        table = self.differences
        values = _format(table["value"], table["low"], table["high"], digits)
        # `unstack` puts the metrics in alphabetical order.
        metrics = table.index.unique("metric")
        attributes = table.index.unique("attribute")
        return groups, values.unstack("attribute").loc[metrics, attributes]


def _of_scores(metric: Callable, **settings: Any) -> Callable:
    """Return the metric of `y_score`, in place of the predicted labels."""

    def of_scores(
        y_true: Any, y_pred: Any, *, y_score: Any, sample_weight: Any
    ) -> float:
        return metric(y_true, y_score, sample_weight=sample_weight, **settings)

    return of_scores


def _format(
    values: pd.Series, low: pd.Series, high: pd.Series, digits: int
) -> pd.Series:
    """Write numbers, with their limits where there are any."""
    rows = [
        f"{value:.{digits}f}"
        + (f" [{a:.{digits}f}, {b:.{digits}f}]" if np.isfinite(a) else "")
        for value, a, b in zip(values, low, high, strict=True)
    ]
    return pd.Series(rows, index=values.index, name=values.name)


def fairness_report(
    y_true: Any,
    y_pred: Any,
    y_score: Any = None,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    attributes: Literal["each", "intersection"] = "each",
    pos_label: Any = None,
    labels: Any = None,
    groups: Any = None,
    min_group_size: int = 1,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> FairnessReport:
    """Describe what a classifier does in each group, and how groups differ.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_pred : array-like of shape (n_samples,)
        Predicted labels.
    y_score : array-like of shape (n_samples,) or (n_samples, n_classes), default=None
        Scores of the positive class; of more than two classes, a column for each in
        sorted order, unless ``pos_label`` names one. They add the AUC of each group
        and, if all are in [0, 1], the log loss.
    sensitive_features : array-like of shape (n_samples,) or \
            (n_samples, n_attributes)
        Group of each sample, a column per attribute. A missing value leaves the sample
        out of that attribute.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples. A sample of weight 0 is left out.
    attributes : {"each", "intersection"}, default="each"
        Whether the groups are those of each attribute, or the combinations that occur.
    pos_label : int, float, bool or str, default=None
        The positive class. None: of two classes 1 where the labels are among {0, 1} or
        {-1, 1}, else the second of the two sorted labels; of more, each has a row.
    labels : array-like, default=None
        The classes, where the labels passed may lack some. None: those that occur.
    groups : sequence, dict or list of sequences, default=None
        Groups to compare, see `equalized_odds_difference`. None: all that occur.
    min_group_size : int, default=1
        Smallest number of samples of the kind needed that a group needs to be compared
        with others. It is in the table of the groups all the same.
    n_resamples : int, default=1000
        Number of bootstrap resamples, see `bootstrap`; 0 for none, which leaves the
        intervals of rates.
    confidence_level : float, default=0.95
        Between 0 and 1.
    random_state : int, RandomState or None, default=None
        Seed of the resamples.

    Returns
    -------
    report : FairnessReport
        A data frame with the columns

        - "n" and "positives", the numbers of samples (weights do not count);
        - "selection_rate", "true_positive_rate", "false_positive_rate", "accuracy";
        - with scores, "roc_auc" and "log_loss".

        What is undefined in a group is NaN. Accuracy and log loss do not depend on the
        class and are repeated in its rows.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Warns
    -----
    UndefinedMetricWarning
        If a difference is undefined.

    Examples
    --------
    >>> from fairtask.metrics import fairness_report
    >>> report = fairness_report(
    ...     [0, 0, 1, 1, 0, 0, 1, 1],
    ...     [0, 1, 1, 1, 0, 0, 0, 1],
    ...     sensitive_features=["f", "f", "f", "f", "m", "m", "m", "m"],
    ...     n_resamples=0,
    ... )
    >>> report[["n", "positives", "true_positive_rate", "accuracy"]]
                             n  positives  true_positive_rate  accuracy
    attribute         group
    sensitive_feature f      4          2                 1.0      0.75
                      m      4          2                 0.5      0.75
    >>> report.differences["value"].round(2).droplevel("attribute")
    metric
    demographic_parity_difference    0.5
    equal_opportunity_difference     0.5
    equalized_odds_difference        0.5
    group_accuracy_difference        0.0
    Name: value, dtype: float64
    """
    check_one_of("attributes", attributes, ("each", "intersection"))
    check_min_group_size(min_group_size)
    check_resampling(n_resamples, confidence_level, smallest=0)
    data = Comparison.encode(
        y_true,
        y_pred,
        sensitive_features=sensitive_features,
        sample_weight=sample_weight,
        attributes=attributes,
        pos_label=pos_label,
        labels=labels,
        groups=groups,
    )
    statistics = _statistics(data, y_score)
    pooled = data.pooled()
    report = FairnessReport(_by_group(data, statistics))
    overall = _by_group(pooled, _statistics(pooled, y_score))
    report.overall = overall.droplevel("attribute")
    report.confidence_level = confidence_level
    report._samples = data, y_score
    resampled = None
    if n_resamples and len(data.y_true):
        rng = make_generator(random_state)
        resampled = [s.resampled(n_resamples, rng) for s in statistics]
    report.low, report.high = limits(data, statistics, resampled, confidence_level)
    report.differences = _differences(
        data, statistics, resampled, min_group_size, confidence_level
    )
    return report


Values = dict[str, list[np.ndarray]]
"""By name an array per attribute, of a statistic of each group.

Of shape (n_positives, n_groups), or (1, n_groups) if no class is the positive one.
"""


def _values(statistics: GroupStatistics, by_attribute: list[np.ndarray]) -> Values:
    names = [name for name, _ in statistics.strata]
    return {
        name: [
            values[[i for i, other in enumerate(names) if other == name]]
            for values in by_attribute
        ]
        for name in dict.fromkeys(names)
    }


def _statistics(data: Comparison, y_score: Any = None) -> list[GroupStatistics]:
    """Return the statistics of a report.

    Parameters
    ----------
    data : Comparison
        With predictions.
    y_score : array-like, optional
        Scores of the samples passed, for AUC and log loss.
    """
    statistics: list[GroupStatistics] = [GroupRates(data, list(RATES))]
    if y_score is not None:
        scores = data.scores(y_score, "y_score")
        statistics.append(GroupAUCs(data, scores))
        if ((scores >= 0) & (scores <= 1)).all():
            prob = data.probabilities_of_truth(y_score, "y_score")
            losses = sample_losses(prob, "log_loss")
            statistics.append(GroupLosses(data, "log_loss", losses))
    return statistics


def _by_group(data: Comparison, statistics: list[GroupStatistics]) -> pd.DataFrame:
    """Table of the statistics of each group."""
    return _lay_out(data, [_values(s, s.observed()) for s in statistics])


def _lay_out(data: Comparison, parts: list[Values]) -> pd.DataFrame:
    """Table with a row per attribute, group and, of several, class."""
    classes = data.classes if data.positive is None else [data.classes[data.positive]]
    tables = []
    for s, (attribute, groups) in enumerate(
        zip(data.sensitive.names, data.sensitive.groups, strict=True)
    ):
        sizes = data.sizes(s)
        columns = {
            "n": sizes.sum(axis=1)[None],
            "positives": sizes.T[data.positives],
            **{name: values[s] for part in parts for name, values in part.items()},
        }
        shape = len(classes), len(groups)
        table = pd.DataFrame(
            {
                name: np.broadcast_to(values, shape).T.ravel()
                for name, values in columns.items()
            }
        )
        table["attribute"] = attribute
        table["group"] = [group for group in groups for _ in classes]
        table["class"] = classes * len(groups)
        tables.append(table)
    levels = ["attribute", "group", "class"]
    table = pd.concat(tables, ignore_index=True).set_index(levels)
    return table if data.is_multiclass else table.droplevel("class")


def limits(
    data: Comparison,
    statistics: list[GroupStatistics],
    resampled: list[list[np.ndarray]] | None,
    confidence_level: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables with the limits of the statistics of each group."""
    tail = (1 - confidence_level) / 2
    tables = []
    for side in (-1, 1):
        parts = []
        for i, of_all in enumerate(statistics):
            observed = of_all.observed()
            if isinstance(of_all, GroupRates):
                z = side * norm.isf(tail)
                by_attribute = [
                    _wilson(data, s, of_all, rates, z)
                    for s, rates in enumerate(observed)
                ]
            elif resampled is None:
                by_attribute = [np.full_like(values, np.nan) for values in observed]
            else:
                level = tail if side < 0 else 1 - tail
                by_attribute = [_quantile(values, level) for values in resampled[i]]
            parts.append(_values(of_all, by_attribute))
        tables.append(_lay_out(data, parts))
    return tables[0], tables[1]


def _wilson(
    data: Comparison, s: int, statistics: GroupRates, rates: np.ndarray, z: float
) -> np.ndarray:
    """Wilson's limit of rates, which holds at 0 and 1 where resamples do not vary.

    Weighted samples count as their effective number.
    """
    totals, squares = (data.sizes(s, data.weights**power) for power in (1, 2))
    limits = np.empty_like(rates)
    for i, (name, c) in enumerate(statistics.strata):
        p = rates[i]
        with np.errstate(invalid="ignore", divide="ignore"):
            n = n_needed(totals, c, NEEDS[name]) ** 2 / n_needed(
                squares, c, NEEDS[name]
            )
            half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
            limits[i] = (p + z**2 / (2 * n) + half) / (1 + z**2 / n)
    return limits


def _quantile(replicates: np.ndarray, level: float) -> np.ndarray:
    """Quantile over the replicates, where there are any."""
    known = np.isfinite(replicates)
    quantiles = np.nanquantile(np.where(known.any(0), replicates, 0), level, axis=0)
    return np.where(known.any(0), quantiles, np.nan)


def _differences(
    data: Comparison,
    statistics: list[GroupStatistics],
    resampled: list[list[np.ndarray]] | None,
    min_group_size: int,
    confidence_level: float,
) -> pd.DataFrame:
    """Difference metrics of each attribute, with their intervals."""
    rows = {}
    for metric, kind in DIFFERENCES.items():
        for i, of_all in enumerate(statistics):
            if kind.statistics[0] not in [name for name, _ in of_all.strata]:
                continue
            difference = compare_groups(metric, data, of_all, min_group_size, each=True)
            if resampled is None:
                results: Any = [
                    (value,) for value in difference.by_attribute().values()
                ]
            else:
                results = [
                    (result.value, result.low, result.high)
                    for result in resample_difference(
                        difference, resampled[i], confidence_level
                    )
                ]
            for attribute, result in zip(data.sensitive.names, results, strict=True):
                rows[attribute, metric] = result
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=range(3))
    table.columns = ["value", "low", "high"]
    table.index = pd.MultiIndex.from_tuples(table.index, names=["attribute", "metric"])
    undefined = table.index[table["value"].isna()]
    if len(undefined):
        named = ", ".join(f"{m} of {a!r}" for a, m in undefined)
        warn_user(
            UndefinedMetricWarning,
            f"`fairness_report` sets to NaN what takes two groups: {named}.",
        )
    return table.loc[data.sensitive.names]
