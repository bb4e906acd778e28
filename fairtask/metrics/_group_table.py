"""Tables of the statistics of groups, their intervals and their differences."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._warnings import warn_user
from fairtask.metrics._bootstrap import resample_difference
from fairtask.metrics._comparison import Comparison
from fairtask.metrics._difference import (
    DIFFERENCES,
    NEEDS,
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

__all__ = ["by_group", "differences", "limits", "make_statistics"]

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


def make_statistics(data: Comparison, y_score: Any = None) -> list[GroupStatistics]:
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


def by_group(data: Comparison, statistics: list[GroupStatistics]) -> pd.DataFrame:
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


def differences(
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
