"""Tables of the statistics of groups, their intervals and their differences."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress

import numpy as np
import pandas as pd
from scipy.stats import norm

from fairtask.metrics._comparison import Comparison, warn_undefined
from fairtask.metrics._group_metric import GroupMetric
from fairtask.metrics._intervals import intervals
from fairtask.metrics._names import REPORTED
from fairtask.metrics._resampling import standard_errors
from fairtask.metrics._samples import GroupedSamples, NotProbabilitiesError
from fairtask.metrics._statistics import GroupStatistics, Statistic

__all__ = [
    "by_group",
    "comparisons",
    "differences",
    "group_limits",
    "lay_out",
    "make_statistics",
    "warn_of_notes",
]


def make_statistics(
    samples: GroupedSamples, metrics: Sequence[GroupMetric], *, required: bool = True
) -> list[GroupStatistics]:
    """Return the statistics of these metrics.

    Unless `required`, those that take probabilities are left out for other scores.
    """
    by_family: dict[type[GroupStatistics], list[Statistic]] = {}
    for metric in metrics:
        found = by_family.setdefault(metric.family, [])
        found += [s for s in metric.computed(metric.settings) if s not in found]
    statistics = []
    for family, of_family in by_family.items():
        if family.output != "y_pred" and samples.outputs["y_score"] is None:
            continue
        with nullcontext() if required else suppress(NotProbabilitiesError):
            statistics.append(family(samples, of_family))
    return statistics


def by_group(statistics: list[GroupStatistics]) -> pd.DataFrame:
    """Table of the statistics of each group, with the numbers of samples."""
    samples = statistics[0].samples
    table = lay_out(statistics, [family.observed for family in statistics])
    n_classes = len(samples.positives)
    sizes = samples.tables().sum(axis=2)
    table.insert(0, "n", sizes.sum(axis=1).repeat(n_classes))
    table.insert(1, "positives", sizes[:, samples.positives].ravel())
    return table


def group_limits(
    statistics: list[GroupStatistics],
    resampled: list[np.ndarray] | None,
    confidence_level: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables with the limits of the statistics of each group."""
    z = norm.isf((1 - confidence_level) / 2)
    if resampled is None:
        errors = [np.full_like(family.observed, np.nan) for family in statistics]
    else:
        errors = [standard_errors(of_family) for of_family in resampled]
    low, high = (
        lay_out(
            statistics,
            [
                family.limits(of_family, side)
                for family, of_family in zip(statistics, errors, strict=True)
            ],
        )
        for side in (-z, z)
    )
    return low, high


def lay_out(
    statistics: list[GroupStatistics], values: list[np.ndarray]
) -> pd.DataFrame:
    """Table with a row per attribute, group and, of several, class.

    `values` has an array (n_strata, n_groups) for each of the statistics.
    """
    samples = statistics[0].samples
    classes = [samples.classes[c] for c in samples.positives]
    columns: dict[str, list[np.ndarray]] = {}
    for family, of_family in zip(statistics, values, strict=True):
        for (statistic, _), row in zip(family.strata, of_family, strict=True):
            columns.setdefault(statistic.name, []).append(row)
    # A statistic of all classes is the same in the rows of each.
    shape = len(classes), samples.n_groups
    values_of = {
        name: np.broadcast_to(rows, shape).T.ravel() for name, rows in columns.items()
    }
    names, groups = samples.sensitive.names, samples.sensitive.groups
    index = pd.DataFrame(
        {
            "attribute": np.repeat(names, [len(g) * len(classes) for g in groups]),
            "group": [g for part in groups for g in part.tolist() for _ in classes],
            "class": classes * samples.n_groups,
        }
    )
    table = pd.DataFrame(values_of, index=pd.MultiIndex.from_frame(index))
    return table if samples.is_one_vs_rest else table.droplevel("class")


def differences(
    statistics: list[GroupStatistics],
    resampled: list[np.ndarray] | None,
    min_group_size: int,
    confidence_level: float,
    metrics: Sequence[GroupMetric] = REPORTED,
) -> tuple[pd.DataFrame, list[str]]:
    """Metrics of each attribute with their intervals, and notes.

    Metrics of which no statistic was computed are left out. A note says which groups a
    metric leaves out, or where it is undefined.
    """
    rows: dict[tuple[str, str], tuple[float, float, float]] = {}
    notes = []
    for i, comparison in comparisons(statistics, metrics, min_group_size):
        metric = comparison.metric
        notes += [
            f"{metric.name}{where} leaves out groups without {kind}: "
            f"{', '.join(groups)}"
            for where, kind, groups in comparison.left_out()
        ]
        notes += [
            f"{metric.name}{where} leaves out the {words}, which is 0 in all groups"
            for where, words in comparison.all_zero()
        ]
        values = comparison.by_attribute()
        results = (
            [None] * len(values)
            if resampled is None
            else intervals(comparison, resampled[i], confidence_level)
        )
        for (attribute, value), result in zip(values.items(), results, strict=True):
            where = f"{metric.name} of {attribute!r}"
            if np.isnan(value):
                notes.append(f"{where} is NaN: it takes {metric.transform.takes}")
            elif result is not None and result.undefined:
                share = f"{result.undefined:.1%}"
                notes.append(f"{where} is undefined in {share} of the resamples")
            if result is not None and np.isinf(result.high):
                notes.append(
                    f"{where} has no upper limit: a group has fewer than "
                    f"{statistics[i].few} samples"
                )
            limits = (result.low, result.high) if result else (np.nan, np.nan)
            rows[attribute, metric.name] = (value, *limits)
    table = pd.DataFrame(rows, index=["value", "low", "high"]).T
    table.index.names = ["attribute", "metric"]
    return table.loc[statistics[0].samples.sensitive.names], notes


def comparisons(
    statistics: list[GroupStatistics],
    metrics: Sequence[GroupMetric],
    min_group_size: int,
) -> Iterator[tuple[int, Comparison]]:
    """Yield the position of the statistics of each metric, and their comparison."""
    for metric in metrics:
        for i, family in enumerate(statistics):
            if isinstance(family, metric.family):
                settings = {"min_group_size": min_group_size, "attributes": "each"}
                yield i, metric.compare_statistics(family, **settings)


def warn_of_notes(function: str, notes: Sequence[str]) -> None:
    """Warn once of all groups and metrics that a function could not judge."""
    if notes:
        warn_undefined(
            f"Not all groups could be compared in `{function}`:\n- "
            + ";\n- ".join(notes)
            + "."
        )
