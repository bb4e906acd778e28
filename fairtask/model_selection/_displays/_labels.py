"""Labels of points, placed where they cover nothing."""

from typing import Any

import numpy as np
import pandas as pd

from fairtask.model_selection._displays._shared import MAX_NAMED, literal

__all__ = ["label_fronts"]

GAP = 2
"""Pixels between two labels."""

SIDES: dict[str, dict[str, Any]] = {
    "below right": {"xytext": (5, -10), "ha": "left"},
    "above left": {"xytext": (-5, 6), "ha": "right"},
    "above right": {"xytext": (5, 6), "ha": "left"},
    "below left": {"xytext": (-5, -10), "ha": "right"},
}


def label_fronts(ax: Any, points: pd.DataFrame, on_front: np.ndarray) -> None:
    """Label the points of each method's front; of many, some at equal distances.

    The axes are complete but for the labels. `points` are those of a
    `ParetoFrontDisplay`.
    """
    columns = ["disparity", "performance"]
    positions = points[columns].dropna().to_numpy(dtype=float)
    labels = _PointLabels(ax, positions)
    for i, method in enumerate(points["method"].unique()):
        front = points[on_front & (points["method"] == method)]
        front = front.sort_values("disparity", kind="stable")
        n_labels = min(len(front), MAX_NAMED)
        for row in np.linspace(0, len(front) - 1, n_labels).round().astype(int):
            labels.add(
                tuple(front[columns].iloc[row]),
                literal(front["label"].iloc[row]),
                # Below and above in turn, since fronts often overlap.
                first="above left" if i % 2 else "below right",
            )


class _PointLabels:
    """Labels of the points in an axes.

    Parameters
    ----------
    ax : Axes
        Axes that are complete but for the labels.
    points : ndarray of shape (n_points, 2)
        All points, which labels should not cover.
    """

    def __init__(self, ax: Any, points: np.ndarray) -> None:
        figure = ax.figure.canvas.figure  # also of a part of a figure
        figure.draw_without_rendering()  # the layout decides where there is room
        self.ax = ax
        self.points = ax.transData.transform(points)
        legend = ax.get_legend()
        self.taken = [] if legend is None else [legend.get_window_extent()]

    def add(self, point: tuple[float, ...], text: str, *, first: str) -> None:
        """Label a point, best on the side `first`, or not at all without room."""
        best, fewest = None, np.inf
        for side in sorted(SIDES, key=lambda side: side != first):
            label = self.ax.annotate(
                text, point, textcoords="offset points", fontsize=7, **SIDES[side]
            )
            box = label.get_window_extent().padded(GAP)
            n_covered = box.count_contains(self.points)
            if self._has_room(box) and n_covered < fewest:
                if best is not None:
                    best.remove()
                best, fewest = label, n_covered
            else:
                label.remove()
        if best is not None:
            self.taken.append(best.get_window_extent())

    def _has_room(self, box: Any) -> bool:
        inside = self.ax.get_window_extent()
        is_inside = (box.min >= inside.min).all() and (box.max <= inside.max).all()
        return is_inside and not box.count_overlaps(self.taken)
