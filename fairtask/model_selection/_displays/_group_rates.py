"""Rates of each group, with intervals."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from fairtask.metrics import FairnessReport, fairness_report
from fairtask.model_selection._displays._shared import (
    check_type,
    group_name,
    in_words,
    make_axes,
    tidy_lines,
)
from fairtask.model_selection._predictions import predict_all

__all__ = ["GroupRatesDisplay"]

DEFAULT_RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")


class GroupRatesDisplay:
    """Rates of each group, with intervals: a panel per rate, a line per group.

    A dotted line marks the rate of all groups together. Make the display with
    `from_estimator` or `from_predictions`.

    Parameters
    ----------
    report : FairnessReport
        The numbers to draw.

    Attributes
    ----------
    axes_ : ndarray of shape (n_classes, n_rates)
        Axes of the panels; one row, or for more than two classes a row per class.
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
        check_type("report", report, FairnessReport, "fairness_report")
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
        """Draw the rates of a fitted classifier.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier.
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Their labels.
        sensitive_features, rates, ax, **report_params
            See `from_predictions`.
        """
        with_scores = not {"roc_auc", "log_loss"}.isdisjoint(_read_rates(rates))
        labels, y_pred, y_score = predict_all(
            estimator, X, y, with_scores=with_scores, argument="estimator"
        )
        return cls.from_predictions(
            y,
            y_pred,
            y_score,
            sensitive_features=sensitive_features,
            rates=rates,
            ax=ax,
            **{"labels": labels, **report_params},
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
        """Draw the rates of predictions.

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
        rates, ax
            See `plot`.
        **report_params
            Further arguments of `fairness_report`, such as ``confidence_level``.
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
        """Draw the rates.

        Parameters
        ----------
        ax : array-like of Axes, default=None
            Axes to draw in, one for each panel. None: make a figure.
        rates : sequence of str, default=None
            Columns of the report to draw. None: selection rate, true and false positive
            rate.
        """
        report = self.report
        rates = _read_rates(rates)
        known = [name for name in report.columns if name in report.low]
        if not set(rates) <= set(known):
            raise ValueError(
                f"`rates` must name some of {known}; got {rates!r}. Scores add "
                "'roc_auc' and 'log_loss'."
            )
        if report.empty:
            raise ValueError(
                "`report` must have a group; all `sensitive_features` are missing."
            )
        classes: list[Any] = [None]
        if "class" in report.index.names:
            classes = list(report.index.unique("class"))
        n_groups = len(report) // len(classes)
        self.figure_, self.axes_ = make_axes(
            ax,
            len(classes),
            len(rates),
            size=(3.2, 0.9 + 0.28 * (n_groups + report.index.nlevels)),
            sharey=True,
        )
        for row, c in zip(self.axes_, classes, strict=True):
            tables: list[Any]
            tables = [pd.DataFrame(report), report.low, report.high, report.overall]
            if c is not None:
                tables = [table.xs(c, level="class") for table in tables]
            positions = _positions(tables[0])
            for panel, rate in zip(row, rates, strict=True):
                _draw_panel(panel, positions, *(table[rate] for table in tables))
                title = in_words(rate)
                if c is not None:
                    title += f", class {group_name(c)}"
                panel.set_title(title, fontsize="medium")
                # The panels of a new figure share these labels, the user's may not.
                panel.set_yticks(positions, [""] * len(positions))
            row[0].set_yticks(positions, _group_labels(tables[0]["n"]))
        return self


def _read_rates(rates: Any) -> list[str]:
    """Return the columns to draw, or raise a ValueError if these are no names."""
    if rates is None:
        return list(DEFAULT_RATES)
    names = list(rates) if pd.api.types.is_list_like(rates) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            "`rates` must name some of the columns of the report, such as "
            f"{DEFAULT_RATES[0]!r}; got {rates!r}."
        )
    return names


def _positions(table: pd.DataFrame) -> np.ndarray:
    """Return the height of each group, with a gap between attributes."""
    attribute = table.index.get_level_values("attribute")
    starts = np.r_[False, attribute[1:] != attribute[:-1]]
    return -(np.arange(len(table)) + starts.cumsum())


def _group_labels(sizes: Any) -> list[str]:
    has_several = len(sizes.index.unique("attribute")) > 1
    return [
        f"{f'{group_name(attribute)}: ' if has_several else ''}"
        f"{group_name(group)}  (n={n})"
        for (attribute, group), n in sizes.items()
    ]


def _draw_panel(
    ax: Any,
    positions: np.ndarray,
    values: pd.Series,
    low: pd.Series,
    high: pd.Series,
    overall: pd.Series,
) -> None:
    ax.hlines(positions, low, high, color="0.45", linewidth=2, zorder=1)
    ax.plot(values, positions, "o", color="black", markersize=5)
    ax.axvline(overall.iloc[0], color="0.3", linestyle=":", linewidth=1)
    tidy_lines(ax, positions)
