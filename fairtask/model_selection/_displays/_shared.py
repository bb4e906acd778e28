"""Styles, names and axes that several displays need."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "BESIDE",
    "MAX_NAMED",
    "check_type",
    "draw_group_panels",
    "group_name",
    "in_words",
    "literal",
    "make_axes",
    "styles",
    "tidy_lines",
]

MAX_NAMED = 8
"""A reader can distinguish no more lines or colours than this."""

MAX_LENGTH = 30
"""Characters of a name that are shown."""

MARKERS = "osD^vPX*<>ph"
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
"""Place of a legend beside the axes, where it hides nothing."""


def styles(n: int) -> list[dict[str, Any]]:
    """Return colour, marker and line of each of n series.

    The colours run from dark to light, so that they differ in grey, too. Markers and
    lines repeat after different numbers, so that their combinations hardly do.
    """
    import matplotlib

    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, max(n, 2)))
    return [
        {
            "color": tuple(colours[i]),
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[i % len(LINES)],
        }
        for i in range(n)
    ]


def literal(name: Any) -> str:
    """Return a name in the form in which matplotlib draws it as it is.

    Dollars would enclose mathematics, and a legend leaves out names that start with an
    underscore.
    """
    text = str(name).replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{text}" if text.startswith("_") else text


def group_name(group: Any) -> str:
    """Return a group, or a combination of several, as a text of limited length."""
    name = " & ".join(map(str, group)) if isinstance(group, tuple) else str(group)
    return literal(name if len(name) <= MAX_LENGTH else name[: MAX_LENGTH - 1] + "…")


def in_words(name: str) -> str:
    """Return the name of a metric as words."""
    words = name.replace("_", " ")
    return literal(re.sub(r"\b(roc )?auc\b", "AUC", words))


def make_axes(
    ax: Any, n_rows: int, n_columns: int, *, size: tuple[float, float], **kwargs: Any
) -> tuple[Any, np.ndarray]:
    """Return the figure and the axes, shape (n_rows, n_columns), of the user or new.

    A new figure has panels of this size in inches; `kwargs` are those of ``subplots``.
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        return plt.subplots(
            n_rows,
            n_columns,
            figsize=(size[0] * n_columns, size[1] * n_rows),
            squeeze=False,
            layout="constrained",
            **kwargs,
        )
    axes = np.array(ax, dtype=object).ravel()
    others = [axis for axis in axes if not isinstance(axis, Axes)]
    if others or len(axes) != n_rows * n_columns:
        raise ValueError(
            f"`ax` must be None or {n_rows * n_columns} axes, one for each panel "
            f"({n_rows} x {n_columns}); got "
            f"{f'{others[0]!r} among them' if others else len(axes)}."
        )
    return axes[0].figure, axes.reshape(n_rows, n_columns)


def check_type(argument: str, value: Any, expected: type, source: str) -> None:
    """Raise a ValueError unless a display got the object that a function returns."""
    if not isinstance(value, expected):
        raise ValueError(
            f"`{argument}` must be a {expected.__name__}, which `{source}` returns; "
            f"got {type(value).__name__}."
        )


def draw_group_panels(
    draw: Callable[[Any, Any, Any], None],
    ax: Any,
    attributes: list,
    classes: list,
    *,
    labels: tuple[str, str],
    markerscale: float = 1.0,
    **kwargs: Any,
) -> tuple[Any, np.ndarray]:
    """Draw a row of panels per attribute, with a panel per class and a legend.

    `draw` is called with the axes, attribute and class of each panel. `labels` are for
    the x axes and the y axes, `kwargs` for `make_axes`.
    """
    figure, axes = make_axes(ax, len(attributes), len(classes), **kwargs)
    for row, attribute in zip(axes, attributes, strict=True):
        for panel, c in zip(row, classes, strict=True):
            draw(panel, attribute, c)
            panel.set_title(f"class {group_name(c)}", fontsize="medium")
        row[0].set_ylabel(labels[1])
        row[-1].legend(
            title=group_name(attribute),
            fontsize="small",
            markerscale=markerscale,
            **BESIDE,
        )
    for panel in axes[-1]:
        panel.set_xlabel(labels[0])
    return figure, axes


def tidy_lines(ax: Any, positions: np.ndarray) -> None:
    """Frame lines at these heights, with a grid for their values only."""
    ax.set_ylim(positions.min() - 0.6, positions.max() + 0.6)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["left", "right", "top"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
