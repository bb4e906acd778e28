"""From saved predictions to the figures of each run, and their means and ranks."""

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
from fairtask.metrics._samples import is_constant

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
"""Level of the columns that belong to no attribute. No attribute has this name."""


@dataclass(frozen=True)
class Rules:
    """How differences are measured.

    EOD is the mean of the gaps in true and in false positive rates, or the larger. A
    group with fewer than `min_group_size` of the samples that a difference is about
    (positives, negatives, or both) is left out of it.
    """

    eod: Literal["mean", "worst_case"] = "mean"
    min_group_size: int = 1


@dataclass(frozen=True)
class Evaluation:
    """Figures of the runs of an experiment, and details of its methods.

    `figures`, `sizes` (numbers of test samples of each attribute, group and class) and
    `seconds` (of the fit) have a row per run, with an index of "method", "lam" (NaN for
    the method's own) and "repeat". The columns of `figures` have two levels: `OVERALL`
    with "AUC", "ACC", "constant" (1 if all predictions are one class) and "collapsed"
    (1 if a fairness head is constant), and each attribute with "EOD", "EOpD", "GAUCD",
    "GACCD" and "unknown", the share of the samples that are in no group.

    `methods` has a row per method, in the order of the tables, with "family",
    "fairness_loss" and "note". `details` are those that all runs share: "kind",
    "classes" and perhaps "has_test_part". `versions` are those of each package that
    the runs were made with, `failures` the runs that failed, with their errors,
    `damaged` the files that cannot be read, and `n_pending` counts the runs that were
    asked for and have not ended.
    """

    figures: pd.DataFrame
    sizes: pd.DataFrame
    seconds: pd.Series
    methods: pd.DataFrame
    details: dict[str, Any]
    versions: dict[str, list[str]]
    rules: Rules
    failures: list[tuple[Run, str]]
    damaged: list[Path]
    n_pending: int

    @property
    def performance(self) -> str:
        """Metric of the task: "AUC" for tables, "ACC" for images."""
        return "ACC" if self.details["kind"] == "image" else "AUC"

    @property
    def attributes(self) -> list[str]:
        """The sensitive attributes."""
        names = self.figures.columns.get_level_values(0).unique()
        return [name for name in names if name != OVERALL]

    @property
    def own(self) -> pd.DataFrame:
        """Figures of the runs with each method's own lam."""
        return self.figures[self.figures.index.get_level_values("lam").isna()]

    def columns_of_paper(self) -> list[tuple[str, str]]:
        """Columns of the differences that the paper's tables have."""
        of_scores = "GACCD" if self.details["kind"] == "image" else "GAUCD"
        metrics = ("EOD", "EOpD", of_scores)
        return [(name, metric) for name in self.attributes for metric in metrics]


def evaluate(store: Store, rules: Rules) -> Evaluation:
    """Compute the figures of each run on its test part.

    Raises
    ------
    ValueError
        If no run has succeeded.
    """
    rows, sizes, seconds, methods = {}, {}, {}, {}
    versions: dict[str, set[str]] = {}
    read = []
    for run, details, table in store.runs():
        read.append(run)
        key = (run.method, np.nan if run.lam is None else run.lam, run.repeat)
        rows[key] = _figures(table[table["part"] == "test"], rules)
        prefix = CollapsedHeadWarning.__name__
        collapsed = any(text.startswith(prefix) for text in details["warnings"])
        rows[key][OVERALL, "collapsed"] = float(collapsed)
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
    built_in = [method.name for method in BUILT_IN if method.name in methods]
    order = dict.fromkeys([*built_in, *methods])
    failures = [(run, known["error"]) for run, known in store.errors()]
    return Evaluation(
        figures=_frame(rows, index),
        # A test part may lack a group that those of other repeats have.
        sizes=_frame(sizes, index).fillna(0),
        seconds=pd.Series(list(seconds.values()), index=index),
        methods=pd.DataFrame.from_dict(methods, orient="index").loc[list(order)],
        details=details,
        versions={package: sorted(found) for package, found in versions.items()},
        rules=rules,
        failures=failures,
        damaged=store.unread(read, [run for run, _ in failures]),
        n_pending=len(store.pending()),
    )


def _frame(rows: dict[Any, dict[Any, Any]], index: pd.MultiIndex) -> pd.DataFrame:
    """Make a frame with a column, of several levels, for each key of the rows."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    values = [[row.get(column, np.nan) for column in columns] for row in rows.values()]
    return pd.DataFrame(values, index, pd.MultiIndex.from_tuples(columns))


def _groups(table: pd.DataFrame) -> pd.DataFrame:
    """Return the groups of each attribute."""
    columns = [name for name in map(str, table) if name.startswith(GROUP)]
    return table[columns].rename(columns=lambda name: name.removeprefix(GROUP))


def _figures(test: pd.DataFrame, rules: Rules) -> dict[tuple[str, str], float]:
    y_true, y_pred, score = (
        test[name].to_numpy() for name in ("y_true", "y_pred", "score")
    )
    groups = _groups(test)
    common: dict[str, Any] = {
        "sensitive_features": groups,
        "attributes": "each",
        "labels": [0, 1],
        "min_group_size": rules.min_group_size,
    }
    binary: dict[str, Any] = common | {"pos_label": 1}
    with warnings.catch_warnings():
        # A note below the table counts the groups that are left out.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        differences = {
            "EOD": equalized_odds_difference(y_true, y_pred, agg=rules.eod, **binary),
            "EOpD": equal_opportunity_difference(y_true, y_pred, **binary),
            "GAUCD": group_auc_difference(y_true, score, **binary),
            "GACCD": group_accuracy_difference(y_true, y_pred, **common),
            "unknown": groups.isna().mean(),
        }
    return {
        (OVERALL, "AUC"): float(roc_auc_score(y_true, score)),
        (OVERALL, "ACC"): float(accuracy_score(y_true, y_pred)),
        (OVERALL, "constant"): float(is_constant(y_true, y_pred)),
        **{
            (attribute, metric): float(values[attribute])
            for attribute in map(str, groups)
            for metric, values in differences.items()
        },
    }


def _sizes(table: pd.DataFrame) -> dict[tuple[str, str, int], int]:
    """Count the test samples of each attribute, group and class.

    Groups of the validation part are among them, with 0 if the test part has none.
    """
    is_test = table["part"] == "test"
    return {
        (str(attribute), group, label): int((of_label & (groups == group)).sum())
        for attribute, groups in _groups(table).items()
        for group in groups.dropna().unique()
        for label in (0, 1)
        for of_label in [is_test & (table["y_true"] == label)]
    }


def in_common(
    figures: pd.DataFrame, failures: Sequence[tuple[Run, str]]
) -> pd.DataFrame:
    """Return the runs of the repeats that every method has, at each of its lams.

    Means over other splits are not comparable: one group of a few samples moves them
    more than most methods do. A method that failed does not decide for the others: it
    is left out, at that lam, where it lacks one of their repeats.
    """
    # NaN is not equal to itself, so the keys have None for the method's own lam.
    keys = [
        (method, None if np.isnan(lam) else lam) for method, lam, _ in figures.index
    ]
    repeats = figures.index.get_level_values("repeat")
    found: dict[tuple[str, float | None], set[int]] = {}
    for key, repeat in zip(keys, repeats, strict=True):
        found.setdefault(key, set()).add(repeat)
    failed = {(run.method, run.lam) for run, _ in failures}
    deciding = [of_key for key, of_key in found.items() if key not in failed]
    common = set.intersection(*(deciding or found.values()))
    return figures[repeats.isin(common) & [found[key] >= common for key in keys]]


def means(figures: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean and standard deviation over the repeats, by "method" and "lam"."""
    by_setting = figures.groupby(level=["method", "lam"], sort=False, dropna=False)
    return by_setting.mean(), by_setting.std()


def ranked(
    mean: pd.DataFrame, performance: str, columns: list[tuple[str, str]]
) -> pd.DataFrame:
    """Compute "MR" and "delta-m" of each method, as the paper does.

    `mean` has a row per method; delta-m is relative to `BASELINE`, which is not ranked.
    `performance`, the metric of the task, counts once for each attribute; `columns` are
    those of the differences. Both figures are NaN where one of the method is undefined,
    and everywhere without the baseline.
    """
    if BASELINE not in mean.index:
        return pd.DataFrame(np.nan, index=mean.index, columns=["MR", "delta-m"])
    attributes = dict.fromkeys(attribute for attribute, _ in columns)
    of_task = {(name, performance): mean[OVERALL, performance] for name in attributes}
    nested = pd.DataFrame(of_task | {column: mean[column] for column in columns})
    higher = [performance]
    with warnings.catch_warnings():
        # A baseline without a difference leaves a NaN, which the table shows.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        change = delta_m(
            nested, baseline=BASELINE, higher_is_better=higher, reduce="sum_per_task"
        )
    ranks = mean_rank(nested, baseline=BASELINE, higher_is_better=higher)
    return pd.DataFrame({"MR": ranks.reindex(mean.index), "delta-m": change})
