"""A table of the statistics of each group and of their differences."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from fairtask._validation import check_one_of
from fairtask.metrics._bootstrap import check_resampling, make_generator, resample
from fairtask.metrics._difference import check_min_group_size
from fairtask.metrics._group_table import (
    by_group,
    differences,
    group_limits,
    make_statistics,
    warn_of_notes,
)
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._scores import sample_losses

__all__ = ["FairnessReport", "fairness_report", "format_intervals"]


class FairnessReport(pd.DataFrame):
    """Statistics of each group, and the differences between groups.

    It is a data frame with a row per attribute and group (and, for more than two
    classes, per class against the rest), and a column per statistic. Its parts and
    copies are ordinary data frames. `fairness_report` makes it.

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
    is_constant : bool
        Whether all predictions are one class although `y_true` has several. No group
        has other rates then, which says nothing about fairness; a printed report says
        so.
    """

    differences: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    confidence_level: float
    is_constant: bool
    overall: pd.DataFrame
    _samples: GroupedSamples

    # The attributes that pandas keeps and pickles with the object.
    _metadata: ClassVar[list[str]] = [
        "differences",
        "low",
        "high",
        "overall",
        "confidence_level",
        "is_constant",
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

        samples = self._samples
        assert samples.y_pred is not None
        if samples.is_one_vs_rest:
            raise ValueError(
                "`metric_frame` takes two classes; name one with `pos_label` in "
                f"`fairness_report`: {samples.classes}."
            )
        metrics: dict[str, Callable] = {
            "selection_rate": selection_rate,
            "true_positive_rate": true_positive_rate,
            "false_positive_rate": false_positive_rate,
            "accuracy": _mean_value,
            "roc_auc": _area,
            "log_loss": _mean_value,
        }
        values = {"accuracy": samples.y_true == samples.y_pred}
        if "roc_auc" in self:
            values["roc_auc"] = samples.scores("y_score")[:, 0]
        if "log_loss" in self:
            prob = samples.true_class_probabilities("y_score")
            values["log_loss"] = sample_losses(prob, "log_loss")
        # fairlearn takes no samples without a group.
        known = np.flatnonzero((samples.sensitive.codes >= 0).all(axis=1))
        metrics = {name: metrics[name] for name in self.columns if name in metrics}
        parameters = {
            name: {"sample_weight": samples.weights[known]} for name in metrics
        }
        for name in parameters.keys() & values.keys():
            parameters[name]["values"] = values[name][known]
        positive = samples.positives[0]
        return MetricFrame(
            metrics={"count": count, **metrics},
            y_true=(samples.y_true[known] == positive).astype(int),
            y_pred=(samples.y_pred[known] == positive).astype(int),
            sensitive_features=samples.sensitive.take(known).decode(),
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
        heading = "Differences between groups"
        if self.differences["low"].notna().any():
            heading += f", with {100 * self.confidence_level:g}% intervals"
        if self.is_constant:
            heading += ". All predictions are one class, and rates cannot differ"
        return heading

    def _formatted(self, digits: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Write each number, or number and interval, as a string."""
        groups = pd.DataFrame(self).astype(object)
        # Rows may have been sorted and columns deleted since.
        low, high = (limits.reindex(self.index) for limits in (self.low, self.high))
        for name in self.columns.intersection(low.columns):
            groups[name] = format_intervals(self[name], low[name], high[name], digits)
        table = self.differences
        values = format_intervals(table["value"], table["low"], table["high"], digits)
        # `unstack` puts the metrics in alphabetical order.
        metrics = table.index.unique("metric")
        attributes = table.index.unique("attribute")
        return groups, values.unstack("attribute").loc[metrics, attributes]


def _mean_value(y_true: Any, y_pred: Any, *, values: Any, sample_weight: Any) -> float:
    return np.average(values, weights=sample_weight)


def _area(y_true: Any, y_pred: Any, *, values: Any, sample_weight: Any) -> float:
    return roc_auc_score(y_true, values, sample_weight=sample_weight)


def format_intervals(
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
    """Describe how a classifier performs in each group, and how groups differ.

    The module `fairtask.metrics` describes the parameters in full.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True and predicted labels.
    y_score : array-like of shape (n_samples,) or (n_samples, n_classes), default=None
        Scores of the positive class; of more than two classes, a column for each in
        sorted order, unless ``pos_label`` names one. They add the AUC of each group
        and, if they are probabilities, the log loss.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Groups of each sample.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.
    attributes : {"each", "intersection"}, default="each"
        Whether the groups are those of each attribute, or the combinations that occur.
    pos_label : int, float, bool or str, default=None
        The positive class. Of more than two classes each has a row if none is named.
    labels : array-like, default=None
        All classes, if `y_true` may lack some.
    groups : sequence, dict or list of sequences, default=None
        Groups to show and compare.
    min_group_size : int, default=1
        Smallest number of samples of the kind needed that a compared group has. The
        table shows smaller groups, too.
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

        A statistic that is undefined in a group is NaN. Accuracy and log loss do not
        depend on the class and are repeated in its rows.

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
    samples = GroupedSamples.encode(
        y_true,
        {"y_pred": y_pred, "y_score": y_score},
        sensitive_features=sensitive_features,
        sample_weight=sample_weight,
        intersectional=attributes == "intersection",
        pos_label=pos_label,
        labels=labels,
        groups=groups,
    )
    statistics = make_statistics(samples)
    report = FairnessReport(by_group(statistics))
    overall = by_group(make_statistics(samples.pooled()))
    report.overall = overall.droplevel("attribute")
    report.confidence_level = confidence_level
    report.is_constant = samples.is_constant
    report._samples = samples
    resampled = None
    if n_resamples:
        rng = make_generator(random_state)
        resampled = [resample(family, n_resamples, rng) for family in statistics]
    report.low, report.high = group_limits(statistics, resampled, confidence_level)
    report.differences, notes = differences(
        statistics, resampled, min_group_size, confidence_level
    )
    warn_of_notes("fairness_report", notes)
    return report
