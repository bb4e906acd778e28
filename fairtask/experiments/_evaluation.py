"""From saved predictions to the figures of each run, and their tables."""

import warnings
from collections.abc import Sequence
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
from fairtask.experiments._store import Run, Store
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

OWN = -1.0
"""In the place of a lam: the method's own."""

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
        A group with fewer of the samples that a difference is about (positives,
        negatives, or both) is left out of it.
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
        "repeat". Columns have two levels: `OVERALL` with "AUC", "ACC" and "collapsed",
        and each attribute with "EOD", "EOpD", "GAUCD", "GACCD" and "unknown", the share
        of the samples that are in no group.
    methods : DataFrame
        A row per method, in the order of the tables, with "family", "fairness_loss" and
        "note".
    rules : Rules
        How the differences were measured.
    kind : {"table", "image"}
        What the samples are.
    positive : str
        Name of the positive class.
    sizes : DataFrame
        Number of test samples of each attribute, group and class, with the same index.
    seconds : Series
        Time of the fit of each run, with the same index.
    versions : dict of str to list of str
        Versions of each package that the runs were made with.
    failures : list of (Run, str)
        The runs that failed, and their errors.
    damaged : list of pathlib.Path
        Files among the runs that cannot be read.
    n_pending : int
        Number of runs that were asked for and are still to come.
    """

    figures: pd.DataFrame
    methods: pd.DataFrame
    rules: Rules
    kind: str
    positive: str
    sizes: pd.DataFrame
    seconds: pd.Series
    versions: dict[str, list[str]]
    failures: list[tuple[Run, str]]
    damaged: list[Path]
    n_pending: int

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
    rows, methods, seconds, sizes = {}, {}, {}, {}
    versions: dict[str, set[str]] = {}
    read = []
    for run, details, table in store.runs():
        read.append(run)
        key = (run.method, np.nan if run.lam is None else run.lam, run.repeat)
        rows[key] = _figures(table[table["part"] == "test"], rules)
        rows[key][OVERALL, "collapsed"] = float(
            any(
                text.startswith(CollapsedHeadWarning.__name__)
                for text in details["warnings"]
            )
        )
        sizes[key] = _sizes(table)
        seconds[key] = details["fit_seconds"]
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
    # A test part may lack a group that those of other repeats have.
    cells = pd.DataFrame(list(sizes.values()), index=index).fillna(0)
    names = dict.fromkeys(cell for of_run in sizes.values() for cell in of_run)
    cells = cells[list(names)].set_axis(pd.MultiIndex.from_tuples(names), axis=1)
    built_in = [method.name for method in BUILT_IN if method.name in methods]
    order = built_in + [name for name in methods if name not in built_in]
    failures = [(run, known["error"]) for run, known in store.errors()]
    return Evaluation(
        figures=frame,
        methods=pd.DataFrame.from_dict(methods, orient="index").loc[order],
        rules=rules,
        kind=details["kind"],
        positive=details["classes"][1],
        sizes=cells,
        seconds=pd.Series(list(seconds.values()), index=index),
        versions={package: sorted(found) for package, found in versions.items()},
        failures=failures,
        damaged=store.unread(read, [run for run, _ in failures]),
        n_pending=len(store.pending()),
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
        figures[attribute, "unknown"] = float(groups[attribute].isna().mean())
    return figures


def _sizes(table: pd.DataFrame) -> dict[tuple[str, str, int], int]:
    """Number of test samples of each attribute, group and class."""
    is_test = table["part"] == "test"
    return {
        (str(attribute).removeprefix(GROUP), group, label): int(
            (of_group & (table["y_true"] == label)).sum()
        )
        for attribute in table
        if str(attribute).startswith(GROUP)
        for group in table[attribute].dropna().unique()
        for of_group in [is_test & (table[attribute] == group)]
        for label in (0, 1)
    }


def in_common(
    figures: pd.DataFrame, failures: Sequence[tuple[Run, str]]
) -> pd.DataFrame:
    """Runs of the repeats that every method has, at each of its lams.

    Means over other splits are not comparable: one group of a few samples moves them
    more than most methods do. A method that failed does not decide for the others: it
    is left out, at that lam, where it lacks one of their repeats.
    """
    runs = figures.index.to_frame(index=False).fillna({"lam": OWN})
    setting = pd.Series(zip(runs["method"], runs["lam"], strict=True), dtype=object)
    repeats = runs["repeat"].groupby(setting).agg(set)
    failed = {(run.method, OWN if run.lam is None else run.lam) for run, _ in failures}
    deciding = [found for key, found in repeats.items() if key not in failed]
    common = set.intersection(*(deciding or repeats))
    complete = {key for key, found in repeats.items() if found >= common}
    kept = runs["repeat"].isin(common) & setting.isin(complete)
    return figures[kept.to_numpy()]


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
        the method is undefined, or all if the baseline is not there.
    """
    if BASELINE not in mean.index:
        return pd.DataFrame(np.nan, index=mean.index, columns=["MR", "delta-m"])
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
