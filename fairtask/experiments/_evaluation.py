"""From saved predictions to the figures of each run, and their tables."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, roc_auc_score

from fairtask.exceptions import CollapsedHeadWarning
from fairtask.experiments._methods import BASELINE, BUILT_IN
from fairtask.experiments._protocol import GROUP
from fairtask.experiments._store import Store
from fairtask.metrics import (
    delta_m,
    equal_opportunity_difference,
    equalized_odds_difference,
    group_accuracy_difference,
    group_auc_difference,
    mean_rank,
)

__all__ = [
    "OVERALL",
    "Evaluation",
    "Rules",
    "evaluate",
    "in_common",
    "means",
    "ranked",
]

OVERALL = ""
"""Level of the columns that belong to no attribute, which no attribute is called."""


@dataclass(frozen=True)
class Rules:
    """How differences are measured.

    Attributes
    ----------
    eod : {"mean", "worst_case"}
        EOD is the mean of the gaps in true and in false positive rates, or the larger.
    min_group_size : int
        Groups with fewer positives or negatives are left out of a difference.
    """

    eod: Literal["mean", "worst_case"] = "mean"
    min_group_size: int = 1


@dataclass(frozen=True)
class Evaluation:
    """Figures of the runs of an experiment, and what is known of its methods.

    Attributes
    ----------
    figures : DataFrame
        A row per run, with an index of "method", "lam" (NaN for the method's own) and
        "repeat". Columns have two levels: `OVERALL` with "AUC", "ACC", "collapsed" and
        "groups left out", and each attribute with "EOD", "EOpD", "GAUCD", "GACCD".
    methods : DataFrame
        A row per method, in the order of the tables, with "family", "fairness_loss" and
        "note".
    kind : {"table", "image"}
        What the samples are.
    seconds : Series
        Time of the fit of each run, with the same index.
    versions : dict of str to list of str
        Versions of each package that the runs were made with.
    damaged : list of pathlib.Path
        Files among the runs that cannot be read.
    """

    figures: pd.DataFrame
    methods: pd.DataFrame
    kind: str
    seconds: pd.Series
    versions: dict[str, list[str]]
    damaged: list[Path]

    @property
    def performance(self) -> str:
        """Metric of the task: "AUC" for tables, "ACC" for images."""
        return "ACC" if self.kind == "image" else "AUC"

    @property
    def attributes(self) -> list[str]:
        """The sensitive attributes."""
        names = self.figures.columns.get_level_values(0).unique()
        return [name for name in names if name != OVERALL]

    def columns_of_paper(self) -> list[tuple[str, str]]:
        """Columns of differences that the paper has."""
        of_scores = "GACCD" if self.kind == "image" else "GAUCD"
        metrics = ("EOD", "EOpD", of_scores)
        return [(name, metric) for name in self.attributes for metric in metrics]


def evaluate(store: Store, rules: Rules) -> Evaluation:
    """Compute the figures of each run on its test part.

    Raises
    ------
    ValueError
        If no run has succeeded.
    """
    rows, methods, seconds = {}, {}, {}
    versions: dict[str, set[str]] = {}
    for run, details, table in store.runs():
        collapsed = any(
            text.startswith(CollapsedHeadWarning.__name__)
            for text in details["warnings"]
        )
        test = table["part"] == "test"
        figures = _figures(table[test], rules)
        # Groups that the test part lacks are known from the validation part.
        left_out = _has_small_group(table, test, rules.min_group_size)
        figures[OVERALL, "groups left out"] = float(left_out)
        figures[OVERALL, "collapsed"] = float(collapsed)
        lam = np.nan if run.lam is None else run.lam
        rows[run.method, lam, run.repeat] = figures
        seconds[run.method, lam, run.repeat] = details["fit_seconds"]
        methods[run.method] = {
            name: details[name] for name in ("family", "fairness_loss", "note")
        }
        for package, version in details["versions"].items():
            versions.setdefault(package, set()).add(version)
    if not rows:
        raise ValueError(f"{store.folder}: no run has succeeded yet.")
    index = pd.MultiIndex.from_tuples(rows, names=["method", "lam", "repeat"])
    frame = pd.DataFrame(list(rows.values()), index=index)
    frame.columns = pd.MultiIndex.from_tuples(next(iter(rows.values())))
    built_in = [method.name for method in BUILT_IN if method.name in methods]
    order = built_in + [name for name in methods if name not in built_in]
    return Evaluation(
        frame,
        pd.DataFrame.from_dict(methods, orient="index").loc[order],
        details["kind"],
        pd.Series(list(seconds.values()), index=index),
        {package: sorted(found) for package, found in versions.items()},
        store.damaged(),
    )


def _figures(table: pd.DataFrame, rules: Rules) -> dict[tuple[str, str], float]:
    y_true, y_pred, score = (
        table[name].to_numpy() for name in ("y_true", "y_pred", "score")
    )
    attributes = [str(name) for name in table if str(name).startswith(GROUP)]
    groups = table[attributes].rename(columns=lambda name: name.removeprefix(GROUP))
    common: dict[str, Any] = {
        "sensitive_features": groups,
        "attributes": "each",
        "labels": [0, 1],
        "min_group_size": rules.min_group_size,
    }
    figures = {
        (OVERALL, "AUC"): float(roc_auc_score(y_true, score)),
        (OVERALL, "ACC"): float(accuracy_score(y_true, y_pred)),
    }
    with warnings.catch_warnings():
        # The reader is told how often, instead of once for each.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        differences = {
            "EOD": equalized_odds_difference(
                y_true, y_pred, agg=rules.eod, pos_label=1, **common
            ),
            "EOpD": equal_opportunity_difference(y_true, y_pred, pos_label=1, **common),
            "GAUCD": group_auc_difference(y_true, score, pos_label=1, **common),
            "GACCD": group_accuracy_difference(y_true, y_pred, **common),
        }
    for attribute in map(str, groups):
        for metric, values in differences.items():
            figures[attribute, metric] = float(values[attribute])
    return figures


def _has_small_group(table: pd.DataFrame, test: pd.Series, smallest: int) -> bool:
    """Whether a group has too few positives or negatives in the test part."""
    tested = table[test]
    for attribute in [str(name) for name in table if str(name).startswith(GROUP)]:
        sizes = pd.crosstab(tested[attribute], tested["y_true"])
        known = table[attribute].dropna().unique()
        sizes = sizes.reindex(index=known, columns=[0, 1], fill_value=0)
        if (sizes < smallest).to_numpy().any():
            return True
    return False


def in_common(figures: pd.DataFrame) -> pd.DataFrame:
    """Runs of those repeats that every method has, at each of its lams.

    Means over other splits are not comparable: one group of a few samples moves them
    more than most methods do.
    """
    runs = figures.index.to_frame(index=False)
    n_settings = len(runs[["method", "lam"]].drop_duplicates())
    times = runs["repeat"].value_counts()
    complete = times.index[times == n_settings]
    return figures[runs["repeat"].isin(complete).to_numpy()]


def means(figures: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean and standard deviation over the repeats, by "method" and "lam"."""
    by_setting = figures.groupby(level=["method", "lam"], sort=False, dropna=False)
    return by_setting.mean(), by_setting.std()


def ranked(
    mean: pd.DataFrame, performance: str, columns: list[tuple[str, str]]
) -> pd.DataFrame:
    """Mean rank and delta-m of each method, as the paper computes them.

    Parameters
    ----------
    mean : DataFrame
        A row per method; `BASELINE` is what delta-m is relative to, and not ranked.
    performance : str
        Metric of the task, which counts once for each attribute.
    columns : list of (attribute, metric)
        The differences.

    Returns
    -------
    summary : DataFrame
        "MR" and "delta-m"; NaN for the baseline's rank, and for both where a figure of
        the method is undefined.
    """
    attributes = dict.fromkeys(attribute for attribute, _ in columns)
    nested = pd.concat(
        [
            mean[[(OVERALL, performance)]].set_axis(
                pd.MultiIndex.from_tuples([(attribute, performance)]), axis=1
            )
            for attribute in attributes
        ]
        + [mean[columns]],
        axis=1,
    )
    higher = [performance]
    with warnings.catch_warnings():
        # A baseline without a difference leaves a NaN, which the table shows.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        change = delta_m(
            nested, baseline=BASELINE, higher_is_better=higher, reduce="sum_per_task"
        )
    ranks = mean_rank(nested, baseline=BASELINE, higher_is_better=higher)
    return pd.DataFrame({"MR": ranks.reindex(mean.index), "delta-m": change})
