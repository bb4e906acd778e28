"""Learning curves of the groups."""

import reprlib
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from fairtask._validation import check_one_of
from fairtask.model_selection._displays._shared import (
    MAX_NAMED,
    draw_group_panels,
    group_name,
    styles,
)
from fairtask.model_selection._predictions import last_step

__all__ = ["GroupLossDisplay"]


class GroupLossDisplay:
    """Learning curves of the groups: a panel per attribute and class, a line per group.

    Make it with `from_estimator`.

    Parameters
    ----------
    losses : DataFrame
        A row per epoch; columns with the levels "attribute", "class" and "group", as
        ``group_history_`` has them for one part and one task.
    part : str, default="train"
        Name of the part, for the axes.

    Attributes
    ----------
    axes_ : ndarray of shape (n_attributes, n_classes)
        Axes of the panels.
    figure_ : Figure

    Examples
    --------
    >>> from fairtask import AuxiliaryFairnessClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> from fairtask.model_selection import GroupLossDisplay
    >>> X, y, z = make_biased_classification(n_samples=1_000, random_state=0)
    >>> clf = AuxiliaryFairnessClassifier(max_epochs=3, random_state=0)
    >>> clf.fit(X, y, sensitive_features=z)
    AuxiliaryFairnessClassifier(max_epochs=3, random_state=0)
    >>> GroupLossDisplay.from_estimator(clf).axes_.shape
    (1, 2)
    """

    def __init__(self, losses: pd.DataFrame, *, part: str = "train") -> None:
        levels = {"attribute", "class", "group"}
        is_table = isinstance(losses, pd.DataFrame)
        if not is_table or not levels <= set(losses.columns.names):
            raise ValueError(
                f"`losses` must be a DataFrame with the levels {sorted(levels)} of "
                f"columns; got {reprlib.repr(losses)}."
            )
        self.losses = losses
        self.part = part

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        part: Literal["train", "valid"] = "train",
        task: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the losses that an estimator of this package recorded in training.

        Parameters
        ----------
        estimator : estimator
            Fitted with sensitive features; or a pipeline that ends in one, or a search
            that has refitted one.
        part : {"train", "valid"}, default="train"
            Training samples, with the network as it was during the epoch; or validation
            samples.
        task : str, default=None
            One of several tasks. None: the only one.
        ax : array-like of Axes, default=None
            Axes to draw in, one for each panel. None: make a figure.
        """
        check_one_of("part", part, ("train", "valid"))
        history = getattr(last_step(estimator), "group_history_", None)
        if history is None:
            raise ValueError(
                "`estimator` must be a fitted estimator of this package, which records "
                f"the losses of groups; got {type(estimator).__name__}."
            )
        if not history.shape[1] or part not in history.columns.get_level_values("part"):
            raise ValueError(
                f"`part={part!r}` was not recorded: `fit` needs `sensitive_features`"
                f"{' and validation data' if part == 'valid' else ''}."
            )
        losses = history.xs(part, axis=1, level="part")
        if "task" in losses.columns.names:
            tasks = losses.columns.unique("task").tolist()
            if task not in tasks:
                raise ValueError(f"`task` must be one of {tasks}; got {task!r}.")
            losses = losses.xs(task, axis=1, level="task")
        elif task is not None:
            raise ValueError(f"`task` must be None for one task; got {task!r}.")
        return cls(losses, part=part).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : array-like of Axes, default=None
            Axes to draw in, one for each panel. None: make a figure.
        """
        self.figure_, self.axes_ = draw_group_panels(
            self._draw_panel,
            ax,
            list(self.losses.columns.unique("attribute")),
            list(self.losses.columns.unique("class")),
            labels=("epoch", f"{self.part} loss"),
            size=(4.2, 3.0),
            sharex=True,
        )
        for panel in self.axes_[-1]:
            panel.xaxis.get_major_locator().set_params(integer=True)
        return self

    def _draw_panel(self, ax: Any, attribute: Any, c: Any) -> None:
        losses: Any = self.losses.xs(attribute, axis=1, level="attribute")
        curves = losses.xs(c, axis=1, level="class")
        named = _most_different(losses)
        for group in curves.columns:
            if group not in named:
                ax.plot(curves.index, curves[group], color="0.85", linewidth=0.7)
        for group, style in zip(named, styles(len(named)), strict=True):
            ax.plot(
                curves.index,
                curves[group] if group in curves else np.full(len(curves), np.nan),
                label=group_name(group),
                markevery=max(1, len(curves) // 8),
                markersize=4,
                linewidth=1.2,
                **style,
            )


def _most_different(losses: pd.DataFrame) -> list:
    """Return the groups to name: of many, those that end farthest from the median."""
    last = losses.ffill().iloc[-1].unstack("class")
    farthest = (last - last.median()).abs().max(axis=1).sort_values(ascending=False)
    chosen = set(farthest.index[:MAX_NAMED])
    return [group for group in losses.columns.unique("group") if group in chosen]
