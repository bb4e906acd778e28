"""A report by group, from labels and predictions."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from fairtask._validation import check_one_of, check_positive_integer
from fairtask.metrics._bootstrap import check_resampling, make_generator
from fairtask.metrics._group_metric import GroupMetric
from fairtask.metrics._group_table import (
    by_group,
    differences,
    group_limits,
    make_statistics,
    warn_of_notes,
)
from fairtask.metrics._names import REPORTED, find_metric
from fairtask.metrics._report import FairnessReport
from fairtask.metrics._resampling import resample
from fairtask.metrics._samples import GroupedSamples

__all__ = ["fairness_report"]


def fairness_report(
    y_true: Any,
    y_pred: Any,
    y_score: Any = None,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    control_features: Any = None,
    cluster: Any = None,
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
    cluster : array-like of shape (n_samples,), default=None
        Cluster of each sample, such as the person, where samples of one cluster depend
        on each other, see `bootstrap`. Without resamples the intervals of rates take
        each cluster as one sample.
    metrics : sequence of str or callable, default=None
        Metrics of this module, which become rows of ``report.differences``. The report
        has a column for each rate or other statistic that they take. By default they
        are the differences in demographic parity, equal opportunity, equalized odds,
        accuracy and, with scores, AUC and log loss.
    attributes : {"each", "intersection"}, default="each"
        Whether the groups are those of each attribute, or the combinations that occur.
    pos_label : int, float, bool or str, default=None
        The positive class. By default it is 1 if the labels are among {0, 1} or
        {-1, 1}, and else the second of two sorted labels; a printed report names it. Of
        more than two classes each has a row if none is named.
    labels : array-like, default=None
        All classes, if `y_true` may lack some. A predicted label that it lacks is
        refused where it would be a third one, and else warned of.
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
        cluster=cluster,
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
    report.n_unknown_level = samples.n_unknown_level
    report.is_constant = samples.is_constant
    report._samples = samples
    report._metrics, report._min_group_size = chosen, min_group_size
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
