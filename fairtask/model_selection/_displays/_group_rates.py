"""Rates of each group, with intervals."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from fairtask.metrics import FairnessReport, fairness_report
from fairtask.model_selection._displays._shared import (
    class_scores,
    group_name,
    make_axes,
)

__all__ = ["GroupRatesDisplay"]

TITLES = {
    "selection_rate": "selection rate",
    "true_positive_rate": "true positive rate",
    "false_positive_rate": "false positive rate",
    "accuracy": "accuracy",
    "roc_auc": "AUC",
    "log_loss": "log loss",
}


class GroupRatesDisplay:
    """Rates of each group, with intervals: a panel per rate, a line per group.

    It is made by `from_estimator` or `from_predictions`.

    Parameters
    ----------
    report : FairnessReport

    Attributes
    ----------
    axes_ : ndarray of shape (n_classes, n_rates)
        Where it was drawn; one row of panels, or one per class.
    figure_ : Figure

    Examples
    --------
    >>> from fairtask.model_selection import GroupRatesDisplay
    >>> display = GroupRatesDisplay.from_predictions(
    ...     [0, 1, 0, 1], [0, 1, 1, 0], sensitive_features=["f", "f", "m", "m"]
    ... )
    >>> display.axes_.shape
    (1, 3)
    """

    def __init__(self, report: FairnessReport) -> None:
        self.report = report

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        sensitive_features: Any,
        rates: Sequence[str] | None = None,
        ax: Any = None,
        **report_params: Any,
    ) -> Self:
        """Draw what a fitted classifier does in each group.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier.
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Their labels.
        sensitive_features : array-like of shape (n_samples,) or \
                (n_samples, n_attributes)
            Group of each sample.
        rates, ax, **report_params
            See `from_predictions`.

        Returns
        -------
        display : GroupRatesDisplay
        """
        check_is_fitted(estimator)
        classes = getattr(estimator, "classes_", None)
        if isinstance(classes, np.ndarray):  # those of `y` may be fewer
            report_params.setdefault("labels", classes)
        y_score = None
        if rates is not None and {"roc_auc", "log_loss"} & set(rates):
            y_score = class_scores(estimator, X)
        return cls.from_predictions(
            y,
            estimator.predict(X),
            y_score,
            sensitive_features=sensitive_features,
            rates=rates,
            ax=ax,
            **report_params,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        y_score: Any = None,
        *,
        sensitive_features: Any,
        rates: Sequence[str] | None = None,
        ax: Any = None,
        **report_params: Any,
    ) -> Self:
        """Draw what is predicted in each group.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels.
        y_pred : array-like of shape (n_samples,)
            Predicted labels.
        y_score : array-like of shape (n_samples,) or (n_samples, n_classes), \
                default=None
            Scores, for "roc_auc" and "log_loss".
        sensitive_features : array-like of shape (n_samples,) or \
                (n_samples, n_attributes)
            Group of each sample.
        rates : sequence of str, default=None
            Columns of `fairness_report` to draw. None: selection rate, true and false
            positive rate.
        ax : array-like of Axes, default=None
            Where to draw, an axes for each panel. None: in a new figure.
        **report_params
            Further arguments of `fairness_report`, such as ``confidence_level``.

        Returns
        -------
        display : GroupRatesDisplay
        """
        report = fairness_report(
            y_true,
            y_pred,
            y_score,
            sensitive_features=sensitive_features,
            # Intervals of rates take no resamples.
            **{"n_resamples": 0 if y_score is None else 200, **report_params},
        )
        return cls(report).plot(ax=ax, rates=rates)

    def plot(self, ax: Any = None, *, rates: Sequence[str] | None = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : array-like of Axes, default=None
            Where to draw, an axes for each panel. None: in a new figure.
        rates : sequence of str, default=None
            Columns of the report to draw. None: selection rate, true and false positive
            rate.

        Returns
        -------
        display : GroupRatesDisplay
        """
        if rates is None:
            rates = ["selection_rate", "true_positive_rate", "false_positive_rate"]
        known = [name for name in self.report.columns if name in TITLES]
        unknown = [name for name in rates if name not in known]
        if isinstance(rates, str) or not rates or unknown:
            raise ValueError(
                f"`rates` must name some of {known}; got {rates!r}. Scores add "
                "'roc_auc' and 'log_loss'."
            )
        classes: list[Any] = [None]
        if "class" in self.report.index.names:
            classes = list(self.report.index.unique("class"))
        n_groups = len(self.report) // len(classes)
        self.figure_, self.axes_ = make_axes(
            ax,
            len(classes),
            len(rates),
            size=(3.2, 0.9 + 0.28 * (n_groups + self.report.index.nlevels)),
            sharey=True,
        )
        for axes, c in zip(self.axes_, classes, strict=True):
            tables: dict[str, Any] = {
                "value": pd.DataFrame(self.report),
                "low": self.report.low,
                "high": self.report.high,
                "overall": self.report.overall,
            }
            if c is not None:
                tables = {
                    name: table.xs(c, level="class") for name, table in tables.items()
                }
            for panel, rate in zip(axes, rates, strict=True):
                self._plot_panel(panel, rate, tables)
                title = TITLES[rate] if c is None else f"{TITLES[rate]}, class {c}"
                panel.set_title(title, fontsize="medium")
            self._label_groups(axes, tables["value"])
        return self

    def _positions(self, table: Any) -> np.ndarray:
        """Height of each group, with a gap between attributes."""
        attribute = table.index.get_level_values("attribute")
        starts = np.r_[False, attribute[1:] != attribute[:-1]]
        return -(np.arange(len(table)) + starts.cumsum())

    def _plot_panel(self, ax: Any, rate: str, tables: dict) -> None:
        values = tables["value"][rate].to_numpy()
        y = self._positions(tables["value"])
        low, high = tables["low"][rate], tables["high"][rate]
        ax.hlines(y, low, high, color="0.45", linewidth=2, zorder=1)
        ax.plot(values, y, "o", color="black", markersize=5)
        ax.axvline(
            tables["overall"][rate].iloc[0], color="0.3", linestyle=":", linewidth=1
        )
        ax.set_ylim(y.min() - 0.6, y.max() + 0.6)
        ax.grid(axis="x", color="0.9")
        ax.set_axisbelow(True)
        for side in ("left", "right", "top"):
            ax.spines[side].set_visible(False)
        ax.tick_params(axis="y", length=0)

    def _label_groups(self, axes: Any, table: Any) -> None:
        several = len(table.index.unique("attribute")) > 1
        labels = [
            f"{f'{attribute}: ' if several else ''}{group_name(group)}  (n={n})"
            for (attribute, group), n in table["n"].items()
        ]
        positions = self._positions(table)
        for ax in axes[1:]:  # those of the user may not share theirs
            ax.set_yticks(positions, [""] * len(labels))
        axes[0].set_yticks(positions, labels)
