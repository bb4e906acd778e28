"""Tables of the statistics of groups, their intervals and their differences."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._warnings import warn_user
from fairtask.metrics._comparison import Comparison
from fairtask.metrics._difference import (
    DIFFERENCES,
    compare_groups,
    left_out,
    sample_losses,
)
from fairtask.metrics._group_statistics import RATES, GroupAUCs, GroupLosses, GroupRates
from fairtask.metrics._intervals import BootstrapResult, resample_difference
from fairtask.metrics._statistics import GroupStatistics, standard_errors

__all__ = ["by_group", "differences", "group_limits", "make_statistics"]

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
        statistics.append(GroupAUCs(data, data.scores(y_score, "y_score")))
        try:
            prob = data.probabilities_of_truth(y_score, "y_score")
        except ValueError:  # scores that are no probabilities have no log loss
            return statistics
        losses = sample_losses(prob, "log_loss")
        statistics.append(GroupLosses(data, "log_loss", losses))
    return statistics


def by_group(data: Comparison, statistics: list[GroupStatistics]) -> pd.DataFrame:
    """Table of the statistics of each group."""
    return _lay_out(
        data, [_sizes(data), *(_values(s, s.observed()) for s in statistics)]
    )


def group_limits(
    data: Comparison,
    statistics: list[GroupStatistics],
    resampled: list[list[np.ndarray]] | None,
    confidence_level: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables with the limits of the statistics of each group."""
    z = norm.isf((1 - confidence_level) / 2)
    lower: list[Values] = []
    upper: list[Values] = []
    for i, of_all in enumerate(statistics):
        observed = of_all.observed()
        if resampled is None:
            errors = [np.full_like(values, np.nan) for values in observed]
        else:
            errors = [standard_errors(values) for values in resampled[i]]
        for side, parts in ((-z, lower), (z, upper)):
            limits = [
                of_all.limit(*of_attribute, side)
                for of_attribute in zip(
                    observed, errors, of_all.n_effective, strict=True
                )
            ]
            parts.append(_values(of_all, limits))
    return _lay_out(data, lower), _lay_out(data, upper)


def _sizes(data: Comparison) -> Values:
    sizes = [data.sizes(s) for s in range(len(data.sensitive.names))]
    return {
        "n": [counts.sum(axis=1)[None] for counts in sizes],
        "positives": [counts.T[data.positives] for counts in sizes],
    }


def _lay_out(data: Comparison, parts: list[Values]) -> pd.DataFrame:
    """Table with a row per attribute, group and, of several, class."""
    classes = [data.classes[c] for c in data.positives]
    tables = []
    for s, (attribute, groups) in enumerate(
        zip(data.sensitive.names, data.sensitive.groups, strict=True)
    ):
        shape = len(classes), len(groups)
        table = pd.DataFrame(
            {
                name: np.broadcast_to(values[s], shape).T.ravel()
                for part in parts
                for name, values in part.items()
            }
        )
        table["attribute"] = attribute
        table["group"] = [group for group in groups for _ in classes]
        table["class"] = classes * len(groups)
        tables.append(table)
    levels = ["attribute", "group", "class"]
    table = pd.concat(tables, ignore_index=True).set_index(levels)
    return table if data.takes_turns else table.droplevel("class")


def differences(
    data: Comparison,
    statistics: list[GroupStatistics],
    resampled: list[list[np.ndarray]] | None,
    min_group_size: int,
    confidence_level: float,
) -> pd.DataFrame:
    """Difference metrics of each attribute, with their intervals."""
    names = data.sensitive.names
    rows: dict[tuple[str, str], tuple[float, float, float]] = {}
    notes = []
    for metric, kind in DIFFERENCES.items():
        for i, of_all in enumerate(statistics):
            if kind.statistics[0] not in [name for name, _ in of_all.strata]:
                continue
            difference = compare_groups(metric, data, of_all, min_group_size, each=True)
            notes += [
                f"{metric}{where} leaves out groups without {what}: {', '.join(groups)}"
                for where, what, groups in left_out(difference)
            ]
            values = difference.by_attribute().values()
            results: list[BootstrapResult | None] = [None] * len(names)
            if resampled is not None:
                results[:] = resample_difference(
                    difference, resampled[i], confidence_level
                )
            for attribute, value, result in zip(names, values, results, strict=True):
                where = f"{metric} of {attribute!r}"
                if np.isnan(value):
                    notes.append(f"{where} is NaN: it takes two groups")
                elif result is not None and result.undefined:
                    share = f"{result.undefined:.1%}"
                    notes.append(f"{where} is undefined in {share} of the resamples")
                limits = (np.nan, np.nan)
                if result is not None:
                    limits = result.low, result.high
                rows[attribute, metric] = (value, *limits)
    if notes:
        warn_user(
            UndefinedMetricWarning,
            "Not all groups could be compared in `fairness_report`:\n- "
            + ";\n- ".join(notes)
            + ".",
        )
    table = pd.DataFrame(rows, index=["value", "low", "high"]).T
    table.index.names = ["attribute", "metric"]
    return table.loc[names]
