"""A table of the statistics of each group and of their differences."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from fairtask._validation import check_one_of
from fairtask.metrics._bootstrap import check_resampling, make_generator, resample
from fairtask.metrics._group_metric import GroupMetric, check_positive_integer
from fairtask.metrics._group_table import (
    by_group,
    differences,
    group_limits,
    make_statistics,
    warn_of_notes,
)
from fairtask.metrics._names import REPORTED, find_metric
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
        A row per attribute and metric, and the columns "value", "low" and "high", the
        limits of its bootstrap interval.
    low, high : DataFrame
        Limits of the intervals of each group's statistics, a column per statistic:
        Wilson's for rates; from the standard errors of bootstrap resamples for AUC and
        log loss, see `bootstrap`.
    confidence_level : float
        Of all intervals.
    n_unknown : dict of str to int
        For each attribute, the number of samples that are in none of its groups: they
        have a missing value, or one that `groups` does not name. Samples of weight 0
        do not count. A printed report says how many there are.
    is_constant : bool
        Whether all predictions are one class although `y_true` has several. No group
        has other rates then, which says nothing about fairness; a printed report says
        so.
    """

    differences: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    confidence_level: float
    n_unknown: Mapping[str, int]
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
        "n_unknown",
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
            If there are more than two classes and no ``pos_label``, or control
            features.
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
        if list(samples.n_unknown) != samples.sensitive.names:
            raise ValueError(
                "`metric_frame` takes no `control_features`; pass them to fairlearn's "
                "MetricFrame."
            )
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
        notes = "".join(f"\n{note}" for note in self._notes())
        return f"{groups}{notes}\n\n{self._heading()}\n{differences}\n"

    def __repr__(self) -> str:
        return self.to_text(line_width=pd.get_option("display.width"))

    def _repr_html_(self) -> str:
        groups, differences = (table.to_html() for table in self._formatted(3))
        notes = "".join(f"<p>{escape(note)}</p>\n" for note in self._notes())
        return f"{groups}\n{notes}<p>{self._heading()}</p>\n{differences}"

    def _notes(self) -> list[str]:
        """Say how many samples are in no row."""
        return [
            f"{n} sample{' is' if n == 1 else 's are'} in no group of {attribute}."
            for attribute, n in self.n_unknown.items()
            if n
        ]

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
    control_features: Any = None,
    metrics: Sequence[str | Callable] | None = None,
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
    control_features : array-like of shape (n_samples,) or (n_samples, n_columns), \
            default=None
        Columns that may legitimately decide. There are rows for each attribute inside
        each level, or combination of levels, of these columns.
    metrics : sequence of str or callable, default=None
        Metrics of this module, which become rows of ``report.differences``. The report
        has a column for each rate or other statistic that they take. By default they
        are the differences in demographic parity, equal opportunity, equalized odds,
        accuracy and, with scores, AUC and log loss.
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
        - "selection_rate", "true_positive_rate", "false_positive_rate", "accuracy"
          and, with scores, "roc_auc" and "log_loss"; or those of ``metrics``.

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
    check_positive_integer("min_group_size", min_group_size)
    chosen = _find_metrics(metrics, y_score)
    check_resampling(n_resamples, confidence_level, smallest=0)
    samples = GroupedSamples.encode(
        y_true,
        {"y_pred": y_pred, "y_score": y_score},
        sensitive_features=sensitive_features,
        sample_weight=sample_weight,
        control_features=control_features,
        intersectional=attributes == "intersection",
        pos_label=pos_label,
        labels=labels,
        groups=groups,
    )
    statistics, of_all = (
        make_statistics(part, chosen, required=metrics is not None)
        for part in (samples, samples.pooled())
    )
    report = FairnessReport(by_group(statistics))
    overall = by_group(of_all)
    report.overall = overall.droplevel("attribute")
    report.confidence_level = confidence_level
    report.n_unknown = dict(samples.n_unknown)
    report.is_constant = samples.is_constant
    report._samples = samples
    resampled = None
    if n_resamples:
        rng = make_generator(random_state)
        resampled = [resample(family, n_resamples, rng) for family in statistics]
    report.low, report.high = group_limits(statistics, resampled, confidence_level)
    report.differences, notes = differences(
        statistics, resampled, min_group_size, confidence_level, chosen
    )
    warn_of_notes("fairness_report", notes)
    return report


def _find_metrics(metrics: Any, y_score: Any) -> list[GroupMetric]:
    """Return the metrics of a report, and check that there are scores for them."""
    if metrics is None:
        return list(REPORTED)
    if isinstance(metrics, str) or not isinstance(metrics, Sequence) or not metrics:
        raise ValueError(
            f"`metrics` must be a list of metrics or their names; got {metrics!r}."
        )
    found = [find_metric(metric, "metrics") for metric in metrics]
    on_scores = [m.name for m in found if m.family.output != "y_pred"]
    if on_scores and y_score is None:
        raise ValueError(f"`y_score` must be given for {on_scores[0]!r}; got None.")
    return found
