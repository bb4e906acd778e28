"""Compare the reports of two models on the same samples."""

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from fairtask.metrics._bootstrap import check_resampling, make_generator
from fairtask.metrics._group_metric import GroupMetric
from fairtask.metrics._group_table import comparisons, lay_out, make_statistics
from fairtask.metrics._intervals import intervals
from fairtask.metrics._report import FairnessReport
from fairtask.metrics._report_comparison import ReportComparison
from fairtask.metrics._resampling import (
    correlations,
    resample_together,
    standard_errors,
)
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._statistics import GroupStatistics
from fairtask.metrics._transforms import joint_error

__all__ = ["compare_reports"]

COLUMNS = ["before", "after", "change", "low", "high"]


def compare_reports(
    before: FairnessReport,
    after: FairnessReport,
    *,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> ReportComparison:
    r"""Compare two models on the same samples, with intervals of what changed.

    Both models are judged on the same resamples: what makes a sample hard for both does
    not widen the interval of the change. This interval says more than the intervals of
    the two reports side by side, which may overlap although the change is certain.

    With values :math:`v`, their limits :math:`l, u` and a correlation :math:`r` of both
    values, from the resamples, the limits of the change are [1]_

    .. math::

        v' - v - \sqrt{(v' - l')^2 + (u - v)^2 - 2 r (v' - l')(u - v)}
        \quad \text{and} \quad
        v' - v + \sqrt{(u' - v')^2 + (v - l)^2 - 2 r (u' - v')(v - l)}

    where a prime marks the values after the change. A positive correlation is
    multiplied by the share of each distance that is noise. The rest does not cancel: it
    is there because the largest of several noisy differences is too large. Both limits
    are 0 for statistics of predictions or scores that are the same in both models, and
    for base rates, which no model changes.

    Parameters
    ----------
    before, after : FairnessReport
        Reports of two models, made by `fairness_report` from the same samples in the
        same order, with the same settings. Metrics that one of them lacks are left out.
    n_resamples : int, default=1000
        Number of bootstrap resamples, at least 2. Clusters are drawn as in the reports.
    confidence_level : float, default=0.95
        Between 0 and 1. It holds for each interval by itself.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the resamples.

    Returns
    -------
    comparison : ReportComparison
        Changes of all statistics and metrics, and sentences about them.

    Raises
    ------
    ValueError
        If the reports are not of the same samples, or an argument is not as described.

    References
    ----------
    .. [1] G. Y. Zou. "Toward using confidence intervals to compare correlations".
       Psychological Methods 12, 2007.

    Examples
    --------
    >>> from fairtask.metrics import compare_reports, fairness_report
    >>> y, z = [0, 0, 1, 1] * 50, ["f", "m"] * 100
    >>> before, after = (
    ...     fairness_report(y, y_pred, sensitive_features=z, random_state=0)
    ...     for y_pred in ([0, 1, 0, 1] * 50, [0, 0, 1, 1] * 50)
    ... )
    >>> comparison = compare_reports(before, after, random_state=0)
    >>> row = comparison.differences.loc[
    ...     ("sensitive_feature", "equalized_odds_difference")
    ... ]
    >>> row[["before", "after", "change"]].tolist()
    [1.0, 0.0, -1.0]
    """
    check_resampling(n_resamples, confidence_level)
    _check_same_samples(before, after)
    metrics = [metric for metric in before._metrics if metric in after._metrics]
    if not metrics:
        raise ValueError(
            "`before` and `after` must have a metric in common; found "
            f"{[m.name for m in before._metrics]} and "
            f"{[m.name for m in after._metrics]}."
        )
    pairs = _pair(before._samples, after._samples, metrics)
    pooled = _pair(before._samples.pooled(), after._samples.pooled(), metrics)
    rng = make_generator(random_state)
    resampled = [
        resample_together([*of_groups, *of_all], n_resamples, rng)
        for of_groups, of_all in zip(pairs, pooled, strict=True)
    ]
    drawn = [of_family[:2] for of_family in resampled]
    by_group = _statistics(pairs, drawn, confidence_level)
    overall = _statistics(
        pooled, [of_family[2:] for of_family in resampled], confidence_level
    )
    statistics = [s for first, _ in pairs for s, _ in first.strata]
    better = {s.name: s.greater_is_better for s in statistics}
    better |= {m.name: m.transform.greater_is_better for m in metrics}
    return ReportComparison(
        overall=overall.droplevel(["attribute", "group"]),
        differences=_differences(
            pairs, drawn, metrics, before._min_group_size, confidence_level
        ),
        by_group=by_group,
        confidence_level=confidence_level,
        n_unknown=dict(before.n_unknown),
        is_constant={"before": before.is_constant, "after": after.is_constant},
        greater_is_better={k: v for k, v in better.items() if v is not None},
        _everyone="all samples"
        + ("" if before._samples.counted.all() else " that count"),
        _same_labels=_equal_or_none(before._samples.y_pred, after._samples.y_pred),
        _notes=before._notes(),
    )


Pair = tuple[GroupStatistics, GroupStatistics]
"""Statistics of one family, before and after."""


def _pair(
    before: GroupedSamples, after: GroupedSamples, metrics: Sequence[GroupMetric]
) -> list[Pair]:
    """Return the families of statistics that the outputs of both models allow."""
    found, others = (
        make_statistics(samples, metrics, required=False) for samples in (before, after)
    )
    by_type = {type(family): family for family in others}
    return [
        (family, by_type[type(family)]) for family in found if type(family) in by_type
    ]


def _statistics(
    pairs: list[Pair], resampled: list[list[np.ndarray]], confidence_level: float
) -> pd.DataFrame:
    """Table of the changes of the statistics of each group."""
    z = norm.isf((1 - confidence_level) / 2)
    changes = []
    for pair, drawn in zip(pairs, resampled, strict=True):
        limited = []
        for family, of_family in zip(pair, drawn, strict=True):
            errors = standard_errors(of_family)
            low, high = (family.limits(errors, side) for side in (-z, z))
            limited.append(np.array([family.observed, low, high]))
        same = pair[0].are_same(pair[1])[:, None]
        changes.append(_change(z, *limited, *drawn, same=same))
    first = [family for family, _ in pairs]
    return pd.DataFrame(
        {
            name: lay_out(first, list(values))
            .rename_axis(columns="statistic")
            .stack(future_stack=True)
            for name, values in zip(COLUMNS, zip(*changes, strict=True), strict=True)
        }
    )


def _differences(
    pairs: list[Pair],
    resampled: list[list[np.ndarray]],
    metrics: Sequence[GroupMetric],
    min_group_size: int,
    confidence_level: float,
) -> pd.DataFrame:
    """Table of the changes of the metrics of each attribute."""
    z = norm.isf((1 - confidence_level) / 2)
    rows = {}
    first, second = ([*families] for families in zip(*pairs, strict=True))
    for (i, before), (_, after) in zip(
        comparisons(first, metrics, min_group_size),
        comparisons(second, metrics, min_group_size),
        strict=True,
    ):
        results = [
            intervals(comparison, drawn, confidence_level)
            for comparison, drawn in zip((before, after), resampled[i], strict=True)
        ]
        same = before.statistics.are_same(after.statistics)[before.strata].all()
        for attribute, *of_models in zip(before.names, *results, strict=True):
            limited = [np.array([r.value, r.low, r.high]) for r in of_models]
            distributions = [result.distribution for result in of_models]
            rows[attribute, before.metric.name] = _change(
                z, *limited, *distributions, same=same
            )
    table = pd.DataFrame(rows, index=COLUMNS).T.astype(float)
    table.index.names = ["attribute", "metric"]
    return table.loc[first[0].samples.sensitive.names]


def _change(
    z: float,
    before: np.ndarray,
    after: np.ndarray,
    drawn_before: np.ndarray,
    drawn_after: np.ndarray,
    *,
    same: np.ndarray | np.bool_,
) -> tuple[np.ndarray, ...]:
    """Return values before and after, the change and its limits.

    `before` and `after` have values, lower and upper limits, and `z` is the quantile of
    the limits. The first axis of what was drawn is that of the resamples. Where `same`
    is true nothing can change, whatever is drawn.

    NOTE: A limit can be further away than noise explains, because the largest of noisy
    differences is too large. This does not cancel between the models: a correlation
    holds for the part of a distance that is noise.
    """
    (value, low, high), (new_value, new_low, new_high) = before, after
    new_value = np.where(same, value, new_value)  # without rounding
    change = new_value - value
    noise = [z * standard_errors(drawn) for drawn in (drawn_after, drawn_before)]
    shared = correlations(drawn_before, drawn_after)

    def error(of_after: np.ndarray, of_before: np.ndarray) -> np.ndarray:
        """Join distances of limits."""
        shares = [
            np.divide(n, d, out=np.ones_like(d), where=d > n)
            for n, d in zip(noise, (of_after, of_before), strict=True)
        ]
        noisy = np.where(shared > 0, shares[0] * shares[1], 1)
        return joint_error(of_after, of_before, shared * noisy)

    return (
        value,
        new_value,
        change,
        np.where(same, change, change - error(new_value - new_low, high - value)),
        np.where(same, change, change + error(new_high - new_value, value - low)),
    )


def _check_same_samples(before: Any, after: Any) -> None:
    """Raise a ValueError unless two reports are comparable."""
    for argument, report in (("before", before), ("after", after)):
        if not isinstance(report, FairnessReport):
            raise ValueError(
                f"`{argument}` must be a report that `fairness_report` made; got "
                f"{type(report).__name__}. The parts of a report are data frames "
                "without its samples."
            )
    one, other = before._samples, after._samples
    agree = {
        "numbers of samples": len(one.counted) == len(other.counted),
        f"classes: {reprlib.repr(one.classes)} and {reprlib.repr(other.classes)}. "
        "Pass `labels` to both reports": one.classes == other.classes,
        "positive classes": one.positives == other.positives,
        "attributes": one.sensitive.names == other.sensitive.names,
        "groups": [g.tolist() for g in one.sensitive.groups]
        == [g.tolist() for g in other.sensitive.groups],
        "values of `min_group_size`": before._min_group_size == after._min_group_size,
        "samples that count": np.array_equal(one.counted, other.counted),
        "values of `y_true`": np.array_equal(one.y_true, other.y_true),
        "weights": np.array_equal(one.weights, other.weights),
        "groups of the samples": np.array_equal(
            one.sensitive.codes, other.sensitive.codes
        ),
        "clusters": _equal_or_none(one.clusters, other.clusters),
    }
    differing = [name for name, equal in agree.items() if not equal]
    if differing:
        raise ValueError(
            "`after` must be a report of the same samples as `before`, in the same "
            f"order and with the same settings; they have other {differing[0]}."
        )


def _equal_or_none(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)
