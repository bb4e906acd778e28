"""What a classifier does in each group, in one table."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from fairtask._validation import check_one_of
from fairtask.metrics._bootstrap import check_resampling, make_generator
from fairtask.metrics._comparison import Comparison
from fairtask.metrics._difference import check_min_group_size, sample_losses
from fairtask.metrics._group_table import (
    by_group,
    differences,
    group_limits,
    make_statistics,
)

__all__ = ["FairnessReport", "fairness_report"]


class FairnessReport(pd.DataFrame):
    """Statistics of each group, and the differences between groups.

    It is a data frame with a row per attribute and group (and, for more than two
    classes, per class against the rest), and a column per statistic. What is cut from
    it, and a copy, is an ordinary data frame. `fairness_report` makes it.

    Attributes
    ----------
    overall : DataFrame
        The same statistics of all groups together, one row (or one per class).
    differences : DataFrame
        A row per attribute and difference metric, and the columns "value", "low" and
        "high", the limits of its bootstrap interval.
    low, high : DataFrame
        Limits of the intervals of each group's statistics, a column per statistic:
        Wilson's for rates; from the standard errors of bootstrap resamples for AUC and
        log loss, see `bootstrap`.
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
            attributes become their combinations there, and samples without a group in
            one of them are left out.

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
        assert data.y_pred is not None
        if data.takes_turns:
            raise ValueError(
                "`metric_frame` takes two classes; name one with `pos_label` in "
                f"`fairness_report`: {data.classes}."
            )
        # Groups of all attributes: fairlearn takes no missing ones.
        known = np.flatnonzero((data.sensitive.codes >= 0).all(axis=1))
        metrics: dict[str, Callable] = {
            "selection_rate": selection_rate,
            "true_positive_rate": true_positive_rate,
            "false_positive_rate": false_positive_rate,
            "accuracy": _mean_of,
            "roc_auc": _auc_of,
            "log_loss": _mean_of,
        }
        values = {"accuracy": data.y_true == data.y_pred}
        if "roc_auc" in self:
            values["roc_auc"] = data.scores(y_score, "y_score")[:, 0]
        if "log_loss" in self:
            prob = data.probabilities_of_truth(y_score, "y_score")
            values["log_loss"] = sample_losses(prob, "log_loss")
        metrics = {name: metrics[name] for name in self.columns if name in metrics}
        parameters = {name: {"sample_weight": data.weights[known]} for name in metrics}
        for name in parameters.keys() & values.keys():
            parameters[name]["values"] = values[name][known]
        positive = data.positives[0]
        return MetricFrame(
            metrics={"count": count, **metrics},
            y_true=(data.y_true[known] == positive).astype(int),
            y_pred=(data.y_pred[known] == positive).astype(int),
            sensitive_features=data.sensitive.take(known).decode(),
            sample_params=parameters,
        )

    def to_text(self, digits: int = 3, line_width: int | None = None) -> str:
        """Write groups and differences as text.

        Parameters
        ----------
        digits : int, default=3
            Digits after the point.
        line_width : int, default=None
            Characters in a line, after which the columns go on below. None: all.
        """
        groups, differences = (
            table.to_string(line_width=line_width) for table in self._formatted(digits)
        )
        return f"{groups}\n\n{self._heading()}\n{differences}\n"

    def __repr__(self) -> str:
        return self.to_text(line_width=pd.get_option("display.width"))

    def _repr_html_(self) -> str:
        groups, differences = self._formatted(3)
        return f"{groups.to_html()}\n<p>{self._heading()}</p>\n{differences.to_html()}"

    def _heading(self) -> str:
        if self.differences["low"].isna().all():
            return "Differences between groups"
        level = f"{100 * self.confidence_level:g}%"
        return f"Differences between groups, with {level} intervals"

    def _formatted(self, digits: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Write each number, or number and interval, as a string."""
        groups = pd.DataFrame(self).astype(object)
        # Rows may have been sorted and columns deleted since.
        low, high = (limits.reindex(self.index) for limits in (self.low, self.high))
        for name in self.columns.intersection(low.columns):
            groups[name] = _format(self[name], low[name], high[name], digits)
        table = self.differences
        values = _format(table["value"], table["low"], table["high"], digits)
        # `unstack` puts the metrics in alphabetical order.
        metrics = table.index.unique("metric")
        attributes = table.index.unique("attribute")
        return groups, values.unstack("attribute").loc[metrics, attributes]


def _mean_of(y_true: Any, y_pred: Any, *, values: Any, sample_weight: Any) -> float:
    """Mean of what is known of each sample."""
    return np.average(values, weights=sample_weight)


def _auc_of(y_true: Any, y_pred: Any, *, values: Any, sample_weight: Any) -> float:
    """Area under the ROC curve of the values."""
    return roc_auc_score(y_true, values, sample_weight=sample_weight)


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
        and, if they are probabilities, the log loss.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
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
    random_state : int, RandomState, Generator or None, default=None
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
        Once, with all groups that differences leave out, and all differences that are
        undefined, in the data or in some resamples.

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
    statistics = make_statistics(data, y_score)
    pooled = data.pooled()
    report = FairnessReport(by_group(data, statistics))
    overall = by_group(pooled, make_statistics(pooled, y_score))
    report.overall = overall.droplevel("attribute")
    report.confidence_level = confidence_level
    report._samples = data, y_score
    resampled = None
    if n_resamples:
        rng = make_generator(random_state)
        resampled = [s.resampled(n_resamples, rng) for s in statistics]
    report.low, report.high = group_limits(
        data, statistics, resampled, confidence_level
    )
    report.differences = differences(
        data, statistics, resampled, min_group_size, confidence_level
    )
    return report
