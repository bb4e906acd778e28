"""Drawings of the fronts, in per cent as the tables: families by colour, with names."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fairtask.experiments._fronts import DIRECTIONS, OBJECTIVES, Fronts
from fairtask.model_selection import pareto_front

__all__ = ["draw_ablation", "draw_front", "family_colours"]

COLOURS = (
    *("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#e69f00", "#56b4e9", "#7f7f7f"),
)
"""Colours of Okabe and Ito, which differ for people who are colour-blind, and grey."""

MARKERS = "osD^vPX*"

GAP = 0.045
"""Least distance between two names, as a share of the height of the axes."""


def family_colours(families: Iterable[str]) -> dict[str, str]:
    """Return a colour for each family, in order of appearance."""
    distinct = dict.fromkeys(families)
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(distinct)}


def draw_front(fronts: Fronts) -> Figure:
    """Draw performance against EOD, with the front of all methods."""
    points = _in_per_cent(fronts.points)
    styles = _styles(fronts.families)
    names: dict[str, tuple[float, float]]
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    ax = figure.subplots()
    shown = points.dropna(subset=OBJECTIVES)
    best = shown[
        pareto_front(shown[OBJECTIVES].to_numpy(), greater_is_better=DIRECTIONS)
    ]
    best = best.sort_values("disparity")
    ax.plot(best["disparity"], best["performance"], color="0.85", linewidth=7, zorder=0)
    names = {}
    for method, rows in shown.groupby("method", sort=False):
        style = styles[str(method)]
        ax.errorbar(
            rows["disparity"],
            rows["performance"],
            rows["performance error"],
            rows["disparity error"],
            fmt="none",
            ecolor=style["color"],
            elinewidth=0.6,
            alpha=0.6,
        )
        front = rows[rows["on_front"]].sort_values("disparity")
        label = _plain(str(method))
        ax.plot(front["disparity"], front["performance"], label=label, **style)
        beaten = rows[~rows["on_front"]]
        hollow = {**style, "linestyle": "none", "markerfacecolor": "white"}
        ax.plot(beaten["disparity"], beaten["performance"], **hollow)
        end = front.iloc[-1]
        names[str(method)] = end["disparity"], end["performance"]
    ax.set(
        xlabel=f"EOD, {_plain(fronts.attribute)}, % (lower is better)",
        ylabel=f"{fronts.performance}, % (higher is better)",
    )
    ax.grid(color="0.93")
    ax.set_axisbelow(True)
    _name_beside(ax, names, styles)
    _add_legend(figure, fronts.families, shown["method"], "the front of all methods")
    if fronts.not_shown:
        figure.suptitle(_plain(_not_shown(fronts)), fontsize="small", color="0.3")
    return figure


def draw_ablation(fronts: Fronts) -> Figure:
    """Draw performance and EOD over lam, a line per method."""
    varied = _in_per_cent(fronts.points).dropna(subset="lam")
    styles = _styles(fronts.families)
    names: dict[str, tuple[float, float]]
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    labels = (
        f"{fronts.performance}, % (higher is better)",
        f"EOD, {_plain(fronts.attribute)}, % (lower is better)",
    )
    panels = figure.subplots(1, 2)
    for ax, column, label in zip(panels, OBJECTIVES, labels, strict=True):
        names = {}
        for method, rows in varied.dropna(subset=column).groupby("method", sort=False):
            style = styles[str(method)]
            mean, error = rows[column], rows[f"{column} error"]
            band = {"color": style["color"], "alpha": 0.1, "linewidth": 0}
            ax.fill_between(rows["lam"], mean - error, mean + error, **band)
            ax.plot(rows["lam"], mean, label=_plain(str(method)), **style)
            names[str(method)] = rows["lam"].iloc[-1], mean.iloc[-1]
        ax.set(xlabel="lam, the weight of the task", ylabel=label)
        ax.grid(color="0.93")
        _name_beside(ax, names, styles)
    label = "bands: one standard error"
    _add_legend(figure, fronts.families, varied["method"], label)
    return figure


def _in_per_cent(points: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in map(str, points) if name.split()[0] in OBJECTIVES]
    return points.assign(**{name: 100 * points[name] for name in columns})


def _styles(families: pd.Series) -> dict[str, dict[str, Any]]:
    """Return colour and marker of each method: the former is that of its family."""
    colours = family_colours(families)
    numbers = families.groupby(families, sort=False).cumcount()
    return {
        str(method): {
            "color": colours[family],
            "marker": MARKERS[number % len(MARKERS)],
            "markersize": 5,
            "linewidth": 1.2,
        }
        for (method, family), number in zip(families.items(), numbers, strict=True)
    }


def _name_beside(
    ax: Any, ends: Mapping[str, tuple[float, float]], styles: Mapping[str, Any]
) -> None:
    """Write the names of lines on the right, each joined with the end of its line."""
    ax.margins(0.06)
    low, high = ax.get_ylim()
    heights = [(y - low) / (high - low) for _, y in ends.values()]
    for (method, end), height in zip(ends.items(), _apart(heights), strict=True):
        colour = styles[method]["color"]
        ax.annotate(
            _plain(method),
            end,
            xytext=(1.03, height),
            textcoords="axes fraction",
            color=colour,
            fontsize="small",
            verticalalignment="center",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "alpha": 0.5},
        )


def _apart(heights: Sequence[float]) -> np.ndarray:
    """Move heights as little as is needed for a distance of `GAP`, downwards first."""
    order = np.argsort(heights)[::-1]
    moved = np.array(heights, dtype=float)
    for above, below in pairwise(order):
        moved[below] = min(moved[below], moved[above] - GAP)
    lowest = 0.0
    for i in order[::-1]:
        moved[i] = lowest = max(moved[i], lowest)
        lowest += GAP
    return moved


def _add_legend(
    figure: Figure, families: pd.Series, methods: pd.Series, other: str
) -> None:
    """Explain the colours of these methods below the axes."""
    drawn = set(families[methods])
    handles = [
        Line2D([], [], color=colour, label=_plain(name), linewidth=3)
        for name, colour in family_colours(families).items()
        if name in drawn
    ]
    handles.append(Line2D([], [], color="0.85", label=other, linewidth=7))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3,
        fontsize="small",
        frameon=False,
    )


def _not_shown(fronts: Fronts) -> str:
    reasons = (f"{method} ({reason})" for method, reason in fronts.not_shown.items())
    return f"Not shown: {', '.join(reasons)}."


def _plain(text: str) -> str:
    """Keep matplotlib from taking the text between two dollars for mathematics."""
    return text.replace("$", r"\$")
