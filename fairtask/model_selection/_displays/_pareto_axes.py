"""Models, fronts and the legend in the axes of performance against disparity."""

from typing import Any

import numpy as np
import pandas as pd

from fairtask.model_selection._displays._shared import BESIDE, literal, styles

__all__ = ["draw_legend", "draw_models"]

HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "linestyle": "none", "zorder": 1}
"""Of points that another one of the same method beats."""

SIGN: dict[str, Any] = {"color": "black", "linestyle": "none", "zorder": 3}
"""Of signs around points."""


def draw_models(ax: Any, points: pd.DataFrame, on_front: np.ndarray) -> None:
    """Draw the models of each method with its front, and signs around some of them.

    `points` are those of a `ParetoFrontDisplay`.
    """
    methods = points["method"].unique()
    for method, style in zip(methods, styles(len(methods)), strict=True):
        rows = (points["method"] == method).to_numpy()
        front = points[rows & on_front].sort_values("disparity", kind="stable")
        _draw_error_bars(ax, points[rows], style["color"])
        _draw_points(ax, front, label=literal(method), markersize=7, **style)
        beaten = points[rows & ~on_front]
        _draw_points(ax, beaten, markersize=6, **{**style, **HOLLOW})
    constant, chosen = (
        points[points[column]] if column in points else points[:0]
        for column in ("constant", "chosen")
    )
    if len(constant):
        style = {"marker": "x", "markersize": 12, **SIGN}
        _draw_points(ax, constant, label="constant predictions", **style)
    if len(chosen):
        label = ": ".join(filter(None, ["chosen", *map(literal, chosen["label"])]))
        style = {"marker": "o", "markerfacecolor": "none", "markersize": 13, **SIGN}
        _draw_points(ax, chosen, label=label, **style)


def _draw_points(ax: Any, points: pd.DataFrame, **style: Any) -> None:
    ax.plot(points["disparity"], points["performance"], linewidth=1, **style)


def _draw_error_bars(ax: Any, points: pd.DataFrame, color: Any) -> None:
    errors = {}
    for name, kind in (("xerr", "disparity"), ("yerr", "performance")):
        ends = points[[f"{kind}_low", f"{kind}_high"]].to_numpy().T
        errors[name] = np.nan_to_num(np.abs(ends - points[kind].to_numpy()))
    ax.errorbar(
        points["disparity"],
        points["performance"],
        **errors,
        fmt="none",
        ecolor=color,
        elinewidth=0.6,
        alpha=0.6,
    )


def draw_legend(
    ax: Any,
    points: pd.DataFrame,
    on_front: np.ndarray,
    title: str | None,
    *,
    is_beside: bool,
) -> None:
    """Draw the legend of the methods and signs."""
    from matplotlib.lines import Line2D

    handles, _ = ax.get_legend_handles_labels()
    if not on_front.all():
        style = {"color": "0.3", "marker": "o", **HOLLOW}
        beaten = Line2D([], [], label="dominated", **style)
        handles.insert(points["method"].nunique(), beaten)
    ax.legend(
        handles=handles,
        title=title,
        title_fontsize="small",
        fontsize="small",
        # Beside the axes there may be no room in a user's figure.
        **(BESIDE if is_beside else {}),
    )
