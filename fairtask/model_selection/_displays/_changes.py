"""Values before and after, with the intervals of their changes."""

from typing import Any, Self

import numpy as np
import pandas as pd

from fairtask.metrics import ReportComparison
from fairtask.model_selection._displays._shared import (
    check_type,
    group_name,
    in_words,
    make_axes,
    tidy_lines,
)

__all__ = ["ReportComparisonDisplay"]


class ReportComparisonDisplay:
    """Two models on the same samples: what changed, with intervals.

    The left panel has an arrow for each metric of an attribute and each statistic of
    all samples, from its value before to that after; the right panel has the change
    with its interval. A change whose interval contains 0 is drawn hollow.

    Parameters
    ----------
    comparison : ReportComparison
        The numbers to draw.

    Attributes
    ----------
    axes_ : ndarray of shape (1, 2)
        Axes of the panels.
    figure_ : Figure

    Examples
    --------
    >>> from fairtask.metrics import compare_reports, fairness_report
    >>> from fairtask.model_selection import ReportComparisonDisplay
    >>> y, z = [0, 0, 1, 1] * 50, ["f", "m"] * 100
    >>> before, after = (
    ...     fairness_report(y, y_pred, sensitive_features=z, random_state=0)
    ...     for y_pred in ([0, 1, 0, 1] * 50, [0, 0, 1, 1] * 50)
    ... )
    >>> comparison = compare_reports(before, after, random_state=0)
    >>> ReportComparisonDisplay(comparison).plot().axes_.shape
    (1, 2)
    """

    def __init__(self, comparison: ReportComparison) -> None:
        check_type("comparison", comparison, ReportComparison, "compare_reports")
        self.comparison = comparison

    def plot(self, ax: Any = None) -> Self:
        """Draw values and changes.

        Parameters
        ----------
        ax : array-like of Axes, default=None
            Two axes to draw in. None: make a figure.
        """
        tables = [self.comparison.differences, self.comparison.overall]
        rows = pd.concat([table.reset_index(drop=True) for table in tables])
        # A gap separates the metrics of groups from the statistics of all samples.
        starts = np.repeat([0, 1], [len(table) for table in tables])
        positions = -(np.arange(len(rows)) + starts)
        self.figure_, self.axes_ = make_axes(
            ax, 1, 2, size=(4, 0.9 + 0.28 * (len(rows) + 2)), sharey=True
        )
        values, changes = self.axes_[0]
        _draw_values(values, positions, rows)
        _draw_changes(changes, positions, rows)
        level = f"{100 * self.comparison.confidence_level:g}%"
        values.set_title("before (ring) and after (dot)", fontsize="medium")
        changes.set_title(f"change, with {level} intervals", fontsize="medium")
        changes.set_xlabel("hollow: may be due to chance")
        changes.set_yticks(positions, [""] * len(positions))
        values.set_yticks(positions, self._labels())
        return self

    def _labels(self) -> list[str]:
        metrics = [
            f"{group_name(attribute)}: {in_words(metric)}"
            for attribute, metric in self.comparison.differences.index
        ]
        statistics = [
            " of class ".join([in_words(statistic), *map(group_name, classes)])
            for *classes, statistic in (
                key if isinstance(key, tuple) else (key,)
                for key in self.comparison.overall.index
            )
        ]
        return metrics + statistics


def _draw_values(ax: Any, positions: np.ndarray, rows: pd.DataFrame) -> None:
    ax.hlines(positions, rows["before"], rows["after"], color="0.6", zorder=1)
    ax.plot(rows["before"], positions, "o", color="black", fillstyle="none")
    ax.plot(rows["after"], positions, "o", color="black", markersize=4)
    tidy_lines(ax, positions)


def _draw_changes(ax: Any, positions: np.ndarray, rows: pd.DataFrame) -> None:
    change, low, high = rows[["change", "low", "high"]].to_numpy().T
    is_certain = (low > 0) | (high < 0)
    ax.axvline(0, color="0.3", linestyle=":", linewidth=1)
    # Without an upper limit there is no end to draw.
    known = np.isfinite(low) & np.isfinite(high)
    style = {"color": "0.45", "linewidth": 2, "zorder": 1}
    ax.hlines(positions[known], low[known], high[known], **style)
    for chosen, fill in ((is_certain, "black"), (~is_certain, "white")):
        style = {"color": "black", "markerfacecolor": fill, "markersize": 5}
        ax.plot(change[chosen], positions[chosen], "o", **style)
    tidy_lines(ax, positions)
