"""Tables of the statistics of each group and of what they amount to."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from fairtask.metrics._group_metric import GroupMetric
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._scores import sample_losses

__all__ = ["FairnessReport", "format_intervals"]


class FairnessReport(pd.DataFrame):
    """Statistics of each group, and the differences between groups.

    It is a data frame with a row per attribute and group (and, for more than two
    classes, per class against the rest), and a column per statistic. Its parts are
    ordinary data frames, and its copies are reports. `fairness_report` makes it.

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
    n_unknown_level : int
        The number of samples in none of the levels of the control features, which have
        a missing value. A printed report says how many there are.
    is_constant : bool
        Whether all predictions are one class although `y_true` has several. No group
        has other rates then, which says nothing about fairness; a printed report says
        so.

    Examples
    --------
    >>> from fairtask.metrics import fairness_report
    >>> report = fairness_report(
    ...     [0, 1, 0, 1] * 25,
    ...     [0, 1, 1, 1] * 25,
    ...     sensitive_features=["f", "f", "m", "m"] * 25,
    ...     random_state=0,
    ... )
    >>> report["selection_rate"].tolist()
    [0.5, 1.0]
    >>> report.overall["selection_rate"].item()
    0.75
    >>> report.differences.loc[
    ...     ("sensitive_feature", "demographic_parity_difference"), "value"
    ... ].item()
    0.5
    """

    differences: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    confidence_level: float
    n_unknown: Mapping[str, int]
    n_unknown_level: int
    is_constant: bool
    overall: pd.DataFrame
    _samples: GroupedSamples
    _metrics: list[GroupMetric]
    _min_group_size: int

    # The attributes that pandas keeps and pickles with the object.
    _metadata: ClassVar[list[str]] = [
        "differences",
        "low",
        "high",
        "overall",
        "confidence_level",
        "is_constant",
        "n_unknown",
        "n_unknown_level",
        "_samples",
        "_metrics",
        "_min_group_size",
    ]

    @property
    def _constructor(self) -> Callable:
        return pd.DataFrame

    # pandas declares its copies final, and they are data frames.
    def copy(self, deep: bool = True) -> "FairnessReport":  # type: ignore[misc]
        """Copy the report, with all that belongs to it.

        `copy.copy` and `copy.deepcopy` do the same.

        Parameters
        ----------
        deep : bool, default=True
            Whether the tables are copied, too.
        """
        copied = FairnessReport(super().copy(deep))
        for name in self._metadata:
            value = getattr(self, name)
            is_table = isinstance(value, pd.DataFrame)
            setattr(copied, name, value.copy() if deep and is_table else value)
        return copied

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
            values["roc_auc"] = samples.scores()[:, 0]
        if "log_loss" in self:
            prob = samples.true_class_probabilities()
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
        """Say which class is positive, unless it is 1, and what is missing."""
        samples = self._samples
        positives = [samples.classes[code] for code in samples.positives]
        named = len(positives) == 1 and positives[0] != 1
        notes = [f"The positive class is {positives[0]!r}."] if named else []
        missing = {f"group of {name}": n for name, n in self.n_unknown.items()}
        missing["level of the control features"] = self.n_unknown_level
        notes += [
            f"{n} sample{' is' if n == 1 else 's are'} in no {part}."
            for part, n in missing.items()
            if n
        ]
        return notes + [
            f"There is no interval of {metric.name}: {metric.family.no_limits}."
            for metric in self._metrics
            if metric.family.no_limits
        ]

    def _heading(self) -> str:
        names = self.differences.index.unique("metric")
        are_differences = names.str.endswith("_difference").all()
        heading = (
            "Differences between groups" if are_differences else "Metrics of the groups"
        )
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
        f"{value:z.{digits}f}"
        + (f" [{a:z.{digits}f}, {b:z.{digits}f}]" if np.isfinite(a) else "")
        for value, a, b in zip(values, low, high, strict=True)
    ]
    return pd.Series(rows, index=values.index, name=values.name)
