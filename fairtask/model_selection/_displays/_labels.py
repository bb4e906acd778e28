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
    figure = ax.figure.canvas.figure  # also of a part of a figure
    figure.draw_without_rendering()  # the layout decides where there is room
    columns = ["disparity", "performance"]
    positions = points[columns].dropna().to_numpy(dtype=float)
    positions = ax.transData.transform(positions)
    legend = ax.get_legend()
    taken = [] if legend is None else [legend.get_window_extent()]
    for i, method in enumerate(points["method"].unique()):
        front = points[on_front & (points["method"] == method)]
        front = front.sort_values("disparity", kind="stable")
        n_labels = min(len(front), MAX_NAMED)
        # Below and above in turn, since fronts often overlap.
        first = "above left" if i % 2 else "below right"
        sides = sorted(SIDES, key=lambda side: side != first)
        for row in np.linspace(0, len(front) - 1, n_labels).round().astype(int):
            point = tuple(front[columns].iloc[row])
            text = literal(front["label"].iloc[row])
            labels = [_draw_label(ax, point, text, side) for side in sides]
            _keep_best(ax, labels, positions, taken)


def _draw_label(ax: Any, point: tuple[float, ...], text: str, side: str) -> Any:
    return ax.annotate(
        text, point, textcoords="offset points", fontsize=7, **SIDES[side]
    )


def _keep_best(ax: Any, labels: list, positions: np.ndarray, taken: list) -> None:
    """Keep the label that covers the fewest points, if there is room for one.

    `positions` are those of all points in pixels, `taken` the boxes of other labels.
    """
    inside = ax.get_window_extent()
    best, fewest = None, np.inf
    for label in labels:
        box = label.get_window_extent().padded(GAP)
        is_inside = (box.min >= inside.min).all() and (box.max <= inside.max).all()
        n_covered = box.count_contains(positions)
        if is_inside and not box.count_overlaps(taken) and n_covered < fewest:
            best, fewest = label, n_covered
    for label in labels:
        if label is not best:
            label.remove()
    if best is not None:
        taken.append(best.get_window_extent())
