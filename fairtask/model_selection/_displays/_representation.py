"""Differences that heads show on a representation, and groups read from it."""

from typing import Any, Self

import numpy as np
import pandas as pd

from fairtask._validation import check_one_of
from fairtask.metrics import RepresentationAudit, audit_representation
from fairtask.metrics._audit import OWN_PREDICTION
from fairtask.model_selection._displays._shared import (
    check_type,
    group_name,
    in_words,
    make_axes,
    styles,
    tidy_lines,
)

__all__ = ["RepresentationDisplay"]

GROUP_STYLE = {"color": "0.2", "marker": "o"}
DOTTED: dict[str, Any] = {"color": "0.3", "linestyle": ":", "linewidth": 1}


class RepresentationDisplay:
    """Differences that heads show on a representation, and groups read from it.

    The left panel has a block per attribute with a line per head, the difference with
    its interval; a dotted line continues that of the own prediction. The right panel
    shows how well the group is read from the representation of samples of one class;
    at the dotted line it cannot be read. Make the display with `from_estimator`, or of
    an audit.

    Parameters
    ----------
    audit : RepresentationAudit
        The numbers to draw.

    Attributes
    ----------
    axes_ : ndarray of shape (1, 2)
        Axes of the panels.
    figure_ : Figure

    Raises
    ------
    ValueError
        If `audit` is anything else.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from fairtask.datasets import make_biased_classification
    >>> from fairtask.model_selection import RepresentationDisplay
    >>> X, y, z = make_biased_classification(n_samples=2_000, random_state=0)
    >>> display = RepresentationDisplay.from_estimator(
    ...     PCA(3).fit(X[:1000]),
    ...     X[:1000],
    ...     y[:1000],
    ...     sensitive_features=z[:1000],
    ...     X_test=X[1000:],
    ...     y_test=y[1000:],
    ...     sensitive_features_test=z[1000:],
    ...     n_resamples=100,
    ... )
    >>> display.axes_.shape
    (1, 2)
    """

    def __init__(self, audit: RepresentationAudit) -> None:
        check_type("audit", audit, RepresentationAudit, "audit_representation")
        self.audit = audit

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        metric: str = "equalized_odds_difference",
        ax: Any = None,
        **audit_params: Any,
    ) -> Self:
        """Audit ``transform(X)`` of a fitted estimator, and draw the audit.

        Parameters
        ----------
        estimator : estimator
            Fitted, with `transform`.
        X : array-like of shape (n_samples, ...)
            Samples to fit the heads to.
        y : array-like of shape (n_samples,)
            Their labels.
        metric, ax
            See `plot`.
        **audit_params
            Further arguments of `~fairtask.metrics.audit_representation`; groups and
            test samples are required.
        """
        return cls(audit_representation(estimator, X, y, **audit_params)).plot(
            ax=ax, metric=metric
        )

    def plot(
        self, ax: Any = None, *, metric: str = "equalized_odds_difference"
    ) -> Self:
        """Draw the differences and the group AUCs.

        Parameters
        ----------
        ax : array-like of Axes, default=None
            Two axes to draw in. None: make a figure.
        metric : str, default="equalized_odds_difference"
            Difference metric of the audit to draw.
        """
        audit = self.audit
        check_one_of("metric", metric, list(audit.differences.index.unique("metric")))
        heads = audit.performance.index.unique("head")
        attributes = list(audit.group_auc.index)
        # The name of an attribute has a line above its heads.
        names = -(len(heads) + 1.5) * np.arange(len(attributes))
        offsets = -1.0 - np.arange(len(heads))
        lines = np.concatenate([[name, *name + offsets] for name in names])
        self.figure_, self.axes_ = make_axes(
            ax,
            1,
            2,
            size=(4, 1.2 + 0.25 * (lines.max() - lines.min() + 1)),
            sharey=True,
        )
        left, right = self.axes_[0]
        for attribute, name in zip(attributes, names, strict=True):
            block = audit.differences.loc[attribute, metric].loc[heads]
            _draw_differences(left, name + offsets, block)
            _draw_interval(right, name, audit.group_auc.loc[attribute], GROUP_STYLE)
        for panel in (left, right):
            # The panels of a new figure share these labels, the user's may not.
            panel.set_yticks(lines, [""] * len(lines))
            tidy_lines(panel, lines)
        head_labels = self._head_labels()
        left.set_yticks(
            lines,
            [label for a in attributes for label in (group_name(a), *head_labels)],
        )
        for label in left.get_yticklabels()[:: len(heads) + 1]:
            label.set_fontweight("bold")
        left.set_xlim(left=0)
        left.tick_params(axis="y", pad=8)  # a marker at 0 needs room
        title = in_words(metric).replace(" difference", "\ndifference")
        left.set_title(title, fontsize="medium")
        if OWN_PREDICTION in heads:
            left.set_xlabel(f"dotted: {OWN_PREDICTION}", fontsize="small")
        right.axvline(0.5, **DOTTED)
        right.set_xlabel("dotted: cannot be read", fontsize="small")
        right.set_xlim(min(0.45, right.get_xlim()[0]), 1.02)
        right.set_xticks([0.5, 0.75, 1])
        right.set_title("AUC of the group\ninside the classes", fontsize="medium")
        return self

    def _head_labels(self) -> list[str]:
        """Name each head, with its performance."""
        table = self.audit.performance["value"]
        metric = table.index[0][0]
        return [
            f"{group_name(head)} ({in_words(metric)} {value:.3f}"
            f"{', one class' if head in self.audit.constant_heads else ''})"
            for head, value in table.loc[metric].items()
        ]


def _draw_differences(ax: Any, lines: np.ndarray, block: pd.DataFrame) -> None:
    """Draw the difference of each head, the rows of `block`, on a line of its own."""
    all_styles = styles(len(lines))
    for line, (_, row), style in zip(lines, block.iterrows(), all_styles, strict=True):
        _draw_interval(ax, line, row, style)
    if OWN_PREDICTION in block.index:
        own = block["value"].loc[OWN_PREDICTION]
        ax.plot([own, own], lines[[0, -1]] + [0.4, -0.4], **DOTTED)


def _draw_interval(ax: Any, line: float, row: pd.Series, style: dict) -> None:
    ax.hlines(line, row["low"], row["high"], color=style["color"], linewidth=2)
    marker = {"color": style["color"], "markersize": 5, "zorder": 3, "clip_on": False}
    ax.plot(row["value"], line, style["marker"], **marker)
