"""What the figures share: scores, and lines that can be told apart in grey."""

from typing import Any

import numpy as np

__all__ = ["BESIDE", "MAX_NAMED", "class_scores", "group_name", "make_axes", "styles"]

MAX_NAMED = 8
"""More lines or colours than this cannot be told apart."""

MARKERS = "osD^vPX*<>ph"
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

MAX_LENGTH = 30
"""Characters of a name that are shown."""


BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
"""Place of a legend that hides nothing."""


def styles(n: int) -> list[dict[str, Any]]:
    """Return colour, marker and line of each of n series.

    The colours run from dark to light and stay apart in grey; markers and lines repeat
    after different numbers, so that their pairs hardly do.
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


def class_scores(estimator: Any, X: Any) -> np.ndarray:
    """Return scores of a fitted classifier, a column per class.

    Probabilities, or the decision function where there are none.
    """
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)
    scores = np.asarray(estimator.decision_function(X))
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores


def group_name(group: Any) -> str:
    """Return a group, or the combination of several, as text that leaves room."""
    name = " & ".join(map(str, group)) if isinstance(group, tuple) else str(group)
    return name if len(name) <= MAX_LENGTH else name[: MAX_LENGTH - 1] + "…"


def make_axes(
    ax: Any, n_rows: int, n_columns: int, *, size: tuple[float, float], **kwargs: Any
) -> tuple[Any, np.ndarray]:
    """Return the figure and an array of axes, of the user's or of a new figure.

    Parameters
    ----------
    ax : Axes, array-like of Axes, or None
    n_rows, n_columns : int
        Panels needed.
    size : (float, float)
        Width and height of a panel in inches.
    **kwargs
        For `matplotlib.pyplot.subplots`.

    Returns
    -------
    figure : Figure
    axes : ndarray of shape (n_rows, n_columns)
    """
    import matplotlib.pyplot as plt

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
    if len(axes) != n_rows * n_columns:
        raise ValueError(
            f"`ax` must be None or {n_rows * n_columns} axes, one for each panel "
            f"({n_rows} x {n_columns}); got {len(axes)}."
        )
    return axes[0].figure, axes.reshape(n_rows, n_columns)
